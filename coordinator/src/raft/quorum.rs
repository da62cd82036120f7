//! The voters, and what a majority of them has.

use std::collections::BTreeSet;

use model::BrokerId;

/// More would only be slower: every one of them must be asked for each record.
pub const VOTERS_MAX: usize = 15;

/// Who elects the leader and whose disks count. Brokers that are not in it follow the log as observers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Voters(BTreeSet<BrokerId>);

impl Voters {
    pub fn iter(&self) -> impl Iterator<Item = BrokerId> {
        self.0.iter().copied()
    }

    pub fn contains(&self, id: BrokerId) -> bool {
        self.0.contains(&id)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn with(&self, id: BrokerId) -> Self {
        self.iter().chain([id]).collect()
    }

    pub fn without(&self, id: BrokerId) -> Self {
        self.iter().filter(|&voter| voter != id).collect()
    }

    fn majority(&self) -> usize {
        self.count() / 2 + 1
    }

    /// The highest value that a majority has at least: nothing if there are no voters.
    pub fn reached<T: Ord>(&self, value: impl Fn(BrokerId) -> T) -> Option<T> {
        let mut values: Vec<T> = self.iter().map(value).collect();
        values.sort();
        let below = values.len().checked_sub(self.majority())?;
        values.into_iter().nth(below)
    }

    pub fn agree(&self, yes: impl Fn(BrokerId) -> bool) -> bool {
        self.reached(yes) == Some(true)
    }
}

impl FromIterator<BrokerId> for Voters {
    fn from_iter<I: IntoIterator<Item = BrokerId>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(count: i32) -> Voters {
        (1..=count).map(BrokerId).collect()
    }

    #[test]
    fn what_a_majority_has_reached() {
        let check = |values: &[u64], expected: Option<u64>| {
            let voters = voters(i32::try_from(values.len()).unwrap());
            let reached = voters.reached(|id| values[usize::try_from(id.0 - 1).unwrap()]);
            assert_eq!(reached, expected, "{values:?}");
        };
        check(&[], None);
        check(&[5], Some(5));
        check(&[5, 9], Some(5));
        check(&[9, 5, 7], Some(7));
        check(&[0, 0, 7], Some(0));
        check(&[4, 1, 3, 2], Some(2));
        check(&[1, 2, 3, 4, 5], Some(3));
    }

    #[test]
    fn half_is_no_majority() {
        let agree = |count, yes: &[i32]| voters(count).agree(|id| yes.contains(&id.0));
        assert!(!agree(0, &[]));
        assert!(agree(1, &[1]));
        assert!(!agree(2, &[1]));
        assert!(agree(3, &[1, 3]));
        assert!(!agree(4, &[1, 2]));
        assert!(!agree(3, &[1, 7, 8]));
    }

    #[test]
    fn two_majorities_one_change_apart_meet() {
        for count in 1..7 {
            let (before, after) = (voters(count), voters(count + 1));
            assert!(before.majority() + after.majority() > after.count());
        }
    }
}
