//! What is counted, as Prometheus reads it (text format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::Method;
use monitor::OpenEpisode;
use multi_master::{Counts, Failover, MasterNumbers, MasterState, MasterStatus, Queue};
use stdx::UnixMicros;

use crate::verification::Verified;

mod masters;

/// Upper bounds of the latency histogram, in seconds: from a read in memory to
/// the time limit of a request.
const BUCKETS: [f64; 14] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// The counters of this process. There are as many series as there are routes:
/// paths and methods that clients make up are counted together.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(String, &'static str), Route>>,
}

/// One route and method.
#[derive(Clone, Debug, Default)]
struct Route {
    by_status: BTreeMap<u16, u64>,
    /// Not cumulative; the last is for what is over every bound.
    by_latency: [u64; BUCKETS.len() + 1],
    total: Duration,
}

impl Metrics {
    /// Counts an answered request.
    pub(crate) fn request(&self, route: &str, method: &Method, status: u16, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let route = requests.entry((route.to_owned(), name_of(method))).or_default();
        *route.by_status.entry(status).or_default() += 1;
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        route.by_latency[bucket] += 1;
        route.total = route.total.saturating_add(took);
    }

    /// Everything, as text.
    pub(crate) fn render(&self, seen: &Seen<'_>) -> String {
        let Seen { masters, counts, .. } = *seen;
        let mut text = Text(String::new());
        self.render_requests(&mut text);
        text.head("endpaper_master_state", "gauge", "1 for the state that a master is in.");
        for master in masters {
            for (state, name) in STATES {
                let value = u8::from(master.state == state);
                text.sample(
                    "endpaper_master_state",
                    &[("master", &master.name.0), ("state", name)],
                    value,
                );
            }
        }
        text.head("endpaper_writes_total", "counter", "Writes by what became of them.");
        for (outcome, count) in [
            ("saved", counts.saved),
            ("owed", counts.owed),
            ("not_saved", counts.not_saved),
            ("in_doubt", counts.in_doubt),
        ] {
            text.sample("endpaper_writes_total", &[("outcome", outcome)], count);
        }
        for (name, help, count) in [
            ("endpaper_write_reruns_total", "Runs of a write that were repeated.", counts.retried),
            ("endpaper_reads_total", "Reads answered.", counts.reads),
        ] {
            text.head(name, "counter", help);
            text.sample(name, &[], count);
        }
        masters::render(seen, &mut text);
        if let Some(bytes) = resident_bytes() {
            text.head("process_resident_memory_bytes", "gauge", "Resident memory.");
            text.sample("process_resident_memory_bytes", &[], bytes);
        }
        text.0
    }

    fn render_requests(&self, text: &mut Text) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        text.head("endpaper_http_requests_total", "counter", "Requests answered.");
        for ((route, method), counted) in &requests {
            for (status, count) in &counted.by_status {
                let labels = [
                    ("route", route.as_str()),
                    ("method", method),
                    ("status", &status.to_string()),
                ];
                text.sample("endpaper_http_requests_total", &labels, count);
            }
        }
        text.head(LATENCY, "histogram", "From the head of the request to the head of the answer.");
        for ((route, method), counted) in &requests {
            let labels = [("route", route.as_str()), ("method", *method)];
            let mut below = 0;
            for (bound, count) in BUCKETS.iter().zip(counted.by_latency) {
                below += count;
                let bound = bound.to_string();
                text.sample(
                    &format!("{LATENCY}_bucket"),
                    &[labels[0], labels[1], ("le", &bound)],
                    below,
                );
            }
            below += counted.by_latency[BUCKETS.len()];
            text.sample(
                &format!("{LATENCY}_bucket"),
                &[labels[0], labels[1], ("le", "+Inf")],
                below,
            );
            text.sample(&format!("{LATENCY}_sum"), &labels, counted.total.as_secs_f64());
            text.sample(&format!("{LATENCY}_count"), &labels, below);
        }
    }
}

