//! The demo's week as a CalDAV server has it.

use std::fmt::Write as _;

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, ToSpan as _};
use simulators::caldav::{AccountConfig, CalendarConfig};

use super::week::{Calendar, Sample, WEEK};

/// The account that the demo connects.
pub(super) const ACCOUNT: &str = "ada";
/// Its password. The server that takes it listens on this machine only.
pub(super) const PASSWORD: &str = "demo";
/// The display name of the calendar that is mirrored; it is empty at first.
pub(super) const WORK: &str = "Work";

/// The account with its calendars, the week in them.
pub(super) fn account(monday: Date) -> AccountConfig {
    let home = filled(
        CalendarConfig::new("home")
            .display_name("Home")
            .color("#34AADCFF"),
        Calendar::Home,
        monday,
    );
    let birthdays = CalendarConfig::new("birthdays")
        .display_name("Birthdays")
        .color("#FF9500FF")
        .read_only();
    AccountConfig::new(ACCOUNT)
        .password(PASSWORD)
        .display_name("Ada Lovelace")
        .calendar(home.timezone("Europe/Berlin"))
        .calendar(filled(birthdays, Calendar::Birthdays, monday))
        .calendar(
            CalendarConfig::new("work")
                .display_name(WORK)
                .color("#63DA38FF")
                .timezone("Europe/Berlin"),
        )
}

fn filled(config: CalendarConfig, calendar: Calendar, monday: Date) -> CalendarConfig {
    let samples = WEEK
        .iter()
        .enumerate()
        .filter(|(_, sample)| sample.calendar == calendar);
    samples.fold(config, |config, (index, sample)| {
        config.object(format!("{index}.ics"), object(index, sample, monday))
    })
}

/// A calendar object: the event or master, and its moved occurrence.
fn object(index: usize, sample: &Sample, monday: Date) -> String {
    let mut text = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Concord//demo//EN\r\n");
    component(&mut text, index, sample, monday, None);
    if let Some(day) = sample.moved {
        component(&mut text, index, sample, monday, Some(day));
    }
    text += "END:VCALENDAR\r\n";
    text
}

fn component(text: &mut String, index: usize, sample: &Sample, monday: Date, moved: Option<i64>) {
    let start = wall(sample, monday, moved.unwrap_or(sample.day));
    let begins = start.saturating_add(SignedDuration::from_hours(i64::from(moved.is_some())));
    let ends = if sample.at.is_empty() {
        begins.saturating_add(sample.length.days())
    } else {
        begins.saturating_add(SignedDuration::from_mins(sample.length))
    };
    let mut line = |line: String| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{line}\r\n");
    };
    line("BEGIN:VEVENT".to_owned());
    line(format!("UID:demo-{index}@example.com"));
    line("DTSTAMP:20260101T000000Z".to_owned());
    line(timed("DTSTART", sample, begins));
    line(timed("DTEND", sample, ends));
    match moved {
        Some(_) => {
            line(timed("RECURRENCE-ID", sample, start));
            line(format!("SUMMARY:{} (an hour later)", escaped(sample.title)));
        }
        None => line(format!("SUMMARY:{}", escaped(sample.title))),
    }
    if !sample.place.is_empty() {
        line(format!("LOCATION:{}", escaped(sample.place)));
    }
    if moved.is_none() && !sample.rule.is_empty() {
        line(format!("RRULE:{}", sample.rule));
        if let Some(day) = sample.skipped {
            line(timed("EXDATE", sample, wall(sample, monday, day)));
        }
    }
    if !sample.at.is_empty() {
        line(
            "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:Reminder\r\nTRIGGER:-PT15M\r\nEND:VALARM"
                .to_owned(),
        );
    }
    line("END:VEVENT".to_owned());
}

fn wall(sample: &Sample, monday: Date, day: i64) -> DateTime {
    let time: Time = sample.at.parse().unwrap_or(Time::midnight());
    monday.saturating_add(day.days()).to_datetime(time)
}

fn timed(name: &str, sample: &Sample, wall: DateTime) -> String {
    if sample.at.is_empty() {
        return format!("{name};VALUE=DATE:{}", wall.strftime("%Y%m%d"));
    }
    format!("{name};TZID={}:{}", sample.zone, wall.strftime("%Y%m%dT%H%M%S"))
}

/// TEXT values escape these (RFC 5545 section 3.3.11).
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,")
}
