//! A small shop: stock and wallet in the store of the saga, coupons and couriers elsewhere.

use std::sync::Arc;

use multi_master::{
    Column, Config, Db, DbError, Index, Kind as ColumnKind, Migration, MultiMaster, Policy, Table,
    Tx, fields, id, params,
};
use saga::ledger::{self, Ledger};
use saga::{
    CallStep, CallUndo, Context, Definition, LocalStep, LocalUndo, SagaId, SagaView, Sagas, Step,
    StepError,
};
use serde::{Deserialize, Serialize};
use stdx::Clock;

pub(crate) const STOCK: i64 = 1_000_000;
pub(crate) const MONEY: i64 = 1_000_000_000;

/// A saga, once it is over or stuck.
pub(crate) async fn ended(sagas: &Sagas, id: SagaId) -> SagaView {
    sagas.wait(id).await.unwrap().expect("it was started");
    sagas.view(id).await.unwrap().expect("it was started")
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) copies: i64,
    pub(crate) price: i64,
    /// What the coupon service and the courier do: `no`, `lost` (it is done, and the answer
    /// lost), `away` (nothing is done), or else what they are asked for.
    pub(crate) coupon: String,
    pub(crate) courier: String,
}

impl Order {
    pub(crate) fn new(copies: i64, coupon: &str, courier: &str) -> Self {
        Self { copies, price: 12_000, coupon: coupon.into(), courier: courier.into() }
    }
}

const COUNTS: Table = Table {
    name: "counts",
    key: &["name"],
    columns: &[
        Column::new("name", ColumnKind::Text { chars_max: 20 }),
        Column::new("amount", ColumnKind::Int),
    ],
    indexes: &[],
};

/// What was done for an order, in either store.
const TAKEN: Table = Table {
    name: "taken",
    key: &["saga_id", "what"],
    columns: &[
        Column::new("saga_id", ColumnKind::Id),
        Column::new("what", ColumnKind::Text { chars_max: 20 }),
        Column::new("amount", ColumnKind::Int),
    ],
    indexes: &[Index { name: "taken_what", columns: &["what"], unique: false }],
};

const SHOP: Migration = Migration {
    name: "shop",
    steps: &[multi_master::Step::CreateTable(COUNTS), multi_master::Step::CreateTable(TAKEN)],
};

/// Two stores: the shop's with its sagas, and that of the other services.
pub(crate) struct Shop {
    pub(crate) store: MultiMaster,
    pub(crate) others: MultiMaster,
    /// Deleted with it.
    folders: Vec<tempfile::TempDir>,
}

async fn change(tx: &mut Tx, what: &str, by: i64) -> Result<i64, DbError> {
    let row = tx.get("counts", params![what]).await?.expect("it was made");
    let amount = row.get::<i64>("amount")? + by;
    tx.update("counts", params![what], fields! {"amount" => amount}).await?;
    Ok(amount)
}

async fn note(tx: &mut Tx, saga: SagaId, what: &str, amount: i64) -> Result<(), DbError> {
    let row = fields! {"saga_id" => id(saga), "what" => what, "amount" => amount};
    tx.insert("taken", row).await
}

async fn forget(tx: &mut Tx, saga: SagaId, what: &str) -> Result<(), StepError> {
    if tx.delete("taken", params![id(saga), what]).await? {
        return Ok(());
    }
    Err(StepError::Failed(format!("{what} was not done")))
}

impl Shop {
    /// On files.
    pub(crate) async fn open(clock: Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::embedded(folder.path(), Policy::All);
        config.clock = clock.clone();
        let shop = Self::open_on(config, clock).await;
        Self { folders: [folder].into_iter().chain(shop.folders).collect(), ..shop }
    }

