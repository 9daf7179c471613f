//! Coupons, and readers' pieces of them.

use multi_master::{Db, DbError, Row, Tx, fields, id, params};
use stdx::UnixMicros;
use stdx::ids::Id as _;
use uuid::Uuid;

use super::won;
use crate::model::{Coupon, CouponId, OrderId, Piece, ReaderId, Refusal, Won};
use crate::service::ShopError;

fn coupon(row: &Row) -> Result<Coupon, DbError> {
    Ok(Coupon {
        id: row.id("coupon_id")?,
        name: row.get("name")?,
        discount: won("discount", row.get("discount")?)?,
        quantity: row.get("quantity")?,
        issued: row.get("issued")?,
        ends: row.get("ends_at")?,
    })
}

fn piece(row: &Row) -> Result<Piece, DbError> {
    let used_for = row.get::<Option<Uuid>>("order_id")?;
    Ok(Piece { used_for: used_for.map(OrderId::from_uuid) })
}

/// One of them.
pub async fn get(db: &mut Db, of: CouponId) -> Result<Option<Coupon>, DbError> {
    db.get("shop_coupons", params![id(of)]).await?.as_ref().map(coupon).transpose()
}

/// A reader's piece of one.
pub async fn piece_of(
    db: &mut Db,
    of: CouponId,
    reader: ReaderId,
) -> Result<Option<Piece>, DbError> {
    db.get("shop_pieces", params![id(of), id(reader)]).await?.as_ref().map(piece).transpose()
}

/// Those that can be had or used at an instant, those first that end first; and the reader's
/// pieces.
pub async fn list(
    db: &mut Db,
    reader: ReaderId,
    now: UnixMicros,
    limit: u32,
) -> Result<Vec<(Coupon, Option<Piece>)>, DbError> {
    let sql = "select * from shop_coupons where ends_at > ? order by ends_at, coupon_id limit ?";
    let rows = db.query(sql, params![now, limit]).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let coupon = coupon(row)?;
        let piece = piece_of(db, coupon.id, reader).await?;
        all.push((coupon, piece));
    }
    Ok(all)
}

/// A new one.
pub async fn insert(tx: &mut Tx, coupon: &Coupon, now: UnixMicros) -> Result<(), DbError> {
    let row = fields! {
        "coupon_id" => id(coupon.id),
        "name" => coupon.name.as_str(),
        "discount" => coupon.discount.get(),
        "quantity" => coupon.quantity,
        "issued" => coupon.issued,
        "ends_at" => coupon.ends,
        "created_at" => now,
    };
    tx.insert("shop_coupons", row).await
}

/// Gives a reader a piece; who has one keeps it.
pub async fn issue(
    tx: &mut Tx,
    of: CouponId,
    reader: ReaderId,
    now: UnixMicros,
) -> Result<(Coupon, Piece), ShopError> {
    let found = get(tx, of).await?.ok_or(ShopError::CouponNotFound)?;
    if let Some(piece) = piece_of(tx, of, reader).await? {
        return Ok((found, piece));
    }
    may_be_had(&found, now)?;
    let issued = found.issued + 1;
    tx.update("shop_coupons", params![id(of)], fields! {"issued" => issued}).await?;
    let row = fields! {"coupon_id" => id(of), "reader_id" => id(reader), "issued_at" => now};
    tx.insert("shop_pieces", row).await?;
    Ok((Coupon { issued, ..found }, Piece { used_for: None }))
}

/// Whether there is a piece for somebody who has none.
pub fn may_be_had(coupon: &Coupon, now: UnixMicros) -> Result<(), ShopError> {
    if coupon.ends <= now {
        return Err(Refusal::CouponExpired.into());
    }
    if coupon.issued >= coupon.quantity {
        return Err(ShopError::CouponSoldOut);
    }
    Ok(())
}

/// Uses a reader's piece for an order. What it takes off.
pub async fn redeem(
    tx: &mut Tx,
    order: OrderId,
    of: CouponId,
    reader: ReaderId,
    now: UnixMicros,
) -> Result<Won, ShopError> {
    let found = get(tx, of).await?.ok_or(Refusal::CouponNotFound)?;
    let piece = piece_of(tx, of, reader).await?.ok_or(Refusal::CouponNotFound)?;
    if piece.used_for.is_some() {
        return Err(Refusal::CouponUsed.into());
    }
    if found.ends <= now {
        return Err(Refusal::CouponExpired.into());
    }
    let used = fields! {"order_id" => id(order)};
    tx.update("shop_pieces", params![id(of), id(reader)], used).await?;
    Ok(found.discount)
}

/// Gives a piece back that was used for an order; another order's is left alone.
pub async fn give_back(
    tx: &mut Tx,
    order: OrderId,
    of: CouponId,
    reader: ReaderId,
) -> Result<(), DbError> {
    let piece = piece_of(tx, of, reader).await?;
    if piece.is_some_and(|piece| piece.used_for == Some(order)) {
        let unused = fields! {"order_id" => None::<Uuid>};
        tx.update("shop_pieces", params![id(of), id(reader)], unused).await?;
    }
    Ok(())
}

/// Coupons of which there are not as many pieces as were counted, or more than there may be:
/// none, or something is broken.
pub async fn audit(db: &mut Db) -> Result<Vec<CouponId>, DbError> {
    let sql = "select c.coupon_id as coupon_id from shop_coupons c where c.issued > c.quantity \
         or c.issued <> (select count(*) from shop_pieces p where p.coupon_id = c.coupon_id)";
    db.query(sql, params![]).await?.iter().map(|row| row.id("coupon_id")).collect()
}
