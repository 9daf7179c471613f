//! A connection that ends when its client stops reading, and that lets the
//! last answer arrive.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// The most bytes that are read and thrown away before a connection closes.
const DRAIN_BYTES_MAX: usize = 1 << 20;
/// The longest time for that: some round trips to the other side of the world.
const DRAIN_MAX: Duration = Duration::from_millis(500);
const DRAIN_STEP_BYTES: usize = 16 * 1024;

/// A stream of bytes with two habits.
///
/// - A write of which nothing goes out for as long as `stalled` fails with
///   [`io::ErrorKind::TimedOut`]: whoever never reads an answer does not keep
///   the connection.
/// - It closes in two steps: first we say that we are done, then what the
///   client still sends is thrown away, up to [`DRAIN_BYTES_MAX`] and
///   [`DRAIN_MAX`]. Closed at once, bytes that nobody read make the system
///   reset the connection, and the client loses the answer that explains why
///   we read no more (RFC 9112, section 9.6).
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    stalled: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    closing: Closing,
}

#[derive(Debug)]
enum Closing {
    Open,
    Draining { left: usize, until: Pin<Box<Sleep>> },
    Closed,
}

impl<S> Stream<S> {
    pub(super) fn new(inner: S, stalled: Duration) -> Self {
        Self { inner, stalled, waiting: None, closing: Closing::Open }
    }

    /// Passes on what came of a write, or the end of the wait for it.
    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let stalled = self.stalled;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(stalled)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client reads nothing of its answer",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.bounded(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.bounded(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.bounded(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.closing {
                Closing::Open => {
                    let shut = Pin::new(&mut this.inner).poll_shutdown(context);
                    ready!(this.bounded(context, shut))?;
                    let until = Box::pin(tokio::time::sleep_until(Instant::now() + DRAIN_MAX));
                    this.closing = Closing::Draining { left: DRAIN_BYTES_MAX, until };
                }
                Closing::Draining { left, until } => {
                    let mut bytes = [0; DRAIN_STEP_BYTES];
                    let mut buffer = ReadBuf::new(&mut bytes);
                    let more = match Pin::new(&mut this.inner).poll_read(context, &mut buffer) {
                        // An end, or an error: either way nothing more comes.
                        Poll::Ready(read) => read.is_ok() && !buffer.filled().is_empty(),
                        Poll::Pending => {
                            ready!(until.as_mut().poll(context));
                            false
                        }
                    };
                    *left = left.saturating_sub(buffer.filled().len());
                    if !more || *left == 0 || until.is_elapsed() {
                        this.closing = Closing::Closed;
                    }
                }
                Closing::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const STALLED: Duration = Duration::from_secs(10);

    fn pair() -> (Stream<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(8);
        (Stream::new(ours, STALLED), theirs)
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_stands_still_fails() {
        let (mut ours, _theirs) = pair();
        let started = Instant::now();
        let error = ours.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= STALLED && started.elapsed() < 2 * STALLED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_moves_on_may_take_long() {
        let (mut ours, mut theirs) = pair();
        let started = Instant::now();
        let reader = tokio::spawn(async move {
            let mut read = 0;
            for _ in 0..13 {
                tokio::time::sleep(STALLED * 9 / 10).await;
                read += theirs.read(&mut [0; 8]).await.unwrap();
            }
            read
        });
        ours.write_all(&[0; 100]).await.unwrap();
        assert_eq!(reader.await.unwrap(), 100);
        assert!(started.elapsed() > 10 * STALLED);
    }

    #[tokio::test(start_paused = true)]
    async fn what_still_comes_is_read_before_the_end_but_not_for_ever() {
        let (mut ours, mut theirs) = pair();
        let sender = tokio::spawn(async move {
            theirs.write_all(&[0; 100]).await.unwrap();
            theirs
        });
        let started = Instant::now();
        ours.shutdown().await.unwrap();
        let mut theirs = sender.await.unwrap();
        assert_eq!(started.elapsed(), DRAIN_MAX, "the other end stays open");
        assert_eq!(theirs.read(&mut [0; 8]).await.unwrap(), 0, "it hears that we are done");

        let (mut ours, mut theirs) = pair();
        let sender = tokio::spawn(async move { while theirs.write_all(&[0; 8]).await.is_ok() {} });
        ours.shutdown().await.unwrap();
        drop(ours);
        sender.await.unwrap();
    }
}
