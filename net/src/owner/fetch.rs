//! Fetch at the owner: read what is there, wait for a watermark if that is too little, read again. A mark that moves may be
//! too little still: then only the partitions that moved are read, and all of them when that may be enough.

use std::rc::Rc;

use engine::Disk;
use model::{ErrorCode, Offset};
use replication::{Lineage, Mark, Need, Partition, PartitionError, Place, ReadFrom, Woken};

use super::{AskId, Errand, Owner, ReplyTo};
use crate::{
    ask::{Answer, FetchAsk, FetchPart, Fetched},
    errors::Code,
};

/// What there was of one part at the last look.
#[derive(Clone, Copy)]
pub(super) struct Look {
    high: Offset,
    bytes: usize,
}

impl<D: Disk> Owner<D> {
    pub(super) fn fetch(self: &Rc<Self>, id: AskId, ask: FetchAsk, reply: ReplyTo) {
        self.fetches.borrow_mut().insert(id, None);
        self.begin_read(id, ask, Vec::new(), reply);
    }

    /// After a wait: whatever ended it, the client gets what there is now. Only a moved watermark may be too little
    /// still, and only then the wait goes on.
    pub(super) fn wake_fetch(
        self: &Rc<Self>,
        id: AskId,
        (mut ask, mut looks): (FetchAsk, Vec<Look>),
        reply: ReplyTo,
        why: Woken,
    ) {
        if why != Woken::Reached {
            ask.wait = None;
            looks.clear();
        }
        if let Some(ticket) = self.fetches.borrow_mut().get_mut(&id) {
            *ticket = None;
        }
        self.begin_read(id, ask, looks, reply);
    }

    fn begin_read(self: &Rc<Self>, id: AskId, ask: FetchAsk, looks: Vec<Look>, reply: ReplyTo) {
        let owner = self.clone();
        self.jobs.begin(async move {
            let mut fetched = owner.read(&ask, &looks).await;
            let mut places = owner.places_to_wait(&ask, &fetched);
            if places.is_none() && fetched.iter().any(Fetched::lacks_records) {
                fetched = owner.read(&ask, &[]).await;
                places = owner.places_to_wait(&ask, &fetched);
            }
            match places {
                Some(places) => {
                    let look = |part: &Fetched| Look { high: part.high, bytes: part.bytes };
                    let looks = fetched.iter().map(look).collect();
                    owner.park_fetch(id, &places, (ask, looks), reply);
                }
                None => {
                    owner.fetches.borrow_mut().remove(&id);
                    owner.reply(id, reply, Answer::Fetch(fetched));
                }
            }
        });
    }

    fn park_fetch(&self, id: AskId, places: &[Place], (ask, looks): (FetchAsk, Vec<Look>), reply: ReplyTo) {
        let deadline = ask.wait.expect("only who wants to wait is parked").deadline;
        let mut fetches = self.fetches.borrow_mut();
        // Given up while it was reading: nobody is left to answer.
        let Some(place) = fetches.get_mut(&id) else { return };
        let ticket = self.table.park(places, Need::Any, deadline);
        *place = Some(ticket);
        drop(fetches);
        self.park(ticket, id, reply, Errand::Fetch(ask, looks));
    }

    /// Parts that are as they were at the last look come without their records, only with the count of them.
    async fn read(&self, ask: &FetchAsk, looks: &[Look]) -> Vec<Fetched> {
        let mut fetched = Vec::with_capacity(ask.parts.len());
        let mut bytes = 0;
        for (i, part) in ask.parts.iter().enumerate() {
            let left = ask.bytes_max.saturating_sub(bytes);
            let read = self.read_part(ask, part, (left, bytes == 0), looks.get(i)).await;
            bytes += read.bytes;
            fetched.push(read);
        }
        fetched
    }

    async fn read_part(
        &self,
        ask: &FetchAsk,
        part: &FetchPart,
        (bytes_left, first): (usize, bool),
        before: Option<&Look>,
    ) -> Fetched {
        let partition = match self.find(part.id) {
            Ok(partition) => partition,
            Err(code) => return Fetched::error(code),
        };
        if let Err(error) = partition.check_reader(part.leader_epoch, ask.reader.serves) {
            return Fetched::error(error.code());
        }
        let mut fetched = Fetched { code: ErrorCode::None, ..marks_of(&partition) };
        // A follower may be behind, which is no other past: it shows only what its leader called committed.
        let lineage =
            if partition.leads() { partition.lineage(part.offset, part.last_epoch) } else { Lineage::Same };
        match lineage {
            Lineage::Same => {}
            Lineage::Diverges(end) => return Fetched { diverging: Some(end), ..fetched },
            Lineage::Unknown => return Fetched { code: ErrorCode::OffsetOutOfRange, ..fetched },
        }
        if let Some(preferred) = partition.nearest(&ask.reader.near, part.offset) {
            return Fetched { preferred: Some(preferred), ..fetched };
        }
        if let Some(look) =
            before.filter(|look| look.high == fetched.high && part.offset >= fetched.log_start)
        {
            return Fetched { bytes: look.bytes, ..fetched };
        }
        let from = ReadFrom {
            offset: part.offset,
            bytes_max: part.bytes_max.min(bytes_left),
            at_least_one: first,
            isolation: ask.isolation,
            serves: ask.reader.serves,
        };
        match partition.read(&self.store, from).await {
            Ok(batches) => {
                fetched.bytes = batches.bytes;
                fetched.slices = batches.slices;
            }
            Err(PartitionError::Read(error)) => fetched.code = self.read_failed(&partition, &error),
            Err(error) => fetched.code = error.code(),
        }
        fetched
    }

    /// Where to wait for more, if the fetch is to wait at all.
    fn places_to_wait(&self, ask: &FetchAsk, fetched: &[Fetched]) -> Option<Vec<Place>> {
        let wait = ask.wait?;
        let bytes: usize = fetched.iter().map(|f| f.bytes).sum();
        let urgent = fetched.iter().any(Fetched::is_urgent);
        if bytes >= wait.bytes_min || urgent || fetched.is_empty() || self.clock.now() >= wait.deadline {
            return None;
        }
        // One beyond what this read could see: a watermark that moved meanwhile ends the wait at once.
        let place = |(part, read): (&FetchPart, &Fetched)| Place {
            id: part.id,
            mark: Mark::High,
            until: read.high.max(part.offset) + 1,
        };
        Some(ask.parts.iter().zip(fetched).map(place).collect())
    }
}

fn marks_of<D: Disk>(partition: &Partition<D>) -> Fetched {
    let marks = partition.watermarks();
    Fetched {
        code: ErrorCode::None,
        high: marks.high,
        last_stable: marks.last_stable,
        log_start: marks.log_start,
        diverging: None,
        preferred: None,
        slices: Vec::new(),
        bytes: 0,
    }
}
