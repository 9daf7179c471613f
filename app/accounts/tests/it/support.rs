//! A world of two masters, one service and a clock that tests move.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::{Extension, Router};
use endpaper_accounts::limits::Rule;
use endpaper_accounts::mail::FileOutbox;
use endpaper_accounts::passwords::HashCost;
use endpaper_accounts::service::LimitRules;
use endpaper_accounts::{AccountsService, Config, MIGRATIONS};
use endpaper_http::{Authenticator, ClientAddress};
use http::{HeaderMap, Method};
use http_body_util::BodyExt as _;
use multi_master::{MultiMaster, Policy};
use serde_json::{Value, json};
use stdx::{Clock, IdSource, Random, Seed, UnixMicros};
use tower::ServiceExt as _;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Cheap hashing: what hashing costs has a test of its own.
pub(crate) const CHEAP: HashCost = HashCost { memory_kib: 8, passes: 1 };

pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: MultiMaster,
    pub(crate) clock: Clock,
    pub(crate) accounts: AccountsService,
    pub(crate) api: Api,
}

thread_local! {
    /// The masters of the next world that this thread starts, where they are
    /// not two new files. A test starts its world on its own thread.
    pub(crate) static OTHER_MASTERS: RefCell<Option<multi_master::Config>> =
        const { RefCell::new(None) };
}

/// Limits that no test meets which is not about them.
pub(crate) fn generous() -> LimitRules {
    let rule = Rule::new(1_000_000, Duration::from_secs(1));
    LimitRules {
        login_by_id_and_place: rule,
        login_by_id: rule,
        login_by_address: rule,
        signup_by_address: rule,
        refresh_by_address: rule,
        lookup_by_address: rule,
        recovery_by_target: rule,
        recovery_by_address: rule,
    }
}

pub(crate) fn config() -> Config {
    Config { hash_cost: CHEAP, limits: generous(), ..Config::default() }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(config()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let embedded = || multi_master::Config::embedded(directory.path(), Policy::Available);
        let masters = OTHER_MASTERS.with_borrow_mut(Option::take).unwrap_or_else(embedded);
        let store = MultiMaster::open(masters, MIGRATIONS).await.expect("two new masters");
        let clock = Clock::starting_at(UnixMicros::from_secs(1_772_000_000));
        let accounts = service(&store, &config, &clock, directory.path().join("mail"), 1);
        let api = Api::new(&accounts);
        Self { directory, store, clock, accounts, api }
    }

    /// Another process over the same store: nothing shared but what is stored.
    pub(crate) fn another_process(&self, seed: u64, config: &Config) -> (AccountsService, Api) {
        let accounts =
            service(&self.store, config, &self.clock, self.directory.path().join("mail"), seed);
        let api = Api::new(&accounts);
        (accounts, api)
    }

    /// The mails sent so far, oldest first.
    pub(crate) async fn mails(&self) -> Vec<String> {
        self.accounts.settle().await;
        let entries = std::fs::read_dir(self.directory.path().join("mail")).expect("the outbox");
        let mut files: Vec<PathBuf> =
            entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        files.iter().map(|file| std::fs::read_to_string(file).expect("a mail")).collect()
    }

    /// The token in the mail that was sent last.
    pub(crate) async fn mailed_token(&self) -> String {
        let mails = self.mails().await;
        let mail = mails.last().expect("a mail");
        let token = mail.split_whitespace().find(|word| word.starts_with("epp_"));
        token.expect("a token in the mail").to_owned()
    }
}

fn service(
    store: &MultiMaster,
    config: &Config,
    clock: &Clock,
    mail: PathBuf,
    seed: u64,
) -> AccountsService {
    let random = Random::new(Seed(seed));
    let ids = IdSource::new(clock.clone(), random.clone());
    let outbox = FileOutbox::new(mail, "no-reply@localhost", clock.clone(), ids.clone());
    AccountsService::new(
        store.clone(),
        config.clone(),
        clock.clone(),
        ids,
        random,
        Arc::new(outbox.expect("a directory for mail")),
    )
}

