//! A Kafka client that does what a test says and nothing by itself: no retries, no negotiation, no second thoughts.
//! With one exception: every answer must carry the correlation id that is due.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use model::{ErrorCode, batch::record::Producer};
use net::wire::{
    ApiKey, RequestBody, ResponseHeader, Uuid, Writer,
    messages::{
        api_versions, create_topics, delete_records, delete_topics, describe_configs, fetch,
        incremental_alter_configs, init_producer_id, list_offsets, metadata, offset_for_leader_epoch,
        produce,
    },
    write_request,
};

use super::{PATIENCE, Rec, batch, wait_for};

const CLIENT_ID: &str = "black-box";
/// Below the versions that name topics by id.
pub(crate) const PRODUCE: i16 = 11;
pub(crate) const FETCH: i16 = 12;
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

pub(crate) struct Client {
    stream: TcpStream,
    next_correlation_id: i32,
    writer: Writer,
}

/// A request whose answer is still to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    correlation_id: i32,
    key: ApiKey,
    version: i16,
}

/// The body of an answer, and the version to read it with.
pub(crate) struct Answer {
    frame: Vec<u8>,
    body_at: usize,
    pub(crate) version: i16,
}

impl Answer {
    pub(crate) fn body(&self) -> &[u8] {
        &self.frame[self.body_at..]
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Produced {
    pub(crate) code: ErrorCode,
    pub(crate) base_offset: i64,
    pub(crate) log_append_time: i64,
    pub(crate) log_start: i64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchAt<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) max_wait_ms: i32,
    pub(crate) min_bytes: i32,
    pub(crate) max_bytes: i32,
    pub(crate) isolation: i8,
    /// Where the client stands.
    pub(crate) rack: &'a str,
}

impl<'a> FetchAt<'a> {
    /// What is there now.
    pub(crate) fn new(topic: &'a str, partition: i32, offset: i64) -> Self {
        let max_bytes = 4 << 20;
        Self { topic, partition, offset, max_wait_ms: 0, min_bytes: 0, max_bytes, isolation: 0, rack: "" }
    }

    pub(crate) fn request(&self) -> fetch::Request<'a> {
        let partition = fetch::FetchPartition {
            partition: self.partition,
            fetch_offset: self.offset,
            partition_max_bytes: self.max_bytes,
            ..Default::default()
        };
        let topic =
            fetch::FetchTopic { topic: self.topic.into(), partitions: vec![partition], ..Default::default() };
        fetch::Request {
            max_wait_ms: self.max_wait_ms,
            min_bytes: self.min_bytes,
            max_bytes: self.max_bytes,
            isolation_level: self.isolation,
            session_epoch: -1,
            topics: vec![topic],
            rack_id: self.rack.into(),
            ..Default::default()
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) code: ErrorCode,
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
    /// The replica to ask instead, if there is one.
    pub(crate) preferred: Option<i32>,
    pub(crate) bytes: Vec<u8>,
}

/// One config of a resource: its value, and where it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Config {
    pub(crate) value: Option<String>,
    pub(crate) source: i8,
    pub(crate) read_only: bool,
}

pub(crate) fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or_else(|| panic!("{code} is none of Kafka's error codes"))
}

/// The answer's view, in its version.
macro_rules! view {
    ($api:ident, $answer:expr) => {{
        let answer = &$answer;
        $api::ResponseView::decode(answer.body(), answer.version)
            .unwrap_or_else(|error| panic!("{} version {}: {error}", stringify!($api), answer.version))
    }};
}
pub(crate) use view;

/// The bytes, the connection.
impl Client {
    #[track_caller]
    pub(crate) fn connect(address: &str) -> Self {
        Self::try_connect(address).unwrap_or_else(|| panic!("nobody listens on {address}"))
    }

    pub(crate) fn try_connect(address: &str) -> Option<Self> {
        Self::try_connect_within(address, PATIENCE)
    }

    /// Also what is asked later is waited for no longer than `patience`.
    pub(crate) fn try_connect_within(address: &str, patience: Duration) -> Option<Self> {
        let address = address.to_socket_addrs().ok()?.next()?;
        let stream = TcpStream::connect_timeout(&address, patience).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(patience)).ok()?;
        stream.set_write_timeout(Some(patience)).ok()?;
        Some(Self { stream, next_correlation_id: 1, writer: Writer::new() })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The whole frame of a request, length included, as it would be sent.
    pub(crate) fn frame<B: RequestBody>(&mut self, version: i16, body: &B) -> (Sent, Vec<u8>) {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        self.writer.clear();
        write_request(body, version, correlation_id, Some(CLIENT_ID), &mut self.writer);
        (Sent { correlation_id, key: B::KEY, version }, self.writer.bytes().to_vec())
    }

