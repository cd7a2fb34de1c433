//! Events as changes of the contract.

use bytes::Bytes;
use connector_sdk::{
    Applied, Change, Coverage, Error, ErrorKind, RemoteCollection, RemoteId, RemoteObject, RemoteVersion,
    SeriesPart,
};
use model::{Content, Kind, series};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// What one event of an answer says. Never an error: an event that cannot be understood is set aside, and the rest
/// of its page goes on.
pub(crate) fn change(collection: &RemoteCollection, raw: &RawValue) -> Change {
    let bytes = Bytes::copy_from_slice(raw.get().as_bytes());
    let unreadable = |id: Option<&str>, version: Option<RemoteVersion>, reason: String| Change::Unreadable {
        id: RemoteId(id.map_or_else(|| nameless(&bytes), str::to_owned)),
        version,
        reason,
        raw: bytes.clone(),
    };
    let event: Value = match serde_json::from_str(raw.get()) {
        Ok(event) => event,
        Err(error) => return unreadable(None, None, format!("the event is not readable JSON: {error}")),
    };
    let text = |name: &str| {
        event
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let version = text("etag").map(|etag| RemoteVersion(etag.to_owned()));
    let Some(id) = text("id") else {
        return unreadable(None, version, "the event has no id".to_owned());
    };
    // "Cancelled exceptions of an uncancelled recurring event indicate that this instance should no longer be
    // presented to the user [...]. All other cancelled events represent deleted events."
    // https://developers.google.com/workspace/calendar/api/v3/reference/events#status
    if text("status") == Some("cancelled") && text("recurringEventId").is_none() {
        return Change::Deleted(RemoteId(id.to_owned()));
    }
    // The primary calendar's id is its owner's address.
    let me = Some(collection.id.0.as_str()).filter(|id| id.contains('@'));
    let read = match mapping::google::read(&event, me) {
        Ok(read) => read,
        Err(error) => return unreadable(Some(id), version, error.to_string()),
    };
    let (series, content) = match read.series {
        Some((master, original_start)) => {
            let fields = if read.cancelled {
                series::cancelled()
            } else {
                read.fields
            };
            let part = SeriesPart {
                series: RemoteId(master),
                original_start,
            };
            (Some(part), Content::new(fields))
        }
        None => {
            let content = Content {
                fields: read.fields,
                overrides: read.exdates,
            };
            (None, content)
        }
    };
    Change::Present(Box::new(RemoteObject {
        id: RemoteId(id.to_owned()),
        version,
        kind: Kind::Event,
        series,
        coverage: Coverage::Full,
        content,
        raw: bytes,
    }))
}

/// What a write was answered with.
pub(crate) fn stored(
    operation: &'static str,
    collection: &RemoteCollection,
    raw: &RawValue,
) -> Result<Applied, Error> {
    match change(collection, raw) {
        Change::Present(object) => Ok(Applied::Stored(object)),
        Change::Deleted(_) | Change::Unchanged(_) => Ok(Applied::Gone),
        Change::Unreadable { reason, .. } => Err(Error::new(
            ErrorKind::Unexpected,
            operation,
            format!("the event was written, and what Google answered cannot be read: {reason}"),
        )),
    }
}

/// A name for an event without one, the same each time it is seen.
fn nameless(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("without-id-{hex}")
}
