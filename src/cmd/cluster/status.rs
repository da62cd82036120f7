//! `tailrace cluster status`: who is there, who leads, who is behind.

use std::collections::BTreeSet;

use anyhow::bail;
use model::ErrorCode;

use crate::{
    cli::BrokerArgs,
    client::{
        Cluster,
        cluster::Topic,
        quorum::{Description, Quorum, Replica},
    },
    cmd::table::{Json, UNKNOWN, or_unknown, table},
};

pub(super) fn run(json: bool, broker: &BrokerArgs) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&broker.broker)?;
    let description = cluster.describe_cluster()?;
    let topics = cluster.topics(None, false)?;
    // Last, because it takes long where nobody leads; the rest is to be seen then all the same.
    let quorum = cluster.describe_quorum();
    let status = Status { description, counts: Counts::of(&topics), quorum: quorum.as_ref().ok().cloned() };
    match json {
        true => println!("{}", status.json()),
        false => print!("{}", status.text()),
    }
    match quorum {
        Err(error) if error.has_code(ErrorCode::NotController) => {
            bail!("the cluster has no controller: a majority of its voters must be alive and connected")
        }
        quorum => Ok(quorum.map(drop)?),
    }
}

struct Status {
    description: Description,
    counts: Counts,
    /// None: nobody leads it, or nobody answers for it.
    quorum: Option<Quorum>,
}

/// Of partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Counts {
    topics: i64,
    partitions: i64,
    /// Not all replicas are in sync.
    under_replicated: i64,
    leaderless: i64,
}

impl Counts {
    fn of(topics: &[Topic]) -> Self {
        let mut counts = Self { topics: topics.len() as i64, ..Self::default() };
        for partition in topics.iter().flat_map(|topic| &topic.partitions) {
            counts.partitions += 1;
            counts.under_replicated += i64::from(partition.isr.len() < partition.replicas.len());
            counts.leaderless += i64::from(partition.leader.is_none());
        }
        counts
    }
}

impl Status {
    fn text(&self) -> String {
        let mut text = format!("cluster {}, ", self.description.cluster_id);
        match &self.quorum {
            Some(quorum) => {
                let (leader, epoch, voters) = (quorum.leader, quorum.epoch, quorum.voters.len());
                text.push_str(&format!("controller {leader} in epoch {epoch}, voters: {voters}\n\n"));
            }
            None => text.push_str("no controller\n\n"),
        }
        let heads = ["BROKER", "ADDRESS", "RACK", "ALIVE", "ROLE", "END", "LAG", "CAUGHT UP"];
        text.push_str(&table(&heads, self.ids().into_iter().map(|id| self.row(id)).collect()));
        let Counts { topics, partitions, under_replicated, leaderless } = self.counts;
        text.push_str(&format!(
            "\ntopics: {topics}, partitions: {partitions}, under-replicated: {under_replicated}, without a leader: {leaderless}\n"
        ));
        text
    }

    fn json(&self) -> Json {
        let Counts { topics, partitions, under_replicated, leaderless } = self.counts;
        let quorum = self.quorum.as_ref();
        Json::Object(vec![
            ("cluster", Json::text(&self.description.cluster_id)),
            ("controller", quorum.map(|quorum| quorum.leader).into()),
            ("epoch", quorum.map(|quorum| quorum.epoch).into()),
            ("high_watermark", quorum.map(|quorum| quorum.high_watermark).into()),
            ("brokers", Json::List(self.ids().into_iter().map(|id| self.broker_json(id)).collect())),
            ("topics", topics.into()),
            ("partitions", partitions.into()),
            ("under_replicated", under_replicated.into()),
            ("leaderless", leaderless.into()),
        ])
    }

    /// Brokers that are registered, and voters that are not.
    fn ids(&self) -> BTreeSet<i32> {
        let replicas = self.quorum.iter().flat_map(|quorum| quorum.voters.iter().chain(&quorum.observers));
        let brokers = self.description.brokers.iter().map(|broker| broker.id);
        brokers.chain(replicas.map(|replica| replica.id)).collect()
    }

    fn row(&self, id: i32) -> Vec<String> {
        let broker = self.description.brokers.iter().find(|broker| broker.id == id);
        let alive = broker.map(|broker| if broker.alive { "yes" } else { "no" });
        vec![
            id.to_string(),
            or_unknown(broker.map(|broker| format!("{}:{}", broker.host, broker.port))),
            or_unknown(broker.and_then(|broker| broker.rack.clone())),
            or_unknown(alive),
            self.role(id).unwrap_or(UNKNOWN).to_owned(),
            or_unknown(self.replica(id).and_then(|replica| replica.end)),
            or_unknown(self.lag(id)),
            or_unknown(self.caught_up_ms_ago(id).map(ago)),
        ]
    }

