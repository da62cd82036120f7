//! A shard's budget of pages: takes them from slabs, and takes home what others have dropped.

use std::{
    cell::{Cell, RefCell},
    fmt,
    ptr::NonNull,
    rc::Rc,
    sync::Arc,
};

use super::{
    BLOCK, PAGE_MAX, Page, SLAB_BYTES,
    buddy::Buddies,
    slab::{Home, Lease, Mapping},
};

/// Wholly free slabs that are kept mapped, so that a pool at a slab's edge does not map and unmap in turn.
pub(super) const SPARE_SLABS_MAX: usize = 1;

/// Is told of slabs as they come and go; a ring uses it to register them.
pub(crate) trait SlabWatch {
    fn slab_made(&self, slab: Slab);
    fn slab_gone(&self, index: usize);
}

/// The memory that pages come from. Whoever has this keeps it mapped.
#[derive(Clone)]
pub(crate) struct Slab(Arc<Mapping>);

impl Slab {
    pub(crate) fn index(&self) -> usize {
        self.0.index
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.0.address()
    }

    /// Blocks for milliseconds.
    pub(crate) fn populate(&self) {
        self.0.populate();
    }
}

/// A shard's pages: at most `budget` bytes of them. Slabs are mapped on demand, so an idle pool holds nothing.
#[derive(Clone)]
pub struct PagePool(Rc<Owner>);

struct Owner {
    budget: usize,
    spare_slabs_max: usize,
    in_use: Cell<usize>,
    buddies: RefCell<Buddies>,
    mappings: RefCell<Vec<Option<Arc<Mapping>>>>,
    home: Arc<Home>,
    watch: RefCell<Option<Rc<dyn SlabWatch>>>,
}

impl PagePool {
    pub fn new(budget_bytes: usize) -> Self {
        Self::with_spare_slabs(budget_bytes, SPARE_SLABS_MAX)
    }

    /// A pool that keeps every slab it ever mapped, until `trim`: for a little one that is filled and emptied all the
    /// time, where to fault pages in anew costs more than to fill them.
    pub fn that_keeps_slabs(budget_bytes: usize) -> Self {
        Self::with_spare_slabs(budget_bytes, usize::MAX)
    }

    fn with_spare_slabs(budget_bytes: usize, spare_slabs_max: usize) -> Self {
        Self(Rc::new(Owner {
            budget: budget_bytes,
            spare_slabs_max,
            in_use: Cell::new(0),
            buddies: RefCell::default(),
            mappings: RefCell::default(),
            home: Arc::default(),
            watch: RefCell::default(),
        }))
    }

    /// A page of the smallest power of two that holds `bytes_min`. `None`: over budget, or the budget is so
    /// fragmented that no run of this size is free. Old contents are not wiped.
    pub fn take(&self, bytes_min: usize) -> Option<Page> {
        assert!(
            bytes_min <= PAGE_MAX,
            "a page of {bytes_min} bytes was asked for, the largest is {PAGE_MAX}"
        );
        let capacity = bytes_min.next_power_of_two().max(BLOCK);
        let order = (capacity / BLOCK).trailing_zeros() as usize;
        let owner = &*self.0;
        owner.reclaim();
        if owner.in_use.get() + capacity > owner.budget {
            return None;
        }
        let spot = owner.buddies.borrow_mut().take(order);
        let spot = spot.or_else(|| {
            owner.map_slab()?;
            owner.buddies.borrow_mut().take(order)
        })?;
        owner.in_use.set(owner.in_use.get() + capacity);
        let mapping = owner.mappings.borrow()[spot.slab].clone().expect("a spot lies in a mapped slab");
        Some(Page::new(Lease::new(mapping, owner.home.clone(), spot)))
    }

    pub fn in_use_bytes(&self) -> usize {
        self.0.reclaim();
        self.0.in_use.get()
    }

    pub fn budget_bytes(&self) -> usize {
        self.0.budget
    }

    /// Bytes of address space that slabs take, in use or not.
    pub fn mapped_bytes(&self) -> usize {
        self.0.mappings.borrow().iter().flatten().count() * SLAB_BYTES
    }

    /// Gives every wholly free slab back to the system, the spare one too. For a shard that has gone idle.
    pub fn trim(&self) {
        self.0.reclaim();
        self.0.unmap_free_slabs(0);
    }

    /// From now on `watch` hears of slabs; it is told at once of those that exist.
    pub(crate) fn watch(&self, watch: Rc<dyn SlabWatch>) {
        for mapping in self.0.mappings.borrow().iter().flatten() {
            watch.slab_made(Slab(mapping.clone()));
        }
        let earlier = self.0.watch.borrow_mut().replace(watch);
        assert!(earlier.is_none(), "a pool is adopted once");
    }

    /// The most slabs this pool may ever have mapped at a time.
    pub(crate) fn slab_count_max(&self) -> usize {
        self.0.slab_count_max()
    }
}

impl Owner {
    fn slab_count_max(&self) -> usize {
        self.budget.div_ceil(SLAB_BYTES)
    }

    fn map_slab(&self) -> Option<()> {
        let mut mappings = self.mappings.borrow_mut();
        if mappings.iter().flatten().count() >= self.slab_count_max() {
            return None;
        }
        let index = self.buddies.borrow_mut().add_slab();
        let Ok(mapping) = Mapping::new(index) else {
            self.buddies.borrow_mut().remove_slab(index);
            return None;
        };
        if mappings.len() <= index {
            mappings.resize(index + 1, None);
        }
        let mapping = Arc::new(mapping);
        if let Some(watch) = &*self.watch.borrow() {
            watch.slab_made(Slab(mapping.clone()));
        }
        mappings[index] = Some(mapping);
        Some(())
    }

    /// Takes home what other owners have dropped, here or on other threads.
    fn reclaim(&self) {
        if !self.home.has_returned() {
            return;
        }
        let mut emptied = false;
        self.home.take_returned(|spot| {
            self.in_use.set(self.in_use.get() - (BLOCK << spot.order));
            emptied |= self.buddies.borrow_mut().give_back(spot);
        });
        if emptied {
            self.unmap_free_slabs(self.spare_slabs_max);
        }
    }

    fn unmap_free_slabs(&self, mut spare: usize) {
        for (index, mapping) in self.mappings.borrow_mut().iter_mut().enumerate() {
            if mapping.is_none() || !self.buddies.borrow().is_wholly_free(index) {
                continue;
            }
            if spare > 0 {
                spare -= 1;
                continue;
            }
            self.buddies.borrow_mut().remove_slab(index);
            if let Some(watch) = &*self.watch.borrow() {
                watch.slab_gone(index);
            }
            *mapping = None;
        }
    }
}

impl fmt::Debug for PagePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PagePool({} of {} bytes in use)", self.0.in_use.get(), self.0.budget)
    }
}
