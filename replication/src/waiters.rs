//! Who waits for which offset, and until when: one queue a shard for acks=all and long polls alike. Pure.
//!
//! A ticket waits at one or more *places*, a partition and the offset its high watermark must reach: a produce for all
//! of its places, a fetch for any. It ends once, whatever comes first, and then stands nowhere any more. Every
//! operation costs the logarithm of what waits; moving a watermark costs only those it wakes.

use std::collections::{BTreeMap, BTreeSet};

use model::{Millis, Offset, TopicPartition};

/// Tickets of one shard. Whoever comes beyond waits for nothing: its time is over at once.
pub const TICKETS_MAX: usize = 1 << 22;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Wait until the high watermark of `id` is `until` or more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub id: TopicPartition,
    pub until: Offset,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    All,
    Any,
}

/// Why a ticket's wait is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    Reached,
    Expired,
    /// A partition it waits for is no longer here, or no longer led from here: look again.
    Gone,
    /// The store failed: what was not acknowledged by now never will be.
    Failed,
}

#[derive(Default, Debug)]
pub struct Waiters {
    tickets: BTreeMap<Ticket, Waiter>,
    places: BTreeSet<(TopicPartition, Offset, Ticket)>,
    deadlines: BTreeSet<(Millis, Ticket)>,
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    places: Vec<Place>,
    /// Places still to be reached.
    missing: usize,
    deadline: Millis,
}

pub type Wakes = Vec<(Ticket, Woken)>;

impl Waiters {
    pub fn park(&mut self, places: &[Place], need: Need, deadline: Millis, wakes: &mut Wakes) -> Ticket {
        assert!(!places.is_empty(), "a ticket that waits for nothing");
        let ticket = Ticket(self.next);
        self.next += 1;
        if self.tickets.len() >= TICKETS_MAX {
            wakes.push((ticket, Woken::Expired));
            return ticket;
        }
        let mut places = places.to_vec();
        places.sort_unstable();
        places.dedup();
        for place in &places {
            self.places.insert((place.id, place.until, ticket));
        }
        self.deadlines.insert((deadline, ticket));
        let missing = if need == Need::All { places.len() } else { 1 };
        self.tickets.insert(ticket, Waiter { places, missing, deadline });
        ticket
    }

    /// The high watermark of `id` is `to` now.
    pub fn advanced(&mut self, id: TopicPartition, to: Offset, wakes: &mut Wakes) {
        loop {
            let first =
                self.places.range((id, Offset(i64::MIN), Ticket(0))..=(id, to, Ticket(u64::MAX))).next();
            let Some(&place) = first else { return };
            self.places.remove(&place);
            let ticket = place.2;
            let waiter = self.tickets.get_mut(&ticket).expect("a place belongs to a ticket");
            waiter.missing -= 1;
            if waiter.missing == 0 {
                self.end(ticket, Woken::Reached, wakes);
            }
        }
    }

    pub fn expired(&mut self, now: Millis, wakes: &mut Wakes) {
        while let Some(&(deadline, ticket)) = self.deadlines.first() {
            if deadline > now {
                return;
            }
            self.end(ticket, Woken::Expired, wakes);
        }
    }

    /// `id` is not served here any more.
    pub fn gone(&mut self, id: TopicPartition, wakes: &mut Wakes) {
        loop {
            let from = (id, Offset(i64::MIN), Ticket(0))..=(id, Offset(i64::MAX), Ticket(u64::MAX));
            let Some(&(_, _, ticket)) = self.places.range(from).next() else { return };
            self.end(ticket, Woken::Gone, wakes);
        }
    }

    pub fn fail_all(&mut self, wakes: &mut Wakes) {
        while let Some((&ticket, _)) = self.tickets.first_key_value() {
            self.end(ticket, Woken::Failed, wakes);
        }
    }

    /// Nobody waits for this ticket any more. It may have ended already.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.take_out(ticket);
    }

    pub fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    pub fn len(&self) -> usize {
        self.tickets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    fn end(&mut self, ticket: Ticket, why: Woken, wakes: &mut Wakes) {
        let was_there = self.take_out(ticket);
        assert!(was_there, "a ticket ends once");
        wakes.push((ticket, why));
    }

    fn take_out(&mut self, ticket: Ticket) -> bool {
        let Some(waiter) = self.tickets.remove(&ticket) else { return false };
        for place in &waiter.places {
            self.places.remove(&(place.id, place.until, ticket));
        }
        self.deadlines.remove(&(waiter.deadline, ticket));
        true
    }
}

