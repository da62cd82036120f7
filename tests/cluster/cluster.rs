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
use net::wire::messages::{
    alter_partition_reassignments, create_topics, describe_quorum, elect_leaders, metadata,
};

use crate::{
    broker::{
        Broker, Client, Launch, PATIENCE, Scratch,
        client::{code, view},
        process::free_udp_ports,
        wait_for,
    },
    network::Network,
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
    ground: Ground,
    scratch: Scratch,
    _turn: MutexGuard<'static, ()>,
}

/// What a cluster stands on, where that is not what every test has.
#[derive(Default)]
pub(crate) struct Ground {
    /// Each broker in a namespace of its own.
    pub(crate) network: Option<Network>,
    /// Directories of some brokers.
    pub(crate) data: BTreeMap<i32, PathBuf>,
    pub(crate) environment: BTreeMap<i32, Environment>,
    /// In which certificates are made.
    pub(crate) of_certificates: Environment,
    pub(crate) options: Vec<String>,
}

pub(crate) type Environment = Vec<(String, String)>;

impl Ground {
    fn host(&self, id: i32) -> String {
        self.network.as_ref().map_or("127.0.0.1".to_owned(), |network| network.address(id))
    }
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
fn make_certificate(args: &[&str], environment: &[(String, String)]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailrace"));
    command.envs(environment.iter().map(|(key, value)| (key, value)));
    let output = command.arg("cert").args(args).output().expect("the binary runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the paths of the tests are UTF-8")
}

/// A CA in `dir`, which makes itself a new cluster.
pub(crate) fn make_authority(dir: &Path) {
    make_authority_in(&[], dir);
}

fn make_authority_in(environment: &[(String, String)], dir: &Path) {
    make_certificate(&["ca", "--dir", text(dir)], environment);
}

pub(crate) fn issue(ca: &Path, id: i32, out: &Path) {
    issue_in(&[], ca, id, out);
}

fn issue_in(environment: &[(String, String)], ca: &Path, id: i32, out: &Path) {
    let args = ["node", "--ca", text(ca), "--id", &id.to_string(), "--out", text(out)];
    make_certificate(&args, environment);
}

impl Cluster {
    /// Three brokers, of one, two and one shards.
    pub(crate) fn start() -> Self {
        Self::start_on(Ground::default())
    }

    pub(crate) fn start_on(ground: Ground) -> Self {
        Self::start_with(ground, |_| Vec::new())
    }

