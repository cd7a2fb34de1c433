//! Occurrences of a recurring event, and the ids of its instances.
//! <https://developers.google.com/workspace/calendar/api/guides/recurringevents>
//!
//! RRULE and EXRULE are expanded in the series' own zone by the `rrule` crate; RDATE and EXDATE are read here,
//! because Google's lines stand alone, without the DTSTART that an iCalendar reader expects.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rrule::RRuleSet;
use serde_json::{Map, Value};

use super::errors::ApiError;
use super::times::{When, zone_or_utc};

/// No expansion walks further: a rule without an end must not fill the memory. Daily, this is 130 years.
const EXPANSION_LIMIT: usize = 50_000;
const DAY_SECONDS: i64 = 86_400;

/// A master's recurrence, read from its stored body.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    start: When,
    end: When,
    rules: Option<RRuleSet>,
    excluding: Option<RRuleSet>,
    extra: Vec<When>,
    excluded: Vec<When>,
    /// Id suffixes of all occurrences, once they were asked for.
    suffixes: OnceCell<HashSet<String>>,
}

impl Series {
    /// Reads start, end and recurrence.
    pub(crate) fn read(body: &Map<String, Value>) -> Result<Self, ApiError> {
        let missing = || ApiError::required("Missing end time.");
        let start = When::of(body, "start").ok_or_else(missing)?;
        let end = When::of(body, "end").ok_or_else(missing)?;
        let mut series = Self {
            start,
            end,
            rules: None,
            excluding: None,
            extra: Vec::new(),
            excluded: Vec::new(),
            suffixes: OnceCell::new(),
        };
        let (mut rules, mut exrules) = (Vec::new(), Vec::new());
        let lines = body.get("recurrence").and_then(Value::as_array);
        for line in lines.into_iter().flatten().filter_map(Value::as_str) {
            let (head, value) = line.split_once(':').ok_or_else(invalid_rule)?;
            let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
            match name {
                // Google has nothing more frequent than daily: https://github.com/sebbo2002/ical-generator/issues/130.
                // A report of 2017 shows a server error for it on import (google-api-ruby-client#572); here it is
                // the refusal that other unusable rules get (400 invalid, seen in openclaw/gogcli#120).
                "RRULE" | "EXRULE" if is_more_than_daily(value) => return Err(invalid_rule()),
                "RRULE" => rules.push(format!("RRULE:{}", series.fitting_until(value))),
                "EXRULE" => exrules.push(format!("RRULE:{}", series.fitting_until(value))),
                "RDATE" => series.extra.extend(series.dates(parameters, value)?),
                "EXDATE" => series.excluded.extend(series.dates(parameters, value)?),
                _other => return Err(invalid_rule()),
            }
        }
        series.rules = series.rule_set(&rules)?;
        series.excluding = series.rule_set(&exrules)?;
        Ok(series)
    }

