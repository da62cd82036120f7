//! Which quota holds for a client, and whom it shares the rate with. Each kind is looked up alone: an entity that has
//! only a producer's quota says nothing of fetches.

use super::{ClientQuotas, QuotaKind};
use crate::metadata::{QuotaEntity, QuotaName};

/// All requests with one key share one rate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RateKey {
    pub kind: QuotaKind,
    /// None: users are not told apart.
    pub user: Option<String>,
    /// None: client ids are not told apart.
    pub client_id: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Limit {
    pub key: RateKey,
    pub per_second: f64,
}

/// The most specific quota, in Kafka's order:
///
/// ```text
///   user + client id, user + default, user,
///   default user + client id, default user + default, default user,
///   client id, default client id
/// ```
/// A default entity limits each of those it holds for, not all of them together.
pub fn limit_of(quotas: &ClientQuotas, kind: QuotaKind, user: &str, client_id: &str) -> Option<Limit> {
    let named = |name: &str| QuotaName::Named(name.to_owned());
    let both = |user, client_id| QuotaEntity::UserClientId(user, client_id);
    let (per_user, per_client, per_pair) = ((true, false), (false, true), (true, true));
    let candidates = [
        (both(named(user), named(client_id)), per_pair),
        (both(named(user), QuotaName::Default), per_pair),
        (QuotaEntity::User(named(user)), per_user),
        (both(QuotaName::Default, named(client_id)), per_pair),
        (both(QuotaName::Default, QuotaName::Default), per_pair),
        (QuotaEntity::User(QuotaName::Default), per_user),
        (QuotaEntity::ClientId(named(client_id)), per_client),
        (QuotaEntity::ClientId(QuotaName::Default), per_client),
    ];
    candidates.into_iter().find_map(|(entity, (by_user, by_client))| {
        let per_second = quotas.get(&entity)?.get(kind.key())?.value();
        let user = by_user.then(|| user.to_owned());
        let client_id = by_client.then(|| client_id.to_owned());
        Some(Limit { key: RateKey { kind, user, client_id }, per_second })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quotas::QuotaValue;

    fn name(text: &str) -> QuotaName {
        if text == "*" { QuotaName::Default } else { QuotaName::Named(text.to_owned()) }
    }

    /// `user`, `/client` or `user/client`, `*` for the default.
    fn entity(text: &str) -> QuotaEntity {
        match text.split_once('/') {
            None => QuotaEntity::User(name(text)),
            Some(("", client_id)) => QuotaEntity::ClientId(name(client_id)),
            Some((user, client_id)) => QuotaEntity::UserClientId(name(user), name(client_id)),
        }
    }

    fn quotas(entities: &[&str], key: &str) -> ClientQuotas {
        let value = |n: usize| [(key.to_owned(), QuotaValue::new(n as f64 + 1.0))].into();
        entities.iter().enumerate().map(|(n, text)| (entity(text), value(n))).collect()
    }

    const ORDER: [&str; 8] = ["u/c", "u/*", "u", "*/c", "*/*", "*", "/c", "/*"];

    #[test]
    fn the_most_specific_quota_holds() {
        for from in 0..ORDER.len() {
            let held = quotas(&ORDER[from..], "producer_byte_rate");
            let limit = limit_of(&held, QuotaKind::Produce, "u", "c").unwrap();
            assert_eq!(limit.per_second, 1.0, "{:?}", &ORDER[from..]);
            let shares = (limit.key.user.is_some(), limit.key.client_id.is_some());
            let expected = match ORDER[from] {
                "u" | "*" => (true, false),
                "/c" | "/*" => (false, true),
                _ => (true, true),
            };
            assert_eq!(shares, expected, "{}", ORDER[from]);
        }
        assert_eq!(limit_of(&ClientQuotas::new(), QuotaKind::Produce, "u", "c"), None);
    }

    #[test]
    fn others_fall_back_to_the_defaults() {
        let held = quotas(&ORDER, "consumer_byte_rate");
        let check = |user, client_id, expected: f64| {
            let limit = limit_of(&held, QuotaKind::Fetch, user, client_id).unwrap();
            assert_eq!(limit.per_second, expected, "{user} {client_id}");
        };
        check("u", "c", 1.0);
        check("u", "d", 2.0);
        check("v", "c", 4.0);
        check("v", "d", 5.0);
        check("*", "*", 5.0);
        let held = quotas(&["/c"], "consumer_byte_rate");
        assert_eq!(limit_of(&held, QuotaKind::Fetch, "u", "d"), None);
        assert_eq!(limit_of(&held, QuotaKind::Produce, "u", "c"), None, "another kind");
    }

    #[test]
    fn a_kind_that_the_closer_entity_lacks_comes_from_the_next() {
        let mut held = quotas(&["u/c"], "producer_byte_rate");
        held.extend(quotas(&["u"], "consumer_byte_rate"));
        let key = limit_of(&held, QuotaKind::Fetch, "u", "c").unwrap().key;
        assert_eq!((key.user.as_deref(), key.client_id), (Some("u"), None));
    }
}
