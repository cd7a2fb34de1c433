//! Who is taken for whom, on pictures drawn by hand.

use std::collections::BTreeMap;

use model::{Content, Kind};
use serde_json::{Value, json};

use super::*;

fn id(number: u8) -> RecordId {
    RecordId::new(1, number.into())
}

fn place(name: u8) -> CollectionId {
    CollectionId::new(1, name.into())
}

fn record(number: u8, kind: Kind, fields: Value) -> Record {
    Record {
        id: id(number),
        organization: OrganizationId::new(1, 1),
        kind,
        version: 1,
        content: Content::new(serde_json::from_value(fields).unwrap()),
        clocks: BTreeMap::new(),
        home: None,
        deleted: false,
        merged_into: None,
        created_at: 0,
        updated_at: 0,
    }
}

/// Records, each with the collections where it has an object.
fn picture(records: Vec<(Record, &[u8])>) -> Picture {
    let mut picture = Picture::default();
    for name in 1..=3 {
        picture.places.insert(place(name), Place::default());
    }
    for (record, names) in records {
        for name in names {
            let place = picture.places.entry(place(*name)).or_default();
            place.members.insert(record.id.clone(), true);
        }
        picture
            .records
            .insert(record.id.clone(), std::sync::Arc::new(record));
    }
    picture
}

fn contact(number: u8, uid: &str, addresses: &[&str]) -> Record {
    let emails: Vec<Value> = addresses
        .iter()
        .map(|address| json!({"address": address}))
        .collect();
    record(number, Kind::Contact, json!({"uid": uid, "emails": emails}))
}

fn event(number: u8, uid: &str, title: &str, start: Value) -> Record {
    record(
        number,
        Kind::Event,
        json!({"uid": uid, "title": title, "start": start}),
    )
}

fn zoned(wall: &str, zone: &str) -> Value {
    json!({"kind": "zoned", "wall": wall, "zone": zone})
}

fn same(source: u8, target: u8, reason: Reason) -> Verdict {
    Verdict::Same {
        source: id(source),
        target: id(target),
        reason,
    }
}

fn ambiguous(record: u8, others: &[u8], reason: Reason) -> Verdict {
    Verdict::Ambiguous {
        record: id(record),
        others: others.iter().map(|other| id(*other)).collect(),
        reason,
    }
}

fn new(record: u8) -> Verdict {
    Verdict::New { record: id(record) }
}

#[test]
fn contacts_are_the_same_by_uid_or_else_by_one_address() {
    let picture = picture(vec![
        (contact(1, "u1", &["a@x.org"]), &[1]),
        (contact(2, "u2", &["b@x.org", "b@y.org"]), &[1]),
        (contact(3, "u3", &["c@x.org"]), &[1]),
        (contact(11, "u1", &["other@x.org"]), &[2]),
        (contact(12, "v2", &["b@y.org", "b@z.org"]), &[2]),
        (contact(13, "v3", &["d@x.org"]), &[2]),
    ]);
    assert_eq!(
        picture.compare(&place(1), &place(2)),
        [same(1, 11, Reason::Uid), same(2, 12, Reason::Address), new(3)]
    );
}

#[test]
fn an_address_that_two_share_or_that_leads_to_two_says_nothing() {
    let picture = picture(vec![
        (contact(1, "u1", &["family@x.org"]), &[1]),
        (contact(2, "u2", &["family@x.org"]), &[1]),
        (contact(3, "u3", &["c@x.org", "d@x.org"]), &[1]),
        (contact(11, "v1", &["family@x.org"]), &[2]),
        (contact(12, "v2", &["c@x.org"]), &[2]),
        (contact(13, "v3", &["d@x.org"]), &[2]),
    ]);
    assert_eq!(
        picture.compare(&place(1), &place(2)),
        [
            ambiguous(1, &[11], Reason::Address),
            ambiguous(2, &[11], Reason::Address),
            ambiguous(3, &[12, 13], Reason::Address)
        ]
    );
    let back = picture.compare(&place(2), &place(1));
    assert!(
        back.iter()
            .all(|verdict| matches!(verdict, Verdict::Ambiguous { .. })),
        "seen from the other side: {back:?}"
    );
}

