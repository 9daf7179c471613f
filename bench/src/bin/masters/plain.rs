//! The rivals: plain `rusqlite` on one file.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bench::{Latencies, Sample};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::end_of;
use crate::rows::{MemoRow, Rows};

/// The most writes that share one commit; as many as callers can wait here.
const SHARED_MAX: usize = 1_000;

fn open(directory: &Path) -> Connection {
    let connection = Connection::open(directory.join("plain.db")).expect("the file opens");
    connection
        .execute_batch(
            "pragma journal_mode = wal; pragma synchronous = full;
             create table memos (
                 id blob primary key, reader_id blob not null, page integer not null,
                 content text not null, started_at integer not null
             ) without rowid;",
        )
        .expect("the table is made");
    connection
}

fn insert(connection: &Connection, row: &MemoRow) {
    connection
        .prepare_cached("insert into memos values (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut insert| insert.execute((row.id, row.reader, row.page, &row.content, row.at)))
        .expect("the row is inserted");
}

/// Each write is a transaction of its own, and callers take turns.
pub(crate) fn one_commit_each(directory: &Path, callers: usize, turn: Duration) -> Sample {
    let connection = Mutex::new(open(directory));
    let started = Instant::now();
    let until = end_of(turn);
    let latencies: Vec<Latencies> = thread::scope(|scope| {
        let threads: Vec<_> = (0..callers)
            .map(|caller| {
                let connection = &connection;
                scope.spawn(move || {
                    let mut rows = Rows::of_caller(caller);
                    Latencies::run_until(until, || {
                        let row = rows.next();
                        insert(&connection.lock().unwrap_or_else(PoisonError::into_inner), &row);
                    })
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no caller fails")).collect()
    });
    Sample::of(latencies, started.elapsed())
}

/// One thread writes; whoever waits when it begins shares its commit.
pub(crate) fn group_commit(directory: &Path, callers: usize, turn: Duration) -> Sample {
    let connection = open(directory);
    let (writes, waiting) = channel::<(MemoRow, oneshot::Sender<()>)>();
    let committing = thread::spawn(move || write_groups(&connection, &waiting));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads can be started");
    let sample = runtime.block_on(async {
        let started = Instant::now();
        let until = end_of(turn);
        let tasks: Vec<_> =
            (0..callers).map(|caller| tokio::spawn(write(writes.clone(), caller, until))).collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.push(task.await.expect("no caller fails"));
        }
        Sample::of(latencies, started.elapsed())
    });
    drop(writes);
    committing.join().expect("the thread ends with the last caller");
    sample
}

async fn write(
    writes: Sender<(MemoRow, oneshot::Sender<()>)>,
    caller: usize,
    until: Instant,
) -> Latencies {
    let mut rows = Rows::of_caller(caller);
    let mut latencies = Latencies::default();
    while Instant::now() < until {
        let started = Instant::now();
        let (done, saved) = oneshot::channel();
        writes.send((rows.next(), done)).expect("the writer is there");
        saved.await.expect("every write is saved");
        latencies.add(started.elapsed());
    }
    latencies
}

fn write_groups(connection: &Connection, waiting: &Receiver<(MemoRow, oneshot::Sender<()>)>) {
    while let Ok(first) = waiting.recv() {
        let mut saved = Vec::new();
        connection.execute_batch("begin immediate").expect("a transaction begins");
        for (row, done) in std::iter::once(first).chain(waiting.try_iter()).take(SHARED_MAX) {
            insert(connection, &row);
            saved.push(done);
        }
        connection.execute_batch("commit").expect("the transaction commits");
        for done in saved {
            // The caller may have been aborted; nobody else wants the answer.
            let _ = done.send(());
        }
    }
}