    pub(crate) fn try_send<B: RequestBody>(&mut self, version: i16, body: &B) -> io::Result<Sent> {
        let (sent, frame) = self.frame(version, body);
        self.stream.write_all(&frame)?;
        Ok(sent)
    }

    #[track_caller]
    pub(crate) fn send<B: RequestBody>(&mut self, version: i16, body: &B) -> Sent {
        self.try_send(version, body).expect("the connection stands")
    }

    /// A frame without its length.
    pub(crate) fn read_frame(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a broker's frame has a length");
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame)?;
        Ok(frame)
    }

    pub(crate) fn try_receive(&mut self, sent: Sent) -> io::Result<Answer> {
        let frame = self.read_frame()?;
        let decoded = ResponseHeader::decode(&frame, sent.key, sent.version);
        let (header, body) = decoded.expect("the head of an answer");
        assert_eq!(header.correlation_id, sent.correlation_id, "answers come in the order of the requests");
        let body_at = frame.len() - body.len();
        Ok(Answer { body_at, frame, version: sent.version })
    }

    #[track_caller]
    pub(crate) fn receive(&mut self, sent: Sent) -> Answer {
        self.try_receive(sent).expect("the broker answers")
    }

    #[track_caller]
    pub(crate) fn call<B: RequestBody>(&mut self, version: i16, body: &B) -> Answer {
        let sent = self.send(version, body);
        self.receive(sent)
    }

    /// Waits for the end of the connection, from the other side.
    ///
    /// # Panics
    /// If anything is answered, or nothing happens.
    #[track_caller]
    pub(crate) fn assert_closed(&mut self, why: &str) {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => {}
            Ok(_) => panic!("answered instead of closed: {why}"),
            // With bytes unread on its side, the kernel ends a connection so.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("not closed ({error}): {why}"),
        }
    }

    pub(crate) fn set_patience(&self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).expect("a socket");
        self.stream.set_write_timeout(Some(patience)).expect("a socket");
    }
}

/// Records in and out.
impl Client {
    pub(crate) fn try_produce(&mut self, topic: &str, partition: i32, batch: &[u8]) -> io::Result<Produced> {
        let sent = self.try_send(PRODUCE, &produce_request(topic, partition, -1, Some(batch)))?;
        let answer = self.try_receive(sent)?;
        Ok(produced(&answer))
    }

    /// acks=all, one batch; whatever the answer is.
    #[track_caller]
    pub(crate) fn produce(&mut self, topic: &str, partition: i32, batch: &[u8]) -> Produced {
        self.try_produce(topic, partition, batch).expect("the broker answers a produce")
    }

    /// A batch that must arrive; answers its base offset.
    #[track_caller]
    pub(crate) fn must_produce(&mut self, topic: &str, partition: i32, batch: &[u8]) -> i64 {
        let produced = self.produce(topic, partition, batch);
        assert_eq!(produced.code, ErrorCode::None, "{topic}-{partition}");
        produced.base_offset
    }

    #[track_caller]
    pub(crate) fn fetch(&mut self, at: FetchAt<'_>) -> Fetched {
        let answer = self.call(FETCH, &at.request());
        fetched(&answer)
    }

    /// Everything from an offset to the high watermark, each record once and in order.
    #[track_caller]
    pub(crate) fn read_from(&mut self, topic: &str, partition: i32, from: i64) -> Vec<Rec> {
        let (mut next, mut found) = (from, Vec::new());
        loop {
            let fetched = self.fetch(FetchAt::new(topic, partition, next));
            assert_eq!(fetched.code, ErrorCode::None, "{topic}-{partition} from {next}");
            if next >= fetched.high_watermark {
                return found;
            }
            let records = batch::records(&fetched.bytes, next);
            assert!(
                !records.is_empty(),
                "{topic}-{partition}: nothing at {next} of {}",
                fetched.high_watermark
            );
            for record in records {
                assert!(record.offset >= next, "{topic}-{partition}: {} after {next}", record.offset);
                next = record.offset + 1;
                found.push(record);
            }
        }
    }

    /// All values of a partition whose offsets must be 0, 1, 2 ...
    #[track_caller]
    pub(crate) fn values(&mut self, topic: &str, partition: i32) -> Vec<String> {
        let records = self.read_from(topic, partition, 0);
        let dense = records.iter().map(|record| record.offset).eq(0..records.len() as i64);
        assert!(dense, "{topic}-{partition}: offsets have holes");
        records.iter().map(|record| record.text().to_owned()).collect()
    }

    pub(crate) fn init_producer_id(&mut self) -> Producer {
        let request = init_producer_id::Request { transaction_timeout_ms: 60_000, ..Default::default() };
        let answer = self.call(4, &request);
        let view = view!(init_producer_id, answer);
        assert_eq!(code(view.error_code), ErrorCode::None);
        Producer { id: view.producer_id, epoch: view.producer_epoch, base_sequence: 0 }
    }
}

