//! Production's consensus (`quorum`) on a simulated broker: its disk, its way to the others, and the ledger that judges it.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use coordinator::{
    Image,
    metadata::snapshot_file::{self, Snapshot},
    raft::{Context, Entry, HardState, Node, Position, RaftConfig, Stored, Voters},
};
use engine::{Disk, Store};
use model::{BrokerId, LeaderEpoch, Offset, Timestamp};
use quorum::{Consensus as Quorum, Doing, Keep, NoSnapshot, Parts, Reach, Standing, Watch};
use replication::{Partition, Runtime, stream::NoLane, transport::Lane};

use super::{
    Cluster,
    broker::CLUSTER_ID,
    ledger::Ledger,
    metadata_disk::{Loaded, MetadataDisk},
    plan::Bug,
    runtime::BrokerRuntime,
};
use crate::{disk::SimDisk, random::Random};

/// Brokers with these ids vote; another one follows the log.
pub const VOTERS: std::ops::RangeInclusive<i32> = 1..=3;

const ELECTION: Duration = Duration::from_millis(200);

pub type Consensus = Quorum<SimDisk>;

/// What a broker has when it takes part.
pub struct Member {
    pub cluster: Rc<Cluster>,
    pub id: BrokerId,
    pub runtime: Rc<BrokerRuntime>,
    /// Other random numbers for each life.
    pub random: Random,
    pub disk: MetadataDisk,
    pub loaded: Loaded,
    pub store: Rc<Store<SimDisk>>,
    pub partition: Rc<Partition<SimDisk>>,
}

impl Member {
    pub fn join(self) -> Result<Rc<Consensus>, String> {
        let Self { cluster, id, runtime, mut random, disk, loaded, store, partition } = self;
        let voters: Voters = VOTERS.map(BrokerId).collect();
        let mut config = RaftConfig::new(id);
        config.election_timeout = ELECTION;
        config.heartbeat = ELECTION / 5;
        config.append_bytes_max = cluster.plan.append_bytes;
        config.in_flight_max = cluster.plan.in_flight;
        config.contacts = voters.iter().collect();
        let Loaded { start, snapshot, entries, voters: known, .. } = loaded;
        let stored =
            Stored { hard_state: disk.read_vote()?, start, voters: known.unwrap_or(voters), entries };
        let cx = Context { now: runtime.now(), random: random.next() };
        Ok(Consensus::new(Parts {
            node: Node::new(config, stored, cx),
            store,
            partition,
            image: snapshot,
            snapshot_bytes: cluster.plan.snapshot_bytes,
            runtime,
            random: Box::new(move || random.next()),
            keep: Rc::new(VoterDisk { disk, bug: cluster.plan.bug }),
            reach: Some(Rc::new(Network { cluster: cluster.clone(), from: id })),
            watch: Rc::new(Judge { cluster, id }),
        }))
    }
}

/// As the node stands, unless a bug has it believe otherwise.
pub fn standing<D: Disk>(bug: Option<Bug>, consensus: &Quorum<D>) -> Standing {
    let standing = consensus.standing();
    match bug {
        Some(Bug::DecidesEarly) => Standing { active: consensus.node().is_leader(), ..standing },
        _ => standing,
    }
}

/// Where the log ends, if all of it is durable and that leader leads.
pub fn settled_end(consensus: &Consensus) -> Option<(LeaderEpoch, Option<BrokerId>, Position)> {
    let node = consensus.node();
    let end = node.log().end();
    (node.log().durable() == end.offset).then(|| (node.epoch(), node.leader(), end))
}

/// For a sentence.
pub fn describe(consensus: &Consensus) -> String {
    let node = consensus.node();
    let log = node.log();
    format!(
        "it follows {:?} in epoch {}, log {:?} to {:?}, durable {}, high watermark {}, {}",
        node.leader(),
        node.epoch(),
        log.start(),
        log.end(),
        log.durable(),
        node.high_watermark(),
        consensus.describe(),
    )
}

struct VoterDisk {
    disk: MetadataDisk,
    bug: Option<Bug>,
}

impl Keep for VoterDisk {
    fn save(&self, vote: HardState) -> Doing<'_, io::Result<()>> {
        Box::pin(async move {
            if self.bug == Some(Bug::ForgetsVotes) {
                return Ok(());
            }
            self.disk.write_vote(vote).await
        })
    }

    fn write_snapshot(
        &self,
        image: Arc<Image>,
        voters: Voters,
        end: Position,
        now: Timestamp,
    ) -> Doing<'_, io::Result<()>> {
        let bytes = snapshot_file::encode(&image, &voters, end, now);
        Box::pin(async move {
            let written = self.disk.write_snapshot(end, bytes).await;
            written.expect("no errors of the disk are asked for");
            Ok(())
        })
    }

    fn take_snapshot(&self, end: Position, bytes: Vec<u8>) -> Doing<'_, Result<Snapshot, NoSnapshot>> {
        Box::pin(async move {
            let snapshot = snapshot_file::decode(&bytes, end, CLUSTER_ID).expect("a broker wrote it");
            let written = self.disk.write_snapshot(end, bytes).await;
            written.expect("no errors of the disk are asked for");
            Ok(snapshot)
        })
    }
}

struct Network {
    cluster: Rc<Cluster>,
    from: BrokerId,
}

impl Reach for Network {
    fn lane(&self, to: BrokerId) -> Doing<'_, Result<Lane, NoLane>> {
        Box::pin(self.cluster.connect_consensus(self.from, to))
    }

    fn snapshot(&self, of: BrokerId) -> Doing<'_, Result<(Position, Vec<u8>), NoSnapshot>> {
        self.cluster.tell(|| format!("broker {} fetches a snapshot of {of}", self.from));
        Box::pin(async move {
            let fetched = self.cluster.fetch_snapshot(self.from, of).await;
            fetched.ok_or_else(|| "it did not come".into())
        })
    }
}

struct Judge {
    cluster: Rc<Cluster>,
    id: BrokerId,
}

impl Judge {
    fn ledger(&self) -> &Ledger {
        &self.cluster.ledger
    }
}

impl Watch for Judge {
    fn leads(&self, node: &Node) {
        self.ledger().leads(self.id, node.epoch(), node);
    }

    fn appends(&self, node: &Node, entries: &[Entry]) {
        self.ledger().appends(self.id, entries, node);
    }

    fn commits(&self, node: &Node, from: Offset, to: Offset) {
        self.ledger().commits(self.id, node.epoch(), node.log().range(from, to));
    }

    fn knows(&self, _: &Node, end: Offset, image: &Image) {
        self.ledger().knows(self.id, end, image);
    }

    fn cuts(&self, _: &Node, to: Offset) {
        self.cluster.note("cuts its metadata", to.0 as u64, true);
    }

    fn shortens(&self, _: &Node, to: Offset) {
        self.cluster.note("snapshot", to.0 as u64, true);
    }

    fn begins_anew(&self, _: &Node, at: Offset) {
        self.cluster.note("installs", at.0 as u64, true);
    }

    fn contradicts(&self, _: &Node, other: BrokerId, what: &str) {
        panic!("seed {}: broker {}: broker {other}: {what} (M1)", self.cluster.seed, self.id);
    }
}
