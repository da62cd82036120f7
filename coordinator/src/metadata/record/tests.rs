use proptest::prelude::*;

use super::*;

fn broker_id() -> impl Strategy<Value = BrokerId> {
    any::<i32>().prop_map(BrokerId)
}

fn topic_id() -> impl Strategy<Value = TopicId> {
    any::<[u8; 16]>().prop_map(TopicId)
}

fn text() -> impl Strategy<Value = String> {
    "[a-z\u{e4}\u{1f600}.=,]{0,40}"
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    use SecurityProtocol::*;
    let protocol = prop::sample::select(vec![Plaintext, Ssl, SaslPlaintext, SaslSsl]);
    (text(), protocol, text(), any::<u16>()).prop_map(|(listener, protocol, host, port)| Endpoint {
        listener,
        protocol,
        host,
        port,
    })
}

fn resource() -> impl Strategy<Value = ConfigResource> {
    prop_oneof![
        text().prop_map(ConfigResource::Topic),
        broker_id().prop_map(ConfigResource::Broker),
        Just(ConfigResource::DefaultBroker),
        text().prop_map(ConfigResource::Group),
    ]
}

fn quota_entity() -> impl Strategy<Value = QuotaEntity> {
    let name = || prop_oneof![Just(QuotaName::Default), text().prop_map(QuotaName::Named)];
    prop_oneof![
        name().prop_map(QuotaEntity::User),
        name().prop_map(QuotaEntity::ClientId),
        (name(), name()).prop_map(|(user, client_id)| QuotaEntity::UserClientId(user, client_id)),
        name().prop_map(QuotaEntity::Ip),
    ]
}

fn partition() -> impl Strategy<Value = PartitionRecord> {
    let brokers = || prop::collection::vec(broker_id(), 0..5);
    let leader = prop::option::of(broker_id());
    (topic_id(), any::<i32>(), leader, any::<i32>(), brokers(), brokers(), any::<i32>()).prop_map(
        |(topic, index, leader, leader_epoch, replicas, isr, partition_epoch)| PartitionRecord {
            topic,
            index: PartitionIndex(index),
            leader,
            leader_epoch: LeaderEpoch(leader_epoch),
            replicas,
            isr,
            partition_epoch,
        },
    )
}

fn partition_state() -> impl Strategy<Value = PartitionStateRecord> {
    let brokers = || prop::collection::vec(broker_id(), 0..5);
    let last = prop::option::of(broker_id());
    (partition(), brokers(), brokers(), brokers(), last).prop_map(
        |(old, adding_replicas, removing_replicas, elr, last_known_leader)| PartitionStateRecord {
            topic: old.topic,
            index: old.index,
            leader: old.leader,
            leader_epoch: old.leader_epoch,
            replicas: old.replicas,
            isr: old.isr,
            adding_replicas,
            removing_replicas,
            elr,
            last_known_leader,
            partition_epoch: old.partition_epoch,
        },
    )
}

fn registration() -> impl Strategy<Value = BrokerRegistrationRecord> {
    let endpoints = prop::collection::vec(endpoint(), 0..4);
    let peer = (text(), any::<u16>(), any::<u16>()).prop_map(|(host, port, shards)| PeerAddress {
        host,
        port,
        shards,
    });
    let ids = (broker_id(), any::<[u8; 16]>(), any::<[u8; 16]>());
    (ids, prop::option::of(text()), endpoints, any::<bool>(), any::<bool>(), prop::option::of(peer)).prop_map(
        |((id, incarnation, directory_id), rack, endpoints, fenced, in_controlled_shutdown, peer)| {
            BrokerRegistrationRecord {
                id,
                incarnation,
                rack,
                endpoints,
                fenced,
                in_controlled_shutdown,
                peer,
                directory_id,
            }
        },
    )
}

