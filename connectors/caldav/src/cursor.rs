//! A place in a calendar's history, as JSON that only this connector reads.

use connector_sdk::{Cursor, Error, ErrorKind};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Place {
    /// A token of `sync-collection` (RFC 6578).
    Sync { token: String },
    /// The calendar's ctag, where the server has one.
    Compare { ctag: Option<String> },
}

impl Place {
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor(serde_json::json!(self).to_string())
    }

    /// What cannot be read is not guessed: a full enumeration puts everything right.
    pub(crate) fn read(cursor: &Cursor, operation: &'static str) -> Result<Self, Error> {
        serde_json::from_str(&cursor.0).map_err(|error| {
            let message = "the stored cursor is not one of this connector's";
            Error::new(ErrorKind::CursorExpired, operation, message).with_source(error)
        })
    }
}
