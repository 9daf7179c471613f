//! Every bench runs, for a moment, and its last line is what scripts read.

use std::process::Command;
use std::time::Duration;

use lab::{Suite, suite};
use serde_json::Value;

const ENDS_WITHIN: Duration = Duration::from_mins(8);

/// Runs the bench for a moment and returns its last line. In the quick suite it
/// says on standard error what is left out.
fn masters(parts: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_masters"));
    command.args(["--quick", "--rounds", "1", "--turn-ms", "40", "--missed-rows", "300"]);
    for part in parts {
        command.args(["--only", part]);
    }
    let finished = lab::run(command, ENDS_WITHIN).unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let last = finished.stdout.lines().last().unwrap();
    serde_json::from_str(last).unwrap()
}

/// The rows, each looked at.
fn rows(object: &Value, callers: [u64; 3]) -> usize {
    assert_eq!(object["bench"], "masters");
    let rows = object["rows"].as_array().unwrap();
    for row in rows {
        assert!(row["work"].is_string() && row["subject"].is_string(), "{row}");
        assert!(row["callers"].as_u64().is_some_and(|count| callers.contains(&count)), "{row}");
        assert!(row["rate"].as_f64().is_some_and(|rate| rate > 0.0), "{row}");
        let (p50, p99) = (row["p50_us"].as_u64().unwrap(), row["p99_us"].as_u64().unwrap());
        assert!(p50 <= p99, "{row}");
    }
    rows.len()
}

fn aims(object: &Value) -> Vec<&str> {
    let aims = object["aims"].as_array().unwrap();
    for aim in aims {
        assert!(aim["value"].is_number() && aim["met"].is_boolean() == aim["moot"].is_null());
        assert!(aim["at_least"].is_number() != aim["at_most"].is_number(), "{aim}");
    }
    aims.iter().map(|aim| aim["name"].as_str().unwrap()).collect()
}

#[test]
fn masters_ends_with_one_object_whose_numbers_are_numbers() {
    let with_server = std::env::var_os("BENCH_SERVER").is_some();
    let object = masters(&["sqlite", "server"]);
    assert_eq!(rows(&object, [1, 8, 64]), if with_server { 12 } else { 9 });
    for name in ["pair_to_group_commit_at_64", "pair_to_one_commit_each_at_64"] {
        assert!(object["ratios"][name].as_f64().is_some_and(|ratio| ratio > 0.0), "{object}");
    }
    if with_server {
        assert!(object["import_ms"].is_u64() && object["idle_resident_bytes"].is_u64(), "{object}");
    }
}

#[test]
fn masters_on_mariadb_are_compared_with_every_rival() {
    if Suite::current() == Suite::Quick {
        return suite::left_out("MariaDB masters beside their rivals", lab::galera::PACKAGE);
    }
    assert_eq!(lab::galera_missing(), None);
    let object = masters(&["mariadb"]);
    // Two works, three widths, seven subjects.
    assert_eq!(rows(&object, [1, 8, 32]), 42);
    let aims = aims(&object);
    assert_eq!(aims.len(), 2 * (3 * 4 + 1), "{aims:?}");
    for rival in ["one_master", "one_after_the_other", "xa", "galera", "semi_synchronous"] {
        for ours in ["available", "all"] {
            let name = format!("{ours}_to_{rival}_update_at_32");
            assert!(object["ratios"][&name].as_f64().is_some_and(|ratio| ratio > 0.0), "{name}");
        }
    }
    assert!(object["semi_synchronous_follower_behind_ms_max"].is_u64(), "{object}");
}

#[test]
fn masters_on_mariadb_that_read_come_back_and_fail_are_measured() {
    if Suite::current() == Suite::Quick {
        return suite::left_out("MariaDB masters that come back and fail", lab::mariadb::PACKAGE);
    }
    let object = masters(&["reads", "returning", "failover"]);
    assert_eq!(rows(&object, [1, 8, 32]), 18);
    let aims = aims(&object);
    for name in
        ["catch_up_insert_rows_a_second", "first_copy_rows_a_second", "kill_primary_failed_reads"]
    {
        assert!(aims.contains(&name), "{aims:?}");
    }
    assert!(object["cores"].is_u64() && object["freeze_other_refused_writes"].is_u64());
}

/// The rivals come from their registries: they are left to who measures.
#[test]
fn sync_ends_with_one_object_whose_numbers_are_numbers() {
    if std::env::var_os("BENCH_SERVER").is_none() {
        return suite::left_out("the bench of sync", "BENCH_SERVER");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_sync"));
    command.args(["--rounds", "1", "--memos", "30", "--only", "endpaper"]);
    let finished = lab::run(command, ENDS_WITHIN).unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let last = finished.stdout.lines().last().unwrap();
    let object: Value = serde_json::from_str(last).unwrap();
    let rows = object["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 6, "written, sent and both, of two counts");
    assert!(rows.iter().all(|row| row["rate"].as_f64().is_some_and(|rate| rate > 0.0)));
    assert_eq!(object["queued_operations"], 30);
    assert!(object["queued_resident_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20));
}

/// Lighthouse comes from its registry: it is left to who measures.
#[test]
fn web_ends_with_one_object_whose_numbers_are_numbers() {
    if std::env::var_os("BENCH_SERVER").is_none() {
        return suite::left_out("the bench of the app", "BENCH_SERVER");
    }
    if !lab::require_chromium("the bench of the app") {
        return;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_web"));
    command.args(["--quick", "--memos", "100", "--without-lighthouse"]);
    let finished = lab::run(command, ENDS_WITHIN).unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let last = finished.stdout.lines().last().unwrap();
    let object: Value = serde_json::from_str(last).unwrap();
    assert_eq!((&object["bench"], &object["memos"]), (&"web".into(), &100.into()));
    let aims = aims(&object);
    for name in ["first_load_kilobytes", "interactive_cold_ms", "shelf_opens_ms"] {
        assert!(aims.contains(&name), "{aims:?}");
    }
    assert!(object["first_load_bytes"].as_u64().is_some_and(|bytes| bytes > 100_000), "{object}");
}
