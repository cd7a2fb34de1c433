//! Inside one field: people by address and by what is said of them, an organization's own fields by name.

use conflict::{Merged, Rule};
use serde_json::{Value, json};

use super::{EVERYTHING, content, merged, paths, rule};

fn field(name: &str, parent: Value, local: Value, remote: Value, by: Rule) -> Merged {
    let of = |value: Value| content(json!({ name: value }));
    merged(&of(parent), &of(local), &of(remote), &EVERYTHING, &rule(by))
}

fn person(address: &str, response: &str) -> Value {
    json!({"address": address, "response": response})
}

#[test]
fn two_answers_of_one_guest_are_decided_by_the_rule_and_the_others_stay_out_of_it() {
    let parent = json!([person("a@x", "needs_action"), person("b@x", "needs_action")]);
    let local = json!([person("a@x", "accepted"), person("b@x", "accepted")]);
    let remote = json!([person("a@x", "declined"), person("b@x", "needs_action")]);
    for (by, stands) in [
        (Rule::LastWriter, "declined"),
        (Rule::RemoteWins, "declined"),
        (Rule::HubWins, "accepted"),
    ] {
        let merged = field("attendees", parent.clone(), local.clone(), remote.clone(), by);
        let expected = json!([person("a@x", stands), person("b@x", "accepted")]);
        assert_eq!(merged.hub.fields["attendees"], expected, "{by:?}");
        assert_eq!(merged.clashes.len(), 1, "the losing answer is kept: {by:?}");
        assert_eq!(merged.clashes[0].hub, Some(local.clone()));
        assert_eq!(merged.clashes[0].remote, Some(remote.clone()));
        assert_eq!(merged.send, paths(&["attendees"]), "{by:?}");
        let taken = if by == Rule::HubWins {
            paths(&[])
        } else {
            paths(&["attendees"])
        };
        assert_eq!(merged.taken, taken, "{by:?}");
    }
}

#[test]
fn a_clash_of_one_guest_is_not_forgotten_over_the_next_one() {
    let parent = json!([person("a@x", "needs_action"), person("b@x", "needs_action")]);
    let local = json!([person("a@x", "accepted"), person("b@x", "accepted")]);
    let remote = json!([person("a@x", "declined"), person("b@x", "accepted")]);
    let merged = field("attendees", parent, local, remote, Rule::LastWriter);
    assert_eq!(merged.clashes.len(), 1);
}

#[test]
fn the_same_guest_added_on_both_sides_is_one_guest_and_no_clash() {
    let parent = json!([person("a@x", "accepted")]);
    let local = json!([
        person("a@x", "accepted"),
        person("c@x", "accepted"),
        person("d@x", "accepted")
    ]);
    let remote = json!([
        person("a@x", "accepted"),
        person("b@x", "accepted"),
        person("c@x", "accepted")
    ]);
    let merged = field("attendees", parent, local, remote, Rule::LastWriter);
    let everyone = ["a@x", "b@x", "c@x", "d@x"].map(|address| person(address, "accepted"));
    assert_eq!(merged.hub.fields["attendees"], json!(everyone));
    assert!(merged.clashes.is_empty());
}

#[test]
fn a_guest_edited_on_one_side_and_removed_on_the_other_stays_and_it_is_logged() {
    let parent = json!([person("a@x", "needs_action"), person("b@x", "accepted")]);
    let edited = json!([person("a@x", "accepted"), person("b@x", "accepted")]);
    // The other side removes the guest, and adds one of its own.
    let removed = json!([person("b@x", "accepted"), person("c@x", "accepted")]);
    for (local, remote) in [(&edited, &removed), (&removed, &edited)] {
        let merged = field(
            "attendees",
            parent.clone(),
            local.clone(),
            remote.clone(),
            Rule::HubWins,
        );
        let everyone = ["a@x", "b@x", "c@x"].map(|address| person(address, "accepted"));
        assert_eq!(merged.hub.fields["attendees"], json!(everyone));
        assert_eq!(merged.clashes.len(), 1);
    }
}

#[test]
fn guests_that_can_be_woven_together_are_nobody_to_ask_about() {
    let parent = json!([person("a@x", "accepted")]);
    let local = json!([person("a@x", "accepted"), person("b@x", "accepted")]);
    let remote = json!([person("a@x", "declined")]);
    let merged = field("attendees", parent, local, remote, Rule::Ask);
    assert_eq!(
        merged.hub.fields["attendees"],
        json!([person("a@x", "declined"), person("b@x", "accepted")])
    );
    assert!(merged.held.is_empty() && merged.clashes.is_empty());
}

#[test]
fn where_a_guest_clashes_a_person_is_asked_about_the_whole_list() {
    let parent = json!([person("a@x", "needs_action")]);
    let local = json!([person("a@x", "accepted")]);
    let remote = json!([person("a@x", "declined"), person("b@x", "accepted")]);
    let merged = field("attendees", parent, local.clone(), remote, Rule::Ask);
    assert_eq!(
        merged.hub.fields["attendees"], local,
        "the hub keeps its list meanwhile"
    );
    assert_eq!(merged.held, paths(&["attendees"]));
    assert!(merged.send.is_empty() && merged.taken.is_empty());
}

#[test]
fn own_fields_merge_by_name_and_a_map_of_which_nothing_is_left_is_gone() {
    let cases = [
        (
            json!({"room": "1", "floor": "1"}),
            json!({"room": "2", "floor": "1"}),
            json!({"room": "1", "floor": "3"}),
            json!({"room": "2", "floor": "3"}),
        ),
        (
            json!({"room": "1", "floor": "1"}),
            json!({"room": "1"}),
            json!({"floor": "1"}),
            Value::Null,
        ),
    ];
    for (parent, local, remote, expected) in cases {
        let merged = field("custom", parent, local, remote, Rule::LastWriter);
        let stands = merged.hub.fields.get("custom").cloned();
        assert_eq!(stands, Some(expected).filter(|value| !value.is_null()));
        assert!(merged.clashes.is_empty());
    }
}

#[test]
fn own_fields_that_clash_are_decided_one_by_one_and_logged_once() {
    let parent = json!({"floor": "0", "room": "0"});
    let local = json!({"floor": "1", "room": "1"});
    let remote = json!({"floor": "2", "room": "1"});
    for (by, floor) in [(Rule::HubWins, "1"), (Rule::RemoteWins, "2")] {
        let merged = field("custom", parent.clone(), local.clone(), remote.clone(), by);
        assert_eq!(merged.hub.fields["custom"], json!({"floor": floor, "room": "1"}));
        assert_eq!(merged.clashes.len(), 1);
    }
}
