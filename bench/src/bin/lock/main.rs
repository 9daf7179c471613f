//! Locks that are got and released, on one Redis server, each task its own.
//!
//! | subject | what is sent |
//! |---|---|
//! | lock | two scripts, by their names: get with a number that only rises, compare and delete |
//! | scripts | the same two, bare, on one connection |
//! | rslock | `SET NX PX`, and a script that compares and deletes; no number |

use std::time::{Duration, Instant};

use bench::{Aim, Latencies, Report, Row, Sample, median};
use clap::Parser;
use lab::Scratch;
use lock::Locks;
use redis::aio::MultiplexedConnection;
use rslock::LockManager;

/// Tasks at one time.
const TASKS: [usize; 2] = [1, 16];
const WORK: &str = "lock got and released";

const OURS: &str = "lock";
const BARE: &str = "scripts";
const RSLOCK: &str = "rslock";

/// As the crate has them.
const ACQUIRE: &str = "\
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
    or redis.call('GET', KEYS[1]) == ARGV[1] then
  local time = redis.call('TIME')
  local fence = time[1] * 1000000 + time[2]
  local last = tonumber(redis.call('GET', KEYS[2]) or 0)
  if last >= fence then fence = last + 1 end
  local text = string.format('%.0f', fence)
  redis.call('SET', KEYS[2], text, 'PX', ARGV[3])
  return {text, 0}
end
return {'', redis.call('PTTL', KEYS[1])}";

const RELEASE: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

const TTL: Duration = Duration::from_secs(30);

#[derive(Debug, Parser)]
#[command(name = "lock", about = "Locks on Redis, beside bare scripts and rslock")]
struct Arguments {
    /// Some seconds, for a first look
    #[arg(long)]
    quick: bool,
    /// Rounds, of whose results the median is told
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// How long one turn of one subject lasts
    #[arg(long, value_name = "MS")]
    turn_ms: Option<u64>,
}

/// Who gets and releases locks. Cheap to clone.
#[derive(Clone)]
enum Subject {
    Ours(Locks),
    Bare { redis: MultiplexedConnection, acquire: String, release: String },
    Rslock(LockManager),
}

impl Subject {
    async fn once(&mut self, name: &str) {
        match self {
            Self::Ours(locks) => {
                let guard = locks.try_lock(name).await.expect("nobody else wants it");
                assert_eq!(guard.release().await, lock::Released::Yes);
            }
            Self::Bare { redis, acquire, release } => {
                // As ours: an owner for each time.
                let owner = uuid::Uuid::new_v4().to_string();
                let (held, fence) = (format!("held:{name}"), format!("fence:{name}"));
                let mut get = redis::cmd("EVALSHA");
                get.arg(&*acquire).arg(2).arg(&held).arg(fence).arg(&owner);
                get.arg(30_000).arg(86_400_000);
                let (fence, _): (String, i64) =
                    get.query_async(redis).await.expect("the server answers");
                assert!(!fence.is_empty(), "nobody else wants it");
                let mut let_go = redis::cmd("EVALSHA");
                let_go.arg(&*release).arg(1).arg(&held).arg(&owner);
                let gone: i64 = let_go.query_async(redis).await.expect("the server answers");
                assert_eq!(gone, 1);
            }
            Self::Rslock(manager) => {
                let lock = manager.lock(name.as_bytes(), TTL).await.expect("nobody else wants it");
                manager.unlock(&lock).await;
            }
        }
    }

    async fn turn(&self, tasks: usize, turn: Duration) -> Sample {
        let began = Instant::now();
        let tasks: Vec<_> = (0..tasks)
            .map(|task| {
                let mut subject = self.clone();
                tokio::spawn(async move {
                    let (name, mut latencies) = (format!("task-{task}"), Latencies::default());
                    while began.elapsed() < turn {
                        let started = Instant::now();
                        subject.once(&name).await;
                        latencies.add(started.elapsed());
                    }
                    latencies
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.push(task.await.expect("no task fails"));
        }
        Sample::of(all, began.elapsed())
    }
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let (rounds, turn_ms) = if arguments.quick { (3, 500) } else { (9, 1_500) };
    let rounds = arguments.rounds.unwrap_or(rounds).max(1);
    let turn = Duration::from_millis(arguments.turn_ms.unwrap_or(turn_ms));
    if let Some(missing) = lab::Redis::missing() {
        eprintln!("left out: everything: {missing}");
        return;
    }
    let scratch = Scratch::new("bench-lock").expect("a directory under target/");
    let server = lab::Redis::start(&scratch.path().join("redis")).expect("the server starts");
    let url = format!("redis://{}", server.address());
    let locks = Locks::redis(&url, lock::Config::default()).expect("it can be set up");
    let client = redis::Client::open(url.as_str()).expect("a URL");
    let mut redis = client.get_multiplexed_async_connection().await.expect("it connects");
    let mut load = redis::pipe();
    for script in [ACQUIRE, RELEASE] {
        load.cmd("SCRIPT").arg("LOAD").arg(script);
    }
    let (acquire, release) = load.query_async(&mut redis).await.expect("they are taken");
    let subjects = [
        (OURS, Subject::Ours(locks.clone())),
        (BARE, Subject::Bare { redis, acquire, release }),
        (RSLOCK, Subject::Rslock(LockManager::new(vec![url]))),
    ];
    let mut report = Report::new("lock");
    for tasks in TASKS {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); subjects.len()];
        for round in 0..rounds {
            for step in 0..subjects.len() {
                // Each round another one is first.
                let at = (round + step) % subjects.len();
                samples[at].push(subjects[at].1.turn(tasks, turn).await);
            }
        }
        for ((subject, _), samples) in subjects.iter().zip(&samples) {
            report.row(Row { work: WORK, subject, callers: tasks, sample: median(samples) });
        }
        let name = format!("lock_to_scripts_at_{tasks}");
        let ratio = report.ratio(&name, WORK, tasks, OURS, BARE);
        report.aim(&name, ratio, Aim::AtLeast(0.95));
        report.ratio(&format!("lock_to_rslock_at_{tasks}"), WORK, tasks, OURS, RSLOCK);
    }
    report.print();
    locks.close().await;
}
