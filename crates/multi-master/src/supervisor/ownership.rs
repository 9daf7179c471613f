//! That nobody else has the masters open with a witness of its own.
//!
//! A witness that is a file speaks for the processes of one machine. A second
//! process with another file would be told the truth by it, and by nobody of the
//! first: each would fence the other, and cut off from each other both would go on
//! alone. So whoever has such a witness holds a lock by name on each server, for as
//! long as its connection lives, and looks whether it still has it before who serves
//! changes. (Files are locked themselves.)

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{DbError, MasterName};
use crate::fault::Fault;
use crate::link::Link;
use crate::named_lock::{NamedLock, silent};
use crate::shared::{Shared, Target};
use crate::sqlite::IfAbsent;
use crate::timely::timely;

/// How long an answer is waited for. Where none comes, the master is soon
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

/// What this process holds on each master; all clones are one.
#[derive(Clone, Debug)]
pub(super) struct Ownership {
    needs: Needs,
    locks: Rc<[Lock]>,
}

/// The connection that holds a lock. Whoever looks whether it does keeps others waiting
/// who want to know the same.
type Lock = Mutex<Option<Link>>;

impl Ownership {
    pub(super) fn new(shared: &Shared) -> Self {
        let needs = match shared.targets[0] {
            Target::Sqlite(_) => Needs::Nothing,
            Target::MySql(_) if shared.among_others => Needs::NoLock,
            Target::MySql(_) => Needs::Lock,
        };
        let locks = shared.targets.iter().map(|_| Lock::default()).collect();
        Self { needs, locks }
    }

    /// Waits until a process that is gone is known to be.
    pub(super) async fn take_patiently(
        &self,
        shared: &Shared,
        at: usize,
        name: &MasterName,
    ) -> Result<(), NotOurs> {
        let until = Instant::now() + silent(&shared.limits) + Duration::from_secs(2);
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
    pub(super) async fn take(&self, shared: &Shared, at: usize) -> Result<(), NotOurs> {
        match self.needs {
            Needs::Lock => take(shared, at, &self.locks[at]).await,
            Needs::Nothing | Needs::NoLock => Ok(()),
        }
    }

    /// Those of these masters that another process has taken.
    pub(super) async fn taken(&self, shared: &Shared, masters: &[usize]) -> Vec<usize> {
        if self.needs != Needs::Lock {
            return Vec::new();
        }
        let looks = masters.iter().map(async |&at| {
            let looked = take(shared, at, &self.locks[at]).await;
            matches!(looked, Err(NotOurs::Taken)).then_some(at)
        });
        join_all(looks).await.into_iter().flatten().collect()
    }
}

async fn take(shared: &Shared, at: usize, lock: &Lock) -> Result<(), NotOurs> {
    let mut lock = lock.lock().await;
    let taken = timely(ANSWER_MAX, async {
        if let Some(mut link) = lock.take()
            && link.query("select 1 as one", &[]).await.is_ok()
        {
            return Ok(Some(link));
        }
        let mut link = shared.connect(at, IfAbsent::Refuse).await?;
        Ok(NamedLock::Serve.take(shared, &mut link).await?.then_some(link))
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

/// "This version doesn't yet support …", which is what a Galera cluster of some versions
/// says of locks by name.
fn has_no_locks(why: &DbError) -> bool {
    matches!(why, DbError::Statement(why) if why.contains("1235"))
}

async fn nobody_has(shared: &Shared, at: usize) -> Result<(), NotOurs> {
    let holder = async {
        let mut link = shared.connect(at, IfAbsent::Refuse).await?;
        NamedLock::Serve.is_taken(&mut link).await
    };
    match holder.await {
        Ok(false) => Ok(()),
        Ok(true) => Err(NotOurs::Taken),
        Err(Fault::Refused(why)) if has_no_locks(&why) => Ok(()),
        Err(fault) => Err(NotOurs::Fault(fault)),
    }
}
