//! The shelf: four categories, in the order and of the books that the reader wants to see.

use endpaper_api::reading::Category;
use endpaper_reading::text::SearchQuery;
use leptos::prelude::*;
use leptos_router::components::A;

use crate::browser;
use crate::reader::Reader;
use crate::records::{Book, collator};
use crate::ui::cover::Cover;
use crate::ui::state::StateMark;
use crate::words::t;

/// What a category is called.
pub(crate) fn name(category: Category) -> &'static str {
    match category {
        Category::ToRead => t("읽고 싶은", "To read"),
        Category::Reading => t("읽는 중", "Reading"),
        Category::AlmostFinished => t("거의 다 읽은", "Almost finished"),
        Category::Finished => t("다 읽은", "Finished"),
    }
}

/// What the shelf is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Title,
    Author,
    Publisher,
    Genre,
}

impl Sort {
    const ALL: [Self; 4] = [Self::Title, Self::Author, Self::Publisher, Self::Genre];

    fn name(self) -> &'static str {
        match self {
            Self::Title => t("제목", "Title"),
            Self::Author => t("저자", "Author"),
            Self::Publisher => t("출판사", "Publisher"),
            Self::Genre => t("분야", "Genre"),
        }
    }

    fn of(self, book: &Book) -> &str {
        match self {
            Self::Title => &book.title,
            Self::Author => &book.author,
            Self::Publisher => &book.publisher,
            Self::Genre => &book.genre,
        }
    }
}

/// The screen.
#[component]
pub fn Shelf() -> impl IntoView {
    let reader = expect_context::<Reader>();
    browser::set_title(t("서재 · Endpaper", "Shelf · Endpaper"));
    let books = reader.books();
    let category = RwSignal::new(None::<Category>);
    let sort = RwSignal::new(Sort::Title);
    let sought = RwSignal::new(String::new());
    let shown = Memo::new_owning(move |before: Option<Vec<Book>>| {
        let query = SearchQuery::parse(&sought.get()).ok();
        let (category, sort) = (category.get(), sort.get());
        let mut shown: Vec<Book> = books.with(|books| {
            let all = books.into_iter().flatten();
            all.filter(|book| category.is_none_or(|category| book.category == category))
                .filter(|book| query.as_ref().is_none_or(|query| book.matches(query)))
                .cloned()
                .collect()
        });
        let compare = collator();
        shown.sort_by(|one, other| {
            compare(sort.of(one), sort.of(other))
                .then_with(|| compare(&one.title, &other.title))
                .then(one.id.cmp(&other.id))
        });
        let is_changed = before.as_ref() != Some(&shown);
        (shown, is_changed)
    });
    let so_many = move |of: Option<Category>| {
        books.with(|books| {
            let all = books.into_iter().flatten();
            all.filter(|book| of.is_none_or(|of| book.category == of)).count()
        })
    };
    let tab = move |of: Option<Category>| {
        view! {
            <button type="button" aria-pressed=move || (category.get() == of).to_string()
                on:click=move |_| category.set(of)>
                {of.map_or(t("모두", "All"), name)}" "<span class="count">{move || so_many(of)}</span>
            </button>
        }
    };
    let is_read = move || books.with(|books| books.is_some());
    let is_empty = move || books.with(|books| books.is_some_and(Vec::is_empty));
    let no_match = move || is_read() && !is_empty() && shown.with(Vec::is_empty);
    view! {
        <div class="head">
            <h1>{t("서재", "Shelf")}</h1>
            <A href="/find" attr:class="button primary">{t("책 더하기", "Add a book")}</A>
        </div>
        <Show when=move || is_read() && !is_empty()>
            <div class="tools">
                <div class="tabs" role="group" aria-label=t("분류", "Category")>
                    {tab(None)}
                    {Category::ALL.map(|category| tab(Some(category))).collect_view()}
                </div>
                <input type="search" class="search"
                    aria-label=t("서재에서 찾기", "Search the shelf")
                    placeholder=t("제목, 저자, 초성(ㅎㄹㅍㅌ)", "Title, author, publisher")
                    prop:value=move || sought.get()
                    on:input=move |event| sought.set(event_target_value(&event))/>
                <label class="select">
                    <span class="unseen">{t("차례", "Sort by")}</span>
                    <select on:change=move |event| {
                        let at = event_target_value(&event).parse().unwrap_or(0);
                        sort.set(Sort::ALL.get(at).copied().unwrap_or(Sort::Title));
                    }>
                        {Sort::ALL.iter().enumerate().map(|(at, sort)| view! {
                            <option value=at.to_string()>{sort.name()}</option>
                        }).collect_view()}
                    </select>
                </label>
            </div>
        </Show>
        <Show when=is_empty>
            <section class="empty">
                <h2>{t("서재가 비어 있습니다", "The shelf is empty")}</h2>
                <p>{t(
                    "읽고 있는 책 한 권을 더해 보세요. 네트워크가 없어도 제목만 적으면 됩니다.",
                    "Add the book that you are reading. Without a network its title is enough.",
                )}</p>
                <A href="/find" attr:class="button primary">{t("첫 책 더하기", "Add your first book")}</A>
            </section>
        </Show>
        <Show when=no_match>
            <p class="empty">{t("찾는 책이 여기에는 없습니다.", "No book here is like that.")}</p>
        </Show>
        <ul class="shelf">
            <For each=move || shown.get() key=Book::clone children=|book| view! { <OnShelf book/> }/>
        </ul>
    }
}

#[component]
fn OnShelf(book: Book) -> impl IntoView {
    let percent = book.percent();
    let href = format!("/book/{}", book.id);
    let (title, author, category, state) =
        (book.title.clone(), book.author.clone(), book.category, book.state);
    let is_saved = state == sync::queue::RecordState::Saved;
    view! {
        <li>
            <A href=href>
                <Cover book/>
                <span class="title">{title}</span>
                <span class="author">{author}</span>
            </A>
            <span class="standing">
                {name(category)}
                {percent.filter(|percent| (1..100).contains(percent)).map(|percent| format!(" · {percent}%"))}
            </span>
            {(!is_saved).then(|| view! { <StateMark state/> })}
        </li>
    }
}