pub(crate) fn record() -> impl Strategy<Value = MetadataRecord> {
    let endpoints = prop::collection::vec(endpoint(), 0..4);
    let broker = (broker_id(), any::<[u8; 16]>(), prop::option::of(text()), endpoints, any::<bool>());
    prop_oneof![
        Just(MetadataRecord::NoOp(NoOpRecord {})),
        (topic_id(), text()).prop_map(|(id, name)| MetadataRecord::Topic(TopicRecord { id, name })),
        partition().prop_map(MetadataRecord::Partition),
        topic_id().prop_map(|id| MetadataRecord::RemoveTopic(RemoveTopicRecord { id })),
        (resource(), text(), prop::option::of(text()))
            .prop_map(|(resource, key, value)| MetadataRecord::Config(ConfigRecord { resource, key, value })),
        any::<i64>()
            .prop_map(|next| MetadataRecord::ProducerIds(ProducerIdsRecord { next: ProducerId(next) })),
        broker.prop_map(|(id, incarnation, rack, endpoints, fenced)| MetadataRecord::Broker(BrokerRecord {
            id,
            incarnation,
            rack,
            endpoints,
            fenced
        })),
        (text(), any::<i16>())
            .prop_map(|(name, level)| MetadataRecord::FeatureLevel(FeatureLevelRecord { name, level })),
        (quota_entity(), text(), prop::option::of(any::<u64>())).prop_map(|(entity, key, value)| {
            MetadataRecord::ClientQuota(ClientQuotaRecord { entity, key, value })
        }),
        partition_state().prop_map(MetadataRecord::PartitionState),
        registration().prop_map(MetadataRecord::BrokerRegistration),
        broker_id().prop_map(|id| MetadataRecord::UnregisterBroker(UnregisterBrokerRecord { id })),
    ]
}

