//! Speaking with the server.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::Duration;

use serde_json::json;
use sync::engine::{Notice, Status, Synced};
use sync::model::Version;
use sync::watch::{ASKING_MAX, Watch};
use sync_sqlite::{Device, DriveError, Server as _};
use tokio::time::timeout;

use crate::folder::{Folder, LoggedIn};
use crate::records::instant;
use crate::report::cure;
use crate::{Failure, Out, Result, account, block_on, device_of, find};

/// What can't be written down now is tried again then.
const PAUSE: Duration = Duration::from_secs(5);

/// What it means that another process speaks with the server already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    Fails,
    /// It does what was wanted.
    IsFine,
}

/// Sends and receives everything.
pub(crate) fn sync(folder: &Folder, login: &LoggedIn, busy: Busy, out: Out) -> Result {
    let device = opened(folder, login)?;
    let server = account::server(folder, login)?;
    let progress = Progress::default();
    let synced = block_on(async {
        let sync =
            device.sync(&server, |notice| progress.told(&notice), |status| progress.show(status));
        tokio::select! {
            synced = sync => Ok(synced),
            _ = tokio::signal::ctrl_c() => Err(Failure::new(
                "interrupted: what is here stays, and the rest comes the next time",
            )),
        }
    });
    progress.end();
    let synced = match synced? {
        Err(DriveError::Busy) if busy == Busy::IsFine => {
            eprintln!("`endpaper device watch` of this folder runs, and goes on");
            return Ok(());
        }
        synced => synced?,
    };
    let status = device.status()?;
    let left = edits(status.queued - status.failed);
    match synced {
        Synced::Done if status.failed > 0 => Err(Failure::new(format!(
            "refused: {}, for you to look at: `endpaper device status`",
            edits(status.failed)
        ))),
        Synced::Done => {
            let (sent, received) = (progress.sent.get(), progress.received.get());
            out.say(
                || json!({ "sent": sent, "received": received }),
                || format!("everything is on the server: {sent} sent, {received} received"),
            );
            Ok(())
        }
        Synced::Unreachable => Err(Failure::new(format!(
            "the server can't be reached; {left} to send: kept here for the next time"
        ))),
        Synced::Later(at) => Err(Failure::new(format!(
            "the server asks to come later ({}); {left} to send: kept here",
            instant(at)
        ))),
        Synced::LogIn => Err(Failure::new(format!(
            "log in again (`endpaper device login`); {left} to send: kept here until then"
        ))),
        Synced::Stopped(failure) => Err(Failure::new(format!(
            "the server takes nothing of this device: {}; {left} to send: kept here",
            failure.message
        ))),
    }
}

/// The device of somebody who is logged in: where tokens are there, they are tried,
/// whatever became of those before.
fn opened(folder: &Folder, login: &LoggedIn) -> Result<Device> {
    let device = device_of(folder, login)?;
    if login.tokens.is_some() && device.status()?.logged_out {
        device.logged_in()?;
    }
    Ok(device)
}

/// Whether the server answers now, and whether its source of books does.
pub(crate) fn reach(folder: &Folder, login: &LoggedIn) -> Result<(bool, Option<bool>)> {
    let server = account::server(folder, login)?;
    block_on(async {
        let (online, source) = tokio::join!(
            timeout(ASKING_MAX, server.is_well()),
            timeout(ASKING_MAX, server.is_source_well())
        );
        let online = online.unwrap_or(false);
        Ok((online, online.then(|| source.unwrap_or(false))))
    })
}

/// The same for a person.
pub(crate) const fn stands(online: bool, source: Option<bool>) -> &'static str {
    match (online, source) {
        (false, _) => "offline: the server does not answer; what is edited is kept here",
        (true, Some(false)) => {
            "online; the server's source of books is away, and memos do not wait for that"
        }
        (true, _) => "online",
    }
}

/// How many.
pub(crate) fn edits(count: usize) -> String {
    if count == 1 { "1 edit".to_owned() } else { format!("{count} edits") }
}

