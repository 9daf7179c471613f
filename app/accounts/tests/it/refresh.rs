//! Refresh tokens: each is exchanged once.

use std::time::Duration;

use endpaper_api::Secret;
use serde_json::json;

use crate::support::{World, access_of, refresh_of};

#[tokio::test]
pub(crate) async fn tokens_rotate() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let session = world.api.log_in("haeri").await;
    let mut token = session.refresh.clone();
    for _ in 0..5 {
        world.clock.advance(Duration::from_mins(20));
        let reply = world.api.refresh(&token).await;
        assert_eq!(reply.line(), "200");
        assert_eq!(reply.headers["cache-control"], "no-store");
        assert_eq!(reply.data()["tokenType"], "Bearer");
        assert_eq!(reply.data()["expiresIn"], 900);
        assert_ne!(refresh_of(&reply), token);
        token = refresh_of(&reply);
        assert_eq!(world.api.knocks(&access_of(&reply)).await, "200");
    }
    assert_eq!(world.api.knocks(&session.access).await, "401 TOKEN_EXPIRED");
}

#[tokio::test]
pub(crate) async fn a_token_that_comes_again_ends_the_family() {
    for generations in [1, 2, 5] {
        let world = World::start().await;
        world.api.sign_up("haeri").await;
        let stolen = world.api.log_in("haeri").await;
        let elsewhere = world.api.log_in("haeri").await;
        let mut last = None;
        let mut token = stolen.refresh.clone();
        for _ in 0..generations {
            let reply = world.api.refresh(&token).await;
            token = refresh_of(&reply);
            last = Some(access_of(&reply));
        }
        assert_eq!(world.api.refresh(&stolen.refresh).await.line(), "401 REFRESH_TOKEN_REUSED");
        assert_eq!(world.api.refresh(&token).await.line(), "401 REFRESH_TOKEN_INVALID");
        assert_eq!(world.api.knocks(&last.unwrap()).await, "401 UNAUTHORIZED", "at once");
        assert_eq!(world.api.knocks(&stolen.access).await, "401 UNAUTHORIZED");
        assert_eq!(world.api.knocks(&elsewhere.access).await, "200", "other devices stay");
        assert_eq!(world.api.refresh(&elsewhere.refresh).await.line(), "200");
    }
}

#[tokio::test]
pub(crate) async fn what_nobody_ever_had_ends_nothing() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let mine = world.api.log_in("haeri").await;
    let other = world.api.log_in("haeri").await;
    // My session's id, with a family and a secret that are not its own.
    let (my_bytes, other_bytes) = (decode(&mine.refresh[4..]), decode(&other.refresh[4..]));
    let spliced = [&my_bytes[..16], &other_bytes[16..]].concat();
    // And with the family of another and my own secret.
    let [id, secret] = [&my_bytes[..16], &my_bytes[48..]];
    let half_mine = [id, &other_bytes[16..48], secret].concat();
    for made_up in [
        String::new(),
        "x".to_owned(),
        mine.access.clone(),
        mine.refresh[..mine.refresh.len() - 1].to_owned(),
        format!("{}x", mine.refresh),
        format!("epr_{}", encode(&spliced)),
        format!("epr_{}", encode(&half_mine)),
        "x".repeat(100_000),
    ] {
        assert_eq!(world.api.refresh(&made_up).await.line(), "401 REFRESH_TOKEN_INVALID");
    }
    assert_eq!(world.api.refresh(&mine.refresh).await.line(), "200");
    assert_eq!(world.api.refresh(&other.refresh).await.line(), "200");
}

/// Two tabs without a key: one gets the next token, the others look like
/// thieves, and the session ends.
#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn of_many_at_once_one_is_served_and_the_family_ends() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    for _ in 0..10 {
        let session = world.api.log_in("haeri").await;
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (api, token) = (world.api.clone(), session.refresh.clone());
                tokio::spawn(async move { api.refresh(&token).await })
            })
            .collect();
        let mut served = Vec::new();
        for task in tasks {
            let reply = task.await.expect("no panic");
            match reply.line().as_str() {
                "200" => served.push(refresh_of(&reply)),
                // Once the family has ended there is nothing left to reuse.
                "401 REFRESH_TOKEN_REUSED" | "401 REFRESH_TOKEN_INVALID" => {}
                other => panic!("{other}"),
            }
        }
        assert_eq!(served.len(), 1);
        assert_eq!(world.api.refresh(&served[0]).await.line(), "401 REFRESH_TOKEN_INVALID");
        assert_eq!(world.api.knocks(&session.access).await, "401 UNAUTHORIZED");
    }
}

