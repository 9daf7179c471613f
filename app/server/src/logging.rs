//! The log: lines on standard error, for people or for programs.

use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, LogSettings};
use crate::faults::Faults;

/// Parts of others that say more than anybody reads, and the most that they
/// may say.
const QUIETER: [(&str, Level); 5] = [
    ("hyper", Level::WARN),
    ("hyper_util", Level::WARN),
    ("reqwest", Level::WARN),
    ("rustls", Level::WARN),
    ("mysql_async", Level::WARN),
];

/// The least important event that may be a fault.
const KEPT: LevelFilter = LevelFilter::INFO;

/// Starts the log of this process, and keeps its faults.
pub(crate) fn start(settings: LogSettings, faults: Faults) {
    let targets = QUIETER
        .into_iter()
        .map(|(target, level)| (target, level.min(settings.level)))
        .fold(Targets::new().with_default(settings.level), |targets, (target, level)| {
            targets.with_target(target, level)
        });
    // Faults are kept however little is written.
    let subscriber = tracing_subscriber::registry().with(faults.with_filter(KEPT));
    let lines = fmt::layer().with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Text => subscriber.with(lines.with_ansi(false).with_filter(targets)).init(),
        LogFormat::Json => {
            // The request's span is the only one there is.
            let lines = lines.json().flatten_event(true).with_span_list(false);
            subscriber.with(lines.with_filter(targets)).init();
        }
    }
}
