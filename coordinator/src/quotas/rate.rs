//! One rate: how much was used lately, and how long to wait until that is no more than the quota.
//!
//! Kafka sums windows and says `(observed - quota) / quota * span`, where the span is the whole windows before the present
//! one and what has passed of it. What is the same: what was used flows off at the quota's pace, and the wait is until no
//! more than the whole windows' worth is left.
//!
//! ```text
//!   used
//!    |      /|\
//!    |  /|\/ | \          wait = used / quota - windows
//!    |-/-+---+--\------   quota * windows: free at any time
//!    |/  |   |   \
//!    +-----------------> time
//! ```
//! Unlike Kafka's, a window never falls out of the sum before it is paid: a client that waits as told stays below its
//! quota in the long run, however large its requests. The state is two numbers, whatever the windows are.

use std::time::Duration;

use model::Millis;

/// What a rate is held to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Terms {
    pub per_second: f64,
    /// `quota.window.size.seconds` times `quota.window.num` less the present one.
    pub windows: Duration,
}

impl Terms {
    pub fn new(per_second: f64, window_num: i32, window_seconds: i32) -> Self {
        let whole = |n: i32| u64::try_from(n).unwrap_or(0);
        let windows =
            Duration::from_secs(whole(window_num.saturating_sub(1)).saturating_mul(whole(window_seconds)));
        Self { per_second, windows }
    }

    /// What may be used at once after a silence.
    pub fn at_once(&self) -> f64 {
        self.per_second * self.windows.as_secs_f64()
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    /// At `at`; never negative.
    used: f64,
    at: Millis,
    per_second: f64,
}

impl Rate {
    pub fn new(now: Millis) -> Self {
        Self { used: 0.0, at: now, per_second: 0.0 }
    }

    /// Counts `amount` and answers how long to wait because of it.
    pub fn charge(&mut self, now: Millis, amount: f64, terms: Terms) -> Duration {
        self.flow(now, terms.per_second);
        self.used += amount.max(0.0);
        wait(self.used, terms)
    }

    /// As `charge`, but what would have to wait is not counted: it is not going to happen. Only the first after a silence
    /// is counted in any case, as else what is larger than the windows would never happen.
    pub fn charge_if_free(&mut self, now: Millis, amount: f64, terms: Terms) -> Charged {
        self.flow(now, terms.per_second);
        let wait = wait(self.used + amount.max(0.0), terms);
        let granted = wait.is_zero() || self.used == 0.0;
        if granted {
            self.used += amount.max(0.0);
        }
        Charged { granted, wait }
    }

    /// As `charge`, but nothing is let through while the client has to wait already. What is, may go beyond and does not
    /// wait: the next will.
    pub fn charge_unless_over(&mut self, now: Millis, amount: f64, terms: Terms) -> Charged {
        self.flow(now, terms.per_second);
        let wait = wait(self.used, terms);
        let granted = wait.is_zero();
        if granted {
            self.used += amount.max(0.0);
        }
        Charged { granted, wait }
    }

    /// Is nothing left that was used? Then it is as new.
    pub fn is_idle(&self, now: Millis) -> bool {
        self.used <= self.per_second * now.since(self.at).as_secs_f64()
    }

