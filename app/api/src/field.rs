//! What can be wrong with one field.

use serde::{Deserialize, Serialize};

use crate::Language;

/// What is wrong with one field, and so what would be right. Limits of texts
/// count Unicode scalar values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FieldProblem {
    /// It is missing, or empty where it may not be.
    Required,
    /// There is no such field.
    Unknown,
    /// It is given twice.
    Repeated,
    /// It is of another JSON type.
    WrongType {
        /// The right one, where one can be named.
        expected: Option<JsonKind>,
    },
    /// The text is too short.
    TooShort {
        /// The fewest characters.
        min: u32,
    },
    /// The text is too long.
    TooLong {
        /// The most characters.
        max: u32,
    },
    /// The list is too long.
    TooMany {
        /// The most entries.
        max: u32,
    },
    /// The number is outside its range.
    OutOfRange {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// It is none of the values that there are.
    NotOneOf {
        /// Them, separated by `, `.
        allowed: String,
    },
    /// No day of the calendar in the form `YYYY-MM-DD`.
    NotADay,
    /// The day is in a year that is not taken.
    YearOutOfRange {
        /// The first year.
        min: i16,
        /// The last.
        max: i16,
    },
    /// No instant in the form of RFC 3339.
    NotATime,
    /// The day is after today in the reader's time zone.
    InTheFuture,
    /// The time is over already.
    InThePast,
    /// It is the one who asks.
    Yourself,
    /// The finish is before the start.
    BeforeStart,
    /// No id: ids are UUIDs.
    NotAnId,
    /// No time zone of the IANA database.
    NotATimeZone,
    /// No mail address.
    NotAnEmail,
    /// No ISBN whose check digit holds.
    NotAnIsbn,
    /// No `http://` or `https://` address.
    NotAUrl,
    /// No token of this server.
    NotAToken,
    /// No idempotency key: those are 1 to 128 visible ASCII characters.
    NotAnIdempotencyKey,
    /// A log-in id has other characters.
    NotALoginId,
    /// Another has it already.
    Taken,
    /// The password and its repetition differ.
    PasswordsDiffer,
    /// It has a control character other than newline and tab.
    ControlCharacter,
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The tag is not in the catalogue.
    UnknownTag,
    /// The book's category does not have this field.
    NotInCategory {
        /// The categories that have it, separated by `, `.
        allowed: String,
    },
}

/// A type of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JsonKind {
    /// `"…"`
    Text,
    /// `12`, without a fraction.
    Number,
    /// `true` or `false`
    Truth,
    /// `[…]`
    List,
    /// `{…}`
    Object,
}

/// Begins the messages by which a problem passes through serde.
const SERDE_PREFIX: &str = "field problem ";

impl FieldProblem {
    /// For people: what would be right.
    #[must_use]
    pub fn message(&self, language: Language) -> String {
        match language {
            Language::Ko => self.korean(),
            Language::En => self.english(),
        }
    }

