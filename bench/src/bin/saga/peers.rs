//! What else makes steps durable. It is installed from its registries; where that can't be, it
//! is left out.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bench::{Latencies, Sample};
use lab::{Process, Scratch};
use serde_json::{Value, json};

/// Installing.
const ENDS_WITHIN: Duration = Duration::from_mins(8);
/// A server that is slow to start.
const READY_WITHIN: Duration = Duration::from_mins(2);
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Where they are installed, with our programs for them.
fn folder() -> Result<PathBuf, String> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/saga");
    let to = lab::suite::target_dir().join("bench-saga-peers");
    let copy = || -> std::io::Result<()> {
        std::fs::create_dir_all(&to)?;
        for name in ["package.json", "service.js", "orders.py", "requirements.txt"] {
            std::fs::copy(from.join(name), to.join(name))?;
        }
        Ok(())
    };
    copy().map_err(|error| error.to_string())?;
    Ok(to)
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    match lab::run(command, ENDS_WITHIN) {
        Ok(finished) if finished.code == Some(0) => Ok(finished.stdout),
        Ok(finished) => Err(finished.stderr.trim().to_owned()),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

fn left_out(who: &str, why: &str) {
    eprintln!("left out: {who}: {why}");
}

/// A port that nobody has now.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has one").port()
}

/// A Restate server, and a service in Node.js that it calls.
pub(crate) struct Restate {
    url: String,
    client: reqwest::Client,
    _server: Process,
    _service: Process,
    _scratch: Scratch,
}

impl Restate {
    pub(crate) async fn start() -> Option<Self> {
        match Self::try_start().await {
            Ok(restate) => Some(restate),
            Err(why) => {
                left_out("Restate", &why);
                None
            }
        }
    }

