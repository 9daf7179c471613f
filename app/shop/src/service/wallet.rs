//! Money.

use std::fmt;
use std::sync::Arc;

use endpaper_api::shop::{Charge, EntryKind, Transfer};
use endpaper_api::{FieldProblem, Text};
use endpaper_http::FieldError;
use multi_master::{Db, MultiMaster, Tx};
use stdx::{Clock, IdSource};

use super::base::Base;
use super::{FindReader, ReadersAway, ShopError};
use crate::model::{Entry, ReaderId, TRANSFER_MAX, TransferId, Won, in_range};
use crate::store::wallet::{self, Account};

/// Entries that are listed at most.
const ENTRIES_MAX: u32 = 100;

/// Money of readers. Cheap to clone.
#[derive(Clone)]
pub struct WalletService {
    base: Base,
    readers: Arc<dyn FindReader>,
}

impl fmt::Debug for WalletService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalletService").finish_non_exhaustive()
    }
}

impl WalletService {
    /// Over a store that was opened with [`crate::MIGRATIONS`] among its migrations.
    #[must_use]
    pub fn new(
        store: MultiMaster,
        readers: Arc<dyn FindReader>,
        clock: Clock,
        ids: IdSource,
    ) -> Self {
        Self { base: Base::new(store, clock, ids), readers }
    }

    pub(super) const fn base(&self) -> &Base {
        &self.base
    }

    /// What a reader has, and what came and went.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn wallet(&self, reader: ReaderId) -> Result<(Won, Vec<Entry>), ShopError> {
        let found = self.base.store.read(async move |db: &mut Db| {
            Ok((
                wallet::balance(db, reader).await?,
                wallet::entries(db, reader, ENTRIES_MAX).await?,
            ))
        });
        found.await
    }

    /// Books what a reader paid in. Sent twice under one id it is booked once.
    ///
    /// # Errors
    /// [`ShopError::Invalid`]; [`ShopError::ReaderNotFound`]; [`crate::model::Refusal::TooMuch`]
    /// where the wallet can't hold it; [`ShopError::IdTaken`].
    pub async fn charge(&self, request: &Charge) -> Result<Won, ShopError> {
        let (id, amount) = self.transferred(request.id.as_ref(), request.amount)?;
        let reader = self.find(&request.login_id).await?;
        self.move_money(wallet::Transfer {
            id,
            kind: EntryKind::Charge,
            from: Account::PaidIn,
            to: Account::Reader(reader),
            amount,
            order: None,
        })
        .await?;
        Ok(self.wallet(reader).await?.0)
    }

    /// Gives money to another reader. Sent twice under one id it is given once.
    ///
    /// # Errors
    /// [`ShopError::Invalid`], also where it is to the reader themselves;
    /// [`ShopError::ReaderNotFound`]; [`crate::model::Refusal::BalanceTooLow`];
    /// [`ShopError::IdTaken`].
    pub async fn transfer(&self, reader: ReaderId, request: &Transfer) -> Result<Won, ShopError> {
        let (id, amount) = self.transferred(request.id.as_ref(), request.amount)?;
        let to = self.find(&request.to).await?;
        if to == reader {
            return Err(ShopError::field("to", FieldProblem::Yourself));
        }
        self.move_money(wallet::Transfer {
            id,
            kind: EntryKind::Transfer,
            from: Account::Reader(reader),
            to: Account::Reader(to),
            amount,
            order: None,
        })
        .await?;
        Ok(self.wallet(reader).await?.0)
    }

    pub(super) async fn move_money(&self, transfer: wallet::Transfer) -> Result<(), ShopError> {
        let now = self.base.now();
        self.base.write(async move |tx: &mut Tx| wallet::transfer(tx, &transfer, now).await).await
    }

    fn transferred(&self, id: Option<&Text>, amount: i64) -> Result<(TransferId, Won), ShopError> {
        let mut wrong = Vec::new();
        let id = self.base.id_of(id).map_err(|problem| wrong.push(FieldError::new("id", problem)));
        let amount = in_range(amount, 1, TRANSFER_MAX)
            .map_err(|problem| wrong.push(FieldError::new("amount", problem)));
        match (id, amount.ok().and_then(Won::new)) {
            (Ok(id), Some(amount)) => Ok((id, amount)),
            _ => Err(ShopError::Invalid(wrong)),
        }
    }

    pub(super) async fn find(&self, login_id: &str) -> Result<ReaderId, ShopError> {
        let found = self.readers.by_login_id(login_id).await;
        found.map_err(|ReadersAway| ShopError::ReadersAway)?.ok_or(ShopError::ReaderNotFound)
    }
}
