//! What a provider can hold of what the hub says.

use std::collections::BTreeSet;

use connector_sdk::{Access, Notifies, RemoteCollection, RemoteId};
use jiff::tz::TimeZone;
use model::{Content, Fields, Kind, PartKey, series};

use crate::simulation::world::{MAIN, Side};

impl Side {
    /// The content as this provider would hold it.
    pub(super) fn as_held(&self, content: &Content) -> Content {
        let collection = RemoteCollection {
            id: RemoteId(MAIN.to_owned()),
            kind: Kind::Event,
            name: MAIN.to_owned(),
            access: Access::ReadWrite,
            fields: Fields::new(),
        };
        let projected = self.connector.project(&collection, content);
        self.provider.normalise(&projected)
    }

    /// Whether the hub keeps this field and the provider's in agreement.
    pub(super) fn compares(&self, kind: Kind, field: &str) -> bool {
        let capability = self.connector.capability(kind);
        let kept = !["uid", "sequence", "created_at", "updated_at"].contains(&field);
        let guests = field == "attendees" && capability.notifies == Notifies::Always;
        kept && !guests && capability.reads(field) && capability.writes(field)
    }
}

/// What each occurrence says: an override may say what its series says by now, and some may be left of occurrences
/// that the series no longer reaches.
pub(super) fn told(kind: Kind, content: &Content) -> Content {
    let mut told = content.clone();
    if told.overrides.is_empty() {
        return told;
    }
    let there = occurrences(&Content::new(told.fields.clone()));
    for (key, own) in std::mem::take(&mut told.overrides) {
        let full = series::full(kind, &told.fields, &key, &own);
        let thin = series::sparse(kind, &told.fields, &key, &full);
        if !thin.is_empty() && there.contains(&key) {
            told.overrides.insert(key, thin);
        }
    }
    told
}

/// The keys of a series' occurrences.
fn occurrences(content: &Content) -> BTreeSet<PartKey> {
    let (Ok(from), Ok(to)) = ("2026-01-01T00:00:00Z".parse(), "2027-01-01T00:00:00Z".parse()) else {
        return BTreeSet::new();
    };
    let found = model::expand::occurrences(content, from, to, &TimeZone::UTC);
    found.into_iter().flatten().map(|one| one.key).collect()
}

/// Whether an occurrence was edited while somebody shortened its series: it lives on where that can be said, and is
/// refused elsewhere.
pub(super) fn outlives_its_series(content: &Content) -> bool {
    let there = occurrences(&Content::new(content.fields.clone()));
    let overrides = content.overrides.iter();
    overrides
        .into_iter()
        .any(|(key, own)| !there.contains(key) && !series::is_cancelled(own))
}
