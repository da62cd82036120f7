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

impl Sessions {
    pub fn new(brokers: impl IntoIterator<Item = BrokerId>, session_timeout: Duration, now: Millis) -> Self {
        Self { timeout: session_timeout, heard: brokers.into_iter().map(|broker| (broker, now)).collect() }
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
}
