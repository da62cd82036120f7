//! Messages between shards.
//!
//! Every pair of shards has a bounded channel in each direction, wired once at the start. Sending never blocks: what
//! the channel does not take waits in a local queue, in order, and a pump moves it on. While too much waits the mesh
//! is *clogged*, and the shard must stop taking in work (stop reading its sockets) until it is not: awaiting a send
//! while holding work is how two shards that flood each other would stand still.
//!
//! So the local queue has no end of its own. What is sent into a clogged mesh belongs to work that was taken in before:
//! it is bounded by what a shard takes in, and what those messages hold only the shard knows to count.
//!
//! FIFO per pair: messages from one shard to another arrive in the order they were sent. Nothing orders messages of
//! different pairs.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::Rc,
    sync::{Arc, Mutex},
};

use glommio::{
    GlommioError, ResourceType,
    channels::shared_channel::{self, ConnectedReceiver, ConnectedSender, SharedReceiver, SharedSender},
};
use model::ShardId;

use crate::{executor, notify::Notify};

/// Messages a channel holds before the sender's local queue is used.
const CHANNEL_MESSAGES: usize = 1024;
/// Messages waiting for all other shards together from which on the mesh is clogged.
pub const CLOGGED_MESSAGES: usize = 4096;
/// Messages that have arrived but not been received; beyond it they stay in the channels.
const INBOX_MESSAGES_MAX: usize = 4096;

/// Made in the process before the shards start; clones go to every shard, and each joins once.
pub struct MeshBuilder<M: Send + 'static> {
    seats: Arc<Mutex<Vec<Option<Seat<M>>>>>,
}

/// The unconnected ends of one shard, by peer; none towards itself.
struct Seat<M: Send + 'static> {
    senders: Vec<Option<SharedSender<M>>>,
    receivers: Vec<Option<SharedReceiver<M>>>,
}

impl<M: Send + 'static> MeshBuilder<M> {
    pub fn new(shard_count: usize) -> Self {
        Self::with_capacity(shard_count, CHANNEL_MESSAGES)
    }

    /// As `new`, with room for `messages` in each channel.
    pub fn with_capacity(shard_count: usize, messages: usize) -> Self {
        let seat = |_| Seat {
            senders: (0..shard_count).map(|_| None).collect(),
            receivers: (0..shard_count).map(|_| None).collect(),
        };
        let mut seats: Vec<Seat<M>> = (0..shard_count).map(seat).collect();
        for from in 0..shard_count {
            for to in (0..shard_count).filter(|&to| to != from) {
                let (sender, receiver) = shared_channel::new_bounded(messages);
                seats[from].senders[to] = Some(sender);
                seats[to].receivers[from] = Some(receiver);
            }
        }
        Self { seats: Arc::new(Mutex::new(seats.into_iter().map(Some).collect())) }
    }

    /// Takes this shard's place. Returns when every other shard has taken its own.
    pub async fn join(&self, shard: ShardId) -> Mesh<M> {
        let seat = {
            let mut seats = self.seats.lock().expect("no panic while the seats are locked");
            seats[usize::from(shard.0)].take().expect("a shard joins once")
        };
        let (senders, receivers) = connect(seat).await;
        let mesh = Mesh(Rc::new(State {
            shard,
            links: senders.into_iter().map(Link::new).collect(),
            waiting: Cell::new(0),
            unclogged: Notify::new(),
            inbox: RefCell::default(),
            arrived: Notify::new(),
            received: Notify::new(),
        }));
        for (from, receiver) in receivers.into_iter().enumerate() {
            if let Some(receiver) = receiver {
                executor::spawn_uncounted(pump_in(mesh.clone(), ShardId(from as u16), receiver));
            }
        }
        for to in (0..mesh.0.links.len()).filter(|&to| mesh.0.links[to].sender.is_some()) {
            executor::spawn_uncounted(pump_out(mesh.clone(), to));
        }
        mesh
    }
}

impl<M: Send + 'static> Clone for MeshBuilder<M> {
    fn clone(&self) -> Self {
        Self { seats: self.seats.clone() }
    }
}

type Connected<M> = (Vec<Option<Rc<ConnectedSender<M>>>>, Vec<Option<ConnectedReceiver<M>>>);

/// Both ends of a channel wait for each other. Every shard meets its peers in the same, ascending order, so there is
/// no circle of shards that wait: in a circle a, b, c, where each waits for the next, each next would have to be
/// larger. The two channels of a pair are met together.
async fn connect<M: Send + 'static>(seat: Seat<M>) -> Connected<M> {
    let connect_sender = async |sender: Option<SharedSender<M>>| match sender {
        Some(sender) => Some(Rc::new(sender.connect().await)),
        None => None,
    };
    let connect_receiver = async |receiver: Option<SharedReceiver<M>>| match receiver {
        Some(receiver) => Some(receiver.connect().await),
        None => None,
    };
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for (sender, receiver) in seat.senders.into_iter().zip(seat.receivers) {
        let (sender, receiver) =
            futures_lite::future::zip(connect_sender(sender), connect_receiver(receiver)).await;
        senders.push(sender);
        receivers.push(receiver);
    }
    (senders, receivers)
}