    /// The rule library wants a UTC `UNTIL` beside a start with a zone; Google takes a date as well.
    fn fitting_until(&self, rule: &str) -> String {
        let parts = rule.split(';').map(|part| match part.strip_prefix("UNTIL=") {
            Some(date) if date.len() == 8 => format!("UNTIL={date}T235959Z"),
            Some(local) if !local.ends_with('Z') => format!("UNTIL={local}Z"),
            Some(_) | None => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join(";")
    }

    fn rule_set(&self, rules: &[String]) -> Result<Option<RRuleSet>, ApiError> {
        if rules.is_empty() {
            return Ok(None);
        }
        let start = match &self.start {
            When::Day(date) => format!("DTSTART:{}T000000Z", date.strftime("%Y%m%d")),
            When::Instant { at, zone } => {
                let local = at.to_zoned(zone_or_utc(zone)).datetime();
                let local = local.strftime("%Y%m%dT%H%M%S");
                if zone == "UTC" {
                    format!("DTSTART:{local}Z")
                } else {
                    format!("DTSTART;TZID={zone}:{local}")
                }
            }
        };
        let text = format!("{start}\n{}", rules.join("\n"));
        text.parse().map(Some).map_err(|_| invalid_rule())
    }

    fn dates(&self, parameters: &str, value: &str) -> Result<Vec<When>, ApiError> {
        let tzid = parameters
            .split(';')
            .find_map(|parameter| parameter.strip_prefix("TZID="));
        value
            .split(',')
            .map(|text| self.date(tzid, text.trim()))
            .collect()
    }

    fn date(&self, tzid: Option<&str>, text: &str) -> Result<When, ApiError> {
        let invalid = |_| invalid_rule();
        match &self.start {
            When::Day(_) => {
                let day = text.get(..8).ok_or_else(invalid_rule)?;
                Ok(When::Day(Date::strptime("%Y%m%d", day).map_err(invalid)?))
            }
            When::Instant { at, zone } => {
                let series_zone = zone_or_utc(zone);
                let (local, tz) = match (text.strip_suffix('Z'), tzid) {
                    (Some(utc), _) => (
                        DateTime::strptime("%Y%m%dT%H%M%S", utc).map_err(invalid)?,
                        TimeZone::UTC,
                    ),
                    (None, _) if text.len() == 8 => {
                        // A bare date beside a timed start means that day's occurrence.
                        let day = Date::strptime("%Y%m%d", text).map_err(invalid)?;
                        (
                            day.to_datetime(at.to_zoned(series_zone.clone()).time()),
                            series_zone,
                        )
                    }
                    (None, tzid) => {
                        let local = DateTime::strptime("%Y%m%dT%H%M%S", text).map_err(invalid)?;
                        (local, tzid.map_or(series_zone, zone_or_utc))
                    }
                };
                let at = local.to_zoned(tz).map_err(invalid)?.timestamp();
                Ok(When::Instant {
                    at,
                    zone: zone.clone(),
                })
            }
        }
    }

    /// Whether a rule of it has no end.
    pub(crate) fn is_endless(&self) -> bool {
        let rules = self.rules.iter().flat_map(RRuleSet::get_rrule);
        rules
            .into_iter()
            .any(|rule| rule.get_count().is_none() && rule.get_until().is_none())
    }

    /// Original starts within the closed range, in order; without a range from the beginning up to a limit.
    pub(crate) fn starts(&self, range: Option<(Timestamp, Timestamp)>) -> Vec<When> {
        let zone = self.zone();
        let inside = |when: &When| {
            let at = when.instant(&zone);
            range.is_none_or(|(from, to)| from <= at && at <= to)
        };
        let mut found = BTreeMap::new();
        for when in self
            .expanded(self.rules.as_ref(), range)
            .into_iter()
            .chain(self.extra.iter().cloned())
        {
            if inside(&when) {
                found.insert(when.instant(&zone), when);
            }
        }
        if self.rules.is_none() && inside(&self.start) {
            found.insert(self.start.instant(&zone), self.start.clone());
        }
        for when in self
            .expanded(self.excluding.as_ref(), range)
            .iter()
            .chain(&self.excluded)
        {
            found.remove(&when.instant(&zone));
        }
        found.into_values().collect()
    }

    /// Walks the rules from their start. The library's own `after` would walk without an end of its own: a rule that
    /// repeats every second for a century kept it busy for minutes.
    fn expanded(&self, rules: Option<&RRuleSet>, range: Option<(Timestamp, Timestamp)>) -> Vec<When> {
        let Some(rules) = rules else { return Vec::new() };
        // A day of slack on both sides: all-day occurrences are expanded in UTC and compared in their own zone.
        let from = range.map_or(i64::MIN, |(from, _)| from.as_second() - DAY_SECONDS);
        let to = range.map_or(i64::MAX, |(_, to)| to.as_second().saturating_add(DAY_SECONDS));
        let limited = rules.clone().limit();
        let seconds = limited
            .into_iter()
            .take(EXPANSION_LIMIT)
            .map(|date| date.timestamp());
        seconds
            .take_while(|at| *at <= to)
            .filter(|at| *at >= from)
            .filter_map(|at| self.when(at))
            .collect()
    }

    fn when(&self, seconds: i64) -> Option<When> {
        let at = Timestamp::from_second(seconds).ok()?;
        Some(match &self.start {
            When::Day(_) => When::Day(at.to_zoned(TimeZone::UTC).date()),
            When::Instant { zone, .. } => When::Instant {
                at,
                zone: zone.clone(),
            },
        })
    }

    fn zone(&self) -> TimeZone {
        match &self.start {
            When::Day(_) => TimeZone::UTC,
            When::Instant { zone, .. } => zone_or_utc(zone),
        }
    }

    /// Whether the series has an occurrence with this original start.
    pub(crate) fn has(&self, start: &When) -> bool {
        let all = || {
            self.starts(None)
                .iter()
                .map(When::id_suffix)
                .collect::<HashSet<_>>()
        };
        self.suffixes.get_or_init(all).contains(&start.id_suffix())
    }

    /// The end of the occurrence that starts here.
    pub(crate) fn end_of(&self, start: &When) -> When {
        start
            .shifted(&self.start, &self.end)
            .unwrap_or_else(|| self.end.clone())
    }

    /// How long one occurrence lasts: how far back before a window one may begin that still reaches into it.
    pub(crate) fn length(&self, tz: &TimeZone) -> SignedDuration {
        self.end.instant(tz).duration_since(self.start.instant(tz))
    }

    /// The original start that an instance id's suffix names.
    pub(crate) fn start_from_suffix(&self, suffix: &str) -> Option<When> {
        match &self.start {
            When::Day(_) => Some(When::Day(Date::strptime("%Y%m%d", suffix).ok()?)),
            When::Instant { zone, .. } => {
                let local = DateTime::strptime("%Y%m%dT%H%M%S", suffix.strip_suffix('Z')?).ok()?;
                let at = local.to_zoned(TimeZone::UTC).ok()?.timestamp();
                Some(When::Instant {
                    at,
                    zone: zone.clone(),
                })
            }
        }
    }
}

fn is_more_than_daily(rule: &str) -> bool {
    let frequency = rule.split(';').find_map(|part| part.strip_prefix("FREQ="));
    matches!(frequency, Some("HOURLY" | "MINUTELY" | "SECONDLY"))
}

fn invalid_rule() -> ApiError {
    ApiError::invalid("Invalid recurrence rule.")
}

/// `{masterId}_{yyyymmdd}` or `{masterId}_{yyyymmddThhmmssZ}`.
pub(crate) fn instance_id(master_id: &str, start: &When) -> String {
    format!("{master_id}_{}", start.id_suffix())
}