#[test]
fn titles_are_compared_by_their_words_and_starts_by_their_moment() {
    let berlin = || zoned("2026-01-05T09:00:00", "Europe/Berlin");
    let picture = picture(vec![
        (event(1, "u1", "Stand up", berlin()), &[1]),
        (event(2, "u2", "Lunch", berlin()), &[1]),
        (
            event(3, "u3", "Day", json!({"kind": "date", "date": "2026-01-05"})),
            &[1],
        ),
        (event(4, "u4", " ", berlin()), &[1]),
        (
            event(
                11,
                "v1",
                "stand  UP",
                zoned("2026-01-05T08:00:00", "Europe/London"),
            ),
            &[2],
        ),
        (
            event(12, "v2", "Lunch", zoned("2026-01-05T10:00:00", "Europe/Berlin")),
            &[2],
        ),
        (event(13, "v3", "Day", zoned("2026-01-05T00:00:00", "UTC")), &[2]),
        (event(14, "v4", "", berlin()), &[2]),
    ]);
    assert_eq!(
        picture.compare(&place(1), &place(2)),
        [same(1, 11, Reason::TitleAndTime), new(2), new(3), new(4)]
    );
}

#[test]
fn a_uid_that_is_there_twice_joins_nothing_not_even_by_title() {
    let start = || zoned("2026-01-05T09:00:00", "Europe/Berlin");
    let picture = picture(vec![
        (event(1, "u1", "Lunch", start()), &[1]),
        (event(11, "u1", "Lunch", start()), &[2]),
        (event(12, "u1", "Dinner", start()), &[2]),
    ]);
    assert_eq!(
        picture.compare(&place(1), &place(2)),
        [ambiguous(1, &[11, 12], Reason::Uid)]
    );
}

#[test]
fn what_is_linked_already_still_makes_the_rest_ambiguous() {
    let start = || zoned("2026-01-05T09:00:00", "Europe/Berlin");
    let picture = picture(vec![
        (event(1, "u1", "Lunch", start()), &[1, 2]),
        (event(2, "u2", "Lunch", start()), &[1]),
        (event(12, "v2", "Lunch", start()), &[2]),
    ]);
    assert_eq!(
        picture.compare(&place(1), &place(2)),
        [ambiguous(2, &[1, 12], Reason::TitleAndTime)]
    );
}

#[test]
fn somebody_elses_uid_match_is_no_candidate() {
    let start = || zoned("2026-01-05T09:00:00", "Europe/Berlin");
    let picture = picture(vec![
        (event(1, "u1", "Renamed", start()), &[1]),
        (event(2, "u2", "Lunch", start()), &[1]),
        (event(11, "u1", "Lunch", start()), &[2]),
    ]);
    assert_eq!(
        picture.compare(&place(1), &place(2)),
        [
            same(1, 11, Reason::Uid),
            ambiguous(2, &[11], Reason::TitleAndTime)
        ]
    );
}

#[test]
fn a_copy_on_its_way_is_joined_by_uid_only() {
    let start = || zoned("2026-01-05T09:00:00", "Europe/Berlin");
    let mut picture = picture(vec![
        (event(1, "u1", "Lunch", start()), &[1]),
        (event(2, "u2", "Dinner", start()), &[1]),
        (event(11, "u1", "Lunch", start()), &[2]),
        (event(12, "v2", "Dinner", start()), &[2]),
    ]);
    for record in [1, 2] {
        picture.expect(&id(record), &place(2));
    }
    assert_eq!(picture.compare(&place(1), &place(2)), [same(1, 11, Reason::Uid)]);
}

#[test]
fn what_was_taken_apart_is_neither_joined_nor_copied_from_either_side() {
    let start = || zoned("2026-01-05T09:00:00", "Europe/Berlin");
    let both = || {
        picture(vec![
            (event(1, "u1", "Lunch", start()), &[1]),
            (event(11, "u1", "Lunch", start()), &[2]),
        ])
    };
    for (record, name) in [(1, 2), (11, 1)] {
        let mut picture = both();
        let place_of = picture.places.entry(place(name)).or_default();
        place_of.apart.insert(id(record));
        assert_eq!(
            picture.compare(&place(1), &place(2)),
            [],
            "{record} is kept from {name}"
        );
        assert_eq!(
            picture.compare(&place(2), &place(1)),
            [],
            "{record} is kept from {name}"
        );
    }
}

#[test]
fn once_joined_there_is_nothing_left_to_decide() {
    let start = || zoned("2026-01-05T09:00:00", "Europe/Berlin");
    let mut picture = picture(vec![
        (event(1, "u1", "Lunch", start()), &[1]),
        (event(11, "u1", "Lunch", start()), &[2, 3]),
    ]);
    let kept = event(1, "u1", "Lunch", start());
    picture.join(kept, &id(11));
    for (from, to) in [(1, 2), (2, 1), (1, 3), (3, 2)] {
        assert_eq!(picture.compare(&place(from), &place(to)), [], "{from} to {to}");
    }
    assert!(picture.record(&id(11)).is_none());
}
