//! The way from one shard to the shards of other brokers: where they are, links to them, and what stands on the lanes of
//! a link.
//!
//! ```text
//!   first frame of a lane: version 1 | what 1 | broker epoch 8      1 consensus, 2 control, 3 replication,
//!                                                              4 snapshot of the metadata
//! ```
//! A broker opens links to where it wants to say something, and answers on those that others open: between two shards
//! there may be two.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::Future,
    net::{SocketAddr, ToSocketAddrs},
    pin::Pin,
    rc::Rc,
    sync::Arc,
};

use coordinator::{Image, Quorum, metadata::PeerAddress, raft::Position};
use model::{BrokerId, ShardId};
use net::control::CONTROL_SHARD;
use quorum::{Doing, NoSnapshot, Reach};
use replication::{
    stream::{Dial, NoLane},
    transport::{Endpoint, Lane, LinkError, PeerLink},
};
use rt::notify::Notify;

use super::{news::News, snapshot_lane};

const VERSION: u8 = 1;

/// What a lane is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Messages of the consensus, one way.
    Consensus,
    /// Proposals and what became of them.
    Control,
    /// A follower asks, the leader sends.
    Replication,
    /// The metadata up to some offset, for who lacks the log before it.
    Snapshot,
}

impl Purpose {
    fn code(self) -> u8 {
        match self {
            Self::Consensus => 1,
            Self::Control => 2,
            Self::Replication => 3,
            Self::Snapshot => 4,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        let all = [Self::Consensus, Self::Control, Self::Replication, Self::Snapshot];
        all.into_iter().find(|purpose| purpose.code() == code)
    }

    /// The consensus never waits behind anything, and control never behind data.
    fn priority(self) -> i32 {
        match self {
            Self::Consensus => 2,
            Self::Control => 1,
            Self::Replication | Self::Snapshot => 0,
        }
    }
}

/// A lane that another broker opened.
pub struct Opened {
    pub broker: BrokerId,
    /// Its broker epoch, as it says; -1 before it has registered.
    pub epoch: i64,
    pub purpose: Purpose,
    pub lane: Lane,
}

/// Where brokers are: as they registered, as the file names the voters, and where they last spoke from. Before
/// anything of the metadata is known to be committed, also as the log on this broker's disk says: the file need not name
/// all who vote by now, and without them nothing is ever committed.
struct Directory {
    voters: Vec<coordinator::VoterAddress>,
    image: Arc<Image>,
    remembered: BTreeMap<BrokerId, PeerAddress>,
    /// Brokers say what the consensus needs from the address where they listen for it. So one that joins is answered
    /// before it has registered.
    met: BTreeMap<BrokerId, SocketAddr>,
}

impl Directory {
    /// To be tried in this order: who has moved is not where it was when it registered.
    fn candidates(&self, broker: BrokerId) -> Vec<(String, u16)> {
        let registered = self.image.broker(broker).and_then(|broker| broker.peer.as_ref());
        let registered = registered.map(|peer| (peer.host.clone(), peer.port));
        let configured = self.voters.iter().find(|voter| voter.id == broker);
        let configured = configured.map(|voter| (voter.host.clone(), voter.port));
        let remembered = self.remembered.get(&broker).map(|peer| (peer.host.clone(), peer.port));
        let met = self.met.get(&broker).map(|address| (address.ip().to_string(), address.port()));
        registered.into_iter().chain(configured).chain(met).chain(remembered).collect()
    }

    fn epoch_of(&self, (broker, incarnation): (BrokerId, [u8; 16])) -> i64 {
        let known = self.image.broker(broker).filter(|broker| broker.incarnation == incarnation);
        known.map_or(-1, |broker| broker.epoch)
    }
}

#[derive(Default)]
struct Slot {
    link: RefCell<Option<PeerLink>>,
    dialing: std::cell::Cell<bool>,
    changed: Notify,
}

/// While it is there, others wait for the outcome. Whoever dials may lose interest in the middle; one of them dials then.
struct Dialing<'a>(&'a Slot);

