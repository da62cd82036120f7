//! Who waits for which offset, and until when: one queue a shard for acks=1, acks=all and long polls alike. Pure.
//!
//! A ticket waits at one or more *places*, a partition and the offset that one of its marks must reach: what this broker
//! alone vouches for (acks=1), or the high watermark. A produce waits for all of its places, a fetch for any. It ends
//! once, whatever comes first, and then stands nowhere any more. Coming and going cost a ticket the logarithm of what
//! waits for each of its places; moving a mark costs that for each place it reaches, and for the other places of those it
//! wakes. Who waits for more is not looked at.

use std::collections::{BTreeMap, BTreeSet};

use model::{Millis, Offset, TopicPartition};

/// Places of one shard, about 100 bytes each. Whoever comes beyond waits for nothing: its time is over at once.
pub const PLACES_MAX: usize = 1 << 22;
/// `Need::Any` finds room in this part of them, so that long polls, which a client opens at will, end no wait for an
/// acknowledgement.
const ANY_SHARE: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// What of a partition is waited for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mark {
    /// What this broker alone vouches for (acks=1).
    Own,
    /// The high watermark.
    High,
}

/// Wait until the mark of `id` is `until` or more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub id: TopicPartition,
    pub mark: Mark,
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
    /// A partition it waited for is no longer here, or no longer led from here: look again. Who needs all places hears
    /// of it when the others are settled too.
    Gone,
    /// The store failed: what was not acknowledged by now never will be. For `Need::All` only: who waits for anything
    /// new waits on, or it would come back at once, again and again.
    Failed,
}

#[derive(Debug)]
pub struct Waiters {
    places_max: usize,
    tickets: BTreeMap<Ticket, Waiter>,
    places: BTreeSet<(TopicPartition, Mark, Offset, Ticket)>,
    deadlines: BTreeSet<(Millis, Ticket)>,
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    places: Vec<Place>,
    need: Need,
    /// Places still to be settled.
    missing: usize,
    /// One of them went instead of being reached.
    lost: bool,
    deadline: Millis,
}

pub type Wakes = Vec<(Ticket, Woken)>;

impl Default for Waiters {
    fn default() -> Self {
        Self::of(PLACES_MAX)
    }
}

impl Waiters {
    fn of(places_max: usize) -> Self {
        let (tickets, places, deadlines, next) = Default::default();
        Self { places_max, tickets, places, deadlines, next }
    }

    pub fn park(&mut self, places: &[Place], need: Need, deadline: Millis, wakes: &mut Wakes) -> Ticket {
        assert!(!places.is_empty(), "a ticket that waits for nothing");
        let ticket = Ticket(self.next);
        self.next += 1;
        let mut places = places.to_vec();
        places.sort_unstable();
        places.dedup();
        let places_max = if need == Need::All { self.places_max } else { self.places_max / ANY_SHARE };
        if self.places.len() + places.len() > places_max {
            wakes.push((ticket, Woken::Expired));
            return ticket;
        }
        for place in &places {
            self.places.insert((place.id, place.mark, place.until, ticket));
        }
        self.deadlines.insert((deadline, ticket));
        let missing = if need == Need::All { places.len() } else { 1 };
        self.tickets.insert(ticket, Waiter { places, need, missing, lost: false, deadline });
        ticket
    }

