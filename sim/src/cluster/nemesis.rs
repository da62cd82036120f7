//! Brings faults, one after another and some at once, of the kinds that the seed chose; then heals everything.

use std::rc::Rc;

use super::{
    Cluster,
    broker::Broker,
    plan::Bug,
    scheduler::{Owner, WORLD},
};
use crate::random::Random;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Cut,
    OneWayCut,
    Isolate,
    Break,
    Kill,
    PowerCut,
    Blackout,
    Pause,
    SlowDisk,
    LoseDisk,
}

pub struct Nemesis {
    cluster: Rc<Cluster>,
    random: Random,
}

impl Nemesis {
    pub fn new(cluster: Rc<Cluster>) -> Self {
        let random = Random::stream(cluster.seed, "nemesis");
        Self { cluster, random }
    }

    pub async fn run(mut self) {
        let cluster = self.cluster.clone();
        let clock = cluster.scheduler.clock().clone();
        let faults = self.faults();
        clock.sleep_ms(700).await;
        for _ in 0..cluster.plan.faults_count {
            let rest = self.random.below(cluster.plan.rest_ms) + 1;
            clock.sleep_ms(rest).await;
            if !faults.is_empty() {
                let fault = self.random.pick(&faults);
                self.bring(fault);
            }
        }
        clock.sleep_ms(700).await;
        self.heal();
    }

    fn faults(&self) -> Vec<Fault> {
        let on = &self.cluster.plan.faults;
        let all = [
            (on.cuts, Fault::Cut),
            (on.cuts, Fault::Isolate),
            (on.one_way_cuts, Fault::OneWayCut),
            (on.breaks, Fault::Break),
            (on.kills, Fault::Kill),
            (on.power_cuts, Fault::PowerCut),
            (on.blackouts, Fault::Blackout),
            (on.pauses, Fault::Pause),
            (on.slow_disks, Fault::SlowDisk),
            (on.lost_disk, Fault::LoseDisk),
        ];
        all.into_iter().filter(|(on, _)| *on).map(|(_, fault)| fault).collect()
    }

    /// Any, or more often one that matters: the controller, or who leads a partition.
    fn broker(&mut self) -> Rc<Broker> {
        let brokers = &self.cluster.brokers;
        let any = brokers[self.random.index(brokers.len())].clone();
        match self.random.below(4) {
            0 => self
                .cluster
                .controller()
                .map_or(any, |life| self.cluster.broker(life.control.consensus().id().0).clone()),
            1 => {
                let id = self.random.pick(&self.cluster.partitions);
                let image = self.cluster.ledger.image();
                let leader = image.partition(id.topic, id.partition).and_then(|placed| placed.leader);
                leader.map_or(any, |leader| self.cluster.broker(leader.0).clone())
            }
            _ => any,
        }
    }

    /// Anything but this one that it speaks with.
    fn other(&mut self, than: Owner) -> Owner {
        loop {
            let all = self.cluster.brokers.iter().map(|broker| broker.owner()).chain([WORLD]);
            let all: Vec<Owner> = all.collect();
            let other = self.random.pick(&all);
            if other != than {
                return other;
            }
        }
    }

    fn bring(&mut self, fault: Fault) {
        let cluster = self.cluster.clone();
        let broker = self.broker();
        let owner = broker.owner();
        cluster.note("fault", owner as u64, true);
        cluster.tell(|| format!("nemesis: {fault:?} {}", broker.id));
        let lasts = self.random.between(20, 2500);
        match fault {
            Fault::Cut => {
                let other = self.other(owner);
                self.cut(&[(owner, other), (other, owner)], lasts);
            }
            Fault::OneWayCut => {
                let other = self.other(owner);
                let way = if self.random.one_in(2) { (owner, other) } else { (other, owner) };
                self.cut(&[way], lasts);
            }
            Fault::Isolate => {
                let others = cluster.brokers.iter().map(|broker| broker.owner());
                let others = others.filter(|other| *other != owner);
                let ways: Vec<_> = others.flat_map(|other| [(owner, other), (other, owner)]).collect();
                self.cut(&ways, lasts);
            }
            Fault::Break => cluster.network.break_some(),
            Fault::Kill | Fault::PowerCut => self.crash(&broker, fault == Fault::PowerCut, lasts),
            Fault::Blackout => {
                for broker in cluster.brokers.clone() {
                    let lasts = self.random.between(20, 2500);
                    self.crash(&broker, true, lasts);
                }
            }
            Fault::LoseDisk => self.lose_disk(&broker, lasts),
            Fault::Pause => {
                cluster.scheduler.hold(owner);
                cluster.network.set_silent(owner, true);
                self.later(lasts, move |cluster| {
                    cluster.scheduler.resume(owner);
                    cluster.network.set_silent(owner, !cluster.broker(owner).runs.get());
                });
            }
            Fault::SlowDisk => {
                broker.disk.borrow().set_latency_us(self.random.pick(&[1000, 20_000]));
                self.later(lasts, move |cluster| cluster.broker(owner).disk.borrow().set_latency_us(0));
            }
        }
    }

    fn cut(&self, ways: &[(Owner, Owner)], lasts: u64) {
        ways.iter().for_each(|&(from, to)| self.cluster.network.cut(from, to));
        let ways = ways.to_vec();
        self.later(lasts, move |cluster| {
            ways.iter().for_each(|&(from, to)| cluster.network.mend(from, to));
        });
    }

    fn crash(&mut self, broker: &Rc<Broker>, power: bool, lasts: u64) {
        if !broker.runs.get() {
            return;
        }
        self.cluster.crash(broker, power);
        self.draw_clock(broker);
        let owner = broker.owner();
        self.later(lasts / 2, move |cluster| cluster.start(owner));
    }

    /// One disk at a time: another only when everything is on all replicas again, and what the disk counted for in the
    /// consensus is on the other voters' disks. Some are back at once, and then some cannot be reached by a leader that
    /// knows the earlier life.
    fn lose_disk(&mut self, broker: &Rc<Broker>, lasts: u64) {
        let cluster = self.cluster.clone();
        if !broker.runs.get() || !cluster.is_on_all_replicas() || !cluster.voters_agree() {
            return;
        }
        let soon = self.random.one_in(2);
        self.crash(broker, true, if soon { 40 } else { lasts });
        broker.replace_disk(self.random.next(), cluster.plan.bug == Some(Bug::HidesLostDisk));
        if soon && self.random.one_in(2) {
            let other = self.other(broker.owner());
            self.cut(&[(broker.owner(), other)], lasts);
        }
    }

    fn draw_clock(&mut self, broker: &Broker) {
        if self.cluster.plan.faults.clocks {
            broker.clock_percent.set(self.random.between(60, 170));
            broker.ahead_ms.set(self.random.below(7_200_000) as i64 - 3_600_000);
        }
    }

    fn later(&self, ms: u64, undo: impl FnOnce(&Rc<Cluster>) + 'static) {
        let cluster = self.cluster.clone();
        let task = async move {
            cluster.scheduler.clock().sleep_ms(ms).await;
            undo(&cluster);
        };
        self.cluster.scheduler.spawn(WORLD, Box::pin(task));
    }

    fn heal(&self) {
        let cluster = &self.cluster;
        cluster.tell(|| "nemesis: heals everything".to_owned());
        cluster.network.mend_all();
        for broker in &cluster.brokers {
            cluster.scheduler.resume(broker.owner());
            cluster.network.set_silent(broker.owner(), !broker.runs.get());
            broker.disk.borrow().set_latency_us(0);
            cluster.start(broker.owner());
        }
        cluster.set_healed();
    }
}
