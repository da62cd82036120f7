//! The Kafka wire codec: pure, on every shard, without IO or clock. It knows what the bytes of each message are and
//! nothing of what they mean.
//!
//! - **Reading** borrows. [`RequestHeader::decode`] splits a frame into head and body; a view's `decode` validates the
//!   whole body in one pass: lengths, counts, text, tagged fields. Fields of a view are plain
//!   values, `&str` and slices of the frame; an [`Array`] is parsed again as it is walked, and cannot fail. Nothing is
//!   allocated, whatever the frame declares. Fields that the version lacks hold the protocol's defaults.
//! - **Writing** takes structs: `Default` holds the protocol's defaults, text is a `Cow`, fields that the version lacks
//!   are left out. A null where the version allows none is written as empty. [`write_response`] makes a whole frame.
//! - **Record data** of an answer is a [`RecordsRef`]; the [`Writer`] leaves a [`Hole`] for it and counts its bytes in
//!   the frame's length.
//!
//! A module per API stands in [`messages`], generated from `net/schema` by `cargo run -p net --bin generate`. Its
//! `RequestView`, `ResponseView` and the structs in them are read, its `Request`, `Response` and theirs are written.
//!
//! ```
//! use net::wire::messages::fetch;
//! use net::wire::{ApiKey, RecordsRef, RequestHeader, Writer, write_request, write_response};
//!
//! // A client asks.
//! let partition = fetch::FetchPartition { partition: 3, fetch_offset: 40, ..Default::default() };
//! let topic = fetch::FetchTopic { topic: "logs".into(), partitions: vec![partition], ..Default::default() };
//! let mut sent = Writer::new();
//! write_request(&fetch::Request { topics: vec![topic], ..Default::default() }, 11, 1, None, &mut sent);
//!
//! // The broker reads: the frame without its length.
//! let (header, body) = RequestHeader::decode(&sent.bytes()[4..])?;
//! assert_eq!(ApiKey::from_code(header.api_key), Some(ApiKey::Fetch));
//! let request = fetch::RequestView::decode(body, header.api_version)?;
//!
//! // It answers with 100 bytes of records that stay where they are.
//! let mut response = fetch::Response::default();
//! for topic in request.topics.iter() {
//!     let partitions = topic.partitions.iter().map(|partition| fetch::PartitionData {
//!         partition_index: partition.partition,
//!         high_watermark: 41,
//!         records: Some(RecordsRef { bytes: 100, slot: 0 }),
//!         ..Default::default()
//!     });
//!     response.responses.push(fetch::FetchableTopicResponse {
//!         topic: topic.topic.into(),
//!         partitions: partitions.collect(),
//!         ..Default::default()
//!     });
//! }
//! let mut writer = Writer::new();
//! write_response(&response, header.api_version, header.correlation_id, &mut writer);
//! assert_eq!(writer.holes().len(), 1);
//! assert_eq!(writer.total_bytes(), writer.bytes().len() + 100);
//! # Ok::<(), net::wire::Malformed>(())
//! ```

pub mod api_key;
pub mod array;
pub mod body;
pub mod format;
pub mod header;
pub mod limits;
pub mod messages;
pub mod reader;
pub mod records;
pub mod writer;

pub use api_key::ApiKey;
pub use array::Array;
pub use body::{ApiFacts, RequestBody, ResponseBody, write_request, write_response};
pub use header::{RequestHeader, ResponseHeader};
pub use reader::{Malformed, Reader};
pub use records::{Hole, RecordsRef};
pub use writer::{Encode, Writer};

/// 128 bits as sent: topic ids, directory ids.
pub type Uuid = [u8; 16];
