//! Several processes on the same two MariaDB servers, with a witness that they
//! share. Each is a store of its own, behind proxies of its own: what a process
//! is that freezes, is cut off or dies, is in what its network does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use lab::proxy::{Fall, Traffic, Way};
use lab::{Proxy, Scratch};
use multi_master::{
    Config, Db, DbError, MasterConfig, MasterName, MasterState, MultiMaster, OpenError, Outcome,
    Policy, Tx, Verify, WitnessConfig, WitnessServer, fields, params,
};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::common::{MIGRATIONS, add, logins, pay};
use crate::mariadb::{Pair, whole};

/// The bound of every wait: reached only where something is wrong.
const WITHIN: Duration = Duration::from_mins(1);
/// After how long a write that was refused is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(5);

/// Two servers and a witness.
pub(crate) struct Set {
    pub(crate) pair: Pair,
    witness: Witness,
}

struct Witness {
    folder: Scratch,
    address: SocketAddr,
    kind: Kind,
}

enum Kind {
    Server(JoinHandle<()>),
    #[cfg(feature = "redis")]
    Redis(lab::Redis),
}

impl Witness {
    async fn start(test: &str) -> Self {
        let folder = Scratch::new(&format!("{test}-witness")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let kind = Kind::Server(serve(&folder, listener));
        Self { folder, address, kind }
    }

    #[cfg(feature = "redis")]
    fn redis(test: &str) -> Self {
        let folder = Scratch::new(&format!("{test}-witness")).unwrap();
        let redis = lab::Redis::start(folder.path()).unwrap();
        Self { folder, address: redis.address(), kind: Kind::Redis(redis) }
    }

    fn config(&self, behind: SocketAddr) -> WitnessConfig {
        match self.kind {
            Kind::Server(_) => format!("witness://{behind}/books"),
            #[cfg(feature = "redis")]
            Kind::Redis(_) => format!("redis://{behind}?set=books"),
        }
        .parse()
        .unwrap()
    }

    async fn stop(&mut self) {
        match &mut self.kind {
            Kind::Server(task) => {
                task.abort();
                drop(task.await);
            }
            #[cfg(feature = "redis")]
            Kind::Redis(redis) => redis.kill().unwrap(),
        }
    }

    async fn restart(&mut self) {
        match &mut self.kind {
            Kind::Server(task) => {
                let listener = TcpListener::bind(self.address).await.unwrap();
                *task = serve(&self.folder, listener);
            }
            #[cfg(feature = "redis")]
            Kind::Redis(redis) => redis.restart().unwrap(),
        }
    }
}

fn serve(folder: &Scratch, listener: TcpListener) -> JoinHandle<()> {
    let server = WitnessServer::hold(folder.path(), None).unwrap();
    tokio::spawn(Arc::new(server).serve(listener))
}

/// What is between a process and the rest: master a, master b, the witness.
pub(crate) struct Network(pub(crate) [Proxy; 3]);

pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;
const WITNESS: usize = 2;

impl Network {
    /// As if the process was frozen: nobody is told anything.
    fn freeze(&self) {
        for proxy in &self.0 {
            proxy.set_both(Traffic::Held).unwrap();
        }
    }

    fn thaw(&self) {
        for proxy in &self.0 {
            proxy.pass().unwrap();
        }
    }

    /// As if the process was killed: its connections are reset, first of all that to
    /// the witness, to whom it has nothing more to say.
    fn kill(&self) {
        for proxy in self.0.iter().rev() {
            proxy.refuse().unwrap();
        }
    }
}

impl Set {
    pub(crate) async fn start(test: &str) -> Option<Self> {
        let pair = Pair::start(test)?;
        let witness = Witness::start(test).await;
        Some(Self { pair, witness })
    }

    async fn process(&self, policy: Policy) -> (MultiMaster, Network) {
        let (config, network) = self.config(policy);
        (MultiMaster::open(config, MIGRATIONS).await.unwrap(), network)
    }

