//! Clients that read and write without end, note what they were told, and are
//! judged.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::Recorder;
use lab::history::{ClientId, History, Judged, bank, list_append, register};
use multi_master::TxId;
use stdx::{Random, Seed};

use super::wire::{ACCOUNTS, BALANCE, Reply, Request, Step};

/// Clients at one time, and how long each rests after an operation: enough of
/// them meet, and a round stays small enough to be judged.
const CLIENTS: u64 = 8;
const REST: Duration = Duration::from_millis(8);
/// A client that waits longer gives up, and does not know.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a client waits before it calls a worker that is away again.
const CALL_AGAIN: Duration = Duration::from_millis(20);
/// When everything has healed, somebody serves within this time.
const SERVED_WITHIN: Duration = Duration::from_secs(20);
/// Registers and lists of one round.
const KEYS: u64 = 4;
/// Time for one judge.
const JUDGE_MAX: Duration = Duration::from_mins(2);

/// A connection to the worker.
pub(crate) struct Call {
    reader: BufReader<TcpStream>,
}

impl Call {
    pub(crate) fn to(address: SocketAddr) -> std::io::Result<Self> {
        Self::within(address, PATIENCE)
    }

    /// One that waits for an answer for at most so long.
    pub(crate) fn within(address: SocketAddr, patience: Duration) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    pub(crate) fn ask(&mut self, request: &Request) -> std::io::Result<Reply> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.reader.get_mut().write_all(&line)?;
        let mut reply = String::new();
        self.reader.read_line(&mut reply)?;
        Ok(serde_json::from_str(&reply)?)
    }

    /// Asks again while nobody serves: what a fault led to may come a moment late.
    pub(crate) fn ask_until_served(&mut self, request: &Request) -> std::io::Result<Reply> {
        let until = Instant::now() + SERVED_WITHIN;
        loop {
            match self.ask(request)? {
                Reply::Refused(_) if Instant::now() < until => std::thread::sleep(CALL_AGAIN),
                reply => return Ok(reply),
            }
        }
    }
}

/// Where the workers are; one moves when it is started again.
pub(crate) type Addresses = Arc<Mutex<Vec<Option<SocketAddr>>>>;

/// The load of one round.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    bank: Recorder<bank::Request, bank::Answer>,
    registers: Recorder<register::Request, register::Answer>,
    lists: Recorder<list_append::Request, list_append::Answer>,
    /// Those of the clients of `lists` whose reads go to any master.
    plain: BTreeSet<ClientId>,
    round: u64,
    pub(crate) seen: Arc<Seen>,
}

/// A transaction of which nobody knew whether it was saved, and what it appended to
/// which list.
type Doubt = (TxId, Vec<(u32, u32)>);

/// What clients saw in one round.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) acknowledged: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) unknown: AtomicU64,
    /// Of reads that any master may answer.
    pub(crate) refused_reads: AtomicU64,
    doubts: Mutex<Vec<Doubt>>,
    pub(crate) reads: Gaps,
    pub(crate) writes: Gaps,
}

/// The longest time in which nobody was answered.
#[derive(Default)]
pub(crate) struct Gaps(Mutex<(Option<Instant>, Duration)>);

impl Gaps {
    fn answered(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(last) = state.0.replace(now) {
            state.1 = state.1.max(now - last);
        }
    }