    fn korean(&self) -> String {
        match self {
            Self::Required => "꼭 필요한 값입니다.".to_owned(),
            Self::Unknown => "알 수 없는 항목입니다. 이름을 확인해 주세요.".to_owned(),
            Self::Repeated => "같은 항목이 두 번 있습니다. 하나만 보내 주세요.".to_owned(),
            Self::WrongType { expected: Some(kind) } => {
                format!("값의 형식이 다릅니다. {} 보내 주세요.", kind.korean())
            }
            Self::WrongType { expected: None } => "값의 형식이 다릅니다.".to_owned(),
            Self::TooShort { min } => format!("{min}자 이상으로 써 주세요."),
            Self::TooLong { max } => format!("{max}자 이하로 써 주세요."),
            Self::TooMany { max } => format!("{max}개까지만 보낼 수 있습니다."),
            Self::OutOfRange { min, max: i64::MAX } => format!("{min} 이상의 수여야 합니다."),
            Self::OutOfRange { min, max } => format!("{min}에서 {max} 사이의 수여야 합니다."),
            Self::NotOneOf { allowed } => format!("다음 중 하나여야 합니다: {allowed}"),
            Self::NotADay => "달력에 있는 날짜를 2026-03-01 형식으로 써 주세요.".to_owned(),
            Self::YearOutOfRange { min, max } => {
                format!("{min}년부터 {max}년까지의 날짜만 쓸 수 있습니다.")
            }
            Self::NotATime => "시각을 2026-03-01T17:30:00+09:00 형식으로 써 주세요.".to_owned(),
            Self::InTheFuture => "오늘보다 뒤의 날짜는 쓸 수 없습니다.".to_owned(),
            Self::InThePast => "이미 지난 시각입니다. 더 뒤의 시각을 써 주세요.".to_owned(),
            Self::Yourself => "자기 자신은 고를 수 없습니다.".to_owned(),
            Self::BeforeStart => "시작한 날보다 앞설 수 없습니다.".to_owned(),
            Self::NotAnId => {
                "올바른 ID가 아닙니다. 0190163d-8694-739b-aea5-966c26f8ad91과 같은 형식입니다."
                    .to_owned()
            }
            Self::NotATimeZone => "Asia/Seoul과 같은 시간대 이름을 써 주세요.".to_owned(),
            Self::NotAnEmail => "이메일 주소를 name@example.com 형식으로 써 주세요.".to_owned(),
            Self::NotAnIsbn => {
                "ISBN이 올바르지 않습니다. 10자리나 13자리 숫자를 다시 확인해 주세요.".to_owned()
            }
            Self::NotAUrl => "http:// 또는 https://로 시작하는 주소를 써 주세요.".to_owned(),
            Self::NotAToken => "토큰이 올바르지 않습니다. 받은 그대로 보내 주세요.".to_owned(),
            Self::NotAnIdempotencyKey => {
                "공백 없이 영문자, 숫자와 기호 1~128자로 써 주세요.".to_owned()
            }
            Self::NotALoginId => "영문 소문자, 숫자와 _ . - 만 쓸 수 있습니다.".to_owned(),
            Self::Taken => "이미 쓰고 있습니다. 다른 것으로 써 주세요.".to_owned(),
            Self::PasswordsDiffer => "두 비밀번호가 서로 다릅니다. 같게 써 주세요.".to_owned(),
            Self::ControlCharacter => "줄바꿈과 탭 외의 제어 문자는 쓸 수 없습니다.".to_owned(),
            Self::NotUtf8 => "글자를 UTF-8로 보내 주세요.".to_owned(),
            Self::UnknownTag => "목록에 없는 태그입니다. 태그 목록에서 골라 주세요.".to_owned(),
            Self::NotInCategory { allowed } => {
                format!("책이 다음 상태일 때만 쓸 수 있습니다: {allowed}")
            }
        }
    }

