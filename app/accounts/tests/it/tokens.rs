//! Access tokens and the keys that sign them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::support::{World, access_of, config, refresh_of};

fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

#[tokio::test]
pub(crate) async fn a_token_says_who_where_and_until_when_and_no_more() {
    let world = World::start().await;
    let user = world.api.sign_up("haeri").await;
    let session = world.api.log_in("haeri").await;
    let (header, claims) = (part(&session.access, 0), part(&session.access, 1));
    assert_eq!((&header["alg"], &header["typ"]), (&Value::from("EdDSA"), &Value::from("JWT")));
    assert_eq!(claims["sub"], user["id"]);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 15 * 60);
    let mut names: Vec<_> = claims.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["exp", "iat", "iss", "sid", "sub"]);
}

#[tokio::test]
pub(crate) async fn a_token_expires() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let session = world.api.log_in("haeri").await;
    world.clock.advance(Duration::from_secs(15 * 60 + 29));
    assert_eq!(world.api.knocks(&session.access).await, "200", "clocks differ a little");
    world.clock.advance(Duration::from_secs(1));
    let reply = world.api.get("/users/me", &session.access).await;
    assert_eq!(reply.line(), "401 TOKEN_EXPIRED");
    assert_eq!(reply.headers["www-authenticate"], "Bearer error=\"invalid_token\"");
}

#[tokio::test]
pub(crate) async fn processes_and_restarts_share_the_keys() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let (_, other) = world.another_process(2, &config());
    let (here, there) = (world.api.log_in("haeri").await, other.log_in("haeri").await);
    assert_eq!(part(&here.access, 0)["kid"], part(&there.access, 0)["kid"]);
    assert_eq!(other.knocks(&here.access).await, "200");
    assert_eq!(world.api.knocks(&there.access).await, "200");
    let (_, restarted) = world.another_process(3, &config());
    assert_eq!(restarted.knocks(&here.access).await, "200");
}

#[tokio::test]
pub(crate) async fn another_stores_token_is_none_of_ours() {
    let (ours, theirs) = (World::start().await, World::start().await);
    // The same seed made the same ids: all is the same but the keys.
    let (_, other) = theirs.another_process(99, &config());
    ours.api.sign_up("haeri").await;
    other.sign_up("haeri").await;
    ours.api.log_in("haeri").await;
    let foreign = other.log_in("haeri").await;
    assert_eq!(ours.api.knocks(&foreign.access).await, "401 UNAUTHORIZED");
}

#[tokio::test]
pub(crate) async fn keys_rotate_and_the_old_verify_as_long_as_they_are_needed() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let (_, other) = world.another_process(2, &config());
    let session = world.api.log_in("haeri").await;
    let first_kid = part(&session.access, 0)["kid"].clone();
    assert_eq!(other.knocks(&session.access).await, "200");

    // Just before the rotation.
    world.clock.advance(Duration::from_hours(30 * 24) - Duration::from_mins(1));
    let before = other.log_in("haeri").await;
    assert_eq!(part(&before.access, 0)["kid"], first_kid);
    // Just after it.
    world.clock.advance(Duration::from_mins(2));
    let after = world.api.log_in("haeri").await;
    let second_kid = part(&after.access, 0)["kid"].clone();
    assert_ne!(second_kid, first_kid);
    assert_eq!(other.knocks(&after.access).await, "200", "a key that it has not seen yet");
    assert_eq!(world.api.knocks(&before.access).await, "200", "signed with the old key");
    let from_other = other.log_in("haeri").await;
    assert_eq!(part(&from_other.access, 0)["kid"], second_kid, "no third key");

    assert_eq!(world.accounts.tidy().await.unwrap().keys, 0, "still needed");
    world.clock.advance(Duration::from_hours(26));
    assert_eq!(world.accounts.tidy().await.unwrap().keys, 1);
    assert_eq!(world.accounts.tidy().await.unwrap().keys, 0, "the one that signs stays");
    let refreshed = world.api.refresh(&after.refresh).await;
    assert_eq!(world.api.knocks(&access_of(&refreshed)).await, "200");
    let _ = refresh_of(&refreshed);
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn many_first_log_ins_at_once_make_one_key() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let api = if n % 2 == 0 {
                world.api.clone()
            } else {
                world.another_process(10 + n, &config()).1
            };
            tokio::spawn(async move { api.log_in("haeri").await.access })
        })
        .collect();
    let mut kids = Vec::new();
    for task in tasks {
        kids.push(part(&task.await.expect("no panic"), 0)["kid"].to_string());
    }
    kids.sort();
    kids.dedup();
    assert_eq!(kids.len(), 1);
}
