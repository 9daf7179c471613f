//! Orders over HTTP at the real server, while something that it uses is away or hangs: how long
//! an order takes must not depend on that.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bench::{Aim, Latencies, Report, Row, Sample, median};
use lab::{MariaDb, Program, Redis, Scratch, Software};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const WORK: &str = "order over HTTP";

/// Readers who order at the same time.
const READERS: usize = 4;
/// What something that is away may cost.
const SLOWER_MAX: f64 = 1.2;

const ENDS_WITHIN: Duration = Duration::from_mins(1);

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    PartiesHang,
    RedisAway,
    RedisHangs,
    MasterAway,
}

/// Whose orders are timed: what it is called, where it keeps them, what is wrong there.
struct Subject {
    name: &'static str,
    short: &'static str,
    on_servers: bool,
    trouble: Trouble,
}

const fn subject(
    name: &'static str,
    short: &'static str,
    on_servers: bool,
    trouble: Trouble,
) -> Subject {
    Subject { name, short, on_servers, trouble }
}

const SUBJECTS: [Subject; 6] = [
    subject("two files, all is well", "files", false, Trouble::None),
    subject("two files, third parties hang", "parties_hang", false, Trouble::PartiesHang),
    subject("two files, Redis away", "redis_away", false, Trouble::RedisAway),
    subject("two files, Redis hangs", "redis_hangs", false, Trouble::RedisHangs),
    subject("two MariaDB, all is well", "mariadb", true, Trouble::None),
    subject("two MariaDB, one away", "master_away", true, Trouble::MasterAway),
];

pub(crate) fn measure(
    report: &mut Report,
    runtime: &Runtime,
    server: &Path,
    software: Option<&Software>,
    rounds: usize,
    turn: Duration,
) {
    let has_redis = lab::Redis::missing().is_none();
    if !has_redis {
        eprintln!("left out: orders without Redis: {}", Redis::missing().unwrap_or_default());
    }
    let can_be = |of: &&Subject| match of.trouble {
        Trouble::RedisAway | Trouble::RedisHangs => has_redis,
        _ => !of.on_servers || software.is_some(),
    };
    let mut shops: Vec<(&Subject, Shop)> = Vec::new();
    for of in SUBJECTS.iter().filter(can_be) {
        let software = software.filter(|_| of.on_servers);
        shops.push((of, runtime.block_on(Shop::start(server, software, of.trouble))));
    }
    // A master that is away has been taken out, and who hangs is known to hang.
    for (_, shop) in &shops {
        runtime.block_on(shop.turn(turn));
    }
    let mut samples = vec![Vec::new(); shops.len()];
    for round in 0..rounds {
        for step in 0..shops.len() {
            let at = (round + step) % shops.len();
            samples[at].push(runtime.block_on(shops[at].1.turn(turn)));
        }
    }
    for ((of, _), samples) in shops.iter().zip(&samples) {
        report.row(Row { work: WORK, subject: of.name, callers: READERS, sample: median(samples) });
    }
    let well = |on_servers| shops.iter().find(|(of, _)| of.on_servers == on_servers);
    for (of, _) in shops.iter().filter(|(of, _)| of.trouble != Trouble::None) {
        let Some((well, _)) = well(of.on_servers) else { continue };
        let [well, ill] = [well.name, of.name].map(|name| report.sample(WORK, READERS, name));
        let p50 = f64::from(ill.p50_us) / f64::from(well.p50_us);
        report.aim(&format!("p50_{}_to_all_well", of.short), p50, Aim::AtMost(SLOWER_MAX));
        let p99 = f64::from(ill.p99_us) / f64::from(well.p99_us);
        report.aim(&format!("p99_{}_to_all_well", of.short), p99, Aim::AtMost(SLOWER_MAX));
    }
}

/// A server with readers who have money.
struct Shop {
    client: reqwest::Client,
    url: String,
    readers: Vec<String>,
    product: String,
    _server: Program,
    _redis: Option<Redis>,
    _masters: Vec<MariaDb>,
    _scratch: Scratch,
}

