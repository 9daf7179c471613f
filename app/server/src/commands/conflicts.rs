//! `endpaper masters conflicts`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use multi_master::{Conflict, LostRow, TxId};

use super::masters::{open, running};
use super::queue::Server;
use super::{Talk, print, with_settings};
use crate::cli::ConflictsCommand;
use crate::config::Settings;
use crate::failure::{Failure, Result};
use crate::operator::{AskDropConflict, CONFLICTS_TOLD_MAX, Came};
use crate::time;

pub(crate) fn run(command: &ConflictsCommand) -> Result {
    match command {
        ConflictsCommand::Ls { store, json } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let kept = kept(&settings).await?;
                print(&if *json {
                    serde_json::to_string(&kept).expect("names and numbers are JSON")
                } else {
                    to_text(&kept)
                });
                Ok(())
            })
        }
        ConflictsCommand::Drop { store, id } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                drop_one(&settings, *id).await?;
                print("dropped");
                Ok(())
            })
        }
    }
}

/// Of the server that runs; where none runs the store is opened for a moment.
async fn kept(settings: &Settings) -> Result<Vec<Conflict>> {
    if let Some((address, _)) = running(settings).await {
        let kept: std::result::Result<_, String> =
            Server::at(settings, address)?.get("/conflicts").await?;
        return kept.map_err(Failure::new);
    }
    let store = open(settings).await?;
    let kept = store.conflicts(CONFLICTS_TOLD_MAX).await.map_err(Failure::new);
    store.close().await;
    kept
}

async fn drop_one(settings: &Settings, id: TxId) -> Result {
    if let Some((address, _)) = running(settings).await {
        let server = Server::at(settings, address)?;
        return match server.post("/conflicts/drop", &AskDropConflict { id }).await? {
            Came::Refused(why) => Err(Failure::new(why)),
            Came::Dropped | Came::Retried(_) => Ok(()),
        };
    }
    let store = open(settings).await?;
    // A master that was away while the store was closed comes back first.
    let whole = tokio::time::timeout(WHOLE_WITHIN, store.wait_until_whole());
    let _ = whole.await;
    let dropped = store.drop_conflict(id).await.map_err(Failure::new);
    store.close().await;
    dropped
}

/// How long a master that has just been opened has to serve.
const WHOLE_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);
/// Of one value; `--json` has all of it.
const VALUE_CHARS_MAX: usize = 60;

fn to_text(kept: &[Conflict]) -> String {
    if kept.is_empty() {
        return "nothing is kept: nothing lost against anything".to_owned();
    }
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes all");
    for one in kept {
        line(format!("{}  {}  {}", one.id, time::instant(one.found_at), one.reason));
        one.rows.iter().for_each(|row| line(format!("  {}", row_text(row))));
        one.unreadable.iter().for_each(|why| line(format!("  {why}")));
    }
    if kept.len() == CONFLICTS_TOLD_MAX {
        line(format!("older ones than these {CONFLICTS_TOLD_MAX} are not shown"));
    }
    text
}

fn row_text(row: &LostRow) -> String {
    let LostRow { table, key, before, after } = row;
    let what = match (before, after) {
        (Some(before), Some(after)) => {
            let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
            let changed = changed.map(|(name, value)| {
                let before = before.get(name).map_or("null".to_owned(), value_text);
                format!("{name} {before} → {}", value_text(value))
            });
            changed.collect::<Vec<_>>().join(", ")
        }
        (None, Some(after)) => all(after),
        (Some(before), None) => format!("deleted, with {}", all(before)),
        (None, None) => "nothing".to_owned(),
    };
    format!("{table} {key}: {what}")
}

fn all(row: &BTreeMap<String, serde_json::Value>) -> String {
    let all = row.iter().map(|(name, value)| format!("{name} {}", value_text(value)));
    all.collect::<Vec<_>>().join(", ")
}

fn value_text(value: &serde_json::Value) -> String {
    let whole = value.to_string();
    let mut short: String = whole.chars().take(VALUE_CHARS_MAX).collect();
    if short.len() < whole.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;
    use stdx::UnixMicros;

    use super::*;

    #[test]
    fn conflicts_for_people() {
        let row = |balance: i64| {
            let row =
                [("id", json!(1)), ("balance", json!(balance)), ("note", json!("책 ".repeat(40)))];
            Some(row.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        };
        let lost = |before, after| LostRow {
            table: "accounts".to_owned(),
            key: "[1]".to_owned(),
            before,
            after,
        };
        let kept = Conflict {
            id: "01a1fcee-9294-775e-bf13-e0cb65c6bd98".parse().unwrap(),
            found_at: UnixMicros::from_secs(1_700_000_000),
            reason: "the row [1] of `accounts` was changed by another transaction".to_owned(),
            rows: vec![lost(row(1), row(2)), lost(None, row(2)), lost(row(2), None)],
            unreadable: None,
        };
        let other = "a marker is about the table `old`, which this program has not".to_owned();
        let unreadable = Conflict { rows: Vec::new(), unreadable: Some(other), ..kept.clone() };
        expect![[r#"
            01a1fcee-9294-775e-bf13-e0cb65c6bd98  2023-11-14T22:13:20Z  the row [1] of `accounts` was changed by another transaction
              accounts [1]: balance 1 → 2
              accounts [1]: balance 2, id 1, note "책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책…
              accounts [1]: deleted, with balance 2, id 1, note "책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책 책…
            01a1fcee-9294-775e-bf13-e0cb65c6bd98  2023-11-14T22:13:20Z  the row [1] of `accounts` was changed by another transaction
              a marker is about the table `old`, which this program has not
        "#]]
        .assert_eq(&to_text(&[kept, unreadable]));
        assert_eq!(to_text(&[]), "nothing is kept: nothing lost against anything");
    }
}
