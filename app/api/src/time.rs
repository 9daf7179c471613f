//! Instants and days on the wire.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::FieldProblem;

/// An instant: RFC 3339 on the wire, `2026-03-01T08:30:00.123456Z`. Any offset
/// is read; instants are written with `Z` and at most microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = DateTime))]
pub struct Instant(jiff::Timestamp);

impl Instant {
    /// From microseconds since 1970-01-01T00:00:00Z; held at the ends of the
    /// years −9999 and 9999.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(jiff::Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        }))
    }

    /// Microseconds since 1970-01-01T00:00:00Z, rounded towards it.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0.as_microsecond()
    }

    /// For arithmetic and time zones.
    #[must_use]
    pub const fn timestamp(self) -> jiff::Timestamp {
        self.0
    }
}

impl From<jiff::Timestamp> for Instant {
    fn from(timestamp: jiff::Timestamp) -> Self {
        Self::from_micros(timestamp.as_microsecond())
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Instant {
    type Err = FieldProblem;
    /// Reads RFC 3339, and no other notation of instants.
    fn from_str(text: &str) -> Result<Self, FieldProblem> {
        let day_and_time = text.get(10..11) == Some("T") || text.get(10..11) == Some("t");
        if !day_and_time || text.contains('[') {
            return Err(FieldProblem::NotATime);
        }
        let timestamp = text.parse::<jiff::Timestamp>().map_err(|_| FieldProblem::NotATime)?;
        Ok(timestamp.into())
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(FieldProblem::into_serde)
    }
}

/// A day of the reader's calendar: `2026-03-01` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = Date))]
pub struct Day(jiff::civil::Date);

impl Day {
    /// For arithmetic and time zones.
    #[must_use]
    pub const fn date(self) -> jiff::civil::Date {
        self.0
    }
}

impl From<jiff::civil::Date> for Day {
    fn from(date: jiff::civil::Date) -> Self {
        Self(date)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Day {
    type Err = FieldProblem;
    /// Reads `YYYY-MM-DD` and no other notation; the 30th of February is none.
    fn from_str(text: &str) -> Result<Self, FieldProblem> {
        let shape = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !shape {
            return Err(FieldProblem::NotADay);
        }
        text.parse().map(Self).map_err(|_| FieldProblem::NotADay)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(FieldProblem::into_serde)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_rfc_3339() {
        let instant: Instant = "2026-03-01T17:30:00+09:00".parse().unwrap();
        assert_eq!(instant.to_string(), "2026-03-01T08:30:00Z");
        assert!("2026-03-01T08:30:00.123456Z".parse::<Instant>().is_ok());
        for bad in [
            "",
            "2026-03-01",
            "2026-03-01T08:30:00",
            "2026-02-30T00:00:00Z",
            "2026-03-01 08:30:00Z",
            "2026-03-01T08:30:00+09:00[Asia/Seoul]",
            "1700000000",
            "2026-03-01T25:00:00Z",
            "한",
        ] {
            assert_eq!(bad.parse::<Instant>(), Err(FieldProblem::NotATime), "{bad}");
        }
    }

    #[test]
    fn only_days_that_exist() {
        assert_eq!("2024-02-29".parse::<Day>().unwrap().to_string(), "2024-02-29");
        for bad in [
            "2023-02-29",
            "2024-13-01",
            "2024-2-9",
            "20240229",
            "2024-02-29T00:00:00Z",
            "-024-01-01",
            "",
        ] {
            assert_eq!(bad.parse::<Day>(), Err(FieldProblem::NotADay), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn instants_read_back(micros in -62_000_000_000_000_000i64..=250_000_000_000_000_000) {
            let instant = Instant::from_micros(micros);
            prop_assert_eq!(instant.as_micros(), micros);
            prop_assert_eq!(instant.to_string().parse::<Instant>().unwrap(), instant);
        }

        #[test]
        fn any_micros_are_held(micros: i64) {
            let _ = Instant::from_micros(micros).to_string();
        }

        #[test]
        fn no_text_is_too_strange(text in ".{0,40}") {
            let _ = text.parse::<Instant>();
            let _ = text.parse::<Day>();
        }
    }
}
