//! Accounts, and transfers between them.

use endpaper_api::shop::EntryKind;
use multi_master::{Db, DbError, Row, Tx, fields, id, params};
use stdx::UnixMicros;
use stdx::ids::Id;
use uuid::Uuid;

use super::{strange, won};
use crate::model::{Entry, OrderId, ReaderId, Refusal, TransferId, Won};
use crate::service::ShopError;

/// Where money is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// A reader's wallet.
    Reader(ReaderId),
    /// What readers paid in, as seen from outside: never more than nothing.
    PaidIn,
    /// What readers paid for orders.
    Sales,
}

impl Account {
    fn uuid(self) -> Uuid {
        match self {
            Self::Reader(reader) => reader.uuid(),
            Self::PaidIn => Uuid::from_u128(1),
            Self::Sales => Uuid::from_u128(2),
        }
    }
}

/// Money that moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Which.
    pub id: TransferId,
    /// Why.
    pub kind: EntryKind,
    /// Where it is taken from.
    pub from: Account,
    /// Where it goes.
    pub to: Account,
    /// How much.
    pub amount: Won,
    /// For which order.
    pub order: Option<OrderId>,
}

const KINDS: [(EntryKind, &str); 4] = [
    (EntryKind::Charge, "CHARGE"),
    (EntryKind::Transfer, "TRANSFER"),
    (EntryKind::Payment, "PAYMENT"),
    (EntryKind::Refund, "REFUND"),
];

fn name(kind: EntryKind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).expect("all kinds are there").1
}

/// Moves money, once for each id.
pub async fn transfer(tx: &mut Tx, transfer: &Transfer, now: UnixMicros) -> Result<(), ShopError> {
    let Transfer { from, to, amount, .. } = *transfer;
    let sql = "select side, account_id, amount from shop_entries where transfer_id = ? \
         order by side";
    let before = tx.query(sql, params![id(transfer.id)]).await?;
    let sides = [(from, -amount.get()), (to, amount.get())];
    if !before.is_empty() {
        let is_side = |(row, (account, amount)): (&Row, &(Account, i64))| {
            let its_account = row.get::<Uuid>("account_id")?;
            Ok(its_account == account.uuid() && row.get::<i64>("amount")? == *amount)
        };
        let same: Result<Vec<bool>, DbError> = before.iter().zip(&sides).map(is_side).collect();
        return if same?.into_iter().all(|same| same) { Ok(()) } else { Err(ShopError::IdTaken) };
    }
    // Two transfers between the same two wait for each other, and not in a ring.
    let mut in_order = [0, 1];
    in_order.sort_unstable_by_key(|side| sides[*side].0.uuid());
    let mut balances = [None; 2];
    for side in in_order {
        balances[side] = change_balance(tx, sides[side].0, sides[side].1).await?;
    }
    for (side, (account, amount)) in (0..).zip(sides) {
        let row = fields! {
            "transfer_id" => id(transfer.id),
            "side" => side,
            "account_id" => account.uuid(),
            "kind" => name(transfer.kind),
            "amount" => amount,
            "balance" => balances[usize::from(side != 0)],
            "order_id" => transfer.order.map(Id::uuid),
            "at" => now,
        };
        tx.insert("shop_entries", row).await?;
    }
    Ok(())
}

/// What a wallet has then; nothing of an account that is no wallet.
async fn change_balance(tx: &mut Tx, of: Account, by: i64) -> Result<Option<i64>, ShopError> {
    let Account::Reader(reader) = of else { return Ok(None) };
    let row = tx.get("shop_accounts", params![id(reader)]).await?;
    let balance = row.as_ref().map_or(Ok(0), |row| row.get::<i64>("balance"))?;
    let balance = won("balance", balance)?;
    let Some(next) = Won::new(balance.get() + by) else {
        return Err(match Won::new(-by) {
            Some(needed) => Refusal::BalanceTooLow { balance, needed },
            None => Refusal::TooMuch,
        }
        .into());
    };
    let next = next.get();
    if row.is_some() {
        let fields = fields! {"balance" => next};
        tx.update("shop_accounts", params![id(reader)], fields).await?;
    } else {
        let fields = fields! {"account_id" => id(reader), "balance" => next};
        tx.insert("shop_accounts", fields).await?;
    }
    Ok(Some(next))
}

/// What a reader has.
pub async fn balance(db: &mut Db, of: ReaderId) -> Result<Won, DbError> {
    let row = db.get("shop_accounts", params![id(of)]).await?;
    row.map_or(Ok(Won::ZERO), |row| won("balance", row.get("balance")?))
}

/// What came to a reader's wallet and went, the latest first.
pub async fn entries(db: &mut Db, of: ReaderId, limit: u32) -> Result<Vec<Entry>, DbError> {
    let sql = "select transfer_id, kind, amount, balance, order_id, at from shop_entries \
         where account_id = ? order by at desc, transfer_id desc limit ?";
    let entry = |row: &Row| {
        let kind: String = row.get("kind")?;
        let known = KINDS.iter().find(|(_, name)| *name == kind);
        Ok(Entry {
            transfer: row.id("transfer_id")?,
            kind: known.ok_or_else(|| strange("kind", &kind))?.0,
            amount: row.get("amount")?,
            balance: row.get("balance")?,
            order: row.get::<Option<Uuid>>("order_id")?.map(OrderId::from_uuid),
            at: row.get("at")?,
        })
    };
    db.query(sql, params![id(of), limit]).await?.iter().map(entry).collect()
}

/// What all entries are together, which is nothing; what is in all wallets; and those whose
/// balance is not what their entries are together, which are none.
pub async fn audit(db: &mut Db) -> Result<(i64, i64, Vec<ReaderId>), DbError> {
    let sum = "select cast(coalesce(sum(amount), 0) as signed) as n from shop_entries";
    let held = "select cast(coalesce(sum(balance), 0) as signed) as n from shop_accounts";
    let wrong = "select a.account_id as account_id from shop_accounts a where a.balance < 0 or \
         a.balance <> (select cast(coalesce(sum(e.amount), 0) as signed) from shop_entries e \
         where e.account_id = a.account_id)";
    let number = async |db: &mut Db, sql: &str| {
        let row = db.query_first(sql, params![]).await?;
        row.map_or(Ok(0), |row| row.get::<i64>("n"))
    };
    let (sum, held) = (number(db, sum).await?, number(db, held).await?);
    let wrong = db.query(wrong, params![]).await?;
    let wrong: Result<_, DbError> = wrong.iter().map(|row| row.id("account_id")).collect();
    Ok((sum, held, wrong?))
}