    pub(crate) fn config(&self, policy: Policy) -> (Config, Network) {
        let [a, b] = &self.pair.servers;
        let proxies = [a.address(), b.address(), self.witness.address];
        let network = Network(proxies.map(|to| Proxy::to(to).unwrap()));
        let masters =
            [("a", a), ("b", b)].into_iter().zip(&network.0).map(|((name, to), proxy)| {
                let url = to.url_at(proxy.address(), "books");
                MasterConfig { name: MasterName(name.to_owned()), url }
            });
        let witness = self.witness.config(network.0[2].address());
        let mut config = Config::new(masters.collect(), policy, witness);
        config.limits.probe = Duration::from_millis(20);
        config.limits.connect = Duration::from_secs(1);
        config.limits.statement = Duration::from_secs(5);
        config.limits.commit = Duration::from_secs(5);
        (config, network)
    }
}

pub(crate) async fn within<T>(
    what: &str,
    store: &MultiMaster,
    event: impl Future<Output = T>,
) -> T {
    tokio::time::timeout(WITHIN, event).await.unwrap_or_else(|_| {
        panic!("{what} does not come: {:?} {:?}", store.status(), store.refuses())
    })
}

pub(crate) async fn until_state(store: &MultiMaster, at: usize, state: MasterState) {
    let reached = store.wait_until(|masters| masters[at].state == state);
    within(&format!("master {at} {state:?}"), store, reached).await;
}

pub(crate) async fn until_state_is(store: &MultiMaster, at: usize, serves: bool) {
    let reached = store.wait_until(|masters| masters[at].state.serves() == serves);
    within(&format!("master {at}, serves: {serves}"), store, reached).await;
}

/// Writers on each store that add to the same few accounts until they are
/// stopped, and count what was acknowledged.
struct Load {
    stop: Arc<AtomicBool>,
    saved: watch::Sender<i64>,
    writers: Vec<JoinHandle<i64>>,
}

impl Load {
    fn on(stores: &[&MultiMaster]) -> Self {
        let (stop, saved) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(0));
        let writers = stores.iter().enumerate().flat_map(|(at, store)| {
            (0..3i64).map(move |writer| ((*store).clone(), i64::try_from(at).unwrap() + writer))
        });
        let writers = writers.map(|(store, first)| {
            let (stop, saved) = (Arc::clone(&stop), saved.clone());
            tokio::spawn(async move {
                let mut unknown = 0;
                for round in first.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    match pay(&store, 1 + round % 3, 1).await {
                        Outcome::Saved { .. } | Outcome::Owed { .. } => {
                            saved.send_modify(|saved| *saved += 1);
                        }
                        Outcome::InDoubt(_) => unknown += 1,
                        Outcome::NotSaved(DbError::Diverged(what)) => panic!("diverged: {what}"),
                        // As a client would; else this is all that the machine does.
                        Outcome::NotSaved(_) => tokio::time::sleep(AGAIN_AFTER).await,
                    }
                }
                unknown
            })
        });
        Self { writers: writers.collect(), stop, saved }
    }

    /// Waits until so many more were acknowledged.
    async fn saves(&self, store: &MultiMaster, more: i64) {
        let mut saved = self.saved.subscribe();
        let enough = *saved.borrow() + more;
        let reached = saved.wait_for(|saved| *saved >= enough);
        drop(within(&format!("{more} writes"), store, reached).await);
    }

    /// How many were acknowledged, and how many are in doubt.
    async fn end(self) -> (i64, i64) {
        self.stop.store(true, Ordering::SeqCst);
        let mut unknown = 0;
        for writer in self.writers {
            unknown += writer.await.unwrap();
        }
        (*self.saved.borrow(), unknown)
    }
}

async fn accounts(store: &MultiMaster) {
    for id in 1..=3 {
        assert!(matches!(add(store, id, &format!("reader {id}")).await, Outcome::Saved { .. }));
    }
}

/// What all accounts have, on each server.
fn total(set: &Set) -> [i64; 2] {
    let sql = "select sum(balance) from accounts";
    [A, B].map(|at| set.pair.servers[at].sql("books", sql).unwrap().trim().parse().unwrap())
}

/// What was acknowledged is there, and at most what was in doubt beside it.
fn assert_kept(set: &Set, (saved, unknown): (i64, i64)) {
    let [a, b] = total(set);
    assert_eq!(a, b);
    let gained = a - 300;
    assert!(
        (saved..=saved + unknown).contains(&gained),
        "{saved} saved, {gained} there, {unknown}"
    );
    set.pair.assert_same();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_lose_a_server_and_get_it_back() {
    let Some(mut set) = Set::start("two processes").await else { return };
    let (one, _one) = set.process(Policy::Available).await;
    accounts(&one).await;
    let (other, _other) = set.process(Policy::Available).await;
    assert_eq!(logins(&other).await.len(), 3);
    let load = Load::on(&[&one, &other]);
    load.saves(&one, 50).await;
    for dies in [B, A] {
        set.pair.servers[dies].kill().unwrap();
        for store in [&one, &other] {
            let out = store.wait_until(|masters| !masters[dies].state.serves());
            within("its end", store, out).await;
        }
        load.saves(&one, 50).await;
        assert_eq!(logins(&one).await.len(), 3);
        assert_eq!(logins(&other).await.len(), 3);
        set.pair.servers[dies].restart().unwrap();
        whole(&one).await;
        whole(&other).await;
        load.saves(&one, 50).await;
    }
    let result = load.end().await;
    assert_eq!(one.epoch(), other.epoch());
    assert!(one.verify(Verify::default(), |_| {}).await.unwrap().is_well());
    one.close().await;
    other.close().await;
    assert_kept(&set, result);
}

/// One that says that b goes on alone, and then can't tell b, leaves a set that
/// whoever comes to b first has to bring back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_lose_both_servers_and_get_them_back() {
    let Some(mut set) = Set::start("both servers").await else { return };
    let (one, _one) = set.process(Policy::Available).await;
    accounts(&one).await;
    let (other, _other) = set.process(Policy::Available).await;
    let load = Load::on(&[&one, &other]);
    for round in 0..6 {
        load.saves(&one, 30).await;
        let order = if round % 2 == 0 { [A, B] } else { [B, A] };
        for dies in order {
            set.pair.servers[dies].kill().unwrap();
        }
        for store in [&one, &other] {
            let out = store.wait_until(|masters| masters.iter().all(|one| !one.state.serves()));
            within("their end", store, out).await;
        }
        for dies in order {
            set.pair.servers[dies].restart().unwrap();
        }
        whole(&one).await;
        whole(&other).await;
    }
    load.saves(&other, 30).await;
    let result = load.end().await;
    assert!(one.verify(Verify::default(), |_| {}).await.unwrap().is_well());
    one.close().await;
    other.close().await;
    assert_kept(&set, result);
}

