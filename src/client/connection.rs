//! One socket to one broker, with the versions that broker speaks. Requests may be pipelined: answers come in the order
//! of the requests, which Kafka promises for a connection.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use model::ErrorCode;
use net::wire::{ApiKey, RequestBody, ResponseHeader, Writer, messages::api_versions, write_request};

use super::error::{ClientError, Result};

pub const CLIENT_ID: &str = "tailrace";
/// Above this a length field is no frame of a Kafka broker.
const FRAME_BYTES_MAX: usize = 1 << 30;
/// Reserved for a frame before its bytes are there.
const FRAME_BYTES_EAGER: usize = 64 << 20;

pub struct Connection {
    address: String,
    stream: TcpStream,
    versions: Vec<Served>,
    next_correlation_id: i32,
    writer: Writer,
}

/// Versions of one API that the broker serves.
#[derive(Clone, Copy)]
struct Served {
    key: i16,
    min: i16,
    max: i16,
}

/// A request that has been sent; its answer is still to come.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    correlation_id: i32,
    api: ApiKey,
    version: i16,
}

/// The body of an answer, and the version to read it with.
pub struct Answer {
    frame: Vec<u8>,
    body_at: usize,
    pub version: i16,
}

impl Answer {
    pub fn body(&self) -> &[u8] {
        &self.frame[self.body_at..]
    }
}

impl Connection {
    /// Connects and asks what the broker speaks.
    pub fn open(address: &str, timeout: Duration) -> Result<Self> {
        let unreachable = |source| ClientError::Unreachable { address: address.to_owned(), source };
        let stream = connect(address, timeout).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        stream.set_read_timeout(Some(timeout)).map_err(unreachable)?;
        stream.set_write_timeout(Some(timeout)).map_err(unreachable)?;
        let mut this = Self {
            address: address.to_owned(),
            stream,
            versions: Vec::new(),
            next_correlation_id: 0,
            writer: Writer::new(),
        };
        this.negotiate()?;
        Ok(this)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Does the broker know this API at all?
    pub fn serves(&self, api: ApiKey) -> bool {
        self.versions.iter().any(|served| served.key == api.code())
    }

    /// One request and its answer, in the highest version up to `version_max` that both sides speak.
    pub fn call<B: RequestBody>(&mut self, version_max: i16, body: &B) -> Result<Answer> {
        let sent = self.send(version_max, body)?;
        self.receive(sent)
    }

    /// Sends a request without waiting for its answer.
    pub fn send<B: RequestBody>(&mut self, version_max: i16, body: &B) -> Result<Sent> {
        let version = self.version_of::<B>(version_max)?;
        self.send_as(version, body)
    }

    /// The answer to the oldest request that has none yet.
    pub fn receive(&mut self, sent: Sent) -> Result<Answer> {
        let frame = read_frame(&mut self.stream).map_err(|source| self.lost(source))?;
        let malformed = ClientError::malformed(&self.address, sent.api);
        let (header, body) = ResponseHeader::decode(&frame, sent.api, sent.version).map_err(&malformed)?;
        if header.correlation_id != sent.correlation_id {
            return Err(ClientError::Malformed { address: self.address.clone(), api: sent.api });
        }
        let body_at = frame.len() - body.len();
        Ok(Answer { body_at, frame, version: sent.version })
    }

    fn version_of<B: RequestBody>(&self, version_max: i16) -> Result<i16> {
        let none = || ClientError::NoCommonVersion { address: self.address.clone(), api: B::KEY };
        let served = self.versions.iter().find(|s| s.key == B::KEY.code()).ok_or_else(none)?;
        let version = served.max.min(version_max).min(*B::VERSIONS.end());
        if version >= served.min && B::VERSIONS.contains(&version) { Ok(version) } else { Err(none()) }
    }

    fn send_as<B: RequestBody>(&mut self, version: i16, body: &B) -> Result<Sent> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1);
        self.writer.clear();
        write_request(body, version, correlation_id, Some(CLIENT_ID), &mut self.writer);
        self.stream.write_all(self.writer.bytes()).map_err(|source| self.lost(source))?;
        Ok(Sent { correlation_id, api: B::KEY, version })
    }

    /// Asks in version 3; a broker that does not know it answers in the form of version 0 and is asked again in that.
    fn negotiate(&mut self) -> Result<()> {
        for version in [3, 0] {
            let request = api_versions::Request {
                client_software_name: CLIENT_ID.into(),
                client_software_version: env!("CARGO_PKG_VERSION").into(),
            };
            let sent = self.send_as(version, &request)?;
            let answer = self.receive(sent)?;
            let in_version = api_versions::ResponseView::decode(answer.body(), version);
            let in_oldest = || api_versions::ResponseView::decode(answer.body(), 0);
            let view = in_version
                .or_else(|_| in_oldest())
                .map_err(ClientError::malformed(&self.address, ApiKey::ApiVersions))?;
            if view.error_code == ErrorCode::UnsupportedVersion.code() && version > 0 {
                continue;
            }
            super::error::check("asking for the versions the broker speaks", view.error_code, None)?;
            let served = |v: api_versions::ApiVersionView| Served {
                key: v.api_key,
                min: v.min_version,
                max: v.max_version,
            };
            self.versions = view.api_keys.iter().map(served).collect();
            return Ok(());
        }
        Err(ClientError::NoCommonVersion { address: self.address.clone(), api: ApiKey::ApiVersions })
    }

    fn lost(&self, source: io::Error) -> ClientError {
        ClientError::Lost { address: self.address.clone(), source }
    }
}

fn connect(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is no Kafka frame"));
    }
    let mut frame = Vec::with_capacity(length.min(FRAME_BYTES_EAGER));
    let read = stream.take(length as u64).read_to_end(&mut frame)?;
    if read < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(frame) }
}
