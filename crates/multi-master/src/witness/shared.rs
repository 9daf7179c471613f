//! How one of several processes asks their witness.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::wire::{self, Reply, Request};
use super::{Answer, Ask, Stage, Testimony};
use crate::config::WitnessConfig;
use crate::timely::timely;

/// How long the witness has to answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// A process's way to ask the witness, over one connection.
#[derive(Debug)]
pub(crate) struct Client {
    at: WitnessConfig,
    process: Uuid,
    /// How far the process is, where it has the set open, as far as it knows.
    open: Arc<Mutex<Option<Stage>>>,
    connection: Option<Connection>,
}

#[derive(Debug)]
enum Connection {
    Server(BufStream<TcpStream>),
    #[cfg(feature = "redis")]
    Redis(Box<super::redis::Connection>),
}

impl Client {
    pub(crate) fn new(at: WitnessConfig, process: Uuid) -> Self {
        Self { at, process, open: Arc::default(), connection: None }
    }

    /// The same process over a connection of its own.
    pub(crate) fn another(&self) -> Self {
        let open = Arc::clone(&self.open);
        Self { at: self.at.clone(), process: self.process, open, connection: None }
    }

    /// The process that asks.
    pub(crate) const fn process(&self) -> Uuid {
        self.process
    }

    pub(crate) fn place(&self) -> String {
        self.at.to_string()
    }

    pub(crate) async fn say(
        &mut self,
        after: Option<u64>,
        testimony: Testimony,
    ) -> Result<Answer, String> {
        self.ask(Ask::Say { after, testimony }).await
    }

    /// Asks, and says why where no answer comes within a second.
    ///
    /// A process that has the set open is told nothing before the witness knows
    /// that. It may have been taken for dead, settled and forgotten while it was
    /// frozen: what it writes from here on somebody has to settle when it dies.
    pub(crate) async fn ask(&mut self, ask: Ask) -> Result<Answer, String> {
        match ask {
            Ask::Serve => self.is(Some(Stage::Serving)),
            Ask::CutOff => self.is(Some(Stage::CutOff)),
            Ask::Leave => self.is(None),
            _ => {}
        }
        let answer = self.ask_once(ask).await?;
        let open = *self.open();
        let again = match open {
            Some(Stage::Serving) => Ask::Serve,
            Some(Stage::CutOff) => Ask::CutOff,
            _ => return Ok(answer),
        };
        if open == Some(answer.stage) { Ok(answer) } else { self.ask_once(again).await }
    }

    /// A process that has the set open says with its next question whether it reaches
    /// every master that serves.
    pub(crate) fn reaches_all(&self, all: bool) {
        let mut open = self.open();
        if open.is_some() {
            *open = Some(if all { Stage::Serving } else { Stage::CutOff });
        }
    }

    fn is(&self, stage: Option<Stage>) {
        *self.open() = stage;
    }

    fn open(&self) -> MutexGuard<'_, Option<Stage>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask_once(&mut self, ask: Ask) -> Result<Answer, String> {
        let limit = ANSWER_MAX;
        let answer = timely(limit, self.ask_again(ask)).await;
        let answer = answer
            .unwrap_or_else(|| Err(format!("no answer within {} ms", limit.as_millis())))
            .map_err(|why| format!("{}: {why}", self.at));
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    /// Asks; where the connection that was kept has fallen meanwhile, over a new
    /// one.
    async fn ask_again(&mut self, ask: Ask) -> Result<Answer, String> {
        if let Some(mut kept) = self.connection.take()
            && let Ok(answer) = self.ask_over(&mut kept, ask.clone()).await
        {
            self.connection = Some(kept);
            return answer;
        }
        let mut new = self.connect().await?;
        let answer = self.ask_over(&mut new, ask).await.map_err(|error| error.to_string())?;
        self.connection = Some(new);
        answer
    }

    async fn connect(&self) -> Result<Connection, String> {
        match &self.at {
            WitnessConfig::File(_) => Err("a file is not asked".to_owned()),
            WitnessConfig::Server { address, .. } => {
                let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
                stream.set_nodelay(true).map_err(|e| e.to_string())?;
                Ok(Connection::Server(BufStream::new(stream)))
            }
            #[cfg(feature = "redis")]
            WitnessConfig::Redis { url, set } => {
                let connection = super::redis::Connection::open(url, set).await?;
                Ok(Connection::Redis(Box::new(connection)))
            }
            #[cfg(not(feature = "redis"))]
            WitnessConfig::Redis { .. } => {
                Err("this program was built without the feature `redis`".to_owned())
            }
        }
    }

    /// The outer error is the connection's, the inner one the witness's.
    async fn ask_over(
        &self,
        connection: &mut Connection,
        ask: Ask,
    ) -> std::io::Result<Result<Answer, String>> {
        match (connection, &self.at) {
            (Connection::Server(stream), WitnessConfig::Server { token, set, .. }) => {
                let (token, set) = (token.clone(), set.clone());
                let request = Request { token, set, process: self.process, ask };
                stream.write_all(&wire::line(&request)).await?;
                stream.flush().await?;
                let line = wire::next_line(stream).await?;
                if line.is_empty() {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                Ok(match serde_json::from_slice(&line) {
                    Ok(Reply::Told(answer)) => Ok(answer),
                    Ok(Reply::Refused(why)) => Err(why),
                    Err(error) => Err(format!("what answers there is no witness: {error}")),
                })
            }
            #[cfg(feature = "redis")]
            (Connection::Redis(redis), _) => redis.ask(self.process, ask).await,
            _ => Ok(Err("the witness is of another kind than the connection".to_owned())),
        }
    }
}
