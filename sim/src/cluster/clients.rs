//! Producers that send again until they are told that it is safe, and consumers that read on and remember what they saw.
//! They know of the metadata what some broker told them, and it may be old.

use std::{rc::Rc, sync::Arc, time::Duration};

use coordinator::Image;
use model::{
    LeaderEpoch, Offset, TopicPartition,
    batch::record::{Producer, batch_of},
};

use super::{
    Cluster,
    broker::{Broker, Fetched, Life, Produced},
    scheduler::WORLD,
};
use crate::random::Random;

/// How long an answer is waited for.
const PATIENCE_MS: u64 = 900;
const ACKS_PATIENCE: Duration = Duration::from_millis(600);

/// A value says who sent it, and its place among all that it sent.
pub fn value_of(producer: u64, number: u64) -> u64 {
    producer << 32 | number
}

/// The producer of a value, if it is idempotent: those with even numbers are.
pub fn idempotent_producer(value: u64) -> Option<u64> {
    Some(value >> 32).filter(|producer| producer.is_multiple_of(2))
}

pub struct Client {
    cluster: Rc<Cluster>,
    random: Random,
    id: TopicPartition,
    image: Arc<Image>,
    /// Of the last acknowledgement.
    acked_in: LeaderEpoch,
}

impl Client {
    pub fn new(cluster: Rc<Cluster>, salt: &str) -> Self {
        let mut random = Random::stream(cluster.seed, salt);
        let id = random.pick(&cluster.partitions);
        let image = cluster.ledger.image();
        Self { cluster, random, id, image, acked_in: LeaderEpoch(-1) }
    }

    fn leader(&self) -> Option<Rc<Broker>> {
        let leader = self.image.partition(self.id.topic, self.id.partition)?.leader?;
        self.cluster.brokers.iter().find(|broker| broker.id == leader).cloned()
    }

    /// Asks some broker who leads.
    async fn refresh(&mut self) {
        let brokers = &self.cluster.brokers;
        let broker = brokers[self.random.index(brokers.len())].clone();
        let image = self.ask(&broker, |life| async move { life.image.borrow().clone() }).await;
        if let Some(image) = image {
            self.image = image;
        }
        let rest = self.random.between(1, 60);
        self.cluster.scheduler.clock().sleep_ms(rest).await;
    }

    /// Sends a request to a broker, which works on it as long as it lives. `None`: no answer came.
    async fn ask<T, F>(&self, broker: &Rc<Broker>, work: impl FnOnce(Rc<Life>) -> F + 'static) -> Option<T>
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let (cluster, owner) = (self.cluster.clone(), broker.owner());
        let clock = cluster.scheduler.clock().clone();
        if !cluster.network.travel(WORLD, owner).await {
            clock.sleep_ms(PATIENCE_MS).await;
            return None;
        }
        let life = broker.life()?;
        let (tx, rx) = rt::oneshot();
        cluster.scheduler.spawn(owner, Box::pin(async move { drop(tx.send(work(life).await)) }));
        let mut answer = None;
        crate::world::first_of(async { answer = rx.await }, clock.sleep_ms(PATIENCE_MS)).await;
        let back = cluster.network.travel(owner, WORLD).await;
        answer.filter(|_| back)
    }

    pub async fn produce(mut self, number: u64) {
        let (clock, plan) = (self.cluster.scheduler.clock().clone(), self.cluster.plan.clone());
        let (mut next, mut sequence) = (0, 0);
        while !self.cluster.is_healed() {
            let count = 1 + self.random.below(3);
            let values: Vec<u64> = (next..next + count).map(|n| value_of(number, n)).collect();
            next += count;
            let batch = self.batch(number, sequence, &values, plan.value_bytes);
            if !self.send(&batch, &values).await {
                return;
            }
            sequence += count as i32;
            // Some rest for so long that a partition has nothing new.
            let rests = plan.rests && self.random.one_in(40);
            let think = self.random.below(if rests { 3000 } else { plan.think_ms }) + 1;
            clock.sleep_ms(think).await;
        }
    }

