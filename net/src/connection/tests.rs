//! A whole broker behind real sockets: shards with their executors, a disk in memory, and a client that knows nothing of
//! either.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use coordinator::{BrokerConfig, Image};
use engine::disk::mem::MemDisk;
use replication::PartitionTable;
use rt::{
    ExecutorOptions, MeshBuilder,
    net::{ListenOptions, Listener},
};

use crate::{
    Admission, Clock, Server, Shard, ShardParts,
    handlers::tests::world::{batch, control, follow, start_store},
    mesh::Message,
    wire::{
        ApiKey, RequestBody, ResponseHeader, Writer,
        messages::{alter_client_quotas, api_versions, fetch, metadata, produce},
        write_request,
    },
};

/// What the test sees of the broker from outside.
#[derive(Default)]
struct Watch {
    over: AtomicBool,
    spawned: AtomicU64,
    /// How long the stop took.
    stop_ms: AtomicU64,
}

const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Runs a broker while `client` lasts.
fn serve(
    shards: usize,
    file: &[(&'static str, &'static str)],
    client: impl FnOnce(SocketAddr, &Watch) + Send + 'static,
) -> Arc<Watch> {
    let own = [("node.id", "7"), ("listeners", "PLAINTEXT://127.0.0.1:9092"), ("num.partitions", "4")];
    let config = BrokerConfig::parse(own.iter().chain(file).copied()).unwrap();
    let admission = Admission::new(config.max_connections, config.max_connections_per_ip);
    let (watch, mesh) = (Arc::new(Watch::default()), MeshBuilder::<Message>::new(shards));
    let (tell, told) = mpsc::channel();
    let (client_watch, seen) = (watch.clone(), watch.clone());
    let client = thread::spawn(move || {
        let _over = Over(client_watch.clone());
        let address = told.recv().unwrap();
        client(address, &client_watch);
    });
    // Every shard listens on the port that the first one got.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = ExecutorOptions { page_bytes: 64 << 20, pin: false, ..ExecutorOptions::default() };
    let run = rt::run_shards(shards, options, move |this: rt::Shard| {
        let (config, mesh, admission) = (config.clone(), mesh.clone(), admission.clone());
        let (watch, tell) = (watch.clone(), tell.clone());
        async move {
            let mesh = mesh.join(this.id).await;
            let disk = MemDisk::new(1);
            disk.put(std::path::Path::new("/data/meta.properties"), vec![]);
            let store = start_store(disk, this.id.0).await;
            let shard = Shard::new(ShardParts {
                id: this.id,
                count: this.count,
                config,
                image: Arc::new(Image::new("cluster-1")),
                store,
                table: Rc::new(PartitionTable::default()),
                link: Rc::new(mesh.clone()),
                clock: Clock::system(),
                host: crate::Host::default(),
            });
            shard.spawn_pumps();
            let runs = shard.clone();
            rt::spawn(async move { runs.run_mesh(mesh).await });
            rt::spawn(follow(shard.clone()));
            if this.id.0 == 0 {
                rt::spawn(control(shard.clone()));
            }
            let server = Server::new(shard, this.ring.clone(), admission);
            let listener = Listener::bind(port, ListenOptions::default()).unwrap();
            let accepts = server.clone();
            rt::spawn(async move { accepts.run_listener(listener, "PLAINTEXT").await });
            let sweeps = server.clone();
            rt::spawn(async move { sweeps.run_idle().await });
            let _ = tell.send(port);
            while !watch.over.load(Ordering::Relaxed) {
                watch.spawned.store(rt::spawned_tasks(), Ordering::Relaxed);
                rt::timer::sleep(Duration::from_millis(5)).await;
            }
            let began = Instant::now();
            server.stop(STOP_PATIENCE).await;
            watch.stop_ms.fetch_max(began.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
    });
    run.unwrap();
    client.join().unwrap();
    seen
}

struct Over(Arc<Watch>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    fn send<B: RequestBody>(&mut self, version: i16, correlation_id: i32, body: &B) {
        self.0.write_all(&frame(version, correlation_id, body)).unwrap();
    }

    /// A frame without its length, or nothing if the connection ended.
    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).ok()?;
        let mut frame = vec![0; i32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut frame).unwrap();
        Some(frame)
    }

    fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 64]), Ok(0) | Err(_))
    }

    fn create(&mut self, topic: &'static str) {
        let topic = metadata::MetadataRequestTopic { name: Some(topic.into()), ..Default::default() };
        // A shard that has just begun may not know the broker yet.
        for _ in 0..100 {
            self.send(4, 1, &metadata::Request { topics: Some(vec![topic.clone()]), ..Default::default() });
            let answer = self.receive().unwrap();
            let view = metadata::ResponseView::decode(&answer[4..], 4).unwrap();
            if view.topics.iter().all(|topic| topic.error_code == 0) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("no topic");
    }
}

