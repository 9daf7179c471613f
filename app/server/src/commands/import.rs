//! `endpaper import`.

use crate::cli::ImportCommand;
use crate::failure::{Failure, Result};

pub(crate) fn run(command: &ImportCommand) -> Result {
    Err(Failure::new(format!("{command:?}")))
}
