//! JSON: inputs and outputs, as they are stored and shown.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest input, and the longest output of a step, in bytes of JSON. The input is
/// journaled whenever its saga turns or ends: of what is longer, an id is kept.
pub const JSON_BYTES_MAX: usize = 64 << 10;

/// Why a value has no place in a journal, or can't be read from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is no JSON, or not of the type that it should be.
    #[error("{what} is not what the program takes it for: {why}")]
    Shape {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// It is too long.
    #[error("{what} has {bytes} bytes, and at most {JSON_BYTES_MAX} are kept: keep an id of it")]
    TooLong {
        /// What.
        what: String,
        /// How long.
        bytes: usize,
    },
}

pub(crate) fn write<T: Serialize>(what: &str, value: &T) -> Result<String, JsonError> {
    let json = serde_json::to_string(value)
        .map_err(|error| JsonError::Shape { what: what.to_owned(), why: error.to_string() })?;
    if json.len() > JSON_BYTES_MAX {
        return Err(JsonError::TooLong { what: what.to_owned(), bytes: json.len() });
    }
    Ok(json)
}

pub(crate) fn read<T: DeserializeOwned>(what: &str, json: &str) -> Result<T, JsonError> {
    serde_json::from_str(json)
        .map_err(|error| JsonError::Shape { what: what.to_owned(), why: error.to_string() })
}
