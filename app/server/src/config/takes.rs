//! What a key takes, and reading it from a file or from text.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use multi_master::WitnessConfig;

/// What a key takes. Durations and sizes are whole numbers whose unit ends the
/// key's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// `IP:PORT`, or `localhost:PORT`.
    Address,
    /// An address, or `off`.
    AddressOrOff,
    /// A file or directory.
    Path,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A whole number in a range, both ends included.
    Number {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A whole number in a range, both ends included, or `off`.
    NumberOrOff {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// `true` or `false`.
    Truth,
    /// A text of at most 1,000 characters without control characters.
    Text,
    /// An `http` or `https` address.
    WebAddress,
    /// IP addresses.
    IpAddresses,
    /// Masters, each with a name and a URL.
    Masters,
    /// Where a witness is.
    Witness,
}

/// A value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Text(String),
    Number(u64),
    Truth(bool),
    Texts(Vec<String>),
    Masters(Vec<Master>),
}

/// A master, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) name: String,
    pub(super) url: String,
}

/// The most characters of a text.
const TEXT_CHARS_MAX: usize = 1_000;
/// The most masters of one set; past two, a clustered database behind one URL
/// is the better way.
const MASTERS_MAX: usize = 8;
const MASTER_NAME_CHARS_MAX: usize = 32;

impl fmt::Display for Takes {
    /// What the key takes, as the second half of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("an address such as 127.0.0.1:8080"),
            Self::AddressOrOff => f.write_str("an address such as 127.0.0.1:9090, or off"),
            Self::Path => f.write_str("a path"),
            Self::OneOf(words) => match words {
                [one, other] => write!(f, "{one} or {other}"),
                words => write!(f, "one of {}", words.join(", ")),
            },
            Self::Number { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::NumberOrOff { min, max } => {
                write!(f, "a whole number from {min} to {max}, or off")
            }
            Self::Truth => f.write_str("true or false"),
            Self::Text => write!(f, "a text of at most {TEXT_CHARS_MAX} characters"),
            Self::WebAddress => f.write_str("an address that begins with http:// or https://"),
            Self::IpAddresses => f.write_str("a list of IP addresses"),
            Self::Masters => f.write_str("masters, each with a name and a url"),
            Self::Witness => f.write_str("a path, witness://HOST:PORT or redis://HOST:PORT"),
        }
    }
}

/// Why a value is not what the key takes; `None` where [`Takes`] says it all.
pub(super) type Wrong = Option<String>;

impl Takes {
    /// Reads a value of the file.
    pub(super) fn read_toml(self, value: &toml::Value) -> Result<Setting, Wrong> {
        match (self, value) {
            (Self::Number { .. } | Self::NumberOrOff { .. }, toml::Value::Integer(number)) => {
                self.number(u64::try_from(*number).map_err(|_| None)?)
            }
            (Self::Truth, toml::Value::Boolean(truth)) => Ok(Setting::Truth(*truth)),
            (Self::IpAddresses, toml::Value::Array(values)) => {
                let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
                ip_addresses(texts.collect::<Option<Vec<_>>>().ok_or(None)?)
            }
            (Self::Masters, toml::Value::Array(values)) => {
                masters(values.iter().map(master).collect::<Result<_, _>>()?)
            }
            (Self::Number { .. } | Self::Truth | Self::IpAddresses | Self::Masters, _) => Err(None),
            (_, toml::Value::String(text)) => self.read_text(text),
            _ => Err(None),
        }
    }

