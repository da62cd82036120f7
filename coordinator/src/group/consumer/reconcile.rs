//! One step of a member towards its target: first it gives up, then it gets.
//!
//! ```text
//!             the target moved, and takes something        it says it gave everything up
//!   Stable ----------------------------------------> UnrevokedPartitions ---+
//!     |  ^                                                                  |
//!     |  |  all it waited for is free                                       v
//!     |  +------------------------------------ UnreleasedPartitions <-- (next step)
//!     +--------------------------------------------^  something is not free yet
//! ```

use std::collections::BTreeSet;

use model::TopicId;

use super::member::{Member, MemberState};
use crate::group::assignor::Assignment;

/// What a member says it has; none if it did not say.
pub(super) type Owned = Option<BTreeSet<(TopicId, i32)>>;

pub(super) struct Step<'a> {
    pub(super) target_epoch: i32,
    pub(super) target: &'a Assignment,
    pub(super) owned: &'a Owned,
    /// Does somebody else still hold it?
    pub(super) is_held: &'a dyn Fn(TopicId, i32) -> bool,
}

impl Step<'_> {
    /// The member after the step; none if it has to be fenced, because nobody knows what it may have.
    pub(super) fn of(&self, member: &Member) -> Option<Member> {
        match member.state {
            MemberState::Stable if self.is_reached_by(member) => Some(member.clone()),
            MemberState::Stable | MemberState::UnreleasedPartitions => Some(self.next(member, member.epoch)),
            MemberState::UnrevokedPartitions if self.still_has(&member.revoking) => Some(member.clone()),
            MemberState::UnrevokedPartitions => Some(self.next(member, member.epoch)),
            MemberState::Unknown => {
                let has_nothing = self.owned.as_ref().is_some_and(BTreeSet::is_empty);
                has_nothing.then(|| self.next(member, self.target_epoch))
            }
        }
    }

    /// The target may have shrunk since, by what the member no longer wants.
    fn is_reached_by(&self, member: &Member) -> bool {
        let is_wanted = |(topic, partitions): (&TopicId, &BTreeSet<i32>)| {
            self.target.get(topic).is_some_and(|target| partitions.is_subset(target))
        };
        member.epoch == self.target_epoch && member.assigned.iter().all(is_wanted)
    }

    /// Of a member that does not say what it has, everything has to be expected.
    fn still_has(&self, revoking: &Assignment) -> bool {
        let Some(owned) = self.owned else { return true };
        owned.iter().any(|(topic, p)| revoking.get(topic).is_some_and(|partitions| partitions.contains(p)))
    }

    /// `revoking_epoch`: the member's while it has something to give up before it may enter the target's.
    fn next(&self, member: &Member, revoking_epoch: i32) -> Member {
        let mut kept = Assignment::new();
        let mut revoking = Assignment::new();
        let mut gained = Assignment::new();
        let mut waits = false;
        let topics: BTreeSet<&TopicId> = self.target.keys().chain(member.assigned.keys()).collect();
        let nothing = BTreeSet::new();
        for topic in topics {
            let target = self.target.get(topic).unwrap_or(&nothing);
            let current = member.assigned.get(topic).unwrap_or(&nothing);
            add(&mut kept, *topic, current.intersection(target).copied().collect());
            add(&mut revoking, *topic, current.difference(target).copied().collect());
            let (held, free): (BTreeSet<i32>, BTreeSet<i32>) =
                target.difference(current).copied().partition(|p| (self.is_held)(*topic, *p));
            waits |= !held.is_empty();
            add(&mut gained, *topic, free);
        }
        let mut next = member.clone();
        if !revoking.is_empty() && self.still_has(&revoking) {
            next.state = MemberState::UnrevokedPartitions;
            next.assigned = kept;
            next.revoking = revoking;
            enter(&mut next, revoking_epoch);
            return next;
        }
        for (topic, partitions) in gained {
            kept.entry(topic).or_default().extend(partitions);
        }
        next.state = if waits { MemberState::UnreleasedPartitions } else { MemberState::Stable };
        next.assigned = kept;
        next.revoking = Assignment::new();
        enter(&mut next, self.target_epoch);
        next
    }
}

fn enter(member: &mut Member, epoch: i32) {
    member.previous_epoch = member.epoch;
    member.epoch = epoch;
}

