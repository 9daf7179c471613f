//! The server's own answers, and how it stops.

use lab::Scratch;
use reqwest::{Method, StatusCode};

use crate::common::Server;

#[tokio::test]
async fn health_is_told_to_people_and_to_programs() {
    let scratch = Scratch::new("serve").unwrap();
    let server = Server::start(&scratch.path().join("data"), &[]);
    let (status, health) = server.ask(Method::GET, "/api/v1/health", None, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        health.to_string(),
        r#"{"data":{"masters":[{"name":"a","state":"LIVE"},{"name":"b","state":"LIVE"}],"status":"UP"},"ok":true}"#
    );
    let (status, nothing) = server.ask(Method::HEAD, "/api/v1/health", None, None).await;
    assert_eq!((status, nothing), (StatusCode::OK, "".into()));
    let finished = server.program.stop().unwrap();
    assert_eq!(finished.code, Some(0));
    assert_eq!(
        finished.stdout.lines().count(),
        1,
        "one line on standard output: {}",
        finished.stdout
    );
}
