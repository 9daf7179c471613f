//! Every bench runs, for a moment, and its last line is what scripts read.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

const ENDS_WITHIN: Duration = Duration::from_mins(5);

#[test]
fn masters_ends_with_one_object_whose_numbers_are_numbers() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_masters"));
    command.args(["--quick", "--rounds", "1", "--turn-ms", "40"]);
    let with_server = std::env::var_os("BENCH_SERVER").is_some();
    let finished = lab::run(command, ENDS_WITHIN).unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let last = finished.stdout.lines().last().unwrap();
    let object: Value = serde_json::from_str(last).unwrap();
    assert_eq!(object["bench"], "masters");
    let rows = object["rows"].as_array().unwrap();
    assert_eq!(rows.len(), if with_server { 12 } else { 9 });
    for row in rows {
        assert!(row["work"].is_string() && row["subject"].is_string(), "{row}");
        assert!(
            row["callers"].as_u64().is_some_and(|callers| [1, 8, 64].contains(&callers)),
            "{row}"
        );
        assert!(row["rate"].as_f64().is_some_and(|rate| rate > 0.0), "{row}");
        let (p50, p99) = (row["p50_us"].as_u64().unwrap(), row["p99_us"].as_u64().unwrap());
        assert!(p50 <= p99, "{row}");
    }
    for name in ["pair_to_group_commit_at_64", "pair_to_one_commit_each_at_64"] {
        assert!(object["ratios"][name].as_f64().is_some_and(|ratio| ratio > 0.0), "{object}");
    }
    if with_server {
        assert!(object["import_ms"].is_u64() && object["idle_resident_bytes"].is_u64(), "{object}");
    }
}
