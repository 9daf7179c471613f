//! Open Library: books of the world, kept by the Internet Archive. No key; in
//! return it wants to know who asks.

use balance::BreakerConfig;
use serde_json::Value;

use super::fetch::{FetchError, Fetcher, SourceLimits, SourceSetupError, USER_AGENT};
use super::found::{
    FoundBook, FoundPage, SearchField, SearchRequest, SourceName, SourceState, Unavailable,
};
use super::guard::{AskError, Guard, SourceEnvironment};
use super::people::{Contributor, Role, author_line};
use super::pub_date::PubDate;
use super::wire::{count_of, line_of, list_of, url_of};
use super::{Answer, BookSource, lenient_json};
use crate::isbn::{BookKey, Isbn13, SourceItemId};
use crate::text::line;

/// How to reach Open Library.
#[derive(Clone, Debug)]
pub struct OpenLibraryConfig {
    /// Where it is. Default `https://openlibrary.org`.
    pub base_url: String,
    /// Where covers are. Default `https://covers.openlibrary.org`. Only
    /// addresses are made of it; nothing is fetched.
    pub covers_url: String,
    /// Who asks: an address of the operator, for the `User-Agent`. Open Library
    /// asks for it, and gives more to those who tell.
    pub contact: Option<String>,
    /// How long, and how much.
    pub limits: SourceLimits,
    /// When it is left alone.
    pub breaker: BreakerConfig,
}

impl Default for OpenLibraryConfig {
    fn default() -> Self {
        Self {
            base_url: "https://openlibrary.org".to_owned(),
            covers_url: "https://covers.openlibrary.org".to_owned(),
            contact: None,
            limits: SourceLimits::default(),
            breaker: BreakerConfig::default(),
        }
    }
}

/// Open Library as a source of books.
#[derive(Debug)]
pub struct OpenLibrarySource {
    covers_url: String,
    fetcher: Fetcher,
    guard: Guard,
}

/// The fields of a search that are read; without a list, it sends many more.
const FIELDS: &str = "title,subtitle,author_name,publisher,first_publish_year,isbn,cover_i,\
                      cover_edition_key,number_of_pages_median,subject";

impl OpenLibrarySource {
    /// Sets the source up. Asks nothing yet.
    pub fn new(
        config: OpenLibraryConfig,
        environment: SourceEnvironment,
    ) -> Result<Self, SourceSetupError> {
        let user_agent = match config.contact {
            None => USER_AGENT.to_owned(),
            Some(contact) => {
                let is_plain = contact.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
                if !is_plain {
                    return Err(SourceSetupError::Contact(contact));
                }
                format!("{USER_AGENT} ({contact})")
            }
        };
        Ok(Self {
            covers_url: config.covers_url.trim_end_matches('/').to_owned(),
            fetcher: Fetcher::new(&config.base_url, &user_agent, config.limits)?,
            guard: Guard::new(SourceName::OpenLibrary, config.breaker, environment),
        })
    }

    async fn search_page(&self, request: &SearchRequest) -> Result<FoundPage, AskError> {
        let field = match request.field() {
            SearchField::Title => "title",
            SearchField::Author => "author",
            SearchField::Publisher => "publisher",
        };
        let parameters = [
            (field, request.query()),
            ("fields", FIELDS),
            ("offset", &(request.start() - 1).to_string()),
            ("limit", &request.max_results().to_string()),
        ];
        let empty = FoundPage { source: SourceName::OpenLibrary, total: 0, books: Vec::new() };
        let body = match self.fetcher.get(self.fetcher.url(&["search.json"], &parameters)).await {
            // Its way to say that the query is too short to look for.
            Err(FetchError::Status { status: 422, .. }) => return Ok(empty),
            fetched => fetched?,
        };
        let reply = read(&body.0)?;
        if reply.get("docs").and_then(Value::as_array).is_none() {
            return Err(garbled("no list of books"));
        }
        let docs = list_of(&reply, "docs");
        let found = u32::try_from(docs.len()).unwrap_or(u32::MAX);
        let total = count_of(&reply, "numFound").or(count_of(&reply, "num_found")).unwrap_or(0);
        let wanted = docs.iter().take(request.max_results() as usize);
        Ok(FoundPage {
            total: total.max(found),
            books: wanted.filter_map(|doc| self.book_of_search(doc)).collect(),
            ..empty
        })
    }

