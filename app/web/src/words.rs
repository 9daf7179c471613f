//! Korean and English, each beside the other where it is said: [`t`].

use std::cell::Cell;
use std::str::FromStr as _;

use endpaper_api::{ErrorCode, Language};
use endpaper_reading::model::{Flaw, Flaws};
use sync::queue::{Failure, RecordState};
use sync_web::StoreError;

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

/// An amount of money, with its thousands apart.
#[must_use]
pub fn won(amount: i64) -> String {
    let digits = amount.unsigned_abs().to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    let (sign, digits) = (if amount < 0 { "−" } else { "" }, groups.join(","));
    t(format!("{sign}{digits}원"), format!("{sign}₩{digits}"))
}

/// Why what is on this device can't be read or written, in words.
#[must_use]
pub fn store(error: &StoreError) -> String {
    let korean = match error {
        StoreError::Full => {
            "이 기기에 남은 공간이 없습니다. 공간을 비워 주세요. 저장된 것은 그대로 있습니다."
        }
        StoreError::Newer => "이 앱의 더 새로운 판이 여기에 있었습니다. 다시 열어 주세요.",
        StoreError::Closed => "이 앱의 새 판이 일을 넘겨받았습니다. 다시 열어 주세요.",
        StoreError::Blocked => {
            "이 앱의 다른 탭이 잠든 채 저장된 것을 쥐고 있습니다. 그 탭을 닫고 다시 열어 주세요."
        }
        StoreError::Deposed => "지금은 다른 탭이 서버와 이야기합니다.",
        StoreError::OtherAccount { .. } => "다른 계정의 저장소입니다.",
        StoreError::Unreadable { .. } => "이 기기에 저장된 것을 읽을 수 없습니다.",
        StoreError::Io(_) => "브라우저의 저장소가 답하지 않습니다.",
    };
    match (language(), error) {
        (Language::En, error) => error.to_string(),
        (Language::Ko, StoreError::Unreadable { .. } | StoreError::Io(_)) => {
            format!("{korean} ({error})")
        }
        (Language::Ko, _) => korean.to_owned(),
    }
}

/// Why the server did not take an edit, in words: it answers a device in English.
#[must_use]
pub fn failure(failure: &Failure) -> String {
    let code = ErrorCode::from_str(&failure.code).ok().filter(|_| language() == Language::Ko);
    match code {
        Some(code @ ErrorCode::ValidationFailed) => {
            format!("{} ({})", code.message(Language::Ko), failure.message)
        }
        Some(code) => code.message(Language::Ko).to_owned(),
        None => failure.message.clone(),
    }
}

/// What is wrong with what was typed, each with the name of its field.
#[must_use]
pub fn flaws(flaws: &Flaws) -> String {
    let one = |flaw: &Flaw| {
        let problem = flaw.problem.message(language());
        match field(flaw.field) {
            Some(name) => format!("{name}: {problem}"),
            None => problem,
        }
    };
    flaws.as_slice().iter().map(one).collect::<Vec<_>>().join(" ")
}

fn field(name: &str) -> Option<&'static str> {
    Some(match name {
        "title" => t("제목", "Title"),
        "author" => t("저자", "Author"),
        "totalPages" => t("쪽수", "Pages"),
        "isbn" => "ISBN",
        "pageNumber" => t("쪽", "Page"),
        "content" => t("메모", "Memo"),
        "tags" => t("태그", "Tags"),
        "review" => t("한마디", "Review"),
        _ => return None,
    })
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
