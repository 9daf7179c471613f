//! Everything that is SQL.
//!
//! | module | what it has |
//! |---|---|
//! | [`schema`] | the tables |
//! | [`stock`] | products, and copies that come and go |
//! | [`wallet`] | accounts, and transfers between them |
//! | [`coupons`] | coupons and readers' pieces of them |
//! | [`orders`] | events of orders, and the list that is made of them |
//! | [`sales`] | what was sold, made of the events of orders |
//!
//! What takes rows takes them in one order: products by their ids, then the piece of a coupon,
//! then the wallet, then the order's own.

pub mod schema;

pub mod stock;

pub mod wallet;

pub mod coupons;

pub mod orders;

pub mod sales;

use multi_master::DbError;

/// A row that this program did not write.
fn strange(column: &str, value: &str) -> DbError {
    DbError::Shape(format!("`{value}` can't be in the column `{column}`"))
}

fn won(column: &str, number: i64) -> Result<crate::model::Won, DbError> {
    crate::model::Won::new(number).ok_or_else(|| strange(column, &number.to_string()))
}
