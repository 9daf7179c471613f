//! Aladin's TTB interface: Korean books.
//!
//! Aladin answers with something like JSON (see `lenient_json`), with HTTP
//! status 200 also for errors, counts pages where others count results, gives
//! ids of its own as `isbn` (`K642734155`), and allows a key some 5,000
//! questions a day, counted in Korean days.

use std::time::Duration;

use balance::BreakerConfig;
use endpaper_api::Secret;
use serde_json::Value;
use stdx::UnixMicros;

use super::fetch::{Fetcher, SourceLimits, SourceSetupError, USER_AGENT};
use super::found::{
    FoundBook, FoundPage, SearchField, SearchRequest, SourceName, SourceState, Unavailable,
};
use super::guard::{AskError, Guard, SourceEnvironment};
use super::people::{author_line, people};
use super::pub_date::PubDate;
use super::wire::{count_of, line_of, list_of, paragraphs_of, url_of};
use super::{Answer, BookSource, lenient_json};
use crate::isbn::{BookKey, Isbn13, SourceItemId};

/// How to reach Aladin.
#[derive(Clone, Debug)]
pub struct AladinConfig {
    /// Where the interface is. Default `https://www.aladin.co.kr/ttb/api`.
    pub base_url: String,
    /// The TTB key, as Aladin gives it to a website.
    pub key: Secret,
    /// How long, and how much.
    pub limits: SourceLimits,
    /// When it is left alone.
    pub breaker: BreakerConfig,
}

impl AladinConfig {
    /// The defaults, with this key.
    #[must_use]
    pub fn new(key: Secret) -> Self {
        Self {
            base_url: "https://www.aladin.co.kr/ttb/api".to_owned(),
            key,
            limits: SourceLimits::default(),
            breaker: BreakerConfig::default(),
        }
    }
}

/// Aladin as a source of books.
#[derive(Debug)]
pub struct AladinSource {
    key: Secret,
    fetcher: Fetcher,
    guard: Guard,
}

/// Aladin gives no more results than this, whatever their number is.
const RESULTS_REACHABLE: u32 = 200;

impl AladinSource {
    /// Sets the source up. Asks nothing yet.
    pub fn new(
        config: AladinConfig,
        environment: SourceEnvironment,
    ) -> Result<Self, SourceSetupError> {
        let key = config.key.expose();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(SourceSetupError::Key);
        }
        Ok(Self {
            fetcher: Fetcher::new(&config.base_url, USER_AGENT, config.limits)?,
            guard: Guard::new(SourceName::Aladin, config.breaker, environment),
            key: config.key,
        })
    }

    async fn fetch(&self, page: &str, parameters: &[(&str, &str)]) -> Result<Reply, AskError> {
        let mut all = vec![
            ("ttbkey", self.key.expose()),
            ("Output", "JS"),
            ("Version", "20131101"),
            ("Cover", "Big"),
        ];
        all.extend_from_slice(parameters);
        let body = self.fetcher.get(self.fetcher.url(&[page], &all)).await?;
        read_reply(&body.0, self.guard.now())
    }

    async fn fetch_page(
        &self,
        request: &SearchRequest,
        number: u32,
        size: u32,
    ) -> Result<(u32, Vec<Value>), AskError> {
        let field = match request.field() {
            SearchField::Title => "Title",
            SearchField::Author => "Author",
            SearchField::Publisher => "Publisher",
        };
        let reply = self
            .fetch(
                "ItemSearch.aspx",
                &[
                    ("Query", request.query()),
                    ("QueryType", field),
                    ("SearchTarget", "Book"),
                    ("start", &number.to_string()),
                    ("MaxResults", &size.to_string()),
                ],
            )
            .await?;
        match reply {
            Reply::Items { total, items } => Ok((total, items)),
            Reply::NoSuchItem => Ok((0, Vec::new())),
        }
    }

    async fn search_pages(&self, request: &SearchRequest) -> Result<FoundPage, AskError> {
        let plan = PagePlan::of(request);
        let (total, mut items) = self.fetch_page(request, plan.first_page, plan.page_size).await?;
        items.truncate(plan.page_size as usize);
        if plan.two_pages && total > plan.first_page * plan.page_size {
            // A page that is short would move what follows.
            items.resize(plan.page_size as usize, Value::Null);
            let second = self.fetch_page(request, plan.first_page + 1, plan.page_size).await?;
            items.extend(second.1);
        }
        let wanted = items.iter().skip(plan.skip as usize).take(request.max_results() as usize);
        Ok(FoundPage {
            source: SourceName::Aladin,
            total: total.min(RESULTS_REACHABLE),
            books: wanted.filter_map(book).collect(),
        })
    }

    async fn look_up_item(
        &self,
        id_type: &str,
        id: &str,
        key: &BookKey,
    ) -> Result<Option<FoundBook>, AskError> {
        let parameters = [("ItemIdType", id_type), ("ItemId", id)];
        let items = match self.fetch("ItemLookUp.aspx", &parameters).await? {
            Reply::Items { items, .. } => items,
            Reply::NoSuchItem => return Ok(None),
        };
        let mut books = items.iter().filter_map(book);
        Ok(match key {
            // Another edition must not be taken for this one.
            BookKey::Isbn(_) => books.find(|book| book.key == *key),
            // A book that was put on a shelf before its ISBN was known keeps
            // its key.
            BookKey::Foreign(_) => books.next().map(|book| FoundBook { key: key.clone(), ..book }),
        })
    }
}

