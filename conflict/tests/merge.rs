//! Table of merges: base, hub, remote, and what comes of them.

#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::collections::BTreeSet;

use conflict::{Merged, Policy, Rule, Side, Sides, Support, merge};
use model::{Content, FieldPath, Kind, PartKey};
use serde_json::{Value, json};

struct All;

impl Support for All {
    fn reads(&self, _: &str) -> bool {
        true
    }
    fn writes(&self, field: &str) -> bool {
        field != "organizer"
    }
}

/// A provider whose labels are only read.
struct LabelsReadOnly;

impl Support for LabelsReadOnly {
    fn reads(&self, _: &str) -> bool {
        true
    }
    fn writes(&self, field: &str) -> bool {
        field != "categories"
    }
}

fn content(json: Value) -> Content {
    Content::new(serde_json::from_value(json).unwrap())
}

fn run(base: &Content, hub: &Content, remote: &Content, policy: &Policy) -> Merged {
    let sides = Sides {
        base_hub: base,
        hub,
        base_remote: base,
        remote,
        projected: hub,
    };
    merge(Kind::Event.schema(), sides, &All, policy, &BTreeSet::new())
}

fn three(base: Value, hub: Value, remote: Value, rule: Rule) -> Merged {
    let policy = Policy {
        default: rule,
        ..Policy::default()
    };
    run(&content(base), &content(hub), &content(remote), &policy)
}

fn sent(merged: &Merged) -> Vec<String> {
    merged.send.iter().map(ToString::to_string).collect()
}

#[test]
fn edits_of_different_fields_are_both_kept() {
    let merged = three(
        json!({"title": "a", "location": "x"}),
        json!({"title": "b", "location": "x"}),
        json!({"title": "a", "location": "y"}),
        Rule::LastWriter,
    );
    assert_eq!(merged.hub, content(json!({"title": "b", "location": "y"})));
    assert_eq!(sent(&merged), ["title"]);
    assert!(merged.clashes.is_empty());
}

#[test]
fn of_two_edits_of_one_field_the_rule_picks_one_and_the_other_is_logged() {
    let cases = [
        (Rule::LastWriter, "c", Some(Side::Remote), 0),
        (Rule::RemoteWins, "c", Some(Side::Remote), 0),
        (Rule::HubWins, "b", Some(Side::Hub), 1),
        (Rule::Ask, "b", None, 0),
    ];
    for (rule, title, winner, writes) in cases {
        let merged = three(
            json!({"title": "a"}),
            json!({"title": "b"}),
            json!({"title": "c"}),
            rule,
        );
        assert_eq!(merged.hub.fields["title"], title, "{rule:?}");
        assert_eq!(merged.send.len(), writes, "{rule:?}");
        assert_eq!(merged.clashes.len(), 1);
        assert_eq!(merged.clashes[0].winner, winner);
        assert_eq!(merged.clashes[0].hub, Some(json!("b")));
        assert_eq!(merged.clashes[0].remote, Some(json!("c")));
        assert_eq!(merged.held.len(), usize::from(rule == Rule::Ask));
    }
}

#[test]
fn a_held_field_is_neither_sent_nor_taken_until_someone_decides() {
    let first = three(
        json!({"title": "a"}),
        json!({"title": "b"}),
        json!({"title": "c"}),
        Rule::Ask,
    );
    let remote = content(json!({"title": "c", "location": "new"}));
    let sides = Sides {
        base_hub: &first.base_hub,
        hub: &first.hub,
        base_remote: &first.base_remote,
        remote: &remote,
        projected: &first.hub,
    };
    let again = merge(Kind::Event.schema(), sides, &All, &Policy::default(), &first.held);
    assert_eq!(again.hub, content(json!({"title": "b", "location": "new"})));
    assert!(again.send.is_empty() && again.clashes.is_empty());
}

#[test]
fn clearing_is_an_edit_and_absence_of_change_is_not() {
    let merged = three(
        json!({"location": "x"}),
        json!({"location": "x"}),
        json!({}),
        Rule::LastWriter,
    );
    assert_eq!(merged.hub, content(json!({})));
    let merged = three(
        json!({"location": "x"}),
        json!({}),
        json!({"location": "x"}),
        Rule::LastWriter,
    );
    assert_eq!(sent(&merged), ["location"]);
}

#[test]
fn attendees_merge_by_address() {
    let person = |address: &str, response: &str| json!({"address": address, "response": response});
    let merged = three(
        json!({"attendees": [person("a@x", "needs_action"), person("b@x", "needs_action")]}),
        json!({"attendees": [person("a@x", "needs_action"), person("b@x", "needs_action"), person("c@x", "needs_action")]}),
        json!({"attendees": [person("a@x", "accepted")]}),
        Rule::LastWriter,
    );
    let expected = json!([person("a@x", "accepted"), person("c@x", "needs_action")]);
    assert_eq!(merged.hub.fields["attendees"], expected);
    assert_eq!(sent(&merged), ["attendees"]);
    assert!(merged.clashes.is_empty());
}

#[test]
fn labels_added_on_both_sides_are_both_kept_and_removals_too() {
    let merged = three(
        json!({"categories": ["old", "work"]}),
        json!({"categories": ["blue", "work"]}),
        json!({"categories": ["old", "red", "work"]}),
        Rule::LastWriter,
    );
    assert_eq!(merged.hub.fields["categories"], json!(["blue", "red", "work"]));
}

