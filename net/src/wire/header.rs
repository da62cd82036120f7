//! What stands before each body. Requests: key, version, correlation id, client id. Answers: the correlation id.

use super::api_key::ApiKey;
use super::format::Format;
use super::messages;
use super::reader::{Malformed, Reader};
use super::writer::Writer;

/// The head of a request. The key and the version are as sent: they may name nothing we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<&'a str>,
}

impl<'a> RequestHeader<'a> {
    /// Reads the head of a frame (without its length) and returns it with the body. The client id is an old-style
    /// string in every version of the header. A key we have no schema for is read in the old form.
    pub fn decode(frame: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let mut reader = Reader::new(frame, Format::PLAIN);
        let header = Self {
            api_key: reader.int16()?,
            api_version: reader.int16()?,
            correlation_id: reader.int32()?,
            client_id: reader.nullable_string()?,
        };
        if header.is_flexible() {
            reader.set_flexible();
            reader.unknown_fields()?;
        }
        Ok((header, reader.rest()))
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.set_format(Format::PLAIN);
        writer.int16(self.api_key);
        writer.int16(self.api_version);
        writer.int32(self.correlation_id);
        writer.nullable_string(self.client_id);
        if self.is_flexible() {
            writer.int8(0);
        }
    }

    fn is_flexible(&self) -> bool {
        ApiKey::from_code(self.api_key)
            .and_then(messages::facts)
            .is_some_and(|facts| self.api_version >= facts.flexible_from)
    }
}

/// The head of an answer. That of ApiVersions is always in the old form, so that a client that guessed the version
/// wrong can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHeader {
    pub correlation_id: i32,
}

impl ResponseHeader {
    pub fn decode(frame: &[u8], key: ApiKey, version: i16) -> Result<(Self, &[u8]), Malformed> {
        let mut reader = Reader::new(frame, Format { version, flexible: is_response_flexible(key, version) });
        let correlation_id = reader.int32()?;
        reader.unknown_fields()?;
        Ok((Self { correlation_id }, reader.rest()))
    }

    pub fn encode(&self, key: ApiKey, version: i16, writer: &mut Writer) {
        writer.int32(self.correlation_id);
        if is_response_flexible(key, version) {
            writer.int8(0);
        }
    }
}

fn is_response_flexible(key: ApiKey, version: i16) -> bool {
    key != ApiKey::ApiVersions && messages::facts(key).is_some_and(|facts| version >= facts.flexible_from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flexible_request_still_has_an_old_client_id() {
        let frame = [0, 3, 0, 12, 0, 0, 0, 7, 0, 2, b'm', b'e', 1, 9, 1, 0, 42];
        let (header, body) = RequestHeader::decode(&frame).unwrap();
        let expected =
            RequestHeader { api_key: 3, api_version: 12, correlation_id: 7, client_id: Some("me") };
        assert_eq!(header, expected);
        assert_eq!(body, [42]);
    }

    #[test]
    fn an_unknown_key_is_read_in_the_old_form() {
        let frame = [127, 0, 0, 12, 0, 0, 0, 7, 255, 255, 42];
        let (header, body) = RequestHeader::decode(&frame).unwrap();
        assert_eq!((header.api_key, header.client_id), (0x7f00, None));
        assert_eq!(body, [42]);
    }

    #[test]
    fn the_answer_to_api_versions_has_an_old_header() {
        let header = ResponseHeader { correlation_id: 5 };
        for (key, bytes) in [(ApiKey::ApiVersions, 4), (ApiKey::Metadata, 5)] {
            let mut writer = Writer::new();
            header.encode(key, 9, &mut writer);
            assert_eq!(writer.bytes().len(), bytes);
            assert_eq!(ResponseHeader::decode(writer.bytes(), key, 9), Ok((header, &[][..])));
        }
    }

    #[test]
    fn a_cut_header_is_malformed() {
        let frame = [0, 3, 0, 12, 0, 0, 0, 7, 0, 2, b'm', b'e', 0];
        for end in 0..frame.len() {
            assert!(RequestHeader::decode(&frame[..end]).is_err(), "{end}");
        }
    }
}