impl<'a> Dialing<'a> {
    fn begin(slot: &'a Slot) -> Self {
        slot.dialing.set(true);
        Self(slot)
    }
}

impl Drop for Dialing<'_> {
    fn drop(&mut self) {
        self.0.dialing.set(false);
        self.0.changed.wake_all();
    }
}

pub struct Peers {
    /// This broker and its incarnation.
    own: (BrokerId, [u8; 16]),
    endpoint: Rc<Endpoint>,
    directory: RefCell<Directory>,
    links: RefCell<BTreeMap<(BrokerId, ShardId), Rc<Slot>>>,
    news: RefCell<News>,
}

impl Peers {
    pub fn new(
        own: (BrokerId, [u8; 16]),
        endpoint: Rc<Endpoint>,
        quorum: &Quorum,
        image: Arc<Image>,
    ) -> Rc<Self> {
        let (remembered, met) = Default::default();
        let directory = Directory { voters: quorum.voters.clone(), image, remembered, met };
        let (links, news) = Default::default();
        Rc::new(Self { own, endpoint, directory: RefCell::new(directory), links, news })
    }

    /// Where they were when this broker last ran.
    pub fn remember(&self, addresses: BTreeMap<BrokerId, PeerAddress>) {
        self.directory.borrow_mut().remembered = addresses;
    }

    pub fn follow(&self, image: Arc<Image>) {
        let mut directory = self.directory.borrow_mut();
        let before = directory.epoch_of(self.own);
        directory.image = image;
        let now = directory.epoch_of(self.own);
        drop(directory);
        // What its lanes say of this broker is over: whoever counts on it there would be refused.
        if before >= 0 && now != before {
            self.links.borrow().values().filter_map(|slot| slot.link.take()).for_each(|link| link.close());
        }
    }

    /// A link that lives, dialed if there is none. Whoever comes while it is dialed waits for the same one.
    pub async fn link(&self, broker: BrokerId, shard: ShardId) -> Result<PeerLink, NoLane> {
        let slot = self.links.borrow_mut().entry((broker, shard)).or_default().clone();
        loop {
            let changed = slot.changed.wait();
            let known = slot.link.borrow().clone();
            match known {
                Some(link) if !link.is_closed() => return Ok(link),
                _ if slot.dialing.get() => changed.await,
                _ => break,
            }
        }
        let dialing = Dialing::begin(&slot);
        let dialed = self.dial(broker, shard).await;
        slot.link.replace(dialed.as_ref().ok().cloned());
        drop(dialing);
        dialed
    }

