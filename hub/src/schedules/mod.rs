//! When a connection, or one of its collections, is synced, where someone says it: every so often, or by a cron expression
//! in a zone. See `docs/schedules.md`.

mod cron;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use cron::Cron;

/// Shortest time between two syncs, in seconds.
pub const SHORTEST_SECONDS: u32 = 60;
/// Longest, in seconds: 31 days.
pub const LONGEST_SECONDS: u32 = 31 * 24 * 3_600;
/// Widest jitter, in seconds.
pub const WIDEST_JITTER_SECONDS: u32 = 3_600;

/// When syncs are due. Either `every_seconds`, or `cron` with `zone`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Every so many seconds, from 60 to 2,678,400 (31 days).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_seconds: Option<u32>,
    /// Five fields: minute, hour, day of month, month, day of week, in the wall time of `zone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0 6 * * MON-FRI")]
    pub cron: Option<String>,
    /// An IANA zone. A time that the clocks skip comes as much later as they are put forward; one that they show twice is
    /// its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Europe/Berlin")]
    pub zone: Option<String>,
    /// Each time comes later by a random part of so many seconds, up to 3,600 and to half of `every_seconds`; 0 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_seconds: Option<u32>,
}

/// What is wrong with a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The member; empty for the whole.
    pub field: &'static str,
    /// What is wrong.
    pub text: String,
}

fn problem<T>(field: &'static str, text: impl Into<String>) -> Result<T, Problem> {
    Err(Problem {
        field,
        text: text.into(),
    })
}

/// A schedule that was checked.
pub struct Rule {
    when: When,
    jitter_ms: u64,
}

enum When {
    Every(i64),
    Cron(Cron),
}

impl Schedule {
    /// Reads it.
    ///
    /// # Errors
    /// [`Problem`], naming the member.
    pub fn rule(&self) -> Result<Rule, Problem> {
        let jitter = self.jitter_seconds.unwrap_or_default();
        let mut widest = WIDEST_JITTER_SECONDS;
        let when = match (self.every_seconds, &self.cron, &self.zone) {
            (Some(every), None, None) => {
                if !(SHORTEST_SECONDS..=LONGEST_SECONDS).contains(&every) {
                    let text = format!("must be from {SHORTEST_SECONDS} to {LONGEST_SECONDS} (31 days)");
                    return problem("every_seconds", text);
                }
                widest = widest.min(every / 2);
                When::Every(i64::from(every) * 1_000)
            }
            (None, Some(text), Some(zone)) => When::Cron(Cron::read(text, zone_of(zone)?)?),
            (None, Some(_), None) => return problem("zone", "must say in which IANA zone `cron` is meant"),
            (Some(_), Some(_), _) => {
                return problem("", "must have either `every_seconds` or `cron`, not both");
            }
            (Some(_), None, Some(_)) => return problem("zone", "goes with `cron` only"),
            (None, None, _) => return problem("", "must have `every_seconds`, or `cron` and `zone`"),
        };
        if jitter > widest {
            return problem("jitter_seconds", format!("must be at most {widest} here"));
        }
        Ok(Rule {
            when,
            jitter_ms: u64::from(jitter) * 1_000,
        })
    }
}

/// A zone by its IANA name alone: offsets know no summer.
fn zone_of(name: &str) -> Result<TimeZone, Problem> {
    let found = TimeZone::get(name).ok().filter(|zone| zone.iana_name().is_some());
    found.map_or_else(
        || problem("zone", "must be the name of an IANA zone: `Europe/Berlin`"),
        Ok,
    )
}

impl Rule {
    /// The next time after this one, epoch milliseconds, with its jitter; `None` when none comes any more.
    #[must_use]
    pub fn next(&self, after_ms: i64, random: u128) -> Option<i64> {
        let next = match &self.when {
            When::Every(every_ms) => after_ms.checked_add(*every_ms)?,
            When::Cron(cron) => cron.next(after_ms)?,
        };
        let jitter = random % (u128::from(self.jitter_ms) + 1);
        next.checked_add(i64::try_from(jitter).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(seconds: u32, jitter: u32) -> Schedule {
        Schedule {
            every_seconds: Some(seconds),
            jitter_seconds: Some(jitter),
            ..Schedule::default()
        }
    }

    fn cron(text: &str, zone: &str) -> Schedule {
        Schedule {
            cron: Some(text.to_owned()),
            zone: Some(zone.to_owned()),
            ..Schedule::default()
        }
    }

    #[test]
    fn an_interval_counts_from_the_last_time_and_jitter_only_delays() {
        let rule = every(3_600, 600).rule().unwrap();
        assert_eq!(rule.next(1_000, 0), Some(3_601_000));
        assert_eq!(rule.next(1_000, 600_000), Some(4_201_000));
        assert_eq!(rule.next(1_000, 600_001), Some(3_601_000));
        assert_eq!(every(60, 0).rule().unwrap().next(0, u128::MAX), Some(60_000));
    }

    #[test]
    fn what_cannot_be_a_schedule_is_refused_with_the_member_that_is_wrong() {
        let both = Schedule {
            every_seconds: Some(60),
            ..cron("0 6 * * *", "UTC")
        };
        let zoneless = Schedule {
            zone: None,
            ..cron("0 6 * * *", "UTC")
        };
        let zoned = Schedule {
            zone: Some("UTC".to_owned()),
            ..every(60, 0)
        };
        let jittery = Schedule {
            jitter_seconds: Some(3_601),
            ..cron("0 6 * * *", "UTC")
        };
        for (wrong, field) in [
            (Schedule::default(), ""),
            (both, ""),
            (zoneless, "zone"),
            (zoned, "zone"),
            (jittery, "jitter_seconds"),
            (every(59, 0), "every_seconds"),
            (every(0, 0), "every_seconds"),
            (every(2_678_401, 0), "every_seconds"),
            (every(60, 31), "jitter_seconds"),
            (every(86_400, 3_601), "jitter_seconds"),
            (cron("0 6 * * *", "Mars/Olympus"), "zone"),
            (cron("0 6 * * *", "+02:00"), "zone"),
            (cron("0 6 * * *", ""), "zone"),
            (cron("", "UTC"), "cron"),
            (cron("0 6 * *", "UTC"), "cron"),
            (cron("0 0 6 * * *", "UTC"), "cron"),
            (cron("@daily", "UTC"), "cron"),
            (cron("61 6 * * *", "UTC"), "cron"),
            (cron("0 24 * * *", "UTC"), "cron"),
            (cron("* * * * NEVER", "UTC"), "cron"),
            (cron("H 6 * * *", "UTC"), "cron"),
            (cron("0 0 30 2 *", "UTC"), "cron"),
            (cron(&"0,".repeat(500), "UTC"), "cron"),
            (cron("\u{0} 6 * * *", "UTC"), "cron"),
        ] {
            let problem = wrong.rule().err().unwrap_or_else(|| panic!("{wrong:?}"));
            assert_eq!(problem.field, field, "{wrong:?}: {}", problem.text);
        }
    }
}
