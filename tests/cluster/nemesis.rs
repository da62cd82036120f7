//! Whatever happens to clusters, drawn at random for as long as is asked for.
//!
//! ```text
//! NEMESIS_SECONDS=3600 cargo test --release --test cluster nemesis -- --nocapture
//! NEMESIS_SEED=7 ...        draws the same faults again
//! ```

use std::{
    collections::BTreeMap,
    env, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    broker::{PATIENCE, Random, wait_for},
    cluster::{Cluster, Ground},
    network::Network,
    run::{PARTITIONS, Run, TOPIC},
};

/// Voters 1 to 3, and one that has replicas only.
const BROKERS: i32 = 4;
const ORDINARY_SECONDS: u64 = 20;
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// After a heal; a client may be waiting for who is gone.
const FAIL_OVER: Duration = Duration::from_secs(20);
const LONGEST_MS: u64 = 4_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fault {
    KillOne,
    KillTwo,
    KillAll,
    Pause,
    StopInOrder,
    /// Its disk is empty when it comes back.
    LoseDisk,
    ElectPreferred,
    Reassign,
    Isolate,
    Deafen,
    Unplug,
    LoseDatagrams,
    SlowDown,
}

use Fault::*;

/// On every machine; the others where there are namespaces.
const ANYWHERE: &[Fault] =
    &[KillOne, KillTwo, KillAll, Pause, StopInOrder, LoseDisk, ElectPreferred, Reassign];
const WITH_NETWORK: &[Fault] = &[Isolate, Deafen, Unplug, LoseDatagrams, SlowDown];

struct Nemesis {
    run: Run,
    random: Random,
    down: Vec<i32>,
    paused: Vec<i32>,
    counts: BTreeMap<Fault, u32>,
}

impl Nemesis {
    fn start(seed: u64) -> Self {
        let network = Network::try_new(BROKERS).map_err(|why| println!("no cuts: {why}")).ok();
        let mut cluster = Cluster::start_on(Ground { network, ..Ground::default() });
        cluster.add(BROKERS);
        let run = Run::start_with(cluster);
        let (down, paused) = (Vec::new(), Vec::new());
        Self { run, random: Random(seed), down, paused, counts: BTreeMap::new() }
    }

