//! Permits for connections: how many there may be of one network and in all, and which one gives way.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The open connections.
#[derive(Clone)]
pub(super) struct Permits(Arc<Mutex<Table>>);

struct Table {
    total: usize,
    per_network: usize,
    /// Counts changes. Orders connections by how long they have waited.
    clock: u64,
    open: HashMap<u64, Entry>,
    networks: HashMap<IpAddr, usize>,
}

struct Entry {
    network: IpAddr,
    /// Since when it waits for a header; `None` while a request is in progress.
    waits_since: Option<u64>,
    has_begun: bool,
    evict: Arc<Notify>,
}

/// The permit of one connection, given back on drop.
pub(super) struct Permit {
    permits: Permits,
    id: u64,
    evict: Arc<Notify>,
}

/// A request in progress. Its connection does not give way.
pub(super) struct Busy(Arc<Permit>);

impl Permits {
    /// Permits for `total` connections, and for `per_network` of one network.
    pub(super) fn new(total: usize, per_network: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            total,
            per_network,
            clock: 0,
            open: HashMap::new(),
            networks: HashMap::new(),
        })))
    }

    /// A permit for a connection from `address`, and the number of connections that gave way. `None`
    /// if all others have a request in progress.
    pub(super) fn acquire(&self, address: IpAddr) -> Option<(Permit, u64)> {
        let network = network(address);
        let mut table = self.lock();
        let mut evicted = 0;
        if table.networks.get(&network).copied().unwrap_or(0) >= table.per_network {
            table.evict(|entry| entry.network == network)?;
            evicted += 1;
        }
        if table.open.len() >= table.total {
            table.evict(|_| true)?;
            evicted += 1;
        }
        let id = table.tick();
        let evict = Arc::new(Notify::new());
        let entry = Entry {
            network,
            waits_since: Some(id),
            has_begun: false,
            evict: Arc::clone(&evict),
        };
        table.open.insert(id, entry);
        *table.networks.entry(network).or_default() += 1;
        let permits = self.clone();
        Some((Permit { permits, id, evict }, evicted))
    }

    /// Closes the connection that has waited longest. Returns how many were closed.
    pub(super) fn evict(&self) -> u64 {
        self.lock().evict(|_| true).map_or(0, |()| 1)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Evicts the connection that has waited longest among those that `may` go. `None` if there is
    /// none. Looks at all of them: it runs at a limit only.
    fn evict(&mut self, may: impl Fn(&Entry) -> bool) -> Option<()> {
        let waiting = self.open.iter().filter(|(_, entry)| may(entry));
        let waiting = waiting.filter_map(|(id, entry)| Some((entry.waits_since?, *id)));
        let (_, id) = waiting.min()?;
        let entry = self.remove(id)?;
        entry.evict.notify_one();
        Some(())
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.open.remove(&id)?;
        if let Some(count) = self.networks.get_mut(&entry.network) {
            *count -= 1;
            if *count == 0 {
                self.networks.remove(&entry.network);
            }
        }
        Some(entry)
    }
}

impl Permit {
    /// Begins a request: the connection does not give way until the result is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        if let Some(entry) = self.permits.lock().open.get_mut(&self.id) {
            entry.waits_since = None;
            entry.has_begun = true;
        }
        Busy(Arc::clone(self))
    }

    /// Whether a request has ever begun.
    pub(super) fn has_begun(&self) -> bool {
        let table = self.permits.lock();
        table
            .open
            .get(&self.id)
            .is_some_and(|entry| entry.has_begun)
    }

    /// Waits until the connection has to give way.
    pub(super) async fn evicted(&self) {
        self.evict.notified().await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.lock().remove(self.id);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut table = self.0.permits.lock();
        let now = table.tick();
        if let Some(entry) = table.open.get_mut(&self.0.id) {
            entry.waits_since = Some(now);
        }
    }
}

/// The network that counts as one client: an IPv4 address, or the 64 bits of IPv6 that one site has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::{Permit, Permits};

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn acquire(permits: &Permits, from: &str) -> Arc<Permit> {
        Arc::new(permits.acquire(address(from)).expect("a permit").0)
    }

    fn is_open(permit: &Permit) -> bool {
        permit.permits.lock().open.contains_key(&permit.id)
    }

    #[test]
    fn the_connection_that_waits_longest_gives_way_and_none_with_a_request() {
        let permits = Permits::new(3, 3);
        let [a, b, c] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|from| acquire(&permits, from));
        let busy = a.begin();
        let d = acquire(&permits, "10.0.0.4");
        assert!(is_open(&a) && !is_open(&b) && is_open(&c) && is_open(&d));
        // An answered connection waits from its answer on.
        drop(busy);
        let e = acquire(&permits, "10.0.0.5");
        assert!(is_open(&a) && !is_open(&c));
        let (_a, busy, _e) = (a.begin(), d.begin(), e.begin());
        assert!(permits.acquire(address("10.0.0.6")).is_none());
        drop((busy, d));
        assert!(permits.acquire(address("10.0.0.6")).is_some());
    }

    #[test]
    fn a_network_takes_no_more_than_its_share() {
        let permits = Permits::new(100, 2);
        let other = acquire(&permits, "10.0.0.1");
        let first = acquire(&permits, "2001:db8::1");
        let second = acquire(&permits, "2001:db8::2");
        let third = acquire(&permits, "2001:db8::3");
        assert!(is_open(&other) && !is_open(&first) && is_open(&second) && is_open(&third));
        let mapped = [0; 3].map(|_| acquire(&permits, "::ffff:10.0.0.1"));
        assert!(!is_open(&other), "it is the same address");
        assert_eq!(mapped.iter().filter(|permit| is_open(permit)).count(), 2);
    }
}
