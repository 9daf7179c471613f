//! Reads with both masters live, beside one master.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bench::{Aim, Latencies, Report, Row, Sample, median};
use lab::Software;
use multi_master::{Db, DbError, MultiMaster, Policy, params};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Statement};

use super::sets::{Pair, connect};
use super::{WIDTHS, ours, runtime};
use crate::rows::{MemoRow, Rows};

/// Rows that there are to read.
const ROWS: usize = 20_000;
/// Rows of one page.
const PAGE: usize = 50;

const BOTH: &str = "ours, both masters";
const ONE: &str = "ours, one master";
const PLAIN: &str = "one master, no store";

/// Fewer cores than this do no more for two servers than for one: the callers,
/// the store and each server want some.
const CORES_MIN: usize = 4;

const BY_KEY: &str = "select * from memos where id = ?";
const OF_A_PAGE: &str = "select id, page, content from memos where id >= ? order by id limit 50";

#[derive(Clone, Copy)]
enum Read {
    ByKey,
    Page,
}

impl Read {
    const fn name(self) -> &'static str {
        match self {
            Self::ByKey => "read one row",
            Self::Page => "read 50 rows",
        }
    }

    const fn short(self) -> &'static str {
        match self {
            Self::ByKey => "row",
            Self::Page => "page",
        }
    }
}

enum Subject {
    Ours(MultiMaster),
    Plain(Vec<Reader>),
}

/// A connection without a store.
struct Reader {
    connection: Conn,
    by_key: Statement,
    of_a_page: Statement,
}

pub(crate) fn measure(report: &mut Report, software: &Software, rounds: usize, turn: Duration) {
    let pair = Pair::start(software);
    let [a, b] = &pair.servers;
    let runtime = runtime();
    let mut rows = Rows::of_caller(0);
    let rows: Vec<MemoRow> = (0..ROWS).map(|_| rows.next()).collect();
    let ids: Arc<[[u8; 16]]> = rows.iter().map(|row| row.id).collect();
    let mut subjects = runtime.block_on(async {
        let mut subjects = Vec::new();
        for (name, database, servers) in
            [(BOTH, "read_both", vec![a, b]), (ONE, "read_one", vec![a])]
        {
            pair.create_database(database);
            let config = ours::config(servers, database, Policy::Available, pair.scratch.path());
            let store = ours::open(config).await;
            ours::fill(&store, rows.clone()).await;
            subjects.push((name, Subject::Ours(store)));
        }
        let mut readers = Vec::new();
        for _ in 0..WIDTHS.into_iter().max().unwrap_or(1) {
            readers.push(Reader::connect(&a.url("read_one")).await);
        }
        subjects.push((PLAIN, Subject::Plain(readers)));
        subjects
    });
    for read in [Read::ByKey, Read::Page] {
        for callers in WIDTHS {
            let mut samples: [Vec<Sample>; 3] = Default::default();
            for round in 0..rounds {
                for step in 0..subjects.len() {
                    let at = (round + step) % subjects.len();
                    let subject = &mut subjects[at].1;
                    let sample = runtime.block_on(subject.turn(read, callers, &ids, turn));
                    samples[at].push(sample);
                }
            }
            for ((subject, _), samples) in subjects.iter().zip(&samples) {
                let sample = median(samples);
                report.row(Row { work: read.name(), subject, callers, sample });
            }
        }
    }
    tell(report);
    runtime.block_on(async {
        for (_, subject) in subjects {
            if let Subject::Ours(store) = subject {
                store.close().await;
            }
        }
    });
}

fn tell(report: &mut Report) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    report.fact("cores", cores);
    for read in [Read::ByKey, Read::Page] {
        for callers in WIDTHS {
            let name = format!("reads_both_to_one_{}_at_{callers}", read.short());
            let ratio = report.ratio(&name, read.name(), callers, BOTH, ONE);
            // One caller waits for one master at a time.
            if callers == 1 {
                continue;
            }
            if cores < CORES_MIN {
                let why = format!("{cores} cores, which one server alone keeps busy");
                report.aim_moot(&name, ratio, Aim::AtLeast(1.5), &why);
            } else {
                report.aim(&name, ratio, Aim::AtLeast(1.5));
            }
        }
    }
}

