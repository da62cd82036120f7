//! What a shard has done to its disk, and how long that took.

use std::time::Duration;

use model::figures::{Count, Distribution, Histogram, LATENCY_NS};

use super::Flush;

pub(super) struct DiskCounts {
    reads: Histogram,
    writes: Histogram,
    durable_writes: Histogram,
    flushes: Histogram,
    read_bytes: Count,
    written_bytes: Count,
}

impl Default for DiskCounts {
    fn default() -> Self {
        let latency = || Histogram::new(LATENCY_NS);
        let (read_bytes, written_bytes) = Default::default();
        let (reads, writes, durable_writes, flushes) = (latency(), latency(), latency(), latency());
        Self { reads, writes, durable_writes, flushes, read_bytes, written_bytes }
    }
}

/// At one moment. Latencies are in nanoseconds, of calls that failed too.
#[derive(Clone, Debug)]
pub struct DiskFigures {
    pub reads: Distribution,
    /// Those that the device may still hold in its cache.
    pub writes: Distribution,
    /// Those that were on stable storage when they returned: the journal's frames, and the long runs beside them.
    pub durable_writes: Distribution,
    /// Of one file, or of the whole file system.
    pub flushes: Distribution,
    pub read_bytes: u64,
    pub written_bytes: u64,
    /// System calls that handed operations to the ring.
    pub ring_submits: u64,
    pub ring_in_flight: usize,
}

impl DiskCounts {
    pub(super) fn read(&self, took: Duration, bytes: usize) {
        self.reads.observe(nanos(took));
        self.read_bytes.add(bytes as u64);
    }

    pub(super) fn written(&self, took: Duration, bytes: usize, flush: Flush) {
        let writes = match flush {
            Flush::No => &self.writes,
            Flush::Dsync => &self.durable_writes,
        };
        writes.observe(nanos(took));
        self.written_bytes.add(bytes as u64);
    }

    pub(super) fn flushed(&self, took: Duration) {
        self.flushes.observe(nanos(took));
    }

    pub(super) fn figures(&self, ring_submits: u64, ring_in_flight: usize) -> DiskFigures {
        DiskFigures {
            reads: self.reads.distribution(),
            writes: self.writes.distribution(),
            durable_writes: self.durable_writes.distribution(),
            flushes: self.flushes.distribution(),
            read_bytes: self.read_bytes.value(),
            written_bytes: self.written_bytes.value(),
            ring_submits,
            ring_in_flight,
        }
    }
}

fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}
