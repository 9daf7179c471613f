//! Forgotten log-in ids and passwords.

use std::time::Duration;

use endpaper_accounts::Config;
use endpaper_accounts::service::RESET_TOKENS_MAX;
use http::Method;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Reply, World, config};

const NEW_PASSWORD: &str = "an even better horse";

async fn ask_for_reset(world: &World, login_id: &str) -> Reply {
    let body = json!({"loginId": login_id, "email": "haeri@example.com"});
    world.api.post("/auth/verify-account", body).await
}

async fn reset(world: &World, token: &str) -> String {
    let body = json!({
        "resetToken": token, "newPassword": NEW_PASSWORD, "confirmPassword": NEW_PASSWORD
    });
    world.api.post("/auth/reset-password", body).await.line()
}

async fn can_log_in(world: &World, password: &str) -> bool {
    let body = json!({"loginId": "haeri", "password": password});
    world.api.post("/auth/login", body).await.status == 200
}

#[tokio::test]
pub(crate) async fn a_forgotten_login_id_comes_by_mail() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let ask = async |email: &str, name: &str| {
        let reply =
            world.api.post("/auth/find-login-id", json!({"email": email, "name": name})).await;
        (reply.status, reply.body)
    };
    let right = ask("HAERI@example.com", " 해리 ").await;
    assert_eq!(right.0, 200);
    assert!(!right.1.to_string().contains("\"haeri\""), "{}", right.1);
    let mails = world.mails().await;
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("To: haeri@example.com\r\n") && mails[0].contains("    haeri\r\n"));

    for (email, name) in [("haeri@example.com", "민수"), ("nobody@example.com", "해리")] {
        assert_eq!(ask(email, name).await, right, "the same answer");
    }
    assert_eq!(world.mails().await.len(), 1, "and no mail");
}

#[tokio::test]
pub(crate) async fn a_forgotten_password_is_set_anew() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let session = world.api.log_in("haeri").await;
    assert_eq!(world.api.knocks(&session.access).await, "200");
    let asked = ask_for_reset(&world, "haeri").await;
    assert_eq!(asked.status, 200);
    let token = world.mailed_token().await;
    assert!(!asked.body.to_string().contains(&token));

    assert_eq!(reset(&world, &token).await, "200");
    assert!(can_log_in(&world, NEW_PASSWORD).await);
    assert!(!can_log_in(&world, PASSWORD).await);
    assert_eq!(world.api.knocks(&session.access).await, "401 UNAUTHORIZED", "all sessions end");
    assert_eq!(world.api.refresh(&session.refresh).await.line(), "401 REFRESH_TOKEN_INVALID");
    assert_eq!(reset(&world, &token).await, "400 RESET_TOKEN_INVALID", "it works once");
}

#[tokio::test]
pub(crate) async fn the_answer_does_not_tell_who_has_an_account() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let right = ask_for_reset(&world, "haeri").await;
    let unknown = ask_for_reset(&world, "nobody").await;
    assert_eq!((right.status, &right.body), (unknown.status, &unknown.body));
    let body = json!({"loginId": "haeri", "email": "minsu@example.com"});
    let other_mail = world.api.post("/auth/verify-account", body).await;
    assert_eq!((right.status, &right.body), (other_mail.status, &other_mail.body));
    assert_eq!(world.mails().await.len(), 1);
}

#[tokio::test]
pub(crate) async fn mail_is_in_the_profiles_language_and_answers_in_the_requests() {
    let world = World::with(Config {
        public_url: Some("https://books.example.com/".to_owned()),
        ..config()
    })
    .await;
    let korean = [("accept-language", "ko")];
    let user = crate::support::new_user("haeri");
    world.api.call(Method::POST, "/auth/signup", &korean, Some(user)).await;
    let asked = ask_for_reset(&world, "haeri").await;
    assert!(asked.data()["message"].as_str().unwrap().is_ascii());
    let token = world.mailed_token().await;
    let mail = world.mails().await.pop().unwrap();
    assert!(mail.contains("해리님, 안녕하세요."), "{mail}");
    assert!(mail.contains(&format!("https://books.example.com/reset-password#token={token}")));
}

#[tokio::test]
pub(crate) async fn a_token_holds_for_half_an_hour() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    ask_for_reset(&world, "haeri").await;
    let token = world.mailed_token().await;
    world.clock.advance(Duration::from_mins(30));
    assert_eq!(reset(&world, &token).await, "400 RESET_TOKEN_INVALID");
    assert!(can_log_in(&world, PASSWORD).await);
}

#[tokio::test]
pub(crate) async fn a_few_tokens_hold_at_once_and_end_together() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let mut tokens = Vec::new();
    for _ in 0..=RESET_TOKENS_MAX {
        world.clock.advance(Duration::from_secs(1));
        ask_for_reset(&world, "haeri").await;
        tokens.push(world.mailed_token().await);
    }
    assert_eq!(reset(&world, &tokens[0]).await, "400 RESET_TOKEN_INVALID", "one too many");
    assert_eq!(reset(&world, &tokens[1]).await, "200", "the mail of before last");
    for token in &tokens[2..] {
        assert_eq!(reset(&world, token).await, "400 RESET_TOKEN_INVALID");
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn one_token_at_once_twice_works_once() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    ask_for_reset(&world, "haeri").await;
    let token = world.mailed_token().await;
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let (api, token) = (world.api.clone(), token.clone());
            let password = format!("password number {n}");
            let body: Value = json!({
                "resetToken": token, "newPassword": password, "confirmPassword": password
            });
            tokio::spawn(async move { api.post("/auth/reset-password", body).await.line() })
        })
        .collect();
    let mut lines = Vec::new();
    for task in tasks {
        lines.push(task.await.expect("no panic"));
    }
    lines.sort();
    assert_eq!(lines[0], "200");
    assert!(lines[1..].iter().all(|line| line == "400 RESET_TOKEN_INVALID"), "{lines:?}");
}

#[tokio::test]
pub(crate) async fn what_is_wrong_is_named_and_leaves_the_token() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    ask_for_reset(&world, "haeri").await;
    let token = world.mailed_token().await;
    let attempt = async |new: &str, confirm: &str, token: &str| {
        let body = json!({"resetToken": token, "newPassword": new, "confirmPassword": confirm});
        world.api.post("/auth/reset-password", body).await.line()
    };
    assert_eq!(attempt("short", "short", &token).await, "400 VALIDATION_FAILED newPassword");
    assert_eq!(
        attempt(NEW_PASSWORD, PASSWORD, &token).await,
        "400 VALIDATION_FAILED confirmPassword"
    );
    let hashed = world.accounts.passwords_hashed();
    for made_up in ["", "x", "epp_", &format!("{token}x"), &token[..20]] {
        assert_eq!(attempt(NEW_PASSWORD, NEW_PASSWORD, made_up).await, "400 RESET_TOKEN_INVALID");
    }
    assert_eq!(world.accounts.passwords_hashed(), hashed, "a made-up token costs no hashing");
    assert_eq!(attempt(NEW_PASSWORD, NEW_PASSWORD, &token).await, "200");
    let ask = async |path: &str, body: Value| world.api.post(path, body).await.line();
    assert_eq!(
        ask("/auth/verify-account", json!({"loginId": "한글", "email": "x"})).await,
        "400 VALIDATION_FAILED loginId,email"
    );
    assert_eq!(
        ask("/auth/find-login-id", json!({"name": "", "email": "x"})).await,
        "400 VALIDATION_FAILED email,name"
    );
}
