//! Who is logged in, and how often somebody tried in vain.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stdx::{Clock, Random, UnixMicros};

use crate::token::Token;

/// The sessions of one server, in memory: they end with it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    state: Arc<Mutex<State>>,
    clock: Clock,
    random: Random,
}

#[derive(Debug, Default)]
struct State {
    /// The oldest first.
    open: VecDeque<Open>,
    /// When wrong tokens came, the oldest first.
    wrong: VecDeque<UnixMicros>,
}

#[derive(Clone, Debug)]
struct Open {
    session: Session,
    since: UnixMicros,
    notice: Option<String>,
}

/// One session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// What the cookie has.
    id: Token,
    /// What forms have, so that no other page can send them.
    secret: String,
}

/// What came of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    Right,
    Wrong,
    /// Too many wrong ones came: this one was not looked at.
    TooOften,
}

/// The most sessions: when there are more, the oldest ends.
const SESSIONS_MAX: usize = 32;
/// Wrong tokens within [`WRONG_WITHIN`], after which none is looked at.
const WRONG_MAX: usize = 10;
const WRONG_WITHIN: Duration = Duration::from_mins(1);

impl Sessions {
    /// How long a session lasts.
    pub(crate) const LIFE: Duration = Duration::from_hours(12);

    pub(crate) fn new(clock: Clock, random: Random) -> Self {
        Self { state: Arc::default(), clock, random }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `sent` is the token. Ten wrong ones a minute are looked at.
    pub(crate) fn try_token(&self, token: &Token, sent: &str) -> Tried {
        let now = self.clock.now();
        let mut state = self.state();
        // Also those of a clock that was ahead.
        state.wrong.retain(|at| *at <= now && now.since(*at) < WRONG_WITHIN);
        if state.wrong.len() >= WRONG_MAX {
            return Tried::TooOften;
        }
        if token.is(sent) {
            return Tried::Right;
        }
        state.wrong.push_back(now);
        tracing::warn!(severity = "WARNING", "a wrong operator's token was sent");
        Tried::Wrong
    }

    /// A new session, by what its cookie has.
    pub(crate) fn open(&self) -> String {
        let (id, secret) = (self.text(), self.text());
        let session = Session { id: Token::new(&id), secret };
        let mut state = self.state();
        if state.open.len() == SESSIONS_MAX {
            state.open.pop_front();
        }
        state.open.push_back(Open { session, since: self.clock.now(), notice: None });
        id
    }

    /// The session of a cookie.
    pub(crate) fn find(&self, id: &str) -> Option<Session> {
        let now = self.clock.now();
        let mut state = self.state();
        state.open.retain(|open| open.since <= now && now.since(open.since) < Self::LIFE);
        let found = state.open.iter().find(|open| open.session.id.is(id))?;
        Some(found.session.clone())
    }

    pub(crate) fn close(&self, session: &Session) {
        self.state().open.retain(|open| open.session.secret != session.secret);
    }

    /// What the page says once, when it is shown next.
    pub(crate) fn put_notice(&self, session: &Session, notice: String) {
        self.with(session, |open| open.notice = Some(notice));
    }

    pub(crate) fn take_notice(&self, session: &Session) -> Option<String> {
        self.with(session, |open| open.notice.take()).flatten()
    }

    fn with<T>(&self, session: &Session, change: impl FnOnce(&mut Open) -> T) -> Option<T> {
        let mut state = self.state();
        let open = state.open.iter_mut().find(|open| open.session.secret == session.secret);
        open.map(change)
    }

    /// 256 bits.
    fn text(&self) -> String {
        let mut text = String::new();
        for byte in self.random.bytes::<32>() {
            write!(text, "{byte:02x}").expect("a string takes all");
        }
        text
    }
}

impl Session {
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn secret_is(&self, sent: &str) -> bool {
        Token::new(&self.secret).is(sent)
    }
}

#[cfg(test)]
mod tests {
    use stdx::Seed;

    use super::*;

    fn sessions() -> (Sessions, Clock) {
        let clock = Clock::starting_at(UnixMicros::from_secs(1_700_000_000));
        (Sessions::new(clock.clone(), Random::new(Seed(7))), clock)
    }

    #[test]
    fn after_ten_wrong_tokens_none_is_looked_at_for_a_while() {
        let (sessions, clock) = sessions();
        let token = Token::new("a long enough token");
        for _ in 0..10 {
            assert_eq!(sessions.try_token(&token, "another"), Tried::Wrong);
        }
        assert_eq!(sessions.try_token(&token, "a long enough token"), Tried::TooOften);
        clock.advance(Duration::from_mins(1));
        assert_eq!(sessions.try_token(&token, "a long enough token"), Tried::Right);
    }

    #[test]
    fn a_session_ends_by_itself_by_its_user_and_when_there_are_too_many() {
        let (sessions, clock) = sessions();
        let first = sessions.open();
        let session = sessions.find(&first).unwrap();
        assert!(session.secret_is(session.secret()) && !session.secret_is(&first));
        assert!(sessions.find("").is_none() && sessions.find(&first[1..]).is_none());
        sessions.close(&session);
        assert!(sessions.find(&first).is_none());

        let second = sessions.open();
        clock.advance(Sessions::LIFE);
        assert!(sessions.find(&second).is_none());

        let third = sessions.open();
        for _ in 0..SESSIONS_MAX {
            assert!(sessions.find(&third).is_some());
            sessions.open();
        }
        assert!(sessions.find(&third).is_none());
    }

    #[test]
    fn a_notice_is_shown_once() {
        let (sessions, _) = sessions();
        let session = sessions.find(&sessions.open()).unwrap();
        sessions.put_notice(&session, "done".to_owned());
        assert_eq!(sessions.take_notice(&session).as_deref(), Some("done"));
        assert_eq!(sessions.take_notice(&session), None);
    }
}
