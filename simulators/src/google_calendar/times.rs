//! Start and end as Google takes and gives them: a date, or an instant with an optional zone.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events#start>
//!
//! Stored form: `{"date"}`, or `{"dateTime": instant in UTC, "timeZone"}`. Answers show the instant in the offset
//! of the calendar's zone (or of the `timeZone` parameter) beside the event's own zone name.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Unit};
use serde_json::{Map, Value, json};

use super::errors::ApiError;

/// A start or end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// All-day.
    Day(Date),
    /// A point in time; the zone is what the event says, not what the answer is shown in.
    Instant { at: Timestamp, zone: String },
}

impl When {
    /// Reads what a client sent. `side` is `start` or `end`.
    pub(crate) fn parse(value: &Value, side: &str, calendar_zone: &str) -> Result<(Self, bool), ApiError> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let zone = text("timeZone").filter(|zone| !zone.is_empty());
        match (text("date"), text("dateTime")) {
            (Some(_), Some(_)) => Err(ApiError::invalid(format!("Invalid {side} time."))),
            (None, None) => Err(ApiError::required(format!("Missing {side} time."))),
            (Some(date), None) => {
                let date = date
                    .parse()
                    .map_err(|_| ApiError::invalid(format!("Invalid {side} time.")))?;
                Ok((Self::Day(date), true))
            }
            (None, Some(moment)) => {
                let tz = zone.map(|zone| named_zone(zone, side)).transpose()?;
                let at = match (moment.parse::<Timestamp>(), tz) {
                    (Ok(at), _) => at,
                    (Err(_), Some(tz)) => local_instant(moment, tz, side)?,
                    (Err(_), None) if moment.parse::<DateTime>().is_ok() => {
                        let message = format!("Missing time zone definition for {side} time.");
                        return Err(ApiError::required(message));
                    }
                    (Err(_), None) => return Err(ApiError::invalid(format!("Invalid {side} time."))),
                };
                let at = at.round(Unit::Second).unwrap_or(at);
                let stored = Self::Instant {
                    at,
                    zone: zone.unwrap_or(calendar_zone).to_owned(),
                };
                Ok((stored, zone.is_some()))
            }
        }
    }

    /// Reads the stored form.
    pub(crate) fn stored(value: &Value) -> Option<Self> {
        if let Some(date) = value.get("date").and_then(Value::as_str) {
            return Some(Self::Day(date.parse().ok()?));
        }
        let at = value.get("dateTime")?.as_str()?.parse().ok()?;
        let zone = value
            .get("timeZone")
            .and_then(Value::as_str)
            .unwrap_or("UTC")
            .to_owned();
        Some(Self::Instant { at, zone })
    }

    /// The field `name` of a stored event.
    pub(crate) fn of(body: &Map<String, Value>, name: &str) -> Option<Self> {
        Self::stored(body.get(name)?)
    }

    /// The stored form.
    pub(crate) fn to_stored(&self) -> Value {
        match self {
            Self::Day(date) => json!({"date": date.to_string()}),
            Self::Instant { at, zone } => json!({"dateTime": at.to_string(), "timeZone": zone}),
        }
    }

    /// The form in answers.
    pub(crate) fn shown(&self, tz: &TimeZone) -> Value {
        match self {
            Self::Day(_) => self.to_stored(),
            Self::Instant { at, zone } => json!({"dateTime": rfc3339_in(*at, tz), "timeZone": zone}),
        }
    }

    /// The instant; a date begins in the given zone.
    pub(crate) fn instant(&self, tz: &TimeZone) -> Timestamp {
        match self {
            Self::Instant { at, .. } => *at,
            Self::Day(date) => date
                .to_zoned(tz.clone())
                .map(|zoned| zoned.timestamp())
                .unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }

    /// Suffix of an occurrence's id: `yyyymmdd`, or `yyyymmddThhmmssZ` in UTC.
    pub(crate) fn id_suffix(&self) -> String {
        match self {
            Self::Day(date) => date.strftime("%Y%m%d").to_string(),
            Self::Instant { at, .. } => at.strftime("%Y%m%dT%H%M%SZ").to_string(),
        }
    }

    /// This start with the distance from `from` to `to` added.
    pub(crate) fn shifted(&self, from: &Self, to: &Self) -> Option<Self> {
        match (self, from, to) {
            (Self::Day(day), Self::Day(from), Self::Day(to)) => {
                let days = from.until(*to).ok()?.get_days();
                Some(Self::Day(day.checked_add(days.days()).ok()?))
            }
            (Self::Instant { at, .. }, Self::Instant { at: from, .. }, Self::Instant { at: to, zone }) => {
                let length: SignedDuration = to.duration_since(*from);
                Some(Self::Instant {
                    at: at.checked_add(length).ok()?,
                    zone: zone.clone(),
                })
            }
            (Self::Day(_) | Self::Instant { .. }, _, _) => None,
        }
    }
}

/// The zone by its IANA name; UTC when it is unknown, which stored names never are.
pub(crate) fn zone_or_utc(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// `2011-06-03T10:00:00-07:00`, with `Z` for UTC.
pub(crate) fn rfc3339_in(at: Timestamp, tz: &TimeZone) -> String {
    let offset = tz.to_offset(at);
    if offset.is_zero() {
        return at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    }
    at.display_with_offset(offset).to_string()
}

/// `2011-06-03T10:00:00.000Z`, the form of `created` and `updated`.
pub(crate) fn rfc3339_ms(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn named_zone(name: &str, side: &str) -> Result<TimeZone, ApiError> {
    TimeZone::get(name)
        .map_err(|_| ApiError::invalid(format!("Invalid time zone definition for {side} time.")))
}

fn local_instant(moment: &str, tz: TimeZone, side: &str) -> Result<Timestamp, ApiError> {
    let invalid = |_| ApiError::invalid(format!("Invalid {side} time."));
    let local: DateTime = moment.parse().map_err(invalid)?;
    Ok(local.to_zoned(tz).map_err(invalid)?.timestamp())
}
