//! Events to a stream of a real NATS server.

use std::collections::BTreeMap;
use std::time::Duration;

use lab::Scratch;
use outbox::nats::{Nats, NatsConfig, NatsError};
use outbox::{Bounds, Config, EventId, Outbox};
use stdx::Clock;

use crate::{emit, open, subscribed};

const KEYS: i64 = 5;
const EACH: i64 = 30;

/// The server is not there yet, then it is, is killed in the middle, and comes back: the stream
/// has each event once, those of a key in their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_has_each_event_once_and_in_order() {
    if !lab::Nats::require("a_stream_has_each_event_once_and_in_order") {
        return;
    }
    let scratch = Scratch::new("outbox-nats").unwrap();
    let mut server = lab::Nats::start(&scratch.path().join("nats")).unwrap();
    let url = format!("nats://{}", server.address());
    server.kill().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Clock::real()).await;
    let time_limit = Duration::from_millis(500);
    let sink = Nats::connect(NatsConfig { time_limit, ..NatsConfig::new(&url, "shop.orders") });
    let bounds = Bounds {
        attempts_max: 10_000,
        pause_base: Duration::from_millis(5),
        pause_max: Duration::from_millis(50),
        ..Bounds::DEFAULT
    };
    let topics = subscribed("stream", bounds, sink.await.unwrap());
    let outbox = Outbox::open(store.clone(), topics, Config::default()).await.unwrap();
    let mut emitted: BTreeMap<String, Vec<EventId>> = BTreeMap::new();
    let half = EACH / 2;
    for at in 0..half {
        for key in 0..KEYS {
            let key = format!("key-{key}");
            let id = emit(&store, &outbox, &key, at).await;
            emitted.entry(key).or_default().push(id);
        }
    }
    // Nobody takes the subject yet.
    server.restart().unwrap();
    let stream = stream(&url).await;
    let stored = async || {
        let mut stream = stream.clone();
        stream.info().await.map_or(0, |info| info.state.messages)
    };
    while stored().await < 20 {
        tokio::task::yield_now().await;
    }
    server.kill().unwrap();
    for at in half..EACH {
        for key in 0..KEYS {
            let key = format!("key-{key}");
            let id = emit(&store, &outbox, &key, at).await;
            emitted.entry(key).or_default().push(id);
        }
    }
    server.restart().unwrap();
    while outbox.backlog().await.unwrap()[0].waiting > 0 {
        tokio::task::yield_now().await;
    }
    let mut came: BTreeMap<String, Vec<EventId>> = BTreeMap::new();
    let keys: BTreeMap<EventId, &String> =
        emitted.iter().flat_map(|(key, ids)| ids.iter().map(move |id| (*id, key))).collect();
    let all = stored().await;
    for at in 1..=all {
        let message = stream.get_raw_message(at).await.unwrap();
        let id = message.headers.get("Nats-Msg-Id").unwrap().as_str().parse().unwrap();
        came.entry(keys[&id].clone()).or_default().push(id);
    }
    assert_eq!(came, emitted);
    outbox.close().await;
    store.close().await;
}

/// A stream that takes the subject, as soon as the server answers.
async fn stream(url: &str) -> async_nats::jetstream::stream::Stream {
    loop {
        let Ok(client) = async_nats::connect(url).await else { continue };
        let config = async_nats::jetstream::stream::Config {
            name: "SHOP".to_owned(),
            subjects: vec!["shop.>".to_owned()],
            ..async_nats::jetstream::stream::Config::default()
        };
        let made = async_nats::jetstream::new(client).get_or_create_stream(config).await;
        if let Ok(stream) = made {
            return stream;
        }
    }
}

#[tokio::test]
async fn what_can_not_be_sent_to_is_refused() {
    for subject in ["", "a..b", "a b", "orders.*", ">", "a.\u{e9}"] {
        let connected = Nats::connect(NatsConfig::new("nats://127.0.0.1:1", subject)).await;
        assert_eq!(connected.map(drop).unwrap_err(), NatsError::Subject, "{subject}");
    }
    let connected = Nats::connect(NatsConfig::new("nats://:/ x", "orders")).await;
    assert_eq!(connected.map(drop).unwrap_err(), NatsError::Url);
}
