//! What of the shop waits for an operator: a state machine without I/O.

use monitor::{Alert, AlertKey, Severity};

use super::masters::Order;

/// What waited when it was looked last.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    stuck: u64,
    parked: bool,
    late: bool,
}

impl Waiting {
    /// What there is to tell where so many sagas are stuck, events were put aside, and orders
    /// have been on their way to another part for long.
    pub(super) fn look(&mut self, stuck: u64, parked: bool, late: bool) -> Vec<Order> {
        let mut orders = Vec::new();
        if stuck != self.stuck {
            let key = AlertKey::new("shop/sagas/stuck");
            orders.push(if stuck == 0 {
                Order::Resolve(key)
            } else {
                let summary = format!(
                    "{stuck} orders are stuck: `endpaper saga ls --state STUCK` shows them"
                );
                Order::Raise(Alert::new(Severity::Critical, key, &summary))
            });
        }
        if parked != self.parked {
            let key = AlertKey::new("shop/events/parked");
            orders.push(if parked {
                let summary = "events of orders were put aside: they could not be delivered";
                Order::Raise(Alert::new(Severity::Warning, key, summary))
            } else {
                Order::Resolve(key)
            });
        }
        if late != self.late {
            let key = AlertKey::new("shop/orders/late");
            orders.push(if late {
                let summary = "orders have been on their way to another part of the shop for \
                               minutes: `endpaper shop events` says to which";
                Order::Raise(Alert::new(Severity::Warning, key, summary))
            } else {
                Order::Resolve(key)
            });
        }
        *self = Self { stuck, parked, late };
        orders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_when_it_begins_changes_and_is_over() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.look(0, false, false), []);
        let raised = waiting.look(2, false, false);
        let [Order::Raise(alert)] = raised.as_slice() else { panic!("{raised:?}") };
        assert_eq!(alert.severity(), Severity::Critical);
        assert_eq!(waiting.look(2, false, false), []);
        assert_eq!(waiting.look(3, true, true).len(), 3);
        let over = ["shop/sagas/stuck", "shop/events/parked", "shop/orders/late"];
        assert_eq!(
            waiting.look(0, false, false),
            over.map(|key| Order::Resolve(AlertKey::new(key)))
        );
    }
}
