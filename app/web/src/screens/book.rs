//! A book of the shelf: how far the reader is, and their memos along its pages and months.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use endpaper_api::reading::Category;
use endpaper_reading::model::REVIEW_CHARS_MAX;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::components::A;
use leptos_router::hooks::{use_navigate, use_params_map};
use stdx::Clock;
use sync::engine::Edit;
use sync::model::{Fields, RecordId, Value};

use super::memo::{Editor, MemoItem, Writing};
use super::shelf::name;
use crate::browser;
use crate::days;
use crate::reader::{Live, Reader};
use crate::records::Book;
use crate::ui::cover::Cover;
use crate::ui::state::StateMark;
use crate::words::t;

/// Along what memos are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Along {
    Pages,
    Time,
}

/// The screen.
#[component]
pub fn BookScreen() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("id")?.parse::<RecordId>().ok()));
    move || match id.get() {
        Some(id) => view! { <OfBook id/> }.into_any(),
        None => view! { <Gone/> }.into_any(),
    }
}

#[component]
fn Gone() -> impl IntoView {
    view! {
        <section class="empty">
            <h1>{t("이 책은 서재에 없습니다", "This book is not on the shelf")}</h1>
            <A href="/">{t("서재로", "To the shelf")}</A>
        </section>
    }
}

#[component]
fn OfBook(id: RecordId) -> impl IntoView {
    let reader = expect_context::<Reader>();
    let book = reader.book(id);
    let memos = reader.memos_of(id);
    let writing = RwSignal::new_local(None::<Writing>);
    let along = RwSignal::new(Along::Pages);
    spawn_local(async move {
        let drafts = reader.drafts().await;
        let of_book = drafts.into_iter().find(|(_, draft)| draft.book == id.to_string());
        let Some((memo, draft)) = of_book else { return };
        let Some(begun) = Writing::begun(reader, memo, draft).await else { return };
        writing.try_update(|writing| writing.get_or_insert(begun).memo.id);
    });
    let begin = move |_| {
        let page = book.with(|book| book.and_then(Option::as_ref).map_or(1, |book| book.progress));
        writing.set(Some(Writing::new(id, page)));
    };
    let edit = move |memo| {
        spawn_local(async move {
            writing.try_set(Some(Writing::of(reader, memo).await));
        });
    };
    let shown = Memo::new_owning(move |before: Option<Vec<crate::records::Memo>>| {
        let mut shown = memos.get().unwrap_or_default();
        if along.get() == Along::Time {
            shown.sort_by_key(|memo| (memo.started, memo.id));
        }
        let is_changed = before.as_ref() != Some(&shown);
        (shown, is_changed)
    });
    let is_empty = move || memos.with(|memos| memos.is_some_and(Vec::is_empty));
    let along_tab = move |of: Along, text: &'static str| {
        view! {
            <button type="button" aria-pressed=move || (along.get() == of).to_string()
                on:click=move |_| along.set(of)>{text}</button>
        }
    };
    let months = move || {
        let mut months: BTreeMap<_, usize> = BTreeMap::new();
        for memo in memos.get().unwrap_or_default() {
            *months.entry(days::day_of(memo.started).first_of_month()).or_default() += 1;
        }
        let most = months.values().copied().max().unwrap_or(1);
        (months.len() > 1).then(|| {
            view! {
                <section class="months">
                    <h2>{t("이 책과 보낸 달", "Month by month")}</h2>
                    <ol>
                        {months.into_iter().map(|(month, count)| view! {
                            <li>
                                <span>{days::month(month)}</span>
                                <meter min="0" max=most.to_string() value=count.to_string()
                                    aria-label=days::month(month)></meter>
                                <span class="count">{count}</span>
                            </li>
                        }).collect_view()}
                    </ol>
                </section>
            }
        })
    };
    let head = move || book.get().flatten().map(|book| view! { <Head book/> });
    let is_gone = move || book.with(|book| book.is_some_and(Option::is_none));
    // What is being typed stays while the book changes, as it does when the server has taken it.
    let stands = Memo::new(move |_| {
        book.with(|book| {
            let book = book?.as_ref()?;
            Some((book.category, book.pages))
        })
    });
    let typed = Typed::new(reader, id, book);
    let ways =
        move || stands.get().map(|(category, pages)| view! { <Ways book typed category pages/> });
    let is_there = move || book.with(|book| book.is_some_and(Option::is_some));
    view! {
        <Show when=is_gone><Gone/></Show>
        <Show when=is_there>
            <article class="book">
                {head}
                {ways}
            </article>
            <section class="memos">
                <div class="head">
                    <h2>{t("메모", "Memos")}</h2>
                    <div class="tabs" role="group" aria-label=t("차례", "Order")>
                        {along_tab(Along::Pages, t("쪽 따라", "By page"))}
                        {along_tab(Along::Time, t("시간 따라", "By time"))}
                    </div>
                    <button type="button" class="primary" id="write" on:click=begin>
                        {t("메모 쓰기", "Write a memo")}
                    </button>
                </div>
                {move || writing.get().map(|begun| view! {
                    <Editor writing=begun done=move || writing.set(None)/>
                })}
                <Show when=is_empty>
                    <p class="empty">{t(
                        "아직 메모가 없습니다. 마음에 남은 한 문장부터 적어 보세요.",
                        "No memos yet. Begin with one sentence that stayed with you.",
                    )}</p>
                </Show>
                <ol class="memo-list">
                    <For each=move || shown.get() key=|memo| memo.clone().fingerprint()
                        children=move |memo| view! { <MemoItem memo title=None edit/> }/>
                </ol>
            </section>
            {months}
        </Show>
    }
}

