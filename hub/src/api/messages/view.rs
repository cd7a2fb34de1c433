//! Messages as clients see them.

use model::message::MessageFlag;
use model::{CollectionId, Message, RecordId};
use serde::Serialize;
use serde_json::{Map, Value};
use store::RecordView;
use utoipa::ToSchema;

use crate::api::envelope::moment;
use crate::api::error::{ApiError, Code};
use crate::api::events::{content, home};
use crate::api::links::LinkBrief;

/// Longest preview, in characters.
const PREVIEW: usize = 200;

/// A message.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MessageOut {
    /// Its id.
    pub id: RecordId,
    /// Rises by one with every change; send it as `If-Match` when editing.
    #[schema(example = 3)]
    pub version: i64,
    /// The folder it is in.
    pub folder_id: Option<CollectionId>,
    /// The beginning of its plain body, on one line.
    #[schema(example = "Dear all, the review is moved to")]
    pub preview: String,
    /// What it says. Lists leave `body` out.
    #[serde(flatten)]
    pub message: Message,
    /// How it stands at its provider.
    pub links: Vec<LinkBrief>,
    /// When the hub first saw it.
    pub first_seen_at: String,
    /// When it last changed in the hub; `updated_after` compares with this.
    pub changed_at: String,
}

/// Changes to a message: fields that are absent stay, `null` clears (JSON Merge Patch, RFC 7396).
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"flags": ["seen", "flagged"]}))]
pub struct MessagePatch {
    /// What its reader noted by the protocol's own marks.
    pub flags: Option<Vec<MessageFlag>>,
    /// What its reader noted in words of their own. A mailbox takes words without spaces, of ASCII; others stay in the
    /// hub.
    pub labels: Option<Vec<String>>,
    /// The organization's own fields.
    pub custom: Option<Map<String, Value>>,
}

impl MessageOut {
    /// A message with all that it says.
    ///
    /// # Errors
    /// When a stored field cannot be read.
    pub fn of(view: &RecordView) -> Result<Self, ApiError> {
        let message = Message::from_fields(&content(view).fields).map_err(|error| {
            tracing::error!(%error, "a stored message cannot be shown");
            ApiError::new(Code::Internal, "a stored message cannot be read")
        })?;
        Ok(Self {
            id: view.record.id.clone(),
            version: view.record.version,
            folder_id: home(view).map(|link| link.collection.clone()),
            preview: preview(&message),
            message,
            links: view.links.iter().map(LinkBrief::of).collect(),
            first_seen_at: moment(view.record.created_at),
            changed_at: moment(view.record.updated_at),
        })
    }

    /// A message without its body.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn brief(view: &RecordView) -> Result<Self, ApiError> {
        let mut message = Self::of(view)?;
        message.message.body = None;
        Ok(message)
    }
}

fn preview(message: &Message) -> String {
    let text = message.body.as_ref().map_or("", |body| body.text.as_str());
    let mut preview = String::new();
    for word in text.split_whitespace() {
        let room = PREVIEW.saturating_sub(preview.chars().count());
        if room == 0 {
            break;
        }
        if !preview.is_empty() {
            preview.push(' ');
        }
        preview.extend(word.chars().take(room));
    }
    preview
}

#[cfg(test)]
mod tests {
    use model::event::Description;

    use super::*;

    #[test]
    fn a_preview_is_short_and_on_one_line() {
        let of = |text: &str| {
            let body = Some(Description {
                text: text.to_owned(),
                html: None,
            });
            preview(&Message {
                body,
                ..Message::default()
            })
        };
        assert_eq!(of("Dear  all,\n\n the\treview"), "Dear all, the review");
        assert!(of(&"ä".repeat(5_000)).chars().count() <= PREVIEW);
        assert!(of(&"ä ".repeat(5_000)).chars().count() <= PREVIEW + 1);
        assert_eq!(of(""), "");
    }
}
