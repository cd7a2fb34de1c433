//! What the connector's writes did, for those who judge the hub by it.

use std::collections::BTreeSet;

use connector_sdk::{RemoteId, Target};
use model::{Content, FieldPath, IntentId, PartKey, series};
use serde::Serialize;
use serde_json::{Map, Value};

use super::objects::Raw;
use super::quirks::Mails;
use super::state::State;

/// What a write was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// An object was made.
    Create,
    /// An object was changed.
    Update,
    /// An object was removed.
    Delete,
}

/// A write of the connector that took effect at the provider, whatever was answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HubWrite {
    /// The intent behind it.
    pub intent: IntentId,
    /// In which collection.
    pub collection: String,
    /// The record: for an override, the series'.
    pub id: String,
    /// Which part of it was written.
    pub part: PartKey,
    /// What it was.
    pub action: Act,
    /// The paths that the write named; of a create all that it said.
    pub changed: BTreeSet<FieldPath>,
    /// What the record said before.
    pub before: Option<Content>,
    /// What it says now.
    pub after: Option<Content>,
    /// The paths that the write overwrote or removed though the connector was never shown what they said (invariant 9).
    /// Shown is what stood in a page, a fetch, a probe or an answer that arrived, last; and what the hub wrote itself.
    pub unseen: Vec<FieldPath>,
    /// Whether fields of the vendor's own were lost, which the mapping does not know (invariant 11).
    pub complement_lost: bool,
    /// Whether people were mailed because of it (invariant 16).
    pub mailed: bool,
    /// Whether somebody was invited of whom the connector had not been shown anything.
    pub invited_unseen: bool,
    /// Whether it took effect long after the connector had given it up for lost.
    pub late: bool,
    /// Whether it named another version than the one it met, and the provider did not mind; where there are no versions,
    /// whether what it was made from said something else than what it met.
    pub blind: bool,
}

/// A record before a write.
#[derive(Default)]
pub(super) struct Earlier {
    content: Option<Content>,
    served: Content,
    complement: Map<String, Value>,
    blind: bool,
}

impl Earlier {
    /// The record that an object belongs to, before a write to this target.
    pub(super) fn of(
        state: &mut State,
        shelf: &str,
        record: &str,
        (id, target): (&RemoteId, &Target),
    ) -> Self {
        let met = state.shelf(shelf).objects.get(id);
        let blind = met.is_some_and(|met| {
            let (there, named) = (&met.object.version, &target.version);
            let other_words = there.is_none()
                && target
                    .raw
                    .as_ref()
                    .is_some_and(|raw| says_else(raw, &met.object.raw));
            (named.is_some() && there != named) || other_words
        });
        let content = state.truth.content(shelf, record);
        let notes = state.shelf(shelf).notes.get(record);
        Self {
            content,
            served: notes.map(|notes| notes.served.clone()).unwrap_or_default(),
            complement: notes.map(|notes| notes.complement.clone()).unwrap_or_default(),
            blind,
        }
    }
}

/// Writes down what a write did.
pub(super) fn note(
    state: &mut State,
    shelf: &str,
    record: &str,
    (intent, part): (&IntentId, &PartKey),
    action: Act,
    changed: BTreeSet<FieldPath>,
    earlier: Earlier,
) {
    let after = state.truth.content(shelf, record);
    let nothing = Content::default();
    let before = earlier.content.as_ref().unwrap_or(&nothing);
    // Overrides that moved along with their series are as they were.
    let moved = after.as_ref().unwrap_or(before);
    let (was, served) = (
        series::aligned(before, moved),
        series::aligned(&earlier.served, moved),
    );
    let overwritten = was.differences(after.as_ref().unwrap_or(&nothing));
    // Of a cancelled occurrence nothing can be read but that it is cancelled.
    let readable = |path: &FieldPath| {
        path.field == "status" || !was.overrides.get(&path.part).is_some_and(series::is_cancelled)
    };
    let unseen = overwritten
        .iter()
        .filter(|path| was.get(path) != served.get(path) && readable(path))
        .cloned()
        .collect();
    if let Some(after) = &after {
        // What the hub wrote itself is no stranger's, whether or not its answer arrives.
        let notes = state.shelf(shelf).notes.entry(record.to_owned()).or_default();
        let mut known = served;
        for path in &overwritten {
            known.set(path, after.get(path).cloned());
        }
        notes.served = known;
    }
    let kept = state
        .shelf(shelf)
        .notes
        .get(record)
        .map(|notes| &notes.complement);
    let complement_lost = after.is_some()
        && earlier
            .complement
            .iter()
            .any(|(name, value)| kept.and_then(|kept| kept.get(name)) != Some(value));
    let guests = |content: Option<&Content>| content.is_some_and(|content| has_guests(content, part));
    let told = match state.quirks.mails {
        Mails::Never => false,
        Mails::Suppressible => state.forgets_silence,
        Mails::Always => true,
    };
    let invited_unseen = guests(earlier.content.as_ref()) && !guests(Some(&earlier.served));
    let people = [earlier.content.as_ref(), after.as_ref()];
    let mailed = told && people.into_iter().any(guests);
    state.mails += u64::from(mailed);
    state.writes += 1;
    state.log.push(HubWrite {
        intent: intent.clone(),
        collection: shelf.to_owned(),
        id: record.to_owned(),
        part: part.clone(),
        action,
        changed,
        before: earlier.content,
        after,
        unseen,
        complement_lost,
        mailed,
        invited_unseen,
        late: false,
        blind: earlier.blind,
    });
}

/// Whether two objects as they were read differ in what they say.
fn says_else(one: &[u8], other: &[u8]) -> bool {
    let content = |raw: &[u8]| serde_json::from_slice::<Raw>(raw).ok().map(|raw| raw.content);
    content(one) != content(other)
}

/// Whether somebody is invited to this part.
fn has_guests(content: &Content, part: &PartKey) -> bool {
    let own = content
        .overrides
        .get(part)
        .and_then(|fields| fields.get("attendees"));
    let guests = own.or_else(|| content.fields.get("attendees"));
    guests
        .and_then(Value::as_array)
        .is_some_and(|guests| !guests.is_empty())
}
