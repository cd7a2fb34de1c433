//! The demo's calendars: a team's week in five zones, with series, guests, whole days, and occurrences that were
//! moved or deleted. Days count from the Monday of the week in which the demo was first started.

/// Which of the demo's calendars an event is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calendar {
    /// Ada's own, at Google.
    Ada,
    /// The team's, at Google: mirrored.
    Team,
    /// Grace's, shared with Ada to be read, at Google.
    Grace,
    /// Ada's private one, at the CalDAV server.
    Home,
    /// Birthdays, read-only, at the CalDAV server.
    Birthdays,
}

/// One event or series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) calendar: Calendar,
    /// Days after Monday.
    pub(super) day: i64,
    /// `09:00`; empty for a whole day.
    pub(super) at: &'static str,
    /// Minutes; days where it is a whole day.
    pub(super) length: i64,
    pub(super) zone: &'static str,
    pub(super) title: &'static str,
    pub(super) place: &'static str,
    pub(super) guests: &'static [&'static str],
    /// RRULE; empty for a single event.
    pub(super) rule: &'static str,
    /// An occurrence, in days after Monday, that does not take place.
    pub(super) skipped: Option<i64>,
    /// An occurrence, in days after Monday, that is an hour later and says so.
    pub(super) moved: Option<i64>,
}

const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";
const KOLKATA: &str = "Asia/Kolkata";
const TOKYO: &str = "Asia/Tokyo";
const SYDNEY: &str = "Australia/Sydney";

const TEAM: &[&str] = &[
    "ada@example.com",
    "grace@example.com",
    "katherine@example.com",
    "srinivasa@example.com",
];
const PAIR: &[&str] = &["ada@example.com", "grace@example.com"];

const fn on(calendar: Calendar, day: i64, at: &'static str, length: i64, zone: &'static str) -> Sample {
    Sample {
        calendar,
        day,
        at,
        length,
        zone,
        title: "",
        place: "",
        guests: &[],
        rule: "",
        skipped: None,
        moved: None,
    }
}

impl Sample {
    const fn titled(mut self, title: &'static str) -> Self {
        self.title = title;
        self
    }

    const fn in_place(mut self, place: &'static str) -> Self {
        self.place = place;
        self
    }

    const fn with(mut self, guests: &'static [&'static str]) -> Self {
        self.guests = guests;
        self
    }

    const fn every(mut self, rule: &'static str) -> Self {
        self.rule = rule;
        self
    }

    const fn without(mut self, day: i64) -> Self {
        self.skipped = Some(day);
        self
    }

    const fn later_on(mut self, day: i64) -> Self {
        self.moved = Some(day);
        self
    }
}

use Calendar::{Ada, Birthdays, Grace, Home, Team};

