//! The profile.

use expect_test::expect;
use http::Method;
use serde_json::{Value, json};

use crate::support::{World, config};

#[tokio::test]
pub(crate) async fn a_reader_sees_and_changes_the_profile() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let session = world.api.log_in("haeri").await;
    let mut profile = world.api.get("/users/me", &session.access).await.data().clone();
    profile["id"].take();
    expect![[r#"{"createdAt":"2026-02-25T06:13:20Z","email":"haeri@example.com","id":null,"language":"en","loginId":"haeri","name":"해리","role":"USER","status":"ACTIVE","timeZone":"UTC"}"#]].assert_eq(&profile.to_string());

    let authorization = format!("Bearer {}", session.access);
    let change = async |body: Value| {
        let headers = [("authorization", authorization.as_str())];
        world.api.call(Method::PUT, "/users/me", &headers, Some(body)).await
    };
    let changed = change(json!({"timeZone": "asia/seoul"})).await;
    assert_eq!(
        (&changed.data()["timeZone"], &changed.data()["name"]),
        (&json!("Asia/Seoul"), &json!("해리"))
    );
    let changed = change(json!({"name": " 민수 ", "language": "ko"})).await;
    assert_eq!(
        (&changed.data()["timeZone"], &changed.data()["name"]),
        (&json!("Asia/Seoul"), &json!("민수"))
    );
    assert_eq!(change(json!({})).await.data(), changed.data());

    for (body, line) in [
        (json!({"name": ""}), "400 VALIDATION_FAILED name"),
        (json!({"name": "", "timeZone": "Mars"}), "400 VALIDATION_FAILED name,timeZone"),
        (json!({"language": "fr"}), "400 VALIDATION_FAILED language"),
        (json!({"role": "ADMIN"}), "400 UNKNOWN_FIELD role"),
        (json!({"loginId": "other"}), "400 UNKNOWN_FIELD loginId"),
    ] {
        assert_eq!(change(body).await.line(), line);
    }
    let stored = world.api.get("/users/me", &session.access).await;
    assert_eq!(stored.data(), changed.data(), "a refused change changes nothing");
}

/// Without `Accept-Language` problems are in the profile's language, at once
/// after it was changed.
#[tokio::test]
pub(crate) async fn the_profiles_language_speaks_where_the_request_says_nothing() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let session = world.api.log_in("haeri").await;
    let none = "/users/me/devices/0190163d-8694-739b-aea5-966c26f8ad91";
    let problem = world.api.delete(none, &session.access).await;
    assert_eq!(problem.headers["content-language"], "en");
    let headers = [("authorization", &*format!("Bearer {}", session.access))];
    let body = Some(json!({"language": "ko"}));
    assert_eq!(world.api.call(Method::PUT, "/users/me", &headers, body).await.line(), "200");
    let problem = world.api.delete(none, &session.access).await;
    assert_eq!(problem.headers["content-language"], "ko");
    let (_, elsewhere) = world.another_process(2, &config());
    let problem = elsewhere.delete(none, &session.access).await;
    assert_eq!(problem.headers["content-language"], "ko");
}
