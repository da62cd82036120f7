//! How much memory the shards may use for pages: what they hold of logs, and what they have read ahead. Taken only as it
//! is needed, given back never in full; so it is bounded by what the machine, or its container, has to spare.

use std::fs;

/// A shard with less could not keep its consumers out of the disk.
const SHARD_BYTES_MIN: u64 = 64 << 20;
const SHARD_BYTES_MAX: u64 = 512 << 20;
/// Assumed where the system does not tell.
const AVAILABLE_BYTES: u64 = 1 << 30;

/// Budget of each shard's page pool: together half of what is free.
pub fn page_bytes(shard_count: usize) -> usize {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let container =
        fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    budget(machine, container, shard_count)
}

fn budget(machine: Option<u64>, container: Option<u64>, shard_count: usize) -> usize {
    let free = machine.into_iter().chain(container).min().unwrap_or(AVAILABLE_BYTES);
    let share = free / 2 / shard_count.max(1) as u64;
    // Whole mebibytes: a pool hands out pages of that size.
    (share.clamp(SHARD_BYTES_MIN, SHARD_BYTES_MAX) >> 20 << 20) as usize
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_machine_and_container_counts() {
        const GIB: u64 = 1 << 30;
        assert_eq!(available("MemTotal: 5 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
        assert_eq!(available("MemTotal: 5 kB\n"), None);
        assert_eq!(budget(Some(64 * GIB), None, 4), 512 << 20);
        assert_eq!(budget(Some(64 * GIB), Some(GIB), 4), 128 << 20);
        assert_eq!(budget(Some(GIB), None, 64), 64 << 20);
        assert_eq!(budget(None, None, 2), 256 << 20);
    }
}
