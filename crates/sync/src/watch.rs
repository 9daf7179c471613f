//! Whether the server can be reached.
//!
//! What a device says of its network is a hint: it says *online* in a train's
//! captive portal, and *offline* where a cable would do. So a hint is waited out for
//! a second, and then the server is asked whether it is well; only its own answer
//! counts.
//!
//! ```text
//!            hint: online            1 s later             yes
//!  OFFLINE ────────────────▶ SETTLING ────────▶ ASKING ─────────▶ ONLINE
//!     ▲                                          ▲  │ no, or nothing in 3 s  │
//!     │ hint: offline (from everywhere)      5 s │  ▼                        │
//!     └───────────────────────────────────── WAITING ◀──────────────────────┘
//!                                                      a request found nobody
//! ```
//!
//! When it is there it is asked for what it needs from outside as well, such as a
//! catalogue of books ([`Source`]). That is for the person to know: nothing waits for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stdx::UnixMicros;

/// A hint is waited out: networks come and go in their first moments.
pub const SETTLING: Duration = Duration::from_secs(1);
/// What answers later is not there.
pub const ASKING_MAX: Duration = Duration::from_secs(3);
/// Then it is asked again.
pub const PAUSE: Duration = Duration::from_secs(5);

/// A source outside that is away is asked for again then.
pub const SOURCE_PAUSE: Duration = Duration::from_mins(1);
/// One that is there, too.
pub const SOURCE_TRUSTED: Duration = Duration::from_mins(5);

/// Where the watch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Watch {
    /// The device says that it has no network.
    Offline,
    /// The device says that it has one; this is waited out.
    Settling {
        /// Until when.
        until: UnixMicros,
    },
    /// The server was asked.
    Asking {
        /// Until when an answer counts.
        until: UnixMicros,
    },
    /// It did not answer, and is asked again.
    Waiting {
        /// When.
        until: UnixMicros,
    },
    /// It answered.
    Online,
}

impl Watch {
    /// The device has a network, or may have.
    pub fn may_be_online(&mut self, now: UnixMicros) {
        if matches!(self, Self::Offline | Self::Waiting { .. }) {
            *self = Self::Settling { until: now.after(SETTLING) };
        }
    }

    /// A person wants to know now: nothing is waited out.
    pub const fn is_asked_for(&mut self, now: UnixMicros) {
        if matches!(self, Self::Offline | Self::Settling { .. } | Self::Waiting { .. }) {
            *self = Self::Settling { until: now };
        }
    }

    /// The device has none.
    pub const fn is_offline(&mut self) {
        *self = Self::Offline;
    }

    /// A request found nobody.
    pub fn found_nobody(&mut self, now: UnixMicros) {
        if *self != Self::Offline {
            *self = Self::Waiting { until: now.after(PAUSE) };
        }
    }

    /// The server has answered whether it is well; only an answer that is its own
    /// is a yes.
    pub fn answered(&mut self, yes: bool, now: UnixMicros) {
        if let Self::Asking { .. } = self {
            *self = if yes { Self::Online } else { Self::Waiting { until: now.after(PAUSE) } };
        }
    }

    /// Time has gone on; true where the server has to be asked now.
    pub fn is_to_ask(&mut self, now: UnixMicros) -> bool {
        match *self {
            Self::Settling { until } | Self::Waiting { until } if due(until, now, PAUSE) => {
                *self = Self::Asking { until: now.after(ASKING_MAX) };
                true
            }
            Self::Asking { until } if due(until, now, ASKING_MAX) => {
                *self = Self::Waiting { until: now.after(PAUSE) };
                false
            }
            _ => false,
        }
    }

    /// When time is to go on.
    #[must_use]
    pub const fn wake(&self) -> Option<UnixMicros> {
        match *self {
            Self::Settling { until } | Self::Asking { until } | Self::Waiting { until } => {
                Some(until)
            }
            Self::Offline | Self::Online => None,
        }
    }
}

/// Whether what the server needs from outside is there, as far as the server says: the second
/// phase of the watch, which informs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    is_there: Option<bool>,
    wait: Wait,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Wait {
    #[default]
    No,
    /// For an answer, which counts until then.
    Answer(UnixMicros),
    /// To ask again.
    Pause(UnixMicros),
}

impl Source {
    /// Whether it is there, as the server said last; none where the server can't be
    /// reached, or has not answered yet.
    #[must_use]
    pub const fn is_there(&self) -> Option<bool> {
        self.is_there
    }

    /// The server has answered.
    pub fn answered(&mut self, yes: bool, now: UnixMicros) {
        if let Wait::Answer(_) = self.wait {
            let pause = if yes { SOURCE_TRUSTED } else { SOURCE_PAUSE };
            *self = Self { is_there: Some(yes), wait: Wait::Pause(now.after(pause)) };
        }
    }

