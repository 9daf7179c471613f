//! Planted bugs: mistakes that such a store is likely to have, so that it can be
//! seen that the judges of a campaign find them.

/// Makes the enum, its list and its names of one table.
macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $bug:ident = $name:literal,)+) => {
        /// A mistake that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $($(#[doc = $doc])+ $bug,)+
        }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$bug,)+];

            /// What it is called.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)+
                }
            }
        }
    };
}

bugs! {
    /// Masters commit one after the other; where a later one fails, the earlier
    /// ones are put back and the write is called not saved.
    Compensation = "one after the other with compensation",
    /// A write does not look at which epoch it writes.
    NoEpochCheck = "no epoch check",
    /// The witness is neither told nor asked who may go on alone.
    NoWitness = "no witness",
    /// A master that comes back takes every change, whatever it is at.
    IgnoredVersions = "catch-up ignores versions",
    /// Reads go to masters that have yet to catch up.
    ReadsBehind = "reads from a master that is behind",
    /// Neither catching up nor undoing knows of deleted rows.
    ForgottenDeletes = "undo and redo forget deletes",
    /// After a lock time-out the server is believed to have rolled back the
    /// transaction, and it has rolled back the statement.
    StatementRolledBack = "only the statement is rolled back",
    /// A commit whose answer was lost is undone where it was not.
    CompensatedUnknown = "an unknown commit is compensated",
}

impl std::fmt::Display for Bug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Bug {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|bug| bug.name() == name);
        found.copied().ok_or_else(|| format!("there is no planted bug `{name}`"))
    }
}

#[cfg(not(feature = "faults"))]
pub(crate) const fn is(_: Bug) -> bool {
    false
}

#[cfg(feature = "faults")]
static PLANTED: std::sync::OnceLock<Bug> = std::sync::OnceLock::new();

/// Plants a bug in this process, for as long as it lives. The first one stays.
#[cfg(feature = "faults")]
pub fn plant(bug: Bug) {
    let _ = PLANTED.set(bug);
}

/// Whether this bug is planted.
#[cfg(feature = "faults")]
pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(&bug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_is_found_by_its_name_and_none_is_planted() {
        for bug in Bug::ALL {
            assert_eq!(bug.name().parse(), Ok(*bug));
            assert!(!is(*bug));
        }
        assert!("none".parse::<Bug>().is_err());
    }
}
