//! Limits, with the defaults and a clock that the test moves.

use std::time::Duration;

use endpaper_accounts::Config;
use endpaper_accounts::service::LimitRules;
use http::Method;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Reply, World, config, generous, new_user};

/// Only the rules of log-ins are the defaults: signing up is not what is tested.
async fn strict() -> World {
    let limits =
        LimitRules { signup_by_address: generous().signup_by_address, ..LimitRules::default() };
    World::with(Config { limits, ..config() }).await
}

async fn log_in(world: &World, address: &str, login_id: &str, password: &str) -> Reply {
    let body = json!({"loginId": login_id, "password": password});
    world.api.call_from(address, Method::POST, "/auth/login", &[], Some(body)).await
}

async fn log_in_on(world: &World, device: &str, address: &str, password: &str) -> Reply {
    let body = json!({"loginId": "haeri", "password": password});
    let headers = [("x-device-id", device)];
    world.api.call_from(address, Method::POST, "/auth/login", &headers, Some(body)).await
}

#[tokio::test]
pub(crate) async fn guessing_a_password_ends_after_ten_and_locks_nobody_else_out() {
    let world = strict().await;
    world.api.sign_up("haeri").await;
    world.api.sign_up("minsu").await;
    for guess in 0..10 {
        // In any case: it is one account.
        let login_id = if guess % 2 == 0 { "haeri" } else { "HAERI" };
        let reply = log_in(&world, "198.51.100.1", login_id, "wrong wrong").await;
        assert_eq!(reply.line(), "401 BAD_CREDENTIALS");
    }
    let refused = log_in(&world, "198.51.100.1", "haeri", PASSWORD).await;
    assert_eq!(refused.line(), "429 RATE_LIMITED");
    assert_eq!(refused.body["error"]["retryable"], true);
    assert_eq!(refused.retry_after_secs(), 30);
    assert_eq!(log_in(&world, "198.51.100.1", "minsu", PASSWORD).await.line(), "200", "others can");
    assert_eq!(
        log_in(&world, "192.0.2.1", "haeri", PASSWORD).await.line(),
        "200",
        "the reader can"
    );

    world.clock.advance(Duration::from_secs(refused.retry_after_secs()));
    for _ in 0..20 {
        let right = log_in(&world, "198.51.100.1", "haeri", PASSWORD).await;
        assert_eq!(right.line(), "200", "the right password costs nothing");
    }
}

#[tokio::test]
pub(crate) async fn guessing_from_everywhere_ends_too_and_known_devices_still_get_in() {
    let world = strict().await;
    world.api.sign_up("haeri").await;
    let device = "018f3b6e-0000-7000-8000-000000000001";
    assert_eq!(log_in_on(&world, device, "192.0.2.1", PASSWORD).await.line(), "200");
    for guess in 0..200 {
        let address = format!("198.51.100.{guess}");
        let reply = log_in(&world, &address, "haeri", "wrong wrong").await;
        assert_eq!(reply.line(), "401 BAD_CREDENTIALS", "guess {guess}");
    }
    assert_eq!(log_in(&world, "192.0.2.1", "haeri", PASSWORD).await.line(), "429 RATE_LIMITED");
    let unknown = "018f3b6e-0000-7000-8000-000000000002";
    let reply = log_in_on(&world, unknown, "192.0.2.1", PASSWORD).await;
    assert_eq!(reply.line(), "429 RATE_LIMITED");
    assert_eq!(log_in_on(&world, device, "192.0.2.1", PASSWORD).await.line(), "200");
    // The device may guess as seldom as anybody.
    for _ in 0..10 {
        let reply = log_in_on(&world, device, "192.0.2.1", "wrong wrong").await;
        assert_eq!(reply.line(), "401 BAD_CREDENTIALS");
    }
    let reply = log_in_on(&world, device, "192.0.2.1", PASSWORD).await;
    assert_eq!(reply.line(), "429 RATE_LIMITED");
}

#[tokio::test]
pub(crate) async fn an_unknown_login_id_is_limited_like_any() {
    let world = strict().await;
    for _ in 0..10 {
        log_in(&world, "192.0.2.1", "nobody", "wrong wrong").await;
    }
    assert_eq!(
        log_in(&world, "192.0.2.1", "nobody", "wrong wrong").await.line(),
        "429 RATE_LIMITED"
    );
}