    /// The mark of `id` is at `to` now.
    pub fn advanced(&mut self, id: TopicPartition, mark: Mark, to: Offset, wakes: &mut Wakes) {
        loop {
            let reached = (id, mark, Offset(i64::MIN), Ticket(0))..=(id, mark, to, Ticket(u64::MAX));
            let Some(&place) = self.places.range(reached).next() else { return };
            self.settle(place, false, wakes);
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

    /// `id` is not served here any more. That settles its places and no others: the rest of a produce is acknowledged
    /// as ever, and a producer told otherwise would send it twice.
    pub fn gone(&mut self, id: TopicPartition, wakes: &mut Wakes) {
        loop {
            let first = (id, Mark::Own, Offset(i64::MIN), Ticket(0));
            let from = first..=(id, Mark::High, Offset(i64::MAX), Ticket(u64::MAX));
            let Some(&place) = self.places.range(from).next() else { return };
            self.settle(place, true, wakes);
        }
    }

    /// Nothing is acknowledged any more.
    pub fn fail_all(&mut self, wakes: &mut Wakes) {
        let all = self.tickets.iter().filter(|(_, waiter)| waiter.need == Need::All);
        let all: Vec<Ticket> = all.map(|(&ticket, _)| ticket).collect();
        all.into_iter().for_each(|ticket| self.end(ticket, Woken::Failed, wakes));
    }

    /// As `fail_all`, for one ticket. It may have ended already.
    pub fn fail(&mut self, ticket: Ticket, wakes: &mut Wakes) {
        if self.take_out(ticket) {
            wakes.push((ticket, Woken::Failed));
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

    fn settle(&mut self, place: (TopicPartition, Mark, Offset, Ticket), lost: bool, wakes: &mut Wakes) {
        self.places.remove(&place);
        let ticket = place.3;
        let waiter = self.tickets.get_mut(&ticket).expect("a place belongs to a ticket");
        waiter.missing -= 1;
        waiter.lost |= lost;
        if waiter.missing == 0 {
            let why = if waiter.lost { Woken::Gone } else { Woken::Reached };
            self.end(ticket, why, wakes);
        }
    }

    fn end(&mut self, ticket: Ticket, why: Woken, wakes: &mut Wakes) {
        let was_there = self.take_out(ticket);
        assert!(was_there, "a ticket ends once");
        wakes.push((ticket, why));
    }

    fn take_out(&mut self, ticket: Ticket) -> bool {
        let Some(waiter) = self.tickets.remove(&ticket) else { return false };
        for place in &waiter.places {
            self.places.remove(&(place.id, place.mark, place.until, ticket));
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
        Place { id: id(partition), mark: Mark::High, until: Offset(until) }
    }

    fn advance(waiters: &mut Waiters, partition: i32, to: i64) -> Vec<u64> {
        let mut wakes = Wakes::new();
        waiters.advanced(id(partition), Mark::High, Offset(to), &mut wakes);
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
    fn who_waits_for_this_broker_alone_waits_for_no_other() {
        let mut waiters = Waiters::default();
        let own = Place { mark: Mark::Own, ..at(0, 5) };
        waiters.park(&[own], Need::All, LATE, &mut vec![]);
        waiters.park(&[at(0, 5)], Need::All, LATE, &mut vec![]);
        let mut wakes = Wakes::new();
        waiters.advanced(id(0), Mark::Own, Offset(5), &mut wakes);
        assert_eq!(wakes, [(Ticket(0), Woken::Reached)]);
        waiters.park(&[own], Need::All, LATE, &mut vec![]);
        waiters.gone(id(0), &mut wakes);
        assert_eq!(wakes.len(), 3);
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

    /// Once a partition that went ended the whole ticket: a producer was refused batches of other partitions that were
    /// acknowledged a moment later, and sent them twice.
    #[test]
    fn a_partition_that_goes_settles_its_own_places() {
        let mut waiters = Waiters::default();
        waiters.park(&[at(0, 5), at(1, 5), at(1, 7)], Need::All, LATE, &mut vec![]);
        waiters.park(&[at(1, 5)], Need::All, LATE, &mut vec![]);
        waiters.park(&[at(0, 9), at(1, 5)], Need::Any, LATE, &mut vec![]);
        let mut wakes = Wakes::new();
        waiters.gone(id(1), &mut wakes);
        assert_eq!(wakes, [(Ticket(1), Woken::Gone), (Ticket(2), Woken::Gone)]);
        wakes.clear();
        waiters.advanced(id(0), Mark::High, Offset(5), &mut wakes);
        assert_eq!(wakes, [(Ticket(0), Woken::Gone)], "told when the rest is settled, and told to look");
        assert!(waiters.is_empty() && waiters.places.is_empty() && waiters.deadlines.is_empty());
    }

    #[test]
    fn a_store_that_fails_ends_what_waits_to_be_acknowledged() {
        let mut waiters = Waiters::default();
        waiters.park(&[at(0, 5), at(1, 5)], Need::All, LATE, &mut vec![]);
        waiters.park(&[at(0, 5)], Need::Any, LATE, &mut vec![]);
        let late = waiters.park(&[at(2, 5)], Need::All, LATE, &mut vec![]);
        let mut wakes = Wakes::new();
        waiters.fail(late, &mut wakes);
        waiters.fail(late, &mut wakes);
        assert_eq!(wakes, [(late, Woken::Failed)]);
        wakes.clear();
        waiters.fail_all(&mut wakes);
        assert_eq!(wakes, [(Ticket(0), Woken::Failed)]);
        assert_eq!((waiters.len(), waiters.places.len(), waiters.deadlines.len()), (1, 1, 1));
    }

    #[test]
    fn places_are_counted_and_long_polls_leave_room_for_acknowledgements() {
        let mut waiters = Waiters::of(6);
        let mut wakes = Wakes::new();
        waiters.park(&[at(0, 5), at(1, 5)], Need::Any, LATE, &mut wakes);
        let surplus = waiters.park(&[at(2, 5), at(3, 5)], Need::Any, LATE, &mut wakes);
        assert_eq!(std::mem::take(&mut wakes), [(surplus, Woken::Expired)]);
        waiters.park(&[at(0, 5), at(1, 5), at(2, 5), at(3, 5)], Need::All, LATE, &mut wakes);
        assert_eq!(wakes, []);
        let surplus = waiters.park(&[at(0, 6)], Need::All, LATE, &mut wakes);
        assert_eq!(wakes, [(surplus, Woken::Expired)]);
        assert_eq!((waiters.len(), waiters.places.len()), (2, 6));
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
