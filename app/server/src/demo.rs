//! `--demo`: an account and a small catalogue to look at.

use endpaper_accounts::service::{DEMO_LOGIN_ID, DEMO_PASSWORD};
use endpaper_api::accounts::AccountStatus;
use endpaper_reading::model::ReaderId;
use stdx::ids::Id as _;

use crate::app::App;
use crate::failure::{Failure, Result};

/// Warns where a demo that nobody asks for any more left its account.
pub(crate) async fn warn_of_account(app: &App) {
    match app.accounts.find_user(DEMO_LOGIN_ID).await {
        Ok(Some(account)) if account.status == AccountStatus::Active => tracing::warn!(
            "the account `{DEMO_LOGIN_ID}` of --demo is open, and everybody knows its password; \
             `endpaper accounts suspend {DEMO_LOGIN_ID}` closes it"
        ),
        Ok(_) => {}
        // The server starts, and says by itself how its store stands.
        Err(error) => tracing::debug!(%error, "it is not known whether there is a demo account"),
    }
}

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
