//! Splits the parts of one request by owning shard and puts the answers back in the request's order. Pure.
//!
//! However many partitions a request names, each shard is asked at most once.

use model::{ShardId, TopicPartition};

/// The parts for each shard that owns any, with the place each part had in the request.
#[derive(Debug)]
pub struct Scatter<T> {
    groups: Vec<Group<T>>,
    count: usize,
}

#[derive(Debug)]
pub struct Group<T> {
    pub owner: ShardId,
    pub parts: Vec<T>,
    places: Vec<usize>,
}

impl<T> Scatter<T> {
    /// `parts` in the order of the request, each with the place its answer goes to.
    pub fn new(shard_count: u16, parts: impl IntoIterator<Item = (usize, TopicPartition, T)>) -> Self {
        let mut groups: Vec<Group<T>> = Vec::new();
        let mut group_of = vec![usize::MAX; usize::from(shard_count)];
        let mut count = 0;
        for (place, id, part) in parts {
            let owner = id.owner(shard_count);
            let known = &mut group_of[usize::from(owner.0)];
            if *known == usize::MAX {
                *known = groups.len();
                groups.push(Group { owner, parts: Vec::new(), places: Vec::new() });
            }
            let group = &mut groups[*known];
            group.parts.push(part);
            group.places.push(place);
            count += 1;
        }
        Self { groups, count }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One for each shard, in the order in which the request first names it.
    pub fn into_groups(self) -> impl ExactSizeIterator<Item = (ShardId, Vec<T>, Places)> {
        self.groups.into_iter().map(|group| (group.owner, group.parts, Places(group.places)))
    }
}

/// Where the answers of one shard go.
#[derive(Clone, Debug)]
pub struct Places(Vec<usize>);

impl Places {
    /// Puts a shard's answers, in the order of its parts, into the slots of the whole request. A shard that answers
    /// fewer parts than it was asked leaves the rest as they are.
    pub fn gather<A>(&self, answers: impl IntoIterator<Item = A>, slots: &mut [Option<A>]) {
        for (&place, answer) in self.0.iter().zip(answers) {
            slots[place] = Some(answer);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use model::{PartitionIndex, TopicId};
    use proptest::prelude::*;

    use super::*;

    fn id(topic: u8, partition: i32) -> TopicPartition {
        TopicPartition::new(TopicId([topic; 16]), PartitionIndex(partition))
    }

    proptest! {
        #[test]
        fn every_part_goes_to_its_owner_once_and_comes_back_to_its_place(
            parts in proptest::collection::vec((any::<u8>(), 0..50i32), 0..200), shards in 1..9u16,
        ) {
            let ids: Vec<_> = parts.iter().map(|&(topic, partition)| id(topic, partition)).collect();
            let scatter = Scatter::new(shards, ids.iter().enumerate().map(|(i, &id)| (i, id, (i, id))));
            prop_assert_eq!(scatter.is_empty(), ids.is_empty());
            let mut slots = vec![None; ids.len()];
            let mut asked = vec![];
            for (owner, parts, places) in scatter.into_groups() {
                prop_assert!(!asked.contains(&owner), "one message a shard");
                asked.push(owner);
                prop_assert!(parts.iter().all(|(_, id)| id.owner(shards) == owner));
                prop_assert!(parts.is_sorted_by_key(|p| p.0), "the request's order is kept");
                places.gather(parts, &mut slots);
            }
            let back: Option<Vec<_>> = slots.into_iter().collect();
            let expected: Vec<_> = ids.into_iter().enumerate().collect();
            prop_assert_eq!(back, Some(expected));
        }
    }

    #[test]
    fn a_short_answer_leaves_gaps_and_panics_nowhere() {
        let parts = (0..4).map(|i| (i, id(1, i as i32), ()));
        let mut slots = vec![None; 4];
        for (_, _, places) in Scatter::new(1, parts).into_groups() {
            places.gather(['a', 'b'], &mut slots);
        }
        assert_eq!(slots, [Some('a'), Some('b'), None, None]);
    }
}