#[test]
fn start_and_end_are_decided_together() {
    let at = |hour: u8| json!({"kind": "floating", "wall": format!("2026-01-05T{hour:02}:00:00")});
    let merged = three(
        json!({"start": at(9), "end": at(10)}),
        json!({"start": at(9), "end": at(11)}),
        json!({"start": at(12), "end": at(13)}),
        Rule::LastWriter,
    );
    assert_eq!(merged.hub, content(json!({"start": at(12), "end": at(13)})));
    assert_eq!(merged.clashes.len(), 1);
    assert_eq!(merged.clashes[0].path, FieldPath::master("end"));
}

#[test]
fn an_occurrence_edited_on_one_side_and_cancelled_on_the_other_lives() {
    let key = PartKey::occurrence("2026-01-12T09:00:00");
    let base = content(json!({"title": "standup"}));
    let mut cancelled = base.clone();
    cancelled
        .overrides
        .insert(key.clone(), model::series::cancelled());
    let mut edited = base.clone();
    edited
        .overrides
        .insert(key.clone(), [("title".to_owned(), json!("long"))].into());
    for (hub, remote, writes) in [(&cancelled, &edited, 0), (&edited, &cancelled, 2)] {
        let merged = run(&base, hub, remote, &Policy::default());
        assert_eq!(merged.hub.overrides, edited.overrides);
        assert_eq!(merged.clashes.len(), 1);
        assert_eq!(merged.send.len(), writes);
    }
}

#[test]
fn what_the_provider_made_of_our_value_is_no_edit() {
    let base = content(json!({"title": "old"}));
    let hub = content(json!({"title": "a very long title"}));
    let remote = content(json!({"title": "a very"}));
    let sides = Sides {
        base_hub: &base,
        hub: &hub,
        base_remote: &base,
        remote: &remote,
        projected: &remote,
    };
    let merged = merge(
        Kind::Event.schema(),
        sides,
        &All,
        &Policy::default(),
        &BTreeSet::new(),
    );
    assert_eq!(merged.hub, hub);
    assert!(merged.send.is_empty() && merged.clashes.is_empty());
    assert_eq!((merged.base_hub, merged.base_remote), (hub, remote));
}

#[test]
fn a_field_with_an_owner_is_undone_on_the_other_side() {
    let policy = Policy {
        owners: [("title".to_owned(), Side::Hub)].into(),
        ..Policy::default()
    };
    let base = content(json!({"title": "a"}));
    let merged = run(&base, &base, &content(json!({"title": "b"})), &policy);
    assert_eq!(merged.hub, base);
    assert_eq!(sent(&merged), ["title"]);
    assert_eq!(merged.clashes.len(), 1);
}

#[test]
fn a_field_the_provider_cannot_write_is_taken_and_never_sent() {
    let person = |address: &str| json!({"address": address});
    let merged = three(
        json!({"organizer": person("a@x")}),
        json!({"organizer": person("b@x")}),
        json!({"organizer": person("a@x")}),
        Rule::LastWriter,
    );
    assert!(merged.send.is_empty());
}

#[test]
fn a_label_removed_where_labels_are_only_read_takes_no_other_with_it() {
    let of = |labels: Value| content(json!({"categories": labels}));
    let (base, hub, remote) = (
        of(json!(["theirs"])),
        of(json!(["theirs", "mine"])),
        of(json!([])),
    );
    let sides = Sides {
        base_hub: &base,
        hub: &hub,
        base_remote: &base,
        remote: &remote,
        // Nothing of the hub's labels would arrive there, so that it looks as if both agreed.
        projected: &remote,
    };
    let policy = Policy::default();
    let merged = merge(
        Kind::Event.schema(),
        sides,
        &LabelsReadOnly,
        &policy,
        &BTreeSet::new(),
    );
    assert_eq!(merged.hub, of(json!(["mine"])));
    assert_eq!(merged.base_remote, remote);
    assert!(merged.send.is_empty() && merged.clashes.is_empty());
}

#[test]
fn labels_that_the_provider_cannot_hold_are_not_taken_for_removed() {
    let of = |labels: Value| content(json!({"categories": labels}));
    let (base_hub, base_remote) = (of(json!(["a", "b", "long label"])), of(json!(["a", "b"])));
    let (hub, remote) = (
        of(json!(["a", "b", "long label", "mine"])),
        of(json!(["a", "theirs"])),
    );
    let sides = Sides {
        base_hub: &base_hub,
        hub: &hub,
        base_remote: &base_remote,
        remote: &remote,
        projected: &of(json!(["a", "b", "mine"])),
    };
    let merged = merge(
        Kind::Event.schema(),
        sides,
        &All,
        &Policy::default(),
        &BTreeSet::new(),
    );
    assert_eq!(merged.hub, of(json!(["a", "long label", "mine", "theirs"])));
}

#[test]
fn nobody_is_asked_any_more_once_both_sides_say_the_same() {
    let base = content(json!({"title": "old"}));
    let both = content(json!({"title": "new"}));
    let sides = Sides {
        base_hub: &base,
        hub: &both,
        base_remote: &base,
        remote: &both,
        projected: &both,
    };
    let held = BTreeSet::from([FieldPath::master("title")]);
    let merged = merge(Kind::Event.schema(), sides, &All, &Policy::default(), &held);
    assert!(merged.held.is_empty() && merged.send.is_empty());
    assert_eq!(merged.base_hub, both);
}
