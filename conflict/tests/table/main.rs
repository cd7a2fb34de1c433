//! The merge as a table: each case names the parent that both sides had, the local (hub's) and the remote
//! (provider's) value, and what they merge to. Here to be exact: no mutant of the merge lives unseen (docs/mutants.md).

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod elements;
mod quiet;
mod read_only;
mod snapshots;
mod together;

use std::collections::BTreeSet;

use conflict::{Merged, Policy, Rule, Sides, Support, merge};
use model::{Content, FieldPath, Kind};
use serde_json::Value;

/// A connector that reads and writes everything but what is named.
struct But {
    unread: &'static [&'static str],
    unwritten: &'static [&'static str],
}

const EVERYTHING: But = But {
    unread: &[],
    unwritten: &[],
};

impl Support for But {
    fn reads(&self, field: &str) -> bool {
        !self.unread.contains(&field)
    }

    fn writes(&self, field: &str) -> bool {
        !self.unwritten.contains(&field)
    }
}

fn content(json: Value) -> Content {
    Content::new(serde_json::from_value(json).unwrap())
}

fn rule(default: Rule) -> Policy {
    Policy {
        default,
        ..Policy::default()
    }
}

/// Two sides that had the same parent, at a provider that holds whatever it is given.
fn merged(parent: &Content, local: &Content, remote: &Content, support: &But, policy: &Policy) -> Merged {
    let sides = Sides {
        base_hub: parent,
        hub: local,
        base_remote: parent,
        remote,
        projected: local,
    };
    merge(Kind::Event.schema(), sides, support, policy, &BTreeSet::new())
}

fn paths(fields: &[&str]) -> BTreeSet<FieldPath> {
    fields.iter().map(|field| FieldPath::master(*field)).collect()
}
