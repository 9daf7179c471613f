//! Memos.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use endpaper_api::reading::{FlowSort, TagCategory};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use multi_master::{Db, Tx};
use sha2::{Digest as _, Sha256};

use super::running::Run;
use super::{ReadingError, ReadingService, sync};
use crate::model::{
    Memo, MemoChange, MemoDraft, MemoId, MemoVersion, ReaderId, Tag, Tags, UserBookId,
};
use crate::rules::{days, flow};
use crate::store::memos::{self, MadeOf};
use crate::store::{requests, shelf};

/// How long the answer to a request with an idempotency key is kept at least.
/// A phone that was off overnight still repeats safely.
pub const ANSWER_KEPT: Duration = Duration::from_hours(48);

/// How many older answers of the same reader each request with a key removes:
/// more than it adds, so that what is kept does not grow.
const FORGOTTEN_AT_ONCE: u32 = 4;

/// An idempotency key and what belongs to it.
#[derive(Clone)]
pub struct Keyed {
    /// The key: 1 to 128 characters.
    pub key: String,
    /// SHA-256 of the request's body, in a form that does not depend on its
    /// spelling.
    pub body_digest: [u8; 32],
    /// Makes the answer that a repeat gets.
    pub answer: Arc<dyn Fn(&Memo) -> String + Send + Sync>,
}

impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyed").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What became of a memo that was to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is written, now or by an earlier request with the same id and
    /// content.
    Memo(Box<Memo>),
    /// An earlier request with the same idempotency key was answered with this.
    Answered(String),
}

/// Whether a change may be made to a version.
pub type Precondition = Arc<dyn Fn(MemoVersion) -> bool + Send + Sync>;

/// The memos of a day, grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouped {
    /// By sitting.
    Sessions(Vec<Vec<Memo>>),
    /// By book.
    Books(Vec<(UserBookId, Vec<Memo>)>),
    /// By tag; `None` for memos without one.
    Tags(Vec<(Option<Tag>, Vec<Memo>)>),
}

/// The flow of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The day.
    pub day: Date,
    /// How many memos it has, each counted once.
    pub memo_count: usize,
    /// Its memos.
    pub grouped: Grouped,
}

impl ReadingService {
    /// Writes a memo on a book of the shelf.
    ///
    /// The same memo under the same client-made id is written once, and each
    /// repeat gets it. A repeat with the same idempotency key gets the first
    /// answer.
    ///
    /// # Errors
    /// [`ReadingError::IdTaken`] when the id belongs to another memo, whoever's
    /// it is; [`ReadingError::KeyReused`] and [`ReadingError::KeyInUse`] about
    /// the idempotency key.
    pub async fn write_memo(
        &self,
        reader: ReaderId,
        memo_id: Option<MemoId>,
        draft: MemoDraft,
        keyed: Option<Keyed>,
    ) -> Result<Written, ReadingError> {
        let Some(keyed) = keyed else {
            return self.write_memo_once(reader, memo_id, draft, None).await;
        };
        // It runs until it is answered; where the request is cancelled, until
        // its write has ended.
        let run = self.0.requests.begin(&(reader, keyed.key.clone()));
        let run = run.ok_or(ReadingError::KeyInUse)?;
        let written =
            self.write_memo_once(reader, memo_id, draft, Some((keyed, run.clone()))).await;
        run.end();
        written
    }

    async fn write_memo_once(
        &self,
        reader: ReaderId,
        memo_id: Option<MemoId>,
        draft: MemoDraft,
        keyed: Option<(Keyed, Run<(ReaderId, String)>)>,
    ) -> Result<Written, ReadingError> {
        let now = self.now();
        let made_of = made_of(&draft);
        let chosen = memo_id.is_some();
        let memo_id = memo_id.unwrap_or_else(|| self.0.ids.next());
        self.write(async move |tx: &mut Tx| {
            let keyed = keyed.as_ref().map(|(keyed, _)| keyed);
            if let Some(keyed) = keyed {
                if let Some(first) = requests::find(tx, reader, &keyed.key).await? {
                    return if first.body_digest == keyed.body_digest {
                        Ok(Written::Answered(first.answer))
                    } else {
                        Err(ReadingError::KeyReused)
                    };
                }
                let before = now.before(ANSWER_KEPT);
                requests::forget(tx, reader, before, FORGOTTEN_AT_ONCE).await?;
            }
            let holder = if chosen { memos::holder(tx, memo_id).await? } else { None };
            match holder {
                Some((owner, earlier)) if owner == reader && earlier == made_of => {}
                Some(_) => return Err(ReadingError::IdTaken),
                None => {
                    if shelf::get(tx, reader, draft.user_book_id).await?.is_none() {
                        return Err(ReadingError::UserBookNotFound);
                    }
                    memos::insert(tx, reader, memo_id, &draft, &made_of, (now, now)).await?;
                    sync::memos_written(tx, reader, &[memo_id], now).await?;
                }
            }
            let memo =
                memos::get(tx, reader, memo_id).await?.ok_or(ReadingError::UserBookNotFound)?;
            if let Some(keyed) = keyed {
                let answer = (keyed.answer)(&memo);
                requests::insert(tx, reader, &keyed.key, &keyed.body_digest, &answer, now).await?;
            }
            Ok(Written::Memo(Box::new(memo)))
        })
        .await
    }