impl Shop {
    async fn start(server: &Path, software: Option<&Software>, trouble: Trouble) -> Self {
        let scratch = Scratch::new("bench-outside").expect("a directory under target/");
        let party = party(trouble == Trouble::PartiesHang).await;
        let mut redis = Redis::missing()
            .is_none()
            .then(|| Redis::start(&scratch.path().join("redis")).expect("the server starts"));
        let mut masters: Vec<MariaDb> = software
            .into_iter()
            .flat_map(|software| {
                ["a", "b"].map(|name| {
                    let server = MariaDb::start(software, &scratch.path().join(name));
                    let server = server.expect("the server starts");
                    server.create_database("endpaper").expect("the database is made");
                    server
                })
            })
            .collect();
        let config = config(&party, redis.as_ref(), &masters);
        let file = scratch.path().join("endpaper.toml");
        std::fs::write(&file, config).expect("a file can be written");
        // The demo's reader becomes an administrator, who books what readers pay in.
        let first = serve(server, scratch.path());
        assert_eq!(first.stop().expect("it stops").code, Some(0));
        let mut role = Command::new(server);
        role.args(["accounts", "role", "demo", "admin", "--data"]).arg(scratch.path().join("data"));
        role.arg("--config").arg(&file);
        assert_eq!(lab::run(role, ENDS_WITHIN).expect("it ends").code, Some(0));
        let program = serve(server, scratch.path());
        let url = format!("{}/api/v1", program.url(""));
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut shop = Self {
            client,
            url,
            readers: Vec::new(),
            product: String::new(),
            _server: program,
            _redis: None,
            _masters: Vec::new(),
            _scratch: scratch,
        };
        let admin = shop.log_in("demo", "endpaper-demo").await;
        for number in 0..READERS {
            let (name, password) = (format!("reader-{number}"), "correct horse 9 battery");
            let account = json!({
                "loginId": name, "email": format!("{name}@example.com"), "name": "Bench",
                "password": password,
            });
            shop.ask("/auth/signup", None, None, &account).await;
            let charge = json!({"loginId": name, "amount": 100_000_000});
            shop.ask("/shop/charges", Some(&admin), None, &charge).await;
            shop.readers.push(shop.log_in(&name, password).await);
        }
        let new = json!({"title": "A book of the bench", "price": 1_000, "copies": 1_000_000});
        let product = shop.ask("/shop/products", Some(&admin), None, &new).await;
        product["id"].as_str().expect("an id").clone_into(&mut shop.product);
        match (trouble, &mut redis, masters.last_mut()) {
            (Trouble::RedisAway, Some(redis), _) => redis.kill().expect("it is killed"),
            (Trouble::RedisHangs, Some(redis), _) => redis.freeze().expect("it is frozen"),
            (Trouble::MasterAway, _, Some(master)) => master.kill().expect("it is killed"),
            _ => {}
        }
        Self { _redis: redis, _masters: masters, ..shop }
    }

    async fn log_in(&self, name: &str, password: &str) -> String {
        let login = json!({"loginId": name, "password": password});
        let login = self.ask("/auth/login", None, None, &login).await;
        login["accessToken"].as_str().expect("a token").to_owned()
    }

    async fn ask(&self, path: &str, token: Option<&str>, key: Option<&str>, body: &Value) -> Value {
        let mut request = self.client.post(format!("{}{path}", self.url)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.expect("it answers");
        let status = answer.status();
        let mut answer: Value = answer.json().await.expect("JSON");
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer["data"].take()
    }

    async fn turn(&self, turn: Duration) -> Sample {
        let began = Instant::now();
        let order = json!({"lines": [{"productId": self.product, "copies": 1}]});
        let each = self.readers.iter().map(async |token| {
            let mut latencies = Latencies::default();
            while began.elapsed() < turn {
                let key = uuid::Uuid::new_v4().to_string();
                let started = Instant::now();
                let made = self.ask("/shop/orders", Some(token), Some(&key), &order).await;
                latencies.add(started.elapsed());
                assert_eq!(made["state"], "COMPLETED");
            }
            latencies
        });
        let all = futures_util::future::join_all(each).await;
        Sample::of(all, began.elapsed())
    }
}

/// Orders as sagas, that third parties are told of, with the lock in Redis where that is here.
fn config(party: &str, redis: Option<&Redis>, masters: &[MariaDb]) -> String {
    let lock = redis.map_or_else(String::new, |redis| {
        format!("lock = \"redis\"\nlock_redis = \"redis://{}\"\n", redis.address())
    });
    let masters = masters.iter().enumerate().map(|(number, master)| {
        format!("[[masters]]\nname = \"m{number}\"\nurl = \"{}\"\n", master.url("endpaper"))
    });
    format!(
        "[operator]\nlisten = \"off\"\n[books]\nopen_library = false\n\
         [shop]\norders = \"saga\"\ndata_platform = \"{party}\"\nnotification = \"{party}\"\n\
         webhook_key = \"a key of the bench\"\nwebhook_private = true\n{lock}{}",
        masters.collect::<String>()
    )
}

/// The server whose configuration and data are in a directory.
fn serve(server: &Path, directory: &Path) -> Program {
    let mut command = Command::new(server);
    command.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--log-level", "error"]);
    command.arg("--data").arg(directory.join("data"));
    command.arg("--config").arg(directory.join("endpaper.toml"));
    Program::start_command(command).expect("the server starts")
}

/// Somebody who takes webhooks, or takes them and never answers.
async fn party(hangs: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(hear(stream, hangs));
        }
    });
    format!("http://{address}/")
}

/// One connection: requests with a `Content-Length`, one after the other.
async fn hear(mut stream: TcpStream, hangs: bool) -> Option<()> {
    let mut taken = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = taken.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            (stream.read_buf(&mut taken).await.ok()? > 0).then_some(())?;
        };
        let text = String::from_utf8_lossy(&taken[..head]).to_ascii_lowercase();
        let length = text.split("content-length:").nth(1)?.lines().next()?.trim().parse::<usize>();
        let whole = head + length.ok()?;
        while taken.len() < whole {
            (stream.read_buf(&mut taken).await.ok()? > 0).then_some(())?;
        }
        taken.drain(..whole);
        if !hangs {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()?;
        }
    }
}
