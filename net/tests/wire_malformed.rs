//! Bytes from strangers: whatever they are, reading them ends in a view or in an error. Never in a panic, and never in
//! an allocation.

mod wire_support;

use net::wire::messages::{self, APIS};
use net::wire::{Malformed, RequestHeader};
use proptest::prelude::*;
use wire_support::apis::walk;
use wire_support::sample::Sampler;
use wire_support::schema::Api;
use wire_support::{Random, SIDES, schemas};

fn every_version(mut check: impl FnMut(&Api, i16)) {
    for api in &schemas() {
        for version in api.versions.from..=api.versions.to {
            check(api, version);
        }
    }
}

/// Changes a few bytes: to anything, to what lengths like to be at their worst, or by one.
fn mutate(bytes: &mut [u8], random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let at = random.below(bytes.len());
        bytes[at] = match random.below(4) {
            0 => random.next() as u8,
            1 => [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => bytes[at].wrapping_add(1),
            _ => bytes[at].wrapping_sub(1),
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        every_version(|api, version| {
            for side in SIDES {
                let _ = walk(&api.module, side, &body, version);
            }
        });
        let _ = RequestHeader::decode(&body);
    }

    #[test]
    fn changed_messages_never_panic(seed in any::<u64>()) {
        every_version(|api, version| {
            for side in SIDES {
                let mut sampler = Sampler { api, version, random: Random(seed), unknown_tags: true };
                let valid = sampler.message(side).bytes;
                let random = &mut sampler.random;
                for _ in 0..8 {
                    let mut changed = valid.clone();
                    if !changed.is_empty() {
                        mutate(&mut changed, random);
                    }
                    let _ = walk(&api.module, side, &changed, version);
                }
            }
        });
    }

    #[test]
    fn a_message_cut_short_is_malformed_and_bytes_behind_it_are_ignored(seed in any::<u64>()) {
        every_version(|api, version| {
            for side in SIDES {
                let mut sampler = Sampler { api, version, random: Random(seed), unknown_tags: true };
                let mut bytes = sampler.message(side).bytes;
                for end in (0..bytes.len()).rev().step_by(1 + bytes.len() / 64) {
                    let refused = walk(&api.module, side, &bytes[..end], version);
                    prop_assert_at(refused, end, &api.module);
                }
                bytes.push(0);
                assert_eq!(walk(&api.module, side, &bytes, version), Ok(()), "{}", api.module);
            }
        });
    }
}

/// The place that is named lies within what was read.
fn prop_assert_at(refused: Result<(), Malformed>, end: usize, module: &str) {
    let at = refused.expect_err(module).at;
    assert!(at <= end, "{module}: {at} of {end}");
}

#[test]
fn a_version_outside_the_schema_is_malformed() {
    for api in &schemas() {
        for version in [api.versions.from - 1, api.versions.to + 1, -1, i16::MIN, i16::MAX] {
            for side in SIDES {
                assert_eq!(walk(&api.module, side, &[0; 100], version), Err(Malformed { at: 0 }));
            }
        }
    }
}

/// Twelve bytes that once cost another implementation 412 GB: a count that the rest of the body cannot hold.
#[test]
fn a_count_larger_than_the_body_is_refused() {
    let body = [255, 255, 0, 1, 0, 0, 0, 9, 0x7f, 0xff, 0xff, 0xff];
    assert_eq!(messages::produce::RequestView::decode(&body, 3).unwrap_err(), Malformed { at: 8 });
    let compact = [0, 0, 1, 0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(messages::produce::RequestView::decode(&compact, 9).unwrap_err(), Malformed { at: 7 });
}

#[test]
fn apis_stand_by_rising_key() {
    assert!(APIS.is_sorted_by(|a, b| a.key < b.key));
}
