//! Start, end and rule: decided together when both sides changed some of them, each by itself otherwise.

use std::collections::BTreeSet;

use conflict::{Merged, Rule, Sides, merge};
use model::{Content, Kind};
use serde_json::{Value, json};

use super::{But, EVERYTHING, content, merged, paths, rule};

fn at(hour: u8) -> Value {
    json!({"kind": "floating", "wall": format!("2026-01-05T{hour:02}:00:00")})
}

fn meeting(start: u8, end: u8) -> Content {
    content(json!({"start": at(start), "end": at(end)}))
}

fn moved(support: &But, by: Rule) -> Merged {
    // The hub makes it longer, the provider moves its start.
    merged(
        &meeting(9, 12),
        &meeting(9, 13),
        &meeting(8, 12),
        support,
        &rule(by),
    )
}

#[test]
fn a_start_moved_there_and_an_end_moved_here_are_one_decision() {
    let hub = moved(&EVERYTHING, Rule::HubWins);
    assert_eq!(hub.hub, meeting(9, 13));
    assert_eq!(hub.send, paths(&["start", "end"]));
    let remote = moved(&EVERYTHING, Rule::RemoteWins);
    assert_eq!(remote.hub, meeting(8, 12));
    assert!(remote.send.is_empty());
    for merged in [hub, remote] {
        assert_eq!(merged.clashes.len(), 1, "{:?}", merged.clashes);
    }
}

#[test]
fn times_that_the_provider_cannot_write_are_its_own_and_the_rest_is_decided_alone() {
    let support = But {
        unwritten: &["start"],
        ..EVERYTHING
    };
    let merged = moved(&support, Rule::HubWins);
    assert_eq!(merged.hub, meeting(8, 13));
    assert_eq!(merged.send, paths(&["end"]));
    assert!(merged.clashes.is_empty());
}

#[test]
fn while_somebody_is_asked_about_the_end_the_start_goes_on_alone() {
    let (parent, local, remote) = (meeting(9, 12), meeting(10, 13), meeting(8, 14));
    let sides = Sides {
        base_hub: &parent,
        hub: &local,
        base_remote: &parent,
        remote: &remote,
        projected: &local,
    };
    let held: BTreeSet<_> = paths(&["end"]);
    let merged = merge(
        Kind::Event.schema(),
        sides,
        &EVERYTHING,
        &rule(Rule::HubWins),
        &held,
    );
    assert_eq!(merged.held, held);
    assert_eq!(merged.hub, local);
    assert_eq!(merged.send, paths(&["start"]));
    let logged: Vec<_> = merged
        .clashes
        .iter()
        .map(|clash| clash.path.field.as_str())
        .collect();
    // The end's new value stands in the log too: whoever decides has to see it, whatever becomes of the object.
    assert_eq!(logged, ["end", "start"]);
}

#[test]
fn times_that_both_sides_moved_alike_are_settled() {
    let merged = merged(
        &meeting(9, 10),
        &meeting(11, 12),
        &meeting(11, 13),
        &EVERYTHING,
        &rule(Rule::HubWins),
    );
    assert_eq!(merged.hub, meeting(11, 12));
    assert_eq!(merged.send, paths(&["end"]), "the start needs no write");
    assert_eq!(merged.clashes.len(), 1);
}

#[test]
fn times_moved_on_one_side_only_are_no_decision_at_all() {
    let merged = merged(
        &meeting(9, 10),
        &meeting(9, 10),
        &meeting(11, 12),
        &EVERYTHING,
        &rule(Rule::HubWins),
    );
    assert_eq!(merged.hub, meeting(11, 12));
    assert!(merged.send.is_empty() && merged.clashes.is_empty());
}
