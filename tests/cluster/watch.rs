//! Looks at all brokers while a test runs, for what must not be seen even for a moment: two leaders of one epoch, and an
//! end of a partition that goes back behind what somebody was told.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use net::wire::messages::list_offsets;

use crate::{
    broker::{Client, client::view},
    cluster::{Cluster, partitions, try_client},
    load::{Shared, lock},
};

const PAUSE: Duration = Duration::from_millis(10);
const LATEST: i64 = -1;

pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    /// By partition and epoch.
    leaders: BTreeMap<(i32, i32), i32>,
    complaints: Vec<String>,
}

impl Seen {
    fn note(&mut self, asked: i32, partition: i32, epoch: i32, leader: i32) {
        let first = *self.leaders.entry((partition, epoch)).or_insert(leader);
        if first != leader {
            self.complaints.push(format!(
                "partition {partition} epoch {epoch}: led by {first}, and by {leader} according to broker {asked}"
            ));
        }
    }

    /// The highest epoch of a partition, and who leads it.
    fn newest(&self, partition: i32) -> Option<(i32, i32)> {
        let of_partition = self.leaders.range((partition, i32::MIN)..=(partition, i32::MAX));
        of_partition.last().map(|(&(_, epoch), &leader)| (epoch, leader))
    }
}

impl Watch {
    pub(crate) fn start(cluster: &Cluster, topic: &str, partition_count: i32, shared: Arc<Shared>) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let addresses = cluster.addresses();
        let mut threads = Vec::new();
        for (&id, address) in &addresses {
            let (address, topic, stop, seen) =
                (address.clone(), topic.to_owned(), stop.clone(), seen.clone());
            threads.push(thread::spawn(move || {
                let mut client = None;
                while !stop.load(Ordering::Acquire) {
                    look(id, &address, &topic, &mut client, &seen);
                    thread::sleep(PAUSE);
                }
            }));
        }
        let ends =
            Ends { topic: topic.to_owned(), addresses, shared, seen: seen.clone(), highest: BTreeMap::new() };
        let stopped = stop.clone();
        threads.push(thread::spawn(move || ends.run(partition_count, &stopped)));
        Self { stop, seen, threads }
    }

    pub(crate) fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads {
            thread.join().expect("a watcher does not panic");
        }
        let mut complaints = lock(&self.seen).complaints.clone();
        complaints.dedup();
        complaints
    }
}

/// One broker's view of the leaders, if it answers.
fn look(id: i32, address: &str, topic: &str, client: &mut Option<Client>, seen: &Mutex<Seen>) {
    if client.is_none() {
        *client = try_client(address);
    }
    let Some(asked) = client else { return };
    match partitions(asked, topic) {
        Err(_) => *client = None,
        Ok(found) => {
            let mut seen = lock(seen);
            for partition in found {
                if let Some(leader) = partition.leader {
                    seen.note(id, partition.index, partition.epoch, leader);
                }
            }
        }
    }
}

struct Ends {
    topic: String,
    addresses: BTreeMap<i32, String>,
    shared: Arc<Shared>,
    seen: Arc<Mutex<Seen>>,
    /// What was answered so far, by partition.
    highest: BTreeMap<i32, i64>,
}

impl Ends {
    fn run(mut self, partition_count: i32, stop: &AtomicBool) {
        let mut clients = BTreeMap::new();
        while !stop.load(Ordering::Acquire) {
            for partition in 0..partition_count {
                self.ask(partition, &mut clients);
            }
            thread::sleep(PAUSE);
        }
    }

    fn ask(&mut self, partition: i32, clients: &mut BTreeMap<i32, Client>) {
        let Some((epoch, leader)) = lock(&self.seen).newest(partition) else { return };
        let Some(mut client) = clients.remove(&leader).or_else(|| try_client(&self.addresses[&leader]))
        else {
            return;
        };
        let floor = self.shared.end(partition).max(self.highest.get(&partition).copied().unwrap_or(0));
        let answer = end_of(&mut client, &self.topic, partition, epoch);
        if answer.is_ok() {
            clients.insert(leader, client);
        }
        match answer {
            Err(_) | Ok(None) => {}
            Ok(Some(end)) if end >= floor => drop(self.highest.insert(partition, end)),
            // A leader that others have replaced already, and that has not heard of it, tells what it knows.
            Ok(Some(_)) if self.is_replaced(partition, epoch) => {}
            Ok(Some(end)) => lock(&self.seen).complaints.push(format!(
                "partition {partition}: broker {leader} says it ends at {end} in epoch {epoch}, and {floor} was told before"
            )),
        }
    }

    fn is_replaced(&self, partition: i32, epoch: i32) -> bool {
        for (&id, address) in &self.addresses {
            look(id, address, &self.topic, &mut None, &self.seen);
        }
        lock(&self.seen).newest(partition).is_some_and(|(newest, _)| newest > epoch)
    }
}

/// `None`: it would not say.
fn end_of(client: &mut Client, topic: &str, partition: i32, epoch: i32) -> io::Result<Option<i64>> {
    let asked = list_offsets::ListOffsetsPartition {
        partition_index: partition,
        current_leader_epoch: epoch,
        timestamp: LATEST,
    };
    let topic = list_offsets::ListOffsetsTopic { name: topic.to_owned().into(), partitions: vec![asked] };
    let request = list_offsets::Request { replica_id: -1, topics: vec![topic], ..Default::default() };
    let sent = client.try_send(7, &request)?;
    let answer = client.try_receive(sent)?;
    let view = view!(list_offsets, answer);
    let found = view.topics.iter().flat_map(|topic| topic.partitions.iter()).next();
    Ok(found.filter(|found| found.error_code == 0).map(|found| found.offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_leader_of_an_epoch_is_noticed() {
        let mut seen = Seen::default();
        seen.note(1, 0, 4, 2);
        seen.note(2, 0, 4, 2);
        seen.note(3, 0, 5, 3);
        seen.note(3, 1, 4, 1);
        assert!(seen.complaints.is_empty());
        assert_eq!((seen.newest(0), seen.newest(1), seen.newest(2)), (Some((5, 3)), Some((4, 1)), None));
        seen.note(3, 0, 4, 1);
        assert_eq!(seen.complaints, ["partition 0 epoch 4: led by 2, and by 1 according to broker 3"]);
    }
}
