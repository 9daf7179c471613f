//! `--demo`: an account and a small catalogue to look at.

use endpaper_accounts::service::{DEMO_LOGIN_ID, DEMO_PASSWORD};
use endpaper_reading::model::ReaderId;
use stdx::ids::Id as _;

use crate::app::App;
use crate::failure::{Failure, Result};

/// Adds what is missing of the demo, and says how to log in.
pub(crate) async fn prepare(app: &App) -> Result {
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("the demo: {error}"));
    let account = app.accounts.ensure_demo_user().await.map_err(|error| failed(&error))?;
    let reader = ReaderId::from_uuid(account.id.uuid());
    let added = app.reading.add_demo(reader).await.map_err(|error| failed(&error))?;
    tracing::info!(
        books = added.books,
        shelved = added.shelved,
        memos = added.memos,
        "the demo is there: log in as {DEMO_LOGIN_ID} with the password {DEMO_PASSWORD}"
    );
    Ok(())
}