/// One process pays into an account, and others read it: what was acknowledged before a
/// read began is in what it reads.
struct Fresh {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Fresh {
    fn of(writes: &MultiMaster, reads: &MultiMaster) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicI64::new(0));
        let (store, ends, count) = (writes.clone(), Arc::clone(&stop), Arc::clone(&acknowledged));
        let mut tasks = vec![tokio::spawn(async move {
            while !ends.load(Ordering::SeqCst) {
                match pay(&store, 1, 1).await {
                    Outcome::Saved { .. } | Outcome::Owed { .. } => {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    Outcome::InDoubt(_) => {}
                    Outcome::NotSaved(_) => tokio::time::sleep(AGAIN_AFTER).await,
                }
            }
        })];
        for _ in 0..3 {
            let (store, ends, count) =
                (reads.clone(), Arc::clone(&stop), Arc::clone(&acknowledged));
            tasks.push(tokio::spawn(async move {
                while !ends.load(Ordering::SeqCst) {
                    let before = count.load(Ordering::SeqCst);
                    let sql = "select balance from accounts where id = 1";
                    let read = store.read(async move |db: &mut Db| {
                        db.query(sql, params![]).await?[0].get::<i64>("balance")
                    });
                    if let Ok(balance) = read.await {
                        assert!(
                            balance >= 100 + before,
                            "{balance}, and {before} were paid before"
                        );
                    }
                }
            }));
        }
        Self { stop, tasks }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// While one process hears nothing, a master comes back and goes again. What that
/// process acknowledges when it hears of it is not on that master, from which one that
/// has not heard may still read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_fresh_where_a_process_missed_that_a_master_had_come_back() {
    let Some(set) = Set::start("a master came and went").await else { return };
    let (deaf, deafs) = set.process(Policy::Available).await;
    accounts(&deaf).await;
    let (cuts, cutss) = set.process(Policy::Available).await;
    let (reads, readss) = set.process(Policy::Available).await;
    let all = [&deaf, &cuts, &reads];
    let fresh = Fresh::of(&deaf, &reads);
    for _ in 0..8 {
        for store in all {
            whole(store).await;
        }
        for network in [&deafs, &cutss, &readss] {
            network.0[B].refuse().unwrap();
        }
        for store in all {
            until_state_is(store, B, false).await;
        }
        deafs.0[WITNESS].set_both(Traffic::Held).unwrap();
        for network in [&cutss, &readss] {
            network.0[B].pass().unwrap();
        }
        for store in [&cuts, &reads] {
            until_state_is(store, B, true).await;
        }
        let before = cuts.epoch();
        readss.0[WITNESS].set_both(Traffic::Held).unwrap();
        cutss.0[B].refuse().unwrap();
        deafs.0[WITNESS].pass().unwrap();
        // It is out for this one when it was waited for those who may read from it.
        within("that it is out", &cuts, cuts.wait_for_epoch(before + 1)).await;
        within("that it is heard", &deaf, deaf.wait_for_epoch(before + 1)).await;
        readss.0[WITNESS].pass().unwrap();
        for network in [&deafs, &cutss] {
            network.0[B].pass().unwrap();
        }
    }
    fresh.end().await;
    for store in all {
        whole(store).await;
    }
    assert!(deaf.verify(Verify::default(), |_| {}).await.unwrap().is_well());
}

/// The network loses the connection that brings a master back, without a word to it: the
/// server keeps for long what that connection held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_bringing_a_master_back_and_lost_it_brings_it_back() {
    let Some(set) = Set::start("lost while bringing back").await else { return };
    let (mut config, network) = set.config(Policy::Available);
    // The server itself forgets nobody as long as this is waited for.
    config.limits.commit = Duration::from_mins(2);
    let one = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    accounts(&one).await;
    network.0[B].refuse().unwrap();
    assert!(matches!(pay(&one, 1, 1).await, Outcome::Owed { .. }));
    let mut by_hand = Conn::from_url(set.pair.servers[B].url("books")).await.unwrap();
    by_hand.query_drop("start transaction").await.unwrap();
    by_hand.query_drop("select epoch from mm_epoch where id = 1 for update").await.unwrap();
    let holder = "select is_used_lock(concat('endpaper bring ', md5('books')))";
    let mut held: Option<u64> = None;
    while held.is_none() {
        network.0[B].pass().unwrap();
        let waits = async {
            while by_hand.query_first::<Option<u64>, _>(holder).await.unwrap().flatten().is_none() {
            }
        };
        within("that it is being brought back", &one, waits).await;
        network.0[B].set(Way::ToServer, Traffic::Lost).unwrap();
        until_state(&one, B, MasterState::Down).await;
        held = by_hand.query_first(holder).await.unwrap().flatten();
    }
    by_hand.query_drop("rollback").await.unwrap();
    network.0[B].pass().unwrap();
    within("all masters", &one, whole(&one)).await;
    one.close().await;
    assert_kept(&set, (1, 0));
}

