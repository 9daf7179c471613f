//! How everything stands, and everything that is here.

use std::path::Path;

use endpaper_api::ErrorCode;
use endpaper_api::sync::{MEMOS, SHELF};
use endpaper_reading::service::sync::BOOK_WAS_ON_SHELF;
use serde_json::{Value as Json, json};
use stdx::Clock;
use sync::engine::End;
use sync::merge::REVISIONS;
use sync_sqlite::Device;

use crate::folder::Folder;
use crate::records::{instant, json_of};
use crate::{Failure, Out, Result, device, find, network, print};

pub(crate) fn status(folder: &Folder, out: Out) -> Result {
    let login = folder.login()?;
    let device = device(folder)?;
    let status = device.status()?;
    let failed = device.failed()?;
    let kept = device.all(REVISIONS.name)?.len();
    let is_in = login.tokens.is_some() && !status.logged_out;
    if out.json {
        let (online, source) = network::reach(folder, &login)?;
        let failed: Vec<Json> = failed
            .iter()
            .map(|one| {
                json!({
                    "table": &*one.operation.key.table,
                    "id": one.operation.key.id.to_string(),
                    "code": one.failure.code,
                    "message": one.failure.message,
                })
            })
            .collect();
        print(
            &json!({
                "server": login.server,
                "user": login.login_id,
                "loggedIn": is_in,
                "online": online,
                "bookSource": source,
                "pending": status.to_send,
                "progress": { "settled": status.progress.0, "of": status.progress.1 },
                "syncing": status.syncing,
                "waiting": status.waiting,
                "leftOut": status.passed_over,
                "kept": kept,
                "failed": failed,
                "stopped": status.stopped.map(|failure| failure.message),
                "lastSuccess": status.last_success.map(|at| at.0),
                "complete": status.pulling.is_none(),
            })
            .to_string(),
        );
        return Ok(());
    }
    let state = if is_in { "logged in" } else { "logged out: `endpaper device login`" };
    print(&format!("{} at {}: {state}", login.login_id, login.server));
    let last = status.last_success.map_or("never".to_owned(), instant);
    let of = match status.progress {
        (0, _) => String::new(),
        (settled, all) => format!(" ({settled} of {all} done)"),
    };
    print(&format!(
        "⏳ {} to send{of}  ⏸ {} waiting  ❌ {} refused; last sync {last}",
        status.to_send,
        status.waiting,
        failed.len()
    ));
    if status.passed_over > 0 {
        print(&format!(
            "{} of what is to be sent the server could not take so far: it is tried again after \
             the others; where it lasts, the server's operator finds why in its log",
            status.passed_over
        ));
    }
    if kept > 0 {
        print(&format!("{kept} kept that lost their place to another device's: `kept ls`"));
    }
    if status.pulling.is_some() {
        print("not everything of the account is here yet: `endpaper device sync`");
    }
    if let Some(failure) = status.stopped {
        print(&format!("the server takes nothing of this device: {}", failure.message));
    }
    for one in failed {
        let key = &one.operation.key;
        let (table, id, why) = (&key.table, find::short(key.id), &one.failure.message);
        print(&format!("❌ {table} {id}: {why} ({})", cure(&one.failure, &id)));
    }
    // Last, as it may take a moment.
    let (online, source) = network::reach(folder, &login)?;
    print(network::stands(online, source));
    Ok(())
}

/// What a person can do where something was refused.
pub(crate) fn cure(failure: &sync::queue::Failure, id: &str) -> String {
    if failure.code == BOOK_WAS_ON_SHELF {
        return format!("`discard {id}`, and `shelf add --id` with the id that is named here");
    }
    if failure.code == ErrorCode::UserBookNotFound.as_str() {
        return format!(
            "give it another book with `note edit {id} --book`, or put its own back with \
             `shelf add --id`, and `retry {id}`"
        );
    }
    format!("edit it, or `retry {id}`, or `discard {id}`")
}

pub(crate) fn log(folder: &Folder, out: Out) -> Result {
    for one in device(folder)?.log()? {
        let took = one.settled.since(one.queued);
        out.say(
            || serde_json::to_value(&one).unwrap_or_default(),
            || {
                let end = match one.end {
                    End::Applied => "is on the server",
                    End::Merged => "is on the server, merged",
                    End::Kept => "is kept: the record was deleted",
                    End::Refused => "was refused",
                    End::Discarded => "was discarded",
                };
                let (table, id) = (&one.key.table, find::short(one.key.id));
                let kind = format!("{:?}", one.kind).to_lowercase();
                format!("{}  {kind} {table} {id} {end} after {took:.1?}", instant(one.settled))
            },
        );
    }
    Ok(())
}

/// Everything that is here.
pub(crate) fn export(folder: &Folder, file: Option<&Path>, out: Out) -> Result {
    let login = folder.login()?;
    let device = device(folder)?;
    let text = serde_json::to_string_pretty(&all(&login.login_id, &device)?)
        .map_err(|error| Failure::new(format!("the export: {error}")))?;
    match file {
        None => print(&text),
        Some(file) => {
            Folder::write_new(file, &text)?;
            let name = file.display().to_string();
            out.say(|| json!({ "file": name }), || format!("written to {name}"));
        }
    }
    Ok(())
}

fn all(user: &str, device: &Device) -> Result<Json> {
    let of =
        |table: &str| -> Result<Vec<Json>> { Ok(device.all(table)?.iter().map(json_of).collect()) };
    Ok(json!({
        "user": user,
        "exportedAt": instant(Clock::real().now()),
        "shelf": of(SHELF.name)?,
        "memos": of(MEMOS.name)?,
        "kept": of(REVISIONS.name)?,
        "unsent": device.unsent()?,
    }))
}
