//! What a group does whatever its protocol is, and how it comes from one to the other.

use super::{
    actions::{Context, Effects, OnceDurable},
    classic::ClassicGroup,
    config::GroupConfig,
    consumer::ConsumerGroup,
    coordinator::{Group, Kind},
    record::GroupRecord,
    request::JoinGroup,
};

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Classic(classic) => classic.is_empty(),
            Kind::Consumer(consumer) => consumer.is_empty(),
        }
    }

    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.kind {
            Kind::Classic(classic) => classic.is_subscribed_to(topic),
            Kind::Consumer(consumer) => consumer.is_subscribed_to(topic),
        }
    }

    /// The end of an empty group in the log.
    pub(super) fn bury(&mut self, effects: &mut Effects) {
        assert!(self.is_empty());
        match &mut self.kind {
            Kind::Classic(classic) if classic.is_in_log() => {
                effects.records.push(classic.tombstone());
                effects.once_durable.push(OnceDurable::GroupTombstone);
                classic.set_in_log(false);
            }
            Kind::Consumer(consumer) if consumer.is_in_log() => consumer.bury(effects),
            Kind::Classic(_) | Kind::Consumer(_) => {}
        }
    }

    /// A member of the classic protocol comes: an empty group is its to take, and so is one whose last member of the new
    /// protocol it replaces.
    pub(super) fn receive_classic_member(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        request: &JoinGroup,
        effects: &mut Effects,
    ) {
        let Kind::Consumer(consumer) = &mut self.kind else { return };
        if !request.member_id.is_empty() {
            return;
        }
        if !consumer.is_empty() {
            let replaced = request.group_instance_id.as_deref();
            let replaced = replaced.and_then(|instance_id| consumer.last_of_protocol(instance_id));
            let Some(replaced) = replaced.map(str::to_owned) else { return };
            if !config.migration_policy.allows_downgrade() || consumer.admit_join(config, request).is_err() {
                return;
            }
            consumer.fence(cx, &[replaced], effects);
            self.maybe_downgrade(cx, config, effects);
        }
        if let Kind::Consumer(consumer) = &mut self.kind
            && consumer.is_empty()
        {
            if consumer.is_in_log() {
                consumer.bury(effects);
            }
            self.kind = Kind::Classic(ClassicGroup::new(&request.group_id, cx));
        }
    }

    /// A member of the new protocol comes: an empty classic group is its to take, one with members changes its protocol if
    /// that may be.
    pub(super) fn receive_consumer_member(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        group_id: &str,
        effects: &mut Effects,
    ) {
        let Kind::Classic(classic) = &mut self.kind else { return };
        if classic.is_empty() {
            if classic.is_in_log() {
                effects.records.push(classic.tombstone());
            }
            self.kind = Kind::Consumer(ConsumerGroup::new(group_id));
        } else if config.migration_policy.allows_upgrade() {
            let upgraded = ConsumerGroup::upgraded(classic, group_id, cx, config, effects);
            if let Some(upgraded) = upgraded {
                self.kind = Kind::Consumer(upgraded);
            }
        }
    }

    /// The last member of the new protocol has gone.
    pub(super) fn maybe_downgrade(&mut self, cx: &Context<'_>, config: &GroupConfig, effects: &mut Effects) {
        let Kind::Consumer(consumer) = &mut self.kind else { return };
        if consumer.is_to_downgrade(config) {
            let mut classic = consumer.downgraded(cx, effects);
            classic.prepare_rebalance(cx, config, effects);
            self.kind = Kind::Classic(classic);
        }
    }

    /// Writes again what the log has refused, as it is now, before whatever else is to be written.
    pub(super) fn repair(&mut self, effects: &mut Effects) {
        if self.unsaid.is_empty() {
            return;
        }
        self.repair_at = None;
        let unsaid = std::mem::take(&mut self.unsaid).into_values();
        let again: Vec<GroupRecord> = unsaid.filter_map(|record| self.restated(&record)).collect();
        effects.records.splice(0..0, again);
    }

    /// None: the end of the rebalance that is going on says it all.
    fn restated(&self, record: &GroupRecord) -> Option<GroupRecord> {
        match (&self.kind, record) {
            (Kind::Classic(classic), GroupRecord::GroupMetadata { .. }) if classic.is_in_log() => {
                classic.rewritten()
            }
            (Kind::Classic(classic), GroupRecord::GroupMetadata { .. }) => Some(classic.tombstone()),
            (Kind::Classic(_), _) => Some(ConsumerGroup::new(record.group()).restated(record)),
            (Kind::Consumer(consumer), _) => Some(consumer.restated(record)),
        }
    }
}