    /// Time has gone on; true where the server has to be asked now.
    pub fn is_to_ask(&mut self, watch: Watch, now: UnixMicros) -> bool {
        if watch != Watch::Online {
            *self = Self::default();
            return false;
        }
        match self.wait {
            Wait::Answer(until) if due(until, now, ASKING_MAX) => self.answered(false, now),
            Wait::Pause(until) if due(until, now, SOURCE_TRUSTED) => self.wait = Wait::No,
            Wait::Answer(_) | Wait::Pause(_) | Wait::No => {}
        }
        let asks = self.wait == Wait::No;
        if asks {
            self.wait = Wait::Answer(now.after(ASKING_MAX));
        }
        asks
    }

    /// When time is to go on.
    #[must_use]
    pub const fn wake(&self) -> Option<UnixMicros> {
        match self.wait {
            Wait::Answer(until) | Wait::Pause(until) => Some(until),
            Wait::No => None,
        }
    }
}

/// Whether it is time, also where the clock was set back meanwhile: nothing is
/// further away than it was when it began.
pub(crate) fn due(until: UnixMicros, now: UnixMicros, pause_max: Duration) -> bool {
    now >= until || until.since(now) > pause_max
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> UnixMicros {
        UnixMicros::from_secs(1_000 + secs)
    }

    #[test]
    fn a_hint_is_waited_out_and_the_server_asked_until_it_says_yes() {
        let mut watch = Watch::Offline;
        assert!(!watch.is_to_ask(at(0)));
        watch.may_be_online(at(0));
        assert_eq!(watch.wake(), Some(at(1)));
        assert!(!watch.is_to_ask(at(0)));
        assert!(watch.is_to_ask(at(1)));
        assert!(!watch.is_to_ask(at(3)), "it has three seconds");
        assert!(!watch.is_to_ask(at(4)));
        assert_eq!(watch, Watch::Waiting { until: at(9) });
        watch.answered(true, at(5));
        assert_eq!(watch, Watch::Waiting { until: at(9) }, "too late");
        assert!(watch.is_to_ask(at(9)));
        watch.answered(false, at(10));
        assert!(watch.is_to_ask(at(15)));
        watch.answered(true, at(16));
        assert_eq!((watch, watch.wake()), (Watch::Online, None));
        watch.found_nobody(at(20));
        assert!(watch.is_to_ask(at(25)));
        watch.is_offline();
        watch.answered(true, at(26));
        watch.found_nobody(at(26));
        assert_eq!(watch, Watch::Offline);
    }

    #[test]
    fn who_asks_for_it_waits_for_nothing() {
        let mut watch = Watch::Offline;
        watch.is_asked_for(at(0));
        assert!(watch.is_to_ask(at(0)));
        watch.is_asked_for(at(1));
        assert!(!watch.is_to_ask(at(1)), "it is asked already");
        watch.answered(false, at(1));
        watch.is_asked_for(at(2));
        assert!(watch.is_to_ask(at(2)));
        watch.answered(true, at(2));
        watch.is_asked_for(at(3));
        assert_eq!(watch, Watch::Online);
    }

    #[test]
    fn a_source_is_asked_for_when_the_server_is_there() {
        let (mut source, online) = (Source::default(), Watch::Online);
        assert!(!source.is_to_ask(Watch::Settling { until: at(1) }, at(0)));
        assert!(source.is_to_ask(online, at(0)));
        assert!(!source.is_to_ask(online, at(1)));
        assert_eq!((source.is_there(), source.wake()), (None, Some(at(3))));
        // No answer is a no; it is asked for again in a minute.
        assert!(!source.is_to_ask(online, at(3)));
        source.answered(true, at(4));
        assert_eq!((source.is_there(), source.wake()), (Some(false), Some(at(63))));
        assert!(source.is_to_ask(online, at(63)));
        assert_eq!(source.is_there(), Some(false), "until something else is known");
        source.answered(false, at(64));
        assert!(source.is_to_ask(online, at(-40_000_000)), "the clock was set back");
        source.answered(true, at(-40_000_000));
        assert_eq!(source.is_there(), Some(true));
        assert!(!source.is_to_ask(online, at(-40_000_000 + 299)));
        assert!(source.is_to_ask(online, at(-40_000_000 + 300)));
        assert!(!source.is_to_ask(Watch::Waiting { until: at(9) }, at(5)));
        assert_eq!(source.is_there(), None);
        assert!(source.is_to_ask(online, at(6)));
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_waiting() {
        let mut watch = Watch::Offline;
        watch.may_be_online(at(0));
        assert!(watch.is_to_ask(at(-40_000_000)));
        assert!(!watch.is_to_ask(at(-80_000_000)));
        assert!(matches!(watch, Watch::Waiting { .. }));
    }
}
