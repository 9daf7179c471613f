//! A small catalogue and a shelf to look at: for `--demo`, and for whoever
//! tries the API.

use std::time::Duration;

use endpaper_api::reading::{Category, PurchaseType, ShelveBook};
use endpaper_api::{Day, Text};
use sha2::{Digest as _, Sha256};
use stdx::UnixMicros;
use stdx::ids::Id as _;
use uuid::Uuid;

use super::catalogue::CatalogueEntry;
use super::{ReadingError, ReadingService};
use crate::isbn::BookKey;
use crate::model::{BookFacts, Content, MemoDraft, MemoId, Page, ReaderId, Tag, Tags, UserBookId};
use crate::rules::days;

/// What the demo added; nothing, where it was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DemoSummary {
    /// Books of the catalogue.
    pub books: u64,
    /// Books on the shelf.
    pub shelved: u64,
    /// Memos.
    pub memos: u64,
}

/// ISBN, title, author, publisher, year, pages, genre.
type DemoBook =
    (&'static str, &'static str, &'static str, &'static str, &'static str, u32, &'static str);

const BOOKS: [DemoBook; 15] = [
    ("9788936434120", "소년이 온다", "한강", "창비", "2014", 216, "한국소설"),
    ("9788936433598", "채식주의자", "한강", "창비", "2007", 247, "한국소설"),
    ("9788954682152", "작별하지 않는다", "한강", "문학동네", "2021", 332, "한국소설"),
    ("9788937473135", "82년생 김지영", "조남주", "민음사", "2016", 192, "한국소설"),
    ("9788936434267", "아몬드", "손원평", "창비", "2017", 264, "한국소설"),
    ("9788937460449", "데미안", "헤르만 헤세, 전영애", "민음사", "2000", 240, "독일소설"),
    ("9788983711892", "코스모스", "칼 세이건, 홍승수", "사이언스북스", "2006", 719, "과학"),
    ("9788934972464", "사피엔스", "유발 하라리, 조현욱", "김영사", "2015", 636, "역사"),
    (
        "9788983920676",
        "해리 포터와 마법사의 돌 1",
        "J. K. 롤링, 김혜원",
        "문학수첩",
        "1999",
        266,
        "판타지",
    ),
    (
        "9780141439518",
        "Pride and Prejudice",
        "Jane Austen",
        "Penguin Classics",
        "1813",
        480,
        "Novel",
    ),
    (
        "9780140268867",
        "The Odyssey",
        "Homer, Robert Fagles",
        "Penguin Classics",
        "-0700",
        541,
        "Epic",
    ),
    ("9780141036144", "Nineteen Eighty-Four", "George Orwell", "Penguin", "1949", 336, "Novel"),
    ("9780441172719", "Dune", "Frank Herbert", "Ace", "1965", 617, "Science fiction"),
    ("9780060850524", "Brave New World", "Aldous Huxley", "Harper Perennial", "1932", 288, "Novel"),
    ("9780141439471", "Frankenstein", "Mary Shelley", "Penguin Classics", "1818", 352, "Novel"),
];

/// A book of the demo's shelf: ISBN, category, last page read, and memos.
type DemoReading = (&'static str, Category, u32, &'static [DemoMemo]);

/// Days ago, hour, minute, page, text, tags.
type DemoMemo = (u8, u8, u8, u32, &'static str, &'static [Tag]);

const SHELF: [DemoReading; 6] = [
    (
        "9788936434120",
        Category::Reading,
        60,
        &[
            (
                0,
                8,
                10,
                12,
                "부르는 말이 ‘너’라서, 읽는 내내 내가 그 자리에 서 있는 것 같다.",
                &[Tag::Thought, Tag::History],
            ),
            (0, 8, 25, 27, "촛불 하나로 방이 이렇게 넓어질 수 있구나.", &[Tag::Feeling]),
            (1, 22, 5, 60, "왜 돌아가지 않았는지, 다음 장에서 다시 물어볼 것.", &[Tag::Question]),
        ],
    ),
    (
        "9780141439518",
        Category::AlmostFinished,
        400,
        &[
            (
                0,
                21,
                0,
                388,
                "She is funniest when she is angry, and knows it.",
                &[Tag::Thought, Tag::People],
            ),
            (
                3,
                19,
                40,
                210,
                "Ask the book club: who changes more, she or he?",
                &[Tag::Question, Tag::Love],
            ),
        ],
    ),
    (
        "9788983711892",
        Category::Reading,
        130,
        &[(
            2,
            13,
            15,
            98,
            "에라토스테네스: 막대기 하나, 그림자 하나로 지구를 쟀다.",
            &[Tag::Fact, Tag::Science],
        )],
    ),
    ("9780441172719", Category::ToRead, 0, &[]),
    (
        "9788936434267",
        Category::Finished,
        264,
        &[(
            9,
            20,
            30,
            250,
            "느끼지 못하는 사람이 쓴 가장 다정한 이야기.",
            &[Tag::Summary, Tag::Friendship],
        )],
    ),
    ("9780141036144", Category::ToRead, 0, &[]),
];

