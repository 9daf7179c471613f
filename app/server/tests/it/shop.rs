//! The shop of the real binary, in all ways of making an order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lab::{Port, Scratch, Suite};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stdx::{Random, Seed};
use tokio::sync::{Notify, watch};

use crate::common::{Reader, Server, ask, client, endpaper, run, until};
use crate::ops::{Operator, secret_of};
use crate::readme::blocks_of;
use crate::several::{Set, until_up};
use crate::tables;

/// How orders are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Transaction,
    Saga,
    /// From part to part.
    Choreography,
    /// As a saga, of four processes with a store each.
    FourSaga,
    /// From part to part, of four processes.
    FourChoreography,
}

impl Way {
    fn is_saga(self) -> bool {
        matches!(self, Self::Saga | Self::FourSaga)
    }

    fn is_four(self) -> bool {
        matches!(self, Self::FourSaga | Self::FourChoreography)
    }

    /// As `shop.orders` has it.
    fn name(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Saga | Self::FourSaga => "saga",
            Self::Choreography | Self::FourChoreography => "choreography",
        }
    }
}

const WAYS: [Way; 5] =
    [Way::Transaction, Way::Saga, Way::Choreography, Way::FourSaga, Way::FourChoreography];

/// The processes of a shop with the demo. The first one is the one that readers talk to.
struct Running {
    processes: Vec<Process>,
}

struct Process {
    /// Each time with the same ones: others know where it is.
    arguments: Vec<String>,
    data: PathBuf,
    server: Option<Server>,
    /// Its operator's listener.
    operator: String,
}

impl Process {
    fn start(&mut self) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let (server, operator) = Server::start_operated(&arguments);
        (self.server, self.operator) = (Some(server), operator);
    }

    /// A command about it.
    fn operate(&self, command: &[&str]) -> lab::Finished {
        operate(&self.data, &self.operator, command)
    }
}

impl Running {
    fn start(scratch: &Path, way: Way) -> Self {
        let roles: &[&str] =
            if way.is_four() { &["order", "stock", "wallet", "coupon"] } else { &["all"] };
        let ports: Vec<Port> = roles.iter().map(|_| Port::reserve().unwrap()).collect();
        let mut config = format!("[shop]\norders = {:?}\n", way.name());
        if way.is_four() {
            config += "service_token = \"of-one-shop-4d1b\"\n";
            for (role, port) in roles.iter().zip(&ports) {
                writeln!(config, "{role}_url = \"http://{}\"", port.address()).unwrap();
            }
        }
        let file = scratch.join(format!("{way:?}.toml"));
        std::fs::write(&file, config).unwrap();
        let process = |(role, port): (&&str, Port)| {
            let data = scratch.join(format!("{way:?}-{role}"));
            let (shown, config) = (data.display().to_string(), file.display().to_string());
            let listen = port.address().to_string();
            let arguments = [
                "serve", "--demo", "--role", role, "--listen", &listen, "--config", &config,
                "--data", &shown,
            ];
            Process {
                arguments: arguments.map(str::to_owned).to_vec(),
                data,
                server: None,
                operator: String::new(),
            }
        };
        let mut processes: Vec<Process> = roles.iter().zip(ports).map(process).collect();
        processes.iter_mut().for_each(Process::start);
        Self { processes }
    }

    /// The one that readers talk to.
    fn front(&self) -> &Server {
        self.processes[0].server.as_ref().unwrap()
    }

    /// A command about the first one.
    fn operate(&self, command: &[&str]) -> lab::Finished {
        self.processes[0].operate(command)
    }

    /// Kills one of them, and starts it again.
    fn kill(&mut self, random: &Random) {
        let at = usize::try_from(random.below(self.processes.len() as u64)).unwrap();
        self.processes[at].server.take().unwrap().program.kill().unwrap();
        self.processes[at].start();
    }

