//! Time and chance as the simulation has them: both move only by the schedule.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use connector_sdk::Clock;
use jiff::Timestamp;
use sync::ports::Entropy;

/// The moment at which every schedule begins: 2026-01-05, a Monday, epoch milliseconds.
pub const BEGIN_MS: i64 = 1_767_571_200_000;

/// The time that passes for everybody.
#[derive(Debug)]
pub struct WorldTime(AtomicI64);

impl Default for WorldTime {
    fn default() -> Self {
        Self(AtomicI64::new(BEGIN_MS))
    }
}

impl WorldTime {
    /// Epoch milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Lets time pass.
    pub fn pass(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

/// One machine's clock, which may be wrong by some seconds.
#[derive(Debug, Clone)]
pub struct SkewedClock {
    /// The true time.
    pub time: Arc<WorldTime>,
    /// How wrong it is, in milliseconds.
    pub skew_ms: i64,
}

#[async_trait]
impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.time.now_ms() + self.skew_ms).unwrap_or_default()
    }

    async fn sleep(&self, duration: Duration) {
        self.time
            .pass(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX));
    }
}

/// Ids that are the same in every run of a seed, and never given twice.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    given: AtomicU64,
}

impl SeededEntropy {
    /// Begins to count.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            given: AtomicU64::new(0),
        }
    }
}

impl Entropy for SeededEntropy {
    fn random(&self) -> u128 {
        let count = self.given.fetch_add(1, Ordering::Relaxed);
        let high = mix(self.seed ^ count.rotate_left(32));
        (u128::from(high) << 64) | u128::from(count)
    }
}

/// One well mixed number for another (the finaliser of SplitMix64).
#[must_use]
pub const fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
