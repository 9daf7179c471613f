//! The effects alone, by bare statements.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bench::{Latencies, Sample};
use lab::{MariaDb, Scratch, Software};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, Statement};
use rusqlite::Connection;
use stdx::IdSource;

/// Two SQLite files: each row is committed on one, then on the other, and callers take turns.
pub(crate) struct Pair {
    files: Mutex<[Connection; 2]>,
    ids: IdSource,
    _scratch: Scratch,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new("bench-saga-floor").expect("a directory under target/");
        let files = ["a.db", "b.db"].map(|name| {
            let file = Connection::open(scratch.path().join(name)).expect("the file opens");
            file.execute_batch(
                "pragma journal_mode = wal; pragma synchronous = full;
                 create table effects (id blob primary key, step integer) without rowid;",
            )
            .expect("the table is made");
            file
        });
        Self { files: Mutex::new(files), ids: IdSource::system(), _scratch: scratch }
    }

    pub(crate) fn turn(&self, callers: usize, turn: Duration) -> Sample {
        let began = Instant::now();
        let latencies: Vec<Latencies> = thread::scope(|scope| {
            let threads: Vec<_> = (0..callers)
                .map(|_| {
                    scope.spawn(|| {
                        Latencies::run_until(began + turn, || {
                            for step in 0..4 {
                                self.insert(step);
                            }
                        })
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no caller fails")).collect()
        });
        Sample::of(latencies, began.elapsed())
    }

    fn insert(&self, step: i64) {
        let id = self.ids.next_uuid();
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        for file in &*files {
            file.prepare_cached("insert into effects values (?1, ?2)")
                .and_then(|mut insert| insert.execute((id.as_bytes(), step)))
                .expect("the row is inserted");
        }
    }
}

/// Two MariaDB servers: each caller has a connection to both, and inserts each row on both at
/// the same time.
pub(crate) struct Servers {
    callers: Vec<Caller>,
    ids: IdSource,
    _masters: Vec<MariaDb>,
    _scratch: Scratch,
}

struct Caller([(Conn, Statement); 2]);

impl Servers {
    pub(crate) async fn start(software: &Software, callers: usize) -> Self {
        let scratch = Scratch::new("bench-saga-floor").expect("a directory under target/");
        let servers = ["a", "b"].map(|name| {
            let server = MariaDb::start(software, &scratch.path().join(name));
            let server = server.expect("the server starts");
            server.create_database("saga").expect("the database is made");
            let table = "create table effects (id binary(16) primary key, step bigint not null) \
                         engine = InnoDB";
            server.sql("saga", table).expect("the table is made");
            server
        });
        let [a, b] = [servers[0].url("saga"), servers[1].url("saga")];
        let mut all = Vec::new();
        for _ in 0..callers {
            all.push(Caller([connect(&a).await, connect(&b).await]));
        }
        let ids = IdSource::system();
        Self { callers: all, ids, _masters: servers.into(), _scratch: scratch }
    }

    pub(crate) async fn turn(&mut self, callers: usize, turn: Duration) -> Sample {
        let began = Instant::now();
        let tasks: Vec<_> = self
            .callers
            .drain(..callers)
            .map(|mut caller| {
                let ids = self.ids.clone();
                tokio::spawn(async move {
                    let mut latencies = Latencies::default();
                    while began.elapsed() < turn {
                        let started = Instant::now();
                        for step in 0..4 {
                            caller.insert(ids.next_uuid().as_bytes(), step).await;
                        }
                        latencies.add(started.elapsed());
                    }
                    (caller, latencies)
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            let (caller, latencies) = task.await.expect("no caller fails");
            self.callers.push(caller);
            all.push(latencies);
        }
        Sample::of(all, began.elapsed())
    }
}

async fn connect(url: &str) -> (Conn, Statement) {
    let options = Opts::from_url(url).expect("a URL");
    let mut connection = Conn::new(options).await.expect("it connects");
    let insert = connection.prep("insert into effects values (?, ?)").await;
    (connection, insert.expect("it can be prepared"))
}

impl Caller {
    async fn insert(&mut self, id: &[u8], step: i64) {
        let [a, b] = &mut self.0;
        let one = async |(connection, insert): &mut (Conn, Statement)| {
            connection.exec_drop(&*insert, (id, step)).await
        };
        let (a, b) = tokio::join!(one(a), one(b));
        a.and(b).expect("the row is inserted");
    }
}
