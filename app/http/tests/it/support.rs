//! One request, one line of answer.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::BodyExt;
use tower::ServiceExt;

pub(crate) async fn send(router: &Router, request: Request) -> Response {
    router.clone().oneshot(request).await.expect("routers do not fail")
}

pub(crate) async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.expect("a body in memory").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("answers are UTF-8")
}

/// `status body`
pub(crate) async fn line(router: &Router, request: Request) -> String {
    let response = send(router, request).await;
    let status = response.status().as_u16();
    let body = text(response).await;
    let value: serde_json::Value = serde_json::from_str(&body).expect("answers are JSON");
    if value["ok"] == true {
        return format!("{status} {}", value["data"]);
    }
    let error = &value["error"];
    let mut line = format!("{status} {}", error["code"].as_str().expect("a code"));
    for field in error["fields"].as_array().expect("fields") {
        let (name, message) = (field["field"].as_str(), field["message"].as_str());
        line.push_str(" | ");
        line.push_str(name.expect("a name"));
        line.push_str(": ");
        line.push_str(message.expect("a message"));
    }
    line
}

pub(crate) fn post(path: &str, body: impl Into<Body>) -> Request {
    Request::post(path)
        .header("content-type", "application/json")
        .body(body.into())
        .expect("a request")
}

pub(crate) fn get(path: &str) -> Request {
    Request::get(path).body(Body::empty()).expect("a request")
}
