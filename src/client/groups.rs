//! Groups as their coordinators tell of them: which there are, who is in them, and deleting them. What they have
//! committed is in `committed`.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use model::ErrorCode;
use net::wire::{
    ApiKey,
    messages::{consumer_group_describe, delete_groups, describe_groups, find_coordinator, list_groups},
};

use super::{
    Cluster,
    error::{ClientError, Result, check},
};

mod assignment;
mod committed;

pub use committed::Offsets;

const LATEST: i16 = i16::MAX;
/// Later ones are for share groups.
const FIND_COORDINATOR_VERSION_MAX: i16 = 4;
const KEY_TYPE_GROUP: i8 = 0;
/// How long a coordinator may take to be found and to have read what it must know.
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Groups in one request.
const DESCRIBED_TOGETHER_MAX: usize = 100;

/// A group as it is listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    pub id: String,
    pub kind: Kind,
    /// Empty: the broker is too old to say.
    pub state: String,
    pub protocol_type: String,
    pub coordinator: i32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    Classic,
    /// KIP-848
    Consumer,
    /// Of a kind that these tools do not look into.
    Other(String),
}

impl Kind {
    pub fn name(&self) -> &str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
            Self::Other(name) => name,
        }
    }

    fn of(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            // Brokers that do not know of kinds have this one only.
            "" | "classic" => Self::Classic,
            "consumer" => Self::Consumer,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// A group looked into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    pub id: String,
    pub kind: Kind,
    pub state: String,
    pub assignor: String,
    pub coordinator: i32,
    pub members: Vec<Member>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Member {
    pub id: String,
    pub instance: Option<String>,
    pub client_id: String,
    pub host: String,
    /// What it reads.
    pub assigned: BTreeMap<String, Vec<i32>>,
}

pub const STATE_EMPTY: &str = "Empty";
/// What old versions say of a group that is not there.
const STATE_DEAD: &str = "Dead";

impl Group {
    /// Nobody is in it. Then, and only then, its offsets can be moved by others.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.state == STATE_EMPTY
    }
}

impl Cluster {
    /// The groups of all brokers, by name.
    pub fn list_groups(&mut self) -> Result<Vec<Listed>> {
        self.topics(Some(&[]), false)?;
        let mut groups = Vec::new();
        for coordinator in self.nodes() {
            let connection = self.connection(coordinator)?;
            let answer = connection.call(LATEST, &list_groups::Request::default())?;
            let malformed = ClientError::malformed(connection.address(), ApiKey::ListGroups);
            let view = list_groups::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
            check(&format!("groups of broker {coordinator}"), view.error_code, None)?;
            groups.extend(view.groups.iter().map(|group| Listed {
                id: group.group_id.to_owned(),
                kind: Kind::of(group.group_type),
                state: group.group_state.to_owned(),
                protocol_type: group.protocol_type.to_owned(),
                coordinator,
            }));
        }
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(groups)
    }

    pub fn group_coordinator(&mut self, group: &str) -> Result<i32> {
        // Also learns the addresses of the brokers.
        self.topics(Some(&[]), false)?;
        let deadline = Instant::now() + COORDINATOR_TIMEOUT;
        loop {
            match self.find_coordinator(group) {
                Err(error) if error.is_retriable() && Instant::now() < deadline => thread::sleep(RETRY_PAUSE),
                found => return found,
            }
        }
    }

    fn find_coordinator(&mut self, group: &str) -> Result<i32> {
        let request = find_coordinator::Request {
            key: group.into(),
            key_type: KEY_TYPE_GROUP,
            coordinator_keys: vec![group.into()],
        };
        let connection = self.any()?;
        let answer = connection.call(FIND_COORDINATOR_VERSION_MAX, &request)?;
        let malformed = ClientError::malformed(connection.address(), ApiKey::FindCoordinator);
        let view =
            find_coordinator::ResponseView::decode(answer.body(), answer.version).map_err(&malformed)?;
        let what = format!("coordinator of group {group}");
        if answer.version < 4 {
            check(&what, view.error_code, view.error_message)?;
            return Ok(view.node_id);
        }
        let found = view.coordinators.iter().next();
        let found = found.ok_or_else(|| ClientError::Malformed {
            address: connection.address().to_owned(),
            api: ApiKey::FindCoordinator,
        })?;
        check(&what, found.error_code, found.error_message)?;
        Ok(found.node_id)
    }

    /// One group, looked into. `None`: there is no such group.
    pub fn describe_group(&mut self, group: &str) -> Result<Option<Group>> {
        let deadline = Instant::now() + COORDINATOR_TIMEOUT;
        loop {
            let coordinator = self.group_coordinator(group)?;
            let described = self.describe_at(coordinator, group);
            match described {
                Err(error) if error.is_retriable() && Instant::now() < deadline => thread::sleep(RETRY_PAUSE),
                described => return described,
            }
        }
    }

    fn describe_at(&mut self, coordinator: i32, group: &str) -> Result<Option<Group>> {
        // Who does not know the newer kind has none of it.
        if self.connection(coordinator)?.serves(ApiKey::ConsumerGroupDescribe) {
            let newer = self.describe_consumer_groups(coordinator, &[group])?.pop();
            if let Some((_, Ok(group))) = newer {
                return Ok(Some(group));
            }
            if let Some((_, Err(error))) = newer
                && !error.has_code(ErrorCode::GroupIdNotFound)
            {
                return Err(error);
            }
        }
        match self.describe_classic_groups(coordinator, &[group])?.pop() {
            Some((_, Ok(group))) if group.state == STATE_DEAD => Ok(None),
            Some((_, Ok(group))) => Ok(Some(group)),
            Some((_, Err(error))) if error.has_code(ErrorCode::GroupIdNotFound) => Ok(None),
            Some((_, Err(error))) => Err(error),
            None => Ok(None),
        }
    }

