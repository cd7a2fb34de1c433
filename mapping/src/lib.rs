//! Lenses: vendor JSON and iCalendar to the model and back, from one declaration. No I/O.

/// One field that a mapping covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSupport {
    /// The model's name of it.
    pub field: &'static str,
    /// Whether it can be written; a field that cannot is read only.
    pub writable: bool,
}
