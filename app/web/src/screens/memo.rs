//! A memo, and the editor of one: what is typed is on the disk at once, as a draft; at each
//! pause it becomes an edit, which is sent.
//!
//! ```text
//!  typed ─▶ draft (each keystroke, on the disk) ─ a pause, or done ─▶ edit ─▶ no draft
//!              └ the page is closed or crashes ─▶ the next start finds it, and opens the editor
//! ```

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use endpaper_api::reading::TagCategory;
use endpaper_api::sync::MEMOS;
use endpaper_api::text::nfc;
use endpaper_reading::model::{CONTENT_CHARS_MAX, Tag};
use endpaper_reading::rules::synced;
use futures_util::lock::Mutex;
use leptos::leptos_dom::helpers::TimeoutHandle;
use leptos::prelude::*;
use leptos::task::spawn_local;
use stdx::{Clock, IdSource};
use sync::engine::Edit;
use sync::merge::text::merge;
use sync::model::{Fields, RecordId};

use crate::browser;
use crate::days;
use crate::reader::{Draft, Reader};
use crate::records::{Memo, key};
use crate::ui::state::StateMark;
use crate::words::{self, language, t};

/// A pause in typing so long makes an edit of what was typed.
const PAUSE: Duration = Duration::from_millis(800);

/// A memo that is being written: new, or one that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    /// The memo, as it was; of a new one, without a text.
    pub memo: Memo,
    /// It is not on the device yet.
    pub is_new: bool,
    /// What was typed when a page was closed.
    pub draft: Option<Draft>,
}

impl Writing {
    /// A new one of this book.
    #[must_use]
    pub fn new(book: RecordId, page: u32) -> Self {
        Self::under(IdSource::system().next(), book, page)
    }

    /// A new one under an id that was made before.
    #[must_use]
    pub fn under(id: RecordId, book: RecordId, page: u32) -> Self {
        let memo = Memo {
            id,
            book: book.to_string(),
            page: i64::from(page.max(1)),
            content: String::new(),
            tags: Vec::new(),
            started: Clock::real().now(),
            state: sync::queue::RecordState::Pending,
        };
        Self { memo, is_new: true, draft: None }
    }

    /// One that is there, with what was typed in it before and not taken.
    pub async fn of(reader: Reader, memo: Memo) -> Self {
        let draft = reader.draft(memo.id).await;
        Self { memo, is_new: false, draft }
    }

    /// What was typed before and not taken.
    pub async fn begun(reader: Reader, id: RecordId, draft: Draft) -> Option<Self> {
        let begun = match reader.memo(id).await {
            Some(memo) => Self { memo, is_new: false, draft: None },
            None => Self::under(id, draft.book.parse().ok()?, 1),
        };
        Some(Self { draft: Some(draft), ..begun })
    }
}

/// What the editor knows beside what is typed.
struct Saving {
    reader: Reader,
    /// As it was when the editor began.
    memo: Memo,
    /// As it was last taken; none before.
    taken: RefCell<Option<Memo>>,
    /// What was typed before this editor began: another tab may have found the same.
    begun: Draft,
    /// As it is typed. It is there for longer than what is shown: what was typed is taken
    /// also where the screen was left.
    now: RefCell<Draft>,
    /// Shows what was merged of what was typed, and of what came from elsewhere.
    merged: Box<dyn Fn(&Draft)>,
    is_keeping: Cell<bool>,
    /// One edit after the other.
    turn: Mutex<()>,
    /// It was typed in since the draft was last kept.
    is_newer: Cell<bool>,
    said: RwSignal<Said>,
    timer: Cell<Option<TimeoutHandle>>,
}

/// What is said below the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Said {
    #[default]
    Nothing,
    /// Each keystroke is on the disk.
    Kept,
    /// It is taken as an edit.
    Taken,
    Wrong(String),
}

impl Said {
    /// What is on the screen is nowhere else.
    fn not_kept() -> Self {
        Self::Wrong(
            t(
                "아직 저장하지 못했습니다. 이 화면을 닫지 마세요.",
                "This is not saved yet: leave it on the screen.",
            )
            .to_owned(),
        )
    }
}

/// The form that texts have on the server, where it can have it.
fn composed(text: &str) -> String {
    nfc(text).unwrap_or_else(|_| text.to_owned())
}

impl Saving {
    /// The memo, as it is typed.
    fn memo(&self) -> Memo {
        let now = self.now.borrow();
        // What is not typed stays what it is: when it was begun, also where another tab has.
        let before = self.taken.borrow().clone().unwrap_or_else(|| self.memo.clone());
        Memo {
            // What is no page is said to be none.
            page: now.page.trim().parse().unwrap_or(0),
            content: composed(&now.content),
            tags: tags_of(&now),
            ..before
        }
    }

