//! What DescribeGroups and ListGroups tell.

use model::{ErrorCode, TopicId};

use super::{
    assignor::Assignment,
    coordinator::{Group, GroupCoordinator, Kind},
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupDescription {
    /// GROUP_ID_NOT_FOUND with state `Dead` for a group that is not there; version 5 and below leave the error out.
    pub error: ErrorCode,
    pub group_id: String,
    pub state: &'static str,
    pub protocol_type: String,
    pub protocol: String,
    pub members: Vec<MemberDescription>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberDescription {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub metadata: Vec<u8>,
    pub assignment: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedGroup {
    pub group_id: String,
    pub protocol_type: String,
    pub state: &'static str,
    /// `classic` or `consumer`, as Kafka writes it.
    pub group_type: &'static str,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroupDescription {
    pub group_id: String,
    pub state: &'static str,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub assignor: String,
    pub members: Vec<ConsumerMemberDescription>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerMemberDescription {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub member_epoch: i32,
    pub client_id: String,
    pub client_host: String,
    pub topic_names: Vec<String>,
    pub topic_regex: Option<String>,
    /// By topic, in order. The edge adds the names.
    pub assignment: Vec<(TopicId, Vec<i32>)>,
    pub target_assignment: Vec<(TopicId, Vec<i32>)>,
    /// It speaks the classic protocol (member type 0; 1 otherwise).
    pub is_classic: bool,
}

impl GroupCoordinator {
    /// ConsumerGroupDescribe knows the groups of the new protocol only; none is GROUP_ID_NOT_FOUND.
    pub fn describe_consumer(&self, group_id: &str) -> Option<ConsumerGroupDescription> {
        let Kind::Consumer(consumer) = &self.groups.get(group_id)?.kind else { return None };
        let listed = |assignment: &Assignment| {
            assignment
                .iter()
                .map(|(topic, partitions)| (*topic, partitions.iter().copied().collect()))
                .collect()
        };
        let members = consumer.members().map(|member| ConsumerMemberDescription {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            rack_id: member.rack_id.clone(),
            member_epoch: member.epoch,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            topic_names: member.topic_names.iter().cloned().collect(),
            topic_regex: member.topic_regex.clone(),
            assignment: listed(&member.assigned),
            target_assignment: consumer.target_of(&member.id).map(listed).unwrap_or_default(),
            is_classic: member.classic.is_some(),
        });
        Some(ConsumerGroupDescription {
            group_id: group_id.to_owned(),
            state: consumer.state().name(),
            group_epoch: consumer.epoch(),
            assignment_epoch: consumer.target_epoch(),
            assignor: consumer.assignor_name(&self.config),
            members: members.collect(),
        })
    }

    /// DescribeGroups knows the groups of the classic protocol only.
    pub fn describe(&self, group_id: &str) -> GroupDescription {
        match self.groups.get(group_id).map(|group| &group.kind) {
            Some(Kind::Classic(classic)) => {
                // Before the group is stable, nothing is settled that could be told.
                let stable = classic.state() == super::ClassicState::Stable;
                let protocol = classic.protocol_name().unwrap_or("");
                let members = classic.members().map(|member| MemberDescription {
                    member_id: member.id.clone(),
                    group_instance_id: member.instance_id.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    metadata: if stable { member.metadata(protocol).to_vec() } else { vec![] },
                    assignment: if stable { member.assignment.clone() } else { vec![] },
                });
                GroupDescription {
                    error: ErrorCode::None,
                    group_id: group_id.to_owned(),
                    state: classic.state().name(),
                    protocol_type: classic.protocol_type().unwrap_or("").to_owned(),
                    protocol: if stable { protocol.to_owned() } else { String::new() },
                    members: members.collect(),
                }
            }
            Some(Kind::Consumer(_)) | None => GroupDescription {
                error: ErrorCode::GroupIdNotFound,
                group_id: group_id.to_owned(),
                state: "Dead",
                protocol_type: String::new(),
                protocol: String::new(),
                members: vec![],
            },
        }
    }

    /// Filters compare without case; an empty one lets everything through.
    pub fn list(&self, states: &[String], types: &[String]) -> Vec<ListedGroup> {
        let passes = |filter: &[String], value: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
        };
        let listed = self.groups.iter().map(|(id, group)| listed(id, group));
        listed.filter(|group| passes(states, group.state) && passes(types, group.group_type)).collect()
    }
}

fn listed(id: &str, group: &Group) -> ListedGroup {
    match &group.kind {
        Kind::Classic(classic) => ListedGroup {
            group_id: id.to_owned(),
            protocol_type: classic.protocol_type().unwrap_or("").to_owned(),
            state: classic.state().name(),
            group_type: "classic",
        },
        Kind::Consumer(consumer) => ListedGroup {
            group_id: id.to_owned(),
            protocol_type: super::protocol::CONSUMER.to_owned(),
            state: consumer.state().name(),
            group_type: "consumer",
        },
    }
}
