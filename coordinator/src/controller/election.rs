//! Who leads a partition.

use model::BrokerId;

/// How a broker stands while a leader is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    Active,
    /// In controlled shutdown: it may keep what nobody else can lead, and is given nothing.
    Leaving,
    /// Fenced or not registered.
    Away,
}

/// What an election goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ballot<'a> {
    /// In order of preference.
    pub(super) replicas: &'a [BrokerId],
    pub(super) isr: &'a [BrokerId],
    pub(super) elr: &'a [BrokerId],
    pub(super) leader: Option<BrokerId>,
    /// Shall the leader be the first replica if it can, though another leads well?
    pub(super) preferred: bool,
    /// May a replica lead that lacks what was committed?
    pub(super) unclean: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Elected {
    InSync(BrokerId),
    /// From the eligible leader replicas: nothing that was committed is lost.
    Eligible(BrokerId),
    /// Records may be lost.
    Unclean(BrokerId),
}

impl Elected {
    pub(super) fn broker(self) -> BrokerId {
        match self {
            Self::InSync(broker) | Self::Eligible(broker) | Self::Unclean(broker) => broker,
        }
    }
}

/// The leader stays while it can. Else, in order of preference: a replica in sync, a leader on its way down, an eligible
/// replica, and only if that is allowed any replica. A leader on its way down comes before an eligible replica because it
/// has records that were acknowledged by it alone.
pub(super) fn elect(ballot: &Ballot<'_>, standing: &dyn Fn(BrokerId) -> Standing) -> Option<Elected> {
    let active = |id: &BrokerId| standing(*id) == Standing::Active;
    let in_sync = |id: &BrokerId| ballot.isr.contains(id);
    let of_replicas = |fits: &dyn Fn(&BrokerId) -> bool| ballot.replicas.iter().copied().find(|id| fits(id));

    let preferred = ballot.replicas.first().copied().filter(|_| ballot.preferred);
    let leader = ballot.leader.filter(in_sync);
    let staying = preferred.filter(|id| in_sync(id) && active(id)).or(leader.filter(active));
    staying
        .or_else(|| of_replicas(&|id| in_sync(id) && active(id)))
        .or(leader.filter(|id| standing(*id) == Standing::Leaving))
        .map(Elected::InSync)
        .or_else(|| of_replicas(&|id| ballot.elr.contains(id) && active(id)).map(Elected::Eligible))
        .or_else(|| of_replicas(&|id| ballot.unclean && active(id)).map(Elected::Unclean))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `brokers` says how broker 1, 2, 3 stand: 'a'ctive, 'l'eaving or '-' away.
    fn check(
        brokers: &str,
        isr: &[i32],
        elr: &[i32],
        leader: i32,
        wishes: &str,
        expected: Option<fn(BrokerId) -> Elected>,
        who: i32,
    ) {
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
        let (replicas, isr, elr) = (ids(&[1, 2, 3]), ids(isr), ids(elr));
        let ballot = Ballot {
            replicas: &replicas,
            isr: &isr,
            elr: &elr,
            leader: Some(BrokerId(leader)).filter(|id| id.0 > 0),
            preferred: wishes.contains('p'),
            unclean: wishes.contains('u'),
        };
        let standing = |id: BrokerId| match brokers.as_bytes()[id.0 as usize - 1] {
            b'a' => Standing::Active,
            b'l' => Standing::Leaving,
            _ => Standing::Away,
        };
        let expected = expected.map(|kind| kind(BrokerId(who)));
        assert_eq!(elect(&ballot, &standing), expected, "{brokers} {ballot:?}");
    }

    #[test]
    fn a_leader_that_can_lead_stays() {
        check("aaa", &[1, 2, 3], &[], 2, "", Some(Elected::InSync), 2);
        check("aaa", &[1, 2, 3], &[], 2, "u", Some(Elected::InSync), 2);
        check("aaa", &[1, 2, 3], &[], 2, "p", Some(Elected::InSync), 1);
        check("aaa", &[2, 3], &[], 2, "p", Some(Elected::InSync), 2);
        check("-aa", &[1, 2, 3], &[], 3, "p", Some(Elected::InSync), 3);
        check("aaa", &[1, 3], &[], 2, "", Some(Elected::InSync), 1);
    }

    #[test]
    fn a_replica_in_sync_comes_first_in_order_of_preference() {
        check("aaa", &[3, 2], &[1], 0, "", Some(Elected::InSync), 2);
        check("-aa", &[1, 2, 3], &[], 1, "", Some(Elected::InSync), 2);
        check("--a", &[1, 2, 3], &[], 1, "u", Some(Elected::InSync), 3);
        check("l-a", &[1, 2, 3], &[], 1, "", Some(Elected::InSync), 3);
        check("la-", &[3], &[], 3, "", None, 0);
    }

    #[test]
    fn a_leader_on_its_way_down_stays_while_nobody_in_sync_can_follow() {
        check("laa", &[1], &[2], 1, "u", Some(Elected::InSync), 1);
        check("laa", &[1], &[2], 0, "", Some(Elected::Eligible), 2);
        check("l--", &[1], &[], 0, "u", None, 0);
    }

    #[test]
    fn an_eligible_replica_leads_when_none_in_sync_is_there() {
        check("-aa", &[1], &[3], 0, "", Some(Elected::Eligible), 3);
        check("-aa", &[1], &[3], 1, "u", Some(Elected::Eligible), 3);
        check("-a-", &[1], &[3], 1, "", None, 0);
        check("aa-", &[], &[2], 0, "", Some(Elected::Eligible), 2);
    }

    #[test]
    fn any_other_replica_leads_only_where_that_is_allowed() {
        check("-aa", &[1], &[], 1, "", None, 0);
        check("-aa", &[1], &[], 1, "u", Some(Elected::Unclean), 2);
        check("--a", &[1], &[2], 0, "u", Some(Elected::Unclean), 3);
        check("---", &[1], &[2], 0, "u", None, 0);
        check("aaa", &[], &[], 0, "", None, 0);
    }
}
