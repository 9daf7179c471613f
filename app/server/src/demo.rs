//! The demo.

use crate::app::App;
use crate::failure::Result;

pub(crate) async fn prepare(_app: &App) -> Result {
    Ok(())
}
