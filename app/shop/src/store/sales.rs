//! What was sold, made of the events of orders.

use jiff::civil::Date;
use multi_master::{Db, DbError, Row, Tx, fields, id, params};

use crate::model::{OrderId, ProductId};
use crate::rules::Sale;

/// Makes the rows of an order what they should be: `None` where nothing is sold.
pub async fn set(tx: &mut Tx, of: OrderId, sold: Option<(Date, Vec<Sale>)>) -> Result<(), DbError> {
    let sql = "select product_id from shop_sales where order_id = ?";
    let there = tx.query(sql, params![id(of)]).await?;
    let there: Result<Vec<ProductId>, DbError> =
        there.iter().map(|row| row.id("product_id")).collect();
    let (there, sold) = (there?, sold.map(|(day, sales)| (day.to_string(), sales)));
    let is_sold = |product: &ProductId| {
        sold.as_ref().is_some_and(|(_, sales)| sales.iter().any(|sale| sale.product == *product))
    };
    for product in there.iter().filter(|product| !is_sold(product)) {
        tx.delete("shop_sales", params![id(of), id(*product)]).await?;
    }
    let Some((day, sales)) = &sold else { return Ok(()) };
    for sale in sales {
        let mut row = fields! {
            "title" => sale.title.as_str(),
            "day" => day.as_str(),
            "copies" => sale.copies,
        };
        if there.contains(&sale.product) {
            tx.update("shop_sales", params![id(of), id(sale.product)], row).await?;
        } else {
            row.extend(fields! {"order_id" => id(of), "product_id" => id(sale.product)});
            tx.insert("shop_sales", row).await?;
        }
    }
    Ok(())
}

/// What was sold most on some days: product, title, copies.
pub async fn ranking(
    db: &mut Db,
    from: Date,
    to: Date,
    limit: u32,
) -> Result<Vec<(ProductId, String, i64)>, DbError> {
    let sql = "select product_id, max(title) as name, cast(sum(copies) as signed) as sold \
         from shop_sales where day >= ? and day <= ? group by product_id \
         order by sold desc, name, product_id limit ?";
    let rows = db.query(sql, params![from.to_string(), to.to_string(), limit]).await?;
    let place = |row: &Row| Ok((row.id("product_id")?, row.get("name")?, row.get("sold")?));
    rows.iter().map(place).collect()
}
