use super::*;
use crate::metadata::{QuotaEntity, QuotaName};

type Part = (&'static str, Option<&'static str>);

fn entry(entity: &[Part], ops: &[(&str, Option<f64>)]) -> AlterClientQuotas {
    AlterClientQuotas {
        entity: entity.iter().map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned))).collect(),
        ops: ops.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect(),
    }
}

fn alter(world: &mut World, entries: &[AlterClientQuotas]) -> Vec<ErrorCode> {
    world.decide(|c, _| c.alter_client_quotas(entries, false)).into_iter().map(code).collect()
}

fn held(world: &World, entity: &QuotaEntity) -> Vec<(String, f64)> {
    let quotas = world.image.quotas().get(entity).into_iter().flatten();
    quotas.map(|(key, value)| (key.clone(), value.value())).collect()
}

fn client(name: &str) -> QuotaEntity {
    QuotaEntity::ClientId(QuotaName::Named(name.to_owned()))
}

const C1: &[Part] = &[("client-id", Some("c1"))];
const PRODUCE: &str = "producer_byte_rate";
const FETCH: &str = "consumer_byte_rate";

#[test]
fn quotas_are_set_changed_and_removed() {
    let mut world = World::of(1);
    let ok = [ErrorCode::None];
    assert_eq!(alter(&mut world, &[entry(C1, &[(PRODUCE, Some(1024.0)), (FETCH, Some(2048.0))])]), ok);
    assert_eq!(held(&world, &client("c1")), [(FETCH.to_owned(), 2048.0), (PRODUCE.to_owned(), 1024.0)]);
    assert_eq!(alter(&mut world, &[entry(C1, &[(PRODUCE, None), (FETCH, Some(1.0))])]), ok);
    assert_eq!(held(&world, &client("c1")), [(FETCH.to_owned(), 1.0)]);
    let length = world.log.len();
    assert_eq!(alter(&mut world, &[entry(C1, &[(FETCH, Some(1.0)), ("nope", None)])]), ok);
    assert_eq!(world.log.len(), length, "what stays the same is not written again");
    assert_eq!(alter(&mut world, &[entry(C1, &[(FETCH, None)])]), ok);
    assert!(world.image.quotas().is_empty());
    assert_eq!(world.replayed(), world.image);
}

#[test]
fn each_combination_is_an_entity_of_its_own() {
    let mut world = World::of(1);
    let entities: [&[Part]; 8] = [
        &[("user", Some("u"))],
        &[("user", None)],
        C1,
        &[("client-id", None)],
        &[("user", Some("u")), ("client-id", Some("c1"))],
        &[("client-id", None), ("user", Some("u"))],
        &[("user", None), ("client-id", Some("c1"))],
        &[("user", None), ("client-id", None)],
    ];
    let entries: Vec<_> = entities.iter().map(|entity| entry(entity, &[(PRODUCE, Some(5.0))])).collect();
    assert_eq!(alter(&mut world, &entries), [ErrorCode::None; 8]);
    assert_eq!(world.image.quotas().len(), 8);
    let ips =
        ["10.0.0.1", "::1"].map(|ip| entry(&[("ip", Some(ip))], &[("connection_creation_rate", Some(3.0))]));
    assert_eq!(alter(&mut world, &ips), [ErrorCode::None; 2]);
    assert_eq!(
        alter(&mut world, &[entry(&[("ip", None)], &[("connection_creation_rate", Some(3.0))])]),
        [ErrorCode::None]
    );
    assert_eq!(world.image.quotas().len(), 11);
    assert_eq!(world.replayed(), world.image);
}

