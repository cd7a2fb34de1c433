//! Who wrote to whom, about what, when, and in answer to what.

use jiff::Timestamp;
use mail_parser::{Address, HeaderValue};
use model::event::Person;
use model::message::{Message, MessageIds, People};

use super::line;

/// Longest subject, name or address that is kept, in bytes. A line of a header has at most 998 (RFC 5322 section 2.1.1).
const LONGEST: usize = 998;
/// Most people that one field may name.
const MOST_PEOPLE: usize = 1_000;
/// Most Message-IDs of a conversation; of more, the first and the last are kept.
const MOST_REFERENCES: usize = 200;

pub(super) fn read(parsed: &mail_parser::Message<'_>) -> Message {
    let message_id = parsed.message_id().and_then(|id| line(id, LONGEST));
    let in_reply_to = ids(parsed.in_reply_to());
    let references = ids(parsed.references());
    let first = |ids: &Option<MessageIds>| ids.as_ref().and_then(|ids| ids.0.first().cloned());
    Message {
        subject: parsed.subject().and_then(|subject| line(subject, LONGEST)),
        from: people(parsed.from()),
        to: people(parsed.to()),
        cc: people(parsed.cc()),
        bcc: people(parsed.bcc()),
        reply_to: people(parsed.reply_to()),
        sent_at: parsed
            .date()
            .filter(|date| date.is_valid())
            .and_then(|date| Timestamp::from_second(date.to_timestamp()).ok())
            .map(|moment| moment.to_string()),
        thread: first(&references)
            .or_else(|| first(&in_reply_to))
            .or_else(|| message_id.clone()),
        message_id,
        in_reply_to,
        references,
        ..Message::default()
    }
}

fn people(address: Option<&Address<'_>>) -> Option<People> {
    let named = address?.iter().filter_map(|one| {
        Some(Person {
            address: line(one.address.as_deref()?, LONGEST)?,
            name: one.name.as_deref().and_then(|name| line(name, LONGEST)),
        })
    });
    let people: Vec<Person> = named.take(MOST_PEOPLE).collect();
    (!people.is_empty()).then_some(People(people))
}

fn ids(value: &HeaderValue<'_>) -> Option<MessageIds> {
    let mut ids: Vec<String> = match value {
        HeaderValue::Text(id) => line(id, LONGEST).into_iter().collect(),
        HeaderValue::TextList(list) => list.iter().filter_map(|id| line(id, LONGEST)).collect(),
        _ => Vec::new(),
    };
    if ids.len() > MOST_REFERENCES {
        ids.drain(1..=ids.len() - MOST_REFERENCES);
    }
    (!ids.is_empty()).then_some(MessageIds(ids))
}
