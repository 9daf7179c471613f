//! How many files and connections the system lets this process have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is kept for everything that is no reader's connection: the store's
/// files and connections (some 90 for two masters at the defaults), external
/// sources, mail, the operator's listener, standard streams.
const KEPT: u64 = 256;

/// Raises the limit of open files as far as the system allows without asking
/// anybody (the soft limit to the hard one), and returns what it is then;
/// `None` where there is none.
pub(crate) fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays as it is");
            limit.current
        }
    }
}

/// How many connections of clients fit below a limit of open files: what is
/// left when [`KEPT`] are kept, and half of the limit where that is more. At
/// least one.
pub(crate) fn connections_below(limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return usize::MAX };
    usize::try_from(limit.saturating_sub(KEPT).max(limit / 2).max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_kept() {
        assert_eq!(connections_below(None), usize::MAX);
        assert_eq!(connections_below(Some(1_048_576)), 1_048_320);
        assert_eq!(connections_below(Some(1_024)), 768);
        assert_eq!(connections_below(Some(200)), 100);
        assert_eq!(connections_below(Some(1)), 1);
    }
}