    fn batch(&mut self, number: u64, sequence: i32, values: &[u64], value_bytes: u64) -> Vec<u8> {
        let records: Vec<Vec<u8>> = values
            .iter()
            .map(|value| {
                let mut bytes = value.to_be_bytes().to_vec();
                bytes.resize(8 + self.random.below(value_bytes) as usize, 7);
                bytes
            })
            .collect();
        let borrowed: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let producer = match number.is_multiple_of(2) {
            true => Producer { id: 1000 + number as i64, epoch: 0, base_sequence: sequence },
            false => Producer::NONE,
        };
        batch_of(0, 1_000_000, producer, &borrowed)
    }

    /// False: the time for that is over, and whether it is there nobody knows.
    async fn send(&mut self, batch: &[u8], values: &[u64]) -> bool {
        loop {
            let produced = match self.leader() {
                None => None,
                Some(broker) => {
                    let (id, batch, of) = (self.id, batch.to_vec(), broker.id);
                    self.ask(
                        &broker,
                        move |life| async move { life.produce(of, id, batch, ACKS_PATIENCE).await },
                    )
                    .await
                }
            };
            self.cluster.note("produced", values[0], matches!(produced, Some(Produced::Safe { .. })));
            if let Some(Produced::Failed(why)) = &produced {
                self.cluster.tell(|| format!("{} {}", self.id, why));
            }
            match produced {
                Some(Produced::Safe { base, epoch }) => {
                    self.cluster.auditor.borrow_mut().acked(self.id, base, epoch, values);
                    self.acked_in = self.acked_in.max(epoch);
                    return true;
                }
                // A leader that does not know yet that it is none any more may well lack something.
                Some(Produced::OutOfOrder(epoch)) if epoch >= self.acked_in => panic!(
                    "seed {} {}: the leader of epoch {epoch} lacks what comes before {:#x}, though it was acknowledged",
                    self.cluster.seed, self.id, values[0]
                ),
                Some(Produced::Failed(_) | Produced::OutOfOrder(_)) | None if self.cluster.is_over() => {
                    return false;
                }
                Some(Produced::Failed(_) | Produced::OutOfOrder(_)) | None => self.refresh().await,
            }
        }
    }

    /// Reads on, and begins anew now and then.
    pub async fn consume(mut self) {
        let clock = self.cluster.scheduler.clock().clone();
        let (mut from, mut high, mut epoch) = (Offset::ZERO, Offset::ZERO, LeaderEpoch(-1));
        while !self.cluster.is_over() {
            let known =
                self.image.partition(self.id.topic, self.id.partition).map(|placed| placed.leader_epoch);
            epoch = epoch.max(known.unwrap_or(epoch));
            let fetched: Option<Fetched> = match self.leader() {
                None => None,
                Some(broker) => {
                    let (id, of) = (self.id, broker.id);
                    let asked =
                        self.ask(&broker, move |life| async move { life.fetch(of, id, from, epoch).await });
                    asked.await.flatten()
                }
            };
            let Some(fetched) = fetched else {
                self.refresh().await;
                continue;
            };
            epoch = fetched.epoch;
            if let Some(last) = fetched.records.last() {
                from = last.offset + 1;
            }
            self.cluster.note("fetched", from.0 as u64, true);
            self.cluster.auditor.borrow_mut().read(self.id, &fetched.records);
            if let Some(now) = fetched.high {
                assert!(
                    now >= high,
                    "seed {} {}: a consumer saw the high watermark at {high}, and in epoch {epoch} at {now} (L8)",
                    self.cluster.seed,
                    self.id
                );
                high = now;
            }
            if self.random.one_in(20) {
                from = Offset(self.random.below(from.0 as u64 + 1) as i64);
            }
            let think = self.random.below(2 * self.cluster.plan.think_ms) + 1;
            clock.sleep_ms(think).await;
        }
    }
}
