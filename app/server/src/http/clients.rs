//! How many connections each client has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who counts as one client: an IPv4 address, or the /64 of an IPv6 address,
/// since that is the least that a network gives to one customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

impl Client {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(network_of(address)),
        }
    }
}

fn network_of(address: Ipv6Addr) -> [u16; 4] {
    let [a, b, c, d, ..] = address.segments();
    [a, b, c, d]
}

/// The connections of each client that has one, and how many it may have.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    most: usize,
    exempt: Arc<[IpAddr]>,
    // As many entries as there are connections, which are bounded.
    connections: Arc<Mutex<HashMap<Client, usize>>>,
}

impl Clients {
    /// At most `most` connections for each client; `exempt` are proxies, which
    /// speak for many.
    pub(super) fn new(most: usize, exempt: Arc<[IpAddr]>) -> Self {
        Self { most, exempt, connections: Arc::default() }
    }

    /// A place for one more connection from `address`; `None` when it has as
    /// many as it may.
    pub(super) fn enter(&self, address: IpAddr) -> Option<ClientPlace> {
        if self.exempt.contains(&address.to_canonical()) {
            return Some(ClientPlace { of: None });
        }
        let client = Client::of(address);
        let mut connections = self.lock();
        let count = connections.entry(client).or_default();
        // Below the bound there is no entry of zero left behind: `most` is at
        // least one.
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(connections);
        Some(ClientPlace { of: Some((self.clone(), client)) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Client, usize>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that counts until it is dropped.
#[derive(Debug)]
pub(super) struct ClientPlace {
    of: Option<(Clients, Client)>,
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        let Some((clients, client)) = &self.of else { return };
        let mut connections = clients.lock();
        if let Some(count) = connections.get_mut(client) {
            *count -= 1;
            if *count == 0 {
                connections.remove(client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_has_so_many_and_no_more_and_others_have_theirs() {
        let clients = Clients::new(2, [ip("10.0.0.1")].into());
        let first = clients.enter(ip("192.0.2.1")).unwrap();
        let _second = clients.enter(ip("::ffff:192.0.2.1")).unwrap();
        assert!(clients.enter(ip("192.0.2.1")).is_none());
        let _other = clients.enter(ip("192.0.2.2")).unwrap();
        drop(first);
        let _again = clients.enter(ip("192.0.2.1")).unwrap();
        assert!(clients.enter(ip("192.0.2.1")).is_none());

        let places: Vec<_> = (0..9).map(|_| clients.enter(ip("10.0.0.1"))).collect();
        assert!(places.iter().all(Option::is_some), "a proxy speaks for many");
    }

    #[test]
    fn an_ipv6_customer_is_one_client() {
        let clients = Clients::new(1, Arc::default());
        let _place = clients.enter(ip("2001:db8:1:2::1")).unwrap();
        assert!(clients.enter(ip("2001:db8:1:2:ffff::9")).is_none());
        assert!(clients.enter(ip("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn nothing_is_kept_of_clients_that_are_gone() {
        let clients = Clients::new(1, Arc::default());
        for _ in 0..3 {
            let place = clients.enter(ip("192.0.2.1"));
            assert!(clients.enter(ip("192.0.2.1")).is_none());
            drop(place);
        }
        assert!(clients.lock().is_empty());
    }
}
