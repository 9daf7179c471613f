//! Adding a book: from the catalogue and what the server asks outside, or by its title alone.

use endpaper_api::reading::{Book as Found, QueryType, SourceState};
use endpaper_api::sync::SHELF;
use endpaper_reading::model::{Flaws, ReaderId};
use endpaper_reading::rules::{facts, keys, synced};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;
use stdx::ids::Id as _;
use stdx::{Clock, IdSource};
use sync::engine::Edit;
use sync::model::{Fields, RecordId, Value};

use crate::api::{self, Refused};
use crate::browser;
use crate::reader::Reader;
use crate::records::key;
use crate::ui::toasts::Toasts;
use crate::words::{self, language, t};

/// Puts a book on the shelf: the one that is there already where it is the same. Returns
/// which it is then, or what is wrong.
async fn shelve(reader: Reader, fields: Fields) -> Result<RecordId, String> {
    let request = synced::shelve(&fields).map_err(|flaws| words::flaws(&flaws))?;
    let mut flaws = Flaws::default();
    facts::of_request(&request, None, &mut flaws);
    if !flaws.as_slice().is_empty() {
        return Err(words::flaws(&flaws));
    }
    let book_key = fields.get("isbn").and_then(Value::text).filter(|isbn| !isbn.is_empty());
    let book_key = book_key
        .map(|isbn| keys::of_input(isbn).map_err(|problem| problem.message(language())))
        .transpose()?;
    let shelf = reader.device().all(SHELF.name).await.map_err(|error| words::store(&error))?;
    let same = shelf.iter().find(|book| {
        let isbn = book.fields.get("isbn").and_then(Value::text).unwrap_or_default();
        book_key.is_some() && keys::of_input(isbn).ok() == book_key
    });
    if let Some(same) = same {
        return Ok(same.id);
    }
    // Another device may put the same book on the shelf before the two hear of each other:
    // then it is one.
    let who = ReaderId::from_uuid(reader.account().id.uuid());
    let by_key = book_key.and_then(|book_key| keys::shelf_id(who, &book_key));
    let by_key = by_key.map(|id| RecordId::from_uuid(id.uuid()));
    let is_free = |id: &RecordId| shelf.iter().all(|book| book.id != *id);
    let id = by_key.filter(is_free).unwrap_or_else(|| IdSource::system().next());
    let now = Clock::real().now();
    if reader.edit(&key(&SHELF, id), Edit::Create(fields), now).await {
        Ok(id)
    } else {
        // Why was said.
        Err(String::new())
    }
}

fn fields_of(found: &Found) -> Fields {
    let mut fields = Fields::from([("title", Value::from(&*found.title))]);
    let texts = [
        ("isbn", Some(&found.isbn)),
        ("author", found.author.as_ref()),
        ("publisher", found.publisher.as_ref()),
        ("pubDate", found.pub_date.as_ref()),
        ("coverUrl", found.cover_url.as_ref()),
        ("description", found.description.as_ref()),
        ("mainGenre", found.main_genre.as_ref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            fields.set(name, Value::from(&**text));
        }
    }
    if let Some(pages) = found.total_pages {
        fields.set("totalPages", Value::Int(pages.into()));
    }
    fields
}

