//! Messages (RFC 5322, MIME) to the model. What was sent never changes, so that direction is the only one; what a reader
//! notes of a message, its flags and keywords, goes both ways ([`noted`]).

mod bodies;
mod headers;
pub mod noted;

use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;
use mail_parser::MessageParser;
use model::{Content, Fields};

use crate::engine::FieldSupport;
use crate::error::{MappingError, Problem, Reason};

pub use noted::Noted;

/// What is known of a message besides its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Received {
    /// When the mailbox got it.
    pub at: Option<Timestamp>,
    /// How large it is, in bytes.
    pub size_bytes: i64,
    /// Whether the bytes are its beginning only.
    pub is_cut: bool,
}

/// Reads what was sent, without what a reader notes of it.
///
/// # Errors
/// `Malformed` when there is no message in the bytes.
pub fn read(raw: &[u8], received: Received) -> Result<Fields, MappingError> {
    let malformed = |text: &str| Problem::new(Reason::Malformed, text).at("", "");
    // The parser takes whatever strangers send; a fault in it is this message's trouble and nobody else's.
    let parsed = catch_unwind(AssertUnwindSafe(|| MessageParser::default().parse(raw)));
    let parsed = parsed.map_err(|_| malformed("the message cannot be taken apart"))?;
    let parsed = parsed.ok_or_else(|| malformed("there is no header in the message"))?;
    if parsed.headers().is_empty() {
        return Err(malformed("there is no header in the message"));
    }
    let mut message = headers::read(&parsed);
    let shortened = bodies::read(&parsed, &mut message);
    message.received_at = received.at.map(|at| at.to_string());
    message.size_bytes = Some(received.size_bytes);
    message.is_partial = (shortened || received.is_cut).then_some(true);
    Ok(message.into_fields())
}

/// The Message-ID of what [`read`] made; empty where it has none.
#[must_use]
pub fn message_id(fields: &Fields) -> &str {
    fields
        .get("message_id")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
}

/// The fields that a mailbox holds. Written are those that a reader notes.
#[must_use]
pub fn support() -> &'static [FieldSupport] {
    const fn field(field: &'static str, writable: bool) -> FieldSupport {
        FieldSupport { field, writable }
    }
    const SUPPORT: &[FieldSupport] = &[
        field("subject", false),
        field("from", false),
        field("to", false),
        field("cc", false),
        field("bcc", false),
        field("reply_to", false),
        field("sent_at", false),
        field("received_at", false),
        field("message_id", false),
        field("in_reply_to", false),
        field("references", false),
        field("thread", false),
        field("flags", true),
        field("labels", true),
        field("body", false),
        field("attachments", false),
        field("size_bytes", false),
        field("is_partial", false),
    ];
    SUPPORT
}

/// What would be read back if this content were written: labels that no mailbox can hold are left out.
#[must_use]
pub fn project(content: &Content) -> Content {
    let mut fields = content.fields.clone();
    let supported = |name: &str| support().iter().any(|known| known.field == name);
    fields.retain(|name, _| supported(name));
    Noted::of_fields(&fields).canonical().put(&mut fields);
    Content::new(fields)
}

/// A text without what databases and terminals stumble over: NUL and other controls but tab and line ends.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && !matches!(c, '\t' | '\n' | '\r') {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// A text on one line, of at most so many bytes.
fn line(text: &str, most: usize) -> Option<String> {
    let text = text[..text.floor_char_boundary(most)].replace(['\r', '\n', '\t'], " ");
    let text = clean(text.trim());
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
