//! Recurrence rules whose occurrences are known by construction, so that moved and deleted ones are real ones.

use jiff::ToSpan;
use jiff::civil::{DateTime, Weekday};
use rand::Rng;
use rand::rngs::StdRng;

use super::zone::TimeKind;

/// A rule, and where its occurrences fall.
pub(super) struct Recurrence {
    pub(super) rule: String,
    step: Step,
    /// Numbers of occurrences that are deleted (EXDATE).
    pub(super) deleted: Vec<i64>,
    /// Numbers of occurrences that have an override.
    pub(super) overridden: Vec<i64>,
    /// Days after the start with an additional occurrence (RDATE).
    pub(super) added_after_days: Vec<i64>,
}

#[derive(Clone, Copy)]
enum Step {
    Days(i64),
    Months(i64),
    /// So many months on, on the same weekday of the same week.
    WeekdaysOfMonth(i64),
    Years(i64),
}

impl Recurrence {
    /// The `variant`th kind of rule for an event that starts then; nothing for the variants that do not recur.
    pub(super) fn choose(variant: usize, start: DateTime, kind: TimeKind, rng: &mut StdRng) -> Option<Self> {
        let (rule, step) = match variant {
            0 => ("FREQ=DAILY;COUNT=20".to_owned(), Step::Days(1)),
            1 => ("FREQ=DAILY;INTERVAL=3;COUNT=15".to_owned(), Step::Days(3)),
            2 => (format!("FREQ=WEEKLY;BYDAY={}", two_days(start)), Step::Days(7)),
            3 => {
                let until = kind.until(start.saturating_add(40.weeks()));
                (
                    format!(
                        "FREQ=WEEKLY;INTERVAL=2;UNTIL={until};BYDAY={}",
                        day(start.weekday())
                    ),
                    Step::Days(14),
                )
            }
            4 => (
                format!("FREQ=MONTHLY;BYMONTHDAY={};COUNT=14", start.day()),
                Step::Months(1),
            ),
            5 => {
                let week = (start.day() - 1) / 7 + 1;
                (
                    format!("FREQ=MONTHLY;BYDAY={week}{}", day(start.weekday())),
                    Step::WeekdaysOfMonth(1),
                )
            }
            6 => ("FREQ=YEARLY;COUNT=12".to_owned(), Step::Years(1)),
            7 => {
                let until = kind.until(start.saturating_add(600.days()));
                (format!("FREQ=MONTHLY;INTERVAL=2;UNTIL={until}"), Step::Months(2))
            }
            _ => return None,
        };
        let mut numbers: Vec<i64> = (1..9).collect();
        let mut take = |at_most: usize| -> Vec<i64> {
            let count = rng.random_range(0..=at_most);
            (0..count)
                .map(|_| numbers.swap_remove(rng.random_range(0..numbers.len())))
                .collect()
        };
        let (deleted, overridden) = (take(3), take(2));
        let added_after_days = if rng.random_bool(0.25) {
            vec![500, 507]
        } else {
            Vec::new()
        };
        Some(Self {
            rule,
            step,
            deleted,
            overridden,
            added_after_days,
        })
    }

    /// The start of occurrence `number`; the event's own start is number 0.
    pub(super) fn occurrence(&self, start: DateTime, number: i64) -> DateTime {
        match self.step {
            Step::Days(days) => start.saturating_add((days * number).days()),
            Step::Months(months) => start.saturating_add((months * number).months()),
            Step::Years(years) => start.saturating_add((years * number).years()),
            Step::WeekdaysOfMonth(months) => {
                let month = start
                    .date()
                    .first_of_month()
                    .saturating_add((months * number).months());
                let week = (start.day() - 1) / 7 + 1;
                let date = month.nth_weekday_of_month(week, start.weekday());
                date.map_or(start, |date| date.to_datetime(start.time()))
            }
        }
    }
}

fn day(weekday: Weekday) -> &'static str {
    match weekday {
        Weekday::Monday => "MO",
        Weekday::Tuesday => "TU",
        Weekday::Wednesday => "WE",
        Weekday::Thursday => "TH",
        Weekday::Friday => "FR",
        Weekday::Saturday => "SA",
        Weekday::Sunday => "SU",
    }
}

fn two_days(start: DateTime) -> String {
    let first = start.weekday();
    format!("{},{}", day(first), day(first.wrapping_add(2)))
}
