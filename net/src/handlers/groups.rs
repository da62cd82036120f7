//! What the handlers of groups share: the way to a group's coordinator and back.

use std::rc::Rc;

use coordinator::group::Answer as Done;
use engine::Disk;
use model::ErrorCode;

use crate::{
    ask::{Answer, Ask},
    groups::{GroupAnswer, GroupAsk, GroupRequest, coordinator_of},
    mesh::Asked,
    request::Request,
    shard::Shard,
};

/// A question under way, or why it cannot be asked.
pub(super) struct AskedGroup<D: Disk>(Result<Asked<D>, ErrorCode>);

/// Asks at once; the order of asks is the order of calls.
pub(super) fn ask<D: Disk>(
    shard: &Rc<Shard<D>>,
    group_id: &str,
    request: impl Into<GroupRequest>,
) -> AskedGroup<D> {
    let coordinator = coordinator_of(&shard.local_image(), group_id);
    AskedGroup(coordinator.map(|coordinator| {
        let ask = Ask::Group(Box::new(GroupAsk { coordinator, request: request.into() }));
        shard.asks().ask(coordinator.owner(shard.count()), ask)
    }))
}

impl<D: Disk> AskedGroup<D> {
    pub(super) async fn answer(self) -> Result<GroupAnswer, ErrorCode> {
        match self.0?.await {
            Some(Answer::Group(answer)) => answer,
            _ => Err(ErrorCode::CoordinatorNotAvailable),
        }
    }

    /// Of a command.
    pub(super) async fn done(self) -> Result<Done, ErrorCode> {
        match self.answer().await? {
            GroupAnswer::Done(done) => Ok(done),
            _ => Err(ErrorCode::UnknownServerError),
        }
    }
}

/// What a partition is answered: what was wrong with it before anyone was asked, else the next of the errors that came
/// back, which are in the order asked.
pub(super) fn error_of(found: ErrorCode, answered: &mut impl Iterator<Item = ErrorCode>) -> i16 {
    match found {
        ErrorCode::None => answered.next().unwrap_or(ErrorCode::UnknownServerError).code(),
        found => found.code(),
    }
}

pub(super) fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

/// As Kafka writes an address without a name.
pub(super) fn client_host(request: &Request) -> String {
    format!("/{}", request.peer.address.ip().to_canonical())
}