#[cfg(test)]
mod tests {
    use model::{PartitionIndex, TopicId};

    use super::*;

    fn id(partition: i32) -> TopicPartition {
        TopicPartition::new(TopicId::METADATA, PartitionIndex(partition))
    }

    fn at(partition: i32, until: i64) -> Place {
        Place { id: id(partition), until: Offset(until) }
    }

    fn advance(waiters: &mut Waiters, partition: i32, to: i64) -> Vec<u64> {
        let mut wakes = Wakes::new();
        waiters.advanced(id(partition), Offset(to), &mut wakes);
        assert!(wakes.iter().all(|w| w.1 == Woken::Reached));
        wakes.iter().map(|w| w.0.0).collect()
    }

    const LATE: Millis = Millis(1_000_000);

    #[test]
    fn a_moved_mark_wakes_whom_it_reaches_and_nobody_else() {
        let mut waiters = Waiters::default();
        for until in [5, 3, 9] {
            waiters.park(&[at(0, until)], Need::All, LATE, &mut vec![]);
        }
        waiters.park(&[at(1, 1)], Need::All, LATE, &mut vec![]);
        assert_eq!(advance(&mut waiters, 0, 2), []);
        assert_eq!(advance(&mut waiters, 0, 5), [1, 0]);
        assert_eq!(advance(&mut waiters, 0, 100), [2]);
        assert_eq!(waiters.len(), 1);
    }

    #[test]
    fn a_produce_waits_for_all_and_a_fetch_for_any() {
        let mut waiters = Waiters::default();
        waiters.park(&[at(0, 5), at(1, 5)], Need::All, LATE, &mut vec![]);
        waiters.park(&[at(0, 5), at(1, 5)], Need::Any, LATE, &mut vec![]);
        assert_eq!(advance(&mut waiters, 0, 5), [1]);
        assert_eq!(advance(&mut waiters, 1, 5), [0]);
        assert!(waiters.is_empty() && waiters.places.is_empty() && waiters.deadlines.is_empty());
    }

    #[test]
    fn the_same_place_twice_is_one_place() {
        let mut waiters = Waiters::default();
        waiters.park(&[at(0, 5), at(0, 5), at(0, 3)], Need::All, LATE, &mut vec![]);
        assert_eq!(advance(&mut waiters, 0, 5), [0]);
        assert!(waiters.places.is_empty());
    }

    #[test]
    fn deadlines_end_waits_in_order() {
        let mut waiters = Waiters::default();
        waiters.park(&[at(0, 5)], Need::Any, Millis(30), &mut vec![]);
        waiters.park(&[at(0, 5)], Need::Any, Millis(10), &mut vec![]);
        assert_eq!(waiters.next_deadline(), Some(Millis(10)));
        let mut wakes = Wakes::new();
        waiters.expired(Millis(9), &mut wakes);
        assert_eq!(wakes, []);
        waiters.expired(Millis(30), &mut wakes);
        assert_eq!(wakes, [(Ticket(1), Woken::Expired), (Ticket(0), Woken::Expired)]);
        assert_eq!(waiters.next_deadline(), None);
        assert_eq!(advance(&mut waiters, 0, 9), []);
    }

    #[test]
    fn a_partition_that_goes_and_a_store_that_fails_leave_nobody_waiting() {
        let mut waiters = Waiters::default();
        waiters.park(&[at(0, 5), at(1, 5)], Need::All, LATE, &mut vec![]);
        waiters.park(&[at(1, 5)], Need::All, LATE, &mut vec![]);
        waiters.park(&[at(2, 5)], Need::All, LATE, &mut vec![]);
        let mut wakes = Wakes::new();
        waiters.gone(id(1), &mut wakes);
        assert_eq!(wakes, [(Ticket(0), Woken::Gone), (Ticket(1), Woken::Gone)]);
        wakes.clear();
        waiters.fail_all(&mut wakes);
        assert_eq!(wakes, [(Ticket(2), Woken::Failed)]);
        assert!(waiters.places.is_empty() && waiters.deadlines.is_empty());
    }

    #[test]
    fn a_cancelled_ticket_leaves_nothing_behind() {
        let mut waiters = Waiters::default();
        let ticket = waiters.park(&[at(0, 5), at(1, 6)], Need::All, LATE, &mut vec![]);
        advance(&mut waiters, 0, 5);
        waiters.cancel(ticket);
        waiters.cancel(ticket);
        assert!(waiters.is_empty() && waiters.places.is_empty() && waiters.deadlines.is_empty());
    }
}
