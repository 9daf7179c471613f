//! What no honest client sends, to every route.

use axum::body::Body;
use axum::extract::Request;
use expect_test::expect;
use http::Method;

use crate::support::{Reply, World};

const WITH_BODY: [(&str, &str, &str); 8] = [
    ("POST", "/auth/signup", "loginId"),
    ("POST", "/auth/login", "loginId"),
    ("POST", "/auth/refresh", "refreshToken"),
    ("POST", "/auth/find-login-id", "email"),
    ("POST", "/auth/verify-account", "loginId"),
    ("POST", "/auth/reset-password", "resetToken"),
    ("PUT", "/users/me", "name"),
    ("PUT", "/users/me", "timeZone"),
];

const WITH_CALLER: [(&str, &str); 6] = [
    ("GET", "/users/me"),
    ("PUT", "/users/me"),
    ("GET", "/users/me/devices"),
    ("DELETE", "/users/me/devices"),
    ("DELETE", "/users/me/devices/0190163d-8694-739b-aea5-966c26f8ad91"),
    ("POST", "/auth/logout"),
];

async fn send(
    world: &World,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Reply {
    let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.api.send(request.body(body.into()).expect("a request")).await
}

#[tokio::test]
pub(crate) async fn bodies_that_can_not_be_right() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let authorization = format!("Bearer {}", world.api.log_in("haeri").await.access);
    let json = [("content-type", "application/json"), ("authorization", authorization.as_str())];
    for (method, path, field) in WITH_BODY {
        let to = (method, path);
        let broken = [b"{\"".as_slice(), field.as_bytes(), b"\":\"\xff\xfe\"}"].concat();
        let big = format!(r#"{{"{field}":"{}"}}"#, "x".repeat(300 * 1_024));
        for (body, line) in [
            (Vec::new(), "400 MALFORMED_JSON".to_owned()),
            (b"{".to_vec(), "400 MALFORMED_JSON".to_owned()),
            (
                b"{} {}".to_vec(),
                if method == "PUT" { "400 MALFORMED_JSON" } else { "400 VALIDATION_FAILED" }
                    .to_owned(),
            ),
            (b"[]".to_vec(), "400 VALIDATION_FAILED body".to_owned()),
            (b"null".to_vec(), "400 VALIDATION_FAILED body".to_owned()),
            (broken, "400 MALFORMED_JSON body".to_owned()),
            (
                format!(r#"{{"{field}":["x"]}}"#).into_bytes(),
                format!("400 VALIDATION_FAILED {field}"),
            ),
            (format!(r#"{{"{field}":7}}"#).into_bytes(), format!("400 VALIDATION_FAILED {field}")),
            (
                format!(r#"{{"{field}":"a\u0000b"}}"#).into_bytes(),
                format!("400 VALIDATION_FAILED {field}"),
            ),
            (br#"{"isAdmin":true}"#.to_vec(), "400 UNKNOWN_FIELD isAdmin".to_owned()),
            (big.into_bytes(), "413 BODY_TOO_LARGE".to_owned()),
        ] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            let reply = send(&world, to, &json, body).await;
            assert!(reply.line().starts_with(&line), "{to:?} {shown}: {} not {line}", reply.line());
        }
        let text = [("content-type", "text/plain"), ("authorization", authorization.as_str())];
        let reply = send(&world, to, &text, "{}").await;
        assert_eq!(reply.line(), "415 UNSUPPORTED_MEDIA_TYPE", "{to:?}");
    }
}

#[tokio::test]
pub(crate) async fn no_route_with_a_caller_opens_without_one() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let session = world.api.log_in("haeri").await;
    for to in WITH_CALLER {
        for authorization in [
            "",
            "Bearer",
            "Bearer x",
            "Bearer a.b.c",
            &format!("Bearer {}", session.refresh),
            &format!("Bearer {}x", session.access),
            &format!("Basic {}", session.access),
        ] {
            let headers = [("authorization", authorization), ("content-type", "application/json")];
            let reply = send(&world, to, &headers, "{}").await;
            assert_eq!(reply.line(), "401 UNAUTHORIZED", "{to:?} {authorization}");
            assert_eq!(reply.headers["www-authenticate"], "Bearer");
        }
    }
    assert_eq!(world.api.knocks(&session.access).await, "200");
}

#[tokio::test]
pub(crate) async fn what_there_is_not() {
    let world = World::start().await;
    for (method, path, line) in [
        ("GET", "/auth/login", "405 METHOD_NOT_ALLOWED"),
        ("PATCH", "/users/me", "405 METHOD_NOT_ALLOWED"),
        ("GET", "/users", "404 NOT_FOUND"),
        ("GET", "/users/0190163d-8694-739b-aea5-966c26f8ad91", "404 NOT_FOUND"),
        ("POST", "/auth/login/", "404 NOT_FOUND"),
    ] {
        assert_eq!(send(&world, (method, path), &[], "").await.line(), line, "{method} {path}");
    }
}

/// The document names every route, and every route that it names is there.
#[tokio::test]
pub(crate) async fn the_document_is_true() {
    let world = World::start().await;
    let document = serde_json::to_value(endpaper_accounts::openapi()).expect("JSON");
    let mut listed = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let path = path.replace("{id}", "0190163d-8694-739b-aea5-966c26f8ad91");
            let locked = operation.get("security").is_some();
            let method = method.to_uppercase();
            let request = Request::builder().method(&*method).uri(&path);
            let reply = world.api.send(request.body(Body::empty()).expect("a request")).await;
            assert!(![404, 405].contains(&reply.status), "{method} {path}: {}", reply.line());
            assert_eq!(reply.status == 401, locked, "{method} {path}: {}", reply.line());
            listed.push(format!("{method} {path}{}", if locked { " 🔒" } else { "" }));
        }
    }
    listed.sort();
    expect![[r"
        DELETE /api/v1/users/me/devices 🔒
        DELETE /api/v1/users/me/devices/0190163d-8694-739b-aea5-966c26f8ad91 🔒
        GET /api/v1/users/duplicate/email
        GET /api/v1/users/duplicate/loginId
        GET /api/v1/users/me 🔒
        GET /api/v1/users/me/devices 🔒
        POST /api/v1/auth/find-login-id
        POST /api/v1/auth/login
        POST /api/v1/auth/logout 🔒
        POST /api/v1/auth/refresh
        POST /api/v1/auth/reset-password
        POST /api/v1/auth/signup
        POST /api/v1/auth/verify-account
        PUT /api/v1/users/me 🔒"]]
    .assert_eq(&listed.join("\n"));
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let references = references(&document);
    for reference in &references {
        assert!(schemas.contains_key(reference), "{reference} is referred to and not there");
    }
    assert!(references.len() > 10);
    let _ = Method::GET;
}

fn references(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Object(object) => object
            .iter()
            .flat_map(|(name, value)| match (name.as_str(), value.as_str()) {
                ("$ref", Some(target)) => {
                    vec![target.rsplit('/').next().unwrap_or_default().to_owned()]
                }
                _ => references(value),
            })
            .collect(),
        serde_json::Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
