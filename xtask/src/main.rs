//! `cargo xtask`: the commands for developing this project.
//!
//! | command | what it does |
//! |---|---|
//! | `serve` | builds the platform and runs it |
//! | `test` | installs what the full suite needs where it may, then runs every check and test |
//! | `ci` | the same, under the name that says so |
//! | `tidy` | keeps the rules of `docs/STYLE.md` that a program can keep |
//! | `web` | builds the reader's app for browsers |
//! | `wasm` | checks that the crates that say so compile for browsers |
//! | `bench` | measures, beside rivals, in release |
//! | `fuzz` | any bytes, at the places where bytes come in |
//! | `sim` | programs of chance under virtual time, as many as wanted |
//! | `lab` | a campaign: faults, load and judges, for minutes or hours |
//!
//! It does nothing that its printed commands would not do by hand.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod serve;

mod test;

mod setup;

mod bench;

mod lab;

mod fuzz;

mod sim;

mod tidy;

mod shell;

mod wasm;

mod web;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Commands for developing this project")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the platform and run it on http://127.0.0.1:8080
    Serve(serve::Arguments),
    /// Install what is needed where possible, then run every check and test
    Test(test::Arguments),
    /// What the continuous integration runs: the same as `test`
    Ci,
    /// Check the rules of docs/STYLE.md that a program can
    Tidy,
    /// Build the reader's app into app/web/dist
    Web,
    /// Check that the crates that say so compile for browsers, and build what tests have a
    /// browser do
    Wasm,
    /// Measure: a table for people, then one line of JSON
    Bench(bench::Arguments),
    /// Run programs of chance under virtual time: the same seed gives the same bytes
    Sim(sim::Arguments),
    /// Give any bytes to what reads them, steered by what they reach
    Fuzz(fuzz::Arguments),
    /// Put faults in the way for minutes or hours, and judge what clients saw: a
    /// table for people, then one line of JSON
    Lab(lab::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Task::Serve(arguments) => serve::run(&arguments),
        Task::Test(arguments) => test::run_task(&arguments),
        Task::Ci => test::run_task(&test::Arguments::default()),
        Task::Tidy => tidy::run(),
        Task::Web => web::build(),
        Task::Wasm => wasm::check().and_then(|()| web::build_check()),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Sim(arguments) => sim::run_task(&arguments),
        Task::Fuzz(arguments) => fuzz::run_task(&arguments),
        Task::Lab(arguments) => lab::run_task(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