/// What a person types of a book, and has not sent.
#[derive(Clone, Copy)]
struct Typed {
    page: RwSignal<String>,
    rating: RwSignal<i64>,
    review: RwSignal<String>,
    finished: RwSignal<String>,
    /// A review was begun before, and not taken.
    is_begun: RwSignal<bool>,
}

impl Typed {
    fn new(reader: Reader, id: RecordId, book: Live<Option<Book>>) -> Self {
        let typed = Self {
            page: RwSignal::new(String::new()),
            rating: RwSignal::new(0),
            review: RwSignal::new(String::new()),
            finished: RwSignal::new(String::new()),
            is_begun: RwSignal::new(false),
        };
        let is = move || {
            book.with(|book| {
                let book = book?.as_ref()?;
                let finished = Some(book.finished_on.clone()).filter(|day| !day.is_empty());
                let finished = finished.unwrap_or_else(|| days::today().to_string());
                let rating = book.rating.unwrap_or(0);
                Some((book.progress.to_string(), rating, book.review.clone(), finished))
            })
        };
        Effect::new(move |before: Option<Option<(String, i64, String, String)>>| {
            let now = is();
            // What nobody has typed in shows what the book has.
            if let Some((page, rating, review, finished)) = now.clone() {
                let old = before.flatten().unwrap_or_default();
                let (old_page, old_rating, old_review, old_finished) = old;
                if typed.page.with_untracked(|typed| *typed == old_page) {
                    typed.page.set(page);
                }
                if typed.rating.get_untracked() == old_rating {
                    typed.rating.set(rating);
                }
                if typed.review.with_untracked(|typed| *typed == old_review) {
                    typed.review.set(review);
                }
                if typed.finished.with_untracked(|typed| *typed == old_finished) {
                    typed.finished.set(finished);
                }
            }
            now
        });
        typed.keep(reader, id, book);
        typed
    }

    /// The review may be long: it is on the disk as it is typed, and found again.
    fn keep(self, reader: Reader, id: RecordId, book: Live<Option<Book>>) {
        let latest = Rc::new(RefCell::new(None::<String>));
        let (is_read, is_keeping) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
        let Self { review, is_begun, .. } = self;
        spawn_local({
            let is_read = Rc::clone(&is_read);
            async move {
                let begun = reader.review(id).await;
                is_read.set(true);
                if let Some(begun) = begun {
                    review.try_set(begun);
                    is_begun.try_set(true);
                }
            }
        });
        Effect::new(move |before: Option<String>| {
            let now = review.get();
            // What was kept is read before anything takes its place.
            if is_read.get() && before.is_some_and(|before| before != now) {
                *latest.borrow_mut() = Some(now.clone());
                if !is_keeping.replace(true) {
                    let (latest, is_keeping) = (Rc::clone(&latest), Rc::clone(&is_keeping));
                    spawn_local(async move {
                        while let Some(text) = latest.take() {
                            let book = book.try_get_untracked().flatten();
                            if book.is_some_and(|book| book.review == text) {
                                reader.drop_review(id).await;
                            } else {
                                reader.keep_review(id, &text).await;
                            }
                        }
                        is_keeping.set(false);
                    });
                }
            }
            now
        });
    }
}

