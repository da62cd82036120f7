//! One scrape, on shard 0: each shard is asked once for its snapshot, the owners of partitions that groups read once for
//! where these end, and all of it becomes text.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use engine::Disk;
use model::{ErrorCode, LeaderEpoch, PartitionIndex, ShardId, TopicPartition};
use replication::Isolation;
use rt::{
    notify::Notify,
    oneshot::{Rx, Tx},
};
use rustc_hash::FxHashMap;

use super::{
    families::Family,
    process,
    samples::{Committed, Samples, Snapshot},
    snapshot::shown_topics,
    text::Text,
};
use crate::{
    ask::{Answer, Ask, FoundOffset, OffsetAt, OffsetPart, OffsetsAsk},
    mesh::{Link, Message},
    scatter::Scatter,
    shard::Shard,
};

/// Lines written before others get their turn.
const LINES_AT_ONCE: usize = 256;

/// What a shard is asked for snapshots by, and on shard 0 also who waits for those of others.
pub(crate) struct Scrapes {
    shard: ShardId,
    link: Rc<dyn Link>,
    inbox: RefCell<VecDeque<Asked>>,
    some: Notify,
    waiting: RefCell<FxHashMap<u64, Tx<Snapshot>>>,
    next: Cell<u64>,
}

/// Somebody waits for a snapshot of this shard.
pub(crate) enum Asked {
    Here(Tx<Snapshot>),
    Shard { link: Rc<dyn Link>, from: ShardId, number: u64 },
}

impl Asked {
    pub(crate) fn answer(self, snapshot: Snapshot) {
        match self {
            // It has taken too long for whoever asked.
            Self::Here(tx) => drop(tx.send(snapshot)),
            Self::Shard { link, from, number } => {
                link.send(from, Message::Scraped(number, Box::new(snapshot)))
            }
        }
    }
}

impl Scrapes {
    pub(crate) fn new(shard: ShardId, link: Rc<dyn Link>) -> Self {
        let (inbox, some, waiting, next) = Default::default();
        Self { shard, link, inbox, some, waiting, next }
    }

    fn ask(&self, shard: ShardId) -> Rx<Snapshot> {
        let (tx, rx) = rt::oneshot();
        if shard == self.shard {
            self.put(Asked::Here(tx));
        } else {
            // Those of scrapes that were given up are of no use to anybody.
            self.waiting.borrow_mut().retain(|_, tx| !tx.is_closed());
            let number = self.next.replace(self.next.get() + 1);
            self.waiting.borrow_mut().insert(number, tx);
            self.link.send(shard, Message::Scrape(number));
        }
        rx
    }

    pub(crate) fn asked_by(&self, from: ShardId, number: u64) {
        self.put(Asked::Shard { link: self.link.clone(), from, number });
    }

    /// One scrape is under way at a time: an older question is of one that was given up.
    fn put(&self, asked: Asked) {
        self.inbox.borrow_mut().clear();
        self.inbox.borrow_mut().push_back(asked);
        self.some.wake_all();
    }

    pub(crate) fn answered(&self, number: u64, snapshot: Snapshot) {
        if let Some(tx) = self.waiting.borrow_mut().remove(&number) {
            drop(tx.send(snapshot));
        }
    }

    /// The next question. For one task.
    pub(crate) async fn asked(&self) -> Asked {
        loop {
            let some = self.some.wait();
            let asked = self.inbox.borrow_mut().pop_front();
            match asked {
                Some(asked) => return asked,
                None => some.await,
            }
        }
    }
}

/// All metrics as text; `more` is what only the caller knows. `None`: a shard has ended. To be dropped when it takes too
/// long, and called once at a time.
pub(super) async fn scrape<D: Disk>(shard: &Rc<Shard<D>>, more: Samples) -> Option<Vec<u8>> {
    let asked: Vec<_> = (0..shard.count()).map(|number| shard.scrapes().ask(ShardId(number))).collect();
    let mut samples = more;
    let (mut committed, mut left_out) = (vec![], 0);
    for snapshot in asked {
        let snapshot = snapshot.await?;
        samples.extend(snapshot.samples);
        committed.extend(snapshot.committed);
        left_out += snapshot.committed_left_out;
    }
    committed.sort_unstable();
    let most = usize::try_from(shard.config().metrics_group_offsets_max).unwrap_or(0);
    left_out += committed.len().saturating_sub(most);
    committed.truncate(most);
    samples.one(Family::GroupOffsetsLeftOut, left_out as u64);
    lags(shard, &committed, &mut samples).await;
    cluster(shard, &mut samples).await;
    process::add(&mut samples);
    Some(render(samples).await)
}

