//! What becomes of an append: it is durable, or the log has refused it, or nobody here will ever know.

use model::ErrorCode;

use super::{
    actions::{Actions, AppendId, Context, Effects, OnceDurable, Ticket},
    answer::{self, Answer},
    coordinator::{GroupCoordinator, Kind, UnderWay},
};

/// How long after a refused append the group is written again.
const REPAIR_DELAY_MS: i32 = 1000;

impl GroupCoordinator {
    /// The append is durable. Appends settle in the order they were given.
    pub fn applied(&mut self, cx: &Context<'_>, id: AppendId) -> Actions {
        let Some(settled) = self.under_way.remove(&id) else { return Actions::default() };
        self.step(&settled.group, |group, _, effects| {
            for effect in settled.once_durable {
                match effect {
                    OnceDurable::Offset { topic, partition, value } => {
                        group.offsets.settle(topic, partition, value)
                    }
                    OnceDurable::Assignment { generation, assignments } => {
                        if let Kind::Classic(classic) = &mut group.kind {
                            classic.assigned(cx, generation, assignments, effects);
                        }
                    }
                    OnceDurable::GroupTombstone => {}
                }
            }
            effects.answers.extend(settled.answers);
        })
    }

    /// The log has refused the append, and with it every later one that is under way: none of them will ever be read.
    /// What is durable is a prefix of what was handed over. A later append that came into the log all the same would tell
    /// of partitions that are assigned anew and not of their release.
    pub fn failed(&mut self, cx: &Context<'_>, id: AppendId, error: ErrorCode) -> Actions {
        assert!(error != ErrorCode::None, "a failure has a reason");
        let mut actions = Actions::default();
        // Taken out first: what the refusal itself leads to is a new append.
        let mut refused = self.under_way.split_off(&id);
        for settled in refused.values_mut().filter(|settled| !settled.records.is_empty()) {
            let group = self
                .groups
                .get_mut(&settled.group)
                .expect("a group stays while something of it is under way");
            let records = std::mem::take(&mut settled.records).into_iter();
            group.unsaid.extend(records.map(|record| (record.encode_key(), record)));
            group.repair_at = Some(cx.later(REPAIR_DELAY_MS));
        }
        for settled in refused.into_values() {
            actions.extend(self.refuse(cx, settled, error));
        }
        actions
    }

    fn refuse(&mut self, cx: &Context<'_>, settled: UnderWay, error: ErrorCode) -> Actions {
        self.step(&settled.group, |group, config, effects| {
            for effect in settled.once_durable {
                match effect {
                    OnceDurable::Offset { topic, partition, .. } => group.offsets.give_up(&topic, partition),
                    OnceDurable::Assignment { generation, .. } => {
                        if let Kind::Classic(classic) = &mut group.kind {
                            let error = answer::refusal_of_append(error);
                            classic.not_assigned(cx, config, generation, error, effects);
                        }
                    }
                    OnceDurable::GroupTombstone => {
                        if let Kind::Classic(classic) = &mut group.kind {
                            classic.set_in_log(true);
                        }
                    }
                }
            }
            effects.answers.extend(settled.answers.into_iter().map(|(ticket, a)| (ticket, a.failed(error))));
        })
    }

    /// The partition's leader is another one now: everyone who waits is sent there. Appends that settle later are of no
    /// interest.
    pub fn unload(self) -> Vec<(Ticket, Answer)> {
        let mut effects = Effects::default();
        for mut group in self.groups.into_values() {
            if let Kind::Classic(classic) = &mut group.kind {
                classic.refuse_waiting(ErrorCode::NotCoordinator, &mut effects);
            }
        }
        for waiting in self.under_way.into_values() {
            let answers = waiting.answers.into_iter();
            effects.answers.extend(answers.map(|(ticket, a)| (ticket, a.failed(ErrorCode::NotCoordinator))));
        }
        effects.answers
    }
}
