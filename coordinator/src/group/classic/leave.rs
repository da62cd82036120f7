//! LeaveGroup: of several members at once, by member id or, for static members, by instance id.

use model::ErrorCode;

use super::{ClassicGroup, ClassicState};
use crate::group::{
    actions::{Context, Effects, Ticket},
    answer::{LeaveGroupAnswer, LeftMember},
    config::GroupConfig,
    request::{LeaveGroup, LeavingMember},
};

impl ClassicGroup {
    pub(in crate::group) fn leave(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        ticket: Ticket,
        request: &LeaveGroup,
        effects: &mut Effects,
    ) {
        let left = |leaving: &LeavingMember, error| LeftMember {
            member_id: leaving.member_id.clone(),
            group_instance_id: leaving.group_instance_id.clone(),
            error,
        };
        let mut members = vec![];
        for leaving in &request.members {
            let gone = self.leaving_member(leaving);
            if let Ok(member_id) = &gone {
                self.remove(member_id, ErrorCode::UnknownMemberId, effects);
            }
            members.push(left(leaving, gone.err().unwrap_or(ErrorCode::None)));
        }
        let anyone = members.iter().any(|member| member.error == ErrorCode::None);
        effects.answer(ticket, LeaveGroupAnswer { error: ErrorCode::None, members });
        if anyone {
            self.go_on_without(cx, config, effects);
        }
    }

    /// Whom the request means.
    fn leaving_member(&self, leaving: &LeavingMember) -> Result<String, ErrorCode> {
        if leaving.member_id.is_empty() {
            let instance_id = leaving.group_instance_id.as_ref().ok_or(ErrorCode::UnknownMemberId)?;
            return self.static_members.get(instance_id).cloned().ok_or(ErrorCode::UnknownMemberId);
        }
        if !self.pending.contains_key(&leaving.member_id) {
            self.admit(&leaving.member_id, leaving.group_instance_id.as_deref())?;
        }
        Ok(leaving.member_id.clone())
    }

    /// Members have gone: the others share what they had.
    pub(super) fn go_on_without(&mut self, cx: &Context<'_>, config: &GroupConfig, effects: &mut Effects) {
        match self.state {
            ClassicState::Stable | ClassicState::CompletingRebalance => {
                self.prepare_rebalance(cx, config, effects);
            }
            ClassicState::PreparingRebalance => self.maybe_complete_join(cx, effects),
            ClassicState::Empty => {}
        }
    }
}
