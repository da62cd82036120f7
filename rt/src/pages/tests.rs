//! Small on purpose: Miri runs all of this.

use super::{pool::SPARE_SLABS_MAX, *};

use std::{cell::RefCell, rc::Rc, sync::mpsc, thread};

const BUDGET: usize = 2 * SLAB_BYTES;

#[test]
fn capacities_are_powers_of_two_from_a_block_to_the_largest() {
    let pool = PagePool::new(BUDGET);
    let check = |asked, expected| assert_eq!(pool.take(asked).unwrap().capacity(), expected);
    check(0, BLOCK);
    check(1, BLOCK);
    check(BLOCK, BLOCK);
    check(BLOCK + 1, 2 * BLOCK);
    check(100_000, 128 << 10);
    check(PAGE_MAX, PAGE_MAX);
    assert_eq!(pool.in_use_bytes(), 0);
}

#[test]
fn a_pool_gives_no_more_than_its_budget() {
    let pool = PagePool::new(3 * BLOCK);
    let (a, _b) = (pool.take(BLOCK).unwrap(), pool.take(BLOCK).unwrap());
    assert!(pool.take(2 * BLOCK).is_none());
    let c = pool.take(BLOCK).unwrap();
    assert!(pool.take(1).is_none());
    assert_eq!(pool.in_use_bytes(), 3 * BLOCK);
    drop((a, c));
    assert!(pool.take(2 * BLOCK).is_some());
}

#[test]
fn what_is_appended_is_what_slices_show() {
    let pool = PagePool::new(BUDGET);
    let mut page = pool.take(BLOCK).unwrap();
    assert_eq!(page.append(b"hello "), 6);
    let early = page.slice(1..5);
    page.append_with(5, |view| {
        view.copy_from_slice(b"world");
        view[0] = b'W';
    });
    assert!(page.append_parts(&[b"!", b"?"]));
    let all = page.slice(0..13);
    assert_eq!((&*early, &*all), (&b"ello"[..], &b"hello World!?"[..]));
    assert_eq!(&*all.slice(6..11), b"World");
    assert!(!page.append_parts(&[&[0; 4000], &[0; 4000]]));
    assert_eq!((page.filled(), page.append(&[1; 5000]), page.room()), (13, BLOCK - 13, 0));
}

#[test]
fn slices_outlive_page_and_pool() {
    let pool = PagePool::new(BUDGET);
    let mut page = pool.take(BLOCK).unwrap();
    page.append(&[9; 100]);
    let slice = page.slice(50..100);
    drop(page);
    assert_eq!(pool.in_use_bytes(), BLOCK);
    drop(pool);
    assert!(slice.iter().all(|&b| b == 9));
}

#[test]
fn slices_cross_threads_and_their_last_drop_goes_home() {
    let pool = PagePool::new(BUDGET);
    let rounds = if cfg!(miri) { 8 } else { 500 };
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (to, from) = mpsc::channel::<PageSlice>();
            let worker = thread::spawn(move || {
                from.iter().map(|slice| slice.iter().map(|&b| u64::from(b)).sum::<u64>()).sum::<u64>()
            });
            (to, worker)
        })
        .collect();
    for n in 0..rounds {
        let mut page = pool.take(BLOCK << (n % 3)).unwrap();
        for (to, _) in &workers {
            page.append(&[1; 64]);
            to.send(page.slice(page.filled() - 64..page.filled())).unwrap();
        }
    }
    for (to, worker) in workers {
        drop(to);
        assert_eq!(worker.join().unwrap(), 64 * rounds);
    }
    assert_eq!(pool.in_use_bytes(), 0);
}

#[test]
fn a_page_may_go_home_after_its_pool_is_gone() {
    let pool = PagePool::new(BUDGET);
    let mut pages: Vec<_> = (0..3).map(|_| pool.take(BLOCK).unwrap()).collect();
    let slice = {
        pages[0].append(b"x");
        pages[0].slice(0..1)
    };
    drop(pool);
    drop(pages);
    thread::spawn(move || assert_eq!(&*slice, b"x")).join().unwrap();
}

/// A frame of several slabs faulted all but one of them in anew, each time.
#[test]
fn a_pool_that_keeps_its_slabs_maps_them_once() {
    let pool = PagePool::that_keeps_slabs(4 * SLAB_BYTES);
    let held: Vec<_> = (0..12).map(|_| pool.take(PAGE_MAX).unwrap()).collect();
    drop(held);
    assert_eq!(pool.in_use_bytes(), 0);
    assert_eq!(pool.mapped_bytes(), 3 * SLAB_BYTES);
    pool.trim();
    assert_eq!(pool.mapped_bytes(), 0);
}

#[test]
fn slabs_are_mapped_on_demand_and_given_back_when_free() {
    let pool = PagePool::new(8 * SLAB_BYTES);
    assert_eq!(pool.mapped_bytes(), 0);
    let held: Vec<_> = (0..12).map(|_| pool.take(PAGE_MAX).unwrap()).collect();
    assert_eq!(pool.mapped_bytes(), 3 * SLAB_BYTES);
    drop(held);
    assert_eq!(pool.in_use_bytes(), 0);
    assert_eq!(pool.mapped_bytes(), SPARE_SLABS_MAX * SLAB_BYTES);
    pool.trim();
    assert_eq!(pool.mapped_bytes(), 0);
    assert!(pool.take(1).is_some());
}

