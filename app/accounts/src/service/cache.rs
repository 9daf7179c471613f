//! Who is calling, remembered for some seconds. Performs no I/O.

use std::collections::HashMap;
use std::time::Duration;

use endpaper_http::{Principal, SessionId, UserId};
use stdx::UnixMicros;

/// Sessions that are remembered: some 3 MiB.
const SESSIONS_REMEMBERED_MAX: usize = 10_000;

/// What was read about sessions lately.
///
/// What is read before a session ends must not be remembered after it has:
/// readers take the [`Generation`] before they read, and what they bring is
/// dropped when it has passed.
#[derive(Debug)]
pub(crate) struct SessionCache {
    believe_for: Duration,
    generation: Generation,
    known: HashMap<SessionId, (Principal, UnixMicros)>,
}

/// Changes whenever something is forgotten on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Generation(u64);

impl SessionCache {
    pub(crate) fn new(believe_for: Duration) -> Self {
        Self { believe_for, generation: Generation::default(), known: HashMap::new() }
    }

    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    pub(crate) fn get(
        &self,
        session: SessionId,
        user: UserId,
        now: UnixMicros,
    ) -> Option<Principal> {
        let (principal, read_at) = self.known.get(&session)?;
        // A clock that jumped back makes nothing young.
        let young = *read_at <= now && now < read_at.after(self.believe_for);
        (young && principal.user == user).then(|| principal.clone())
    }

    pub(crate) fn remember(&mut self, principal: Principal, since: Generation, now: UnixMicros) {
        if since != self.generation || self.believe_for.is_zero() {
            return;
        }
        if self.known.len() >= SESSIONS_REMEMBERED_MAX {
            let believe_for = self.believe_for;
            self.known.retain(|_, (_, read_at)| now < read_at.after(believe_for));
        }
        if self.known.len() >= SESSIONS_REMEMBERED_MAX {
            self.known.clear();
        }
        self.known.insert(principal.session, (principal, now));
    }

    pub(crate) fn forget_session(&mut self, session: SessionId) {
        self.generation.0 += 1;
        self.known.remove(&session);
    }

    pub(crate) fn forget_user(&mut self, user: UserId) {
        self.generation.0 += 1;
        self.known.retain(|_, (principal, _)| principal.user != user);
    }
}

#[cfg(test)]
mod tests {
    use endpaper_api::Language;
    use endpaper_api::accounts::Role;
    use stdx::{Clock, IdSource, Random, Seed};

    use super::*;

    fn principal(ids: &IdSource) -> Principal {
        Principal {
            user: ids.next(),
            session: ids.next(),
            role: Role::User,
            language: Language::Ko,
            time_zone: "UTC".to_owned(),
        }
    }

    #[test]
    fn what_is_known_is_believed_for_a_while_and_until_it_is_forgotten() {
        let clock = Clock::starting_at(UnixMicros::from_secs(1_000));
        let ids = IdSource::new(clock.clone(), Random::new(Seed(1)));
        let mut cache = SessionCache::new(Duration::from_secs(5));
        let one = principal(&ids);
        let get = |cache: &SessionCache| cache.get(one.session, one.user, clock.now());

        cache.remember(one.clone(), cache.generation(), clock.now());
        assert_eq!(get(&cache), Some(one.clone()));
        assert_eq!(cache.get(one.session, principal(&ids).user, clock.now()), None);
        clock.advance(Duration::from_secs(5));
        assert_eq!(get(&cache), None);

        cache.remember(one.clone(), cache.generation(), clock.now());
        cache.forget_session(one.session);
        assert_eq!(get(&cache), None);

        cache.remember(one.clone(), cache.generation(), clock.now());
        cache.forget_user(one.user);
        assert_eq!(get(&cache), None);
    }

    #[test]
    fn what_was_read_before_a_session_ended_is_not_remembered_after() {
        let clock = Clock::starting_at(UnixMicros::from_secs(1_000));
        let ids = IdSource::new(clock.clone(), Random::new(Seed(1)));
        let mut cache = SessionCache::new(Duration::from_secs(5));
        let one = principal(&ids);
        let before_the_read = cache.generation();
        cache.forget_session(one.session);
        cache.remember(one.clone(), before_the_read, clock.now());
        assert_eq!(cache.get(one.session, one.user, clock.now()), None);
    }

    #[test]
    fn the_cache_is_bounded() {
        let clock = Clock::starting_at(UnixMicros::from_secs(1_000));
        let ids = IdSource::new(clock.clone(), Random::new(Seed(1)));
        let mut cache = SessionCache::new(Duration::from_secs(5));
        for _ in 0..=SESSIONS_REMEMBERED_MAX * 2 {
            cache.remember(principal(&ids), cache.generation(), clock.now());
            assert!(cache.known.len() <= SESSIONS_REMEMBERED_MAX);
        }
    }
}
