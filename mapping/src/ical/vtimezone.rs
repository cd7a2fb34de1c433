//! `VTIMEZONE` for a zone that an object does not define yet (RFC 5545 section 3.6.5).
//!
//! Zones whose clocks change by one rule get that rule; zones whose changes follow none (Morocco's, by the moon) get
//! the dates of the years around the event.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use model::zone;

use super::codecs::time::basic;
use super::line::{Line, escape};
use super::tree::{Component, Item};

/// Years after the event that dates are given for where no rule holds.
const YEARS_LISTED: i16 = 15;
/// Years that a rule must describe to be trusted. The calendar of the west repeats its weekdays every 28.
const YEARS_TRIED: i16 = 28;

/// What changes on an observance's onset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Onset {
    from: i32,
    to: i32,
    daylight: bool,
    name: String,
}

/// The definition of a zone for an event in `year`.
pub(super) fn define(name: &str, year: i16) -> Option<Component> {
    let zone = zone::time_zone(name)?;
    let year = year.clamp(1900, 2200);
    let begin = midnight(year - 1)?;
    let mut component = Component::new("VTIMEZONE").with(Line::new("TZID", name));
    let changes = changes(&zone, begin, midnight(year + YEARS_TRIED)?);
    let first = changes.values().flatten().min().copied();
    // What holds until the first change inside the years described.
    let info = zone.to_offset_info(begin);
    let initial = Onset {
        from: info.offset().seconds(),
        to: info.offset().seconds(),
        daylight: info.dst().is_dst(),
        name: info.abbreviation().to_owned(),
    };
    let base = DateTime::constant(1970, 1, 1, 0, 0, 0, 0).min(first.unwrap_or(DateTime::MAX));
    let lone = changes.is_empty();
    let covered = changes
        .iter()
        .any(|(onset, _)| onset.to == initial.to && onset.daylight == initial.daylight);
    if lone || !covered {
        component.items.push(Item::Component(observance(&initial, base)));
    }
    let listed_until = year + YEARS_LISTED;
    for (onset, mut walls) in changes {
        walls.sort();
        let Some(start) = walls.first().copied() else {
            continue;
        };
        if let Some(rule) = yearly(&walls, year - 1, year + YEARS_TRIED - 1) {
            let observance = observance(&onset, start).with(Line::new("RRULE", rule));
            component.items.push(Item::Component(observance));
            continue;
        }
        walls.retain(|wall| wall.year() <= listed_until);
        let mut observance = observance(&onset, start);
        if walls.len() > 1 {
            let dates: Vec<String> = walls.iter().skip(1).map(|wall| basic(*wall)).collect();
            observance = observance.with(Line::new("RDATE", dates.join(",")));
        }
        component.items.push(Item::Component(observance));
    }
    Some(component)
}

fn midnight(year: i16) -> Option<Timestamp> {
    TimeZone::UTC
        .to_timestamp(
            Date::new(year, 1, 1)
                .ok()?
                .to_datetime(jiff::civil::Time::midnight()),
        )
        .ok()
}

/// The changes of a zone's clock between two instants: for each sort of change the wall times, in the offset before
/// it, at which it happens.
fn changes(zone: &TimeZone, begin: Timestamp, end: Timestamp) -> BTreeMap<Onset, Vec<DateTime>> {
    let mut changes: BTreeMap<Onset, Vec<DateTime>> = BTreeMap::new();
    let mut before = zone.to_offset(begin);
    for change in zone
        .following(begin)
        .take_while(|change| change.timestamp() < end)
    {
        let onset = Onset {
            from: before.seconds(),
            to: change.offset().seconds(),
            daylight: change.dst().is_dst(),
            name: change.abbreviation().to_owned(),
        };
        changes
            .entry(onset)
            .or_default()
            .push(before.to_datetime(change.timestamp()));
        before = change.offset();
    }
    changes
}

fn observance(onset: &Onset, start: DateTime) -> Component {
    Component::new(if onset.daylight { "DAYLIGHT" } else { "STANDARD" })
        .with(Line::new("DTSTART", basic(start)))
        .with(Line::new("TZOFFSETFROM", offset(onset.from)))
        .with(Line::new("TZOFFSETTO", offset(onset.to)))
        .with(Line::new("TZNAME", escape(&onset.name)))
}

fn offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.abs();
    let text = format!("{sign}{:02}{:02}", seconds / 3600, seconds / 60 % 60);
    if seconds % 60 == 0 {
        text
    } else {
        format!("{text}{:02}", seconds % 60)
    }
}

/// The yearly rule that gives exactly these wall times, one in each year from `first` to `last`.
fn yearly(walls: &[DateTime], first: i16, last: i16) -> Option<String> {
    let years = walls.iter().map(|wall| wall.year());
    if !years.eq(first..=last) {
        return None;
    }
    let one = walls.first()?;
    let same = |wall: &DateTime| {
        wall.month() == one.month() && wall.weekday() == one.weekday() && wall.time() == one.time()
    };
    if !walls.iter().all(same) {
        return None;
    }
    let day = match one.weekday() {
        jiff::civil::Weekday::Monday => "MO",
        jiff::civil::Weekday::Tuesday => "TU",
        jiff::civil::Weekday::Wednesday => "WE",
        jiff::civil::Weekday::Thursday => "TH",
        jiff::civil::Weekday::Friday => "FR",
        jiff::civil::Weekday::Saturday => "SA",
        jiff::civil::Weekday::Sunday => "SU",
    };
    let month = one.month();
    let is_last = |wall: &DateTime| wall.day() + 7 > wall.date().days_in_month();
    if walls.iter().all(is_last) {
        return Some(format!("FREQ=YEARLY;BYMONTH={month};BYDAY=-1{day}"));
    }
    let nth = |wall: &DateTime| (wall.day() - 1) / 7 + 1;
    if walls.iter().all(|wall| nth(wall) == nth(one)) {
        return Some(format!("FREQ=YEARLY;BYMONTH={month};BYDAY={}{day}", nth(one)));
    }
    // "The Friday on or after the 23rd".
    let earliest = walls.iter().map(|wall| wall.day()).min()?;
    let latest = walls.iter().map(|wall| wall.day()).max()?;
    (latest - earliest == 6).then(|| {
        let days: Vec<String> = (earliest..=latest).map(|day| day.to_string()).collect();
        format!(
            "FREQ=YEARLY;BYMONTH={month};BYMONTHDAY={};BYDAY={day}",
            days.join(",")
        )
    })
}
