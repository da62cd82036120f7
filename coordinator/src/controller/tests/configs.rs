use super::*;
use crate::{
    config::{AlterOp, ConfigAlteration},
    metadata::ConfigResource,
};

fn set(key: &str, value: &str) -> ConfigAlteration {
    ConfigAlteration { key: key.to_owned(), op: AlterOp::Set, value: Some(value.to_owned()) }
}

fn of<T>(resource: &ConfigResource, configs: Vec<T>) -> AlterConfigsRequest<T> {
    AlterConfigsRequest { resource: resource.clone(), configs }
}

fn world() -> (World, ConfigResource) {
    let mut world = World::of(1);
    world.create(topic("t", 1, 1)).unwrap();
    (world, ConfigResource::Topic("t".to_owned()))
}

fn own(world: &World, resource: &ConfigResource) -> Vec<(String, String)> {
    world.image.configs(resource).into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn both_forms_of_alteration() {
    let (mut world, t) = world();
    let asked = [of(&t, vec![set("retention.ms", "5"), set("segment.ms", "6")])];
    assert_eq!(world.decide(|c, _| c.alter_configs(&asked, false)), [Ok(())]);
    assert_eq!(own(&world, &t), [pair("retention.ms", "5"), pair("segment.ms", "6")]);
    let asked = [of(&t, vec![("segment.ms".to_owned(), Some("7".to_owned()))])];
    assert_eq!(world.decide(|c, _| c.replace_configs(&asked, false)), [Ok(())]);
    assert_eq!(own(&world, &t), [pair("segment.ms", "7")]);
}

#[test]
fn what_stays_the_same_is_not_written_again() {
    let (mut world, t) = world();
    let asked = [of(&t, vec![set("retention.ms", "5")])];
    world.decide(|c, _| c.alter_configs(&asked, false));
    let decision = Controller::new(&world.image, &world.config).alter_configs(&asked, false);
    assert_eq!(decision, Decision { answer: vec![Ok(())], records: vec![] });
}

#[test]
fn a_bad_key_spoils_its_resource_and_no_other() {
    let (mut world, t) = world();
    let asked = [
        of(&t, vec![set("retention.ms", "5"), set("nope", "1")]),
        of(&ConfigResource::DefaultBroker, vec![set("message.max.bytes", "9000")]),
    ];
    let answers = world.decide(|c, _| c.alter_configs(&asked, false));
    assert_eq!(
        answers.into_iter().map(code).collect::<Vec<_>>(),
        [ErrorCode::InvalidConfig, ErrorCode::None]
    );
    assert_eq!(own(&world, &t), []);
    assert_eq!(own(&world, &ConfigResource::DefaultBroker), [pair("message.max.bytes", "9000")]);
    assert_eq!(world.config.with_dynamic(&world.image).message_max_bytes, 9000);
}

#[test]
fn resources_are_checked() {
    use ErrorCode::*;
    let (mut world, t) = world();
    let mut check = |resources: &[&ConfigResource], key: &str, value: &str, expected: &[ErrorCode]| {
        let asked: Vec<_> = resources.iter().map(|r| of(r, vec![set(key, value)])).collect();
        let answers = world.decide(|c, _| c.alter_configs(&asked, true));
        assert_eq!(answers.into_iter().map(code).collect::<Vec<_>>(), expected, "{resources:?}");
    };
    let u = ConfigResource::Topic("u".to_owned());
    check(&[&t, &u], "retention.ms", "5", &[None, UnknownTopicOrPartition]);
    check(&[&t, &t], "retention.ms", "5", &[InvalidRequest, InvalidRequest]);
    check(&[&ConfigResource::Broker(BrokerId(1))], "log.retention.ms", "5", &[None]);
    check(&[&ConfigResource::Broker(BrokerId(2))], "log.retention.ms", "5", &[BrokerIdNotRegistered]);
    check(&[&ConfigResource::Group("g".to_owned())], "consumer.session.timeout.ms", "50000", &[None]);
}

#[test]
fn validation_changes_nothing() {
    let (mut world, t) = world();
    let before = world.image.clone();
    assert_eq!(
        world.decide(|c, _| c.alter_configs(&[of(&t, vec![set("retention.ms", "5")])], true)),
        [Ok(())]
    );
    assert_eq!(world.image, before);
}

#[test]
fn groups_with_configs_are_limited() {
    let mut world = World::of(1);
    let asked: Vec<_> = (0..=CONFIGURED_GROUPS_MAX)
        .map(|n| {
            of(&ConfigResource::Group(format!("g{n}")), vec![set("consumer.session.timeout.ms", "50000")])
        })
        .collect();
    let answers = world.decide(|c, _| c.alter_configs(&asked, false));
    let refused: Vec<_> = answers.into_iter().filter_map(Result::err).map(|refusal| refusal.code).collect();
    assert_eq!(refused, [ErrorCode::PolicyViolation]);
    // One that is there already may change.
    let asked =
        [of(&ConfigResource::Group("g0".to_owned()), vec![set("consumer.session.timeout.ms", "50001")])];
    assert_eq!(world.decide(|c, _| c.alter_configs(&asked, false)), [Ok(())]);
}

#[test]
fn resources_are_named_by_type_and_name() {
    use ErrorCode::*;
    let check = |kind, name: &str, expected: Result<ConfigResource, ErrorCode>| {
        assert_eq!(config_resource(kind, name).map_err(|refusal| refusal.code), expected, "{kind} {name:?}");
    };
    check(2, "t", Ok(ConfigResource::Topic("t".to_owned())));
    check(2, "", Err(InvalidRequest));
    check(2, "a b", Err(InvalidTopicException));
    check(4, "", Ok(ConfigResource::DefaultBroker));
    check(4, "12", Ok(ConfigResource::Broker(BrokerId(12))));
    check(4, "-1", Err(InvalidRequest));
    check(4, "x", Err(InvalidRequest));
    check(32, "g", Ok(ConfigResource::Group("g".to_owned())));
    check(32, "", Err(InvalidRequest));
    check(8, "1", Err(InvalidRequest));
}