    async fn look_up_book(&self, kind: &str, key: &BookKey) -> Result<Option<FoundBook>, AskError> {
        let id = format!("{kind}:{key}");
        let parameters = [("bibkeys", id.as_str()), ("format", "json"), ("jscmd", "data")];
        let body = self.fetcher.get(self.fetcher.url(&["api", "books"], &parameters)).await?;
        let reply = read(&body.0)?;
        let Some(books) = reply.as_object() else { return Err(garbled("no books")) };
        Ok(books.get(&id).and_then(|book| book_of_data(book, key.clone())))
    }

    fn book_of_search(&self, doc: &Value) -> Option<FoundBook> {
        let isbn = list_of(doc, "isbn")
            .iter()
            .take(ISBNS_MAX)
            .find_map(|isbn| isbn.as_str()?.parse::<Isbn13>().ok());
        let edition = || line_of(doc, "cover_edition_key")?.parse::<SourceItemId>().ok();
        let key = isbn.map(BookKey::Isbn).or_else(|| edition().map(BookKey::Foreign))?;
        let people = authors(list_of(doc, "author_name").iter().map(Value::as_str));
        let cover =
            count_of(doc, "cover_i").map(|id| format!("{}/b/id/{id}-L.jpg", self.covers_url));
        let year = doc.get("first_publish_year").and_then(Value::as_i64);
        Some(FoundBook {
            source: SourceName::OpenLibrary,
            key,
            title: line_of(doc, "title")?,
            subtitle: line_of(doc, "subtitle"),
            author: author_line(&people),
            people,
            publisher: first_line(list_of(doc, "publisher").iter().map(Value::as_str)),
            pub_date: year.and_then(|year| PubDate::year(i16::try_from(year).ok()?).ok()),
            cover_url: cover,
            description: None,
            total_pages: count_of(doc, "number_of_pages_median"),
            genre: first_line(list_of(doc, "subject").iter().map(Value::as_str)),
        })
    }
}

impl BookSource for OpenLibrarySource {
    fn name(&self) -> SourceName {
        SourceName::OpenLibrary
    }

    fn search<'a>(&'a self, request: &'a SearchRequest) -> Answer<'a, FoundPage> {
        Box::pin(self.guard.ask(self.search_page(request)))
    }

    fn look_up<'a>(&'a self, key: &'a BookKey) -> Answer<'a, Option<FoundBook>> {
        Box::pin(async move {
            let kind = match key {
                BookKey::Isbn(_) => "ISBN",
                BookKey::Foreign(id) if is_edition(id) => "OLID",
                BookKey::Foreign(_) => return Ok(None),
            };
            self.guard.ask(self.look_up_book(kind, key)).await
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

/// A work can have thousands of editions; one of the first has a proper ISBN.
const ISBNS_MAX: usize = 100;

fn garbled(what: &str) -> AskError {
    AskError::Failed(Unavailable::Garbled(what.to_owned()))
}

fn read(body: &[u8]) -> Result<Value, AskError> {
    lenient_json::read(body).map_err(|problem| garbled(&problem.to_string()))
}

/// An edition is `OL`, digits, `M`.
fn is_edition(id: &SourceItemId) -> bool {
    let digits = id.as_str().strip_prefix("OL").and_then(|rest| rest.strip_suffix('M'));
    digits.is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn first_line<'a>(mut texts: impl Iterator<Item = Option<&'a str>>) -> Option<String> {
    texts.find_map(|text| Some(line(text?)).filter(|text| !text.is_empty()))
}

fn authors<'a>(names: impl Iterator<Item = Option<&'a str>>) -> Vec<Contributor> {
    let names = names.flatten().map(line).filter(|name| !name.is_empty());
    names.map(|name| Contributor { name, role: Role::Author }).collect()
}

/// Lists of `{"name": …}`.
fn names<'a>(object: &'a Value, member: &str) -> impl Iterator<Item = Option<&'a str>> {
    list_of(object, member).iter().map(|item| item.get("name").and_then(Value::as_str))
}

fn book_of_data(book: &Value, key: BookKey) -> Option<FoundBook> {
    let people = authors(names(book, "authors"));
    let cover = book.get("cover").unwrap_or(&Value::Null);
    Some(FoundBook {
        source: SourceName::OpenLibrary,
        key,
        title: line_of(book, "title")?,
        subtitle: line_of(book, "subtitle"),
        author: author_line(&people),
        people,
        publisher: first_line(names(book, "publishers")),
        pub_date: line_of(book, "publish_date").and_then(|text| PubDate::from_catalogue(&text)),
        cover_url: ["large", "medium", "small"].iter().find_map(|size| url_of(cover, size)),
        description: None,
        total_pages: count_of(book, "number_of_pages"),
        genre: first_line(names(book, "subjects")),
    })
}
