//! Silence (invariant 16): nobody is mailed by a sync unless a person agreed.
//!
//! Where a provider mails people whatever it is told ([`Notifies::Always`]), copies that a mirror makes carry no guests,
//! so that writing them mails nobody; guests that somebody invites at the copy stay its own. Any other write to
//! something with guests waits until somebody approves the record's version.

use std::collections::BTreeSet;

use conflict::Merged;
use connector_sdk::{Capability, Notifies, Push, Write};
use model::{Content, series};
use serde_json::Value;

use crate::engine::{Run, Trouble};
use crate::plan;
use crate::scene::Scene;
use crate::state::{IntentAction, Link, Record};

const GUESTS: &str = "attendees";
/// How many people a reason names.
const NAMED: usize = 3;

/// Whether a link is a mirror's copy at a provider that cannot be kept from mailing.
pub(crate) fn is_quiet_copy(capability: &Capability, link: &Link, record: &Record) -> bool {
    capability.notifies == Notifies::Always && record.home.as_ref() != Some(&link.id)
}

/// The content without the people invited.
pub(crate) fn without_guests(mut content: Content) -> Content {
    content.retain(|_, field| field != GUESTS);
    content
}

/// Brings the guests of `own` into a content that has been planned without them.
fn with_guests(mut planned: Content, own: &Content) -> Content {
    let own = series::aligned(own, &planned);
    for path in own.paths().filter(|path| path.field == GUESTS) {
        planned.set(&path, own.get(&path).cloned());
    }
    planned
}

impl Scene {
    /// The hub's side of a link, as far as it concerns the provider.
    pub(crate) fn hub_side(&self, link: &Link, record: &Record) -> Content {
        let side = plan::hub_side(record, link);
        if is_quiet_copy(&self.capability, link, record) {
            without_guests(side)
        } else {
            side
        }
    }

    /// What the hub's side was when the provider last said the same, as far as it concerns the provider.
    pub(crate) fn base_side(&self, link: &Link, record: &Record) -> Content {
        let base = link.snapshots.hub.clone();
        if is_quiet_copy(&self.capability, link, record) {
            without_guests(base)
        } else {
            base
        }
    }

    /// Plans a link, whose provider says `remote`.
    pub(crate) fn plan(&self, link: &Link, record: &Record, remote: &Content) -> Merged {
        let side = plan::hub_side(record, link);
        let held = link.held_in(&side);
        let planned = |hub: &Content, snapshots: &crate::state::Snapshots, remote: &Content| {
            plan::plan(&plan::Input {
                kind: link.kind,
                capability: &self.capability,
                policy: &self.policy,
                snapshots,
                hub,
                remote,
                held: &held,
                project: &|content| self.project(content),
            })
        };
        if !is_quiet_copy(&self.capability, link, record) {
            return planned(&side, &link.snapshots, remote);
        }
        let snapshots = crate::state::Snapshots {
            remote: without_guests(link.snapshots.remote.clone()),
            hub: without_guests(link.snapshots.hub.clone()),
        };
        let mut merged = planned(
            &without_guests(side.clone()),
            &snapshots,
            &without_guests(remote.clone()),
        );
        merged.hub = with_guests(merged.hub, &side);
        merged.base_remote = with_guests(merged.base_remote, remote);
        merged
    }
}

impl Run<'_> {
    /// Why a write has to wait for an approval, if it would mail people and nobody agreed to it.
    pub(crate) async fn must_ask(
        &self,
        scene: &Scene,
        (link, record): (&Link, &Record),
        facet: &dyn Push,
        write: &Write,
        sent: (&Content, IntentAction),
    ) -> Result<Option<String>, Trouble> {
        if link.traits.approved == Some(record.version) {
            return Ok(None);
        }
        let (sent, action) = sent;
        let there = &link.snapshots.remote;
        let people = match scene.capability.notifies {
            Notifies::Never | Notifies::Suppressible => return Ok(None),
            Notifies::Always => guests(there).chain(guests(sent)).collect(),
            Notifies::Existing if action == IntentAction::Create || guests(there).next().is_none() => {
                return Ok(None);
            }
            Notifies::Existing => {
                let remote = &scene.collection.remote;
                let mailed = facet.notified(&scene.provider.ctx, remote, write).await?;
                mailed.into_iter().collect()
            }
        };
        Ok(reason(people))
    }
}

/// Whom a write would mail, as far as that can be told without asking the provider: of one that mails who is invited
/// already, everybody invited.
pub(crate) fn would_mail(
    capability: &Capability,
    there: &Content,
    sent: &Content,
    action: IntentAction,
) -> BTreeSet<String> {
    match capability.notifies {
        Notifies::Never | Notifies::Suppressible => BTreeSet::new(),
        Notifies::Always => guests(there).chain(guests(sent)).collect(),
        Notifies::Existing if action == IntentAction::Create => BTreeSet::new(),
        Notifies::Existing => guests(there).collect(),
    }
}

/// The people invited to any part, the organizer not counted.
fn guests(content: &Content) -> impl Iterator<Item = String> + '_ {
    let parts = std::iter::once(&content.fields).chain(content.overrides.values());
    parts.flat_map(move |fields| {
        let organizer = address_of(fields.get("organizer"))
            .or_else(|| address_of(content.fields.get("organizer")))
            .map(str::to_owned);
        let people = fields.get(GUESTS).and_then(Value::as_array).into_iter().flatten();
        people
            .filter_map(|person| address_of(Some(person)))
            .filter(move |address| organizer.as_deref() != Some(address))
            .map(str::to_owned)
    })
}

fn address_of(person: Option<&Value>) -> Option<&str> {
    person?.get("address")?.as_str()
}

fn reason(people: BTreeSet<String>) -> Option<String> {
    let mut names: Vec<&str> = people.iter().map(String::as_str).take(NAMED).collect();
    let others = people.len().saturating_sub(NAMED);
    let more = match others {
        0 => String::new(),
        1 => "1 other".to_owned(),
        others => format!("{others} others"),
    };
    if others > 0 {
        names.push(&more);
    }
    (!names.is_empty()).then(|| {
        format!(
            "the provider would mail {}; approve to send it all the same, or revert",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use model::Fields;
    use serde_json::json;

    use super::*;

    fn content(fields: Value) -> Content {
        let fields: Fields = serde_json::from_value(fields).unwrap();
        Content::new(fields)
    }

    #[test]
    fn guests_of_all_parts_are_named_and_the_organizer_is_not() {
        let mut meeting = content(json!({
            "organizer": {"address": "ada@example.org"},
            "attendees": [{"address": "ada@example.org"}, {"address": "bob@example.org"}],
        }));
        let part = model::PartKey::occurrence("2026-01-05T09:00:00");
        let path = model::FieldPath {
            part,
            field: GUESTS.to_owned(),
        };
        meeting.set(&path, Some(json!([{"address": "eve@example.org"}])));
        let people: BTreeSet<String> = guests(&meeting).collect();
        assert_eq!(
            people,
            BTreeSet::from(["bob@example.org".to_owned(), "eve@example.org".to_owned()])
        );
        assert_eq!(reason(BTreeSet::new()), None);
        assert!(
            reason(people)
                .unwrap()
                .contains("bob@example.org, eve@example.org;")
        );
        let many: BTreeSet<String> = (0..5).map(|at| format!("{at}@x")).collect();
        assert!(reason(many).unwrap().contains("0@x, 1@x, 2@x, 2 others;"));
    }
}