/// One of two commits goes through, and the witness can't be told that the other master
/// is out: whoever reads from that one, or goes on from it alone, would miss the write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_master_alone_has_is_in_doubt_until_the_witness_knows() {
    let Some(set) = Set::start("one master alone has it").await else { return };
    let (one, network) = set.process(Policy::Available).await;
    accounts(&one).await;
    let mut b = Conn::from_url(set.pair.servers[B].url("books")).await.unwrap();
    b.query_drop("backup stage start").await.unwrap();
    b.query_drop("backup stage block_commit").await.unwrap();
    let writer = one.clone();
    let write = tokio::spawn(async move { pay(&writer, 1, 1).await });
    let mut a = Conn::from_url(set.pair.servers[A].url("books")).await.unwrap();
    let committed = async {
        let sql = "select balance from accounts where id = 1";
        while a.query_first::<i64, _>(sql).await.unwrap() != Some(101) {}
    };
    within("the commit on a", &one, committed).await;
    network.0[WITNESS].set_both(Traffic::Held).unwrap();
    network.0[B].refuse().unwrap();
    let outcome = within("an outcome", &one, write).await.unwrap();
    let Outcome::InDoubt(txid) = outcome else { panic!("{outcome:?}") };
    assert_eq!(one.lookup(txid).await, None, "b may have to go on alone");
    b.query_drop("backup stage end").await.unwrap();
    network.thaw();
    whole(&one).await;
    assert_eq!(one.lookup(txid).await, Some(true));
    one.close().await;
    assert_kept(&set, (1, 0));
}

/// A master goes while the witness can't be told. When it can, writes are acknowledged
/// that the master misses, and a process that has not heard may still read from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_fresh_where_the_witness_was_silent_while_a_master_went() {
    let Some(set) = Set::start("silent while a master went").await else { return };
    let (writes, written) = set.process(Policy::Available).await;
    accounts(&writes).await;
    let (reads, read) = set.process(Policy::Available).await;
    let fresh = Fresh::of(&writes, &reads);
    for _ in 0..6 {
        whole(&writes).await;
        whole(&reads).await;
        written.0[WITNESS].set_both(Traffic::Held).unwrap();
        written.0[B].refuse().unwrap();
        until_state_is(&writes, B, false).await;
        read.0[WITNESS].set_both(Traffic::Held).unwrap();
        written.0[WITNESS].pass().unwrap();
        within("writes", &writes, writes.wait_until_refused(false)).await;
        read.0[WITNESS].pass().unwrap();
        written.0[B].pass().unwrap();
    }
    fresh.end().await;
    whole(&writes).await;
    whole(&reads).await;
    assert!(writes.verify(Verify::default(), |_| {}).await.unwrap().is_well());
}

