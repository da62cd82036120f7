//! The throttle of moves: set with a move, and taken off when nothing moves any more (KIP-73).

use super::{
    Cluster,
    admin::{Alteration, Change, Resource, SOURCE_BROKER, SOURCE_TOPIC},
    error::{ClientError, Result},
};

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const LEADER_REPLICAS: &str = "leader.replication.throttled.replicas";
const FOLLOWER_REPLICAS: &str = "follower.replication.throttled.replicas";

/// Who has configs of a throttle.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Throttles {
    pub topics: Vec<String>,
    /// With the greater of the two rates, in bytes a second. Brokers that do not answer are not among them.
    pub brokers: Vec<(i32, u64)>,
}

impl Throttles {
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.brokers.is_empty()
    }
}

/// What throttles the move of a partition that has `present` replicas to `wanted` ones: those that have it send at that
/// rate, and those that come are sent so much.
fn alterations(topic: &str, partition: i32, present: &[i32], wanted: &[i32], rate: u64) -> Vec<Alteration> {
    let list = |brokers: &[i32]| {
        brokers.iter().map(|broker| format!("{partition}:{broker}")).collect::<Vec<_>>().join(",")
    };
    let coming: Vec<i32> = wanted.iter().copied().filter(|broker| !present.contains(broker)).collect();
    let lists = [(LEADER_REPLICAS, list(present)), (FOLLOWER_REPLICAS, list(&coming))];
    let appended = lists.into_iter().filter(|(_, list)| !list.is_empty());
    let of_topic = Alteration {
        resource: Resource::Topic(topic.to_owned()),
        changes: appended.map(|(key, list)| (key.to_owned(), Change::Append(list))).collect(),
    };
    let of_broker = |&broker: &i32| Alteration {
        resource: Resource::Broker(broker),
        changes: [LEADER_RATE, FOLLOWER_RATE]
            .map(|key| (key.to_owned(), Change::Set(rate.to_string())))
            .into(),
    };
    [of_topic].into_iter().chain(present.iter().chain(&coming).map(of_broker)).collect()
}

impl Cluster {
    /// To be called before the partition moves to the replicas `wanted`; `rate` is in bytes a second.
    pub fn throttle_move(&mut self, topic: &str, partition: i32, wanted: &[i32], rate: u64) -> Result<()> {
        let found = self.topics(Some(&[topic]), false)?;
        let found = found.iter().flat_map(|topic| &topic.partitions).find(|p| p.index == partition);
        let missing = || ClientError::Other(format!("there is no partition {topic}-{partition}"));
        let present = found.ok_or_else(missing)?.replicas.clone();
        self.alter(&alterations(topic, partition, &present, wanted, rate))
    }

    /// What is throttled now.
    pub fn throttles(&mut self) -> Result<Throttles> {
        let mut throttles = Throttles::default();
        let topics: Vec<_> =
            self.topics(None, false)?.into_iter().map(|topic| Resource::Topic(topic.name)).collect();
        let lists = [LEADER_REPLICAS, FOLLOWER_REPLICAS];
        if !topics.is_empty() {
            for (resource, values) in self.any()?.describe_configs(&topics, Some(&lists))? {
                let has_own = values.iter().any(|value| value.source == SOURCE_TOPIC);
                if let (Resource::Topic(name), true) = (resource, has_own) {
                    throttles.topics.push(name);
                }
            }
        }
        for node in self.nodes() {
            let asked = [Resource::Broker(node)];
            let Ok(connection) = self.connection(node) else { continue };
            let described = connection.describe_configs(&asked, Some(&[LEADER_RATE, FOLLOWER_RATE]))?;
            let own = described.iter().flat_map(|(_, values)| values).filter(|v| v.source == SOURCE_BROKER);
            let rates = own.filter_map(|value| value.value.as_deref()?.parse().ok());
            throttles.brokers.extend(rates.max().map(|rate| (node, rate)));
        }
        Ok(throttles)
    }

    /// Takes all of it off.
    pub fn unthrottle(&mut self, throttles: &Throttles) -> Result<()> {
        let unset = |resource, keys: [&str; 2]| Alteration {
            resource,
            changes: keys.map(|key| (key.to_owned(), Change::Unset)).into(),
        };
        let topics = throttles.topics.iter().cloned();
        let topics = topics.map(|name| unset(Resource::Topic(name), [LEADER_REPLICAS, FOLLOWER_REPLICAS]));
        let brokers = throttles.brokers.iter();
        let brokers = brokers.map(|&(id, _)| unset(Resource::Broker(id), [LEADER_RATE, FOLLOWER_RATE]));
        self.alter(&topics.chain(brokers).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_partition_sends_slowly_and_who_gets_it_is_sent_slowly() {
        let asked = alterations("t", 3, &[1, 2], &[2, 4], 500);
        let (topic, brokers) = asked.split_first().expect("the topic comes first");
        assert_eq!(topic.resource, Resource::Topic("t".into()));
        let append = |key: &str, list: &str| (key.to_owned(), Change::Append(list.to_owned()));
        assert_eq!(topic.changes, [append(LEADER_REPLICAS, "3:1,3:2"), append(FOLLOWER_REPLICAS, "3:4")]);
        let ids: Vec<_> = brokers.iter().map(|broker| broker.resource.clone()).collect();
        assert_eq!(ids, [1, 2, 4].map(Resource::Broker));
        let rates = [LEADER_RATE, FOLLOWER_RATE].map(|key| (key.to_owned(), Change::Set("500".into())));
        assert!(brokers.iter().all(|broker| broker.changes == rates));
        // Only the order changes: nobody comes.
        let asked = alterations("t", 3, &[1, 2], &[2, 1], 500);
        assert_eq!(asked[0].changes, [append(LEADER_REPLICAS, "3:1,3:2")]);
    }
}