/// With a key all of them are one request, and get one answer.
#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn of_many_at_once_with_one_key_all_are_served_the_same() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    for round in 0..10 {
        let session = world.api.log_in("haeri").await;
        let key = format!("refresh-{round}");
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (api, token, key) = (world.api.clone(), session.refresh.clone(), key.clone());
                tokio::spawn(async move { api.refresh_with_key(&token, &key).await })
            })
            .collect();
        let mut tokens = Vec::new();
        for task in tasks {
            tokens.push(refresh_of(&task.await.expect("no panic")));
        }
        tokens.dedup();
        assert_eq!(tokens.len(), 1);
        assert_eq!(world.api.refresh(&tokens[0]).await.line(), "200");
    }
}

#[tokio::test]
pub(crate) async fn a_lost_answer_is_had_again_with_its_key_until_it_was_used() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let session = world.api.log_in("haeri").await;
    let lost = refresh_of(&world.api.refresh_with_key(&session.refresh, "k1").await);
    // A long tunnel.
    world.clock.advance(Duration::from_hours(24 * 20));
    let again = world.api.refresh_with_key(&session.refresh, "k1").await;
    assert_eq!(refresh_of(&again), lost);
    assert_eq!(world.api.knocks(&access_of(&again)).await, "200");

    let next = refresh_of(&world.api.refresh_with_key(&lost, "k2").await);
    let late = world.api.refresh_with_key(&session.refresh, "k1").await;
    assert_eq!(late.line(), "401 REFRESH_TOKEN_REUSED", "the answer was used: who is this?");
    assert_eq!(world.api.refresh(&next).await.line(), "401 REFRESH_TOKEN_INVALID");
}

#[tokio::test]
pub(crate) async fn another_key_or_none_is_no_repetition() {
    for key in [Some("k2"), None] {
        let world = World::start().await;
        world.api.sign_up("haeri").await;
        let session = world.api.log_in("haeri").await;
        assert_eq!(world.api.refresh_with_key(&session.refresh, "k1").await.line(), "200");
        let reply = match key {
            Some(key) => world.api.refresh_with_key(&session.refresh, key).await,
            None => world.api.refresh(&session.refresh).await,
        };
        assert_eq!(reply.line(), "401 REFRESH_TOKEN_REUSED");
    }
}

#[tokio::test]
pub(crate) async fn a_session_that_nobody_refreshes_ends() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let (kept, left) = (world.api.log_in("haeri").await, world.api.log_in("haeri").await);
    world.clock.advance(Duration::from_hours(24 * 20));
    let kept = refresh_of(&world.api.refresh(&kept.refresh).await);
    world.clock.advance(Duration::from_hours(24 * 10));
    assert_eq!(world.api.refresh(&left.refresh).await.line(), "401 REFRESH_TOKEN_INVALID");
    let kept = world.api.refresh(&kept).await;
    assert_eq!(kept.line(), "200");
    let devices = world.api.get("/users/me/devices", &access_of(&kept)).await;
    assert_eq!(devices.data().as_array().unwrap().len(), 1, "what has ended is not listed");
}

#[tokio::test]
pub(crate) async fn no_secret_is_stored_as_it_is() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let session = world.api.log_in("haeri").await;
    let body = json!({"loginId": "haeri", "email": "haeri@example.com"});
    world.api.post("/auth/verify-account", body).await;
    let reset = world.mailed_token().await;
    world.store.close().await;
    let mut stored = Vec::new();
    for file in std::fs::read_dir(world.directory.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            stored.extend(std::fs::read(path).unwrap());
        }
    }
    let holds = |needle: &[u8]| stored.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"haeri@example.com"), "the files are the right ones");
    assert!(!holds(crate::support::PASSWORD.as_bytes()));
    for token in [&session.refresh, &session.access, &reset] {
        assert!(!holds(token.as_bytes()));
        assert!(Secret::new(token).is_ok());
    }
    // Nor decoded: the last 32 bytes of both kinds are the secret.
    for (token, prefix) in [(&session.refresh, "epr_"), (&reset, "epp_")] {
        let bytes = decode(token.strip_prefix(prefix).unwrap());
        assert!(!holds(&bytes[bytes.len() - 32..]));
    }
}

fn decode(base64: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(base64).unwrap()
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
