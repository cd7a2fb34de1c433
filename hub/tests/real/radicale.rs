//! A calendar at a real server and the hub: taken in, kept in step, edited on either side and on both.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use testkit::corpus::{self, semantics};

use crate::hub::{Hub, path_of};
use crate::scene::{ALICE, Dav, ics, with_property};
use crate::size;

const IDLE_ROUNDS: usize = 10;
/// What a writer of iCalendar may renew with every change (RFC 5545, section 3.8.7).
const BOOKKEEPING: [&str; 3] = ["VEVENT.DTSTAMP", "VEVENT.LAST-MODIFIED", "VEVENT.SEQUENCE"];

async fn versions(hub: &Hub) -> BTreeMap<String, i64> {
    let events = hub.events().await.into_iter();
    let entry = |event: Value| {
        let uid = event["uid"].as_str().unwrap().to_owned();
        (uid, event["version"].as_i64().unwrap())
    };
    events.map(entry).collect()
}

async fn assert_nothing_in_quarantine(hub: &Hub) {
    let quarantined = hub.all("/v1/quarantine").await;
    let reasons: Vec<_> = quarantined
        .iter()
        .map(|entry| (&entry["remote_id"], &entry["reason"]))
        .collect();
    assert!(reasons.is_empty(), "{reasons:#?}");
}

/// Syncs ten times while nothing happens: nothing is taken, and nothing is written.
async fn assert_idle(hub: &Hub, dav: &Dav, connection: &str) {
    dav.proxy.forget();
    for _ in 0..IDLE_ROUNDS {
        let summary = hub.synced(connection).await;
        for count in ["created", "updated", "deleted", "written", "conflicts"] {
            assert_eq!(summary[count], 0, "{count}: {summary}");
        }
    }
    assert_eq!(dav.writes(), 0, "{:#?}", dav.proxy.writes());
}

#[tokio::test]
async fn a_large_calendar_is_taken_in_whole_and_then_only_what_changes() {
    let count = size(200, 2_000);
    let resources = corpus::events(count, 11);
    let dav = Dav::with(resources.iter().map(|resource| (&resource.name, &resource.ics))).await;
    let hub = Hub::start().await;
    let connected = hub.connect(dav.connection()).await;

    assert_nothing_in_quarantine(&hub).await;
    assert_eq!(connected.first_sync["created"], count);
    let before = versions(&hub).await;
    let mut uids: BTreeSet<String> = resources.iter().map(|resource| resource.uid.clone()).collect();
    assert_eq!(before.keys().cloned().collect::<BTreeSet<_>>(), uids);
    assert_eq!(dav.writes(), 0, "{:#?}", dav.proxy.writes());

    // Fifty changes by others: twenty edits, fifteen new events, fifteen deletes.
    let (edited, deleted) = (&resources[..20], &resources[40..55]);
    for resource in edited {
        let title = with_property(&resource.ics, "SUMMARY", "Edited elsewhere");
        dav.put(&resource.name, &title).await;
    }
    for number in 0..15 {
        let uid = format!("new-{number}");
        dav.put(&format!("{uid}.ics"), &ics(&uid, &["SUMMARY:New"])).await;
        uids.insert(uid);
    }
    for resource in deleted {
        dav.delete(&resource.name).await;
        uids.remove(&resource.uid);
    }
    dav.proxy.forget();
    let summary = hub.synced(&connected.id).await;
    let counts =
        ["created", "updated", "deleted", "quarantined", "written"].map(|name| summary[name].clone());
    assert_eq!(counts, [15, 20, 15, 0, 0].map(Value::from), "{summary}");
    let asked = dav.proxy.seen();
    assert!(
        asked.len() <= 3,
        "asks for what changed and for nothing else: {asked:#?}"
    );

    let after = versions(&hub).await;
    assert_eq!(after.keys().cloned().collect::<BTreeSet<_>>(), uids);
    let touched: BTreeSet<&String> = after
        .iter()
        .filter(|(uid, version)| before.get(*uid).is_some_and(|old| old != *version))
        .map(|(uid, _)| uid)
        .collect();
    let edited: BTreeSet<&String> = edited.iter().map(|resource| &resource.uid).collect();
    assert_eq!(touched, edited, "exactly these have a new version");
    assert_idle(&hub, &dav, &connected.id).await;
}

