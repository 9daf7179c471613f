//! Starting the binary and talking to it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lab::{Finished, Program};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Of a command that ends by itself.
const ENDS_WITHIN: Duration = Duration::from_mins(1);

/// The binary, without what the environment of the test says.
pub(crate) fn endpaper(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_endpaper"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ENDPAPER_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str]) -> Finished {
    lab::run(endpaper(arguments), ENDS_WITHIN).unwrap()
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) program: Program,
    client: reqwest::Client,
}

impl Server {
    /// With the embedded pair in `data`, on a free port.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        let data = data.display().to_string();
        let mut arguments = vec!["serve", "--data", &data];
        arguments.extend(more);
        Self::start_with(&arguments)
    }

    /// With arguments that say where the data is.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_listening(arguments, "off")
    }

    /// With arguments that say where the data is, and the operator's listener,
    /// whose address is returned.
    pub(crate) fn start_operated(arguments: &[&str]) -> (Self, String) {
        let mut server = Self::start_listening(arguments, "127.0.0.1:0");
        let told = |line: &str| {
            let (_, address) = line.split_once("metrics are at http://")?;
            Some(address.strip_suffix("/metrics")?.to_owned())
        };
        let operator = server.program.process().wait_for_log_line(ENDS_WITHIN, told).unwrap();
        (server, operator)
    }

    fn start_listening(arguments: &[&str], operator: &str) -> Self {
        let mut command = endpaper(arguments);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        // Servers of tests that run at one time each have their own.
        command.env("ENDPAPER_OPERATOR_LISTEN", operator);
        // A test asks nobody outside.
        command.env("ENDPAPER_BOOKS_OPEN_LIBRARY", "false");
        Self { program: Program::start_command(command).unwrap(), client: client() }
    }

    /// Freezes the server for so long. Whoever asks afterwards has a new connection: the
    /// server closes those that said nothing meanwhile.
    pub(crate) async fn sleeps(&mut self, time: Duration) {
        self.program.process().freeze().unwrap();
        tokio::time::sleep(time).await;
        self.program.process().thaw().unwrap();
        self.client = client();
    }

    /// Sends a request with a JSON body, where there is one, and returns the
    /// status and the answer.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        ask(&self.client, &self.program.url(path), method, token, body).await.unwrap()
    }
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1)).build().unwrap()
}

/// As [`Server::ask`], where the server may be gone.
pub(crate) async fn ask(
    client: &reqwest::Client,
    url: &str,
    method: Method,
    token: Option<&str>,
    body: Option<Value>,
) -> Result<(StatusCode, Value), reqwest::Error> {
    let mut request = client.request(method, url).header("x-time-zone", "Asia/Seoul");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await?;
    let status = response.status();
    let text = response.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// Of a state that only an answer of the server shows.
const REACHED_WITHIN: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Asks again and again until `reached`, for at most [`REACHED_WITHIN`]. For
/// what a client sees, of which there is no event: the server pushes nothing,
/// and a line of its log comes before its answers change.
pub(crate) async fn until(what: &str, reached: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(REACHED_WITHIN, async {
        while !reached().await {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: not within {REACHED_WITHIN:?}");
}

/// Somebody who is logged in.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) token: String,
}

pub(crate) const PASSWORD: &str = "a long enough password 책";

impl Reader {
    /// Signs up and logs in.
    pub(crate) async fn sign_up(server: &Server, login_id: &str) -> Self {
        let account = json!({
            "loginId": login_id,
            "email": format!("{login_id}@example.com"),
            "name": "읽는 사람",
            "password": PASSWORD,
        });
        let (status, answer) =
            server.ask(Method::POST, "/api/v1/auth/signup", None, Some(account)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        Self::log_in(server, login_id).await
    }

    pub(crate) async fn log_in(server: &Server, login_id: &str) -> Self {
        let credentials = json!({ "loginId": login_id, "password": PASSWORD });
        let (status, answer) =
            server.ask(Method::POST, "/api/v1/auth/login", None, Some(credentials)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let token = answer["data"]["accessToken"].as_str().unwrap().to_owned();
        Self { token }
    }

    /// What a GET answers, which is a success.
    pub(crate) async fn get(&self, server: &Server, path: &str) -> Value {
        self.done(server, Method::GET, path, None).await
    }

    /// Does what has to succeed, and returns the data of the answer.
    pub(crate) async fn done(
        &self,
        server: &Server,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Value {
        let (status, mut answer) = server.ask(method, path, Some(&self.token), body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer["data"].take()
    }

    /// Puts a book on the shelf and returns its id there.
    pub(crate) async fn shelve(&self, server: &Server, book: Value) -> String {
        let shelved = self.done(server, Method::POST, "/api/v1/user/books", Some(book)).await;
        shelved["userBookId"].as_str().unwrap().to_owned()
    }
}
