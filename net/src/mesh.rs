//! Between shards: the messages, and who waits for which answer.
//!
//! Every shard has one `Asks`. An ask of this shard's own partitions is a plain call into its `Owner`; any other goes
//! as one message to the owner, and the answer comes back as one. Messages of a pair of shards arrive in the order
//! sent. Three things lean on that:
//! - batches of one connection are appended in the order sent, whoever owns the partition;
//! - a new metadata image reaches a shard before the outcome of the proposal that made it;
//! - `Forget` never overtakes the ask it means.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use coordinator::Image;
use engine::Disk;
use model::{Offset, ShardId};
use rt::oneshot::{Rx, Tx};
use rustc_hash::FxHashMap;

use crate::{
    ask::{Answer, Ask},
    control::{Outcome, Proposal},
    metrics::Snapshot,
    owner::{AskId, Owner, ReplyTo},
    transit::Transit,
};

/// What one shard says to another. Numbers are the asker's own.
#[derive(Debug)]
pub enum Message {
    Ask(u64, Ask),
    Answer(u64, Answer),
    /// Nobody waits for that answer any more.
    Forget(u64),
    /// The sender has taken in this many bytes of asks.
    Taken(usize),
    /// To shard 0, where the metadata is decided.
    Propose(u64, Proposal),
    Decided(u64, Outcome),
    /// From shard 0: the metadata from now on.
    Image(Arc<Image>),
    /// The sender has no room for more work, or has it again.
    Pressed(bool),
    /// To shard 0: the sender acts on everything up to this offset of the metadata.
    Applied(Offset),
    /// From shard 0: what do you count? The number is the asker's own.
    Scrape(u64),
    Scraped(u64, Box<Snapshot>),
}

/// The way to the other shards. Sending never waits; when too much waits to be sent, a shard stops taking in work. What
/// it sends nevertheless ends work under way, and is bounded with it: asks by `transit`, which counts their bytes;
/// answers by the asks, and what records they hold by the budget of pages; the rest is small, and of each request one.
pub trait Link {
    fn send(&self, to: ShardId, message: Message);
    fn is_clogged(&self) -> bool;
    fn unclogged(&self) -> Pin<Box<dyn Future<Output = ()> + '_>>;
}

impl Link for rt::Mesh<Message> {
    fn send(&self, to: ShardId, message: Message) {
        rt::Mesh::send(self, to, message);
    }
    fn is_clogged(&self) -> bool {
        rt::Mesh::is_clogged(self)
    }
    fn unclogged(&self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(rt::Mesh::unclogged(self))
    }
}

/// The asks of one shard that are under way.
pub struct Asks<D: Disk> {
    shard: ShardId,
    owner: Rc<Owner<D>>,
    link: Rc<dyn Link>,
    transit: Rc<Transit>,
    waiting: RefCell<FxHashMap<u64, Tx<Answer>>>,
    next: Cell<u64>,
}

impl<D: Disk> Asks<D> {
    pub(crate) fn new(shard: ShardId, owner: Rc<Owner<D>>, link: Rc<dyn Link>, transit: Rc<Transit>) -> Self {
        Self { shard, owner, link, transit, waiting: RefCell::default(), next: Cell::new(0) }
    }

    /// Asks the owner of partitions. The order of asks is the order of calls: it is fixed before anything is awaited.
    pub fn ask(self: &Rc<Self>, owner: ShardId, ask: Ask) -> Asked<D> {
        let number = self.next.replace(self.next.get() + 1);
        let (tx, rx) = rt::oneshot();
        if owner == self.shard {
            let id = AskId { from: self.shard, number };
            self.owner.start(id, ask, ReplyTo::Here(tx));
        } else {
            self.waiting.borrow_mut().insert(number, tx);
            self.transit.sent(ask.bytes());
            self.link.send(owner, Message::Ask(number, ask));
        }
        Asked { asks: self.clone(), owner, number, answer: Some(rx) }
    }

    pub(crate) fn answered(&self, number: u64, answer: Answer) {
        // Nobody may wait any more: the answer crossed with the `Forget`.
        if let Some(tx) = self.waiting.borrow_mut().remove(&number) {
            drop(tx.send(answer));
        }
    }

    fn forget(&self, owner: ShardId, number: u64) {
        if owner == self.shard {
            return self.owner.forget(AskId { from: self.shard, number });
        }
        self.waiting.borrow_mut().remove(&number);
        self.link.send(owner, Message::Forget(number));
    }
}

/// An ask under way. Dropped before the answer came, the owner is told that nobody waits; what was appended stays.
#[must_use = "an ask is forgotten when it is dropped"]
pub struct Asked<D: Disk> {
    asks: Rc<Asks<D>>,
    owner: ShardId,
    number: u64,
    answer: Option<Rx<Answer>>,
}

impl<D: Disk> Asked<D> {
    pub fn owner(&self) -> ShardId {
        self.owner
    }
}

impl<D: Disk> Future for Asked<D> {
    /// `None`: the owner never answers; the process is about to end.
    type Output = Option<Answer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let rx = self.answer.as_mut().expect("polled after its end");
        let answer = std::task::ready!(Pin::new(rx).poll(cx));
        self.answer = None;
        Poll::Ready(answer)
    }
}

impl<D: Disk> Drop for Asked<D> {
    fn drop(&mut self) {
        if self.answer.take().is_some() {
            self.asks.forget(self.owner, self.number);
        }
    }
}
