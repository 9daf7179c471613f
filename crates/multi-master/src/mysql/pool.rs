//! Connections that are kept, a few for each master.

use std::cell::RefCell;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::error::DbError;
use crate::fault::Fault;
use crate::link::Link;
use crate::membership::View;
use crate::mysql::MySqlLink;
use crate::shared::Shared;

/// A connection that was not used for this long is closed rather than used:
/// servers and firewalls drop idle ones.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// One that was used just now is believed to work.
const FRESH: Duration = Duration::from_secs(1);

/// Connections to one master.
pub(super) struct Pool {
    at: usize,
    permits: Semaphore,
    idle: RefCell<Vec<Idle>>,
}

struct Idle {
    link: MySqlLink,
    generation: u64,
    since: Instant,
}

/// A connection in use. Where it is not given back, it is closed.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    generation: u64,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    pub(super) fn new(at: usize, connections: usize) -> Self {
        let permits = Semaphore::new(connections.max(1));
        Self { at, permits, idle: RefCell::default() }
    }

    fn kept(&self, generation: u64) -> Option<Idle> {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|one| one.generation == generation && one.since.elapsed() < IDLE_MAX);
        idle.pop()
    }

    async fn wait(&self, shared: &Shared) -> Result<SemaphorePermit<'_>, Fault> {
        let began = Instant::now();
        let permit = tokio::time::timeout(shared.limits.statement, self.permits.acquire()).await;
        shared.numbers.meter(self.at).waited(began.elapsed());
        permit.map_err(|_| Fault::Full)?.map_err(|_| Fault::Refused(DbError::Closed))
    }

    pub(super) async fn lease(
        &self,
        shared: &Shared,
        view: &View,
    ) -> Result<(MySqlLink, Lease<'_>), Fault> {
        let permit = match self.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => self.wait(shared).await?,
        };
        let lease = Lease { pool: self, generation: view.generation, _permit: permit };
        while let Some(mut kept) = self.kept(view.generation) {
            // The server may have closed it since; that is no failure of its own.
            if kept.since.elapsed() < FRESH || kept.link.answers().await {
                return Ok((kept.link, lease));
            }
        }
        match shared.connect_counted(self.at).await? {
            Link::MySql(link) => Ok((*link, lease)),
            Link::Sqlite(_) => unreachable!("the masters of a set are of one kind"),
        }
    }
}

impl Lease<'_> {
    pub(super) fn give_back(self, link: MySqlLink) {
        if link.is_open() {
            let idle = Idle { link, generation: self.generation, since: Instant::now() };
            self.pool.idle.borrow_mut().push(idle);
        }
    }
}