    /// Groups that were listed just now. Those that are gone by now, and those of other kinds, are left out.
    pub fn describe_listed(&mut self, listed: &[Listed]) -> Result<Vec<Group>> {
        let mut by_place: BTreeMap<(i32, bool), Vec<&str>> = BTreeMap::new();
        for group in listed {
            let newer = match group.kind {
                Kind::Classic => false,
                Kind::Consumer => true,
                Kind::Other(_) => continue,
            };
            by_place.entry((group.coordinator, newer)).or_default().push(&group.id);
        }
        let mut groups = Vec::new();
        for ((coordinator, newer), ids) in by_place {
            for ids in ids.chunks(DESCRIBED_TOGETHER_MAX) {
                let described = match newer {
                    true => self.describe_consumer_groups(coordinator, ids)?,
                    false => self.describe_classic_groups(coordinator, ids)?,
                };
                for (_, group) in described {
                    match group {
                        Ok(group) if group.state == STATE_DEAD => {}
                        Ok(group) => groups.push(group),
                        Err(error) if error.has_code(ErrorCode::GroupIdNotFound) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(groups)
    }

    fn describe_classic_groups(&mut self, coordinator: i32, ids: &[&str]) -> Result<Vec<Described>> {
        let request = describe_groups::Request {
            groups: ids.iter().map(|&id| id.to_owned().into()).collect(),
            ..Default::default()
        };
        let connection = self.connection(coordinator)?;
        let answer = connection.call(LATEST, &request)?;
        let malformed = ClientError::malformed(connection.address(), ApiKey::DescribeGroups);
        let view = describe_groups::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        let group = |group: describe_groups::DescribedGroupView<'_>| {
            let id = group.group_id.to_owned();
            let checked = check(&format!("group {id}"), group.error_code, group.error_message);
            let described = checked.map(|()| Group {
                id: id.clone(),
                kind: Kind::Classic,
                state: group.group_state.to_owned(),
                assignor: group.protocol_data.to_owned(),
                coordinator,
                members: group
                    .members
                    .iter()
                    .map(|member| classic_member(group.protocol_type, &member))
                    .collect(),
            });
            (id, described)
        };
        Ok(view.groups.iter().map(group).collect())
    }

    fn describe_consumer_groups(&mut self, coordinator: i32, ids: &[&str]) -> Result<Vec<Described>> {
        let request = consumer_group_describe::Request {
            group_ids: ids.iter().map(|&id| id.to_owned().into()).collect(),
            ..Default::default()
        };
        let connection = self.connection(coordinator)?;
        let answer = connection.call(LATEST, &request)?;
        let malformed = ClientError::malformed(connection.address(), ApiKey::ConsumerGroupDescribe);
        let view = consumer_group_describe::ResponseView::decode(answer.body(), answer.version)
            .map_err(malformed)?;
        let group = |group: consumer_group_describe::DescribedGroupView<'_>| {
            let id = group.group_id.to_owned();
            let checked = check(&format!("group {id}"), group.error_code, group.error_message);
            let described = checked.map(|()| Group {
                id: id.clone(),
                kind: Kind::Consumer,
                state: group.group_state.to_owned(),
                assignor: group.assignor_name.to_owned(),
                coordinator,
                members: group.members.iter().map(|member| consumer_member(&member)).collect(),
            });
            (id, described)
        };
        Ok(view.groups.iter().map(group).collect())
    }

    /// The group and all that it has committed go.
    pub fn delete_group(&mut self, group: &str) -> Result<()> {
        let coordinator = self.group_coordinator(group)?;
        let request = delete_groups::Request { groups_names: vec![group.into()] };
        let connection = self.connection(coordinator)?;
        let answer = connection.call(LATEST, &request)?;
        let malformed = ClientError::malformed(connection.address(), ApiKey::DeleteGroups);
        let view = delete_groups::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        view.results.iter().try_for_each(|result| check(&format!("group {group}"), result.error_code, None))
    }
}

type Described = (String, Result<Group>);

fn classic_member(protocol_type: &str, member: &describe_groups::DescribedGroupMemberView<'_>) -> Member {
    // Others than consumers have assignments of their own making.
    let is_consumer = protocol_type == "consumer";
    Member {
        id: member.member_id.to_owned(),
        instance: member.group_instance_id.map(str::to_owned),
        client_id: member.client_id.to_owned(),
        host: member.client_host.to_owned(),
        assigned: if is_consumer { assignment::read(member.member_assignment) } else { BTreeMap::new() },
    }
}

fn consumer_member(member: &consumer_group_describe::MemberView<'_>) -> Member {
    let assigned = member.assignment.topic_partitions.iter();
    Member {
        id: member.member_id.to_owned(),
        instance: member.instance_id.map(str::to_owned),
        client_id: member.client_id.to_owned(),
        host: member.client_host.to_owned(),
        assigned: assigned.map(|t| (t.topic_name.to_owned(), t.partitions.iter().collect())).collect(),
    }
}
