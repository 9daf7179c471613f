//! `endpaper import catalogue` and `endpaper import goodreads`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use endpaper_api::Language;
use endpaper_api::reading::{ImportProblem, ImportSummary};
use endpaper_http::headers::time_zone;
use endpaper_reading::model::ReaderId;
use endpaper_reading::service::catalogue::CatalogueSummary;
use endpaper_reading::service::incoming::ImportReport;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use stdx::ids::Id as _;

use super::{Talk, print, with_settings};
use crate::app::App;
use crate::cli::ImportCommand;
use crate::config::Settings;
use crate::failure::{Failure, Result};
use crate::store;

pub(crate) fn run(command: &ImportCommand) -> Result {
    match command {
        ImportCommand::Catalogue { store, file, json } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                catalogue(&settings, file, *json).await
            })
        }
        ImportCommand::Goodreads { store, file, user, json } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                goodreads(&settings, file, user, *json).await
            })
        }
    }
}

/// Rows that were left out, and problems, are shown up to this many; all are
/// counted.
const LINES_SHOWN_MAX: usize = 20;

async fn catalogue(settings: &Settings, path: &Path, json: bool) -> Result {
    // A file that is not there is found out before a store is made.
    let (file, bytes) = open(path)?;
    let opened = store::open(settings).await?;
    let app = App::new(settings, opened.clone())?;
    let bar = progress_bar(bytes);
    let imported = app
        .reading
        .import_goodbooks(bar.wrap_read(BufReader::new(file)), |summary| {
            bar.set_message(format!("{} books", summary.rows));
        })
        .await;
    bar.finish_and_clear();
    opened.close().await;
    let summary = imported.map_err(|error| failed(path, &error))?;
    print(&if json { catalogue_json(&summary) } else { catalogue_text(&summary) });
    Ok(())
}

/// The largest file of a reader's export that is read.
const EXPORT_BYTES_MAX: u64 = 64 << 20;

async fn goodreads(settings: &Settings, path: &Path, user: &str, json: bool) -> Result {
    let (file, bytes) = open(path)?;
    if bytes > EXPORT_BYTES_MAX {
        let shown = path.display();
        return Err(Failure::new(format!(
            "{shown} has {bytes} bytes, and at most {EXPORT_BYTES_MAX} are read"
        )));
    }
    let mut text = Vec::new();
    file.take(EXPORT_BYTES_MAX).read_to_end(&mut text).map_err(|error| unreadable(path, &error))?;

    let opened = store::open_to_change(settings).await?;
    let app = App::new(settings, opened.clone())?;
    let report = take_along(&app, path, &text, user).await;
    opened.close().await;
    let summary = wire(&report?);
    print(&if json {
        serde_json::to_string(&summary).expect("numbers and texts are JSON")
    } else {
        goodreads_text(&summary)
    });
    Ok(())
}

async fn take_along(app: &App, path: &Path, text: &[u8], user: &str) -> Result<ImportReport> {
    let account = app.accounts.find_user(user).await.map_err(Failure::new)?;
    let account = account
        .ok_or_else(|| Failure::new(format!("there is no account with the login id `{user}`")))?;
    let zone = time_zone(&account.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let reader = ReaderId::from_uuid(account.id.uuid());
    let bar = ProgressBar::new_spinner();
    let imported = app
        .reading
        .import_file(reader, text, &zone, |report| {
            bar.set_message(format!("{} books", report.books_added + report.books_there));
            bar.tick();
        })
        .await;
    bar.finish_and_clear();
    imported.map_err(|error| failed(path, &error))
}

fn open(path: &Path) -> Result<(File, u64)> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    if metadata.is_dir() {
        return Err(Failure::new(format!("{} is a directory", path.display())));
    }
    Ok((file, metadata.len()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("can't read {}: {error}", path.display()))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

/// On standard error, and nowhere when that is no terminal.
fn progress_bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}")
        .expect("the template is well formed");
    ProgressBar::new(bytes).with_style(style)
}

fn catalogue_json(summary: &CatalogueSummary) -> String {
    #[derive(Serialize)]
    struct Skipped<'a> {
        line: u64,
        reason: &'a str,
    }
    let rows: Vec<Skipped<'_>> = summary
        .skipped_rows
        .iter()
        .map(|row| Skipped { line: row.line, reason: &row.reason })
        .collect();
    serde_json::json!({
        "rows": summary.rows,
        "added": summary.added,
        "updated": summary.updated,
        "unchanged": summary.unchanged,
        "skipped": summary.skipped,
        "skippedRows": rows,
        "isbnNotUsed": summary.isbn_not_used,
    })
    .to_string()
}

fn catalogue_text(summary: &CatalogueSummary) -> String {
    let mut text = format!(
        "{} rows: {} added, {} updated, {} unchanged, {} skipped\n",
        summary.rows,
        summary.added,
        summary.updated,
        summary.unchanged,
        summary.skipped_count(),
    );
    for (reason, count) in &summary.skipped {
        writeln!(text, "skipped {count}: {reason}").expect("a string takes all");
    }
    for (reason, count) in &summary.isbn_not_used {
        writeln!(text, "taken without their ISBN {count}: {reason}").expect("a string takes all");
    }
    let lines = summary.skipped_rows.iter().map(|row| (row.line, row.reason.as_str()));
    add_lines(&mut text, lines, summary.skipped_count());
    text
}

fn wire(report: &ImportReport) -> ImportSummary {
    let problems = report.problems.iter().map(|problem| ImportProblem {
        line: problem.line,
        field: problem.problem.field().map(str::to_owned),
        message: problem.problem.message(Language::En),
    });
    ImportSummary {
        format: report.format.name().to_owned(),
        books_added: report.books_added,
        books_there: report.books_there,
        memos_added: report.memos_added,
        memos_there: report.memos_there,
        problem_count: report.problem_count,
        problems: problems.collect(),
    }
}

fn goodreads_text(summary: &ImportSummary) -> String {
    let mut text = format!(
        "{}: books: {} added, {} there; memos: {} added, {} there; problems: {}\n",
        summary.format,
        summary.books_added,
        summary.books_there,
        summary.memos_added,
        summary.memos_there,
        summary.problem_count,
    );
    let lines = summary.problems.iter().map(|problem| (problem.line, problem.message.as_str()));
    add_lines(&mut text, lines, summary.problem_count);
    text
}

fn add_lines<'a>(text: &mut String, lines: impl Iterator<Item = (u64, &'a str)>, count: u64) {
    for (line, message) in lines.take(LINES_SHOWN_MAX) {
        writeln!(text, "  line {line}: {message}").expect("a string takes all");
    }
    let more = count.saturating_sub(LINES_SHOWN_MAX as u64);
    if more > 0 {
        writeln!(text, "  and {more} more; --json has them").expect("a string takes all");
    }
}