    /// Under a quota that was changed, what was used before flows off at the new pace.
    fn flow(&mut self, now: Millis, per_second: f64) {
        let passed = now.since(self.at).as_secs_f64();
        self.used = (self.used - per_second * passed).max(0.0);
        self.at = now.max(self.at);
        self.per_second = per_second;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Charged {
    /// It was counted.
    pub granted: bool,
    pub wait: Duration,
}

/// So little is the inexactness of a sum, not a reason to wait another millisecond.
const ROUNDING_MS: f64 = 1e-6;

/// In whole milliseconds, up: a throttle time on the wire has no others, and they fit it.
fn wait(used: f64, terms: Terms) -> Duration {
    let seconds = used / terms.per_second - terms.windows.as_secs_f64();
    // Not a number: no use of a quota that is none. `as` stops at the largest.
    let ms = (seconds * 1000.0 - ROUNDING_MS).max(0.0).ceil() as u64;
    Duration::from_millis(ms.min(i32::MAX as u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: Terms = Terms { per_second: 1000.0, windows: Duration::from_secs(10) };

    fn at(ms: u64) -> Millis {
        Millis(50_000 + ms)
    }

    #[test]
    fn the_wait_is_kafkas() {
        // (when, how much, wait): all of one rate, in order.
        let story = [
            (0, 10_000.0, 0),
            // (10_500 / 10 - 1000) / 1000 * 10 s
            (0, 500.0, 500),
            // One second on, 9_500 are left: (19_500 / 10 - 1000) / 1000 * 10 s.
            (1000, 10_000.0, 9500),
            (10_500, 0.0, 0),
            (10_500, 1.0, 1),
            (10_501, 1.0, 1),
            // Long silence gives no more than the windows.
            (1_000_000, 10_000.0, 0),
            (1_000_000, 1000.0, 1000),
        ];
        let mut rate = Rate::new(at(0));
        for (when, amount, expected) in story {
            let wait = rate.charge(at(when), amount, TERMS);
            assert_eq!(wait.as_millis(), expected, "{amount} at {when}");
        }
    }

    #[test]
    fn with_one_window_everything_waits() {
        let terms = Terms::new(1000.0, 1, 1);
        assert_eq!(Rate::new(at(0)).charge(at(0), 250.0, terms), Duration::from_millis(250));
    }

    #[test]
    fn a_raised_quota_lets_go_at_once() {
        let mut rate = Rate::new(at(0));
        let slow = Terms { per_second: 1.0, ..TERMS };
        assert_eq!(rate.charge(at(0), 1_000_000.0, slow), Duration::from_secs(999_990));
        let fast = Terms { per_second: 1_000_000.0, ..TERMS };
        assert!(rate.charge(at(1), 1.0, fast).is_zero());
    }

    #[test]
    fn what_must_wait_is_not_counted_where_it_is_withheld() {
        let mut rate = Rate::new(at(0));
        let charged = |granted, ms| Charged { granted, wait: Duration::from_millis(ms) };
        assert_eq!(rate.charge_if_free(at(0), 50_000.0, TERMS), charged(true, 40_000), "the first goes out");
        assert_eq!(rate.charge_if_free(at(0), 1000.0, TERMS), charged(false, 41_000));
        assert_eq!(rate.charge_if_free(at(0), 1000.0, TERMS), charged(false, 41_000));
        assert_eq!(rate.charge_if_free(at(41_000), 1000.0, TERMS), charged(true, 0));
    }

    #[test]
    fn what_is_refused_is_not_counted() {
        let mut rate = Rate::new(at(0));
        let charged = |granted, ms| Charged { granted, wait: Duration::from_millis(ms) };
        assert_eq!(rate.charge_unless_over(at(0), 9000.0, TERMS), charged(true, 0));
        assert_eq!(rate.charge_unless_over(at(0), 3000.0, TERMS), charged(true, 0));
        assert_eq!(rate.charge_unless_over(at(0), 1.0, TERMS), charged(false, 2000));
        assert_eq!(rate.charge_unless_over(at(1999), 1.0, TERMS), charged(false, 1));
        assert_eq!(rate.charge_unless_over(at(2000), 1.0, TERMS), charged(true, 0));
    }

    #[test]
    fn numbers_that_make_no_sense_do_no_harm() {
        for per_second in [f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 1e300] {
            for amount in [0.0, -5.0, f64::NAN, f64::INFINITY, 1e300] {
                let terms = Terms { per_second, ..TERMS };
                let mut rate = Rate::new(at(0));
                for now in [5, 0, 7] {
                    assert!(rate.charge(at(now), amount, terms).as_millis() <= i32::MAX as u128);
                }
            }
        }
    }

    proptest! {
        /// Whoever waits as told: never more than the quota and the windows' worth beside the last request, and never
        /// held back for longer than that takes.
        #[test]
        fn an_obedient_client_gets_its_quota_and_no_more(
            requests in prop::collection::vec((0.0..60_000.0_f64, 0..3000_u64), 1..200),
            per_second in 1.0..5000.0_f64,
            window_num in 1..15,
        ) {
            let terms = Terms::new(per_second, window_num, 1);
            let mut rate = Rate::new(at(0));
            let (mut now, mut sum, mut waited) = (0, 0.0, 0);
            for (amount, pause) in requests {
                // What was used before this one is paid but for the windows.
                let allowed = per_second * now as f64 / 1000.0 + terms.at_once();
                prop_assert!(sum <= allowed + 1e-6 * sum, "{sum} of {allowed} at {now}");
                let wait = rate.charge(at(now), amount, terms).as_millis() as u64;
                sum += amount;
                waited += wait;
                prop_assert!(wait as f64 <= sum / per_second * 1000.0 + 1.0, "waits longer than all of it takes");
                now += wait + pause;
            }
            prop_assert!(waited as f64 <= sum / per_second * 1000.0 + 200.0, "a wait is no more than is due");
        }

        /// The same where the answer is withheld: something always goes out in the end.
        #[test]
        fn what_is_withheld_goes_out_in_the_end(
            amounts in prop::collection::vec(1.0..60_000.0_f64, 1..60),
            per_second in 1.0..5000.0_f64,
            window_num in 1..15,
        ) {
            let terms = Terms::new(per_second, window_num, 1);
            let mut rate = Rate::new(at(0));
            let (mut now, mut sum) = (0, 0.0);
            for amount in amounts {
                let mut tries = 0;
                loop {
                    let charged = rate.charge_if_free(at(now), amount, terms);
                    now += charged.wait.as_millis() as u64;
                    if charged.granted {
                        sum += amount;
                        break;
                    }
                    tries += 1;
                    prop_assert!(tries < 3, "withheld again after the wait");
                }
                let allowed = per_second * now as f64 / 1000.0 + terms.at_once();
                prop_assert!(sum <= allowed + 1e-6 * sum, "{sum} of {allowed} at {now}");
            }
        }
    }
}
