//! `endpaper masters status`, `verify`, `lead` and `recall`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use endpaper_reading::service::sync::end_logs;
use indicatif::ProgressBar;
use multi_master::{Findings, Held, MasterName, MasterState, OpenError, Repair};
use stdx::{Clock, HybridTime};

use super::queue::Server;
use super::{Talk, asking, copy, print, with_settings};
use crate::cli::MastersCommand;
use crate::config::Settings;
use crate::failure::{Failure, Result};
use crate::operator::status::{AwayLine, LatencyLine, MasterLine, Status};
use crate::operator::{AskVerify, VerifyLine};
use crate::verification::RunResult;
use crate::{store, time};

pub(crate) fn run(command: &MastersCommand) -> Result {
    match command {
        MastersCommand::Lead { store, name, accept_loss: _ } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                print(&lead(settings, name).await?);
                Ok(())
            })
        }
        MastersCommand::Recall { store } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let store = open(&settings).await?;
                let told = end_logs(&store).await;
                store.close().await;
                told.map_err(|error| Failure::new(format!("{error}: give the command again")))?;
                print(
                    "Devices compare what they were told when they sync. Start the servers again.",
                );
                Ok(())
            })
        }
        MastersCommand::Status { store, json } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let status = status(&settings).await?;
                print(&if *json { to_json(&status) } else { to_table(&status) });
                Ok(())
            })
        }
        MastersCommand::Copy(command) => copy::run(command),
        MastersCommand::Move(command) => copy::run_move(command),
        MastersCommand::Queue(command) => super::queue::run(command),
        MastersCommand::Conflicts(command) => super::conflicts::run(command),
        MastersCommand::Verify { store, repair, fast, json } => {
            let ask = AskVerify { repair: *repair, fast: *fast };
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let findings = verify(&settings, ask).await?;
                print(&if *json {
                    serde_json::to_string(&findings).expect("names and numbers are JSON")
                } else {
                    findings_text(&findings)
                });
                if findings.is_well() { Ok(()) } else { Err(not_well(&findings, ask)) }
            })
        }
    }
}

/// Opens the store under the decision, which is durable then.
async fn lead(mut settings: Settings, name: &str) -> Result<String> {
    settings.store.lead = Some(MasterName(name.to_owned()));
    let store = open(&settings).await?;
    // Readers' devices may have heard of what is lost, and bring it back.
    let told = end_logs(&store).await;
    let status = Status::of(store::witness(&settings), &store, Clock::real().now());
    store.close().await;
    told.map_err(|error| {
        Failure::new(format!(
            "`{name}` goes on, but readers' devices may not bring back what is lost: {error}. Give \
             `endpaper masters recall` when every master is there that a write needs"
        ))
    })?;
    Ok(format!("`{name}` goes on. Start the servers again.\n{}", to_table(&status)))
}

/// A server that runs holds the store, so it is asked first; where none runs,
/// the store is opened for a moment.
async fn status(settings: &Settings) -> Result<Status> {
    if let Some((_, status)) = running(settings).await {
        return Ok(status);
    }
    let store = open(settings).await?;
    let status = Status::of(store::witness(settings), &store, Clock::real().now());
    store.close().await;
    Ok(status)
}

/// The server that runs on this store, where there is one and it can be asked.
pub(super) async fn running(settings: &Settings) -> Option<(SocketAddr, Status)> {
    let operator = settings.operator.listen?;
    let status = ask(operator).await?;
    (status.witness == store::witness(settings)).then_some((operator, status))
}

/// Opens the store where no server runs.
pub(super) async fn open(settings: &Settings) -> Result<multi_master::MultiMaster> {
    // Asking how a store stands must not make one.
    store::must_exist(settings)?;
    match store::open_existing(settings).await {
        Ok(store) => Ok(store),
        Err(OpenError::InUse(_)) => Err(Failure::new(format!(
            "a server uses {}, and it can't be asked: give the `operator.listen` that it has",
            settings.store.witness
        ))),
        Err(error) => Err(error.into()),
    }
}