/// A question to a master takes so long that others have taken it out when it answers,
/// and are filling it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_from_a_master_that_is_filled_meanwhile() {
    let Some(set) = Set::start("filled meanwhile").await else { return };
    let (one, network) = set.process(Policy::Available).await;
    accounts(&one).await;
    let (other, elsewhere) = set.process(Policy::Available).await;
    let balance = async |store: MultiMaster| {
        let row = store.read(async |db: &mut Db| db.get("accounts", params![1i64]).await);
        row.await.unwrap().unwrap().get::<i64>("balance").unwrap()
    };
    for _ in 0..2 {
        assert_eq!(balance(one.clone()).await, 100, "it has a connection to each");
    }
    // One has read already, and waits on b for its second answer.
    let mut gate = Conn::from_url(set.pair.servers[B].url("books")).await.unwrap();
    gate.query_drop("select get_lock('gate', 0)").await.unwrap();
    let twice = async |store: MultiMaster| {
        let second = store.read(async |db: &mut Db| {
            db.query("select epoch from mm_epoch", params![]).await?;
            db.query("select get_lock('gate', 30) as gate", params![]).await?;
            let row = db.get("accounts", params![1i64]).await?;
            row.map_or(Ok(0), |row| row.get::<i64>("balance"))
        });
        second.await.unwrap()
    };
    let gated = [0, 1].map(|_| tokio::spawn(twice(one.clone())));
    let at_gate = "select count(*) from information_schema.processlist where state = 'User lock'";
    let waits = async { while gate.query_first::<i64, _>(at_gate).await.unwrap() != Some(1) {} };
    within("that one waits", &one, waits).await;
    network.0[B].set(Way::ToServer, Traffic::Held).unwrap();
    gate.query_drop("select release_lock('gate')").await.unwrap();
    // Each goes to another master.
    let [read, another] = [0, 1].map(|_| tokio::spawn(balance(one.clone())));
    let (first, under_way) = match select(read, another).await {
        Either::Left(done) | Either::Right(done) => done,
    };
    assert_eq!(first.unwrap(), 100);
    network.0[WITNESS].set_both(Traffic::Held).unwrap();
    elsewhere.0[B].refuse().unwrap();
    assert!(matches!(pay(&other, 1, 1).await, Outcome::Owed { value: 101, .. }));
    let halfway = "truncate table accounts; insert into accounts values \
                   (1, 'reader 1', 1, null, 0, 0)";
    set.pair.servers[B].sql("books", halfway).unwrap();
    network.thaw();
    let read = within("an answer", &one, under_way).await.unwrap();
    assert_eq!(read, 101);
    for read in gated {
        let read = within("an answer", &one, read).await.unwrap();
        assert!([100, 101].contains(&read), "{read}");
    }
    elsewhere.thaw();
    whole(&one).await;
    whole(&other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_process_comes_back_to_another_view() {
    let Some(mut set) = Set::start("frozen process").await else { return };
    let (one, network) = set.process(Policy::Available).await;
    accounts(&one).await;
    let (other, _other) = set.process(Policy::Available).await;
    let load = Load::on(&[&one, &other]);
    load.saves(&one, 50).await;
    let before = other.epoch();
    network.freeze();
    // It is taken for dead: what it may have left is settled.
    within("settling", &other, other.wait_for_epoch(before + 1)).await;
    whole(&other).await;
    load.saves(&other, 50).await;
    set.pair.servers[B].kill().unwrap();
    until_state(&other, B, MasterState::Down).await;
    load.saves(&other, 50).await;
    let alone = pay(&other, 1, 1).await;
    let Outcome::Owed { value: newest, .. } = alone else { panic!("{alone:?}") };
    network.thaw();
    // It reads nothing older than what was acknowledged while it was frozen.
    let seen = pay(&one, 1, 1).await;
    if let Outcome::Saved { value, .. } | Outcome::Owed { value, .. } = seen {
        assert!(value > newest, "{value} after {newest}");
    }
    set.pair.servers[B].restart().unwrap();
    whole(&other).await;
    whole(&one).await;
    load.saves(&one, 50).await;
    let (saved, unknown) = load.end().await;
    let mine = 1 + i64::from(!matches!(seen, Outcome::NotSaved(_)));
    one.close().await;
    other.close().await;
    assert_kept(&set, (saved + mine, unknown));
}

/// Nobody was told what became of it: it counts, because somebody may have seen it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_leaves_that_dies_between_two_commits_is_settled_by_another() {
    dies_between_two_commits("dead process", false).await;
}

/// Once it was taken for dead, and what it had left was settled: that it came
/// back has to be known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn also_of_a_process_that_was_taken_for_dead_before() {
    dies_between_two_commits("dead process that was frozen", true).await;
}

