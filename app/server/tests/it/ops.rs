//! The operator's page and the queue's commands, from the outside.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use lab::{Finished, Scratch, TakenAway};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::common::{Reader, Server, endpaper, until};

/// An operator with a browser that follows no redirects by itself.
pub(crate) struct Operator {
    address: String,
    client: Client,
    token: String,
}

impl Operator {
    pub(crate) fn of(address: String, data: &Path) -> Self {
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_mins(1));
        let token = std::fs::read_to_string(data.join("operator-token")).unwrap();
        Self { address, client: client.build().unwrap(), token: token.trim().to_owned() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        cookie: &str,
        form: &[(&str, &str)],
    ) -> Response {
        let form: String = form
            .iter()
            .map(|(name, value)| format!("{name}={}", value.replace(' ', "+")))
            .collect::<Vec<_>>()
            .join("&");
        let request = self.request(method, path).header("cookie", cookie);
        let kind = "application/x-www-form-urlencoded";
        request.header("content-type", kind).body(form).send().await.unwrap()
    }

    /// Logs in and returns the cookie.
    pub(crate) async fn log_in(&self) -> String {
        let answer = self.send(Method::POST, "/ops/login", "", &[("token", &self.token)]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        for wanted in ["HttpOnly", "SameSite=Strict", "Path=/ops"] {
            assert!(cookie.contains(wanted), "{cookie}");
        }
        cookie.split(';').next().unwrap().to_owned()
    }

    pub(crate) async fn page(&self, path: &str, cookie: &str) -> String {
        let answer = self.send(Method::GET, path, cookie, &[]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.text().await.unwrap()
    }
}

/// The secret of a session, as the forms of its page have it.
pub(crate) fn secret_of(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"secret\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn who_has_the_token_sees_the_page_and_nobody_else_does() {
    let scratch = Scratch::new("ops").unwrap();
    let data = scratch.path().join("data");
    let path = data.display().to_string();
    let (server, address) = Server::start_operated(&["serve", "--data", &path]);
    let mode = std::fs::metadata(data.join("operator-token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let operator = Operator::of(address, &data);

    // Without a session there is a form, and nothing else.
    let form = operator.page("/ops", "").await;
    assert!(form.contains("type=\"password\"") && !form.contains("id=\"masters\""), "{form}");
    let now = operator.send(Method::GET, "/ops/now", "endpaper_ops=made-up", &[]).await;
    assert_eq!(now.status(), StatusCode::UNAUTHORIZED);
    let policy = now.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");

    let cookie = operator.log_in().await;
    let page = operator.page("/ops", &cookie).await;
    assert!(page.contains("All is well.") && page.contains("id=\"masters\""), "{page}");
    assert!(!page.contains("<script>") && !page.contains("style=\""), "the policy forbids them");
    let korean = operator.request(Method::GET, "/ops").header("cookie", &cookie);
    let korean = korean.header("accept-language", "ko").send().await.unwrap().text().await.unwrap();
    assert!(korean.contains("모두 정상입니다.") && korean.contains("lang=\"ko\""), "{korean}");

    // A form without the session's secret, or from another site, does nothing.
    let verify =
        operator.send(Method::POST, "/ops/verify", &cookie, &[("secret", "guessed")]).await;
    assert_eq!(verify.status(), StatusCode::SEE_OTHER);
    let foreign = operator.request(Method::POST, "/ops/verify").header("cookie", &cookie);
    let foreign = foreign.header("origin", "http://127.0.0.1:3000");
    assert_eq!(foreign.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert!(operator.page("/ops", &cookie).await.contains("Not compared since"));
    let secret = secret_of(&page);
    operator.send(Method::POST, "/ops/verify", &cookie, &[("secret", &secret)]).await;
    until("the comparison is shown", async || {
        operator.page("/ops/now", &cookie).await.contains("all the same")
    })
    .await;

    // What somebody makes up in an address is shown as text.
    let drop = operator.page("/ops/drop?item=%3Cscript%3Ealert(1)%3C/script%3E", &cookie).await;
    assert!(drop.contains("&lt;script&gt;") && !drop.contains("<script>"), "{drop}");

    // The end of the session is its end.
    operator.send(Method::POST, "/ops/logout", &cookie, &[("secret", &secret)]).await;
    assert!(!operator.page("/ops", &cookie).await.contains("id=\"masters\""));

    // Programs have the token in a header; wrong ones are soon not looked at.
    for (bearer, expected) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some("Bearer wrong".to_owned()), StatusCode::UNAUTHORIZED),
        (Some(format!("Bearer {}", operator.token)), StatusCode::OK),
    ] {
        let request = operator.request(Method::GET, "/queue");
        let request = bearer.into_iter().fold(request, |r, text| r.header("authorization", text));
        assert_eq!(request.send().await.unwrap().status(), expected);
    }
    let verify =
        operator.request(Method::POST, "/verify").json(&json!({"repair": true, "fast": true}));
    assert_eq!(verify.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let mut last = StatusCode::OK;
    for _ in 0..10 {
        last = operator.send(Method::POST, "/ops/login", "", &[("token", "wrong")]).await.status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        operator.request(Method::GET, "/metrics").send().await.unwrap().status(),
        StatusCode::OK
    );

    let finished = server.program.stop().unwrap();
    assert!(
        !finished.stderr.contains(&operator.token)
            && finished.stderr.contains("/ops; its token is in")
    );
}

/// Runs `endpaper masters …` against the server.
fn masters(operator: &Operator, data: &str, arguments: &[&str]) -> Finished {
    let mut command = endpaper(&["masters"]);
    command.args(arguments).args(["--data", data]);
    command.env("ENDPAPER_OPERATOR_LISTEN", &operator.address);
    lab::run(command, Duration::from_mins(1)).unwrap()
}

#[tokio::test]
async fn what_is_owed_to_a_master_is_shown_tried_and_dropped() {
    let scratch = Scratch::new("ops").unwrap();
    let data = scratch.path().join("data");
    let path = data.display().to_string();
    let (server, address) = Server::start_operated(&["serve", "--data", &path]);
    let operator = Operator::of(address, &data);
    let empty = masters(&operator, &path, &["queue", "ls"]);
    assert_eq!(empty.stdout, "nothing is owed, and nothing is in doubt\n", "{}", empty.stderr);

    let b = TakenAway::take(&data.join("b.db")).unwrap();
    let queue = || -> Value {
        let finished = masters(&operator, &path, &["queue", "ls", "--json"]);
        serde_json::from_str(&finished.stdout).unwrap()
    };
    until("b is away", async || queue()["masters"][0]["state"] == "DOWN").await;
    Reader::sign_up(&server, "reader").await;
    until("what it misses is counted", async || {
        queue()["masters"][0]["write_sets"].as_u64().is_some_and(|count| count > 0)
    })
    .await;
    let status = masters(&operator, &path, &["status"]);
    assert!(
        status.stdout.contains("b  DOWN") && status.stdout.contains("owed "),
        "{}",
        status.stdout
    );
    let metrics =
        operator.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(!metrics.contains("endpaper_master_owed{master=\"b\"} 0"), "{metrics}");
    assert!(metrics.contains("endpaper_master_commit_seconds_count{master=\"a\"}"), "{metrics}");

    // The page has it too, with buttons.
    let cookie = operator.log_in().await;
    until("the page has it", async || {
        let page = operator.page("/ops", &cookie).await;
        page.contains("Away: b.")
            && page.contains("id=\"retry-b\"")
            && page.contains("a master failed")
            && page.contains(">DOWN<")
    })
    .await;
    let secret = secret_of(&operator.page("/ops", &cookie).await);
    let form = [("secret", secret.as_str()), ("item", "b")];
    operator.send(Method::POST, "/ops/retry", &cookie, &form).await;
    assert!(operator.page("/ops", &cookie).await.contains("b: tried now."));
    assert!(!operator.page("/ops", &cookie).await.contains("b: tried now."), "said once");

    // What is not there is said to be so, and a reason is needed.
    let refused = masters(&operator, &path, &["queue", "drop", "c", "--reason", "why"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("`c` is not in the queue"), "{}", refused.stderr);
    let refused = masters(&operator, &path, &["queue", "drop", "b", "--reason", " "]);
    assert!(refused.stderr.contains("a reason is needed"), "{}", refused.stderr);
    until("it is dropped", async || {
        masters(&operator, &path, &["queue", "drop", "b", "--reason", "its disk is lost"]).code
            == Some(0)
    })
    .await;
    let shown = masters(&operator, &path, &["queue", "ls"]).stdout;
    assert!(shown.contains("master b: DOWN, to be filled anew"), "{shown}");

    b.lose().unwrap();
    assert_eq!(masters(&operator, &path, &["queue", "retry"]).code, Some(0));
    until("b is back", async || queue()["masters"] == json!([])).await;
    // What the script puts into the page that is open.
    until("the page shows that it is back", async || {
        let now = operator.page("/ops/now", &cookie).await;
        now.contains("a master is back") && !now.contains("Away:") && !now.contains(">DOWN<")
    })
    .await;
    let verified = masters(&operator, &path, &["verify"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    let finished = server.program.stop().unwrap();
    assert!(finished.stderr.contains("its disk is lost"), "{}", finished.stderr);

    // The queue is a running server's.
    let stopped = masters(&operator, &path, &["queue", "ls"]);
    assert_eq!(stopped.code, Some(1));
    assert!(stopped.stderr.contains("no server runs on this store"), "{}", stopped.stderr);
}
