//! The state of the masters, as alerts: to the log and to webhooks.

use std::time::Duration;

use endpaper_shop::{OrderService, Shop};
use monitor::{DeliveryConfig, Environment, EpisodesConfig, Monitor, MonitorConfig};
use multi_master::MultiMaster;
use saga::SagaState;
use stdx::{Clock, IdSource, Random};

use crate::config::{AlertsSettings, Settings};
use crate::failure::{Failure, Result};
use crate::verification::Verification;

mod fillings;
mod masters;
mod shop;

use fillings::Fillings;
use masters::{Look, Masters, Order};
use shop::Waiting;

/// Starts what takes alerts and tells them.
pub(crate) fn start(settings: &AlertsSettings) -> Result<Monitor> {
    let config = MonitorConfig {
        episodes: EpisodesConfig {
            quiet: settings.quiet,
            repeat_critical: Some(settings.repeat),
            ..EpisodesConfig::default()
        },
        targets: settings.targets.clone(),
        delivery: DeliveryConfig { request: settings.request, ..DeliveryConfig::default() },
    };
    let environment =
        Environment { clock: Clock::real(), ids: IdSource::system(), random: Random::secret() };
    Monitor::start(config, environment).map_err(Failure::new)
}

/// How long alerts that wait may take to be delivered when the server stops.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(2);

/// How often the masters are looked at where nothing changes: what is away for
/// long enough, and what is counted, makes no event.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Raises and resolves alerts about the masters, for as long as it is polled.
pub(crate) async fn watch(
    store: &MultiMaster,
    verification: &Verification,
    monitor: &Monitor,
    settings: &Settings,
) {
    let clock = Clock::real();
    let mut masters = Masters::new(settings.store.policy, settings.alerts.master_away);
    let mut diverged = 0;
    let mut fillings = Fillings::default();
    loop {
        let (status, queue, refuses) = (store.status(), store.queue(), store.refuses());
        let counts = store.counts();
        let look = Look {
            masters: &status,
            refuses: refuses.as_deref(),
            in_doubt: counts.in_doubt,
            diverged: counts.diverged,
            conflicts_kept: store.conflicts_kept(),
            queue: &queue,
        };
        let orders = masters.look(clock.now(), &look);
        for order in orders.into_iter().chain(fillings.look(&store.marked())) {
            carry_out(order, monitor);
        }
        // Told first: a comparison that finds nothing ends the alert.
        if counts.diverged > diverged {
            diverged = counts.diverged;
            verification.write_refused();
        }
        let changed = store.wait_until(|now| now != status.as_slice());
        // Too late means that nothing changed: it is looked again.
        let _ = tokio::time::timeout(LOOK_AGAIN, changed).await;
    }
}

fn carry_out(order: Order, monitor: &Monitor) {
    match order {
        Order::Raise(alert) => monitor.raise(alert),
        Order::Resolve(key) => monitor.resolve(&key),
    }
}

/// How often it is asked what of the shop waits for an operator.
const LOOK_AT_SHOP: Duration = Duration::from_secs(5);

/// Parts take milliseconds.
const LATE_AFTER: Duration = Duration::from_mins(2);

/// Raises and resolves alerts about the shop, for as long as it is polled.
pub(crate) async fn watch_shop(shop: &Shop, monitor: &Monitor) {
    let mut waiting = Waiting::default();
    loop {
        let stuck = match shop.orders.as_ref().map(OrderService::sagas) {
            Some(sagas) => sagas.count(SagaState::Stuck).await,
            None => Ok(0),
        };
        // Where the store can't be read the masters have an alert of their own.
        // Those over one store see the same.
        let parked = match shop.outboxes().first() {
            Some(outbox) => outbox.parked(1).await,
            None => Ok(Vec::new()),
        };
        let late = shop.is_late(LATE_AFTER).await;
        if let (Ok(stuck), Ok(parked), Ok(late)) = (stuck, parked, late) {
            for order in waiting.look(stuck, !parked.is_empty(), late) {
                carry_out(order, monitor);
            }
        }
        tokio::time::sleep(LOOK_AT_SHOP).await;
    }
}
