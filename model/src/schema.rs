//! How each field of a kind merges and how far it travels.

use serde::Serialize;
use serde_json::Value;

use crate::content::Fields;

/// How two edits of one field are brought together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeClass {
    /// One value; two different edits are a conflict.
    Scalar,
    /// Human text; two different edits are a conflict, the losing text is kept whole.
    Text,
    /// A moment or day; two different edits are a conflict.
    Instant,
    /// A set of objects told apart by one of their members; edits of different elements are both kept.
    KeyedSet {
        /// The member that tells elements apart.
        key: &'static str,
    },
    /// A set of plain strings; additions and removals of both sides are kept.
    Set,
    /// An object whose members merge one by one.
    Map,
    /// A list whose order matters; merged as a whole.
    OrderedList,
    /// The id of another record.
    Reference,
}

/// How far a field's value travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One value for the record, the same on every link.
    Shared,
    /// Belongs to the account it was set on; never copied to another one.
    PerLink,
}

/// Checks one value and brings it into canonical form; `None` means that the value says nothing (empty text,
/// empty list).
pub type Canonicalise = fn(Value) -> Result<Option<Value>, String>;

/// One field of a kind.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec {
    /// Its name in the model, the API and the store.
    pub name: &'static str,
    /// How it merges.
    pub merge: MergeClass,
    /// How far it travels.
    pub scope: Scope,
    /// Whether one occurrence of a series may have a value of its own.
    pub in_override: bool,
    /// Fields of the same group are decided together when both sides changed the group (an event's start and end).
    pub group: Option<&'static str>,
    /// Whether a client of the API may set it.
    pub writable: bool,
    /// The checker made from the field's Rust type.
    pub canonicalise: Canonicalise,
}

/// The fields of one kind.
#[derive(Debug)]
pub struct Schema {
    /// The kind's name.
    pub kind: &'static str,
    /// Its fields, in the order of their declaration.
    pub fields: &'static [FieldSpec],
}

/// A field that the model refuses, named so that a person can mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("field `{field}`: {problem}")]
pub struct FieldError {
    /// The field's name, with the part in front for an override (`overrides.2026-01-05T09:00:00.title`).
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Schema {
    /// The field with this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static FieldSpec> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Checks every field and brings it into canonical form. `null` stays `null` (the field is cleared); values
    /// that say nothing become `null`.
    ///
    /// # Errors
    /// The first field that is unknown or whose value has the wrong shape.
    pub fn canonical(&self, fields: Fields) -> Result<Fields, FieldError> {
        let mut clean = Fields::new();
        for (name, value) in fields {
            let spec = self.field(&name).ok_or_else(|| FieldError {
                field: name.clone(),
                problem: format!("there is no such field in `{}`", self.kind),
            })?;
            let value = match value {
                Value::Null => Value::Null,
                value => (spec.canonicalise)(value)
                    .map_err(|problem| FieldError {
                        field: name.clone(),
                        problem,
                    })?
                    .unwrap_or(Value::Null),
            };
            clean.insert(name, value);
        }
        Ok(clean)
    }
}
