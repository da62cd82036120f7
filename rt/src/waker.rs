//! One clone of a task's waker, however many things the task waits for. The executor counts the clones of a task's
//! waker in 16 bits and panics beyond 32 767, and a shard's long polls can be more than that in one task.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    ptr,
    rc::{Rc, Weak},
    task::Waker,
};

use crate::turn;

/// Counted like an `Rc`; the last drop gives the task's waker back.
#[derive(Clone)]
pub(crate) struct SharedWaker(Rc<Known>);

struct Known {
    key: Key,
    waker: Waker,
}

/// What a waker is known by: its task, and the table of its functions. While a clone is alive no other task can have
/// its address. A clone's own table may lie elsewhere than that of the waker it came from, so the key is of the latter.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    data: usize,
    table: usize,
}

impl Key {
    fn of(waker: &Waker) -> Self {
        Self { data: waker.data() as usize, table: ptr::from_ref(waker.vtable()) as usize }
    }
}

type Table = HashMap<Key, Weak<Known>, BuildHasherDefault<AddressHasher>>;

thread_local! {
    static KNOWN: RefCell<Table> = RefCell::default();
}

impl SharedWaker {
    pub(crate) fn of(waker: &Waker) -> Self {
        let key = Key::of(waker);
        if let Some(known) = KNOWN.with_borrow(|table| table.get(&key).and_then(Weak::upgrade)) {
            return Self(known);
        }
        let fresh = Rc::new(Known { key, waker: waker.clone() });
        KNOWN.with_borrow_mut(|table| table.insert(key, Rc::downgrade(&fresh)));
        Self(fresh)
    }

    pub(crate) fn is_for(&self, waker: &Waker) -> bool {
        self.0.key == Key::of(waker)
    }

    /// Through `turn`, which may hold it back for a moment.
    pub(crate) fn wake(self) {
        turn::wake(self);
    }

    pub(crate) fn wake_now(self) {
        self.0.waker.wake_by_ref();
    }
}

impl Drop for Known {
    /// The waker is dropped after this, when the table is no longer borrowed: it may be the last of a whole task,
    /// whose end comes back here. While the thread shuts down the table may be gone already.
    fn drop(&mut self) {
        let _ = KNOWN.try_with(|table| table.borrow_mut().remove(&self.key));
    }
}

/// Puts `waker` into `place` unless the task's waker is there already.
pub(crate) fn register(place: &mut Option<SharedWaker>, waker: &Waker) {
    if !place.as_ref().is_some_and(|known| known.is_for(waker)) {
        *place = Some(SharedWaker::of(waker));
    }
}

/// Fibonacci hashing of addresses.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only addresses are hashed here");
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, task::Wake};

    struct Nothing;
    impl Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn many_waits_of_one_task_are_one_clone() {
        let task = Arc::new(Nothing);
        let waker = Waker::from(task.clone());
        let other = Waker::from(Arc::new(Nothing));
        let mut waits = Vec::new();
        for _ in 0..100 {
            waits.push(SharedWaker::of(&waker));
            waits.push(SharedWaker::of(&other));
        }
        assert_eq!(Arc::strong_count(&task), 3);
        drop(waits);
        assert_eq!(Arc::strong_count(&task), 2);
        assert!(KNOWN.with_borrow(HashMap::is_empty));
    }
}
