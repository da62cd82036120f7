//! The ends of a log are in order, never go back within a life, and stand still once the store has failed.

use engine::{Durability, Ends, SharedLog};

use crate::disk::SimFile;

#[derive(Default)]
pub struct Watermarks {
    logs: Vec<Option<Ends>>,
    /// As they were when the store failed.
    frozen: Vec<Option<Ends>>,
}

impl Watermarks {
    pub fn observe(&mut self, index: usize, log: &SharedLog<SimFile>, failed: bool) {
        let ends = log.ends();
        self.logs.resize(self.logs.len().max(index + 1), None);
        self.frozen.resize(self.logs.len(), None);
        assert!(ends.start <= ends.end, "{ends:?}");
        assert!(
            ends.durable <= ends.end && ends.written <= ends.end && ends.acknowledged <= ends.end,
            "{ends:?}"
        );
        if let Some(before) = self.logs[index].replace(ends) {
            let back = ends.start < before.start
                || ends.end < before.end
                || ends.written < before.written
                || ends.durable < before.durable
                || ends.acknowledged < before.acknowledged;
            assert!(!back, "log {index} went back: {before:?}, then {ends:?}");
        }
        if failed {
            let frozen = *self.frozen[index].get_or_insert(ends);
            assert_eq!(
                (ends.acknowledged, ends.durable),
                (frozen.acknowledged, frozen.durable),
                "log {index}: the disk failed, and something was acknowledged afterwards"
            );
        }
    }

    /// Of a log whose config never changed: what is acknowledged is as safe as the topic says.
    pub fn acknowledged_is_safe(log: &SharedLog<SimFile>) {
        let ends = log.ends();
        match log.config().durability {
            Durability::Flushed => assert!(ends.acknowledged <= ends.durable, "{ends:?}"),
            Durability::Written => assert!(ends.acknowledged <= ends.written.max(ends.durable), "{ends:?}"),
            Durability::Memory => {}
        }
    }
}
