//! Access tokens: JWTs signed with Ed25519 (RFC 7519, RFC 8037), and the ring
//! of keys. Pure: time and seeds are arguments.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use endpaper_http::{SessionId, UserId};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use stdx::UnixMicros;

use crate::model::KeyId;

/// How far the clocks of two processes may be apart.
pub const CLOCK_LEEWAY: Duration = Duration::from_secs(30);

const ISSUER: &str = "endpaper";

/// What an access token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    #[serde(rename = "sub")]
    pub(crate) user: UserId,
    #[serde(rename = "sid")]
    pub(crate) session: SessionId,
    /// Seconds since 1970.
    #[serde(rename = "iat")]
    pub(crate) issued_at: i64,
    /// Seconds since 1970.
    #[serde(rename = "exp")]
    pub(crate) expires_at: i64,
}

#[derive(Serialize)]
struct Signed<'a> {
    iss: &'a str,
    #[serde(flatten)]
    claims: &'a Claims,
}

/// The seed of a key pair: the private key of RFC 8032. Not printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeySeed(pub(crate) [u8; 32]);

impl fmt::Debug for KeySeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySeed(…)")
    }
}

/// A key pair, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredKey {
    pub(crate) id: KeyId,
    pub(crate) created_at: UnixMicros,
    pub(crate) seed: KeySeed,
}

struct Key {
    id: KeyId,
    created_at: UnixMicros,
    signing: EncodingKey,
    verifying: DecodingKey,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is none of ours, or damaged.
    Invalid,
    /// Its key is not in the ring: perhaps another process made it just now.
    UnknownKey,
    /// It was one of ours.
    Expired,
}

/// A key can't be used: the stored seed is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signing key {id}: {reason}")]
pub(crate) struct BadKey {
    id: KeyId,
    reason: String,
}

/// The keys that verify; the newest signs.
#[derive(Default)]
pub(crate) struct KeyRing {
    /// Newest first.
    keys: Vec<Key>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key.id)).finish()
    }
}

impl KeyRing {
    pub(crate) fn new(mut stored: Vec<StoredKey>) -> Result<Self, BadKey> {
        stored.sort_by_key(|key| std::cmp::Reverse((key.created_at, key.id)));
        let keys = stored.iter().map(Key::new).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// Whether the newest key is younger than `rotate_after`.
    pub(crate) fn is_fresh(&self, now: UnixMicros, rotate_after: Duration) -> bool {
        self.keys.first().is_some_and(|key| now < key.created_at.after(rotate_after))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Signs with the newest key.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, BadKey> {
        let key = self.keys.first().ok_or_else(|| BadKey {
            id: stdx::ids::Id::from_uuid(uuid::Uuid::nil()),
            reason: "there is none".to_owned(),
        })?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.id.to_string());
        jsonwebtoken::encode(&header, &Signed { iss: ISSUER, claims }, &key.signing)
            .map_err(|error| BadKey { id: key.id, reason: error.to_string() })
    }

    /// What a token says, where one of these keys signed it and it holds at
    /// `now`.
    pub(crate) fn verify(&self, token: &str, now: UnixMicros) -> Result<Claims, Refused> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Invalid)?;
        if header.alg != Algorithm::EdDSA {
            return Err(Refused::Invalid);
        }
        let id: KeyId = header.kid.and_then(|kid| kid.parse().ok()).ok_or(Refused::Invalid)?;
        let key = self.keys.iter().find(|key| key.id == id).ok_or(Refused::UnknownKey)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        // The library would ask the machine's clock.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.verifying, &validation);
        let claims = decoded.map_err(|error| {
            if matches!(error.kind(), ErrorKind::InvalidSignature) {
                tracing::debug!(%id, "an access token has a wrong signature");
            }
            Refused::Invalid
        })?;
        let claims = claims.claims;
        if now >= UnixMicros::from_secs(claims.expires_at).after(CLOCK_LEEWAY) {
            return Err(Refused::Expired);
        }
        if now.after(CLOCK_LEEWAY) < UnixMicros::from_secs(claims.issued_at) {
            return Err(Refused::Invalid);
        }
        Ok(claims)
    }
}

impl Key {
    fn new(stored: &StoredKey) -> Result<Self, BadKey> {
        let bad = |reason: &dyn fmt::Display| BadKey { id: stored.id, reason: reason.to_string() };
        let pair =
            Ed25519KeyPair::from_seed_unchecked(&stored.seed.0).map_err(|error| bad(&error))?;
        let pkcs8 = pair.to_pkcs8().map_err(|error| bad(&error))?;
        Ok(Self {
            id: stored.id,
            created_at: stored.created_at,
            signing: EncodingKey::from_ed_der(pkcs8.as_ref()),
            verifying: DecodingKey::from_ed_der(pair.public_key().as_ref()),
        })
    }
}

