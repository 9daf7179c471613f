//! The network between a program and a server, as bad as a test wants it.
//!
//! A [`Proxy`] listens on loopback and passes what it gets to a server, until
//! it is told otherwise. What it is told holds from the moment the call
//! returns, for connections that are open and for new ones:
//!
//! | fault | call |
//! |---|---|
//! | cut one way, healing like TCP | [`Proxy::set`] with [`Traffic::Held`] |
//! | cut one way, for good | [`Proxy::set`] with [`Traffic::Lost`] |
//! | half-open: connections stay open, nothing passes | [`Proxy::set_both`] with [`Traffic::Held`] |
//! | slow | [`Traffic::Delayed`], [`Traffic::Dripping`] |
//! | connections reset | [`Proxy::reset`] |
//! | connections reset, new ones refused | [`Proxy::refuse`] |
//! | a request arrives, its answer does not | [`Proxy::drop_next_answer`] |
//! | none | [`Proxy::pass`] |
//!
//! **What it does not do:** it knows bytes, no protocol, so it sees nothing in
//! what is encrypted. It drops no single packet: TCP hides that. While the
//! server refuses connections, those to the proxy are opened and then reset,
//! because a program in user space can't refuse one at a time.
//!
//! One thread serves all connections of a proxy, and ends with it.

mod connection;
mod pump;

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::num::NonZeroU32;
use std::sync::mpsc as replies;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};

use self::connection::Socket;
use crate::LabError;
use crate::port::Port;

/// The most connections of a proxy at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 1_024;

/// How long accepting rests when the machine is out of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

/// A TCP proxy in front of one server. Dropping it resets its connections and
/// frees its port.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    shared: Arc<Shared>,
    /// Each sender waits for its reply, so there are never more commands on
    /// the way than callers. `None` while the proxy is dropped.
    commands: Option<mpsc::UnboundedSender<(Command, Reply)>>,
    thread: Option<JoinHandle<()>>,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the program to the server: requests.
    ToServer,
    /// From the server to the program: answers.
    ToClient,
}

/// What becomes of bytes, and of the end of a connection, in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traffic {
    /// They pass at once.
    #[default]
    Passes,
    /// They wait, and arrive when this is over: a cut after which TCP sends
    /// again. Neither side is told that the other has closed or died.
    Held,
    /// They are gone. TCP never delivers a stream with a hole, so a connection
    /// that has lost something passes nothing more in this direction, also
    /// when this is over. It stays open.
    Lost,
    /// They arrive this much later.
    Delayed(Duration),
    /// They arrive slowly.
    Dripping {
        /// At most so many a second.
        bytes_per_s: NonZeroU32,
    },
}

/// How a connection falls whose answer is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fall {
    /// The client is reset. The server sees an end after what it has been
    /// sent, and so finishes it.
    Reset,
    /// Nothing passes any more, either way; the connection stays open.
    Silence,
}

/// What a proxy has seen since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were accepted.
    pub connections: u64,
    /// Those of them that are open on at least one side.
    pub open: u64,
    /// Requests.
    pub to_server: Flow,
    /// Answers.
    pub to_client: Flow,
    /// Answers that [`Proxy::drop_next_answer`] kept back: when this grows,
    /// the server has answered.
    pub answers_dropped: u64,
}

/// The bytes of one direction. What is neither passed nor lost is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// What came to the proxy.
    pub received_bytes: u64,
    /// What it passed on.
    pub passed_bytes: u64,
    /// What it threw away.
    pub lost_bytes: u64,
}

impl Proxy {
    /// Starts a proxy to the server at `target` on a free port of loopback.
    /// The server need not be there yet.
    pub fn to(target: SocketAddr) -> Result<Self, LabError> {
        let port = Port::reserve()?;
        let shared = Arc::new(Shared::default());
        let (commands, received) = mpsc::unbounded_channel();
        let (started, start) = replies::channel();
        let serving = Serving {
            port: port.number(),
            target,
            shared: Arc::clone(&shared),
            connections: JoinSet::new(),
            listener: None,
        };
        let thread = thread::Builder::new()
            .name("lab-proxy".to_owned())
            .spawn(move || serve(serving, received, &started))
            .map_err(network("can't start a thread for a proxy"))?;
        let proxy = Self { port, shared, commands: Some(commands), thread: Some(thread) };
        start.recv().expect("the proxy's thread says how it started")?;
        Ok(proxy)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        address(self.port.number())
    }

