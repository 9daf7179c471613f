//! Starting the sagas of orders, and waiting for them.

use std::time::Duration;

use endpaper_api::shop::{OrderState, OrderStep, StepState};
use multi_master::{Db, MultiMaster};
use saga::sagas::OpenError;
use saga::{Definitions, Kind, SagaId, Sagas, StartError, Started};
use stdx::ids::Id as _;

use super::ShopError;
use super::orders::answer;
use super::saga::{self as definitions, Cancelling, Desk, Parts, Placing};
use crate::model::{Cart, Order, OrderId, ReaderId};
use crate::rules;
use crate::store::orders;

/// Who asks for an order waits for it for so long; then it is told how it stands, and can be
/// asked for again.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// An order takes milliseconds, and a reader waits for it: what a dead process left is gone on
/// with soon. One that only stood still for so long has its orders taken over, and changes
/// nothing any more.
const LEASE: Duration = Duration::from_secs(5);

/// The sagas of orders of this process.
#[derive(Clone, Debug)]
pub(super) struct OrderSagas {
    all: Sagas,
    order: Kind<Placing>,
    cancel: Kind<Cancelling>,
}

impl OrderSagas {
    pub(super) async fn open(
        store: MultiMaster,
        desk: Desk,
        parts: &Parts,
    ) -> Result<Self, OpenError> {
        let clock = desk.clock.clone();
        let config = saga::Config { lease: LEASE, clock, ..saga::Config::default() };
        let mut known = Definitions::default();
        let no_mistake = "the definitions are right";
        let order = known.add(definitions::order(desk.clone(), parts)).expect(no_mistake);
        let cancel = known.add(definitions::cancel(desk, parts)).expect(no_mistake);
        Ok(Self { all: Sagas::open(store, known, config).await?, order, cancel })
    }

    pub(super) const fn all(&self) -> &Sagas {
        &self.all
    }

    pub(super) async fn place(
        &self,
        store: &MultiMaster,
        reader: ReaderId,
        id: OrderId,
        cart: Cart,
    ) -> Result<Order, ShopError> {
        let placing = Placing { order: id, reader, cart };
        let saga = SagaId::from_uuid(id.uuid());
        match self.all.start(&self.order, saga, &placing).await {
            Ok(Started::New | Started::Before) => self.settle(saga).await?,
            // Whose it is, and whether it is the same, its events say.
            Err(StartError::OtherInput(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let order = get(store, id).await?.ok_or(ShopError::IdTaken)?;
        answer(order, reader, &placing.cart)
    }

    pub(super) async fn cancel(
        &self,
        store: &MultiMaster,
        order: Order,
    ) -> Result<Order, ShopError> {
        let saga = rules::derived(order.id.uuid(), "cancel");
        self.all.start(&self.cancel, saga, &Cancelling::of(&order)).await?;
        self.settle(saga).await?;
        get(store, order.id).await?.ok_or(ShopError::OrderNotFound)
    }

    /// What an order needs, and how far each is, where `settled` is what holds once nothing
    /// more becomes of the order.
    pub(super) async fn steps(
        &self,
        order: &Order,
        settled: Vec<OrderStep>,
    ) -> Result<Vec<OrderStep>, ShopError> {
        use saga::StepState as Of;
        let is_placed = match order.state {
            OrderState::Placed => true,
            OrderState::Cancelled => false,
            OrderState::Completed | OrderState::Rejected => return Ok(settled),
        };
        let saga = if is_placed {
            SagaId::from_uuid(order.id.uuid())
        } else {
            rules::derived(order.id.uuid(), "cancel")
        };
        // What was forgotten is long over.
        let Some(saga) = self.all.view(saga).await? else { return Ok(settled) };
        let how_far = |need| {
            let (forward, back) = definitions::names(need);
            let name = if is_placed { forward } else { back };
            let found = saga.steps.iter().find(|step| step.name == name);
            match (found.map_or(Of::Waiting, |step| step.record.state), is_placed) {
                (Of::Refused, true) => StepState::Refused,
                (Of::Undone | Of::Skipped, true) | (Of::Done | Of::Skipped, false) => {
                    StepState::GivenBack
                }
                (Of::Waiting | Of::Begun | Of::GaveUp, true) => StepState::Waiting,
                (Of::Done, true) | (_, false) => StepState::Taken,
            }
        };
        let step = |step: OrderStep| OrderStep { state: how_far(step.need), ..step };
        Ok(settled.into_iter().map(step).collect())
    }

    /// Until it is over, or stuck, or has taken long.
    async fn settle(&self, saga: SagaId) -> Result<(), ShopError> {
        match tokio::time::timeout(WAIT_MAX, self.all.wait(saga)).await {
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    }
}

async fn get(store: &MultiMaster, id: OrderId) -> Result<Option<Order>, ShopError> {
    Ok(store.read(async move |db: &mut Db| orders::get(db, id).await).await?)
}

impl From<StartError> for ShopError {
    fn from(error: StartError) -> Self {
        use multi_master::DbError;
        match error {
            StartError::Overloaded(_) => Self::Db(DbError::Overloaded),
            StartError::Closing => Self::Db(DbError::Closed),
            StartError::Db(error) => Self::Db(error),
            StartError::InDoubt(txid) => Self::InDoubt(txid),
            StartError::OtherInput(_) => Self::KeyReused,
            StartError::Input(error) => Self::Db(DbError::Shape(error.to_string())),
        }
    }
}