impl BookSource for AladinSource {
    fn name(&self) -> SourceName {
        SourceName::Aladin
    }

    fn search<'a>(&'a self, request: &'a SearchRequest) -> Answer<'a, FoundPage> {
        Box::pin(async move {
            if request.start() > RESULTS_REACHABLE {
                let source = SourceName::Aladin;
                return Ok(FoundPage { source, total: RESULTS_REACHABLE, books: Vec::new() });
            }
            self.guard.ask(self.search_pages(request)).await
        })
    }

    fn look_up<'a>(&'a self, key: &'a BookKey) -> Answer<'a, Option<FoundBook>> {
        Box::pin(async move {
            let (id_type, id) = match key {
                BookKey::Isbn(isbn) => ("ISBN13", isbn.as_str()),
                BookKey::Foreign(id) => match aladin_id(id) {
                    Some(known) => known,
                    None => return Ok(None),
                },
            };
            self.guard.ask(self.look_up_item(id_type, id, key)).await
        })
    }

    fn state(&self) -> SourceState {
        self.guard.state()
    }

    fn check(&self) -> std::pin::Pin<Box<dyn Future<Output = SourceState> + Send + '_>> {
        Box::pin(async {
            if self.guard.should_be_reached() {
                let reach = async { self.fetcher.reach().await.map_err(AskError::from) };
                // What came of it shows in the state.
                let _ = self.guard.ask(reach).await;
            }
            self.guard.state()
        })
    }
}

/// Which pages of Aladin hold the results that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PagePlan {
    page_size: u32,
    /// From 1.
    first_page: u32,
    two_pages: bool,
    /// How many results of the first page come before the first wanted.
    skip: u32,
}

impl PagePlan {
    /// One page, of the smallest size with which one holds them all; where
    /// there is none, two that meet among them.
    fn of(request: &SearchRequest) -> Self {
        let (offset, wanted) = (request.start() - 1, request.max_results());
        let last = offset + wanted - 1;
        let one = (wanted..=SearchRequest::RESULTS_MAX).find(|size| offset / size == last / size);
        let page_size = one.unwrap_or(wanted);
        Self {
            page_size,
            first_page: offset / page_size + 1,
            two_pages: one.is_none(),
            skip: offset % page_size,
        }
    }
}

/// What Aladin says.
#[derive(Clone, Debug, PartialEq)]
enum Reply {
    Items { total: u32, items: Vec<Value> },
    NoSuchItem,
}

