//! Asking a server that runs for something that takes long, and is answered line
//! by line.

use std::ops::ControlFlow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::queue::Server;
use crate::failure::{Failure, Result};

/// Posts `ask`, and hands over each line of the answer until one is the last.
pub(super) async fn lines<L: DeserializeOwned, T>(
    server: &Server,
    path: &str,
    ask: &impl Serialize,
    mut take: impl FnMut(L) -> ControlFlow<T>,
) -> Result<T> {
    let request = server.client().post(server.url(path)).json(ask);
    let mut answer = server.send(request).await?;
    let mut waiting = Vec::new();
    while let Some(bytes) = answer.chunk().await.map_err(|error| server.broken(&error))? {
        waiting.extend_from_slice(&bytes);
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            let line = serde_json::from_slice(&line).map_err(|error| {
                Failure::new(format!("the server is of another version: {error}"))
            })?;
            if let ControlFlow::Break(last) = take(line) {
                return Ok(last);
            }
        }
    }
    Err(Failure::new("the server stopped before the end: run it again"))
}
