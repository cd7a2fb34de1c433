//! iCalendar (RFC 5545) and the model: a whole CalDAV resource to a record's content and back.
//!
//! Declared losses of the direction to iCalendar, which [`project`] shows: `my_response`, `custom`, `split_from` and
//! `reminders.use_default` cannot be said; times have no fractions of a second; `optional` is only said of
//! participants and resources; control characters, and white space around labels, are left out.

pub(crate) mod codecs;
pub(crate) mod event;
pub mod line;
mod parts;
mod resource;
pub mod rows;
pub mod tree;
mod vtimezone;
pub(crate) mod zones;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use model::content::{Content, FieldPath};
use serde_json::Value;

use crate::engine::{self, FieldSupport};
use crate::error::MappingError;
use resource::Resource;
use rows::EVENT_ROWS;

/// The moment of a write, from the caller's clock.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// What `DTSTAMP` and `LAST-MODIFIED` will say.
    pub now: Timestamp,
}

/// Reads a whole CalDAV resource: master, overrides and excluded dates, in canonical sparse form.
///
/// # Errors
/// Bytes that are no iCalendar, an object that is no event, or a row that cannot be read; see
/// [`Reason`](crate::Reason).
pub fn read(raw: &[u8]) -> Result<Content, MappingError> {
    Resource::open(raw)?.content()
}

/// Writes the changed paths of `content` into the object as it was last seen, and nothing else; without an object, a
/// whole new one. `DTSTAMP`, `LAST-MODIFIED` and, where people agreed to something else, `SEQUENCE` say so; an
/// object that already says what is wanted comes back byte for byte.
///
/// # Errors
/// An object that cannot be read, or a value that iCalendar cannot say.
pub fn write(
    raw: Option<&[u8]>,
    content: &Content,
    changed: &BTreeSet<FieldPath>,
    stamp: Stamp,
) -> Result<Vec<u8>, MappingError> {
    let Some(raw) = raw else {
        return Ok(create(content, stamp)?.into_bytes());
    };
    let mut resource = Resource::open(raw)?;
    let old = resource.content()?;
    let target = parts::merged(&old, content, changed);
    resource.apply(&old, &target, stamp, false)?;
    Ok(resource.into_bytes())
}

fn create(content: &Content, stamp: Stamp) -> Result<Resource, MappingError> {
    let uid = content.fields.get("uid").and_then(Value::as_str);
    if uid.is_none_or(str::is_empty) {
        return Err(engine::missing("uid", "UID", "a new event needs a UID"));
    }
    if content.fields.get("start").is_none_or(Value::is_null) {
        let problem = "an event cannot be written without a start";
        return Err(engine::missing("start", "DTSTART", problem));
    }
    let mut resource = Resource::blank(stamp);
    resource.apply(&Content::default(), content, stamp, true)?;
    Ok(resource)
}

/// What reading gives after writing `content` as a new object: everything that iCalendar can say of it.
#[must_use]
pub fn project(content: &Content) -> Content {
    let mut whole = content.clone();
    let has_uid = whole.fields.contains_key("uid");
    whole
        .fields
        .entry("uid".to_owned())
        .or_insert_with(|| Value::from("projection"));
    let stamp = Stamp {
        now: Timestamp::UNIX_EPOCH,
    };
    let written = create(&whole, stamp).and_then(|resource| read(&resource.into_bytes_without_zones()));
    let mut projection = written.unwrap_or(whole);
    engine::retain_carried(EVENT_ROWS, &mut projection.fields);
    if !has_uid {
        projection.fields.remove("uid");
    }
    projection
}

/// The fields that an iCalendar object can hold.
#[must_use]
pub fn support() -> &'static [FieldSupport] {
    static SUPPORT: LazyLock<Vec<FieldSupport>> = LazyLock::new(|| engine::support(EVENT_ROWS));
    &SUPPORT
}
