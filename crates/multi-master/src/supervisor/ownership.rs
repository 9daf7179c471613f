//! That nobody else has the masters open with a witness of its own.
//!
//! A witness that is a file speaks for the processes of one machine. A second
//! process with another file would be told the truth by it, and by nobody of the
//! first: each would fence the other, and cut off from each other both would go on
//! alone. So whoever has such a witness holds a lock by name on each server, for as
//! long as its connection lives, and looks whether it still has it before who serves
//! changes. (Files are locked themselves.)
//!
//! The same connection holds a second lock, whose name is the process's: a process
//! that has lost its connection knows by it whether the server still keeps the first
//! lock for that one, and ends it.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::{DbError, MasterName};
use crate::fault::Fault;
use crate::link::Link;
use crate::shared::{Shared, Target};
use crate::sqlite::IfAbsent;
use crate::tables::read;
use crate::timely::timely;

/// The lock, of this database of the server.
const LOCK: &str = "concat('endpaper serve ', md5(database()))";
/// A server forgets a connection of which it hears nothing for so long, that of a
/// machine that lost its power; or for three times as long as is between two looks.
const SILENT_MIN: Duration = Duration::from_secs(20);
/// How long the supervisor waits for an answer. Where none comes, the master is soon
/// found out by what else is asked of it.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How often a lock is tried that somebody has.
const TRY_AGAIN: Duration = Duration::from_millis(200);

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

/// What this process holds on each master.
#[derive(Debug)]
pub(super) struct Ownership {
    needs: Needs,
    process: Uuid,
    /// The connections that hold the locks.
    locks: Vec<Option<Link>>,
}

impl Ownership {
    pub(super) fn new(shared: &Shared) -> Self {
        let needs = match shared.targets[0] {
            Target::Sqlite(_) => Needs::Nothing,
            Target::MySql(_) if shared.among_others => Needs::NoLock,
            Target::MySql(_) => Needs::Lock,
        };
        let locks = shared.targets.iter().map(|_| None).collect();
        let ids = stdx::IdSource::new(stdx::Clock::real(), shared.random.clone());
        Self { needs, process: ids.next_uuid(), locks }
    }

    /// Waits until a process that is gone is known to be.
    pub(super) async fn take_patiently(
        &mut self,
        shared: &Shared,
        at: usize,
        name: &MasterName,
    ) -> Result<(), NotOurs> {
        let until = Instant::now() + silent(shared) + Duration::from_secs(2);
        let mut told = false;
        loop {
            let taken = match self.needs {
                Needs::NoLock => nobody_has(shared, at).await,
                Needs::Nothing | Needs::Lock => self.take(shared, at).await,
            };
            match taken {
                Err(NotOurs::Taken) if Instant::now() < until => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::info!(master = %name, "waiting for a process that has it open");
                    }
                    tokio::time::sleep(TRY_AGAIN).await;
                }
                taken => return taken,
            }
        }
    }

    /// Holds the lock on this master, or goes on holding it.
    pub(super) async fn take(&mut self, shared: &Shared, at: usize) -> Result<(), NotOurs> {
        match self.needs {
            Needs::Lock => take((at, &mut self.locks[at]), shared, self.process).await,
            Needs::Nothing | Needs::NoLock => Ok(()),
        }
    }

    /// Those of these masters that another process has taken.
    pub(super) async fn taken(&mut self, shared: &Shared, masters: &[usize]) -> Vec<usize> {
        if self.needs != Needs::Lock {
            return Vec::new();
        }
        let process = self.process;
        let locks = self.locks.iter_mut().enumerate().filter(|(at, _)| masters.contains(at));
        let looks = locks.map(async |(at, lock)| {
            let looked = take((at, lock), shared, process).await;
            matches!(looked, Err(NotOurs::Taken)).then_some(at)
        });
        join_all(looks).await.into_iter().flatten().collect()
    }
}

async fn take(
    (at, lock): (usize, &mut Option<Link>),
    shared: &Shared,
    process: Uuid,
) -> Result<(), NotOurs> {
    let taken = timely(ANSWER_MAX, async {
        if let Some(mut link) = lock.take()
            && link.query("select 1 as one", &[]).await.is_ok()
        {
            return Ok(Some(link));
        }
        let mut link = shared.connect(at, IfAbsent::Refuse).await?;
        Ok(hold(&mut link, process, silent(shared)).await?.then_some(link))
    });
    match taken.await {
        Some(Ok(Some(link))) => {
            *lock = Some(link);
            Ok(())
        }
        Some(Ok(None)) => Err(NotOurs::Taken),
        Some(Err(Fault::Refused(why))) if has_no_locks(&why) => {
            tracing::debug!(%why, "a server has no locks by name: nobody else is kept out");
            Ok(())
        }
        Some(Err(fault)) => Err(NotOurs::Fault(fault)),
        None => Err(NotOurs::Fault(Fault::Lost("it does not answer".to_owned()))),
    }
}

fn silent(shared: &Shared) -> Duration {
    SILENT_MIN.max(shared.limits.probe.saturating_mul(3))
}

/// Whether this connection holds the lock now. One that this process has lost, and of
/// which the server may not know it yet, is ended.
async fn hold(link: &mut Link, process: Uuid, silent: Duration) -> Result<bool, Fault> {
    /// The most that a server takes, on every system.
    const SECS_MAX: u64 = 2_147_483;
    let secs = silent.as_secs().min(SECS_MAX);
    link.batch(&format!("set session wait_timeout = {secs}")).await?;
    let own = format!("concat('endpaper process {process} ', md5(database()))");
    let sql = format!("select is_used_lock({LOCK}) as holder, is_used_lock({own}) as lost");
    let rows = link.query(&sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(false) };
    let (holder, lost): (Option<i64>, Option<i64>) = (read(row, "holder")?, read(row, "lost")?);
    let was_ours = holder.is_some() && holder == lost;
    if let Some(lost) = lost.filter(|_| was_ours) {
        // Where it has ended meanwhile, there is nobody to end.
        drop(link.batch(&format!("kill {lost}")).await);
    } else if holder.is_some() {
        return Ok(false);
    }
    let sql = format!("select get_lock({LOCK}, 1) as held, get_lock({own}, 1) as named");
    let rows = link.query(&sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(false) };
    let (held, named): (Option<i64>, Option<i64>) = (read(row, "held")?, read(row, "named")?);
    match (held, named) {
        (Some(1), Some(1)) => Ok(true),
        _ if was_ours => Err(Fault::Lost("it still keeps a lock of this process".to_owned())),
        _ => Ok(false),
    }
}

/// "This version doesn't yet support …", which is what a Galera cluster of some versions
/// says of locks by name.
fn has_no_locks(why: &DbError) -> bool {
    matches!(why, DbError::Statement(why) if why.contains("1235"))
}

async fn nobody_has(shared: &Shared, at: usize) -> Result<(), NotOurs> {
    let holder = async {
        let mut link = shared.connect(at, IfAbsent::Refuse).await?;
        let rows = link.query(&format!("select is_used_lock({LOCK}) as holder"), &[]).await?;
        rows.first().map(|row| read::<Option<i64>>(row, "holder")).transpose()
    };
    match holder.await.map(Option::flatten) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(NotOurs::Taken),
        Err(Fault::Refused(why)) if has_no_locks(&why) => Ok(()),
        Err(fault) => Err(NotOurs::Fault(fault)),
    }
}
