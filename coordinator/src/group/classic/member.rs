//! A member of a classic group.

use std::collections::BTreeSet;

use model::{ErrorCode, Millis};

use crate::group::{
    actions::{Effects, Ticket},
    answer::{JoinGroupAnswer, SyncGroupAnswer},
    record::ClassicMemberValue,
    request::JoinGroup,
};

#[derive(Clone, Debug)]
pub(in crate::group) struct Member {
    pub(in crate::group) id: String,
    pub(in crate::group) instance_id: Option<String>,
    pub(in crate::group) client_id: String,
    pub(in crate::group) client_host: String,
    pub(in crate::group) session_timeout_ms: i32,
    pub(in crate::group) rebalance_timeout_ms: i32,
    /// Name and metadata, most wanted first.
    pub(in crate::group) protocols: Vec<(String, Vec<u8>)>,
    /// Durable, and of the current generation.
    pub(in crate::group) assignment: Vec<u8>,
    /// Until when something must be heard of the member. None while a request of it waits here: that it waits is sign
    /// of life enough, and the clock starts anew with the answer.
    pub(super) session_until: Option<Millis>,
    /// Has not been part of a generation yet: it may fall out even while its JoinGroup waits.
    pub(super) is_new: bool,
    join: Option<Ticket>,
    sync: Option<Ticket>,
}

impl Member {
    pub(super) fn new(id: String, request: &JoinGroup) -> Self {
        Self {
            id,
            instance_id: request.group_instance_id.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols.clone(),
            assignment: vec![],
            session_until: None,
            is_new: true,
            join: None,
            sync: None,
        }
    }

    pub(super) fn from_record(value: ClassicMemberValue, protocol: &str) -> Self {
        Self {
            id: value.member_id,
            instance_id: value.group_instance_id,
            client_id: value.client_id,
            client_host: value.client_host,
            session_timeout_ms: value.session_timeout_ms,
            // Version 0 of the record has none: then it is the session timeout, as it was for JoinGroup 0.
            rebalance_timeout_ms: if value.rebalance_timeout_ms == -1 {
                value.session_timeout_ms
            } else {
                value.rebalance_timeout_ms
            },
            protocols: vec![(protocol.to_owned(), value.subscription)],
            assignment: value.assignment,
            session_until: None,
            is_new: false,
            join: None,
            sync: None,
        }
    }

    pub(super) fn to_record(&self, protocol: &str, assignment: Vec<u8>) -> ClassicMemberValue {
        ClassicMemberValue {
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol).to_vec(),
            assignment,
        }
    }

    pub(in crate::group) fn metadata(&self, protocol: &str) -> &[u8] {
        self.protocols.iter().find(|(name, _)| name == protocol).map_or(&[], |(_, metadata)| metadata)
    }

    /// Which of the candidates it wants most.
    pub(super) fn vote<'a>(&'a self, candidates: &[&str]) -> Option<&'a str> {
        self.protocols.iter().map(|(name, _)| name.as_str()).find(|name| candidates.contains(name))
    }

    /// Each once, whatever the client sent.
    pub(super) fn protocol_names(&self) -> BTreeSet<&str> {
        self.protocols.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Takes over what a repeated JoinGroup says.
    pub(super) fn update(&mut self, request: &JoinGroup) {
        self.protocols.clone_from(&request.protocols);
        self.session_timeout_ms = request.session_timeout_ms;
        self.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }

    pub(super) fn is_joining(&self) -> bool {
        self.join.is_some()
    }

    pub(super) fn is_syncing(&self) -> bool {
        self.sync.is_some()
    }

    /// A JoinGroup that already waits comes from a connection that the client has given up.
    pub(super) fn wait_for_join(&mut self, ticket: Ticket, effects: &mut Effects) {
        self.refuse_join(ErrorCode::RebalanceInProgress, effects);
        self.join = Some(ticket);
    }

    pub(super) fn wait_for_sync(&mut self, ticket: Ticket, effects: &mut Effects) {
        self.refuse_sync(ErrorCode::RebalanceInProgress, effects);
        self.sync = Some(ticket);
    }

    pub(super) fn answer_join(&mut self, answer: JoinGroupAnswer, effects: &mut Effects) -> bool {
        let Some(ticket) = self.join.take() else { return false };
        effects.answer(ticket, answer);
        true
    }

    pub(super) fn answer_sync(&mut self, answer: SyncGroupAnswer, effects: &mut Effects) -> bool {
        let Some(ticket) = self.sync.take() else { return false };
        effects.answer(ticket, answer);
        true
    }

    pub(super) fn refuse_join(&mut self, error: ErrorCode, effects: &mut Effects) {
        let member_id = if error == ErrorCode::UnknownMemberId { "" } else { &self.id };
        let answer = JoinGroupAnswer::refused(error, member_id);
        self.answer_join(answer, effects);
    }

    pub(super) fn refuse_sync(&mut self, error: ErrorCode, effects: &mut Effects) -> bool {
        self.answer_sync(SyncGroupAnswer::refused(error), effects)
    }
}
