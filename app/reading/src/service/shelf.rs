//! The shelf.
//!
//! On one shelf there is one book of a key, also when two devices put it there
//! at the same time. A book that is taken off the shelf leaves its memos: they
//! are found by nothing, and when the same book comes back it gets its old id
//! and with it its memos. So a removal can be undone, and no text of a reader
//! is lost by one tap.

use endpaper_api::reading::{
    Category, ChangeShelfBook, CloseBook, FinishReading, ShelfSort, ShelveBook, StartReading,
};
use endpaper_api::{FieldProblem, Language};
use jiff::tz::TimeZone;
use multi_master::{Db, Tx};
use stdx::UnixMicros;

use super::{ReadingError, ReadingService, sync};
use crate::isbn::BookKey;
use crate::model::{
    BookFacts, BookId, CatalogueBook, Flaws, Origin, ReaderId, Reading, ShelfBook, UserBookId,
};
use crate::rules::{days, facts, keys, progress};
use crate::store::shelf::Recent;
use crate::store::{books, shelf};

impl ReadingService {
    /// Puts a book on the shelf. What the request leaves open the catalogue
    /// fills, where it has the book.
    ///
    /// # Errors
    /// [`ReadingError::AlreadyOnShelf`] with the id of the book there.
    pub async fn shelve(
        &self,
        reader: ReaderId,
        request: ShelveBook,
    ) -> Result<ShelfBook, ReadingError> {
        let mut flaws = Flaws::default();
        let Some(key) = key_of(&request, &mut flaws) else {
            // What else is wrong is said in the same answer.
            let found = facts::of_request(&request, None, &mut flaws);
            progress::shelve(&request, found.total_pages, &mut flaws);
            return Err(flaws.into());
        };
        if request.title.is_none() {
            // A source may know what the reader leaves out; where it does not,
            // the title is asked for below.
            let _ = self.book(&key).await;
        }
        let now = self.now();
        let (spare, book_id): (UserBookId, BookId) = (self.0.ids.next(), self.0.ids.next());
        self.write(async move |tx: &mut Tx| {
            let wanted = keys::shelf_id(reader, &key);
            let taken = shelf::taken(tx, wanted.as_slice()).await?;
            let user_book_id = wanted.filter(|id| !taken.contains(id)).unwrap_or(spare);
            let new = New { user_book_id, book_id, created_at: now, updated_at: now };
            let book = put_as_asked(tx, reader, &key, &request, new, now).await?;
            sync::books_put(tx, reader, std::slice::from_ref(&book), now).await?;
            Ok(book)
        })
        .await
    }

    /// One book of the shelf.
    pub async fn shelf_book(
        &self,
        reader: ReaderId,
        book: UserBookId,
    ) -> Result<ShelfBook, ReadingError> {
        self.0
            .store
            .read(async move |db: &mut Db| {
                shelf::get(db, reader, book).await?.ok_or(ReadingError::UserBookNotFound)
            })
            .await
    }

    /// The shelf, or one category of it, in the order of a language. Books that
    /// lack what is sorted by come last; what is equal is in the order of
    /// titles.
    pub async fn shelf(
        &self,
        reader: ReaderId,
        category: Option<Category>,
        sort: ShelfSort,
        language: Language,
    ) -> Result<Vec<ShelfBook>, ReadingError> {
        let mut books = self
            .0
            .store
            .read(async move |db: &mut Db| {
                Ok::<_, ReadingError>(shelf::list(db, reader, category).await?)
            })
            .await?;
        let collator = match language {
            Language::Ko => &self.0.korean,
            Language::En => &self.0.english,
        };
        books.sort_by_cached_key(|book| {
            let facts = &book.facts;
            let first = match sort {
                ShelfSort::Title => None,
                ShelfSort::Author => facts.author.as_deref(),
                ShelfSort::Publisher => facts.publisher.as_deref(),
                ShelfSort::Genre => facts.main_genre.as_deref(),
            };
            (first.is_none(), first.map(|text| collator.key(text)), collator.key(&facts.title))
        });
        Ok(books)
    }

    /// Changes what is given and keeps the rest.
    pub async fn change_shelf_book(
        &self,
        reader: ReaderId,
        book: UserBookId,
        request: ChangeShelfBook,
    ) -> Result<ShelfBook, ReadingError> {
        let now = self.now();
        let book_id: BookId = self.0.ids.next();
        self.write(async move |tx: &mut Tx| {
            let old = shelf::get(tx, reader, book).await?.ok_or(ReadingError::UserBookNotFound)?;
            let new = change_as_asked(tx, reader, &old, &request, book_id, now).await?;
            sync::book_changed(tx, reader, &old, &new, now).await?;
            Ok(new)
        })
        .await
    }