async fn verify(settings: &Settings, ask: AskVerify) -> Result<Findings> {
    let bar = ProgressBar::new_spinner();
    let found = if let Some((operator, _)) = running(settings).await {
        verify_there(&Server::at(settings, operator)?, ask, &bar).await
    } else {
        let store = open(settings).await?;
        let shown = bar.clone();
        let found = store.verify(ask.into(), move |progress| {
            show(&shown, progress.table, progress.rows);
        });
        let found = found.await.map_err(Failure::new);
        store.close().await;
        found
    };
    bar.finish_and_clear();
    found
}

async fn verify_there(server: &Server, ask: AskVerify, bar: &ProgressBar) -> Result<Findings> {
    let found = asking::lines(server, "/verify", &ask, |line| match line {
        VerifyLine::Progress { table, rows } => {
            show(bar, &table, rows);
            ControlFlow::Continue(())
        }
        VerifyLine::Found(findings) => ControlFlow::Break(Ok(findings)),
        VerifyLine::Failed(why) => ControlFlow::Break(Err(Failure::new(why))),
    });
    found.await?
}

fn show(bar: &ProgressBar, table: &str, rows: u64) {
    bar.set_message(format!("{rows} rows, {table}"));
    bar.tick();
}

/// Differences that are shown one by one; `--json` has more.
const LINES_SHOWN_MAX: usize = 20;

fn findings_text(found: &Findings) -> String {
    let names: Vec<&str> = found.masters.iter().map(|name| name.0.as_str()).collect();
    let mut text = format!(
        "{}: {} tables, {} rows: {} different, {} repaired\n",
        names.join(", "),
        found.tables,
        found.rows,
        found.different,
        found.repaired
    );
    let mut line = |line: String| writeln!(text, "  {line}").expect("a string takes all");
    found.structure.iter().for_each(|what| line(what.clone()));
    if !found.not_compared.is_empty() {
        line(format!("not compared: {}", found.not_compared.join(", ")));
    }
    for one in found.rows_told.iter().take(LINES_SHOWN_MAX) {
        let held = one.masters.iter().map(|(name, held)| format!("{name} {}", held_text(*held)));
        let held = held.collect::<Vec<_>>().join(", ");
        line(format!("{} {}: {held}{}", one.table, one.key, outcome_text(&one.outcome)));
    }
    let shown = found.rows_told.len().min(LINES_SHOWN_MAX) as u64;
    if found.different > shown {
        line(format!("and {} more; --json has the first thousand", found.different - shown));
    }
    text
}

fn held_text(held: Held) -> String {
    match held {
        Held::Absent => "has none".to_owned(),
        Held::Deleted(version) => format!("has it deleted at {}", instant(version)),
        Held::Sound(version) => format!("has it of {}", instant(version)),
        Held::Altered(version) => format!("has it of {}, changed by hand", instant(version)),
    }
}

/// When a version was made, as people write it.
fn instant(version: HybridTime) -> String {
    let at = jiff::Timestamp::from_microsecond(version.wall().0).unwrap_or_default();
    format!("{at:.3}")
}

fn outcome_text(outcome: &Repair) -> String {
    match outcome {
        Repair::NotAsked => String::new(),
        Repair::As(name) => format!("; all are now as {name}"),
        Repair::DeletedAs(name) => format!("; it is now deleted on all, as on {name}"),
        Repair::Failed(why) => format!("; not repaired: {why}"),
    }
}

fn not_well(found: &Findings, ask: AskVerify) -> Failure {
    Failure::new(if !found.structure.is_empty() {
        "the tables are not as this program made them: undo what was changed there"
    } else if ask.repair {
        "some rows could not be repaired"
    } else {
        "the masters are not the same: `endpaper masters verify --repair` makes them so"
    })
}