    /// Its own store as it is configured; that of the others on files.
    pub(crate) async fn open_on(config: Config, clock: Clock) -> Self {
        let open = async |config: Config, more: &[Migration]| {
            let migrations: Vec<_> = more.iter().copied().chain([SHOP]).collect();
            MultiMaster::open(config, &migrations).await.unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        let mut other = Config::embedded(folder.path(), Policy::All);
        other.clock = clock;
        let store = open(config, saga::MIGRATIONS).await;
        let others = open(other, ledger::MIGRATIONS).await;
        store
            .write(async |tx: &mut Tx| {
                for (name, amount) in [("stock", STOCK), ("wallet", MONEY), ("shop", 0)] {
                    tx.insert("counts", fields! {"name" => name, "amount" => amount}).await?;
                }
                Ok::<_, DbError>(())
            })
            .await
            .into_result()
            .unwrap();
        Self { store, others, folders: vec![folder] }
    }

    pub(crate) fn order(&self) -> Definition<Order> {
        let ledger = Ledger::new(self.others.clone());
        Definition::new("order", 1)
            .local(DeductStock)
            .together(|group| {
                group
                    .call(Coupon(Arc::new(Service(ledger.clone()))))
                    .call(Courier(Arc::new(Service(ledger))))
            })
            .local(Pay)
            .pivot()
            .local_without_undo(Confirm)
    }

    pub(crate) async fn count(&self, what: &'static str) -> i64 {
        self.store
            .read(async move |db: &mut Db| {
                db.get("counts", params![what]).await?.expect("it was made").get("amount")
            })
            .await
            .unwrap()
    }

    /// What is there of an order, in both stores.
    pub(crate) async fn taken(&self, saga: SagaId) -> Vec<String> {
        let mut all = Vec::new();
        for store in [&self.store, &self.others] {
            let rows = store.read(async move |db: &mut Db| {
                let sql = "select what from taken where saga_id = ? order by what";
                db.query(sql, params![id(saga)]).await
            });
            for row in rows.await.unwrap() {
                all.push(row.get("what").unwrap());
            }
        }
        all
    }

    /// Stock and what was sold, money and what was paid: constant.
    pub(crate) async fn check_sums(&self) {
        let sold: i64 = self
            .store
            .read(async |db: &mut Db| {
                let sql = "select cast(coalesce(sum(amount), 0) as signed) as sold from taken \
                     where what = 'stock'";
                db.query_first(sql, params![]).await?.expect("a sum").get("sold")
            })
            .await
            .unwrap();
        assert_eq!(self.count("stock").await + sold, STOCK);
        assert_eq!(self.count("wallet").await + self.count("shop").await, MONEY);
    }
}

pub(crate) struct DeductStock;

impl Step for DeductStock {
    type Output = i64;
    const NAME: &'static str = "deduct-stock";
}

impl LocalStep<Order> for DeductStock {
    async fn run(&self, tx: &mut Tx, order: &Context<'_, Order>) -> Result<i64, StepError> {
        let copies = order.input.copies;
        let left = change(tx, "stock", -copies).await?;
        if left < 0 {
            return Err(StepError::refused("OUT_OF_STOCK", "there are not so many"));
        }
        note(tx, order.saga(), "stock", copies).await?;
        Ok(copies)
    }
}

impl LocalUndo<Order> for DeductStock {
    async fn undo(
        &self,
        tx: &mut Tx,
        order: &Context<'_, Order>,
        copies: i64,
    ) -> Result<(), StepError> {
        change(tx, "stock", copies).await?;
        forget(tx, order.saga(), "stock").await
    }
}

pub(crate) struct Pay;

impl Step for Pay {
    type Output = i64;
    const NAME: &'static str = "pay";
}

impl LocalStep<Order> for Pay {
    async fn run(&self, tx: &mut Tx, order: &Context<'_, Order>) -> Result<i64, StepError> {
        let copies = order.output::<DeductStock>()?;
        let sum = copies * order.input.price;
        if change(tx, "wallet", -sum).await? < 0 {
            return Err(StepError::refused("NO_MONEY", "there is not so much"));
        }
        change(tx, "shop", sum).await?;
        note(tx, order.saga(), "money", sum).await?;
        Ok(sum)
    }
}

impl LocalUndo<Order> for Pay {
    async fn undo(
        &self,
        tx: &mut Tx,
        order: &Context<'_, Order>,
        sum: i64,
    ) -> Result<(), StepError> {
        change(tx, "wallet", sum).await?;
        change(tx, "shop", -sum).await?;
        forget(tx, order.saga(), "money").await
    }
}

pub(crate) struct Confirm;

impl Step for Confirm {
    type Output = ();
    const NAME: &'static str = "confirm";
}

impl LocalStep<Order> for Confirm {
    async fn run(&self, tx: &mut Tx, order: &Context<'_, Order>) -> Result<(), StepError> {
        Ok(note(tx, order.saga(), "confirmed", 1).await?)
    }
}

/// A service with a ledger, at the other end of a bad line.
struct Service(Ledger);

impl Service {
    async fn ask(
        &self,
        order: &Context<'_, Order>,
        what: &'static str,
        how: &str,
    ) -> Result<(), StepError> {
        if how == "away" {
            return Err(StepError::Failed("nobody is there".into()));
        }
        let (saga, says_no) = (order.saga(), how == "no");
        let key = order.key();
        let done = self.0.forward(&key, order.fence(), async move |tx: &mut Tx| {
            if says_no {
                return Err(StepError::refused("NO", "no"));
            }
            Ok(note(tx, saga, what, 1).await?)
        });
        done.await?;
        match how {
            "lost" => Err(StepError::Unknown("the answer was lost".into())),
            _ => Ok(()),
        }
    }

    async fn undo(&self, order: &Context<'_, Order>, what: &'static str) -> Result<(), StepError> {
        let saga = order.saga();
        let key = order.key();
        let undone = self.0.undo(&key, order.fence(), async move |tx: &mut Tx, (): ()| {
            forget(tx, saga, what).await
        });
        undone.await
    }
}

struct Coupon(Arc<Service>);

const QUICK: saga::Policy = saga::Policy {
    attempts_max: 2,
    pause_base: std::time::Duration::from_millis(1),
    pause_max: std::time::Duration::from_millis(1),
    ..saga::Policy::DEFAULT
};

impl Step for Coupon {
    type Output = ();
    const NAME: &'static str = "take-coupon";
    const POLICY: saga::Policy = QUICK;
}

impl CallStep<Order> for Coupon {
    async fn call(&self, order: &Context<'_, Order>) -> Result<(), StepError> {
        self.0.ask(order, "coupon", &order.input.coupon).await
    }
}

impl CallUndo<Order> for Coupon {
    async fn undo(&self, order: &Context<'_, Order>, _: Option<()>) -> Result<(), StepError> {
        self.0.undo(order, "coupon").await
    }
}

struct Courier(Arc<Service>);

impl Step for Courier {
    type Output = ();
    const NAME: &'static str = "ask-courier";
    const POLICY: saga::Policy = QUICK;
}

impl CallStep<Order> for Courier {
    async fn call(&self, order: &Context<'_, Order>) -> Result<(), StepError> {
        self.0.ask(order, "courier", &order.input.courier).await
    }
}

impl CallUndo<Order> for Courier {
    async fn undo(&self, order: &Context<'_, Order>, _: Option<()>) -> Result<(), StepError> {
        self.0.undo(order, "courier").await
    }
}
