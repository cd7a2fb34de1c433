//! Which zone a `TZID` means.

use std::collections::HashMap;

use model::zone;

use super::tree::Component;

/// The `TZID`s that an object defines, and the zone of each.
#[derive(Debug, Default)]
pub(crate) struct Zones {
    /// `None`: the definition could not be tied to a zone.
    defined: HashMap<String, Option<String>>,
    /// The same, in the order of the object.
    order: Vec<String>,
}

impl Zones {
    /// Reads the `VTIMEZONE`s of a calendar.
    pub(crate) fn of(calendar: &Component) -> Self {
        let mut zones = Self::default();
        for component in calendar
            .components()
            .filter(|component| component.name == "VTIMEZONE")
        {
            let Some(id) = component.first("TZID") else {
                continue;
            };
            let id = id.value().trim();
            zones.defined.insert(id.to_owned(), resolve(id, component));
            zones.order.push(id.to_owned());
        }
        zones
    }

    /// The IANA zone of a `TZID`: by its name, by what its definition says, or by the IANA name at its end. Never a
    /// guess: an unknown zone stays unknown.
    pub(crate) fn zone(&self, id: &str) -> Option<String> {
        match self.defined.get(id.trim()) {
            Some(zone) => zone.clone(),
            None => by_name(id),
        }
    }

    /// A `TZID` that this object defines for a zone.
    pub(crate) fn id_of(&self, zone: &str) -> Option<&str> {
        let known = |id: &&String| {
            self.defined
                .get(*id)
                .is_some_and(|found| found.as_deref() == Some(zone))
        };
        self.order.iter().find(known).map(String::as_str)
    }
}

fn resolve(id: &str, component: &Component) -> Option<String> {
    if let Ok(zone) = zone::canonical(id) {
        return Some(zone.to_owned());
    }
    // Written by libical and Apple next to names of their own.
    let location = component.first("X-LIC-LOCATION").map(|line| line.value().trim());
    if let Some(zone) = location.and_then(|name| zone::canonical(name).ok()) {
        return Some(zone.to_owned());
    }
    trailing(id).or_else(|| fixed(component))
}

fn by_name(id: &str) -> Option<String> {
    zone::canonical(id)
        .ok()
        .map(str::to_owned)
        .or_else(|| trailing(id))
}

/// `/mozilla.org/20050126_1/Europe/Berlin`: a globally unique name that ends with the zone.
fn trailing(id: &str) -> Option<String> {
    let id = id.trim();
    let starts = id.match_indices('/').map(|(at, _)| at + 1);
    starts
        .map(|start| &id[start..])
        .filter(|tail| tail.contains('/'))
        .find_map(|tail| zone::canonical(tail).ok().map(str::to_owned))
}

/// A definition with one constant offset of whole hours is the fixed zone of that offset.
fn fixed(component: &Component) -> Option<String> {
    let mut offsets = component
        .components()
        .filter_map(|observance| observance.first("TZOFFSETTO"));
    let first = offsets.next()?.value().trim();
    if offsets.any(|other| other.value().trim() != first) {
        return None;
    }
    let (sign, digits) = first.split_at_checked(1)?;
    if !matches!(sign, "+" | "-") || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, rest) = digits.split_at_checked(2)?;
    let hours: u8 = hours.parse().ok()?;
    if rest.is_empty() || rest.bytes().any(|b| b != b'0') {
        return None;
    }
    // The names count westwards: `Etc/GMT-1` is one hour east of Greenwich.
    let name = match (hours, sign) {
        (0, _) => "UTC".to_owned(),
        (hours, "+") => format!("Etc/GMT-{hours}"),
        (hours, _) => format!("Etc/GMT+{hours}"),
    };
    zone::canonical(&name).ok().map(str::to_owned)
}
