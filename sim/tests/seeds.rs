//! The simulator over some hundred seeds, the seeds that once failed, and the proof that it can fail: a disk that lies is
//! told within a few seeds. `cargo run -p sim --release -- --seed N --count M` runs as many as there is time for.

use std::panic::{self, AssertUnwindSafe};

use sim::{disk::Lie, world};

/// Of the smoke, on as many threads as there are tests in this file.
const SMOKE_SEEDS: u64 = 60;

fn smoke(part: u64) {
    for seed in 1 + part * SMOKE_SEEDS..=(part + 1) * SMOKE_SEEDS {
        world::run(seed, Lie::None);
    }
}

#[test]
fn smoke_1() {
    smoke(0);
}

#[test]
fn smoke_2() {
    smoke(1);
}

#[test]
fn smoke_3() {
    smoke(2);
}

#[test]
fn smoke_4() {
    smoke(3);
}

/// Seeds that failed once. A change of the engine or of the plan makes other worlds of them; what was wrong has tests of
/// its own in `engine/tests/recovery_cases.rs`.
#[test]
fn seeds_that_failed() {
    const FAILED: [(u64, &str); 12] = [
        (11, "a flipped bit in the last block of a log was served"),
        (403, "a produce was refused though memory was free, in small pages"),
        (54, "a cut took all segments of a log whose first records were deleted"),
        (64, "a cut took the first segment's name: the journal's copy was not looked at"),
        (36, "a topic went from `memory` to `flushed`: the journal had a hole"),
        (41, "leader-epoch-checkpoint was cut inside its last number"),
        (47, "a flipped record count ended every read with nothing"),
        (75, "a crash left less of a log than had been deleted"),
        (184, "names of deleted segments came back"),
        (399, "segments below the log's start were missed"),
        (2401, "the recovery point passed an epoch that no file knew"),
        (2745, "the recovery point passed a segment that was not cut to its length"),
    ];
    for (seed, was) in FAILED {
        println!("seed {seed}: {was}");
        world::run(seed, Lie::None);
    }
}

#[test]
fn one_seed_is_one_world() {
    for seed in [3, 14, 159] {
        let (first, second) = (world::run(seed, Lie::None), world::run(seed, Lie::None));
        assert_eq!(first, second, "seed {seed}");
        assert!(first.events > 100, "seed {seed} did next to nothing: {first:?}");
    }
    assert_ne!(world::run(3, Lie::None).trace, world::run(4, Lie::None).trace);
}

/// Seeds until the lie is told. What a checker says of it goes to standard error, as with every panic.
fn seeds_until_told(lie: impl Fn(u64) -> Lie, seeds_max: u64) -> Option<u64> {
    (1..=seeds_max)
        .find(|&seed| panic::catch_unwind(AssertUnwindSafe(|| world::run(seed, lie(seed)))).is_err())
}

macro_rules! lies {
    ($($name:ident: $lie:expr, within $seeds:literal;)*) => {$(
        #[test]
        fn $name() {
            let told = seeds_until_told($lie, $seeds);
            assert!(told.is_some(), "nobody noticed in {} seeds", $seeds);
            println!("told by seed {told:?}");
        }
    )*};
}

lies! {
    durable_writes_that_are_not: |_| Lie::DsyncIsNothing, within 300;
    flushes_that_do_nothing: |_| Lie::FlushIsNothing, within 300;
    a_write_that_never_happens: |seed| Lie::DropsWrite(10 + seed % 90), within 300;
    a_read_with_a_flipped_bit: |seed| Lie::FlipsRead(20 + seed % 60), within 300;
    a_replaced_file_that_is_not_durable: |_| Lie::ReplaceIsNotDurable, within 300;
    flush_errors_that_are_hidden: |_| Lie::HidesFlushErrors, within 300;
}
