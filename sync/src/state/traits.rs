//! What is known about writing through a link: approvals, habits, budgets, doubts.

use std::collections::{BTreeMap, BTreeSet};

use connector_sdk::RemoteId;
use model::{Content, EventTime, FieldPath, series};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Link;
use crate::plan::moved;

/// What is known about writing through a link.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traits {
    /// Left aside since one of its objects is in quarantine; what waits goes out once that can be read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unreadable: bool,
    /// The version of the record whose write somebody approved, although the provider mails people about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<i64>,
    /// How the provider was seen to rewrite what it was sent, after it had answered the write; oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rewrites: Vec<Rewrite>,
    /// When a write last took effect, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrote_at: Option<i64>,
    /// What writes cost lately, by the minute since the epoch; see `work/budget.rs`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub spent: BTreeMap<i64, u32>,
    /// Fingerprints of what was sent lately, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<u64>,
    /// The latest version that a client of the API gave the record, of those that were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<i64>,
    /// The version of the record with which the link last came to rest. What was edited since, the provider's users
    /// may not have known of, even where the provider cannot hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rested: Option<i64>,
    /// Ids that occurrences had before the hub moved their series. A provider may give them others.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub moved: BTreeSet<RemoteId>,
    /// The start of the series by which the paths that wait for a person are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_at: Option<EventTime>,
    /// Fingerprints of values that an update sent whose answer was lost, and that were not there when it was looked for:
    /// a slow provider may carry it out yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<u64>,
    /// Until when that is expected, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_until: Option<i64>,
}

impl Link {
    /// The paths that wait for a person, named by the start that the series has in `content`.
    #[must_use]
    pub fn held_in(&self, content: &Content) -> BTreeSet<FieldPath> {
        match (&self.traits.held_at, series::time_field(&content.fields, "start")) {
            (Some(then), Some(now)) if *then != now => {
                let held = self.held.iter();
                held.map(|path| moved(path, then, &now)).collect()
            }
            _ => self.held.clone(),
        }
    }

    /// Lets these paths, which `content` names by its start, wait for a person.
    pub fn hold(&mut self, held: BTreeSet<FieldPath>, content: &Content) {
        let start = series::time_field(&content.fields, "start");
        self.traits.held_at = start.filter(|_| held.iter().any(|path| !path.part.is_master()));
        self.held = held;
    }
}

/// What a provider was seen to do: it turned one value of a field into another. Both as fingerprints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    /// What it was sent.
    pub from: u64,
    /// What it made of it.
    pub to: u64,
    /// How often it was seen; often enough, and it is a habit.
    #[serde(default)]
    pub times: u8,
    /// Whether it is taken for a habit.
    pub habit: bool,
}

/// A short stand-in for a value at a path. One that another build of the program computes otherwise is only unknown.
pub(crate) fn fingerprint(path: &FieldPath, value: Option<&Value>) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    value.map(Value::to_string).hash(&mut hasher);
    hasher.finish()
}
