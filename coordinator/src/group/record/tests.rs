use model::TopicId;
use proptest::{collection::vec, option, prelude::*};

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |b: u8| (b as char).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn id() -> TopicId {
    TopicId(std::array::from_fn(|i| i as u8 + 1))
}

/// Both ways: the record writes these bytes, and these bytes read as the record.
#[track_caller]
fn check(record: &GroupRecord, key: &str, value: Option<&str>) {
    assert_eq!(record.encode_key(), bytes(key), "key");
    assert_eq!(record.encode_value(), value.map(bytes), "value");
    let read = GroupRecord::decode(&bytes(key), value.map(bytes).as_deref());
    assert_eq!(read.as_ref(), Ok(&Some(record.clone())));
}

fn commit(value: Option<OffsetCommitValue>) -> GroupRecord {
    let key = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 7 };
    GroupRecord::OffsetCommit { key, value }
}

fn commit_value() -> OffsetCommitValue {
    OffsetCommitValue {
        offset: 42,
        leader_epoch: 3,
        metadata: "m".into(),
        commit_timestamp: 1000,
        expire_timestamp: None,
        topic_id: TopicId::ZERO,
    }
}

fn group_value() -> GroupMetadataValue {
    GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation: 5,
        protocol: Some("range".into()),
        leader: Some("m1".into()),
        current_state_timestamp: 1000,
        members: vec![ClassicMemberValue {
            member_id: "m1".into(),
            group_instance_id: Some("i".into()),
            client_id: "c".into(),
            client_host: "/h".into(),
            rebalance_timeout_ms: 6,
            session_timeout_ms: 7,
            subscription: vec![1, 2],
            assignment: vec![3],
        }],
    }
}

// The bytes below were made with the serialiser of Apache Kafka 4.3.1.

#[test]
fn offset_commits_are_kafkas_bytes() {
    let key = "000100016700017400000007";
    let value = commit_value();
    check(&commit(Some(value.clone())), key, Some("0004000000000000002a00000003026d00000000000003e800"));
    let with_id = OffsetCommitValue { topic_id: id(), ..value.clone() };
    check(
        &commit(Some(with_id)),
        key,
        Some("0004000000000000002a00000003026d00000000000003e80100100102030405060708090a0b0c0d0e0f10"),
    );
    let expiring = OffsetCommitValue { leader_epoch: -1, expire_timestamp: Some(5), ..value };
    check(&commit(Some(expiring)), key, Some("0001000000000000002a00016d00000000000003e80000000000000005"));
    check(&commit(None), key, None);
}

#[test]
fn older_offset_commits_are_read() {
    let old = OffsetCommitValue { leader_epoch: -1, ..commit_value() };
    for (hex, expected) in [
        ("0000000000000000002a00016d00000000000003e8", &old),
        ("0001000000000000002a00016d00000000000003e8ffffffffffffffff", &old),
        ("0002000000000000002a00016d00000000000003e8", &old),
        ("0003000000000000002a0000000300016d00000000000003e8", &commit_value()),
    ] {
        assert_eq!(OffsetCommitValue::decode(&bytes(hex)).as_ref(), Ok(expected), "{hex}");
    }
    let legacy_key = bytes("000000016700017400000007");
    assert_eq!(GroupRecord::decode(&legacy_key, None), Ok(Some(commit(None))));
}

#[test]
fn classic_groups_are_kafkas_bytes() {
    let record = GroupRecord::GroupMetadata { group: "g".into(), value: Some(group_value()) };
    check(
        &record,
        "0002000167",
        Some(
            "00030008636f6e73756d657200000005000572616e676500026d3100000000000003e80000000100026d3100016900016300022f\
             6800000006000000070000000201020000000103",
        ),
    );
    check(&GroupRecord::GroupMetadata { group: "g".into(), value: None }, "0002000167", None);
}

