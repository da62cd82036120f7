//! How long a node waits, and how much it has under way.

use std::time::Duration;

use model::BrokerId;

#[derive(Clone, Debug)]
pub struct RaftConfig {
    pub id: BrokerId,
    /// `controller.quorum.election.timeout.ms`: with no word from a leader for this long and up to as long again, a
    /// voter starts an election; a leader that hears of no majority for this long gives up.
    pub election_timeout: Duration,
    /// How often a leader says that it is there. Several must fit into the election timeout.
    pub heartbeat: Duration,
    /// Of the entries in one message.
    pub append_bytes_max: usize,
    /// Messages with entries to one follower that it has not answered.
    pub in_flight_max: usize,
    /// Records that are not yet committed: what comes beyond that is refused.
    pub uncommitted_max: usize,
    /// Whom an observer asks for the log before it knows a leader.
    pub contacts: Vec<BrokerId>,
}

impl RaftConfig {
    pub fn new(id: BrokerId) -> Self {
        Self {
            id,
            election_timeout: Duration::from_millis(1000),
            heartbeat: Duration::from_millis(100),
            append_bytes_max: 1 << 20,
            in_flight_max: 16,
            uncommitted_max: 10_000,
            contacts: Vec::new(),
        }
    }
}
