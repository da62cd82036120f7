//! What voters decided, seen by all of them together, and whether all of it can be true at once: an epoch of the consensus
//! has one leader, two logs that share a position are equal before it, what is committed stays and is in the log of every
//! later leader (M1); and the metadata up to one offset is the same on every broker (M2, M4).

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc};

use coordinator::{
    Image,
    metadata::batches,
    raft::{Entry, Node, Payload},
};
use model::{
    BrokerId, LeaderEpoch, Offset,
    batch::{crc32c, stamp},
};
use rt::notify::Notify;

use super::broker::CLUSTER_ID;
use crate::{executor::Clock, trace::Trace};

pub struct Ledger {
    seed: u64,
    clock: Clock,
    trace: Trace,
    state: RefCell<State>,
    changed: Notify,
}

struct State {
    leaders: BTreeMap<LeaderEpoch, BrokerId>,
    /// Every entry that ever stood in a log: what it says, and the epoch before it.
    written: BTreeMap<(Offset, LeaderEpoch), (u32, LeaderEpoch)>,
    committed: BTreeMap<Offset, Committed>,
    end: Offset,
    /// Of everything committed up to where an entry ends.
    images: BTreeMap<Offset, Arc<Image>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Committed {
    epoch: LeaderEpoch,
    sum: u32,
    /// In which that was seen first, which is on its leader.
    in_epoch: LeaderEpoch,
}

impl Committed {
    fn is(&self, entry: &Entry) -> bool {
        (self.epoch, self.sum) == (entry.epoch, sum_of(entry))
    }
}

impl Ledger {
    pub fn new(seed: u64, clock: Clock, trace: Trace) -> Rc<Self> {
        let nothing = Arc::new(Image::new(CLUSTER_ID));
        let state = State {
            leaders: BTreeMap::new(),
            written: BTreeMap::new(),
            committed: BTreeMap::new(),
            end: Offset::ZERO,
            images: BTreeMap::from([(Offset::ZERO, nothing)]),
        };
        Rc::new(Self { seed, clock, trace, state: RefCell::new(state), changed: Notify::new() })
    }

    /// Everything that any broker knows to be committed.
    pub fn image(&self) -> Arc<Image> {
        let state = self.state.borrow();
        state.images[&state.end].clone()
    }

    /// Wakes when more is committed.
    pub fn changed(&self) -> &Notify {
        &self.changed
    }

    pub fn end(&self) -> Offset {
        self.state.borrow().end
    }

    pub fn elections(&self) -> u64 {
        self.state.borrow().leaders.len() as u64
    }

    /// A node was elected.
    pub fn leads(&self, broker: BrokerId, epoch: LeaderEpoch, node: &Node) {
        let seed = self.seed;
        let mut state = self.state.borrow_mut();
        self.note("leads", broker, epoch.0 as u64);
        if let Some(other) = state.leaders.insert(epoch, broker) {
            panic!(
                "seed {seed}: epoch {epoch} of the metadata was won twice, by {other} and by {broker} (M1)"
            );
        }
        let held: BTreeMap<Offset, &Entry> = node.log().entries().map(|entry| (entry.base, entry)).collect();
        // Who is told late of its votes may win an epoch when a later one has a leader.
        let earlier = |(_, committed): &(&Offset, &Committed)| committed.in_epoch < epoch;
        for (base, committed) in state.committed.range(node.log().start().offset..).filter(earlier) {
            assert!(
                held.get(base).is_some_and(|held| committed.is(held)),
                "seed {seed}: broker {broker} leads epoch {epoch} of the metadata without what was committed at {base} (M1)"
            );
        }
    }

    /// Entries are about to stand in a node's log.
    pub fn appends(&self, broker: BrokerId, entries: &[Entry], node: &Node) {
        let Some(first) = entries.first() else { return };
        let before = node.log().entries().take_while(|entry| entry.next() <= first.base).last();
        let mut before = before.map_or(node.log().start().epoch, |entry| entry.epoch);
        let mut state = self.state.borrow_mut();
        for entry in entries {
            let says = (sum_of(entry), before);
            let known = *state.written.entry((entry.base, entry.epoch)).or_insert(says);
            assert_eq!(
                known, says,
                "seed {}: what broker {broker} has at {} of epoch {} another has otherwise (M1)",
                self.seed, entry.base, entry.epoch
            );
            before = entry.epoch;
        }
    }

    /// A node takes these entries, whole and without a gap, for committed.
    pub fn commits<'a>(
        &self,
        broker: BrokerId,
        epoch: LeaderEpoch,
        entries: impl Iterator<Item = &'a Entry>,
    ) {
        let seed = self.seed;
        let mut state = self.state.borrow_mut();
        for entry in entries {
            if let Some(known) = state.committed.get(&entry.base) {
                let base = entry.base;
                assert!(
                    known.is(entry),
                    "seed {seed}: broker {broker} has another committed entry at {base} (M1)"
                );
                continue;
            }
            assert_eq!(entry.base, state.end, "seed {seed}: broker {broker} commits behind a gap (M1)");
            let mut image = Image::clone(&state.images[&state.end]);
            if let Payload::Records { bytes, .. } = &entry.payload {
                for (offset, record) in batches::records(entry.base, bytes).expect("a controller wrote it") {
                    if self.trace.is_told() {
                        println!("{:>9} committed {offset}: {record:?}", self.clock.now_us());
                    }
                    image.apply(offset, &record).unwrap_or_else(|why| {
                        panic!("seed {seed}: what is committed at {offset} contradicts what is before it: {why} (M2)")
                    });
                }
            }
            self.note("commits", broker, u64::from(sum_of(entry)));
            state.end = entry.next();
            let end = state.end;
            state.images.insert(end, Arc::new(image));
            let committed = Committed { epoch: entry.epoch, sum: sum_of(entry), in_epoch: epoch };
            state.committed.insert(entry.base, committed);
        }
        drop(state);
        self.changed.wake_all();
    }

    /// A broker has folded everything below `end` to that image.
    pub fn knows(&self, broker: BrokerId, end: Offset, image: &Image) {
        let state = self.state.borrow();
        let known = state.images.get(&end);
        let known = known.unwrap_or_else(|| {
            panic!("seed {}: broker {broker} knows more than is committed (M4)", self.seed)
        });
        // That of a snapshot also counts entries behind its last record.
        let same = **known == *image || known.to_snapshot() == image.to_snapshot();
        assert!(same, "seed {}: broker {broker} has another image at {end} (M4)", self.seed);
    }

    fn note(&self, event: &str, broker: BrokerId, number: u64) {
        self.trace.note(event, &[self.clock.now_us(), broker.0 as u64, number]);
        if self.trace.is_told() {
            println!("{:>9} consensus: broker {broker} {event} {number:#x}", self.clock.now_us());
        }
    }
}

/// What an entry says. From a disk it comes with its offset and epoch in its bytes.
fn sum_of(entry: &Entry) -> u32 {
    match &entry.payload {
        Payload::Records { bytes, .. } => {
            let mut bytes = bytes.to_vec();
            stamp(&mut bytes, entry.base, entry.epoch);
            crc32c(&bytes)
        }
        Payload::LeaderChange => 0,
        Payload::Voters(voters) => {
            crc32c(&voters.iter().flat_map(|id| id.0.to_be_bytes()).collect::<Vec<_>>())
        }
    }
}
