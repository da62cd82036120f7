//! Members leave, or are put out.

use model::ErrorCode;

use super::{ConsumerGroup, LEAVE_STATIC_EPOCH, heartbeat::Refusal};
use crate::group::{
    actions::{Context, Effects},
    answer::ConsumerGroupHeartbeatAnswer,
    assignor::Assignment,
    request::ConsumerGroupHeartbeat,
};

impl ConsumerGroup {
    /// A heartbeat with one of the two epochs that mean goodbye.
    pub(in crate::group) fn leave(
        &mut self,
        cx: &Context<'_>,
        request: &ConsumerGroupHeartbeat,
        effects: &mut Effects,
    ) -> Result<ConsumerGroupHeartbeatAnswer, Refusal> {
        let member_id = &request.member_id;
        match &request.instance_id {
            None if self.members.contains_key(member_id) => {}
            None => return Err((ErrorCode::UnknownMemberId, "The group has no such member.")),
            Some(instance_id) => match self.static_members.get(instance_id) {
                None => return Err((ErrorCode::UnknownMemberId, "The group has no such static member.")),
                Some(current) if current != member_id => {
                    return Err((ErrorCode::FencedInstanceId, "Another member has this instance id now."));
                }
                Some(_) => {}
            },
        }
        if request.member_epoch == LEAVE_STATIC_EPOCH {
            // It means to come back: until its session ends, its partitions stay with it.
            let mut member = self.members[member_id].clone();
            member.epoch = LEAVE_STATIC_EPOCH;
            member.revoking = Assignment::new();
            self.emit(member.current_record(&self.id), effects);
            self.members.get_mut(member_id).expect("it is there").revoke_until = None;
        } else {
            self.fence(cx, std::slice::from_ref(member_id), effects);
        }
        Ok(ConsumerGroupHeartbeatAnswer {
            error: ErrorCode::None,
            error_message: None,
            member_id: Some(member_id.clone()),
            member_epoch: request.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        })
    }

    /// These members are out: what they held is free, and the others get it with the next epoch.
    pub(in crate::group) fn fence(&mut self, cx: &Context<'_>, member_ids: &[String], effects: &mut Effects) {
        for member_id in member_ids {
            self.emit_member_end(member_id, effects);
        }
        self.refresh(cx, true, effects);
    }
}
