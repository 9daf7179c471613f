//! What a master alone holds, before it is emptied.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::error::MasterName;
use crate::fault::Fault;
use crate::link::Link;
use crate::render::{Rows, Statement};
use crate::settle::At;
use crate::tables::read;
use crate::value::Value;
use crate::write_set;

/// Markers looked for at a time.
const PAGE: usize = 500;

/// Keeps in `mm_conflicts` of `base` every transaction that only `link` has, as
/// far as that can be told: of what is older than the markers of `base`, nobody
/// knows any more whether it had them. Returns how many.
pub(crate) async fn keep(
    base: &mut Link,
    link: &mut Link,
    name: &MasterName,
    trimmed: Option<Uuid>,
) -> Result<u64, At> {
    let mut after = trimmed.unwrap_or(Uuid::nil());
    let mut kept = 0;
    loop {
        let sql = format!("select txid from mm_log where txid > ? order by txid limit {PAGE}");
        let page = link.query(&sql, &[after.into()]).await.map_err(At::To)?;
        let page: Vec<Uuid> =
            page.iter().map(|row| read(row, "txid")).collect::<Result<_, _>>().map_err(At::To)?;
        let Some(&last) = page.last() else { return Ok(kept) };
        let sql = "select txid from mm_log where txid > ? and txid <= ?";
        let known = base.query(sql, &[after.into(), last.into()]).await.map_err(At::From)?;
        let known: BTreeSet<Uuid> = known
            .iter()
            .map(|row| read(row, "txid"))
            .collect::<Result<_, _>>()
            .map_err(At::From)?;
        for txid in page.into_iter().filter(|txid| !known.contains(txid)) {
            let sql = "select ops from mm_log where txid = ? and aborted = 0";
            let rows = link.query(sql, &[txid.into()]).await.map_err(At::To)?;
            let Some(row) = rows.first() else { continue };
            let ops: Vec<u8> = read(row, "ops").map_err(At::To)?;
            keep_one(base, name, txid, ops).await.map_err(At::From)?;
            kept += 1;
        }
        after = last;
    }
}

async fn keep_one(
    base: &mut Link,
    name: &MasterName,
    txid: Uuid,
    ops: Vec<u8>,
) -> Result<(), Fault> {
    let why = format!("only `{name}` had it when it was filled anew");
    tracing::warn!(
        severity = "WARNING", %txid, master = %name,
        "a transaction that only this master has is kept in mm_conflicts"
    );
    let found_at = write_set::version_of(txid).unwrap_or_default().wall();
    base.push(&Statement {
        sql: "replace into mm_conflicts (txid, reason, ops, found_at) values (?, ?, ?, ?)".into(),
        params: vec![txid.into(), why.into(), Value::Bytes(ops), found_at.into()],
        rows: Rows::Any,
        table: "mm_conflicts",
    })
    .await?;
    base.flush().await
}
