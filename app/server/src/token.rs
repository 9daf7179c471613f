//! The operator's token: what opens `/ops`, and lets commands change a server
//! that runs.
//!
//! It is configured, or made at the first start: 256 bits in `operator-token` of
//! the data directory, which only the server's user can read. Commands that are
//! run by that user find it there.

use std::fmt;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use stdx::Random;
use subtle::ConstantTimeEq as _;

use crate::config::Settings;
use crate::failure::{Failure, Result};

/// A token. It is never printed.
#[derive(Clone)]
pub(crate) struct Token(String);

/// A configured one is at least so long: it is all that stands between the page
/// and whoever reaches its address.
const CHARS_MIN: usize = 16;
const FILE: &str = "operator-token";
const OWNER_ONLY: u32 = 0o600;
const OTHERS: u32 = 0o077;

impl Token {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// Whether `other` is the same, in a time that does not tell where they
    /// differ.
    pub(crate) fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }

    /// As the header `Authorization` has it.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The token of this server; made where there is none.
pub(crate) fn of_server(settings: &Settings, random: &Random) -> Result<Token> {
    if let Some(token) = existing(settings)? {
        return Ok(token);
    }
    let path = file(settings);
    let failed = |error| Failure::new(format!("can't make {}: {error}", path.display()));
    let mut text = String::new();
    for byte in random.bytes::<32>() {
        write!(text, "{byte:02x}").expect("a string takes all");
    }
    // Written beside and renamed: nobody ever reads half of it.
    let beside = path.with_extension("new");
    drop(std::fs::remove_file(&beside));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(OWNER_ONLY)
        .open(&beside)
        .map_err(failed)?;
    writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&beside, &path).map_err(failed)?;
    Ok(Token::new(&text))
}

/// The token that is configured or was made, where there is one.
pub(crate) fn existing(settings: &Settings) -> Result<Option<Token>> {
    let (token, place) = match &settings.operator.token {
        Some(token) => (token.clone(), "operator.token".to_owned()),
        None => match read(&file(settings))? {
            Some(token) => (token, file(settings).display().to_string()),
            None => return Ok(None),
        },
    };
    if token.0.chars().count() < CHARS_MIN {
        return Err(Failure::new(format!(
            "{place}: a token has at least {CHARS_MIN} characters, and nobody can guess it"
        )));
    }
    Ok(Some(token))
}

/// Where it is made.
pub(crate) fn file(settings: &Settings) -> PathBuf {
    settings.data.join(FILE)
}

fn read(path: &Path) -> Result<Option<Token>> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::new(format!("can't read {shown}: {error}"))),
    };
    let mode = std::fs::metadata(path).map_or(0, |found| found.permissions().mode() & 0o777);
    if mode & OTHERS != 0 {
        tracing::warn!(
            "{shown} is open to others (mode {mode:o}), and it opens the operator's page; close it \
             with: chmod 600 {shown}"
        );
    }
    Ok(Some(Token::new(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_text_is_the_same_token() {
        let token = Token::new(" a long enough token \n");
        assert!(token.is("a long enough token"));
        for other in ["", "a long enough toke", "a long enough tokeN", "a long enough token2"] {
            assert!(!token.is(other), "{other}");
        }
        assert!(!format!("{token:?}").contains("long"));
    }
}
