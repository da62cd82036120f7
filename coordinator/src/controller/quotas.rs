//! Client quotas are altered.
//!
//! Unlike Apache Kafka, an ip entity is an address and never a host's name, which would have to be looked up; a limit that
//! is not a number is refused; and of an entity that a request names twice nothing is changed.

use std::{collections::BTreeMap, net::IpAddr};

use model::ErrorCode;

use super::{Controller, Decision, QUOTA_ENTITIES_MAX, Refusal, named_twice};
use crate::{
    config::value::shorten,
    metadata::{ClientQuotaRecord, MetadataRecord, QuotaEntity, QuotaName},
    quotas::{QuotaKind, QuotaValue},
};

/// As long as a Kafka string can be.
const NAME_BYTES_MAX: usize = 32_767;

/// One entry of an AlterClientQuotas request.
#[derive(Clone, PartialEq, Debug)]
pub struct AlterClientQuotas {
    /// Entity type and name; the default entity has none.
    pub entity: Vec<(String, Option<String>)>,
    /// Key and value; None removes.
    pub ops: Vec<(String, Option<f64>)>,
}

impl Controller<'_> {
    /// One result an entry, in the order asked.
    pub fn alter_client_quotas(
        &self,
        requests: &[AlterClientQuotas],
        validate_only: bool,
    ) -> Decision<Vec<Result<(), Refusal>>> {
        let entities: Vec<_> = requests.iter().map(|request| read_entity(&request.entity)).collect();
        // Entities that are none are refused one by one.
        let twice = named_twice(entities.iter().enumerate().map(|(n, e)| e.as_ref().map_err(|_| n)));
        let mut records = vec![];
        let mut new_entities = 0;
        let mut alter = |request: &AlterClientQuotas, entity: Result<QuotaEntity, Refusal>, twice: bool| {
            let entity = entity?;
            if twice {
                return Err(invalid("The request names this entity twice; name it once."));
            }
            let after = self.altered(&entity, &request.ops)?;
            if !self.image.quotas().contains_key(&entity) && !after.is_empty() {
                new_entities += 1;
                self.check_entity_count(new_entities)?;
            }
            if !validate_only {
                self.push_quotas(&entity, &after, &mut records);
            }
            Ok(())
        };
        let each = requests.iter().zip(entities).zip(twice);
        let answer = each.map(|((request, entity), twice)| alter(request, entity, twice)).collect();
        Decision { answer, records }
    }

    /// All quotas of the entity as they are to be.
    fn altered(
        &self,
        entity: &QuotaEntity,
        ops: &[(String, Option<f64>)],
    ) -> Result<BTreeMap<String, QuotaValue>, Refusal> {
        if named_twice(ops.iter().map(|(key, _)| key)).contains(&true) {
            return Err(invalid("The request names a key of this entity twice; name it once."));
        }
        let mut after = self.image.quotas().get(entity).cloned().unwrap_or_default();
        for (key, value) in ops {
            match value {
                Some(value) => {
                    check_value(entity, key, *value)?;
                    after.insert(key.clone(), QuotaValue::new(*value));
                }
                None => drop(after.remove(key)),
            }
        }
        Ok(after)
    }

    fn check_entity_count(&self, new_entities: usize) -> Result<(), Refusal> {
        if self.image.quotas().len() + new_entities > QUOTA_ENTITIES_MAX {
            let sentence =
                format!("{QUOTA_ENTITIES_MAX} entities have quotas, which is the most there may be.");
            return Err(Refusal::new(ErrorCode::PolicyViolation, sentence));
        }
        Ok(())
    }

    /// A record for each key that is other than before, and none for the rest.
    fn push_quotas(
        &self,
        entity: &QuotaEntity,
        after: &BTreeMap<String, QuotaValue>,
        records: &mut Vec<MetadataRecord>,
    ) {
        let nothing = BTreeMap::new();
        let before = self.image.quotas().get(entity).unwrap_or(&nothing);
        let mut push = |key: &String, value: Option<QuotaValue>| {
            let (entity, key, value) = (entity.clone(), key.clone(), value.map(QuotaValue::bits));
            records.push(MetadataRecord::ClientQuota(ClientQuotaRecord { entity, key, value }));
        };
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            push(key, None);
        }
        for (key, value) in after.iter().filter(|(key, value)| before.get(*key) != Some(*value)) {
            push(key, Some(*value));
        }
    }
}

