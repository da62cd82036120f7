//! What one shard counts. Plain cells: nobody else writes them, and whoever exports them reads on this shard.

use std::cell::Cell;

use crate::wire::ApiKey;

const API_KEYS: usize = 93;

#[derive(Debug)]
pub struct Metrics {
    requests: [Cell<u64>; API_KEYS],
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
    pub records_bytes_out: Count,
}

#[derive(Default, Debug)]
pub struct Count(Cell<u64>);

impl Count {
    pub fn add(&self, more: u64) {
        self.0.set(self.0.get().wrapping_add(more));
    }

    pub fn value(&self) -> u64 {
        self.0.get()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: [const { Cell::new(0) }; API_KEYS],
            bytes_in: Count::default(),
            bytes_out: Count::default(),
            connections_opened: Count::default(),
            connections_closed: Count::default(),
            connections_refused: Count::default(),
            connections_malformed: Count::default(),
            connections_stuck: Count::default(),
            records_bytes_in: Count::default(),
            records_bytes_out: Count::default(),
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

    pub fn connections(&self) -> u64 {
        self.connections_opened.value() - self.connections_closed.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_has_its_counter() {
        let metrics = Metrics::default();
        ApiKey::ALL.iter().for_each(|&api| metrics.request(api));
        assert_eq!(metrics.requests().count(), ApiKey::ALL.len());
    }
}