/// What a book is, and how far the reader is in it.
#[component]
fn Head(book: Book) -> impl IntoView {
    browser::set_title(&format!("{} · Endpaper", book.title));
    let (category, pages, percent, state) = (book.category, book.pages, book.percent(), book.state);
    let (title, author, progress) = (book.title.clone(), book.author.clone(), book.progress);
    let publisher = [book.publisher.clone(), book.genre.clone()];
    let publisher: Vec<String> = publisher.into_iter().filter(|text| !text.is_empty()).collect();
    let said_of_it = (category == Category::Finished).then(|| {
        let stars = book.rating.map(|rating| {
            let full = usize::try_from(rating).unwrap_or(0).min(5);
            let label = t(format!("별 {full}개"), format!("{full} of 5 stars"));
            view! { <span class="stars" role="img" aria-label=label>{"★".repeat(full)}{"☆".repeat(5 - full)}</span> }
        });
        view! { <blockquote class="review">{stars}<p>{book.review.clone()}</p></blockquote> }
    });
    view! {
        <Cover book/>
        <div class="about">
            <h1>{title}</h1>
            <p class="author">{author}</p>
            <p class="publisher">{publisher.join(" · ")}</p>
            <p class="standing">
                {name(category)}
                {percent.map(|percent| format!(" · {percent}%"))}" "
                <StateMark state/>
            </p>
            {pages.map(|pages| view! {
                <progress max=pages.to_string() value=progress.to_string()
                    aria-label=t("읽은 만큼", "Progress")></progress>
            })}
            {said_of_it}
        </div>
    }
}