impl Subject {
    async fn turn(
        &mut self,
        read: Read,
        callers: usize,
        ids: &Arc<[[u8; 16]]>,
        turn: Duration,
    ) -> Sample {
        let started = Instant::now();
        let until = started + turn;
        let mut latencies = Vec::new();
        match self {
            Self::Ours(store) => {
                let tasks: Vec<_> = (0..callers)
                    .map(|caller| {
                        let (store, mut at) = (store.clone(), Walk::of_caller(caller, ids));
                        tokio::spawn(async move {
                            let mut latencies = Latencies::default();
                            while Instant::now() < until {
                                let id = at.next();
                                let started = Instant::now();
                                through(&store, read, id).await;
                                latencies.add(started.elapsed());
                            }
                            latencies
                        })
                    })
                    .collect();
                for task in tasks {
                    latencies.push(task.await.expect("no caller fails"));
                }
            }
            Self::Plain(readers) => {
                let tasks: Vec<_> = readers
                    .drain(..callers)
                    .enumerate()
                    .map(|(caller, mut reader)| {
                        let mut at = Walk::of_caller(caller, ids);
                        tokio::spawn(async move {
                            let mut latencies = Latencies::default();
                            while Instant::now() < until {
                                let id = at.next();
                                let started = Instant::now();
                                reader.read(read, id).await;
                                latencies.add(started.elapsed());
                            }
                            (reader, latencies)
                        })
                    })
                    .collect();
                for task in tasks {
                    let (reader, seen) = task.await.expect("no caller fails");
                    readers.push(reader);
                    latencies.push(seen);
                }
            }
        }
        Sample::of(latencies, started.elapsed())
    }
}

/// Which rows a caller reads: all, in an order that jumps about.
struct Walk {
    ids: Arc<[[u8; 16]]>,
    at: usize,
}

impl Walk {
    fn of_caller(caller: usize, ids: &Arc<[[u8; 16]]>) -> Self {
        Self { ids: Arc::clone(ids), at: caller * 977 }
    }

    fn next(&mut self) -> [u8; 16] {
        // A prime, so that every row is met; the last page is a whole one.
        self.at = (self.at + 7_919) % (self.ids.len() - PAGE);
        self.ids[self.at]
    }
}

async fn through(store: &MultiMaster, read: Read, id: [u8; 16]) {
    let met: Result<usize, DbError> = store
        .read(async move |db: &mut Db| match read {
            Read::ByKey => {
                Ok(usize::from(db.get("memos", params![id.as_slice()]).await?.is_some()))
            }
            Read::Page => Ok(db.query(OF_A_PAGE, params![id.as_slice()]).await?.len()),
        })
        .await;
    check(read, met.expect("every read is answered"));
}

impl Reader {
    async fn connect(url: &str) -> Self {
        let mut connection = connect(url).await;
        let by_key = connection.prep(BY_KEY).await.expect("it can be prepared");
        let of_a_page = connection.prep(OF_A_PAGE).await.expect("it can be prepared");
        Self { connection, by_key, of_a_page }
    }

    async fn read(&mut self, read: Read, id: [u8; 16]) {
        let statement = match read {
            Read::ByKey => &self.by_key,
            Read::Page => &self.of_a_page,
        };
        let rows: Vec<mysql_async::Row> =
            self.connection.exec(statement, (&id[..],)).await.expect("every read is answered");
        check(read, rows.len());
    }
}

/// A read that finds nothing is quick, and would be counted as a fast one.
fn check(read: Read, met: usize) {
    let expected = match read {
        Read::ByKey => 1,
        Read::Page => PAGE,
    };
    assert_eq!(met, expected, "rows that were read");
}
