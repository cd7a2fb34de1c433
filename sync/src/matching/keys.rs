//! By what records are told to be the same thing.

use jiff::tz::TimeZone;
use model::{EventTime, Kind, series};
use serde_json::Value;

use super::Reason;
use crate::state::Record;

/// Keys by which records of this kind are candidates when their UIDs say nothing, and what such a match is called. A
/// record without keys is like no other.
pub(crate) fn candidate_keys(record: &Record) -> (Reason, Vec<String>) {
    match record.kind {
        Kind::Event => (Reason::TitleAndTime, title_and_time(record).into_iter().collect()),
        Kind::Contact => (Reason::Address, addresses(record)),
        // Calendars are collections; they are never members of a mirror.
        Kind::Calendar => (Reason::Uid, Vec::new()),
    }
}

fn title_and_time(record: &Record) -> Option<String> {
    let fields = &record.content.fields;
    let title = fields.get("title")?.as_str()?;
    // Whatever else two programs make of a title, they keep its words.
    let title = title
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase();
    if title.is_empty() {
        return None;
    }
    let start = match series::time_field(fields, "start")? {
        // Providers name zones differently; the moment is the same.
        zoned @ EventTime::Zoned { .. } => zoned.instant(&TimeZone::UTC).to_string(),
        floating @ EventTime::Floating { .. } => floating.wall().to_string(),
        date @ EventTime::Date { .. } => date.wall().date().to_string(),
    };
    let rule = fields.get("recurrence").map(Value::to_string).unwrap_or_default();
    Some(format!("{start}\n{rule}\n{title}"))
}

fn addresses(record: &Record) -> Vec<String> {
    let emails = record.content.fields.get("emails").and_then(Value::as_array);
    let addresses = emails
        .into_iter()
        .flatten()
        .filter_map(|email| email.get("address")?.as_str());
    addresses.map(str::to_lowercase).collect()
}
