//! The proxy: each fault, with a real peer at each end.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use lab::proxy::{Counters, Fall, Traffic, Way};
use lab::{LabError, MariaDb, Proxy, Scratch, require_mariadb};
use proptest::prelude::*;

const LIMIT: Duration = Duration::from_secs(20);

/// A server that says back what it hears, and keeps what it heard.
struct Echo {
    address: SocketAddr,
    heard: Receiver<Heard>,
}

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Bytes(Vec<u8>),
    End,
    Error(ErrorKind),
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (say, heard) = mpsc::channel();
        thread::spawn(move || {
            for client in listener.incoming() {
                let say = say.clone();
                thread::spawn(move || echo(client.unwrap(), &say));
            }
        });
        Self { address, heard }
    }

    /// What was heard next; bytes are put together up to `count`.
    fn hear(&self, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < count {
            match self.heard.recv_timeout(LIMIT).unwrap() {
                Heard::Bytes(bytes) => all.extend(bytes),
                other => panic!("{other:?} after {all:?}"),
            }
        }
        all
    }

    fn next(&self) -> Heard {
        self.heard.recv_timeout(LIMIT).unwrap()
    }

    fn has_heard_nothing(&self) -> bool {
        self.heard.try_recv() == Err(TryRecvError::Empty)
    }
}

fn echo(mut client: TcpStream, say: &Sender<Heard>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        // The test may be over, and then nobody listens.
        match client.read(&mut buffer) {
            Ok(0) => {
                let _ = say.send(Heard::End);
                return;
            }
            Ok(read) => {
                let _ = say.send(Heard::Bytes(buffer[..read].to_owned()));
                if client.write_all(&buffer[..read]).is_err() {
                    return;
                }
            }
            Err(error) => {
                let _ = say.send(Heard::Error(error.kind()));
                return;
            }
        }
    }
}

fn connect(proxy: &Proxy) -> TcpStream {
    let client = TcpStream::connect(proxy.address()).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.set_nodelay(true).unwrap();
    client
}

/// A connection that has passed something already.
fn connected(proxy: &Proxy, echo: &Echo) -> TcpStream {
    let mut client = connect(proxy);
    client.write_all(b"hello").unwrap();
    assert_eq!(read(&mut client, 5), b"hello");
    assert_eq!(echo.hear(5), b"hello");
    client
}

fn read(client: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    client.read_exact(&mut bytes).unwrap();
    bytes
}

/// How reading ends: at how many bytes, and in which way.
fn end_of(client: &mut TcpStream) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut bytes = Vec::new();
    let end = client.read_to_end(&mut bytes).map(drop).map_err(|error| error.kind());
    (bytes, end)
}

const RESET: Result<(), ErrorKind> = Err(ErrorKind::ConnectionReset);

fn wait(proxy: &Proxy, what: &'static str, reached: impl Fn(&Counters) -> bool) -> Counters {
    proxy.wait_until(what, LIMIT, reached).unwrap()
}

#[test]
fn it_passes_bytes_ends_and_resets() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let mut client = connected(&proxy, &echo);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(echo.next(), Heard::End);
    assert_eq!(end_of(&mut client), (Vec::new(), Ok(())));
    let counters = wait(&proxy, "without connections", |counters| counters.open == 0);
    assert_eq!(counters.connections, 1);
    assert_eq!((counters.to_server.passed_bytes, counters.to_client.passed_bytes), (5, 5));

    let client = connected(&proxy, &echo);
    reset(client);
    assert_eq!(echo.next(), Heard::Error(ErrorKind::ConnectionReset));
    wait(&proxy, "without connections", |counters| counters.open == 0);
}

/// Ends a connection as a killed machine's kernel would.
fn reset(client: TcpStream) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    client.set_nonblocking(true).unwrap();
    runtime.block_on(async {
        tokio::net::TcpStream::from_std(client).unwrap().set_zero_linger().unwrap();
    });
}

#[test]
fn much_passes_whole_while_both_sides_send() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let client = connect(&proxy);
    let sent: Vec<u8> = (0..8_u32 << 20).map(|at| (at * 31 % 251) as u8).collect();
    let mut writer = client.try_clone().unwrap();
    let all = sent.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&all).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut client = client;
    let (back, end) = end_of(&mut client);
    writing.join().unwrap();
    assert_eq!(end, Ok(()));
    assert!(back == sent, "{} of {} bytes came back", back.len(), sent.len());
}

#[test]
fn what_is_held_to_the_server_arrives_later() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let mut client = connected(&proxy, &echo);
    proxy.set(Way::ToServer, Traffic::Held).unwrap();
    client.write_all(b"later").unwrap();
    let counters =
        wait(&proxy, "given the request", |counters| counters.to_server.received_bytes == 10);
    assert_eq!(counters.to_server.passed_bytes, 5);
    assert!(echo.has_heard_nothing());
    proxy.pass().unwrap();
    assert_eq!(read(&mut client, 5), b"later");
}