fn read_reply(body: &[u8], now: UnixMicros) -> Result<Reply, AskError> {
    let garbled = |what: &str| AskError::Failed(Unavailable::Garbled(what.to_owned()));
    let reply = lenient_json::read(body).map_err(|problem| garbled(&problem.to_string()))?;
    let message = line_of(&reply, "errorMessage").unwrap_or_default();
    if let Some(code) = line_of(&reply, "errorCode").filter(|code| code != "0") {
        // The messages for a key that is unknown, or not allowed to ask, come
        // with several codes.
        let is_key =
            message.to_ascii_lowercase().contains("ttbkey") || message.contains("금지된 회원");
        return match code.as_str() {
            "10" => Err(AskError::Quota(until_midnight_in_seoul(now))),
            _ if is_key => Err(AskError::Key),
            "4" | "100" | "110" => Err(AskError::Key),
            "8" => Ok(Reply::NoSuchItem),
            _ => Err(AskError::Refused(Unavailable::Refused(format!("{code} {message}")))),
        };
    }
    if !reply.is_object() || reply.get("totalResults").is_none() && reply.get("item").is_none() {
        return Err(garbled("neither items nor an error"));
    }
    let items = list_of(&reply, "item").to_vec();
    let found = u32::try_from(items.len()).unwrap_or(u32::MAX);
    let total = count_of(&reply, "totalResults").unwrap_or(0).max(found);
    Ok(Reply::Items { total, items })
}

/// Korea is 9 hours ahead of UTC, has had no summer time since 1988, and is not
/// looked up in a time zone database, which a small server may not have.
fn until_midnight_in_seoul(now: UnixMicros) -> Duration {
    const DAY_MICROS: i64 = 24 * 3_600 * 1_000_000;
    const SEOUL_MICROS: i64 = 9 * 3_600 * 1_000_000;
    let into_day = now.0.saturating_add(SEOUL_MICROS).rem_euclid(DAY_MICROS);
    Duration::from_micros(u64::try_from(DAY_MICROS - into_day).expect("positive"))
}

/// The type and the id for Aladin, where an id is one of Aladin's.
fn aladin_id(id: &SourceItemId) -> Option<(&'static str, &str)> {
    if let Some(item) = id.as_str().strip_prefix(ITEM_PREFIX) {
        let is_number = !item.is_empty() && item.bytes().all(|byte| byte.is_ascii_digit());
        return is_number.then_some(("ItemId", item));
    }
    is_own_isbn(id.as_str()).then_some(("ISBN", id.as_str()))
}

/// Before the item number of a book that has no other id.
const ITEM_PREFIX: &str = "aladin:";

