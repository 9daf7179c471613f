//! Children: output, signals, bounds.

use std::process::Command;
use std::time::Duration;

use lab::{LabError, Process, Program, run};

const LIMIT: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_finished_process_is_told_whole() {
    let finished = run(shell("echo out; echo err >&2; exit 3"), LIMIT).unwrap();
    assert_eq!(finished.code, Some(3));
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn also_where_it_says_much() {
    let finished = run(shell("exec seq 2000000"), Duration::from_mins(1)).unwrap();
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[1_999_999]), (2_000_000, "1", "2000000"));
}

#[test]
fn environment_and_directory_reach_the_child() {
    let mut command = shell("echo $LAB_WORD; pwd");
    command.env("LAB_WORD", "책").current_dir("/");
    assert_eq!(run(command, LIMIT).unwrap().stdout, "책\n/\n");
}

#[test]
fn a_wait_has_a_bound() {
    let error =
        run(shell("echo why >&2; exec sleep 1000"), Duration::from_millis(300)).unwrap_err();
    assert!(matches!(&error, LabError::Late { .. }), "{error}");
}

#[test]
fn a_child_that_ends_before_it_is_ready_shows_its_reason() {
    let error = Program::start_command(shell("echo the reason >&2; exit 1")).unwrap_err();
    assert!(matches!(&error, LabError::Ended { log, .. } if log == "the reason"), "{error}");
}

#[test]
fn a_program_is_ready_when_it_says_where_it_listens() {
    let script = "trap 'exit 0' TERM; echo starting; echo listening on http://127.0.0.1:4242; while :; do sleep 0.01; done";
    let program = Program::start_command(shell(script)).unwrap();
    assert_eq!(program.url("/x"), "http://127.0.0.1:4242/x");
    assert_eq!(program.stop().unwrap().code, Some(0));
}

#[test]
fn what_stopped_by_itself_goes_on() {
    let mut process =
        Process::start(shell("echo before; kill -STOP $$; echo after; exec sleep 1000")).unwrap();
    process.wait_for_line(LIMIT, |line| (line == "before").then_some(())).unwrap();
    // It may not stand yet: a signal that comes before it stops is lost.
    let stands = format!("/proc/{}/stat", process.pid());
    while !std::fs::read_to_string(&stands).unwrap().contains(") T ") {
        std::thread::yield_now();
    }
    process.go_on().unwrap();
    process.wait_for_line(LIMIT, |line| (line == "after").then_some(())).unwrap();
    process.go_on().unwrap();
    process.kill().unwrap();
    process.go_on().unwrap();
}

#[test]
fn freeze_stops_and_thaw_goes_on() {
    let mut process =
        Process::start(shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done"))
            .unwrap();
    process.wait_for_line(LIMIT, |line| (line == "ready").then_some(())).unwrap();
    process.freeze().unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    assert_eq!(state.rsplit(')').next().unwrap().split_whitespace().next(), Some("T"), "{state}");
    process.thaw().unwrap();
    process.terminate().unwrap();
    assert_eq!(process.wait(LIMIT).unwrap().code, Some(7));
    assert!(
        matches!(process.freeze(), Err(LabError::State { .. })),
        "no signal goes to an id that is free again"
    );
}

#[test]
fn a_dropped_child_is_gone() {
    let mut process = Process::start(shell("echo ready; exec sleep 1000")).unwrap();
    process.wait_for_line(LIMIT, |line| (line == "ready").then_some(())).unwrap();
    let pid = process.pid();
    drop(process);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_kill_is_a_signal() {
    let mut process = Process::start(shell("exec sleep 1000")).unwrap();
    process.kill().unwrap();
    assert_eq!(process.wait(LIMIT).unwrap().signal, Some(9));
}
