//! What reading is about: books, the shelf, memos, and their bounds.
//!
//! A value that can't be doesn't get into these types: a [`Page`] is at least
//! 1, a [`Content`] has 1 to 5,000 characters, a [`Rating`] is 1 to 5, a tag is
//! one of the catalogue. What is wrong with a value is said by a [`Flaw`],
//! which names the field as it is on the wire.

use endpaper_api::reading::{Category, PurchaseType, TagCategory};
use endpaper_api::{FieldProblem, Language};
use jiff::civil::Date;
use stdx::{HybridTime, UnixMicros};

use crate::isbn::BookKey;

stdx::id_type! {
    /// Identifies a reader: the user of the platform, as far as reading cares.
    pub struct ReaderId;
}

stdx::id_type! {
    /// Identifies a book of the catalogue.
    pub struct BookId;
}

stdx::id_type! {
    /// Identifies a book on one reader's shelf.
    pub struct UserBookId;
}

stdx::id_type! {
    /// Identifies a memo.
    pub struct MemoId;
}

/// The most characters of a title.
pub const TITLE_CHARS_MAX: u32 = 500;
/// The most characters of the authors, all together.
pub const AUTHOR_CHARS_MAX: u32 = 500;
/// The most characters of a publisher.
pub const PUBLISHER_CHARS_MAX: u32 = 300;
/// The most characters of a genre.
pub const GENRE_CHARS_MAX: u32 = 200;
/// The most characters of a cover's address.
pub const COVER_URL_CHARS_MAX: u32 = 1_000;
/// The most characters of a description.
pub const DESCRIPTION_CHARS_MAX: u32 = 20_000;
/// The most characters of a date of publication: `-0750-01-01`.
pub const PUB_DATE_CHARS_MAX: u32 = 11;
/// The most characters of what a reader expects of a book.
pub const EXPECTATION_CHARS_MAX: u32 = 500;
/// The most characters of a review. Goodreads takes 20,000 too.
pub const REVIEW_CHARS_MAX: u32 = 20_000;
/// The most characters of a memo.
pub const CONTENT_CHARS_MAX: u32 = 5_000;
/// The most pages of a book. The longest printed ones have some 10,000; a
/// scroll of an e-book reader counts further.
pub const PAGES_MAX: u32 = 100_000;
/// The most tags of one memo.
pub const TAGS_MAX: u32 = 10;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The field, as it is called on the wire.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: FieldProblem,
}

impl Flaw {
    /// A flaw of `field`.
    #[must_use]
    pub const fn new(field: &'static str, problem: FieldProblem) -> Self {
        Self { field, problem }
    }
}

/// Everything that is wrong with a request; gathered, so that a reader who made
/// three mistakes hears of three.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flaws(Vec<Flaw>);

impl Flaws {
    /// Notes a flaw.
    pub fn add(&mut self, field: &'static str, problem: FieldProblem) {
        self.0.push(Flaw::new(field, problem));
    }

    /// Whether something is wrong with `field`.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.0.iter().any(|flaw| flaw.field == field)
    }

    /// Takes the value, or notes why there is none.
    pub fn note<T>(&mut self, field: &'static str, value: Result<T, FieldProblem>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(problem) => {
                self.add(field, problem);
                None
            }
        }
    }

    /// `value` when nothing is wrong.
    pub fn check<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// The flaws, in the order in which they were found.
    #[must_use]
    pub fn into_vec(self) -> Vec<Flaw> {
        self.0
    }

    /// The flaws, in the order in which they were found.
    #[must_use]
    pub fn as_slice(&self) -> &[Flaw] {
        &self.0
    }
}

impl From<Flaw> for Flaws {
    fn from(flaw: Flaw) -> Self {
        Self(vec![flaw])
    }
}

/// A text without blanks around it, of at most `max` characters.
pub(crate) fn bounded(text: &str, max: u32) -> Result<&str, FieldProblem> {
    let text = text.trim();
    if text.chars().count() > max as usize { Err(FieldProblem::TooLong { max }) } else { Ok(text) }
}

