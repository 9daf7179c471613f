//! Money.

use endpaper_api::shop::{Charge, EntryKind, Transfer};
use endpaper_api::{FieldProblem, Text};
use endpaper_http::FieldError;
use multi_master::{Db, Tx};

use super::{ReadersAway, ShopError, ShopService};
use crate::model::{Entry, ReaderId, TRANSFER_MAX, TransferId, Won, in_range};
use crate::store::wallet::{self, Account};

/// Entries that are listed at most.
const ENTRIES_MAX: u32 = 100;

impl ShopService {
    /// What a reader has, and what came and went.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn wallet(&self, reader: ReaderId) -> Result<(Won, Vec<Entry>), ShopError> {
        let found = self.0.stores.wallet.read(async move |db: &mut Db| {
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
        let now = self.now();
        self.write(&self.0.stores.wallet, async move |tx: &mut Tx| {
            wallet::transfer(tx, &transfer, now).await
        })
        .await
    }

    fn transferred(&self, id: Option<&Text>, amount: i64) -> Result<(TransferId, Won), ShopError> {
        let mut wrong = Vec::new();
        let id = self.id_of(id).map_err(|problem| wrong.push(FieldError::new("id", problem)));
        let amount = in_range(amount, 1, TRANSFER_MAX)
            .map_err(|problem| wrong.push(FieldError::new("amount", problem)));
        match (id, amount.ok().and_then(Won::new)) {
            (Ok(id), Some(amount)) => Ok((id, amount)),
            _ => Err(ShopError::Invalid(wrong)),
        }
    }

    async fn find(&self, login_id: &str) -> Result<ReaderId, ShopError> {
        let found = self.0.readers.by_login_id(login_id).await;
        found.map_err(|ReadersAway| ShopError::ReadersAway)?.ok_or(ShopError::ReaderNotFound)
    }
}