    /// Something was typed.
    fn typed(self: &Rc<Self>) {
        self.is_newer.set(true);
        if !self.is_keeping.replace(true) {
            let saving = Rc::clone(self);
            spawn_local(async move {
                let mut is_kept = true;
                while saving.is_newer.replace(false) {
                    let draft = saving.now.borrow().clone();
                    is_kept = saving.reader.keep_draft(saving.memo.id, &draft).await;
                }
                saving.is_keeping.set(false);
                if !is_kept {
                    saving.said.try_set(Said::not_kept());
                } else if saving.timer_runs() {
                    saving.said.try_set(Said::Kept);
                }
                saving.settle().await;
            });
        }
        let saving = Rc::clone(self);
        let later = set_timeout_with_handle(
            move || {
                saving.timer.take();
                spawn_local(async move {
                    saving.take().await;
                });
            },
            PAUSE,
        );
        if let Some(before) = self.timer.replace(later.ok()) {
            before.clear();
        }
    }

    fn timer_runs(&self) -> bool {
        let timer = self.timer.take();
        let runs = timer.is_some();
        self.timer.set(timer);
        runs
    }

    /// Makes an edit of what was typed. False where that can't be.
    async fn take(self: &Rc<Self>) -> bool {
        let _turn = self.turn.lock().await;
        if let Some(timer) = self.timer.take() {
            timer.clear();
        }
        self.take_now().await
    }

    async fn take_now(&self) -> bool {
        let there = self.reader.memo(self.memo.id).await;
        // From here to the edit nothing is waited for: what is typed is what is taken.
        let before = self.taken.borrow().clone();
        let base = before.as_ref().map_or_else(|| self.begun.clone(), Draft::of);
        if let Some(there) = there
            && (before.is_none() || there.content != composed(&base.content))
        {
            // Another device, or another tab, has changed it meanwhile, or made it of the same
            // draft.
            let met = met(&base, &self.now.borrow(), &there);
            (self.merged)(&met);
            *self.now.borrow_mut() = met;
            *self.taken.borrow_mut() = Some(there);
        }
        let memo = self.memo();
        let before = self.taken.borrow().clone();
        if memo.content.trim().is_empty() && before.is_none() {
            self.reader.drop_draft(memo.id).await;
            return true;
        }
        if let Err(problem) = nfc(&memo.content) {
            self.said.try_set(Said::Wrong(problem.message(language())));
            return false;
        }
        let fields = memo.fields();
        if let Err(flaws) = synced::draft(&fields) {
            self.said.try_set(Said::Wrong(words::flaws(&flaws)));
            return false;
        }
        let edit = match &before {
            None => Some(Edit::Create(fields)),
            Some(before) => {
                let old = before.fields();
                let changed: Fields = fields
                    .iter()
                    .filter(|(name, value)| old.get(name) != Some(*value))
                    .map(|(name, value)| (name, value.clone()))
                    .collect();
                (!changed.is_empty()).then_some(Edit::Update(changed))
            }
        };
        if let Some(edit) = edit
            && !self.reader.edit(&key(&MEMOS, memo.id), edit, memo.started).await
        {
            self.said.try_set(Said::not_kept());
            return false;
        }
        self.now.borrow_mut().before = Some(memo.content.clone());
        *self.taken.borrow_mut() = Some(memo);
        self.settle().await;
        true
    }

    /// Where all that was typed is taken, there is no draft any more.
    async fn settle(&self) {
        let is_all = self.taken.borrow().as_ref() == Some(&self.memo());
        // One that is being kept now would be there after it was dropped.
        if is_all && !self.is_keeping.get() {
            self.reader.drop_draft(self.memo.id).await;
            self.said.try_set(Said::Taken);
        }
    }
}

impl Draft {
    /// What an editor of a memo begins with.
    fn of(memo: &Memo) -> Self {
        Self {
            book: memo.book.clone(),
            page: memo.page.to_string(),
            content: memo.content.clone(),
            tags: memo.tags.iter().map(|tag| tag.code().to_owned()).collect(),
            before: Some(memo.content.clone()),
        }
    }
}

fn tags_of(draft: &Draft) -> Vec<Tag> {
    draft.tags.iter().filter_map(|code| Tag::of_code(code).ok()).collect()
}

/// What was typed, and what came from elsewhere since it was as in `base`. What was not typed
/// in here is as it is there.
fn met(base: &Draft, typed: &Draft, there: &Memo) -> Draft {
    let there = Draft::of(there);
    Draft {
        content: both(&composed(&base.content), &composed(&typed.content), &there.content),
        page: if typed.page == base.page { there.page } else { typed.page.clone() },
        tags: if typed.tags == base.tags { there.tags } else { typed.tags.clone() },
        ..there
    }
}