    /// Reads a value of the environment or of a flag.
    pub(super) fn read_text(self, text: &str) -> Result<Setting, Wrong> {
        let kept = |fits: bool| if fits { Ok(Setting::Text(text.to_owned())) } else { Err(None) };
        match self {
            Self::Address => address(text).map(|_| Setting::Text(text.to_owned())).ok_or(None),
            Self::AddressOrOff => kept(text == OFF || address(text).is_some()),
            Self::Path => kept(!text.is_empty() && !text.contains('\0')),
            Self::OneOf(words) => kept(words.contains(&text)),
            Self::NumberOrOff { .. } if text == OFF => kept(true),
            Self::Number { .. } | Self::NumberOrOff { .. } => {
                self.number(text.parse().map_err(|_| None)?)
            }
            Self::Truth => text.parse().map(Setting::Truth).map_err(|_| None),
            Self::Text => {
                let short = text.chars().count() <= TEXT_CHARS_MAX;
                kept(short && !text.contains(char::is_control))
            }
            Self::WebAddress => {
                let is_plain = !text.contains(char::is_whitespace)
                    && (text.starts_with("http://") || text.starts_with("https://"));
                let host = reqwest::Url::parse(text).ok().filter(reqwest::Url::has_host);
                kept(is_plain && host.is_some())
            }
            Self::IpAddresses => {
                let texts = text.split([',', ' ']).filter(|text| !text.is_empty());
                ip_addresses(texts.map(str::to_owned).collect())
            }
            Self::Witness => match text.parse::<WitnessConfig>() {
                Ok(_) if !text.contains('\0') => Ok(Setting::Text(text.to_owned())),
                Ok(_) => Err(None),
                Err(why) => Err(Some(why)),
            },
            Self::Masters => {
                let of_text = |text: &str| {
                    let (name, url) = text.split_once('=').ok_or_else(|| {
                        Some("in text, masters are NAME=URL, with spaces between".to_owned())
                    })?;
                    Ok(Master { name: name.to_owned(), url: url.to_owned() })
                };
                masters(text.split_whitespace().map(of_text).collect::<Result<_, Wrong>>()?)
            }
        }
    }

    fn number(self, number: u64) -> Result<Setting, Wrong> {
        match self {
            Self::Number { min, max } | Self::NumberOrOff { min, max }
                if (min..=max).contains(&number) =>
            {
                Ok(Setting::Number(number))
            }
            _ => Err(None),
        }
    }
}

/// The word that switches a listener off.
pub(super) const OFF: &str = "off";

/// Reads `IP:PORT` or `localhost:PORT`.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?))),
        None => text.parse().ok(),
    }
}

fn ip_addresses(texts: Vec<String>) -> Result<Setting, Wrong> {
    let all = texts.iter().all(|text| text.parse::<IpAddr>().is_ok());
    if all { Ok(Setting::Texts(texts)) } else { Err(None) }
}

fn master(value: &toml::Value) -> Result<Master, Wrong> {
    let table = value.as_table().ok_or(None)?;
    if let Some(other) = table.keys().find(|key| !matches!(key.as_str(), "name" | "url")) {
        return Err(Some(format!("a master has a name and a url, and no `{other}`")));
    }
    let text = |key: &str| {
        let text = table.get(key).and_then(toml::Value::as_str);
        text.map(str::to_owned)
            .ok_or_else(|| Some(format!("a master needs a `{key}`, which is a text")))
    };
    Ok(Master { name: text("name")?, url: text("url")? })
}

fn masters(masters: Vec<Master>) -> Result<Setting, Wrong> {
    if masters.is_empty() || masters.len() > MASTERS_MAX {
        return Err(Some(format!(
            "there are 1 to {MASTERS_MAX} masters, and here are {}",
            masters.len()
        )));
    }
    for (at, Master { name, url }) in masters.iter().enumerate() {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > MASTER_NAME_CHARS_MAX || !name.chars().all(plain) {
            // What is no name may be a URL with a password in it.
            return Err(Some(format!(
                "the name of master {} is not of 1 to {MASTER_NAME_CHARS_MAX} of a-z, 0-9, `-` and `_`",
                at + 1
            )));
        }
        if masters[..at].iter().any(|other| other.name == *name) {
            return Err(Some(format!("two masters are named `{name}`")));
        }
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        if !matches!(scheme, "sqlite" | "mysql") {
            return Err(Some(format!(
                "master `{name}`: a url is sqlite:PATH or mysql://USER:PASSWORD@HOST:PORT/DATABASE"
            )));
        }
        if scheme != masters[0].url.split_once(':').map_or("", |(scheme, _)| scheme) {
            return Err(Some(
                "the masters of one set are all SQLite or all MariaDB/MySQL".to_owned(),
            ));
        }
    }
    Ok(Setting::Masters(masters))
}
