//! Locks by name on a server (`get_lock`): what one process at a time may do with a
//! master, for as long as the connection lives that holds the lock.
//!
//! The network may lose that connection without a word to the server, which then keeps
//! the lock. So the connection holds a second one, whose name is the process's: a process
//! that comes again knows by it whose the first one is, and ends the connection that it
//! has lost. Of a process that is gone as well the server hears nothing, and forgets it.

use std::time::Duration;

use uuid::Uuid;

use crate::config::Limits;
use crate::fault::Fault;
use crate::link::Link;
use crate::shared::Shared;
use crate::tables::read;

/// A server forgets a connection of which it hears nothing for so long, that of a
/// machine that lost its power.
const SILENT_MIN: Duration = Duration::from_secs(20);

/// What is locked, of this database of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NamedLock {
    /// Having it open with a witness that no other process shares.
    Serve,
    /// Bringing it back.
    Bring,
}

impl NamedLock {
    const fn what(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Bring => "bring",
        }
    }

    fn name(self) -> String {
        format!("concat('endpaper {} ', md5(database()))", self.what())
    }

    /// Names have at most 64 characters.
    fn name_of_process(self, process: Uuid) -> String {
        format!("concat('endpaper ', md5(concat('{} {process} ', database())))", self.what())
    }

    /// Takes it for this connection; false where another process has it. Another
    /// connection of this process that holds it is ended.
    pub(crate) async fn take(self, shared: &Shared, link: &mut Link) -> Result<bool, Fault> {
        /// The most that a server takes, on every system.
        const SECS_MAX: u64 = 2_147_483;
        let secs = silent(&shared.limits).as_secs().min(SECS_MAX);
        link.batch(&format!("set session wait_timeout = {secs}")).await?;
        let (name, own) = (self.name(), self.name_of_process(shared.process));
        let sql = format!("select is_used_lock({name}) as holder, is_used_lock({own}) as lost");
        let rows = link.query(&sql, &[]).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        let (holder, lost): (Option<i64>, Option<i64>) = (read(row, "holder")?, read(row, "lost")?);
        let was_ours = holder.is_some() && holder == lost;
        if let Some(lost) = lost {
            // Where it has ended meanwhile, there is nobody to end.
            drop(link.batch(&format!("kill {lost}")).await);
        }
        if holder.is_some() && !was_ours {
            return Ok(false);
        }
        let sql = format!("select get_lock({name}, 1) as held, get_lock({own}, 1) as named");
        let rows = link.query(&sql, &[]).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        let (held, named): (Option<i64>, Option<i64>) = (read(row, "held")?, read(row, "named")?);
        match (held, named) {
            (Some(1), Some(1)) => Ok(true),
            _ if was_ours => Err(Fault::Lost("it still keeps a lock of this process".to_owned())),
            _ => Ok(false),
        }
    }

    /// Whether some process has it.
    pub(crate) async fn is_taken(self, link: &mut Link) -> Result<bool, Fault> {
        let sql = format!("select is_used_lock({}) as holder", self.name());
        let rows = link.query(&sql, &[]).await?;
        let holder = rows.first().map(|row| read::<Option<i64>>(row, "holder")).transpose()?;
        Ok(holder.flatten().is_some())
    }
}

/// After how long without a word a server gives up the locks of a connection. It has to
/// be longer than what is done between two of its statements.
pub(crate) fn silent(limits: &Limits) -> Duration {
    let answer = limits.statement.saturating_add(limits.commit);
    SILENT_MIN.max(limits.probe.saturating_mul(3)).max(answer.saturating_mul(2))
}
