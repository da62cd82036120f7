//! ListConfigResources: what has configs, by type. 0 asked for subscriptions to client metrics only, which there are none
//! of; 1 names types, and an empty list means all of them.

use std::rc::Rc;

use coordinator::{ConfigResource as Configured, Image};
use engine::Disk;
use model::ErrorCode;

use super::{Handled, Step, configs, metadata::known_brokers};
use crate::{
    request::Request,
    shard::Shard,
    wire::messages::list_config_resources::{ConfigResource, RequestView, Response},
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let mut types: Vec<i8> = view.resource_types.iter().collect();
    if request.version == 0 {
        types = vec![configs::CLIENT_METRICS];
    } else if types.is_empty() {
        types = configs::TYPES.to_vec();
    }
    types.sort_unstable();
    types.dedup();
    if types.iter().any(|kind| !configs::TYPES.contains(kind)) {
        let error_code = ErrorCode::UnsupportedVersion.code();
        return Ok(Step::answer(&request, &Response { error_code, ..Response::default() }));
    }
    let image = shard.local_image();
    let config_resources = types.into_iter().flat_map(|kind| named(shard, &image, kind)).collect();
    Ok(Step::answer(&request, &Response { config_resources, ..Response::default() }))
}

fn named<D: Disk>(shard: &Shard<D>, image: &Image, resource_type: i8) -> Vec<ConfigResource<'static>> {
    let names: Vec<String> = match resource_type {
        configs::TOPIC => image.topics().map(|topic| topic.name.to_string()).collect(),
        configs::BROKER | configs::BROKER_LOGGER => {
            known_brokers(shard).into_iter().map(|(id, _)| id.to_string()).collect()
        }
        configs::GROUP => image
            .config_resources()
            .filter_map(|resource| match resource {
                Configured::Group(name) => Some(name.clone()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    names.into_iter().map(|name| ConfigResource { resource_name: name.into(), resource_type }).collect()
}