    pub(crate) fn longest(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// What the judges say of a round.
#[derive(Default)]
pub(crate) struct Verdict {
    /// What can't be, in words, and which judge says so.
    pub(crate) refusals: Vec<(&'static str, String)>,
    /// Acknowledged elements that are gone.
    pub(crate) lost: u64,
    /// Operations judged.
    pub(crate) judged: usize,
}

impl Load {
    pub(crate) fn start(addresses: &Addresses, round: u64, seed: u64) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            clients: Vec::new(),
            bank: Recorder::new(),
            registers: Recorder::new(),
            lists: Recorder::new(),
            plain: BTreeSet::new(),
            round,
            seen: Arc::default(),
        };
        for client in 0..CLIENTS {
            let mut caller = Caller {
                addresses: Arc::clone(addresses),
                call: None,
                seen: Arc::clone(&load.seen),
                random: Random::new(Seed(seed ^ (client << 32))),
                round,
                client,
                count: 0,
                bank: load.bank.client(),
                registers: load.registers.client(),
                lists: load.lists.client(),
                plain: load.lists.client(),
            };
            load.plain.insert(caller.plain.id());
            let stop = Arc::clone(&load.stop);
            load.clients.push(std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    caller.one();
                    std::thread::sleep(REST);
                }
            }));
        }
        load
    }

    /// Waits until as many operations were acknowledged as `more` on top.
    pub(crate) fn wait_for(&self, more: u64, limit: Duration) -> bool {
        let (goal, until) =
            (self.seen.acknowledged.load(Ordering::SeqCst) + more, Instant::now() + limit);
        while self.seen.acknowledged.load(Ordering::SeqCst) < goal {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Ends the load.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            if client.join().is_err() {
                eprintln!("campaign: a client of round {} panicked", self.round);
            }
        }
    }

    /// Reads every list once more, when everything has healed, and judges the
    /// round.
    pub(crate) fn judge(&self, call: &mut Call) -> Result<Verdict, String> {
        let mut last = self.lists.client();
        let mut held = BTreeSet::new();
        for list in keys(self.round) {
            // From each master in turn, since reads are spread over them.
            for _ in 0..2 {
                let open = last.invoke(vec![list_append::Step::Read { list }]);
                match call.ask_until_served(&Request::List(list)) {
                    Ok(Reply::Lists(shown)) => {
                        held.extend(shown.iter().flatten().map(|element| (list, *element)));
                        open.ok(shown);
                    }
                    other => return Err(format!("a list can't be read in the end: {other:?}")),
                }
            }
        }
        let mut verdict = Verdict::default();
        verdict.refusals.extend(self.judge_doubts(call, &held)?);
        let money = bank::Bank { accounts: ACCOUNTS, total: i64::from(ACCOUNTS) * BALANCE };
        let lists = self.lists.history();
        // A plain read is in no order with others: it is fresh, and no more is
        // promised of it.
        let mut transactions = lists.clone().into_operations();
        transactions.retain(|operation| !self.plain.contains(&operation.who));
        let transactions = History::from_operations(transactions).map_err(|why| why.to_string())?;
        let level = list_append::Level::StrictSerializable;
        let judged: [(&'static str, Result<Judged, String>); 4] = [
            ("bank", bank::judge(&self.bank.history(), money).map_err(|why| why.to_string())),
            (
                "registers",
                register::judge(&self.registers.history(), JUDGE_MAX)
                    .map_err(|why| why.to_string()),
            ),
            (
                "lists",
                list_append::judge(&transactions, level, JUDGE_MAX).map_err(|why| why.to_string()),
            ),
            ("fresh reads", list_append::fresh(&lists).map_err(|why| why.to_string())),
        ];
        for (judge, one) in judged {
            match one {
                Ok(judged) => verdict.judged += judged.ok + judged.failed + judged.unknown,
                Err(why) => verdict.refusals.push((judge, why)),
            }
        }
        match list_append::kept(&lists) {
            Ok(_) => {}
            Err(why) => {
                if let list_append::NotKept::Lost { elements } = &why {
                    verdict.lost = elements.len() as u64;
                }
                verdict.refusals.push(("kept lists", why.to_string()));
            }
        }
        Ok(verdict)
    }
}

impl Load {
    /// What became of a transaction in doubt can be told when everything has healed, and
    /// is what the lists hold.
    fn judge_doubts(
        &self,
        call: &mut Call,
        held: &BTreeSet<(u32, u32)>,
    ) -> Result<Vec<(&'static str, String)>, String> {
        let doubts =
            std::mem::take(&mut *self.seen.doubts.lock().unwrap_or_else(PoisonError::into_inner));
        let mut refusals = Vec::new();
        for (txid, appends) in doubts.into_iter().take(DOUBTS_MAX) {
            let saved = match call.ask_until_served(&Request::Saved(txid)) {
                Ok(Reply::Saved(Some(saved))) => saved,
                // Of another clock: nobody remembers when that was.
                Ok(Reply::Saved(None)) => continue,
                other => return Err(format!("{txid} can't be looked up in the end: {other:?}")),
            };
            if let Some(append) = appends.iter().find(|append| held.contains(*append) != saved) {
                let said = if saved { "saved" } else { "not saved" };
                let why = format!("{txid} is said to be {said}, and {append:?} is the other way");
                refusals.push(("unknown outcomes", why));
            }
        }
        Ok(refusals)
    }
}

/// Of one round: each is a question.
const DOUBTS_MAX: usize = 100;

/// The registers and lists of one round.
pub(crate) fn keys(round: u64) -> impl Iterator<Item = u32> {
    (round * KEYS..(round + 1) * KEYS).map(|key| u32::try_from(key).unwrap_or(u32::MAX))
}

struct Caller {
    addresses: Addresses,
    call: Option<Call>,
    seen: Arc<Seen>,
    random: Random,
    round: u64,
    client: u64,
    count: u64,
    bank: lab::history::Client<bank::Request, bank::Answer>,
    registers: lab::history::Client<register::Request, register::Answer>,
    lists: lab::history::Client<list_append::Request, list_append::Answer>,
    plain: lab::history::Client<list_append::Request, list_append::Answer>,
}

/// What the worker said, or nothing where the connection fell.
type Said = Option<Reply>;

impl Caller {
    fn one(&mut self) {
        if self.call.is_none() {
            let address = {
                let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
                let workers = addresses.len().max(1) as u64;
                let mine = usize::try_from(self.client % workers).unwrap_or(0);
                addresses.get(mine).copied().flatten()
            };
            self.call = address.and_then(|address| Call::to(address).ok());
            if self.call.is_none() {
                std::thread::sleep(CALL_AGAIN);
                return;
            }
        }
        self.count += 1;
        match self.random.below(12) {
            0..=2 => self.transfer(),
            3..=4 => self.balances(),
            5 => self.write(),
            6 => self.read(),
            7..=8 => self.list(),
            _ => self.transaction(),
        }
    }

