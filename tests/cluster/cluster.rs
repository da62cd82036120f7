//! Brokers with certificates of one CA that find each other, and what a test may ask all of them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use model::ErrorCode;
use net::wire::messages::{create_topics, describe_quorum, metadata};

use crate::broker::{
    Broker, Client, Launch, PATIENCE, Scratch,
    client::{code, view},
    process::free_udp_ports,
    wait_for,
};

/// One cluster at a time: the machine's cores are few, and brokers that starve lose their sessions.
static TURN: Mutex<()> = Mutex::new(());
/// So many shards have UDP ports of their own.
const SHARDS_MAX: u16 = 2;
/// A broker that was paused answers nothing, and is asked no longer than this.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Between two looks at the metadata.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub(crate) struct Cluster {
    brokers: BTreeMap<i32, Broker>,
    launches: BTreeMap<i32, Launch>,
    voters: String,
    options: Vec<String>,
    scratch: Scratch,
    _turn: MutexGuard<'static, ()>,
}

/// A partition as one broker's Metadata shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Partition {
    pub(crate) index: i32,
    pub(crate) leader: Option<i32>,
    pub(crate) epoch: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) isr: Vec<i32>,
}

/// `tailrace cert` with these arguments.
#[track_caller]
fn make_certificate(args: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailrace"));
    let output = command.arg("cert").args(args).output().expect("the binary runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the paths of the tests are UTF-8")
}

/// A CA in `dir`, which makes itself a new cluster.
pub(crate) fn make_authority(dir: &Path) {
    make_certificate(&["ca", "--dir", text(dir)]);
}

pub(crate) fn issue(ca: &Path, id: i32, out: &Path) {
    make_certificate(&["node", "--ca", text(ca), "--id", &id.to_string(), "--out", text(out)]);
}

impl Cluster {
    /// Three brokers, of one, two and one shards.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// The same, with options that each of them has besides.
    pub(crate) fn start_with(options_of: impl Fn(i32) -> Vec<String>) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = Scratch::new();
        make_authority(&scratch.path().join("ca"));
        let ports: BTreeMap<i32, u16> = (1..=3).map(|id| (id, free_udp_ports(SHARDS_MAX))).collect();
        let voters: Vec<String> = ports.iter().map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
        let options =
            ["default.replication.factor=3", "min.insync.replicas=2", "group.initial.rebalance.delay.ms=0"];
        let mut cluster = Self {
            brokers: BTreeMap::new(),
            launches: BTreeMap::new(),
            voters: voters.join(","),
            options: options.map(str::to_owned).to_vec(),
            scratch,
            _turn: turn,
        };
        for id in 1..=3 {
            issue(&cluster.ca(), id, &cluster.certificates(id));
            let mut launch = cluster.launch(id, &cluster.certificates(id));
            launch.shards = if id == 2 { 2 } else { 1 };
            launch = options_of(id).iter().fold(launch, |launch, option| launch.option(option));
            cluster.launches.insert(id, launch);
        }
        cluster.start_all(&[1, 2, 3]);
        cluster
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.scratch.path().join("ca")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn certificates(&self, id: i32) -> PathBuf {
        self.path(&format!("certificates-{id}"))
    }

    /// How broker `id` would be started with these certificates.
    pub(crate) fn launch(&self, id: i32, certificates: &Path) -> Launch {
        let mut launch = Launch::new(&self.path(&format!("data-{id}")));
        launch.shards = 1;
        let named = [
            format!("node.id={id}"),
            format!("controller.quorum.voters={}", self.voters),
            format!("cluster.certificates={}", certificates.display()),
        ];
        let is_voter = id <= 3;
        let listener =
            (!is_voter).then(|| format!("cluster.listener=127.0.0.1:{}", free_udp_ports(SHARDS_MAX)));
        named
            .iter()
            .chain(&listener)
            .chain(&self.options)
            .fold(launch, |launch, option| launch.option(option))
    }

