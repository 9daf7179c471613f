//! Memos, the shelf, and what lost its place.

use std::io::Read as _;

use endpaper_api::Language;
use endpaper_api::sync::{MEMOS, SHELF, TABLES};
use endpaper_reading::model::{Flaws, ReaderId};
use endpaper_reading::rules::{keys, synced};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};
use stdx::ids::Id as _;
use stdx::{Clock, IdSource, UnixMicros};
use sync::engine::Edit;
use sync::merge::{REVISIONS, Revision, text};
use sync::model::{Fields, RecordId, RecordKey, Rule, Table, Value};
use sync::operation::{Action, Operation};
use sync::queue::{Priority, RecordState};
use sync_sqlite::Device;
use sync_sqlite::device::Shown;

use crate::args::{Kept, Note, Shelf};
use crate::{Failure, Out, Result, editor, find};

/// The longest memo that is read from standard input, in bytes: more than is taken.
const TEXT_MAX: u64 = 1 << 20;
/// Characters of a memo in a list.
const LINE_CHARS: usize = 60;

fn key(table: &Table, id: RecordId) -> RecordKey {
    RecordKey { table: table.name.into(), id }
}

pub(crate) fn note(device: &Device, command: &Note, out: Out) -> Result {
    let notes = || device.all(MEMOS.name);
    match command {
        Note::Add { book, page, tags, at, text } => {
            let shelf = device.all(SHELF.name)?;
            let book = find::book(&shelf, book)?;
            let now = Clock::real().now();
            let at = at.as_deref().map_or(Ok(now), time)?;
            let fields = Fields::from([
                ("userBookId", Value::from(book.id.to_string())),
                ("pageNumber", Value::Int((*page).into())),
                ("content", given(text)?.into()),
                ("tags", tags_of(tags)),
                ("tagCategory", Value::Null),
                ("memoStartTime", Value::Int(at.0)),
            ]);
            right(synced::draft(&fields))?;
            let id = IdSource::system().next();
            let create = Edit::Create(fields);
            saved(id, device.edit(&key(&MEMOS, id), create, at, Priority::NORMAL)?, out);
            Ok(())
        }
        Note::Edit { id, page, tags, text, book } => {
            let notes = notes()?;
            let note = find::by_id(&notes, id, "note")?;
            let mut changed = Fields::new();
            if let Some(page) = page {
                changed.set("pageNumber", Value::Int((*page).into()));
            }
            if let Some(tags) = tags {
                changed.set("tags", tags_of(tags));
            }
            if let Some(text) = text {
                changed.set("content", given(text)?.into());
            }
            if let Some(book) = book {
                // Of what was sent the server may have the memo, with its book.
                let mut unsent = device.unsent()?;
                unsent.retain(|operation| operation.key == key(&MEMOS, note.id));
                let waits_for_its_book = note.state == RecordState::Waiting
                    && matches!(&unsent[..], [Operation { action: Action::Create { .. }, .. }]);
                if note.state != RecordState::Failed && !waits_for_its_book {
                    return Err(Failure::usage(
                        "a memo stays with its book, but where it was refused, or waits for that",
                    ));
                }
                let shelf = device.all(SHELF.name)?;
                changed.set("userBookId", find::book(&shelf, book)?.id.to_string().into());
            }
            if !changed.is_empty() {
                return change(device, note, changed, out);
            }
            let before = text_of(&note.fields, "content");
            let edited = editor::edit(before)?;
            let text = edited.text()?;
            // It may have come here changed meanwhile.
            let notes = device.all(MEMOS.name)?;
            let Some(now) = notes.iter().find(|one| one.id == note.id) else {
                return Err(edited.left("the memo was deleted meanwhile"));
            };
            let Some(text) = text::merge(before, &text, text_of(&now.fields, "content")) else {
                return Err(edited.left("the same words were changed meanwhile on another device"));
            };
            let done = change(device, now, Fields::from([("content", text.as_str())]), out);
            done.map_err(|failure| edited.left(failure.message()))?;
            edited.finish();
            Ok(())
        }
        Note::Rm { id } => {
            let notes = notes()?;
            let note = find::by_id(&notes, id, "note")?;
            let written = started(&note.fields);
            let key = key(&MEMOS, note.id);
            deleted(note.id, device.edit(&key, Edit::Delete, written, Priority::NORMAL)?, out);
            Ok(())
        }
        Note::Ls { book } => {
            let shelf = device.all(SHELF.name)?;
            let of = book.as_deref().map(|book| find::book(&shelf, book)).transpose()?;
            let of = of.map(|book| Value::from(book.id.to_string()));
            let mut notes = notes()?;
            notes.retain(|note| of.is_none() || note.fields.get("userBookId") == of.as_ref());
            notes.sort_by_key(|note| (started(&note.fields), note.id));
            for note in &notes {
                out.say(|| json_of(note), || note_line(note, &shelf));
            }
            Ok(())
        }
        Note::Show { id } => {
            let notes = notes()?;
            let note = find::by_id(&notes, id, "note")?;
            let shelf = device.all(SHELF.name)?;
            let whole = || {
                let content = text_of(&note.fields, "content");
                format!("{}\n\n{content}", heading(note, &shelf))
            };
            out.say(|| json_of(note), whole);
            Ok(())
        }
    }
}