async fn dies_between_two_commits(test: &str, was_frozen: bool) {
    let Some(set) = Set::start(test).await else { return };
    let (one, network) = set.process(Policy::All).await;
    accounts(&one).await;
    let (other, _other) = set.process(Policy::All).await;
    if was_frozen {
        let before = other.epoch();
        network.freeze();
        within("settling what it left", &other, other.wait_for_epoch(before + 1)).await;
        whole(&other).await;
        network.thaw();
        let epoch = other.epoch();
        within("the other's epoch", &one, one.wait_for_epoch(epoch)).await;
        whole(&one).await;
    }
    // It has connections that can be used.
    for amount in [5, -5] {
        assert!(matches!(pay(&one, 1, amount).await, Outcome::Saved { .. }));
    }
    let before = other.epoch();
    let [a, b, _] = &network.0;
    // The whole request: other statements have the word too.
    b.drop_next_answer(b"\x03commit", Fall::Silence).unwrap();
    b.set(Way::ToClient, Traffic::Held).unwrap();
    let asked = b.counters().to_server.received_bytes;
    let dying = tokio::spawn({
        let one = one.clone();
        async move {
            let pay = one.write(async |tx: &mut Tx| {
                let fields = fields! {"balance" => 1_100i64, "note" => "책".repeat(1_000)};
                tx.update("accounts", params![1i64], fields).await
            });
            pay.await
        }
    });
    // The statements are far larger than anything else that it is asked. When it
    // has them, the primary has run them, and neither commits yet.
    b.wait_until("asked to write", WITHIN, |counters| {
        counters.to_server.received_bytes > asked + 3_000
    })
    .unwrap();
    a.set(Way::ToServer, Traffic::Lost).unwrap();
    b.set(Way::ToClient, Traffic::Passes).unwrap();
    b.wait_until("asked to commit", WITHIN, |counters| counters.answers_dropped == 1).unwrap();
    assert_eq!(total(&set), [300, 1_300], "only b has it");
    network.kill();
    within("settling", &other, other.wait_for_epoch(before + 1)).await;
    whole(&other).await;
    assert_eq!(total(&set), [1_300, 1_300], "what b has counts");
    assert!(matches!(pay(&other, 1, 1).await, Outcome::Saved { value: 1_101, .. }));
    let dead = dying.await.unwrap();
    assert!(!matches!(dead, Outcome::Saved { .. } | Outcome::Owed { .. }), "{dead:?}");
    other.close().await;
    assert_eq!(total(&set), [1_301, 1_301]);
}

/// Among others, too, one write may do to a row what it likes.
#[tokio::test]
async fn one_write_inserts_and_deletes_the_same_rows() {
    let Some(set) = Set::start("one write, one row").await else { return };
    let (one, _network) = set.process(Policy::Available).await;
    accounts(&one).await;
    let insert = async |tx: &mut Tx, id: i64| {
        let login = format!("again {id}");
        tx.insert("accounts", fields! {"id" => id, "login" => login, "balance" => 1i64}).await
    };
    let write = one.write(async move |tx: &mut Tx| {
        insert(tx, 7).await?;
        assert!(tx.delete("accounts", params![7i64]).await?);
        for id in 1..=3i64 {
            assert!(tx.delete("accounts", params![id]).await?);
            insert(tx, id).await?;
        }
        insert(tx, 8).await?;
        Ok::<_, DbError>(())
    });
    let written = within("the write", &one, write).await;
    assert!(matches!(written, Outcome::Saved { .. }), "{written:?}");
    assert_eq!(logins(&one).await, ["again 1", "again 2", "again 3", "again 8"]);
    assert_eq!(one.counts().retried, 0, "at the first go");
    one.close().await;
    set.pair.assert_same();
}

/// A row that is not there says nothing of when it was deleted.
#[tokio::test]
async fn a_row_is_made_again_by_a_process_whose_clock_is_not_ahead() {
    for time in [Duration::from_hours(1), Duration::from_mins(1)] {
        let Some(mut set) = Set::start(&format!("clocks at {time:?}")).await else { return };
        let (mut config, _network) = set.config(Policy::Available);
        let clocks = [(); 2].map(|()| stdx::Clock::starting_at(config.clock.now()));
        config.clock = clocks[0].clone();
        let one = MultiMaster::open(config.clone(), MIGRATIONS).await.unwrap();
        accounts(&one).await;
        config.clock = clocks[1].clone();
        let other = MultiMaster::open(config, MIGRATIONS).await.unwrap();
        set.pair.servers[B].kill().unwrap();
        until_state(&one, B, MasterState::Down).await;
        until_state(&other, B, MasterState::Down).await;
        // What is done next is done at this time.
        clocks[0].advance(time);
        clocks[1].advance(Duration::from_hours(1));
        let delete = async |tx: &mut Tx| tx.delete("accounts", params![2i64]).await;
        let deleted = other.write(delete).await;
        assert!(matches!(deleted, Outcome::Owed { value: true, .. }), "{deleted:?}");
        let again = add(&one, 2, "again").await;
        assert!(matches!(again, Outcome::Owed { .. }), "{again:?}");
        set.pair.servers[B].restart().unwrap();
        whole(&one).await;
        whole(&other).await;
        one.close().await;
        other.close().await;
        set.pair.assert_same();
        let there = set.pair.servers[B].sql("books", "select login from accounts where id = 2");
        assert_eq!(there.unwrap().trim(), "again");
    }
}