fn read_entity(parts: &[(String, Option<String>)]) -> Result<QuotaEntity, Refusal> {
    let (mut user, mut client_id, mut ip) = (None, None, None);
    for (entity_type, name) in parts {
        let place = match entity_type.as_str() {
            "user" => &mut user,
            "client-id" => &mut client_id,
            "ip" => &mut ip,
            other => {
                return Err(invalid(format!("'{}' is no type of an entity with quotas.", shorten(other))));
            }
        };
        if place.is_some() {
            return Err(invalid(format!("The entity has the type {entity_type} twice.")));
        }
        *place = Some(read_name(entity_type, name.as_deref())?);
    }
    match (user, client_id, ip) {
        (Some(user), None, None) => Ok(QuotaEntity::User(user)),
        (None, Some(client_id), None) => Ok(QuotaEntity::ClientId(client_id)),
        (Some(user), Some(client_id), None) => Ok(QuotaEntity::UserClientId(user, client_id)),
        (None, None, Some(ip)) => read_ip(ip),
        (None, None, None) => Err(invalid("The entity is empty; name a user, a client-id or an ip.")),
        _ => Err(invalid("The entity ip cannot be combined with user or client-id.")),
    }
}

fn read_name(entity_type: &str, name: Option<&str>) -> Result<QuotaName, Refusal> {
    match name {
        None => Ok(QuotaName::Default),
        Some("") => Err(invalid(format!("The name of the entity's {entity_type} is empty."))),
        Some(name) if name.len() > NAME_BYTES_MAX => {
            let bytes = name.len();
            Err(invalid(format!("A {entity_type} has at most {NAME_BYTES_MAX} bytes, this one has {bytes}.")))
        }
        Some(name) => Ok(QuotaName::Named(name.to_owned())),
    }
}

fn read_ip(name: QuotaName) -> Result<QuotaEntity, Refusal> {
    if let QuotaName::Named(name) = &name
        && name.parse::<IpAddr>().is_err()
    {
        return Err(invalid(format!("{} is not a valid IP.", shorten(name))));
    }
    Ok(QuotaEntity::Ip(name))
}

fn check_value(entity: &QuotaEntity, key: &str, value: f64) -> Result<(), Refusal> {
    let kinds: &[QuotaKind] = match entity {
        QuotaEntity::Ip(_) => &[QuotaKind::Connection],
        _ => &QuotaKind::OF_CLIENTS,
    };
    let whole_max = match kinds.iter().find(|kind| kind.key() == key) {
        None => return Err(invalid(format!("'{}' is no quota of such an entity.", shorten(key)))),
        Some(QuotaKind::Produce | QuotaKind::Fetch) => Some(i64::MAX as f64),
        Some(QuotaKind::Connection) => Some(f64::from(i32::MAX)),
        Some(QuotaKind::Request | QuotaKind::ControllerMutation) => None,
    };
    if value.is_nan() || value <= 0.0 {
        return Err(invalid(format!("Quota {key} must be greater than 0.")));
    }
    match whole_max {
        Some(max) if value > max => {
            Err(invalid(format!("Quota {key} is too large; it may be {max} at most.")))
        }
        // A client may have computed the value.
        Some(_) if (value - value.round()).abs() > WHOLE_EPSILON => {
            Err(invalid(format!("Quota {key} cannot be a fractional value.")))
        }
        _ => Ok(()),
    }
}

const WHOLE_EPSILON: f64 = 1e-6;

fn invalid(sentence: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, sentence)
}
