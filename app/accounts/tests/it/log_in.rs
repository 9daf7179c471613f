//! Logging in.

use endpaper_accounts::Config;
use endpaper_accounts::passwords::HashCost;
use endpaper_accounts::service::SESSIONS_MAX;
use endpaper_api::accounts::AccountStatus;
use expect_test::expect;
use http::Method;
use multi_master::{Db, DbError};
use serde_json::{Value, json};

use crate::support::{PASSWORD, World, config};

#[tokio::test]
pub(crate) async fn a_reader_logs_in_on_a_device() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let reply = world
        .api
        .post(
            "/auth/login",
            json!({"loginId": " HAERI ", "password": PASSWORD, "deviceName": "아이패드"}),
        )
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["cache-control"], "no-store");
    let mut data = reply.data().clone();
    for secret in ["accessToken", "refreshToken", "deviceId"] {
        assert!(data[secret].take().as_str().expect(secret).len() >= 36);
    }
    data["user"]["id"].take();
    expect![[r#"{"accessToken":null,"deviceId":null,"expiresIn":900,"refreshToken":null,"tokenType":"Bearer","user":{"email":"haeri@example.com","id":null,"loginId":"haeri","name":"해리","role":"USER","status":"ACTIVE"}}"#]].assert_eq(&data.to_string());
}

#[tokio::test]
pub(crate) async fn a_password_is_the_same_however_it_is_composed() {
    let world = World::start().await;
    let body = json!({"loginId": "haeri", "email": "h@example.com", "name": "해리",
        "password": "\u{d55c}\u{ac15}\u{c758} \u{c791}\u{bcc4}\u{d558}\u{c9c0}"});
    assert_eq!(world.api.post("/auth/signup", body).await.status, 201);
    // The same, typed on a Mac.
    let apart = "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1161}\u{11bc}\u{110b}\u{1174} \
                 \u{110c}\u{1161}\u{11a8}\u{1107}\u{1167}\u{11af}\u{1112}\u{1161}\u{110c}\u{1175}";
    let reply = world.api.post("/auth/login", json!({"loginId": "haeri", "password": apart})).await;
    assert_eq!(reply.line(), "200");
}

/// Whether there is such an account shows neither in the answer nor in the work.
#[tokio::test]
pub(crate) async fn an_unknown_login_id_is_as_wrong_as_a_wrong_password() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let attempt = async |login_id: &str, password: &str| {
        let before = world.accounts.passwords_hashed();
        let reply =
            world.api.post("/auth/login", json!({"loginId": login_id, "password": password})).await;
        (reply.status, reply.body, world.accounts.passwords_hashed() - before)
    };
    let wrong = attempt("haeri", "wrong horse battery").await;
    assert_eq!((wrong.0, wrong.2), (401, 1));
    assert_eq!(wrong.1["error"]["code"], "BAD_CREDENTIALS");
    for (login_id, password) in [
        ("nobody", "wrong horse battery"),
        ("no login id at all", "x"),
        ("", ""),
        ("haeri", "short"),
        ("haeri", &"x".repeat(10_000)),
    ] {
        assert_eq!(attempt(login_id, password).await, wrong, "{login_id}");
    }
}

#[tokio::test]
pub(crate) async fn a_suspended_account_is_told_so_only_with_its_password() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let session = world.api.log_in("haeri").await;
    world.accounts.set_status("haeri", AccountStatus::Suspended).await.unwrap();
    let attempt = async |password: &str| {
        world
            .api
            .post("/auth/login", json!({"loginId": "haeri", "password": password}))
            .await
            .line()
    };
    assert_eq!(attempt("wrong horse battery").await, "401 BAD_CREDENTIALS");
    assert_eq!(attempt(PASSWORD).await, "403 ACCOUNT_SUSPENDED");
    assert_eq!(world.api.knocks(&session.access).await, "403 ACCOUNT_SUSPENDED");
    assert_eq!(world.api.refresh(&session.refresh).await.line(), "403 ACCOUNT_SUSPENDED");
    world.accounts.set_status("haeri", AccountStatus::Active).await.unwrap();
    assert_eq!(world.api.knocks(&session.access).await, "200");
}

