//! Refresh tokens and reset tokens: what they look like, and what is stored of
//! them. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use endpaper_api::Secret;
use endpaper_http::SessionId;
use sha2::{Digest as _, Sha256};
use stdx::Random;
use stdx::ids::Id as _;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::model::Digest;

/// A refresh token: the session, 32 random bytes that all tokens of the session
/// have in common (its *family*), and 32 that only this one has.
///
/// Stored are the SHA-256 of the family and of the secret of the one token that
/// holds. So a token of the family whose secret is another's is one that was
/// used before, however long ago, without keeping a list; and nobody who has
/// not had a token of the session can be taken for one who has.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    pub(crate) session: SessionId,
    family: [u8; 32],
    secret: [u8; 32],
}

const REFRESH_PREFIX: &str = "epr_";
const RESET_PREFIX: &str = "epp_";

impl RefreshToken {
    /// The first of a session.
    pub(crate) fn first(session: SessionId, random: &Random) -> Self {
        Self { session, family: random.bytes(), secret: random.bytes() }
    }

    /// The next, which nobody can foresee.
    pub(crate) fn successor(&self, random: &Random) -> Self {
        Self { secret: random.bytes(), ..self.clone() }
    }

    /// The next for those who ask with an idempotency key: the same for the
    /// same token and key. It can't be computed without the session's salt,
    /// which only the store has, nor without this token, which the store does
    /// not have.
    pub(crate) fn successor_for(&self, key: &str, salt: &Digest) -> Self {
        // All three parts have 32 bytes: one input has one reading.
        let mut hash = Sha256::new();
        hash.update(salt.0);
        hash.update(self.secret);
        hash.update(Sha256::digest(key.as_bytes()));
        Self { secret: hash.finalize().into(), ..self.clone() }
    }

    pub(crate) fn family_hash(&self) -> Digest {
        digest(&self.family)
    }

    pub(crate) fn secret_hash(&self) -> Digest {
        digest(&self.secret)
    }

    pub(crate) fn parse(secret: &Secret) -> Option<Self> {
        let bytes: [u8; 80] = decode(secret, REFRESH_PREFIX)?;
        let (session, rest) = bytes.split_first_chunk::<16>()?;
        let (family, rest) = rest.split_first_chunk::<32>()?;
        Some(Self {
            session: SessionId::from_uuid(Uuid::from_bytes(*session)),
            family: *family,
            secret: rest.try_into().ok()?,
        })
    }

    pub(crate) fn to_secret(&self) -> Secret {
        let mut bytes = Vec::with_capacity(80);
        bytes.extend_from_slice(self.session.uuid().as_bytes());
        bytes.extend_from_slice(&self.family);
        bytes.extend_from_slice(&self.secret);
        encode(&bytes, REFRESH_PREFIX)
    }
}

/// A token to set a new password: 32 random bytes, of which the SHA-256 is
/// stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ResetToken([u8; 32]);

impl ResetToken {
    pub(crate) fn new(random: &Random) -> Self {
        Self(random.bytes())
    }

    pub(crate) fn hash(&self) -> Digest {
        digest(&self.0)
    }

    pub(crate) fn parse(secret: &Secret) -> Option<Self> {
        decode(secret, RESET_PREFIX).map(Self)
    }

    pub(crate) fn to_secret(&self) -> Secret {
        encode(&self.0, RESET_PREFIX)
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Whether two digests are the same, in a time that does not depend on where
/// they differ.
pub(crate) fn same(a: &Digest, b: &Digest) -> bool {
    a.0.ct_eq(&b.0).into()
}

fn encode(bytes: &[u8], prefix: &str) -> Secret {
    let text = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes));
    Secret::new(&text).expect("base64 has no control characters")
}

fn decode<const N: usize>(secret: &Secret, prefix: &str) -> Option<[u8; N]> {
    let text = secret.expose().trim().strip_prefix(prefix)?;
    // Refused before it is decoded: a body may be large.
    if text.len() > (N * 4).div_ceil(3) {
        return None;
    }
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stdx::{Clock, IdSource, Seed, UnixMicros};

    use super::*;

    fn first(seed: u64) -> RefreshToken {
        let random = Random::new(Seed(seed));
        let ids = IdSource::new(Clock::starting_at(UnixMicros::from_secs(1)), random.clone());
        RefreshToken::first(ids.next(), &random)
    }

    #[test]
    fn a_successor_is_of_the_family_and_has_another_secret() {
        let token = first(1);
        let next = token.successor(&Random::new(Seed(9)));
        assert_eq!(token.family_hash(), next.family_hash());
        assert_ne!(token.secret_hash(), next.secret_hash());
        assert_ne!(first(1).family_hash(), first(2).family_hash());
    }

    #[test]
    fn a_key_gives_one_successor_of_one_token_under_one_salt() {
        let (token, salt) = (first(1), Digest([7; 32]));
        let next = token.successor_for("key", &salt);
        assert_eq!(next.secret_hash(), token.successor_for("key", &salt).secret_hash());
        for other in [
            token.successor_for("other key", &salt),
            token.successor_for("key", &Digest([8; 32])),
            next.successor_for("key", &salt),
            token.clone(),
        ] {
            assert_ne!(next.secret_hash(), other.secret_hash());
        }
    }

    #[test]
    fn one_kind_is_not_taken_for_the_other() {
        let random = Random::new(Seed(1));
        assert!(RefreshToken::parse(&ResetToken::new(&random).to_secret()).is_none());
        assert!(ResetToken::parse(&first(1).to_secret()).is_none());
    }

    proptest! {
        #[test]
        fn tokens_read_back(seed: u64) {
            let token = first(seed);
            prop_assert!(RefreshToken::parse(&token.to_secret()).unwrap() == token);
            let reset = ResetToken::new(&Random::new(Seed(seed)));
            prop_assert!(ResetToken::parse(&reset.to_secret()).unwrap() == reset);
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,200}") {
            let Ok(secret) = Secret::new(&text) else { return Ok(()) };
            prop_assert!(RefreshToken::parse(&secret).is_none());
            prop_assert!(ResetToken::parse(&secret).is_none());
        }

        #[test]
        fn a_changed_character_is_another_token(seed: u64, at in 4usize..110, c in "[A-Za-z0-9_-]") {
            let text = first(seed).to_secret().expose().to_owned();
            prop_assume!(at < text.len() && text[at..=at] != *c);
            let changed = format!("{}{c}{}", &text[..at], &text[at + 1..]);
            let parsed = RefreshToken::parse(&Secret::new(&changed).unwrap());
            prop_assert!(parsed != Some(first(seed)));
        }
    }
}
