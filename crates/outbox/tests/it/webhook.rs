//! Events to somebody else's address.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use multi_master::Tx;
use outbox::webhook::{Webhook, WebhookConfig};
use outbox::{Bounds, Config, Outbox};
use stdx::{Clock, UnixMicros};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::{open, subscribed};

const SECRET: &str = "a secret that both know";
const NOW: UnixMicros = UnixMicros::from_secs(1_800_000_000);

/// What came, and what is answered: the status of each try, the last one for all after it.
#[derive(Clone)]
struct Receiver {
    came: watch::Sender<Vec<(HeaderMap, Bytes)>>,
    says: Arc<Mutex<Vec<Says>>>,
}

#[derive(Clone, Copy, Debug)]
enum Says {
    Status(StatusCode),
    /// To this machine, where it would be taken.
    Elsewhere,
    Nothing,
}

impl Receiver {
    /// Its address.
    async fn start(says: &[Says]) -> (Self, String) {
        let says = Arc::new(Mutex::new(says.iter().copied().rev().collect()));
        let receiver = Self { came: watch::Sender::new(Vec::new()), says };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        let hears = receiver.clone();
        let taken =
            post(async move |headers: HeaderMap, body: Bytes| hears.hear(headers, body).await);
        let routes = Router::new().route("/events", taken.clone()).route("/elsewhere", taken);
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (receiver, url)
    }

    async fn hear(&self, headers: HeaderMap, body: Bytes) -> Response {
        self.came.send_modify(|came| came.push((headers, body)));
        let says = {
            let mut says = self.says.lock().unwrap();
            if says.len() > 1 { says.pop() } else { says.last().copied() }
        };
        match says.unwrap() {
            Says::Status(status) => status.into_response(),
            Says::Elsewhere => {
                (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/elsewhere")]).into_response()
            }
            Says::Nothing => std::future::pending().await,
        }
    }

    async fn until(&self, many: usize) -> Vec<(HeaderMap, Bytes)> {
        let mut came = self.came.subscribe();
        came.wait_for(|came| came.len() >= many).await.unwrap().clone()
    }
}

fn config(url: &str) -> WebhookConfig {
    WebhookConfig {
        allow_private: true,
        time_limit: Duration::from_millis(200),
        clock: Clock::starting_at(NOW),
        ..WebhookConfig::new(url, SECRET)
    }
}

const SOON: Bounds = Bounds {
    pause_base: Duration::from_millis(1),
    pause_max: Duration::from_millis(2),
    ..Bounds::DEFAULT
};

/// Whatever it is answered, it comes again until it is taken: the same each time, and signed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_comes_until_it_is_taken_signed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Clock::real()).await;
    let says = [
        Says::Status(StatusCode::INTERNAL_SERVER_ERROR),
        Says::Nothing,
        Says::Elsewhere,
        Says::Status(StatusCode::NO_CONTENT),
    ];
    let (receiver, url) = Receiver::start(&says).await;
    let sink = Webhook::new(config(&url)).unwrap();
    let outbox = Outbox::open(store.clone(), subscribed("platform", SOON, sink), Config::default());
    let outbox = outbox.await.unwrap();
    let emits = outbox.clone();
    let event = serde_json::json!({"order": "무진기행"});
    let emitted = store.write(async move |tx: &mut Tx| emits.emit(tx, "t", "k", &event).await);
    let id = emitted.await.into_result().unwrap().to_string();
    let came = receiver.until(4).await;
    while outbox.backlog().await.unwrap()[0].waiting > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(came.len(), 4);
    for (headers, body) in &came {
        let header = |name: &str| headers[name].to_str().unwrap();
        assert_eq!(header("webhook-id"), id);
        assert_eq!(header("webhook-timestamp"), "1800000000");
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(body, "{\"order\":\"무진기행\"}");
        let signature = header("webhook-signature").strip_prefix("v1,").unwrap();
        assert_eq!(signature, by_hand(&id, body), "as anybody can work it out");
    }
    outbox.close().await;
    store.close().await;
}

/// What OpenSSL says.
fn by_hand(id: &str, body: &Bytes) -> String {
    let signed = format!("{id}.1800000000.{}", std::str::from_utf8(body).unwrap());
    let script = format!(
        "printf '%s' \"$0\" | openssl dgst -sha256 -hmac '{SECRET}' -binary | openssl base64 -A"
    );
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &script, &signed]);
    lab::run(shell, Duration::from_secs(20)).unwrap().stdout.trim().to_owned()
}

/// A name that means an address that is not public: it is found out when it is looked up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_nowhere_inside_unless_that_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Clock::real()).await;
    let (receiver, url) = Receiver::start(&[Says::Status(StatusCode::OK)]).await;
    let url = url.replace("127.0.0.1", "localhost");
    let sink = Webhook::new(WebhookConfig { allow_private: false, ..config(&url) }).unwrap();
    let once = Bounds { attempts_max: 1, ..SOON };
    let outbox = Outbox::open(store.clone(), subscribed("platform", once, sink), Config::default());
    let outbox = outbox.await.unwrap();
    let emits = outbox.clone();
    let emitted = store.write(async move |tx: &mut Tx| emits.emit(tx, "t", "k", &1).await);
    emitted.await.into_result().unwrap();
    let parked = loop {
        let parked = outbox.parked(10).await.unwrap();
        if !parked.is_empty() {
            break parked;
        }
        tokio::task::yield_now().await;
    };
    assert!(parked[0].error.contains("no public address"), "{}", parked[0].error);
    assert!(receiver.came.borrow().is_empty(), "nobody was asked");
    outbox.close().await;
    store.close().await;
}
