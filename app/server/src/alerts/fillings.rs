//! That a master has to be filled from another: a state machine without I/O.

use std::collections::BTreeMap;

use monitor::{Alert, AlertKey, Severity};
use multi_master::MasterName;

use super::masters::Order;

/// The masters that had to be filled when they were looked at last, and why.
#[derive(Debug, Default)]
pub(super) struct Fillings(BTreeMap<MasterName, String>);

impl Fillings {
    /// What there is to tell of those that have to be filled now.
    pub(super) fn look(&mut self, marked: &[(MasterName, String)]) -> Vec<Order> {
        let now: BTreeMap<MasterName, String> = marked.iter().cloned().collect();
        let key = |name: &MasterName| AlertKey::new(&format!("master/{name}/fill"));
        let over = self.0.keys().filter(|name| !now.contains_key(*name));
        let over = over.map(|name| Order::Resolve(key(name)));
        let new = now.iter().filter(|(name, why)| self.0.get(*name) != Some(*why));
        let new = new.map(|(name, why)| {
            let summary = format!("master {name} has to be filled from another");
            let alert = Alert::new(Severity::Warning, key(name), &summary);
            Order::Raise(alert.detail("reason", why))
        });
        let orders = over.chain(new).collect();
        self.0 = now;
        orders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_and_when_it_is_over() {
        let b = |why: &str| vec![(MasterName("b".to_owned()), why.to_owned())];
        let mut fillings = Fillings::default();
        assert_eq!(fillings.look(&[]), []);
        let raised = fillings.look(&b("the log outgrew its limit"));
        let [Order::Raise(alert)] = raised.as_slice() else { panic!("{raised:?}") };
        assert_eq!(alert.key().to_string(), "master/b/fill");
        assert_eq!(alert.severity(), Severity::Warning);
        assert_eq!(fillings.look(&b("the log outgrew its limit")), []);
        assert_eq!(fillings.look(&b("somebody asked for it")).len(), 1);
        assert_eq!(fillings.look(&[]), [Order::Resolve(AlertKey::new("master/b/fill"))]);
    }
}