/// What two made of one text: both changes, and where they are of the same words, both texts.
fn both(before: &str, typed: &str, there: &str) -> String {
    let apart = || {
        let theirs = t("다른 기기에서 쓴 것", "Written on another device");
        format!("{typed}\n\n[{theirs}]\n{there}")
    };
    merge(before, typed, there).unwrap_or_else(apart)
}

/// The editor.
#[component]
pub fn Editor(
    /// What is written.
    writing: Writing,
    /// Called when the person is done with it.
    done: impl Fn() + Copy + 'static,
) -> impl IntoView {
    let reader = expect_context::<Reader>();
    let Writing { memo, is_new, draft } = writing;
    let draft_is_newer = draft.is_some();
    let taken = (!is_new).then(|| {
        // What came from elsewhere since the draft was begun is merged with it.
        let before = draft.as_ref().and_then(|draft| draft.before.clone());
        Memo { content: before.unwrap_or_else(|| memo.content.clone()), ..memo.clone() }
    });
    let now = draft.unwrap_or_else(|| {
        let before = (!is_new).then(|| memo.content.clone());
        Draft { before, ..Draft::of(&memo) }
    });
    let content = RwSignal::new(now.content.clone());
    let page = RwSignal::new(now.page.clone());
    let tags = RwSignal::new(tags_of(&now));
    let said = RwSignal::new(Said::Nothing);
    let id = memo.id;
    let saving = Rc::new(Saving {
        reader,
        memo,
        taken: RefCell::new(taken),
        begun: now.clone(),
        now: RefCell::new(now),
        merged: Box::new(move |met| {
            content.try_set(met.content.clone());
            page.try_set(met.page.clone());
            tags.try_set(tags_of(met));
        }),
        is_keeping: Cell::new(false),
        turn: Mutex::new(()),
        is_newer: Cell::new(false),
        said,
        timer: Cell::new(None),
    });
    if draft_is_newer {
        saving.typed();
    }
    let saving = StoredValue::new_local(saving);
    let change = move |change: &dyn Fn(&mut Draft)| {
        saving.with_value(|saving| {
            change(&mut saving.now.borrow_mut());
            saving.typed();
        });
    };
    let finish = move || {
        let saving = saving.get_value();
        spawn_local(async move {
            if saving.take().await {
                done();
            }
        });
    };
    let text_id = format!("memo-{id}");
    Effect::new({
        let text_id = text_id.clone();
        move |_| browser::focus(&text_id)
    });
    let key_down = move |event: leptos::ev::KeyboardEvent| {
        let is_done = event.key() == "Escape"
            || (event.key() == "Enter" && (event.ctrl_key() || event.meta_key()));
        // A syllable that is being put together is not the end of the memo.
        if is_done && !event.is_composing() {
            event.prevent_default();
            finish();
        }
    };
    let chip = move |tag: Tag| {
        let is_on = move || tags.with(|tags| tags.contains(&tag));
        let click = move |_| {
            tags.update(|tags| match tags.iter().position(|one| *one == tag) {
                Some(at) => drop(tags.remove(at)),
                None => tags.push(tag),
            });
            let codes = tags.with_untracked(|tags| {
                tags.iter().map(|tag| tag.code().to_owned()).collect::<Vec<_>>()
            });
            change(&|draft| draft.tags.clone_from(&codes));
        };
        view! {
            <button type="button" class="chip" aria-pressed=move || is_on().to_string() on:click=click>
                {tag.label(language())}
            </button>
        }
    };
    let chips = |category: TagCategory, name: &'static str| {
        let tags = Tag::ALL.iter().copied().filter(|tag| tag.category() == category);
        view! {
            <div class="chips" role="group" aria-label=name>{tags.map(chip).collect_view()}</div>
        }
    };
    let below = move || match said.get() {
        Said::Nothing => String::new(),
        Said::Kept => {
            t("적는 대로 이 기기에 남습니다", "Kept on this device as you type").to_owned()
        }
        Said::Taken => t("이 기기에 저장됨", "Saved on this device").to_owned(),
        Said::Wrong(why) => why,
    };
    // Said when it may matter. What is too long is kept as a draft, and not cut off.
    let room = move || {
        let (so_many, most) = (content.with(|text| text.chars().count()), CONTENT_CHARS_MAX);
        (so_many * 10 > most as usize * 9)
            .then(|| view! { <span class="count">{so_many}"/"{most}</span> })
    };
    view! {
        <form class="editor" on:submit=move |event| { event.prevent_default(); finish(); }
            on:keydown=key_down>
            <textarea id=text_id rows="5"
                aria-label=t("메모", "Memo")
                placeholder=t("무엇이 떠올랐나요?", "What came to mind?")
                prop:value=move || content.get()
                on:input=move |event| {
                    let text = event_target_value(&event);
                    change(&|draft| draft.content.clone_from(&text));
                    content.set(text);
                }>
            </textarea>
            <div class="editor-tools">
                <label class="page">
                    {t("쪽", "Page")}" "
                    <input type="number" inputmode="numeric" min="1" max="100000"
                        prop:value=move || page.get()
                        on:input=move |event| {
                            let text = event_target_value(&event);
                            change(&|draft| draft.page.clone_from(&text));
                            page.set(text);
                        }/>
                </label>
                <details class="tags">
                    <summary>{move || {
                        let chosen = tags.with(|tags| tags.iter().map(|tag| tag.label(language())).collect::<Vec<_>>().join(", "));
                        if chosen.is_empty() { t("태그", "Tags").to_owned() } else { chosen }
                    }}</summary>
                    {chips(TagCategory::Type, t("갈래", "Type"))}
                    {chips(TagCategory::Topic, t("주제", "Topic"))}
                </details>
                <span class="said" role="status">{below}</span>
                {room}
                <button class="primary">{t("다 썼어요", "Done")}</button>
            </div>
        </form>
    }
}