fn change(device: &Device, note: &Shown, changed: Fields, out: Out) -> Result {
    let mut whole = note.fields.clone();
    whole.set_all(&changed);
    right(synced::draft(&whole))?;
    let written = started(&note.fields);
    let (key, update) = (key(&MEMOS, note.id), Edit::Update(changed));
    saved(note.id, device.edit(&key, update, written, Priority::NORMAL)?, out);
    Ok(())
}

pub(crate) fn shelf(device: &Device, command: &Shelf, out: Out) -> Result {
    let shelf = device.all(SHELF.name)?;
    let now = Clock::real().now();
    match command {
        Shelf::Ls => {
            for book in &shelf {
                out.say(|| json_of(book), || book_line(book));
            }
            Ok(())
        }
        Shelf::Add { title, isbn, author, pages, id } => {
            let mut fields = Fields::from([("title", title.as_str())]);
            let pages = pages.map(|pages| Value::Int(pages.into()));
            let text = |text: &Option<String>| text.as_deref().map(Value::from);
            let given = [("isbn", text(isbn)), ("author", text(author)), ("totalPages", pages)];
            for (name, value) in given {
                if let Some(value) = value {
                    fields.set(name, value);
                }
            }
            right(synced::shelve(&fields))?;
            let of_input = |isbn: &String| {
                keys::of_input(isbn).map_err(|problem| {
                    Failure::usage(format!("--isbn: {}", problem.message(Language::En)))
                })
            };
            let book_key = isbn.as_ref().map(of_input).transpose()?;
            let is_same = |book: &&Shown| {
                book_key.is_some() && keys::of_input(text_of(&book.fields, "isbn")).ok() == book_key
            };
            if let Some(same) = shelf.iter().find(is_same) {
                return Err(Failure::new(format!(
                    "this book is on the shelf already: {}",
                    book_line(same)
                )));
            }
            // Another device may put the same book on the shelf before the two hear of each
            // other: then it is one.
            let reader = ReaderId::from_uuid(device.account().uuid());
            let by_key = book_key.and_then(|book_key| keys::shelf_id(reader, &book_key));
            let by_key = by_key.map(|id| RecordId::from_uuid(id.uuid()));
            let is_free = |id: &RecordId| shelf.iter().all(|book| book.id != *id);
            let id = id.or(by_key.filter(is_free)).unwrap_or_else(|| IdSource::system().next());
            let create = Edit::Create(fields);
            saved(id, device.edit(&key(&SHELF, id), create, now, Priority::HIGH)?, out);
            Ok(())
        }
        Shelf::Read { book, page } => {
            let book = find::book(&shelf, book)?;
            let mut changed = Fields::from([("readingProgress", i64::from(*page))]);
            if book.fields.get("readingStartDate").is_none_or(|date| *date == Value::Null) {
                let today = Timestamp::now().to_zoned(TimeZone::system()).date().to_string();
                changed.set("readingStartDate", today.into());
            }
            if text_of(&book.fields, "category") == "ToRead" {
                changed.set("category", "Reading".into());
            }
            let (key, update) = (key(&SHELF, book.id), Edit::Update(changed));
            saved(book.id, device.edit(&key, update, now, Priority::NORMAL)?, out);
            Ok(())
        }
        Shelf::Rm { book } => {
            let book = find::book(&shelf, book)?;
            let key = key(&SHELF, book.id);
            deleted(book.id, device.edit(&key, Edit::Delete, now, Priority::NORMAL)?, out);
            Ok(())
        }
    }
}

pub(crate) fn kept(device: &Device, command: &Kept, out: Out) -> Result {
    let all = device.all(REVISIONS.name)?;
    match command {
        Kept::Ls => {
            for one in &all {
                let Some(revision) = Revision::of_record(one.id, &one.fields) else { continue };
                out.say(|| json_of(one), || revision_line(&revision));
            }
            Ok(())
        }
        Kept::Show { id } => {
            let one = find::by_id(&all, id, "kept edit")?;
            let revision = revision(one)?;
            out.say(|| json_of(one), || revision_text(&revision));
            Ok(())
        }
        Kept::Restore { id } => {
            restore(device, &revision(find::by_id(&all, id, "kept edit")?)?, out)
        }
        Kept::Rm { id } => {
            let one = find::by_id(&all, id, "kept edit")?;
            let now = Clock::real().now();
            let key = key(&REVISIONS, one.id);
            deleted(one.id, device.edit(&key, Edit::Delete, now, Priority::LOW)?, out);
            Ok(())
        }
    }
}