proptest! {
    #[test]
    fn a_record_survives_its_bytes(record in record()) {
        prop_assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn random_bytes_are_a_record_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = MetadataRecord::decode(&bytes);
    }

    #[test]
    fn random_bytes_under_a_good_header_are_a_record_or_an_error(
        kind in 0_u8..14,
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [&[FORMAT_VERSION, kind], body.as_slice()].concat();
        let _ = MetadataRecord::decode(&bytes);
    }

    #[test]
    fn a_damaged_record_is_a_record_or_an_error(
        record in record(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = record.encode();
        for (at, flip) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        let _ = MetadataRecord::decode(&bytes);
        let _ = MetadataRecord::decode(&bytes[..cut.index(bytes.len())]);
    }
}

#[test]
fn what_cannot_be_a_record_is_named() {
    let good = MetadataRecord::NoOp(NoOpRecord {}).encode();
    let decode = |bytes: &[u8]| MetadataRecord::decode(bytes).unwrap_err();
    assert_eq!(decode(&[]), BadRecord::Truncated(0));
    assert_eq!(decode(&good[..1]), BadRecord::Truncated(1));
    assert_eq!(decode(&[2, good[1]]), BadRecord::UnknownVersion(2));
    assert_eq!(decode(&[FORMAT_VERSION, 200]), BadRecord::UnknownKind(200));
    assert_eq!(decode(&[FORMAT_VERSION, 1]), BadRecord::Damaged(1));
    assert_eq!(decode(&vec![0; RECORD_BYTES_MAX + 1]), BadRecord::TooLarge(RECORD_BYTES_MAX + 1));
}

/// The bytes of one record of each kind, as the first version wrote them. They lie on disks: a change here needs a new
/// version or a new kind, never a new expectation.
#[test]
fn the_bytes_never_change() {
    let id = TopicId([0xa5; 16]);
    let check = |record: MetadataRecord, expected: &str| {
        let hex: String = record.encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expected, "{record:?}");
        assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
    };
    check(MetadataRecord::NoOp(NoOpRecord {}), "0100");
    check(
        MetadataRecord::Topic(TopicRecord { id, name: "orders".into() }),
        "0101a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a56f7264657273ffff",
    );
    check(
        MetadataRecord::Partition(PartitionRecord {
            topic: id,
            index: PartitionIndex(3),
            leader: Some(BrokerId(1)),
            leader_epoch: LeaderEpoch(4),
            replicas: vec![BrokerId(1), BrokerId(2)],
            isr: vec![BrokerId(1)],
            partition_epoch: 9,
        }),
        "0102010000000200000001000000a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5030000000101\
             00000004000000d7ffffff02000000d7ffffff0100000009000000",
    );
    check(MetadataRecord::RemoveTopic(RemoveTopicRecord { id }), "0103a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5");
    check(
        MetadataRecord::Config(ConfigRecord {
            resource: ConfigResource::Topic("orders".into()),
            key: "retention.ms".into(),
            value: Some("1000".into()),
        }),
        "0104726574656e74696f6e2e6d73006f7264657273ffff8c000000ebffffff0131303030\
             ffffffff",
    );
    check(
        MetadataRecord::Config(ConfigRecord {
            resource: ConfigResource::Broker(BrokerId(7)),
            key: "message.max.bytes".into(),
            value: None,
        }),
        "01046d6573736167652e6d61782e627974657301070000000000000091000000e6ffffff\
             000000000000000000",
    );
    check(MetadataRecord::ProducerIds(ProducerIdsRecord { next: ProducerId(2000) }), "0105d007000000000000");
    check(
        MetadataRecord::Broker(BrokerRecord {
            id: BrokerId(1),
            incarnation: [0x5a; 16],
            rack: Some("east".into()),
            endpoints: vec![Endpoint {
                listener: "PLAINTEXT".into(),
                protocol: SecurityProtocol::Plaintext,
                host: "localhost".into(),
                port: 9092,
            }],
            fenced: false,
        }),
        "0106504c41494e544558546c6f63616c686f737489000000eeffffff0089000000eeffff\
             ff8423010000005a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a0165617374ffffffffd0ffffff\
             0100000000",
    );
    check(
        MetadataRecord::FeatureLevel(FeatureLevelRecord { name: "group.version".into(), level: 1 }),
        "010767726f75702e76657273696f6e8d000000f3ffffff0100",
    );
    check(
        MetadataRecord::ClientQuota(ClientQuotaRecord {
            entity: QuotaEntity::UserClientId(QuotaName::Default, QuotaName::Named("orders".into())),
            key: "producer_byte_rate".into(),
            value: Some(1024.0_f64.to_bits()),
        }),
        "010870726f64756365725f627974655f7261746502000000000000000000016f72646572\
             73ffff92000000dbffffff010000000000009040",
    );
    check(
        MetadataRecord::ClientQuota(ClientQuotaRecord {
            entity: QuotaEntity::Ip(QuotaName::Named("10.0.0.1".into())),
            key: "connection_creation_rate".into(),
            value: None,
        }),
        "0108636f6e6e656374696f6e5f6372656174696f6e5f72617465030131302e302e302e31\
             00000000000000000098000000d5ffffff000000000000000000",
    );
    check(
        MetadataRecord::PartitionState(PartitionStateRecord {
            topic: id,
            index: PartitionIndex(3),
            leader: None,
            leader_epoch: LeaderEpoch(4),
            replicas: vec![BrokerId(1), BrokerId(2), BrokerId(3)],
            isr: vec![BrokerId(1)],
            adding_replicas: vec![BrokerId(3)],
            removing_replicas: vec![BrokerId(1)],
            elr: vec![BrokerId(2)],
            last_known_leader: Some(BrokerId(1)),
            partition_epoch: 9,
        }),
        "010901000000020000000300000001000000030000000100000002000000a5a5a5a5a5\
             a5a5a5a5a5a5a5a5a5a5a503000000000000000004000000c7ffffff03000000cbffff\
             ff01000000c7ffffff01000000c3ffffff01000000bfffffff01000000010100000009\
             000000",
    );
    check(
        MetadataRecord::BrokerRegistration(BrokerRegistrationRecord {
            id: BrokerId(1),
            incarnation: [0x5a; 16],
            rack: Some("east".into()),
            endpoints: vec![Endpoint {
                listener: "PLAINTEXT".into(),
                protocol: SecurityProtocol::Plaintext,
                host: "localhost".into(),
                port: 9092,
            }],
            fenced: true,
            in_controlled_shutdown: true,
            peer: Some(PeerAddress { host: "localhost".into(), port: 9192, shards: 8 }),
            directory_id: [0xd1; 16],
        }),
        "010a504c41494e544558546c6f63616c686f737489000000eeffffff0089000000eeff\
             ffff84236c6f63616c686f7374010000005a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a0165\
             617374ffffffffc7ffffff0100000001010189000000cfffffffe8230800d1d1d1d1d1\
             d1d1d1d1d1d1d1d1d1d1d1",
    );
    check(MetadataRecord::UnregisterBroker(UnregisterBrokerRecord { id: BrokerId(7) }), "010b07000000");
}
