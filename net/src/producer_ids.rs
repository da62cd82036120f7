//! Producer ids of one shard: handed out from a block that the controller gave, fetched anew when it is used up. A
//! block dies with the process; ids are never reused, and there are 2^63 of them.

use std::cell::{Cell, RefCell};

use coordinator::{Refusal, controller::ProducerIdBlock};
use model::ProducerId;
use rt::notify::Notify;

use crate::control::{ControlPort, Outcome, Proposal};

#[derive(Default)]
pub(crate) struct ProducerIds {
    left: RefCell<Option<ProducerIdBlock>>,
    /// One request fetches a block, the others wait for it.
    fetching: Cell<bool>,
    fetched: Notify,
}

impl ProducerIds {
    pub(crate) async fn next(&self, control: &ControlPort) -> Result<ProducerId, Refusal> {
        loop {
            if let Some(id) = self.take() {
                return Ok(id);
            }
            if self.fetching.replace(true) {
                let fetched = self.fetched.wait();
                if self.fetching.get() {
                    fetched.await;
                }
                continue;
            }
            let _turn = Turn(self);
            match control.propose(Proposal::ProducerIds).await {
                Outcome::ProducerIds(Ok(block)) => *self.left.borrow_mut() = Some(block),
                Outcome::ProducerIds(Err(refusal)) => return Err(refusal),
                other => return Err(other.refusal()),
            }
        }
    }

    fn take(&self) -> Option<ProducerId> {
        let mut left = self.left.borrow_mut();
        let block = left.as_mut().filter(|block| block.count > 0)?;
        let id = block.first;
        *block = ProducerIdBlock { first: ProducerId(id.0 + 1), count: block.count - 1 };
        Some(id)
    }
}

/// Ends the turn of whoever fetches, also when it is dropped on the way.
struct Turn<'a>(&'a ProducerIds);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetching.set(false);
        self.0.fetched.wake_all();
    }
}
