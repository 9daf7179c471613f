//! `endpaper masters queue`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use multi_master::{MasterName, Owed, Queue, QueueItem, Retried};
use stdx::{Clock, UnixMicros};

use super::masters::running;
use super::{Talk, print, with_settings};
use crate::cli::QueueCommand;
use crate::config::Settings;
use crate::failure::{Failure, Result};
use crate::operator::{AskDrop, AskRetry, Came};
use crate::token;

pub(crate) fn run(command: &QueueCommand) -> Result {
    match command {
        QueueCommand::Ls { store, json } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let queue: Queue = Server::of(&settings).await?.get("/queue").await?;
                print(&if *json { to_json(&queue) } else { to_text(&queue, Clock::real().now()) });
                Ok(())
            })
        }
        QueueCommand::Retry { store, item, json } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let ask = AskRetry { item: item.as_deref().map(item_of) };
                tell(Server::of(&settings).await?.post("/queue/retry", &ask).await?, *json)
            })
        }
        QueueCommand::Drop { store, item, reason, json } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let ask = AskDrop { item: item_of(item), reason: reason.clone() };
                tell(Server::of(&settings).await?.post("/queue/drop", &ask).await?, *json)
            })
        }
    }
}

/// The server that runs, and what opens it.
pub(super) struct Server {
    address: SocketAddr,
    bearer: String,
    client: reqwest::Client,
}

impl Server {
    /// The one that runs.
    pub(super) async fn of(settings: &Settings) -> Result<Self> {
        match running(settings).await {
            Some((address, _)) => Self::at(settings, address),
            None => Err(Failure::new(
                "no server runs on this store, or it can't be asked at `operator.listen`: what \
                 is asked for is in a running server, and what a stopped one left is gone on \
                 with when it is started",
            )),
        }
    }

    /// The server of this store, with its token.
    pub(super) fn at(settings: &Settings, address: SocketAddr) -> Result<Self> {
        let Some(token) = token::existing(settings)? else {
            return Err(Failure::new(format!(
                "there is no operator's token: {} is missing; give the server's data directory, or \
                 its `operator.token`",
                token::file(settings).display()
            )));
        };
        let client = reqwest::Client::builder().no_proxy().build().map_err(Failure::new)?;
        Ok(Self { address, bearer: token.bearer(), client })
    }

    pub(super) async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response> {
        let answer = request.header(reqwest::header::AUTHORIZATION, &self.bearer).send().await;
        let answer = answer.map_err(|error| self.broken(&error))?;
        if answer.status() == reqwest::StatusCode::UNAUTHORIZED {
            return Err(Failure::new(format!(
                "the server at {} has another operator's token",
                self.address
            )));
        }
        answer.error_for_status().map_err(|error| self.broken(&error))
    }

    pub(super) fn broken(&self, error: &reqwest::Error) -> Failure {
        Failure::new(format!("the server at {} did not answer to the end: {error}", self.address))
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub(super) async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.send(self.client.get(self.url(path))).await?;
        answer.json().await.map_err(|error| self.broken(&error))
    }

    pub(super) async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T> {
        let answer = self.send(self.client.post(self.url(path)).json(body)).await?;
        answer.json().await.map_err(|error| self.broken(&error))
    }
}

/// A transaction's id, else a master's name.
pub(crate) fn item_of(text: &str) -> QueueItem {
    match text.parse() {
        Ok(txid) => QueueItem::Transaction(txid),
        Err(_) => QueueItem::Master(MasterName(text.to_owned())),
    }
}

pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("names and numbers are JSON")
}

fn tell(came: Came, json: bool) -> Result {
    if json {
        print(&to_json(&came));
    }
    match came {
        Came::Refused(why) => Err(Failure::new(why)),
        _ if json => Ok(()),
        Came::Dropped => {
            print("dropped");
            Ok(())
        }
        Came::Retried(all) if all.is_empty() => {
            print("the queue is empty");
            Ok(())
        }
        Came::Retried(all) => {
            let lines = all.iter().map(|(item, retried)| match retried {
                Retried::Trying => format!("{item}: tried now; `ls` shows what came of it"),
                Retried::Known(true) => format!("{item}: it was saved"),
                Retried::Known(false) => format!("{item}: it was not saved"),
                Retried::StillInDoubt(why) => format!("{item}: still in doubt: {why}"),
            });
            print(&lines.collect::<Vec<_>>().join("\n"));
            Ok(())
        }
    }
}

