//! The process that writes to the masters, and is killed: it serves
//! [`Request`]s on a socket, each over one open store.

use std::path::PathBuf;
use std::time::Duration;

use multi_master::{
    Config, Db, DbError, MasterConfig, MasterName, MasterState, MultiMaster, Outcome, Policy, Tx,
    Verify,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::store;
use super::wire::{Reply, Request};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    all: bool,
    #[arg(long)]
    witness: PathBuf,
    /// The URL of each master
    #[arg(long)]
    master: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .init();
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
    let store =
        MultiMaster::open(config, store::MIGRATIONS).await.map_err(|error| error.to_string())?;
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("listening on http://{address}");
    loop {
        let (stream, _) = listener.accept().await.map_err(|error| error.to_string())?;
        tokio::spawn(converse(stream, store.clone()));
    }
}

async fn converse(stream: TcpStream, store: MultiMaster) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(request) = serde_json::from_str(&line) else { return };
        let mut reply = serde_json::to_vec(&answer(&store, request).await).unwrap_or_default();
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
            let done =
                store.write(async move |tx: &mut Tx| store::transfer(tx, from, to, amount).await);
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
    }
}

fn written<T>(outcome: Outcome<T, DbError>, of: impl FnOnce(T) -> Reply) -> Reply {
    match outcome {
        Outcome::Saved { value, .. } | Outcome::Owed { value, .. } => of(value),
        Outcome::NotSaved(error) => Reply::Refused(error.to_string()),
        Outcome::InDoubt(_) => Reply::Unknown,
    }
}

fn read<T>(result: Result<T, DbError>, of: impl FnOnce(T) -> Reply) -> Reply {
    match result {
        Ok(value) => of(value),
        Err(error) => Reply::Refused(error.to_string()),
    }
}