    /// Sums everything up, wherever it is.
    fn is_right(&self) {
        for process in &self.processes {
            let audit = process.operate(&["shop", "audit"]);
            assert_eq!(audit.code, Some(0), "{} {}", audit.stdout, audit.stderr);
        }
    }

    fn make_demo_admin(&mut self) {
        let first = &mut self.processes[0];
        first.server.take().unwrap().program.stop().unwrap();
        let data = first.data.display().to_string();
        assert_eq!(run(&["accounts", "role", "demo", "admin", "--data", &data]).code, Some(0));
        first.start();
    }

    /// Stops them all; their masters hold the same.
    fn stop(self) {
        for process in self.processes {
            assert_eq!(process.server.unwrap().program.stop().unwrap().code, Some(0));
            let [a, b] = ["a.db", "b.db"].map(|file| tables::of_sqlite(&process.data.join(file)));
            tables::assert_same(&a, &b);
        }
    }

    /// Until the demo's reader has money: the wallet is another process, and may have waited
    /// for the reader.
    async fn demo_token(&self) -> String {
        let token = demo_token(self.front()).await;
        until("the demo is there", async || {
            let wallet = "/api/v1/shop/wallet";
            let (_, wallet) = self.front().ask(Method::GET, wallet, Some(&token), None).await;
            let products = "/api/v1/shop/products";
            let (_, products) = self.front().ask(Method::GET, products, None, None).await;
            wallet["data"]["balance"].as_i64() > Some(0)
                && products["data"]["products"].as_array().is_some_and(|all| all.len() == 4)
        })
        .await;
        token
    }
}

/// A command about a server that runs.
fn operate(data: &Path, operator: &str, command: &[&str]) -> lab::Finished {
    let data = data.display().to_string();
    let mut all = command.to_vec();
    all.extend(["--data", &data]);
    let mut command = endpaper(&all);
    command.env("ENDPAPER_OPERATOR_LISTEN", operator);
    lab::run(command, std::time::Duration::from_mins(1)).unwrap()
}

async fn demo_token(server: &Server) -> String {
    let login = json!({ "loginId": "demo", "password": "endpaper-demo" });
    let (_, answer) = server.ask(Method::POST, "/api/v1/auth/login", None, Some(login)).await;
    answer["data"]["accessToken"].as_str().expect("the demo account logs in").to_owned()
}

/// The tour of the README, word for word, in one process.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_the_readme_is_true() {
    if !lab::has_program("curl", "the order of the README") {
        return;
    }
    let scratch = Scratch::new("shop-readme").unwrap();
    for way in WAYS {
        let shop = Running::start(scratch.path(), way);
        take_the_tour(&shop.front().program.url(""));
        shop.stop();
    }
}

/// And in four, which are started word for word too.
#[tokio::test(flavor = "multi_thread")]
async fn the_four_processes_of_the_readme_are_true() {
    if !lab::has_program("curl", "the order of the README")
        || !lab::has_program("openssl", "the order of the README")
    {
        return;
    }
    let scratch = Scratch::new("shop-readme-four").unwrap();
    let [_, four] = &blocks_of("An order in the shop")[..] else { panic!("they are two blocks") };
    let ports = [(); 4].map(|()| Port::reserve().unwrap());
    let front = format!("http://{}", ports[0].address());
    let mut script = four
        .replace("cargo build --release --package endpaper", "")
        .replace("target/release/endpaper", env!("CARGO_BIN_EXE_endpaper"));
    for (number, port) in (8080..).zip(&ports) {
        script = script.replace(&format!("127.0.0.1:{number}"), &port.address().to_string());
    }
    let mut shell = std::process::Command::new("/bin/sh");
    let script = script.replace(" &\n", " & all=\"$all $!\"\n");
    let script = format!("all=; trap 'kill $all; wait; exit 0' TERM\n{script}");
    shell.args(["-euc", &script]).current_dir(scratch.path());
    shell.env("ENDPAPER_OPERATOR_LISTEN", "off").env("ENDPAPER_BOOKS_OPEN_LIBRARY", "false");
    let four = Jobs(lab::Process::start(shell).unwrap());
    let client = client();
    until("the shop is open, and the demo there", async || {
        let login = json!({ "loginId": "demo", "password": "endpaper-demo" });
        let login_url = format!("{front}/api/v1/auth/login");
        let Ok((_, answer)) = ask(&client, &login_url, Method::POST, None, Some(login)).await
        else {
            return false;
        };
        let Some(token) = answer["data"]["accessToken"].as_str() else { return false };
        let wallet = format!("{front}/api/v1/shop/wallet");
        let wallet = ask(&client, &wallet, Method::GET, Some(token), None).await;
        wallet.is_ok_and(|(_, wallet)| wallet["data"]["balance"] == 100_000)
    })
    .await;
    take_the_tour(&front);
    drop(four);
}