    /// The same, with options that each of them has besides.
    pub(crate) fn start_with(ground: Ground, options_of: impl Fn(i32) -> Vec<String>) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = Scratch::new();
        make_authority_in(&ground.of_certificates, &scratch.path().join("ca"));
        let ports: BTreeMap<i32, u16> = (1..=3).map(|id| (id, free_udp_ports(SHARDS_MAX))).collect();
        let voters: Vec<String> =
            ports.iter().map(|(&id, port)| format!("{id}@{}:{port}", ground.host(id))).collect();
        let options =
            ["default.replication.factor=3", "min.insync.replicas=2", "group.initial.rebalance.delay.ms=0"];
        let mut cluster = Self {
            brokers: BTreeMap::new(),
            launches: BTreeMap::new(),
            voters: voters.join(","),
            options: options.map(str::to_owned).into_iter().chain(ground.options.clone()).collect(),
            ground,
            scratch,
            _turn: turn,
        };
        for id in 1..=3 {
            let made_in = &cluster.ground.of_certificates;
            issue_in(made_in, &cluster.ca(), id, &cluster.certificates(id));
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
        let data = self.ground.data.get(&id).cloned();
        let mut launch = Launch::new(&data.unwrap_or_else(|| self.path(&format!("data-{id}"))));
        launch.shards = 1;
        launch.host = self.ground.host(id);
        launch.namespace = self.ground.network.as_ref().map(|network| network.namespace(id));
        launch.environment = self.ground.environment.get(&id).cloned().unwrap_or_default();
        let named = [
            format!("node.id={id}"),
            format!("controller.quorum.voters={}", self.voters),
            format!("cluster.certificates={}", certificates.display()),
        ];
        let is_voter = id <= 3;
        let listener =
            (!is_voter).then(|| format!("cluster.listener={}:{}", launch.host, free_udp_ports(SHARDS_MAX)));
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

    /// Of one that was told to stop, or was killed already.
    pub(crate) fn wait_until_ended(&mut self, id: i32) {
        let broker = self.broker_mut(id);
        if broker.was_started() {
            let status = broker.wait_for_exit(PATIENCE);
            assert!(status.success(), "broker {id} did not stop in order: {status}");
        }
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

    /// If it is not the machine's own.
    pub(crate) fn network(&self) -> Option<&Network> {
        self.ground.network.as_ref()
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
        let moved = launch.option(&format!(
            "cluster.listener={}:{}",
            self.ground.host(id),
            free_udp_ports(SHARDS_MAX)
        ));
        self.broker_mut(id).launch = moved.clone();
        self.launches.insert(id, moved);
    }

    /// Its disk is another, and empty.
    pub(crate) fn lose_data(&self, id: i32) {
        fs::remove_dir_all(&self.launches[&id].data).expect("a broker that is down has a folder");
    }

    /// Once the controller takes it: the replicas of a partition, the preferred leader first.
    pub(crate) fn reassign(&self, topic: &str, partition: i32, replicas: &[i32]) {
        wait_for("a partition is reassigned", PATIENCE, || {
            try_reassign(&mut self.client(), topic, partition, replicas)
        });
    }

    /// What each partition prefers, where that can be done.
    pub(crate) fn elect_preferred(&self) {
        let request = elect_leaders::Request { election_type: 0, topic_partitions: None, timeout_ms: 5_000 };
        wait_for("leaders are elected", PATIENCE, || {
            let mut client = self.client();
            let sent = client.try_send(2, &request).ok()?;
            let answer = client.try_receive(sent).ok()?;
            retriable_or_none(code(view!(elect_leaders, answer).error_code))
        });
    }

    /// As the first broker that answers shows them.
    pub(crate) fn partitions(&self, topic: &str) -> Vec<Partition> {
        partitions(&mut self.client(), topic).unwrap_or_default()
    }

    /// Returns when so many replicas of each partition are in sync, whichever running broker is asked: one that was cut
    /// off believes that nothing has happened. Answers the partitions as the broker sees them that knows the latest epochs.
    #[track_caller]
    pub(crate) fn wait_for_isr(&self, topic: &str, count: usize) -> Vec<Partition> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.views(topic);
            let whole = |p: &Partition| p.isr.len() >= count && p.leader.is_some();
            if seen.values().all(|view| !view.is_empty() && view.iter().all(whole)) {
                let newest = seen.into_values().max_by_key(|view| view.iter().map(|p| p.epoch).sum::<i32>());
                return newest.expect("a broker runs");
            }
            thread::sleep(LOOK_AGAIN);
            assert!(Instant::now() < deadline, "not all replicas of {topic} are in sync: {seen:?}");
        }
    }

    /// What each running broker says; nothing for one that does not answer.
    fn views(&self, topic: &str) -> BTreeMap<i32, Vec<Partition>> {
        let view = |id| partitions(&mut try_client(&self.launches[&id].address())?, topic).ok();
        self.running().into_iter().map(|id| (id, view(id).unwrap_or_default())).collect()
    }
}

fn try_reassign(client: &mut Client, topic: &str, partition: i32, replicas: &[i32]) -> Option<()> {
    let asked = alter_partition_reassignments::ReassignablePartition {
        partition_index: partition,
        replicas: Some(replicas.to_vec()),
    };
    let topic = alter_partition_reassignments::ReassignableTopic {
        name: topic.to_owned().into(),
        partitions: vec![asked],
    };
    let request = alter_partition_reassignments::Request {
        topics: vec![topic],
        timeout_ms: 5_000,
        ..Default::default()
    };
    let sent = client.try_send(0, &request).ok()?;
    let answer = client.try_receive(sent).ok()?;
    let view = view!(alter_partition_reassignments, answer);
    let result = view.responses.iter().flat_map(|topic| topic.partitions.iter()).next();
    let result = result.map_or(view.error_code, |partition| partition.error_code);
    retriable_or_none(code(result))
}

fn retriable_or_none(code: ErrorCode) -> Option<()> {
    match code {
        ErrorCode::None => Some(()),
        code if code.is_retriable() => None,
        code => panic!("{code:?}"),
    }
}

pub(crate) fn try_client(address: &str) -> Option<Client> {
    Client::try_connect_within(address, ANSWER_LIMIT)
}

/// As the broker says that knows the latest epoch.
pub(crate) fn find_leader(addresses: &BTreeMap<i32, String>, topic: &str, partition: i32) -> Option<Client> {
    let ask = |address: &String| partitions(&mut try_client(address)?, topic).ok();
    let known = addresses.values().filter_map(ask).flatten();
    let newest = known.filter(|p| p.index == partition).max_by_key(|p| p.epoch)?;
    try_client(&addresses[&newest.leader?])
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
