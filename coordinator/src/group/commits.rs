//! What groups commit: OffsetCommit, the offsets that OffsetFetch reads, and their ends by OffsetDelete, DeleteGroups and
//! the deletion of a topic.

use model::{ErrorCode, TopicId};

use super::{
    actions::{Actions, Context, Effects, OnceDurable, Ticket},
    answer::{Answer, OffsetCommitAnswer, OffsetDeleteAnswer},
    config::{APPENDS_MAX, GROUPS_MAX, GroupConfig, OFFSETS_MAX, TOMBSTONES_PER_APPEND},
    coordinator::{Group, GroupCoordinator, Kind, answered, are_too_long},
    offsets::{self, CommittedOffset},
    request::{OffsetCommit, OffsetReader, OffsetToCommit},
};

impl GroupCoordinator {
    pub fn commit_offsets(&mut self, cx: &Context<'_>, ticket: Ticket, request: &OffsetCommit) -> Actions {
        let refused =
            |error| answered(ticket, OffsetCommitAnswer { errors: vec![error; request.offsets.len()] });
        if request.offsets.is_empty() {
            return refused(ErrorCode::None);
        }
        if let Err(error) = self.admit_commit(cx, request) {
            return refused(error);
        }
        let group = &self.groups[&request.group_id];
        let room = OFFSETS_MAX.saturating_sub(group.offsets.count_bound());
        let new = request.offsets.iter().filter(|o| !group.offsets.has(&o.topic, o.partition)).count();
        if new > room {
            return refused(ErrorCode::InvalidCommitOffsetSize);
        }
        self.step(&request.group_id, |group, config, effects| {
            let errors =
                request.offsets.iter().map(|offset| commit(cx, config, group, request, offset, effects));
            let errors = errors.map(|result| result.err().unwrap_or(ErrorCode::None)).collect();
            effects.answer_when_durable(ticket, OffsetCommitAnswer { errors });
        })
    }