/// The keys that no token in use can need: a newer one has signed for as long
/// as the last token of the older may live, and a day.
pub(crate) fn superfluous(
    created: &[(KeyId, UnixMicros)],
    now: UnixMicros,
    token_life: Duration,
) -> Vec<KeyId> {
    let mut newest_first = created.to_vec();
    newest_first.sort_by_key(|(id, at)| std::cmp::Reverse((*at, *id)));
    let margin = token_life + CLOCK_LEEWAY + Duration::from_hours(24);
    newest_first
        .windows(2)
        .filter(|pair| pair[0].1.after(margin) < now)
        .map(|pair| pair[1].0)
        .collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use stdx::{Clock, IdSource, Random, Seed};

    use super::*;

    const LIFE: Duration = Duration::from_mins(15);

    fn stored(seed: u64, created_secs: i64) -> StoredKey {
        let random = Random::new(Seed(seed));
        let clock = Clock::starting_at(UnixMicros::from_secs(created_secs));
        let ids = IdSource::new(clock.clone(), random.clone());
        StoredKey { id: ids.next(), created_at: clock.now(), seed: KeySeed(random.bytes()) }
    }

    fn claims(now_secs: i64) -> Claims {
        let ids = IdSource::new(
            Clock::starting_at(UnixMicros::from_secs(now_secs)),
            Random::new(Seed(3)),
        );
        Claims {
            user: ids.next(),
            session: ids.next(),
            issued_at: now_secs,
            expires_at: now_secs + 900,
        }
    }

    fn at(secs: i64) -> UnixMicros {
        UnixMicros::from_secs(secs)
    }

    #[test]
    fn a_token_holds_until_it_expires() {
        let ring = KeyRing::new(vec![stored(1, 0)]).unwrap();
        let token = ring.sign(&claims(10_000)).unwrap();
        assert_eq!(ring.verify(&token, at(10_000)), Ok(claims(10_000)));
        assert_eq!(ring.verify(&token, at(10_000 + 929)), Ok(claims(10_000)), "leeway");
        assert_eq!(ring.verify(&token, at(10_000 + 930)), Err(Refused::Expired));
        assert_eq!(ring.verify(&token, at(10_000 - 30)), Ok(claims(10_000)), "leeway");
        assert_eq!(ring.verify(&token, at(10_000 - 31)), Err(Refused::Invalid));
    }

    #[test]
    fn the_newest_signs_and_the_old_still_verify() {
        let (old, new) = (stored(1, 0), stored(2, 100));
        let before = KeyRing::new(vec![old.clone()]).unwrap();
        let token = before.sign(&claims(50)).unwrap();
        let after = KeyRing::new(vec![new.clone(), old]).unwrap();
        assert!(after.verify(&token, at(60)).is_ok());
        let next = after.sign(&claims(120)).unwrap();
        assert_eq!(before.verify(&next, at(120)), Err(Refused::UnknownKey));
        assert!(KeyRing::new(vec![new]).unwrap().verify(&next, at(120)).is_ok());
    }

    #[test]
    fn the_ring_is_fresh_until_its_newest_key_is_old() {
        let ring = KeyRing::new(vec![stored(1, 0), stored(2, 100)]).unwrap();
        assert!(ring.is_fresh(at(109), Duration::from_secs(10)));
        assert!(!ring.is_fresh(at(110), Duration::from_secs(10)));
        assert!(!KeyRing::default().is_fresh(at(0), Duration::from_secs(10)));
    }

    #[test]
    fn a_key_goes_when_no_token_of_it_can_live() {
        let (a, b, c) = (stored(1, 0), stored(2, 100), stored(3, 200_000));
        let created: Vec<_> = [&b, &c, &a].map(|key| (key.id, key.created_at)).to_vec();
        assert_eq!(superfluous(&created, at(1_000), LIFE), []);
        assert_eq!(superfluous(&created, at(200_000), LIFE), [a.id]);
        assert_eq!(superfluous(&created, at(300_000), LIFE), [b.id, a.id]);
        assert_eq!(superfluous(&created[..1], at(i64::MAX / 2_000_000), LIFE), []);
    }

    #[test]
    fn tricks_of_the_trade_are_refused() {
        let key = stored(1, 0);
        let ring = KeyRing::new(vec![key.clone()]).unwrap();
        let token = ring.sign(&claims(10_000)).unwrap();
        let [_, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
        let header = |json: String| URL_SAFE_NO_PAD.encode(json);
        let kid = key.id;
        let none = header(format!(r#"{{"alg":"none","kid":"{kid}"}}"#));
        let hmac = header(format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#));
        let no_kid = header(r#"{"alg":"EdDSA"}"#.to_owned());
        let other_kid = header(format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, stored(2, 0).id));
        for (trick, refused) in [
            (format!("{none}.{payload}."), Refused::Invalid),
            (format!("{none}.{payload}.{signature}"), Refused::Invalid),
            (format!("{hmac}.{payload}.{signature}"), Refused::Invalid),
            (format!("{no_kid}.{payload}.{signature}"), Refused::Invalid),
            (format!("{other_kid}.{payload}.{signature}"), Refused::UnknownKey),
            (String::new(), Refused::Invalid),
            ("..".to_owned(), Refused::Invalid),
        ] {
            assert_eq!(ring.verify(&trick, at(10_000)), Err(refused), "{trick}");
        }
        // Signed by our key and not for us.
        let mut foreign = Header::new(Algorithm::EdDSA);
        foreign.kid = Some(kid.to_string());
        let foreign =
            jsonwebtoken::encode(&foreign, &claims(10_000), &ring.keys[0].signing).unwrap();
        assert_eq!(ring.verify(&foreign, at(10_000)), Err(Refused::Invalid), "no issuer");
    }

    proptest! {
        #[test]
        fn a_changed_token_is_refused(at_byte in 0usize..400, byte in 33u8..127) {
            let ring = KeyRing::new(vec![stored(1, 0)]).unwrap();
            let token = ring.sign(&claims(10_000)).unwrap();
            let mut bytes = token.clone().into_bytes();
            prop_assume!(at_byte < bytes.len() && bytes[at_byte] != byte);
            // The last character of the signature has bits that say nothing.
            prop_assume!(at_byte + 1 < bytes.len());
            bytes[at_byte] = byte;
            prop_assert!(ring.verify(std::str::from_utf8(&bytes).unwrap(), at(10_000)).is_err());
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,100}") {
            let ring = KeyRing::new(vec![stored(1, 0)]).unwrap();
            prop_assert!(ring.verify(&text, at(0)).is_err());
        }
    }
}
