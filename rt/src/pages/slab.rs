//! The memory below the pages: mapped slabs, and a counted `Head` for every page in use.
//!
//! ```text
//! PagePool --Rc--> Owner --Arc--> Mapping <--Arc-- Head <--count-- Page, PageSlice, Blocks
//!                     |                              |
//!                     +-----------Arc--> Home <--Arc-+    the stack of heads nobody uses any more
//! ```
//! A `Head` holds its `Mapping`, so memory is never unmapped under a page, whoever dies first. The last user of a
//! page, on whatever thread, pushes the head on its home's stack; only the pool's own thread takes heads off, all
//! at once, which is why the stack needs no protection against reuse of a head (ABA).
#![allow(unsafe_code)]

use std::{
    io,
    mem::ManuallyDrop,
    ops::Range,
    ptr::{self, NonNull},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering},
    },
};

use super::buddy::{BLOCK_BYTES, SLAB_BYTES, Spot};

/// How much is populated at a time: meanwhile no thread can map anything.
const POPULATE_BYTES: usize = 128 << 10;

const _: () = assert!(SLAB_BYTES.is_multiple_of(POPULATE_BYTES));

/// One anonymous mapping of `SLAB_BYTES`, unmapped on drop.
pub(super) struct Mapping {
    base: NonNull<u8>,
    pub(super) index: usize,
}

// SAFETY:
// - the mapping is plain memory, owned by this value and bound to no thread;
// - all access goes through `Head`, whose users keep the rules told in `pages.rs`.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&Mapping` offers nothing but its address.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn new(index: usize) -> io::Result<Self> {
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                SLAB_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).expect("the kernel never maps address 0 unasked");
        assert!((base.as_ptr() as usize).is_multiple_of(BLOCK_BYTES));
        Ok(Self { base, index })
    }

    pub(super) fn address(&self) -> NonNull<u8> {
        self.base
    }

    /// Has the kernel put memory behind every page now, so that nobody waits for it later. Takes milliseconds, and
    /// no lock for long. Does nothing where the kernel does not know the call (before 5.14).
    pub(super) fn populate(&self) {
        for part in 0..SLAB_BYTES / POPULATE_BYTES {
            // SAFETY: `part` is in range, so the address stays inside the mapping.
            let at = unsafe { self.base.add(part * POPULATE_BYTES) };
            // SAFETY: the range is in this mapping, and the advice changes no contents.
            let status =
                unsafe { libc::madvise(at.as_ptr().cast(), POPULATE_BYTES, libc::MADV_POPULATE_WRITE) };
            if status != 0 {
                return;
            }
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY:
        // - `base` and the length are those of a successful `mmap`, unmapped nowhere else;
        // - every head holds an `Arc` of its mapping, so no pointer into it is in use any more.
        let status = unsafe { libc::munmap(self.base.as_ptr().cast(), SLAB_BYTES) };
        debug_assert_eq!(status, 0);
    }
}

/// Where heads go when their last user is gone.
#[derive(Default)]
pub(super) struct Home {
    returned: AtomicPtr<Head>,
}

impl Home {
    pub(super) fn has_returned(&self) -> bool {
        !self.returned.load(Ordering::Relaxed).is_null()
    }

    /// Takes all heads off the stack and tells their spots.
    pub(super) fn take_returned(&self, mut each: impl FnMut(Spot)) {
        let mut next = self.returned.swap(ptr::null_mut(), Ordering::Acquire);
        while !next.is_null() {
            // SAFETY:
            // - `next` came out of `Box::into_raw` in `Lease::new` and was pushed once, by its last user;
            // - the swap took the whole list away from everybody else.
            let head = unsafe { Box::from_raw(next) };
            next = head.next.load(Ordering::Relaxed);
            each(head.spot);
        }
    }

    fn push(&self, head: NonNull<Head>) {
        let mut first = self.returned.load(Ordering::Relaxed);
        loop {
            // SAFETY: the caller was the head's last user, so it stays ours until the exchange below succeeds.
            unsafe { head.as_ref() }.next.store(first, Ordering::Relaxed);
            match self.returned.compare_exchange_weak(
                first,
                head.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }
}

impl Drop for Home {
    /// Pool and pages are gone: what still lies on the stack has nobody to take it.
    fn drop(&mut self) {
        self.take_returned(drop);
    }
}

/// The counted head of a page in use.
pub(super) struct Head {
    users: AtomicU32,
    next: AtomicPtr<Head>,
    spot: Spot,
    bytes: NonNull<u8>,
    /// Writable `Blocks` that are alive: while there are any, the page is lent out to the kernel.
    pub(super) lent: AtomicU32,
    /// A caller's closure holds `&mut [u8]` to a part of the page.
    pub(super) viewed: AtomicBool,
    mapping: Arc<Mapping>,
    /// Taken out by the last user, so that a head on the stack does not hold its own home alive.
    home: ManuallyDrop<Arc<Home>>,
}

/// One count of a `Head`.
pub(super) struct Lease(NonNull<Head>);

// SAFETY:
// - the count and the stack are atomic, the rest of the head is never changed after `new`;
// - `bytes` is only an address here: who may read or write which range is the business of `pages.rs`.
unsafe impl Send for Lease {}
// SAFETY: as above.
unsafe impl Sync for Lease {}

impl Lease {
    pub(super) fn new(mapping: Arc<Mapping>, home: Arc<Home>, spot: Spot) -> Self {
        assert_eq!(mapping.index, spot.slab);
        let offset = spot.index * BLOCK_BYTES;
        assert!(offset + (BLOCK_BYTES << spot.order) <= SLAB_BYTES);
        // SAFETY: the offset stays inside the mapping, as just asserted.
        let bytes = unsafe { mapping.base.add(offset) };
        let head = Box::new(Head {
            users: AtomicU32::new(1),
            next: AtomicPtr::new(ptr::null_mut()),
            spot,
            bytes,
            lent: AtomicU32::new(0),
            viewed: AtomicBool::new(false),
            mapping,
            home: ManuallyDrop::new(home),
        });
        Self(NonNull::from(Box::leak(head)))
    }

    pub(super) fn head(&self) -> &Head {
        // SAFETY: the head lives as long as its count is above zero, and this lease is one of the count.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn capacity(&self) -> usize {
        BLOCK_BYTES << self.head().spot.order
    }

    pub(super) fn slab_index(&self) -> usize {
        self.head().spot.slab
    }

    /// The slab's identity: unlike its index it never comes again while somebody holds it.
    pub(super) fn mapping(&self) -> &Arc<Mapping> {
        &self.head().mapping
    }

    /// Address of `range`, which must lie within the page.
    pub(super) fn at(&self, range: &Range<usize>) -> NonNull<u8> {
        assert!(range.start <= range.end && range.end <= self.capacity());
        // SAFETY: `bytes` has `capacity()` bytes of one mapping behind it, and `start` is at most that.
        unsafe { self.head().bytes.add(range.start) }
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        let before = self.head().users.fetch_add(1, Ordering::Relaxed);
        assert!(before < u32::MAX / 2, "a page has too many users");
        Self(self.0)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Release, then Acquire: the reads of every user happen before the memory is used anew.
        if self.head().users.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        std::sync::atomic::fence(Ordering::Acquire);
        // SAFETY: the count is zero, so this thread alone has the head until it lies on the stack.
        let head = unsafe { self.0.as_mut() };
        // SAFETY: only the last user takes the home out, and that happens once.
        let home = unsafe { ManuallyDrop::take(&mut head.home) };
        home.push(self.0);
    }
}
