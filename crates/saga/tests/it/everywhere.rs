//! A saga of every kind of step, stopped at every point, alone and in pairs.

use saga::crash::World;
use saga::{Definitions, Kind, SagaId, SagaState, SagaView, Sagas, StartError};
use stdx::Clock;

use crate::shop::{Order, Shop};

impl World for Shop {
    const SCENARIOS: usize = 5;
    type Kind = Kind<Order>;

    async fn begin(clock: Clock) -> Self {
        Self::open(clock).await
    }

    fn store(&self) -> &multi_master::MultiMaster {
        &self.store
    }

    fn define(&self, definitions: &mut Definitions) -> Kind<Order> {
        definitions.add(self.order()).unwrap()
    }

    async fn start(
        &self,
        sagas: &Sagas,
        kind: &Kind<Order>,
        scenario: usize,
        id: SagaId,
    ) -> Result<(), StartError> {
        sagas.start(kind, id, &orders()[scenario]).await.map(|_| ())
    }

    async fn check(&self, scenario: usize, saga: &SagaView) {
        let taken = self.taken(saga.id).await;
        let code = saga.cause.as_ref().map(|cause| cause.code.clone());
        if scenario == 0 {
            assert_eq!(saga.state, SagaState::Completed);
            assert_eq!(taken, ["confirmed", "money", "stock", "coupon", "courier"]);
        } else {
            assert_eq!(saga.state, SagaState::Compensated);
            assert_eq!(taken, [""; 0]);
            let expected = [None, Some("NO_MONEY"), Some("NO"), None, None][scenario];
            assert_eq!(code.unwrap().as_deref(), expected);
        }
        self.check_sums().await;
    }
}

/// All is well; no money, when all others have said yes; the courier says no; one answer is
/// lost each time; nobody is there.
fn orders() -> [Order; 5] {
    [
        Order::new(1, "yes", "yes"),
        Order { price: 2_000_000_000, ..Order::new(1, "yes", "yes") },
        Order::new(1, "yes", "no"),
        Order::new(1, "lost", "yes"),
        Order::new(1, "yes", "away"),
    ]
}

saga::crash_everywhere!(an_order_is_complete_or_undone_whatever_crashes, Shop);