    /// A broker that does not vote, by a certificate of the cluster.
    pub(crate) fn add(&mut self, id: i32) {
        issue(&self.ca(), id, &self.certificates(id));
        let launch = self.launch(id, &self.certificates(id));
        self.launches.insert(id, launch);
        self.restart(id);
    }

    /// At once, since none of them serves without a majority; returns when all serve and know each other.
    pub(crate) fn start_all(&mut self, ids: &[i32]) {
        for &id in ids {
            let launch = self.launches[&id].clone();
            self.brokers.entry(id).or_insert_with(|| Broker::at_rest(launch)).spawn();
        }
        for id in ids {
            self.brokers.get_mut(id).expect("it was started").wait_until_served();
        }
        let count = self.launches.len().min(self.running().len());
        for id in self.running() {
            wait_for("all brokers are known", PATIENCE, || {
                (self.members(id).ok()?.len() >= count).then_some(())
            });
        }
    }

    pub(crate) fn restart(&mut self, id: i32) {
        self.start_all(&[id]);
    }

    pub(crate) fn kill(&mut self, id: i32) {
        self.broker_mut(id).kill();
    }

    pub(crate) fn stop(&mut self, id: i32) {
        self.broker_mut(id).stop();
    }

    /// In order and at once, so that none waits for another to take over.
    pub(crate) fn stop_all(&mut self) {
        let running = self.running();
        running.iter().for_each(|id| self.broker(*id).terminate());
        for id in running {
            let status = self.broker_mut(id).wait_for_exit(PATIENCE);
            assert!(status.success(), "broker {id} did not stop in order: {status}");
        }
    }

    pub(crate) fn running(&self) -> Vec<i32> {
        self.brokers.iter().filter(|(_, broker)| broker.was_started()).map(|(&id, _)| id).collect()
    }

    pub(crate) fn broker(&self, id: i32) -> &Broker {
        &self.brokers[&id]
    }

    fn broker_mut(&mut self, id: i32) -> &mut Broker {
        self.brokers.get_mut(&id).expect("it was started")
    }

    /// Where clients reach the brokers, dead or alive.
    pub(crate) fn addresses(&self) -> BTreeMap<i32, String> {
        self.launches.iter().map(|(&id, launch)| (id, launch.address())).collect()
    }

    /// To a broker that answers.
    pub(crate) fn client(&self) -> Client {
        let running = self.running();
        wait_for("a broker answers", PATIENCE, || {
            running.iter().find_map(|&id| {
                let mut client = try_client(&self.launches[&id].address())?;
                client.api_versions().ok().map(|_| client)
            })
        })
    }

    /// The brokers that one of them knows as alive.
    pub(crate) fn members(&self, asked: i32) -> io::Result<Vec<i32>> {
        let mut client = try_client(&self.launches[&asked].address()).ok_or(io::ErrorKind::NotConnected)?;
        members(&mut client)
    }

    /// Who leads the metadata log, as a broker that answers knows.
    pub(crate) fn controller(&self) -> i32 {
        let partitions = vec![describe_quorum::RequestPartition { partition_index: 0 }];
        let topic = describe_quorum::RequestTopic { topic_name: "__cluster_metadata".into(), partitions };
        let request = describe_quorum::Request { topics: vec![topic] };
        wait_for("a controller", PATIENCE, || {
            let answer = self.client().call(2, &request);
            let view = view!(describe_quorum, answer);
            let partition = view.topics.iter().next()?.partitions.iter().next()?;
            (view.error_code == 0 && partition.leader_id > 0).then_some(partition.leader_id)
        })
    }

    pub(crate) fn create_topic(&self, name: &str, partitions: i32, replicas: i16) {
        wait_for("the topic is made", PATIENCE, || {
            try_create_topic(&mut self.client(), name, partitions, replicas)
        });
    }

    /// From its next start on, other brokers reach it elsewhere; it alone is told.
    pub(crate) fn move_listener(&mut self, id: i32) {
        let launch = self.launches.remove(&id).expect("a broker of this cluster");
        let moved = launch.option(&format!("cluster.listener=127.0.0.1:{}", free_udp_ports(SHARDS_MAX)));
        self.broker_mut(id).launch = moved.clone();
        self.launches.insert(id, moved);
    }