#[tokio::test]
pub(crate) async fn one_address_tries_fifty_login_ids_and_no_more() {
    let world = strict().await;
    let hashed = world.accounts.passwords_hashed();
    for guess in 0..50 {
        // One subscriber has all of a /64.
        let address = format!("2001:db8:0:1::{guess:x}");
        let reply = log_in(&world, &address, &format!("user.{guess}"), "wrong wrong").await;
        assert_eq!(reply.line(), "401 BAD_CREDENTIALS");
    }
    let refused = log_in(&world, "2001:db8:0:1:ffff::1", "user.50", "wrong wrong").await;
    assert_eq!((refused.line().as_str(), refused.retry_after_secs()), ("429 RATE_LIMITED", 2));
    assert_eq!(world.accounts.passwords_hashed() - hashed, 50, "a refusal costs no hashing");
    assert_eq!(
        log_in(&world, "2001:db8:0:2::1", "user.50", "wrong wrong").await.line(),
        "401 BAD_CREDENTIALS"
    );
}

#[tokio::test]
pub(crate) async fn recovery_is_limited_by_target_and_by_address() {
    let world = strict().await;
    world.api.sign_up("haeri").await;
    let ask = async |address: &str, email: &str| {
        let body = json!({"email": email, "name": "해리"});
        world.api.call_from(address, Method::POST, "/auth/find-login-id", &[], Some(body)).await
    };
    for n in 0..3 {
        let reply = ask(&format!("198.51.100.{n}"), "haeri@example.com").await;
        assert_eq!(reply.line(), "200");
    }
    let refused = ask("198.51.100.99", "HAERI@example.com").await;
    assert_eq!((refused.line().as_str(), refused.retry_after_secs()), ("429 RATE_LIMITED", 600));
    assert_eq!(world.mails().await.len(), 3, "nobody's mailbox is flooded");
    // An address that nobody has is limited the same: no difference to see.
    for n in 0..3 {
        ask(&format!("198.51.100.{n}"), "nobody@example.com").await;
    }
    assert_eq!(ask("198.51.100.99", "nobody@example.com").await.line(), "429 RATE_LIMITED");

    for n in 0..10 {
        assert_eq!(ask("192.0.2.200", &format!("user{n}@example.com")).await.line(), "200");
    }
    assert_eq!(ask("192.0.2.200", "user10@example.com").await.line(), "429 RATE_LIMITED");
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(ask("192.0.2.200", "user10@example.com").await.line(), "200");
}

#[tokio::test]
pub(crate) async fn signing_up_looking_up_and_refreshing_are_limited_by_address() {
    let world = World::with(Config { limits: LimitRules::default(), ..config() }).await;
    let until_refused = async |method: Method, path: &str, body: &dyn Fn(u32) -> Option<Value>| {
        for n in 0..1_000 {
            let reply = world.api.call(method.clone(), path, &[], body(n)).await;
            if reply.status == 429 {
                assert!(reply.retry_after_secs() >= 1);
                return n;
            }
        }
        panic!("{path} has no limit")
    };
    let new = |n: u32| Some(new_user(&format!("user.{n}")));
    assert_eq!(until_refused(Method::POST, "/auth/signup", &new).await, 20);
    let none = |_: u32| None;
    assert_eq!(until_refused(Method::GET, "/users/duplicate/loginId?value=haeri", &none).await, 60);
    assert_eq!(
        until_refused(Method::GET, "/users/duplicate/email?value=a%40b.cd", &none).await,
        0,
        "both look-ups count together"
    );
    let token = |_: u32| Some(json!({"refreshToken": "x"}));
    assert_eq!(until_refused(Method::POST, "/auth/refresh", &token).await, 100);
    let reset = |_: u32| {
        Some(json!({"resetToken": "x", "newPassword": PASSWORD, "confirmPassword": PASSWORD}))
    };
    assert_eq!(until_refused(Method::POST, "/auth/reset-password", &reset).await, 10);
}
