//! The campaigns, for a few minutes.

#[cfg(feature = "faults")]
mod returning;

use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lab::Suite;

/// Two processes write to the servers under `all`.
const ARGUMENTS: [&str; 6] = ["masters", "--minutes", "5", "--every-fault", "--seed", "1"];
/// Of a campaign of five minutes, which is longer on slow machines.
const ENDS_WITHIN: Duration = Duration::from_mins(15);

/// One at a time: each fills the machine.
static TURN: Mutex<()> = Mutex::new(());

/// Runs a campaign and returns the last line of what it says. Where the full
/// suite does not run, nothing.
fn campaign(name: &str, arguments: &[&str]) -> Option<serde_json::Value> {
    if Suite::current() == Suite::Quick {
        lab::suite::left_out(name, "some minutes");
        return None;
    }
    lab::require_mariadb(name)?;
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new(env!("CARGO_BIN_EXE_campaign"));
    command.args(arguments);
    let finished = lab::run(command, ENDS_WITHIN).unwrap();
    println!("{}\n{}", finished.stdout, finished.stderr);
    assert_eq!(finished.code, Some(0));
    Some(serde_json::from_str(finished.stdout.lines().last().unwrap()).unwrap())
}

#[test]
fn the_masters_stay_one_for_five_minutes() {
    let name = "the masters under fire for five minutes";
    let Some(told) = campaign(name, &ARGUMENTS) else { return };
    let number = |name: &str| told[name].as_u64().unwrap();
    assert_eq!((number("lost"), number("diverged"), number("spoiled")), (0, 0, 0));
    assert!(number("faults") >= 100 && number("kinds") >= 25, "{told}");
    assert!(number("acknowledged") > 10_000, "{told}");
    if cfg!(feature = "faults") {
        assert!(number("full") >= 1, "not every fault came to each set of masters: {told}");
        assert_eq!((number("points"), number("points_missed")), (18, 0), "{told}");
    }
}

/// All of them take some minutes more: `cargo xtask lab planted`.
#[cfg(feature = "faults")]
#[test]
fn planted_bugs_are_found() {
    let name = "two planted bugs, by the campaign's judges";
    for bug in ["undo and redo forget deletes", "no witness"] {
        let arguments = ["planted", "--minutes-each", "2", "--seed", "1", "--bug", bug];
        let Some(told) = campaign(name, &arguments) else { return };
        assert_eq!((told["bugs"].as_u64(), told["found"].as_u64()), (Some(1), Some(1)), "{told}");
    }
}
