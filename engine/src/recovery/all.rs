//! Many logs at once: making one whole is mostly waiting for small files.

use model::TopicPartition;

use super::{Recovery, RecoveryError, Restored};
use crate::{concurrent::for_each_bounded, disk::Disk, log::open};

impl<D: Disk> Recovery<D> {
    /// `restore` for each of them, by id and name of the topic; what became of them, in the same order. `progress` is told how
    /// many are done, now and then.
    pub async fn restore_all(
        &self,
        logs: &[(TopicPartition, String)],
        mut progress: impl FnMut(usize),
    ) -> Vec<Result<Restored, RecoveryError>> {
        let at_once = open::at_once(&self.pages);
        let mut restored = Vec::with_capacity(logs.len());
        for some in logs.chunks(at_once * 4) {
            let some = some.iter().collect();
            restored.extend(for_each_bounded(some, at_once, |(id, topic)| self.restore(*id, topic)).await);
            progress(restored.len());
        }
        restored
    }
}