const LATENCY: &str = "endpaper_http_request_duration_seconds";

const STATES: [(MasterState, &str); 5] = [
    (MasterState::Live, "live"),
    (MasterState::Suspect, "suspect"),
    (MasterState::Joining, "joining"),
    (MasterState::Behind, "behind"),
    (MasterState::Down, "down"),
];

/// Methods that clients make up are counted together.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The resident memory of this process, where the system tells it.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

/// What is told of the store, at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) now: UnixMicros,
    pub(crate) masters: &'a [MasterStatus],
    pub(crate) counts: &'a Counts,
    pub(crate) numbers: &'a [MasterNumbers],
    pub(crate) failovers: &'a [Failover],
    pub(crate) queue: &'a Queue,
    pub(crate) conflicts_kept: u64,
    pub(crate) verified: &'a Verified,
    pub(crate) alerts: &'a [OpenEpisode],
}

/// The text format: heads and samples.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes all");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(self.0, "{before}{label}=\"{text}\"").expect("a string takes all");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        writeln!(self.0, "{close} {value}").expect("a string takes all");
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use multi_master::MasterName;

    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::default();
        metrics.request("/api/v1/memos", &Method::POST, 201, Duration::from_millis(3));
        metrics.request("/api/v1/memos", &Method::POST, 201, Duration::from_secs(40));
        metrics.request("none", &Method::from_bytes(b"BREW").unwrap(), 404, Duration::ZERO);
        let masters = [MasterStatus {
            name: MasterName("one\"\\".to_owned()),
            state: MasterState::Behind,
            reason: None,
        }];
        let seen = Seen {
            now: UnixMicros::from_secs(1_700_000_100),
            masters: &masters,
            counts: &Counts { saved: 7, settled: 5, undone: 2, ..Counts::default() },
            numbers: &[],
            failovers: &[],
            queue: &Queue::default(),
            conflicts_kept: 0,
            verified: &Verified::default(),
            alerts: &[],
        };
        let text = metrics.render(&seen);
        let few: Vec<&str> = text
            .lines()
            .filter(|line| {
                !line.starts_with("process_")
                    && !line.contains("route=\"none\",method=\"other\",le=")
            })
            .filter(|line| !line.starts_with("# HELP"))
            .collect();
        expect![[r#"
            # TYPE endpaper_http_requests_total counter
            endpaper_http_requests_total{route="/api/v1/memos",method="POST",status="201"} 2
            endpaper_http_requests_total{route="none",method="other",status="404"} 1"#]]
        .assert_eq(&few[..3].join("\n"));
        for line in [
            r#"endpaper_http_request_duration_seconds_bucket{route="/api/v1/memos",method="POST",le="0.0025"} 0"#,
            r#"endpaper_http_request_duration_seconds_bucket{route="/api/v1/memos",method="POST",le="0.005"} 1"#,
            r#"endpaper_http_request_duration_seconds_bucket{route="/api/v1/memos",method="POST",le="30"} 1"#,
            r#"endpaper_http_request_duration_seconds_bucket{route="/api/v1/memos",method="POST",le="+Inf"} 2"#,
            r#"endpaper_http_request_duration_seconds_sum{route="/api/v1/memos",method="POST"} 40.003"#,
            r#"endpaper_http_request_duration_seconds_count{route="/api/v1/memos",method="POST"} 2"#,
            r#"endpaper_master_state{master="one\"\\",state="behind"} 1"#,
            r#"endpaper_master_state{master="one\"\\",state="live"} 0"#,
            r#"endpaper_writes_total{outcome="saved"} 7"#,
            r#"endpaper_settled_total{how="rolled_forward"} 3"#,
            r#"endpaper_settled_total{how="undone"} 2"#,
        ] {
            assert!(few.contains(&line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn memory_is_told_where_the_system_tells_it() {
        if cfg!(target_os = "linux") {
            assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
        }
    }
}
