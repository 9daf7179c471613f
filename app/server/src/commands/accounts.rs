//! `endpaper accounts`.

use endpaper_accounts::model::Account;
use endpaper_accounts::{AccountsError, AccountsService};
use endpaper_api::accounts::{AccountStatus, Role};
use jiff::Timestamp;
use serde::Serialize;

use super::{Talk, print, with_settings};
use crate::app::App;
use crate::cli::{AccountsCommand, OneAccount};
use crate::config::Settings;
use crate::failure::{Failure, Result};
use crate::store;

pub(crate) fn run(command: &AccountsCommand) -> Result {
    match command {
        AccountsCommand::Ls { store, json } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                with_accounts(&settings, async |accounts| list(accounts, *json).await).await
            })
        }
        AccountsCommand::Suspend(account) => change(account, async |accounts, login_id| {
            accounts.set_status(login_id, AccountStatus::Suspended).await
        }),
        AccountsCommand::Resume(account) => change(account, async |accounts, login_id| {
            accounts.set_status(login_id, AccountStatus::Active).await
        }),
        AccountsCommand::Role { account, role } => {
            let role = if role == "admin" { Role::Admin } else { Role::User };
            change(account, async move |accounts, login_id| accounts.set_role(login_id, role).await)
        }
    }
}

/// Accounts that are read at one time.
const PAGE: u32 = 500;

async fn list(accounts: &AccountsService, json: bool) -> Result {
    let mut after = String::new();
    loop {
        let page = accounts.users_after(&after, PAGE).await.map_err(Failure::new)?;
        let Some(last) = page.last() else { return Ok(()) };
        let lines: Vec<String> = page.iter().map(|account| line(account, json)).collect();
        print(&lines.join("\n"));
        after.clone_from(&last.login_id);
    }
}

/// Does `change` to one account and prints what it is then.
fn change(
    OneAccount { store, login_id, json }: &OneAccount,
    change: impl AsyncFnOnce(&AccountsService, &str) -> std::result::Result<Account, AccountsError>,
) -> Result {
    with_settings(&store.flags(), Talk::Command, async |settings| {
        with_accounts(&settings, async |accounts| {
            let account = change(accounts, login_id).await.map_err(|error| match error {
                AccountsError::UserNotFound => {
                    Failure::new(format!("there is no account with the login id `{login_id}`"))
                }
                error => Failure::new(error),
            })?;
            print(&line(&account, *json));
            Ok(())
        })
        .await
    })
}

async fn with_accounts(
    settings: &Settings,
    run: impl AsyncFnOnce(&AccountsService) -> Result,
) -> Result {
    let opened = store::open_to_change(settings).await?;
    let app = App::new(settings, opened.clone())?;
    let ran = run(&app.accounts).await;
    opened.close().await;
    ran
}

/// An account, for people or for programs.
fn line(account: &Account, json: bool) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Line<'a> {
        login_id: &'a str,
        email: &'a str,
        name: &'a str,
        role: Role,
        status: AccountStatus,
        created_at: String,
    }
    let created_at = Timestamp::from_microsecond(account.created_at.0)
        .map_or_else(|_| String::new(), |created_at| created_at.to_string());
    if json {
        let Account { login_id, email, name, role, status, .. } = account;
        let line = Line { login_id, email, name, role: *role, status: *status, created_at };
        return serde_json::to_string(&line).expect("texts are JSON");
    }
    let role = match account.role {
        Role::User => "user",
        Role::Admin => "admin",
    };
    let status = match account.status {
        AccountStatus::Active => "active",
        AccountStatus::Suspended => "suspended",
    };
    // As wide as a log-in id can be.
    format!("{:32}  {role:5}  {status:9}  {created_at}  {}", account.login_id, account.email)
}