    fn english(&self) -> String {
        match self {
            Self::Required => "This is required.".to_owned(),
            Self::Unknown => "There is no such field. Check its name.".to_owned(),
            Self::Repeated => "This is given twice. Send it once.".to_owned(),
            Self::WrongType { expected: Some(kind) } => {
                format!("This is of the wrong type. Send {}.", kind.english())
            }
            Self::WrongType { expected: None } => "This is of the wrong type.".to_owned(),
            Self::TooShort { min } => format!("Write at least {min} characters."),
            Self::TooLong { max } => format!("Write at most {max} characters."),
            Self::TooMany { max } => format!("Send at most {max}."),
            Self::OutOfRange { min, max: i64::MAX } => format!("Must be {min} or more."),
            Self::OutOfRange { min, max } => format!("Must be from {min} to {max}."),
            Self::NotOneOf { allowed } => format!("Must be one of: {allowed}"),
            Self::NotADay => "Write a day of the calendar as in 2026-03-01.".to_owned(),
            Self::YearOutOfRange { min, max } => {
                format!("Write a day of the years {min} to {max}.")
            }
            Self::NotATime => "Write a time as in 2026-03-01T17:30:00+09:00.".to_owned(),
            Self::InTheFuture => "This can't be later than today.".to_owned(),
            Self::InThePast => "This is over already. Give a later time.".to_owned(),
            Self::Yourself => "This can't be yourself.".to_owned(),
            Self::BeforeStart => "This can't be before the day it was started.".to_owned(),
            Self::NotAnId => {
                "This is no id. Ids look like 0190163d-8694-739b-aea5-966c26f8ad91.".to_owned()
            }
            Self::NotATimeZone => "Write the name of a time zone as in Asia/Seoul.".to_owned(),
            Self::NotAnEmail => "Write a mail address as in name@example.com.".to_owned(),
            Self::NotAnIsbn => "This is no ISBN. Check its 10 or 13 digits.".to_owned(),
            Self::NotAUrl => "Write an address that begins with http:// or https://.".to_owned(),
            Self::NotAToken => "This is no valid token. Send it exactly as you got it.".to_owned(),
            Self::NotAnIdempotencyKey => {
                "Use 1 to 128 letters, digits and signs of ASCII, without spaces.".to_owned()
            }
            Self::NotALoginId => {
                "Only the letters a to z, digits and _ . - can be used.".to_owned()
            }
            Self::Taken => "This is taken. Choose another.".to_owned(),
            Self::PasswordsDiffer => "The two passwords differ. Write the same twice.".to_owned(),
            Self::ControlCharacter => {
                "Control characters other than newline and tab can't be used.".to_owned()
            }
            Self::NotUtf8 => "Send text as UTF-8.".to_owned(),
            Self::UnknownTag => "There is no such tag. Choose one of the tag catalogue.".to_owned(),
            Self::NotInCategory { allowed } => {
                format!("This is only for books in the category: {allowed}")
            }
        }
    }

    /// As an error of a `Deserialize` implementation, for wire types that read
    /// themselves. [`FieldProblem::from_serde`] gets it back.
    pub fn into_serde<E: serde::de::Error>(self) -> E {
        let json = serde_json::to_string(&self).expect("an enum of texts and numbers is JSON");
        E::custom(format_args!("{SERDE_PREFIX}{json}"))
    }

    /// The problem inside a message that [`FieldProblem::into_serde`] made;
    /// `None` where another made it. What a deserializer appends to a message
    /// (`… at line 1 column 9`) is skipped.
    #[must_use]
    pub fn from_serde(message: &str) -> Option<Self> {
        let json = message.strip_prefix(SERDE_PREFIX)?;
        serde_json::Deserializer::from_str(json).into_iter().next()?.ok()
    }
}

impl JsonKind {
    /// With its particle, as the sentence needs it.
    const fn korean(self) -> &'static str {
        match self {
            Self::Text => "문자열로",
            Self::Number => "정수로",
            Self::Truth => "true나 false로",
            Self::List => "배열로",
            Self::Object => "객체로",
        }
    }

    const fn english(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a whole number",
            Self::Truth => "true or false",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_pass_through_serde() {
        for problem in [
            FieldProblem::NotADay,
            FieldProblem::TooLong { max: 5_000 },
            FieldProblem::NotOneOf { allowed: "\"A\", B".to_owned() },
            FieldProblem::WrongType { expected: Some(JsonKind::List) },
        ] {
            let error: serde_json::Error = problem.clone().into_serde();
            assert_eq!(FieldProblem::from_serde(&error.to_string()), Some(problem.clone()));
            let positioned = format!("{error} at line 3 column 14");
            assert_eq!(FieldProblem::from_serde(&positioned), Some(problem));
        }
        assert_eq!(FieldProblem::from_serde("invalid type: null"), None);
        assert_eq!(FieldProblem::from_serde("field problem nonsense"), None);
    }

    #[test]
    fn an_open_range_names_one_end() {
        let from_one = FieldProblem::OutOfRange { min: 1, max: i64::MAX };
        assert_eq!(from_one.message(Language::En), "Must be 1 or more.");
        assert_eq!(from_one.message(Language::Ko), "1 이상의 수여야 합니다.");
    }
}
