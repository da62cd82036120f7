//! Which data batches belong to aborted transactions, and which transaction markers are still needed. The records of an
//! aborted transaction go; its marker goes once none of them is left and its time is over.
//!
//! Unlike Apache Kafka, whose cleaner believes the `.txnindex` files, this one has read the markers of everything that it
//! cleans before it drops anything: an abort that an index does not name would make a record win that nobody may see.

use std::collections::{BTreeMap, BTreeSet};

use model::{BatchHeader, Offset, ProducerId};
use zerocopy::{
    Immutable, IntoBytes, KnownLayout, Unaligned,
    big_endian::{I16, I64},
};

use crate::records::EndMarker;

/// An entry of a `.txnindex` file.
#[derive(IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub(crate) struct AbortedTransaction {
    version: I16,
    producer_id: I64,
    first_offset: I64,
    last_offset: I64,
    last_stable_offset: I64,
}

const _: () = assert!(size_of::<AbortedTransaction>() == 34);

impl AbortedTransaction {
    fn first_offset(&self) -> Offset {
        Offset(self.first_offset.get())
    }
}

/// First pass over the batches: where transactions begin and how they end.
#[derive(Default)]
pub(crate) struct TransactionScan {
    open: BTreeMap<ProducerId, Offset>,
    /// In the order of their markers.
    aborted: Vec<AbortedTransaction>,
}

impl TransactionScan {
    /// Every batch of the range, in order; `marker` is what a control batch says.
    pub(crate) fn observe(&mut self, header: &BatchHeader, marker: Option<EndMarker>) {
        let producer = header.producer_id();
        if !header.is_control() {
            if header.is_transactional() {
                self.open.entry(producer).or_insert(header.base_offset());
            }
            return;
        }
        let Some(marker) = marker else { return };
        let Some(first) = self.open.remove(&producer) else { return };
        if !marker.committed {
            let stable = self.open.values().min().copied().unwrap_or(header.next_offset());
            self.aborted.push(AbortedTransaction {
                version: 0.into(),
                producer_id: producer.0.into(),
                first_offset: first.0.into(),
                last_offset: header.last_offset().0.into(),
                last_stable_offset: stable.0.into(),
            });
        }
    }

    /// Where the first transaction begins whose end was not seen.
    pub(crate) fn first_open(&self) -> Option<Offset> {
        self.open.values().min().copied()
    }

    pub(crate) fn into_transactions(mut self) -> Transactions {
        self.aborted.sort_by_key(AbortedTransaction::first_offset);
        self.aborted.reverse();
        Transactions { ahead: self.aborted, ..Transactions::default() }
    }
}

/// A later pass over the same batches, in order.
#[derive(Clone, Default)]
pub(crate) struct Transactions {
    /// Aborted ones that begin further on, the next one last.
    ahead: Vec<AbortedTransaction>,
    /// Aborted ones that have begun, and whether records of them were seen.
    aborted: BTreeMap<ProducerId, (AbortedTransaction, bool)>,
    /// Producers of which records were seen that are not aborted.
    committed: BTreeSet<ProducerId>,
    /// Aborted ones of which something is left, for the index of the segment that holds the marker.
    left: Vec<AbortedTransaction>,
}

impl Transactions {
    /// A batch of data: `true` if it was aborted.
    pub(crate) fn is_aborted(&mut self, header: &BatchHeader) -> bool {
        self.begin_up_to(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id()) {
            Some((_, seen)) => {
                *seen = true;
                true
            }
            None => {
                self.committed.insert(header.producer_id());
                false
            }
        }
    }

    /// A control batch: `true` if nothing is left that needs it. An empty one was cleaned before.
    pub(crate) fn is_spent(&mut self, header: &BatchHeader, marker: Option<EndMarker>) -> bool {
        self.begin_up_to(header.last_offset());
        match marker {
            None => header.record_count() == 0,
            Some(EndMarker { committed: true, .. }) => !self.committed.remove(&header.producer_id()),
            Some(EndMarker { committed: false, .. }) => match self.aborted.remove(&header.producer_id()) {
                Some((aborted, true)) => {
                    self.left.push(aborted);
                    false
                }
                _ => true,
            },
        }
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while let Some(next) = self.ahead.pop_if(|next| next.first_offset() <= offset) {
            self.aborted.insert(ProducerId(next.producer_id.get()), (next, false));
        }
    }