#[test]
fn what_is_no_quota_is_refused_and_changes_nothing() {
    use ErrorCode::InvalidRequest;
    let mut world = World::of(1);
    let mut check = |entity: &[Part], ops: &[(&str, Option<f64>)]| {
        assert_eq!(alter(&mut world, &[entry(entity, ops)]), [InvalidRequest], "{entity:?} {ops:?}");
        assert!(world.image.quotas().is_empty());
    };
    for value in [0.0, -1.0, 0.5, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        check(C1, &[(PRODUCE, Some(value))]);
    }
    for value in [0.0, -5.0, f64::NAN] {
        check(C1, &[("request_percentage", Some(value))]);
        check(C1, &[("controller_mutation_rate", Some(value))]);
    }
    check(&[("ip", None)], &[("connection_creation_rate", Some(2_147_483_648.0))]);
    check(&[("ip", None)], &[("connection_creation_rate", Some(1.5))]);
    check(C1, &[(PRODUCE, Some(5.0)), ("nope", Some(1.0))]);
    check(C1, &[(PRODUCE, Some(5.0)), (PRODUCE, Some(6.0))]);
    check(C1, &[("connection_creation_rate", Some(5.0))]);
    check(&[("ip", Some("10.0.0.1"))], &[(PRODUCE, Some(5.0))]);
    check(&[("ip", Some("1.1.1.999"))], &[("connection_creation_rate", Some(5.0))]);
    check(&[("ip", Some("10.0.0.1")), ("user", Some("u"))], &[("connection_creation_rate", Some(5.0))]);
    check(&[("client-id", Some("a")), ("client-id", Some("b"))], &[(PRODUCE, Some(5.0))]);
    check(&[], &[(PRODUCE, Some(5.0))]);
    check(&[("user", Some(""))], &[(PRODUCE, Some(5.0))]);
    check(&[("group", Some("g"))], &[(PRODUCE, Some(5.0))]);
}

#[test]
fn values_that_kafka_takes_are_taken() {
    let mut world = World::of(1);
    let mut check =
        |key, value| assert_eq!(alter(&mut world, &[entry(C1, &[(key, Some(value))])]), [ErrorCode::None]);
    check("request_percentage", 12.5);
    check("request_percentage", f64::INFINITY);
    check("controller_mutation_rate", 0.1);
    check(PRODUCE, 1.000_000_1);
    check(PRODUCE, i64::MAX as f64);
}

#[test]
fn an_entity_named_twice_spoils_itself_and_no_other() {
    let mut world = World::of(1);
    let other = [("user", Some("u"))];
    let entries = [
        entry(C1, &[(PRODUCE, Some(1.0))]),
        entry(&other, &[(PRODUCE, Some(2.0))]),
        entry(C1, &[(FETCH, Some(1.0))]),
        entry(&[], &[]),
        entry(&[], &[]),
    ];
    let invalid = ErrorCode::InvalidRequest;
    assert_eq!(alter(&mut world, &entries), [invalid, ErrorCode::None, invalid, invalid, invalid]);
    assert_eq!(world.image.quotas().len(), 1);
}

#[test]
fn validation_of_quotas_changes_nothing() {
    let mut world = World::of(1);
    let entries = [entry(C1, &[(PRODUCE, Some(1.0))])];
    assert_eq!(world.decide(|c, _| c.alter_client_quotas(&entries, true)), [Ok(())]);
    assert!(world.image.quotas().is_empty());
}

#[test]
fn entities_with_quotas_are_limited() {
    let mut world = World::of(1);
    let of = |n: usize| AlterClientQuotas {
        entity: vec![("client-id".to_owned(), Some(format!("c{n}")))],
        ops: vec![(PRODUCE.to_owned(), Some(1.0))],
    };
    let entries: Vec<_> = (0..=QUOTA_ENTITIES_MAX).map(of).collect();
    let refused = alter(&mut world, &entries).into_iter().filter(|code| *code != ErrorCode::None);
    assert_eq!(refused.collect::<Vec<_>>(), [ErrorCode::PolicyViolation]);
    // One that is there already may change.
    let again = AlterClientQuotas { ops: vec![(PRODUCE.to_owned(), Some(2.0))], ..of(0) };
    assert_eq!(alter(&mut world, &[again]), [ErrorCode::None]);
}
