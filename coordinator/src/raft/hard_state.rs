//! What a node must remember besides its log, and the text of Kafka's file `quorum-state` that holds it.

use model::{BrokerId, LeaderEpoch};

/// Without it a node could vote twice in one epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HardState {
    pub epoch: LeaderEpoch,
    pub voted_for: Option<BrokerId>,
}

impl HardState {
    pub fn to_text(self) -> String {
        let voted = self.voted_for.map_or(-1, |voted| voted.0);
        format!(
            "{{\"leaderId\":-1,\"leaderEpoch\":{},\"votedId\":{voted},\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}}",
            self.epoch.0
        )
    }

    /// None: the text is damaged.
    pub fn parse(text: &str) -> Option<Self> {
        let epoch = number(text, "leaderEpoch")?;
        let voted = number(text, "votedId")?;
        let voted_for = (voted >= 0).then_some(BrokerId(voted));
        (epoch >= 0).then_some(Self { epoch: LeaderEpoch(epoch), voted_for })
    }
}

/// The value of one key of a flat object of numbers and texts, the only kind there is here.
fn number(text: &str, key: &str) -> Option<i32> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let pair = |pair: &str| {
        let (name, value) = pair.split_once(':')?;
        (name.trim().trim_matches('"') == key).then(|| value.trim().parse().ok())
    };
    inner.split(',').find_map(pair)?
}