pub(crate) fn produce_request<'a>(
    topic: &'a str,
    partition: i32,
    acks: i16,
    records: Option<&'a [u8]>,
) -> produce::Request<'a> {
    let data = produce::PartitionProduceData { index: partition, records: records.map(Into::into) };
    let topic =
        produce::TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() };
    produce::Request { acks, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() }
}

/// The only partition of an answer.
pub(crate) fn produced(answer: &Answer) -> Produced {
    let view = view!(produce, answer);
    let topic = view.responses.iter().next().expect("one topic");
    let partition = topic.partition_responses.iter().next().expect("one partition");
    Produced {
        code: code(partition.error_code),
        base_offset: partition.base_offset,
        log_append_time: partition.log_append_time_ms,
        log_start: partition.log_start_offset,
    }
}

/// The only partition of an answer.
pub(crate) fn fetched(answer: &Answer) -> Fetched {
    let view = view!(fetch, answer);
    assert_eq!(code(view.error_code), ErrorCode::None);
    let topic = view.responses.iter().next().expect("one topic");
    let partition = topic.partitions.iter().next().expect("one partition");
    Fetched {
        code: code(partition.error_code),
        high_watermark: partition.high_watermark,
        log_start: partition.log_start_offset,
        preferred: Some(partition.preferred_read_replica).filter(|&id| id >= 0),
        bytes: partition.records.unwrap_or_default().to_vec(),
    }
}

/// A partition as Metadata shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TopicFacts {
    pub(crate) id: Uuid,
    pub(crate) partitions: usize,
    pub(crate) is_internal: bool,
}

/// Topics, offsets, configs.
impl Client {
    /// The versions of the APIs that the broker lists, by key.
    pub(crate) fn api_versions(&mut self) -> io::Result<BTreeMap<i16, (i16, i16)>> {
        let request = api_versions::Request {
            client_software_name: CLIENT_ID.into(),
            client_software_version: "1".into(),
        };
        let sent = self.try_send(3, &request)?;
        let answer = self.try_receive(sent)?;
        let view = view!(api_versions, answer);
        assert_eq!(code(view.error_code), ErrorCode::None);
        Ok(view.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect())
    }

    /// Answers the topic's id.
    #[track_caller]
    pub(crate) fn create_topic(&mut self, name: &str, partitions: i32) -> Uuid {
        self.create_topic_with(name, partitions, &[])
            .unwrap_or_else(|code| panic!("creating {name}: {code:?}"))
    }

