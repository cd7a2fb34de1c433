//! Afterwards: what is at both servers and in the hub, held against the ledger.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::world::{Deed, FIELDS, World, field_of, master_value};
use crate::scene::ADA;

const IDLE_ROUNDS: usize = 10;

/// Everything as it stands at last.
struct Standing {
    /// Of the hub, by UID.
    events: BTreeMap<String, Value>,
    /// At Google, by id: masters and single events that live.
    google: BTreeMap<String, Value>,
    /// At Radicale, by file name.
    radicale: BTreeMap<String, String>,
    /// All clashes, dealt with or not.
    conflicts: Vec<Value>,
}

/// Asserts that nothing is lost, doubled or stuck.
pub(super) async fn check(world: &World) {
    for connection in &world.connections {
        let shown = world
            .hub
            .get(&format!("/v1/connections/{connection}"))
            .await
            .data();
        assert_eq!(shown["health"], "active", "{shown:#}");
    }
    let refused = world.hub.all("/v1/links?state=rejected").await;
    assert!(refused.is_empty(), "{refused:#?}");
    let standing = standing(world).await;
    assert_no_duplicates(&standing);
    assert_agreement(&standing);
    let lost: Vec<&Deed> = world
        .ledger
        .iter()
        .filter(|deed| !stands(deed, &world.ledger, &standing))
        .collect();
    assert!(lost.is_empty(), "lost: {lost:#?}\nof {:#?}", world.ledger);
    assert_idle(world).await;
    assert_eq!(world.google.notifications(), [], "nobody was mailed");
}

async fn standing(world: &World) -> Standing {
    let mut google = world.google.calendar(ADA).living_events();
    google.retain(|event| event["recurringEventId"].is_null());
    let listed = world.hub.events().await;
    let count = listed.len();
    let by_uid = |event: Value| (event["uid"].as_str().unwrap().to_owned(), event);
    let events: BTreeMap<_, _> = listed.into_iter().map(by_uid).collect();
    assert_eq!(events.len(), count, "a UID is in the hub twice");
    let by_id = |event: Value| (event["id"].as_str().unwrap().to_owned(), event);
    Standing {
        events,
        google: google.into_iter().map(by_id).collect(),
        radicale: world.dav.items().into_iter().collect(),
        conflicts: world.hub.all("/v1/conflicts?state=all").await,
    }
}

/// The id at Google and the file name at Radicale of an event.
fn places(event: &Value) -> (String, String) {
    let links = event["links"].as_array().unwrap();
    assert_eq!(links.len(), 2, "{event:#}");
    let ids: Vec<&str> = links
        .iter()
        .map(|link| link["remote_id"].as_str().unwrap())
        .collect();
    let name = |id: &str| id.strip_prefix("/alice/work/").map(str::to_owned);
    match (name(ids[0]), name(ids[1])) {
        (Some(name), None) => (ids[1].to_owned(), name),
        (None, Some(name)) => (ids[0].to_owned(), name),
        (Some(_), Some(_)) | (None, None) => panic!("not one on each side: {event:#}"),
    }
}

fn assert_no_duplicates(standing: &Standing) {
    let (at_google, at_radicale): (BTreeSet<String>, BTreeSet<String>) =
        standing.events.values().map(places).unzip();
    let there: BTreeSet<String> = standing.google.keys().cloned().collect();
    assert_eq!(there, at_google, "each event at Google is that of one event here");
    let there: BTreeSet<String> = standing.radicale.keys().cloned().collect();
    assert_eq!(
        there, at_radicale,
        "each object at Radicale is that of one event here"
    );
    assert_eq!(at_google.len(), standing.events.len());
    assert_eq!(at_radicale.len(), standing.events.len());
    let uids: BTreeSet<_> = standing
        .radicale
        .values()
        .map(|ics| master_value(ics, "UID"))
        .collect();
    assert_eq!(uids.len(), standing.radicale.len(), "a UID is at Radicale twice");
}

fn assert_agreement(standing: &Standing) {
    for event in standing.events.values() {
        let (id, name) = places(event);
        for (field, (_, at_google, at_radicale)) in FIELDS.iter().enumerate() {
            let here = field_of(event, field);
            let google = standing.google[&id][at_google].as_str().map(str::to_owned);
            let radicale = master_value(&standing.radicale[&name], at_radicale);
            assert_eq!(
                (&google, &radicale),
                (&here, &here),
                "at Google, at Radicale; here {event:#}"
            );
        }
    }
}

/// Whether a deed is in the final state, or was knowingly undone, or is in the log of clashes.
fn stands(deed: &Deed, ledger: &[Deed], standing: &Standing) -> bool {
    match deed {
        Deed::Edit {
            uid,
            field,
            value,
            certain,
            ..
        } => {
            let Some(event) = standing.events.get(uid) else {
                return false;
            };
            let same_field =
                |clash: &&Value| clash["record_id"] == event["id"] && clash["field"] == FIELDS[*field].0;
            let holds = |side: &Value| side.to_string().contains(value.as_str());
            let mut clashes = standing.conflicts.iter().filter(same_field);
            !certain
                || field_of(event, *field).as_ref() == Some(value)
                || clashes.any(|clash| holds(&clash["hub"]) || holds(&clash["remote"]))
                || ledger.iter().any(|later| replaced(later, uid, *field, value))
        }
        Deed::Create { title, certain } => {
            let count = standing
                .events
                .values()
                .filter(|event| event["title"] == title.as_str())
                .count();
            count == 1 || (count == 0 && !certain)
        }
        Deed::Delete { uid } => !standing.events.contains_key(uid),
        Deed::Cancel { uid, day } => cancelled(uid, day, standing),
    }
}

/// Whether somebody saw that value and set another.
fn replaced(later: &Deed, at: &str, in_field: usize, seen: &str) -> bool {
    match later {
        Deed::Edit { uid, field, over, .. } => {
            uid == at && *field == in_field && over.as_deref() == Some(seen)
        }
        Deed::Create { .. } | Deed::Delete { .. } | Deed::Cancel { .. } => false,
    }
}

/// Whether an occurrence is gone here and at Radicale.
fn cancelled(uid: &str, day: &str, standing: &Standing) -> bool {
    let Some(event) = standing.events.get(uid) else {
        return false;
    };
    let overrides = event["overrides"].as_object().unwrap();
    let here = overrides
        .iter()
        .any(|(start, fields)| start.starts_with(day) && fields["status"] == "cancelled");
    let (_, name) = places(event);
    let excluded = master_value(&standing.radicale[&name], "EXDATE").unwrap_or_default();
    let exdates = standing.radicale[&name].matches(&day.replace('-', "")).count();
    here && (excluded.contains(&day.replace('-', "")) || exdates > 0)
}

async fn assert_idle(world: &World) {
    world.dav.proxy.forget();
    let mark = world.google.log().mark();
    for _ in 0..IDLE_ROUNDS {
        for connection in &world.connections {
            world.hub.synced(connection).await;
        }
        world.hub.settle().await;
    }
    let at_google = world.google.log().writes_since(mark);
    assert_eq!(
        (world.dav.writes(), at_google.len()),
        (0, 0),
        "nobody edited: {at_google:#?}"
    );
}
