//! The mails that Google would have sent, so that a test can show that none was.
//!
//! `sendUpdates` decides (`all`, `externalOnly`, `none`); the older `sendNotifications` counts when it is absent,
//! and the documented default of both is to send nothing.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events/insert#sendUpdates>

use serde_json::Value;

use super::errors::ApiError;
use super::params::Params;
use super::state::{Event, World};

/// Why a mail is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationKind {
    /// The recipient is invited.
    Invitation,
    /// The event has changed.
    Update,
    /// The event is off, or the recipient no longer invited.
    Cancellation,
}

/// A mail that would have been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Calendar on which the event is.
    pub calendar_id: String,
    /// The event.
    pub event_id: String,
    /// Attendee's address.
    pub recipient: String,
    /// Why.
    pub kind: NotificationKind,
}

/// Who is told of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendUpdates {
    All,
    ExternalOnly,
    Nobody,
}

impl SendUpdates {
    pub(crate) fn from_params(params: &Params) -> Result<Self, ApiError> {
        match params.get("sendUpdates") {
            Some("all") => Ok(Self::All),
            Some("externalOnly") => Ok(Self::ExternalOnly),
            Some("none") => Ok(Self::Nobody),
            Some(other) => Err(ApiError::invalid_parameter(
                "sendUpdates",
                format!("Invalid string value: '{other}'."),
            )),
            None if params.flag("sendNotifications")? == Some(true) => Ok(Self::All),
            None => Ok(Self::Nobody),
        }
    }
}

fn guests(event: Option<&Event>, calendar_id: &str) -> Vec<String> {
    let Some(attendees) = event
        .and_then(|event| event.body.get("attendees"))
        .and_then(Value::as_array)
    else {
        return Vec::new();
    };
    let emails = attendees
        .iter()
        .filter_map(|attendee| attendee.get("email")?.as_str());
    emails
        .filter(|email| *email != calendar_id)
        .map(str::to_owned)
        .collect()
}

/// Files the mails for one change: `before` and `after` are the event's states, absent when it was not there.
pub(crate) fn notify(
    world: &mut World,
    actor: &str,
    calendar_id: &str,
    before: Option<&Event>,
    after: &Event,
    send: SendUpdates,
) {
    if send == SendUpdates::Nobody {
        return;
    }
    let was_there = before.filter(|event| !event.is_cancelled());
    let old = guests(was_there, calendar_id);
    let new = if after.is_cancelled() {
        Vec::new()
    } else {
        guests(Some(after), calendar_id)
    };
    let event_id = after.text("id").unwrap_or_default().to_owned();
    let mut file = |recipient: String, kind: NotificationKind| {
        let internal = world.accounts.contains_key(&recipient);
        if recipient == actor || (send == SendUpdates::ExternalOnly && internal) {
            return;
        }
        let calendar_id = calendar_id.to_owned();
        world.mailbox.push(Notification {
            calendar_id,
            event_id: event_id.clone(),
            recipient,
            kind,
        });
    };
    for guest in &new {
        let kind = if old.contains(guest) {
            NotificationKind::Update
        } else {
            NotificationKind::Invitation
        };
        file(guest.clone(), kind);
    }
    for guest in old.into_iter().filter(|guest| !new.contains(guest)) {
        file(guest, NotificationKind::Cancellation);
    }
}
