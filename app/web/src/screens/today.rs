//! The flow of a day: its memos by sitting, by book or by tag, and a calendar with dots on
//! days that have memos.

use std::collections::BTreeMap;
use std::time::Duration;

use endpaper_reading::model::Tag;
use endpaper_reading::rules::flow;
use jiff::ToSpan as _;
use jiff::civil::Date;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;

use super::memo::{Editor, MemoItem, Writing};
use crate::browser;
use crate::days;
use crate::reader::Reader;
use crate::records::Memo as Note;
use crate::words::{count, language, t};

/// What the memos of a day are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Sitting,
    Book,
    Tag,
}

/// The screen.
#[component]
pub fn Today() -> impl IntoView {
    let reader = expect_context::<Reader>();
    browser::set_title(t("오늘의 흐름 · Endpaper", "Today · Endpaper"));
    let today = today();
    let day = RwSignal::new(today.get_untracked());
    // Who looks at today goes on with it over midnight.
    Effect::new(move |before: Option<Date>| {
        let today = today.get();
        if before.is_some_and(|before| day.get_untracked() == before) {
            day.set(today);
        }
        today
    });
    let month = Memo::new(move |_| day.get().first_of_month());
    let by = RwSignal::new(By::Sitting);
    let notes = reader.memos_between(move || {
        let month = month.get();
        let next = month.checked_add(1.month()).unwrap_or(month);
        (days::begin(month), days::begin(next))
    });
    let books = reader.books();
    let writing = RwSignal::new_local(None::<Writing>);
    let edit = move |memo| {
        spawn_local(async move {
            writing.try_set(Some(Writing::of(reader, memo).await));
        });
    };
    let of_day = move || {
        let day = day.get();
        let mut of_day = notes.get().unwrap_or_default();
        of_day.retain(|note| days::day_of(note.started) == day);
        of_day
    };
    let title_of = move |id: &str| {
        books.with(|books| {
            let book = books?.iter().find(|book| book.id.to_string() == *id)?;
            Some(book.title.clone())
        })
    };
    let groups = move || group(of_day(), by.get(), &title_of);
    let tab = move |of: By, text: &'static str| {
        view! {
            <button type="button" aria-pressed=move || (by.get() == of).to_string()
                on:click=move |_| by.set(of)>{text}</button>
        }
    };
    let is_empty = move || notes.with(|notes| notes.is_some()) && of_day().is_empty();
    view! {
        <div class="flow">
            <section class="day">
                <div class="head">
                    <h1>{move || {
                        let day = day.get();
                        if day == today.get() { t("오늘의 흐름", "Today").to_owned() } else { days::long(day) }
                    }}</h1>
                    <div class="tabs" role="group" aria-label=t("묶음", "Group by")>
                        {tab(By::Sitting, t("시간", "Sitting"))}
                        {tab(By::Book, t("책", "Book"))}
                        {tab(By::Tag, t("태그", "Tag"))}
                    </div>
                </div>
                {move || writing.get().map(|begun| view! {
                    <Editor writing=begun done=move || writing.set(None)/>
                })}
                <Show when=is_empty>
                    <section class="empty">
                        <p>{t(
                            "이 날의 메모가 없습니다. 서재에서 책을 골라 한 줄 적어 보세요.",
                            "No memos on this day. Choose a book on the shelf, and write a line.",
                        )}</p>
                        <A href="/">{t("서재로", "To the shelf")}</A>
                    </section>
                </Show>
                {move || groups().into_iter().map(|(name, notes)| view! {
                    <section class="group">
                        <h2>{name}</h2>
                        <ol class="memo-list">
                            {notes.into_iter().map(|memo| {
                                let title = title_of(&memo.book);
                                view! { <MemoItem memo title edit/> }
                            }).collect_view()}
                        </ol>
                    </section>
                }).collect_view()}
            </section>
            <Calendar day today notes=Signal::derive_local(move || notes.get().unwrap_or_default())/>
        </div>
    }
}

