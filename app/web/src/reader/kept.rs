//! What is kept of an account beside its records: what is typed and not taken, and what is
//! about to be deleted.

use std::collections::BTreeSet;
use std::time::Duration;

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use stdx::{Clock, UnixMicros};
use sync::engine::Edit;
use sync::model::{AccountId, RecordId, RecordKey};
use sync_web::StoreError;

use super::{Reader, UNDO};
use crate::account::KEEP;
use crate::cart::{Cart, Gift};

/// Names begin so, with the account after it.
const DRAFT: &str = "draft";
const REVIEW: &str = "review";
const GOING: &str = "going";
const CART: &str = "cart";
const GIFT: &str = "gift";
const ALL: [&str; 5] = [DRAFT, REVIEW, GOING, CART, GIFT];

/// What a memo was when it was last typed in, and not yet taken as an edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The book on the shelf.
    pub book: String,
    /// The page, as it was typed.
    pub page: String,
    /// The text.
    pub content: String,
    /// Codes of the tags.
    pub tags: Vec<String>,
    /// The text that was there when it was begun; none of a new one.
    pub before: Option<String>,
}

/// What is about to be deleted.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Going {
    key: RecordKey,
    written: UnixMicros,
    /// When the person said so.
    at: UnixMicros,
}

impl Reader {
    fn name(self, what: &str, of: RecordId) -> String {
        format!("{what}/{}/{of}", self.account().id)
    }

    async fn keep<T: Serialize>(self, name: &str, value: &T) -> bool {
        let kept = KEEP.set(name, value).await;
        self.is_full.set(matches!(kept, Err(StoreError::Full)));
        kept.is_ok()
    }

    /// Keeps what is being typed.
    pub async fn keep_draft(self, memo: RecordId, draft: &Draft) -> bool {
        self.keep(&self.name(DRAFT, memo), draft).await
    }

    /// What was typed in a memo, and not taken.
    pub async fn draft(self, memo: RecordId) -> Option<Draft> {
        KEEP.get(&self.name(DRAFT, memo)).await.ok().flatten()
    }

    /// What was typed has been taken.
    pub async fn drop_draft(self, memo: RecordId) {
        // One that stays is offered again.
        let _ = KEEP.remove(&self.name(DRAFT, memo)).await;
    }

    /// What was being typed when a page was closed.
    pub async fn drafts(self) -> Vec<(RecordId, Draft)> {
        let begins = format!("{DRAFT}/{}/", self.account().id);
        // One that can't be read, as one of a newer version, hides no other.
        let all = KEEP.all::<serde_json::Value>(&begins).await.unwrap_or_default();
        let read = |(id, draft): (String, _)| {
            Some((id.parse().ok()?, serde_json::from_value(draft).ok()?))
        };
        all.into_iter().filter_map(read).collect()
    }

    /// Keeps the review of a book that is being typed.
    pub async fn keep_review(self, book: RecordId, review: &str) -> bool {
        self.keep(&self.name(REVIEW, book), &review).await
    }

    /// The review of a book that was typed, and not taken.
    pub async fn review(self, book: RecordId) -> Option<String> {
        KEEP.get(&self.name(REVIEW, book)).await.ok().flatten()
    }

    /// It has been taken.
    pub async fn drop_review(self, book: RecordId) {
        let _ = KEEP.remove(&self.name(REVIEW, book)).await;
    }

    fn only(self, what: &str) -> String {
        format!("{what}/{}/0", self.account().id)
    }