fn revision(one: &Shown) -> Result<Revision> {
    let revision = Revision::of_record(one.id, &one.fields);
    revision.ok_or_else(|| Failure::new("it was made by a newer program: update this one"))
}

/// Puts what is kept in its place, and shows what was there instead: it stays nowhere
/// else. The kept one stays until it is thrown away.
fn restore(device: &Device, revision: &Revision, out: Out) -> Result {
    let of = &revision.of;
    let Some(table) = TABLES.iter().find(|table| *table.name == *of.table) else {
        return Err(Failure::new("it was made by a newer program: update this one"));
    };
    let is_ours = |name: &str| table.rule(name).is_some_and(|rule| rule != Rule::Server);
    let kept: Fields = revision
        .fields
        .iter()
        .filter(|(name, _)| is_ours(name))
        .map(|(name, value)| (name, value.clone()))
        .collect();
    let Some(there) = device.all(table.name)?.into_iter().find(|one| one.id == of.id) else {
        return Err(Failure::new(
            "what it belongs to was deleted, and this part of it alone is kept: see `kept show`, \
             and write it anew (`note add`)",
        ));
    };
    let mut whole = there.fields;
    let instead: Fields = kept
        .iter()
        .filter(|(name, value)| whole.get(name).is_some_and(|there| there != *value))
        .filter_map(|(name, _)| Some((name, whole.get(name)?.clone())))
        .collect();
    whole.set_all(&kept);
    let written = if table.name == MEMOS.name {
        right(synced::draft(&whole))?;
        started(&whole)
    } else {
        Clock::real().now()
    };
    let state = device.edit(of, Edit::Update(kept), written, Priority::NORMAL)?;
    let short = find::short(of.id);
    let json = || {
        json!({
            "id": of.id.to_string(), "state": state.name(),
            "instead": serde_json::to_value(&instead).unwrap_or_default(),
        })
    };
    let line = || {
        let there = fields_text(&instead);
        let there = if there.is_empty() { there } else { format!("; there was:{there}") };
        format!("{} {short}  saved on this device{there}", state.sign())
    };
    out.say(json, line);
    Ok(())
}

pub(crate) fn retry(device: &Device, id: Option<&str>, out: Out) -> Result {
    let keys = match id {
        Some(id) => vec![failed(device, id)?],
        None => device.failed()?.into_iter().map(|failed| failed.operation.key).collect(),
    };
    for key in keys {
        let is_done = device.try_again(&key)?;
        says_of(&key, is_done, "it will be sent again", out);
    }
    Ok(())
}

pub(crate) fn discard(device: &Device, id: &str, out: Out) -> Result {
    let key = failed(device, id)?;
    let is_done = device.discard(&key)?;
    says_of(&key, is_done, "the edit that was refused is discarded", out);
    Ok(())
}

fn says_of(key: &RecordKey, is_done: bool, what: &str, out: Out) {
    let what = if is_done { what } else { "it is refused no more" };
    out.say(
        || json!({ "table": &*key.table, "id": key.id.to_string(), "done": is_done }),
        || format!("{} {}: {what}", key.table, find::short(key.id)),
    );
}

fn failed(device: &Device, id: &str) -> Result<RecordKey> {
    let all = device.failed()?.into_iter().map(|failed| failed.operation.key);
    let keys: Vec<RecordKey> = all.collect();
    let as_shown = |key: &RecordKey| Shown {
        id: key.id,
        fields: Fields::new(),
        state: sync::queue::RecordState::Failed,
    };
    let shown: Vec<Shown> = keys.iter().map(as_shown).collect();
    let found = find::by_id(&shown, id, "refused edit")?.id;
    keys.into_iter().find(|key| key.id == found).ok_or_else(|| Failure::new("it is gone"))
}

/// Says that something is on the disk, and how it stands.
fn saved(id: RecordId, state: RecordState, out: Out) {
    out.say(
        || json!({ "id": id.to_string(), "state": state.name() }),
        || format!("{} {}  saved on this device", state.sign(), find::short(id)),
    );
}

fn deleted(id: RecordId, state: RecordState, out: Out) {
    out.say(
        || json!({ "id": id.to_string(), "state": state.name(), "deleted": true }),
        || format!("{} {}  deleted on this device", state.sign(), find::short(id)),
    );
}