    /// Told is what became of the first address.
    async fn dial(&self, broker: BrokerId, shard: ShardId) -> Result<PeerLink, NoLane> {
        let candidates = self.directory.borrow().candidates(broker);
        let (mut tried, mut failure) = (Vec::new(), None);
        for (host, port) in candidates {
            let outcome = match resolve(broker, host, port, shard).await {
                Ok(address) if tried.contains(&address) => continue,
                Ok(address) => {
                    tried.push(address);
                    let told = |error: LinkError| NoLane(format!("broker {broker} at {address}: {error}"));
                    self.endpoint.connect(address, broker).await.map_err(told)
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(link) => return Ok(link),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        Err(failure.unwrap_or_else(|| NoLane(format!("nobody knows where broker {broker} is"))))
    }

    /// A lane of its own on the link there.
    pub async fn open(&self, broker: BrokerId, shard: ShardId, purpose: Purpose) -> Result<Lane, NoLane> {
        let link = self.link(broker, shard).await?;
        let told = |error: LinkError| NoLane(format!("broker {broker}: {error}"));
        let mut lane = link.open(purpose.priority()).await.map_err(told)?;
        let epoch = self.directory.borrow().epoch_of(self.own);
        if purpose == Purpose::Replication && epoch < 0 {
            return Err(NoLane("this broker has not registered yet".to_owned()));
        }
        lane.sender.send(&[&[VERSION, purpose.code()], &epoch.to_be_bytes()]).await.map_err(told)?;
        Ok(lane)
    }

    /// Takes what other brokers open, for ever: `serve` gets each lane with what it is for. One task a shard.
    pub async fn accept<F, S>(self: Rc<Self>, serve: S)
    where
        S: Fn(Opened) -> F + Clone + 'static,
        F: Future<Output = ()> + 'static,
    {
        while let Some(accepted) = self.endpoint.accept().await {
            match accepted {
                Ok(link) => {
                    let (this, serve) = (self.clone(), serve.clone());
                    rt::spawn(async move { this.accept_lanes(link, serve).await });
                }
                Err(error) => {
                    let sentence = error.to_string();
                    if self.news.borrow_mut().is_news(&sentence, rt::timer::elapsed()) {
                        tracing::warn!("a connection between brokers was refused: {sentence}");
                    }
                }
            }
        }
    }

    async fn accept_lanes<F, S>(self: Rc<Self>, link: PeerLink, serve: S)
    where
        S: Fn(Opened) -> F + Clone + 'static,
        F: Future<Output = ()> + 'static,
    {
        let (broker, address) = (link.broker(), link.address());
        while let Ok(mut lane) = link.accept().await {
            let (this, serve) = (self.clone(), serve.clone());
            rt::spawn(async move {
                let Ok(Some(hello)) = lane.receiver.receive(64).await else { return };
                let Some((purpose, epoch)) = read_hello(&hello) else {
                    tracing::warn!(%broker, "it opened a lane for something that is not known here; is it newer?");
                    return;
                };
                if purpose == Purpose::Consensus {
                    this.directory.borrow_mut().met.insert(broker, address);
                }
                serve(Opened { broker, epoch, purpose, lane }).await;
            });
        }
    }

    pub async fn close(&self) {
        self.endpoint.close().await;
    }
}

/// The address of one of a broker's shards.
async fn resolve(broker: BrokerId, host: String, port: u16, shard: ShardId) -> Result<SocketAddr, NoLane> {
    let port =
        port.checked_add(shard.0).ok_or_else(|| NoLane(format!("there is no port {port} + {shard}")))?;
    let name = host.clone();
    let resolved = rt::blocking(move || -> std::io::Result<Option<SocketAddr>> {
        Ok((name.trim_matches(['[', ']']), port).to_socket_addrs()?.next())
    });
    match resolved.await {
        Ok(Some(address)) => Ok(address),
        Ok(None) => Err(NoLane(format!("the name {host} of broker {broker} has no address"))),
        Err(error) => Err(NoLane(format!("the name {host} of broker {broker}: {error}"))),
    }
}

/// What the lane is for, and the broker epoch that the other side says it has.
fn read_hello(bytes: &[u8]) -> Option<(Purpose, i64)> {
    let (version, rest) = bytes.split_first()?;
    let (code, rest) = rest.split_first()?;
    let epoch = i64::from_be_bytes(*rest.first_chunk()?);
    (*version == VERSION).then_some((Purpose::of_code(*code)?, epoch))
}

impl Dial for Peers {
    fn lane(
        &self,
        leader: BrokerId,
        shard: ShardId,
    ) -> Pin<Box<dyn Future<Output = Result<Lane, NoLane>> + '_>> {
        Box::pin(self.open(leader, shard, Purpose::Replication))
    }
}

impl Reach for Peers {
    fn lane(&self, to: BrokerId) -> Doing<'_, Result<Lane, NoLane>> {
        Box::pin(self.open(to, CONTROL_SHARD, Purpose::Consensus))
    }

    fn snapshot(&self, of: BrokerId) -> Doing<'_, Result<(Position, Vec<u8>), NoSnapshot>> {
        Box::pin(async move { Ok(snapshot_lane::fetch(self, of).await?) })
    }
}
