//! What the kernel says of this process.

use std::fs;

use super::{families::Family, samples::Samples};

/// Of the fields of /proc/self/stat after the name: see proc(5), where they are 14 and 15.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
/// The kernel tells times to programs in hundredths of a second.
const TICK_NANOS: u64 = 10_000_000;

/// A moment's reading of memory, not of a disk. What the system does not tell is left out.
pub(super) fn add(samples: &mut Samples) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let told = [
        (Family::ProcessResident, memory_bytes(&status, "VmRSS:")),
        (Family::ProcessVirtual, memory_bytes(&status, "VmSize:")),
        (Family::ProcessCpu, cpu_nanos(&stat)),
    ];
    for (family, value) in told {
        if let Some(value) = value {
            samples.one(family, value);
        }
    }
}

fn memory_bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// The name, in parentheses, may hold anything.
fn cpu_nanos(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((ticks(USER_TICKS)? + ticks(SYSTEM_TICKS)?) * TICK_NANOS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_move_the_fields() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 5 0 900 123456789 321 rest";
        assert_eq!(cpu_nanos(stat), Some(3_000_000_000));
        assert_eq!(cpu_nanos("42 (a) S 1"), None);
        assert_eq!(memory_bytes("VmSize:\t 20 kB\nVmRSS:\t    12 kB\n", "VmRSS:"), Some(12 << 10));
        assert_eq!(memory_bytes("VmSize:\t 20 kB\n", "VmRSS:"), None);
    }

    #[test]
    fn this_process_is_told_of() {
        let mut samples = Samples::default();
        add(&mut samples);
        for family in [Family::ProcessResident, Family::ProcessVirtual, Family::ProcessCpu] {
            assert_eq!(samples.take(family).len(), 1, "{family:?}");
        }
    }
}
