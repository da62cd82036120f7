//! What one shard counts. Plain cells: nobody else writes them, and whoever exports them reads on this shard.
//!
//! ```text
//!   GET /metrics -> server (shard 0) -> scrape -- one message --> snapshot (each shard)
//!                                         |  <--- samples -------
//!                                         +-> text
//! ```
//! Counting is all that requests pay. Everything else happens when somebody asks, on the background queue of each shard,
//! and gives way to requests.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::BTreeMap,
    time::Instant,
};

pub use model::figures::Count;
use model::{
    TopicId,
    figures::{Distribution, Histogram, LATENCY_NS},
};
use rustc_hash::FxHashMap;

use crate::wire::ApiKey;

pub mod families;
pub mod server;

pub(crate) mod samples;

mod http;
mod process;
mod scrape;
mod snapshot;
mod text;

#[cfg(test)]
pub(crate) use self::{
    families::Family,
    samples::{Label, Samples, Value},
    snapshot::take as take_snapshot,
};
pub use self::{
    samples::Snapshot,
    server::{About, MetricsServer},
};
pub(crate) use self::{scrape::Scrapes, snapshot::run_snapshots};

const API_KEYS: usize = 93;

#[derive(Debug)]
pub struct Metrics {
    requests: [Cell<u64>; API_KEYS],
    total_time: [OnceCell<Histogram>; API_KEYS],
    /// By API and code, in answers that are on their way or gone.
    errors: RefCell<BTreeMap<(ApiKey, i16), u64>>,
    pub bytes_in: Count,
    pub bytes_out: Count,
    pub connections_opened: Count,
    pub connections_closed: Count,
    /// Connections that came over a limit.
    pub connections_refused: Count,
    /// Connections closed for what they sent.
    pub connections_malformed: Count,
    /// Closed because the client took nothing while the shard had no room.
    pub connections_stuck: Count,
    pub records_bytes_in: Count,
    /// In answers to fetches that are on their way or gone.
    pub records_bytes_out: Count,
    /// The same by topic, of those that are there.
    topic_bytes_out: RefCell<FxHashMap<TopicId, u64>>,
}

/// A request under way: whose API, and since when. None of an API that nobody knows: its connection ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    api: Option<ApiKey>,
    at: Instant,
}

impl Started {
    pub(crate) fn now(key: i16) -> Self {
        Self { api: ApiKey::from_code(key), at: Instant::now() }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: [const { Cell::new(0) }; API_KEYS],
            total_time: [const { OnceCell::new() }; API_KEYS],
            errors: RefCell::default(),
            bytes_in: Count::default(),
            bytes_out: Count::default(),
            connections_opened: Count::default(),
            connections_closed: Count::default(),
            connections_refused: Count::default(),
            connections_malformed: Count::default(),
            connections_stuck: Count::default(),
            records_bytes_in: Count::default(),
            records_bytes_out: Count::default(),
            topic_bytes_out: RefCell::default(),
        }
    }
}

impl Metrics {
    pub fn request(&self, api: ApiKey) {
        let count = &self.requests[api.code() as usize];
        count.set(count.get() + 1);
    }

    /// Requests by API, those that never came left out.
    pub fn requests(&self) -> impl Iterator<Item = (ApiKey, u64)> {
        ApiKey::ALL
            .iter()
            .map(|&api| (api, self.requests[api.code() as usize].get()))
            .filter(|&(_, count)| count > 0)
    }

    /// The answer is sent, or there is none to send.
    pub(crate) fn ended(&self, started: Started, now: Instant) {
        let Some(api) = started.api else { return };
        let histogram = self.total_time[api.code() as usize].get_or_init(|| Histogram::new(LATENCY_NS));
        histogram.observe(nanos_between(started.at, now));
    }

    /// From the whole frame to the answer sent, by API.
    pub(crate) fn total_times(&self) -> impl Iterator<Item = (ApiKey, Distribution)> {
        let known = |&api: &ApiKey| Some((api, self.total_time[api.code() as usize].get()?.distribution()));
        ApiKey::ALL.iter().filter_map(known)
    }

    pub(crate) fn answered(&self, started: Started, errors: &[(i16, u64)]) {
        let Some(api) = started.api else { return };
        for &(code, count) in errors {
            *self.errors.borrow_mut().entry((api, code)).or_default() += count;
        }
    }

    pub(crate) fn errors(&self) -> Vec<((ApiKey, i16), u64)> {
        self.errors.borrow().iter().map(|(&key, &count)| (key, count)).collect()
    }

    /// Records leave for a consumer. A topic that is gone by now counts among all only.
    pub(crate) fn records_out(&self, topic: Option<TopicId>, bytes: u64) {
        self.records_bytes_out.add(bytes);
        if let Some(topic) = topic {
            *self.topic_bytes_out.borrow_mut().entry(topic).or_default() += bytes;
        }
    }

    /// That left this shard, whichever owns the partitions.
    pub(crate) fn records_bytes_out_of(&self, topic: TopicId) -> Option<u64> {
        self.topic_bytes_out.borrow().get(&topic).copied()
    }

    pub(crate) fn topic_gone(&self, topic: TopicId) {
        self.topic_bytes_out.borrow_mut().remove(&topic);
    }

    pub fn connections(&self) -> u64 {
        self.connections_opened.value() - self.connections_closed.value()
    }
}

pub(crate) fn nanos_between(earlier: Instant, later: Instant) -> u64 {
    u64::try_from(later.saturating_duration_since(earlier).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_has_its_counters() {
        let metrics = Metrics::default();
        let now = Instant::now();
        for &api in ApiKey::ALL {
            metrics.request(api);
            metrics.ended(Started { api: Some(api), at: now }, now);
            metrics.answered(Started { api: Some(api), at: now }, &[(3, 2), (7, 1)]);
        }
        assert_eq!(metrics.requests().count(), ApiKey::ALL.len());
        assert_eq!(
            metrics.total_times().map(|(_, seen)| seen.count()).sum::<u64>(),
            ApiKey::ALL.len() as u64
        );
        assert_eq!(metrics.errors().len(), 2 * ApiKey::ALL.len());
    }
}
