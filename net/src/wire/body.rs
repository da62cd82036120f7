//! Whole bodies and whole frames.

use std::ops::RangeInclusive;

use super::api_key::ApiKey;
use super::array::Element;
use super::format::Format;
use super::header::{RequestHeader, ResponseHeader};
use super::reader::{Malformed, Reader};
use super::writer::{Encode, Writer};

/// What one API's schema says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiFacts {
    pub key: ApiKey,
    /// The versions that can be read and written.
    pub versions: RangeInclusive<i16>,
    /// The lowest version to list for clients that look for old ones; those below `versions` are refused when used.
    pub listed_from: i16,
    pub flexible_from: i16,
}

/// A request that can be written.
pub trait RequestBody: Encode {
    const KEY: ApiKey;
    const VERSIONS: RangeInclusive<i16>;
    const FLEXIBLE_FROM: i16;
}

/// An answer that can be written.
pub trait ResponseBody: Encode {
    const KEY: ApiKey;
    const VERSIONS: RangeInclusive<i16>;
    const FLEXIBLE_FROM: i16;
}

/// Writes a whole frame: length, header, body. The length counts the record data that is left out as holes.
pub fn write_response<B: ResponseBody>(body: &B, version: i16, correlation_id: i32, writer: &mut Writer) {
    let start = writer.begin_frame();
    ResponseHeader { correlation_id }.encode(B::KEY, version, writer);
    encode(body, version, &B::VERSIONS, B::FLEXIBLE_FROM, writer);
    writer.end_frame(start);
}

/// Writes a whole frame, for those who speak as a client.
pub fn write_request<B: RequestBody>(
    body: &B,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    writer: &mut Writer,
) {
    let start = writer.begin_frame();
    let header = RequestHeader { api_key: B::KEY.code(), api_version: version, correlation_id, client_id };
    header.encode(writer);
    encode(body, version, &B::VERSIONS, B::FLEXIBLE_FROM, writer);
    writer.end_frame(start);
}

/// One pass over the whole body: afterwards no walk through the view can fail. Bytes behind the last field are ignored, as
/// Apache Kafka ignores them: librdkafka 2.15 ends a Metadata 13 request with a field that this version no longer has.
pub(super) fn decode<'a, T: Element<'a>>(
    body: &'a [u8],
    version: i16,
    versions: &RangeInclusive<i16>,
    flexible_from: i16,
) -> Result<T, Malformed> {
    if !versions.contains(&version) {
        return Err(Malformed { at: 0 });
    }
    let mut reader = Reader::new(body, Format::new(version, flexible_from));
    T::read(&mut reader)
}

pub(super) fn encode<T: Encode>(
    body: &T,
    version: i16,
    versions: &RangeInclusive<i16>,
    flexible_from: i16,
    writer: &mut Writer,
) {
    assert!(versions.contains(&version), "version {version} is outside {versions:?}");
    writer.set_format(Format::new(version, flexible_from));
    body.write(writer);
}
