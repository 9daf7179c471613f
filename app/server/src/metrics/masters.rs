//! The numbers of the masters.

use monitor::Severity;
use multi_master::{FailoverOf, LATENCY_BOUNDS_US, Latency};

use super::{Seen, Text};
use crate::verification::RunResult;

pub(super) fn render(seen: &Seen<'_>, text: &mut Text) {
    settled(seen, text);
    owed(seen, text);
    differing(seen, text);
    failovers(seen, text);
    numbers(seen, text);
    verified(seen, text);
    alerts(seen, text);
}

fn settled(seen: &Seen<'_>, text: &mut Text) {
    let name = "endpaper_settled_total";
    let help = "Transactions that a master which had been away got, or had to take back.";
    text.head(name, "counter", help);
    let undone = seen.counts.undone;
    let forward = seen.counts.settled.saturating_sub(undone);
    for (how, count) in [("rolled_forward", forward), ("undone", undone)] {
        text.sample(name, &[("how", how)], count);
    }
}

fn owed(seen: &Seen<'_>, text: &mut Text) {
    let of = |name: &str| seen.queue.masters.iter().find(|owed| owed.master.0 == name);
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&str) -> Option<f64>| {
        text.head(name, "gauge", help);
        for master in seen.masters {
            if let Some(value) = value(&master.name.0) {
                text.sample(name, &[("master", &master.name.0)], value);
            }
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    gauge(
        "endpaper_master_owed",
        "Write-sets (markers) that a master misses; none while that is not known.",
        &|name| of(name).map_or(Some(0.0), |owed| owed.write_sets.map(|count| count as f64)),
    );
    gauge(
        "endpaper_master_lag_seconds",
        "The age of the oldest write-set that a master misses.",
        &|name| {
            let Some(owed) = of(name) else { return Some(0.0) };
            let nothing = (owed.write_sets == Some(0)).then_some(0.0);
            owed.oldest.map(|oldest| seen.now.since(oldest).as_secs_f64()).or(nothing)
        },
    );
    gauge("endpaper_master_attempts", "Failures in a row to bring a master back.", &|name| {
        Some(of(name).map_or(0.0, |owed| f64::from(owed.attempts)))
    });
    let name = "endpaper_in_doubt";
    text.head(name, "gauge", "Transactions whose outcome nobody can tell yet.");
    text.sample(name, &[], seen.queue.in_doubt.len());
    let name = "endpaper_in_doubt_fell_out_total";
    text.head(name, "counter", "Transactions in doubt that fell out of the queue, which was full.");
    text.sample(name, &[], seen.queue.fell_out);
}

fn differing(seen: &Seen<'_>, text: &mut Text) {
    let name = "endpaper_writes_diverged_total";
    let help = "Writes that were refused because the masters hold different rows.";
    text.head(name, "counter", help);
    text.sample(name, &[], seen.counts.diverged);
    let name = "endpaper_conflicts_kept";
    let help = "What lost against something else and is kept for a person; at most 10000.";
    text.head(name, "gauge", help);
    text.sample(name, &[], seen.conflicts_kept);
}

fn failovers(seen: &Seen<'_>, text: &mut Text) {
    let name = "endpaper_failovers_total";
    let help = "Reads that went over to another master, and changes of the master on which \
                writes run first; outcome is refused where nobody could take over.";
    text.head(name, "counter", help);
    for one in seen.failovers {
        let what = match one.what {
            FailoverOf::Read => "read",
            FailoverOf::Writes => "writes",
        };
        let to = one.to.as_ref().map_or("", |to| to.0.as_str());
        let outcome = if one.to.is_some() { "served" } else { "refused" };
        let labels = [("what", what), ("from", &one.from.0), ("to", to), ("outcome", outcome)];
        text.sample(name, &labels, one.count);
    }
}

fn numbers(seen: &Seen<'_>, text: &mut Text) {
    for (name, help, of) in [
        (
            "endpaper_master_statement_seconds",
            "Statements of readers and writers; with MariaDB, what is sent in one packet is one.",
            (|one| &one.statements) as fn(&multi_master::MasterNumbers) -> &Latency,
        ),
        ("endpaper_master_commit_seconds", "Commits of writes.", |one| &one.commits),
    ] {
        text.head(name, "histogram", help);
        for one in seen.numbers {
            histogram(name, &one.name.0, of(one), text);
        }
    }
    let name = "endpaper_master_pool_waits_total";
    text.head(name, "counter", "How often a connection had to be waited for.");
    for one in seen.numbers {
        text.sample(name, &[("master", &one.name.0)], one.pool_waits);
    }
    let name = "endpaper_master_pool_wait_seconds_total";
    text.head(name, "counter", "How long connections were waited for, in all.");
    for one in seen.numbers {
        text.sample(name, &[("master", &one.name.0)], seconds(one.pool_waited_us));
    }
}

fn histogram(name: &str, master: &str, latency: &Latency, text: &mut Text) {
    let bucket = format!("{name}_bucket");
    let mut below = 0;
    for (bound, count) in LATENCY_BOUNDS_US.iter().zip(latency.buckets) {
        below += count;
        let bound = seconds(*bound).to_string();
        text.sample(&bucket, &[("master", master), ("le", &bound)], below);
    }
    text.sample(&bucket, &[("master", master), ("le", "+Inf")], latency.count());
    text.sample(&format!("{name}_sum"), &[("master", master)], seconds(latency.total_us));
    text.sample(&format!("{name}_count"), &[("master", master)], latency.count());
}

#[expect(clippy::cast_precision_loss, reason = "some centuries fit")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1_000_000.0
}

