//! Whether the sums are right, and making again what is made of events.

use multi_master::{Db, Tx};

use super::{ShopError, ShopService};
use crate::model::{CouponId, OrderId, ProductId, ReaderId};
use crate::rules;
use crate::store::{coupons, orders, sales, stock, wallet};

/// What has to be, whatever happened.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl ShopService {
    /// Sums everything up, each of the stores as of one moment.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn audit(&self) -> Result<Audit, ShopError> {
        let stores = &self.0.stores;
        let money = stores.wallet.read(async |db: &mut Db| wallet::audit(db).await);
        let (entries_sum, in_wallets, wallets) = money.await?;
        let products = stores.stock.read(async |db: &mut Db| stock::audit(db).await).await?;
        let coupons = stores.coupons.read(async |db: &mut Db| coupons::audit(db).await).await?;
        Ok(Audit { entries_sum, in_wallets, wallets, products, coupons })
    }

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
                .stores
                .orders
                .read(async move |db: &mut Db| orders::ids(db, after, BATCH).await);
            let some = some.await?;
            let Some(last) = some.last().copied() else { break };
            after = Some(last);
            rebuilt.orders += some.len() as u64;
            let zone = self.0.time_zone.clone();
            self.write(&self.0.stores.orders, async move |tx: &mut Tx| {
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
            let some = self.write(&self.0.stores.orders, async |tx: &mut Tx| {
                Ok(orders::drop_strays(tx, BATCH).await?)
            });
            match some.await? {
                0 => return Ok(rebuilt),
                some => rebuilt.strays += some as u64,
            }
        }
    }
}
