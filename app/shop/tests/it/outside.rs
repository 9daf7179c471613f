//! Third parties that hang, and are told afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use endpaper_shop::events::Outside;
use multi_master::Policy;
use outbox::nats::{Nats, NatsConfig};
use outbox::webhook::{Webhook, WebhookConfig};
use serde_json::Value;
use stdx::Clock;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::world::{How, World, open, reader, wanted};

/// What came, with its id, to an address that hangs until it is told not to.
#[derive(Clone)]
struct Party {
    asked: watch::Sender<usize>,
    took: watch::Sender<Vec<(String, Value)>>,
    hangs: Arc<AtomicBool>,
}

impl Party {
    async fn start() -> (Self, Webhook) {
        let party = Self {
            asked: watch::Sender::new(0),
            took: watch::Sender::new(Vec::new()),
            hangs: Arc::new(AtomicBool::new(true)),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let hears = party.clone();
        let hear = async move |headers: HeaderMap, body: Bytes| hears.hear(&headers, &body).await;
        let routes = Router::new().route("/", post(hear));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let config = WebhookConfig {
            allow_private: true,
            time_limit: Duration::from_millis(300),
            ..WebhookConfig::new(url, "a secret that both know")
        };
        (party, Webhook::new(config).unwrap())
    }

    async fn hear(&self, headers: &HeaderMap, body: &Bytes) -> StatusCode {
        self.asked.send_modify(|asked| *asked += 1);
        if self.hangs.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        let body = serde_json::from_slice(body).unwrap();
        self.took.send_modify(|took| took.push((id, body)));
        StatusCode::OK
    }

    /// What came, each event once, in the order in which it came first.
    async fn until(&self, events: usize) -> Vec<Value> {
        let ids = |took: &[(String, Value)]| {
            took.iter().map(|(id, _)| id.clone()).collect::<BTreeSet<_>>().len()
        };
        let mut took = self.took.subscribe();
        let took = took.wait_for(|took| ids(took) >= events).await.unwrap().clone();
        let mut seen = BTreeSet::new();
        let first = took.into_iter().filter(|(id, _)| seen.insert(id.clone()));
        first.map(|(_, body)| body).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_go_on_while_third_parties_hang_and_everything_is_told_afterwards() {
    const ORDERS: usize = 20;
    for how in [How::AtOnce, How::AsSaga, How::ByEvents] {
        let ((platform, to_platform), (gateway, to_gateway)) =
            (Party::start().await, Party::start().await);
        let outside = Outside {
            data_platform: Some(to_platform),
            notification: Some(to_gateway),
            ..Outside::default()
        };
        // What failed is tried again when the clock of the store says so.
        let clock = Clock::real();
        let directory = tempfile::tempdir().unwrap();
        let config = multi_master::Config::embedded(directory.path(), Policy::Available);
        let store = open(config, &clock).await;
        let world = World::telling(how, &[store], clock, vec![directory], outside).await;
        world.sells(1, 1_000, 100).await;
        world.charge(1, 100_000).await;
        let mut made = Vec::new();
        for number in 0..ORDERS {
            let order = world.place(1, &format!("k{number}"), &wanted(&[(1, 2)], None)).await;
            made.push(order.unwrap().id.to_string());
        }
        let cancelled = made[3].parse().unwrap();
        world.orders.cancel(reader(1), cancelled).await.unwrap();
        // Both hang, and orders are there, and ranked, all the same.
        for party in [&platform, &gateway] {
            party.asked.subscribe().wait_for(|asked| *asked > 3).await.unwrap();
            assert!(party.took.borrow().is_empty());
        }
        let sales = async || {
            let backlog = world.orders.outbox().backlog().await.unwrap();
            backlog.iter().find(|one| one.subscriber == "sales").unwrap().waiting
        };
        while sales().await > 0 {
            tokio::task::yield_now().await;
        }
        for party in [&platform, &gateway] {
            party.hangs.store(false, Ordering::SeqCst);
        }
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for body in platform.until(ORDERS + 1).await {
            let order = body["orderId"].as_str().unwrap().to_owned();
            told.entry(order).or_default().push(body["state"].as_str().unwrap().to_owned());
            assert_eq!((&body["paid"], &body["lines"][0]["copies"]), (&2_000.into(), &2.into()));
        }
        assert_eq!(told.len(), ORDERS);
        for order in &made {
            let expected: &[&str] =
                if *order == made[3] { &["COMPLETED", "CANCELLED"] } else { &["COMPLETED"] };
            assert_eq!(told[order], expected, "{how:?}");
        }
        for body in gateway.until(ORDERS + 1).await {
            let message = &body["message"];
            assert_eq!(message["to"], "reader-1@example.com");
            let text = message["text"].as_str().unwrap();
            assert!(text.starts_with("독자 1님, 주문이"), "{text}");
            assert!(text.contains("2,000원"), "{text}");
        }
        world.close().await;
    }
}

/// A stream gets the same as a data platform.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_told_of_orders() {
    if !lab::Nats::require("a_stream_is_told_of_orders") {
        return;
    }
    let scratch = lab::Scratch::new("shop-nats").unwrap();
    let server = lab::Nats::start(&scratch.path().join("nats")).unwrap();
    let url = format!("nats://{}", server.address());
    let client = async_nats::connect(&url).await.unwrap();
    let config = async_nats::jetstream::stream::Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["endpaper.orders".to_owned()],
        ..async_nats::jetstream::stream::Config::default()
    };
    let mut stream = async_nats::jetstream::new(client).create_stream(config).await.unwrap();
    let sink = Nats::connect(NatsConfig::new(&url, "endpaper.orders")).await.unwrap();
    let outside = Outside { stream: Some(sink), ..Outside::default() };
    let clock = Clock::real();
    let directory = tempfile::tempdir().unwrap();
    let config = multi_master::Config::embedded(directory.path(), Policy::Available);
    let store = open(config, &clock).await;
    let world = World::telling(How::AtOnce, &[store], clock, vec![directory], outside).await;
    world.sells(1, 1_000, 100).await;
    world.charge(1, 10_000).await;
    let order = world.place(1, "a", &wanted(&[(1, 2)], None)).await.unwrap();
    world.orders.cancel(reader(1), order.id).await.unwrap();
    world.told().await;
    assert_eq!(stream.info().await.unwrap().state.messages, 2);
    for (at, state) in [(1, "COMPLETED"), (2, "CANCELLED")] {
        let message = stream.get_raw_message(at).await.unwrap();
        let told: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(told["orderId"], order.id.to_string());
        assert_eq!((&told["state"], &told["paid"]), (&state.into(), &2_000.into()));
    }
    world.close().await;
}