    /// Ends every fault: traffic passes both ways, new connections are
    /// accepted, and no answer is waited for to be dropped.
    ///
    /// # Errors
    /// When the proxy refused connections and can't have its port back.
    pub fn pass(&self) -> Result<(), LabError> {
        self.command(Command::Pass)
    }

    /// Says what becomes of traffic in one direction.
    pub fn set(&self, way: Way, traffic: Traffic) -> Result<(), LabError> {
        self.command(Command::Set(way, traffic))
    }

    /// Says what becomes of traffic in both directions.
    pub fn set_both(&self, traffic: Traffic) -> Result<(), LabError> {
        self.set(Way::ToServer, traffic)?;
        self.set(Way::ToClient, traffic)
    }

    /// Resets all connections on both sides (TCP's RST, whatever the traffic
    /// is set to). New ones are accepted.
    pub fn reset(&self) -> Result<(), LabError> {
        self.command(Command::Reset)
    }

    /// Resets all connections and refuses new ones until [`Proxy::pass`].
    pub fn refuse(&self) -> Result<(), LabError> {
        self.command(Command::Refuse)
    }

    /// Lets the next request that has `needle` in it (ASCII letters in either
    /// case) reach the server, and then cuts its connection before a byte of
    /// the answer passes. Once: requests after it are answered again.
    ///
    /// The first bytes that the server sends after the needle count as the
    /// answer. Where requests are sent without waiting for answers, that may
    /// be the answer to an earlier one: then let the needle be in the last.
    ///
    /// # Panics
    /// When `needle` is empty.
    pub fn drop_next_answer(&self, needle: impl AsRef<[u8]>, fall: Fall) -> Result<(), LabError> {
        let needle = needle.as_ref().to_owned();
        assert!(!needle.is_empty(), "an empty needle is in everything");
        self.command(Command::DropAnswer(Trap { needle: needle.into(), fall }))
    }

    /// What it has seen so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.shared.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `reached` is true of the counters, at most `limit`. `what`
    /// ends the sentence "the proxy was not …" of the error.
    pub fn wait_until(
        &self,
        what: &'static str,
        limit: Duration,
        reached: impl Fn(&Counters) -> bool,
    ) -> Result<Counters, LabError> {
        let counters = self.shared.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let (counters, waited) = self
            .shared
            .counted
            .wait_timeout_while(counters, limit, |counters| !reached(counters))
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            let program = "the proxy".to_owned();
            return Err(LabError::Late { program, what, limit, log: format!("{counters:?}") });
        }
        Ok(*counters)
    }

    fn command(&self, command: Command) -> Result<(), LabError> {
        let (reply, done) = replies::channel();
        let commands = self.commands.as_ref().expect("commands end with the proxy");
        commands.send((command, reply)).expect("the proxy's thread lives as long as the proxy");
        done.recv().expect("the proxy's thread replies")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has failed the test already.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
enum Command {
    Pass,
    Set(Way, Traffic),
    Reset,
    Refuse,
    DropAnswer(Trap),
}

type Reply = replies::Sender<Result<(), LabError>>;

/// What is waited for to drop its answer.
#[derive(Clone, Debug)]
struct Trap {
    needle: Arc<[u8]>,
    fall: Fall,
}

/// What the connections are to do. Changed on the proxy's thread alone, on
/// which they run too: so nobody sees it change between a look and a write.
#[derive(Clone, Debug, Default)]
struct Link {
    to_server: Traffic,
    to_client: Traffic,
    trap: Option<Trap>,
}

impl Link {
    fn traffic(&self, way: Way) -> Traffic {
        match way {
            Way::ToServer => self.to_server,
            Way::ToClient => self.to_client,
        }
    }

    fn is_cut(&self, way: Way) -> bool {
        matches!(self.traffic(way), Traffic::Held | Traffic::Lost)
    }
}

#[derive(Debug, Default)]
struct Shared {
    link: watch::Sender<Link>,
    counters: Mutex<Counters>,
    counted: Condvar,
}

impl Shared {
    fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner));
        self.counted.notify_all();
    }

    fn count_flow(&self, way: Way, change: impl FnOnce(&mut Flow)) {
        self.count(|counters| {
            change(match way {
                Way::ToServer => &mut counters.to_server,
                Way::ToClient => &mut counters.to_client,
            });
        });
    }
}

