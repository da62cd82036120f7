//! The network between brokers and clients: everything takes time, and any direction may be cut. Lanes are
//! in order and lose nothing while they live; one that is dark for the idle timeout fails, on each side in its time.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

use bytes::Bytes;
use replication::transport::{
    LinkError,
    memory::{self, Wire},
};
use rt::notify::Notify;

use super::scheduler::{Owner, Scheduler, WORLD};
use crate::random::Random;

/// A link that hears nothing for so long is over.
pub const IDLE_US: u64 = 400_000;

pub type Change = Rc<dyn Fn(Bytes) -> Bytes>;

pub struct Network {
    scheduler: Scheduler,
    random: RefCell<Random>,
    delay_us: u64,
    cuts: RefCell<BTreeSet<(Owner, Owner)>>,
    /// Dead or stopped: they say nothing.
    silent: RefCell<BTreeSet<Owner>>,
    changed: Notify,
    links: RefCell<Vec<Rc<Link>>>,
}

struct Link {
    /// Who sends on which wire, and to whom.
    ways: [(Owner, Owner); 2],
    wires: [Wire; 2],
    over: Cell<bool>,
}

impl Network {
    pub fn new(scheduler: Scheduler, seed: u64, delay_us: u64) -> Rc<Self> {
        Rc::new(Self {
            scheduler,
            random: RefCell::new(Random::stream(seed, "network")),
            delay_us,
            cuts: RefCell::default(),
            silent: RefCell::default(),
            changed: Notify::new(),
            links: RefCell::default(),
        })
    }

    pub fn cut(&self, from: Owner, to: Owner) {
        self.cuts.borrow_mut().insert((from, to));
    }

    pub fn mend(&self, from: Owner, to: Owner) {
        self.cuts.borrow_mut().remove(&(from, to));
        self.changed.wake_all();
    }

    pub fn mend_all(&self) {
        self.cuts.borrow_mut().clear();
        self.changed.wake_all();
    }

    pub fn set_silent(&self, owner: Owner, silent: bool) {
        let mut all = self.silent.borrow_mut();
        if silent {
            all.insert(owner)
        } else {
            all.remove(&owner)
        };
        drop(all);
        self.changed.wake_all();
    }

    fn is_open(&self, from: Owner, to: Owner) -> bool {
        !self.cuts.borrow().contains(&(from, to)) && !self.silent.borrow().contains(&from)
    }

    fn below(&self, end: u64) -> u64 {
        self.random.borrow_mut().below(end.max(1))
    }

    async fn delay(&self) {
        let us = self.below(self.delay_us);
        self.scheduler.clock().sleep_us(us).await;
    }

    /// A message on its way; false: it never arrives.
    pub async fn travel(&self, from: Owner, to: Owner) -> bool {
        let leaves = self.is_open(from, to);
        self.delay().await;
        leaves && self.is_open(from, to)
    }

    /// Whoever waits for an answer that will not come sees it some time later.
    pub async fn notice(&self) {
        let us = self.below(IDLE_US);
        self.scheduler.clock().sleep_us(us).await;
    }

    /// Returns when nothing has come through between two for as long as a link may be dark.
    pub async fn dark(&self, one: Owner, other: Owner) {
        let (mut dark_us, step) = (0, IDLE_US / 4);
        while dark_us < IDLE_US {
            self.scheduler.clock().sleep_us(step).await;
            let open = self.is_open(one, other) && self.is_open(other, one);
            dark_us = if open { 0 } else { dark_us + step };
        }
    }

    /// A handshake: there, and back. Without an answer it takes as long as one may.
    pub async fn shake_hands(&self, from: Owner, to: Owner) -> bool {
        let done = self.travel(from, to).await && self.travel(to, from).await;
        if !done {
            self.scheduler.clock().sleep_us(IDLE_US).await;
        }
        done
    }