    /// Its disk is another, and empty.
    pub(crate) fn lose_data(&self, id: i32) {
        fs::remove_dir_all(&self.launches[&id].data).expect("a broker that is down has a folder");
    }

    /// As the first broker that answers shows them.
    pub(crate) fn partitions(&self, topic: &str) -> Vec<Partition> {
        partitions(&mut self.client(), topic).unwrap_or_default()
    }

    /// Returns when every replica of the topic is in sync; answers the partitions.
    #[track_caller]
    pub(crate) fn wait_for_isr(&self, topic: &str, count: usize) -> Vec<Partition> {
        let mut seen = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            seen = partitions(&mut self.client(), topic).unwrap_or(seen);
            let whole = |p: &Partition| p.isr.len() >= count && p.leader.is_some();
            if !seen.is_empty() && seen.iter().all(whole) {
                return seen;
            }
            thread::sleep(LOOK_AGAIN);
            assert!(Instant::now() < deadline, "not all replicas of {topic} are in sync: {seen:?}");
        }
    }
}

pub(crate) fn try_client(address: &str) -> Option<Client> {
    let client = Client::try_connect(address)?;
    client.set_patience(ANSWER_LIMIT);
    Some(client)
}

pub(crate) fn members(client: &mut Client) -> io::Result<Vec<i32>> {
    let sent = client.try_send(12, &metadata::Request { topics: Some(Vec::new()), ..Default::default() })?;
    let answer = client.try_receive(sent)?;
    Ok(view!(metadata, answer).brokers.iter().map(|broker| broker.node_id).collect())
}

/// `None`: not yet, or nobody knows. Who creates a topic while its controller dies, asks again.
pub(crate) fn try_create_topic(
    client: &mut Client,
    name: &str,
    partitions: i32,
    replicas: i16,
) -> Option<()> {
    let topic = create_topics::CreatableTopic {
        name: name.to_owned().into(),
        num_partitions: partitions,
        replication_factor: replicas,
        ..Default::default()
    };
    let request = create_topics::Request { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
    let sent = client.try_send(7, &request).ok()?;
    let answer = client.try_receive(sent).ok()?;
    let view = view!(create_topics, answer);
    let result = view.topics.iter().next().expect("one topic");
    match code(result.error_code) {
        ErrorCode::None | ErrorCode::TopicAlreadyExists => Some(()),
        code if code.is_retriable() => None,
        code => panic!("{name}: {code:?}, {:?}", result.error_message),
    }
}

/// Once its leader knows that it leads: others may have heard of it before.
pub(crate) fn must_produce(cluster: &Cluster, leader: i32, topic: &str, partition: i32, batch: &[u8]) {
    let mut client = cluster.broker(leader).client();
    wait_for("the leader takes a batch", PATIENCE, || match client.produce(topic, partition, batch).code {
        ErrorCode::None => Some(()),
        code if code.is_retriable() => None,
        code => panic!("{topic}-{partition}: {code:?}"),
    });
}

/// Empty while the topic is not there.
pub(crate) fn partitions(client: &mut Client, topic: &str) -> io::Result<Vec<Partition>> {
    let named = metadata::MetadataRequestTopic { name: Some(topic.to_owned().into()), ..Default::default() };
    let request = metadata::Request { topics: Some(vec![named]), ..Default::default() };
    let sent = client.try_send(12, &request)?;
    let answer = client.try_receive(sent)?;
    let view = view!(metadata, answer);
    let partition = |p: metadata::MetadataResponsePartitionView<'_>| Partition {
        index: p.partition_index,
        leader: Some(p.leader_id).filter(|&id| id >= 0),
        epoch: p.leader_epoch,
        replicas: p.replica_nodes.iter().collect(),
        isr: p.isr_nodes.iter().collect(),
    };
    let mut found: Vec<Partition> =
        view.topics.iter().flat_map(|topic| topic.partitions.iter()).map(partition).collect();
    found.sort_by_key(|partition| partition.index);
    Ok(found)
}