    fn broker_json(&self, id: i32) -> Json {
        let broker = self.description.brokers.iter().find(|broker| broker.id == id);
        Json::Object(vec![
            ("id", id.into()),
            ("host", broker.map(|broker| broker.host.clone()).into()),
            ("port", broker.map(|broker| broker.port).into()),
            ("rack", broker.and_then(|broker| broker.rack.clone()).into()),
            ("alive", broker.map(|broker| broker.alive).into()),
            ("role", self.role(id).map(str::to_owned).into()),
            ("end", self.replica(id).and_then(|replica| replica.end).into()),
            ("lag", self.lag(id).into()),
            ("caught_up_ms_ago", self.caught_up_ms_ago(id).into()),
        ])
    }

    fn replica(&self, id: i32) -> Option<&Replica> {
        self.quorum.as_ref()?.replica(id)
    }

    fn role(&self, id: i32) -> Option<&'static str> {
        let quorum = self.quorum.as_ref()?;
        match quorum.replica(id) {
            Some(_) if id == quorum.leader => Some("controller"),
            Some(_) if quorum.votes(id) => Some("voter"),
            Some(_) => Some("observer"),
            None => None,
        }
    }

    /// Records of the metadata that the controller has and this broker has not.
    fn lag(&self, id: i32) -> Option<i64> {
        let leader = self.replica(self.quorum.as_ref()?.leader)?.end?;
        Some((leader - self.replica(id)?.end?).max(0))
    }

    /// By the controller's clock: this machine's may be another.
    fn caught_up_ms_ago(&self, id: i32) -> Option<i64> {
        let now = self.replica(self.quorum.as_ref()?.leader)?.last_fetch?;
        Some((now - self.replica(id)?.last_caught_up?).max(0))
    }
}

fn ago(ms: i64) -> String {
    match ms {
        ..10_000 => format!("{:.1} s ago", ms as f64 / 1000.0),
        10_000..600_000 => format!("{} s ago", ms / 1000),
        _ => format!("{} min ago", ms / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{cluster::Partition, quorum::Broker};

    fn status() -> Status {
        let broker = |id, rack: Option<&str>, alive| Broker {
            id,
            host: "here".into(),
            port: 9090 + id,
            rack: rack.map(Into::into),
            alive,
        };
        let replica = |id, end, caught_up| Replica {
            id,
            directory_id: [0; 16],
            end,
            last_fetch: caught_up,
            last_caught_up: caught_up,
        };
        let quorum = Quorum {
            leader: 1,
            epoch: 7,
            high_watermark: 40,
            voters: vec![
                replica(1, Some(42), Some(900_000)),
                replica(2, Some(40), Some(899_750)),
                replica(3, None, None),
            ],
            observers: vec![replica(4, Some(12), Some(60_000))],
        };
        let brokers = vec![broker(1, Some("a"), true), broker(2, None, true), broker(4, None, false)];
        let counts = Counts { topics: 2, partitions: 8, under_replicated: 3, leaderless: 1 };
        let description = Description { cluster_id: "c".into(), brokers };
        Status { description, counts, quorum: Some(quorum) }
    }

    #[test]
    fn everybody_is_shown_once() {
        let expected = "\
cluster c, controller 1 in epoch 7, voters: 3

BROKER  ADDRESS    RACK  ALIVE  ROLE        END  LAG  CAUGHT UP
1       here:9091  a     yes    controller  42   0    0.0 s ago
2       here:9092  -     yes    voter       40   2    0.2 s ago
3       -          -     -      voter       -    -    -
4       here:9094  -     no     observer    12   30   14 min ago

topics: 2, partitions: 8, under-replicated: 3, without a leader: 1
";
        assert_eq!(status().text(), expected);
        let json = status().json().to_string();
        assert!(json.starts_with(
            r#"{"cluster":"c","controller":1,"epoch":7,"high_watermark":40,"brokers":[{"id":1,"#
        ));
        assert!(json.contains(
            r#"{"id":3,"host":null,"port":null,"rack":null,"alive":null,"role":"voter","end":null"#
        ));
    }

    #[test]
    fn without_a_controller_the_brokers_are_shown() {
        let text = Status { quorum: None, ..status() }.text();
        assert!(text.starts_with("cluster c, no controller\n"), "{text}");
        assert!(text.contains("4       here:9094  -     no     -     -    -    -\n"), "{text}");
    }

    #[test]
    fn partitions_are_counted_that_are_not_well() {
        let partition = |leader, isr: &[i32]| Partition {
            index: 0,
            leader,
            replicas: vec![1, 2],
            isr: isr.to_vec(),
            error_code: 0,
        };
        let topic = Topic {
            name: "t".into(),
            id: model::TopicId::ZERO,
            is_internal: false,
            error_code: 0,
            partitions: vec![partition(Some(1), &[1, 2]), partition(Some(1), &[1]), partition(None, &[])],
        };
        let expected = Counts { topics: 1, partitions: 3, under_replicated: 2, leaderless: 1 };
        assert_eq!(Counts::of(&[topic]), expected);
    }
}
