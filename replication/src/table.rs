//! A shard's partitions, and those who wait for them. Lives on every shard; holds the partitions that shard owns.
//!
//! ```text
//!   append --> store.commit() --> moved(log) --+
//!   removed, expired, failed ------------------+--> woken queue --> the one task that ends waits (net)
//! ```
//! Whoever ends a wait only puts the ticket in the queue; what a wake means is decided where the wait began.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use engine::{Disk, Store};
use model::{Millis, TopicPartition};
use rt::notify::Notify;

use crate::{
    partition::Partition,
    traffic::Traffic,
    waiters::{Mark, Need, Place, Ticket, Waiters, Wakes},
};

pub struct PartitionTable<D: Disk> {
    partitions: RefCell<BTreeMap<TopicPartition, Rc<Partition<D>>>>,
    waiters: RefCell<Waiters>,
    woken: RefCell<Wakes>,
    some_woken: Notify,
    /// What the deadline pump sleeps until. It may be earlier than every deadline left: then it wakes once for nothing,
    /// which is cheaper than being told of every ticket that ends in time.
    alarm: Cell<Millis>,
    /// A deadline before the alarm came in.
    sooner: Notify,
    failed: Cell<bool>,
    /// Of partitions that are not here any more.
    departed: Cell<Traffic>,
}

impl<D: Disk> Default for PartitionTable<D> {
    fn default() -> Self {
        Self {
            partitions: RefCell::default(),
            waiters: RefCell::default(),
            woken: RefCell::default(),
            some_woken: Notify::new(),
            alarm: Cell::new(Millis(u64::MAX)),
            sooner: Notify::new(),
            failed: Cell::new(false),
            departed: Cell::default(),
        }
    }
}

impl<D: Disk> PartitionTable<D> {
    pub fn insert(&self, partition: Partition<D>) -> Rc<Partition<D>> {
        let id = partition.id();
        let partition = Rc::new(partition);
        let before = self.partitions.borrow_mut().insert(id, partition.clone());
        assert!(before.is_none(), "partition {id} is in the table already");
        partition
    }

    /// Takes a partition out; whoever waits for it looks again, and finds nothing.
    pub fn remove(&self, id: TopicPartition) -> Option<Rc<Partition<D>>> {
        let partition = self.partitions.borrow_mut().remove(&id);
        if let Some(gone) = &partition {
            let mut departed = self.departed.get();
            departed += gone.traffic();
            self.departed.set(departed);
        }
        self.look_again(id);
        partition
    }

    /// What went through partitions that were removed: with that of all others it never falls.
    pub fn departed_traffic(&self) -> Traffic {
        self.departed.get()
    }

    pub fn find(&self, id: TopicPartition) -> Option<Rc<Partition<D>>> {
        self.partitions.borrow().get(&id).cloned()
    }

    pub fn len(&self) -> usize {
        self.partitions.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.partitions.borrow().is_empty()
    }

    /// All of them as they are now, by id.
    pub fn all(&self) -> Vec<Rc<Partition<D>>> {
        self.partitions.borrow().values().cloned().collect()
    }

    /// The partition's role changed: whoever waits for it must look again.
    pub fn look_again(&self, id: TopicPartition) {
        self.waiters.borrow_mut().gone(id, &mut self.woken.borrow_mut());
        self.tell_woken();
    }

    /// Waits for places to be reached. Those that are already count at once, so nothing is missed between looking and
    /// waiting; if that is enough, or the store has failed under a wait for an acknowledgement, the ticket is in the
    /// queue when this returns.
    pub fn park(&self, places: &[Place], need: Need, deadline: Millis) -> Ticket {
        let mut waiters = self.waiters.borrow_mut();
        let mut woken = self.woken.borrow_mut();
        let ticket = waiters.park(places, need, deadline, &mut woken);
        if self.failed.get() && need == Need::All {
            waiters.fail(ticket, &mut woken);
        }
        for place in places {
            match self.find(place.id) {
                Some(partition) => {
                    let reached = match place.mark {
                        Mark::Own => partition.log().ends().acknowledged,
                        Mark::High => partition.watermarks().high,
                    };
                    waiters.advanced(place.id, place.mark, reached, &mut woken);
                }
                None => waiters.gone(place.id, &mut woken),
            }
        }
        drop((waiters, woken));
        self.tell_woken();
        if deadline < self.alarm.get() {
            self.alarm.set(deadline);
            self.sooner.wake_all();
        }
        ticket
    }

    pub fn cancel(&self, ticket: Ticket) {
        self.waiters.borrow_mut().cancel(ticket);
    }

    pub fn waiting_count(&self) -> usize {
        self.waiters.borrow().len()
    }

    /// The log of `partition` may have moved: wakes whoever waited for that. Called after an append too, because a
    /// topic may acknowledge from memory.
    pub fn moved(&self, partition: &Partition<D>) {
        partition.refresh();
        let (own, high) = (partition.log().ends().acknowledged, partition.watermarks().high);
        let mut waiters = self.waiters.borrow_mut();
        let mut woken = self.woken.borrow_mut();
        waiters.advanced(partition.id(), Mark::Own, own, &mut woken);
        waiters.advanced(partition.id(), Mark::High, high, &mut woken);
        drop((waiters, woken));
        self.tell_woken();
    }

    /// Ends the waits that last until `now` at the most.
    pub fn expire(&self, now: Millis) {
        self.waiters.borrow_mut().expired(now, &mut self.woken.borrow_mut());
        self.tell_woken();
    }

    /// The store takes nothing any more: nobody waits for an acknowledgement, now or later. Long polls last until their
    /// deadline: ended now, each consumer would ask again at once, for ever.
    pub fn fail(&self) {
        self.failed.set(true);
        self.waiters.borrow_mut().fail_all(&mut self.woken.borrow_mut());
        self.tell_woken();
    }

    fn tell_woken(&self) {
        if !self.woken.borrow().is_empty() {
            self.some_woken.wake_all();
        }
    }

    /// Tickets whose wait is over, each once, in order. For one task.
    pub async fn woken(&self) -> Wakes {
        loop {
            let changed = self.some_woken.wait();
            let woken = std::mem::take(&mut *self.woken.borrow_mut());
            if !woken.is_empty() {
                return woken;
            }
            changed.await;
        }
    }

    /// Drives the group commit and wakes whoever waited for it, until the store fails. One pump a shard; not to be
    /// dropped before its end, because a commit may be half way.
    pub async fn run_commits(&self, store: &Store<D>) {
        loop {
            match store.commit().await {
                Ok(moved) => {
                    for log in moved {
                        if let Some(partition) = self.find(log.id()) {
                            self.moved(&partition);
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(%error, waiting = self.waiting_count(), "nothing is acknowledged any more");
                    return self.fail();
                }
            }
        }
    }

    /// Ends waits at their deadlines, for ever. One pump a shard.
    pub async fn run_deadlines(&self) {
        loop {
            let sooner = self.sooner.wait();
            self.expire(rt::timer::now());
            let next = self.waiters.borrow().next_deadline();
            self.alarm.set(next.unwrap_or(Millis(u64::MAX)));
            match next {
                None => sooner.await,
                // Whichever comes first: either way the queue is looked at again.
                Some(at) => drop(rt::timer::timeout(at.since(rt::timer::now()), sooner).await),
            }
        }
    }
}

#[cfg(test)]
mod tests;
