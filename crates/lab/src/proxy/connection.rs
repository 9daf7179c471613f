//! One connection: two sockets, and how they end.

use std::cell::Cell;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::pump::{End, Pump};
use super::{Fall, Shared, Way};

/// Serves a connection until both sides have closed it, or a fault has.
pub(super) async fn serve(client: Socket, target: SocketAddr, shared: Arc<Shared>) {
    let _open = Open::count(&shared);
    let mut link = shared.link.subscribe();
    let reached = "the proxy's link outlives its connections";

    // The request to connect is traffic too: while there is a cut, it waits,
    // as TCP sends it again.
    link.wait_for(|link| !link.is_cut(Way::ToServer)).await.expect(reached);
    let Ok(server) = TcpStream::connect(target).await else {
        link.wait_for(|link| !link.is_cut(Way::ToClient)).await.expect(reached);
        return;
    };
    let server = Socket::new(server);

    let both = Both::default();
    let up = Pump::new(Way::ToServer, &client, &server, &both, &shared);
    let down = Pump::new(Way::ToClient, &server, &client, &both, &shared);
    let end = tokio::try_join!(up.run(), down.run());
    match end {
        Ok(_) => {
            client.close();
            server.close();
        }
        Err(End::Reset) => {}
        Err(End::AnswerDropped) => {
            drop(client);
            finish(&server, &shared).await;
            server.close();
        }
    }
}

/// Lets the server work off what it has been sent: a reset would make the
/// kernel throw away what the server has not read yet.
async fn finish(server: &TcpStream, shared: &Shared) {
    // When the server has gone already, there is nothing to shut down.
    let _ = shut_down(server);
    let mut buffer = vec![0; super::pump::READ_BYTES_MAX];
    while server.readable().await.is_ok() {
        match server.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => shared.count_flow(Way::ToClient, |flow| {
                flow.received_bytes += read as u64;
                flow.lost_bytes += read as u64;
            }),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
}

/// Tells the other side that nothing more comes.
pub(super) fn shut_down(socket: &TcpStream) -> std::io::Result<()> {
    rustix::net::shutdown(socket, rustix::net::Shutdown::Write).map_err(Into::into)
}

/// What the two directions of a connection know of each other.
#[derive(Debug, Default)]
pub(super) struct Both {
    /// Writing to one side failed: it has reset the connection, and reading
    /// from it may show that as a plain end.
    pub(super) broken: Cell<bool>,
    pub(super) answer: Cell<Answer>,
}

/// Where the connection stands in having an answer dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Answer {
    #[default]
    Passes,
    /// The request has passed; what the server says next is dropped.
    Awaited(Fall),
    /// It was dropped, and nothing passes any more.
    Silenced,
}

/// A socket that resets its connection when it is dropped, unless it is closed.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    resets: bool,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Only speed is lost where this fails.
        let _ = stream.set_nodelay(true);
        Self { stream, resets: true }
    }

    fn close(mut self) {
        self.resets = false;
    }
}

impl Deref for Socket {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.resets {
            // It can fail only where the connection is gone already.
            let _ = self.stream.set_zero_linger();
        }
    }
}

struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn count(shared: &'a Shared) -> Self {
        shared.count(|counters| {
            counters.connections += 1;
            counters.open += 1;
        });
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.count(|counters| counters.open -= 1);
    }
}