#[test]
fn other_versions_of_classic_groups_are_read() {
    let four = "000409636f6e73756d6572000000050672616e6765036d3100000000000003e802036d3102690263032f68000000060000000703010202030000";
    assert_eq!(GroupMetadataValue::decode(&bytes(four)), Ok(group_value()));
    let mut two = group_value();
    two.members[0].group_instance_id = None;
    let hex = "00020008636f6e73756d657200000005000572616e676500026d3100000000000003e80000000100026d3100016300022f6800000006000000070000000201020000000103";
    assert_eq!(GroupMetadataValue::decode(&bytes(hex)).as_ref(), Ok(&two));
    let one = GroupMetadataValue { current_state_timestamp: -1, ..two.clone() };
    let hex = "00010008636f6e73756d657200000005000572616e676500026d310000000100026d3100016300022f6800000006000000070000000201020000000103";
    assert_eq!(GroupMetadataValue::decode(&bytes(hex)).as_ref(), Ok(&one));
    let mut zero = one;
    zero.members[0].rebalance_timeout_ms = -1;
    let hex = "00000008636f6e73756d657200000005000572616e676500026d310000000100026d3100016300022f68000000070000000201020000000103";
    assert_eq!(GroupMetadataValue::decode(&bytes(hex)), Ok(zero));
}

fn member_value() -> MemberMetadataValue {
    MemberMetadataValue {
        instance_id: Some("i".into()),
        rack_id: None,
        client_id: "c".into(),
        client_host: "/h".into(),
        subscribed_topic_names: vec!["a".into(), "b".into()],
        subscribed_topic_regex: Some("r.*".into()),
        rebalance_timeout_ms: 1000,
        server_assignor: Some("uniform".into()),
        classic: None,
    }
}

#[test]
fn consumer_groups_are_kafkas_bytes() {
    let group = || "g".to_owned();
    let member = || "m".to_owned();
    let epoch = |metadata_hash| GroupRecord::ConsumerGroupMetadata {
        group: group(),
        value: Some(ConsumerGroupMetadataValue { epoch: 9, metadata_hash }),
    };
    check(&epoch(0), "0003000167", Some("00000000000900"));
    check(&epoch(77), "0003000167", Some("000000000009010008000000000000004d"));
    let topic = TopicMetadataValue {
        topic_id: id(),
        topic_name: "t".into(),
        partition_count: 3,
        partition_racks: vec![],
    };
    let value = Some(PartitionMetadataValue { topics: vec![topic] });
    check(
        &GroupRecord::PartitionMetadata { group: group(), value },
        "0004000167",
        Some("0000020102030405060708090a0b0c0d0e0f10027400000003010000"),
    );
    let wants = |value| GroupRecord::MemberMetadata { group: group(), member: member(), value: Some(value) };
    let key = "000500016700016d";
    check(
        &wants(member_value()),
        key,
        Some("00000269000263032f68030261026204722e2a000003e808756e69666f726d00"),
    );
    let classic = ClassicMemberMetadata {
        session_timeout_ms: 45000,
        supported_protocols: vec![("range".into(), vec![1, 2])],
    };
    check(
        &wants(MemberMetadataValue { classic: Some(classic), ..member_value() }),
        key,
        Some(
            "00000269000263032f68030261026204722e2a000003e808756e69666f726d010011010000afc8020672616e67650301020000",
        ),
    );
    for (assignment_timestamp, bytes) in [(0, "00000000000900"), (1000, "00000000000901000800000000000003e8")]
    {
        let value = Some(TargetAssignmentMetadataValue { assignment_epoch: 9, assignment_timestamp });
        let record = GroupRecord::TargetAssignmentMetadata { group: group(), value };
        check(&record, "0006000167", Some(bytes));
    }
}