fn frame<B: RequestBody>(version: i16, correlation_id: i32, body: &B) -> Vec<u8> {
    let mut writer = Writer::new();
    write_request(body, version, correlation_id, Some("tests"), &mut writer);
    writer.bytes().to_vec()
}

fn produce_to(partition: i32, acks: i16, records: &[u8]) -> produce::Request<'static> {
    let partition =
        produce::PartitionProduceData { index: partition, records: Some(records.to_vec().into()) };
    let topic =
        produce::TopicProduceData { name: "t".into(), partition_data: vec![partition], ..Default::default() };
    produce::Request { acks, timeout_ms: 10_000, topic_data: vec![topic], ..Default::default() }
}

fn produced(answer: &[u8]) -> (i16, i64) {
    let view = produce::ResponseView::decode(&answer[4..], 7).unwrap();
    let entry = view.responses.iter().next().unwrap().partition_responses.iter().next().unwrap();
    (entry.error_code, entry.base_offset)
}

fn fetch_from(offset: i64, max_wait_ms: i32) -> fetch::Request<'static> {
    let partition = |partition| fetch::FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: 64 << 20,
        ..Default::default()
    };
    let topic = fetch::FetchTopic {
        topic: "t".into(),
        partitions: (0..4).map(partition).collect(),
        ..Default::default()
    };
    fetch::Request {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 64 << 20,
        topics: vec![topic],
        ..Default::default()
    }
}

fn fetched(answer: &[u8]) -> Vec<Vec<u8>> {
    let (_, body) = ResponseHeader::decode(answer, ApiKey::Fetch, 4).unwrap();
    let view = fetch::ResponseView::decode(body, 4).unwrap();
    let topic = view.responses.iter().next().unwrap();
    topic.partitions.iter().map(|partition| partition.records.unwrap().to_vec()).collect()
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    for shards in [1, 2] {
        serve(shards, &[], |address, _| {
            let mut client = Client::connect(address);
            client.create("t");
            let good = batch(&["a", "b"]);
            for n in 0..200i32 {
                client.send(7, n, &produce_to(n % 4, if n % 3 == 0 { 1 } else { -1 }, &good));
                if n % 10 == 0 {
                    client.send(0, 1000 + n, &api_versions::Request::default());
                }
            }
            for n in 0..200i32 {
                let answer = client.receive().unwrap();
                assert_eq!(answer[..4], n.to_be_bytes());
                assert_eq!(produced(&answer), (0, i64::from(n / 4 * 2)));
                if n % 10 == 0 {
                    assert_eq!(client.receive().unwrap()[..4], (1000 + n).to_be_bytes());
                }
            }
        });
    }
}

#[test]
fn large_records_come_back_as_they_went() {
    for shards in [1, 2] {
        serve(shards, &[("message.max.bytes", "10000000")], |address, _| {
            let mut client = Client::connect(address);
            client.create("t");
            for (n, bytes) in [100, 40_000, 900_000, 3_000_000].into_iter().enumerate() {
                let value: String = (0..bytes).map(|i| char::from(b'a' + (i % 23) as u8)).collect();
                client.send(7, 5, &produce_to(n as i32, -1, &batch(&[&value])));
                assert_eq!(produced(&client.receive().unwrap()), (0, 0));
            }
            client.send(4, 6, &fetch_from(0, 0));
            let records = fetched(&client.receive().unwrap());
            for (records, bytes) in records.iter().zip([100, 40_000, 900_000, 3_000_000]) {
                let view = model::BatchView::check(records).expect("whole and unharmed");
                assert!(view.bytes().len() > bytes && view.bytes().len() == records.len());
            }
        });
    }
}

