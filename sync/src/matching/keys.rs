//! By what records are told to be the same thing.

use jiff::tz::TimeZone;
use model::{Content, EventTime, Fields, Kind, series};
use serde_json::Value;

use super::Reason;
use crate::state::Record;

/// Keys by which records of this kind are candidates when their UIDs say nothing, and what such a match is called. A
/// record without keys is like no other.
pub(crate) fn candidate_keys(record: &Record) -> (Reason, Vec<String>) {
    match record.kind {
        Kind::Event => (Reason::TitleAndTime, title_and_time(record).into_iter().collect()),
        Kind::Contact => (Reason::Address, addresses(&record.content.fields)),
        // Calendars and folders are collections, never members of a mirror; a message is in one place.
        Kind::Calendar | Kind::Folder | Kind::Message => (Reason::Uid, Vec::new()),
    }
}

fn title_and_time(record: &Record) -> Option<String> {
    let fields = &record.content.fields;
    let title = words(fields, "title").filter(|title| !title.is_empty())?;
    let start = moment(fields)?;
    let rule = fields.get("recurrence").map(Value::to_string).unwrap_or_default();
    Some(format!("{start}\n{rule}\n{title}"))
}

/// A title or name as different programs would agree on: whatever else two of them make of it, they keep its words.
fn words(fields: &Fields, name: &str) -> Option<String> {
    let text = fields.get(name)?.as_str()?;
    Some(
        text.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase(),
    )
}

/// When an event begins. Providers name zones differently; the moment is the same.
fn moment(fields: &Fields) -> Option<String> {
    Some(match series::time_field(fields, "start")? {
        zoned @ EventTime::Zoned { .. } => zoned.instant(&TimeZone::UTC).to_string(),
        floating @ EventTime::Floating { .. } => floating.wall().to_string(),
        date @ EventTime::Date { .. } => date.wall().date().to_string(),
    })
}

/// Whether an object may be what was made of `sent`, by its name and time: names may come back cut short.
pub(crate) fn is_likely(kind: Kind, sent: &Content, object: &Content) -> bool {
    let (sent, found) = (&sent.fields, &object.fields);
    let name = match kind {
        Kind::Event | Kind::Calendar => "title",
        Kind::Contact => "display_name",
        Kind::Folder => "name",
        Kind::Message => "subject",
    };
    let (told, name) = (words(sent, name), words(found, name));
    if told.is_none() && moment(sent).is_none() {
        // Nothing was said by which it could be told from a stranger.
        return false;
    }
    let certain = match kind {
        Kind::Event => moment(sent).is_some() && moment(sent) == moment(found),
        Kind::Contact => {
            let known = addresses(sent);
            addresses(found).iter().any(|address| known.contains(address))
        }
        Kind::Calendar | Kind::Folder | Kind::Message => false,
    };
    let cut = match (&told, &name) {
        (Some(told), Some(name)) => !name.is_empty() && told.starts_with(name.as_str()),
        (None, _) | (_, None) => false,
    };
    (told == name && moment(sent) == moment(found)) || (certain && cut)
}

fn addresses(fields: &Fields) -> Vec<String> {
    let emails = fields.get("emails").and_then(Value::as_array);
    let addresses = emails
        .into_iter()
        .flatten()
        .filter_map(|email| email.get("address")?.as_str());
    addresses.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn contact(fields: Value) -> Content {
        Content::new(serde_json::from_value(fields).unwrap_or_default())
    }

    #[test]
    fn what_says_neither_name_nor_time_is_like_nothing() {
        let nameless = contact(json!({"company": "Acme"}));
        assert!(!is_likely(
            Kind::Contact,
            &nameless,
            &contact(json!({"company": "Other"}))
        ));
        let named = contact(json!({"display_name": "Ada  Lovelace"}));
        let found = contact(json!({"display_name": "ada lovelace"}));
        assert!(is_likely(Kind::Contact, &named, &found));
        assert!(!is_likely(Kind::Contact, &named, &nameless));
    }
}