/// The side of a proxy that runs on its thread.
struct Serving {
    port: u16,
    target: SocketAddr,
    shared: Arc<Shared>,
    connections: JoinSet<()>,
    /// `None` while connections are refused.
    listener: Option<TcpListener>,
}

fn serve(
    mut serving: Serving,
    mut commands: mpsc::UnboundedReceiver<(Command, Reply)>,
    started: &Reply,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = match runtime.map_err(network("can't start a proxy")) {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    LocalSet::new().block_on(&runtime, async move {
        // Who asks for something and does not wait for the reply needs none.
        let _ = started.send(serving.listen());
        loop {
            let open = serving.connections.len();
            tokio::select! {
                biased;
                command = commands.recv() => {
                    let Some((command, reply)) = command else { break };
                    let _ = reply.send(serving.obey(command).await);
                }
                Some(_) = serving.connections.join_next(), if open > 0 => {}
                client = accept(serving.listener.as_ref()), if open < CONNECTIONS_MAX => {
                    serving.take(client);
                }
            }
        }
        serving.connections.shutdown().await;
    });
}

impl Serving {
    async fn obey(&mut self, command: Command) -> Result<(), LabError> {
        match command {
            Command::Pass => {
                self.shared.link.send_replace(Link::default());
                return self.listen();
            }
            Command::Set(way, traffic) => self.shared.link.send_modify(|link| match way {
                Way::ToServer => link.to_server = traffic,
                Way::ToClient => link.to_client = traffic,
            }),
            Command::DropAnswer(trap) => {
                self.shared.link.send_modify(|link| link.trap = Some(trap));
            }
            Command::Reset => {
                self.accept_waiting().await;
                self.connections.shutdown().await;
            }
            Command::Refuse => {
                // The kernel resets what was not accepted yet.
                self.listener = None;
                self.connections.shutdown().await;
            }
        }
        Ok(())
    }

    /// Listens, where it does not yet.
    fn listen(&mut self) -> Result<(), LabError> {
        if self.listener.is_none() {
            let address = address(self.port);
            let listen = || {
                let listener = StdListener::bind(address)?;
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener)
            };
            let listener =
                listen().map_err(network(&format!("a proxy can't listen on {address}")))?;
            self.listener = Some(listener);
        }
        Ok(())
    }

    fn take(&mut self, client: Option<TcpStream>) {
        if let Some(client) = client {
            let shared = Arc::clone(&self.shared);
            // Also one that is reset before it was served.
            let client = Socket::new(client);
            self.connections.spawn_local(connection::serve(client, self.target, shared));
        }
    }

    /// Accepts the connections that clients have opened already.
    async fn accept_waiting(&mut self) {
        // Lets the runtime ask the kernel who is there.
        tokio::task::yield_now().await;
        let mut before = None;
        while before != Some(self.connections.len()) {
            before = Some(self.connections.len());
            tokio::select! {
                biased;
                client = accept(self.listener.as_ref()) => self.take(client),
                () = std::future::ready(()) => {}
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    let Some(listener) = listener else { return std::future::pending().await };
    let accepted = listener.accept().await;
    if accepted.is_err() {
        tokio::time::sleep(ACCEPT_AGAIN).await;
    }
    accepted.ok().map(|(client, _)| client)
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn network(what: &str) -> impl FnOnce(std::io::Error) -> LabError {
    let what = what.to_owned();
    move |source| LabError::Network { what, source }
}
