//! Cron expressions in the wall time of a zone. The expression is asked about wall times alone, as though clocks never
//! changed; what becomes of those that a change skips or repeats is decided here.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{Problem, problem};

/// Longest expression, in bytes.
const LONGEST: usize = 200;
/// Wall times that are looked at for one that lies ahead: more than minutes in the longest hour that comes twice.
const MOST_STEPS: usize = 1_500;

/// An expression and its zone.
pub(super) struct Cron {
    wall: cronexpr::Crontab,
    zone: TimeZone,
}

impl Cron {
    /// Reads five fields.
    pub(super) fn read(text: &str, zone: TimeZone) -> Result<Self, Problem> {
        if text.len() > LONGEST {
            return problem("cron", format!("must have at most {LONGEST} bytes"));
        }
        if text.split_whitespace().count() != 5 {
            return problem(
                "cron",
                "must have five fields: minute, hour, day of month, month, day of week",
            );
        }
        let wall = match cronexpr::parse_crontab(&format!("{text} UTC")) {
            Ok(wall) => wall,
            Err(_) => return problem("cron", "cannot be read: five fields such as `0 6 * * MON-FRI`"),
        };
        let cron = Self { wall, zone };
        // The first of some year, so that nothing depends on when it is read.
        if cron.after(DateTime::constant(2026, 1, 1, 0, 0, 0, 0)).is_none() {
            return problem("cron", "names no time that ever comes");
        }
        Ok(cron)
    }

    /// The next instant after this one.
    pub(super) fn next(&self, after_ms: i64) -> Option<i64> {
        let after = Timestamp::from_millisecond(after_ms).ok()?;
        let mut wall = after.to_zoned(self.zone.clone()).datetime();
        for _ in 0..MOST_STEPS {
            wall = self.after(wall)?;
            // Skipped by the clocks: as much later as they are put forward. Shown twice: the first.
            let instant = self.zone.to_ambiguous_zoned(wall).compatible().ok()?.timestamp();
            if instant > after {
                return Some(instant.as_millisecond());
            }
        }
        None
    }

    /// The next wall time after this one.
    fn after(&self, wall: DateTime) -> Option<DateTime> {
        let as_utc = wall.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let next = self.wall.find_next(cronexpr::MakeTimestamp(as_utc)).ok()?;
        Some(next.datetime())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let cron = Cron::read(text, TimeZone::get(zone).unwrap()).ok().unwrap();
        let mut at: Timestamp = after.parse().unwrap();
        let mut found = Vec::new();
        for _ in 0..count {
            at = Timestamp::from_millisecond(cron.next(at.as_millisecond()).unwrap()).unwrap();
            found.push(at.to_string());
        }
        found
    }

    #[test]
    fn mornings_are_mornings_in_summer_and_in_winter() {
        let found = times("0 6 * * MON-FRI", "Europe/Berlin", "2026-03-26T12:00:00Z", 3);
        assert_eq!(
            found,
            [
                "2026-03-27T05:00:00Z",
                "2026-03-30T04:00:00Z",
                "2026-03-31T04:00:00Z"
            ]
        );
    }

    #[test]
    fn a_time_that_the_clocks_skip_comes_an_hour_later_that_day() {
        // 2026-03-29: two o'clock is three o'clock in Berlin.
        let found = times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(
            found,
            [
                "2026-03-28T01:30:00Z",
                "2026-03-29T01:30:00Z",
                "2026-03-30T00:30:00Z"
            ]
        );
    }

    #[test]
    fn skipped_times_and_those_that_they_fall_on_come_once() {
        let found = times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", 4);
        assert_eq!(
            found,
            [
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:30:00Z",
                "2026-03-29T02:00:00Z",
                "2026-03-29T02:30:00Z"
            ]
        );
    }

    #[test]
    fn a_time_that_the_clocks_show_twice_comes_the_first_time() {
        // 2026-10-25: three o'clock is two o'clock again in Berlin.
        let found = times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(found, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        // From within the hour that is repeated the next one is after it.
        let found = times("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", 2);
        assert_eq!(found, ["2026-10-25T02:00:00Z", "2026-10-25T02:30:00Z"]);
        let found = times("*/30 * * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1);
        assert_eq!(found, ["2026-10-25T02:00:00Z"]);
    }

    #[test]
    fn half_hours_and_whole_days_that_zones_skip_are_no_trouble() {
        // Lord Howe puts its clocks forward by half an hour; Samoa had no 30th of December 2011.
        let found = times("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 1);
        assert_eq!(found, ["2026-10-03T15:45:00Z"]);
        let found = times("0 6 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00Z", 1);
        assert_eq!(found, ["2011-12-30T16:00:00Z"]);
    }
}
