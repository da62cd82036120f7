//! Endpoints on loopback, two or three on one shard.

use std::{
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use model::{BrokerId, Timestamp};
use rt::{ExecutorOptions, Shard, timer};

use super::*;

mod handshake;
mod lanes;
mod losses;

const DAY: Duration = Duration::from_secs(86_400);

/// Runs `test` on a shard of its own; one that hangs fails instead.
fn on_shard<Fut: Future<Output = ()> + 'static>(test: impl FnOnce(Shard) -> Fut + Send + 'static) {
    let options = ExecutorOptions { page_bytes: 16 << 20, pin: false, ..ExecutorOptions::default() };
    let run = async move |shard| timer::timeout(Duration::from_secs(30), test(shard)).await;
    rt::run_single(options, run).expect("a shard starts").expect("the test ends in time");
}

/// A CA and what is needed to be one of its cluster.
struct Cluster {
    authority: Authority,
    ca: String,
}

impl Cluster {
    fn new(id: u8) -> Self {
        let made = Authority::make(ClusterId::from_bytes([id; 16]), timer::wall(), 10 * DAY);
        let (authority, issued) = made.unwrap();
        Self { authority, ca: issued.certificate }
    }

    fn identity(&self, broker: i32) -> Identity {
        let now = timer::wall();
        self.identity_of(&self.authority.issue(BrokerId(broker), now, DAY).unwrap(), now)
    }

    fn identity_of(&self, issued: &Issued, now: Timestamp) -> Identity {
        Identity::from_pem(self.ca.as_bytes(), issued.certificate.as_bytes(), issued.key.as_bytes(), now)
            .unwrap()
    }
}

/// Without the large buffers: the tests are many, and the kernel's limit is its own business.
fn options() -> EndpointOptions {
    EndpointOptions { receive_buffer_bytes: 200 << 10, send_buffer_bytes: 0, ..EndpointOptions::default() }
}

fn bind(shard: &Shard, identity: &Identity) -> Rc<Endpoint> {
    Endpoint::bind(&shard.ring, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), identity, options()).unwrap()
}

/// Both ends of a link that `left` dials.
async fn link(left: &Endpoint, right: &Endpoint, broker: i32) -> (PeerLink, PeerLink) {
    let dialled = left.connect(right.local_address(), BrokerId(broker));
    let (dialled, accepted) = futures_lite::future::zip(dialled, right.accept()).await;
    (dialled.unwrap(), accepted.unwrap().unwrap())
}
