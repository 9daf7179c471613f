//! Korean and English, each beside the other where it is said: [`t`].

use std::cell::Cell;

use endpaper_api::Language;
use sync::queue::RecordState;

use crate::browser;

thread_local! {
    static CHOSEN: Cell<Language> = const { Cell::new(Language::En) };
}

/// Where the reader's choice is kept.
const CHOICE: &str = "endpaper.language";

/// Takes the language that the reader chose, else the browser's first of ours.
pub(crate) fn choose() {
    let chosen = browser::remembered(CHOICE).and_then(|tag| tag.parse().ok());
    let language = chosen.or_else(|| Language::from_accept_language(&browser::languages()));
    let language = language.unwrap_or_default();
    CHOSEN.set(language);
    browser::set_page_language(language.tag());
}

/// The language of this page. It stays until the page is loaded again.
#[must_use]
pub fn language() -> Language {
    CHOSEN.get()
}

/// The reader chooses another one: the page is loaded again in it.
pub(crate) fn change(language: Language) {
    browser::remember(CHOICE, language.tag());
    browser::reload();
}

/// A text in the language of the page.
#[must_use]
pub fn t<T>(korean: T, english: T) -> T {
    match language() {
        Language::Ko => korean,
        Language::En => english,
    }
}

/// So many of something, in English with its plural.
#[must_use]
pub fn count(count: usize, korean: &str, one: &str, many: &str) -> String {
    match language() {
        Language::Ko => format!("{korean} {count}"),
        Language::En if count == 1 => format!("1 {one}"),
        Language::En => format!("{count} {many}"),
    }
}

/// How a record stands, in words.
#[must_use]
pub fn state(state: RecordState) -> &'static str {
    match state {
        RecordState::Saved => t("서버에 저장됨", "On the server"),
        RecordState::Pending => t("이 기기에 저장됨", "Saved on this device"),
        RecordState::Syncing => t("보내는 중", "Sending"),
        RecordState::Waiting => t("앞의 것을 기다림", "Waits for an earlier one"),
        RecordState::Failed => t("확인이 필요함", "Needs your attention"),
    }
}
