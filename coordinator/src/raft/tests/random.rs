//! Clusters that live through everything, and agree all the same; and when it is over, all have it all.

use model::BrokerId;

use super::world::{Chance, FAIR, Weather, World, id};

const SEEDS: u64 = 300;
const STEPS: u64 = 200;

fn weather(chance: &mut Chance) -> Weather {
    Weather {
        lost: [0, 50, 10, 4][chance.below(4) as usize],
        doubled: [0, 20, 3][chance.below(3) as usize],
        delay_ms: [1, 5, 50, 300][chance.below(4) as usize],
        persist_ms: [0, 5, 100][chance.below(3) as usize],
        crash: [0, 2000, 300][chance.below(3) as usize],
    }
}

/// Any of the nodes that are up.
fn any(world: &mut World) -> Option<BrokerId> {
    let up = world.up();
    (!up.is_empty()).then(|| up[world.chance.below(up.len() as u64) as usize])
}

fn any_leader(world: &mut World) -> Option<BrokerId> {
    let led: Vec<BrokerId> = world.up().into_iter().filter(|&b| world.node(b).is_leader()).collect();
    (!led.is_empty()).then(|| led[world.chance.below(led.len() as u64) as usize])
}

fn disturb(world: &mut World, step: u64, count: i32) {
    let other = id(1 + world.chance.below(count as u64) as i32);
    match world.chance.below(30) {
        0 => {
            if let Some(broker) = any(world) {
                world.crash(broker);
            }
        }
        1..=3 => {
            let is_down = |world: &World, broker| world.hosts[&broker].node.is_none();
            if is_down(world, other) {
                world.start(other);
            }
        }
        4 => world.cut_off(other),
        5 => {
            let another = id(1 + world.chance.below(count as u64) as i32);
            world.cut.insert((other, another));
        }
        6 | 7 => world.cut.clear(),
        8 => {
            if let Some(broker) = any(world) {
                world.compact(broker);
            }
        }
        9 => {
            if let Some(leader) = any_leader(world) {
                let _ = world.add_voter(leader, other);
            }
        }
        10 => {
            if let Some(leader) = any_leader(world) {
                let _ = world.remove_voter(leader, other);
            }
        }
        11 => {
            if let Some(leader) = any_leader(world) {
                let _ = world.transfer(leader, other);
            }
        }
        12 => world.weather = weather(&mut world.chance.clone()),
        13 | 14 => {
            if let Some(broker) = any(world) {
                let _ = world.read(broker);
            }
        }
        15..=18 => {
            // Two at once: they split the votes, or one of them has what the other lacks.
            for broker in [other, id(1 + world.chance.below(count as u64) as i32)] {
                world.make_stand(broker);
            }
        }
        19 => {
            let ms = world.chance.below(4000);
            world.run_for(ms);
        }
        _ => {
            if let Some(leader) = any_leader(world) {
                let _ = world.propose(leader, &format!("{step}"));
            }
        }
    }
    let ms = world.chance.below(120);
    world.run_for(ms);
}

/// The faults end: somebody leads, takes records, and everyone has them.
fn converge(world: &mut World) {
    world.weather = FAIR;
    world.cut.clear();
    for broker in world.hosts.keys().copied().collect::<Vec<_>>() {
        if world.hosts[&broker].node.is_none() {
            world.start(broker);
        }
    }
    // Who stood for election until now may have raised the epoch, which unseats a leader once more.
    world.leader();
    world.run_for(8000);
    let leader = world.leader();
    world.run_for(3000);
    assert_eq!(world.leader(), leader, "a leader stays while nothing happens");
    world.propose(leader, "the last").expect("it takes records");
    assert_eq!(world.read(leader), Ok(()));
    world.run_for(20_000);
    let end = world.committed_end();
    for broker in world.up() {
        assert_eq!(world.node(broker).high_watermark(), end, "{broker:?} lacks something");
        assert_eq!(world.node(broker).log().end().offset, end, "{broker:?} has more");
    }
}

#[derive(Default, Debug)]
struct Seen {
    reads: u64,
    snapshots: u64,
    epochs: usize,
    entries: usize,
}

fn live(seed: u64, seen: &mut Seen) {
    let mut chance = Chance::new(seed);
    let (voters, count) = [(1, 2), (2, 3), (3, 3), (3, 5), (5, 5)][chance.below(5) as usize];
    let mut world = World::new(voters, count, seed);
    world.weather = weather(&mut chance);
    for step in 0..STEPS {
        disturb(&mut world, step, count);
    }
    converge(&mut world);
    seen.reads += world.reads_ready;
    seen.snapshots += world.snapshots_installed;
    seen.epochs += world.leaders.len();
    seen.entries += world.committed.len();
}

#[test]
fn clusters_agree_whatever_happens() {
    let mut seen = Seen::default();
    for seed in 0..SEEDS {
        let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| live(seed, &mut seen)));
        if let Err(panic) = lived {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
    // A test in which nothing happens proves nothing.
    let much = seen.reads > 500 && seen.snapshots > 50 && seen.epochs > 1000 && seen.entries > 5000;
    assert!(much, "{seen:?}");
}

/// Two stand at once, again and again, and voters are down for a moment.
fn stand_and_fall(seed: u64, forgets_votes: bool) {
    let mut world = World::new(3, 3, seed);
    world.forgets_votes = forgets_votes;
    world.weather = Weather { delay_ms: 50, ..FAIR };
    for _ in 0..100 {
        let first = id(1 + world.chance.below(3) as i32);
        let others = [1, 2, 3].map(id).into_iter().filter(|other| *other != first);
        let others: Vec<BrokerId> = others.collect();
        let (second, voter) = (others[seed as usize % 2], others[1 - seed as usize % 2]);
        world.make_stand(first);
        world.make_stand(second);
        for _ in 0..5 {
            let ms = world.chance.below(60);
            world.run_for(ms);
            world.crash(voter);
            world.start(voter);
        }
    }
}

/// That it can fail: who forgets its vote in a crash gives it twice, and an epoch has two leaders.
#[test]
fn a_vote_that_is_not_on_the_disk_is_told() {
    let told = (0..SEEDS).find(|&seed| {
        stand_and_fall(seed, false);
        let lived = || stand_and_fall(seed, true);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(lived)).is_err()
    });
    println!("told by seed {told:?}");
    assert!(told.is_some());
}
