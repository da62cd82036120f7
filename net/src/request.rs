//! One request as a connection hands it to a handler: owned, so that a handler may keep it while it waits.

use std::{
    cell::RefCell,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

use bytes::Bytes;
use coordinator::Refusal;

use crate::{
    quotas::PeerQuota,
    wire::{ApiKey, Malformed, RequestHeader},
};

/// Who sits at the other end of a connection.
#[derive(Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// The name of the listener it came in on: answers name addresses of that listener.
    pub listener: Rc<str>,
    /// The address it reached us by, for listeners that advertise none.
    pub local: IpAddr,
    /// As told by ApiVersions.
    software: RefCell<Option<String>>,
    /// What quotas say of this connection.
    pub(crate) quota: PeerQuota,
}

impl Peer {
    pub fn new(address: SocketAddr, listener: Rc<str>, local: IpAddr) -> Self {
        Self { address, listener, local, software: RefCell::default(), quota: PeerQuota::default() }
    }

    /// Nobody proves who he is yet.
    pub fn user(&self) -> &'static str {
        "ANONYMOUS"
    }

    pub fn set_software(&self, name: &str, version: &str) {
        *self.software.borrow_mut() = Some(format!("{name} {version}"));
    }

    /// For logs.
    pub fn software(&self) -> String {
        self.software.borrow().clone().unwrap_or_else(|| "unnamed".to_owned())
    }
}

/// What of a request is found again in its answer.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub version: i16,
    pub correlation_id: i32,
}

impl From<&Request> for Head {
    fn from(request: &Request) -> Self {
        request.head()
    }
}

#[derive(Clone, Debug)]
pub struct Request {
    pub key: i16,
    pub version: i16,
    pub correlation_id: i32,
    pub peer: Rc<Peer>,
    client_id: Option<Bytes>,
    body: Bytes,
    frame: Bytes,
    /// Why the controller will not decide about it.
    in_vain: Option<Refusal>,
}

impl Request {
    /// Reads the head of a frame (without its length).
    pub fn read(frame: Bytes, peer: Rc<Peer>) -> Result<Self, Malformed> {
        let (header, body) = RequestHeader::decode(&frame)?;
        Ok(Self {
            key: header.api_key,
            version: header.api_version,
            correlation_id: header.correlation_id,
            peer,
            client_id: header.client_id.map(|id| frame.slice_ref(id.as_bytes())),
            body: frame.slice_ref(body),
            frame,
            in_vain: None,
        })
    }

    /// The controller was asked in vain: the request is answered with this, where its answer has errors.
    pub(crate) fn refused(self, refusal: Refusal) -> Self {
        Self { in_vain: Some(refusal), ..self }
    }

    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        self.in_vain.as_ref()
    }

    /// Head and body.
    pub fn frame_bytes(&self) -> usize {
        self.frame.len()
    }

    /// Head and body, counted.
    pub fn frame(&self) -> Bytes {
        self.frame.clone()
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn client_id(&self) -> &str {
        let id = self.client_id.as_ref().map_or(&[][..], |id| id);
        std::str::from_utf8(id).expect("checked when the head was read")
    }

    /// A part of the body, counted: record bytes cross shards so, without a copy.
    pub fn share(&self, part: &[u8]) -> Bytes {
        if part.is_empty() { Bytes::new() } else { self.body.slice_ref(part) }
    }

    /// What an answer needs of the request: whoever waits long keeps this and lets go of the frame.
    pub fn head(&self) -> Head {
        Head { version: self.version, correlation_id: self.correlation_id }
    }

    /// For logs.
    pub fn api_name(&self) -> &'static str {
        ApiKey::from_code(self.key).map_or("unknown", ApiKey::name)
    }
}