#[test]
fn blocks_are_whole_blocks_and_hide_what_was_there_before() {
    let pool = PagePool::new(BUDGET);
    let mut old = pool.take(4 * BLOCK).unwrap();
    old.append(&[0xee; 4 * BLOCK]);
    drop(old);
    let mut page = pool.take(4 * BLOCK).unwrap();
    page.append(&[1; BLOCK + 10]);
    let blocks = page.blocks(BLOCK + 3..BLOCK + 10);
    let mut out = vec![7; BLOCK];
    blocks.copy_to(&mut out);
    assert!(out[..10].iter().all(|&b| b == 1) && out[10..].iter().all(|&b| b == 0));
    page.append(&[2; 5]);
    blocks.copy_to(&mut out);
    assert_eq!(out[9..17], [1, 2, 2, 2, 2, 2, 0, 0]);
    assert_eq!(page.blocks(0..BLOCK + 1).len(), 2 * BLOCK);
    assert!(!blocks.is_writable());
}

#[test]
fn a_page_read_into_counts_after_the_read() {
    let pool = PagePool::new(BUDGET);
    let mut page = pool.take(2 * BLOCK).unwrap();
    let whole = page.whole();
    whole.slice(BLOCK..2 * BLOCK).fill_from(&[4; 100]);
    whole.fill_from(&[3; BLOCK]);
    drop(whole);
    page.set_filled(BLOCK + 100);
    let slice = page.slice(BLOCK - 1..BLOCK + 100);
    assert_eq!((slice[0], slice[1], slice[100]), (3, 4, 4));
    page.append(&[5; 1]);
    assert_eq!(page.slice(BLOCK + 100..BLOCK + 101)[0], 5);
}

#[test]
#[should_panic(expected = "lent out")]
fn a_page_that_is_being_read_into_takes_no_append() {
    let mut page = PagePool::new(BUDGET).take(BLOCK).unwrap();
    let _reading = page.whole();
    page.append(b"x");
}

#[test]
#[should_panic(expected = "lent out")]
fn a_page_that_is_being_read_into_shows_nothing() {
    let mut page = PagePool::new(BUDGET).take(BLOCK).unwrap();
    let _reading = page.whole().clone();
    page.set_filled(1);
}

#[test]
#[should_panic(expected = "before anything is appended")]
fn a_page_with_contents_is_not_read_into() {
    let mut page = PagePool::new(BUDGET).take(BLOCK).unwrap();
    page.append(b"x");
    page.whole();
}

#[test]
#[should_panic(expected = "being appended to")]
fn blocks_are_not_read_while_a_closure_has_a_view() {
    let mut page = PagePool::new(BUDGET).take(BLOCK).unwrap();
    let blocks = page.blocks(0..BLOCK);
    page.append_with(10, |_view| blocks.copy_to(&mut [0; BLOCK]));
}

#[test]
fn a_closure_that_panics_leaves_the_page_usable() {
    let mut page = PagePool::new(BUDGET).take(BLOCK).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        page.append_with(10, |_| panic!("on purpose"));
    }));
    assert!(panicked.is_err());
    assert_eq!(page.filled(), 0);
    assert_eq!(page.append(b"y"), 1);
}

#[test]
#[should_panic(expected = "of 3 filled")]
fn a_slice_ends_at_what_is_filled() {
    let mut page = PagePool::new(BUDGET).take(BLOCK).unwrap();
    page.append(b"abc");
    page.slice(0..4);
}

#[test]
fn a_watch_hears_of_slabs_before_and_after() {
    #[derive(Default)]
    struct Heard(RefCell<Vec<(usize, bool)>>);
    impl SlabWatch for Heard {
        fn slab_made(&self, slab: Slab) {
            self.0.borrow_mut().push((slab.index(), true));
        }
        fn slab_gone(&self, slab: usize) {
            self.0.borrow_mut().push((slab, false));
        }
    }
    let pool = PagePool::new(BUDGET);
    let first = pool.take(PAGE_MAX).unwrap();
    let heard = Rc::new(Heard::default());
    pool.watch(heard.clone());
    let rest: Vec<_> = (0..4).map(|_| pool.take(PAGE_MAX).unwrap()).collect();
    drop((first, rest));
    pool.trim();
    assert_eq!(*heard.0.borrow(), [(0, true), (1, true), (1, false), (0, false)]);
}

/// A naive oracle: every page in use knows the byte it was filled with, and no other page changes it.
#[test]
fn pages_in_use_never_overlap() {
    let pool = PagePool::new(BUDGET);
    let (mut held, mut seed) = (Vec::<(u8, PageSlice)>::new(), 7u64);
    for turn in 0..if cfg!(miri) { 30 } else { 3000 } {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let dice = (seed >> 33) as usize;
        if dice.is_multiple_of(2) && !held.is_empty() {
            let (byte, slice) = held.swap_remove(dice / 2 % held.len());
            assert!(slice.iter().all(|&b| b == byte));
        } else if let Some(mut page) = pool.take(BLOCK << (dice / 2 % if cfg!(miri) { 3 } else { 9 })) {
            page.append(&vec![turn as u8; page.capacity()]);
            held.push((turn as u8, page.slice(0..page.filled())));
        }
    }
}
