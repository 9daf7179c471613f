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
        let mut row = fields! {"day" => day.as_str(), "copies" => sale.copies};
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
    let sql = "select s.product_id as product_id, p.title as title, \
         cast(sum(s.copies) as signed) as copies from shop_sales s \
         join shop_products p on p.product_id = s.product_id \
         where s.day >= ? and s.day <= ? group by s.product_id, p.title \
         order by copies desc, p.title, s.product_id limit ?";
    let rows = db.query(sql, params![from.to_string(), to.to_string(), limit]).await?;
    let place = |row: &Row| Ok((row.id("product_id")?, row.get("title")?, row.get("copies")?));
    rows.iter().map(place).collect()
}
