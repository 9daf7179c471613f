//! Signing up, and asking whether a name is free.

use expect_test::expect;
use http::Method;
use serde_json::json;

use crate::support::{World, new_user};

#[tokio::test]
pub(crate) async fn a_person_signs_up() {
    let world = World::start().await;
    let reply = world.api.post("/auth/signup", new_user("Haeri")).await;
    assert_eq!(reply.status, 201);
    let mut data = reply.data().clone();
    let id = data["id"].take();
    assert_eq!(id.as_str().expect("an id").len(), 36);
    expect![[r#"{"email":"Haeri@example.com","id":null,"loginId":"haeri","name":"해리","role":"USER","status":"ACTIVE"}"#]].assert_eq(&data.to_string());
}

#[tokio::test]
pub(crate) async fn all_that_is_wrong_is_said_at_once_in_the_readers_language() {
    let world = World::start().await;
    let body = json!({"loginId": "해리", "email": "no mail", "name": "", "password": "short"});
    let reply = world
        .api
        .call(Method::POST, "/auth/signup", &[("accept-language", "ko")], Some(body))
        .await;
    assert_eq!(reply.status, 400);
    expect![[r#"
        {
          "error": {
            "code": "VALIDATION_FAILED",
            "fields": [
              {
                "field": "loginId",
                "message": "영문 소문자, 숫자와 _ . - 만 쓸 수 있습니다."
              },
              {
                "field": "email",
                "message": "이메일 주소를 name@example.com 형식으로 써 주세요."
              },
              {
                "field": "name",
                "message": "꼭 필요한 값입니다."
              },
              {
                "field": "password",
                "message": "8자 이상으로 써 주세요."
              }
            ],
            "message": "입력한 내용을 확인해 주세요.",
            "retryable": false
          },
          "ok": false
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&reply.body).unwrap());
}

#[tokio::test]
pub(crate) async fn a_taken_name_is_refused_in_any_case_and_composition() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let mut same_id = new_user("HAERI");
    same_id["email"] = json!("other@example.com");
    assert_eq!(world.api.post("/auth/signup", same_id).await.line(), "409 LOGIN_ID_TAKEN loginId");
    let mut same_email = new_user("other");
    same_email["email"] = json!("HAERI@example.COM");
    assert_eq!(world.api.post("/auth/signup", same_email).await.line(), "409 EMAIL_TAKEN email");
}

#[tokio::test]
pub(crate) async fn duplicate_checks() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let ask = async |path: &str| {
        let reply = world.api.call(Method::GET, path, &[], None).await;
        if reply.status == 200 { reply.data().to_string() } else { reply.line() }
    };
    assert_eq!(ask("/users/duplicate/loginId?value=haeri").await, "true");
    assert_eq!(ask("/users/duplicate/loginId?value=HAERI").await, "true");
    assert_eq!(ask("/users/duplicate/loginId?value=free").await, "false");
    assert_eq!(ask("/users/duplicate/email?value=HAERI%40Example.com").await, "true");
    assert_eq!(ask("/users/duplicate/email?value=free%40example.com").await, "false");
    assert_eq!(ask("/users/duplicate/loginId?value=no%20id").await, "400 VALIDATION_FAILED value");
    assert_eq!(ask("/users/duplicate/email?value=no-mail").await, "400 VALIDATION_FAILED value");
    assert_eq!(ask("/users/duplicate/email").await, "400 VALIDATION_FAILED value");
    assert_eq!(ask("/users/duplicate/loginId?value=%ff").await, "400 VALIDATION_FAILED query");
}

/// Eight at once want one log-in id, with mail addresses of their own: one gets
/// it. And eight with one mail address.
#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn of_many_at_once_one_wins() {
    let world = World::start().await;
    for (field, code) in [("loginId", "LOGIN_ID_TAKEN"), ("email", "EMAIL_TAKEN")] {
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let api = world.api.clone();
                let mut body = new_user(&format!("{}.user{n}", field.to_lowercase()));
                body[field] = json!(if field == "email" { "one@example.com" } else { "wanted" });
                tokio::spawn(async move { api.post("/auth/signup", body).await.line() })
            })
            .collect();
        let mut lines = Vec::new();
        for task in tasks {
            lines.push(task.await.expect("no panic"));
        }
        lines.sort();
        let lost = format!("409 {code} {field}");
        assert_eq!(lines[0], "201");
        assert!(lines[1..].iter().all(|line| *line == lost), "{lines:?}");
    }
}

#[tokio::test]
pub(crate) async fn the_profile_begins_with_what_the_request_says_of_its_reader() {
    let world = World::start().await;
    let headers = [("accept-language", "ko-KR"), ("x-time-zone", "asia/seoul")];
    world.api.call(Method::POST, "/auth/signup", &headers, Some(new_user("haeri"))).await;
    let session = world.api.log_in("haeri").await;
    let profile = world.api.get("/users/me", &session.access).await;
    assert_eq!(profile.data()["language"], "ko");
    assert_eq!(profile.data()["timeZone"], "Asia/Seoul");

    let nowhere = [("x-time-zone", "Mars/Olympus")];
    let reply =
        world.api.call(Method::POST, "/auth/signup", &nowhere, Some(new_user("other"))).await;
    assert_eq!(reply.line(), "400 VALIDATION_FAILED X-Time-Zone");
}
