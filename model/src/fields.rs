//! The values of one part of a record. Copies are cheap: they share what they hold until one of them is changed.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Field values by name. Three states: absent (not said), `null` (cleared), a value.
///
/// It is used like the map that it holds. A sync compares and copies the same contents many times over and changes few
/// of them, so copies share one map, and whoever changes a shared one gets a map of their own first.
#[derive(Clone, Default)]
pub struct Fields(Arc<BTreeMap<String, Value>>);

impl Fields {
    /// No fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        // What is not there is no reason to stop sharing the rest.
        if self.0.contains_key(name) {
            self.deref_mut().remove(name)
        } else {
            None
        }
    }

    /// Whether both are copies of one, so that they need not be compared.
    #[must_use]
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Fields {
    type Target = BTreeMap<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Fields {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(&mut self.0)
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.is_shared_with(other) || self.0 == other.0
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<BTreeMap<String, Value>> for Fields {
    fn from(fields: BTreeMap<String, Value>) -> Self {
        Self(Arc::new(fields))
    }
}

impl<const N: usize> From<[(String, Value); N]> for Fields {
    fn from(fields: [(String, Value); N]) -> Self {
        BTreeMap::from(fields).into()
    }
}

impl FromIterator<(String, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(fields: I) -> Self {
        fields.into_iter().collect::<BTreeMap<_, _>>().into()
    }
}

impl Extend<(String, Value)> for Fields {
    fn extend<I: IntoIterator<Item = (String, Value)>>(&mut self, fields: I) {
        let mut fields = fields.into_iter().peekable();
        if fields.peek().is_some() {
            self.deref_mut().extend(fields);
        }
    }
}

impl IntoIterator for Fields {
    type Item = (String, Value);
    type IntoIter = btree_map::IntoIter<String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        Arc::unwrap_or_clone(self.0).into_iter()
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = (&'a String, &'a Value);
    type IntoIter = btree_map::Iter<'a, String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_copy_that_is_changed_leaves_the_other_as_it_was() {
        let one = Fields::from([("title".to_owned(), json!("Standup"))]);
        let mut other = one.clone();
        assert!(other.is_shared_with(&one));
        assert_eq!(other.remove("location"), None);
        assert!(other.is_shared_with(&one), "nothing was changed");
        other.insert("title".to_owned(), json!("Retrospective"));
        assert_eq!(one["title"], "Standup");
        assert_eq!(other["title"], "Retrospective");
        assert_ne!(one, other);
    }

    #[test]
    fn fields_that_say_the_same_are_equal_shared_or_not() {
        let one = Fields::from([("title".to_owned(), json!("Standup"))]);
        let other: Fields = one.clone().into_iter().collect();
        assert!(!one.is_shared_with(&other));
        assert_eq!(one, other);
        assert_eq!(serde_json::to_value(&one).unwrap(), json!({"title": "Standup"}));
    }
}
