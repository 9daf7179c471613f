//! Orders over HTTP at the real server, whose data platform and message gateway answer at once,
//! or never: how long an order takes must not depend on them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bench::{Aim, Latencies, Report, Row, Sample, median};
use lab::{Program, Scratch};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const WORK: &str = "order over HTTP";
const HEALTHY: &str = "third parties answer";
const HANGING: &str = "third parties hang";

/// Readers who order at the same time.
const READERS: usize = 4;
/// What a turn of hanging may cost.
const SLOWER_MAX: f64 = 1.2;

const ENDS_WITHIN: Duration = Duration::from_mins(1);

pub(crate) fn measure(
    report: &mut Report,
    runtime: &Runtime,
    server: &Path,
    rounds: usize,
    turn: Duration,
) {
    let subjects = [HEALTHY, HANGING]
        .map(|name| (name, runtime.block_on(Shop::start(server, name == HANGING))));
    let mut samples = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for step in 0..subjects.len() {
            let at = (round + step) % subjects.len();
            samples[at].push(runtime.block_on(subjects[at].1.turn(turn)));
        }
    }
    for ((subject, _), samples) in subjects.iter().zip(&samples) {
        report.row(Row { work: WORK, subject, callers: READERS, sample: median(samples) });
    }
    let [healthy, hanging] =
        [HEALTHY, HANGING].map(|subject| report.sample(WORK, READERS, subject));
    let slower = |hanging: u32, healthy: u32| f64::from(hanging) / f64::from(healthy);
    let p50 = slower(hanging.p50_us, healthy.p50_us);
    report.aim("p50_hanging_to_healthy", p50, Aim::AtMost(SLOWER_MAX));
    let p99 = slower(hanging.p99_us, healthy.p99_us);
    report.aim("p99_hanging_to_healthy", p99, Aim::AtMost(SLOWER_MAX));
}

/// A server with readers who have money.
struct Shop {
    client: reqwest::Client,
    url: String,
    readers: Vec<String>,
    product: String,
    _server: Program,
    _scratch: Scratch,
}

impl Shop {
    async fn start(server: &Path, hangs: bool) -> Self {
        let scratch = Scratch::new("bench-outside").expect("a directory under target/");
        let data = scratch.path().join("data");
        let party = party(hangs).await;
        // The demo's reader becomes an administrator, who books what readers pay in.
        let first = serve(server, &data, &party);
        assert_eq!(first.stop().expect("it stops").code, Some(0));
        let mut role = Command::new(server);
        role.args(["accounts", "role", "demo", "admin", "--data"]).arg(&data);
        assert_eq!(lab::run(role, ENDS_WITHIN).expect("it ends").code, Some(0));
        let program = serve(server, &data, &party);
        let url = format!("{}/api/v1", program.url(""));
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut shop = Self {
            client,
            url,
            readers: Vec::new(),
            product: String::new(),
            _server: program,
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
        shop
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

fn serve(server: &Path, data: &PathBuf, party: &str) -> Program {
    let mut command = Command::new(server);
    command.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--log-level", "error", "--data"]);
    command
        .arg(data)
        .env("ENDPAPER_OPERATOR_LISTEN", "off")
        .env("ENDPAPER_BOOKS_OPEN_LIBRARY", "false")
        .env("ENDPAPER_SHOP_ORDERS", "saga")
        .env("ENDPAPER_SHOP_DATA_PLATFORM", party)
        .env("ENDPAPER_SHOP_NOTIFICATION", party)
        .env("ENDPAPER_SHOP_WEBHOOK_KEY", "a key of the bench")
        .env("ENDPAPER_SHOP_WEBHOOK_PRIVATE", "true");
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
