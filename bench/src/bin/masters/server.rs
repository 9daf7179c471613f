//! The whole path of `POST /api/v1/memos`: a load generator over loopback, kept
//! connections, against the real server with its embedded pair.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bench::{Latencies, Report, Row, Sample, median};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use lab::{Program, Scratch};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::CALLERS;

const WORK: &str = "POST /api/v1/memos";
const SUBJECT: &str = "endpaper serve, two files";

/// As many books as the import is measured with.
const BOOKS: usize = 10_000;

/// Of a command that ends by itself.
const ENDS_WITHIN: Duration = Duration::from_mins(5);

pub(crate) fn measure(report: &mut Report, server: &Path, rounds: usize, turn: Duration) {
    let scratch = Scratch::new("bench-server").expect("a directory under target/");
    let data = scratch.path().join("data");
    import(report, server, scratch.path(), &data);

    let mut program = Program::start(
        server,
        [
            "serve",
            "--data",
            &data.display().to_string(),
            "--listen",
            "127.0.0.1:0",
            // A line for each request would measure the reader of the lines.
            "--log-level",
            "warn",
        ],
    )
    .expect("the server starts");
    report.fact("idle_resident_bytes", resident_bytes(program.process().pid()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads can be started");
    let address = program.address().to_string();
    let shelf = runtime.block_on(Shelf::prepare(&address));
    for callers in CALLERS {
        let samples: Vec<Sample> =
            (0..rounds).map(|_| runtime.block_on(load(&address, &shelf, callers, turn))).collect();
        report.row(Row { work: WORK, subject: SUBJECT, callers, sample: median(&samples) });
    }
    report.fact("loaded_resident_bytes", resident_bytes(program.process().pid()));
    drop(runtime);
    let finished = program.stop().expect("the server stops");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

/// How long `endpaper import catalogue` takes for a file of `BOOKS` rows, from
/// the start of the process to its end.
fn import(report: &mut Report, server: &Path, directory: &Path, data: &Path) {
    let file = directory.join("books.csv");
    std::fs::write(&file, catalogue()).expect("the file is written");
    let mut command = Command::new(server);
    command.args(["import", "catalogue", "--data"]).arg(data).arg(&file);
    let started = Instant::now();
    let finished = lab::run(command, ENDS_WITHIN).expect("the import ends");
    let took = started.elapsed();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    report.fact("import_books", BOOKS);
    report.fact("import_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
}

/// A file in the form of goodbooks-10k.
fn catalogue() -> String {
    let mut csv = String::from(
        "book_id,goodreads_book_id,isbn,isbn13,authors,original_publication_year,original_title,title,language_code\n",
    );
    for number in 1..=BOOKS {
        let isbn = isbn10(number);
        writeln!(csv, "{number},{number},{isbn},,\"Author {}, Translator {}\",{}.0,,Book number {number} of the bench,eng", number % 700, number % 50, 1_900 + number % 120)
            .expect("a string takes all");
    }
    csv
}

/// A valid ISBN-10 (ISO 2108: weights 10 to 2, modulo 11).
fn isbn10(number: usize) -> String {
    let digits = format!("{number:09}");
    let sum: usize = digits
        .bytes()
        .zip((2..=10).rev())
        .map(|(digit, weight)| usize::from(digit - b'0') * weight)
        .sum();
    match (11 - sum % 11) % 11 {
        10 => format!("{digits}X"),
        check => format!("{digits}{check}"),
    }
}

/// What a reader of the load has: a token, and a book on the shelf.
#[derive(Clone)]
struct Shelf {
    authorization: String,
    user_book: String,
}

impl Shelf {
    async fn prepare(address: &str) -> Self {
        let mut connection = connect(address).await;
        let account = json!({ "loginId": "bench", "email": "bench@example.com", "name": "Bench", "password": "correct horse 9 battery" });
        ask(&mut connection, address, "/api/v1/auth/signup", None, &account).await;
        let login = json!({ "loginId": "bench", "password": "correct horse 9 battery" });
        let login = ask(&mut connection, address, "/api/v1/auth/login", None, &login).await;
        let token = login["accessToken"].as_str().expect("a token");
        let authorization = format!("Bearer {token}");
        let book = json!({ "title": "Book number 1 of the bench", "author": "Author 1", "isbn": isbn10(1), "totalPages": 500, "category": "ToRead" });
        let book =
            ask(&mut connection, address, "/api/v1/user/books", Some(&authorization), &book).await;
        let user_book = book["userBookId"].as_str().expect("an id").to_owned();
        Self { authorization, user_book }
    }
}

async fn load(address: &str, shelf: &Shelf, callers: usize, turn: Duration) -> Sample {
    let mut connections = Vec::new();
    for _ in 0..callers {
        connections.push(connect(address).await);
    }
    let started = Instant::now();
    let until = started + turn;
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|connection| tokio::spawn(write(connection, address.to_owned(), shelf.clone(), until)))
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.push(task.await.expect("no caller fails"));
    }
    Sample::of(latencies, started.elapsed())
}

async fn write(
    mut connection: Connection,
    address: String,
    shelf: Shelf,
    until: Instant,
) -> Latencies {
    let mut latencies = Latencies::default();
    let mut page = 0;
    while Instant::now() < until {
        page = page % 500 + 1;
        let memo = json!({
            "userBookId": shelf.user_book,
            "pageNumber": page,
            "content": "책을 읽으며 적은 메모입니다. A memo that somebody wrote on the train, about a sentence that stayed with them for the rest of the day.",
            "tags": [],
            "memoStartTime": "2026-03-01T09:30:00+09:00",
        });
        let started = Instant::now();
        ask(&mut connection, &address, "/api/v1/memos", Some(&shelf.authorization), &memo).await;
        latencies.add(started.elapsed());
    }
    latencies
}

type Connection = SendRequest<Full<Bytes>>;

async fn connect(address: &str) -> Connection {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("the system can do that");
    let (connection, drive) = handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(drive);
    connection
}

/// Posts JSON and returns `data` of the answer, which must be a success: a
/// refusal is quick, and would be counted as a fast write.
async fn ask(
    connection: &mut Connection,
    address: &str,
    path: &str,
    authorization: Option<&str>,
    body: &Value,
) -> Value {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, address)
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let request = request.body(Full::from(body.to_string())).expect("a request");
    connection.ready().await.expect("the connection is kept");
    let response = connection.send_request(request).await.expect("an answer");
    let status = response.status();
    let bytes = response.into_body().collect().await.expect("the whole answer").to_bytes();
    assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&bytes));
    let mut answer: Value = serde_json::from_slice(&bytes).expect("JSON");
    answer["data"].take()
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}