#[tokio::test]
async fn a_process_that_can_not_reach_a_master_that_others_reach_writes_nothing() {
    let Some(set) = Set::start("cut off").await else { return };
    let (one, network) = set.process(Policy::Available).await;
    accounts(&one).await;
    let (other, _other) = set.process(Policy::Available).await;
    network.0[B].refuse().unwrap();
    // It takes b out; the other one, which reaches it, brings it back; then it
    // stands back.
    within("standing back", &one, one.wait_until_refused(true)).await;
    whole(&other).await;
    assert!(matches!(pay(&other, 1, 5).await, Outcome::Saved { value: 105, .. }));
    let refused = pay(&one, 1, 1).await;
    let Outcome::NotSaved(DbError::NoMaster(why)) = &refused else { panic!("{refused:?}") };
    assert!(why.contains("b serves for other processes"), "{why}");
    assert_eq!(logins(&one).await.len(), 3, "it reads on from a");
    network.0[B].pass().unwrap();
    within("writing again", &one, one.wait_until_refused(false)).await;
    whole(&one).await;
    assert!(matches!(pay(&one, 1, 1).await, Outcome::Saved { value: 106, .. }));
    one.close().await;
    other.close().await;
    set.pair.assert_same();
}

/// Every process dies, and a master, and the processes are started again at once:
/// each finds another one there, and none of them reaches that master.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_again_while_a_master_is_away_go_on_without_it() {
    let Some(mut set) = Set::start("start again without a").await else { return };
    let (first, network) = set.process(Policy::Available).await;
    accounts(&first).await;
    let (second, networks) = set.process(Policy::Available).await;
    assert!(matches!(pay(&second, 1, 1).await, Outcome::Saved { .. }));
    network.kill();
    networks.kill();
    set.pair.servers[A].kill().unwrap();
    let (one, _one) = set.process(Policy::Available).await;
    let (other, _other) = set.process(Policy::Available).await;
    for store in [&one, &other] {
        until_state(store, A, MasterState::Down).await;
        within("writing", store, store.wait_until_refused(false)).await;
    }
    let load = Load::on(&[&one, &other]);
    load.saves(&one, 50).await;
    set.pair.servers[A].restart().unwrap();
    whole(&one).await;
    whole(&other).await;
    load.saves(&one, 50).await;
    let (saved, unknown) = load.end().await;
    one.close().await;
    other.close().await;
    assert_kept(&set, (saved + 1, unknown));
}

/// A process goes on without a master that none could reach, just when another one
/// reaches it again and can't say so: that one reads nothing old from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reaches_a_master_again_that_another_drops_reads_nothing_old() {
    let Some(set) = Set::start("dropped and reached").await else { return };
    let (first, network) = set.process(Policy::Available).await;
    accounts(&first).await;
    network.kill();
    let cut_off = || {
        let (config, network) = set.config(Policy::Available);
        network.0[B].refuse().unwrap();
        (config, network)
    };
    let (config, _one) = cut_off();
    let one = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    // Of two that go on one takes b out, and the other adopts that.
    let (config, _two) = cut_off();
    let two = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    let (config, network) = cut_off();
    let other = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    for store in [&one, &two, &other] {
        within("standing back", store, store.wait_until_refused(true)).await;
    }
    // It has said it.
    let heard = network.0[2].counters().to_client.received_bytes;
    network.0[2]
        .wait_until("has said it", WITHIN, |counters| {
            counters.to_client.received_bytes > heard + 1_000
        })
        .unwrap();
    network.0[2].refuse().unwrap();
    network.0[B].pass().unwrap();
    until_state(&other, B, MasterState::Live).await;
    // When the first one is taken for dead, b is out; the other one hears of that when
    // its witness is reached again, and reads only while it surely knows.
    let mut reads = 0;
    'all: for writer in [&one, &two].into_iter().cycle() {
        let balance = match pay(writer, 1, 1).await {
            Outcome::Saved { value, .. } | Outcome::Owed { value, .. } => value,
            Outcome::NotSaved(DbError::NoMaster(_)) => {
                tokio::time::sleep(AGAIN_AFTER).await;
                continue;
            }
            outcome => panic!("{outcome:?}"),
        };
        for _ in 0..10 {
            let read = other.read(async move |db: &mut Db| {
                db.get("accounts", params![1i64]).await?.unwrap().get::<i64>("balance")
            });
            match tokio::time::timeout(Duration::from_secs(1), read).await {
                Ok(Ok(read)) => assert_eq!(read, balance, "after {reads} reads"),
                Ok(Err(_)) | Err(_) => break 'all,
            }
            reads += 1;
        }
    }
    network.thaw();
    within("hearing", &other, other.wait_until_refused(false)).await;
    for store in [one, two, other] {
        store.close().await;
    }
}

