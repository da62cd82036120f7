//! Which requests get how far: ApiVersions, the table, and bytes that make no request.

use model::ErrorCode;

use super::world::{Seen, World, code};
use crate::{
    handlers::Apis,
    wire::{
        ApiKey,
        messages::{api_versions, facts, metadata},
    },
};
use engine::disk::mem::MemDisk;

fn list(seen: &Seen, version: i16) -> (ErrorCode, Vec<(i16, i16, i16)>) {
    let body = seen.body(ApiKey::ApiVersions, version);
    let view = api_versions::ResponseView::decode(body, version).unwrap();
    let apis = view.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
    (code(view.error_code), apis)
}

fn named(name: &'static str) -> api_versions::Request<'static> {
    api_versions::Request { client_software_name: name.into(), client_software_version: "1.0".into() }
}

#[test]
fn the_table_lists_what_old_clients_pin() {
    let range = |key| {
        let api = Apis::<MemDisk>::TABLE.iter().find(|api| api.key == key).unwrap();
        api.min..=api.max
    };
    for (key, versions) in [
        (ApiKey::Produce, vec![0, 3, 7]),
        (ApiKey::Fetch, vec![4, 10, 11]),
        (ApiKey::ListOffsets, vec![1]),
        (ApiKey::Metadata, vec![0, 1, 4, 6]),
        (ApiKey::FindCoordinator, vec![0]),
        (ApiKey::ApiVersions, vec![0, 2, 3]),
        (ApiKey::InitProducerId, vec![0]),
        (ApiKey::CreateTopics, vec![2, 3, 4]),
        (ApiKey::DeleteTopics, vec![1]),
        (ApiKey::DescribeConfigs, vec![1, 2]),
        (ApiKey::OffsetForLeaderEpoch, vec![2]),
    ] {
        assert!(versions.iter().all(|version| range(key).contains(version)), "{key:?} {versions:?}");
    }
}

#[test]
fn the_table_lists_only_what_the_codec_can_read() {
    let mut last = None;
    for api in Apis::<MemDisk>::TABLE {
        let facts = facts(api.key).unwrap();
        assert!(facts.versions.contains(&api.max), "{:?}", api.key);
        assert!(api.min == *facts.versions.start() || api.min == facts.listed_from, "{:?}", api.key);
        assert!(last < Some(api.key), "by key, each once");
        last = Some(api.key);
    }
}

#[test]
fn api_versions_answers_from_the_table() {
    let mut world = World::of(1);
    for version in 0..=4 {
        let (error, apis) = list(&world.call(version, &named("librdkafka")), version);
        assert_eq!(error, ErrorCode::None);
        assert_eq!(apis.len(), Apis::<MemDisk>::TABLE.len());
        assert!(apis.contains(&(0, 0, 13)));
    }
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let mut world = World::of(1);
    // Key 18, version 99, correlation id 99, no client id, and a body nobody can read.
    let frame = [0, 18, 0, 99, 0, 0, 0, 99, 255, 255, 0, 1, 2, 3];
    let seen = {
        let mut started = world.start_frame(&frame);
        world.look(&mut started).unwrap()
    };
    let (error, apis) = list(&seen, 0);
    assert_eq!(error, ErrorCode::UnsupportedVersion);
    assert!(!apis.is_empty());
}

#[test]
fn a_software_name_that_is_no_name_is_refused() {
    let mut world = World::of(1);
    let (error, _) = list(&world.call(3, &named("no spaces")), 3);
    assert_eq!(error, ErrorCode::InvalidRequest);
}

#[test]
fn what_is_not_served_closes_the_connection() {
    let mut world = World::of(1);
    let head = |key: i16, version: i16| {
        [&key.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 99, 255, 255]].concat()
    };
    for (key, version) in [
        (0, 0),
        (0, 2),
        (0, 14),
        (1, 3),
        (1, 18),
        (4, 0),
        (11, 10),
        (24, 0),
        (27, 1),
        (999, 0),
        (-1, 0),
        (3, -1),
    ] {
        let mut started = world.start_frame(&head(key, version));
        let seen = world.look(&mut started);
        let Some(Seen::Closed(why)) = seen else { panic!("{key} {version}: {seen:?}") };
        assert!(why.contains("is not served") || why.contains("head"), "{why}");
    }
}

/// Foreign bytes never panic, whatever API they claim to be for.
#[test]
fn malformed_bodies_close_the_connection() {
    let mut world = World::of(2);
    world.topic("t", 3, &[]);
    let mut random = 0x2545_f491_4f6c_dd1du64;
    for api in Apis::<MemDisk>::TABLE {
        for version in facts(api.key).unwrap().versions.clone().filter(|v| *v <= api.max) {
            for length in 0..40usize {
                let mut frame =
                    [&api.key.code().to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 99, 255, 255]]
                        .concat();
                for _ in 0..length {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    // Mostly small numbers, so that lengths and counts are often plausible.
                    frame.push(if random & 3 == 0 { (random >> 8) as u8 } else { (random >> 16) as u8 & 3 });
                }
                let mut started = world.start_frame(&frame);
                world.look_briefly(&mut started);
            }
        }
    }
    world.settle();
}

#[test]
fn a_frame_too_short_for_a_head_closes_the_connection() {
    let mut world = World::of(1);
    for length in 0..10 {
        let mut started = world.start_frame(&[0, 3, 0, 1, 0, 0, 0, 99, 0, 9][..length]);
        assert!(matches!(world.look(&mut started), Some(Seen::Closed(_))), "{length}");
    }
}

#[test]
fn requests_are_counted_by_api() {
    let mut world = World::of(1);
    world.call(1, &metadata::Request { topics: None, ..Default::default() });
    world.call(0, &named("x"));
    world.call(0, &named("x"));
    let counts: Vec<_> = world.shards[0].metrics().requests().collect();
    assert_eq!(counts, [(ApiKey::Metadata, 1), (ApiKey::ApiVersions, 2)]);
}
