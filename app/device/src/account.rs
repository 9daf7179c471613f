//! Logging in and out, and the tokens of requests.

use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::path::Path;
use std::time::Duration;

use endpaper_api::accounts::{Login, LoginRequest, RefreshRequest, Tokens as Issued};
use endpaper_api::{Envelope, Nothing, Secret, Text};
use reqwest::{Client, RequestBuilder, Url};
use serde::de::DeserializeOwned;
use stdx::IdSource;
use stdx::ids::Id as _;
use sync::engine::Trouble;
use sync::model::AccountId;
use sync_sqlite::{HttpServer, Tokens};

use crate::folder::{Folder, Held, LoggedIn};
use crate::{Failure, Out, Result, args, block_on, device_of, network, print};

const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Longer is no password.
const PASSWORD_MAX: u64 = 4096;

/// Logs in, and brings the account here.
pub(crate) fn login(folder: &Folder, args: &args::Login, out: Out) -> Result {
    let before = folder.last_login()?;
    let given = |given: &Option<String>, before: Option<&String>, name: &str| {
        let value = given.clone().or_else(|| before.cloned());
        value.ok_or_else(|| Failure::usage(format!("--{name} is needed for the first log-in")))
    };
    let server = given(&args.server, before.as_ref().map(|login| &login.server), "server")?;
    let base = url(&server)?;
    let user = given(&args.user, before.as_ref().map(|login| &login.login_id), "user")?;
    let password = password(args.password_file.as_deref(), &user)?;
    let text = |text: &str, what| {
        Text::new(text).map_err(|_| Failure::usage(format!("{what} has signs that can't be in it")))
    };
    let request = LoginRequest {
        login_id: text(&user, "the log-in id")?,
        password: Secret::new(&password)
            .map_err(|_| Failure::usage("the password has signs that can't be in it"))?,
        device_name: args.name.as_deref().map(|name| text(name, "the name")).transpose()?,
    };
    let client = client()?;
    let mut sent = client.post(path(&base, "/api/v1/auth/login")).json(&request);
    if let Some(before) = &before {
        sent = sent.header("x-device-id", &before.device);
    }
    let login: Login = block_on(ask(sent, &base))?;
    let account = AccountId::from_uuid(login.user.id);
    let logged_in = LoggedIn {
        server: base.to_string(),
        login_id: login.user.login_id,
        account,
        device: login.device_id.to_string(),
        tokens: Some(held(login.tokens)?),
    };
    if let Some(before) = before.filter(|before| before.account != account) {
        let count = waiting(folder, &before)?;
        if count > 0 {
            eprintln!(
                "{} of {} not sent yet: kept in this folder until {} logs in again",
                network::edits(count),
                before.login_id,
                before.login_id
            );
        }
    }
    folder.change_login(|_| (Some(logged_in.clone()), ()))?;
    if !out.json {
        print(&format!("{} is logged in", logged_in.login_id));
    }
    network::sync(folder, &logged_in, network::Busy::IsFine, out)
}

/// Logs out.
pub(crate) fn logout(folder: &Folder, yes: bool, out: Out) -> Result {
    let login = folder.login()?;
    let count = waiting(folder, &login)?;
    if count > 0 && !yes {
        return Err(Failure::new(format!(
            "{} not sent yet, kept in this folder until {} logs in again: `endpaper device \
             sync` first, or add --yes to log out all the same",
            network::edits(count),
            login.login_id
        )));
    }
    if login.tokens.is_some()
        && let Err(Failure::Usage(why) | Failure::Failed(why)) =
            FolderTokens::new(folder, &login).and_then(|tokens| block_on(end_session(&tokens)))
    {
        eprintln!("the server was not told ({why}): its session ends by itself");
    }
    folder.change_login(|there| {
        let same = there.filter(|there| there.account == login.account);
        (same.map(|same| LoggedIn { tokens: None, ..same }), ())
    })?;
    out.say(
        || serde_json::json!({ "user": login.login_id, "loggedIn": false }),
        || format!("{} is logged out", login.login_id),
    );
    Ok(())
}

async fn end_session(tokens: &FolderTokens) -> Result {
    let not_told = |_| Failure::new("it can't be reached");
    let url = path(&tokens.base, "/api/v1/auth/logout");
    let end = async |token: &str| {
        let request = tokens.client.post(url.clone()).bearer_auth(token);
        ask::<Nothing>(request, &tokens.base).await.map(|Nothing| ())
    };
    let token = tokens.token(None).await.map_err(not_told)?;
    if end(&token).await.is_ok() {
        return Ok(());
    }
    // It may have been too old.
    end(&tokens.token(Some(&token)).await.map_err(not_told)?).await
}

/// Edits that are not on the server.
fn waiting(folder: &Folder, login: &LoggedIn) -> Result<usize> {
    if !folder.store(login.account).exists() {
        return Ok(0);
    }
    Ok(device_of(folder, login)?.unsent()?.len())
}

/// The server of somebody who is logged in.
pub(crate) fn server(folder: &Folder, login: &LoggedIn) -> Result<HttpServer<FolderTokens>> {
    let tokens = FolderTokens::new(folder, login)?;
    Ok(HttpServer::new(tokens.client.clone(), tokens.base.clone(), tokens))
}

