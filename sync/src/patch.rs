//! Applying a client's JSON Merge Patch, and what a record must hold afterwards.

use model::{Content, FieldError, Fields, Kind, series};
use serde_json::{Map, Value};

use crate::edit::EditError;

/// The fields after a JSON Merge Patch (RFC 7396): objects merge by member, `null` clears.
pub(crate) fn merge_patch(
    schema: &model::Schema,
    fields: &Fields,
    patch: &Map<String, Value>,
) -> Result<Fields, EditError> {
    check_writable(schema, patch.keys())?;
    let mut merged = Fields::new();
    for (name, change) in patch {
        let mut value = fields.get(name).cloned().unwrap_or(Value::Null);
        apply_patch(&mut value, change);
        merged.insert(name.clone(), value);
    }
    let mut next = fields.clone();
    next.extend(schema.canonical(merged)?);
    next.retain(|_, value| !value.is_null());
    Ok(next)
}

fn apply_patch(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    // A time of another kind is another object, not a change of the old one's members.
    let other_kind = changes
        .get("kind")
        .is_some_and(|kind| target.get("kind") != Some(kind));
    if !target.is_object() || other_kind {
        *target = Value::Object(Map::new());
    }
    let Some(members) = target.as_object_mut() else {
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            apply_patch(members.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

pub(crate) fn check_writable<'a>(
    schema: &model::Schema,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), EditError> {
    for name in names {
        if schema.field(name).is_some_and(|spec| !spec.writable) {
            let problem = "is set by the provider or the hub and cannot be written".to_owned();
            return Err(FieldError {
                field: name.clone(),
                problem,
            }
            .into());
        }
    }
    Ok(())
}

/// Moves override keys along when the start of a series moved; a kind without a start has none.
pub(crate) fn follow_start(mut next: Content, before: &Content) -> Content {
    let start = |content: &Content| series::time_field(&content.fields, "start");
    if let (Some(old), Some(new)) = (start(before), start(&next))
        && old != new
    {
        next.overrides = series::rekeyed(std::mem::take(&mut next.overrides), &old, &new);
    }
    next
}

/// What a record of this kind must hold to be stored.
pub(crate) fn check_content(kind: Kind, content: &Content) -> Result<(), EditError> {
    match kind {
        Kind::Event => check_event(content),
        Kind::Calendar | Kind::Contact | Kind::Folder | Kind::Message => Ok(()),
    }
}

/// What an event must hold to be stored: a start, an end that is not before it, a rule that can be read.
fn check_event(content: &Content) -> Result<(), EditError> {
    let refuse = |field: &str, problem: String| {
        Err(FieldError {
            field: field.to_owned(),
            problem,
        }
        .into())
    };
    let Some(start) = series::time_field(&content.fields, "start") else {
        return refuse("start", "an event needs a start".to_owned());
    };
    if let Some(end) = series::time_field(&content.fields, "end") {
        if std::mem::discriminant(&start) != std::mem::discriminant(&end) {
            return refuse("end", "must be of the same kind as the start".to_owned());
        }
        if start.until(&end).is_negative() {
            return refuse("end", "is before the start".to_owned());
        }
    }
    if model::expand::is_series(content) {
        let from = start.instant(&jiff::tz::TimeZone::UTC);
        let to = from
            .saturating_add(jiff::SignedDuration::from_hours(24))
            .unwrap_or(from);
        if let Err(error) = model::expand::occurrences(content, from, to, &jiff::tz::TimeZone::UTC) {
            return refuse("recurrence", error.to_string());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_event_needs_a_start() {
        let nothing = Content::default();
        assert!(
            matches!(check_content(Kind::Event, &nothing), Err(EditError::Field(error)) if error.field == "start")
        );
        check_content(Kind::Contact, &nothing).unwrap();
    }
}
