//! Lists that a provider shows and lets nobody change: what it says there is taken, and what the hub says more stays.

use std::collections::BTreeSet;

use conflict::{Merged, Rule, Sides, merge};
use model::Kind;
use serde_json::{Value, json};

use super::{But, EVERYTHING, content, merged, paths, rule};

const LISTS: But = But {
    unwritten: &["attendees", "categories"],
    ..EVERYTHING
};

fn labels(parent: Value, local: Value, remote: Value) -> Merged {
    let of = |labels: Value| content(json!({ "categories": labels }));
    merged(
        &of(parent),
        &of(local),
        &of(remote),
        &LISTS,
        &rule(Rule::LastWriter),
    )
}

#[test]
fn labels_of_both_sides_come_together_and_nothing_is_sent() {
    let merged = labels(json!(["old"]), json!(["mine", "old"]), json!(["old", "theirs"]));
    let both = content(json!({"categories": ["mine", "old", "theirs"]}));
    assert_eq!(merged.hub, both);
    assert_eq!(merged.taken, paths(&["categories"]));
    assert!(merged.send.is_empty() && merged.clashes.is_empty());
}

#[test]
fn a_label_that_the_hub_has_already_is_no_news() {
    let merged = labels(
        json!(["old"]),
        json!(["mine", "old", "theirs"]),
        json!(["old", "theirs"]),
    );
    assert_eq!(
        merged.hub,
        content(json!({"categories": ["mine", "old", "theirs"]}))
    );
    assert_eq!(
        merged.base_remote,
        content(json!({"categories": ["old", "theirs"]}))
    );
    assert!(merged.taken.is_empty() && merged.send.is_empty());
}

#[test]
fn where_the_hub_said_nothing_since_the_list_is_the_providers() {
    let of = |labels: Value| content(json!({ "categories": labels }));
    let (hub, remote) = (of(json!(["long label"])), of(json!(["long", "new"])));
    let sides = Sides {
        base_hub: &hub,
        hub: &hub,
        base_remote: &of(json!(["long"])),
        remote: &remote,
        projected: &hub,
    };
    let schema = Kind::Event.schema();
    let merged = merge(schema, sides, &LISTS, &rule(Rule::HubWins), &BTreeSet::new());
    assert_eq!(merged.hub, remote);
    assert_eq!((merged.base_hub, merged.base_remote), (remote.clone(), remote));
    assert_eq!(merged.taken, paths(&["categories"]));
}

#[test]
fn where_both_say_something_else_of_one_guest_the_providers_list_stands_and_the_other_is_kept() {
    let of = |response: &str| {
        content(json!({"attendees": [
            {"address": "a@x", "response": response}, {"address": "b@x", "response": "needs_action"},
        ]}))
    };
    let (local, remote) = (of("accepted"), of("declined"));
    let merged = merged(&of("needs_action"), &local, &remote, &LISTS, &rule(Rule::HubWins));
    assert_eq!(merged.hub, remote);
    assert_eq!(merged.clashes.len(), 1);
    assert_eq!(merged.clashes[0].hub.as_ref(), local.fields.get("attendees"));
    assert!(merged.send.is_empty());
}