/// What a shell has started: it ends when this is dropped.
struct Jobs(lab::Process);

impl Drop for Jobs {
    fn drop(&mut self) {
        let _ = self.0.terminate();
        let ended = self.0.wait(std::time::Duration::from_mins(1));
        if !std::thread::panicking() {
            assert_eq!(ended.unwrap().code, Some(0));
        }
    }
}

fn take_the_tour(url: &str) {
    let blocks = blocks_of("An order in the shop");
    let script = blocks[0].replace("http://127.0.0.1:8080", url);
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-euc", &script]);
    let said = lab::run(shell, std::time::Duration::from_mins(1)).unwrap();
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(!said.stdout.contains("\"ok\":false"), "{}", said.stdout);
    for part in ["COMPLETED", "CANCELLED", "\"paid\":33000", "\"balance\":100000,"] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
}

/// An operator sees how an order went, whether the sums are right, and makes lists again.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_looks_after_the_shop() {
    let scratch = Scratch::new("shop-operator").unwrap();
    for way in WAYS {
        let shop = Running::start(scratch.path(), way);
        let token = shop.demo_token().await;
        let (server, data) = (shop.front(), &shop.processes[0].data);
        let post =
            async |path: &str, body| server.ask(Method::POST, path, Some(&token), Some(body)).await;
        let (_, products) = server.ask(Method::GET, "/api/v1/shop/products", None, None).await;
        let product = &products["data"]["products"][0]["id"];
        let order = |copies| json!({"lines": [{"productId": product, "copies": copies}]});
        let (status, made) = post("/api/v1/shop/orders", order(1)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let id = made["data"]["id"].as_str().unwrap();
        let (status, refused) = post("/api/v1/shop/orders", order(99)).await;
        assert_eq!(
            (status, &refused["error"]["code"]),
            (StatusCode::CONFLICT, &json!("BALANCE_TOO_LOW"))
        );

        let shown = shop.operate(&["saga", "show", id]);
        let listed = shop.operate(&["saga", "ls"]);
        if way.is_saga() {
            for step in ["place", "take-stock", "redeem-coupon", "pay", "complete"] {
                assert!(shown.stdout.contains(step), "{step}: {}", shown.stdout);
            }
            assert!(listed.stdout.contains("COMPLETED") && listed.stdout.contains("COMPENSATED"));
            let retried = shop.operate(&["saga", "retry", id]);
            assert!(
                retried.stderr.contains("it is COMPLETED, and not STUCK"),
                "{}",
                retried.stderr
            );
        } else {
            assert!(shown.stderr.contains("there is no saga"), "{}", shown.stderr);
        }
        let page = Operator::of(shop.processes[0].operator.clone(), data);
        let cookie = page.log_in().await;
        let listed = page.page("/ops/sagas", &cookie).await;
        let path = format!("/ops/sagas/{id}");
        if way.is_saga() {
            assert!(listed.contains(&path), "{listed}");
            let drawn = page.page(&path, &cookie).await;
            assert_eq!(drawn.matches("<rect").count(), 5, "each step was begun: {drawn}");
            let secret = secret_of(&page.page("/ops", &cookie).await);
            let retry = [("secret", secret.as_str())];
            let retried = page.send(Method::POST, &path, &cookie, &retry).await;
            assert_eq!(retried.status(), StatusCode::SEE_OTHER);
            let told = page.page(&path, &cookie).await;
            assert!(told.contains("it is COMPLETED, and not STUCK"), "{told}");
        } else {
            assert!(!listed.contains(&path), "{listed}");
        }
        for method in [Method::GET, Method::POST] {
            let stranger = page.send(method, &path, "", &[("secret", "x")]).await;
            assert_eq!(stranger.status(), StatusCode::SEE_OTHER, "to the log-in");
            assert_eq!(stranger.headers()["location"], "/ops");
        }
        let unknown = shop.operate(&["saga", "ls", "--state", "LOST"]);
        assert_eq!(unknown.code, Some(1));

        let audit = shop.operate(&["shop", "audit"]);
        assert!(audit.stdout.contains("all entries together: 0 won"), "{}", audit.stdout);
        assert_eq!(audit.code, Some(0));
        let rebuilt = shop.operate(&["shop", "rebuild"]);
        assert!(rebuilt.stdout.contains("of 2 orders"), "{}", rebuilt.stdout);
        let events = shop.operate(&["shop", "events"]);
        assert!(events.stdout.contains("orders to sales: "), "{}", events.stdout);
        let replay = ["shop", "replay", "0190163d-8694-739b-aea5-966c26f80003"];
        let replay = shop.operate(&replay);
        assert!(replay.stderr.contains("there is no event"), "{}", replay.stderr);
        shop.stop();
    }
}