#[tokio::test]
async fn a_title_edit_changes_nothing_else_of_the_object() {
    // Each kind of time, each kind of rule, and one with a burdensome description.
    let mut resources = corpus::events(size(98, 200), 5);
    let mut number = 0..;
    resources.retain(|_| {
        let number: usize = number.next().unwrap();
        (number + number / 7) % 7 >= size(2, 0)
    });
    let dav = Dav::with(resources.iter().map(|resource| (&resource.name, &resource.ics))).await;
    let hub = Hub::start().await;
    hub.connect(dav.connection()).await;

    let events = hub.events().await;
    assert_eq!(events.len(), resources.len());
    assert!(events.len() >= 60);
    for event in &events {
        let answer = hub
            .patch(&path_of(event), json!({"title": "Anders, als gedacht; \\o/"}))
            .await;
        answer.data();
    }
    hub.settle().await;

    let mut found = Vec::new();
    for resource in &resources {
        let expected = as_radicale_keeps(
            &dav,
            &with_title(&resource.ics, "Anders\\, als gedacht\\; \\\\o/"),
        )
        .await;
        let after = dav.item(&resource.name);
        let differences = semantics::differences(&expected, &after, &BOOKKEEPING);
        found.extend(
            differences
                .into_iter()
                .map(|difference| format!("{}: {difference}", resource.name)),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// With another title of the event or series; its occurrences keep theirs, and the title keeps its parameters.
fn with_title(ics: &str, title: &str) -> String {
    let name = match ics.contains("\r\nSUMMARY;LANGUAGE=de:") {
        true => "SUMMARY;LANGUAGE=de",
        false => "SUMMARY",
    };
    with_property(ics, name, title)
}

/// Radicale does not keep what it is sent as it is: it writes DURATION anew and cuts a `geo:` address at its comma.
/// What it makes of the same edit by somebody else's hand is what the hub's edit is measured against.
async fn as_radicale_keeps(dav: &Dav, ics: &str) -> String {
    let nothing: [(&str, &str); 0] = [];
    dav.radicale.load_collection(ALICE, "scratch", nothing).unwrap();
    dav.radicale
        .put(ALICE, "scratch", "x.ics", ics, None)
        .await
        .unwrap();
    let kept = dav
        .radicale
        .read_item(ALICE, "scratch", "x.ics")
        .unwrap()
        .unwrap();
    dav.radicale.delete(ALICE, "scratch", "x.ics").await.unwrap();
    kept
}

#[tokio::test]
async fn edits_and_deletes_travel_both_ways() {
    let names = ["a", "b", "c", "d"];
    let dav = Dav::with(names.map(|name| {
        let title = format!("SUMMARY:Title {name}");
        (
            format!("{name}.ics"),
            ics(name, &[title.as_str(), "LOCATION:Room 1"]),
        )
    }));
    let dav = dav.await;
    let hub = Hub::start().await;
    let connected = hub.connect(dav.connection()).await;
    let event = async |uid: &str| hub.event(uid).await;

    dav.edit("a.ics", "Room 1", "Room 2").await;
    dav.delete("b.ics").await;
    hub.patch(
        &path_of(&event("c").await),
        json!({"location": null, "busy": false}),
    )
    .await
    .data();
    assert_eq!(hub.delete(&path_of(&event("d").await)).await.status, 204);
    let made = hub.post(
        "/v1/events",
        json!({
            "calendar_id": connected.calendar,
            "title": "Made here",
            "start": {"kind": "zoned", "wall": "2026-03-03T14:00:00", "zone": "Europe/Berlin"},
            "end": {"kind": "zoned", "wall": "2026-03-03T15:00:00", "zone": "Europe/Berlin"},
        }),
    );
    let made = made.await.data();
    hub.synced(&connected.id).await;
    hub.settle().await;

    assert_eq!(event("a").await["location"], "Room 2");
    let titles: BTreeSet<String> = hub
        .events()
        .await
        .iter()
        .map(|event| event["title"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        titles,
        ["Title a", "Title c", "Made here"].map(str::to_owned).into()
    );
    let there = dav.item("c.ics");
    assert!(
        !there.contains("LOCATION") && there.contains("TRANSP:TRANSPARENT"),
        "{there}"
    );
    let items = dav.items();
    assert_eq!(items.len(), 3, "{items:#?}");
    let (name, there) = dav.with_line("SUMMARY:Made here").unwrap();
    assert!(there.contains("TZID=Europe/Berlin:20260303T140000"), "{there}");

    // What was made here is edited and deleted there.
    dav.edit(&name, "Made here", "Moved there").await;
    hub.synced(&connected.id).await;
    assert_eq!(hub.get(&path_of(&made)).await.data()["title"], "Moved there");
    dav.delete(&name).await;
    hub.synced(&connected.id).await;
    hub.get(&path_of(&made)).await.failure(404, "not_found");
    assert_idle(&hub, &dav, &connected.id).await;
}

async fn pause(hub: &Hub, connection: &str, paused: bool) {
    let path = format!("/v1/connections/{connection}");
    hub.patch(&path, json!({"paused": paused})).await.data();
}

/// Edits through the API and at the server while neither can see the other, then lets them meet.
async fn both_edit(hub: &Hub, dav: &Dav, connection: &str, here: Value, there: (&str, &str)) {
    pause(hub, connection, true).await;
    hub.patch(&path_of(&hub.event("a").await), here).await.data();
    dav.edit("a.ics", there.0, there.1).await;
    pause(hub, connection, false).await;
    hub.synced(connection).await;
    hub.settle().await;
}

async fn one_event() -> (Dav, Hub, String) {
    let lines = ["SUMMARY:Planning", "LOCATION:Room 1", "X-FOREIGN:kept"];
    let dav = Dav::with([("a.ics", ics("a", &lines))]).await;
    let hub = Hub::start().await;
    let connected = hub.connect(dav.connection()).await;
    (dav, hub, connected.id)
}

#[tokio::test]
async fn edits_of_different_fields_on_both_sides_are_both_kept() {
    let (dav, hub, connection) = one_event().await;
    both_edit(
        &hub,
        &dav,
        &connection,
        json!({"title": "Review"}),
        ("Room 1", "Room 2"),
    )
    .await;
    // The other way to meet: the hub's write finds an object that changed since it was read.
    dav.edit("a.ics", "X-FOREIGN:kept", "X-FOREIGN:changed").await;
    hub.patch(
        &path_of(&hub.event("a").await),
        json!({"url": "https://example.com/"}),
    )
    .await
    .data();
    hub.settle().await;

    let event = hub.event("a").await;
    assert_eq!(
        (&event["title"], &event["location"]),
        (&json!("Review"), &json!("Room 2"))
    );
    let there = dav.item("a.ics");
    for line in [
        "SUMMARY:Review",
        "LOCATION:Room 2",
        "X-FOREIGN:changed",
        "URL:https://example.com/",
    ] {
        assert!(there.contains(&format!("{line}\r\n")), "{line} is not in {there}");
    }
    assert!(hub.all("/v1/conflicts").await.is_empty());
    assert_idle(&hub, &dav, &connection).await;
}

#[tokio::test]
async fn of_two_edits_of_one_field_the_policy_keeps_one_and_resolve_restores_the_other() {
    let (dav, hub, connection) = one_event().await;
    both_edit(
        &hub,
        &dav,
        &connection,
        json!({"title": "Said here"}),
        ("Planning", "Said there"),
    )
    .await;

    assert_eq!(
        hub.event("a").await["title"],
        "Said there",
        "the edit that the hub received last"
    );
    assert!(dav.item("a.ics").contains("SUMMARY:Said there\r\n"));
    let conflicts = hub.all("/v1/conflicts").await;
    assert_eq!(conflicts.len(), 1, "{conflicts:#?}");
    let clash = &conflicts[0];
    assert_eq!(
        (&clash["field"], &clash["base"]),
        (&json!("title"), &json!("Planning"))
    );
    assert_eq!(
        (&clash["hub"], &clash["remote"]),
        (&json!("Said here"), &json!("Said there"))
    );
    assert_eq!(
        (&clash["winner"], &clash["rule"]),
        (&json!("remote"), &json!("last_writer"))
    );

    let path = format!("/v1/conflicts/{}/resolve", clash["id"].as_str().unwrap());
    assert_eq!(
        hub.post(&path, json!({"take": "hub"})).await.data()["title"],
        "Said here"
    );
    hub.settle().await;
    let there = dav.item("a.ics");
    assert!(
        there.contains("SUMMARY:Said here\r\n") && there.contains("X-FOREIGN:kept\r\n"),
        "{there}"
    );
    assert!(hub.all("/v1/conflicts").await.is_empty(), "it is dealt with");
    assert_idle(&hub, &dav, &connection).await;
}
