//! Messages on their way to other brokers: a queue and a lane for each. What cannot be sent is dropped, the node says it
//! again.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use coordinator::raft::{Message, codec};
use model::BrokerId;
use replication::{
    Runtime,
    transport::{Lane, LinkError},
};
use rt::notify::Notify;

use crate::edges::Reach;

/// Of one other broker. The oldest goes first.
const QUEUE_MAX: usize = 1000;
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(320);

pub(crate) struct Outbox {
    runtime: Rc<dyn Runtime>,
    reach: Rc<dyn Reach>,
    queues: RefCell<BTreeMap<BrokerId, Rc<Queue>>>,
}

#[derive(Default)]
struct Queue {
    messages: RefCell<VecDeque<Message>>,
    some: Notify,
    told: Cell<bool>,
}

impl Outbox {
    pub(crate) fn new(runtime: Rc<dyn Runtime>, reach: Rc<dyn Reach>) -> Self {
        Self { runtime, reach, queues: RefCell::default() }
    }

    pub(crate) fn send(&self, message: Message) {
        let queue = self.queue(message.to);
        let mut messages = queue.messages.borrow_mut();
        if messages.len() == QUEUE_MAX {
            messages.pop_front();
        }
        messages.push_back(message);
        drop(messages);
        queue.some.wake_all();
    }

    fn queue(&self, to: BrokerId) -> Rc<Queue> {
        if let Some(queue) = self.queues.borrow().get(&to) {
            return queue.clone();
        }
        let queue = Rc::new(Queue::default());
        self.queues.borrow_mut().insert(to, queue.clone());
        let (runtime, reach, sending) = (self.runtime.clone(), self.reach.clone(), queue.clone());
        self.runtime.spawn(Box::pin(async move { sending.run(&*runtime, &*reach, to).await }));
        queue
    }
}

impl Queue {
    async fn run(&self, runtime: &dyn Runtime, reach: &dyn Reach, to: BrokerId) {
        let mut pause = PAUSE_FIRST;
        loop {
            match reach.lane(to).await {
                Ok(lane) => {
                    (pause, _) = (PAUSE_FIRST, self.told.take());
                    let ended = self.send_all(lane).await;
                    tracing::debug!(broker = %to, error = %ended, "a lane of the consensus ended");
                }
                Err(error) => {
                    if !self.told.replace(true) {
                        tracing::info!("{error}; trying again");
                    }
                }
            }
            // They are old by now.
            self.messages.borrow_mut().clear();
            runtime.sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn send_all(&self, mut lane: Lane) -> LinkError {
        loop {
            let message = self.next().await;
            if let Err(error) = lane.sender.send(&[&codec::encode(&message)]).await {
                return error;
            }
        }
    }

    async fn next(&self) -> Message {
        loop {
            let some = self.some.wait();
            if let Some(message) = self.messages.borrow_mut().pop_front() {
                return message;
            }
            some.await;
        }
    }
}