#[test]
fn what_is_held_to_the_client_has_reached_the_server() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let mut client = connected(&proxy, &echo);
    proxy.set(Way::ToClient, Traffic::Held).unwrap();
    client.write_all(b"heard").unwrap();
    assert_eq!(echo.hear(5), b"heard");
    let counters =
        wait(&proxy, "given the answer", |counters| counters.to_client.received_bytes == 10);
    assert_eq!(counters.to_client.passed_bytes, 5);
    proxy.pass().unwrap();
    assert_eq!(read(&mut client, 5), b"heard");
}

#[test]
fn half_open_hides_that_the_other_side_is_gone() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let mut client = connected(&proxy, &echo);
    proxy.set_both(Traffic::Held).unwrap();
    client.write_all(b"x").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    wait(&proxy, "given the request", |counters| counters.to_server.received_bytes == 6);
    // A connection made meanwhile opens, and reaches nobody.
    let mut second = connect(&proxy);
    second.write_all(b"y").unwrap();
    wait(&proxy, "connected twice", |counters| counters.open == 2);
    assert!(echo.has_heard_nothing());
    proxy.pass().unwrap();
    assert_eq!(end_of(&mut client), (b"x".to_vec(), Ok(())));
    assert_eq!(read(&mut second, 1), b"y");
}

#[test]
fn half_open_hides_a_server_that_died() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = Proxy::to(listener.local_addr().unwrap()).unwrap();
    let mut client = connect(&proxy);
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"hello").unwrap();
    assert_eq!(read(&mut client, 5), b"hello");
    proxy.set_both(Traffic::Held).unwrap();
    reset(server);
    client.write_all(b"are you there?").unwrap();
    wait(&proxy, "given the question", |counters| counters.to_server.received_bytes == 14);
    client.set_nonblocking(true).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    client.set_nonblocking(false).unwrap();
    proxy.pass().unwrap();
    assert_eq!(end_of(&mut client), (Vec::new(), RESET));
    let counters = wait(&proxy, "without connections", |counters| counters.open == 0);
    assert_eq!(counters.to_server.lost_bytes, 14);
}

#[test]
fn what_is_lost_stays_lost_and_so_does_what_follows() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let mut torn = connected(&proxy, &echo);
    let mut whole = connected(&proxy, &echo);
    proxy.set(Way::ToServer, Traffic::Lost).unwrap();
    torn.write_all(b"a hole").unwrap();
    wait(&proxy, "given the request", |counters| counters.to_server.lost_bytes == 6);
    proxy.pass().unwrap();
    torn.write_all(b"after the hole").unwrap();
    let counters = wait(&proxy, "given the next", |counters| counters.to_server.lost_bytes == 20);
    assert_eq!(counters.to_server.passed_bytes, 10);
    assert!(echo.has_heard_nothing());
    // A connection that lost nothing is none the worse.
    whole.write_all(b"whole").unwrap();
    assert_eq!(read(&mut whole, 5), b"whole");
}

#[test]
fn what_is_lost_to_the_client_was_heard() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let mut client = connected(&proxy, &echo);
    proxy.set(Way::ToClient, Traffic::Lost).unwrap();
    client.write_all(b"heard").unwrap();
    assert_eq!(echo.hear(5), b"heard");
    wait(&proxy, "given the answer", |counters| counters.to_client.lost_bytes == 5);
    proxy.pass().unwrap();
    proxy.reset().unwrap();
    assert_eq!(end_of(&mut client), (Vec::new(), RESET));
}

#[test]
fn reset_tells_both_sides_and_new_connections_pass() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let mut clients: Vec<_> = (0..3).map(|_| connected(&proxy, &echo)).collect();
    proxy.set_both(Traffic::Held).unwrap();
    proxy.reset().unwrap();
    assert_eq!(proxy.counters().open, 0);
    for client in &mut clients {
        assert_eq!(end_of(client), (Vec::new(), RESET));
        assert_eq!(echo.next(), Heard::Error(ErrorKind::ConnectionReset));
    }
    proxy.pass().unwrap();
    connected(&proxy, &echo);
}

#[test]
fn reset_reaches_connections_that_were_just_opened() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    for _ in 0..50 {
        let mut client = connect(&proxy);
        proxy.reset().unwrap();
        assert_eq!(end_of(&mut client), (Vec::new(), RESET));
    }
}

