//! Server-side assignors: who is to read which partition. Pure arithmetic on the subscriptions and on what the members
//! were to have before. Both give every partition of a subscribed topic to exactly one of its subscribers.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use model::TopicId;

/// Partitions by topic.
pub(super) type Assignment = BTreeMap<TopicId, BTreeSet<i32>>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Assignor {
    Uniform,
    Range,
}

impl Assignor {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "uniform" => Some(Self::Uniform),
            "range" => Some(Self::Range),
            _ => None,
        }
    }

    pub(super) fn assign(
        self,
        members: &BTreeMap<&str, Wish<'_>>,
        partition_counts: &BTreeMap<TopicId, i32>,
    ) -> BTreeMap<String, Assignment> {
        match self {
            Self::Uniform => uniform(members, partition_counts),
            Self::Range => range(members, partition_counts),
        }
    }
}

/// What one member brings to an assignment.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish<'a> {
    pub(super) instance_id: Option<&'a str>,
    pub(super) topics: BTreeSet<TopicId>,
    /// What it was to have in the last assignment.
    pub(super) before: Option<&'a Assignment>,
}

/// How often all partitions are looked at for a better owner. Each look takes at least half of what is out of balance.
const BALANCING_ROUNDS_MAX: usize = 32;

/// Members that subscribe to the same topics, ordered by how much they have: the first has the least.
type Class = BTreeSet<(usize, usize)>;

/// The state of a uniform assignment in the making. Members and classes by index.
struct Shares {
    class_of: Vec<usize>,
    classes: Vec<Class>,
    classes_of_topic: BTreeMap<TopicId, Vec<usize>>,
    load: Vec<usize>,
    owned: Vec<Assignment>,
}

impl Shares {
    fn new(members: &BTreeMap<&str, Wish<'_>>) -> Self {
        let mut class_index: BTreeMap<&BTreeSet<TopicId>, usize> = BTreeMap::new();
        let mut shares = Self {
            class_of: vec![],
            classes: vec![],
            classes_of_topic: BTreeMap::new(),
            load: vec![0; members.len()],
            owned: vec![Assignment::new(); members.len()],
        };
        for (index, wish) in members.values().enumerate() {
            let class = *class_index.entry(&wish.topics).or_insert_with(|| {
                let class = shares.classes.len();
                shares.classes.push(Class::new());
                for topic in &wish.topics {
                    shares.classes_of_topic.entry(*topic).or_default().push(class);
                }
                class
            });
            shares.class_of.push(class);
            shares.classes[class].insert((0, index));
        }
        shares
    }

    fn change_load(&mut self, member: usize, load: usize) {
        let class = &mut self.classes[self.class_of[member]];
        assert!(class.remove(&(self.load[member], member)), "each member is in its class");
        class.insert((load, member));
        self.load[member] = load;
    }

    fn give(&mut self, member: usize, topic: TopicId, partition: i32) {
        let new = self.owned[member].entry(topic).or_default().insert(partition);
        assert!(new, "a partition is given once");
        self.change_load(member, self.load[member] + 1);
    }

    fn take(&mut self, member: usize, topic: TopicId, partition: i32) {
        let partitions = self.owned[member].get_mut(&topic).expect("the owner has it");
        assert!(partitions.remove(&partition), "the owner has it");
        if partitions.is_empty() {
            self.owned[member].remove(&topic);
        }
        self.change_load(member, self.load[member] - 1);
    }

    /// The subscriber of the topic with the least.
    fn least(&self, topic: TopicId) -> Option<usize> {
        let classes = self.classes_of_topic.get(&topic)?.iter();
        classes.filter_map(|class| self.classes[*class].first()).min().map(|(_, member)| *member)
    }
}

