//! Which brokers were heard lately. Lives at the edge of the active controller, which alone hears them: a controller that
//! becomes active knows nothing of it and gives everybody some time to find it.

use std::{collections::BTreeMap, time::Duration};

use model::{BrokerId, Millis};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sessions {
    timeout: Duration,
    /// One entry a registered broker, so at most `BROKERS_MAX`.
    heard: BTreeMap<BrokerId, Millis>,
}

/// Heartbeats that a broker may miss while the controller changes.
const GRACE_HEARTBEATS: u32 = 3;
/// And the one that was the controller, if it lives: it hears at once that it is not any more.
const GRACE_HEARTBEATS_OF_THE_FORMER: u32 = 2;

impl Sessions {
    pub fn new(brokers: impl IntoIterator<Item = BrokerId>, session_timeout: Duration, now: Millis) -> Self {
        Self { timeout: session_timeout, heard: brokers.into_iter().map(|broker| (broker, now)).collect() }
    }

    /// For a controller that is new, over the brokers that the one before it took for alive. All have a few heartbeats in
    /// which to find it. `former` led before and was last heard then: of its silence this node knows more.
    pub fn taken_over(
        brokers: impl IntoIterator<Item = BrokerId>,
        former: Option<(BrokerId, Millis)>,
        session_timeout: Duration,
        heartbeat: Duration,
        now: Millis,
    ) -> Self {
        let grace = |heartbeats| {
            let spent = session_timeout.saturating_sub(heartbeat * heartbeats);
            Millis(now.0.saturating_sub(u64::try_from(spent.as_millis()).unwrap_or(u64::MAX)))
        };
        let mut sessions = Self::new(brokers, session_timeout, grace(GRACE_HEARTBEATS));
        if let Some((former, heard)) = former
            && let Some(at) = sessions.heard.get_mut(&former)
        {
            *at = heard.max(grace(GRACE_HEARTBEATS_OF_THE_FORMER));
        }
        sessions
    }

    /// A registration of the broker was granted, or a heartbeat of that life has come.
    pub fn heard(&mut self, broker: BrokerId, now: Millis) {
        let at = self.heard.entry(broker).or_insert(now);
        *at = (*at).max(now);
    }

    pub fn is_live(&self, broker: BrokerId, now: Millis) -> bool {
        self.heard.get(&broker).is_some_and(|&at| now < at + self.timeout)
    }

    /// Whose sessions are over, in order of id. They stay so until heard or forgotten.
    pub fn expired(&self, now: Millis) -> Vec<BrokerId> {
        self.heard.keys().copied().filter(|&broker| !self.is_live(broker, now)).collect()
    }

    /// When the next session is over if nothing is heard.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.heard.values().min().map(|&at| at + self.timeout)
    }

    /// The broker was fenced, told to shut down, or unregistered: it has no session.
    pub fn forget(&mut self, broker: BrokerId) {
        self.heard.remove(&broker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_one_timeout_after_the_broker_was_heard() {
        let (a, b) = (BrokerId(1), BrokerId(2));
        let mut sessions = Sessions::new([a, b], Duration::from_millis(9000), Millis(1000));
        assert_eq!(sessions.next_deadline(), Some(Millis(10_000)));
        assert_eq!(sessions.expired(Millis(9999)), []);
        sessions.heard(a, Millis(4000));
        sessions.heard(a, Millis(3000));
        assert!(sessions.is_live(b, Millis(9999)) && !sessions.is_live(b, Millis(10_000)));
        assert_eq!(sessions.expired(Millis(10_000)), [b]);
        sessions.forget(b);
        assert_eq!(sessions.expired(Millis(10_000)), []);
        assert_eq!(sessions.next_deadline(), Some(Millis(13_000)));
        assert_eq!(sessions.expired(Millis(13_000)), [a]);
        sessions.heard(b, Millis(13_000));
        assert_eq!(sessions.expired(Millis(13_000)), [a]);
        sessions.forget(a);
        sessions.forget(b);
        assert_eq!(sessions.next_deadline(), None);
        assert!(!sessions.is_live(a, Millis(0)));
    }
    #[test]
    fn a_new_controller_gives_everybody_time_and_the_former_one_what_it_has_left() {
        let (former, other) = (BrokerId(1), BrokerId(2));
        let (session, heartbeat, now) =
            (Duration::from_millis(700), Duration::from_millis(100), Millis(10_000));
        let deadlines = |heard: Option<Millis>| {
            let heard = heard.map(|at| (former, at));
            let mut sessions = Sessions::taken_over([former, other], heard, session, heartbeat, now);
            let first = sessions.next_deadline().map(|at| (at, sessions.expired(at)));
            sessions.forget(former);
            (first, sessions.next_deadline())
        };
        let others = Some(Millis(10_300));
        // Silent for 400 ms, and for so long that its session was over before anybody could fence it.
        assert_eq!(deadlines(Some(Millis(9_560))), (Some((Millis(10_260), vec![former])), others));
        assert_eq!(deadlines(Some(Millis(9_000))), (Some((Millis(10_200), vec![former])), others));
        // It handed over: nobody is in a hurry to find it dead.
        assert_eq!(deadlines(Some(Millis(9_999))), (Some((Millis(10_300), vec![other])), others));
        // Nobody led before.
        assert_eq!(deadlines(None), (Some((Millis(10_300), vec![former, other])), others));
        // A broker that is fenced gets no session by having led.
        let sessions = Sessions::taken_over([other], Some((former, now)), session, heartbeat, now);
        assert!(!sessions.is_live(former, now));
    }

    #[test]
    fn a_short_session_is_not_made_longer() {
        let (session, heartbeat) = (Duration::from_millis(150), Duration::from_millis(100));
        let sessions = Sessions::taken_over([BrokerId(1)], None, session, heartbeat, Millis(1000));
        assert_eq!(sessions.next_deadline(), Some(Millis(1150)));
    }
}
