//! When a delivery that failed is sent again: within seconds at first, for three days in all.

use std::time::Duration;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// The pauses after the first, second, ... failed attempt: 71 h 42 min together, so that a receiver that is away for a
/// long weekend gets everything.
pub const RETRIES: [i64; 14] = [
    5 * SECOND,
    30 * SECOND,
    2 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    8 * HOUR,
    8 * HOUR,
    12 * HOUR,
    12 * HOUR,
    12 * HOUR,
    12 * HOUR,
];

/// How long a delivery is tried.
pub const RETRY_WINDOW_MS: i64 = 72 * HOUR;
/// The longest that a receiver's `Retry-After` is heeded.
const LONGEST_WISH_MS: i64 = 12 * HOUR;

/// When the attempt after the `attempts`th comes, by the schedule and by the receiver's wish; `None` when there is none
/// before the deadline. Up to a tenth of the pause is left out at random, so that deliveries which failed together do
/// not come back together.
///
/// The place in the schedule is that of the attempts or that of the time since the first could be made, whichever is
/// earlier. So attempts that came early, because the receiver seemed to be back, use nothing up; one that was replayed
/// begins anew; and one that had to wait for its first attempt is not punished for it.
pub(super) fn next(
    attempts: u32,
    now_ms: i64,
    deadline_ms: i64,
    wish: Option<Duration>,
    random: u128,
) -> Option<i64> {
    let tried = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let age = now_ms - (deadline_ms - RETRY_WINDOW_MS);
    let pause = *RETRIES.get(tried.min(passed(age)))?;
    let widest = u128::from((pause / 10).unsigned_abs()) + 1;
    let less = i64::try_from(random % widest).unwrap_or_default();
    let wished = wish.map_or(0, |wish| {
        i64::try_from(wish.as_millis())
            .unwrap_or(LONGEST_WISH_MS)
            .min(LONGEST_WISH_MS)
    });
    let at = now_ms + (pause - less).max(wished);
    (at <= deadline_ms).then_some(at)
}

/// The pauses that are over at this age, each being a tenth shorter at most.
fn passed(age_ms: i64) -> usize {
    let mut over = 0;
    let ends = RETRIES.iter().map(|pause| {
        over += pause;
        over - over / 10
    });
    ends.take_while(|end| *end <= age_ms).count()
}

/// What `Retry-After` asks for: seconds, or a date
/// (<https://www.rfc-editor.org/rfc/rfc9110#name-retry-after>).
pub(super) fn wish(value: &str, now_ms: i64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let at = jiff::fmt::rfc2822::parse(value)
        .ok()?
        .timestamp()
        .as_millisecond();
    u64::try_from(at - now_ms).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_lasts_three_days_and_no_longer() {
        for random in [0, u128::MAX / 3, 12_345_678_901] {
            let (mut now, mut attempts) = (0, 1);
            while let Some(at) = next(attempts, now, RETRY_WINDOW_MS, None, random) {
                assert!(at > now);
                (now, attempts) = (at, attempts + 1);
            }
            assert_eq!(attempts, 15, "14 retries");
            assert!((64 * HOUR..=RETRY_WINDOW_MS).contains(&now), "{now}");
        }
        assert_eq!(RETRIES.iter().sum::<i64>(), 71 * HOUR + 42 * MINUTE + 35 * SECOND);
    }

    #[test]
    fn a_receiver_is_heeded_that_asks_for_a_longer_pause_and_within_bounds() {
        let at = |wish| next(1, 0, RETRY_WINDOW_MS, wish, 0).unwrap();
        assert_eq!(at(Some(Duration::from_secs(120))), 2 * MINUTE);
        assert_eq!(at(Some(Duration::from_secs(1))), 5 * SECOND);
        assert_eq!(at(Some(Duration::from_secs(u64::MAX))), LONGEST_WISH_MS);
        assert_eq!(next(3, 0, MINUTE, None, 0), None, "too late");
    }

    #[test]
    fn a_replayed_delivery_is_tried_as_often_as_a_new_one() {
        let (mut now, mut attempts) = (0, 16);
        while let Some(at) = next(attempts, now, RETRY_WINDOW_MS, None, 777) {
            (now, attempts) = (at, attempts + 1);
        }
        assert_eq!(attempts, 30, "15 again");
        assert!(now >= 64 * HOUR);
    }

    #[test]
    fn attempts_that_came_early_use_nothing_up_and_waiting_for_the_first_costs_nothing() {
        let at = |attempts, now| next(attempts, now, RETRY_WINDOW_MS, None, 0).unwrap() - now;
        assert_eq!(at(40, HOUR), HOUR, "the fortieth within an hour");
        assert_eq!(at(1, 30 * HOUR), 5 * SECOND, "the first after a day");
        assert_eq!(next(99, 70 * HOUR, RETRY_WINDOW_MS, None, 0), None);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        assert_eq!(wish(" 120 ", 0), Some(Duration::from_secs(120)));
        assert_eq!(
            wish("Thu, 01 Jan 1970 00:01:00 GMT", 10_000),
            Some(Duration::from_secs(50))
        );
        for text in [
            "",
            "soon",
            "-5",
            "99999999999999",
            "Thu, 01 Jan 1970 00:00:00 GMT",
        ] {
            assert_eq!(wish(text, 10_000), None, "{text}");
        }
    }
}
