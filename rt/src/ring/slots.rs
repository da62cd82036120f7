//! The operations in flight, and what the kernel may touch on their behalf.
//!
//! **Whatever the kernel may touch belongs to the operation's slot until its last completion, never to the future.**
//! So a future may be dropped at any time: its slot becomes an orphan, and the completion frees it.
//!
//! ```text
//!            result                    collected
//!  Waiting ---------> Done(result) ----------------> free
//!     |                                 ^
//!     | future dropped                  | last completion
//!     +------------> Orphan ------------+
//! ```
//! A zero-copy send completes twice: its result, with the promise of more, and later a notification that the kernel
//! has let go of the memory. The result may be collected before; the slot then stays as an orphan.

use std::task::Waker;

use crate::waker::{self, SharedWaker};

/// Names an operation for the kernel: generation above, index below. A generation is not used twice within 2^32
/// operations of its slot, so a late completion never meets a new owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OpId(pub(super) u64);

impl OpId {
    fn new(index: usize, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | index as u64)
    }

    fn index(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// What one completion says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) id: OpId,
    pub(super) result: i32,
    /// Another completion of this operation will come.
    pub(super) more: bool,
    /// The second answer of a zero-copy send: its memory is free.
    pub(super) notification: bool,
}

/// `K` is what an operation keeps alive.
pub(super) struct Slots<K> {
    entries: Vec<Entry<K>>,
    free: Vec<u32>,
    in_flight: usize,
    busy: usize,
}

struct Entry<K> {
    generation: u32,
    slot: Option<Slot<K>>,
}

struct Slot<K> {
    state: State,
    /// The kernel is still to complete this operation.
    in_flight: bool,
    /// Counts against the ring's depth.
    counted: bool,
    keep: Option<K>,
}

enum State {
    Waiting(Option<SharedWaker>),
    Done(i32),
    Orphan,
}

/// What is left to do after a completion, once the table is no longer borrowed.
pub(super) struct Effect<K> {
    pub(super) wake: Option<SharedWaker>,
    /// The operation has ended, and this was its memory.
    pub(super) freed: Option<K>,
    pub(super) ended: bool,
}

impl<K> Default for Slots<K> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), in_flight: 0, busy: 0 }
    }
}

impl<K> Slots<K> {
    /// Operations whose last completion is still to come.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Those of them that count against the ring's depth.
    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    pub(super) fn insert(&mut self, keep: K, counted: bool) -> OpId {
        let index = self.free.pop().map_or(self.entries.len(), |index| index as usize);
        if index == self.entries.len() {
            assert!(index < u32::MAX as usize);
            self.entries.push(Entry { generation: 0, slot: None });
        }
        let entry = &mut self.entries[index];
        assert!(entry.slot.is_none());
        let state = State::Waiting(None);
        entry.slot = Some(Slot { state, in_flight: true, counted, keep: Some(keep) });
        self.in_flight += 1;
        self.busy += usize::from(counted);
        OpId::new(index, entry.generation)
    }

    /// The result, if it is there, and the operation's memory unless the kernel still holds it.
    pub(super) fn collect(&mut self, id: OpId, waker: &Waker) -> Option<(i32, Option<K>)> {
        let slot = self.slot(id).expect("a slot lives until its result is collected");
        let result = match &mut slot.state {
            State::Waiting(place) => {
                waker::register(place, waker);
                return None;
            }
            State::Done(result) => *result,
            State::Orphan => unreachable!("collected twice"),
        };
        slot.state = State::Orphan;
        let keep = if slot.in_flight { None } else { self.remove(id) };
        Some((result, keep))
    }

    /// The future is dropped. Returns the memory of an operation that had ended; true in flight: it has not.
    pub(super) fn abandon(&mut self, id: OpId) -> (Option<K>, bool) {
        let Some(slot) = self.slot(id) else { return (None, false) };
        slot.state = State::Orphan;
        if slot.in_flight { (None, true) } else { (self.remove(id), false) }
    }

    /// `None`: nobody knows this operation. It would be a completion for an earlier owner of the slot.
    pub(super) fn complete(&mut self, completion: Completion) -> Option<Effect<K>> {
        let slot = self.slot(completion.id)?;
        assert!(slot.in_flight, "an operation completed after its last completion");
        let mut wake = None;
        if !completion.notification
            && let State::Waiting(waker) = &mut slot.state
        {
            wake = waker.take();
            slot.state = State::Done(completion.result);
        }
        if completion.more {
            return Some(Effect { wake, freed: None, ended: false });
        }
        slot.in_flight = false;
        let (orphan, counted) = (matches!(slot.state, State::Orphan), slot.counted);
        self.in_flight -= 1;
        self.busy -= usize::from(counted);
        let freed = if orphan { self.remove(completion.id) } else { None };
        Some(Effect { wake, freed, ended: true })
    }

    fn slot(&mut self, id: OpId) -> Option<&mut Slot<K>> {
        let entry = self.entries.get_mut(id.index())?;
        if entry.generation == id.generation() { entry.slot.as_mut() } else { None }
    }

    fn remove(&mut self, id: OpId) -> Option<K> {
        let entry = &mut self.entries[id.index()];
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(id.index() as u32);
        entry.slot.take().and_then(|slot| slot.keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    fn end(id: OpId, result: i32) -> Completion {
        Completion { id, result, more: false, notification: false }
    }

    #[test]
    fn an_orphan_keeps_its_memory_until_the_completion() {
        let memory = Rc::new(());
        let mut slots = Slots::default();
        let id = slots.insert(memory.clone(), true);
        assert!(matches!(slots.abandon(id), (None, true)));
        assert_eq!((Rc::strong_count(&memory), slots.in_flight()), (2, 1));
        let effect = slots.complete(end(id, 5)).unwrap();
        assert!(effect.ended && effect.freed.is_some());
        drop(effect);
        assert_eq!((Rc::strong_count(&memory), slots.in_flight()), (1, 0));
    }

    #[test]
    fn a_late_completion_does_not_meet_the_next_owner() {
        let mut slots = Slots::default();
        let first = slots.insert(1, true);
        slots.complete(end(first, 0));
        assert_eq!(slots.collect(first, Waker::noop()), Some((0, Some(1))));
        let second = slots.insert(2, true);
        assert_eq!((first.index(), second.index()), (0, 0));
        assert!(slots.complete(end(first, 7)).is_none());
        assert_eq!(slots.collect(second, Waker::noop()), None);
    }

    #[test]
    fn a_zero_copy_result_comes_before_its_memory() {
        let mut slots = Slots::default();
        let id = slots.insert("pages", true);
        slots.complete(Completion { id, result: 9, more: true, notification: false });
        assert_eq!(slots.collect(id, Waker::noop()), Some((9, None)));
        assert_eq!(slots.in_flight(), 1);
        let notified = Completion { id, result: 0, more: false, notification: true };
        assert_eq!(slots.complete(notified).unwrap().freed, Some("pages"));
        assert_eq!(slots.in_flight(), 0);
    }

    #[test]
    fn a_result_nobody_collects_is_freed_with_its_future() {
        let mut slots = Slots::default();
        let id = slots.insert(3, true);
        assert!(slots.complete(end(id, 1)).unwrap().freed.is_none());
        assert_eq!(slots.abandon(id), (Some(3), false));
        assert_eq!(slots.abandon(id), (None, false));
    }
}
