//! One direction of a connection: what is read, waits, and is written.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::connection::{Answer, Both, shut_down};
use super::{Fall, Link, Shared, Traffic, Trap, Way};

/// The most that is read at once.
pub(super) const READ_BYTES_MAX: usize = 64 << 10;

/// The most that waits in one direction; then the sender waits too, as it
/// would for a full window of TCP.
const QUEUE_BYTES_MAX: usize = 1 << 20;

const _: () = assert!(READ_BYTES_MAX <= QUEUE_BYTES_MAX);

/// A fast drip comes in drops of this length: the runtime's timer counts
/// milliseconds.
const DROPS_PER_S: u32 = 100;

/// Why both directions end before both sides have closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A side has reset the connection, and the other is to learn of it.
    Reset,
    /// The answer that was to be dropped is here, and the client is to be reset.
    AnswerDropped,
}

pub(super) struct Pump<'a> {
    way: Way,
    from: &'a TcpStream,
    to: &'a TcpStream,
    both: &'a Both,
    shared: &'a Shared,
    link: watch::Receiver<Link>,
    queue: VecDeque<Piece>,
    queued_bytes: usize,
    /// Nothing more is to be read.
    ended: bool,
    /// Something was thrown away, so nothing may follow it.
    lost: bool,
    drip: Option<Drip>,
    scan: Scan,
}

struct Piece {
    arrived: Instant,
    what: What,
}

