//! What a record says: the fields of its master and of each override.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::fields::Fields;

/// Which part of a record a value belongs to: the master, or the override of the occurrence that was to start at
/// the key's wall time (in the master's zone; `2026-01-05T09:00:00`, or `2026-01-05` for an all-day series).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct PartKey(String);

impl PartKey {
    /// The master: the record itself.
    pub const MASTER: Self = Self(String::new());

    /// The override whose original start is this wall time.
    #[must_use]
    pub fn occurrence(original_start: impl Into<String>) -> Self {
        Self(original_start.into())
    }

    /// Whether this is the master.
    #[must_use]
    pub fn is_master(&self) -> bool {
        self.0.is_empty()
    }

    /// The original start; empty for the master.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PartKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_master() { "master" } else { &self.0 })
    }
}

/// One field of one part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FieldPath {
    /// The part.
    #[serde(default, skip_serializing_if = "PartKey::is_master")]
    pub part: PartKey,
    /// The field's name.
    pub field: String,
}

impl FieldPath {
    /// A field of the master.
    #[must_use]
    pub fn master(field: impl Into<String>) -> Self {
        Self {
            part: PartKey::MASTER,
            field: field.into(),
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.part.is_master() {
            f.write_str(&self.field)
        } else {
            write!(f, "overrides.{}.{}", self.part.as_str(), self.field)
        }
    }
}

/// A record's whole content in canonical form: the master's fields, and what each override says differently.
///
/// Overrides are *sparse*: a field that is absent is inherited from the master, `null` is cleared for this
/// occurrence, and an override that says nothing does not exist. A deleted occurrence is an override whose
/// `status` is `cancelled`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// The master's fields. Never `null` in canonical form.
    #[serde(default)]
    pub fields: Fields,
    /// Overrides by original start.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<PartKey, Fields>,
}

impl Content {
    /// Content of a record without overrides.
    #[must_use]
    pub fn new(fields: Fields) -> Self {
        Self {
            fields,
            overrides: BTreeMap::new(),
        }
    }

    /// The value at a path; `None` when absent.
    #[must_use]
    pub fn get(&self, path: &FieldPath) -> Option<&Value> {
        if path.part.is_master() {
            self.fields.get(&path.field)
        } else {
            self.overrides.get(&path.part)?.get(&path.field)
        }
    }

    /// Sets or, with `None`, removes the value at a path. On the master `null` removes; on an override `null` is
    /// kept, because there it means "cleared for this occurrence".
    pub fn set(&mut self, path: &FieldPath, value: Option<Value>) {
        if path.part.is_master() {
            match value {
                None | Some(Value::Null) => self.fields.remove(&path.field),
                Some(value) => self.fields.insert(path.field.clone(), value),
            };
            return;
        }
        match value {
            Some(value) => {
                self.overrides
                    .entry(path.part.clone())
                    .or_default()
                    .insert(path.field.clone(), value);
            }
            None => {
                if let Some(fields) = self.overrides.get_mut(&path.part) {
                    fields.remove(&path.field);
                    if fields.is_empty() {
                        self.overrides.remove(&path.part);
                    }
                }
            }
        }
    }

    /// Every path that has a value, master first.
    pub fn paths(&self) -> impl Iterator<Item = FieldPath> + '_ {
        let master = self.fields.keys().map(FieldPath::master);
        let overrides = self.overrides.iter().flat_map(|(part, fields)| {
            fields.keys().map(move |field| FieldPath {
                part: part.clone(),
                field: field.clone(),
            })
        });
        master.chain(overrides)
    }

    /// Keeps only the values whose path the predicate accepts.
    pub fn retain(&mut self, keep: impl Fn(&PartKey, &str) -> bool) {
        let thin_out = |part: &PartKey, fields: &mut Fields| {
            if !fields.keys().all(|field| keep(part, field)) {
                fields.retain(|field, _| keep(part, field));
            }
        };
        thin_out(&PartKey::MASTER, &mut self.fields);
        self.overrides.retain(|part, fields| {
            thin_out(part, fields);
            !fields.is_empty()
        });
    }

    /// The paths at which two contents differ, each once, in order.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<FieldPath> {
        let mut found = Vec::new();
        let mut compare = |part: &PartKey, one: &Fields, other: &Fields| {
            if one.is_shared_with(other) {
                return;
            }
            let differing = in_step(one, other).filter(|(_, one, other)| one != other);
            found.extend(differing.map(|(field, ..)| FieldPath {
                part: part.clone(),
                field: field.clone(),
            }));
        };
        compare(&PartKey::MASTER, &self.fields, &other.fields);
        let nothing = Fields::new();
        for (part, one, other) in in_step(&self.overrides, &other.overrides) {
            compare(part, one.unwrap_or(&nothing), other.unwrap_or(&nothing));
        }
        found
    }
}

/// Walks two maps in step: each key once, in order, with what either map has there.
fn in_step<'a, K: Ord, V>(
    one: &'a BTreeMap<K, V>,
    other: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, Option<&'a V>, Option<&'a V>)> {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    std::iter::from_fn(move || {
        let order = match (one.peek(), other.peek()) {
            (Some((left, _)), Some((right, _))) => left.cmp(right),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        let left = if order.is_le() { one.next() } else { None };
        let right = if order.is_ge() { other.next() } else { None };
        let key = left.or(right)?.0;
        Some((key, left.map(|(_, value)| value), right.map(|(_, value)| value)))
    })
}