/// What can be done with a book that stands so.
#[component]
fn Ways(
    book: Live<Option<Book>>,
    typed: Typed,
    category: Category,
    pages: Option<u32>,
) -> impl IntoView {
    let reader = expect_context::<Reader>();
    let navigate = StoredValue::new_local(use_navigate());
    let Typed { page, rating, review, finished, is_begun } = typed;
    let said = RwSignal::new(String::new());
    let started_on = Memo::new(move |_| {
        book.with(|book| Some(book?.as_ref()?.started_on.clone())).unwrap_or_default()
    });
    let this = move || book.with(|book| book.and_then(|book| book.as_ref().map(Book::key)));
    let change = move |fields: Fields| {
        let Some(key) = untrack(this) else { return };
        spawn_local(async move {
            let has_review = fields.get("review").is_some();
            let is_taken = reader.edit(&key, Edit::Update(fields), Clock::real().now()).await;
            if is_taken && has_review {
                reader.drop_review(key.id).await;
            }
        });
    };
    let begin = move |_| {
        // The category follows from it, and from how far the reader is.
        let today = Value::from(&*days::today().to_string());
        change(Fields::from([("readingStartDate", today)]));
    };
    let save_page = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Ok(page) = page.get_untracked().trim().parse() else { return };
        if pages.is_some_and(|pages| page >= i64::from(pages)) {
            // Closed on its last page: when that was, and what they say of it.
            browser::unfold("finish");
            browser::focus("finished-on");
            return;
        }
        change(Fields::from([("readingProgress", Value::Int(page))]));
    };
    let finish = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let mut fields = Fields::from([
            ("category", Value::from(Category::Finished.name())),
            ("readingFinishedDate", Value::from(&*finished.get_untracked())),
        ]);
        if rating.get_untracked() > 0 {
            fields.set("rating", Value::Int(rating.get_untracked()));
        }
        let review = review.get_untracked();
        let (started, most) = (started_on.get_untracked(), REVIEW_CHARS_MAX);
        let is_long = review.trim().chars().count() > most as usize;
        // Days are written so that their order is that of their texts.
        let is_early = finished.with_untracked(|finished| *finished < started);
        said.set(match (is_early, is_long) {
            (true, _) => t(
                format!("읽기 시작한 날({started})보다 앞섭니다."),
                format!("That is before the day on which you began it, {started}."),
            ),
            (_, true) => t(
                format!("한마디는 {most}자까지 쓸 수 있습니다."),
                format!("A review has {most} characters at most."),
            ),
            _ => String::new(),
        });
        if is_early || is_long {
            return;
        }
        let review = review.trim();
        let had_one = untrack(|| book.get().flatten()).is_some_and(|book| !book.review.is_empty());
        if !review.is_empty() {
            fields.set("review", Value::from(review));
        } else if had_one {
            fields.set("review", Value::Null);
        }
        if let Some(pages) = pages {
            fields.set("readingProgress", Value::Int(pages.into()));
        }
        is_begun.set(false);
        change(fields);
    };
    let remove = move |_| {
        let Some(book) = untrack(|| book.get().flatten()) else { return };
        let said = t(
            format!("서재에서 내렸습니다: {}", book.title),
            format!("{} is off the shelf.", book.title),
        );
        reader.delete(book.key(), Clock::real().now(), said);
        navigate.with_value(|go| go("/", NavigateOptions::default()));
    };
    let stars = (1..=5_i64)
        .map(|star| {
            let label = t(format!("별 {star}개"), format!("{star} of 5 stars"));
            view! {
                <label class="star">
                    <input type="radio" name="rating" value=star.to_string()
                        prop:checked=move || rating.get() == star
                        on:change=move |_| rating.set(star)/>
                    <span class="unseen">{label}</span>
                    <span aria-hidden="true">{move || if rating.get() >= star { "★" } else { "☆" }}</span>
                </label>
            }
        })
        .collect_view();
    view! {
        <div class="ways">
            {(category == Category::ToRead).then(|| view! {
                <button type="button" class="primary" on:click=begin>
                    {t("읽기 시작", "Start reading")}
                </button>
            })}
            {(category != Category::ToRead && category != Category::Finished).then(|| view! {
                <form class="page-form" on:submit=save_page>
                    <label>
                        {t("여기까지 읽음", "Read up to page")}" "
                        <input type="number" inputmode="numeric" min="0" required=true
                            max=pages.unwrap_or(100_000).to_string()
                            prop:value=move || page.get()
                            on:input=move |event| page.set(event_target_value(&event))/>
                    </label>
                    <button>{t("책 덮기", "Close the book")}</button>
                </form>
            })}
            <details id="finish" prop:open=move || is_begun.get()>
                <summary>{match category {
                    Category::Finished => t("고쳐 적기", "Change what you said"),
                    _ => t("다 읽었어요", "I finished it"),
                }}</summary>
                    <form class="fields" on:submit=finish>
                        <label class="field">
                            <span>{t("다 읽은 날", "Finished on")}</span>
                            <input id="finished-on" type="date" required=true
                                    min=move || started_on.get()
                                prop:value=move || finished.get()
                                on:input=move |event| finished.set(event_target_value(&event))/>
                        </label>
                        <fieldset class="rating">
                            <legend>{t("별점", "Rating")}</legend>
                            {stars}
                        </fieldset>
                        <label class="field">
                            <span>{t("한마디", "Review")}</span>
                            <textarea rows="3" prop:value=move || review.get()
                                on:input=move |event| review.set(event_target_value(&event))>
                            </textarea>
                        </label>
                        <p class="refusal" role="alert">{move || said.get()}</p>
                        <button class="primary">{match category {
                            Category::Finished => t("저장", "Save"),
                            _ => t("마치기", "Finish"),
                        }}</button>
                    </form>
                </details>
            <button type="button" class="quiet" on:click=remove>
                {t("서재에서 내리기", "Take it off the shelf")}
            </button>
        </div>
    }
}
