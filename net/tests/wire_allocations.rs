//! Reading allocates nothing, neither for a valid message nor for one that declares a huge count. Alone in its file:
//! the allocator counts for the whole process, so there is one test.
#![expect(unsafe_code, reason = "an allocator that counts cannot be written without; test only")]

mod wire_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use wire_support::apis::walk;
use wire_support::sample::Sampler;
use wire_support::{Random, SIDES, schemas};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY:
// - every call goes to the system allocator unchanged, so its promises are ours
// - the counter is a constant-initialised thread local without a destructor and allocates nothing itself
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations_of(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn reading_allocates_nothing() {
    assert_eq!(allocations_of(|| drop(vec![1_u8])), 1, "the counter counts");
    for api in &schemas() {
        for version in api.versions.from..=api.versions.to {
            for side in SIDES {
                let mut sampler = Sampler { api, version, random: Random(7), unknown_tags: true };
                let valid = sampler.message(side).bytes;
                let mut changed = valid.clone();
                let count = allocations_of(|| walk(&api.module, side, &valid, version).unwrap());
                assert_eq!(count, 0, "{} {side:?} {version}", api.module);
                for at in 0..changed.len() {
                    for huge in [0xff, 0x7f] {
                        let was = std::mem::replace(&mut changed[at], huge);
                        let count = allocations_of(|| {
                            let _ = walk(&api.module, side, &changed, version);
                        });
                        assert_eq!(count, 0, "{} {side:?} {version} at {at}", api.module);
                        changed[at] = was;
                    }
                }
            }
        }
    }
}