#[test]
fn refused_connections_are_refused_until_it_passes_again() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let mut client = connected(&proxy, &echo);
    proxy.refuse().unwrap();
    assert_eq!(end_of(&mut client), (Vec::new(), RESET));
    assert_eq!(echo.next(), Heard::Error(ErrorKind::ConnectionReset));
    let refused = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.refuse().unwrap();
    proxy.pass().unwrap();
    connected(&proxy, &echo);
}

#[test]
fn a_delay_is_kept_each_way_and_order_too() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let mut client = connected(&proxy, &echo);
    proxy.set(Way::ToServer, Traffic::Delayed(Duration::from_millis(40))).unwrap();
    proxy.set(Way::ToClient, Traffic::Delayed(Duration::from_millis(60))).unwrap();
    let sent = Instant::now();
    client.write_all(b"one").unwrap();
    client.write_all(b"two").unwrap();
    assert_eq!(read(&mut client, 6), b"onetwo");
    assert!(sent.elapsed() >= Duration::from_millis(100), "{:?}", sent.elapsed());

    // What is on its way when the delay ends, arrives at once.
    proxy.set(Way::ToServer, Traffic::Delayed(Duration::from_hours(1))).unwrap();
    client.write_all(b"hurry").unwrap();
    wait(&proxy, "given the request", |counters| counters.to_server.received_bytes == 16);
    proxy.pass().unwrap();
    assert_eq!(read(&mut client, 5), b"hurry");
}

#[test]
fn a_drip_is_slow_and_whole() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let mut open = Vec::new();
    for (way, bytes_per_s, count) in
        [(Way::ToServer, 500, 50), (Way::ToClient, 500, 50), (Way::ToClient, 100_000, 10_000)]
    {
        let mut client = connected(&proxy, &echo);
        let bytes_per_s = NonZeroU32::new(bytes_per_s).unwrap();
        proxy.set(way, Traffic::Dripping { bytes_per_s }).unwrap();
        let bytes: Vec<u8> = (0..count).map(|at: u32| (at % 251) as u8).collect();
        let sent = Instant::now();
        client.write_all(&bytes).unwrap();
        assert_eq!(read(&mut client, bytes.len()), bytes);
        assert!(sent.elapsed() >= Duration::from_millis(100), "{way:?} {:?}", sent.elapsed());
        assert_eq!(echo.hear(bytes.len()), bytes);
        proxy.pass().unwrap();
        open.push(client);
    }
}

#[test]
fn an_answer_is_dropped_once_and_the_request_arrives() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let mut client = connected(&proxy, &echo);
    client.write_all(b"comm").unwrap();
    assert_eq!(read(&mut client, 4), b"comm");
    assert_eq!(echo.hear(4), b"comm");
    // What passed before does not count: these are no needle together.
    proxy.drop_next_answer("COMMIT", Fall::Reset).unwrap();
    client.write_all(b"it; not yet;").unwrap();
    assert_eq!(read(&mut client, 12), b"it; not yet;");
    assert_eq!(echo.hear(12), b"it; not yet;");

    // A needle in two parts is found.
    client.write_all(b"please CoM").unwrap();
    assert_eq!(read(&mut client, 10), b"please CoM");
    assert_eq!(echo.hear(10), b"please CoM");
    client.write_all(b"mIt now").unwrap();
    assert_eq!(echo.hear(7), b"mIt now");
    assert_eq!(end_of(&mut client), (Vec::new(), RESET));
    assert_eq!(echo.next(), Heard::End, "the server may finish what it was sent");
    let counters = wait(&proxy, "dropping an answer", |counters| counters.answers_dropped == 1);
    assert_eq!(counters.to_client.lost_bytes, 7);

    let mut next = connected(&proxy, &echo);
    next.write_all(b"commit").unwrap();
    assert_eq!(read(&mut next, 6), b"commit");
}

#[test]
fn an_answer_is_dropped_into_silence() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let mut other = connected(&proxy, &echo);
    let mut client = connected(&proxy, &echo);
    proxy.drop_next_answer("commit", Fall::Silence).unwrap();
    client.write_all(b"commit").unwrap();
    assert_eq!(echo.hear(6), b"commit");
    wait(&proxy, "dropping an answer", |counters| counters.answers_dropped == 1);
    // Nor does what the client says then reach the server.
    client.write_all(b"are you there?").unwrap();
    wait(&proxy, "given the question", |counters| counters.to_server.lost_bytes == 14);
    assert_eq!(proxy.counters().open, 2, "it stays open");
    other.write_all(b"commit").unwrap();
    assert_eq!(read(&mut other, 6), b"commit");
    assert_eq!(echo.hear(6), b"commit");
    assert!(echo.has_heard_nothing());
    proxy.reset().unwrap();
    assert_eq!(end_of(&mut client), (Vec::new(), RESET));
}

