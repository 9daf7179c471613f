//! Events to a stream of NATS JetStream, for who outgrows one machine.
//!
//! An event is delivered when a stream has acknowledged that it has stored it. Each has its id
//! as `Nats-Msg-Id`, so what is sent again within the stream's duplicate window (2 min by
//! default) is stored once; what comes later again, a consumer knows by the id. Events of one
//! key come in order: the next one is not sent before the last one is acknowledged.
//!
//! The stream is the operator's: `nats stream add` with the subject among its subjects. Nobody
//! waits for a server that is away: events wait in the outbox.
//!
//! ```no_run
//! use outbox::nats::{Nats, NatsConfig};
//!
//! # async fn connect() -> Result<(), outbox::nats::NatsError> {
//! let sink = Nats::connect(NatsConfig::new("nats://127.0.0.1:4222", "shop.orders")).await?;
//! // topics.subscribe("orders", "stream", outbox::nats::BOUNDS, sink)?;
//! # let _ = sink;
//! # Ok(()) }
//! ```

use std::fmt;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::{Context, PublishErrorKind};
use async_nats::{Client, ConnectOptions, HeaderMap};

use crate::model::{Delivery, HandleError, Handler, Sink};
use crate::topics::Bounds;

/// Bounds for who may be away for days: an event is tried a thousand times, in the end every
/// five minutes at the least, before it is put aside.
pub const BOUNDS: Bounds = Bounds { attempts_max: 1_000, ..Bounds::DEFAULT };

/// Where events go, and how.
#[derive(Clone)]
pub struct NatsConfig {
    /// As `nats://[USER:PASSWORD@]HOST:PORT`, or `tls://…`; several with commas between.
    pub url: String,
    /// Of a stream that is there.
    pub subject: String,
    /// How long the stream may take to acknowledge an event. Less than [`Bounds::deadline`].
    /// Default 5 s.
    pub time_limit: Duration,
}

impl NatsConfig {
    /// With what is default.
    pub fn new(url: impl Into<String>, subject: impl Into<String>) -> Self {
        let time_limit = Duration::from_secs(5);
        Self { url: url.into(), subject: subject.into(), time_limit }
    }
}

impl fmt::Debug for NatsConfig {
    /// Never prints the address: there may be a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConfig").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// A stream can't be sent to as it is configured. The address is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NatsError {
    /// It is no address.
    #[error("an address of NATS is nats://HOST:PORT")]
    Url,
    /// Nothing can be sent to it.
    #[error("a subject has parts with `.` between, without spaces, `*` and `>`")]
    Subject,
}

/// Sends events to one subject. Cheap to clone; clones share a connection.
#[derive(Clone)]
pub struct Nats {
    client: Client,
    context: Context,
    subject: String,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl Nats {
    /// One that sends as soon as the server is there, and whenever it is there again.
    ///
    /// # Errors
    /// [`NatsError`].
    pub async fn connect(config: NatsConfig) -> Result<Self, NatsError> {
        let NatsConfig { url, subject, time_limit } = config;
        let is_part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_graphic() && !b"*>".contains(&byte))
        };
        if subject.len() > 200 || !subject.split('.').all(is_part) {
            return Err(NatsError::Subject);
        }
        let addresses = url.split(',').map(|one| one.trim().parse::<async_nats::ServerAddr>());
        let addresses = addresses.collect::<Result<Vec<_>, _>>().map_err(|_| NatsError::Url)?;
        let options = ConnectOptions::new()
            .name("endpaper outbox")
            .retry_on_initial_connect()
            .connection_timeout(time_limit);
        let client = options.connect(addresses).await.map_err(|_| NatsError::Url)?;
        let mut context = async_nats::jetstream::new(client.clone());
        context.set_timeout(time_limit);
        Ok(Self { client, context, subject })
    }
}

impl Sink for Nats {
    async fn send(&self, delivery: &Delivery, body: String) -> Result<(), HandleError> {
        // What is sent without a connection would wait in memory.
        if self.client.connection_state() != State::Connected {
            return Err(HandleError::Again("there is no connection to the NATS server".to_owned()));
        }
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", delivery.event_id.to_string().as_str());
        let sent = self.context.publish_with_headers(self.subject.clone(), headers, body.into());
        let stored = match sent.await {
            Ok(sent) => sent.await,
            Err(error) => Err(error),
        };
        stored.map(drop).map_err(|error| match error.kind() {
            PublishErrorKind::StreamNotFound => {
                HandleError::Again(format!("no stream takes the subject `{}`", self.subject))
            }
            _ => HandleError::Again(error.to_string()),
        })
    }
}

/// The event itself is the body.
impl Handler for Nats {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandleError> {
        self.send(delivery, delivery.event.to_string()).await
    }
}
