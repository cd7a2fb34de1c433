//! Moments as calendars mean them: wall time plus zone, floating wall time, or a day.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::canonical::already_canonical;
use crate::content::PartKey;
use crate::zone;

/// When something starts or ends.
///
/// An unknown zone is refused here rather than read as UTC: the record is quarantined and nothing is guessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", try_from = "TimeIn")]
pub enum EventTime {
    /// Wall time in an IANA zone.
    Zoned {
        /// Wall time, `2026-01-05T09:00:00`.
        #[schema(value_type = String, example = "2026-01-05T09:00:00")]
        wall: DateTime,
        /// IANA zone, `Europe/Berlin`; `UTC` for instants.
        #[schema(example = "Europe/Berlin")]
        zone: String,
    },
    /// Wall time wherever the reader is.
    Floating {
        /// Wall time.
        #[schema(value_type = String, example = "2026-01-05T09:00:00")]
        wall: DateTime,
    },
    /// A whole day.
    Date {
        /// The day.
        #[schema(value_type = String, example = "2026-01-05")]
        date: Date,
    },
}

/// The JSON form before its zone has been checked.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum TimeIn {
    Zoned { wall: DateTime, zone: String },
    Floating { wall: DateTime },
    Date { date: Date },
}

impl TryFrom<TimeIn> for EventTime {
    type Error = zone::UnknownZone;

    fn try_from(time: TimeIn) -> Result<Self, zone::UnknownZone> {
        match time {
            TimeIn::Zoned { wall, zone } => Self::zoned(wall, &zone),
            TimeIn::Floating { wall } => Ok(Self::Floating { wall }),
            TimeIn::Date { date } => Ok(Self::Date { date }),
        }
    }
}

already_canonical!(EventTime);

impl EventTime {
    /// Wall time in a zone given by its IANA name, an old alias of it, or its Windows name.
    ///
    /// # Errors
    /// A zone that neither the IANA database nor the CLDR Windows table knows.
    pub fn zoned(wall: DateTime, zone: &str) -> Result<Self, zone::UnknownZone> {
        Ok(Self::Zoned {
            wall,
            zone: zone::canonical(zone)?.to_owned(),
        })
    }

    /// The wall time; midnight for a day.
    #[must_use]
    pub fn wall(&self) -> DateTime {
        match self {
            Self::Zoned { wall, .. } | Self::Floating { wall } => *wall,
            Self::Date { date } => date.to_datetime(jiff::civil::Time::midnight()),
        }
    }

    /// The same sort of time (same zone, floating, or day) at another wall time.
    #[must_use]
    pub fn with_wall(&self, wall: DateTime) -> Self {
        match self {
            Self::Zoned { zone, .. } => Self::Zoned {
                wall,
                zone: zone.clone(),
            },
            Self::Floating { .. } => Self::Floating { wall },
            Self::Date { .. } => Self::Date { date: wall.date() },
        }
    }

    /// The instant. Floating times and days are read in `default_zone`. A wall time that a clock change skips is
    /// moved forward, one that happens twice is the first (RFC 5545 section 3.3.5).
    #[must_use]
    pub fn instant(&self, default_zone: &TimeZone) -> Timestamp {
        let zone = match self {
            Self::Zoned { zone, .. } => zone::time_zone(zone).unwrap_or_else(|| default_zone.clone()),
            Self::Floating { .. } | Self::Date { .. } => default_zone.clone(),
        };
        zone.to_ambiguous_timestamp(self.wall())
            .compatible()
            .unwrap_or(Timestamp::MAX)
    }

    /// Wall-clock time from this moment to a later one of the same sort; for two zones, the time elapsed.
    #[must_use]
    pub fn until(&self, later: &Self) -> SignedDuration {
        match (self, later) {
            (Self::Zoned { zone: a, .. }, Self::Zoned { zone: b, .. }) if a != b => later
                .instant(&TimeZone::UTC)
                .duration_since(self.instant(&TimeZone::UTC)),
            (
                Self::Zoned { .. } | Self::Floating { .. } | Self::Date { .. },
                Self::Zoned { .. } | Self::Floating { .. } | Self::Date { .. },
            ) => later.wall().duration_since(self.wall()),
        }
    }

    /// The same sort of time, moved by wall-clock time; stays put where the calendar of years ends.
    #[must_use]
    pub fn shifted(&self, by: SignedDuration) -> Self {
        self.with_wall(self.wall().saturating_add(by))
    }

    /// The key of the occurrence that starts at this time, read in the master's zone.
    #[must_use]
    pub fn part_key(&self, master_start: &Self) -> PartKey {
        match (master_start, self) {
            (Self::Date { .. }, _) => PartKey::occurrence(self.wall().date().to_string()),
            (Self::Zoned { zone: master, .. }, Self::Zoned { zone, .. }) if master != zone => {
                let instant = self.instant(&TimeZone::UTC);
                let zone = zone::time_zone(master).unwrap_or(TimeZone::UTC);
                PartKey::occurrence(zone.to_datetime(instant).to_string())
            }
            (Self::Zoned { .. } | Self::Floating { .. }, _) => PartKey::occurrence(self.wall().to_string()),
        }
    }

    /// The time that a part key names in a series that starts at `master_start`; `None` for the master's key or a
    /// key that is no wall time.
    #[must_use]
    pub fn from_part_key(key: &PartKey, master_start: &Self) -> Option<Self> {
        let text = key.as_str();
        let wall = match text.parse::<DateTime>() {
            Ok(wall) => wall,
            Err(_) => text
                .parse::<Date>()
                .ok()?
                .to_datetime(jiff::civil::Time::midnight()),
        };
        Some(master_start.with_wall(wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: &str, zone: &str) -> EventTime {
        EventTime::zoned(wall.parse().unwrap(), zone).unwrap()
    }

    #[test]
    fn an_unknown_zone_is_refused_and_never_read_as_utc() {
        let json =
            serde_json::json!({"kind": "zoned", "wall": "2026-01-05T09:00:00", "zone": "Mars/Olympus"});
        let error = serde_json::from_value::<EventTime>(json).unwrap_err().to_string();
        assert!(error.contains("Mars/Olympus"), "{error}");
    }

    #[test]
    fn an_occurrence_named_in_another_zone_has_the_key_of_the_masters_zone() {
        let master = at("2026-01-05T09:00:00", "Europe/Berlin");
        let named_in_utc = at("2026-07-06T07:00:00", "UTC");
        assert_eq!(named_in_utc.part_key(&master).as_str(), "2026-07-06T09:00:00");
    }

    #[test]
    fn a_part_key_names_its_time_again() {
        let master = at("2026-01-05T09:00:00", "Asia/Kolkata");
        let occurrence = at("2026-02-02T09:00:00", "Asia/Kolkata");
        assert_eq!(
            EventTime::from_part_key(&occurrence.part_key(&master), &master),
            Some(occurrence)
        );
        let days = EventTime::Date {
            date: "2026-01-05".parse().unwrap(),
        };
        let day = EventTime::Date {
            date: "2026-01-12".parse().unwrap(),
        };
        assert_eq!(day.part_key(&days).as_str(), "2026-01-12");
        assert_eq!(EventTime::from_part_key(&day.part_key(&days), &days), Some(day));
    }

    #[test]
    fn json_names_the_kind_of_time() {
        let json = serde_json::to_value(at("2026-01-05T09:00:00", "Europe/Berlin")).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"kind":"zoned","wall":"2026-01-05T09:00:00","zone":"Europe/Berlin"})
        );
    }
}