enum What {
    Bytes {
        bytes: Vec<u8>,
        /// How many of them are written.
        written: usize,
    },
    End,
    Reset,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        way: Way,
        from: &'a TcpStream,
        to: &'a TcpStream,
        both: &'a Both,
        shared: &'a Shared,
    ) -> Self {
        Self {
            way,
            from,
            to,
            both,
            shared,
            link: shared.link.subscribe(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            ended: false,
            lost: false,
            drip: None,
            scan: Scan::default(),
        }
    }

    /// Passes on what comes until it ends.
    pub(super) async fn run(mut self) -> Result<(), End> {
        let (from, to) = (self.from, self.to);
        let mut buffer = vec![0; READ_BYTES_MAX];
        loop {
            let traffic = self.link.borrow_and_update().traffic(self.way);
            if self.lost || traffic == Traffic::Lost {
                self.lose();
            }
            if self.ended && self.queue.is_empty() {
                return Ok(());
            }
            let due = self.due(traffic);
            let writes_bytes =
                matches!(self.queue.front(), Some(Piece { what: What::Bytes { .. }, .. }));
            let may_read = !self.ended && self.queued_bytes < QUEUE_BYTES_MAX;
            tokio::select! {
                biased;
                changed = self.link.changed() => {
                    changed.expect("the proxy's link outlives its connections");
                }
                () = writable(to, due, writes_bytes), if due.is_some() => self.write(traffic)?,
                // An error of this shows when reading.
                _ = from.readable(), if may_read => self.read(&mut buffer)?,
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), End> {
        let what = match self.from.try_read(buffer) {
            Ok(0) if self.both.broken.get() => What::Reset,
            Ok(0) => What::End,
            Ok(read) => {
                self.shared.count_flow(self.way, |flow| flow.received_bytes += read as u64);
                What::Bytes { bytes: buffer[..read].to_owned(), written: 0 }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => What::Reset,
        };
        if let What::Bytes { bytes, .. } = &what {
            self.queued_bytes += bytes.len();
        } else {
            self.ended = true;
        }
        let is_answer = self.way == Way::ToClient && matches!(what, What::Bytes { .. });
        self.queue.push_back(Piece { arrived: Instant::now(), what });
        match self.both.answer.get() {
            Answer::Awaited(fall) if is_answer => {
                self.lose();
                self.shared.count(|counters| counters.answers_dropped += 1);
                match fall {
                    Fall::Reset => return Err(End::AnswerDropped),
                    Fall::Silence => self.both.answer.set(Answer::Silenced),
                }
            }
            Answer::Silenced => self.lose(),
            Answer::Awaited(_) | Answer::Passes => {}
        }
        Ok(())
    }

    /// When the first piece may be written; `None` when none may.
    fn due(&mut self, traffic: Traffic) -> Option<Instant> {
        if !matches!(traffic, Traffic::Dripping { .. }) || self.queue.is_empty() {
            self.drip = None;
        }
        let arrived = self.queue.front()?.arrived;
        match traffic {
            Traffic::Passes => Some(arrived),
            Traffic::Held | Traffic::Lost => None,
            Traffic::Delayed(delay) => arrived.checked_add(delay),
            Traffic::Dripping { bytes_per_s } => {
                let drip = self.drip.get_or_insert_with(|| Drip::start(bytes_per_s));
                drip.set_rate(bytes_per_s);
                Some(drip.next(self.queued_bytes))
            }
        }
    }

    fn write(&mut self, traffic: Traffic) -> Result<(), End> {
        if self.both.answer.get() == Answer::Silenced {
            self.lose();
        }
        let Some(Piece { what, .. }) = self.queue.front_mut() else { return Ok(()) };
        match what {
            What::Bytes { bytes, written } => {
                let rest = &bytes[*written..];
                let allowed = match (traffic, &self.drip) {
                    (Traffic::Dripping { .. }, Some(drip)) => rest.len().min(drip.allowance()),
                    _ => rest.len(),
                };
                if allowed == 0 {
                    return Ok(());
                }
                let passed = match self.to.try_write(&rest[..allowed]) {
                    Ok(passed) => passed,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(_) => {
                        // That this side is gone is a message to the other,
                        // and travels the other way.
                        self.both.broken.set(true);
                        self.lose();
                        self.lost = true;
                        return Ok(());
                    }
                };
                if self.way == Way::ToServer {
                    self.scan.look(&rest[..passed], self.shared, self.both);
                }
                *written += passed;
                let is_done = *written == bytes.len();
                self.queued_bytes -= passed;
                if let Some(drip) = &mut self.drip {
                    drip.passed += passed as u64;
                }
                self.shared.count_flow(self.way, |flow| flow.passed_bytes += passed as u64);
                if is_done {
                    self.queue.pop_front();
                }
                Ok(())
            }
            What::End => {
                // It can fail only where that side is gone, and then the other
                // direction knows.
                let _ = shut_down(self.to);
                self.queue.pop_front();
                Ok(())
            }
            What::Reset => Err(End::Reset),
        }
    }

    /// Throws away what waits.
    fn lose(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        self.lost = true;
        self.queue.clear();
        let lost = std::mem::take(&mut self.queued_bytes) as u64;
        self.shared.count_flow(self.way, |flow| flow.lost_bytes += lost);
    }
}

impl Drop for Pump<'_> {
    fn drop(&mut self) {
        // What waits when the connection is reset.
        self.lose();
    }
}

async fn writable(to: &TcpStream, due: Option<Instant>, waits_for_room: bool) {
    let Some(due) = due else { return };
    if due > Instant::now() {
        sleep_until(due).await;
    }
    if waits_for_room {
        // An error of this shows when writing.
        let _ = to.writable().await;
    }
}

/// How far a slow drip is.
struct Drip {
    bytes_per_s: NonZeroU32,
    since: Instant,
    passed: u64,
}

impl Drip {
    fn start(bytes_per_s: NonZeroU32) -> Self {
        Self { bytes_per_s, since: Instant::now(), passed: 0 }
    }

    fn set_rate(&mut self, bytes_per_s: NonZeroU32) {
        if self.bytes_per_s != bytes_per_s {
            *self = Self::start(bytes_per_s);
        }
    }

    /// When the next drop of `waiting` bytes falls.
    fn next(&self, waiting: usize) -> Instant {
        let drop = u64::from((self.bytes_per_s.get() / DROPS_PER_S).max(1)).min(waiting as u64);
        let until = u128::from(self.passed + drop) * 1_000_000_000;
        let after_ns = until.div_ceil(u128::from(self.bytes_per_s.get()));
        self.since + Duration::from_nanos(u64::try_from(after_ns).unwrap_or(u64::MAX))
    }

    /// How much may pass by now.
    fn allowance(&self) -> usize {
        let allowed =
            self.since.elapsed().as_nanos() * u128::from(self.bytes_per_s.get()) / 1_000_000_000;
        usize::try_from(allowed.saturating_sub(u128::from(self.passed))).unwrap_or(usize::MAX)
    }
}

/// Looks for a needle in what has passed since it was looked for.
#[derive(Default)]
struct Scan {
    trap: Option<Trap>,
    /// The end of what has passed, shorter than the needle.
    tail: Vec<u8>,
}

impl Scan {
    fn look(&mut self, passed: &[u8], shared: &Shared, both: &Both) {
        let Some(trap) = shared.link.borrow().trap.clone() else {
            self.trap = None;
            return;
        };
        let is_same = |known: &Trap| std::sync::Arc::ptr_eq(&known.needle, &trap.needle);
        if !self.trap.as_ref().is_some_and(is_same) {
            self.tail.clear();
        }
        self.tail.extend_from_slice(passed);
        let needle = &*trap.needle;
        if self.tail.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle)) {
            both.answer.set(Answer::Awaited(trap.fall));
            // One request alone: the next one's answer passes.
            shared.link.send_modify(|link| link.trap = None);
            self.trap = None;
            return;
        }
        let beyond = self.tail.len().saturating_sub(needle.len() - 1);
        self.tail.drain(..beyond);
        self.trap = Some(trap);
    }
}
