//! What a message says, and what hangs on it.

use mail_parser::{MessagePart, MimeHeaders as _, PartType};
use model::event::Description;
use model::message::{Message, MessageAttachment};

use super::{clean, line};

/// Most bytes of a plain body that are kept in the record; the original has all.
const LONGEST_TEXT: usize = 256 << 10;
/// Most bytes of an HTML body.
const LONGEST_HTML: usize = 512 << 10;
/// Most attachments that are listed.
const MOST_ATTACHMENTS: usize = 1_000;
const LONGEST_NAME: usize = 255;

/// Puts body and attachments into the message; whether something had to be left out.
pub(super) fn read(parsed: &mail_parser::Message<'_>, message: &mut Message) -> bool {
    let mut shortened = false;
    let mut text = Kept::new(LONGEST_TEXT);
    let mut html = Kept::new(LONGEST_HTML);
    let part = |id: usize| parsed.parts.get(id);
    for at in 0..parsed.text_body.len() {
        // A part that is HTML only comes as the text in it.
        if let Some(body) = parsed.body_text(at) {
            text.add(&body);
        }
    }
    for id in &parsed.html_body {
        if let Some(PartType::Html(body)) = part(*id as usize).map(|part| &part.body) {
            html.add(body);
        }
    }
    shortened |= text.cut || html.cut;
    message.body = Some(Description {
        text: clean(text.text.trim_end()),
        html: (!html.text.is_empty()).then(|| clean(&html.text)),
    });
    let listed: Vec<MessageAttachment> = parsed
        .attachments
        .iter()
        .filter_map(|id| part(*id as usize))
        .take(MOST_ATTACHMENTS)
        .map(attachment)
        .collect();
    shortened |= parsed.attachments.len() > MOST_ATTACHMENTS;
    message.attachments = Some(listed);
    shortened
}

fn attachment(part: &MessagePart<'_>) -> MessageAttachment {
    let media_type = match (&part.body, part.content_type()) {
        (_, Some(kind)) => match kind.subtype() {
            Some(subtype) => format!("{}/{subtype}", kind.ctype()),
            None => kind.ctype().to_owned(),
        },
        (PartType::Message(_), None) => "message/rfc822".to_owned(),
        (PartType::Text(_) | PartType::Html(_), None) => "text/plain".to_owned(),
        (_, None) => "application/octet-stream".to_owned(),
    };
    let size = match &part.body {
        PartType::Message(message) => message.raw_message.len(),
        _ => part.len(),
    };
    MessageAttachment {
        name: part.attachment_name().and_then(|name| line(name, LONGEST_NAME)),
        media_type: line(&media_type, LONGEST_NAME)
            .unwrap_or_default()
            .to_ascii_lowercase(),
        size_bytes: i64::try_from(size).unwrap_or(i64::MAX),
        content_id: part.content_id().and_then(|id| line(id, LONGEST_NAME)),
        inline: part
            .content_disposition()
            .is_some_and(|disposition| disposition.is_inline()),
    }
}

/// A text that grows up to a length.
struct Kept {
    text: String,
    longest: usize,
    cut: bool,
}

impl Kept {
    const fn new(longest: usize) -> Self {
        Self {
            text: String::new(),
            longest,
            cut: false,
        }
    }

    fn add(&mut self, more: &str) {
        let room = self.longest.saturating_sub(self.text.len());
        let end = more.floor_char_boundary(room);
        self.cut |= end < more.len();
        if !self.text.is_empty() && end > 0 {
            self.text.push('\n');
        }
        self.text.push_str(&more[..end]);
    }
}
