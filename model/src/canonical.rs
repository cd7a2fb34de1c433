//! The canonical form of values: what two providers must agree on is compared in this form only.
//!
//! Line ends are LF, text that is empty says nothing, sets are sorted by their key, addresses are lower case.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A type that knows its canonical form.
pub trait Canonical: Sized {
    /// This value in canonical form; `None` when it says nothing.
    #[must_use]
    fn canonical(self) -> Option<Self>;
}

/// Checks that a JSON value has the shape of `T`, and brings it into canonical form.
///
/// # Errors
/// What is wrong with the value, for a person to read.
pub fn check<T: Canonical + Serialize + DeserializeOwned>(value: Value) -> Result<Option<Value>, String> {
    let typed: T = serde_json::from_value(value).map_err(|error| error.to_string())?;
    Ok(to_value(typed))
}

/// The canonical JSON of a typed value; `None` when it says nothing.
pub fn to_value<T: Canonical + Serialize>(typed: T) -> Option<Value> {
    serde_json::to_value(typed.canonical()?).ok()
}

impl Canonical for String {
    fn canonical(self) -> Option<Self> {
        let text = if self.contains('\r') {
            self.replace("\r\n", "\n").replace('\r', "\n")
        } else {
            self
        };
        (!text.is_empty()).then_some(text)
    }
}

impl Canonical for bool {
    fn canonical(self) -> Option<Self> {
        Some(self)
    }
}

impl Canonical for i64 {
    fn canonical(self) -> Option<Self> {
        Some(self)
    }
}

/// Sorted without doubles.
impl Canonical for Vec<String> {
    fn canonical(self) -> Option<Self> {
        let mut items: Self = self.into_iter().filter_map(Canonical::canonical).collect();
        items.sort();
        items.dedup();
        (!items.is_empty()).then_some(items)
    }
}

impl Canonical for serde_json::Map<String, Value> {
    fn canonical(mut self) -> Option<Self> {
        self.retain(|_, value| !value.is_null());
        (!self.is_empty()).then_some(self)
    }
}

/// Declares that a type is its own canonical form.
macro_rules! already_canonical {
    ($($name:ty),* $(,)?) => {$(
        impl $crate::canonical::Canonical for $name {
            fn canonical(self) -> Option<Self> {
                Some(self)
            }
        }
    )*};
}
pub(crate) use already_canonical;
