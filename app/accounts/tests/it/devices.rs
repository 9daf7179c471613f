//! Devices, and logging out.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::support::{World, access_of, config};

#[tokio::test]
pub(crate) async fn logging_out_ends_the_session_at_once_and_only_it() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let (here, there) = (world.api.log_in("haeri").await, world.api.log_in("haeri").await);
    assert_eq!(world.api.knocks(&here.access).await, "200", "so that it is remembered");
    let authorization = format!("Bearer {}", here.access);
    let headers = [("authorization", authorization.as_str())];
    let out = world.api.call(Method::POST, "/auth/logout", &headers, None).await;
    assert_eq!((out.status, out.data().is_null()), (200, true));
    assert_eq!(world.api.knocks(&here.access).await, "401 UNAUTHORIZED");
    assert_eq!(world.api.refresh(&here.refresh).await.line(), "401 REFRESH_TOKEN_INVALID");
    assert_eq!(world.api.knocks(&there.access).await, "200");
}

#[tokio::test]
pub(crate) async fn devices_are_listed_the_last_seen_first() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let old = world.api.log_in("haeri").await;
    world.clock.advance(Duration::from_mins(1));
    let new = world.api.log_in("haeri").await;
    world.clock.advance(Duration::from_mins(1));
    let list = async |access: &str| {
        let reply = world.api.get("/users/me/devices", access).await;
        let devices = reply.data().as_array().unwrap().clone();
        devices
            .iter()
            .map(|device| (device["id"].as_str().unwrap().to_owned(), device["current"] == true))
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&old.access).await, [(new.device.clone(), false), (old.device.clone(), true)]);
    let old_again = world.api.refresh(&old.refresh).await;
    assert_eq!(
        list(&access_of(&old_again)).await,
        [(old.device.clone(), true), (new.device.clone(), false)]
    );
    let reply = world.api.get("/users/me/devices", &new.access).await;
    assert_eq!(reply.data()[0]["loggedInAt"], "2026-02-25T06:13:20Z");
    assert_eq!(reply.data()[0]["lastSeenAt"], "2026-02-25T06:15:20Z");
}

#[tokio::test]
pub(crate) async fn a_deleted_device_is_out_at_once() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let (mine, lost) = (world.api.log_in("haeri").await, world.api.log_in("haeri").await);
    assert_eq!(world.api.knocks(&lost.access).await, "200", "so that it is remembered");
    let path = format!("/users/me/devices/{}", lost.device);
    assert_eq!(world.api.delete(&path, &mine.access).await.line(), "200");
    assert_eq!(world.api.knocks(&lost.access).await, "401 UNAUTHORIZED");
    assert_eq!(world.api.refresh(&lost.refresh).await.line(), "401 REFRESH_TOKEN_INVALID");
    assert_eq!(world.api.knocks(&mine.access).await, "200");
    assert_eq!(world.api.delete(&path, &mine.access).await.line(), "404 DEVICE_NOT_FOUND");
}

#[tokio::test]
pub(crate) async fn another_process_lets_it_in_for_some_seconds_at_most() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let (mine, lost) = (world.api.log_in("haeri").await, world.api.log_in("haeri").await);
    let (_, elsewhere) = world.another_process(2, &config());
    assert_eq!(elsewhere.knocks(&lost.access).await, "200");
    let path = format!("/users/me/devices/{}", lost.device);
    assert_eq!(world.api.delete(&path, &mine.access).await.line(), "200");
    world.clock.advance(Duration::from_millis(4_999));
    assert_eq!(elsewhere.knocks(&lost.access).await, "200", "still believed");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(elsewhere.knocks(&lost.access).await, "401 UNAUTHORIZED");
}

#[tokio::test]
pub(crate) async fn other_peoples_devices_are_not_there() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    world.api.sign_up("minsu").await;
    let (haeri, minsu) = (world.api.log_in("haeri").await, world.api.log_in("minsu").await);
    let theirs = format!("/users/me/devices/{}", minsu.device);
    let none = "/users/me/devices/0190163d-8694-739b-aea5-966c26f8ad91";
    let (at_theirs, at_none) = (
        world.api.delete(&theirs, &haeri.access).await,
        world.api.delete(none, &haeri.access).await,
    );
    assert_eq!(at_theirs.line(), "404 DEVICE_NOT_FOUND");
    assert_eq!(at_theirs.body, at_none.body, "no difference to see");
    assert_eq!(world.api.knocks(&minsu.access).await, "200");
    let list = world.api.get("/users/me/devices", &haeri.access).await;
    assert_eq!(list.data().as_array().unwrap().len(), 1);
    let malformed = world.api.delete("/users/me/devices/1", &haeri.access).await;
    assert_eq!(malformed.line(), "400 VALIDATION_FAILED id");
}

#[tokio::test]
pub(crate) async fn all_devices_at_once() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    world.api.sign_up("minsu").await;
    let minsu = world.api.log_in("minsu").await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(world.api.log_in("haeri").await);
    }
    let reply = world.api.delete("/users/me/devices", &sessions[0].access).await;
    assert_eq!(reply.data(), &json!({"count": 3}));
    for session in &sessions {
        assert_eq!(world.api.knocks(&session.access).await, "401 UNAUTHORIZED");
        assert_eq!(world.api.refresh(&session.refresh).await.line(), "401 REFRESH_TOKEN_INVALID");
    }
    assert_eq!(world.api.knocks(&minsu.access).await, "200");
}
