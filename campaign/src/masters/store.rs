//! The worker's tables, and what it does with them.

use std::collections::BTreeMap;

use multi_master::{
    Column, Db, DbError, Kind, Migration, Step as Migrate, Table, Tx, fields, params,
};

use super::wire::{ACCOUNTS, BALANCE, Step};

const fn table(name: &'static str, columns: &'static [Column]) -> Migrate {
    Migrate::CreateTable(Table { name, key: &["id"], columns, indexes: &[] })
}

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    name: "campaign",
    steps: &[
        table("accounts", &[Column::new("id", Kind::Int), Column::new("balance", Kind::Int)]),
        table("registers", &[Column::new("id", Kind::Int), Column::nullable("val", Kind::Int)]),
        table(
            "lists",
            &[Column::new("id", Kind::Int), Column::new("els", Kind::Text { chars_max: 900_000 })],
        ),
        table(
            "kept",
            &[Column::new("id", Kind::Int), Column::new("val", Kind::Text { chars_max: 900_000 })],
        ),
    ],
}];

pub(super) async fn open(tx: &mut Tx, keys: &[u32]) -> Result<(), DbError> {
    // Accounts come and go, and the money is always somewhere.
    if tx.query("select id from accounts", params![]).await?.is_empty() {
        for id in 0..ACCOUNTS {
            tx.insert("accounts", fields! {"id" => id, "balance" => BALANCE}).await?;
        }
    }
    for &id in keys {
        if tx.get("registers", params![id]).await?.is_some() {
            // Opened before, and the answer was lost.
            return Ok(());
        }
        tx.insert("registers", fields! {"id" => id}).await?;
        tx.insert("lists", fields! {"id" => id, "els" => ""}).await?;
    }
    Ok(())
}

/// Moves money; without an amount, all that is there, and the account is closed.
/// An account that is not there is opened by what comes in.
pub(super) async fn transfer(
    tx: &mut Tx,
    from: u32,
    to: u32,
    amount: Option<i64>,
) -> Result<(), DbError> {
    let mut balances = BTreeMap::new();
    // In one order, so that two transfers do not wait for each other.
    for id in [from.min(to), from.max(to)] {
        let row = tx.get("accounts", params![id]).await?;
        balances.insert(id, row.map(|row| row.get::<i64>("balance")).transpose()?);
    }
    let (Some(has), gets) = (balances[&from], balances[&to]) else {
        return Err(DbError::Missing { table: "accounts".to_owned(), key: from.to_string() });
    };
    let amount = amount.unwrap_or(has);
    if amount > has {
        return Err(DbError::Shape("there is not so much on the account".to_owned()));
    }
    if amount == has {
        tx.delete("accounts", params![from]).await?;
    } else {
        tx.update("accounts", params![from], fields! {"balance" => has - amount}).await?;
    }
    match gets {
        Some(gets) => {
            let fields = fields! {"balance" => gets + amount};
            tx.update("accounts", params![to], fields).await.map(drop)
        }
        None => tx.insert("accounts", fields! {"id" => to, "balance" => amount}).await,
    }
}

/// Of an account that is closed, nothing.
pub(super) async fn balances(db: &mut Db) -> Result<BTreeMap<u32, i64>, DbError> {
    let rows = db.query("select id, balance from accounts", params![]).await?;
    let mut all: BTreeMap<u32, i64> = (0..ACCOUNTS).map(|id| (id, 0)).collect();
    for row in rows {
        all.insert(row.get("id")?, row.get("balance")?);
    }
    Ok(all)
}

pub(super) async fn keep(tx: &mut Tx, id: u32, text: &str) -> Result<(), DbError> {
    if tx.get("kept", params![id]).await?.is_some() {
        tx.update("kept", params![id], fields! {"val" => text}).await.map(drop)
    } else {
        tx.insert("kept", fields! {"id" => id, "val" => text}).await
    }
}

pub(super) async fn get(tx: &mut Tx, key: u32) -> Result<Option<u32>, DbError> {
    let row = tx.get("registers", params![key]).await?;
    row.map_or(Ok(None), |row| row.get::<Option<u32>>("val"))
}

pub(super) async fn set(tx: &mut Tx, key: u32, value: u32) -> Result<(), DbError> {
    tx.update("registers", params![key], fields! {"val" => value}).await.map(drop)
}

pub(super) async fn elements(db: &mut Db, list: u32) -> Result<Vec<u32>, DbError> {
    let row = db.get("lists", params![list]).await?;
    let text: String = row.map_or(Ok(String::new()), |row| row.get("els"))?;
    let parsed: Result<Vec<u32>, _> = text.split_whitespace().map(str::parse).collect();
    parsed.map_err(|error| DbError::Shape(error.to_string()))
}

pub(super) async fn lists(tx: &mut Tx, steps: &[Step]) -> Result<Vec<Vec<u32>>, DbError> {
    let mut shown = Vec::new();
    for step in steps {
        match *step {
            Step::Read { list } => shown.push(elements(tx, list).await?),
            Step::Append { list, element } => {
                let mut all = elements(tx, list).await?;
                all.push(element);
                let all: Vec<String> = all.iter().map(u32::to_string).collect();
                let els = all.join(" ");
                tx.update("lists", params![list], fields! {"els" => els}).await?;
            }
        }
    }
    Ok(shown)
}

/// How many rows lost against another and are kept on a master.
pub(super) const CONFLICTS: &str = "select count(*) from mm_conflicts";

/// What a person with a client does to a row of `kept`.
pub(super) fn edited_by_hand(id: u32) -> String {
    format!("update kept set val = 'by hand' where id = {id}")
}

/// What a row of `kept` holds.
pub(super) fn kept(id: u32) -> String {
    format!("select val from kept where id = {id}")
}
