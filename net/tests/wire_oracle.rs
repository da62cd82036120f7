//! Every API and version against a second implementation, the crate `kafka-protocol`: what is written by one is read
//! by the other, and both see the same fields.
#![expect(clippy::unwrap_used, reason = "the check is shared by the tests, which may unwrap")]

mod wire_support;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey as OtherKey, RequestKind, ResponseKind};
use net::wire::ApiKey;
use net::wire::messages::{APIS, facts};
use proptest::prelude::*;
use wire_support::apis::{self, again, fill};
use wire_support::sample::{Sample, Sampler};
use wire_support::schema::{Api, Side};
use wire_support::tree::{Tree, assert_same};
use wire_support::{Random, SIDES, schemas};

/// Versions that Kafka 4.2 has and the other implementation has not. They are still read and written again.
const UNKNOWN_TO_THE_OTHER: &[(&str, i16, &[Side])] = &[
    ("add_raft_voter", 1, &[Side::Request, Side::Response]),
    ("list_offsets", 11, &[Side::Request, Side::Response]),
    ("offset_commit", 10, &[Side::Request]),
    ("offset_fetch", 10, &[Side::Request]),
];

fn is_known_to_the_other(api: &Api, side: Side, version: i16) -> bool {
    !UNKNOWN_TO_THE_OTHER
        .iter()
        .any(|(m, v, sides)| *m == api.module && *v == version && sides.contains(&side))
}

/// The other implementation's reading of a body: what it shows, and what it writes.
fn other(api: &Api, side: Side, body: &[u8], version: i16) -> (String, Vec<u8>) {
    let key = OtherKey::try_from(api.key).unwrap();
    let (mut input, mut output) = (Bytes::copy_from_slice(body), BytesMut::new());
    let shown = if side == Side::Request {
        let message = RequestKind::decode(key, &mut input, version).unwrap();
        message.encode(&mut output, version).unwrap();
        format!("{message:?}")
    } else {
        let message = ResponseKind::decode(key, &mut input, version).unwrap();
        message.encode(&mut output, version).unwrap();
        format!("{message:?}")
    };
    assert!(input.is_empty(), "the other implementation left bytes over");
    (shown, output.into())
}

fn check(api: &Api, side: Side, version: i16, seed: u64, unknown_tags: bool) {
    let what = format!("{} {side:?} version {version} seed {seed}", api.module);
    let mut sampler = Sampler { api, version, random: Random(seed), unknown_tags };
    let Sample { bytes, records } = sampler.message(side);
    let records = if side == Side::Response { records } else { Vec::new() };
    let ours = again(&api.module, side, &bytes, version).unwrap_or_else(|e| panic!("{what}: {e}"));
    if !unknown_tags {
        assert_eq!(fill(&ours, &records), bytes, "{what}: written again");
    }
    if is_known_to_the_other(api, side, version) {
        let top = api.find(if side == Side::Request { "Request" } else { "Response" });
        let (shown, written) = other(api, side, &bytes, version);
        assert_same(api, top, version, &Tree::parse(&ours.shown), &Tree::parse(&shown));
        let reread = again(&api.module, side, &written, version).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(reread.shown, ours.shown, "{what}: written by the other");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_implementations_agree(seed in any::<u64>(), unknown_tags in any::<bool>()) {
        for api in &schemas() {
            for version in api.versions.from..=api.versions.to {
                for side in SIDES {
                    check(api, side, version, seed ^ version as u64, unknown_tags);
                }
            }
        }
    }
}

#[test]
fn the_tests_walk_every_api() {
    let schemas = schemas();
    assert_eq!(apis::MODULES.len(), APIS.len());
    for api in &schemas {
        assert!(apis::MODULES.contains(&&*api.module), "{}", api.module);
        let facts = facts(ApiKey::from_code(api.key).unwrap()).unwrap();
        assert_eq!(facts.key.name(), api.name);
        assert_eq!(*facts.versions.start(), api.versions.from);
    }
}

/// A version that the other implementation knows and we do not would go untested. It has InitProducerId 6, which is
/// not stable in Kafka 4.2.
#[test]
fn no_version_of_the_other_implementation_is_missing() {
    for api in schemas().iter().filter(|api| api.name != "InitProducerId") {
        let theirs = OtherKey::try_from(api.key).unwrap().valid_versions();
        assert_eq!(api.versions.from, theirs.min, "{}", api.name);
        assert!(api.versions.to >= theirs.max, "{}", api.name);
    }
}