/// Sends and receives as things happen.
pub(crate) fn watch(folder: &Folder, out: Out) -> Result {
    let login = folder.login()?;
    let device = opened(folder, &login)?;
    let server = account::server(folder, &login)?;
    out.say(|| json!({ "watching": true }), || "watching; Ctrl-C ends".to_owned());
    block_on(async {
        let last = Cell::new("");
        let tell = |status: &Status| {
            let online = match status.watch {
                Watch::Online => true,
                Watch::Offline | Watch::Waiting { .. } => false,
                Watch::Settling { .. } | Watch::Asking { .. } => return,
            };
            let line = stands(online, status.source.is_there());
            if last.replace(line) != line {
                let kind = if online { "online" } else { "offline" };
                out.say(|| json!({ "notice": kind, "message": line }), || line.to_owned());
            }
        };
        let drive = async |device: Device| {
            let told = |notice: Notice| {
                if let Some((kind, line)) = line(&device, &notice) {
                    out.say(|| json!({ "notice": kind, "message": line }), || line.clone());
                }
            };
            let ends = |status: &Status| {
                tell(status);
                false
            };
            device.drive(&server, told, ends).await
        };
        let drive = async {
            let mut device = Ok(device);
            loop {
                match device {
                    Err(Failure::Usage(why) | Failure::Failed(why)) => eprintln!("{why}"),
                    Ok(device) => match drive(device).await {
                        Err(DriveError::Busy) => return Err(DriveError::Busy.into()),
                        Err(DriveError::Store(error)) => eprintln!("{error}"),
                        Ok(_) => {}
                    },
                }
                // Meanwhile it is closed, and nobody else kept from it.
                tokio::time::sleep(PAUSE).await;
                device = opened(folder, &login);
            }
        };
        tokio::select! {
            ended = drive => ended,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    })
}

/// What is said of a notice, and of which kind it is.
fn line(device: &Device, notice: &Notice) -> Option<(&'static str, String)> {
    Some(match notice {
        Notice::Record(key) => {
            let state = device.state(key).ok()?;
            let (sign, name) = (state.sign(), state.name());
            ("record", format!("{sign} {} {}: {name}", key.table, find::short(key.id)))
        }
        Notice::Kept { key, revision, .. } => (
            "kept",
            format!(
                "an edit of {} {} lost its place to another device's: \
                 `endpaper device kept show {}`",
                key.table,
                find::short(key.id),
                find::short(*revision)
            ),
        ),
        Notice::Refused { key, failure } => {
            let (table, id, why) = (&key.table, find::short(key.id), &failure.message);
            let cure = cure(failure, &id);
            ("refused", format!("❌ {table} {id} was refused: {why} ({cure})"))
        }
        Notice::LogIn => ("login", "log in again: `endpaper device login`".to_owned()),
        Notice::Stopped(failure) => {
            ("stopped", format!("the server takes nothing of this device: {}", failure.message))
        }
        Notice::PutBack(count) => ("put back", put_back(*count)),
        Notice::Status => return None,
    })
}

fn put_back(count: usize) -> String {
    format!(
        "the server was put back from a backup, or has lost some of its writes: {count} of what \
         this device was told is compared, and what is missing there is sent again"
    )
}

/// How far a sync is.
#[derive(Debug, Default)]
struct Progress {
    sent: Cell<u64>,
    received: Cell<u64>,
    shown: Cell<bool>,
}

impl Progress {
    fn told(&self, notice: &Notice) {
        match notice {
            Notice::Kept { revision, .. } => {
                self.end();
                let id = find::short(*revision);
                eprintln!(
                    "an edit lost its place to another device's: `endpaper device kept show {id}`"
                );
            }
            Notice::Refused { key, failure } => {
                self.end();
                let id = find::short(key.id);
                eprintln!("❌ {} {id} was refused: {}", key.table, failure.message);
            }
            Notice::PutBack(count) => {
                self.end();
                eprintln!("{}", put_back(*count));
            }
            Notice::Record(_) | Notice::LogIn | Notice::Stopped(_) | Notice::Status => {}
        }
    }

    fn show(&self, status: &Status) {
        self.sent.set(status.sent);
        self.received.set(status.received);
        if std::io::stderr().is_terminal() {
            self.shown.set(true);
            let (Status { received, .. }, (done, all)) = (status, status.progress);
            let sent = match all {
                0 => format!("{} sent", status.sent),
                _ => format!("{done} of {all} sent"),
            };
            let of = match status.pulling {
                Some((at, head)) if head > Version::NONE => {
                    format!(" ({}%)", at.0.saturating_mul(100) / head.0)
                }
                _ => String::new(),
            };
            eprint!("\r{sent}, {received} received{of}    ");
        }
    }

    fn end(&self) {
        if self.shown.take() {
            eprintln!();
        }
    }
}
