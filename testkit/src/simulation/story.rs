//! What happened, in short: for a person who reads how a schedule went wrong.

use connector_sdk::{Action, Applied, Error, Write};
use model::{Content, FieldPath};
use sync::ports::Effect;

/// A write at a provider, and how it was answered.
pub(crate) fn write(write: &Write, answer: Option<&Result<Applied, Error>>) -> String {
    let answered = match answer {
        Some(Ok(Applied::Stored(object))) => format!("stored {} {:?}", object.id, object.version),
        Some(Ok(Applied::Gone)) => "gone".to_owned(),
        Some(Err(error)) => format!("{} ({})", error.kind.name(), error.message),
        None => "no answer".to_owned(),
    };
    let asked = match &write.action {
        Action::Create { content } => format!("create {}", content_of(content)),
        Action::Update {
            target,
            content,
            changed,
        } => {
            let values = changed.iter().map(|path| value(path, content));
            let values: Vec<String> = values.collect();
            format!(
                "update {:?} {:?} {}",
                target.id,
                target.version,
                values.join(", ")
            )
        }
        Action::Delete { target } => format!("delete {:?} {:?}", target.id, target.version),
    };
    format!("{asked} -> {answered}")
}

fn value(path: &FieldPath, content: &Content) -> String {
    match content.get(path) {
        Some(value) => format!("{path}={value}"),
        None => format!("{path} cleared"),
    }
}

/// A content in one line.
pub(crate) fn content_of(content: &Content) -> String {
    serde_json::to_string(content).unwrap_or_default()
}

/// What a commit does.
pub(crate) fn commit(effects: &[Effect]) -> String {
    let words: Vec<String> = effects.iter().filter_map(effect).collect();
    words.join("; ")
}

fn effect(effect: &Effect) -> Option<String> {
    let text = match effect {
        Effect::CreateRecord(record) => format!("new {} {}", record.id, content_of(&record.content)),
        Effect::UpdateRecord(record) => {
            let deleted = if record.deleted { " deleted" } else { "" };
            let content = content_of(&record.content);
            format!("{} v{}{deleted} {content}", record.id, record.version)
        }
        Effect::CreateLink(link) => format!("new {} of {} on {}", link.id, link.record, link.connection),
        Effect::UpdateLink(link) => format!(
            "{} of {} on {}: {:?}, parts {:?}, base remote {}, base hub {}",
            link.id,
            link.record,
            link.connection,
            link.state,
            link.parts,
            content_of(&link.snapshots.remote),
            if link.snapshots.hub == link.snapshots.remote {
                "the same".to_owned()
            } else {
                content_of(&link.snapshots.hub)
            },
        ),
        Effect::DropLink { link, .. } => format!("drop {link}"),
        Effect::PutCursor { cursor, .. } => format!("cursor {cursor:?}"),
        Effect::OpenIntent(intent) => format!("open {} of {}", intent.id, intent.link),
        Effect::CloseIntent(intent) => format!("close {intent}"),
        Effect::PutConflict(conflict) => format!(
            "conflict on {} at {:?}: hub {:?}, remote {:?}, {:?} wins",
            conflict.record, conflict.path, conflict.hub, conflict.remote, conflict.winner
        ),
        Effect::Quarantine(quarantine) => format!("quarantine {}: {}", quarantine.remote, quarantine.reason),
        Effect::HoldCollection { hold: Some(hold), .. } => format!("hold: {}", hold.reason),
        _ => return None,
    };
    Some(text)
}
