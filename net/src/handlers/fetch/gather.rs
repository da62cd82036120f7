//! Reads the partitions of one fetch from their owners, and waits with them.
//!
//! One owner does the waiting itself: ask, wait, answer. Several are asked what they have; if that is too little, all
//! are asked to wait until they have more, and the first that has is enough to look again. Whoever still waits at the
//! end is told to forget it.
//!
//! What was read is let go of while the request waits, and read again at the end: a wait may last a minute, and the
//! pages of a few hundred that are nearly content would be all there are.

use std::{future::poll_fn, pin::Pin, rc::Rc, task::Poll};

use engine::Disk;
use model::{Millis, ShardId, TopicPartition};

use super::Limits;
use crate::{
    ask::{Answer, Ask, FetchAsk, FetchPart, FetchWait, Fetched, Reader},
    mesh::Asked,
    scatter::{Places, Scatter},
    shard::Shard,
};

pub(super) struct Gather<'a, D: Disk> {
    pub(super) shard: &'a Rc<Shard<D>>,
    pub(super) limits: Limits,
    pub(super) reader: Reader,
    /// The client must hear of an error: nothing is waited for.
    pub(super) hurry: bool,
}

/// All of one owner.
struct Share {
    owner: ShardId,
    ask: FetchAsk,
    places: Places,
    fetched: Vec<Fetched>,
}

impl<D: Disk> Gather<'_, D> {
    pub(super) async fn run(
        &self,
        parts: Vec<(usize, TopicPartition, FetchPart)>,
        fetched: &mut [Option<Fetched>],
    ) {
        let deadline = self.shard.clock().now() + self.limits.wait;
        let mut shares = self.shares(parts);
        let waits = !self.hurry && self.limits.bytes_min > 0 && !self.limits.wait.is_zero();
        if let ([only], true) = (shares.as_mut_slice(), waits) {
            only.ask.wait = Some(FetchWait { bytes_min: self.limits.bytes_min, deadline });
        }
        self.read(&mut shares).await;
        if waits && shares.len() > 1 {
            self.wait_for_more(&mut shares, deadline).await;
        }
        for share in shares {
            share.places.gather(share.fetched, fetched);
        }
    }

    fn shares(&self, parts: Vec<(usize, TopicPartition, FetchPart)>) -> Vec<Share> {
        let groups = Scatter::new(self.shard.count(), parts).into_groups();
        let bytes_max = self.limits.bytes_max / groups.len().max(1);
        let isolation = self.limits.isolation;
        groups
            .map(|(owner, parts, places)| {
                let reader = self.reader.clone();
                let ask = FetchAsk { isolation, reader, bytes_max, wait: None, parts };
                Share { owner, ask, places, fetched: Vec::new() }
            })
            .collect()
    }

    async fn read(&self, shares: impl IntoIterator<Item = &mut Share>) {
        let asked: Vec<_> = shares.into_iter().map(|share| (self.ask(share), share)).collect();
        for (asked, share) in asked {
            share.fetched = answer_of(asked.await);
        }
    }

    async fn wait_for_more(&self, shares: &mut [Share], deadline: Millis) {
        if is_enough(shares, self.limits.bytes_min) {
            return;
        }
        let mut asked: Vec<_> = shares.iter_mut().map(|share| self.ask_to_wait(share, deadline)).collect();
        loop {
            let (i, answer) = first(&mut asked).await;
            shares[i].fetched = answer;
            if is_enough(shares, self.limits.bytes_min) || self.shard.clock().now() >= deadline {
                break;
            }
            asked[i] = self.ask_to_wait(&mut shares[i], deadline);
        }
        drop(asked);
        let mut again: Vec<_> = shares.iter_mut().filter(|share| share.has_let_go()).collect();
        again.iter_mut().for_each(|share| share.ask.wait = None);
        self.read(again).await;
    }

    fn ask(&self, share: &Share) -> Asked<D> {
        self.shard.asks().ask(share.owner, Ask::Fetch(share.ask.clone()))
    }

    fn ask_to_wait(&self, share: &mut Share, deadline: Millis) -> Asked<D> {
        share.let_go();
        let bytes_min = share.bytes() + 1;
        share.ask.wait = Some(FetchWait { bytes_min, deadline });
        self.ask(share)
    }
}

impl Share {
    /// That were there at the last look, kept or not.
    fn bytes(&self) -> usize {
        self.fetched.iter().map(|part| part.bytes).sum()
    }

    /// Keeps only how much there was.
    fn let_go(&mut self) {
        self.fetched.iter_mut().for_each(|part| part.slices = Vec::new());
    }

    fn has_let_go(&self) -> bool {
        self.fetched.iter().any(Fetched::lacks_records)
    }
}

fn is_enough(shares: &[Share], bytes_min: usize) -> bool {
    let bytes: usize = shares.iter().map(Share::bytes).sum();
    bytes >= bytes_min || shares.iter().any(|share| share.fetched.iter().any(Fetched::is_urgent))
}

/// An owner that never answers is gone; its partitions stay without an answer.
fn answer_of(answer: Option<Answer>) -> Vec<Fetched> {
    match answer {
        Some(Answer::Fetch(fetched)) => fetched,
        _ => Vec::new(),
    }
}

/// Whichever ends first.
async fn first<D: Disk>(asked: &mut [Asked<D>]) -> (usize, Vec<Fetched>) {
    poll_fn(|cx| {
        for (i, asked) in asked.iter_mut().enumerate() {
            if let Poll::Ready(answer) = Pin::new(asked).poll(cx) {
                return Poll::Ready((i, answer_of(answer)));
            }
        }
        Poll::Pending
    })
    .await
}
