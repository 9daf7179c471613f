//! What is said, in the types of the wire.

use endpaper_api::{Instant, Language, reading as wire};
use stdx::UnixMicros;
use stdx::ids::Id as _;

use crate::isbn::BookKey;
use crate::model::{BookFacts, Memo, MemoVersion, ShelfBook, Tag};
use crate::rules::progress::percent;
use crate::service::memos::{Flow, Grouped};
use crate::store::shelf::Recent;

pub(super) fn instant(at: UnixMicros) -> Instant {
    Instant::from_micros(at.0)
}

pub(super) fn version(version: MemoVersion) -> String {
    version.0.as_i64().to_string()
}

pub(super) fn book(key: &BookKey, facts: &BookFacts) -> wire::Book {
    let facts = facts.clone();
    wire::Book {
        isbn: key.as_str().to_owned(),
        isbn13: key.isbn13().map(|isbn| isbn.as_str().to_owned()),
        title: facts.title,
        author: facts.author,
        publisher: facts.publisher,
        pub_date: facts.pub_date,
        cover_url: facts.cover_url,
        description: facts.description,
        total_pages: facts.total_pages,
        main_genre: facts.main_genre,
    }
}

pub(super) fn shelved(book: &ShelfBook) -> wire::Shelved {
    wire::Shelved {
        user_book_id: book.id.uuid(),
        book_id: book.book_id.uuid(),
        title: book.facts.title.clone(),
        category: book.reading.category,
    }
}

pub(super) fn shelf_book(shelf_book: &ShelfBook) -> wire::ShelfBook {
    let reading = &shelf_book.reading;
    wire::ShelfBook {
        user_book_id: shelf_book.id.uuid(),
        book_id: shelf_book.book_id.uuid(),
        book: book(&shelf_book.book_key, &shelf_book.facts),
        category: reading.category,
        category_by_hand: reading.by_hand,
        expectation: reading.expectation.clone(),
        reading_start_date: reading.started_on.map(Into::into),
        reading_progress: reading.progress,
        reading_percent: percent(reading.progress, shelf_book.facts.total_pages),
        purchase_type: reading.purchase_type,
        reading_finished_date: reading.finished_on.map(Into::into),
        rating: reading.rating.map(|rating| rating.stars().into()),
        review: reading.review.clone(),
        created_at: instant(shelf_book.created_at),
        updated_at: instant(shelf_book.updated_at),
    }
}

pub(super) fn recent(recent: &Recent) -> wire::RecentBook {
    wire::RecentBook {
        book: shelf_book(&recent.book),
        last_memo_time: instant(recent.last_memo_at),
        memo_count: recent.memo_count,
    }
}

pub(super) fn memo(memo: &Memo) -> wire::Memo {
    let draft = &memo.draft;
    wire::Memo {
        id: memo.id.uuid(),
        user_book_id: draft.user_book_id.uuid(),
        book_title: memo.book_title.clone(),
        book_isbn: memo.book_key.as_str().to_owned(),
        page_number: draft.page.number(),
        content: draft.content.as_str().to_owned(),
        tags: draft.tags.as_slice().iter().map(|tag| tag.code().to_owned()).collect(),
        tag_category: draft.tags.category(),
        memo_start_time: instant(draft.started_at),
        created_at: instant(memo.created_at),
        updated_at: instant(memo.updated_at),
        version: version(memo.version),
    }
}

fn memos(memos: &[Memo]) -> Vec<wire::Memo> {
    memos.iter().map(memo).collect()
}

pub(super) fn tag(tag: Tag) -> wire::Tag {
    wire::Tag {
        code: tag.code().to_owned(),
        category: tag.category(),
        labels: wire::TagLabels {
            ko: tag.label(Language::Ko).to_owned(),
            en: tag.label(Language::En).to_owned(),
        },
    }
}

pub(super) fn flow(flow: &Flow) -> wire::TodayFlow {
    let mut view = wire::TodayFlow {
        date: flow.day.into(),
        sort_by: wire::FlowSort::Session,
        memos_by_session: None,
        memos_by_book: None,
        memos_by_tag: None,
        total_memo_count: flow.memo_count as u64,
    };
    match &flow.grouped {
        Grouped::Sessions(sessions) => {
            let session = |of_session: &Vec<Memo>| {
                let (first, last) = (of_session.first()?, of_session.last()?);
                Some(wire::SessionMemos {
                    started_at: instant(first.draft.started_at),
                    ended_at: instant(last.draft.started_at),
                    memos: memos(of_session),
                })
            };
            view.memos_by_session = Some(sessions.iter().filter_map(session).collect());
        }
        Grouped::Books(books) => {
            view.sort_by = wire::FlowSort::Book;
            let book = |(_, of_book): &(_, Vec<Memo>)| {
                let first = of_book.first()?;
                Some(wire::BookMemos {
                    user_book_id: first.draft.user_book_id.uuid(),
                    book_title: first.book_title.clone(),
                    book_isbn: first.book_key.as_str().to_owned(),
                    memos: memos(of_book),
                })
            };
            view.memos_by_book = Some(books.iter().filter_map(book).collect());
        }
        Grouped::Tags(tags) => {
            view.sort_by = wire::FlowSort::Tag;
            let group = |(of_tag, tagged): &(Option<Tag>, Vec<Memo>)| wire::TagMemos {
                tag: of_tag.map(tag),
                memos: memos(tagged),
            };
            view.memos_by_tag = Some(tags.iter().map(group).collect());
        }
    }
    view
}