/// A memo in a list.
#[component]
pub fn MemoItem(
    /// Which.
    memo: Memo,
    /// The book's title, where it is not plain from the place.
    #[prop(optional_no_strip)]
    title: Option<String>,
    /// Called where the person wants to change it.
    edit: impl Fn(Memo) + 'static,
) -> impl IntoView {
    let reader = expect_context::<Reader>();
    let (page, state, at) = (memo.page, memo.state, days::instant(memo.started));
    let tags: Vec<&str> = memo.tags.iter().map(|tag| tag.label(language())).collect();
    let content = memo.content.clone();
    let (key, started) = (memo.key(), memo.started);
    let delete = move |_| {
        reader.delete(
            key.clone(),
            started,
            t("메모를 지웠습니다.", "The memo is deleted.").to_owned(),
        );
    };
    view! {
        <li class="memo">
            <p class="where">
                <span class="page-number">{t(format!("{page}쪽"), format!("p. {page}"))}</span>
                {title.map(|title| view! { " "<span class="of">{title}</span> })}
                " "<time>{at}</time>
            </p>
            <p class="content">{content}</p>
            <p class="below">
                <StateMark state/>
                {tags.into_iter().map(|tag| view! { <span class="tag">{tag}</span> }).collect_view()}
                <span class="actions">
                    <button type="button" class="quiet" on:click=move |_| edit(memo.clone())>
                        {t("고치기", "Edit")}
                    </button>
                    <button type="button" class="quiet" on:click=delete>{t("지우기", "Delete")}</button>
                </span>
            </p>
        </li>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_typed_in_here_is_as_it_is_there() {
        let of = |page: &str, content: &str, tags: &[Tag]| Draft {
            page: page.to_owned(),
            content: content.to_owned(),
            tags: tags.iter().map(|tag| tag.code().to_owned()).collect(),
            ..Draft::of(&Writing::new(IdSource::system().next(), 5).memo)
        };
        let base = of("5", "a fox", &Tag::ALL[..1]);
        let memo = Writing::new(IdSource::system().next(), 7).memo;
        let there = Memo { content: "see a fox".into(), tags: Tag::ALL[..2].to_vec(), ..memo };
        let typed = Draft { content: "a red fox".into(), ..base.clone() };
        let both = met(&base, &typed, &there);
        assert_eq!((&*both.content, &*both.page), ("see a red fox", "7"));
        assert_eq!(tags_of(&both), Tag::ALL[..2], "its page and its tags were changed there");
        assert_eq!(both.before.as_deref(), Some("see a fox"));
        let typed = Draft { page: "6".into(), tags: Vec::new(), ..typed };
        let both = met(&base, &typed, &there);
        assert_eq!((&*both.page, tags_of(&both).len()), ("6", 0), "and here");
    }

    #[test]
    fn what_two_wrote_is_all_there() {
        let before = "the quick fox";
        assert_eq!(
            both(before, "the quick brown fox", "see the quick fox"),
            "see the quick brown fox"
        );
        let apart = both(before, "the quick red fox", "the quick grey fox");
        assert!(apart.contains("red") && apart.contains("grey"), "{apart}");
    }
}
