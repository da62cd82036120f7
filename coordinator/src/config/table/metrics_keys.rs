//! Keys of a subscription to metrics of clients. Clients cannot push any here; what a subscription that nobody made looks
//! like is told all the same.

use super::*;

#[rustfmt::skip]
pub(super) const KEYS: &[ConfigKey] = &[
    int("interval.ms", "300000", "How often clients push their metrics.").between(100, 3_600_000).inert(),
    list("match", "", "Which clients push, as name=expression; an empty list is all of them.").inert(),
    list("metrics", "", "Prefixes of the metrics that are pushed; an empty list is none.").inert(),
];