/// One shard's place among all.
pub struct Mesh<M: Send + 'static>(Rc<State<M>>);

struct State<M: Send + 'static> {
    shard: ShardId,
    links: Vec<Link<M>>,
    /// Messages in all overflow queues.
    waiting: Cell<usize>,
    unclogged: Notify,
    inbox: RefCell<VecDeque<(ShardId, M)>>,
    arrived: Notify,
    received: Notify,
}

/// Towards one other shard.
struct Link<M: Send + 'static> {
    sender: Option<Rc<ConnectedSender<M>>>,
    overflow: RefCell<VecDeque<M>>,
    /// The pump holds the message before those in `overflow`.
    pumping: Cell<bool>,
    overflowing: Notify,
}

impl<M: Send + 'static> Link<M> {
    fn new(sender: Option<Rc<ConnectedSender<M>>>) -> Self {
        Self { sender, overflow: RefCell::default(), pumping: Cell::new(false), overflowing: Notify::new() }
    }

    fn try_send(&self, message: M) -> Result<(), M> {
        if self.pumping.get() || !self.overflow.borrow().is_empty() {
            return Err(message);
        }
        let sender = self.sender.as_ref().expect("a link leads to another shard");
        sender.try_send(message).or_else(|e| match e {
            GlommioError::WouldBlock(ResourceType::Channel(message)) => Err(message),
            // The other shard has ended, and with it the process is about to.
            _ => Ok(()),
        })
    }
}

impl<M: Send + 'static> Mesh<M> {
    pub fn shard(&self) -> ShardId {
        self.0.shard
    }

    pub fn shard_count(&self) -> usize {
        self.0.links.len()
    }

    /// Never blocks. To this shard itself too: that message comes out of `recv` like any other.
    pub fn send(&self, to: ShardId, message: M) {
        if to == self.0.shard {
            return self.arrive(to, message);
        }
        let link = &self.0.links[usize::from(to.0)];
        if let Err(message) = link.try_send(message) {
            link.overflow.borrow_mut().push_back(message);
            self.0.waiting.set(self.0.waiting.get() + 1);
            link.overflowing.wake_one();
        }
    }

    /// Too much waits: take in no more work.
    pub fn is_clogged(&self) -> bool {
        self.0.waiting.get() > CLOGGED_MESSAGES
    }

    pub async fn unclogged(&self) {
        loop {
            let changed = self.0.unclogged.wait();
            if !self.is_clogged() {
                return;
            }
            changed.await;
        }
    }

    /// The next message and where it came from. May be dropped without losing any. For one task.
    pub async fn recv(&self) -> (ShardId, M) {
        loop {
            let arrived = self.0.arrived.wait();
            if let Some(message) = self.try_recv() {
                return message;
            }
            arrived.await;
        }
    }

    pub fn try_recv(&self) -> Option<(ShardId, M)> {
        let mut inbox = self.0.inbox.borrow_mut();
        let message = inbox.pop_front();
        if inbox.len() < INBOX_MESSAGES_MAX && self.0.received.waiter_count() > 0 {
            self.0.received.wake_all();
        }
        message
    }

    fn arrive(&self, from: ShardId, message: M) {
        self.0.inbox.borrow_mut().push_back((from, message));
        self.0.arrived.wake_one();
    }
}

impl<M: Send + 'static> Clone for Mesh<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Send + 'static> fmt::Debug for Mesh<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mesh(shard {} of {}, {} waiting)", self.0.shard, self.shard_count(), self.0.waiting.get())
    }
}

async fn pump_in<M: Send + 'static>(mesh: Mesh<M>, from: ShardId, receiver: ConnectedReceiver<M>) {
    while let Some(message) = receiver.recv().await {
        loop {
            let received = mesh.0.received.wait();
            if mesh.0.inbox.borrow().len() < INBOX_MESSAGES_MAX {
                break;
            }
            received.await;
        }
        mesh.arrive(from, message);
        executor::yield_if_needed().await;
    }
}

async fn pump_out<M: Send + 'static>(mesh: Mesh<M>, to: usize) {
    let link = &mesh.0.links[to];
    let Some(sender) = link.sender.clone() else { return };
    loop {
        let overflowing = link.overflowing.wait();
        let Some(message) = link.overflow.borrow_mut().pop_front() else {
            overflowing.await;
            continue;
        };
        link.pumping.set(true);
        let outcome = sender.send(message).await;
        link.pumping.set(false);
        mesh.0.waiting.set(mesh.0.waiting.get() - 1);
        if !mesh.is_clogged() && mesh.0.unclogged.waiter_count() > 0 {
            mesh.0.unclogged.wake_all();
        }
        if outcome.is_err() {
            return;
        }
        executor::yield_if_needed().await;
    }
}
