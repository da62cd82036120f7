//! A log that follows another one: batches as the leader has them.
//!
//! ```text
//!   leader, compacted   |0 1 2|   |7 8|9|          offsets are the leader's, and may leave gaps
//!   this log            |0 1 2|   |7 8|
//!                              end 3, then 9      a run of the journal covers the gap: it says where the log ended
//!                                                 before it, so recovery tells a gap from a loss
//! ```

use model::{BatchView, LeaderEpoch, Offset, Timestamp};
use rt::pages::PagePool;

use super::{AppendError, Log, LogState};

impl<F: Clone + 'static> Log<F> {
    /// Where the log ends, and the epoch of its last batch: `NONE` if it holds none.
    pub fn last_position(&self) -> (Offset, LeaderEpoch) {
        let state = self.state.borrow();
        let ends = state.ends;
        let last = Some(ends.end + -1).filter(|_| ends.start < ends.end);
        let epoch = last.and_then(|last| state.epochs.epoch_for(last)).unwrap_or(LeaderEpoch::NONE);
        (ends.end, epoch)
    }

    /// Appends whole batches, one behind the other, as the leader has them. What is before a bad one stays.
    pub(crate) fn append_replica(
        &self,
        pool: &PagePool,
        batches: &[u8],
        now: Timestamp,
    ) -> Result<Offset, AppendError> {
        assert!(!self.is_being_cut.get(), "an append to a log that is being cut");
        if self.is_offline() || self.deleted.get() {
            return Err(AppendError::Offline);
        }
        let mut state = self.state.borrow_mut();
        let mut rest = batches;
        while !rest.is_empty() {
            let batch = BatchView::frame(rest).map_err(|_| AppendError::Malformed)?;
            state.append_replica(pool, &batch, now)?;
            rest = &rest[batch.bytes().len()..];
        }
        Ok(state.ends.end)
    }
}

impl<F: Clone> LogState<F> {
    fn append_replica(
        &mut self,
        pool: &PagePool,
        batch: &BatchView<'_>,
        now: Timestamp,
    ) -> Result<(), AppendError> {
        let header = batch.header();
        batch.check_header().map_err(|_| AppendError::Malformed)?;
        if header.leader_epoch() < LeaderEpoch(0) {
            return Err(AppendError::Malformed);
        }
        if header.base_offset() < self.ends.end {
            return Err(AppendError::BelowEnd);
        }
        // An epoch that began at the log's end, when this broker led, and wrote nothing, was never asked about: what is
        // compared with a leader is the last batch.
        self.epochs_changed |= self.epochs.truncate_from_end(self.ends.end);
        if self.epochs.latest().is_some_and(|latest| header.leader_epoch() < latest.epoch) {
            return Err(AppendError::OlderEpoch);
        }
        let leaves_gap = header.base_offset() > self.ends.end;
        self.place(pool, header, batch.payload(), now)?;
        self.cleaning.may_have_holes |= leaves_gap;
        self.cleaning.has_gap |= leaves_gap;
        // A marker that does not parse ends nothing, as it did on the leader.
        let _ = self.producers.replay(header, batch.payload(), now);
        self.producers.advance_to(header.next_offset());
        Ok(())
    }
}
