//! Products, and copies that come and go.

use multi_master::{Db, DbError, Row, Tx, fields, id, params};
use stdx::UnixMicros;
use stdx::ids::Id;
use uuid::Uuid;

use super::won;
use crate::model::{ON_HAND_MAX, OrderId, Product, ProductId, ReceiptId, Refusal, Taken, Wanted};
use crate::service::ShopError;

fn product(row: &Row) -> Result<Product, DbError> {
    Ok(Product {
        id: row.id("product_id")?,
        title: row.get("title")?,
        author: row.get("author")?,
        isbn: row.get("isbn")?,
        price: won("price", row.get("price")?)?,
        on_hand: row.get("on_hand")?,
    })
}

/// One of them.
pub async fn get(db: &mut Db, of: ProductId) -> Result<Option<Product>, DbError> {
    db.get("shop_products", params![id(of)]).await?.as_ref().map(product).transpose()
}

/// Those after one of them, in the order of their titles.
pub async fn list(
    db: &mut Db,
    after: Option<(String, ProductId)>,
    limit: u32,
) -> Result<Vec<Product>, DbError> {
    let (title, product_id) = after.unwrap_or((String::new(), ProductId::from_uuid(Uuid::nil())));
    let sql = "select * from shop_products where title >= ? and (title > ? or product_id > ?) \
         order by title, product_id limit ?";
    let params = params![title.as_str(), title.as_str(), id(product_id), limit];
    let rows = db.query(sql, params).await?;
    rows.iter().map(product).collect()
}

/// A new one, of which none is on hand.
pub async fn insert(tx: &mut Tx, product: &Product, now: UnixMicros) -> Result<(), DbError> {
    let row = fields! {
        "product_id" => id(product.id),
        "title" => product.title.as_str(),
        "author" => product.author.as_deref(),
        "isbn" => product.isbn.as_deref(),
        "price" => product.price.get(),
        "on_hand" => 0,
        "created_at" => now,
    };
    tx.insert("shop_products", row).await
}

async fn set_on_hand(tx: &mut Tx, of: ProductId, copies: i64) -> Result<(), DbError> {
    tx.update("shop_products", params![id(of)], fields! {"on_hand" => copies}).await?;
    Ok(())
}

async fn add_move<I: Id>(
    tx: &mut Tx,
    source: I,
    of: ProductId,
    copies: i64,
    now: UnixMicros,
) -> Result<(), DbError> {
    let row = fields! {
        "source_id" => id(source),
        "product_id" => id(of),
        "copies" => copies,
        "undone" => false,
        "at" => now,
    };
    tx.insert("shop_moves", row).await
}

/// Copies come, or go where `copies` is less than 0; once for each receipt.
pub async fn receive(
    tx: &mut Tx,
    receipt: ReceiptId,
    of: ProductId,
    copies: i64,
    now: UnixMicros,
) -> Result<Product, ShopError> {
    let found = get(tx, of).await?.ok_or(Refusal::ProductNotFound { product: of })?;
    if let Some(row) = tx.get("shop_moves", params![id(receipt), id(of)]).await? {
        let is_same = row.get::<i64>("copies")? == copies;
        return if is_same { Ok(found) } else { Err(ShopError::IdTaken) };
    }
    if copies == 0 {
        return Ok(found);
    }
    let on_hand = found.on_hand + copies;
    if !(0..=ON_HAND_MAX).contains(&on_hand) {
        return Err(Refusal::OutOfStock { product: of, on_hand: found.on_hand }.into());
    }
    set_on_hand(tx, of, on_hand).await?;
    add_move(tx, receipt, of, copies, now).await?;
    Ok(Product { on_hand, ..found })
}

/// Takes copies for an order, which has none yet: all of them, or none.
pub async fn take(
    tx: &mut Tx,
    order: OrderId,
    wanted: &[Wanted],
    now: UnixMicros,
) -> Result<Vec<Taken>, ShopError> {
    let mut all = Vec::with_capacity(wanted.len());
    for Wanted { product: of, copies } in wanted.iter().copied() {
        let found = get(tx, of).await?.ok_or(Refusal::ProductNotFound { product: of })?;
        let left = found.on_hand - copies.get();
        if left < 0 {
            return Err(Refusal::OutOfStock { product: of, on_hand: found.on_hand }.into());
        }
        set_on_hand(tx, of, left).await?;
        add_move(tx, order, of, -copies.get(), now).await?;
        all.push(Taken { product: of, title: found.title, copies, price: found.price });
    }
    Ok(all)
}

/// Gives back what was taken for an order; what was given back before is not given back again.
pub async fn give_back(tx: &mut Tx, order: OrderId, taken: &[Taken]) -> Result<(), DbError> {
    for Taken { product: of, copies, .. } in taken {
        let key = || params![id(order), id(*of)];
        let is_taken = match tx.get("shop_moves", key()).await? {
            Some(row) => !row.get::<bool>("undone")?,
            None => false,
        };
        let Some(found) = get(tx, *of).await?.filter(|_| is_taken) else { continue };
        set_on_hand(tx, *of, found.on_hand + copies.get()).await?;
        tx.update("shop_moves", key(), fields! {"undone" => true}).await?;
    }
    Ok(())
}

/// Products whose copies on hand are not what came and went: none, or something is broken.
pub async fn audit(db: &mut Db) -> Result<Vec<ProductId>, DbError> {
    let sql = "select p.product_id as product_id from shop_products p where p.on_hand <> \
         (select cast(coalesce(sum(m.copies), 0) as signed) from shop_moves m \
          where m.product_id = p.product_id and m.undone = 0)";
    db.query(sql, params![]).await?.iter().map(|row| row.id("product_id")).collect()
}