    /// The reader sets the category by hand.
    pub async fn set_category(
        &self,
        reader: ReaderId,
        book: UserBookId,
        category: Category,
    ) -> Result<ShelfBook, ReadingError> {
        self.step(reader, book, move |old| Ok(progress::set_category(&old.reading, category))).await
    }

    /// The reader begins the book.
    pub async fn start_reading(
        &self,
        reader: ReaderId,
        book: UserBookId,
        request: StartReading,
    ) -> Result<ShelfBook, ReadingError> {
        self.step(reader, book, move |old| {
            progress::start(&old.reading, &request, old.facts.total_pages)
        })
        .await
    }

    /// The reader has finished the book.
    pub async fn finish_reading(
        &self,
        reader: ReaderId,
        book: UserBookId,
        request: FinishReading,
    ) -> Result<ShelfBook, ReadingError> {
        self.step(reader, book, move |old| {
            progress::finish(&old.reading, &request, old.facts.total_pages)
        })
        .await
    }

    /// The reader closes the book after a sitting.
    pub async fn close_book(
        &self,
        reader: ReaderId,
        book: UserBookId,
        request: CloseBook,
    ) -> Result<ShelfBook, ReadingError> {
        self.step(reader, book, move |old| {
            progress::close(&old.reading, &request, old.facts.total_pages)
        })
        .await
    }

    /// Takes a book off the shelf; `false` when the reader has none of this id,
    /// which is no error: a repeat finds it done.
    pub async fn remove(&self, reader: ReaderId, book: UserBookId) -> Result<bool, ReadingError> {
        let now = self.now();
        self.write(async move |tx: &mut Tx| {
            let was_there = shelf::remove(tx, reader, book, now).await?;
            if was_there {
                sync::book_taken_off(tx, reader, book, now).await?;
            }
            Ok(was_there)
        })
        .await
    }

    /// The books with memos in the last `months` months, latest first.
    pub async fn recent_books(
        &self,
        reader: ReaderId,
        months: i64,
        zone: &TimeZone,
    ) -> Result<Vec<Recent>, ReadingError> {
        let since = days::months_before(self.now(), months, zone)?;
        self.0
            .store
            .read(async move |db: &mut Db| {
                Ok::<_, ReadingError>(shelf::recent(db, reader, since).await?)
            })
            .await
    }

    async fn step(
        &self,
        reader: ReaderId,
        book: UserBookId,
        rule: impl Fn(&ShelfBook) -> Result<Reading, Flaws> + Clone + Send + 'static,
    ) -> Result<ShelfBook, ReadingError> {
        let now = self.now();
        self.write(async move |tx: &mut Tx| {
            let old = shelf::get(tx, reader, book).await?.ok_or(ReadingError::UserBookNotFound)?;
            let new = ShelfBook { reading: rule(&old)?, ..old.clone() };
            let mut flaws = Flaws::default();
            finished_by_now(Some(&old.reading), &new.reading, now, &mut flaws);
            flaws.check(())?;
            let new = changed(tx, &old, new, now).await?;
            sync::book_changed(tx, reader, &old, &new, now).await?;
            Ok(new)
        })
        .await
    }
}

/// A book is not finished on a day that is still to come. What was written
/// before does not stop a change of something else.
fn finished_by_now(old: Option<&Reading>, new: &Reading, now: UnixMicros, flaws: &mut Flaws) {
    let is_new = old.is_none_or(|old| old.finished_on != new.finished_on);
    if is_new && new.finished_on.is_some_and(|day| day > days::tomorrow(now)) {
        flaws.add("readingFinishedDate", FieldProblem::InTheFuture);
    }
}

/// Ids and times of a book that comes to a shelf.
pub(super) struct New {
    pub(super) user_book_id: UserBookId,
    pub(super) book_id: BookId,
    pub(super) created_at: UnixMicros,
    pub(super) updated_at: UnixMicros,
}

/// The book that a request to put it on a shelf is about.
pub(super) fn key_of(request: &ShelveBook, flaws: &mut Flaws) -> Option<BookKey> {
    let isbn = request.isbn.as_deref().map(str::trim).filter(|isbn| !isbn.is_empty());
    if let Some(isbn) = isbn {
        flaws.note("isbn", keys::of_input(isbn))
    } else {
        let author = request.author.as_deref();
        request.title.as_ref().map(|title| keys::own(title, author))
    }
}