/// Evenly over the members, moving as little as that allows: everyone keeps what it had, what is free goes to whoever has
/// least, and then partitions move from those with more to those with at least two less.
fn uniform(
    members: &BTreeMap<&str, Wish<'_>>,
    partition_counts: &BTreeMap<TopicId, i32>,
) -> BTreeMap<String, Assignment> {
    let mut shares = Shares::new(members);
    let mut owners: BTreeMap<(TopicId, i32), usize> = BTreeMap::new();
    for (index, wish) in members.values().enumerate() {
        for (topic, partitions) in wish.before.into_iter().flatten().filter(|(t, _)| wish.topics.contains(*t))
        {
            let count = partition_counts.get(topic).copied().unwrap_or(0);
            for partition in partitions.iter().copied().filter(|p| (0..count).contains(p)) {
                if let Entry::Vacant(free) = owners.entry((*topic, partition)) {
                    free.insert(index);
                    shares.give(index, *topic, partition);
                }
            }
        }
    }
    for (topic, count) in partition_counts {
        for partition in 0..*count {
            if owners.contains_key(&(*topic, partition)) {
                continue;
            }
            let Some(member) = shares.least(*topic) else { break };
            owners.insert((*topic, partition), member);
            shares.give(member, *topic, partition);
        }
    }
    for _ in 0..BALANCING_ROUNDS_MAX {
        let mut moved = false;
        for ((topic, partition), owner) in &mut owners {
            let least = shares.least(*topic).expect("it has an owner");
            if shares.load[*owner] >= shares.load[least] + 2 {
                shares.take(*owner, *topic, *partition);
                shares.give(least, *topic, *partition);
                *owner = least;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    members.keys().map(|id| (*id).to_owned()).zip(shares.owned).collect()
}

/// Each topic for itself, in runs of neighbours: members in the order of their ids get equal shares, the first ones of
/// them one more. Topics with as many partitions and the same subscribers end up alike, so that they can be joined.
fn range(
    members: &BTreeMap<&str, Wish<'_>>,
    partition_counts: &BTreeMap<TopicId, i32>,
) -> BTreeMap<String, Assignment> {
    let mut assignments: BTreeMap<String, Assignment> =
        members.keys().map(|id| ((*id).to_owned(), Assignment::new())).collect();
    // A static member keeps its place under a new member id.
    let mut order: Vec<_> =
        members.iter().map(|(id, wish)| (wish.instance_id.unwrap_or(id), *id, wish)).collect();
    order.sort_by_key(|(name, id, _)| (*name, *id));
    for (topic, count) in partition_counts {
        let subscribers: Vec<&str> =
            order.iter().filter(|(_, _, wish)| wish.topics.contains(topic)).map(|(_, id, _)| *id).collect();
        let Ok(share_count) = i32::try_from(subscribers.len()) else { continue };
        let mut next = 0;
        for (index, member) in (0..share_count).zip(subscribers) {
            let share = count / share_count + i32::from(index < count % share_count);
            if share > 0 {
                let assignment = assignments.get_mut(member).expect("of the members");
                assignment.insert(*topic, (next..next + share).collect());
            }
            next += share;
        }
    }
    assignments
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn topic(n: u8) -> TopicId {
        TopicId([n; 16])
    }

    fn wishes<'a>(
        members: &'a [(String, BTreeSet<TopicId>)],
        before: &'a BTreeMap<String, Assignment>,
    ) -> BTreeMap<&'a str, Wish<'a>> {
        let wish = |(id, topics): &'a (String, BTreeSet<TopicId>)| {
            (id.as_str(), Wish { instance_id: None, topics: topics.clone(), before: before.get(id) })
        };
        members.iter().map(wish).collect()
    }

    fn group(members: &[(&str, &[u8])]) -> Vec<(String, BTreeSet<TopicId>)> {
        members
            .iter()
            .map(|(id, topics)| ((*id).to_owned(), topics.iter().map(|t| topic(*t)).collect()))
            .collect()
    }

    fn counts(topics: &[(u8, i32)]) -> BTreeMap<TopicId, i32> {
        topics.iter().map(|(t, count)| (topic(*t), *count)).collect()
    }

    #[test]
    fn ranges_are_neighbours_and_the_first_have_more() {
        let members = group(&[("a", &[1, 2]), ("b", &[1, 2]), ("c", &[1])]);
        let assigned = range(&wishes(&members, &BTreeMap::new()), &counts(&[(1, 7), (2, 3)]));
        let of = |id: &str, t: u8| assigned[id].get(&topic(t)).map(|p| p.iter().copied().collect::<Vec<_>>());
        assert_eq!(of("a", 1), Some(vec![0, 1, 2]));
        assert_eq!(of("b", 1), Some(vec![3, 4]));
        assert_eq!(of("c", 1), Some(vec![5, 6]));
        assert_eq!((of("a", 2), of("b", 2), of("c", 2)), (Some(vec![0, 1]), Some(vec![2]), None));
    }

    #[test]
    fn fewer_partitions_than_members_leave_some_without() {
        let members = group(&[("a", &[1]), ("b", &[1]), ("c", &[1])]);
        for assignor in [Assignor::Uniform, Assignor::Range] {
            let assigned = assignor.assign(&wishes(&members, &BTreeMap::new()), &counts(&[(1, 2)]));
            let sizes: Vec<_> =
                assigned.values().map(|a| a.values().map(BTreeSet::len).sum::<usize>()).collect();
            assert_eq!(sizes, [1, 1, 0]);
        }
    }

    #[test]
    fn a_newcomer_takes_no_more_than_its_share() {
        let counts = counts(&[(1, 12)]);
        let two = group(&[("a", &[1]), ("b", &[1])]);
        let before = uniform(&wishes(&two, &BTreeMap::new()), &counts);
        let three = group(&[("a", &[1]), ("b", &[1]), ("c", &[1])]);
        let after = uniform(&wishes(&three, &before), &counts);
        assert_eq!(after["c"][&topic(1)].len(), 4);
        for id in ["a", "b"] {
            assert!(after[id][&topic(1)].is_subset(&before[id][&topic(1)]), "{id} only gives");
        }
    }

    type Members = Vec<(String, BTreeSet<TopicId>)>;

    fn any_group() -> impl Strategy<Value = (Members, BTreeMap<TopicId, i32>)> {
        let members = vec(proptest::collection::btree_set(0..4u8, 0..4), 1..7);
        let members = members.prop_map(|members| {
            let member = |(i, topics): (usize, BTreeSet<u8>)| {
                (format!("m{i}"), topics.into_iter().map(topic).collect())
            };
            members.into_iter().enumerate().map(member).collect()
        });
        (members, vec(0..9i32, 4)).prop_map(|(members, counts)| {
            (members, (0..).zip(counts).map(|(t, count)| (topic(t), count)).collect())
        })
    }

    proptest! {
        #[test]
        fn each_partition_has_one_owner_who_wants_it((members, counts) in any_group(), (others, _) in any_group()) {
            for assignor in [Assignor::Uniform, Assignor::Range] {
                let before = assignor.assign(&wishes(&others, &BTreeMap::new()), &counts);
                let assigned = assignor.assign(&wishes(&members, &before), &counts);
                let mut owners = BTreeMap::new();
                for (id, topics) in &members {
                    for (topic, partitions) in &assigned[id] {
                        prop_assert!(topics.contains(topic) && !partitions.is_empty());
                        for p in partitions {
                            prop_assert!(owners.insert((*topic, *p), id).is_none(), "two owners of {topic} {p}");
                        }
                    }
                }
                for (topic, count) in &counts {
                    let wanted = members.iter().any(|(_, topics)| topics.contains(topic));
                    let owned = owners.keys().filter(|(t, _)| t == topic).count();
                    prop_assert_eq!(owned, if wanted { *count as usize } else { 0 });
                }
            }
        }

        /// Nobody has two more than someone who wants one of its partitions; and done again, nothing moves.
        #[test]
        fn uniform_is_balanced_and_comes_to_rest((members, counts) in any_group(), (others, _) in any_group()) {
            let before = uniform(&wishes(&others, &BTreeMap::new()), &counts);
            let assigned = uniform(&wishes(&members, &before), &counts);
            let size = |id: &str| assigned[id].values().map(BTreeSet::len).sum::<usize>();
            for (rich, _) in &members {
                for (poor, wants) in &members {
                    let could_give = assigned[rich].keys().any(|topic| wants.contains(topic));
                    prop_assert!(!could_give || size(rich) <= size(poor) + 1, "{rich} {poor} {assigned:?}");
                }
            }
            prop_assert_eq!(&uniform(&wishes(&members, &assigned), &counts), &assigned);
        }
    }
}
