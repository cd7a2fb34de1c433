//! Mistakes in how an object is understood, whatever brought it.

use connector_sdk::{Capability, Change, Coverage, Notifies, RemoteId, RemoteObject};
use model::{Content, EventTime, series};
use serde_json::Value;

use super::connector::ConnectorFault;
use super::memory::Memory;

/// A delta's `null` is read as a field that was not said.
#[derive(Default)]
pub(super) struct NullIsAbsent;

impl ConnectorFault for NullIsAbsent {
    fn object(&self, mut object: RemoteObject) -> RemoteObject {
        if object.coverage == Coverage::Sparse {
            object.content.fields.retain(|_, value| !value.is_null());
        }
        object
    }
}

/// What a delta does not say is read as cleared.
#[derive(Default)]
pub(super) struct AbsentIsNull;

impl ConnectorFault for AbsentIsNull {
    fn object(&self, mut object: RemoteObject) -> RemoteObject {
        object.coverage = Coverage::Full;
        object.content.fields.retain(|_, value| !value.is_null());
        object
    }
}

/// A zone that nobody knows becomes UTC.
#[derive(Default)]
pub(super) struct ZoneBecomesUtc;

impl ConnectorFault for ZoneBecomesUtc {
    fn object(&self, mut object: RemoteObject) -> RemoteObject {
        for name in ["start", "end"] {
            if let Some(time) = object.content.fields.get_mut(name)
                && time.get("zone").and_then(Value::as_str) == Some("Asia/Tokyo")
            {
                time["zone"] = "UTC".into();
            }
        }
        object
    }
}

/// Rich text is read as plain text.
#[derive(Default)]
pub(super) struct RichTextFlattened;

impl ConnectorFault for RichTextFlattened {
    fn object(&self, mut object: RemoteObject) -> RemoteObject {
        for name in ["description", "notes"] {
            if let Some(Value::Object(text)) = object.content.fields.get_mut(name) {
                text.remove("html");
            }
        }
        object
    }
}

/// Overrides keep the keys that they had before their series moved, when the move is seen.
#[derive(Default)]
pub(super) struct KeysStay(Memory<EventTime>);

impl ConnectorFault for KeysStay {
    fn object(&self, mut object: RemoteObject) -> RemoteObject {
        let content = &mut object.content;
        if let Some(start) = series::time_field(&content.fields, "start") {
            let everywhere = RemoteId(String::new());
            let before = self.0.get(&everywhere, &object.id);
            self.0.keep(&everywhere, &object.id, start.clone());
            if let Some(before) = before {
                let overrides = std::mem::take(&mut content.overrides);
                content.overrides = series::rekeyed(overrides, &start, &before);
            }
        }
        object
    }
}

/// What cannot be understood counts as gone.
#[derive(Default)]
pub(super) struct UnreadableIsGone;

impl ConnectorFault for UnreadableIsGone {
    fn change(&self, change: Change) -> Change {
        match change {
            Change::Unreadable { id, .. } => Change::Deleted(id),
            Change::Present(_) | Change::Unchanged(_) | Change::Deleted(_) => change,
        }
    }
}

/// The connector says that the provider cannot hold what it can.
#[derive(Default)]
pub(super) struct ProjectsTooLittle;

impl ConnectorFault for ProjectsTooLittle {
    fn project(&self, mut honest: Content) -> Content {
        honest.retain(|_, field| !["location", "company"].contains(&field));
        honest
    }
}

/// The connector says that the provider mails nobody, though it always does.
#[derive(Default)]
pub(super) struct SilenceAssumed;

impl ConnectorFault for SilenceAssumed {
    fn capability(&self, honest: Capability) -> Capability {
        Capability {
            notifies: Notifies::Never,
            ..honest
        }
    }
}