/// The page of a memo: from 1 to [`PAGES_MAX`].
///
/// It is not held against the book's number of pages: catalogues count other
/// editions, and a memo written on a page that exists must not be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Page(u32);

impl Page {
    /// A page by its number.
    pub fn new(number: i64) -> Result<Self, FieldProblem> {
        match u32::try_from(number) {
            Ok(page @ 1..=PAGES_MAX) => Ok(Self(page)),
            _ => Err(FieldProblem::OutOfRange { min: 1, max: PAGES_MAX.into() }),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// A rating: 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rating(u8);

impl Rating {
    /// A rating by its number of stars.
    pub fn new(stars: i64) -> Result<Self, FieldProblem> {
        match u8::try_from(stars) {
            Ok(stars @ 1..=5) => Ok(Self(stars)),
            _ => Err(FieldProblem::OutOfRange { min: 1, max: 5 }),
        }
    }

    /// How many stars.
    #[must_use]
    pub const fn stars(self) -> u8 {
        self.0
    }
}

/// What a memo says: 1 to [`CONTENT_CHARS_MAX`] characters, not all of them
/// blank. Blanks around it belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content(String);

impl Content {
    /// A content from a text in the form NFC.
    pub fn new(text: String) -> Result<Self, FieldProblem> {
        if text.trim().is_empty() {
            Err(FieldProblem::Required)
        } else if text.chars().count() > CONTENT_CHARS_MAX as usize {
            Err(FieldProblem::TooLong { max: CONTENT_CHARS_MAX })
        } else {
            Ok(Self(text))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The tag catalogue: each line a tag, its code, its category, its labels.
macro_rules! tags {
    ($($name:ident $code:literal $category:ident $ko:literal $en:literal;)*) => {
        /// A tag of the catalogue. A code that was given out stays for ever:
        /// memos and exports hold it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Tag {
            $(#[doc = $en] $name,)*
        }

        impl Tag {
            /// All of them, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What names it in memos.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Its kind.
            #[must_use]
            pub const fn category(self) -> TagCategory {
                match self { $(Self::$name => TagCategory::$category,)* }
            }

            /// What people read.
            #[must_use]
            pub const fn label(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::Ko) => $ko,
                      (Self::$name, Language::En) => $en,)*
                }
            }
        }
    };
}

tags! {
    Quote "QUOTE" Type "인용" "Quote";
    Thought "THOUGHT" Type "생각" "Thought";
    Question "QUESTION" Type "질문" "Question";
    Insight "INSIGHT" Type "깨달음" "Insight";
    Feeling "FEELING" Type "느낌" "Feeling";
    Summary "SUMMARY" Type "요약" "Summary";
    Fact "FACT" Type "사실" "Fact";
    Action "ACTION" Type "실천" "To do";
    People "PEOPLE" Topic "인물" "People";
    Love "LOVE" Topic "사랑" "Love";
    Family "FAMILY" Topic "가족" "Family";
    Friendship "FRIENDSHIP" Topic "우정" "Friendship";
    Growth "GROWTH" Topic "성장" "Growth";
    Work "WORK" Topic "일" "Work";
    Money "MONEY" Topic "돈" "Money";
    Society "SOCIETY" Topic "사회" "Society";
    History "HISTORY" Topic "역사" "History";
    Nature "NATURE" Topic "자연" "Nature";
    Science "SCIENCE" Topic "과학" "Science";
    Art "ART" Topic "예술" "Art";
    Philosophy "PHILOSOPHY" Topic "철학" "Philosophy";
    Faith "FAITH" Topic "믿음" "Faith";
    Death "DEATH" Topic "죽음" "Death";
    Language "LANGUAGE" Topic "언어" "Language";
}

impl Tag {
    /// The tag of a code.
    pub fn of_code(code: &str) -> Result<Self, FieldProblem> {
        Self::ALL.iter().copied().find(|tag| tag.code() == code).ok_or(FieldProblem::UnknownTag)
    }
}

/// The tags of one memo: at most [`TAGS_MAX`], none twice, in the order in
/// which the reader gave them; where the reader chose a category, all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    tags: Vec<Tag>,
    category: Option<TagCategory>,
}

impl Tags {
    /// Tags by their codes.
    pub fn new<'a>(
        codes: impl IntoIterator<Item = &'a str>,
        category: Option<TagCategory>,
    ) -> Result<Self, Flaw> {
        let mut tags = Vec::new();
        for code in codes {
            let tag = Tag::of_code(code.trim()).map_err(|problem| Flaw::new("tags", problem))?;
            if !tags.contains(&tag) {
                tags.push(tag);
            }
            if tags.len() > TAGS_MAX as usize {
                return Err(Flaw::new("tags", FieldProblem::TooMany { max: TAGS_MAX }));
            }
        }
        Self { tags, category: None }.in_category(category)
    }

    /// The same tags under another chosen category.
    pub fn in_category(self, category: Option<TagCategory>) -> Result<Self, Flaw> {
        if let Some(chosen) = category
            && self.tags.iter().any(|tag| tag.category() != chosen)
        {
            return Err(Flaw::new("tags", FieldProblem::NotOneOf { allowed: codes_of(chosen) }));
        }
        Ok(Self { tags: self.tags, category })
    }

    /// The tags.
    #[must_use]
    pub fn as_slice(&self) -> &[Tag] {
        &self.tags
    }

    /// The category that the reader chose.
    #[must_use]
    pub const fn category(&self) -> Option<TagCategory> {
        self.category
    }
}

fn codes_of(category: TagCategory) -> String {
    let of_category = |tag: &&Tag| tag.category() == category;
    let codes: Vec<&str> = Tag::ALL.iter().filter(of_category).map(|tag| tag.code()).collect();
    codes.join(", ")
}

/// What a book is, whoever reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BookFacts {
    /// The title.
    pub title: String,
    /// Authors and translators, as the source writes them.
    pub author: Option<String>,
    /// The publisher.
    pub publisher: Option<String>,
    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`; before our era with `-` in front.
    pub pub_date: Option<String>,
    /// Where a picture of the cover is.
    pub cover_url: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// How many pages it has.
    pub total_pages: Option<u32>,
    /// Its genre.
    pub main_genre: Option<String>,
}

/// Where a book of the catalogue is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A reader shelved it before the catalogue or a source knew it. Such a
    /// book is found by nobody's search: what one reader typed is not shown to
    /// others.
    Reader,
    /// An external source answered with it.
    Source,
    /// An operator imported it.
    Import,
}

impl Origin {
    /// As the store keeps it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Source => "source",
            Self::Import => "import",
        }
    }

    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Source, Self::Import];
}

/// A book of the catalogue, which all readers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueBook {
    /// Its id.
    pub id: BookId,
    /// What it is known by everywhere.
    pub book_key: BookKey,
    /// What it is.
    pub facts: BookFacts,
    /// Where it is from.
    pub origin: Origin,
}

/// How a reader stands with a book. The functions of [`crate::rules`] make and
/// change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Where the book stands.
    pub category: Category,
    /// Whether the reader set the category by hand, so that progress does not
    /// change it.
    pub by_hand: bool,
    /// What the reader expects of it.
    pub expectation: Option<String>,
    /// When reading began.
    pub started_on: Option<Date>,
    /// The last page read; 0 where none is.
    pub progress: u32,
    /// How the reader came by it.
    pub purchase_type: Option<PurchaseType>,
    /// When it was read to the end.
    pub finished_on: Option<Date>,
    /// The reader's rating.
    pub rating: Option<Rating>,
    /// What the reader says of it.
    pub review: Option<String>,
}

/// A book on a reader's shelf.
///
/// It has facts of its own: a reader corrects a title or a number of pages
/// without changing anybody else's book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfBook {
    /// Its id.
    pub id: UserBookId,
    /// The book of the catalogue.
    pub book_id: BookId,
    /// What it is known by; on one shelf there is one book of a key.
    pub book_key: BookKey,
    /// What it is.
    pub facts: BookFacts,
    /// How the reader stands with it.
    pub reading: Reading,
    /// When it was put on the shelf.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// What a reader writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoDraft {
    /// The book on the shelf.
    pub user_book_id: UserBookId,
    /// The page.
    pub page: Page,
    /// What it says.
    pub content: Content,
    /// Its tags.
    pub tags: Tags,
    /// When it was written.
    pub started_at: UnixMicros,
}

/// What changes about a memo; `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoChange {
    /// Another page.
    pub page: Option<Page>,
    /// Another content.
    pub content: Option<Content>,
    /// Other tags, by code.
    pub tags: Option<Vec<Tag>>,
    /// Another chosen category: `Some(None)` takes it away.
    pub tag_category: Option<Option<TagCategory>>,
}

/// The version of a memo: it grows with every change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoVersion(pub HybridTime);

/// A memo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memo {
    /// Its id.
    pub id: MemoId,
    /// What the reader wrote.
    pub draft: MemoDraft,
    /// The book's title, as it is on the shelf.
    pub book_title: String,
    /// What the book is known by.
    pub book_key: BookKey,
    /// When the server first had it.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
    /// Its version.
    pub version: MemoVersion,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_codes_of_their_own_and_labels_in_their_language() {
        let hangul = |c: char| ('가'..='힣').contains(&c);
        for (at, tag) in Tag::ALL.iter().enumerate() {
            assert!(Tag::ALL[..at].iter().all(|earlier| earlier.code() != tag.code()), "{tag:?}");
            assert_eq!(Tag::of_code(tag.code()), Ok(*tag));
            assert!(tag.label(Language::Ko).chars().any(hangul), "{tag:?}");
            assert!(!tag.label(Language::En).chars().any(hangul), "{tag:?}");
        }
        for category in TagCategory::ALL {
            assert!(Tag::ALL.iter().any(|tag| tag.category() == category));
        }
    }

