//! One record of the metadata log.
//!
//! ```text
//!   0  format version  1   1
//!   1  kind            1   which struct follows
//!   2  archive         n   rkyv, validated before anything of it is used
//! ```
//! Each kind is its own archive, so a new kind never moves the bytes of another. A kind's struct, and every type inside
//! it, is frozen: one field or variant more may move all the others, so a change is a new kind with a new number, and
//! the old one is still read. Kind numbers are never reused. What is inside has been on a disk or on a network: `decode` trusts none of it.

use model::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};
use rkyv::{
    Archive, Archived, Deserialize, Place, Resolver, Serialize,
    rancor::{Error, Fallible},
    with::{ArchiveWith, DeserializeWith, Map, SerializeWith},
};

/// First byte of every record.
pub const FORMAT_VERSION: u8 = 1;
/// No record is larger. A config value is bounded far below this, so only damage or an attack gets here.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

const HEADER_BYTES: usize = 2;

/// Why bytes are no metadata record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadRecord {
    #[error("the record has {0} bytes and needs at least 2")]
    Truncated(usize),
    #[error("the record has {0} bytes, more than a metadata record may have")]
    TooLarge(usize),
    #[error("format version {0} is not known here: a newer broker wrote this record")]
    UnknownVersion(u8),
    #[error("record kind {0} is not known here: a newer broker wrote this record")]
    UnknownKind(u8),
    #[error("the archive of a record of kind {0} is damaged")]
    Damaged(u8),
}

/// Gives `MetadataRecord`, its kind numbers, and both directions of the codec, from one list.
macro_rules! records {
    ($($(#[$doc:meta])* $kind:literal $variant:ident($body:ty);)*) => {
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum MetadataRecord { $($(#[$doc])* $variant($body),)* }

        impl MetadataRecord {
            pub fn kind(&self) -> u8 {
                match self { $(Self::$variant(_) => $kind,)* }
            }

            fn encode_body(&self) -> Result<rkyv::util::AlignedVec, Error> {
                match self { $(Self::$variant(body) => rkyv::to_bytes::<Error>(body),)* }
            }

            fn decode_body(kind: u8, bytes: &[u8]) -> Result<Self, BadRecord> {
                match kind {
                    $($kind => rkyv::from_bytes::<$body, Error>(bytes).map(Self::$variant),)*
                    unknown => return Err(BadRecord::UnknownKind(unknown)),
                }
                .map_err(|_| BadRecord::Damaged(kind))
            }
        }
    };
}

records! {
    /// Says nothing. A new leader writes one to learn what is committed.
    0 NoOp(NoOpRecord);
    /// A topic begins; its partitions follow.
    1 Topic(TopicRecord);
    /// What kind 9 was before partitions had more than one replica: still read, no longer written.
    2 Partition(PartitionRecord);
    /// A topic ends, with its partitions and its configs.
    3 RemoveTopic(RemoveTopicRecord);
    /// One config key is set or removed.
    4 Config(ConfigRecord);
    /// Producer ids below `next` are handed out and never come back.
    5 ProducerIds(ProducerIdsRecord);
    /// What kind 10 was before brokers had peers: still read, no longer written.
    6 Broker(BrokerRecord);
    /// A finalized feature level.
    7 FeatureLevel(FeatureLevelRecord);
    /// One quota of one entity is set or removed.
    8 ClientQuota(ClientQuotaRecord);
    /// A partition begins or changes: the whole state, not the difference.
    9 PartitionState(PartitionStateRecord);
    /// A broker registers or changes its registration.
    10 BrokerRegistration(BrokerRegistrationRecord);
    /// A broker is forgotten.
    11 UnregisterBroker(UnregisterBrokerRecord);
}

impl MetadataRecord {
    /// # Panics
    /// If the record is larger than `RECORD_BYTES_MAX`: the controller bounds everything that goes into one.
    pub fn encode(&self) -> Vec<u8> {
        let body = self.encode_body().expect("an archive in memory cannot fail");
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(&[FORMAT_VERSION, self.kind()]);
        bytes.extend_from_slice(&body);
        assert!(bytes.len() <= RECORD_BYTES_MAX, "a metadata record of {} bytes", bytes.len());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(BadRecord::TooLarge(bytes.len()));
        }
        match bytes {
            [FORMAT_VERSION, kind, body @ ..] => Self::decode_body(*kind, body),
            [version, _, ..] => Err(BadRecord::UnknownVersion(*version)),
            short => Err(BadRecord::Truncated(short.len())),
        }
    }
}

#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct NoOpRecord {}

#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct TopicRecord {
    #[rkyv(with = Raw)]
    pub id: TopicId,
    pub name: String,
}

#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct PartitionRecord {
    #[rkyv(with = Raw)]
    pub topic: TopicId,
    #[rkyv(with = Raw)]
    pub index: PartitionIndex,
    /// None: no replica may lead at the moment.
    #[rkyv(with = Map<Raw>)]
    pub leader: Option<BrokerId>,
    #[rkyv(with = Raw)]
    pub leader_epoch: LeaderEpoch,
    /// In order of preference: the first leads when it can.
    #[rkyv(with = Map<Raw>)]
    pub replicas: Vec<BrokerId>,
    #[rkyv(with = Map<Raw>)]
    pub isr: Vec<BrokerId>,
    /// Rises by one with every change of this partition, so that a late proposal can be told from a fresh one.
    pub partition_epoch: i32,
}

#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct RemoveTopicRecord {
    #[rkyv(with = Raw)]
    pub id: TopicId,
}

#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct ConfigRecord {
    pub resource: ConfigResource,
    pub key: String,
    /// None deletes the key.
    pub value: Option<String>,
}