/// Everything that the vendors have when the demo is started for the first time.
pub(super) const WEEK: &[Sample] = &[
    on(Team, 0, "09:30", 15, BERLIN)
        .titled("Standup")
        .in_place("Video")
        .with(TEAM)
        .every("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR")
        .without(3)
        .later_on(2),
    on(Team, 0, "14:00", 60, BERLIN)
        .titled("Sprint planning")
        .in_place("Room Noether")
        .with(TEAM)
        .every("FREQ=WEEKLY;INTERVAL=2"),
    on(Team, 1, "16:00", 45, NEW_YORK)
        .titled("Design review")
        .with(PAIR),
    on(Team, 2, "11:00", 30, KOLKATA)
        .titled("Handover with Chennai")
        .with(TEAM)
        .every("FREQ=WEEKLY;COUNT=8"),
    on(Team, 2, "15:00", 60, BERLIN)
        .titled("Customer call: Müller & Söhne")
        .in_place("Video")
        .with(PAIR),
    on(Team, 3, "10:00", 90, BERLIN)
        .titled("Architecture: calendars that agree")
        .in_place("Room Noether")
        .with(TEAM),
    on(Team, 3, "09:00", 30, TOKYO)
        .titled("Sync with Tokyo 東京")
        .with(&["ada@example.com", "emmy@example.com"]),
    on(Team, 4, "15:00", 45, BERLIN)
        .titled("Demo")
        .with(TEAM)
        .every("FREQ=WEEKLY;INTERVAL=2"),
    on(Team, 4, "16:00", 45, BERLIN)
        .titled("Retrospective")
        .with(TEAM)
        .every("FREQ=WEEKLY;INTERVAL=2"),
    on(Team, 1, "", 2, BERLIN)
        .titled("Team off-site")
        .in_place("Potsdam"),
    on(Team, 4, "", 1, BERLIN).titled("Release 1.0"),
    on(Ada, 0, "08:00", 45, BERLIN)
        .titled("Run along the canal")
        .every("FREQ=WEEKLY;BYDAY=MO,WE,FR"),
    on(Ada, 0, "11:00", 30, BERLIN)
        .titled("1:1 Grace")
        .with(PAIR)
        .every("FREQ=WEEKLY"),
    on(Ada, 0, "16:00", 60, BERLIN).titled("Focus: write the spec"),
    on(Ada, 1, "10:00", 60, BERLIN)
        .titled("Interview: backend engineer")
        .in_place("Video")
        .with(&["candidate@example.org", "ada@example.com"]),
    on(Ada, 1, "13:00", 60, BERLIN)
        .titled("Lunch with Emmy")
        .in_place("Café am Ufer"),
    on(Ada, 2, "09:00", 25, SYDNEY)
        .titled("Call with Sydney")
        .with(&["ada@example.com", "cecilia@example.com"]),
    on(Ada, 2, "17:30", 60, BERLIN)
        .titled("Dentist")
        .in_place("Linienstraße 12"),
    on(Ada, 3, "13:00", 60, BERLIN).titled("Focus: review queue"),
    on(Ada, 3, "18:00", 120, BERLIN)
        .titled("Rust meetup")
        .in_place("c-base"),
    on(Ada, 4, "12:00", 60, BERLIN)
        .titled("Lunch & learn: time zones")
        .with(TEAM),
    on(Ada, 4, "19:00", 180, BERLIN)
        .titled("Concert")
        .in_place("Philharmonie"),
    on(Ada, 2, "", 1, BERLIN).titled("Expense report due"),
    on(Ada, 9, "", 5, BERLIN).titled("Holiday on Rügen"),
    on(Grace, 0, "09:00", 30, NEW_YORK)
        .titled("Compiler office hours")
        .every("FREQ=WEEKLY;BYDAY=MO,TH"),
    on(Grace, 1, "13:00", 60, NEW_YORK).titled("Budget").with(PAIR),
    on(Grace, 2, "", 1, NEW_YORK).titled("Travelling to Boston"),
    on(Grace, 3, "08:00", 120, NEW_YORK)
        .titled("Lecture: nanoseconds")
        .in_place("Hall B"),
    on(Grace, 4, "10:00", 60, NEW_YORK).titled("Board preparation"),
    on(Home, 0, "18:30", 60, BERLIN)
        .titled("Choir practice")
        .in_place("Gemeindehaus")
        .every("FREQ=WEEKLY")
        .without(7),
    on(Home, 1, "19:00", 90, BERLIN)
        .titled("Parents' evening")
        .in_place("Grundschule, Raum 4"),
    on(Home, 2, "07:45", 30, BERLIN)
        .titled("School run")
        .every("FREQ=WEEKLY;BYDAY=MO,WE")
        .later_on(2),
    on(Home, 3, "20:00", 60, NEW_YORK).titled("Video call with the cousins"),
    on(Home, 4, "17:00", 45, BERLIN).titled("Bike to the workshop"),
    on(Home, 5, "10:00", 120, BERLIN)
        .titled("Weekly market")
        .in_place("Kollwitzplatz")
        .every("FREQ=WEEKLY"),
    on(Home, 5, "", 2, BERLIN).titled("Grandparents visit"),
    on(Home, 6, "15:00", 120, BERLIN).titled("Cake & chess"),
    on(Birthdays, 1, "", 1, BERLIN)
        .titled("Emmy's birthday")
        .every("FREQ=YEARLY"),
    on(Birthdays, 3, "", 1, BERLIN)
        .titled("Srinivasa's birthday")
        .every("FREQ=YEARLY"),
    on(Birthdays, 12, "", 1, BERLIN)
        .titled("Katherine's birthday")
        .every("FREQ=YEARLY"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_week_has_a_few_dozen_events_in_five_zones() {
        let zones: BTreeSet<_> = WEEK.iter().map(|sample| sample.zone).collect();
        assert_eq!(zones.len(), 5, "{zones:?}");
        assert!((30..60).contains(&WEEK.len()), "{}", WEEK.len());
        for sample in WEEK {
            assert!(!sample.title.is_empty() && sample.length > 0, "{sample:?}");
            assert!(model::zone::time_zone(sample.zone).is_some(), "{sample:?}");
        }
    }
}
