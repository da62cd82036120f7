//! Topics grow.

use model::BrokerId;

use super::{Controller, Decision, Refusal};

/// One topic of a CreatePartitions request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatePartitions {
    pub topic: String,
    /// How many partitions there shall be in all.
    pub count: i32,
    /// Replicas of each new partition, when the client places them itself.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

impl Controller<'_> {
    /// One result a topic, in the order asked.
    pub fn create_partitions(
        &self,
        topics: &[CreatePartitions],
        validate_only: bool,
    ) -> Decision<Vec<Result<(), Refusal>>> {
        let _ = (topics, validate_only);
        todo!()
    }
}