    fn key(&self) -> u32 {
        let at = usize::try_from(self.random.below(KEYS)).unwrap_or(0);
        keys(self.round).nth(at).unwrap_or(0)
    }

    /// No two are the same in one round.
    fn fresh(&self) -> u32 {
        u32::try_from(self.count * CLIENTS + self.client).unwrap_or(u32::MAX)
    }

    fn transfer(&mut self) {
        let bound = u64::from(ACCOUNTS);
        let from = u32::try_from(self.random.below(bound)).unwrap_or(0);
        let to = (from + 1 + u32::try_from(self.random.below(bound - 1)).unwrap_or(0)) % ACCOUNTS;
        let amount = i64::try_from(self.random.below(20)).unwrap_or(0) + 1;
        let open = self.bank.invoke(bank::Request::Transfer { from, to, amount });
        let request = if self.random.one_in(4) {
            Request::Close { from, to }
        } else {
            Request::Transfer { from, to, amount }
        };
        match said(&mut self.call, &self.seen, true, &request) {
            Some(Reply::Done) => open.ok(bank::Answer::Transferred),
            Some(Reply::Refused(_)) => open.fail(),
            _ => open.unknown(),
        }
    }

    fn balances(&mut self) {
        let open = self.bank.invoke(bank::Request::Read);
        match said(&mut self.call, &self.seen, false, &Request::Balances) {
            Some(Reply::Balances(balances)) => open.ok(bank::Answer::Balances(balances)),
            Some(Reply::Refused(_)) => open.fail(),
            _ => open.unknown(),
        }
    }

    fn write(&mut self) {
        let (key, value) = (self.key(), self.fresh());
        let open = self.registers.invoke(register::Request::Write { key, value });
        match said(&mut self.call, &self.seen, true, &Request::Write { key, value }) {
            Some(Reply::Done) => open.ok(register::Answer::Written),
            Some(Reply::Refused(_)) => open.fail(),
            _ => open.unknown(),
        }
    }

    fn read(&mut self) {
        let key = self.key();
        let open = self.registers.invoke(register::Request::Read { key });
        match said(&mut self.call, &self.seen, false, &Request::Read { key }) {
            Some(Reply::Value(value)) => open.ok(register::Answer::Value(value)),
            Some(Reply::Refused(_)) => open.fail(),
            _ => open.unknown(),
        }
    }

    /// From whichever master.
    fn list(&mut self) {
        let list = self.key();
        let open = self.plain.invoke(vec![list_append::Step::Read { list }]);
        match said(&mut self.call, &self.seen, false, &Request::List(list)) {
            Some(Reply::Lists(shown)) => open.ok(shown),
            Some(Reply::Refused(_)) => {
                self.seen.refused_reads.fetch_add(1, Ordering::SeqCst);
                open.fail();
            }
            _ => open.unknown(),
        }
    }

    /// One to three steps, over different lists in one order, so that two
    /// transactions do not wait for each other.
    fn transaction(&mut self) {
        let lists: BTreeSet<u32> = (0..=self.random.below(3)).map(|_| self.key()).collect();
        let element = self.fresh();
        let (mut steps, mut told, mut appends) = (Vec::new(), Vec::new(), Vec::new());
        for list in lists {
            if self.random.below(2) == 0 {
                appends.push((list, element));
                steps.push(Step::Append { list, element });
                told.push(list_append::Step::Append { list, element });
            } else {
                steps.push(Step::Read { list });
                told.push(list_append::Step::Read { list });
            }
        }
        let open = self.lists.invoke(told);
        match said(&mut self.call, &self.seen, true, &Request::Lists(steps)) {
            Some(Reply::Lists(shown)) => open.ok(shown),
            Some(Reply::Refused(_)) => open.fail(),
            Some(Reply::Unknown(txid)) => {
                let doubts = self.seen.doubts.lock();
                doubts.unwrap_or_else(PoisonError::into_inner).push((txid, appends));
                open.unknown();
            }
            _ => open.unknown(),
        }
    }
}

fn said(call: &mut Option<Call>, seen: &Seen, writes: bool, request: &Request) -> Said {
    let reply = call.as_mut().and_then(|call| call.ask(request).ok());
    match &reply {
        Some(Reply::Refused(_)) => seen.refused.fetch_add(1, Ordering::SeqCst),
        None | Some(Reply::Unknown(_)) => seen.unknown.fetch_add(1, Ordering::SeqCst),
        Some(_) => {
            if writes { &seen.writes } else { &seen.reads }.answered();
            seen.acknowledged.fetch_add(1, Ordering::SeqCst)
        }
    };
    if reply.is_none() {
        *call = None;
    }
    reply
}