fn client() -> Result<Client> {
    sync_sqlite::http::client()
        .map_err(|error| Failure::new(format!("can't speak to servers: {error}")))
}

/// The tokens of one account at one server: where another process has logged somebody
/// else in meanwhile, there are none.
#[derive(Debug)]
pub(crate) struct FolderTokens {
    folder: Folder,
    client: Client,
    base: Url,
    server: String,
    account: AccountId,
}

impl FolderTokens {
    fn new(folder: &Folder, login: &LoggedIn) -> Result<Self> {
        let (folder, server) = (folder.clone(), login.server.clone());
        let base = url(&server)?;
        Ok(Self { folder, client: client()?, base, server, account: login.account })
    }

    /// Changes the tokens from what is there now, where they are still of this account at
    /// this server. Returns what is there then.
    fn change(&self, change: impl FnOnce(&mut Option<Held>) -> bool) -> Result<Option<Held>> {
        self.folder.change_login(|login| {
            let is_of =
                |login: &LoggedIn| login.account == self.account && login.server == self.server;
            let Some(mut login) = login.filter(is_of) else { return (None, None) };
            let is_changed = change(&mut login.tokens);
            let held = login.tokens.clone();
            (is_changed.then_some(login), held)
        })
    }
}

impl Tokens for FolderTokens {
    async fn token(&self, stale: Option<&str>) -> std::result::Result<String, Trouble> {
        // A disk that is full is no reason to log in again.
        let later = |_: Failure| Trouble::Later(None);
        // The key is on the disk before it is used: the same refresh is repeated after a
        // crash, and by another process, and is no theft.
        let held = self.change(|tokens| match tokens {
            Some(held) if stale == Some(held.access.expose()) && held.refreshing.is_none() => {
                held.refreshing = Some(IdSource::system().next_uuid().to_string());
                true
            }
            _ => false,
        });
        let held = held.map_err(later)?.ok_or(Trouble::LogIn)?;
        let key = held.refreshing.as_ref().filter(|_| stale == Some(held.access.expose()));
        let Some(key) = key else { return Ok(held.access.expose().to_owned()) };
        let request = RefreshRequest { refresh_token: held.refresh.clone() };
        let sent = self.client.post(path(&self.base, "/api/v1/auth/refresh")).json(&request);
        let sent = sent.header("idempotency-key", key).timeout(REQUEST_MAX);
        let new = match sync_sqlite::http::answer::<Issued>(sent).await {
            Ok(issued) => Some(self::held(issued).map_err(later)?),
            Err(Trouble::LogIn | Trouble::Rejected(_) | Trouble::Stopped(_) | Trouble::Expired) => {
                None
            }
            Err(trouble) => return Err(trouble),
        };
        // Where others are there by now, they stay.
        let there = self.change(|tokens| {
            let is_same = |there: &Held| there.refresh.expose() == held.refresh.expose();
            let is_same = tokens.as_ref().is_some_and(is_same);
            if is_same {
                *tokens = new;
            }
            is_same
        });
        let there = there.map_err(later)?.ok_or(Trouble::LogIn)?;
        Ok(there.access.expose().to_owned())
    }
}

fn held(tokens: Issued) -> Result<Held> {
    let access = Secret::new(&tokens.access_token)
        .map_err(|_| Failure::new("the server gave a token that can't be one"))?;
    Ok(Held { access, refresh: tokens.refresh_token, refreshing: None })
}

/// Asks, and says why not in the server's own words.
async fn ask<A: DeserializeOwned>(request: RequestBuilder, base: &Url) -> Result<A> {
    let away = |error: reqwest::Error| {
        let why = if error.is_timeout() { "it does not answer" } else { "nobody is there" };
        Failure::new(format!("{base} can't be reached: {why}"))
    };
    let language = if speaks_korean() { "ko" } else { "en" };
    let request = request.header("accept-language", language).timeout(REQUEST_MAX);
    let response = request.send().await.map_err(away)?;
    let answer = response.json::<Envelope<A>>().await;
    let answer = answer
        .map_err(|_| Failure::new(format!("{base} is no server of Endpaper: look at --server")))?;
    answer.into_result().map_err(|error| Failure::new(error.message))
}

fn speaks_korean() -> bool {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .is_some_and(|value| value.starts_with("ko"))
}

fn url(server: &str) -> Result<Url> {
    let url = Url::parse(server).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| {
        Failure::usage(format!("`{server}` is no address such as https://books.example.com"))
    })
}

fn path(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}

fn password(file: Option<&Path>, user: &str) -> Result<String> {
    let Some(file) = file else {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage("there is no terminal to ask at: use --password-file"));
        }
        return rpassword::prompt_password(format!("Password of {user}: "))
            .map_err(|error| Failure::new(format!("the password: {error}")));
    };
    let read = || -> std::io::Result<String> {
        let mut text = String::new();
        let from: Box<dyn Read> = match file {
            stdin if stdin == Path::new("-") => Box::new(std::io::stdin()),
            file => Box::new(File::open(file)?),
        };
        from.take(PASSWORD_MAX).read_to_string(&mut text)?;
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    };
    read().map_err(|error| Failure::new(format!("{}: {error}", file.display())))
}