#[test]
fn assignments_are_kafkas_bytes() {
    let partitions = |partitions: &[i32]| TopicPartitionsValue {
        topic_id: id(),
        partitions: partitions.to_vec(),
        assignment_epochs: vec![],
    };
    let value = Some(TargetAssignmentMemberValue { topic_partitions: vec![partitions(&[0, 1])] });
    check(
        &GroupRecord::TargetAssignmentMember { group: "g".into(), member: "m".into(), value },
        "000700016700016d",
        Some("0000020102030405060708090a0b0c0d0e0f100300000000000000010000"),
    );
    let value = Some(CurrentMemberAssignmentValue {
        member_epoch: 9,
        previous_member_epoch: 8,
        state: 1,
        assigned_partitions: vec![partitions(&[0])],
        partitions_pending_revocation: vec![partitions(&[1])],
    });
    let since =
        |epochs: &[i32]| TopicPartitionsValue { assignment_epochs: epochs.to_vec(), ..partitions(&[0, 1]) };
    let dated = Some(CurrentMemberAssignmentValue {
        member_epoch: 9,
        previous_member_epoch: 8,
        state: 0,
        assigned_partitions: vec![since(&[7, 9])],
        partitions_pending_revocation: vec![],
    });
    check(
        &GroupRecord::CurrentMemberAssignment { group: "g".into(), member: "m".into(), value: dated },
        "000800016700016d",
        Some(
            "0000000000090000000800020102030405060708090a0b0c0d0e0f10030000000000000001010009030000000700000009010\
             0",
        ),
    );
    check(
        &GroupRecord::CurrentMemberAssignment { group: "g".into(), member: "m".into(), value },
        "000800016700016d",
        Some(
            "0000000000090000000801020102030405060708090a0b0c0d0e0f10020000000000020102030405060708090a0b0c0d0e0f10020000\
             00010000",
        ),
    );
    let value = Some(RegularExpressionValue { topics: vec!["a".into()], version: 12, timestamp: 1000 });
    check(
        &GroupRecord::RegularExpression { group: "g".into(), regex: "r.*".into(), value },
        "00100001670003722e2a",
        Some("0000020261000000000000000c00000000000003e800"),
    );
}

#[test]
fn keys_of_other_coordinators_are_skipped() {
    for kind in [9u8, 10, 15, 17, 21, 200] {
        assert_eq!(GroupRecord::decode(&[0, kind, 1, 2, 3], Some(&[9, 9])), Ok(None), "{kind}");
    }
    assert_eq!(GroupRecord::decode(&[0], None), Err(BadRecord::Short));
}

#[test]
fn fields_that_came_later_are_skipped() {
    // Tag 5 with three bytes that nobody knows.
    let value = bytes("0000000000090105030a0b0c");
    assert_eq!(
        ConsumerGroupMetadataValue::decode(&value),
        Ok(ConsumerGroupMetadataValue { epoch: 9, metadata_hash: 0 })
    );
    assert_eq!(OffsetCommitValue::decode(&[0, 5]), Err(BadRecord::Version(5)));
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9._\u{e9}\u{4e16}-]{0,40}"
}

fn partitions() -> impl Strategy<Value = Vec<TopicPartitionsValue>> {
    let topic = (any::<[u8; 16]>(), vec(any::<i32>(), 0..5));
    vec(
        topic.prop_map(|(id, partitions)| TopicPartitionsValue {
            topic_id: TopicId(id),
            assignment_epochs: partitions.iter().map(|p| p ^ 1).collect(),
            partitions,
        }),
        0..4,
    )
}

fn blob() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

fn any_commit() -> impl Strategy<Value = GroupRecord> {
    let value =
        (any::<i64>(), any::<i32>(), text(), any::<i64>(), option::of(0..i64::MAX), any::<[u8; 16]>());
    let value = value.prop_map(|(offset, epoch, metadata, commit_timestamp, expire_timestamp, id)| {
        let expires = expire_timestamp.is_some();
        OffsetCommitValue {
            offset,
            leader_epoch: if expires { -1 } else { epoch },
            metadata,
            commit_timestamp,
            expire_timestamp,
            topic_id: if expires { TopicId::ZERO } else { TopicId(id) },
        }
    });
    (text(), text(), any::<i32>(), option::of(value)).prop_map(|(group, topic, partition, value)| {
        GroupRecord::OffsetCommit { key: OffsetCommitKey { group, topic, partition }, value }
    })
}

fn any_classic() -> impl Strategy<Value = GroupRecord> {
    let member = (text(), option::of(text()), text(), text(), any::<i32>(), any::<i32>(), blob(), blob());
    let member = member.prop_map(|(member_id, group_instance_id, client_id, client_host, a, b, s, t)| {
        ClassicMemberValue {
            member_id,
            group_instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms: a,
            session_timeout_ms: b,
            subscription: s,
            assignment: t,
        }
    });
    let value =
        (text(), any::<i32>(), option::of(text()), option::of(text()), any::<i64>(), vec(member, 0..4));
    let value =
        value.prop_map(|(protocol_type, generation, protocol, leader, at, members)| GroupMetadataValue {
            protocol_type,
            generation,
            protocol,
            leader,
            current_state_timestamp: at,
            members,
        });
    (text(), option::of(value)).prop_map(|(group, value)| GroupRecord::GroupMetadata { group, value })
}

