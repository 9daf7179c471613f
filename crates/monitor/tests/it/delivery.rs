//! The monitor and real servers: what arrives, in which order, and what is told
//! of the rest.

use std::time::Duration;

use monitor::{
    Alert, AlertKey, DeliveryConfig, Environment, EpisodesConfig, Monitor, MonitorConfig, Severity,
    Shape, TargetConfig,
};
use serde_json::json;
use stdx::{Clock, IdSource, Random, Seed};
use tokio::sync::oneshot;

use crate::receiver::{Answer, Receiver};

/// Nothing is waited for: what is resolved is over, what fails is tried again.
fn quick() -> MonitorConfig {
    let instant = Duration::from_millis(1);
    let mut delivery =
        DeliveryConfig { pause_first: instant, pause_max: instant, ..DeliveryConfig::default() };
    (delivery.breaker.open_first, delivery.breaker.open_max) = (instant, instant);
    let episodes = EpisodesConfig { quiet: Duration::ZERO, ..EpisodesConfig::default() };
    MonitorConfig { episodes, targets: Vec::new(), delivery }
}

fn start(mut config: MonitorConfig, receivers: &[(&Receiver, Shape)]) -> Monitor {
    let targets = receivers.iter().enumerate().map(|(at, (receiver, shape))| TargetConfig {
        name: format!("hook {at}"),
        url: receiver.url.clone(),
        shape: *shape,
    });
    config.targets = targets.collect();
    let (clock, random) = (Clock::real(), Random::new(Seed(1)));
    let ids = IdSource::new(clock.clone(), random.clone());
    Monitor::start(config, Environment { clock, ids, random }).unwrap()
}

fn warning(key: &str) -> Alert {
    Alert::new(Severity::Warning, AlertKey::new(key), "test")
}

/// Of a monitor with nothing left to do.
const CLOSES_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_message_is_delivered_once_and_says_what_it_says() {
    let mut receiver = Receiver::start(Vec::new()).await;
    let monitor = start(quick(), &[(&receiver, Shape::Json)]);
    let key = AlertKey::new("master/b");
    let alert = Alert::new(Severity::Warning, key.clone(), "master b is away");
    monitor.raise(alert.clone().detail("state", "DOWN"));
    monitor.raise(alert);
    monitor.raise(Alert::new(Severity::Critical, key.clone(), "nobody is there"));
    assert_eq!(monitor.open()[0].count, 3);
    monitor.resolve(&key);
    monitor.resolve(&key);
    monitor.close(CLOSES_WITHIN).await;

    let received = receiver.rest();
    let events: Vec<_> = received.iter().map(|one| one.text("event").to_owned()).collect();
    assert_eq!(events, ["raised", "worsened", "resolved"]);
    for one in &received {
        assert_eq!(one.content_type, "application/json");
        assert_eq!((one.text("key"), &one.body["dropped"]), ("master/b", &json!(0)));
        assert_eq!(one.text("episode"), received[0].text("episode"));
        assert!(one.text("at").ends_with('Z'), "{}", one.body);
    }
    assert_eq!(received[0].body["details"], json!({ "state": "DOWN" }));
    assert_eq!(received[0].body["lasted_ms"], json!(null));
    let resolved = &received[2];
    assert_eq!((resolved.text("severity"), &resolved.body["count"]), ("CRITICAL", &json!(3)));
    assert!(resolved.body["lasted_ms"].is_u64(), "{}", resolved.body);
}

#[tokio::test]
async fn every_target_gets_it_in_its_own_shape() {
    let (json_hook, slack_hook) =
        (Receiver::start(Vec::new()).await, Receiver::start(Vec::new()).await);
    let monitor = start(quick(), &[(&json_hook, Shape::Json), (&slack_hook, Shape::Slack)]);
    let (mut json_hook, mut slack_hook) = (json_hook, slack_hook);
    monitor.raise(warning("a").detail("state", "DOWN"));
    assert_eq!(json_hook.next().await.text("key"), "a");
    let slack = slack_hook.next().await;
    assert_eq!(slack.text("text"), "WARNING a: test");
    assert_eq!(slack.body["blocks"][1]["text"]["text"], "state: DOWN");
}