/// Transactions that are shown one by one; `--json` has all.
const SHOWN_MAX: usize = 20;

fn to_text(queue: &Queue, now: UnixMicros) -> String {
    if queue.is_empty() {
        return "nothing is owed, and nothing is in doubt".to_owned();
    }
    let mut text = String::new();
    for owed in &queue.masters {
        let name = &owed.master;
        let since = ago(now, owed.since);
        line(
            &mut text,
            &format!("master {name}: {}, {}, for {since}", owed.state, missed(owed, now)),
        );
        tries(&mut text, owed.attempts, owed.last_error.as_deref(), owed.next_try, now);
    }
    for doubt in queue.in_doubt.iter().take(SHOWN_MAX) {
        let since = ago(now, doubt.since);
        line(&mut text, &format!("transaction {}: in doubt for {since}", doubt.txid));
        tries(&mut text, doubt.attempts, doubt.last_error.as_deref(), Some(doubt.next_try), now);
    }
    if queue.in_doubt.len() > SHOWN_MAX {
        line(&mut text, &format!("and {} more; --json has all", queue.in_doubt.len() - SHOWN_MAX));
    }
    if queue.fell_out > 0 {
        line(&mut text, &format!("{} fell out: there were too many", queue.fell_out));
    }
    text
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes all");
}

fn missed(owed: &Owed, now: UnixMicros) -> String {
    let more = if owed.or_more { "more than " } else { "" };
    match (owed.write_sets, owed.oldest) {
        _ if owed.to_be_filled => "to be filled anew".to_owned(),
        (None, _) => "what it misses is not known".to_owned(),
        (Some(count), None) => format!("owed {more}{count}"),
        (Some(count), Some(oldest)) => {
            format!("owed {more}{count}, the oldest {} old", ago(now, oldest))
        }
    }
}

fn tries(
    text: &mut String,
    attempts: u32,
    error: Option<&str>,
    next: Option<UnixMicros>,
    now: UnixMicros,
) {
    let next = next.map_or_else(
        || "it is being tried".to_owned(),
        |next| format!("tried next in {}", crate::time::duration(next.since(now))),
    );
    line(text, &format!("  failures in a row: {attempts}; {next}"));
    if let Some(error) = error {
        line(text, &format!("  {error}"));
    }
}

fn ago(now: UnixMicros, then: UnixMicros) -> String {
    crate::time::duration(now.since(then))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::expect;
    use multi_master::{InDoubt, MasterState};

    use super::*;

    #[test]
    fn a_queue_for_people() {
        let now = UnixMicros::from_secs(1_700_000_000);
        let owed = Owed {
            master: MasterName("b".to_owned()),
            state: MasterState::Down,
            since: now.before(Duration::from_mins(61)),
            write_sets: Some(12),
            or_more: false,
            oldest: Some(now.before(Duration::from_hours(1))),
            attempts: 7,
            last_error: Some("127.0.0.1:3306: Connection refused".to_owned()),
            next_try: Some(now.after(Duration::from_secs(20))),
            to_be_filled: false,
        };
        let doubt = InDoubt {
            txid: "01a1fcee-9294-775e-bf13-e0cb65c6bd98".parse().unwrap(),
            since: now.before(Duration::from_secs(90)),
            attempts: 1,
            last_error: Some("b may have it, and can't be asked".to_owned()),
            next_try: now.after(Duration::from_secs(30)),
        };
        let filled = Owed { to_be_filled: true, next_try: None, last_error: None, ..owed.clone() };
        let queue = Queue { masters: vec![owed, filled], in_doubt: vec![doubt], fell_out: 2 };
        expect![[r"
            master b: DOWN, owed 12, the oldest 1 h old, for 1 h 1 min
              failures in a row: 7; tried next in 20 s
              127.0.0.1:3306: Connection refused
            master b: DOWN, to be filled anew, for 1 h 1 min
              failures in a row: 7; it is being tried
            transaction 01a1fcee-9294-775e-bf13-e0cb65c6bd98: in doubt for 1 min 30 s
              failures in a row: 1; tried next in 30 s
              b may have it, and can't be asked
            2 fell out: there were too many
        "]]
        .assert_eq(&to_text(&queue, now));
        assert_eq!(to_text(&Queue::default(), now), "nothing is owed, and nothing is in doubt");
    }
}
