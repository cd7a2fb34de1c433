//! The kind `message`: one message in one folder of a mailbox. What was sent never changes; flags and labels do.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::canonical::Canonical;
use crate::event::{Description, Person};
use crate::record::kind;
use crate::schema::MergeClass::{Instant, Map as MapMerge, OrderedList, Scalar, Set, Text};

kind! {
    /// A message of a mailbox.
    Message, "message" {
        /// Subject, decoded, on one line.
        subject: String => Text, Shared, read_only;
        /// Whom it says it is from.
        from: People => OrderedList, Shared, read_only;
        /// To whom.
        to: People => OrderedList, Shared, read_only;
        /// To whom for their information.
        cc: People => OrderedList, Shared, read_only;
        /// To whom unseen by the others.
        bcc: People => OrderedList, Shared, read_only;
        /// Where answers shall go.
        reply_to: People => OrderedList, Shared, read_only;
        /// When it was sent, by its own word, RFC 3339 in UTC.
        sent_at: String => Instant, Shared, read_only;
        /// When the mailbox got it, RFC 3339 in UTC.
        received_at: String => Instant, PerLink, read_only;
        /// Its Message-ID, without angle brackets (RFC 5322 section 3.6.4).
        message_id: String => Scalar, Shared, read_only;
        /// The Message-IDs that it answers.
        in_reply_to: MessageIds => OrderedList, Shared, read_only;
        /// The Message-IDs of the conversation before it, oldest first.
        references: MessageIds => OrderedList, Shared, read_only;
        /// The Message-ID that its conversation began with, as far as it says: the same for all messages of one.
        thread: String => Scalar, Shared, read_only;
        /// What its reader noted by the protocol's own marks.
        flags: Vec<MessageFlag> => Set, Shared;
        /// What its reader noted in words of their own.
        labels: Vec<String> => Set, Shared;
        /// What it says: plain, and as HTML **as its sender wrote it**: to be made safe before it is shown.
        body: Description => Text, Shared, read_only;
        /// What hangs on it, in order. Metadata; the content is in the original.
        attachments: Vec<MessageAttachment> => OrderedList, Shared, read_only;
        /// How large it is at the provider, in bytes.
        size_bytes: i64 => Scalar, PerLink, read_only;
        /// Whether `body` and `attachments` say less than the message does, because it is very large.
        is_partial: bool => Scalar, Shared, read_only;
        /// The organization's own fields.
        custom: Map<String, Value> => MapMerge, Shared;
    }
}

/// Marks that mailboxes agree upon: the system flags of RFC 9051 section 2.3.2, and `$Forwarded`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MessageFlag {
    /// It was answered.
    Answered,
    /// It is to be removed when the mailbox is next tidied up.
    Deleted,
    /// It is not finished.
    Draft,
    /// It needs attention.
    Flagged,
    /// It was passed on.
    Forwarded,
    /// It was read.
    Seen,
}

/// Sorted by name, without doubles.
impl Canonical for Vec<MessageFlag> {
    fn canonical(mut self) -> Option<Self> {
        self.sort_unstable();
        self.dedup();
        (!self.is_empty()).then_some(self)
    }
}

/// People in the order in which a message names them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct People(pub Vec<Person>);

impl Canonical for People {
    fn canonical(self) -> Option<Self> {
        let people: Vec<Person> = self.0.into_iter().filter_map(Canonical::canonical).collect();
        (!people.is_empty()).then_some(Self(people))
    }
}

/// Message-IDs in order, without angle brackets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct MessageIds(pub Vec<String>);

impl Canonical for MessageIds {
    fn canonical(self) -> Option<Self> {
        let ids: Vec<String> = self.0.into_iter().filter_map(Canonical::canonical).collect();
        (!ids.is_empty()).then_some(Self(ids))
    }
}

/// Something that hangs on a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageAttachment {
    /// Its file name, as the sender gave it: not a path to be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its media type, lower case.
    #[schema(example = "application/pdf")]
    pub media_type: String,
    /// How large it is, decoded, in bytes.
    pub size_bytes: i64,
    /// The name by which the HTML body refers to it (`cid:`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
    /// Whether it is shown within the body.
    #[serde(default)]
    pub inline: bool,
}

impl Canonical for Vec<MessageAttachment> {
    fn canonical(mut self) -> Option<Self> {
        for attachment in &mut self {
            attachment.name = attachment.name.take().and_then(Canonical::canonical);
            attachment.content_id = attachment.content_id.take().and_then(Canonical::canonical);
            attachment.media_type.make_ascii_lowercase();
        }
        (!self.is_empty()).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kind::Kind;

    fn canonical(field: &str, value: Value) -> Value {
        let fields = [(field.to_owned(), value)].into();
        let mut fields = Kind::Message.schema().canonical(fields).unwrap();
        fields.remove(field).unwrap()
    }

    #[test]
    fn flags_and_labels_are_sets_and_people_keep_their_order() {
        assert_eq!(
            canonical("flags", json!(["seen", "answered", "seen"])),
            json!(["answered", "seen"])
        );
        assert_eq!(canonical("labels", json!(["b", "a", ""])), json!(["a", "b"]));
        assert_eq!(canonical("flags", json!([])), Value::Null);
        let people = json!([{"address": "Zoe@Example.org", "name": ""}, {"address": "al@example.org"}]);
        assert_eq!(
            canonical("to", people),
            json!([{"address": "zoe@example.org"}, {"address": "al@example.org"}])
        );
        assert_eq!(
            canonical("references", json!(["b@x", "a@x"])),
            json!(["b@x", "a@x"])
        );
    }

    #[test]
    fn only_what_a_reader_notes_can_be_written() {
        let writable = Kind::Message.schema().fields.iter().filter(|spec| spec.writable);
        let names: Vec<&str> = writable.map(|spec| spec.name).collect();
        assert_eq!(names, ["flags", "labels", "custom"]);
        let unknown = [("flags".to_owned(), json!(["read"]))].into();
        assert!(Kind::Message.schema().canonical(unknown).is_err());
    }
}
