//! What goes between a process and `endpaper witness`: JSON, one line each way.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};
use uuid::Uuid;

use super::{Answer, Ask};

/// The longest line, in bytes.
const LINE_MAX: u64 = 256 << 10;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The secret that the witness wants, where it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    /// The name of the set of masters.
    pub(super) set: String,
    pub(super) process: Uuid,
    pub(super) ask: Ask,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    Told(Answer),
    /// Why not.
    Refused(String),
}

/// A value as its line.
pub(super) fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("names and numbers are JSON");
    line.push(b'\n');
    line
}

/// The next line; empty at the end of the stream.
pub(super) async fn next_line(
    stream: &mut (impl AsyncBufRead + Unpin),
) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.take(LINE_MAX).read_until(b'\n', &mut line).await?;
    if line.last().is_some_and(|last| *last != b'\n') {
        return Err(std::io::Error::other("the line is cut or too long"));
    }
    Ok(line)
}
