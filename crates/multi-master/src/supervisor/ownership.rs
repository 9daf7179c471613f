//! That nobody else has the masters open with a witness of its own.
//!
//! A witness that is a file speaks for the processes of one machine. A second
//! process with another file would be told the truth by it, and by nobody of the
//! first: each would fence the other, and cut off from each other both would go on
//! alone. So whoever has such a witness holds a lock by name on each server, for as
//! long as its connection lives. (Files are locked themselves.)

use std::time::Duration;

use tokio::time::Instant;

use crate::error::MasterName;
use crate::fault::Fault;
use crate::link::Link;
use crate::shared::{Shared, Target};
use crate::sqlite::IfAbsent;
use crate::tables::read;

/// The lock, of this database of the server.
const LOCK: &str = "concat('endpaper serve ', md5(database()))";
/// A server forgets a connection of which it hears nothing for so long: that of a
/// machine that lost its power. It is asked far more often.
const SILENT_MAX: Duration = Duration::from_secs(20);

/// Why a master can't be used.
#[derive(Debug)]
pub(super) enum NotOurs {
    /// Another process has it.
    Taken,
    Fault(Fault),
}

impl NotOurs {
    pub(super) fn why(self) -> String {
        match self {
            Self::Taken => "another process has it open with a witness of its own: stop that \
                            process, or give all of them one witness for several \
                            (`endpaper witness` or Redis)"
                .to_owned(),
            Self::Fault(fault) => super::why(fault),
        }
    }
}

/// What this process holds on each master.
#[derive(Debug)]
pub(super) struct Ownership {
    locks: Vec<Option<Lock>>,
    needs: Needs,
}

/// What a process has to see to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Nothing: the masters are files.
    Nothing,
    /// That it alone has the lock.
    Lock,
    /// That nobody has it: its witness is for several.
    NoLock,
}

#[derive(Debug)]
struct Lock {
    link: Link,
    /// The server's number of the connection.
    connection: i64,
}

impl Ownership {
    pub(super) fn new(shared: &Shared) -> Self {
        let needs = match shared.targets[0] {
            Target::Sqlite(_) => Needs::Nothing,
            Target::MySql(_) if shared.among_others => Needs::NoLock,
            Target::MySql(_) => Needs::Lock,
        };
        let locks = shared.targets.iter().map(|_| None).collect();
        Self { locks, needs }
    }

    /// Waits until a process that is gone is known to be.
    pub(super) async fn take_patiently(
        &mut self,
        shared: &Shared,
        at: usize,
        name: &MasterName,
    ) -> Result<(), NotOurs> {
        let until = Instant::now() + SILENT_MAX + Duration::from_secs(2);
        let mut told = false;
        loop {
            let taken = match self.needs {
                Needs::NoLock => nobody_has(shared, at).await,
                Needs::Nothing | Needs::Lock => self.take(shared, at).await,
            };
            match taken {
                Err(NotOurs::Taken) if Instant::now() < until => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::info!(
                            master = %name,
                            "waiting for another process that has it open"
                        );
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                taken => return taken,
            }
        }
    }

    /// Holds the lock on this master, or goes on holding it.
    pub(super) async fn take(&mut self, shared: &Shared, at: usize) -> Result<(), NotOurs> {
        if self.needs != Needs::Lock {
            return Ok(());
        }
        let mut last = self.locks[at].take();
        if let Some(lock) = &mut last
            && lock.link.query("select 1 as one", &[]).await.is_ok()
        {
            self.locks[at] = last;
            return Ok(());
        }
        let mut link = shared.connect(at, IfAbsent::Refuse).await.map_err(NotOurs::Fault)?;
        let last = last.map(|lock| lock.connection);
        let held = hold(&mut link, last, shared.limits.probe).await.map_err(NotOurs::Fault)?;
        let connection = held.ok_or(NotOurs::Taken)?;
        self.locks[at] = Some(Lock { link, connection });
        Ok(())
    }
}

async fn nobody_has(shared: &Shared, at: usize) -> Result<(), NotOurs> {
    let mut link = shared.connect(at, IfAbsent::Refuse).await.map_err(NotOurs::Fault)?;
    match holder(&mut link).await.map_err(NotOurs::Fault)? {
        None => Ok(()),
        Some(_) => Err(NotOurs::Taken),
    }
}

/// The number of the connection that has the lock.
async fn holder(link: &mut Link) -> Result<Option<i64>, Fault> {
    let rows = link.query(&format!("select is_used_lock({LOCK}) as holder"), &[]).await?;
    Ok(rows.first().map(|row| read(row, "holder")).transpose()?.flatten())
}

/// The number of the connection, where it has the lock now. `last` had it, and this
/// process has lost that connection, of which the server may not know yet.
async fn hold(link: &mut Link, last: Option<i64>, probe: Duration) -> Result<Option<i64>, Fault> {
    let silent = SILENT_MAX.max(probe.saturating_mul(3)).as_secs().min(WAIT_TIMEOUT_MAX);
    link.batch(&format!("set session wait_timeout = {silent}")).await?;
    if let Some(last) = last
        && holder(link).await? == Some(last)
    {
        // Where it has ended meanwhile, there is nobody to end.
        drop(link.batch(&format!("kill {last}")).await);
    }
    let sql = format!("select get_lock({LOCK}, 0) as held, connection_id() as connection");
    let rows = link.query(&sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let held: Option<i64> = read(row, "held")?;
    let connection: i64 = read(row, "connection")?;
    Ok((held == Some(1)).then_some(connection))
}

/// The most that a server takes, on every system.
const WAIT_TIMEOUT_MAX: u64 = 2_147_483;