#[test]
fn a_long_poll_is_woken_from_another_connection() {
    for shards in [1, 2] {
        serve(shards, &[], |address, _| {
            let (mut reader, mut writer) = (Client::connect(address), Client::connect(address));
            writer.create("t");
            reader.create("t");
            for round in 0..20 {
                reader.send(4, 1, &fetch_from(round, 10_000));
                thread::sleep(Duration::from_millis(2));
                let began = Instant::now();
                // The other partitions are brought to the same offset afterwards.
                for partition in [
                    (round % 4) as i32,
                    ((round + 1) % 4) as i32,
                    ((round + 2) % 4) as i32,
                    ((round + 3) % 4) as i32,
                ] {
                    writer.send(7, 2, &produce_to(partition, -1, &batch(&["x"])));
                    assert_eq!(produced(&writer.receive().unwrap()), (0, round));
                }
                let records = fetched(&reader.receive().unwrap());
                assert!(records.iter().any(|records| !records.is_empty()));
                assert!(began.elapsed() < Duration::from_secs(5), "woken, not timed out");
            }
        });
    }
}

#[test]
fn requests_spawn_no_task() {
    serve(1, &[], |address, watch| {
        let mut client = Client::connect(address);
        client.create("t");
        let spawned = || {
            thread::sleep(Duration::from_millis(50));
            watch.spawned.load(Ordering::Relaxed)
        };
        let before = spawned();
        for n in 0..200 {
            client.send(7, n, &produce_to(0, -1, &batch(&["x"])));
            client.send(4, n, &fetch_from(0, 0));
            client.receive().unwrap();
            client.receive().unwrap();
        }
        assert_eq!(spawned(), before);
    });
}

#[test]
fn bytes_that_make_no_request_end_the_connection() {
    serve(1, &[("socket.request.max.bytes", "1000000")], |address, _| {
        let cases: &[&[u8]] = &[
            &[0, 0, 0, 0],
            &[255, 255, 255, 255],
            &[127, 255, 255, 255],
            &[0, 15, 66, 65],
            b"GET / HTTP/1.1\r\n\r\n",
            &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3],
            // A frame too short for a head, an API nobody knows, a body that is cut.
            &[0, 0, 0, 2, 0, 3],
            &[0, 0, 0, 10, 3, 231, 0, 0, 0, 0, 0, 1, 255, 255],
            &[0, 0, 0, 11, 0, 3, 0, 4, 0, 0, 0, 1, 255, 255, 0],
        ];
        for bytes in cases {
            let mut client = Client::connect(address);
            client.0.write_all(bytes).unwrap();
            assert!(client.is_closed(), "{bytes:?}");
        }
        // What came before is answered first.
        let mut client = Client::connect(address);
        client.send(0, 1, &api_versions::Request::default());
        client.0.write_all(&[0, 0, 0, 0]).unwrap();
        assert!(client.receive().is_some());
        assert!(client.receive().is_none());
        // Half a frame and the end.
        let mut client = Client::connect(address);
        client.0.write_all(&[0, 0, 1, 0, 7]).unwrap();
        client.0.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(client.is_closed());
        let mut client = Client::connect(address);
        client.send(0, 1, &api_versions::Request::default());
        assert!(client.receive().is_some(), "the broker goes on");
    });
}

#[test]
fn a_client_that_reads_nothing_is_not_read() {
    serve(1, &[], |address, _| {
        let mut client = Client::connect(address);
        client.0.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let one = frame(0, 1, &api_versions::Request::default());
        let many = one.repeat(2000);
        let mut sent = 0usize;
        // Goes on until the socket takes no more: the broker has stopped reading.
        while sent < 1 << 30 {
            match client.0.write(&many[sent % one.len()..]) {
                Ok(count) => sent += count,
                Err(_) => break,
            }
        }
        assert!(sent < 64 << 20, "{sent} bytes were taken from a client that reads nothing");
        for _ in 0..sent / one.len() {
            assert!(client.receive().is_some(), "nothing is lost");
        }
    });
}

#[test]
fn idle_connections_end_and_busy_ones_do_not() {
    serve(1, &[("connections.max.idle.ms", "300")], |address, _| {
        let (mut idle, mut polls) = (Client::connect(address), Client::connect(address));
        polls.create("t");
        polls.send(4, 1, &fetch_from(0, 1500));
        let began = Instant::now();
        assert!(idle.is_closed());
        assert!(began.elapsed() > Duration::from_millis(250));
        assert!(polls.receive().is_some(), "a long poll is not idle");
    });
}