    #[test]
    fn a_chosen_category_holds_for_every_tag() {
        let both = ["QUOTE", "LOVE"];
        assert!(Tags::new(both, None).is_ok());
        let flaw = Tags::new(both, Some(TagCategory::Type)).unwrap_err();
        assert_eq!(flaw.field, "tags");
        assert!(Tags::new(["QUOTE"], Some(TagCategory::Type)).is_ok());
        assert!(Tags::new([], Some(TagCategory::Topic)).is_ok());
    }

    #[test]
    fn a_tag_counts_once_and_unknown_ones_are_refused() {
        let tags = Tags::new(["LOVE", "QUOTE", "LOVE", " QUOTE "], None).unwrap();
        assert_eq!(tags.as_slice(), [Tag::Love, Tag::Quote]);
        assert_eq!(Tags::new(["love"], None).unwrap_err().problem, FieldProblem::UnknownTag);
        let many = Tag::ALL.iter().map(|tag| tag.code());
        assert_eq!(
            Tags::new(many.clone().take(11), None).unwrap_err().problem,
            FieldProblem::TooMany { max: 10 }
        );
        assert!(Tags::new(many.take(10), None).is_ok());
    }

    #[test]
    fn limits_count_characters_and_not_bytes() {
        let longest = "한".repeat(5_000);
        assert!(Content::new(longest.clone()).is_ok());
        assert_eq!(Content::new(longest + "글"), Err(FieldProblem::TooLong { max: 5_000 }));
        assert_eq!(Content::new(" \n\t".to_owned()), Err(FieldProblem::Required));
        assert_eq!(Page::new(0), Err(FieldProblem::OutOfRange { min: 1, max: 100_000 }));
        assert!(Page::new(1).is_ok() && Page::new(100_000).is_ok() && Page::new(100_001).is_err());
        assert!(Rating::new(5).is_ok() && Rating::new(0).is_err() && Rating::new(6).is_err());
    }
}
