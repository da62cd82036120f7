//! ConsumerGroupDescribe (KIP-848): groups of the new protocol. 1 tells members of the old protocol apart.

use std::rc::Rc;

use coordinator::{
    Image,
    group::{ConsumerGroupDescription, ConsumerMemberDescription},
};
use engine::Disk;
use model::{ErrorCode, TopicId};

use super::{Handled, Step, groups::ask, operations};
use crate::{
    groups::{GroupAnswer, GroupQuery},
    request::Request,
    shard::Shard,
    wire::messages::consumer_group_describe::{
        Assignment, DescribedGroup, Member, RequestView, Response, TopicPartitions,
    },
};

const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let authorized_operations = operations::asked(view.include_authorized_operations, operations::GROUP);
    let ask = |id: &str| (id.to_owned(), ask(shard, id, GroupQuery::DescribeConsumer(id.to_owned())));
    let asked: Vec<_> = view.group_ids.iter().map(ask).collect();
    let (head, image) = (request.head(), shard.local_image());
    Ok(Step::wait(async move {
        let mut groups = Vec::with_capacity(asked.len());
        for (group_id, asked) in asked {
            let described = match asked.answer().await {
                Ok(GroupAnswer::DescribedConsumer(Some(described))) => group(&image, described),
                Ok(GroupAnswer::DescribedConsumer(None)) => refused(group_id, ErrorCode::GroupIdNotFound),
                Ok(_) => refused(group_id, ErrorCode::UnknownServerError),
                Err(code) => refused(group_id, code),
            };
            groups.push(DescribedGroup { authorized_operations, ..described });
        }
        Step::answer(head, &Response { groups, ..Response::default() })
    }))
}

fn refused(group_id: String, code: ErrorCode) -> DescribedGroup<'static> {
    DescribedGroup {
        error_code: code.code(),
        error_message: Some(code.text().into()),
        group_id: group_id.into(),
        ..DescribedGroup::default()
    }
}

fn group(image: &Image, described: ConsumerGroupDescription) -> DescribedGroup<'static> {
    DescribedGroup {
        group_id: described.group_id.into(),
        group_state: described.state.into(),
        group_epoch: described.group_epoch,
        assignment_epoch: described.assignment_epoch,
        assignor_name: described.assignor.into(),
        members: described.members.into_iter().map(|m| member(image, m)).collect(),
        ..DescribedGroup::default()
    }
}

fn member(image: &Image, described: ConsumerMemberDescription) -> Member<'static> {
    Member {
        member_id: described.member_id.into(),
        instance_id: described.instance_id.map(Into::into),
        rack_id: described.rack_id.map(Into::into),
        member_epoch: described.member_epoch,
        client_id: described.client_id.into(),
        client_host: described.client_host.into(),
        subscribed_topic_names: described.topic_names.into_iter().map(Into::into).collect(),
        subscribed_topic_regex: described.topic_regex.map(Into::into),
        assignment: assignment(image, described.assignment),
        target_assignment: assignment(image, described.target_assignment),
        member_type: if described.is_classic { CLASSIC } else { CONSUMER },
    }
}

/// Topics that are gone have no name any more, and are left out.
fn assignment(image: &Image, topics: Vec<(TopicId, Vec<i32>)>) -> Assignment<'static> {
    let named = topics.into_iter().filter_map(|(id, partitions)| {
        let name = image.topic_by_id(id)?.name.to_string();
        Some(TopicPartitions { topic_id: id.0, topic_name: name.into(), partitions })
    });
    Assignment { topic_partitions: named.collect() }
}