#[test]
fn a_needle_is_disarmed_by_pass() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let mut client = connected(&proxy, &echo);
    proxy.drop_next_answer("commit", Fall::Reset).unwrap();
    proxy.pass().unwrap();
    client.write_all(b"commit").unwrap();
    assert_eq!(read(&mut client, 6), b"commit");
}

#[test]
fn a_server_that_is_not_there_resets_and_a_cut_hides_it() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let proxy = Proxy::to(address).unwrap();
    assert_eq!(end_of(&mut connect(&proxy)), (Vec::new(), RESET));
    proxy.set(Way::ToClient, Traffic::Held).unwrap();
    let mut client = connect(&proxy);
    wait(&proxy, "connected", |counters| counters.open == 1);
    proxy.pass().unwrap();
    assert_eq!(end_of(&mut client), (Vec::new(), RESET));
}

#[test]
fn nothing_outlives_a_proxy() {
    let echo = Echo::start();
    let proxy = Proxy::to(echo.address).unwrap();
    let address = proxy.address();
    let mut client = connected(&proxy, &echo);
    proxy.set_both(Traffic::Held).unwrap();
    drop(proxy);
    assert_eq!(end_of(&mut client), (Vec::new(), RESET));
    assert_eq!(echo.next(), Heard::Error(ErrorKind::ConnectionReset));
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_wait_for_counters_has_a_bound() {
    let proxy = Proxy::to(Echo::start().address).unwrap();
    let error = proxy
        .wait_until("connected", Duration::from_millis(20), |counters| counters.connections > 0)
        .unwrap_err();
    assert!(matches!(&error, LabError::Late { .. }), "{error}");
    assert!(error.to_string().contains("connections: 0"), "{error}");
}

/// Something that is done to a connection through which bytes flow.
#[derive(Clone, Debug)]
enum Deed {
    Send(Vec<u8>),
    Set(Way, Traffic),
}

fn deed() -> impl Strategy<Value = Deed> {
    let way = prop_oneof![Just(Way::ToServer), Just(Way::ToClient)];
    let traffic = prop_oneof![
        Just(Traffic::Passes),
        Just(Traffic::Held),
        (0..3_u64).prop_map(|ms| Traffic::Delayed(Duration::from_millis(ms))),
        (1_000..1_000_000_u32)
            .prop_map(|rate| Traffic::Dripping { bytes_per_s: NonZeroU32::new(rate).unwrap() }),
    ];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..2_000).prop_map(Deed::Send),
        (way, traffic).prop_map(|(way, traffic)| Deed::Set(way, traffic)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn faults_that_heal_tear_no_stream(deeds in prop::collection::vec(deed(), 1..20)) {
        let echo = Echo::start();
        let proxy = Proxy::to(echo.address).unwrap();
        let mut client = connect(&proxy);
        let mut sent = Vec::new();
        for deed in deeds {
            match deed {
                Deed::Send(bytes) => {
                    client.write_all(&bytes).unwrap();
                    sent.extend(bytes);
                }
                Deed::Set(way, traffic) => proxy.set(way, traffic).unwrap(),
            }
        }
        proxy.pass().unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        prop_assert_eq!(end_of(&mut client), (sent, Ok(())));
    }
}

#[test]
fn a_commit_whose_answer_is_dropped_is_committed() {
    let Some(software) =
        require_mariadb("the answer to a commit is dropped between a client and a server")
    else {
        return;
    };
    let scratch = Scratch::new("lab-proxy").unwrap();
    let server = MariaDb::start(&software, scratch.path()).unwrap();
    let proxy = Proxy::to(server.address()).unwrap();
    let by_proxy = |sql: &str| server.sql_at(proxy.address(), "books", sql);
    server.create_database("books").unwrap();
    by_proxy("create table t (id int primary key)").unwrap();
    by_proxy("begin; insert into t values (1); commit").unwrap();

    proxy.drop_next_answer("commit", Fall::Reset).unwrap();
    let error = by_proxy("begin; insert into t values (2); COMMIT").unwrap_err().to_string();
    assert!(error.contains("Lost connection"), "{error}");
    wait(&proxy, "dropping an answer", |counters| counters.answers_dropped == 1);
    assert_eq!(server.sql("books", "select id from t order by id").unwrap(), "1\n2\n");

    // The insert's answer is another thing: its connection ends before there is
    // a commit.
    proxy.drop_next_answer("insert", Fall::Reset).unwrap();
    by_proxy("begin; insert into t values (3); commit").unwrap_err();
    by_proxy("insert into t values (4)").unwrap();
    assert_eq!(by_proxy("select id from t order by id").unwrap(), "1\n2\n4\n");
    assert!(server.url_at(proxy.address(), "books").contains(&proxy.address().to_string()));
}
