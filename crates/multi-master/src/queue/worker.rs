//! What keeps the queue true: counts what is owed to masters that are away, and
//! looks up what is in doubt, when a master comes back and at least each minute.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Counted, LOOKUP_EVERY};
use crate::error::TxId;
use crate::fault::Fault;
use crate::membership::{MasterState, View};
use crate::shared::{Command, Shared};
use crate::sqlite::IfAbsent;
use crate::tables::read;
use crate::write_set;

/// How often what is owed is counted while a master is away.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Counting rests this many times as long as it took.
const COUNT_REST: u32 = 20;
/// Where counting ends: some ten milliseconds' work.
const COUNT_MAX: i64 = 100_000;

/// Starts the worker, which ends when the keeper is stopped.
pub(crate) fn start(shared: &Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let worker = Worker { shared: Arc::clone(shared) };
    std::thread::Builder::new().name("mm-queue".to_owned()).spawn(move || {
        runtime.block_on(async {
            let mut stop = worker.shared.queue.stop.subscribe();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {}
                () = worker.shared.supervisor.closed() => {}
                () = worker.run() => {}
            }
        });
    })
}

struct Worker {
    shared: Arc<Shared>,
}

impl Worker {
    async fn run(&self) {
        let mut views = self.shared.view.subscribe();
        let mut serving = views.borrow_and_update().serving();
        let mut looked_up = tokio::time::Instant::now();
        loop {
            let began = Instant::now();
            let away = self.shared.queue.pending().lacks_any();
            if away {
                self.count().await;
            }
            let pause = if away {
                COUNT_EVERY.max(began.elapsed() * COUNT_REST).min(LOOKUP_EVERY)
            } else {
                LOOKUP_EVERY
            };
            let new = tokio::select! {
                _ = views.changed() => false,
                () = self.shared.queue.wake.notified() => true,
                () = tokio::time::sleep(pause) => false,
            };
            let now = views.borrow_and_update().serving();
            // A master may have come back before the new one was in the queue.
            if new || serving != now || looked_up.elapsed() >= LOOKUP_EVERY {
                looked_up = tokio::time::Instant::now();
                self.look_up_all().await;
            }
            serving = now;
        }
    }

    /// Looks up what is in doubt, for as long as that settles any.
    async fn look_up_all(&self) {
        loop {
            let round = self.shared.queue.pending().to_look_up();
            let mut settled = false;
            for txid in round {
                settled |= self.shared.look_up(txid).await.is_ok();
            }
            if !settled {
                return;
            }
        }
    }

    /// Counts what each master that is away misses.
    async fn count(&self) {
        let view = self.shared.view();
        let away = self.shared.queue.pending().away(self.shared.queue.owed_from());
        for (at, known) in away {
            let mut has = known;
            // One that answers says so itself.
            if matches!(view.masters[at].state, MasterState::Behind | MasterState::Joining)
                && let Ok(Some(said)) = self.last_marker(at).await
            {
                self.shared.queue.pending().says(at, said);
                has = Some(said);
            }
            let counted = self.missed(&view, has.unwrap_or(Uuid::nil())).await;
            self.shared.queue.pending().counted(at, counted.ok().flatten());
        }
    }

    async fn last_marker(&self, at: usize) -> Result<Option<Uuid>, Fault> {
        let mut link = self.shared.connect(at, IfAbsent::Refuse).await?;
        crate::tables::last_txid(&mut link).await
    }

    /// The markers after this one of a master that serves; `None` where none does.
    async fn missed(&self, view: &View, has: Uuid) -> Result<Option<Counted>, Fault> {
        let Some(&first) = view.serving().first() else { return Ok(None) };
        let mut link = self.shared.connect(first, IfAbsent::Refuse).await?;
        let sql = format!(
            "select count(*) as n, min(txid) as oldest from \
             (select txid from mm_log where txid > ? order by txid limit {}) as missed",
            COUNT_MAX + 1
        );
        let rows = link.query(&sql, &[has.into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (count, oldest): (i64, Option<Uuid>) = (read(row, "n")?, read(row, "oldest")?);
        let oldest = oldest.and_then(write_set::version_of).map(stdx::HybridTime::wall);
        let write_sets = u64::try_from(count.min(COUNT_MAX)).unwrap_or(0);
        Ok(Some(Counted { write_sets, or_more: count > COUNT_MAX, oldest }))
    }
}

impl Shared {
    /// Looks up a transaction that is in doubt: whether it was saved, or why
    /// nobody can say.
    pub(crate) async fn look_up(&self, txid: TxId) -> Result<bool, String> {
        let (reply, answer) = oneshot::channel();
        drop(self.supervisor.send(Command::Lookup { txid, reply }));
        let found = answer.await.ok().flatten();
        let found = found.ok_or_else(|| why_unknown(&self.view()));
        let now = self.now();
        let left = self.queue.pending().looked_up(now, txid, found.clone());
        if let (true, Ok(saved)) = (left, &found) {
            tracing::warn!(
                severity = "INFO", %txid, saved,
                "what became of a transaction that was in doubt is known"
            );
        }
        found
    }
}

/// Why nobody can say what became of a transaction.
fn why_unknown(view: &View) -> String {
    if let Some(why) = &view.refuses {
        return why.clone();
    }
    let missing = view.away();
    if missing.is_empty() {
        "the masters could not be asked, or markers of its time are not kept any more".to_owned()
    } else {
        let missing: Vec<&str> = missing.iter().map(|name| name.0.as_str()).collect();
        format!("{} may have it, and can't be asked", missing.join(", "))
    }
}
