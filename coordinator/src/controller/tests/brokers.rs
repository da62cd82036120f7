use model::ProducerId;

use super::*;

#[test]
fn a_broker_registers_once_and_again_when_something_is_new() {
    let mut world = World::of(1);
    let again = |world: &World, asked: &RegisterBroker| {
        Controller::new(&world.image, &world.config).register_broker(asked, false).records.len()
    };
    assert_eq!(again(&world, &registration(1, None)), 0);
    assert_eq!(again(&world, &registration(1, Some("east"))), 1);
    assert_eq!(again(&world, &RegisterBroker { incarnation: [99; 16], ..registration(1, None) }), 1);
    world.register(1, Some("east"));
    assert_eq!(world.image.broker(BrokerId(1)).unwrap().rack.as_deref(), Some("east"));
}

#[test]
fn a_registration_that_clients_cannot_use_is_refused() {
    let world = World::of(1);
    let check = |asked: RegisterBroker| {
        let decision = Controller::new(&world.image, &world.config).register_broker(&asked, false);
        assert_eq!(code(decision.answer), ErrorCode::InvalidRequest);
        assert!(decision.records.is_empty());
    };
    check(registration(-1, None));
    check(RegisterBroker { endpoints: vec![], ..registration(2, None) });
    check(registration(2, Some(&"r".repeat(256))));
    let mut nowhere = registration(2, None);
    nowhere.endpoints[0].host.clear();
    check(nowhere.clone());
    nowhere.endpoints[0] = Endpoint { host: "h".to_owned(), port: 0, ..nowhere.endpoints[0].clone() };
    check(nowhere);
}

#[test]
fn a_configuration_gives_a_registration() {
    let pairs = [("node.id", "5"), ("broker.rack", "r"), ("listeners", "PLAINTEXT://:1,SSL://ten:2")];
    let config = BrokerConfig::parse(pairs).unwrap();
    let asked = RegisterBroker::from_config(&config, [3; 16], "here");
    let addresses: Vec<_> = asked.endpoints.iter().map(|e| (e.host.as_str(), e.port)).collect();
    assert_eq!(addresses, [("here", 1), ("ten", 2)]);
    assert_eq!((asked.id, asked.rack.as_deref()), (BrokerId(5), Some("r")));
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut world = World::of(1);
    let mut next = || world.decide(|c, _| c.allocate_producer_ids()).unwrap();
    assert_eq!(next(), ProducerIdBlock { first: ProducerId(0), count: 1000 });
    assert_eq!(next(), ProducerIdBlock { first: ProducerId(1000), count: 1000 });

    let last =
        MetadataRecord::ProducerIds(crate::metadata::ProducerIdsRecord { next: ProducerId(i64::MAX - 999) });
    world.image.apply(world.image.offset() + 1, &last).unwrap();
    assert_eq!(code(world.decide(|c, _| c.allocate_producer_ids())), ErrorCode::UnknownServerError);
}

#[test]
fn replicas_go_to_different_racks_while_there_are_any() {
    let mut world = World::of(0);
    for (id, rack) in [(1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "c")] {
        world.register(id, Some(rack));
    }
    world.create(topic("three", 40, 3)).unwrap();
    world.create(topic("five", 40, 5)).unwrap();
    let rack = |id: &BrokerId| world.image.broker(*id).unwrap().rack.clone();
    for partition in &world.image.topic("three").unwrap().partitions {
        let racks: std::collections::BTreeSet<_> = partition.replicas.iter().map(rack).collect();
        assert_eq!(racks.len(), 3, "{:?}", partition.replicas);
    }
    for partition in &world.image.topic("five").unwrap().partitions {
        let brokers: std::collections::BTreeSet<_> = partition.replicas.iter().collect();
        assert_eq!(brokers.len(), 5);
    }
}

#[test]
fn what_a_lost_broker_led_is_spread_over_the_others() {
    let mut world = World::of(4);
    world.create(topic("t", 120, 2)).unwrap();
    let partitions = &world.image.topic("t").unwrap().partitions;
    let mut seconds = [0; 5];
    for partition in partitions.iter().filter(|p| p.replicas[0] == BrokerId(1)) {
        seconds[partition.replicas[1].0 as usize] += 1;
    }
    assert_eq!(seconds, [0, 0, 10, 10, 10]);
}