/// Which day it is, also after midnight.
fn today() -> RwSignal<Date> {
    let today = RwSignal::new(days::today());
    let look = move || {
        if today.get_untracked() != days::today() {
            today.set(days::today());
        }
    };
    let looks = set_interval_with_handle(look, Duration::from_secs(20));
    on_cleanup(move || {
        if let Ok(looks) = looks {
            looks.clear();
        }
    });
    today
}

/// The memos of a day in groups, each with its name. One of several tags is in each.
fn group(
    notes: Vec<Note>,
    by: By,
    title_of: &impl Fn(&str) -> Option<String>,
) -> Vec<(String, Vec<Note>)> {
    match by {
        By::Sitting => {
            let begins = |sitting: &[Note]| {
                sitting.first().map(|first| days::time(first.started)).unwrap_or_default()
            };
            let named = |sitting: Vec<Note>| (begins(&sitting), sitting);
            flow::by_session(notes).into_iter().map(named).collect()
        }
        By::Book => {
            let unknown = || t("서재에 없는 책", "A book that is not on the shelf").to_owned();
            let named = |(id, notes): (String, _)| (title_of(&id).unwrap_or_else(unknown), notes);
            flow::by_book(notes).into_iter().map(named).collect()
        }
        By::Tag => {
            let name = |tag: Option<Tag>| match tag {
                Some(tag) => tag.label(language()).to_owned(),
                None => t("태그 없음", "No tag").to_owned(),
            };
            let named = |(tag, notes)| (name(tag), notes);
            flow::by_tag(&notes, None).into_iter().map(named).collect()
        }
    }
}

/// A month: the days that have memos have a dot.
#[component]
fn Calendar(
    day: RwSignal<Date>,
    today: RwSignal<Date>,
    notes: Signal<Vec<Note>, LocalStorage>,
) -> impl IntoView {
    let turn = move |months: i32| {
        day.update(|day| {
            let first = day.first_of_month();
            *day = first.checked_add(months.months()).unwrap_or(*day);
        });
    };
    let names = match language() {
        endpaper_api::Language::Ko => ["일", "월", "화", "수", "목", "금", "토"],
        endpaper_api::Language::En => ["S", "M", "T", "W", "T", "F", "S"],
    };
    let cells = move || {
        let chosen = day.get();
        let first = chosen.first_of_month();
        let mut dotted: BTreeMap<Date, usize> = BTreeMap::new();
        for note in notes.get() {
            *dotted.entry(days::day_of(note.started)).or_default() += 1;
        }
        let blank = first.weekday().to_sunday_zero_offset();
        let blanks = (0..blank).map(|_| view! { <span></span> }.into_any());
        let days_of = (1..=first.days_in_month()).map(|number| {
            let this = first.with().day(number).build().unwrap_or(first);
            let so_many = dotted.get(&this).copied().unwrap_or(0);
            // The number is what is seen of its name.
            let rest = match so_many {
                0 => format!(", {}", days::month(this)),
                _ => {
                    format!(", {}, {}", days::month(this), count(so_many, "메모", "memo", "memos"))
                }
            };
            let current = (this == today.get()).then_some("date");
            view! {
                <button type="button" class:dotted=so_many != 0
                    aria-pressed=(this == chosen).to_string() aria-current=current
                    on:click=move |_| day.set(this)>
                    {number}<span class="unseen">{rest}</span>
                </button>
            }
            .into_any()
        });
        blanks.chain(days_of).collect_view()
    };
    view! {
        <aside class="calendar" aria-label=t("달력", "Calendar")>
            <div class="month">
                <button type="button" class="quiet" aria-label=t("지난달", "The month before")
                    on:click=move |_| turn(-1)>"‹"</button>
                <strong aria-live="polite">{move || days::month(day.get())}</strong>
                <button type="button" class="quiet" aria-label=t("다음 달", "The next month")
                    on:click=move |_| turn(1)>"›"</button>
            </div>
            <div class="week" aria-hidden="true">{names.map(|name| view! { <span>{name}</span> }).collect_view()}</div>
            <div class="days">{cells}</div>
        </aside>
    }
}