    pub(crate) fn create_topic_with(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<Uuid, ErrorCode> {
        let config = |(name, value): &(&str, &str)| create_topics::CreatableTopicConfig {
            name: name.to_string().into(),
            value: Some(value.to_string().into()),
        };
        let topic = create_topics::CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: -1,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let request =
            create_topics::Request { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
        let answer = self.call(7, &request);
        let view = view!(create_topics, answer);
        let result = view.topics.iter().next().expect("one topic");
        match code(result.error_code) {
            ErrorCode::None => Ok(result.topic_id),
            code => Err(code),
        }
    }

    pub(crate) fn delete_topic(&mut self, name: &str) -> ErrorCode {
        let state = delete_topics::DeleteTopicState { name: Some(name.into()), ..Default::default() };
        let request =
            delete_topics::Request { topics: vec![state], timeout_ms: 30_000, ..Default::default() };
        let answer = self.call(6, &request);
        let view = view!(delete_topics, answer);
        code(view.responses.iter().next().expect("one topic").error_code)
    }

    /// One topic by name, which Metadata may not create.
    pub(crate) fn topic(&mut self, name: &str) -> Result<TopicFacts, ErrorCode> {
        self.topic_at(12, name, false)
    }

    pub(crate) fn topic_at(
        &mut self,
        version: i16,
        name: &str,
        create: bool,
    ) -> Result<TopicFacts, ErrorCode> {
        let topic = metadata::MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let request = metadata::Request {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let answer = self.call(version, &request);
        let view = view!(metadata, answer);
        let topic = view.topics.iter().next().expect("one topic");
        match code(topic.error_code) {
            ErrorCode::None => {
                let sound = topic.partitions.iter().all(|p| code(p.error_code) == ErrorCode::None);
                assert!(sound, "{name} has partitions with errors");
                let (id, partitions) = (topic.topic_id, topic.partitions.len());
                Ok(TopicFacts { id, partitions, is_internal: topic.is_internal })
            }
            code => Err(code),
        }
    }

    /// Names of all topics.
    pub(crate) fn topics(&mut self) -> Vec<String> {
        let answer = self.call(12, &metadata::Request { topics: None, ..Default::default() });
        let view = view!(metadata, answer);
        view.topics.iter().filter_map(|topic| topic.name.map(str::to_owned)).collect()
    }

    /// Offset and timestamp; -1 latest, -2 earliest, -3 the largest timestamp, or a time.
    #[track_caller]
    pub(crate) fn list_offset(&mut self, topic: &str, partition: i32, timestamp: i64) -> (i64, i64) {
        let asked = list_offsets::ListOffsetsPartition {
            partition_index: partition,
            current_leader_epoch: -1,
            timestamp,
        };
        let topic = list_offsets::ListOffsetsTopic { name: topic.into(), partitions: vec![asked] };
        let request = list_offsets::Request { replica_id: -1, topics: vec![topic], ..Default::default() };
        let answer = self.call(7, &request);
        let view = view!(list_offsets, answer);
        let topic = view.topics.iter().next().expect("one topic");
        let found = topic.partitions.iter().next().expect("one partition");
        assert_eq!(code(found.error_code), ErrorCode::None);
        (found.offset, found.timestamp)
    }

    /// The new log start offset.
    pub(crate) fn delete_records(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<i64, ErrorCode> {
        let asked = delete_records::DeleteRecordsPartition { partition_index: partition, offset };
        let topic = delete_records::DeleteRecordsTopic { name: topic.into(), partitions: vec![asked] };
        let answer = self.call(2, &delete_records::Request { topics: vec![topic], timeout_ms: 30_000 });
        let view = view!(delete_records, answer);
        let topic = view.topics.iter().next().expect("one topic");
        let deleted = topic.partitions.iter().next().expect("one partition");
        match code(deleted.error_code) {
            ErrorCode::None => Ok(deleted.low_watermark),
            code => Err(code),
        }
    }

    /// The epoch found and its end offset.
    pub(crate) fn epoch_end(
        &mut self,
        topic: &str,
        partition: i32,
        current: i32,
        epoch: i32,
    ) -> Result<(i32, i64), ErrorCode> {
        let asked = offset_for_leader_epoch::OffsetForLeaderPartition {
            partition,
            current_leader_epoch: current,
            leader_epoch: epoch,
        };
        let topic =
            offset_for_leader_epoch::OffsetForLeaderTopic { topic: topic.into(), partitions: vec![asked] };
        let answer = self.call(4, &offset_for_leader_epoch::Request { replica_id: -1, topics: vec![topic] });
        let view = view!(offset_for_leader_epoch, answer);
        let topic = view.topics.iter().next().expect("one topic");
        let found = topic.partitions.iter().next().expect("one partition");
        match code(found.error_code) {
            ErrorCode::None => Ok((found.leader_epoch, found.end_offset)),
            code => Err(code),
        }
    }

    pub(crate) fn topic_configs(&mut self, topic: &str) -> BTreeMap<String, Config> {
        self.configs(TOPIC, topic)
    }

    /// Of the one broker there is.
    pub(crate) fn broker_config(&mut self, key: &str) -> Config {
        self.configs(BROKER, "1").remove(key).unwrap_or_else(|| panic!("{key} is no key of a broker"))
    }

    fn configs(&mut self, resource_type: i8, name: &str) -> BTreeMap<String, Config> {
        let resource = describe_configs::DescribeConfigsResource {
            resource_type,
            resource_name: name.into(),
            configuration_keys: None,
        };
        let request = describe_configs::Request { resources: vec![resource], ..Default::default() };
        let answer = self.call(4, &request);
        let view = view!(describe_configs, answer);
        let result = view.results.iter().next().expect("one resource");
        assert_eq!(code(result.error_code), ErrorCode::None);
        let config = |entry: describe_configs::DescribeConfigsResourceResultView<'_>| {
            let value = entry.value.map(str::to_owned);
            (entry.name.to_owned(), Config { value, source: entry.config_source, read_only: entry.read_only })
        };
        result.configs.iter().map(config).collect()
    }

    /// IncrementalAlterConfigs: 0 set, 1 delete, 2 append, 3 subtract.
    pub(crate) fn alter_topic(
        &mut self,
        topic: &str,
        key: &str,
        operation: i8,
        value: Option<&str>,
    ) -> ErrorCode {
        let config = incremental_alter_configs::AlterableConfig {
            name: key.into(),
            config_operation: operation,
            value: value.map(Into::into),
        };
        let resource = incremental_alter_configs::AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: topic.into(),
            configs: vec![config],
        };
        let request = incremental_alter_configs::Request { resources: vec![resource], validate_only: false };
        let answer = self.call(1, &request);
        let view = view!(incremental_alter_configs, answer);
        code(view.responses.iter().next().expect("one resource").error_code)
    }

    /// Waits until a partition has a record at an offset.
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self, topic: &str, partition: i32, end: i64) {
        wait_for(&format!("{topic}-{partition} ends at {end}"), PATIENCE, || {
            (self.list_offset(topic, partition, -1).0 >= end).then_some(())
        });
    }
}
