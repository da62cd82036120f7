//! DescribeClientQuotas. 1 is the flexible form. Which entities are found is the coordinator's to say
//! (`coordinator::quotas::filter`); the answer is from this shard's image.

use std::{borrow::Cow, rc::Rc};

use coordinator::{
    metadata::{QuotaEntity, QuotaName},
    quotas::QuotaFilter,
};
use engine::Disk;

use super::{Handled, Step};
use crate::{
    request::Request,
    shard::Shard,
    wire::messages::describe_client_quotas::{EntityData, EntryData, RequestView, Response, ValueData},
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let components = view.components.iter().map(|c| (c.entity_type, c.match_type, c.matched));
    let filter = match QuotaFilter::read(components, view.strict) {
        Ok(filter) => filter,
        Err(refusal) => {
            let (error_code, error_message) = (refusal.code.code(), Some(refusal.message.into()));
            return Ok(Step::answer(
                &request,
                &Response { error_code, error_message, ..Response::default() },
            ));
        }
    };
    let image = shard.local_image();
    let found = image.quotas().iter().filter(|(entity, _)| filter.accepts(entity));
    let entries = found
        .map(|(entity, quotas)| EntryData {
            entity: parts(entity),
            values: quotas
                .iter()
                .map(|(key, value)| ValueData { key: key.into(), value: value.value() })
                .collect(),
        })
        .collect();
    // Apache Kafka says nothing as an empty text here, not as null.
    let (error_message, entries) = (Some("".into()), Some(entries));
    Ok(Step::answer(&request, &Response { error_message, entries, ..Response::default() }))
}

fn parts(entity: &QuotaEntity) -> Vec<EntityData<'_>> {
    let part = |entity_type: &'static str, name| EntityData {
        entity_type: entity_type.into(),
        entity_name: match name {
            &QuotaName::Default => None,
            QuotaName::Named(name) => Some(Cow::from(name)),
        },
    };
    match entity {
        QuotaEntity::User(user) => vec![part("user", user)],
        QuotaEntity::ClientId(client_id) => vec![part("client-id", client_id)],
        QuotaEntity::UserClientId(user, client_id) => vec![part("client-id", client_id), part("user", user)],
        QuotaEntity::Ip(ip) => vec![part("ip", ip)],
    }
}