/// Of topics that are still there. A group that has committed more than there is lags by nothing.
async fn lags<D: Disk>(shard: &Rc<Shard<D>>, committed: &[Committed], samples: &mut Samples) {
    let image = shard.local_image();
    let mut parts = vec![];
    for (place, of) in committed.iter().enumerate() {
        let labels = [(&of.group).into(), (&of.topic).into(), of.partition.into()];
        samples.whole(Family::GroupOffset, labels, u64::try_from(of.offset).unwrap_or(0));
        let index = PartitionIndex(of.partition);
        if let Some(topic) = image.topic(&of.topic).filter(|topic| topic.partition(index).is_some()) {
            let id = TopicPartition::new(topic.id, index);
            let part = OffsetPart { id, leader_epoch: LeaderEpoch::NONE, at: OffsetAt::Latest };
            parts.push((place, id, part));
        }
    }
    let ask = |(owner, parts, places)| {
        let ask = OffsetsAsk { isolation: Isolation::Uncommitted, parts };
        (shard.asks().ask(owner, Ask::Offsets(ask)), places)
    };
    let asked: Vec<(_, crate::scatter::Places)> =
        Scatter::new(shard.count(), parts).into_groups().map(ask).collect();
    let mut ends: Vec<Option<FoundOffset>> = vec![None; committed.len()];
    for (asked, places) in asked {
        if let Some(Answer::Offsets(found)) = asked.await {
            places.gather(found, &mut ends);
        }
    }
    for (of, end) in committed.iter().zip(ends) {
        let Some(end) = end.filter(|end| end.code == ErrorCode::None) else { continue };
        let lag = u64::try_from(end.offset.0.saturating_sub(of.offset)).unwrap_or(0);
        let labels = [(&of.group).into(), (&of.topic).into(), of.partition.into()];
        samples.whole(Family::GroupLag, labels, lag);
    }
}

/// What the metadata says.
async fn cluster<D: Disk>(shard: &Shard<D>, samples: &mut Samples) {
    let image = shard.local_image();
    let (mut offline, mut under_replicated, mut under_min_isr) = (0, 0, 0);
    for topic in image.topics() {
        let isr_min = usize::try_from(shard.topic_config(topic).min_insync_replicas).unwrap_or(0);
        for partition in &topic.partitions {
            offline += u64::from(partition.leader.is_none());
            if partition.leader == Some(shard.broker()) {
                under_replicated += u64::from(partition.isr.len() < partition.replicas.len());
                under_min_isr += u64::from(partition.isr.len() < isr_min.min(partition.replicas.len()));
            }
        }
        rt::yield_if_needed().await;
    }
    let fenced = image.brokers().filter(|broker| broker.fenced).count();
    let partition_count = image.partition_count();
    let most = usize::try_from(shard.config().metrics_partitions_max).unwrap_or(0);
    let shown: usize = shown_topics(&image, most).map(|topic| topic.partitions.len()).sum();
    for (family, value) in [
        (Family::OfflinePartitions, offline),
        (Family::UnderReplicated, under_replicated),
        (Family::UnderMinIsr, under_min_isr),
        (Family::GlobalTopics, image.topics().len() as u64),
        (Family::GlobalPartitions, partition_count as u64),
        (Family::FencedBrokers, fenced as u64),
        (Family::ActiveBrokers, (image.brokers().len() - fenced) as u64),
        (Family::PartitionsLeftOut, (partition_count - shown) as u64),
        (Family::ActiveController, u64::from(shard.control().inbox().is_some())),
        (Family::OfflineDirectories, u64::from(shard.store().failure().is_some())),
    ] {
        samples.one(family, value);
    }
}

/// A family of which nobody said anything is left out.
async fn render(mut samples: Samples) -> Vec<u8> {
    let mut text = Text::default();
    for &family in Family::ALL {
        let (facts, series) = (family.facts(), samples.take(family));
        if series.is_empty() {
            continue;
        }
        text.head(facts);
        for some in series.chunks(LINES_AT_ONCE) {
            some.iter().for_each(|(labels, value)| text.series(facts, labels, value));
            rt::yield_if_needed().await;
        }
    }
    text.into_bytes()
}
