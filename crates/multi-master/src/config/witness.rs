//! Where the witness is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::witness::server::is_name;

/// The set's name at a witness that is asked by several, where none is given.
const SET: &str = "endpaper";

/// Where the witness is: the third place, beside two masters, that says which
/// of them serve.
///
/// As text: a path; `witness://[token@]host:port[/set]` for `endpaper witness`
/// (see [`crate::WitnessServer`]); `redis://[user:password@]host:port[/db][?set=name]`
/// for a Redis server, which has to write what it is told to its disk at once
/// (`appendonly yes`, `appendfsync always`). `set` names the set of masters
/// there: 1 to 64 of a-z, 0-9, - and _. Default: `endpaper`.
///
/// Displayed and debugged without secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum WitnessConfig {
    /// A file, held locked while the store is open: for one process.
    File(PathBuf),
    /// `endpaper witness`: for several processes.
    Server {
        /// `host:port`.
        address: String,
        /// The secret that it wants, where it wants one.
        token: Option<String>,
        /// The name of the set of masters.
        set: String,
    },
    /// A Redis server: for several processes. Needs the feature `redis`.
    Redis {
        /// Its URL.
        url: String,
        /// The name of the set of masters.
        set: String,
    },
}

impl From<PathBuf> for WitnessConfig {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl FromStr for WitnessConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |set: &str| {
            let set = if set.is_empty() { SET } else { set };
            is_name(set).then(|| set.to_owned()).ok_or_else(|| {
                "the name of the set at the witness is 1 to 64 of a-z, 0-9, - and _".to_owned()
            })
        };
        if let Some(rest) = text.strip_prefix("witness://") {
            let (place, set) = rest.split_once('/').unwrap_or((rest, ""));
            let (token, address) = match place.rsplit_once('@') {
                Some((token, address)) => (Some(token.to_owned()), address),
                None => (None, place),
            };
            let port = address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
            if !matches!(port, Some((host, Ok(port))) if !host.is_empty() && port > 0) {
                return Err("a witness is witness://[token@]host:port[/set]".to_owned());
            }
            return Ok(Self::Server { address: address.to_owned(), token, set: named(set)? });
        }
        if text.starts_with("rediss://") {
            return Err("Redis is asked without TLS: use redis:// in a network that is your own, \
                        or `endpaper witness`"
                .to_owned());
        }
        if text.starts_with("redis://") {
            let (url, query) = text.split_once('?').unwrap_or((text, "set="));
            let Some(set) = query.strip_prefix("set=") else {
                return Err("a Redis witness is redis://[user:password@]host:port[/db][?set=name]"
                    .to_owned());
            };
            return Ok(Self::Redis { url: url.to_owned(), set: named(set)? });
        }
        if text.contains("://") {
            return Err("a witness is a path, witness://… or redis://…".to_owned());
        }
        if text.is_empty() {
            return Err("the path of the witness is empty".to_owned());
        }
        Ok(Self::File(PathBuf::from(text)))
    }
}

impl fmt::Display for WitnessConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Server { address, set, .. } => write!(f, "witness://{address}/{set}"),
            Self::Redis { url, set } => {
                let place = url.rsplit_once('@').map_or(url.as_str(), |(_, place)| place);
                let place = place.strip_prefix("redis://").unwrap_or(place);
                write!(f, "redis://{place}?set={set}")
            }
        }
    }
}

impl fmt::Debug for WitnessConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read_and_shown_without_its_secrets() {
        for (text, shown) in [
            ("data/witness.json", "data/witness.json"),
            ("witness://127.0.0.1:9100", "witness://127.0.0.1:9100/endpaper"),
            ("witness://s3cret@third.lan:9100/shop", "witness://third.lan:9100/shop"),
            ("redis://:s3cret@third.lan:6379/2", "redis://third.lan:6379/2?set=endpaper"),
            ("redis://third.lan?set=shop", "redis://third.lan?set=shop"),
        ] {
            let read: WitnessConfig = text.parse().unwrap();
            assert_eq!((read.to_string().as_str(), format!("{read:?}").as_str()), (shown, shown));
        }
        let read: WitnessConfig = "witness://s3cret@third.lan:9100/shop".parse().unwrap();
        let WitnessConfig::Server { address, token, set } = read else { panic!() };
        assert_eq!((address.as_str(), set.as_str()), ("third.lan:9100", "shop"));
        assert_eq!(token.as_deref(), Some("s3cret"));
    }

    #[test]
    fn what_is_no_witness_is_refused() {
        for text in [
            "",
            "http://third.lan",
            "witness://third.lan",
            "witness://:9100",
            "witness://third.lan:0",
            "witness://third.lan:9100/../etc",
            "witness://third.lan:9100/Ümlaut",
            "rediss://third.lan",
            "redis://third.lan?db=1",
        ] {
            text.parse::<WitnessConfig>().unwrap_err();
        }
    }
}
