//! The last faults, for the operator's page: what the store and the alerts said
//! of them, kept in memory.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use stdx::{Clock, UnixMicros};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// How many are kept.
const KEPT_MAX: usize = 100;
/// The longest text of one.
const CHARS_MAX: usize = 1_000;

/// Something that went wrong, or is well again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: UnixMicros,
    /// `INFO`, `WARNING` or `CRITICAL`.
    pub(crate) severity: &'static str,
    /// What the log says, with its fields.
    pub(crate) text: String,
}

/// Keeps the last faults. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    kept: Arc<Mutex<VecDeque<Fault>>>,
    clock: Clock,
}

impl Faults {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { kept: Arc::default(), clock }
    }

    /// The newest first.
    pub(crate) fn last(&self) -> Vec<Fault> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().rev().cloned().collect()
    }
}

/// Events with a severity are faults: no other has one. They are rare, so that a
/// lock does no harm.
impl<S: Subscriber> Layer<S> for Faults {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().fields().field("severity").is_none() {
            return;
        }
        let mut said = Said::default();
        event.record(&mut said);
        let severity = match said.severity.as_str() {
            "CRITICAL" => "CRITICAL",
            "WARNING" => "WARNING",
            _ => "INFO",
        };
        let text = format!("{}{}", said.message, said.fields);
        let text = match text.char_indices().nth(CHARS_MAX) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(Fault { at: self.clock.now(), severity, text });
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    severity: String,
    message: String,
    fields: String,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let written = match field.name() {
            "severity" => write!(self.severity, "{value:?}"),
            "message" => write!(self.message, "{value:?}"),
            // Of an alert the episode is for programs.
            "episode" => Ok(()),
            name => write!(self.fields, " · {name}={value:?}"),
        };
        written.expect("a string takes all");
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn events_with_a_severity_are_kept_and_no_others() {
        let now = UnixMicros::from_secs(1_700_000_000);
        let faults = Faults::new(Clock::starting_at(now));
        let subscriber = tracing_subscriber::registry().with(faults.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("nobody's");
            tracing::warn!(severity = "WARNING", master = %"b", why = "it is gone", "a master failed");
            tracing::error!(severity = %"CRITICAL", episode = 7, "{}", "책".repeat(2_000));
            for at in 0..99 {
                tracing::info!(severity = "INFO", at, "caught up");
            }
        });
        let last = faults.last();
        assert_eq!(last.len(), KEPT_MAX);
        assert_eq!((last[0].severity, last[0].text.as_str()), ("INFO", "caught up · at=98"));
        let oldest = &last[KEPT_MAX - 1];
        assert_eq!((oldest.severity, oldest.at), ("CRITICAL", now));
        assert_eq!(oldest.text.chars().count(), CHARS_MAX + 1);
    }

    #[test]
    fn a_fault_has_its_fields() {
        let faults = Faults::new(Clock::starting_at(UnixMicros::from_secs(1)));
        let subscriber = tracing_subscriber::registry().with(faults.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(severity = "WARNING", master = %"b", why = "it is gone", "a master failed");
        });
        assert_eq!(faults.last()[0].text, "a master failed · master=b · why=it is gone");
    }
}
