//! A reader with an account, and a device of theirs that writes memos.

use std::path::Path;
use std::time::Instant;

use endpaper_api::sync::{SCHEMA, TABLES};
use serde_json::{Value as Json, json};
use stdx::{IdSource, UnixMicros};
use sync::engine::{Config, Edit, Trouble};
use sync::model::{AccountId, Fields, RecordId, RecordKey, Value};
use sync::queue::Priority;
use sync_sqlite::{Device, Options, Tokens};

use crate::Latencies;

/// The log-in id of [`sign_up`].
pub const LOGIN_ID: &str = "bench";
/// The password of [`sign_up`].
pub const PASSWORD: &str = "correct horse 9 battery";

/// An access token: it is not asked for another one.
#[derive(Clone, Debug)]
pub struct Token(pub String);

impl Tokens for Token {
    async fn token(&self, stale: Option<&str>) -> Result<String, Trouble> {
        if stale.is_some() { Err(Trouble::LogIn) } else { Ok(self.0.clone()) }
    }
}

/// Makes the account, at a server of this URL; its token, and its id.
///
/// # Panics
/// Where the server does not.
pub async fn sign_up(base: &str) -> (String, AccountId) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let base = base.trim_end_matches('/');
    let ask = async |path: &str, body: Json| -> Json {
        let sent = client.post(format!("{base}/api/v1/auth/{path}")).json(&body).send().await;
        let answer: Json = sent.expect("it answers").json().await.expect("JSON");
        answer["data"].clone()
    };
    ask("signup", json!({ "loginId": LOGIN_ID, "email": "bench@example.com", "name": "Bench", "password": PASSWORD })).await;
    let login = ask("login", json!({ "loginId": LOGIN_ID, "password": PASSWORD })).await;
    let text = |value: &Json| value.as_str().expect("a text").to_owned();
    let account = text(&login["user"]["id"]).parse().expect("an id");
    (text(&login["accessToken"]), account)
}

/// Opens a device, whose queue may be as long as this.
///
/// # Panics
/// Where it can't be.
#[must_use]
pub fn open(path: &Path, account: AccountId, queue: Option<usize>) -> Device {
    let mut config = Config::new(TABLES, SCHEMA);
    if let Some(queue) = queue {
        config.limits.queue_count = queue;
    }
    Device::open(path, Options::new(config, account)).expect("it is opened")
}

/// Puts a book on the shelf.
///
/// # Panics
/// Where it is not saved.
#[must_use]
pub fn shelve(device: &Device, title: &str) -> RecordId {
    let key = RecordKey { table: "shelf".into(), id: IdSource::system().next() };
    let book = Fields::from([("title", title)]);
    let now = UnixMicros::from_secs(1_700_000_000);
    device.edit(&key, Edit::Create(book), now, Priority::NORMAL).expect("it is saved");
    key.id
}

/// Writes so many memos on it, each by itself, as a person does, and each a second after the
/// one before.
///
/// # Panics
/// Where one is not saved.
#[must_use]
pub fn write(device: &Device, book: RecordId, count: usize) -> Latencies {
    let ids = IdSource::system();
    let mut latencies = Latencies::default();
    for number in 0..count {
        let at = UnixMicros::from_secs(1_700_000_000 + i64::try_from(number).unwrap_or(0));
        let fields = Fields::from([
            ("userBookId", Value::from(book.to_string())),
            ("pageNumber", Value::Int(1)),
            ("content", memo(number).into()),
            ("tags", Value::Texts(Vec::new())),
            ("tagCategory", Value::Null),
            ("memoStartTime", Value::Int(at.0)),
        ]);
        let key = RecordKey { table: "memos".into(), id: ids.next() };
        let before = Instant::now();
        device.edit(&key, Edit::Create(fields), at, Priority::NORMAL).expect("it is saved");
        latencies.add(before.elapsed());
    }
    latencies
}

/// A memo of about 300 bytes: the number makes each another one.
#[must_use]
pub fn memo(number: usize) -> String {
    format!("{number}. {TEXT}")
}

const TEXT: &str = "촛불 하나로 방이 이렇게 넓어질 수 있구나. 어둠은 물러난 것이 아니라 \
    가장자리로 가서 앉아 있을 뿐이고, 나는 그 사이에서 책을 읽는다. A candle does not \
    push the dark away; it only asks it to sit further off for a while.";
