//! The rates that one shard keeps for all: those whose key has its home there. Bounded, and what is idle goes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use model::Millis;

use super::{
    limit::RateKey,
    rate::{Charged, Rate, Terms},
};

/// Rates of one shard. With a quota for every client id there is one for each that comes, whatever it calls itself.
pub const RATES_MAX: usize = 1 << 16;
/// Bytes of their names together.
pub const NAME_BYTES_MAX: usize = 16 << 20;
/// How often idle ones are looked for, at the most.
const SWEEP: Duration = Duration::from_secs(10);

/// What to do with an amount that has to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// It has happened, and is counted.
    Count,
    /// It will be withheld, and is not counted.
    Withhold,
    /// While the client has to wait already, it is refused and not counted; else it happens, however much it is.
    Refuse,
}

#[derive(Clone, Debug)]
pub struct Charge {
    pub key: Arc<RateKey>,
    pub terms: Terms,
    pub amount: f64,
    pub rule: Rule,
}

#[derive(Default, Debug)]
pub struct Rates {
    rates: BTreeMap<Arc<RateKey>, Rate>,
    name_bytes: usize,
    swept: Millis,
}

impl Rates {
    pub fn charge(&mut self, now: Millis, charge: &Charge) -> Charged {
        if now.since(self.swept) >= SWEEP {
            self.sweep(now);
        }
        let rate = self.rate_of(&charge.key, now);
        match charge.rule {
            Rule::Count => Charged { granted: true, wait: rate.charge(now, charge.amount, charge.terms) },
            Rule::Withhold => rate.charge_if_free(now, charge.amount, charge.terms),
            Rule::Refuse => rate.charge_unless_over(now, charge.amount, charge.terms),
        }
    }

    pub fn len(&self) -> usize {
        self.rates.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rates.is_empty()
    }

    /// When there is no room, all who come new share one rate of their kind: too little for them is better than no
    /// limit for whoever changes his name often enough.
    fn rate_of(&mut self, key: &Arc<RateKey>, now: Millis) -> &mut Rate {
        let is_full = self.rates.len() >= RATES_MAX || self.name_bytes >= NAME_BYTES_MAX;
        let key = if is_full && !self.rates.contains_key(key) {
            Arc::new(RateKey { kind: key.kind, user: None, client_id: None })
        } else {
            key.clone()
        };
        let name_bytes = name_bytes(&key);
        let total = &mut self.name_bytes;
        self.rates.entry(key).or_insert_with(|| {
            *total += name_bytes;
            Rate::new(now)
        })
    }

    /// An idle rate is as good as none.
    fn sweep(&mut self, now: Millis) {
        self.swept = now;
        self.rates.retain(|_, rate| !rate.is_idle(now));
        self.name_bytes = self.rates.keys().map(|key| name_bytes(key)).sum();
    }
}

fn name_bytes(key: &RateKey) -> usize {
    let length = |name: &Option<String>| name.as_ref().map_or(0, String::len);
    length(&key.user) + length(&key.client_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quotas::QuotaKind;

    const TERMS: Terms = Terms { per_second: 100.0, windows: Duration::from_secs(10) };

    fn charge(client_id: &str, amount: f64) -> Charge {
        let key = RateKey { kind: QuotaKind::Produce, user: None, client_id: Some(client_id.to_owned()) };
        Charge { key: Arc::new(key), terms: TERMS, amount, rule: Rule::Count }
    }

    #[test]
    fn each_key_has_its_own_rate() {
        let mut rates = Rates::default();
        assert!(rates.charge(Millis(0), &charge("a", 1000.0)).wait.is_zero());
        assert!(rates.charge(Millis(0), &charge("b", 1000.0)).wait.is_zero());
        assert_eq!(rates.charge(Millis(0), &charge("a", 100.0)).wait, Duration::from_secs(1));
    }

    #[test]
    fn what_is_idle_goes_and_what_is_not_stays() {
        let mut rates = Rates::default();
        rates.charge(Millis(0), &charge("small", 100.0));
        rates.charge(Millis(0), &charge("large", 5000.0));
        rates.charge(Millis(10_000), &charge("other", 0.0));
        assert_eq!(rates.len(), 2);
        assert_eq!(rates.charge(Millis(10_000), &charge("large", 0.0)).wait, Duration::from_secs(30));
    }

    #[test]
    fn names_without_end_share_one_rate_at_last() {
        let mut rates = Rates::default();
        let long = "x".repeat(30_000);
        for n in 0..2000 {
            rates.charge(Millis(0), &charge(&format!("{n}{long}"), 1.0));
        }
        assert!(rates.len() < 600 && rates.name_bytes < NAME_BYTES_MAX + 40_000, "{}", rates.len());
        assert!(rates.charge(Millis(0), &charge("new", 1000.0)).wait > Duration::from_secs(10));
        assert!(rates.charge(Millis(0), &charge(&format!("7{long}"), 999.0)).wait.is_zero(), "a known one");
        rates.charge(Millis(60_000), &charge("new", 1.0));
        assert_eq!(rates.len(), 1, "and room comes back");
    }

    #[test]
    fn there_are_only_so_many() {
        let mut rates = Rates::default();
        for n in 0..RATES_MAX + 100 {
            rates.charge(Millis(0), &charge(&n.to_string(), 1.0));
        }
        assert_eq!(rates.len(), RATES_MAX + 1);
    }
}
