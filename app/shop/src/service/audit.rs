//! Whether the sums are right, and making again what is made of events.

use multi_master::{Db, Tx};

use super::{OrderService, Shop, ShopError};
use crate::model::{CouponId, OrderId, ProductId, ReaderId};
use crate::rules;
use crate::store::{coupons, orders, sales, stock, wallet};

/// What has to be, whatever happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// What all entries of all accounts are together: 0.
    pub entries_sum: i64,
    /// What is in readers' wallets, in won.
    pub in_wallets: i64,
    /// Wallets whose balance is not what came and went, or is below zero.
    pub wallets: Vec<ReaderId>,
    /// Products whose copies on hand are not what came and went.
    pub products: Vec<ProductId>,
    /// Coupons of which not as many are out as were counted, or more than there are.
    pub coupons: Vec<CouponId>,
}

impl Audit {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.entries_sum == 0
            && self.wallets.is_empty()
            && self.products.is_empty()
            && self.coupons.is_empty()
    }
}

/// What was made again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Orders whose events were read.
    pub orders: u64,
    /// Lines of the list that were of no order.
    pub strays: u64,
}

/// Orders that are made again in one write.
const BATCH: u32 = 100;

impl Shop {
    /// Sums everything up that is in this process, each of the stores as of one moment.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn audit(&self) -> Result<Audit, ShopError> {
        let mut audit = Audit::default();
        if let Some(wallet) = &self.wallet {
            let money = wallet.base().store.read(async |db: &mut Db| wallet::audit(db).await);
            (audit.entries_sum, audit.in_wallets, audit.wallets) = money.await?;
        }
        if let Some(stock) = &self.stock {
            let products = stock.base().store.read(async |db: &mut Db| stock::audit(db).await);
            audit.products = products.await?;
        }
        if let Some(coupons) = &self.coupons {
            let found = coupons.base().store.read(async |db: &mut Db| coupons::audit(db).await);
            audit.coupons = found.await?;
        }
        Ok(audit)
    }
}

impl OrderService {
    /// Makes the list of orders, and that of what was sold, again of the events of orders,
    /// while orders go on.
    ///
    /// # Errors
    /// Those of the store; what was made again until then is right.
    pub async fn rebuild(&self) -> Result<Rebuilt, ShopError> {
        let mut rebuilt = Rebuilt::default();
        let mut after: Option<OrderId> = None;
        loop {
            let some = self
                .0
                .base
                .store
                .read(async move |db: &mut Db| orders::ids(db, after, BATCH).await);
            let some = some.await?;
            let Some(last) = some.last().copied() else { break };
            after = Some(last);
            rebuilt.orders += some.len() as u64;
            let zone = self.0.time_zone.clone();
            self.0
                .base
                .write(async move |tx: &mut Tx| {
                    for id in &some {
                        if let Some(order) = orders::get(tx, *id).await? {
                            orders::list_order(tx, &order).await?;
                            sales::set(tx, *id, rules::sales(&order, &zone)).await?;
                        }
                    }
                    Ok(())
                })
                .await?;
        }
        loop {
            let some =
                self.0.base.write(async |tx: &mut Tx| Ok(orders::drop_strays(tx, BATCH).await?));
            match some.await? {
                0 => return Ok(rebuilt),
                some => rebuilt.strays += some as u64,
            }
        }
    }
}
