//! Zone names: IANA names, their old aliases, and the Windows names that CLDR maps to IANA.

mod iana_aliases;
mod windows;

use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use iana_aliases::IANA_ALIASES;
use windows::WINDOWS;

/// A zone name that no table knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone `{0}`: neither an IANA name nor a Windows zone name")]
pub struct UnknownZone(pub String);

/// The one IANA name that the hub uses for a zone: aliases (`Asia/Calcutta`) become the current name
/// (`Asia/Kolkata`), Windows names (`W. Europe Standard Time`) their CLDR territory `001` zone. Case does not matter.
///
/// # Errors
/// A name in none of the tables.
pub fn canonical(name: &str) -> Result<&'static str, UnknownZone> {
    let trimmed = name.trim().trim_start_matches('/');
    // The commonest names need no folding of case.
    let found = TABLE
        .get(trimmed)
        .or_else(|| TABLE.get(trimmed.to_ascii_lowercase().as_str()));
    found
        .copied()
        .ok_or_else(|| UnknownZone(name.chars().take(64).collect()))
}

/// The rules of a zone named canonically: the system's, or those compiled in where the system does not know it.
#[must_use]
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    TimeZone::get(name).or_else(|_| BUNDLED.get(name)).ok()
}

/// The database compiled in: which names exist does not depend on the machine.
static BUNDLED: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

static NAMES: LazyLock<Vec<String>> =
    LazyLock::new(|| BUNDLED.available().map(|name| name.as_str().to_owned()).collect());

/// Every name as it is written and in lower case, and its canonical name. `Factory` is the database's name for "not
/// set up yet", which is no zone.
static TABLE: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let zones = NAMES
        .iter()
        .map(|name| (name.as_str(), name.as_str()))
        .filter(|(name, _)| *name != "Factory");
    let others = IANA_ALIASES.iter().chain(WINDOWS).copied();
    let mut table = HashMap::new();
    // Later entries win: an alias is also a name of the database.
    for (name, zone) in zones.chain([("UTC", "UTC")]).chain(others) {
        table.insert(name.to_owned(), zone);
        table.insert(name.to_ascii_lowercase(), zone);
    }
    table
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_every_name_stands_once() {
        for table in [IANA_ALIASES, WINDOWS] {
            assert!(table.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
        let mut all: Vec<String> = IANA_ALIASES
            .iter()
            .chain(WINDOWS)
            .map(|(alias, _)| alias.to_lowercase())
            .collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(IANA_ALIASES.len() > 130 && WINDOWS.len() >= 140);
    }

    #[test]
    fn every_target_is_canonical_and_has_rules_on_every_machine() {
        for (alias, zone) in IANA_ALIASES.iter().chain(WINDOWS) {
            assert_eq!(canonical(zone), Ok(*zone), "{alias}");
            assert_eq!(canonical(alias), Ok(*zone));
            assert!(*zone == "UTC" || BUNDLED.get(zone).is_ok(), "{alias} -> {zone}");
        }
        for name in NAMES.iter().filter(|name| *name != "Factory") {
            let zone = canonical(name).unwrap();
            assert_eq!(canonical(zone), Ok(zone), "{name}");
            assert!(time_zone(zone).is_some(), "{name}");
        }
    }

    #[test]
    fn names_of_all_sorts_find_their_zone() {
        for (name, zone) in [
            ("Europe/Berlin", "Europe/Berlin"),
            ("europe/berlin", "Europe/Berlin"),
            (" /Europe/Berlin", "Europe/Berlin"),
            ("Asia/Calcutta", "Asia/Kolkata"),
            ("Asia/Saigon", "Asia/Ho_Chi_Minh"),
            ("Europe/Kiev", "Europe/Kyiv"),
            ("Europe/Oslo", "Europe/Oslo"),
            ("US/Pacific", "America/Los_Angeles"),
            ("Japan", "Asia/Tokyo"),
            ("EST5EDT", "America/New_York"),
            ("Etc/UTC", "UTC"),
            ("GMT", "UTC"),
            ("utc", "UTC"),
            ("W. Europe Standard Time", "Europe/Berlin"),
            ("India Standard Time", "Asia/Kolkata"),
            ("UTC-11", "Etc/GMT+11"),
        ] {
            assert_eq!(canonical(name), Ok(zone), "{name}");
        }
    }

    #[test]
    fn what_is_in_no_table_is_refused_and_never_utc() {
        for name in [
            "",
            "/",
            "Mars/Olympus",
            "Factory",
            "Local",
            "+01:00",
            "Europe/",
            "Customized Time Zone",
        ] {
            assert!(canonical(name).is_err(), "{name}");
        }
    }
}
