//! What closed segments hold while somebody reads them: an open file, and indexes. A shard keeps those that were used
//! last, so that neither grows with the history of its logs.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Weak,
};

use model::Offset;
use rustc_hash::FxHashMap;

use crate::log::Log;

/// Open files of closed segments. Active segments and connections want descriptors too, and a process has some ten
/// thousands of them for all its shards.
const FILES_MAX: usize = 512;
/// Indexes of closed segments: of a dozen segments of a GiB, as Kafka's defaults make them.
const INDEX_BYTES_MAX: usize = 64 << 20;
/// What a segment costs beside its indexes, so that many little ones count.
const ENTRY_BYTES: usize = 256;

#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) files: usize,
    pub(crate) index_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { files: FILES_MAX, index_bytes: INDEX_BYTES_MAX }
    }
}

/// What a segment holds.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) file: bool,
    pub(crate) index_bytes: usize,
}

struct Resident<F> {
    log: Weak<Log<F>>,
    place: Place,
    held: Held,
}

/// A log's serial, and one of its segments.
type Place = (u64, Offset);

pub(crate) struct Residents<F> {
    limits: Limits,
    /// By the time of their last use.
    used: RefCell<BTreeMap<u64, Resident<F>>>,
    places: RefCell<FxHashMap<Place, u64>>,
    clock: Cell<u64>,
    files: Cell<usize>,
    index_bytes: Cell<usize>,
}

impl<F: Clone + 'static> Residents<F> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            used: RefCell::default(),
            places: RefCell::default(),
            clock: Cell::new(0),
            files: Cell::new(0),
            index_bytes: Cell::new(0),
        }
    }

    /// Somebody reads this segment. Those that were not read for the longest time make room for it.
    pub(crate) fn touch(&self, log: &Log<F>, segment: Offset) {
        let place = (log.serial, segment);
        if let Some(at) = self.places.borrow_mut().remove(&place) {
            let before = self.used.borrow_mut().remove(&at).expect("both tables know it");
            self.discount(before.held);
        }
        let Some(held) = log.held_by_closed(segment) else { return };
        self.clock.set(self.clock.get() + 1);
        self.files.set(self.files.get() + usize::from(held.file));
        self.index_bytes.set(self.index_bytes.get() + held.index_bytes + ENTRY_BYTES);
        self.places.borrow_mut().insert(place, self.clock.get());
        self.used.borrow_mut().insert(self.clock.get(), Resident { log: log.me.clone(), place, held });
        self.keep_limits();
    }

    /// The last one stays, however large: it is about to be used.
    fn keep_limits(&self) {
        while self.files.get() > self.limits.files || self.index_bytes.get() > self.limits.index_bytes {
            let oldest = {
                let mut used = self.used.borrow_mut();
                if used.len() < 2 {
                    return;
                }
                used.pop_first().expect("two at least").1
            };
            self.places.borrow_mut().remove(&oldest.place);
            self.discount(oldest.held);
            if let Some(log) = oldest.log.upgrade() {
                log.let_go(oldest.place.1);
            }
        }
    }

    fn discount(&self, held: Held) {
        self.files.set(self.files.get() - usize::from(held.file));
        self.index_bytes.set(self.index_bytes.get() - held.index_bytes - ENTRY_BYTES);
    }
}
