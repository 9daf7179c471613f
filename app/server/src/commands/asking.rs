//! Asking a server that runs for something that takes long, and is answered line
//! by line.

use std::net::SocketAddr;
use std::ops::ControlFlow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Result};

/// Posts `ask`, and hands over each line of the answer until one is the last.
pub(super) async fn lines<L: DeserializeOwned, T>(
    operator: SocketAddr,
    path: &str,
    ask: &impl Serialize,
    mut take: impl FnMut(L) -> ControlFlow<T>,
) -> Result<T> {
    let broken = |error: reqwest::Error| {
        Failure::new(format!("the server at {operator} did not answer to the end: {error}"))
    };
    let client = reqwest::Client::builder().no_proxy().build().map_err(broken)?;
    let request = client.post(format!("http://{operator}{path}")).json(ask);
    let mut answer =
        request.send().await.and_then(reqwest::Response::error_for_status).map_err(broken)?;
    let mut waiting = Vec::new();
    while let Some(bytes) = answer.chunk().await.map_err(broken)? {
        waiting.extend_from_slice(&bytes);
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            let line = serde_json::from_slice(&line).map_err(|error| {
                Failure::new(format!("the server at {operator} is of another version: {error}"))
            })?;
            if let ControlFlow::Break(last) = take(line) {
                return Ok(last);
            }
        }
    }
    Err(Failure::new(format!("the server at {operator} stopped before the end: run it again")))
}
