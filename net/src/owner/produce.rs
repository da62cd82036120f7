//! Produce at the owner: append all parts at once, then wait until they are safe.

use std::rc::Rc;

use engine::{Appended, Disk};
use model::{ErrorCode, LeaderEpoch, Millis, Offset, Timestamp};
use replication::{AppendRules, Mark, Need, Partition, Place, Woken};

use super::{AskId, Errand, Owner, ReplyTo, code_of};
use crate::{
    ask::{Acks, Answer, ProduceAsk, ProducePart, Produced},
    errors::Code,
};

/// A produce whose order is fixed and whose answer is not.
pub(super) struct Pending {
    parts: Vec<Part>,
    mark: Mark,
}

struct Part {
    id: model::TopicPartition,
    /// Of the leader that took the batch.
    epoch: LeaderEpoch,
    isr_min: usize,
    outcome: Result<Appended, ErrorCode>,
}

impl<D: Disk> Owner<D> {
    pub(super) fn produce(&self, id: AskId, ask: ProduceAsk, reply: ReplyTo) {
        let parts: Vec<Part> = ask.parts.iter().map(|part| self.append(part)).collect();
        let mark = if ask.acks == Acks::All { Mark::High } else { Mark::Own };
        let pending = Pending { parts, mark };
        let places: Vec<Place> = match ask.acks {
            Acks::None => Vec::new(),
            Acks::Leader | Acks::All => pending.places(),
        };
        if places.is_empty() {
            let produced = self.produced(pending, Woken::Reached);
            return self.reply(id, reply, Answer::Produce(produced));
        }
        // Kafka bounds only the wait for other replicas: a producer that is told of its time being over writes again.
        let deadline = if ask.acks == Acks::All { ask.deadline } else { Millis(u64::MAX) };
        let ticket = self.table.park(&places, Need::All, deadline);
        self.park(ticket, id, reply, Errand::Produce(pending));
    }

    fn append(&self, part: &ProducePart) -> Part {
        let found = self.find(part.id);
        let epoch = found.as_ref().map_or(LeaderEpoch::NONE, |partition| partition.leader_epoch());
        let outcome = found.and_then(|partition| {
            let rules = AppendRules { isr_min: part.isr_min };
            let appended = partition.append(&self.store, &part.batch, rules, self.clock.wall());
            let appended = appended.map_err(|error| error.code())?;
            // A topic that acknowledges from memory moves right here.
            self.table.moved(&partition);
            Ok(appended)
        });
        Part { id: part.id, epoch, isr_min: part.isr_min, outcome }
    }

    /// What the producer is told. Of a wait that ended early, the parts that made it in time are told as such.
    pub(super) fn produced(&self, pending: Pending, why: Woken) -> Vec<Produced> {
        let Pending { parts, mark } = pending;
        parts.into_iter().map(|part| self.produced_part(part, mark, why)).collect()
    }

    fn produced_part(&self, part: Part, mark: Mark, why: Woken) -> Produced {
        let partition = self.table.find(part.id);
        let marks = partition.as_ref().map(|partition| partition.watermarks());
        let log_start = marks.map_or(Offset::NONE, |marks| marks.log_start);
        let refused = |code| {
            let (base_offset, log_append_time) = (Offset::NONE, Timestamp::NONE);
            Produced { code, base_offset, log_append_time, log_start }
        };
        match part.outcome {
            Err(code) => refused(code),
            Ok(appended) => {
                // Another leader may have written something else where the batch was. Only this part is refused then:
                // the others of the request were waited for.
                let is_ours = |p: &Rc<Partition<D>>| p.leads() && p.leader_epoch() == part.epoch;
                let gone = !partition.as_ref().is_some_and(is_ours);
                let reached = |partition: &Rc<Partition<D>>| match mark {
                    Mark::Own => partition.log().ends().acknowledged,
                    Mark::High => partition.watermarks().high,
                };
                let reached = partition.as_ref().map(reached);
                let in_time = !gone && reached.is_some_and(|reached| reached >= appended.next_offset);
                // It is safe on all that are in sync, and those were too few by the time it was.
                let in_sync = partition.as_ref().and_then(|partition| partition.has_in_sync(part.isr_min));
                if in_time && in_sync == Some(false) {
                    return refused(ErrorCode::NotEnoughReplicasAfterAppend);
                }
                if why != Woken::Reached && !in_time {
                    return refused(code_of(if gone { Woken::Gone } else { why }));
                }
                let (base_offset, log_append_time) = (appended.base_offset, appended.log_append_time);
                Produced { code: ErrorCode::None, base_offset, log_append_time, log_start }
            }
        }
    }
}

impl Pending {
    /// Not the broker's own records of its metadata.
    pub(super) fn is_of_clients(&self) -> bool {
        self.parts.iter().any(|part| part.id != model::TopicPartition::METADATA)
    }

    fn places(&self) -> Vec<Place> {
        let appended = self.parts.iter().filter_map(|part| Some((part.id, part.outcome.as_ref().ok()?)));
        let mark = self.mark;
        appended.map(|(id, appended)| Place { id, mark, until: appended.next_offset }).collect()
    }
}
