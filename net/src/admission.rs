//! Who may connect: so many connections to the broker, so many from one address. One for all shards, met only when a
//! connection begins and ends, so a lock does no harm. The limits may change while the broker runs; nobody who is in is
//! sent away for that.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use coordinator::BrokerConfig;
use rustc_hash::FxHashMap;

#[derive(Debug)]
pub struct Admission {
    held: Mutex<Held>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Limits {
    connections_max: usize,
    per_address_max: usize,
    overrides: BTreeMap<IpAddr, usize>,
}

impl Limits {
    fn new(connections_max: i32, per_address_max: i32) -> Self {
        let limit = |n: i32| usize::try_from(n).unwrap_or(0);
        let (connections_max, per_address_max) = (limit(connections_max), limit(per_address_max));
        Self { connections_max, per_address_max, overrides: BTreeMap::new() }
    }

    fn of_address(&self, address: IpAddr) -> usize {
        self.overrides.get(&address).copied().unwrap_or(self.per_address_max)
    }
}

#[derive(Debug)]
struct Held {
    limits: Limits,
    count: usize,
    by_address: FxHashMap<IpAddr, usize>,
}

/// One connection's place; dropping it gives the place back.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    /// `max.connections` and `max.connections.per.ip`.
    pub fn new(connections_max: i32, per_address_max: i32) -> Arc<Self> {
        let limits = Limits::new(connections_max, per_address_max);
        Arc::new(Self { held: Mutex::new(Held { limits, count: 0, by_address: FxHashMap::default() }) })
    }

    /// The limits in force from now on.
    pub fn follow(&self, config: &BrokerConfig) {
        let limits = Limits::new(config.max_connections, config.max_connections_per_ip);
        let overrides = overrides(&config.max_connections_per_ip_overrides);
        self.held().limits = Limits { overrides, ..limits };
    }

    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let address = address.to_canonical();
        let mut held = self.held();
        let here = held.by_address.get(&address).copied().unwrap_or(0);
        if held.count >= held.limits.connections_max || here >= held.limits.of_address(address) {
            return None;
        }
        held.count += 1;
        held.by_address.insert(address, here + 1);
        Some(Permit { admission: self.clone(), address })
    }

    pub fn count(&self) -> usize {
        self.held().count
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// `address:count`, several of them with commas between. What is not so is passed over: the rest still holds.
fn overrides(text: &str) -> BTreeMap<IpAddr, usize> {
    let pair = |item: &str| {
        let (address, count) = item.trim().rsplit_once(':')?;
        let address = address.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok()?;
        Some((address.to_canonical(), count.parse().ok()?))
    };
    text.split(',').filter_map(pair).collect()
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.admission.held();
        held.count -= 1;
        let here = held.by_address.get_mut(&self.address).expect("a permit counts for its address");
        *here -= 1;
        if *here == 0 {
            held.by_address.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_in_all_and_per_address_and_come_back() {
        let admission = Admission::new(3, 2);
        let ip = |n: u8| IpAddr::from([10, 0, 0, n]);
        let (a, b) = (admission.enter(ip(1)).unwrap(), admission.enter(ip(1)).unwrap());
        assert!(admission.enter(ip(1)).is_none());
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert!(admission.enter(mapped).is_none(), "the same address in its other form");
        let _c = admission.enter(ip(2)).unwrap();
        assert!(admission.enter(ip(3)).is_none());
        drop((a, b));
        assert_eq!(admission.count(), 1);
        assert!(admission.enter(ip(1)).is_some());
        assert!(admission.held().by_address.len() == 1);
    }

    #[test]
    fn other_limits_hold_for_whoever_comes_next() {
        let admission = Admission::new(3, 2);
        let ip = |n: u8| IpAddr::from([10, 0, 0, n]);
        let held: Vec<_> = [1, 1, 2].map(|n| admission.enter(ip(n)).unwrap()).into();
        let follow = |more: [(&str, &str); 3]| {
            admission.follow(&BrokerConfig::parse(more).unwrap());
        };
        let overrides = "10.0.0.3:2, [::1]:1,nowhere";
        follow([
            ("max.connections", "6"),
            ("max.connections.per.ip", "1"),
            ("max.connections.per.ip.overrides", overrides),
        ]);
        assert!(admission.enter(ip(2)).is_none());
        let more: Vec<_> = [3, 3].map(|n| admission.enter(ip(n)).unwrap()).into();
        assert!(admission.enter(ip(3)).is_none());
        let _own = admission.enter("::1".parse().unwrap()).unwrap();
        assert!(admission.enter(ip(4)).is_none(), "six are in");
        drop((held, more));
        assert!(admission.enter("::1".parse().unwrap()).is_none());
    }
}
