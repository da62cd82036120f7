//! Where offsets are left out: compaction leaves gaps, and who follows a compacted log has them too.

use model::{BatchHeader, BatchView, Offset};

use crate::{index::relative_offset, journal::frame::Run};

/// Whole batches, side by side, from where the log ended before the run to its next offset: is there a gap between them?
/// `None`: they are not, and a log that took them could not be opened, and the next recovery would cut it as a torn tail.
pub(super) fn gap_in(run: &Run, bytes: &[u8]) -> Option<bool> {
    let (mut next, mut gap) = (run.base_offset, false);
    for batch in BatchView::check_all(bytes) {
        let batch = batch.ok()?;
        let header = batch.header();
        if !may_follow(header, next, run.segment_base) {
            return None;
        }
        gap |= header.base_offset() > next;
        next = header.next_offset();
    }
    (next == run.next_offset).then_some(gap)
}

/// May this batch stand where `next` is due? Its offset is outside its checksum, so a checked batch can still be in the
/// wrong place.
pub(super) fn may_follow(header: &BatchHeader, next: Offset, segment: Offset) -> bool {
    header.base_offset() >= next && relative_offset(segment, header.last_offset()).is_some()
}
