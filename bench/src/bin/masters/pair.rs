//! The subject: the embedded pair of masters.

use std::path::Path;
use std::time::{Duration, Instant};

use bench::{Latencies, Sample};
use multi_master::{
    Column, Config, DbError, Kind, Migration, MultiMaster, Policy, Step, Table, Tx,
};

use crate::end_of;
use crate::rows::Rows;

const MEMOS: Table = Table {
    name: "memos",
    key: &["id"],
    columns: &[
        Column::new("id", Kind::Id),
        Column::new("reader_id", Kind::Id),
        Column::new("page", Kind::Int),
        Column::new("content", Kind::Text { chars_max: 5_000 }),
        Column::new("started_at", Kind::Time),
    ],
    indexes: &[],
};

pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration { name: "bench_001_memos", steps: &[Step::CreateTable(MEMOS)] }];

pub(crate) fn run(directory: &Path, callers: usize, turn: Duration) -> Sample {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads can be started");
    runtime.block_on(async {
        let config = Config::embedded(directory, Policy::Available);
        let store = MultiMaster::open(config, MIGRATIONS).await.expect("the store opens");
        let started = Instant::now();
        let until = end_of(turn);
        let tasks: Vec<_> =
            (0..callers).map(|caller| tokio::spawn(write(store.clone(), caller, until))).collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.push(task.await.expect("no caller fails"));
        }
        let took = started.elapsed();
        store.close().await;
        Sample::of(latencies, took)
    })
}

async fn write(store: MultiMaster, caller: usize, until: Instant) -> Latencies {
    let mut rows = Rows::of_caller(caller);
    let mut latencies = Latencies::default();
    while Instant::now() < until {
        let started = Instant::now();
        let row = rows.next();
        let saved = store
            .write(async move |tx: &mut Tx| {
                tx.insert("memos", row.fields()).await?;
                Ok::<_, DbError>(())
            })
            .await;
        saved.into_result().expect("every write is saved");
        latencies.add(started.elapsed());
    }
    latencies
}
