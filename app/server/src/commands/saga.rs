//! `endpaper saga`.

use std::fmt::Write as _;

use stdx::{Clock, UnixMicros};

use super::queue::{Server, to_json};
use super::{Talk, print, with_settings};
use crate::cli::SagaCommand;
use crate::failure::{Failure, Result};
use crate::operator::sagas::{AskRetrySaga, AskSkip, SagaLine, StepLine};
use crate::time;

pub(crate) fn run(command: &SagaCommand) -> Result {
    match command {
        SagaCommand::Ls { store, state, limit, json } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let mut path = format!("/sagas?limit={limit}");
                if let Some(state) = state {
                    write!(path, "&state={state}").expect("a string takes all");
                }
                let server = Server::of(&settings).await?;
                let found: Answer<Vec<SagaLine>> = server.get(&path).await?;
                let found = found.map_err(Failure::new)?;
                print(&if *json { to_json(&found) } else { list(&found, Clock::real().now()) });
                Ok(())
            })
        }
        SagaCommand::Show { store, id, json } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let server = Server::of(&settings).await?;
                let found: Answer<SagaLine> = server.get(&format!("/sagas/{id}")).await?;
                let found = found.map_err(Failure::new)?;
                print(&if *json { to_json(&found) } else { show(&found) });
                Ok(())
            })
        }
        SagaCommand::Retry { store, id } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let ask = AskRetrySaga { id: *id };
                decided(Server::of(&settings).await?.post("/sagas/retry", &ask).await?)
            })
        }
        SagaCommand::Skip { store, id, step, reason } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let ask = AskSkip { id: *id, step: step.clone(), reason: reason.clone() };
                decided(Server::of(&settings).await?.post("/sagas/skip", &ask).await?)
            })
        }
    }
}

type Answer<T> = std::result::Result<T, String>;

fn decided(decided: Answer<()>) -> Result {
    decided.map_err(Failure::new)?;
    print("decided: the saga goes on");
    Ok(())
}

fn list(sagas: &[SagaLine], now: UnixMicros) -> String {
    if sagas.is_empty() {
        return "there are none".to_owned();
    }
    let mut text = String::new();
    for saga in sagas {
        let age = time::duration(now.since(UnixMicros(saga.started_us)));
        let cause = saga.cause.as_deref().map(|cause| format!(": {cause}")).unwrap_or_default();
        let SagaLine { id, kind, state, .. } = saga;
        writeln!(text, "{id}  {state:12}  {kind}, begun {age} ago{cause}")
            .expect("a string takes all");
    }
    text
}

/// Its steps over time: when each began after the saga did, and how long it took.
fn show(saga: &SagaLine) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes all");
    line(format!("saga {}: {} v{}, {}", saga.id, saga.kind, saga.version, saga.state));
    line(format!("begun {}", time::instant(UnixMicros(saga.started_us))));
    if let Some(finished) = saga.finished_us {
        line(format!("over after {}", between(saga.started_us, finished)));
    }
    if let Some(cause) = &saga.cause {
        line(format!("because: {cause}"));
    }
    let width = saga.steps.iter().map(|step| step.name.len()).max().unwrap_or_default();
    for step in &saga.steps {
        let StepLine { name, state, .. } = step;
        let mut parts = vec![format!("  {name:width$}  {state:8}")];
        if let Some(began) = step.began_us {
            parts.push(format!("+{}", between(saga.started_us, began)));
            if let Some(ended) = step.ended_us {
                parts.push(format!("took {}", between(began, ended)));
            }
        }
        if let Some(undone) = step.undone_us {
            parts.push(format!("undone +{}", between(saga.started_us, undone)));
        }
        for (tries, what) in [(step.attempts, "tries"), (step.undo_attempts, "tries to undo it")] {
            if tries > 1 {
                parts.push(format!("{tries} {what}"));
            }
        }
        line(parts.join("  ").trim_end().to_owned());
        if let Some(error) = &step.error {
            line(format!("    {error}"));
        }
    }
    text
}

fn between(from_us: i64, to_us: i64) -> String {
    time::micros(u64::try_from(to_us.saturating_sub(from_us)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_saga_for_people() {
        let start = 1_700_000_000_000_000;
        let step = |name: &str, state: &str, began: i64| StepLine {
            name: name.to_owned(),
            state: state.to_owned(),
            attempts: 1,
            undo_attempts: 0,
            began_us: Some(start + began),
            ended_us: Some(start + began + 2_500),
            undone_us: None,
            error: None,
        };
        let pay = StepLine {
            attempts: 5,
            ended_us: None,
            error: Some("no answer within 5000 ms".to_owned()),
            ..step("pay", "BEGUN", 4_000)
        };
        let saga = SagaLine {
            id: "01a1fcee-9294-775e-bf13-e0cb65c6bd98".parse().unwrap(),
            kind: "order".to_owned(),
            version: 1,
            state: "STUCK".to_owned(),
            forward: true,
            started_us: start,
            finished_us: None,
            cause: Some("no answer within 5000 ms".to_owned()),
            steps: vec![step("take-stock", "DONE", 1_000), pay],
        };
        expect![[r"
            saga 01a1fcee-9294-775e-bf13-e0cb65c6bd98: order v1, STUCK
            begun 2023-11-14T22:13:20Z
            because: no answer within 5000 ms
              take-stock  DONE      +1 ms  took 2.5 ms
              pay         BEGUN     +4 ms  5 tries
                no answer within 5000 ms
        "]]
        .assert_eq(&show(&saga));
        expect![[r"
            01a1fcee-9294-775e-bf13-e0cb65c6bd98  STUCK         order, begun 1 min 5 s ago: no answer within 5000 ms
        "]]
        .assert_eq(&list(&[saga], UnixMicros(start + 65_000_000)));
        assert_eq!(list(&[], UnixMicros(start)), "there are none");
    }
}
