//! Ids that are made where the thing is made: UUIDv7 (RFC 9562, section 5.7).

use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::{Clock, Random};

/// A newtype around a UUID, as [`id_type!`](crate::id_type) makes it.
pub trait Id: Copy {
    /// Wraps any UUID, also one that is not version 7: a stored id is what it is.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The UUID inside.
    fn uuid(self) -> Uuid;
}

/// Makes ids: time first, so that they are in the order of their making, then
/// randomness.
///
/// Within one source ids strictly increase, also when the clock stands still
/// or jumps back: the 12 bits after the milliseconds and the first 32 random
/// bits are a counter that starts at a random value in each millisecond
/// (RFC 9562, section 6.2, method 1 and 2). Cheap to clone; clones share the
/// counter.
#[derive(Clone, Debug)]
pub struct IdSource {
    clock: Clock,
    random: Random,
    last: Arc<Mutex<Last>>,
}

#[derive(Debug, Default)]
struct Last {
    millis: u64,
    /// 44 bits: 12 of `rand_a`, 32 of the top of `rand_b`.
    counter: u64,
}

const COUNTER_BITS: u32 = 44;
const COUNTER_MAX: u64 = (1 << COUNTER_BITS) - 1;
const MILLIS_MAX: u64 = (1 << 48) - 1;

impl IdSource {
    /// A source that draws on `clock` and `random`.
    #[must_use]
    pub fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random, last: Arc::default() }
    }

    /// A source for programs: the real clock and secret randomness.
    #[cfg(feature = "system")]
    #[must_use]
    pub fn system() -> Self {
        Self::new(Clock::real(), Random::secret())
    }

    /// The next id.
    #[must_use]
    pub fn next<I: Id>(&self) -> I {
        I::from_uuid(self.next_uuid())
    }

    /// The next id, as a bare UUID.
    #[must_use]
    pub fn next_uuid(&self) -> Uuid {
        let now = u64::try_from(self.clock.now().as_millis()).unwrap_or(0).min(MILLIS_MAX);
        let entropy = self.random.next_u64();
        let (millis, counter) = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if now > last.millis {
                last.millis = now;
                // The top bit stays free, so that a millisecond has room for
                // at least 2^43 ids.
                last.counter = entropy >> (64 - COUNTER_BITS + 1);
            } else if last.counter < COUNTER_MAX {
                last.counter += 1;
            } else {
                last.millis = (last.millis + 1).min(MILLIS_MAX);
                last.counter = 0;
            }
            (last.millis, last.counter)
        };
        let rand_a = counter >> 32;
        let rand_b_high = counter & 0xffff_ffff;
        let rand_b_low = self.random.next_u64() & 0x3fff_ffff;
        let high = (millis << 16) | (0x7 << 12) | rand_a;
        let low = (0b10 << 62) | (rand_b_high << 30) | rand_b_low;
        Uuid::from_u64_pair(high, low)
    }
}

/// Declares an id: a newtype around a UUIDv7 with `Display`, `FromStr`, serde
/// (as the hyphenated string), ordering and hashing.
///
/// ```
/// stdx::id_type! {
///     /// Identifies one order.
///     pub struct OrderId;
/// }
/// let id: OrderId = "0190163d-8694-739b-aea5-966c26f8ad91".parse().unwrap();
/// assert_eq!(id.to_string(), "0190163d-8694-739b-aea5-966c26f8ad91");
/// assert!("not an id".parse::<OrderId>().is_err());
/// ```
#[macro_export]
macro_rules! id_type {
    ($(#[$meta:meta])* $vis:vis struct $name:ident;) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            $crate::reexport::serde::Serialize, $crate::reexport::serde::Deserialize,
        )]
        #[serde(crate = "stdx::reexport::serde", transparent)]
        $vis struct $name($crate::reexport::uuid::Uuid);

        impl $crate::ids::Id for $name {
            fn from_uuid(uuid: $crate::reexport::uuid::Uuid) -> Self {
                Self(uuid)
            }
            fn uuid(self) -> $crate::reexport::uuid::Uuid {
                self.0
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::write!(f, "{}({})", ::core::stringify!($name), self.0.as_hyphenated())
            }
        }

        impl ::core::str::FromStr for $name {
            type Err = $crate::ids::NotAnId;
            fn from_str(text: &str) -> ::core::result::Result<Self, Self::Err> {
                $crate::ids::parse(text).map(Self)
            }
        }
    };
}

/// A text that should be an id is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: an id is a UUID such as 0190163d-8694-739b-aea5-966c26f8ad91")]
pub struct NotAnId;

/// Reads the hyphenated form of a UUID, and no other: one id has one spelling
/// (upper case is read too, as RFC 9562 asks, and written in lower case).
pub fn parse(text: &str) -> Result<Uuid, NotAnId> {
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(NotAnId);
    }
    Uuid::try_parse(text).map_err(|_| NotAnId)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::{Seed, UnixMicros};

    fn source(at_secs: i64) -> (Clock, IdSource) {
        let clock = Clock::starting_at(UnixMicros::from_secs(at_secs));
        (clock.clone(), IdSource::new(clock, Random::new(Seed(3))))
    }

    #[test]
    fn an_id_is_a_version_7_uuid_of_its_time() {
        let (_, ids) = source(1_700_000_000);
        let id = ids.next_uuid();
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        assert_eq!(id.get_timestamp().unwrap().to_unix().0, 1_700_000_000);
    }

    #[test]
    fn ids_increase_while_the_clock_stands_jumps_back_and_goes_on() {
        let (clock, ids) = source(1_700_000_000);
        let mut made = Vec::new();
        for round in 0..3_000 {
            match round % 300 {
                100 => clock.advance(Duration::from_millis(3)),
                200 => clock.set(UnixMicros::from_secs(1_600_000_000)),
                _ => {}
            }
            made.push(ids.next_uuid());
        }
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_full_counter_goes_on_in_the_next_millisecond() {
        let (_, ids) = source(1_700_000_000);
        let _ = ids.next_uuid();
        ids.last.lock().unwrap().counter = COUNTER_MAX;
        let before = ids.next_uuid();
        let after = ids.next_uuid();
        assert!(before < after);
    }

    #[test]
    fn two_sources_at_one_time_do_not_meet() {
        let clock = Clock::starting_at(UnixMicros::from_secs(1_700_000_000));
        let (a, b) = (
            IdSource::new(clock.clone(), Random::new(Seed(1))),
            IdSource::new(clock, Random::new(Seed(2))),
        );
        let all: BTreeSet<Uuid> = (0..5_000).flat_map(|_| [a.next_uuid(), b.next_uuid()]).collect();
        assert_eq!(all.len(), 10_000);
    }

    #[test]
    fn one_spelling() {
        assert!(parse("0190163d8694739baea5966c26f8ad91").is_err());
        assert!(parse("{0190163d-8694-739b-aea5-966c26f8ad91}").is_err());
        assert!(parse("0190163D-8694-739B-AEA5-966C26F8AD91").is_ok());
        assert!(parse("").is_err());
    }
}
