//! ListPartitionReassignments: those under way. On one broker there are none, of all partitions (null) as of those named.

use std::rc::Rc;

use engine::Disk;

use super::{Handled, Step};
use crate::{
    request::Request,
    shard::Shard,
    wire::messages::list_partition_reassignments::{RequestView, Response},
};

pub(super) fn handle<D: Disk>(_shard: &Rc<Shard<D>>, request: Request) -> Handled {
    RequestView::decode(request.body(), request.version)?;
    Ok(Step::answer(&request, &Response::default()))
}
