//! `endpaper config show`.

use super::print;
use crate::cli::ConfigCommand;
use crate::config::Resolved;
use crate::failure::Result;

pub(crate) fn run(command: &ConfigCommand) -> Result {
    let ConfigCommand::Show { store, listen, json } = command;
    let mut flags = store.flags();
    flags.values.extend(listen.clone().map(|listen| ("listen", listen)));
    let resolved = Resolved::load(&flags)?;
    print(&if *json { resolved.to_json() } else { resolved.to_table() });
    Ok(())
}