/// What Aladin gives as `isbn` where there is none: a K and nine digits. No
/// other letter, so that `O140449132` is a mistyped ISBN and not an id.
fn is_own_isbn(text: &str) -> bool {
    let digits = text.strip_prefix('K').unwrap_or_default();
    digits.len() == 9 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The ISBN where there is one in either place, else Aladin's own `isbn`, else
/// its item number.
fn key_of(item: &Value) -> Option<BookKey> {
    let texts = ["isbn13", "isbn"].map(|member| line_of(item, member));
    let isbn = texts.iter().flatten().find_map(|text| text.parse::<Isbn13>().ok());
    if let Some(isbn) = isbn {
        return Some(BookKey::Isbn(isbn));
    }
    let own = texts.into_iter().flatten().find(|text| is_own_isbn(text));
    let id = own.or_else(|| Some(format!("{ITEM_PREFIX}{}", count_of(item, "itemId")?)))?;
    id.parse().ok().map(BookKey::Foreign)
}

fn book(item: &Value) -> Option<FoundBook> {
    let key = key_of(item)?;
    let whole_title = line_of(item, "title")?;
    let sub_info = item.get("subInfo").unwrap_or(&Value::Null);
    let subtitle = line_of(sub_info, "subTitle");
    // The title repeats the subtitle.
    let title = subtitle
        .as_deref()
        .and_then(|subtitle| whole_title.strip_suffix(subtitle)?.strip_suffix(" - "))
        .filter(|title| !title.is_empty())
        .unwrap_or(&whole_title)
        .to_owned();
    let people = people(&line_of(item, "author").unwrap_or_default());
    let category = line_of(item, "categoryName").unwrap_or_default();
    // `국내도서>소설/시/희곡>영미소설`: the first is the shop's department.
    let mut genres = category.split('>').map(str::trim).filter(|genre| !genre.is_empty());
    let department = genres.next();
    let genre = genres.next().or(department).map(str::to_owned);
    Some(FoundBook {
        source: SourceName::Aladin,
        key,
        title,
        subtitle,
        author: author_line(&people),
        people,
        publisher: line_of(item, "publisher"),
        pub_date: line_of(item, "pubDate").and_then(|text| PubDate::from_catalogue(&text)),
        cover_url: url_of(item, "cover"),
        description: paragraphs_of(item, "description"),
        total_pages: count_of(sub_info, "itemPage"),
        genre,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn the_pages_hold_exactly_what_is_wanted(start in 1u32..2_000, max in 1u32..=50) {
            let request = SearchRequest::new("x", SearchField::Title, start, max).unwrap();
            let plan = PagePlan::of(&request);
            prop_assert!(plan.page_size <= 50 && plan.first_page >= 1);
            let first = (plan.first_page - 1) * plan.page_size;
            let pages = if plan.two_pages { 2 } else { 1 };
            let results: Vec<u32> = (first..first + pages * plan.page_size).collect();
            let wanted = &results[plan.skip as usize..][..max as usize];
            prop_assert_eq!(wanted[0], start - 1);
        }

        #[test]
        fn pages_that_are_asked_for_in_turn_take_one_question_each(page in 0u32..40, max in 1u32..=50) {
            let request = SearchRequest::new("x", SearchField::Title, page * max + 1, max).unwrap();
            prop_assert!(!PagePlan::of(&request).two_pages);
        }

        #[test]
        fn midnight_is_at_most_a_day_away(now in any::<i32>()) {
            let now = UnixMicros::from_secs(i64::from(now));
            let wait = until_midnight_in_seoul(now);
            prop_assert!(wait > Duration::ZERO && wait <= Duration::from_hours(24));
            prop_assert_eq!((now.after(wait).as_secs() + 9 * 3_600).rem_euclid(86_400), 0);
        }

        #[test]
        fn any_item_is_a_book_or_none(text in any::<String>(), number in any::<i64>()) {
            for value in [json!(text), json!(number), json!(null), json!([text]), json!({"itemPage": text})] {
                let members = ["title", "isbn", "isbn13", "itemId", "author", "pubDate", "cover",
                    "description", "publisher", "categoryName", "subInfo"];
                for member in members {
                    let mut item = json!({"title": "t", "isbn13": "9780140449136"});
                    item[member] = value.clone();
                    if let Some(book) = book(&item) {
                        prop_assert!(!book.title.is_empty());
                    }
                }
                let _ = read_reply(json!({"item": value, "totalResults": value}).to_string().as_bytes(), UnixMicros(0));
            }
        }
    }

    #[test]
    fn the_day_turns_in_korea() {
        // 2026-03-01T14:59:59Z is a second before midnight in Seoul.
        let now = UnixMicros::from_secs(1_772_377_199);
        assert_eq!(until_midnight_in_seoul(now), Duration::from_secs(1));
        assert_eq!(
            until_midnight_in_seoul(now.after(Duration::from_secs(1))),
            Duration::from_hours(24)
        );
    }

    #[test]
    fn keys_from_either_place() {
        for (item, expected) in [
            (json!({"isbn": "K642734155", "isbn13": "9791162541401"}), Some("9791162541401")),
            (json!({"isbn": "0140449132", "isbn13": ""}), Some("9780140449136")),
            (json!({"isbn": "K642734155", "isbn13": ""}), Some("K642734155")),
            (json!({"isbn": "", "isbn13": "K642734155"}), Some("K642734155")),
            (json!({"isbn": "K642734155", "isbn13": "9791162541402"}), Some("K642734155")),
            (json!({"isbn": "", "isbn13": "", "itemId": 281_256_147}), Some("aladin:281256147")),
            (json!({"isbn": "8801234567893", "itemId": "77"}), Some("aladin:77")),
            (json!({"isbn": "O140449132", "itemId": 77}), Some("aladin:77")),
            (json!({"isbn": ""}), None),
            (json!({}), None),
        ] {
            assert_eq!(key_of(&item).as_ref().map(BookKey::as_str), expected, "{item}");
        }
    }

    #[test]
    fn ids_of_others_are_not_asked_for() {
        for (id, expected) in [
            ("K642734155", Some(("ISBN", "K642734155"))),
            ("aladin:281256147", Some(("ItemId", "281256147"))),
            ("aladin:x", None),
            ("goodreads:5", None),
            ("OL7353617M", None),
        ] {
            assert_eq!(aladin_id(&id.parse().unwrap()), expected, "{id}");
        }
    }
}
