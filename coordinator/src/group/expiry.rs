//! Offsets that nobody needs any more, and groups that have nothing any more, leave the log.

use std::collections::VecDeque;

use model::Millis;

use super::{
    actions::{Actions, Context},
    config::GroupConfig,
    coordinator::{GroupCoordinator, Kind},
};

/// Groups looked at in one go, so that heartbeats need not wait for thousands of groups.
const GROUPS_PER_RUN: usize = 500;
/// Offsets that expire in one go.
const TOMBSTONES_PER_RUN: usize = 10_000;
/// From one go to the next.
const PAUSE_MS: i32 = 10;

#[derive(Debug, Default)]
pub(super) struct Expiry {
    at: Option<Millis>,
    /// Where this round goes on.
    from: Option<String>,
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
        let groups = self.groups.range(self.expiry.from.take().unwrap_or_default()..);
        let mut ids: VecDeque<String> = groups.map(|(id, _)| id.clone()).take(GROUPS_PER_RUN + 1).collect();
        let beyond = if ids.len() > GROUPS_PER_RUN { ids.pop_back() } else { None };
        let mut tombstones_left = TOMBSTONES_PER_RUN;
        while let Some(group_id) = ids.pop_front() {
            actions.extend(self.expire_group(cx, &group_id, &mut tombstones_left));
            if tombstones_left == 0 {
                ids.push_front(group_id);
                break;
            }
        }
        self.expiry.from = ids.pop_front().or(beyond);
        let pause_ms = match self.expiry.from {
            Some(_) => PAUSE_MS,
            None => self.config.offsets_retention_check_interval_ms,
        };
        self.expiry.at = Some(cx.later(pause_ms));
        actions
    }

    /// At most so many offsets go. What is under way may be a new commit of the very partition: such a group is looked at
    /// next time.
    fn expire_group(&mut self, cx: &Context<'_>, group_id: &str, most: &mut usize) -> Actions {
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
        let expired = group.offsets.expired(ageing, is_subscribed, cx.wall, retention_ms, *most);
        *most -= expired.len();
        let all_go = expired.len() == group.offsets.count_bound();
        let abandoned = match &group.kind {
            Kind::Classic(classic) => classic.is_abandoned(),
            Kind::Consumer(consumer) => consumer.is_empty(),
        };
        let mut actions = self.delete_keys(group_id, &expired);
        if abandoned && all_go {
            actions.extend(self.step(group_id, |group, _, effects| group.bury(effects)));
        }
        actions
    }
}