    /// The bytes of the `.txnindex` of what was walked since the last call; empty where no file is needed.
    pub(crate) fn take_index(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.left).as_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use model::batch::record::{BatchMeta, Producer, build_batch};

    use super::*;

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Step {
        Plain(i64),
        Data(i64),
        Commit(i64),
        Abort(i64),
    }
    use Step::*;

    /// One batch of a single record at each offset.
    fn batches(steps: &[Step]) -> Vec<(BatchHeader, Option<EndMarker>)> {
        let header = |offset: usize, producer, attributes| {
            let meta = BatchMeta {
                base_offset: offset as i64,
                leader_epoch: 0,
                attributes,
                base_timestamp: 0,
                max_timestamp: 0,
                record_count: 1,
                producer: Producer { id: producer, epoch: 0, base_sequence: 0 },
            };
            BatchHeader::read(&build_batch(meta, &[])).unwrap()
        };
        let marker = |committed| Some(EndMarker { committed, coordinator_epoch: 0 });
        let batch = |(offset, step): (usize, &Step)| match *step {
            Plain(p) => (header(offset, p, 0), None),
            Data(p) => (header(offset, p, 0x10), None),
            Commit(p) => (header(offset, p, 0x30), marker(true)),
            Abort(p) => (header(offset, p, 0x30), marker(false)),
        };
        steps.iter().enumerate().map(batch).collect()
    }

    /// For each batch: may it go?
    fn judge(steps: &[Step], gone: &[usize]) -> (Vec<bool>, Vec<u8>, Option<i64>) {
        let batches = batches(steps);
        let mut scan = TransactionScan::default();
        batches.iter().for_each(|(header, marker)| scan.observe(header, *marker));
        let open = scan.first_open().map(|offset| offset.0);
        let mut transactions = scan.into_transactions();
        let mut judged = vec![];
        for (n, (header, marker)) in batches.iter().enumerate() {
            // Passed by: an earlier pass has taken it.
            if gone.contains(&n) {
                judged.push(true);
            } else if header.is_control() {
                judged.push(transactions.is_spent(header, *marker));
            } else {
                judged.push(transactions.is_aborted(header));
            }
        }
        (judged, transactions.take_index(), open)
    }

    #[test]
    fn records_of_an_aborted_transaction_go_and_its_marker_stays_for_them() {
        let steps = [Data(1), Data(2), Plain(3), Data(1), Abort(1), Data(1), Commit(2), Commit(1)];
        let (judged, index, open) = judge(&steps, &[]);
        assert_eq!(judged, [true, false, false, true, false, false, false, false]);
        assert_eq!(open, None);
        // Version 0, producer 1, from 0 to 4, and everything below 1 was stable then.
        let expected: Vec<u8> =
            [vec![0, 0], [1i64, 0, 4, 1].iter().flat_map(|n| n.to_be_bytes()).collect()].concat();
        assert_eq!(index, expected);
    }

    #[test]
    fn a_marker_is_spent_once_nothing_of_its_transaction_is_left() {
        assert_eq!(judge(&[Abort(1), Commit(2)], &[]).0, [true, true]);
        assert_eq!(judge(&[Data(1), Abort(1), Data(2), Commit(2)], &[0]).0, [true, true, false, false]);
        assert_eq!(judge(&[Data(1), Abort(1), Data(2), Commit(2)], &[0, 2]).0, [true; 4]);
        assert_eq!(judge(&[Data(1), Commit(1), Commit(1)], &[]).0, [false, false, true]);
        assert!(judge(&[Data(1), Abort(1)], &[0]).1.is_empty(), "the index names what is left");
    }

    #[test]
    fn a_transaction_without_end_is_told() {
        assert_eq!(judge(&[Plain(1), Data(2), Data(1), Abort(2)], &[]).2, Some(2));
        assert_eq!(judge(&[Data(2), Data(1), Abort(1)], &[]).2, Some(0));
    }

    #[test]
    fn other_control_batches_stay_and_empty_ones_may_go() {
        let mut transactions = Transactions::default();
        let (header, _) = batches(&[Commit(1)])[0];
        assert!(!transactions.is_spent(&header, None));
        let empty = BatchHeader { record_count: 0.into(), ..header };
        assert!(transactions.is_spent(&empty, None));
    }
}
