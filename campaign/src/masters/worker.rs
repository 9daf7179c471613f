//! The process that writes to the masters, and is killed: it serves
//! [`Request`]s on a socket, each over one open store.

mod sabotaged;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use multi_master::{
    Config, Db, DbError, MasterConfig, MasterName, MasterState, MultiMaster, Outcome, Policy, Tx,
    Verify, WitnessConfig,
};
use stdx::{Clock, UnixMicros};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::store;
use super::wire::{Reply, Request};

/// How often the worker's clock is set.
const TICK: Duration = Duration::from_millis(1);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    all: bool,
    #[arg(long)]
    witness: WitnessConfig,
    /// The URL of each master
    #[arg(long)]
    master: Vec<String>,
    /// A planted bug
    #[arg(long)]
    bug: Option<String>,
    /// How many seconds the clock is off
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    clock: i64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .init();
    if let Some(bug) = &arguments.bug {
        sabotaged::plant(bug)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: &Arguments) -> Result<(), String> {
    let masters = ["a", "b"]
        .iter()
        .zip(&arguments.master)
        .map(|(name, url)| MasterConfig { name: MasterName((*name).to_owned()), url: url.clone() });
    let policy = if arguments.all { Policy::All } else { Policy::Available };
    let mut config = Config::new(masters.collect(), policy, arguments.witness.clone());
    config.limits.connect = Duration::from_secs(1);
    config.limits.statement = Duration::from_secs(2);
    config.limits.commit = Duration::from_secs(2);
    config.limits.probe = Duration::from_millis(100);
    let (clock, off) = clock(arguments.clock)?;
    config.clock = clock;
    let store =
        MultiMaster::open(config, store::MIGRATIONS).await.map_err(|error| error.to_string())?;
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("listening on http://{address}");
    loop {
        let (stream, _) = listener.accept().await.map_err(|error| error.to_string())?;
        tokio::spawn(converse(stream, store.clone(), Arc::clone(&off)));
    }
}

/// A clock that follows the machine's, and is off by what is told.
fn clock(secs: i64) -> Result<(Clock, Arc<AtomicI64>), String> {
    let off = Arc::new(AtomicI64::new(secs));
    let now = {
        let off = Arc::clone(&off);
        move || {
            let off = off.load(Ordering::SeqCst).saturating_mul(1_000_000);
            UnixMicros(Clock::real().now().0.saturating_add(off))
        }
    };
    let clock = Clock::starting_at(now());
    let set = clock.clone();
    let thread = std::thread::Builder::new().name("clock".to_owned()).spawn(move || {
        loop {
            set.set(now());
            std::thread::sleep(TICK);
        }
    });
    thread.map_err(|error| error.to_string())?;
    Ok((clock, off))
}

async fn converse(stream: TcpStream, store: MultiMaster, off: Arc<AtomicI64>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(request) = serde_json::from_str(&line) else { return };
        let reply = match request {
            Request::Clock(secs) => {
                off.store(secs, Ordering::SeqCst);
                Reply::Done
            }
            other => answer(&store, other).await,
        };
        let mut reply = serde_json::to_vec(&reply).unwrap_or_default();
        reply.push(b'\n');
        if write.write_all(&reply).await.is_err() {
            return;
        }
    }
}

async fn answer(store: &MultiMaster, request: Request) -> Reply {
    match request {
        Request::Open(keys) => {
            let done = store.write(async move |tx: &mut Tx| store::open(tx, &keys).await);
            written(done.await, |()| Reply::Done)
        }
        Request::Transfer { from, to, amount } => {
            let done = store
                .write(async move |tx: &mut Tx| store::transfer(tx, from, to, Some(amount)).await);
            written(done.await, |()| Reply::Done)
        }
        Request::Close { from, to } => {
            let done =
                store.write(async move |tx: &mut Tx| store::transfer(tx, from, to, None).await);
            written(done.await, |()| Reply::Done)
        }
        Request::Balances => read(store.read(store::balances).await, Reply::Balances),
        Request::Write { key, value } => {
            let done = store.write(async move |tx: &mut Tx| store::set(tx, key, value).await);
            written(done.await, |()| Reply::Done)
        }
        Request::Read { key } => {
            // In a write: on the primary, in the order of all writes.
            let done = store.write(async move |tx: &mut Tx| store::get(tx, key).await);
            written(done.await, Reply::Value)
        }
        Request::Lists(steps) => {
            let done = store.write(async move |tx: &mut Tx| store::lists(tx, &steps).await);
            written(done.await, Reply::Lists)
        }
        Request::List(list) => {
            let done = store.read(async move |db: &mut Db| store::elements(db, list).await);
            read(done.await, |found| Reply::Lists(vec![found]))
        }
        Request::Whole => {
            let masters = store.status();
            let whole = masters.iter().all(|master| master.state == MasterState::Live);
            let told = masters.iter().map(|master| {
                let reason = master.reason.as_deref().unwrap_or_default();
                format!("{} {:?} {reason}", master.name, master.state)
            });
            Reply::Whole(whole, told.collect::<Vec<_>>().join("; "))
        }
        Request::Verify => read(store.verify(Verify::default(), |_| {}).await, Reply::Findings),
        Request::Repair => {
            let how = Verify { repair: true, ..Verify::default() };
            read(store.verify(how, |_| {}).await, Reply::Findings)
        }
        Request::Keep { id, text } => {
            let done = store.write(async move |tx: &mut Tx| store::keep(tx, id, &text).await);
            written(done.await, |()| Reply::Done)
        }
        Request::Saved(txid) => Reply::Saved(store.lookup(txid).await),
        Request::Arm(arm) => told(sabotaged::arm(&arm)),
        Request::Disarm => {
            sabotaged::disarm();
            Reply::Done
        }
        // It is the conversation's.
        Request::Clock(_) => Reply::Done,
    }
}

fn told(result: Result<(), String>) -> Reply {
    result.map_or_else(Reply::Refused, |()| Reply::Done)
}

fn written<T>(outcome: Outcome<T, DbError>, of: impl FnOnce(T) -> Reply) -> Reply {
    match outcome {
        Outcome::Saved { value, .. } | Outcome::Owed { value, .. } => of(value),
        Outcome::NotSaved(error) => Reply::Refused(error.to_string()),
        Outcome::InDoubt(txid) => Reply::Unknown(txid),
    }
}

fn read<T>(result: Result<T, DbError>, of: impl FnOnce(T) -> Reply) -> Reply {
    match result {
        Ok(value) => of(value),
        Err(error) => Reply::Refused(error.to_string()),
    }
}
