//! DescribeCluster. 1 tells brokers (1) from controllers (2), 2 shows fenced brokers.
//!
//! Controllers have no listener of their own for clients, so asking for their endpoints is refused as Apache Kafka's
//! brokers do.

use std::rc::Rc;

use engine::Disk;
use model::{BrokerId, ErrorCode};

use super::{Handled, Step, metadata::known_brokers, operations};
use crate::{
    request::Request,
    shard::Shard,
    wire::messages::describe_cluster::{DescribeClusterBroker, RequestView, Response},
};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if view.endpoint_type != BROKERS {
        let code = match view.endpoint_type {
            CONTROLLERS => ErrorCode::MismatchedEndpointType,
            _ => ErrorCode::UnsupportedEndpointType,
        };
        let (error_code, error_message) = (code.code(), Some(code.text().into()));
        return Ok(Step::answer(&request, &Response { error_code, error_message, ..Response::default() }));
    }
    let mut brokers: Vec<_> = known_brokers(shard).into_iter().map(|(id, rack)| (id, rack, false)).collect();
    if view.include_fenced_brokers {
        let image = shard.local_image();
        let fenced = image.brokers().filter(|broker| broker.fenced && broker.id != shard.broker());
        brokers.extend(fenced.map(|broker| (broker.id, broker.rack.clone(), true)));
        brokers.sort_unstable_by_key(|broker| broker.0);
    }
    let entry = |(id, rack, is_fenced): (BrokerId, Option<String>, bool)| {
        let (host, port) = shard.endpoint_of(id, &request.peer).ok()?;
        let (host, rack) = (host.into(), rack.map(Into::into));
        Some(DescribeClusterBroker { broker_id: id.0, host, port: port.into(), rack, is_fenced })
    };
    let body = Response {
        endpoint_type: BROKERS,
        cluster_id: shard.local_image().cluster_id().to_owned().into(),
        controller_id: shard.broker().0,
        brokers: brokers.into_iter().filter_map(entry).collect(),
        cluster_authorized_operations: operations::asked(
            view.include_cluster_authorized_operations,
            operations::CLUSTER,
        ),
        ..Response::default()
    };
    Ok(Step::answer(&request, &body))
}
