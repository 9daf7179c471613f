//! A service on a store of its own, its routes, and readers who are logged in.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use endpaper_api::accounts::Role;
use endpaper_api::{ErrorCode, Language};
use endpaper_http::caller::Authenticating;
use endpaper_http::{Authenticate, Authenticator, Principal, Problem, SessionId, UserId};
use endpaper_reading::model::ReaderId;
use endpaper_reading::sources::BookSources;
use endpaper_reading::{MIGRATIONS, ReadingService, router};
use http_body_util::BodyExt as _;
use multi_master::{Config, MultiMaster, Policy};
use serde_json::{Value, json};
use stdx::ids::Id as _;
use stdx::{Clock, IdSource, Random, Seed, UnixMicros};
use tempfile::TempDir;
use tower::ServiceExt as _;
use uuid::Uuid;

/// 2024-05-01T12:00:00+09:00.
pub(crate) const NOW: UnixMicros = UnixMicros::from_secs(1_714_532_400);

pub(crate) struct World {
    pub(crate) service: ReadingService,
    pub(crate) store: MultiMaster,
    pub(crate) clock: Clock,
    pub(crate) ids: IdSource,
    routes: Router,
    _directory: TempDir,
}

/// The token of a reader is `reader-` and a number.
struct Tokens;

impl Authenticate for Tokens {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authenticating<'a> {
        Box::pin(async move {
            let number = token.strip_prefix("reader-").and_then(|number| number.parse().ok());
            let number: u128 = number.ok_or(Problem::new(ErrorCode::Unauthorized))?;
            Ok(Principal {
                user: UserId::from_uuid(Uuid::from_u128(number)),
                session: SessionId::from_uuid(Uuid::from_u128(number)),
                role: Role::User,
                language: Language::Ko,
                time_zone: "Asia/Seoul".to_owned(),
            })
        })
    }
}

pub(crate) fn reader(number: u128) -> ReaderId {
    ReaderId::from_uuid(Uuid::from_u128(number))
}

impl World {
    /// Without any source.
    pub(crate) async fn new() -> Self {
        Self::with(BookSources::default()).await
    }

    pub(crate) async fn with(sources: BookSources) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = Config::embedded(directory.path(), Policy::Available);
        Self::over(config, sources, directory).await
    }

    /// Over other masters; `directory` lives as long as the world.
    pub(crate) async fn over(mut config: Config, sources: BookSources, directory: TempDir) -> Self {
        let clock = Clock::starting_at(NOW);
        config.clock = clock.clone();
        let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
        let ids = IdSource::new(clock.clone(), Random::new(Seed(7)));
        let service = ReadingService::new(store.clone(), sources, clock.clone(), ids.clone());
        let routes = endpaper_http::finish(router(service.clone()))
            .layer(axum::Extension(Authenticator(Arc::new(Tokens))));
        Self { service, store, clock, ids, routes, _directory: directory }
    }

    /// A request of reader 1.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        Ask {
            world: self,
            request: Request::builder().method(method).uri(format!("/api/v1{path}")),
            reader: Some(1),
            language: "en".to_owned(),
            body: Body::empty(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        self.ask("GET", path)
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers make it in place")]
    pub(crate) fn post(&self, path: &str, body: Value) -> Ask<'_> {
        self.ask("POST", path).json(&body)
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers make it in place")]
    pub(crate) fn put(&self, path: &str, body: Value) -> Ask<'_> {
        self.ask("PUT", path).json(&body)
    }

    pub(crate) fn delete(&self, path: &str) -> Ask<'_> {
        self.ask("DELETE", path)
    }

    /// Puts a book of 100 pages on the shelf of a reader; its `userBookId`.
    pub(crate) async fn shelved(&self, reader: u128, isbn: &str) -> String {
        let body = json!({"isbn": isbn, "title": format!("Book {isbn}"), "totalPages": 100});
        let answer = self.post("/user/books", body).of(reader).send().await.created();
        answer["userBookId"].as_str().unwrap().to_owned()
    }

    /// Writes a memo for a reader at a time; the memo.
    pub(crate) async fn memo(&self, reader: u128, book: &str, time: &str, tags: &[&str]) -> Value {
        let body = json!({
            "userBookId": book, "pageNumber": 7, "content": format!("at {time}"),
            "tags": tags, "memoStartTime": time,
        });
        self.post("/memos", body).of(reader).send().await.created()
    }
}

#[must_use]
pub(crate) struct Ask<'w> {
    world: &'w World,
    request: axum::http::request::Builder,
    reader: Option<u128>,
    language: String,
    body: Body,
}

impl Ask<'_> {
    pub(crate) fn of(mut self, reader: u128) -> Self {
        self.reader = Some(reader);
        self
    }

    pub(crate) fn of_nobody(mut self) -> Self {
        self.reader = None;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn language(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.language);
        self
    }

    pub(crate) fn zone(self, name: &str) -> Self {
        self.header("x-time-zone", name)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string())
    }

    pub(crate) fn bytes(self, content_type: &str, body: impl Into<Body>) -> Self {
        let mut this = self.header("content-type", content_type);
        this.body = body.into();
        this
    }

    /// An answer whose body goes on.
    pub(crate) async fn open(self) -> Body {
        let response = self.response().await;
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body()
    }

    pub(crate) async fn send(self) -> Got {
        let response = self.response().await;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Got { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    async fn response(self) -> axum::response::Response {
        let mut request = self.request.header("accept-language", self.language);
        if let Some(reader) = self.reader {
            request = request.header("authorization", format!("Bearer reader-{reader}"));
        }
        let request = request.body(self.body).unwrap();
        self.world.routes.clone().oneshot(request).await.unwrap()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    fn data(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        let mut json = self.json();
        assert_eq!(json["ok"], true);
        json["data"].take()
    }

    pub(crate) fn ok(&self) -> Value {
        self.data(200)
    }

    pub(crate) fn created(&self) -> Value {
        self.data(201)
    }

    /// The error of an answer with a status: its code, and the names of the
    /// fields that are wrong.
    pub(crate) fn refused(&self, status: u16) -> (String, Vec<String>) {
        assert_eq!(self.status, status, "{}", self.text);
        let json = self.json();
        assert_eq!(json["ok"], false);
        let error = &json["error"];
        assert!(!error["message"].as_str().unwrap().is_empty());
        let fields = error["fields"].as_array().unwrap().iter();
        let fields = fields.map(|field| field["field"].as_str().unwrap().to_owned()).collect();
        (error["code"].as_str().unwrap().to_owned(), fields)
    }

    /// Asserts that the answer is 400 and names these fields.
    pub(crate) fn refuses(&self, fields: &[&str]) {
        let (code, found) = self.refused(400);
        assert_eq!(code, "VALIDATION_FAILED", "{}", self.text);
        assert_eq!(found, fields, "{}", self.text);
    }
}

/// Makes tests of checks, each on a store of its own: over two SQLite masters
/// here, and over two MariaDB servers by `all`, which `mariadb.rs` runs.
macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            use crate::world::World;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                super::$name(World::new().await).await;
            })*
        }

        pub(crate) async fn all(new_world: &impl AsyncFn(&str) -> World) {
            $($name(new_world(stringify!($name)).await).await;)*
        }
    };
}

pub(crate) use checks;
