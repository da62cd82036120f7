//! Deadlines of a group: sessions, ids that were never used, the end of a gathering, assignments nobody fetched.

use model::{ErrorCode, Millis};

use super::{ClassicGroup, ClassicState, Gathering};
use crate::group::{
    actions::{Context, Effects},
    config::GroupConfig,
};

impl ClassicGroup {
    /// Does what is due. Deadlines that heartbeats have moved are looked at once too often and no more.
    pub(in crate::group) fn tick(&mut self, cx: &Context<'_>, config: &GroupConfig, effects: &mut Effects) {
        self.expire_pending(cx, effects);
        self.expire_sessions(cx, config, effects);
        self.expire_unsynced(cx, config, effects);
        match self.gathering {
            Some(Gathering::First { until, .. }) if until <= cx.now => {
                self.end_first_round(cx, config, effects)
            }
            Some(Gathering::Next { until }) if until <= cx.now => self.complete_join(cx, effects),
            _ => {}
        }
        self.wake = self.next_deadline();
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        let gathering = self.gathering.map(|gathering| match gathering {
            Gathering::First { until, .. } | Gathering::Next { until } => until,
        });
        let sessions = self.members.values().filter_map(|member| member.session_until);
        sessions.chain(self.pending.values().copied()).chain(self.sync_until).chain(gathering).min()
    }

    fn expire_pending(&mut self, cx: &Context<'_>, effects: &mut Effects) {
        let before = self.pending.len();
        self.pending.retain(|_, until| *until > cx.now);
        if self.pending.len() < before {
            self.maybe_complete_join(cx, effects);
        }
    }

    fn expire_sessions(&mut self, cx: &Context<'_>, config: &GroupConfig, effects: &mut Effects) {
        let mut silent = vec![];
        for member in self.members.values_mut().filter(|m| m.session_until.is_some_and(|at| at <= cx.now)) {
            if !member.is_new && (member.is_joining() || member.is_syncing()) {
                member.session_until = None;
            } else {
                silent.push(member.id.clone());
            }
        }
        for member_id in &silent {
            self.remove(member_id, ErrorCode::UnknownMemberId, effects);
        }
        if !silent.is_empty() {
            self.go_on_without(cx, config, effects);
        }
    }

    /// Members that were told of the generation and never came for their assignment hold partitions for nobody.
    fn expire_unsynced(&mut self, cx: &Context<'_>, config: &GroupConfig, effects: &mut Effects) {
        if self.sync_until.is_none_or(|until| until > cx.now) {
            return;
        }
        self.sync_until = None;
        let waiting = matches!(self.state, ClassicState::CompletingRebalance | ClassicState::Stable);
        if !waiting || self.unsynced.is_empty() {
            return;
        }
        for member_id in std::mem::take(&mut self.unsynced) {
            self.remove(&member_id, ErrorCode::UnknownMemberId, effects);
        }
        self.prepare_rebalance(cx, config, effects);
    }
}
