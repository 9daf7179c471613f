//! `endpaper device`: a reader's device on the command line. Memos and the shelf are in
//! a folder on this machine, can be read and edited without a network, and reach the
//! server when there is one.
//!
//! | module | what it has |
//! |---|---|
//! | [`args`] | what can be typed |
//! | `folder` | what is on the disk: who is logged in, and a store for each account |
//! | `account` | logging in and out, and the tokens of requests |
//! | `editor` | a text in the person's own editor |
//! | `find` | the record that a person means by a part of its id |
//! | `records` | `note`, `shelf`, `kept`, `retry`, `discard` |
//! | `network` | `sync` and `watch` |
//! | `report` | `status`, `log`, `export` |
//!
//! **What it does not do:** it has no rule of memos or of sync in it; those are in
//! `endpaper-reading` and `sync`, and hold here as they do on the server.

pub mod args;

mod account;

mod editor;

mod find;

mod folder;

mod network;

mod records;

mod report;

use std::fmt;

use endpaper_api::sync::{SCHEMA, TABLES};
use sync::engine::Config;
use sync_sqlite::{Device, DeviceError, DriveError, Options, StoreError};

use args::{Args, Command};
use folder::{Folder, LoggedIn};

/// Why a command did not do what it was asked: a line for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The call was wrong.
    Usage(String),
    /// It failed.
    Failed(String),
}

impl Failure {
    fn new(message: impl fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(message.to_string())
    }

    fn message(&self) -> &str {
        let (Self::Usage(message) | Self::Failed(message)) = self;
        message
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(error)
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        Self::new(error)
    }
}

impl From<DriveError> for Failure {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::Busy => {
                Self::new("`endpaper device watch` or `sync` of this folder runs: it does this")
            }
            DriveError::Store(error) => error.into(),
        }
    }
}

type Result<T = ()> = std::result::Result<T, Failure>;

/// Does what was typed.
///
/// # Errors
/// [`Failure`].
pub fn run(args: &Args) -> Result {
    let folder = Folder::new(args.dir.as_deref())?;
    let out = Out { json: args.json };
    match &args.command {
        Command::Login(login) => account::login(&folder, login, out),
        Command::Logout { yes } => account::logout(&folder, *yes, out),
        Command::Status => report::status(&folder, out),
        Command::Log => report::log(&folder, out),
        Command::Export { file } => report::export(&folder, file.as_deref(), out),
        Command::Note(note) => records::note(&device(&folder)?, note, out),
        Command::Shelf(shelf) => records::shelf(&device(&folder)?, shelf, out),
        Command::Kept(kept) => records::kept(&device(&folder)?, kept, out),
        Command::Retry { id } => records::retry(&device(&folder)?, id.as_deref(), out),
        Command::Discard { id } => records::discard(&device(&folder)?, id, out),
        Command::Sync => network::sync(&folder, &folder.login()?, network::Busy::Fails, out),
        Command::Watch => network::watch(&folder, out),
    }
}

/// The device of the account that is logged in, or was last.
fn device(folder: &Folder) -> Result<Device> {
    device_of(folder, &folder.login()?)
}

fn device_of(folder: &Folder, login: &LoggedIn) -> Result<Device> {
    let options = Options::new(Config::new(TABLES, SCHEMA), login.account);
    Ok(Device::open(&folder.store(login.account), options)?)
}

/// How answers are printed.
#[derive(Clone, Copy, Debug)]
struct Out {
    json: bool,
}

impl Out {
    /// A value for programs, or a line for people.
    fn say(self, value: impl FnOnce() -> serde_json::Value, line: impl FnOnce() -> String) {
        if self.json { print(&value().to_string()) } else { print(&line()) }
    }
}

/// Prints a line on standard output. A reader that has gone away is no failure.
fn print(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Runs what needs the network, on this thread.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("can't start: {error}")))?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}