/// Whose configs these are.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ConfigResource {
    Topic(String),
    Broker(#[rkyv(with = Raw)] BrokerId),
    /// Every broker that has no value of its own (the broker named "" in requests).
    DefaultBroker,
    Group(String),
}

#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct ProducerIdsRecord {
    #[rkyv(with = Raw)]
    pub next: ProducerId,
}

#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct BrokerRecord {
    #[rkyv(with = Raw)]
    pub id: BrokerId,
    /// Random for each start of the process: a new one begins a new epoch.
    pub incarnation: [u8; 16],
    pub rack: Option<String>,
    pub endpoints: Vec<Endpoint>,
    /// A fenced broker leads nothing and is given no replicas.
    pub fenced: bool,
}

/// Where clients reach a broker on one of its listeners.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    pub listener: String,
    pub protocol: SecurityProtocol,
    /// Empty in `listeners` (every interface), never empty in `advertised.listeners`.
    pub host: String,
    pub port: u16,
}

#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct FeatureLevelRecord {
    pub name: String,
    pub level: i16,
}

#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct ClientQuotaRecord {
    pub entity: QuotaEntity,
    pub key: String,
    /// The bits of a float64. None removes the quota.
    pub value: Option<u64>,
}

/// Whose quota it is. Kafka's entity types in the combinations that it allows.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum QuotaEntity {
    User(QuotaName),
    ClientId(QuotaName),
    UserClientId(QuotaName, QuotaName),
    Ip(QuotaName),
}

#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum QuotaName {
    /// Everybody of the type who has no quota under his own name.
    Default,
    Named(String),
}

#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct PartitionStateRecord {
    #[rkyv(with = Raw)]
    pub topic: TopicId,
    #[rkyv(with = Raw)]
    pub index: PartitionIndex,
    /// None: no replica may lead at the moment.
    #[rkyv(with = Map<Raw>)]
    pub leader: Option<BrokerId>,
    #[rkyv(with = Raw)]
    pub leader_epoch: LeaderEpoch,
    /// In order of preference: the first leads when it can.
    #[rkyv(with = Map<Raw>)]
    pub replicas: Vec<BrokerId>,
    #[rkyv(with = Map<Raw>)]
    pub isr: Vec<BrokerId>,
    /// Replicas that the reassignment under way brings; they are among `replicas`.
    #[rkyv(with = Map<Raw>)]
    pub adding_replicas: Vec<BrokerId>,
    /// Replicas that go when it is done; they are among `replicas` until then.
    #[rkyv(with = Map<Raw>)]
    pub removing_replicas: Vec<BrokerId>,
    /// Eligible leader replicas (KIP-966): out of sync, and yet with everything that was committed.
    #[rkyv(with = Map<Raw>)]
    pub elr: Vec<BrokerId>,
    /// Who led last, while nobody leads.
    #[rkyv(with = Map<Raw>)]
    pub last_known_leader: Option<BrokerId>,
    /// Rises by one with every change of this partition, so that a late proposal can be told from a fresh one.
    pub partition_epoch: i32,
}

#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct BrokerRegistrationRecord {
    #[rkyv(with = Raw)]
    pub id: BrokerId,
    /// Random for each start of the process: a new one begins a new epoch.
    pub incarnation: [u8; 16],
    pub rack: Option<String>,
    pub endpoints: Vec<Endpoint>,
    /// A fenced broker leads nothing and is given no replicas.
    pub fenced: bool,
    /// On its way down: it may finish what it leads, and is given nothing new.
    pub in_controlled_shutdown: bool,
    /// None: a broker that is alone.
    pub peer: Option<PeerAddress>,
    /// Drawn once for each data folder: with another one the broker has lost what it had. Zero: it does not say.
    pub directory_id: [u8; 16],
}

/// Where the other brokers reach this one.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PeerAddress {
    pub host: String,
    /// UDP, of shard 0; shard n is at `port + n`.
    pub port: u16,
    pub shards: u16,
}

#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct UnregisterBrokerRecord {
    #[rkyv(with = Raw)]
    pub id: BrokerId,
}

/// Archives an id of `model` as the number or bytes inside it, so that `model` need not know rkyv.
pub struct Raw;

macro_rules! raw {
    ($($id:ident($inner:ty);)*) => {$(
        impl ArchiveWith<$id> for Raw {
            type Archived = Archived<$inner>;
            type Resolver = Resolver<$inner>;
            fn resolve_with(id: &$id, resolver: Self::Resolver, out: Place<Self::Archived>) {
                id.0.resolve(resolver, out);
            }
        }
        impl<S: Fallible + ?Sized> SerializeWith<$id, S> for Raw {
            fn serialize_with(id: &$id, serializer: &mut S) -> Result<Self::Resolver, S::Error> {
                id.0.serialize(serializer)
            }
        }
        impl<D: Fallible + ?Sized> DeserializeWith<Archived<$inner>, $id, D> for Raw {
            fn deserialize_with(archived: &Archived<$inner>, from: &mut D) -> Result<$id, D::Error> {
                archived.deserialize(from).map($id)
            }
        }
    )*};
}

raw! {
    BrokerId(i32);
    PartitionIndex(i32);
    LeaderEpoch(i32);
    ProducerId(i64);
    TopicId([u8; 16]);
}

#[cfg(test)]
pub(crate) mod tests;
