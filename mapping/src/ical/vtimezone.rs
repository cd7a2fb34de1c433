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
    if first.is_none_or(|first| first.year() >= year) {
        // What holds until the first change.
        let info = zone.to_offset_info(begin);
        let initial = Onset {
            from: info.offset().seconds(),
            to: info.offset().seconds(),
            daylight: info.dst().is_dst(),
            name: info.abbreviation().to_owned(),
        };
        component.items.push(Item::Component(observance(
            &initial,
            DateTime::constant(1900, 1, 1, 0, 0, 0, 0),
        )));
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
    let info = zone.to_offset_info(begin);
    let mut before = info.offset();
    let mut known = (
        before.seconds(),
        info.dst().is_dst(),
        info.abbreviation().to_owned(),
    );
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
        // The database also has points in time at which nothing changes.
        let now = (onset.to, onset.daylight, onset.name.clone());
        if now != known {
            changes
                .entry(onset)
                .or_default()
                .push(before.to_datetime(change.timestamp()));
        }
        before = change.offset();
        known = now;
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

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;

    /// The onsets that a definition names, as instants with the offset that begins then.
    fn onsets(definition: &Component, last_year: i16) -> Vec<(Timestamp, i32)> {
        let mut onsets = Vec::new();
        for observance in definition.components() {
            let value = |name: &str| observance.first(name).map(|line| line.value().to_owned());
            let wall = |text: &str| text.parse::<DateTime>().unwrap();
            let start = wall(&value("DTSTART").unwrap());
            let mut walls = vec![start];
            walls.extend(value("RDATE").iter().flat_map(|dates| dates.split(',')).map(wall));
            if let Some(rule) = value("RRULE") {
                let part = |name: &str| {
                    rule.split(';')
                        .find_map(|part| part.strip_prefix(name))
                        .map(str::to_owned)
                };
                let month: i8 = part("BYMONTH=").unwrap().parse().unwrap();
                let (nth, day) = part("BYDAY=")
                    .map(|day| (day[..day.len() - 2].to_owned(), start.weekday()))
                    .unwrap();
                let days: Option<Vec<i8>> =
                    part("BYMONTHDAY=").map(|days| days.split(',').map(|day| day.parse().unwrap()).collect());
                for year in start.year() + 1..=last_year {
                    let first = Date::new(year, month, 1).unwrap();
                    let date = match (&days, nth.as_str()) {
                        (Some(days), _) => {
                            let all = days.iter().map(|day| Date::new(year, month, *day).unwrap());
                            all.into_iter().find(|date| date.weekday() == day).unwrap()
                        }
                        (None, nth) => first.nth_weekday_of_month(nth.parse().unwrap(), day).unwrap(),
                    };
                    walls.push(date.to_datetime(start.time()));
                }
            }
            let seconds = |name: &str| {
                let text = value(name).unwrap();
                let number = |range: std::ops::Range<usize>| text[range].parse::<i32>().unwrap();
                let sum = number(1..3) * 3600 + number(3..5) * 60;
                if text.starts_with('-') { -sum } else { sum }
            };
            let before = jiff::tz::Offset::from_seconds(seconds("TZOFFSETFROM")).unwrap();
            onsets.extend(
                walls
                    .iter()
                    .map(|wall| (before.to_timestamp(*wall).unwrap(), seconds("TZOFFSETTO"))),
            );
        }
        onsets.sort();
        onsets
    }

    #[test]
    fn a_definition_gives_the_zones_offsets_in_the_years_around_the_event() {
        for name in [
            "Europe/Berlin",
            "America/New_York",
            "America/Sao_Paulo",
            "Asia/Kolkata",
            "Asia/Jerusalem",
            "Africa/Casablanca",
            "Australia/Lord_Howe",
            "Pacific/Auckland",
            "Europe/Dublin",
            "America/Nuuk",
            "Africa/Cairo",
            "Asia/Tehran",
            "America/Havana",
            "Pacific/Chatham",
            "Asia/Gaza",
            "Etc/GMT-3",
        ] {
            for year in [1998, 2011, 2026, 2034] {
                let zone = zone::time_zone(name).unwrap();
                let definition = define(name, year).unwrap();
                let onsets = onsets(&definition, year + 10);
                let mut day = Date::new(year, 1, 1).unwrap();
                while day.year() < year + 10 {
                    let instant = TimeZone::UTC.to_timestamp(day.at(13, 0, 0, 0)).unwrap();
                    let said = onsets
                        .iter()
                        .rfind(|(onset, _)| *onset <= instant)
                        .map(|(_, offset)| *offset);
                    assert_eq!(
                        said,
                        Some(zone.to_offset(instant).seconds()),
                        "{name} on {day}: {definition:?}"
                    );
                    day = day.checked_add(1.day()).unwrap();
                }
                assert!(definition.components().count() <= 12, "{name} {year} is compact");
            }
        }
    }

    #[test]
    fn zones_that_follow_a_rule_are_told_by_it() {
        let rule = |name: &str| {
            let definition = define(name, 2026).unwrap();
            let rules = definition
                .components()
                .filter_map(|observance| observance.first("RRULE"));
            rules.map(|line| line.value().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            rule("America/New_York"),
            [
                "FREQ=YEARLY;BYMONTH=3;BYDAY=2SU",
                "FREQ=YEARLY;BYMONTH=11;BYDAY=1SU"
            ]
        );
        assert!(rule("Asia/Kolkata").is_empty());
        assert!(rule("Africa/Casablanca").is_empty());
    }
}