fn verified(seen: &Seen<'_>, text: &mut Text) {
    for (name, help, count) in [
        ("endpaper_verify_runs_total", "Comparisons of the masters.", seen.counts.verifications),
        (
            "endpaper_verify_different_rows_total",
            "Rows that comparisons found different.",
            seen.counts.differences,
        ),
        (
            "endpaper_verify_repaired_rows_total",
            "Rows that comparisons made the same again.",
            seen.counts.repaired,
        ),
    ] {
        text.head(name, "counter", help);
        text.sample(name, &[], count);
    }
    let Some(last) = &seen.verified.last else { return };
    let name = "endpaper_verify_last_timestamp_seconds";
    text.head(name, "gauge", "When the last comparison ended.");
    text.sample(name, &[], last.at.as_secs());
    if let RunResult::Done { different, repaired, structure, .. } = &last.result {
        let name = "endpaper_verify_last_different_rows";
        text.head(name, "gauge", "Rows that it left different.");
        text.sample(name, &[], different.saturating_sub(*repaired));
        let name = "endpaper_verify_last_structure";
        text.head(name, "gauge", "Tables, columns and indexes that were not as they were made.");
        text.sample(name, &[], structure);
    }
}

fn alerts(seen: &Seen<'_>, text: &mut Text) {
    let name = "endpaper_alerts_open";
    text.head(name, "gauge", "Alerts that are open and not well again.");
    for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
        let open = seen.alerts.iter().filter(|open| open.resolved_at.is_none());
        let count = open.filter(|open| open.alert.severity() == severity).count();
        text.sample(name, &[("severity", severity.as_str())], count);
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use multi_master::{
        Counts, Failover, MasterName, MasterNumbers, MasterState, MasterStatus, Owed, Queue,
    };
    use stdx::UnixMicros;

    use super::*;
    use crate::verification::Verified;

    #[test]
    fn each_master_has_its_numbers() {
        let name = |name: &str| MasterName(name.to_owned());
        let masters =
            [("a", MasterState::Live), ("b", MasterState::Behind)].map(|(name, state)| {
                MasterStatus { name: MasterName(name.to_owned()), state, reason: None }
            });
        let mut statements = Latency { total_us: 420, ..Latency::default() };
        statements.buckets[0] = 2;
        statements.buckets[LATENCY_BOUNDS_US.len()] = 1;
        let numbers = [MasterNumbers {
            name: name("a"),
            statements,
            commits: Latency::default(),
            pool_waits: 3,
            pool_waited_us: 1_500_000,
        }];
        let queue = Queue {
            masters: vec![Owed {
                master: name("b"),
                state: MasterState::Behind,
                since: UnixMicros::from_secs(100),
                write_sets: Some(12),
                or_more: false,
                oldest: Some(UnixMicros::from_secs(101)),
                attempts: 4,
                last_error: None,
                next_try: None,
                to_be_filled: false,
            }],
            ..Queue::default()
        };
        let failovers =
            [Failover { what: FailoverOf::Read, from: name("b"), to: Some(name("a")), count: 9 }];
        let seen = Seen {
            now: UnixMicros::from_secs(107),
            masters: &masters,
            counts: &Counts { verifications: 1, differences: 2, repaired: 1, ..Counts::default() },
            numbers: &numbers,
            failovers: &failovers,
            queue: &queue,
            conflicts_kept: 3,
            verified: &Verified::default(),
            alerts: &[],
        };
        let mut text = Text(String::new());
        render(&seen, &mut text);
        let lines: Vec<&str> = text
            .0
            .lines()
            .filter(|line| !line.starts_with('#') && !line.contains("commit_seconds"))
            .filter(|line| {
                !line.contains("_bucket") || line.contains("\"+Inf\"") || line.contains("0.00002\"")
            })
            .collect();
        expect![[r#"
            endpaper_settled_total{how="rolled_forward"} 0
            endpaper_settled_total{how="undone"} 0
            endpaper_master_owed{master="a"} 0
            endpaper_master_owed{master="b"} 12
            endpaper_master_lag_seconds{master="a"} 0
            endpaper_master_lag_seconds{master="b"} 6
            endpaper_master_attempts{master="a"} 0
            endpaper_master_attempts{master="b"} 4
            endpaper_in_doubt 0
            endpaper_in_doubt_fell_out_total 0
            endpaper_writes_diverged_total 0
            endpaper_conflicts_kept 3
            endpaper_failovers_total{what="read",from="b",to="a",outcome="served"} 9
            endpaper_master_statement_seconds_bucket{master="a",le="0.00002"} 2
            endpaper_master_statement_seconds_bucket{master="a",le="+Inf"} 3
            endpaper_master_statement_seconds_sum{master="a"} 0.00042
            endpaper_master_statement_seconds_count{master="a"} 3
            endpaper_master_pool_waits_total{master="a"} 3
            endpaper_master_pool_wait_seconds_total{master="a"} 1.5
            endpaper_verify_runs_total 1
            endpaper_verify_different_rows_total 2
            endpaper_verify_repaired_rows_total 1
            endpaper_alerts_open{severity="INFO"} 0
            endpaper_alerts_open{severity="WARNING"} 0
            endpaper_alerts_open{severity="CRITICAL"} 0"#]]
        .assert_eq(&lines.join("\n"));
    }
}
