//! What DescribeGroups and ListGroups tell.

use model::ErrorCode;

use super::coordinator::{Group, GroupCoordinator, Kind};

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

impl GroupCoordinator {
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
            None => GroupDescription {
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
    }
}
