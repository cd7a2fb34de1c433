//! Parts that neither side changed: nothing is asked about them, unless they wait for a person.

use std::cell::RefCell;
use std::collections::BTreeSet;

use conflict::{Merged, Policy, Sides, Support, merge};
use model::{Content, FieldPath, Kind, PartKey};
use serde_json::json;

use super::{EVERYTHING, content, paths};

/// Neither side changed since they were last compared: the hub says `local`, the provider `remote`.
fn unchanged(local: &Content, remote: &Content, support: &dyn Support, held: &BTreeSet<FieldPath>) -> Merged {
    let sides = Sides {
        base_hub: local,
        hub: local,
        base_remote: remote,
        remote,
        projected: local,
    };
    merge(Kind::Event.schema(), sides, support, &Policy::default(), held)
}

/// Everything can be written, and what was asked about is remembered.
#[derive(Default)]
struct Listening(RefCell<BTreeSet<String>>);

impl Support for Listening {
    fn reads(&self, field: &str) -> bool {
        self.0.borrow_mut().insert(field.to_owned());
        true
    }

    fn writes(&self, _field: &str) -> bool {
        true
    }
}

#[test]
fn a_question_that_was_open_is_answered_once_both_sides_are_found_to_say_the_same() {
    let both = content(json!({"title": "a"}));
    let merged = unchanged(&both, &both, &EVERYTHING, &paths(&["title"]));
    assert!(merged.held.is_empty() && merged.send.is_empty());
}

#[test]
fn a_question_stays_open_while_both_sides_rest() {
    let (local, remote) = (content(json!({"title": "a"})), content(json!({"title": "b"})));
    let merged = unchanged(&local, &remote, &EVERYTHING, &paths(&["title"]));
    assert_eq!(merged.held, paths(&["title"]));
    assert_eq!(merged.hub, local);
    assert!(merged.send.is_empty() && merged.taken.is_empty() && merged.clashes.is_empty());
}

#[test]
fn what_neither_side_changed_is_not_looked_at() {
    let asked = Listening::default();
    let series = |occurrence: &str| {
        let mut series = content(json!({"title": "a"}));
        let title = FieldPath {
            part: PartKey::occurrence("2026-01-12T09:00:00"),
            field: "location".to_owned(),
        };
        series.set(&title, Some(json!(occurrence)));
        series
    };
    // The provider wrote things its own way, and nobody has touched them since.
    let merged = unchanged(&series("Room 1"), &series("ROOM 1"), &asked, &BTreeSet::new());
    assert_eq!(asked.0.take(), BTreeSet::new());
    assert_eq!(merged.hub, series("Room 1"));
    assert!(merged.send.is_empty() && merged.taken.is_empty());

    unchanged(&series("Room 1"), &series("ROOM 1"), &asked, &paths(&["title"]));
    assert_eq!(
        asked.0.take(),
        BTreeSet::from(["title".to_owned()]),
        "a question is about its own part"
    );
}