    async fn try_start() -> Result<Self, String> {
        let folder = folder()?;
        if restate_server(&folder).is_none() {
            run("npm", &["install", "--no-audit", "--no-fund", "--silent"], &folder)?;
        }
        let server = restate_server(&folder).ok_or("npm has no server for this machine")?;
        let scratch = Scratch::new("bench-restate").map_err(|error| error.to_string())?;
        let [ingress, admin, node, service] = [(); 4].map(|()| port());
        let mut command = Command::new(server);
        command
            .arg("--base-dir")
            .arg(scratch.path())
            .env("RESTATE_INGRESS__BIND_ADDRESS", format!("127.0.0.1:{ingress}"))
            .env("RESTATE_ADMIN__BIND_ADDRESS", format!("127.0.0.1:{admin}"))
            .env("RESTATE_BIND_ADDRESS", format!("127.0.0.1:{node}"))
            .env("RESTATE_DISABLE_TELEMETRY", "true")
            .env("RESTATE_LOG_FILTER", "error");
        let server = Process::start(command).map_err(|error| error.to_string())?;
        let mut command = Command::new("node");
        command.arg("service.js").arg(service.to_string()).current_dir(&folder);
        let mut running = Process::start(command).map_err(|error| error.to_string())?;
        running
            .wait_for_line(READY_WITHIN, |line| line.contains("listening").then_some(()))
            .map_err(|error| error.to_string())?;
        let client = reqwest::Client::builder().no_proxy().timeout(READY_WITHIN).build();
        let client = client.map_err(|error| error.to_string())?;
        let began = Instant::now();
        let deployments = format!("http://127.0.0.1:{admin}/deployments");
        let body = json!({ "uri": format!("http://127.0.0.1:{service}") });
        loop {
            let sent = client.post(&deployments).json(&body).send().await;
            match sent.and_then(reqwest::Response::error_for_status) {
                Ok(_) => break,
                Err(error) if began.elapsed() > READY_WITHIN => return Err(error.to_string()),
                Err(_) => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
        let url = format!("http://127.0.0.1:{ingress}/orders/place");
        let restate = Self { url, client, _server: server, _service: running, _scratch: scratch };
        while let Err(why) = restate.one().await {
            if began.elapsed() > READY_WITHIN {
                return Err(why);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        Ok(restate)
    }

    async fn one(&self) -> Result<(), String> {
        let answer = self.client.post(&self.url).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        let text = answer.map_err(|error| error.to_string())?.text().await;
        match text.as_deref() {
            Ok("4") => Ok(()),
            other => Err(format!("it answered {other:?}")),
        }
    }

    pub(crate) async fn turn(&self, callers: usize, turn: Duration) -> Sample {
        let began = Instant::now();
        let each = (0..callers).map(async |_| {
            let mut latencies = Latencies::default();
            while began.elapsed() < turn {
                let started = Instant::now();
                self.one().await.expect("each order is made");
                latencies.add(started.elapsed());
            }
            latencies
        });
        let all = futures_util::future::join_all(each).await;
        Sample::of(all, began.elapsed())
    }
}

/// The server itself: ending the script that npm puts before it would leave the server running.
fn restate_server(folder: &Path) -> Option<PathBuf> {
    let scope = std::fs::read_dir(folder.join("node_modules/@restatedev")).ok()?;
    let mut packages = scope.filter_map(|package| Some(package.ok()?.path()));
    packages.find_map(|package| {
        let name = package.file_name()?.to_str()?;
        let server = package.join("bin/restate-server");
        (name.starts_with("restate-server-") && server.exists()).then_some(server)
    })
}

/// DBOS for Python, on a database.
pub(crate) struct Dbos {
    folder: PathBuf,
    url: String,
    _server: Option<Process>,
    _scratch: Scratch,
}

impl Dbos {
    /// On SQLite, and on Postgres.
    pub(crate) fn all(names: [&'static str; 2]) -> Vec<(&'static str, Self)> {
        let folder = match Self::install() {
            Ok(folder) => folder,
            Err(why) => {
                left_out("DBOS", &why);
                return Vec::new();
            }
        };
        let [sqlite, postgres] = names;
        let mut all = Vec::new();
        for (name, started) in
            [(sqlite, Self::on_sqlite(&folder)), (postgres, Self::on_postgres(&folder))]
        {
            match started {
                Ok(dbos) => all.push((name, dbos)),
                Err(why) => left_out(name, &why),
            }
        }
        all
    }

    fn install() -> Result<PathBuf, String> {
        let folder = folder()?;
        if !folder.join("venv/bin/dbos").exists() {
            run("python3", &["-m", "venv", "venv"], &folder)?;
            let pip = folder.join("venv/bin/pip").display().to_string();
            run(&pip, &["install", "--quiet", "--requirement", "requirements.txt"], &folder)?;
        }
        Ok(folder)
    }

    fn on_sqlite(folder: &Path) -> Result<Self, String> {
        let scratch = Scratch::new("bench-dbos").map_err(|error| error.to_string())?;
        let url = format!("sqlite:///{}", scratch.path().join("dbos.sqlite").display());
        Ok(Self { folder: folder.to_owned(), url, _server: None, _scratch: scratch })
    }

    /// Postgres does not run as root: it has a user of its own, as Debian makes it.
    fn on_postgres(folder: &Path) -> Result<Self, String> {
        let binaries = postgres_binaries().ok_or("there is no Postgres server")?;
        let scratch = Scratch::new("bench-postgres").map_err(|error| error.to_string())?;
        let data = scratch.path().join("data");
        std::fs::create_dir(&data).map_err(|error| error.to_string())?;
        let shown = data.display().to_string();
        run("chown", &["postgres:postgres", &shown], scratch.path())?;
        // It becomes the server, which ends with it.
        let as_postgres = |program: &str, arguments: &[&str]| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]);
            command.arg(binaries.join(program)).args(arguments).current_dir("/");
            command
        };
        let made = lab::run(as_postgres("initdb", &["-A", "trust", "-D", &shown]), ENDS_WITHIN);
        match made {
            Ok(made) if made.code == Some(0) => {}
            Ok(made) => return Err(made.stderr),
            Err(error) => return Err(error.to_string()),
        }
        let port = port().to_string();
        let arguments = ["-D", &shown, "-h", "127.0.0.1", "-p", &port, "-k", &shown];
        let mut server = Process::start(as_postgres("postgres", &arguments))
            .map_err(|error| error.to_string())?;
        server
            .wait_for_log_line(READY_WITHIN, |line| line.contains("ready to accept").then_some(()))
            .map_err(|error| error.to_string())?;
        let url = format!("postgresql://postgres@127.0.0.1:{port}/orders");
        Ok(Self { folder: folder.to_owned(), url, _server: Some(server), _scratch: scratch })
    }

    pub(crate) fn turn(&self, callers: usize, turn: Duration) -> Sample {
        let python = self.folder.join("venv/bin/python").display().to_string();
        let (seconds, callers) = (turn.as_secs_f64().to_string(), callers.to_string());
        let said = run(&python, &["orders.py", &self.url, &seconds, &callers], &self.folder);
        let said = said.expect("orders are made");
        let last = said.lines().last().expect("a line");
        let said: Value = serde_json::from_str(last).expect("JSON");
        let mut latencies = Latencies::default();
        for one in said["latencies_us"].as_array().expect("a list") {
            latencies.add(Duration::from_micros(one.as_u64().expect("a number")));
        }
        Sample::of([latencies], Duration::from_micros(said["took_us"].as_u64().expect("a number")))
    }
}

/// As Debian installs them: the newest.
fn postgres_binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut all: Vec<PathBuf> =
        versions.filter_map(|version| Some(version.ok()?.path().join("bin"))).collect();
    all.sort_unstable();
    all.pop().filter(|binaries| binaries.join("initdb").exists())
}