    /// What is about to be ordered.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn cart(self) -> Result<Cart, StoreError> {
        Ok(KEEP.get(&self.only(CART)).await?.unwrap_or_default())
    }

    /// Changes what is about to be ordered, from what is there now, whichever tab put it
    /// there. Returns the cart, on the disk by then, and what `change` returns.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub async fn change_cart<R>(
        self,
        change: impl FnOnce(&mut Cart) -> R,
    ) -> Result<(Cart, R), StoreError> {
        let name = self.only(CART);
        let changed = KEEP.change(&name, |there: &mut Option<Cart>| {
            let cart = there.get_or_insert_default();
            let result = change(cart);
            (true, (cart.clone(), result))
        });
        let changed = changed.await;
        self.is_full.set(matches!(changed, Err(StoreError::Full)));
        changed
    }

    /// Money that was given, and whose answer has not come.
    pub async fn gift(self) -> Option<Gift> {
        KEEP.get(&self.only(GIFT)).await.ok().flatten()
    }

    /// Keeps one until the answer is there: the one that waits already, where there is one.
    pub async fn keep_gift(self, gift: Gift) -> Option<Gift> {
        let name = self.only(GIFT);
        let kept = KEEP.change(&name, |there: &mut Option<Gift>| {
            let is_free = there.is_none();
            (is_free, there.get_or_insert(gift).clone())
        });
        let kept = kept.await;
        self.is_full.set(matches!(kept, Err(StoreError::Full)));
        kept.ok()
    }

    /// There was an answer to this one.
    pub async fn drop_gift(self, gift: &Gift) {
        // One that stays is sent again, and is the same one.
        let _ = KEEP
            .change(&self.only(GIFT), |there: &mut Option<Gift>| {
                let is_it = there.as_ref().is_some_and(|there| there.id == gift.id);
                if is_it {
                    *there = None;
                }
                (is_it, ())
            })
            .await;
    }

    pub(super) async fn keep_going(self, key: &RecordKey, written: UnixMicros) {
        let going = Going { key: key.clone(), written, at: Clock::real().now() };
        self.keep(&self.name(GOING, key.id), &going).await;
    }

    pub(super) async fn drop_going(self, id: RecordId) {
        let _ = KEEP.remove(&self.name(GOING, id)).await;
    }

    /// Deletes what a page had said was deleted that was closed before it was. What another tab
    /// has just said can still be had back there.
    pub(super) async fn delete_what_was_going(self) {
        let begins = format!("{GOING}/{}/", self.account().id);
        let all = KEEP.all::<Going>(&begins).await.unwrap_or_default();
        for (_, Going { key, written, at }) in all {
            let age = Clock::real().now().since(at);
            let id = key.id;
            if age > UNDO + Duration::from_secs(2) {
                self.edit(&key, Edit::Delete, written).await;
                self.drop_going(id).await;
                continue;
            }
            let again = move || {
                leptos::task::spawn_local(async move {
                    // Where it was had back, or deleted, there is nothing any more.
                    let there = KEEP.get::<Going>(&self.name(GOING, id)).await;
                    if let Ok(Some(Going { key, written, .. })) = there {
                        self.edit(&key, Edit::Delete, written).await;
                        self.drop_going(id).await;
                    }
                });
            };
            set_timeout(again, UNDO + Duration::from_secs(2));
        }
    }
}

/// What was typed of an account and not taken, and orders and gifts that may not have come to
/// the server: how many.
pub(super) async fn count(account: AccountId) -> Result<usize, StoreError> {
    let mut so_many = 0;
    for what in [DRAFT, REVIEW] {
        so_many += KEEP.all::<serde_json::Value>(&format!("{what}/{account}/")).await?.len();
    }
    let carts = KEEP.all::<Cart>(&format!("{CART}/{account}/")).await?;
    so_many += carts.iter().filter(|(_, cart)| cart.sent.is_some()).count();
    so_many += KEEP.all::<Gift>(&format!("{GIFT}/{account}/")).await?.len();
    Ok(so_many)
}

/// Keeps nothing of an account any more.
pub(super) async fn forget(account: AccountId) -> Result<(), StoreError> {
    for what in ALL {
        KEEP.remove_all(&format!("{what}/{account}/")).await?;
    }
    Ok(())
}

/// Keeps nothing of others than who is here.
pub(super) async fn forget_others(here: Option<AccountId>) -> Result<(), StoreError> {
    let here = here.map(|here| here.to_string());
    for what in ALL {
        let all = KEEP.all::<serde_json::Value>(&format!("{what}/")).await?;
        let others: BTreeSet<&str> = all
            .iter()
            .filter_map(|(name, _)| name.split('/').next())
            .filter(|account| Some(*account) != here.as_deref())
            .collect();
        for account in others {
            KEEP.remove_all(&format!("{what}/{account}/")).await?;
        }
    }
    Ok(())
}
