//! The speed limit of compaction (`log.cleaner.io.max.bytes.per.second`): a bucket of bytes that fills with time. The
//! clock is an argument.

/// Bytes that may go at once after a rest, as time at the full rate.
const BURST_US: u64 = 50_000;
/// However slow the rate, a config that is changed to a faster one is heard within this time.
const WAIT_US_MAX: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, Default)]
pub struct Throttle {
    /// When what was spent so far is paid for.
    paid_at_us: u64,
}

impl Throttle {
    /// Takes note of bytes that were read or written, and answers how long to wait before the next ones. Whoever has waited
    /// asks again with no bytes.
    pub fn spend(&mut self, now_us: u64, bytes: usize, bytes_per_second: f64) -> u64 {
        let cost_us = bytes as f64 * 1e6 / bytes_per_second.max(1.0);
        // A float beyond the integer's range becomes its largest value.
        self.paid_at_us = self.paid_at_us.max(now_us).saturating_add(cost_us as u64);
        let wait = self.paid_at_us.saturating_sub(now_us).saturating_sub(BURST_US);
        wait.min(WAIT_US_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_the_rest_waits() {
        let mut throttle = Throttle::default();
        let rate = 1e6;
        assert_eq!(throttle.spend(0, 50_000, rate), 0);
        assert_eq!(throttle.spend(0, 10_000, rate), 10_000);
        assert_eq!(throttle.spend(10_000, 0, rate), 0);
        assert_eq!(throttle.spend(10_000, 1, rate), 1);
        // Rest is not saved up beyond the burst.
        assert_eq!(throttle.spend(10_000_000, 60_000, rate), 10_000);
    }

    #[test]
    fn the_default_of_kafka_is_no_limit() {
        let mut throttle = Throttle::default();
        for _ in 0..1000 {
            assert_eq!(throttle.spend(0, 1 << 30, f64::MAX), 0);
        }
    }

    #[test]
    fn a_wait_is_bounded_and_the_debt_is_not_forgotten() {
        let mut throttle = Throttle::default();
        assert_eq!(throttle.spend(0, 10_000_000, 1e6), WAIT_US_MAX);
        assert_eq!(throttle.spend(1_000_000, 0, 1e6), WAIT_US_MAX);
        assert_eq!(throttle.spend(9_940_000, 0, 1e6), 10_000);
        assert_eq!(throttle.spend(0, usize::MAX, -1.0), WAIT_US_MAX);
    }

    #[test]
    fn over_time_the_rate_is_kept() {
        let (mut throttle, mut now, mut bytes) = (Throttle::default(), 0u64, 0u64);
        while now < 10_000_000 {
            bytes += 4000;
            let mut wait = throttle.spend(now, 4000, 2e6);
            while wait > 0 {
                now += wait;
                wait = throttle.spend(now, 0, 2e6);
            }
        }
        assert!((20_000_000..20_200_000).contains(&bytes), "{bytes}");
    }
}