/// A server on this machine answers at once or not at all.
const ASKED_WITHIN: Duration = Duration::from_secs(2);

async fn ask(operator: SocketAddr) -> Option<Status> {
    let client = reqwest::Client::builder().timeout(ASKED_WITHIN).no_proxy().build().ok()?;
    let answer = client.get(format!("http://{operator}/status")).send().await.ok()?;
    serde_json::from_slice(&answer.bytes().await.ok()?).ok()
}

fn to_json(status: &Status) -> String {
    serde_json::to_string(status).expect("names and states are JSON")
}

fn to_table(status: &Status) -> String {
    let width = |of: &dyn Fn(&MasterLine) -> String| {
        status.masters.iter().map(|master| of(master).chars().count()).max().unwrap_or(0)
    };
    let names = width(&|master| master.name.clone());
    let speeds = width(&speed);
    let mut lines: Vec<String> = Vec::new();
    for master in &status.masters {
        let (name, state, speed) = (&master.name, master.state, speed(master));
        let away = master.away.as_ref().map(|away| owes(away) + "  ").unwrap_or_default();
        let reason = master.reason.as_deref().unwrap_or_default();
        let copy = master.copy.as_ref().map(|copy| format!("; {}", copy::copy_text(copy)));
        let copy = copy.unwrap_or_default();
        let line = format!("{name:names$}  {state:8}  {speed:speeds$}  {away}{reason}{copy}");
        lines.push(line.trim_end().to_owned());
    }
    if !status.masters.iter().any(|master| master.state.serves())
        && let Some(behind) = status.masters.iter().find(|one| one.state == MasterState::Behind)
    {
        lines.push(format!(
            "nobody serves. Where the others are lost for good: stop the servers, and `endpaper \
             masters lead {} --accept-loss`",
            behind.name
        ));
    }
    if let Some(why) = &status.refuses {
        lines.push(format!("every write is refused: {why}"));
    }
    if status.in_doubt > 0 {
        lines.push(format!(
            "{} transactions are in doubt: `endpaper masters queue ls` shows them",
            status.in_doubt
        ));
    }
    if status.conflicts_kept > 0 {
        lines.push(format!(
            "{} that lost are kept: `endpaper masters conflicts ls` shows them",
            status.conflicts_kept
        ));
    }
    if let Some(last) = &status.verified.last {
        lines.push(format!("compared {}: {}", time::instant(last.at), compared(&last.result)));
    }
    lines.join("\n")
}

/// What half and 99 % of the statements and commits of the last minute took.
fn speed(master: &MasterLine) -> String {
    let of = |name: &str, line: &LatencyLine| match (line.p50_us, line.p99_us) {
        (Some(half), Some(most)) => {
            Some(format!("{name} ≤ {}, {}", time::micros(half), time::micros(most)))
        }
        _ => None,
    };
    let both = [of("statements", &master.statements), of("commits", &master.commits)];
    both.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn owes(away: &AwayLine) -> String {
    let more = if away.or_more { "more than " } else { "" };
    match (away.write_sets, away.lag_ms) {
        _ if away.to_be_filled => "to be filled anew".to_owned(),
        (None, _) => "it is not known what it misses".to_owned(),
        (Some(count), None) => format!("owed {more}{count}"),
        (Some(count), Some(lag)) => {
            format!("owed {more}{count}, {} behind", time::duration(Duration::from_millis(lag)))
        }
    }
}

fn compared(result: &RunResult) -> String {
    match result {
        RunResult::Failed(why) => format!("not to the end: {why}"),
        RunResult::Done { structure: 1.., different, .. } => {
            format!("the tables are not as they were made, {different} rows different")
        }
        RunResult::Done { rows, different: 0, .. } => format!("{rows} rows, all the same"),
        RunResult::Done { rows, different, repaired, .. } => {
            format!("{rows} rows, {different} different, {repaired} repaired")
        }
    }
}