impl ReadingService {
    /// Adds the demo's catalogue, and its shelf and memos for a reader. Running
    /// it again adds what is missing and changes nothing else.
    pub async fn add_demo(&self, reader: ReaderId) -> Result<DemoSummary, ReadingError> {
        let rows = (1u64..).zip(BOOKS).map(|(line, book)| {
            let (isbn, title, author, publisher, year, pages, genre) = book;
            let facts = BookFacts {
                title: title.to_owned(),
                author: Some(author.to_owned()),
                publisher: Some(publisher.to_owned()),
                pub_date: Some(year.to_owned()),
                total_pages: Some(pages),
                main_genre: Some(genre.to_owned()),
                ..BookFacts::default()
            };
            Ok(CatalogueEntry { line, book_key: demo_key(isbn), facts, isbn_not_used: None })
        });
        let books = self.import_catalogue(rows, |_| {}).await?.added;
        let mut summary = DemoSummary { books, ..DemoSummary::default() };
        for (isbn, category, progress, memos) in SHELF {
            let book = match self.shelve(reader, self.demo_request(isbn, category, progress)).await
            {
                Ok(book) => {
                    summary.shelved += 1;
                    book.id
                }
                Err(ReadingError::AlreadyOnShelf(existing)) => existing,
                Err(error) => return Err(error),
            };
            for memo in memos {
                summary.memos += u64::from(self.add_demo_memo(reader, book, memo).await?);
            }
        }
        Ok(summary)
    }

    fn demo_request(&self, isbn: &str, category: Category, progress: u32) -> ShelveBook {
        let text = |text: &str| Some(Text::new(text).expect("a text of the demo"));
        let day = |days_ago| Some(Day::from(days::day_of(self.days_ago(days_ago), &SEOUL)));
        let begun = category >= Category::Reading;
        let finished = category == Category::Finished;
        ShelveBook {
            isbn: text(isbn),
            category: Some(category),
            expectation: if begun { None } else { text("언젠가 꼭 읽고 싶은 책") },
            reading_start_date: if begun { day(20) } else { None },
            reading_progress: begun.then(|| progress.into()),
            purchase_type: begun.then_some(PurchaseType::Bought),
            reading_finished_date: if finished { day(8) } else { None },
            rating: finished.then_some(5),
            review: if finished { text("두 번째 읽을 때 더 좋았다.") } else { None },
            ..ShelveBook::default()
        }
    }

    async fn add_demo_memo(
        &self,
        reader: ReaderId,
        book: UserBookId,
        memo: &DemoMemo,
    ) -> Result<bool, ReadingError> {
        let (days_ago, hour, minute, page, content, tags) = *memo;
        let day = days::of_day(days::day_of(self.days_ago(days_ago), &SEOUL), &SEOUL);
        let midnight = day.map_err(|problem| ReadingError::field("date", problem))?.from;
        let minutes = u64::from(hour) * 60 + u64::from(minute);
        let draft = MemoDraft {
            user_book_id: book,
            page: Page::new(page.into()).expect("a page of the demo"),
            content: Content::new(content.to_owned()).expect("a text of the demo"),
            tags: Tags::new(tags.iter().map(|tag| tag.code()), None).expect("tags of the demo"),
            started_at: midnight.after(Duration::from_mins(minutes)),
        };
        // An id that follows from the reader and the text: a second run meets
        // the memo of the first.
        let memo_id = demo_memo_id(reader, content);
        if self.has_memo(memo_id).await? {
            return Ok(false);
        }
        match self.write_memo(reader, Some(memo_id), draft, None).await {
            Ok(_) => Ok(true),
            Err(ReadingError::IdTaken) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn days_ago(&self, days: u8) -> UnixMicros {
        self.now().before(Duration::from_hours(u64::from(days) * 24))
    }
}

const SEOUL: jiff::tz::TimeZone = jiff::tz::TimeZone::fixed(jiff::tz::Offset::constant(9));

fn demo_key(isbn: &str) -> BookKey {
    isbn.parse().expect("an ISBN of the demo")
}

/// 1 January 2024, in the milliseconds of a UUIDv7.
const DEMO_MILLIS: u64 = 1_704_067_200_000;

fn demo_memo_id(reader: ReaderId, content: &str) -> MemoId {
    let digest = Sha256::digest([reader.uuid().as_bytes(), content.as_bytes()].concat());
    let mut bytes: [u8; 16] = digest[..16].try_into().expect("SHA-256 has 32 bytes");
    bytes[..6].copy_from_slice(&DEMO_MILLIS.to_be_bytes()[2..]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    MemoId::from_uuid(Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_well_formed() {
        for (isbn, ..) in BOOKS {
            assert!(demo_key(isbn).isbn13().is_some(), "{isbn}");
        }
        for (isbn, category, progress, memos) in SHELF {
            let book = BOOKS.iter().find(|book| book.0 == isbn).expect("it is in the catalogue");
            assert_eq!(
                crate::rules::progress::category_of(progress, Some(book.5), false),
                category,
                "{isbn}"
            );
            assert!(memos.iter().all(|memo| memo.3 <= progress.max(1)));
        }
        let id = demo_memo_id(ReaderId::from_uuid(Uuid::from_u128(1)), "a").uuid();
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
    }
}