#[tokio::test]
pub(crate) async fn a_hash_of_old_cost_is_renewed_at_the_next_log_in() {
    let world = World::start().await;
    let user = world.api.sign_up("haeri").await["id"].as_str().unwrap().to_owned();
    let user: endpaper_http::UserId = user.parse().unwrap();
    let hash = async || {
        let read = world.store.read(async move |db: &mut Db| {
            let row = db.get("users", multi_master::params![multi_master::id(user)]).await?;
            row.expect("the user").get::<String>("password_hash")
        });
        let hash: Result<String, DbError> = read.await;
        hash.unwrap()
    };
    assert!(hash().await.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
    let dearer = Config { hash_cost: HashCost { memory_kib: 16, passes: 2 }, ..config() };
    let (_, api) = world.another_process(2, &dearer);
    let session = api.log_in("haeri").await;
    assert!(hash().await.starts_with("$argon2id$v=19$m=16,t=2,p=1$"));
    assert_eq!(api.knocks(&session.access).await, "200", "nobody is logged out by it");
    world.api.log_in("haeri").await;
}

#[tokio::test]
pub(crate) async fn the_same_device_has_one_session() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let log_in = async |device: &str, body: Value| {
        let reply = world
            .api
            .call(Method::POST, "/auth/login", &[("x-device-id", device)], Some(body))
            .await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.data().clone()
    };
    let device = "0190163d-8694-739b-aea5-966c26f8ad91";
    let credentials = json!({"loginId": "haeri", "password": PASSWORD});
    let mut named = credentials.clone();
    named["deviceName"] = json!("거실 태블릿");
    let first = log_in(device, named).await;
    assert_eq!(first["deviceId"], device);
    let second = log_in(device, credentials.clone()).await;
    let access = second["accessToken"].as_str().unwrap();
    assert_eq!(world.api.knocks(first["accessToken"].as_str().unwrap()).await, "401 UNAUTHORIZED");
    assert_eq!(
        world.api.refresh(first["refreshToken"].as_str().unwrap()).await.line(),
        "401 REFRESH_TOKEN_INVALID"
    );
    let devices = world.api.get("/users/me/devices", access).await;
    assert_eq!(devices.data().as_array().unwrap().len(), 1);
    assert_eq!(devices.data()[0]["name"], "거실 태블릿", "the name stays");

    // Two people, one tablet.
    world.api.sign_up("minsu").await;
    log_in(device, json!({"loginId": "minsu", "password": PASSWORD})).await;
    assert_eq!(world.api.knocks(access).await, "200");
}

#[tokio::test]
pub(crate) async fn a_device_too_many_ends_the_session_that_was_not_seen_for_longest() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let mut sessions = Vec::new();
    for _ in 0..=SESSIONS_MAX {
        world.clock.advance(std::time::Duration::from_secs(1));
        sessions.push(world.api.log_in("haeri").await);
    }
    assert_eq!(world.api.knocks(&sessions[0].access).await, "401 UNAUTHORIZED");
    assert_eq!(world.api.knocks(&sessions[1].access).await, "200");
    let devices = world.api.get("/users/me/devices", &sessions[1].access).await;
    assert_eq!(devices.data().as_array().unwrap().len(), SESSIONS_MAX);
}

#[tokio::test]
pub(crate) async fn a_device_id_that_is_none_and_a_name_too_long_are_named() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let body = json!({"loginId": "haeri", "password": PASSWORD});
    let reply = world
        .api
        .call(Method::POST, "/auth/login", &[("x-device-id", "my phone")], Some(body))
        .await;
    assert_eq!(reply.line(), "400 VALIDATION_FAILED X-Device-Id");
    let body = json!({"loginId": "haeri", "password": PASSWORD, "deviceName": "x".repeat(101)});
    assert_eq!(
        world.api.post("/auth/login", body).await.line(),
        "400 VALIDATION_FAILED deviceName"
    );
}