/// Buyers at the same time.
const BUYERS: usize = 6;
const MONEY: i64 = 100_000_000;

/// Orders go on while the server is killed again and again: each is made once or not at all,
/// and what came of it stays so.
async fn orders_are_right_however_often_it_is_killed(way: Way, kills: usize) {
    let scratch = Scratch::new(&format!("shop-kills-{way:?}")).unwrap();
    let mut shop = Running::start(scratch.path(), way);
    let token = shop.demo_token().await;
    shop.make_demo_admin();
    let server = shop.front();
    let mut readers = Vec::new();
    for number in 0..BUYERS {
        let name = format!("buyer-{number}");
        readers.push(Reader::sign_up(server, &name).await.token);
        let charge = json!({"loginId": name, "amount": MONEY});
        let charges = "/api/v1/shop/charges";
        let (status, answer) = server.ask(Method::POST, charges, Some(&token), Some(charge)).await;
        assert!(status.is_success(), "{answer}");
    }
    let (_, products) = server.ask(Method::GET, "/api/v1/shop/products", None, None).await;
    let products: Vec<String> = products["data"]["products"]
        .as_array()
        .unwrap()
        .iter()
        .map(|product| product["id"].as_str().unwrap().to_owned())
        .collect();
    for product in &products {
        let path = format!("/api/v1/shop/products/{product}/stock");
        let more = json!({"copies": 100_000});
        server.ask(Method::POST, &path, Some(&token), Some(more)).await;
    }

    let (address, _) = watch::channel(server.program.url(""));
    let (answers, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let (stop, _) = watch::channel(false);
    let buyers: Vec<_> = (0..)
        .zip(&readers)
        .map(|(number, token)| {
            let shop = Buyer {
                number,
                token: token.clone(),
                products: products.clone(),
                address: address.subscribe(),
                stop: stop.subscribe(),
            };
            tokio::spawn(shop.buy(Arc::clone(&answers), Arc::clone(&answered)))
        })
        .collect();
    let random = Random::new(Seed(11));
    for _ in 0..kills {
        // Under load, somewhere in the middle of it.
        let until = answers.load(Ordering::SeqCst) + 1 + random.below(12);
        while answers.load(Ordering::SeqCst) < until {
            answered.notified().await;
        }
        shop.kill(&random);
        address.send_replace(shop.front().program.url(""));
    }
    let server = shop.front();
    stop.send_replace(true);
    let mut keys = BTreeMap::new();
    for buyer in buyers {
        keys.extend(buyer.await.unwrap());
    }

    // Who got no answer asks again, and who got one hears the same.
    let (mut sold, mut paid) = (BTreeMap::<String, i64>::new(), 0);
    for (key, (buyer, order, answer)) in &keys {
        let settled = settle(server, &readers[*buyer], key, order).await;
        if let Some(answer) = answer {
            assert_eq!(answer["id"], settled["id"], "{key}");
            assert_eq!(answer["lines"], settled["lines"], "{key}");
        }
        for line in settled["lines"].as_array().unwrap() {
            let product = line["productId"].as_str().unwrap().to_owned();
            *sold.entry(product).or_default() += line["copies"].as_i64().unwrap();
        }
        paid += settled["paid"].as_i64().unwrap();
    }
    for product in &products {
        let path = format!("/api/v1/shop/products/{product}");
        let (_, found) = server.ask(Method::GET, &path, None, None).await;
        let on_hand = found["data"]["onHand"].as_i64().unwrap();
        assert_eq!(on_hand + sold.get(product).copied().unwrap_or_default(), 100_100);
    }
    let mut left = 0;
    for token in &readers {
        let (_, wallet) = server.ask(Method::GET, "/api/v1/shop/wallet", Some(token), None).await;
        left += wallet["data"]["balance"].as_i64().unwrap();
    }
    assert_eq!(left + paid, MONEY * i64::try_from(BUYERS).unwrap());
    shop.is_right();
    until("all events are told", async || {
        shop.operate(&["shop", "events"]).stdout.contains("orders to sales: 0 wait")
    })
    .await;
    let (_, ranking) = server.ask(Method::GET, "/api/v1/shop/ranking?span=WEEK", None, None).await;
    for place in ranking["data"]["places"].as_array().unwrap() {
        let product = place["productId"].as_str().unwrap();
        assert_eq!(place["copies"], sold[product], "{ranking}");
    }
    shop.stop();
    assert!(keys.len() >= kills, "there was load");
}

/// By whom what was asked for under each key, and the answer where there was one.
type Asked = BTreeMap<String, (usize, Value, Option<Value>)>;

struct Buyer {
    number: usize,
    token: String,
    products: Vec<String>,
    address: watch::Receiver<String>,
    stop: watch::Receiver<bool>,
}

impl Buyer {
    async fn buy(mut self, answers: Arc<AtomicU64>, answered: Arc<Notify>) -> Asked {
        let (client, mut asked) = (client(), Asked::new());
        for number in 0.. {
            if *self.stop.borrow() {
                break;
            }
            let key = format!("{}-{number}", self.number);
            let product = &self.products[(number + self.number) % self.products.len()];
            let order = json!({"lines": [{"productId": product, "copies": 1 + number % 3}]});
            let url = self.address.borrow_and_update().clone();
            let answer = order_under(&client, &url, &self.token, &key, &order).await;
            let answer = match answer {
                Ok((StatusCode::CREATED, answer)) => {
                    Some(answer["data"].clone()).filter(|order| order["state"] == "COMPLETED")
                }
                // A part was away for too long: it is undone, and stays so.
                Ok((_, answer)) if is_undone(&answer) => Some(undone()),
                // The server starts, or stops.
                Ok((status, answer)) => {
                    let retryable = answer["error"]["retryable"] == true;
                    assert!(retryable, "{status} {answer}");
                    None
                }
                Err(_) => {
                    asked.insert(key, (self.number, order, None));
                    // It is gone: there will be another one, or the end.
                    tokio::select! {
                        _ = self.address.changed() => {}
                        _ = self.stop.wait_for(|stop| *stop) => {}
                    }
                    continue;
                }
            };
            asked.insert(key, (self.number, order, answer));
            answers.fetch_add(1, Ordering::SeqCst);
            answered.notify_one();
        }
        asked
    }
}

async fn order_under(
    client: &reqwest::Client,
    url: &str,
    token: &str,
    key: &str,
    order: &Value,
) -> Result<(StatusCode, Value), reqwest::Error> {
    let request = client.post(format!("{url}/api/v1/shop/orders")).bearer_auth(token);
    let response = request.header("idempotency-key", key).json(order).send().await?;
    let status = response.status();
    let text = response.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// Asks for an order until it is made.
async fn settle(server: &Server, token: &str, key: &str, order: &Value) -> Value {
    let (client, url) = (client(), server.program.url(""));
    loop {
        let (status, answer) =
            order_under(&client, &url, token, key, order).await.expect("it is there");
        match status {
            StatusCode::CREATED if answer["data"]["state"] == "COMPLETED" => {
                return answer["data"].clone();
            }
            // It is being made: what a dead process left is waited for.
            StatusCode::CREATED => assert_eq!(answer["data"]["state"], "PLACED", "{answer}"),
            _ if is_undone(&answer) => return undone(),
            _ => assert!(answer["error"]["retryable"] == true, "{status} {answer}"),
        }
    }
}

fn is_undone(answer: &Value) -> bool {
    answer["error"]["code"] == "ORDER_FAILED"
}

/// Nothing was taken for it.
fn undone() -> Value {
    json!({"lines": [], "paid": 0})
}

fn kills(full: usize) -> usize {
    if Suite::current() == Suite::Full { full } else { 5 }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_at_once_are_right_however_often_it_is_killed() {
    orders_are_right_however_often_it_is_killed(Way::Transaction, kills(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_as_sagas_are_right_however_often_it_is_killed() {
    orders_are_right_however_often_it_is_killed(Way::Saga, kills(300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_four_processes_are_right_however_often_one_is_killed() {
    orders_are_right_however_often_it_is_killed(Way::FourSaga, kills(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_from_part_to_part_are_right_however_often_it_is_killed() {
    orders_are_right_however_often_it_is_killed(Way::Choreography, kills(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_between_four_processes_are_right_however_often_one_is_killed() {
    orders_are_right_however_often_it_is_killed(Way::FourChoreography, kills(60)).await;
}

/// Of two servers on one store one stands still in the middle of orders, for longer than its
/// leases: the other one ends them, and when it wakes it changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stood_still_changes_no_order_any_more() {
    const EACH: usize = 12;
    let Some(set) = Set::start("orders of two servers, one of which stands still") else { return };
    set.configure("[shop]\norders = \"saga\"\n");
    let serve = |name: &str| {
        let arguments = set.arguments(name);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Server::start_operated(&[&["serve", "--demo"], arguments.as_slice()].concat())
    };
    let (mut left, _) = serve("left");
    let (right, operator) = serve("right");
    let mut readers = Vec::new();
    for number in 0..BUYERS {
        readers.push(Reader::sign_up(&left, &format!("buyer-{number}")).await.token);
    }
    let token = demo_token(&left).await;
    let (_, products) = left.ask(Method::GET, "/api/v1/shop/products", None, None).await;
    let product = products["data"]["products"][1]["id"].as_str().unwrap().to_owned();
    for number in 0..BUYERS {
        let gift = json!({"to": format!("buyer-{number}"), "amount": 15_000});
        let path = "/api/v1/shop/wallet/transfers";
        let (status, answer) = left.ask(Method::POST, path, Some(&token), Some(gift)).await;
        assert!(status.is_success(), "{answer}");
    }
    // One copy costs 9,000: each has money for one order, and asks for more.
    let order = json!({"lines": [{"productId": product, "copies": 1}]});
    let (client, url) = (client(), left.program.url(""));
    let asked = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..)
        .zip(&readers)
        .map(|(number, token)| {
            let (client, url, token) = (client.clone(), url.clone(), token.clone());
            let (order, asked): (Value, _) = (order.clone(), Arc::clone(&asked));
            tokio::spawn(async move {
                for at in 0..EACH {
                    asked.fetch_add(1, Ordering::SeqCst);
                    let key = format!("{number}-{at}");
                    // While it stands still there is no answer.
                    let _ = order_under(&client, &url, &token, &key, &order).await;
                }
            })
        })
        .collect();
    while asked.load(Ordering::SeqCst) < (BUYERS * 2) as u64 {
        tokio::task::yield_now().await;
    }
    left.program.process().freeze().unwrap();
    let begun = asked.load(Ordering::SeqCst);
    // What was under way ends by the other one, when the leases are over.
    let operated = |command: &[&str]| {
        let arguments = set.arguments("right");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = endpaper(&[command, arguments.as_slice()].concat());
        command.env("ENDPAPER_OPERATOR_LISTEN", &operator);
        lab::run(command, std::time::Duration::from_mins(1)).unwrap().stdout
    };
    until("what was under way is ended", async || {
        let open =
            ["RUNNING", "COMPENSATING"].map(|state| operated(&["saga", "ls", "--state", state]));
        open.iter().all(|listed| listed.contains("there are none"))
    })
    .await;
    let before = operated(&["saga", "ls", "--limit", "1000", "--json"]);
    assert!(begun > 0 && before.contains("COMPLETED"));
    left.program.process().thaw().unwrap();
    for task in tasks {
        task.await.unwrap();
    }

    // What was ended is as it was, and both say the same of every order.
    let after = operated(&["saga", "ls", "--limit", "1000", "--json"]);
    let states = |json: &str| -> BTreeMap<String, String> {
        let sagas: Vec<Value> = serde_json::from_str(json).unwrap();
        let text = |saga: &Value, field: &str| saga[field].as_str().unwrap().to_owned();
        sagas.iter().map(|saga| (text(saga, "id"), text(saga, "state"))).collect()
    };
    let (before, after) = (states(&before), states(&after));
    for (id, state) in &before {
        assert_eq!(after.get(id), Some(state), "{id}");
    }
    for token in &readers {
        let orders = "/api/v1/shop/orders?limit=100";
        let (_, here) = right.ask(Method::GET, orders, Some(token), None).await;
        let completed = here["data"]["orders"].as_array().unwrap().iter();
        let completed = completed.filter(|order| order["state"] == "COMPLETED").count();
        assert_eq!(completed, 1, "there was money for one: {here}");
        let (_, wallet) = right.ask(Method::GET, "/api/v1/shop/wallet", Some(token), None).await;
        assert_eq!(wallet["data"]["balance"], 6_000);
    }
    let path = format!("/api/v1/shop/products/{product}");
    let (_, found) = right.ask(Method::GET, &path, None, None).await;
    assert_eq!(found["data"]["onHand"], 100 - i64::try_from(BUYERS).unwrap());
    assert!(operated(&["shop", "audit"]).contains("all entries together: 0 won"));
    until_up(&left).await;
    for server in [left, right] {
        assert_eq!(server.program.stop().unwrap().code, Some(0));
    }
}

/// Somebody who asks without an account hears so.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_sees_books_and_orders_none() {
    let scratch = Scratch::new("shop-stranger").unwrap();
    let server = Server::start(scratch.path(), &["--demo"]);
    let url = |path: &str| server.program.url(path);
    let client = client();
    let (status, found) =
        ask(&client, &url("/api/v1/shop/products"), Method::GET, None, None).await.unwrap();
    assert_eq!((status, found["data"]["products"].as_array().unwrap().len()), (StatusCode::OK, 4));
    let order = json!({"lines": []});
    let (status, _) =
        ask(&client, &url("/api/v1/shop/orders"), Method::POST, None, Some(order)).await.unwrap();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.program.stop().unwrap().code, Some(0));
}