/// The screen.
#[component]
pub fn Find() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let toasts = expect_context::<Toasts>();
    browser::set_title(t("책 더하기 · Endpaper", "Add a book · Endpaper"));
    let navigate = StoredValue::new_local(use_navigate());
    let is_adding = StoredValue::new(false);
    let add = move |fields: Fields| {
        // A touch more is of the same book.
        if is_adding.get_value() {
            return;
        }
        is_adding.set_value(true);
        spawn_local(async move {
            match shelve(reader, fields).await {
                Ok(id) => {
                    // The screen may have been left meanwhile.
                    let book = format!("/book/{id}");
                    navigate.try_with_value(|go| go(&book, NavigateOptions::default()));
                }
                Err(why) if why.is_empty() => {}
                Err(why) => toasts.say(why),
            }
            is_adding.try_set_value(false);
        });
    };
    let (sought, kind) = (RwSignal::new(String::new()), RwSignal::new(QueryType::Title));
    let found = RwSignal::new(None::<Result<(Vec<Found>, u64, bool), String>>);
    let busy = RwSignal::new(false);
    let search = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let query = sought.get_untracked();
        if query.trim().is_empty() || busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            let answer = api::search(query.trim(), kind.get_untracked()).await;
            busy.set(false);
            found.set(Some(match answer {
                Ok(page) => {
                    let is_away = |source: &endpaper_api::reading::SourceReport| {
                        source.state != SourceState::Up
                    };
                    let away = page.sources.iter().any(is_away);
                    Ok((page.books, page.total_results, away))
                }
                Err(Refused::Away) => Err(t(
                    "지금은 서버에서 찾을 수 없습니다. 아래에 제목을 적으면 바로 서재에 놓입니다.",
                    "The server can't be asked now. Write the title below, and the book is on your shelf at once.",
                )
                .to_owned()),
                Err(why) => Err(why.text()),
            }));
        });
    };
    let results = move || {
        found.get().map(|found| match found {
            Err(why) => view! { <p role="status">{why}</p> }.into_any(),
            Ok((books, all, is_away)) => view! {
                <p role="status">
                    {match (books.len(), all) {
                        (0, _) => t("찾은 책이 없습니다. 아래에 직접 적어 주세요.", "Nothing was found. Write it down below.").to_owned(),
                        (shown, all) if all > shown as u64 => t(
                            format!("찾은 {all}권 가운데 {shown}권입니다."),
                            format!("{shown} of {all} that were found: more words find fewer."),
                        ),
                        (shown, _) => t(format!("{shown}권을 찾았습니다."), format!("{shown} found.")),
                    }}
                    {is_away.then(|| t(
                        " 바깥 책 정보는 지금 답하지 않아, 우리 목록에서만 찾았습니다.",
                        " The source outside does not answer now: only our own catalogue was searched.",
                    ))}
                </p>
                <ul class="found">
                    {books.into_iter().map(|book| {
                        let fields = fields_of(&book);
                        let label = t(format!("{} 서재에 놓기", book.title), format!("Put {} on the shelf", book.title));
                        view! {
                            <li>
                                <div>
                                    <strong>{book.title}</strong>
                                    <span>{[book.author, book.publisher, book.pub_date].into_iter().flatten().collect::<Vec<_>>().join(" · ")}</span>
                                </div>
                                <button type="button" aria-label=label on:click=move |_| add(fields.clone())>
                                    {t("서재에 놓기", "Add")}
                                </button>
                            </li>
                        }
                    }).collect_view()}
                </ul>
            }
            .into_any(),
        })
    };
    let new = || RwSignal::new(String::new());
    let (title, author, pages, isbn) = (new(), new(), new(), new());
    let by_hand = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let mut fields = Fields::from([("title", Value::from(title.get_untracked().trim()))]);
        for (name, value) in [("author", author), ("isbn", isbn)] {
            let value = value.get_untracked();
            if !value.trim().is_empty() {
                fields.set(name, Value::from(value.trim()));
            }
        }
        let pages = pages.get_untracked();
        if !pages.trim().is_empty() {
            // What is no number is said to be none.
            let number =
                pages.trim().parse().map_or_else(|_| Value::from(pages.trim()), Value::Int);
            fields.set("totalPages", number);
        }
        add(fields);
    };
    let field = |name: &'static str, label, value: RwSignal<String>, kind, required| {
        view! {
            <label class="field">
                <span>{label}</span>
                <input name=name type=kind required=required min="1" max="100000"
                    prop:value=move || value.get()
                    on:input=move |event| value.set(event_target_value(&event))/>
            </label>
        }
    };
    let kinds = [
        ("TITLE", t("제목", "Title")),
        ("AUTHOR", t("저자", "Author")),
        ("PUBLISHER", t("출판사", "Publisher")),
    ];
    view! {
        <h1>{t("책 더하기", "Add a book")}</h1>
        <form class="search-form" role="search" on:submit=search>
            <label class="select">
                <span class="unseen">{t("무엇으로", "By")}</span>
                <select on:change=move |event| kind.set(match &*event_target_value(&event) {
                    "AUTHOR" => QueryType::Author,
                    "PUBLISHER" => QueryType::Publisher,
                    _ => QueryType::Title,
                })>
                    {kinds.map(|(value, name)| view! { <option value=value>{name}</option> }).collect_view()}
                </select>
            </label>
            <input type="search" class="search" id="query"
                aria-label=t("목록에서 찾기", "Search the catalogue")
                placeholder=t("책을 찾습니다", "Look for a book")
                prop:value=move || sought.get()
                on:input=move |event| sought.set(event_target_value(&event))/>
            <button class="primary" disabled=move || busy.get()>{t("찾기", "Search")}</button>
        </form>
        {results}
        <section class="by-hand">
            <h2>{t("직접 적기", "Write it down yourself")}</h2>
            <form class="fields" on:submit=by_hand>
                {field("title", t("제목", "Title"), title, "text", true)}
                {field("author", t("저자", "Author"), author, "text", false)}
                {field("totalPages", t("쪽수", "Pages"), pages, "number", false)}
                {field("isbn", "ISBN", isbn, "text", false)}
                <button class="primary">{t("서재에 놓기", "Put it on the shelf")}</button>
            </form>
        </section>
    }
}
