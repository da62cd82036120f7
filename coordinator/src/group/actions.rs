//! What goes into the coordinator besides a request, and what comes out of it.

use std::fmt;

use model::{Millis, Timestamp, TopicId};

use super::{answer::Answer, record::GroupRecord};
use crate::metadata::ConfigResource;

/// A request that waits for its answer. The edge makes them up, never one twice; each comes back exactly once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Names one [`Append`], rising.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AppendId(pub u64);

/// Records that go to the log in one batch, after those of every append before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Append {
    pub id: AppendId,
    pub records: Vec<GroupRecord>,
}

/// What the edge has to do. Appends are handed to the log in this order, before anything else happens to the
/// coordinator; answers leave at once.
#[must_use]
#[derive(Default, Debug)]
pub struct Actions {
    pub appends: Vec<Append>,
    pub answers: Vec<(Ticket, Answer)>,
}

impl Actions {
    pub(super) fn extend(&mut self, more: Self) {
        self.appends.extend(more.appends);
        self.answers.extend(more.answers);
    }
}

/// The world at the moment of a call.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// For deadlines.
    pub now: Millis,
    /// For commit times and retention, never for safety.
    pub wall: Timestamp,
    /// New with every call that may make a member: what the id of the member is made from.
    pub random: u128,
    /// The topics of the cluster as this call sees them.
    pub topics: &'a dyn Topics,
}

impl Context<'_> {
    pub(super) fn later(&self, ms: i32) -> Millis {
        Millis(self.now.0.saturating_add(u64::try_from(ms).unwrap_or(0)))
    }

    /// A random id in the usual form: version 4 of RFC 9562.
    pub(super) fn uuid(&self) -> String {
        let bits = (self.random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let part = |shift: u32, digits: u32| (bits >> shift) & ((1 << (4 * digits)) - 1);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 8),
            part(80, 4),
            part(64, 4),
            part(48, 4),
            part(0, 12)
        )
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("now", &self.now).field("wall", &self.wall).finish_non_exhaustive()
    }
}

/// What a group has to know of the cluster's topics.
pub trait Topics {
    fn topic(&self, name: &str) -> Option<TopicFacts>;
    fn name(&self, id: TopicId) -> Option<&str>;
    /// Every name, for regular expressions.
    fn names(&self) -> Vec<&str>;
    /// A number that this group has configured for itself.
    fn group_config(&self, group: &str, key: &str) -> Option<i32>;
    /// Rises with every change, so that an unchanged view need not be looked at again.
    fn version(&self) -> i64;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicFacts {
    pub id: TopicId,
    pub partition_count: i32,
}

impl Topics for crate::metadata::Image {
    fn topic(&self, name: &str) -> Option<TopicFacts> {
        let topic = self.topic(name)?;
        let partition_count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        Some(TopicFacts { id: topic.id, partition_count })
    }

    fn name(&self, id: TopicId) -> Option<&str> {
        self.topic_by_id(id).map(|topic| &*topic.name)
    }

    fn names(&self) -> Vec<&str> {
        self.topics().map(|topic| &*topic.name).collect()
    }

    fn group_config(&self, group: &str, key: &str) -> Option<i32> {
        let configs = self.configs(&ConfigResource::Group(group.to_owned()))?;
        configs.get(key)?.parse().ok()
    }

    fn version(&self) -> i64 {
        self.offset().0
    }
}

/// What one step of one group leads to. The coordinator turns it into [`Actions`].
#[derive(Default, Debug)]
pub(super) struct Effects {
    /// Leave at once.
    pub(super) answers: Vec<(Ticket, Answer)>,
    pub(super) records: Vec<GroupRecord>,
    /// Leave when the records of this step, and of every earlier one of the group, are durable.
    pub(super) after: Vec<(Ticket, Answer)>,
    /// Happens to the group when the records of this step are durable.
    pub(super) once_durable: Vec<OnceDurable>,
}

#[derive(Debug)]
pub(super) enum OnceDurable {
    Offset {
        topic: String,
        partition: i32,
        value: Option<super::offsets::CommittedOffset>,
    },
    Assignment {
        generation: i32,
        assignments: Vec<(String, Vec<u8>)>,
    },
    /// Nothing then; but if the log refuses it, the group is still in the log.
    GroupTombstone,
}

impl Effects {
    pub(super) fn answer(&mut self, ticket: Ticket, answer: impl Into<Answer>) {
        self.answers.push((ticket, answer.into()));
    }

    pub(super) fn answer_when_durable(&mut self, ticket: Ticket, answer: impl Into<Answer>) {
        self.after.push((ticket, answer.into()));
    }
}
