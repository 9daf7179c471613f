//! Times, as people read them.

use std::time::Duration;

use stdx::UnixMicros;

/// The two greatest units of a duration: `3 s`, `2 min 5 s`, `1 h 12 min`,
/// `4 d 7 h`.
pub(crate) fn duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    let parts =
        [(secs / 86_400, "d"), (secs / 3_600 % 24, "h"), (secs / 60 % 60, "min"), (secs % 60, "s")];
    let from = parts.iter().position(|(count, _)| *count > 0).unwrap_or(parts.len() - 1);
    let shown = parts[from..].iter().take(2).filter(|(count, _)| *count > 0 || secs == 0);
    shown.map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

/// An instant in UTC (RFC 3339), to the second.
pub(crate) fn instant(at: UnixMicros) -> String {
    let at = jiff::Timestamp::from_second(at.as_secs()).unwrap_or_default();
    format!("{at:.0}")
}

/// A short time: `80 µs`, `2.5 ms`, `10 s`.
pub(crate) fn micros(us: u64) -> String {
    let tenths = |value: u64, of: u64, unit: &str| match (value / of, value % of * 10 / of) {
        (whole, 0) => format!("{whole} {unit}"),
        (whole, tenth) => format!("{whole}.{tenth} {unit}"),
    };
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => tenths(us, 1_000, "ms"),
        _ => tenths(us, 1_000_000, "s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let told = [0, 3, 60, 125, 3_600, 4_320, 86_400, 370_800]
            .map(|secs| duration(Duration::from_secs(secs)));
        let expected = ["0 s", "3 s", "1 min", "2 min 5 s", "1 h", "1 h 12 min", "1 d", "4 d 7 h"];
        assert_eq!(told, expected);
        let told = [0, 80, 1_000, 2_590, 10_000_000].map(micros);
        assert_eq!(told, ["0 µs", "80 µs", "1 ms", "2.5 ms", "10 s"]);
        assert_eq!(instant(UnixMicros::from_secs(1_700_000_000)), "2023-11-14T22:13:20Z");
    }
}
