//! SyncGroup: the leader brings the assignment, everyone waits until it is durable.

use std::collections::BTreeMap;

use model::ErrorCode;

use super::{ClassicGroup, ClassicState, refuse};
use crate::group::{
    actions::{Context, Effects, OnceDurable, Ticket},
    answer::SyncGroupAnswer,
    config::GroupConfig,
    request::SyncGroup,
};

impl ClassicGroup {
    pub(in crate::group) fn sync(&mut self, ticket: Ticket, request: &SyncGroup, effects: &mut Effects) {
        if let Err(error) = self.admit_sync(request) {
            return refuse(effects, ticket, SyncGroupAnswer::refused(error));
        }
        let member_id = request.member_id.as_str();
        self.unsynced.remove(member_id);
        if self.unsynced.is_empty() {
            self.sync_until = None;
        }
        let answer = self.synced(member_id);
        let member = self.members.get_mut(member_id).expect("admitted");
        if self.state == ClassicState::Stable {
            return effects.answer(ticket, answer);
        }
        member.wait_for_sync(ticket, effects);
        // A second SyncGroup of the leader must not bring a second assignment of the same generation into the log: the
        // members would live by the first and a later coordinator by the second.
        if self.leader.as_deref() == Some(member_id) && !self.is_assigning {
            self.assign(request, effects);
        }
    }

    fn admit_sync(&self, request: &SyncGroup) -> Result<(), ErrorCode> {
        self.admit(&request.member_id, request.group_instance_id.as_deref())?;
        let differs = |asked: &Option<String>, ours: &Option<String>| asked.is_some() && asked != ours;
        if request.generation != self.generation {
            Err(ErrorCode::IllegalGeneration)
        } else if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol_name)
        {
            Err(ErrorCode::InconsistentGroupProtocol)
        } else if self.state == ClassicState::PreparingRebalance {
            Err(ErrorCode::RebalanceInProgress)
        } else {
            assert!(self.state != ClassicState::Empty, "an empty group admits nobody");
            Ok(())
        }
    }

    fn assign(&mut self, request: &SyncGroup, effects: &mut Effects) {
        let brought: BTreeMap<&str, &[u8]> =
            request.assignments.iter().map(|(id, bytes)| (id.as_str(), bytes.as_slice())).collect();
        let record = self.to_record(Some(&brought));
        let ours = brought.iter().filter(|(id, _)| self.members.contains_key(**id));
        let assignments = ours.map(|(id, bytes)| ((*id).to_owned(), bytes.to_vec())).collect();
        effects.once_durable.push(OnceDurable::Assignment { generation: self.generation, assignments });
        self.is_assigning = true;
        self.write(record, effects);
    }

    /// The assignment is durable. If the group has gone on meanwhile, it is of no use to anyone.
    pub(in crate::group) fn assigned(
        &mut self,
        cx: &Context<'_>,
        generation: i32,
        assignments: Vec<(String, Vec<u8>)>,
        effects: &mut Effects,
    ) {
        if self.state != ClassicState::CompletingRebalance || generation != self.generation {
            return;
        }
        self.is_assigning = false;
        let mut assignments: BTreeMap<String, Vec<u8>> = assignments.into_iter().collect();
        for member in self.members.values_mut() {
            member.assignment = assignments.remove(&member.id).unwrap_or_default();
        }
        self.enter(cx, ClassicState::Stable);
        for member_id in self.members.keys().cloned().collect::<Vec<_>>() {
            let answer = self.synced(&member_id);
            let member = self.members.get_mut(&member_id).expect("of the members");
            if member.answer_sync(answer, effects) {
                self.keep_alive(cx, &member_id);
            }
        }
    }

    /// The assignment could not be written: everyone joins again.
    pub(in crate::group) fn not_assigned(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        generation: i32,
        error: ErrorCode,
        effects: &mut Effects,
    ) {
        if self.state != ClassicState::CompletingRebalance || generation != self.generation {
            return;
        }
        self.reset_assignments(cx, error, effects);
        self.prepare_rebalance(cx, config, effects);
    }

    pub(super) fn reset_assignments(&mut self, cx: &Context<'_>, error: ErrorCode, effects: &mut Effects) {
        self.is_assigning = false;
        let mut waited = vec![];
        for member in self.members.values_mut() {
            member.assignment.clear();
            if member.refuse_sync(error, effects) {
                waited.push(member.id.clone());
            }
        }
        waited.iter().for_each(|member_id| self.keep_alive(cx, member_id));
    }

    fn synced(&self, member_id: &str) -> SyncGroupAnswer {
        SyncGroupAnswer {
            error: ErrorCode::None,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: self.members[member_id].assignment.clone(),
        }
    }
}
