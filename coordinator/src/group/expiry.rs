//! Offsets that nobody needs any more, and groups that have nothing any more, leave the log.

use std::ops::Bound;

use model::Millis;

use super::{
    actions::{Actions, Context},
    config::{GroupConfig, TOMBSTONES_PER_APPEND},
    coordinator::{GroupCoordinator, Kind},
};

/// Groups looked at in one go, so that heartbeats need not wait for thousands of groups.
const GROUPS_PER_RUN: usize = 500;
/// From one go to the next.
const PAUSE_MS: i32 = 10;

#[derive(Debug, Default)]
pub(super) struct Expiry {
    at: Option<Millis>,
    /// The last group looked at in this round.
    after: Option<String>,
}

impl Expiry {
    pub(super) fn begin(&mut self, cx: &Context<'_>, config: &GroupConfig) {
        self.at = Some(cx.later(config.offsets_retention_check_interval_ms));
    }

    pub(super) fn next_run(&self) -> Option<Millis> {
        self.at
    }
}

impl GroupCoordinator {
    pub(super) fn run_expiry(&mut self, cx: &Context<'_>) -> Actions {
        let mut actions = Actions::default();
        if self.expiry.at.is_none_or(|at| at > cx.now) {
            return actions;
        }
        let from = self.expiry.after.take().map_or(Bound::Unbounded, Bound::Excluded);
        let groups = self.groups.range::<String, _>((from, Bound::Unbounded));
        let ids: Vec<String> = groups.map(|(id, _)| id.clone()).take(GROUPS_PER_RUN).collect();
        for group_id in &ids {
            actions.extend(self.expire_group(cx, group_id));
        }
        let more = ids.len() == GROUPS_PER_RUN;
        let pause_ms = if more { PAUSE_MS } else { self.config.offsets_retention_check_interval_ms };
        self.expiry.at = Some(cx.later(pause_ms));
        self.expiry.after = if more { ids.into_iter().next_back() } else { None };
        actions
    }

    /// What is under way may be a new commit of the very partition: such a group is looked at next time.
    fn expire_group(&mut self, cx: &Context<'_>, group_id: &str) -> Actions {
        let group = &self.groups[group_id];
        if !group.offsets.is_settled() {
            return Actions::default();
        }
        let ageing = match &group.kind {
            Kind::Classic(classic) => classic.ageing(),
            Kind::Consumer(consumer) => consumer.ageing(),
        };
        let is_subscribed = |topic: &str| !group.is_empty() && group.is_subscribed_to(topic);
        let retention_ms = self.config.offsets_retention_ms;
        let expired =
            group.offsets.expired(ageing, is_subscribed, cx.wall, retention_ms, TOMBSTONES_PER_APPEND);
        if !expired.is_empty() {
            return self.delete_keys(group_id, &expired);
        }
        let abandoned = match &group.kind {
            Kind::Classic(classic) => classic.is_abandoned(),
            Kind::Consumer(consumer) => consumer.is_empty(),
        };
        if abandoned && group.offsets.is_empty() {
            return self.step(group_id, |group, _, effects| group.bury(effects));
        }
        Actions::default()
    }
}
