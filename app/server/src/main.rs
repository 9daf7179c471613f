//! `endpaper`: the program that composes the platform's domains over one
//! store, and serves them.
//!
//! **What it does not do:** it has no rule of a domain in it. What a memo or an
//! account is, their crates know; here are configuration, wiring, the HTTP
//! server around the routes, and the commands of an operator.
//!
//! | module | what it has |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`config`] | what can be set, where it is read from, what holds |
//! | [`commands`] | `serve`, `config show`, `import`, `accounts`, `masters …`, `backup`, `restore`, `witness`; `device` is `endpaper-device` |
//! | [`app`] | the domains, wired to one store |
//! | [`http`] | what stands around all routes: ids, limits, the access log, `/health`, the API's document |
//! | [`metrics`] | what is counted, as Prometheus text |
//! | [`operator`] | the operator's listener |
//! | [`token`] | what opens it |
//! | [`ops`] | the page there |
//! | [`alerts`] | the state of the masters, as alerts |
//! | [`verification`] | comparing the masters, on a schedule too |
//! | [`faults`] | the last faults |
//!
//! Exit codes: 0 it did what it was asked, 1 it failed and said why in one
//! line on standard error, 2 the call was wrong.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;

mod config;

mod commands;

mod app;

mod shop;

mod store;

mod http;

mod metrics;

mod operator;

mod token;

mod ops;

mod alerts;

mod verification;

mod faults;

mod time;

mod open_files;

mod demo;

mod logging;

mod failure;

use cli::{Cli, Command};

fn main() -> ExitCode {
    // Usage errors end the process here, with exit code 2.
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Serve(serve) => commands::serve::run(&serve),
        Command::Config(command) => commands::config::run(&command),
        Command::Import(command) => commands::import::run(&command),
        Command::Accounts(command) => commands::accounts::run(&command),
        Command::Masters(command) => commands::masters::run(&command),
        Command::Saga(command) => commands::saga::run(&command),
        Command::Shop(command) => commands::shop::run(&command),
        Command::Backup(command) => commands::backup::run(&command),
        Command::Restore(command) => commands::restore::run(&command),
        Command::Device(device) => endpaper_device::run(&device).map_err(failure::Failure::from),
        Command::Witness(witness) => commands::witness::run(&witness),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("endpaper: {failure}");
            failure.exit_code()
        }
    }
}