    fn draw<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len() as u64) as usize]
    }

    fn draw_fault(&mut self) -> Fault {
        let cuts = if self.run.cluster.network().is_some() { WITH_NETWORK } else { &[] };
        self.draw(&[ANYWHERE, cuts].concat())
    }

    /// One that runs and is not paused.
    fn draw_victim(&mut self) -> Option<i32> {
        let able: Vec<i32> =
            (1..=BROKERS).filter(|id| !self.down.contains(id) && !self.paused.contains(id)).collect();
        (!able.is_empty()).then(|| self.draw(&able))
    }

    /// One round: a fault, perhaps another during it, and their end.
    fn strike(&mut self) {
        let first = self.draw_fault();
        self.begin(first);
        if first != LoseDisk && self.random.below(3) == 0 {
            self.dwell(LONGEST_MS / 4);
            let second = self.draw_fault();
            // These want everybody's help.
            if !matches!(second, LoseDisk | ElectPreferred | Reassign) {
                self.begin(second);
            }
        }
        self.dwell(LONGEST_MS);
        self.heal();
    }

    fn dwell(&mut self, ms_max: u64) {
        let ms = self.random.below(ms_max);
        thread::sleep(Duration::from_millis(ms));
    }

    fn begin(&mut self, fault: Fault) {
        println!("  {fault:?}");
        *self.counts.entry(fault).or_default() += 1;
        match fault {
            KillOne => self.kill(1),
            KillTwo => self.kill(2),
            KillAll => self.kill(BROKERS),
            Pause => {
                let Some(id) = self.draw_victim() else { return };
                self.run.cluster.broker(id).pause();
                self.paused.push(id);
            }
            StopInOrder => {
                let Some(id) = self.draw_victim() else { return };
                self.run.cluster.broker(id).terminate();
                self.down.push(id);
            }
            LoseDisk => self.lose_disk(),
            ElectPreferred => self.run.cluster.elect_preferred(),
            Reassign => self.reassign(),
            Isolate | Deafen | Unplug | LoseDatagrams | SlowDown => self.cut(fault),
        }
    }

    fn kill(&mut self, count: i32) {
        for _ in 0..count {
            let Some(id) = self.draw_victim() else { return };
            self.run.cluster.kill(id);
            self.down.push(id);
        }
    }

    /// Only while everybody else has everything, and they are left alone until it has caught up.
    fn lose_disk(&mut self) {
        self.run.wait_until_in_sync();
        let Some(id) = self.draw_victim() else { return };
        self.run.cluster.kill(id);
        self.run.cluster.lose_data(id);
        self.run.cluster.restart(id);
        self.run.wait_until_in_sync();
    }

    /// A partition to three brokers of the four, in any order.
    fn reassign(&mut self) {
        let partition = self.random.below(PARTITIONS as u64) as i32;
        let mut replicas: Vec<i32> = (1..=BROKERS).collect();
        for last in (1..replicas.len()).rev() {
            replicas.swap(last, self.random.below(last as u64 + 1) as usize);
        }
        replicas.truncate(3);
        println!("    partition {partition} to {replicas:?}");
        self.run.cluster.reassign(TOPIC, partition, &replicas);
    }

    fn cut(&mut self, fault: Fault) {
        let id = 1 + self.random.below(BROKERS as u64) as i32;
        let other = 1 + (id + self.random.below(BROKERS as u64 - 1) as i32) % BROKERS;
        let percent = 1 + self.random.below(30) as u8;
        let network = self.run.cluster.network().expect("only then it is drawn");
        match fault {
            Isolate => network.isolate(id),
            Deafen => network.deafen(id, other),
            Unplug => network.unplug(id),
            SlowDown => network.slow_down(id, 400),
            _ => (1..=BROKERS).for_each(|id| network.lose(id, percent)),
        }
    }

    fn heal(&mut self) {
        if let Some(network) = self.run.cluster.network() {
            network.heal();
        }
        self.paused.drain(..).for_each(|id| self.run.cluster.broker(id).resume());
        for &id in &self.down {
            self.run.cluster.wait_until_ended(id);
        }
        let down: Vec<i32> = self.down.drain(..).collect();
        self.run.cluster.start_all(&down);
        self.run.wait_for_progress_within(FAIL_OVER);
        // Moves end, whatever came in between.
        wait_for("every partition has three replicas", PATIENCE, || {
            let seen = self.run.cluster.partitions(TOPIC);
            (!seen.is_empty() && seen.iter().all(|p| p.replicas.len() == 3)).then_some(())
        });
        if self.random.below(2) == 0 {
            self.run.wait_until_in_sync();
        }
    }

    fn report(&self, since: Instant) {
        let faults: u32 = self.counts.values().sum();
        println!(
            "{:>5} s: {} records acknowledged, {faults} faults: {:?}",
            since.elapsed().as_secs(),
            self.run.load.shared.acknowledged(),
            self.counts
        );
    }
}

fn number(key: &str) -> Option<u64> {
    env::var(key).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{key}={text} is no number")))
}

#[test]
fn a_nemesis_does_what_it_likes_and_nothing_is_lost() {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let seed = number("NEMESIS_SEED").unwrap_or(since_1970.as_secs());
    let length = Duration::from_secs(number("NEMESIS_SECONDS").unwrap_or(ORDINARY_SECONDS));
    println!("NEMESIS_SEED={seed}");
    let mut nemesis = Nemesis::start(seed);
    let (since, mut reported) = (Instant::now(), Instant::now());
    while since.elapsed() < length {
        nemesis.strike();
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            nemesis.report(since);
        }
    }
    nemesis.report(since);
    nemesis.run.end();
}
