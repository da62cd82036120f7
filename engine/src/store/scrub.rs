//! Reading what nobody reads: a closed segment whose bits rot is found before it is needed. Past the readers' cache, at the
//! pace of whoever asks.

use model::Offset;

use super::Store;
use crate::{
    compaction::{Pace, pass::Stop, sources::SourceReader},
    disk::Disk,
    log::{SharedLog, cleaning::Source, read::ReadRange},
};

impl<D: Disk> Store<D> {
    /// Looks at every batch in the closed segments of a log that are on stable storage. What does not look right is left to a
    /// reader to judge, which knows of cuts and of compaction: if it is corrupt, the log is offline on return.
    pub async fn scrub<P: Pace>(&self, log: &SharedLog<D::File>, pace: &P) {
        let sources = {
            let state = log.state.borrow();
            state.sources_below(state.recovery_point)
        };
        for source in sources {
            if pace.is_stopping() || log.is_offline() || log.deleted.get() {
                return;
            }
            if let Some(doubtful) = self.scrub_segment(log, source, pace).await {
                let until = log.ends().end;
                let range = ReadRange { from: doubtful, until, bytes_max: 1, at_least_one: true };
                drop(self.read(log, range).await);
            }
        }
    }

    /// The first offset that is not as it should be.
    async fn scrub_segment<P: Pace>(
        &self,
        log: &SharedLog<D::File>,
        source: Source,
        pace: &P,
    ) -> Option<Offset> {
        let mut reader = SourceReader::open(&self.disk, &self.pages, log, source).await.ok()?;
        let mut due = source.base.max(log.ends().start);
        loop {
            match reader.advance().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(Stop::Corrupt { .. }) => return Some(due),
                // Gone, or nothing that this can judge.
                Err(_) => return None,
            }
            let header = reader.header();
            let (epoch, has_holes) = {
                let state = log.state.borrow();
                (state.epochs.epoch_for(header.base_offset()), state.cleaning.may_have_holes)
            };
            let is_known = header.base_offset() >= log.ends().start;
            let follows = has_holes || header.base_offset() == due || !is_known;
            if is_known && (epoch.is_some_and(|epoch| epoch != header.leader_epoch()) || !follows) {
                return Some(due);
            }
            due = due.max(header.next_offset());
            pace.spent(reader.batch.len()).await;
            if pace.is_stopping() {
                return None;
            }
        }
        let has_holes = log.state.borrow().cleaning.may_have_holes;
        (due < source.next_base && !has_holes).then_some(due)
    }
}