/// Puts a book on a shelf as a request says.
pub(super) async fn put_as_asked(
    tx: &mut Tx,
    reader: ReaderId,
    key: &BookKey,
    request: &ShelveBook,
    new: New,
    now: UnixMicros,
) -> Result<ShelfBook, ReadingError> {
    let known = books::find(tx, key).await?;
    let shared = known.as_ref().filter(|book| book.origin != Origin::Reader);
    let mut flaws = Flaws::default();
    let facts = facts::of_request(request, shared.map(|book| &book.facts), &mut flaws);
    let reading = progress::shelve(request, facts.total_pages, &mut flaws);
    finished_by_now(None, &reading, now, &mut flaws);
    let (facts, reading) = flaws.check((facts, reading))?;
    put(tx, reader, key, known.as_ref(), facts, reading, new).await
}

/// Changes a book of a shelf as a request says.
pub(super) async fn change_as_asked(
    tx: &mut Tx,
    reader: ReaderId,
    old: &ShelfBook,
    request: &ChangeShelfBook,
    new_book_id: BookId,
    now: UnixMicros,
) -> Result<ShelfBook, ReadingError> {
    let mut flaws = Flaws::default();
    let facts = facts::changed(&old.facts, request, &mut flaws);
    let reading = progress::change(
        &old.reading,
        request,
        old.facts.total_pages,
        facts.total_pages,
        &mut flaws,
    );
    finished_by_now(Some(&old.reading), &reading, now, &mut flaws);
    let key = match request.isbn.as_ref() {
        None => old.book_key.clone(),
        Some(isbn) => {
            flaws.note("isbn", keys::of_input(isbn.trim())).unwrap_or_else(|| old.book_key.clone())
        }
    };
    let (facts, reading) = flaws.check((facts, reading))?;
    let mut new = ShelfBook { facts, reading, ..old.clone() };
    if key != old.book_key {
        if let Some(existing) = shelf::find(tx, reader, &key).await? {
            return Err(ReadingError::AlreadyOnShelf(existing));
        }
        let known = books::find(tx, &key).await?;
        new.book_id = catalogued(tx, &key, known.as_ref(), &new.facts, new_book_id, now).await?;
        new.book_key = key;
    }
    changed(tx, old, new, now).await
}

/// Puts a book on a shelf on which it is not.
pub(super) async fn put(
    tx: &mut Tx,
    reader: ReaderId,
    key: &BookKey,
    known: Option<&CatalogueBook>,
    facts: BookFacts,
    reading: Reading,
    new: New,
) -> Result<ShelfBook, ReadingError> {
    if let Some(existing) = shelf::find(tx, reader, key).await? {
        return Err(ReadingError::AlreadyOnShelf(existing));
    }
    let book_id = catalogued(tx, key, known, &facts, new.book_id, new.created_at).await?;
    let id = shelf::trace(tx, reader, key).await?.unwrap_or(new.user_book_id);
    shelf::drop_traces(tx, id).await?;
    let book = ShelfBook {
        id,
        book_id,
        book_key: key.clone(),
        facts,
        reading,
        created_at: new.created_at,
        updated_at: new.updated_at,
    };
    shelf::insert(tx, reader, &book).await?;
    Ok(book)
}

/// The catalogue's id of a book, which is made where the catalogue does not
/// have it.
async fn catalogued(
    tx: &mut Tx,
    key: &BookKey,
    known: Option<&CatalogueBook>,
    facts: &BookFacts,
    new_id: BookId,
    now: UnixMicros,
) -> Result<BookId, ReadingError> {
    if let Some(known) = known {
        return Ok(known.id);
    }
    // Of what the reader typed the catalogue keeps the title: enough for an
    // operator to see what is missing, and nobody else is shown it.
    let facts = BookFacts { title: facts.title.clone(), ..BookFacts::default() };
    let book = CatalogueBook { id: new_id, book_key: key.clone(), facts, origin: Origin::Reader };
    books::insert(tx, &book, now).await?;
    Ok(new_id)
}

async fn changed(
    tx: &mut Tx,
    old: &ShelfBook,
    mut new: ShelfBook,
    now: UnixMicros,
) -> Result<ShelfBook, ReadingError> {
    if new != *old {
        new.updated_at = now;
        shelf::update(tx, old, &new).await?;
    }
    Ok(new)
}
