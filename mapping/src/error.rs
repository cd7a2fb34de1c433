//! Why a vendor's object cannot be read or written, and what that means for the data.

use std::fmt;

/// Longest piece of somebody's data that an error repeats, in characters.
const MAX_QUOTED: usize = 60;

/// What sort of trouble a mapping met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The bytes are not of the vendor's format.
    Malformed,
    /// The object is larger or nested deeper than is accepted.
    TooLarge,
    /// A sound object of another kind (a task, a journal entry): nothing to quarantine, the caller may skip it.
    NotAnEvent,
    /// Overrides without the series that they belong to.
    LoneOverride,
    /// One object that holds several unrelated events.
    SeveralEvents,
    /// A time zone that neither a table nor the object itself explains.
    UnknownZone,
    /// Something that the mapping knows and does not support.
    Unsupported,
    /// A value of the wrong shape.
    Invalid,
    /// A value that must be there and is not.
    Missing,
}

impl Reason {
    /// The reason in the form that logs and the API use.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::NotAnEvent => "not_an_event",
            Self::LoneOverride => "lone_override",
            Self::SeveralEvents => "several_events",
            Self::UnknownZone => "unknown_zone",
            Self::Unsupported => "unsupported",
            Self::Invalid => "invalid_value",
            Self::Missing => "missing_value",
        }
    }
}

/// A vendor's object, or a record, that the mapping cannot carry over. Nothing of it is guessed: what was read is
/// set aside whole with this reason, what was to be written is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct MappingError {
    /// What sort of trouble it is.
    pub reason: Reason,
    /// The model field of the row; empty where the object as a whole is meant.
    pub field: String,
    /// The vendor path of the row (`DTSTART`, `start/dateTime`); empty where the object as a whole is meant.
    pub path: String,
    /// What is wrong, for a person to read.
    pub problem: String,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.field.as_str(), self.path.as_str()) {
            ("", "") => {}
            ("", path) => write!(f, "`{path}`: ")?,
            (field, "") => write!(f, "field `{field}`: ")?,
            (field, path) => write!(f, "field `{field}` (`{path}`): ")?,
        }
        f.write_str(&self.problem)?;
        match self.reason {
            Reason::NotAnEvent => f.write_str("; it is left alone"),
            Reason::Malformed
            | Reason::TooLarge
            | Reason::LoneOverride
            | Reason::SeveralEvents
            | Reason::UnknownZone
            | Reason::Unsupported
            | Reason::Invalid
            | Reason::Missing => {
                f.write_str("; the record is set aside as it is, nothing is guessed or written")
            }
        }
    }
}

/// What a codec found wrong, before the engine adds the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What sort of trouble it is.
    pub reason: Reason,
    /// What is wrong, for a person to read.
    pub text: String,
}

impl Problem {
    /// A problem in words.
    pub fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self {
            reason,
            text: text.into(),
        }
    }

    /// A value of the wrong shape.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(Reason::Invalid, text)
    }

    /// The error of a row.
    #[must_use]
    pub fn at(self, field: &str, path: &str) -> MappingError {
        MappingError {
            reason: self.reason,
            field: field.to_owned(),
            path: path.to_owned(),
            problem: self.text,
        }
    }
}

/// A piece of data as an error may show it: short, and on one line.
#[must_use]
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(MAX_QUOTED)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{short}`")
}