/// The routes, as a client sees them.
#[derive(Clone)]
pub(crate) struct Api(Router);

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// A logged-in device.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) device: String,
}

impl Reply {
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or("")
    }

    /// `201`, or `409 LOGIN_ID_TAKEN loginId`.
    pub(crate) fn line(&self) -> String {
        if self.body["ok"] == true {
            return self.status.to_string();
        }
        let fields = self.body["error"]["fields"].as_array().cloned().unwrap_or_default();
        let fields: Vec<&str> = fields.iter().filter_map(|field| field["field"].as_str()).collect();
        format!("{} {} {}", self.status, self.code(), fields.join(",")).trim_end().to_owned()
    }

    pub(crate) fn data(&self) -> &Value {
        assert_eq!(self.body["ok"], true, "{} {}", self.status, self.body);
        &self.body["data"]
    }

    pub(crate) fn retry_after_secs(&self) -> u64 {
        self.headers["retry-after"].to_str().unwrap().parse().expect("whole seconds")
    }
}

impl Session {
    fn of(data: &Value) -> Self {
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        Self {
            access: text("accessToken"),
            refresh: text("refreshToken"),
            device: text("deviceId"),
        }
    }
}

impl Api {
    pub(crate) fn new(accounts: &AccountsService) -> Self {
        let routes = endpaper_accounts::router(accounts.clone());
        let routes = routes.layer(Extension(Authenticator(Arc::new(accounts.clone()))));
        Self(endpaper_http::finish(routes))
    }

    pub(crate) async fn send(&self, request: Request) -> Reply {
        let response = self.0.clone().oneshot(request).await.expect("routers do not fail");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body in memory").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Reply {
        self.call_from("192.0.2.1", method, path, headers, body).await
    }

    pub(crate) async fn call_from(
        &self,
        address: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Reply {
        let address: IpAddr = address.parse().expect("an address");
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .extension(ClientAddress(Some(address)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(json) => {
                request = request.header("content-type", "application/json");
                Body::from(json.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).expect("a request")).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str, access: &str) -> Reply {
        self.call(Method::GET, path, &[("authorization", &format!("Bearer {access}"))], None).await
    }

    pub(crate) async fn delete(&self, path: &str, access: &str) -> Reply {
        let authorization = format!("Bearer {access}");
        self.call(Method::DELETE, path, &[("authorization", &authorization)], None).await
    }

    /// Signs `login_id` up, with [`PASSWORD`].
    pub(crate) async fn sign_up(&self, login_id: &str) -> Value {
        let reply = self.post("/auth/signup", new_user(login_id)).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.data().clone()
    }

    pub(crate) async fn log_in(&self, login_id: &str) -> Session {
        let reply =
            self.post("/auth/login", json!({"loginId": login_id, "password": PASSWORD})).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        Session::of(reply.data())
    }

    pub(crate) async fn refresh(&self, token: &str) -> Reply {
        self.post("/auth/refresh", json!({"refreshToken": token})).await
    }

    pub(crate) async fn refresh_with_key(&self, token: &str, key: &str) -> Reply {
        let body = json!({"refreshToken": token});
        self.call(Method::POST, "/auth/refresh", &[("idempotency-key", key)], Some(body)).await
    }

    /// How a 🔒 route answers a token.
    pub(crate) async fn knocks(&self, access: &str) -> String {
        self.get("/users/me", access).await.line()
    }
}

pub(crate) fn new_user(login_id: &str) -> Value {
    json!({
        "loginId": login_id,
        "email": format!("{login_id}@example.com"),
        "name": "해리",
        "password": PASSWORD,
    })
}

pub(crate) fn refresh_of(reply: &Reply) -> String {
    reply.data()["refreshToken"].as_str().expect("a refresh token").to_owned()
}

pub(crate) fn access_of(reply: &Reply) -> String {
    reply.data()["accessToken"].as_str().expect("an access token").to_owned()
}
