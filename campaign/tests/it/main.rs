//! The campaigns, for a few minutes.

use std::process::Command;
use std::time::Duration;

use lab::Suite;

/// Of a campaign of five minutes, which may wait for slow machines.
const ENDS_WITHIN: Duration = Duration::from_mins(15);

#[test]
fn the_masters_stay_one_for_five_minutes() {
    const NAME: &str = "the masters under fire for five minutes";
    if Suite::current() == Suite::Quick {
        lab::suite::left_out(NAME, "five minutes");
        return;
    }
    if lab::require_mariadb(NAME).is_none() {
        return;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_campaign"));
    command.args(["masters", "--minutes", "5", "--seed", "1"]);
    let finished = lab::run(command, ENDS_WITHIN).unwrap();
    println!("{}\n{}", finished.stdout, finished.stderr);
    assert_eq!(finished.code, Some(0));
    let last = finished.stdout.lines().last().unwrap();
    let told: serde_json::Value = serde_json::from_str(last).unwrap();
    let number = |name: &str| told[name].as_u64().unwrap();
    assert_eq!((number("lost"), number("diverged"), number("spoiled")), (0, 0, 0));
    assert!(number("faults") >= 20 && number("kinds") >= 10, "{told}");
    assert!(number("acknowledged") > 1_000, "{told}");
}