#[tokio::test]
async fn without_the_witness_writes_go_on_until_who_serves_would_change() {
    let Some(set) = Set::start("no witness").await else { return };
    a_witness_dies(set).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn redis_is_a_witness_like_the_other() {
    let test = "redis";
    if !lab::Redis::require(test) {
        return;
    }
    let Some(pair) = Pair::start(test) else { return };
    a_witness_dies(Set { pair, witness: Witness::redis(test) }).await;
}

async fn a_witness_dies(mut set: Set) {
    let (one, _one) = set.process(Policy::Available).await;
    accounts(&one).await;
    let (other, _other) = set.process(Policy::Available).await;
    set.witness.stop().await;
    for (store, value) in [(&one, 101), (&other, 102)] {
        let paid = pay(store, 1, 1).await;
        assert!(matches!(paid, Outcome::Saved { value: now, .. } if now == value), "{paid:?}");
        assert_eq!(logins(store).await.len(), 3);
    }
    set.pair.servers[B].kill().unwrap();
    for store in [&one, &other] {
        within("refusing", store, store.wait_until_refused(true)).await;
        let refused = pay(store, 1, 1).await;
        let Outcome::NotSaved(DbError::NoMaster(why)) = &refused else { panic!("{refused:?}") };
        assert!(why.contains("witness"), "{why}");
    }
    set.witness.restart().await;
    for (store, value) in [(&one, 103), (&other, 104)] {
        within("writing again", store, store.wait_until_refused(false)).await;
        let paid = pay(store, 1, 1).await;
        assert!(matches!(paid, Outcome::Owed { value: now, .. } if now == value), "{paid:?}");
    }
    set.pair.servers[B].restart().unwrap();
    whole(&one).await;
    whole(&other).await;
    one.close().await;
    other.close().await;
    set.pair.assert_same();
}

#[tokio::test]
async fn processes_that_start_at_once_open_one_after_the_other() {
    let Some(set) = Set::start("start at once").await else { return };
    let configs: Vec<_> = (0..4).map(|_| set.config(Policy::Available)).collect();
    let mut opening = Vec::new();
    for (config, network) in configs {
        let open = async move { (MultiMaster::open(config, MIGRATIONS).await, network) };
        opening.push(tokio::spawn(open));
    }
    let mut stores = Vec::new();
    for open in opening {
        let (store, network) = open.await.unwrap();
        stores.push((store.unwrap(), network));
    }
    for (at, (store, _)) in (1i64..).zip(&stores) {
        assert!(matches!(add(store, at, &format!("reader {at}")).await, Outcome::Saved { .. }));
    }
    let epochs: std::collections::BTreeSet<u64> = stores.iter().map(|(s, _)| s.epoch()).collect();
    assert_eq!(epochs.len(), 1, "{epochs:?}");
    for (store, _) in &stores {
        assert_eq!(logins(store).await.len(), 4);
        store.close().await;
    }
    set.pair.assert_same();
}

#[tokio::test]
async fn files_are_for_one_process_and_a_witness_has_to_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::embedded(folder.path(), Policy::Available);
    config.witness = "witness://127.0.0.1:1".parse().unwrap();
    let error = MultiMaster::open(config, MIGRATIONS).await.unwrap_err();
    assert!(matches!(error, OpenError::Config(_)), "{error}");
    let Some(mut set) = Set::start("no witness at all").await else { return };
    set.witness.stop().await;
    let (config, _network) = set.config(Policy::Available);
    let error = MultiMaster::open(config, MIGRATIONS).await.unwrap_err();
    assert!(matches!(error, OpenError::Witness(_)), "{error}");
}

/// One process reaches only b, and the other only a and the witness, so that it
/// goes on without b: what b holds is old from then on.
#[tokio::test]
async fn a_process_that_hears_nothing_reads_nothing_old() {
    let Some(set) = Set::start("hears nothing").await else { return };
    let (one, network) = set.process(Policy::Available).await;
    accounts(&one).await;
    let (other, elsewhere) = set.process(Policy::Available).await;
    network.0[A].set_both(Traffic::Held).unwrap();
    network.0[2].set_both(Traffic::Held).unwrap();
    elsewhere.0[B].refuse().unwrap();
    let owed = add(&other, 4, "reader 4").await;
    assert!(matches!(owed, Outcome::Owed { .. }), "{owed:?}");
    let read = one
        .read(async move |db: &mut Db| db.query("select id from accounts", params![]).await)
        .await;
    let Err(DbError::NoMaster(why)) = &read else { panic!("{read:?}") };
    assert!(why.contains("witness"), "{why}");
    network.thaw();
    elsewhere.thaw();
    whole(&one).await;
    whole(&other).await;
    assert_eq!(logins(&one).await.len(), 4);
    one.close().await;
    other.close().await;
    set.pair.assert_same();
}