fn add(to: &mut Assignment, topic: TopicId, partitions: BTreeSet<i32>) {
    if !partitions.is_empty() {
        to.insert(topic, partitions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TopicId = TopicId([1; 16]);

    fn of(partitions: &[i32]) -> Assignment {
        let mut assignment = Assignment::new();
        add(&mut assignment, T, partitions.iter().copied().collect());
        assignment
    }

    fn member(state: MemberState, epoch: i32, assigned: &[i32], revoking: &[i32]) -> Member {
        Member { state, epoch, assigned: of(assigned), revoking: of(revoking), ..Member::default() }
    }

    #[track_caller]
    fn check(before: Member, target: &[i32], owned: Option<&[i32]>, held: &[i32], expected: Member) {
        let step = Step {
            target_epoch: 10,
            target: &of(target),
            owned: &owned.map(|owned| owned.iter().map(|p| (T, *p)).collect()),
            is_held: &|_, p| held.contains(&p),
        };
        let after = step.of(&before).unwrap();
        assert_eq!((after.state, after.epoch), (expected.state, expected.epoch));
        assert_eq!((after.assigned, after.revoking), (expected.assigned, expected.revoking));
    }

    #[test]
    fn partitions_are_given_up_before_others_are_got() {
        use MemberState::{Stable, UnreleasedPartitions as Unreleased, UnrevokedPartitions as Unrevoked};
        // Nothing to do.
        check(member(Stable, 10, &[1], &[]), &[1], None, &[], member(Stable, 10, &[1], &[]));
        check(member(Stable, 9, &[1], &[]), &[1], None, &[], member(Stable, 10, &[1], &[]));
        // The target has shrunk under it.
        check(member(Stable, 10, &[1, 2], &[]), &[1], None, &[], member(Unrevoked, 10, &[1], &[2]));
        check(member(Unrevoked, 10, &[1], &[2]), &[1], Some(&[1]), &[], member(Stable, 10, &[1], &[]));
        // Something to get: free, and not free.
        check(member(Stable, 9, &[1], &[]), &[1, 2], None, &[], member(Stable, 10, &[1, 2], &[]));
        check(member(Stable, 9, &[1], &[]), &[1, 2, 3], None, &[3], member(Unreleased, 10, &[1, 2], &[]));
        check(member(Unreleased, 10, &[1], &[]), &[1, 3], None, &[3], member(Unreleased, 10, &[1], &[]));
        check(member(Unreleased, 10, &[1], &[]), &[1, 3], None, &[], member(Stable, 10, &[1, 3], &[]));
        // Something to give up: the epoch stays until the member says that it did.
        check(member(Stable, 9, &[1, 2], &[]), &[1, 3], None, &[], member(Unrevoked, 9, &[1], &[2]));
        check(member(Unrevoked, 9, &[1], &[2]), &[1, 3], None, &[], member(Unrevoked, 9, &[1], &[2]));
        check(
            member(Unrevoked, 9, &[1], &[2]),
            &[1, 3],
            Some(&[1, 2]),
            &[],
            member(Unrevoked, 9, &[1], &[2]),
        );
        check(member(Unrevoked, 9, &[1], &[2]), &[1, 3], Some(&[1]), &[], member(Stable, 10, &[1, 3], &[]));
        check(member(Stable, 9, &[1, 2], &[]), &[1], Some(&[1]), &[], member(Stable, 10, &[1], &[]));
        // The target moved on meanwhile and takes more.
        check(
            member(Unrevoked, 8, &[1, 4], &[2]),
            &[1],
            Some(&[1, 4]),
            &[],
            member(Unrevoked, 8, &[1], &[4]),
        );
    }

    #[test]
    fn a_member_of_which_nothing_is_known_begins_with_nothing() {
        let lost = member(MemberState::Unknown, 9, &[], &[]);
        let epoch_after = |owned: Owned| {
            let target = Assignment::new();
            let step = Step { target_epoch: 10, target: &target, owned: &owned, is_held: &|_, _| false };
            step.of(&lost).map(|member| member.epoch)
        };
        assert_eq!(epoch_after(None), None);
        assert_eq!(epoch_after(Some([(T, 1)].into())), None);
        assert_eq!(epoch_after(Some(BTreeSet::new())), Some(10));
    }
}
