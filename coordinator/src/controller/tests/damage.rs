use model::PartitionIndex;

use super::*;
use crate::controller::damage::can_do_without;
use ErrorCode::*;

/// Partition 0 of "t" on brokers 1, 2 and 3; broker 4 has none.
fn world(isr_min: &str) -> World {
    let mut world = World::of(4);
    let assignments = vec![(PartitionIndex(0), ids(&[1, 2, 3]))];
    world.create(CreateTopic { assignments, ..topic("t", -1, -1) }).unwrap();
    world.configure("min.insync.replicas", isr_min);
    world
}

fn report(world: &World, broker: i32) -> ReportDamage {
    let broker_epoch = world.image.broker(BrokerId(broker)).unwrap().epoch;
    let parts = vec![(world.image.topic("t").unwrap().id, PartitionIndex(0))];
    ReportDamage { broker: BrokerId(broker), broker_epoch, parts }
}

/// Broker `broker` reports, others being fenced before: what it is told, and leader, in-sync, eligible, and by how much the
/// epoch rises.
#[track_caller]
fn check(isr_min: &str, fenced: &[i32], broker: i32, expected: ErrorCode, after: (i32, &[i32], &[i32], i32)) {
    let mut world = world(isr_min);
    for &id in fenced {
        world.decide(|c, _| c.fence(BrokerId(id)));
    }
    let before = world.image.topic("t").unwrap().partitions[0].clone();
    let asked = report(&world, broker);
    let answer = world.decide(|c, _| c.report_damage(&asked)).unwrap().pop().unwrap();
    assert_eq!(code(answer), expected);
    let now = world.image.topic("t").unwrap().partitions[0].clone();
    let epoch = now.leader_epoch.0 - before.leader_epoch.0;
    let leader = now.leader.map_or(0, |leader| leader.0);
    assert_eq!(
        (leader, &now.isr[..], &now.elr[..], epoch),
        (after.0, &ids(after.1)[..], &ids(after.2)[..], after.3)
    );
    assert_eq!(can_do_without(&now, BrokerId(broker)), expected == None);
}

#[test]
fn a_damaged_leader_is_followed_by_one_that_has_everything() {
    check("1", &[], 1, None, (2, &[2, 3], &[], 1));
    // 3 left while enough were in sync, and lacks what was committed since.
    check("2", &[3], 1, None, (2, &[2], &[], 1));
}

/// Otherwise what it vouched for before might let it in again, on the word of a leader that heard of this late.
#[test]
fn a_damaged_follower_leaves_and_the_epoch_is_another() {
    check("1", &[], 3, None, (1, &[1, 2], &[], 1));
    // It was fenced, or too slow, and had left before: it may be on its way back.
    check("1", &[3], 3, None, (1, &[1, 2], &[], 1));
    check("3", &[3], 3, None, (1, &[1, 2], &[], 1));
}

#[test]
fn the_last_one_stays() {
    check("1", &[2, 3], 1, EligibleLeadersNotAvailable, (1, &[1], &[], 0));
    // Others have everything, and are not there.
    check("3", &[2, 3], 1, EligibleLeadersNotAvailable, (1, &[1], &[2, 3], 0));
    // Without a leader nobody can give it anything.
    check("1", &[1, 2, 3], 1, EligibleLeadersNotAvailable, (0, &[3], &[], 0));
}

#[test]
fn nobody_is_elected_uncleanly_for_it() {
    let mut world = world("1");
    world.decide(|c, _| c.fence(BrokerId(2)));
    world.decide(|c, _| c.fence(BrokerId(3)));
    world.configure("unclean.leader.election.enable", "true");
    world.unfence(2);
    let asked = report(&world, 1);
    let answer = world.decide(|c, _| c.report_damage(&asked)).unwrap().pop().unwrap();
    assert_eq!(code(answer), EligibleLeadersNotAvailable);
}

/// While fewer are in sync than a commit needs, those that left have everything: one of them may lead.
#[test]
fn an_eligible_replica_that_is_back_leads() {
    let mut world = world("2");
    world.decide(|c, _| c.fence(BrokerId(2)));
    world.decide(|c, _| c.fence(BrokerId(3)));
    world.unfence(3);
    let asked = report(&world, 1);
    world.decide(|c, _| c.report_damage(&asked)).unwrap().pop().unwrap().unwrap();
    let now = world.image.topic("t").unwrap().partitions[0].clone();
    assert_eq!((now.leader, now.isr), (Some(BrokerId(3)), ids(&[3])));
    assert!(!now.elr.contains(&BrokerId(1)), "it has nothing: {:?}", now.elr);
}

#[test]
fn a_report_is_refused_with_kafkas_code() {
    let world = world("1");
    let good = report(&world, 1);
    let ask = |asked: ReportDamage| {
        let decision = Controller::new(&world.image, &world.config).report_damage(&asked);
        match decision.answer {
            Ok(parts) => parts.into_iter().map(code).collect(),
            Err(refusal) => vec![code::<()>(Err(refusal))],
        }
    };
    let (topic, index) = good.parts[0];
    let naming = |parts: &[(TopicId, PartitionIndex)]| ReportDamage { parts: parts.to_vec(), ..good.clone() };
    assert_eq!(ask(naming(&[(TopicId([9; 16]), index)])), [UnknownTopicId]);
    assert_eq!(ask(naming(&[(topic, PartitionIndex(1))])), [UnknownTopicOrPartition]);
    assert_eq!(ask(naming(&[(topic, index), (topic, index)])), [InvalidRequest; 2]);
    assert_eq!(ask(report(&world, 4)), [UnknownTopicOrPartition]);
    assert_eq!(ask(ReportDamage { broker_epoch: good.broker_epoch + 9, ..good.clone() }), [StaleBrokerEpoch]);
    assert_eq!(ask(ReportDamage { broker: BrokerId(9), ..good }), [BrokerIdNotRegistered]);
}