fn any_wish() -> impl Strategy<Value = GroupRecord> {
    let classic = (any::<i32>(), vec((text(), blob()), 0..3)).prop_map(|(session_timeout_ms, protocols)| {
        ClassicMemberMetadata { session_timeout_ms, supported_protocols: protocols }
    });
    let texts =
        (option::of(text()), option::of(text()), text(), text(), option::of(text()), option::of(text()));
    let value = (texts, vec(text(), 0..4), any::<i32>(), option::of(classic));
    let value = value.prop_map(|(texts, subscribed_topic_names, rebalance_timeout_ms, classic)| {
        let (instance_id, rack_id, client_id, client_host, subscribed_topic_regex, server_assignor) = texts;
        MemberMetadataValue {
            instance_id,
            rack_id,
            client_id,
            client_host,
            subscribed_topic_names,
            subscribed_topic_regex,
            rebalance_timeout_ms,
            server_assignor,
            classic,
        }
    });
    (text(), text(), option::of(value)).prop_map(|(group, member, value)| GroupRecord::MemberMetadata {
        group,
        member,
        value,
    })
}

fn any_assignment() -> impl Strategy<Value = GroupRecord> {
    let numbers = (any::<i32>(), any::<i32>(), any::<i8>());
    (text(), text(), numbers, partitions(), partitions(), vec(text(), 0..4), 0..6usize).prop_map(
        |(group, member, (a, b, state), first, second, topics, kind)| match kind {
            0 => GroupRecord::CurrentMemberAssignment {
                group,
                member,
                value: Some(CurrentMemberAssignmentValue {
                    member_epoch: a,
                    previous_member_epoch: b,
                    state,
                    assigned_partitions: first,
                    partitions_pending_revocation: second,
                }),
            },
            1 => GroupRecord::TargetAssignmentMember {
                group,
                member,
                value: Some(TargetAssignmentMemberValue { topic_partitions: first }),
            },
            2 => GroupRecord::TargetAssignmentMetadata {
                group,
                value: Some(TargetAssignmentMetadataValue {
                    assignment_epoch: a,
                    assignment_timestamp: i64::from(b),
                }),
            },
            3 => GroupRecord::ConsumerGroupMetadata {
                group,
                value: Some(ConsumerGroupMetadataValue { epoch: a, metadata_hash: i64::from(b) }),
            },
            4 => GroupRecord::RegularExpression {
                group,
                regex: member,
                value: Some(RegularExpressionValue {
                    topics,
                    version: i64::from(a),
                    timestamp: i64::from(b),
                }),
            },
            _ => GroupRecord::CurrentMemberAssignment { group, member, value: None },
        },
    )
}

fn any_record() -> impl Strategy<Value = GroupRecord> {
    prop_oneof![any_commit(), any_classic(), any_wish(), any_assignment()]
}

proptest! {
    #[test]
    fn every_record_survives_its_bytes(record in any_record()) {
        let (key, value) = (record.encode_key(), record.encode_value());
        prop_assert_eq!(GroupRecord::decode(&key, value.as_deref()), Ok(Some(record)));
    }

    /// Cut or scribbled on, a record is read as something or refused; it never panics and never reads as more than it is.
    #[test]
    fn damaged_records_do_no_harm(record in any_record(), cut in any::<prop::sample::Index>(), flip in any::<u8>(), kind in 0..17u8) {
        let (mut key, value) = (record.encode_key(), record.encode_value().unwrap_or_default());
        let at = cut.index(value.len().max(1)).min(value.len());
        if !value.is_empty() {
            prop_assert!(GroupRecord::decode(&key, Some(&value[..at])).is_err(), "a cut value is not whole");
        }
        let mut scribbled = value;
        if let Some(byte) = scribbled.get_mut(at) {
            *byte ^= flip;
        }
        let _ = GroupRecord::decode(&key, Some(&scribbled));
        key[1] = kind;
        let _ = GroupRecord::decode(&key, Some(&scribbled));
    }
}