fn right<T>(checked: std::result::Result<T, Flaws>) -> Result {
    let Err(flaws) = checked else { return Ok(()) };
    let said: Vec<String> = flaws
        .as_slice()
        .iter()
        .map(|flaw| format!("{}: {}", flaw.field, flaw.problem.message(Language::En)))
        .collect();
    Err(Failure::usage(said.join("; ")))
}

fn tags_of(tags: &[String]) -> Value {
    Value::Texts(tags.iter().filter(|tag| !tag.is_empty()).map(|tag| tag.as_str().into()).collect())
}

/// A text as it was given; `-` is standard input.
fn given(text: &str) -> Result<String> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut all = String::new();
    std::io::stdin()
        .lock()
        .take(TEXT_MAX)
        .read_to_string(&mut all)
        .map_err(|error| Failure::new(format!("standard input: {error}")))?;
    Ok(all.trim_end().to_owned())
}

fn time(text: &str) -> Result<UnixMicros> {
    let at: Timestamp = text.parse().map_err(|_| {
        Failure::usage(format!("`{text}` is no time such as 2026-03-01T21:30:00+09:00"))
    })?;
    Ok(UnixMicros(at.as_microsecond()))
}

fn started(fields: &Fields) -> UnixMicros {
    match fields.get("memoStartTime") {
        Some(Value::Int(at)) => UnixMicros(*at),
        _ => UnixMicros(0),
    }
}

fn text_of<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).and_then(Value::text).unwrap_or("")
}

/// Its id, how it stands, and its fields.
pub(crate) fn json_of(one: &Shown) -> Json {
    let mut json = json!({ "id": one.id.to_string(), "state": one.state.name() });
    for (name, value) in one.fields.iter() {
        json[name] = serde_json::to_value(value).unwrap_or_default();
    }
    json
}

pub(crate) fn instant(at: UnixMicros) -> String {
    let at = Timestamp::from_microsecond(at.0).unwrap_or_default();
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

fn title<'a>(note: &Shown, shelf: &'a [Shown]) -> &'a str {
    let of = text_of(&note.fields, "userBookId");
    let book = shelf.iter().find(|book| book.id.to_string() == of);
    book.map_or("(not on the shelf)", |book| text_of(&book.fields, "title"))
}

fn heading(note: &Shown, shelf: &[Shown]) -> String {
    let page = match note.fields.get("pageNumber") {
        Some(Value::Int(page)) => *page,
        _ => 0,
    };
    format!(
        "{} {}  {}  {} p. {page}",
        note.state.sign(),
        find::short(note.id),
        instant(started(&note.fields)),
        title(note, shelf),
    )
}

fn note_line(note: &Shown, shelf: &[Shown]) -> String {
    format!("{}  {}", heading(note, shelf), first_line(text_of(&note.fields, "content")))
}

/// The begin of a text.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    let begin: String = line.chars().take(LINE_CHARS).collect();
    if begin.len() < text.trim_end().len() { format!("{begin}…") } else { begin }
}

fn book_line(book: &Shown) -> String {
    let fields = &book.fields;
    let pages = |name: &str| match fields.get(name) {
        Some(Value::Int(pages)) => pages.to_string(),
        _ => "?".to_owned(),
    };
    let author = text_of(fields, "author");
    format!(
        "{} {}  {}{}  {}/{}",
        book.state.sign(),
        find::short(book.id),
        text_of(fields, "title"),
        if author.is_empty() { String::new() } else { format!(" ({author})") },
        pages("readingProgress"),
        pages("totalPages"),
    )
}

/// All that it keeps, a paragraph for each field.
fn revision_text(revision: &Revision) -> String {
    let heading = format!(
        "{}  of {} {}, {}",
        find::short(revision.id),
        revision.of.table,
        find::short(revision.of.id),
        instant(revision.at.wall())
    );
    heading + &fields_text(&revision.fields)
}

fn fields_text(fields: &Fields) -> String {
    let texts = fields.iter().map(|(name, value)| match value {
        Value::Text(text) => format!("\n\n{name}:\n{text}"),
        value => format!("\n\n{name}: {}", serde_json::to_string(value).unwrap_or_default()),
    });
    texts.collect()
}

fn revision_line(revision: &Revision) -> String {
    let lost = revision.fields.iter().filter_map(|(name, value)| {
        let value = match value {
            Value::Text(text) => first_line(text),
            Value::Int(int) => int.to_string(),
            Value::Null | Value::Bool(_) | Value::Texts(_) => return None,
        };
        Some(format!("{name}: {value}"))
    });
    format!(
        "{}  of {} {}, {}: {}",
        find::short(revision.id),
        revision.of.table,
        find::short(revision.of.id),
        instant(revision.at.wall()),
        lost.collect::<Vec<_>>().join("; ")
    )
}
