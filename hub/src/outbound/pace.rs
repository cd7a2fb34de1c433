//! How fast an endpoint is sent to: the rate that it asked for, and as many at once as it can bear.

use std::time::Duration;

/// Attempts in a row that must fail before an endpoint is taken for down.
const DOWN_AFTER: u32 = 10;
/// Where it begins.
const FIRST_WIDTH: usize = 8;
/// An attempt that takes longer does not ask for more of them.
const BRISK: Duration = Duration::from_secs(1);

/// What an attempt said of the endpoint's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It goes on as it did.
    None,
    /// The first failure after a success.
    Failing,
    /// The first success after a failure.
    Well,
}

/// The pace of one endpoint.
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    width: usize,
    failures: u32,
    /// Epoch milliseconds.
    paused_until: i64,
    /// The theoretical arrival time of the generic cell rate algorithm, in epoch microseconds.
    arrival_us: i64,
}

impl Pace {
    pub(super) fn new(most: usize, failing: bool) -> Self {
        Self {
            most: most.max(1),
            width: FIRST_WIDTH.min(most.max(1)),
            failures: u32::from(failing),
            paused_until: 0,
            arrival_us: 0,
        }
    }

    /// How many may be under way.
    pub(super) const fn width(&self) -> usize {
        if self.is_down() { 1 } else { self.width }
    }

    /// It refuses everything: single attempts find out when that ends, and nothing more is taken from the feed.
    pub(super) const fn is_down(&self) -> bool {
        self.failures >= DOWN_AFTER
    }

    pub(super) fn succeeded(&mut self, took: Duration) -> Turn {
        if took < BRISK {
            self.width = (self.width + 1).min(self.most);
        }
        let turn = if self.failures > 0 { Turn::Well } else { Turn::None };
        self.failures = 0;
        turn
    }

    pub(super) fn failed(&mut self) -> Turn {
        self.width = (self.width / 2).max(1);
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            Turn::Failing
        } else {
            Turn::None
        }
    }

    /// Nothing is sent before this moment.
    pub(super) fn pause_until(&mut self, at_ms: i64) {
        self.paused_until = self.paused_until.max(at_ms);
    }

    /// Takes the place of one attempt; or says when there will be one, in epoch milliseconds.
    pub(super) fn take(&mut self, now_ms: i64, per_second: Option<u32>) -> Result<(), i64> {
        if now_ms < self.paused_until {
            return Err(self.paused_until);
        }
        let Some(rate) = per_second.filter(|rate| *rate > 0) else {
            return Ok(());
        };
        let (now_us, interval_us) = (now_ms * 1_000, 1_000_000 / i64::from(rate));
        // As much as a tenth of a second's worth may go at once, one at least.
        let burst_us = interval_us.max(100_000);
        let arrival = self.arrival_us.max(now_us);
        if arrival - now_us > burst_us - interval_us {
            let wait_us = arrival - now_us - (burst_us - interval_us);
            return Err(now_ms + (wait_us + 999) / 1_000);
        }
        self.arrival_us = arrival + interval_us;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_to_over_any_second() {
        for rate in [1, 7, 100, 5_000] {
            let mut pace = Pace::new(64, false);
            let (mut now, mut sent) = (1_000_000, 0);
            while now < 1_010_000 {
                match pace.take(now, Some(rate)) {
                    Ok(()) => sent += 1,
                    Err(at) => {
                        assert!(at > now);
                        now = at;
                    }
                }
            }
            let wanted = i64::from(rate) * 10;
            assert!(
                (wanted - wanted / 10..=wanted + wanted / 50 + 1).contains(&sent),
                "{rate}/s: {sent}"
            );
        }
    }

    #[test]
    fn width_grows_with_quick_successes_and_shrinks_with_failures() {
        let mut pace = Pace::new(64, false);
        for _ in 0..100 {
            pace.succeeded(Duration::from_millis(5));
        }
        assert_eq!(pace.width(), 64);
        assert_eq!(pace.failed(), Turn::Failing);
        assert_eq!((pace.width(), pace.failed()), (32, Turn::None));
        for _ in 0..10 {
            pace.failed();
        }
        assert!(pace.is_down());
        assert_eq!(pace.width(), 1);
        assert_eq!(pace.succeeded(Duration::from_secs(5)), Turn::Well);
        assert_eq!((pace.width(), pace.is_down()), (1, false));
    }

    #[test]
    fn a_pause_holds_everything_back() {
        let mut pace = Pace::new(64, false);
        pace.pause_until(5_000);
        assert_eq!(pace.take(4_999, None), Err(5_000));
        assert_eq!(pace.take(5_000, None), Ok(()));
    }
}