#[tokio::test]
async fn what_fails_is_tried_again_in_its_order() {
    let answers = [500, 503, 429, 408].map(Answer::Status);
    let mut receiver = Receiver::start(answers.into()).await;
    let monitor = start(quick(), &[(&receiver, Shape::Json)]);
    let keys = ["a", "b", "c"];
    for key in keys {
        monitor.raise(warning(key));
    }
    for key in keys {
        monitor.resolve(&AlertKey::new(key));
    }
    monitor.close(CLOSES_WITHIN).await;
    let received = receiver.rest();
    let shown = |at: usize| format!("{} {}", received[at].text("key"), received[at].text("event"));
    for at in 0..4 {
        assert_eq!(shown(at), "a raised");
        assert_eq!(received[at].text("id"), received[4].text("id"), "one message, sent again");
    }
    let arrived: Vec<String> = (4..received.len()).map(shown).collect();
    assert_eq!(
        arrived,
        ["a raised", "b raised", "c raised", "a resolved", "b resolved", "c resolved"]
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_gets_it_when_it_is() {
    let receiver = Receiver::start(vec![Answer::Never]).await;
    let mut config = quick();
    config.delivery.request = Duration::from_millis(50);
    let monitor = start(config, &[(&receiver, Shape::Json)]);
    let mut receiver = receiver;
    monitor.raise(warning("a"));
    // The first gets no answer within the time limit.
    let first = receiver.next().await;
    assert_eq!(receiver.next().await.text("id"), first.text("id"));
}

#[tokio::test]
async fn a_slow_server_holds_up_neither_the_caller_nor_the_others() {
    let (let_go, later) = oneshot::channel();
    let (slow, quick_one) =
        (Receiver::start(vec![Answer::Later(later)]).await, Receiver::start(Vec::new()).await);
    let mut config = quick();
    config.delivery.request = CLOSES_WITHIN;
    let monitor = start(config, &[(&slow, Shape::Json), (&quick_one, Shape::Json)]);
    let (mut slow, mut quick_one) = (slow, quick_one);
    monitor.raise(warning("0"));
    assert_eq!(slow.next().await.text("key"), "0");
    // It holds its answer back, and all of this happens meanwhile.
    (1..500).for_each(|key| monitor.raise(warning(&key.to_string())));
    for key in 0..500 {
        assert_eq!(quick_one.next().await.text("key"), key.to_string());
    }
    assert!(slow.rest().is_empty(), "one at a time");
    let_go.send(200).unwrap();
    for key in 1..500 {
        assert_eq!(slow.next().await.text("key"), key.to_string());
    }
}

#[tokio::test]
async fn what_does_not_fit_is_told_by_the_next_that_arrives() {
    let (let_go, later) = oneshot::channel();
    let receiver = Receiver::start(vec![Answer::Later(later)]).await;
    let mut config = quick();
    config.delivery.request = CLOSES_WITHIN;
    config.delivery.messages_max = 4;
    let monitor = start(config, &[(&receiver, Shape::Json)]);
    let mut receiver = receiver;
    monitor.raise(warning("0"));
    assert_eq!(receiver.next().await.body["dropped"], 0);
    (1..10).for_each(|key| monitor.raise(warning(&key.to_string())));
    let_go.send(200).unwrap();
    monitor.close(CLOSES_WITHIN).await;
    let told: Vec<_> = receiver
        .rest()
        .iter()
        .map(|one| (one.text("key").to_owned(), one.body["dropped"].as_u64().unwrap()))
        .collect();
    assert_eq!(told, [("1".to_owned(), 6), ("2".to_owned(), 0), ("3".to_owned(), 0)]);
}

#[tokio::test]
async fn what_a_target_refuses_again_and_again_stops_nothing_else() {
    let mut config = quick();
    config.delivery.refusals_max = 3;
    let answers = [400, 302, 404].map(Answer::Status);
    let mut receiver = Receiver::start(answers.into()).await;
    let monitor = start(config, &[(&receiver, Shape::Json)]);
    monitor.raise(warning("a"));
    monitor.raise(warning("b"));
    monitor.close(CLOSES_WITHIN).await;
    let keys: Vec<_> = receiver
        .rest()
        .iter()
        .map(|one| (one.text("key").to_owned(), one.body["dropped"].as_u64().unwrap()))
        .collect();
    let a = ("a".to_owned(), 0);
    assert_eq!(keys, [a.clone(), a.clone(), a, ("b".to_owned(), 1)]);
}

#[tokio::test]
async fn a_monitor_closes_in_time_whatever_its_targets_do() {
    let receiver = Receiver::start(vec![Answer::Never]).await;
    let monitor = start(quick(), &[(&receiver, Shape::Json)]);
    let mut receiver = receiver;
    monitor.raise(warning("a"));
    receiver.next().await;
    // Were the limit not kept, the request's own would be: five seconds, after
    // which it is sent again.
    monitor.close(Duration::from_millis(10)).await;
    assert!(receiver.rest().is_empty());
    // What is raised now is logged, and nobody waits for it.
    monitor.raise(warning("b"));
    monitor.close(CLOSES_WITHIN).await;
    assert!(receiver.rest().is_empty());
}
