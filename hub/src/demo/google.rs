//! The demo's week as Google has it.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan as _};
use serde_json::{Map, Value, json};
use simulators::google_calendar::{
    AccountConfig, ApiError, CalendarConfig, Clock, Config, GoogleCalendar, Role,
};

use super::week::{Calendar, Sample, WEEK};

/// The account that the demo connects.
pub(super) const ACCOUNT: &str = "ada@example.com";
/// Its access token. The server that takes it listens on this machine only.
pub(super) const TOKEN: &str = "demo-token";
/// The calendar that is mirrored.
pub(super) const TEAM: &str = "team@group.calendar.google.com";
const GRACE: &str = "grace@example.com";

/// Accounts and calendars.
pub(super) fn config(clock: Clock) -> Config {
    let reminders = vec![json!({"method": "popup", "minutes": 10})];
    Config::new(clock)
        .account(
            AccountConfig::new(ACCOUNT)
                .display_name("Ada Lovelace")
                .access_token(TOKEN),
        )
        .account(AccountConfig::new(GRACE).display_name("Grace Hopper"))
        .calendar(
            CalendarConfig::new(ACCOUNT, ACCOUNT)
                .summary("Ada")
                .time_zone("Europe/Berlin")
                .default_reminders(reminders),
        )
        .calendar(
            CalendarConfig::new(TEAM, ACCOUNT)
                .summary("Team")
                .time_zone("Europe/Berlin"),
        )
        .calendar(
            CalendarConfig::new(GRACE, GRACE)
                .summary("Grace (read only)")
                .time_zone("America/New_York")
                .shared_with(ACCOUNT, Role::Reader),
        )
}

/// Puts the week into the calendars.
///
/// # Errors
/// What Google would refuse.
pub(super) fn fill(google: &GoogleCalendar, monday: Date) -> Result<(), ApiError> {
    for sample in WEEK {
        let id = match sample.calendar {
            Calendar::Ada => ACCOUNT,
            Calendar::Team => TEAM,
            Calendar::Grace => GRACE,
            Calendar::Home | Calendar::Birthdays => continue,
        };
        let calendar = google.calendar(id);
        let made = calendar.insert(body(sample, monday))?;
        let master = made["id"].as_str().unwrap_or_default();
        if let Some(day) = sample.skipped {
            calendar.cancel_instance(master, &instance(sample, monday, day))?;
        }
        if let Some(day) = sample.moved {
            let (start, end) = times(sample, monday, day, 1);
            let patch =
                json!({"start": start, "end": end, "summary": format!("{} (an hour later)", sample.title)});
            calendar.patch(&format!("{master}_{}", instance(sample, monday, day)), patch)?;
        }
    }
    Ok(())
}

/// An event as `events.insert` takes it.
fn body(sample: &Sample, monday: Date) -> Value {
    let (start, end) = times(sample, monday, sample.day, 0);
    let mut body = Map::from_iter([
        ("summary".to_owned(), json!(sample.title)),
        ("start".to_owned(), start),
        ("end".to_owned(), end),
    ]);
    if !sample.place.is_empty() {
        body.insert("location".to_owned(), json!(sample.place));
    }
    if !sample.rule.is_empty() {
        body.insert("recurrence".to_owned(), json!([format!("RRULE:{}", sample.rule)]));
    }
    if !sample.guests.is_empty() {
        let guests = sample.guests.iter().enumerate().map(|(index, address)| {
            let answer = ["accepted", "tentative", "needsAction"][index % 3];
            json!({"email": address, "responseStatus": answer})
        });
        body.insert("attendees".to_owned(), guests.collect());
    }
    Value::Object(body)
}

fn wall(sample: &Sample, monday: Date, day: i64) -> DateTime {
    let time: Time = sample.at.parse().unwrap_or(Time::midnight());
    monday.saturating_add(day.days()).to_datetime(time)
}

fn times(sample: &Sample, monday: Date, day: i64, hours_later: i64) -> (Value, Value) {
    let start = wall(sample, monday, day);
    if sample.at.is_empty() {
        let end = start.date().saturating_add(sample.length.days());
        return (json!({"date": start.date()}), json!({"date": end}));
    }
    let start = start.saturating_add(SignedDuration::from_hours(hours_later));
    let end = start.saturating_add(SignedDuration::from_mins(sample.length));
    let at = |wall: DateTime| json!({"dateTime": wall, "timeZone": sample.zone});
    (at(start), at(end))
}

/// What an occurrence's id ends in: its original start in UTC.
/// <https://developers.google.com/workspace/calendar/api/guides/recurringevents>
fn instance(sample: &Sample, monday: Date, day: i64) -> String {
    let start = wall(sample, monday, day);
    if sample.at.is_empty() {
        return start.strftime("%Y%m%d").to_string();
    }
    let zone = model::zone::time_zone(sample.zone).unwrap_or(TimeZone::UTC);
    let instant = zone
        .to_ambiguous_timestamp(start)
        .compatible()
        .unwrap_or_default();
    instant.strftime("%Y%m%dT%H%M%SZ").to_string()
}
