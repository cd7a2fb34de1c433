//! What is agreed on afterwards, who owns a field, and what is said of it.

use std::collections::BTreeSet;

use conflict::{Policy, Rule, Side, Sides, merge};
use model::Kind;
use serde_json::json;

use super::{But, EVERYTHING, content, merged, paths, rule};

#[test]
fn what_was_agreed_on_stays_agreed_on_where_nobody_changed_anything() {
    let parent = content(json!({"title": "a", "location": "x", "color": "#ff0000"}));
    let mut remote = parent.clone();
    remote.fields.insert("title".to_owned(), json!("b"));
    let support = But {
        unread: &["color"],
        ..EVERYTHING
    };
    let merged = merged(&parent, &parent, &remote, &support, &Policy::default());
    assert_eq!(merged.base_hub, remote);
    assert_eq!(merged.base_remote, remote);
    assert_eq!(merged.taken, paths(&["title"]));
}

#[test]
fn a_field_that_the_connector_does_not_read_is_left_as_it_is_on_both_sides() {
    let parent = content(json!({"title": "a", "color": "#ff0000"}));
    let remote = content(json!({"title": "a"}));
    let support = But {
        unread: &["color"],
        ..EVERYTHING
    };
    let merged = merged(&parent, &parent, &remote, &support, &Policy::default());
    assert_eq!(merged.hub, parent);
    assert!(merged.taken.is_empty() && merged.send.is_empty());
}

#[test]
fn a_clash_that_the_hub_won_is_logged_once_even_if_its_write_has_to_wait() {
    let parent = content(json!({"title": "a"}));
    let local = content(json!({"title": "b"}));
    let remote = content(json!({"title": "c"}));
    let first = merged(&parent, &local, &remote, &EVERYTHING, &rule(Rule::HubWins));
    assert_eq!(first.base_hub, remote, "the provider's value is known");
    assert_eq!(first.base_remote, remote);
    let sides = Sides {
        base_hub: &first.base_hub,
        hub: &first.hub,
        base_remote: &first.base_remote,
        remote: &remote,
        projected: &first.hub,
    };
    let schema = Kind::Event.schema();
    let again = merge(schema, sides, &EVERYTHING, &rule(Rule::HubWins), &BTreeSet::new());
    assert_eq!(again.send, paths(&["title"]), "it is still to be sent");
    assert!(again.clashes.is_empty(), "{:?}", again.clashes);
}

#[test]
fn the_hubs_edit_of_a_field_that_the_provider_owns_is_taken_back_and_logged() {
    let policy = Policy {
        owners: [("title".to_owned(), Side::Remote)].into(),
        ..Policy::default()
    };
    let parent = content(json!({"title": "a"}));
    let local = content(json!({"title": "b"}));
    let merged = merged(&parent, &local, &parent, &EVERYTHING, &policy);
    assert_eq!(merged.hub, parent);
    assert_eq!(merged.taken, paths(&["title"]));
    assert!(merged.send.is_empty());
    assert_eq!(merged.clashes.len(), 1);
    assert_eq!(merged.clashes[0].rule, Rule::RemoteWins);
}

#[test]
fn a_list_with_an_owner_is_the_owners_list_and_is_not_woven() {
    let policy = Policy {
        owners: [("categories".to_owned(), Side::Remote)].into(),
        ..Policy::default()
    };
    let of = |labels: serde_json::Value| content(json!({"categories": labels}));
    let remote = of(json!(["old", "theirs"]));
    let merged = merged(
        &of(json!(["old"])),
        &of(json!(["mine", "old"])),
        &remote,
        &EVERYTHING,
        &policy,
    );
    assert_eq!(merged.hub, remote);
    assert_eq!(merged.clashes.len(), 1);
}

#[test]
fn rules_go_by_the_names_that_are_stored_and_shown() {
    let names = [
        (Rule::LastWriter, "last_writer"),
        (Rule::HubWins, "hub_wins"),
        (Rule::RemoteWins, "remote_wins"),
        (Rule::Ask, "ask"),
    ];
    for (rule, name) in names {
        assert_eq!(rule.name(), name);
        assert_eq!(
            serde_json::to_value(rule).unwrap(),
            json!(name),
            "one name everywhere"
        );
    }
}
