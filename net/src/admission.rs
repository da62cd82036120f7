//! Who may connect: so many connections to the broker, so many from one address. One for all shards, met only when a
//! connection begins and ends, so a lock does no harm.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

use rustc_hash::FxHashMap;

#[derive(Debug)]
pub struct Admission {
    connections_max: usize,
    per_address_max: usize,
    held: Mutex<Held>,
}

#[derive(Default, Debug)]
struct Held {
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
        let limit = |n: i32| usize::try_from(n).unwrap_or(0);
        let (connections_max, per_address_max) = (limit(connections_max), limit(per_address_max));
        Arc::new(Self { connections_max, per_address_max, held: Mutex::default() })
    }

    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let address = address.to_canonical();
        let mut held = self.held();
        let here = held.by_address.get(&address).copied().unwrap_or(0);
        if held.count >= self.connections_max || here >= self.per_address_max {
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
}
