//! Proposals on their way to the controller's broker and back, many at a time on one lane.
//!
//! ```text
//!   frame: number 8 | proposal, or what became of it
//! ```

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use engine::Disk;
use model::BrokerId;
use net::{Proposal, control::CONTROL_SHARD};
use replication::transport::{Lane, LaneReceiver, LaneSender, LinkError};
use rt::{notify::Notify, oneshot::Tx};
use rustc_hash::FxHashMap;

use super::{Control, Decided, wire};
use crate::serve::peers::{Peers, Purpose};

/// As large as a client's request may be, and what a proposal adds to it.
const FRAME_BYTES_MAX: usize = (100 << 20) + 4096;
const NUMBER_BYTES: usize = 8;

#[derive(Debug)]
pub enum CallError {
    /// Nothing was sent.
    NotSent(String),
    /// Only a broker that is the controller itself can propose it.
    NotForOthers,
    /// The lane ended before an answer came.
    Unknown,
}

pub struct Calls {
    peers: Rc<Peers>,
    lanes: RefCell<BTreeMap<BrokerId, Rc<CallLane>>>,
}

/// Frames that wait to be sent.
#[derive(Default)]
struct Outgoing {
    frames: RefCell<VecDeque<Vec<u8>>>,
    some: Notify,
    closed: Cell<bool>,
}

struct CallLane {
    outgoing: Outgoing,
    next: Cell<u64>,
    waiting: RefCell<FxHashMap<u64, Tx<Option<Decided>>>>,
}

/// Among those that wait for an answer.
struct Place<'a> {
    lane: &'a CallLane,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.lane.waiting.borrow_mut().remove(&self.number);
    }
}

impl Calls {
    pub fn new(peers: Rc<Peers>) -> Self {
        Self { peers, lanes: RefCell::default() }
    }

    /// `None`: that broker is not the controller. From when `sent` is true on it may have an effect, also if nobody waits for
    /// the answer any more.
    pub async fn call(
        &self,
        broker: BrokerId,
        proposal: &Proposal,
        sent: &Cell<bool>,
    ) -> Result<Option<Decided>, CallError> {
        let body = wire::encode_proposal(proposal).ok_or(CallError::NotForOthers)?;
        let known = self.lanes.borrow().get(&broker).filter(|lane| !lane.outgoing.closed.get()).cloned();
        let lane = match known {
            Some(lane) => lane,
            None => self.open(broker).await?,
        };
        let number = lane.next.replace(lane.next.get() + 1);
        let (tx, rx) = rt::oneshot();
        lane.waiting.borrow_mut().insert(number, tx);
        let _place = Place { lane: &lane, number };
        lane.outgoing.push(framed(number, &body));
        sent.set(true);
        rx.await.ok_or(CallError::Unknown)
    }

    async fn open(&self, broker: BrokerId) -> Result<Rc<CallLane>, CallError> {
        let opened = self.peers.open(broker, CONTROL_SHARD, Purpose::Control).await;
        let Lane { sender, receiver } = opened.map_err(|error| CallError::NotSent(error.to_string()))?;
        let lane = Rc::new(CallLane {
            outgoing: Outgoing::default(),
            next: Cell::new(0),
            waiting: RefCell::default(),
        });
        self.lanes.borrow_mut().insert(broker, lane.clone());
        let sending = lane.clone();
        rt::spawn(async move { drop(sending.outgoing.send_all(sender).await) });
        let receiving = lane.clone();
        rt::spawn(async move {
            drop(receiving.receive_all(receiver).await);
            receiving.outgoing.close();
            // Whoever waits hears that nobody answers any more.
            receiving.waiting.take();
        });
        Ok(lane)
    }
}

impl CallLane {
    async fn receive_all(&self, mut receiver: LaneReceiver) -> Result<(), LinkError> {
        while let Some(frame) = receiver.receive(FRAME_BYTES_MAX).await? {
            let Some((number, answer)) = unframed(&frame) else { return Ok(()) };
            let Some(decided) = wire::decode_answer(answer) else { return Ok(()) };
            if let Some(tx) = self.waiting.borrow_mut().remove(&number) {
                drop(tx.send(decided));
            }
        }
        Ok(())
    }
}

impl Outgoing {
    fn push(&self, frame: Vec<u8>) {
        self.frames.borrow_mut().push_back(frame);
        self.some.wake_all();
    }

    fn close(&self) {
        self.closed.set(true);
        self.some.wake_all();
    }

    async fn send_all(&self, mut sender: LaneSender) -> Result<(), LinkError> {
        loop {
            let some = self.some.wait();
            let next = self.frames.borrow_mut().pop_front();
            match next {
                Some(frame) => {
                    if let Err(error) = sender.send(&[&frame]).await {
                        self.close();
                        return Err(error);
                    }
                }
                None if self.closed.get() => return Ok(()),
                None => some.await,
            }
        }
    }
}

fn framed(number: u64, body: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], body].concat()
}

fn unframed(frame: &[u8]) -> Option<(u64, &[u8])> {
    let (number, body) = frame.split_first_chunk::<NUMBER_BYTES>()?;
    Some((u64::from_be_bytes(*number), body))
}

impl<D: Disk> Control<D> {
    /// What another broker proposes here, until its lane ends.
    pub async fn serve_calls(self: Rc<Self>, broker: BrokerId, lane: Lane) {
        let Lane { sender, mut receiver } = lane;
        let outgoing = Rc::new(Outgoing::default());
        let sending = outgoing.clone();
        rt::spawn(async move { drop(sending.send_all(sender).await) });
        while let Ok(Some(frame)) = receiver.receive(FRAME_BYTES_MAX).await {
            let proposal =
                unframed(&frame).and_then(|(number, body)| Some((number, wire::decode_proposal(body)?)));
            let Some((number, proposal)) = proposal else {
                tracing::warn!(%broker, "it proposes something that is not known here; is it newer?");
                break;
            };
            if !speaks_for_itself(broker, &proposal) {
                tracing::warn!(%broker, "it speaks for another broker, and is not heard");
                break;
            }
            let (this, outgoing) = (self.clone(), outgoing.clone());
            rt::spawn(async move {
                let decided = this.serve_call(proposal).await;
                outgoing.push(framed(number, &wire::encode_answer(decided.as_ref())));
            });
        }
        outgoing.close();
    }
}

/// Its certificate says who it is.
fn speaks_for_itself(broker: BrokerId, proposal: &Proposal) -> bool {
    match proposal {
        Proposal::RegisterBroker(asked) => asked.id == broker,
        Proposal::Heartbeat(heartbeat) => heartbeat.broker == broker,
        Proposal::AlterPartition(asked) => asked.broker == broker,
        Proposal::ReportDamage(asked) => asked.broker == broker,
        _ => true,
    }
}