    /// A lane from one to the other. `changes` see each frame as it arrives: there, and back.
    pub fn lane(
        self: &Rc<Self>,
        from: Owner,
        to: Owner,
        window_bytes: usize,
        changes: [Change; 2],
    ) -> (replication::transport::Lane, replication::transport::Lane) {
        let (near, far, wires) = memory::pair(window_bytes);
        let link = Rc::new(Link { ways: [(from, to), (to, from)], wires, over: Cell::new(false) });
        self.links.borrow_mut().push(link.clone());
        for (way, change) in changes.into_iter().enumerate() {
            let (this, link) = (self.clone(), link.clone());
            self.scheduler.spawn(WORLD, Box::pin(async move { this.carry(&link, way, &change).await }));
        }
        let this = self.clone();
        self.scheduler.spawn(WORLD, Box::pin(async move { this.watch(&link).await }));
        (near, far)
    }

    async fn carry(&self, link: &Link, way: usize, change: &Change) {
        let (from, to) = link.ways[way];
        let wire = &link.wires[way];
        while wire.under_way().await {
            self.delay().await;
            loop {
                let changed = self.changed.wait();
                if link.over.get() {
                    return;
                }
                if self.is_open(from, to) {
                    break;
                }
                changed.await;
            }
            wire.arrive(|frame| change(frame));
        }
        if way == 0 {
            // The follower has gone or was told to: nothing is left to carry.
            self.forget(link);
        }
    }

    /// Ends the link once a direction was dark for too long.
    async fn watch(&self, link: &Link) {
        let mut dark_us = [0; 2];
        let step = IDLE_US / 4;
        while !link.over.get() {
            self.scheduler.clock().sleep_us(step).await;
            for (way, dark) in dark_us.iter_mut().enumerate() {
                let (from, to) = link.ways[way];
                *dark = if self.is_open(from, to) { 0 } else { *dark + step };
                if *dark >= IDLE_US {
                    self.end(link, to).await;
                    return;
                }
            }
        }
    }

    /// One side sees it first, the other some time later.
    async fn end(&self, link: &Link, first: Owner) {
        if link.over.replace(true) {
            return;
        }
        self.changed.wake_all();
        self.forget(link);
        let [(one, other), _] = link.ways;
        fail(link, first);
        self.scheduler.clock().sleep_us(self.below(IDLE_US)).await;
        fail(link, if first == one { other } else { one });
    }

    fn forget(&self, link: &Link) {
        self.links.borrow_mut().retain(|known| !std::ptr::eq(&raw const **known, link));
    }

    /// A lane fails, though the network is well.
    pub fn break_some(self: &Rc<Self>) {
        let count = self.links.borrow().len();
        if count == 0 {
            return;
        }
        let at = self.below(count as u64) as usize;
        let link = self.links.borrow()[at].clone();
        let first = link.ways[self.below(2) as usize].0;
        let this = self.clone();
        self.scheduler.spawn(WORLD, Box::pin(async move { this.end(&link, first).await }));
    }

    /// Nothing of a broker's lanes arrives from now on, and the others notice in their time.
    pub fn drop_links_of(self: &Rc<Self>, owner: Owner) {
        let links = self.links.borrow().clone();
        for link in links.into_iter().filter(|link| link.ways[0].0 == owner || link.ways[0].1 == owner) {
            link.over.set(true);
            self.forget(&link);
            let this = self.clone();
            self.scheduler.spawn(
                WORLD,
                Box::pin(async move {
                    let us = this.below(IDLE_US);
                    this.scheduler.clock().sleep_us(us).await;
                    let [(one, other), _] = link.ways;
                    fail(&link, if owner == one { other } else { one });
                }),
            );
        }
        self.changed.wake_all();
    }
}

fn fail(link: &Link, side: Owner) {
    let error = || LinkError::Broken { peer: ([127, 0, 0, 1], 1).into(), reason: "it is over".to_owned() };
    for (wire, (from, to)) in link.wires.iter().zip(link.ways) {
        if from == side {
            wire.fail_sender(error());
        }
        if to == side {
            wire.fail_receiver(error());
        }
    }
}