/// Once a connection whose request waited for its shard to have room hid from the stop, which then waited for it as
/// long as it waits at all; and when room came first, the request was taken in spite of the stop.
#[test]
fn a_stop_does_not_wait_for_room_and_takes_no_request_that_does() {
    let config =
        BrokerConfig::parse([("node.id", "7"), ("listeners", "PLAINTEXT://127.0.0.1:9092")]).unwrap();
    let mesh = MeshBuilder::<Message>::new(1);
    let options = ExecutorOptions { page_bytes: 64 << 20, pin: false, ..ExecutorOptions::default() };
    let run = rt::run_single(options, move |this: rt::Shard| async move {
        let disk = MemDisk::new(1);
        disk.put(std::path::Path::new("/data/meta.properties"), vec![]);
        let shard = Shard::new(ShardParts {
            id: this.id,
            count: this.count,
            config,
            image: Arc::new(Image::new("cluster-1")),
            store: start_store(disk, this.id.0).await,
            table: Rc::new(PartitionTable::default()),
            link: Rc::new(mesh.join(this.id).await),
            clock: Clock::system(),
            host: crate::Host::default(),
        });
        let server = Server::new(shard.clone(), this.ring.clone(), Admission::new(10, 10));
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).unwrap();
        let address = listener.local_addr().unwrap();
        let accepts = server.clone();
        rt::spawn(async move { accepts.run_listener(listener, "PLAINTEXT").await });
        let stranger = model::ShardId(9);
        shard.receive(stranger, Message::Pressed(true));
        let (tell, starved) = rt::oneshot();
        let waits = shard.clone();
        rt::spawn(async move {
            waits.starved().await;
            let _ = tell.send(());
        });
        let mut client = rt::blocking(move || {
            let mut client = Client::connect(address);
            client.send(0, 1, &api_versions::Request::default());
            client
        })
        .await;
        // The connection has nothing to do but to wait for room.
        starved.await;
        let stop = rt::timer::timeout(Duration::from_secs(20), server.stop(Duration::from_secs(60)));
        assert!(stop.await.is_some(), "the stop waits for room");
        shard.receive(stranger, Message::Pressed(false));
        assert_eq!(rt::blocking(move || client.receive()).await, None, "a request was taken");
    });
    run.unwrap();
}

