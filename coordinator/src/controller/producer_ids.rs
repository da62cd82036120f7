//! Producer ids, in blocks, never twice.

use model::ProducerId;

use super::{Controller, Decision, Refusal};

/// Ids a block holds.
pub const PRODUCER_ID_BLOCK: i64 = 1000;

/// `first`, and `count - 1` more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerIdBlock {
    pub first: ProducerId,
    pub count: i64,
}

impl Controller<'_> {
    pub fn allocate_producer_ids(&self) -> Decision<Result<ProducerIdBlock, Refusal>> {
        todo!()
    }
}
