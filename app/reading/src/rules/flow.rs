//! How the memos of a day are grouped: by sitting, by book, by tag.

use std::time::Duration;

use endpaper_api::reading::TagCategory;
use stdx::UnixMicros;

use crate::model::{Memo, Tag, UserBookId};

/// A memo, as far as the flow of a day cares.
pub trait InFlow: Clone {
    /// What names a book.
    type Book: PartialEq;
    /// When it was begun.
    fn started_at(&self) -> UnixMicros;
    /// Its book.
    fn book(&self) -> Self::Book;
    /// Its tags.
    fn tags(&self) -> &[Tag];
}

impl InFlow for Memo {
    type Book = UserBookId;

    fn started_at(&self) -> UnixMicros {
        self.draft.started_at
    }

    fn book(&self) -> UserBookId {
        self.draft.user_book_id
    }

    fn tags(&self) -> &[Tag] {
        self.draft.tags.as_slice()
    }
}

/// Memos with at most this much time between them are of one sitting. Half an
/// hour: a chapter without a memo does not end a sitting, lunch does.
pub const SESSION_GAP: Duration = Duration::from_mins(30);

/// The sittings of a day, from `memos` in the order of their time. No sitting
/// is empty.
#[must_use]
pub fn by_session<M: InFlow>(memos: Vec<M>) -> Vec<Vec<M>> {
    let mut sessions: Vec<Vec<M>> = Vec::new();
    for memo in memos {
        let at = memo.started_at();
        match sessions.last_mut() {
            Some(session)
                if session
                    .last()
                    .is_some_and(|last| at.since(last.started_at()) <= SESSION_GAP) =>
            {
                session.push(memo);
            }
            _ => sessions.push(vec![memo]),
        }
    }
    sessions
}

/// The memos of each book, books in the order of their first memo.
#[must_use]
pub fn by_book<M: InFlow>(memos: Vec<M>) -> Vec<(M::Book, Vec<M>)> {
    let mut books: Vec<(M::Book, Vec<M>)> = Vec::new();
    for memo in memos {
        let book = memo.book();
        match books.iter_mut().find(|(id, _)| *id == book) {
            Some((_, of_book)) => of_book.push(memo),
            None => books.push((book, vec![memo])),
        }
    }
    books
}

/// The memos of each tag, in the order of the catalogue, then those without a
/// tag; where a category is asked for, of its tags alone. A memo with two tags
/// is in two groups.
#[must_use]
pub fn by_tag<M: InFlow>(memos: &[M], category: Option<TagCategory>) -> Vec<(Option<Tag>, Vec<M>)> {
    let asked = |tag: &&Tag| category.is_none_or(|category| tag.category() == category);
    let mut groups: Vec<(Option<Tag>, Vec<M>)> = Tag::ALL
        .iter()
        .filter(asked)
        .map(|tag| {
            let has_it = |memo: &&M| memo.tags().contains(tag);
            (Some(*tag), memos.iter().filter(has_it).cloned().collect())
        })
        .collect();
    let untagged = |memo: &&M| !memo.tags().iter().any(|tag| asked(&tag));
    groups.push((None, memos.iter().filter(untagged).cloned().collect()));
    groups.retain(|(_, memos)| !memos.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use stdx::ids::Id as _;
    use stdx::{HybridTime, UnixMicros};

    use super::*;
    use crate::model::{Content, MemoDraft, MemoId, MemoVersion, Page, Tags};

    fn memo(number: u128, book: u128, minute: i64, tags: &[Tag]) -> Memo {
        let at = UnixMicros::from_secs(minute * 60);
        Memo {
            id: MemoId::from_uuid(uuid::Uuid::from_u128(number)),
            draft: MemoDraft {
                user_book_id: UserBookId::from_uuid(uuid::Uuid::from_u128(book)),
                page: Page::new(1).unwrap(),
                content: Content::new("memo".to_owned()).unwrap(),
                tags: Tags::new(tags.iter().map(|tag| tag.code()), None).unwrap(),
                started_at: at,
            },
            book_title: "book".to_owned(),
            book_key: "K642734155".parse().unwrap(),
            created_at: at,
            updated_at: at,
            version: MemoVersion(HybridTime::ZERO),
        }
    }

    fn memos() -> impl Strategy<Value = Vec<Memo>> {
        let one = (1u128..5, 0i64..1_440, proptest::sample::subsequence(Tag::ALL.to_vec(), 0..4));
        proptest::collection::vec(one, 0..40).prop_map(|mut all| {
            all.sort_by_key(|(_, minute, _)| *minute);
            (1u128..)
                .zip(all)
                .map(|(number, (book, minute, tags)): (u128, (u128, i64, Vec<Tag>))| {
                    memo(number, book, minute, &tags)
                })
                .collect()
        })
    }

    #[test]
    fn half_an_hour_is_one_sitting_and_a_minute_more_is_not() {
        let day = [0, 30, 60, 91].iter().map(|minute| memo(1, 1, *minute, &[])).collect();
        let sessions = by_session(day);
        assert_eq!(sessions.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
        assert!(by_session(Vec::<Memo>::new()).is_empty());
    }

    #[test]
    fn untagged_means_without_a_tag_of_the_category() {
        let day = [memo(1, 1, 0, &[Tag::Love]), memo(2, 1, 1, &[Tag::Quote, Tag::Love])];
        let groups = |category| -> Vec<(Option<Tag>, usize)> {
            by_tag(&day, category).into_iter().map(|(tag, memos)| (tag, memos.len())).collect()
        };
        assert_eq!(groups(None), [(Some(Tag::Quote), 1), (Some(Tag::Love), 2)]);
        assert_eq!(groups(Some(TagCategory::Type)), [(Some(Tag::Quote), 1), (None, 1)]);
        assert_eq!(groups(Some(TagCategory::Topic)), [(Some(Tag::Love), 2)]);
    }

    proptest! {
        #[test]
        fn sittings_hold_every_memo_once_in_order(memos in memos()) {
            let sessions = by_session(memos.clone());
            prop_assert_eq!(sessions.concat(), memos);
            for pair in sessions.windows(2) {
                let (end, begin) = (pair[0].last().unwrap(), pair[1].first().unwrap());
                prop_assert!(begin.draft.started_at.since(end.draft.started_at) > SESSION_GAP);
            }
        }

        #[test]
        fn books_hold_every_memo_once(memos in memos()) {
            let books = by_book(memos.clone());
            prop_assert_eq!(books.iter().map(|(_, memos)| memos.len()).sum::<usize>(), memos.len());
            for (book, of_book) in books {
                prop_assert!(of_book.iter().all(|memo| memo.draft.user_book_id == book));
                prop_assert!(of_book.windows(2).all(|pair| pair[0].draft.started_at <= pair[1].draft.started_at));
            }
        }

        #[test]
        fn tags_hold_every_memo_as_often_as_it_has_tags(
            memos in memos(), category in proptest::sample::select(vec![None, Some(TagCategory::Type), Some(TagCategory::Topic)]),
        ) {
            let groups = by_tag(&memos, category);
            let shown: BTreeSet<_> =
                groups.iter().flat_map(|(_, memos)| memos).map(|memo| memo.id).collect();
            prop_assert_eq!(shown.len(), memos.len());
            for (tag, of_tag) in &groups {
                prop_assert!(!of_tag.is_empty());
                let Some(tag) = tag else { continue };
                prop_assert!(category.is_none_or(|category| category == tag.category()));
                let expected = memos.iter().filter(|memo| memo.draft.tags.as_slice().contains(tag)).count();
                prop_assert_eq!(of_tag.len(), expected);
            }
        }
    }
}
