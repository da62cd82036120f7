use super::*;

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

/// Replicas 1, 2, 3; the leader is the first in sync.
fn partition(isr: &[i32], elr: &[i32]) -> Partition {
    Partition {
        leader: isr.first().copied().map(BrokerId),
        leader_epoch: LeaderEpoch(5),
        replicas: ids(&[1, 2, 3]),
        isr: ids(isr),
        adding_replicas: vec![],
        removing_replicas: vec![],
        elr: ids(elr),
        last_known_leader: None,
        partition_epoch: 7,
        unclean_epoch: None,
    }
}

fn all_but(away: &'static [i32]) -> impl Fn(BrokerId) -> Standing {
    |id| if away.contains(&id.0) { Standing::Away } else { Standing::Active }
}

#[test]
fn epochs_rise_with_what_they_count() {
    let before = partition(&[1, 2, 3], &[]);
    assert_eq!(changed(&before, Target::of(&before), 1, &all_but(&[])), None);

    let next = changed(&before, Target::without(&before, BrokerId(3)), 1, &all_but(&[3])).unwrap();
    assert_eq!((next.leader, next.leader_epoch, next.partition_epoch), (before.leader, LeaderEpoch(5), 8));

    let next = changed(&before, Target::without(&before, BrokerId(1)), 1, &all_but(&[1])).unwrap();
    assert_eq!(
        (next.leader, next.leader_epoch, next.partition_epoch),
        (Some(BrokerId(2)), LeaderEpoch(6), 8)
    );
    assert_eq!(next.isr, ids(&[2, 3]));
}

#[test]
fn who_leaves_below_the_minimum_stays_eligible() {
    let check = |before: &Partition, gone, isr_min, isr: &[i32], elr: &[i32]| {
        let next = changed(before, Target::without(before, BrokerId(gone)), isr_min, &all_but(&[])).unwrap();
        assert_eq!((next.isr, next.elr), (ids(isr), ids(elr)), "{before:?} - {gone}");
    };
    check(&partition(&[1, 2, 3], &[]), 3, 2, &[1, 2], &[]);
    check(&partition(&[1, 2, 3], &[]), 3, 3, &[1, 2], &[3]);
    check(&partition(&[1, 2, 3], &[]), 3, 9, &[1, 2], &[3]);
    check(&partition(&[1, 2], &[]), 2, 2, &[1], &[2]);
    check(&partition(&[1, 2], &[3]), 2, 3, &[1], &[2, 3]);
    check(&partition(&[1, 2], &[3]), 2, 1, &[1], &[]);

    let before = partition(&[1], &[2]);
    let back = Target { isr: ids(&[1, 3]), ..Target::of(&before) };
    let next = changed(&before, back, 2, &all_but(&[])).unwrap();
    assert_eq!((next.isr, next.elr), (ids(&[1, 3]), vec![]));
}

#[test]
fn the_last_in_sync_stays_though_it_is_away() {
    let before = partition(&[1], &[]);
    let next = changed(&before, Target::without(&before, BrokerId(1)), 2, &all_but(&[1])).unwrap();
    assert_eq!((next.leader, next.last_known_leader), (None, Some(BrokerId(1))));
    assert_eq!((&next.isr, next.leader_epoch), (&ids(&[1]), LeaderEpoch(6)));

    let back = changed(&next, Target::of(&next), 2, &all_but(&[])).unwrap();
    assert_eq!((back.leader, back.last_known_leader), (Some(BrokerId(1)), None));
    assert_eq!((back.leader_epoch, back.partition_epoch), (LeaderEpoch(7), 9));
}

#[test]
fn an_eligible_leader_makes_the_last_in_sync_eligible() {
    let before = partition(&[1], &[2, 3]);
    let next = changed(&before, Target::without(&before, BrokerId(1)), 2, &all_but(&[1, 2])).unwrap();
    assert_eq!((next.leader, next.isr, next.elr), (Some(BrokerId(3)), ids(&[3]), ids(&[1, 2])));
}

#[test]
fn an_unclean_leader_is_alone() {
    let before = partition(&[1], &[2]);
    let target = Target { unclean: true, ..Target::of(&before) };
    let next = changed(&before, target, 2, &all_but(&[1, 2])).unwrap();
    assert_eq!((next.leader, next.isr, next.elr), (Some(BrokerId(3)), ids(&[3]), vec![]));
}

#[test]
fn a_lost_disk_is_neither_in_sync_nor_eligible() {
    let check = |before: &Partition, lost, leader: Option<i32>, isr: &[i32], elr: &[i32]| {
        let target = Target::without_lost(before, BrokerId(lost));
        let next = changed(before, target, 2, &all_but(&[1])).unwrap();
        assert_eq!(next.leader, leader.map(BrokerId));
        assert_eq!((next.isr, next.elr), (ids(isr), ids(elr)), "{before:?} - {lost}");
    };
    check(&partition(&[1], &[]), 1, None, &[], &[]);
    check(&partition(&[1], &[2]), 1, Some(2), &[2], &[]);
    check(&partition(&[3], &[1, 2]), 1, Some(3), &[3], &[2]);
    check(&partition(&[1, 2], &[]), 1, Some(2), &[2], &[]);
}

#[test]
fn a_leader_that_begins_anew_with_nothing_is_another_one() {
    let before = partition(&[1], &[]);
    let target = Target { unclean: true, ..Target::without_lost(&before, BrokerId(1)) };
    let next = changed(&before, target, 1, &all_but(&[2, 3])).unwrap();
    assert_eq!((next.leader, next.leader_epoch), (before.leader, LeaderEpoch(6)));
}
