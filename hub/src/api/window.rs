//! Stretches of time in addresses and bodies: RFC 3339, both ends or none, bounded.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::error::{ApiError, Code};

/// Longest stretch of time that one question may concern.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 366);

/// A stretch of time; `to` does not belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Its first moment.
    pub(super) from: Timestamp,
    /// The moment after it.
    pub(super) to: Timestamp,
}

/// Whether a refusal speaks of the address or of the body.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Address,
    Body,
}

impl Place {
    fn refuse(self, name: &str, problem: &str) -> ApiError {
        match self {
            Self::Address => ApiError::new(Code::InvalidQuery, format!("`{name}` {problem}"))
                .with_details(serde_json::json!({ "path": name })),
            Self::Body => ApiError::invalid_field(name, problem),
        }
    }
}

impl Window {
    /// From two moments in RFC 3339; `None` when neither is given.
    ///
    /// # Errors
    /// When only one is given, one cannot be read, the end is not after the beginning, or more than 366 days lie
    /// between them.
    pub(super) fn read(from: Option<&str>, to: Option<&str>, place: Place) -> Result<Option<Self>, ApiError> {
        let (from, to) = match (from, to) {
            (None, None) => return Ok(None),
            (Some(from), Some(to)) => (moment("from", from, place)?, moment("to", to, place)?),
            (Some(_), None) => return Err(place.refuse("to", "is missing: give both ends or none")),
            (None, Some(_)) => return Err(place.refuse("from", "is missing: give both ends or none")),
        };
        if to <= from {
            return Err(place.refuse("to", "must be after `from`"));
        }
        if to.duration_since(from) > LONGEST {
            return Err(place.refuse("to", "must be at most 366 days after `from`"));
        }
        Ok(Some(Self { from, to }))
    }
}

/// A moment in RFC 3339.
///
/// # Errors
/// When it cannot be read; names the parameter.
pub(super) fn moment(name: &str, text: &str, place: Place) -> Result<Timestamp, ApiError> {
    text.parse().map_err(|_| {
        let hint = match place {
            Place::Address => {
                "must be a moment such as 2026-01-05T09:00:00Z (a `+` in an address is written %2B)"
            }
            Place::Body => "must be a moment such as 2026-01-05T09:00:00Z or 2026-01-05T10:00:00+01:00",
        };
        place.refuse(name, hint)
    })
}

/// The zone in which floating times and days are read.
///
/// # Errors
/// When neither the IANA database nor the Windows names know it.
pub(super) fn zone(name: &str, place: Place) -> Result<TimeZone, ApiError> {
    model::zone::canonical(name)
        .ok()
        .and_then(model::zone::time_zone)
        .ok_or_else(|| place.refuse("zone", "must be a zone such as Europe/Berlin or UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(from: Option<&str>, to: Option<&str>) -> Result<Option<Window>, ApiError> {
        Window::read(from, to, Place::Address)
    }

    #[test]
    fn both_ends_or_none() {
        assert_eq!(read(None, None).unwrap(), None);
        for (from, to, named) in [
            (Some("2026-01-05T00:00:00Z"), None, "`to`"),
            (None, Some("2026-01-05T00:00:00Z"), "`from`"),
        ] {
            let error = read(from, to).unwrap_err();
            assert_eq!(error.code, Code::InvalidQuery);
            assert!(error.message.starts_with(named), "{}", error.message);
        }
    }

    #[test]
    fn a_window_is_bounded_and_runs_forwards() {
        let monday = Some("2026-01-05T00:00:00+01:00");
        assert!(read(monday, Some("2026-01-12T00:00:00+01:00")).unwrap().is_some());
        assert!(read(monday, Some("2027-01-06T00:00:00+01:00")).unwrap().is_some());
        for to in [
            "2026-01-05T00:00:00+01:00",
            "2025-01-01T00:00:00Z",
            "2027-01-06T00:00:01+01:00",
        ] {
            assert!(read(monday, Some(to)).is_err(), "{to}");
        }
    }

    #[test]
    fn what_is_no_moment_is_named() {
        let error = read(Some("2026-01-05"), Some("2026-01-12T00:00:00Z")).unwrap_err();
        assert!(error.message.starts_with("`from`"), "{}", error.message);
    }

    #[test]
    fn zones_are_known_by_name() {
        assert!(zone("Europe/Berlin", Place::Address).is_ok());
        assert!(zone("Mars/Olympus", Place::Address).is_err());
    }
}