#[test]
fn surplus_connections_are_refused() {
    serve(1, &[("max.connections.per.ip", "2")], |address, _| {
        let (mut one, mut two) = (Client::connect(address), Client::connect(address));
        for client in [&mut one, &mut two] {
            client.send(0, 1, &api_versions::Request::default());
            assert!(client.receive().is_some());
        }
        assert!(Client::connect(address).is_closed());
        drop(one);
        for _ in 0..200 {
            let mut again = Client::connect(address);
            let _ = again.0.write_all(&frame(0, 1, &api_versions::Request::default()));
            if again.receive().is_some() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the place did not come back");
    });
}

#[test]
fn no_acks_are_no_answer_and_an_error_ends_the_connection() {
    serve(1, &[], |address, _| {
        let mut client = Client::connect(address);
        client.create("t");
        client.send(7, 1, &produce_to(0, 0, &batch(&["quiet"])));
        client.send(0, 2, &api_versions::Request::default());
        assert_eq!(client.receive().unwrap()[..4], 2i32.to_be_bytes());
        client.send(7, 3, &produce_to(99, 0, &batch(&["nowhere"])));
        assert!(client.is_closed());
    });
}

/// Every client id here is "tests".
fn limit(client: &mut Client, key: &'static str, value: Option<f64>) {
    limit_entity(client, ("client-id", "tests"), key, value);
}

fn limit_entity(
    client: &mut Client,
    (entity_type, name): (&'static str, &'static str),
    key: &'static str,
    value: Option<f64>,
) {
    let entity =
        alter_client_quotas::EntityData { entity_type: entity_type.into(), entity_name: Some(name.into()) };
    let op = alter_client_quotas::OpData {
        key: key.into(),
        value: value.unwrap_or_default(),
        remove: value.is_none(),
    };
    let entries = vec![alter_client_quotas::RequestEntry { entity: vec![entity], ops: vec![op] }];
    client.send(1, 1, &alter_client_quotas::Request { entries, validate_only: false });
    let answer = client.receive().unwrap();
    let (_, body) = ResponseHeader::decode(&answer, ApiKey::AlterClientQuotas, 1).unwrap();
    let view = alter_client_quotas::ResponseView::decode(body, 1).unwrap();
    assert_eq!(view.entries.iter().next().unwrap().error_code, 0);
}

fn throttle_ms(answer: &[u8]) -> u64 {
    let view = produce::ResponseView::decode(&answer[4..], 7).unwrap();
    view.throttle_time_ms.try_into().unwrap()
}

/// One that is asked for 10 s at the least.
fn mute(client: &mut Client) {
    let batch = batch(&[&"x".repeat(30_000)]);
    client.send(7, 1, &produce_to(0, -1, &batch));
    assert!(throttle_ms(&client.receive().unwrap()) > 10_000, "the answer itself does not wait");
}

#[test]
fn a_muted_connection_is_not_read_until_its_time_and_others_are() {
    serve(1, &[("quota.window.num", "2"), ("connections.max.idle.ms", "1000")], |address, _| {
        let mut client = Client::connect(address);
        client.create("t");
        limit(&mut client, "producer_byte_rate", Some(100_000.0));
        let batch = batch(&[&"x".repeat(300_000)]);
        let sent = Instant::now();
        client.send(7, 1, &produce_to(0, -1, &batch));
        let ms = throttle_ms(&client.receive().unwrap());
        let received = Instant::now();
        assert!((1500..2100).contains(&ms), "300 kB and a window of 100 kB: {ms} ms");
        client.send(0, 2, &api_versions::Request::default());
        let mut other = Client::connect(address);
        other.send(0, 3, &api_versions::Request::default());
        assert!(other.receive().is_some());
        assert!(received.elapsed() < Duration::from_millis(ms), "the other one did not wait");
        // Longer than an idle connection lives, and yet it is answered.
        assert!(client.receive().is_some());
        assert!(sent.elapsed() >= Duration::from_millis(ms));
    });
}

#[test]
fn a_change_of_quotas_ends_the_wait() {
    serve(2, &[], |address, _| {
        let (mut client, mut admin) = (Client::connect(address), Client::connect(address));
        client.create("t");
        admin.create("t");
        limit(&mut admin, "producer_byte_rate", Some(1000.0));
        mute(&mut client);
        client.send(0, 2, &api_versions::Request::default());
        let began = Instant::now();
        limit(&mut admin, "producer_byte_rate", None);
        assert!(client.receive().is_some());
        assert!(began.elapsed() < Duration::from_secs(8));
    });
}

#[test]
fn neither_a_stop_nor_a_place_waits_for_a_muted_connection() {
    let watch = serve(1, &[("max.connections.per.ip", "2")], |address, _| {
        let (mut gone, mut stays) = (Client::connect(address), Client::connect(address));
        gone.create("t");
        limit(&mut gone, "producer_byte_rate", Some(100.0));
        mute(&mut gone);
        drop(gone);
        // Its place comes back long before its time.
        let again = (0..500).find_map(|_| {
            thread::sleep(Duration::from_millis(10));
            let mut again = Client::connect(address);
            let _ = again.0.write_all(&frame(0, 1, &api_versions::Request::default()));
            again.receive().is_some().then_some(again)
        });
        assert!(again.is_some(), "the place did not come back");
        mute(&mut stays);
        // It is open when the broker stops.
        std::mem::forget(stays);
    });
    let stop = Duration::from_millis(watch.stop_ms.load(Ordering::Relaxed));
    assert!(stop < STOP_PATIENCE, "the stop waited for the wait of a quota");
}

#[test]
fn connections_of_an_address_come_at_its_rate() {
    serve(2, &[("quota.window.num", "3")], |address, _| {
        let mut admin = Client::connect(address);
        admin.send(0, 1, &api_versions::Request::default());
        admin.receive().unwrap();
        limit_entity(&mut admin, ("ip", "127.0.0.1"), "connection_creation_rate", Some(2.0));
        let is_served = || {
            let mut client = Client::connect(address);
            let _ = client.0.write_all(&frame(0, 1, &api_versions::Request::default()));
            client.receive().is_some()
        };
        let began = Instant::now();
        let served = (0..100).take_while(|_| is_served()).count();
        assert!(served >= 4, "two windows' worth");
        assert!(served < 100 || began.elapsed() > Duration::from_secs(45), "the rest is refused");
        limit_entity(&mut admin, ("ip", "127.0.0.1"), "connection_creation_rate", None);
        assert!((0..20).all(|_| is_served()));
    });
}