    /// Changes what is given and keeps the rest, where `precondition` holds for
    /// the version that the memo has.
    pub async fn change_memo(
        &self,
        reader: ReaderId,
        memo_id: MemoId,
        change: MemoChange,
        precondition: Precondition,
    ) -> Result<Memo, ReadingError> {
        let now = self.now();
        self.write(async move |tx: &mut Tx| {
            let old = memos::get(tx, reader, memo_id).await?.ok_or(ReadingError::MemoNotFound)?;
            if !precondition(old.version) {
                return Err(ReadingError::VersionConflict);
            }
            let tags = change.tags.as_deref().unwrap_or(old.draft.tags.as_slice());
            let category = change.tag_category.unwrap_or(old.draft.tags.category());
            let draft = MemoDraft {
                page: change.page.unwrap_or(old.draft.page),
                content: change.content.clone().unwrap_or_else(|| old.draft.content.clone()),
                tags: Tags::new(tags.iter().map(|tag| tag.code()), category)?,
                ..old.draft.clone()
            };
            memos::update(tx, memo_id, &old.draft, &draft, now).await?;
            sync::memo_changed(tx, reader, memo_id, (&old.draft, &draft), now).await?;
            memos::get(tx, reader, memo_id).await?.ok_or(ReadingError::MemoNotFound)
        })
        .await
    }

    /// Deletes a memo; `false` when the reader has none of this id, which is no
    /// error: a repeat finds it done.
    pub async fn delete_memo(
        &self,
        reader: ReaderId,
        memo_id: MemoId,
        precondition: Precondition,
    ) -> Result<bool, ReadingError> {
        let now = self.now();
        self.write(async move |tx: &mut Tx| {
            let old = memos::get(tx, reader, memo_id).await?;
            if old.is_some_and(|old| !precondition(old.version)) {
                return Err(ReadingError::VersionConflict);
            }
            let deleted = memos::delete(tx, reader, memo_id).await?;
            if deleted {
                sync::memo_deleted(tx, reader, memo_id, now).await?;
            }
            Ok(deleted)
        })
        .await
    }

    /// Whether any reader has a memo of this id.
    pub(super) async fn has_memo(&self, memo_id: MemoId) -> Result<bool, ReadingError> {
        self.0
            .store
            .read(async move |db: &mut Db| {
                Ok::<_, ReadingError>(memos::holder(db, memo_id).await?.is_some())
            })
            .await
    }

    /// The memos of a book, or of one day of it, in the order of their time.
    pub async fn memos_of_book(
        &self,
        reader: ReaderId,
        book: UserBookId,
        day: Option<Date>,
        zone: &TimeZone,
    ) -> Result<Vec<Memo>, ReadingError> {
        let span = day
            .map(|day| days::of_day(day, zone))
            .transpose()
            .map_err(|problem| ReadingError::field("date", problem))?;
        self.0
            .store
            .read(async move |db: &mut Db| {
                if shelf::get(db, reader, book).await?.is_none() {
                    return Err(ReadingError::UserBookNotFound);
                }
                Ok(memos::of_book(db, reader, book, span).await?)
            })
            .await
    }

    /// The days of a month with memos, in order.
    pub async fn days_with_memos(
        &self,
        reader: ReaderId,
        year: i64,
        month: i64,
        zone: &TimeZone,
    ) -> Result<Vec<Date>, ReadingError> {
        let span = days::of_month(year, month, zone)?;
        let times = self
            .0
            .store
            .read(async move |db: &mut Db| {
                Ok::<_, ReadingError>(memos::times(db, reader, span).await?)
            })
            .await?;
        let mut found: Vec<Date> = times.into_iter().map(|at| days::day_of(at, zone)).collect();
        found.dedup();
        Ok(found)
    }

    /// The memos of a day, grouped; of today, where no day is given.
    pub async fn flow(
        &self,
        reader: ReaderId,
        day: Option<Date>,
        sort: FlowSort,
        category: Option<TagCategory>,
        zone: &TimeZone,
    ) -> Result<Flow, ReadingError> {
        let day = day.unwrap_or_else(|| days::day_of(self.now(), zone));
        let span =
            days::of_day(day, zone).map_err(|problem| ReadingError::field("date", problem))?;
        let found = self
            .0
            .store
            .read(async move |db: &mut Db| {
                Ok::<_, ReadingError>(memos::of_span(db, reader, Some(span)).await?)
            })
            .await?;
        let memo_count = found.len();
        let grouped = match sort {
            FlowSort::Session => Grouped::Sessions(flow::by_session(found)),
            FlowSort::Book => Grouped::Books(flow::by_book(found)),
            FlowSort::Tag => Grouped::Tags(flow::by_tag(&found, category)),
        };
        Ok(Flow { day, memo_count, grouped })
    }
}

/// What a memo is made of, as one number.
pub(super) fn made_of(draft: &MemoDraft) -> MadeOf {
    let mut text = String::new();
    for tag in draft.tags.as_slice() {
        text.push_str(tag.code());
        text.push(',');
    }
    let category = draft.tags.category().map_or("", TagCategory::name);
    let _ = write!(
        text,
        "\0{category}\0{}\0{}\0{}\0{}",
        draft.user_book_id,
        draft.page.number(),
        draft.started_at.0,
        draft.content.as_str(),
    );
    Sha256::digest(text.as_bytes()).into()
}
