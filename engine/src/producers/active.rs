//! What is told of the producers that a log remembers.

use model::{Offset, ProducerEpoch, ProducerId, Timestamp};

use super::ProducerStates;

/// One producer, as Apache Kafka describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ActiveProducer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// -1: none since its epoch began.
    pub last_sequence: i32,
    pub last_timestamp: Timestamp,
    /// Of the coordinator that last ended a transaction; -1 before the first.
    pub coordinator_epoch: i32,
    /// Where the transaction begins that is open.
    pub transaction_start: Option<Offset>,
}

impl ProducerStates {
    /// In order of id.
    pub fn active(&self) -> Vec<ActiveProducer> {
        let active = self.producers.iter().map(|(&id, state)| ActiveProducer {
            id,
            epoch: state.epoch,
            last_sequence: state.last_sequence(),
            last_timestamp: state.last_timestamp,
            coordinator_epoch: state.coordinator_epoch,
            transaction_start: state.open_transaction,
        });
        active.collect()
    }
}