    /// Makes the group if the commit is the first thing that is heard of it.
    fn admit_commit(&mut self, cx: &Context<'_>, request: &OffsetCommit) -> Result<(), ErrorCode> {
        let texts = [&request.group_id, &request.member_id].into_iter().chain(&request.group_instance_id);
        if are_too_long(texts.chain(request.offsets.iter().map(|offset| &offset.topic))) {
            return Err(ErrorCode::InvalidRequest);
        }
        if self.under_way.len() >= APPENDS_MAX {
            return Err(ErrorCode::CoordinatorLoadInProgress);
        }
        if let Some(group) = self.groups.get_mut(&request.group_id) {
            return match &mut group.kind {
                Kind::Classic(classic) => classic.admit_commit(cx, request),
                Kind::Consumer(consumer) => consumer.admit_commit(request),
            };
        }
        if request.generation_or_member_epoch >= 0 {
            // From version 9 on the client may be a member of the new protocol, which knows no generations.
            let unknown =
                if request.version >= 9 { ErrorCode::GroupIdNotFound } else { ErrorCode::IllegalGeneration };
            return Err(unknown);
        }
        if self.groups.len() >= GROUPS_MAX {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        self.create_classic(&request.group_id, cx);
        Ok(())
    }

    /// May this reader see the group's offsets? A group that is not there has none, which is no error.
    pub fn admit_fetch(&self, group_id: &str, reader: &OffsetReader) -> Result<(), ErrorCode> {
        match self.groups.get(group_id).map(|group| &group.kind) {
            None | Some(Kind::Classic(_)) => Ok(()),
            Some(Kind::Consumer(consumer)) => consumer.admit_fetch(reader),
        }
    }

    /// None: nothing is committed, which OffsetFetch says with offset -1 and no error.
    pub fn committed(&self, group_id: &str, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.groups.get(group_id)?.offsets.get(topic, partition)
    }

    /// Everything that the group has committed, by topic and partition.
    pub fn all_committed(&self, group_id: &str) -> impl Iterator<Item = (&str, i32, &CommittedOffset)> {
        self.groups.get(group_id).into_iter().flat_map(|group| group.offsets.iter())
    }

    /// OffsetDelete: of a consumer group with members, only offsets of topics that nobody in it reads.
    pub fn delete_offsets(
        &mut self,
        ticket: Ticket,
        group_id: &str,
        partitions: &[(String, i32)],
    ) -> Actions {
        let refused =
            |error| answered(ticket, OffsetDeleteAnswer { error, errors: vec![error; partitions.len()] });
        let Some(group) = self.groups.get(group_id) else { return refused(ErrorCode::GroupIdNotFound) };
        match &group.kind {
            Kind::Classic(classic) if !classic.is_empty() && !classic.uses_consumer_protocol() => {
                return refused(ErrorCode::NonEmptyGroup);
            }
            Kind::Classic(_) | Kind::Consumer(_) => {}
        }
        self.step(group_id, |group, _, effects| {
            let mut errors = vec![];
            for (topic, partition) in partitions {
                if group.is_subscribed_to(topic) {
                    errors.push(ErrorCode::GroupSubscribedToTopic);
                    continue;
                }
                errors.push(ErrorCode::None);
                if group.offsets.has(topic, *partition) {
                    delete(group_id, group, topic, *partition, effects);
                }
            }
            effects.answer_when_durable(ticket, OffsetDeleteAnswer { error: ErrorCode::None, errors });
        })
    }

    /// DeleteGroups, one group of it: its offsets go first, then what the log says of the group.
    pub fn delete_group(&mut self, ticket: Ticket, group_id: &str) -> Actions {
        let Some(group) = self.groups.get(group_id) else {
            return answered(ticket, Answer::DeleteGroup(ErrorCode::GroupIdNotFound));
        };
        if !group.is_empty() {
            return answered(ticket, Answer::DeleteGroup(ErrorCode::NonEmptyGroup));
        }
        let keys = group.offsets.keys().into_iter().collect::<Vec<_>>();
        let mut actions = self.delete_keys(group_id, &keys);
        actions.extend(self.step(group_id, |group, _, effects| {
            group.bury(effects);
            effects.answer_when_durable(ticket, Answer::DeleteGroup(ErrorCode::None));
        }));
        actions
    }

    /// These topics are gone, and what groups had committed for them with them: a topic of the same name later is
    /// another topic.
    pub fn delete_topics(&mut self, topics: &[(&str, TopicId)]) -> Actions {
        let mut actions = Actions::default();
        for group_id in self.groups.keys().cloned().collect::<Vec<_>>() {
            let offsets = &self.groups[&group_id].offsets;
            let keys: Vec<_> = topics.iter().flat_map(|(topic, id)| offsets.keys_of(topic, *id)).collect();
            actions.extend(self.delete_keys(&group_id, &keys));
        }
        actions
    }

    pub(super) fn delete_keys(&mut self, group_id: &str, keys: &[(String, i32)]) -> Actions {
        let mut actions = Actions::default();
        for chunk in keys.chunks(TOMBSTONES_PER_APPEND) {
            actions.extend(self.step(group_id, |group, _, effects| {
                chunk.iter().for_each(|(topic, p)| delete(group_id, group, topic, *p, effects));
            }));
        }
        actions
    }
}

fn commit(
    cx: &Context<'_>,
    config: &GroupConfig,
    group: &mut Group,
    request: &OffsetCommit,
    offset: &OffsetToCommit,
    effects: &mut Effects,
) -> Result<(), ErrorCode> {
    if let Kind::Consumer(consumer) = &group.kind {
        consumer.admit_commit_of(request, offset)?;
    }
    if offset.metadata.len() > config.offset_metadata_bytes_max {
        return Err(ErrorCode::OffsetMetadataTooLarge);
    }
    let expire = request.retention_time_ms.filter(|ms| *ms >= 0);
    let value = CommittedOffset {
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata.clone(),
        commit_timestamp: cx.wall,
        expire_timestamp: expire.map(|ms| model::Timestamp(cx.wall.0.saturating_add(ms))),
        topic_id: offset.topic_id,
    };
    // What is seen after the log was read anew is what is seen before.
    let value = CommittedOffset::from_value(value.to_value());
    let (topic, partition) = (offset.topic.as_str(), offset.partition);
    effects.records.push(offsets::record(&request.group_id, topic, partition, Some(&value)));
    group.offsets.begin(topic, partition, Some(value.topic_id));
    effects.once_durable.push(OnceDurable::Offset { topic: topic.to_owned(), partition, value: Some(value) });
    Ok(())
}

fn delete(group_id: &str, group: &mut Group, topic: &str, partition: i32, effects: &mut Effects) {
    effects.records.push(offsets::record(group_id, topic, partition, None));
    group.offsets.begin(topic, partition, None);
    effects.once_durable.push(OnceDurable::Offset { topic: topic.to_owned(), partition, value: None });
}
