//! Series: how an override relates to its master, and what happens to its key when the master moves.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::content::{Content, FieldPath, Fields, PartKey};
use crate::kind::Kind;
use crate::time::EventTime;

/// The typed time in a field, if there is one.
#[must_use]
pub fn time_field(fields: &Fields, name: &str) -> Option<EventTime> {
    EventTime::deserialize(fields.get(name)?).ok()
}

/// The fields of a deleted occurrence.
#[must_use]
pub fn cancelled() -> Fields {
    Fields::from([("status".to_owned(), json!("cancelled"))])
}

/// Whether an override's fields say that the occurrence is deleted.
#[must_use]
pub fn is_cancelled(fields: &Fields) -> bool {
    fields.get("status").and_then(Value::as_str) == Some("cancelled")
}

/// Whether a field says when something is: an occurrence does not inherit it as it stands.
#[must_use]
pub fn is_time(field: &str) -> bool {
    matches!(field, "start" | "end")
}

/// What the occurrence would be without an override: the master's fields at the occurrence's time.
#[must_use]
pub fn inherited(kind: Kind, master: &Fields, key: &PartKey) -> Fields {
    let schema = kind.schema();
    let mut fields: Fields = master
        .iter()
        .filter(|(name, _)| schema.field(name).is_some_and(|spec| spec.in_override))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let Some(master_start) = time_field(master, "start") else {
        return fields;
    };
    let Some(start) = EventTime::from_part_key(key, &master_start) else {
        return fields;
    };
    if let Some(master_end) = time_field(master, "end") {
        fields.insert(
            "end".to_owned(),
            json!(master_end.shifted(wall_shift(&master_start, &start))),
        );
    }
    fields.insert("start".to_owned(), json!(start));
    fields
}

/// The full fields of an occurrence: what it inherits, overlaid by what its override says.
#[must_use]
pub fn full(kind: Kind, master: &Fields, key: &PartKey, sparse: &Fields) -> Fields {
    let mut fields = inherited(kind, master, key);
    for (name, value) in sparse {
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    fields
}

/// The sparse form of an occurrence's full fields: what differs from the master, `null` where the master has a
/// value that the occurrence has not. A cancelled occurrence keeps only its status, unless the whole series is
/// cancelled: then it inherits that, and what else it says must survive until the series is taken up again.
#[must_use]
pub fn sparse(kind: Kind, master: &Fields, key: &PartKey, full: &Fields) -> Fields {
    if is_cancelled(full) && !is_cancelled(master) {
        return cancelled();
    }
    let schema = kind.schema();
    let inherited = inherited(kind, master, key);
    let mut fields: Fields = full
        .iter()
        .filter(|(name, value)| {
            schema.field(name).is_some_and(|spec| spec.in_override)
                && !value.is_null()
                && inherited.get(*name) != Some(value)
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for name in inherited.keys() {
        if full.get(name).is_none_or(Value::is_null) {
            fields.insert(name.clone(), Value::Null);
        }
    }
    fields
}

/// Leaves nothing of cancelled occurrences but that, as [`sparse`] does.
pub fn tidy(content: &mut Content) {
    if is_cancelled(&content.fields) {
        return;
    }
    for own in content.overrides.values_mut() {
        if own.len() > 1 && is_cancelled(own) {
            *own = cancelled();
        }
    }
}

/// Puts back into `now` what `before` said explicitly of an occurrence and what is still so, though only because the
/// master says the same now: a sparse form that was made from full fields does not show it. Such a value does not follow
/// the master when that changes. Times are left out, and occurrences of which `now` has no override.
pub fn keep_explicit(kind: Kind, before: &Content, now: &mut Content) {
    let before = aligned(before, now);
    for (key, was) in &before.overrides {
        let Some(own) = now.overrides.get_mut(key).filter(|own| !is_cancelled(own)) else {
            continue;
        };
        let full = full(kind, &now.fields, key, own);
        for (name, value) in was {
            let same = match value {
                Value::Null => !full.contains_key(name),
                value => full.get(name) == Some(value),
            };
            if same && !own.contains_key(name) && !is_time(name) {
                own.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Moves the keys of overrides along when a series' start moved from `old` to `new`.
#[must_use]
pub fn rekeyed(
    overrides: BTreeMap<PartKey, Fields>,
    old: &EventTime,
    new: &EventTime,
) -> BTreeMap<PartKey, Fields> {
    overrides
        .into_iter()
        .map(|(key, fields)| (moved(&key, old, new), fields))
        .collect()
}

/// The key that an occurrence has after its series' start moved from `old` to `new`.
#[must_use]
pub fn moved(key: &PartKey, old: &EventTime, new: &EventTime) -> PartKey {
    match EventTime::from_part_key(key, old) {
        Some(time) if !key.is_master() => new
            .with_wall(time.wall().saturating_add(wall_shift(old, new)))
            .part_key(new),
        Some(_) | None => key.clone(),
    }
}

/// `content` with its override keys as they would be if its master started where `like` starts. Two contents can
/// be compared part by part only when their keys speak of the same start.
#[must_use]
pub fn aligned(content: &Content, like: &Content) -> Content {
    if content.overrides.is_empty() {
        return content.clone();
    }
    let (Some(old), Some(new)) = (
        time_field(&content.fields, "start"),
        time_field(&like.fields, "start"),
    ) else {
        return content.clone();
    };
    if old == new {
        return content.clone();
    }
    Content {
        fields: content.fields.clone(),
        overrides: rekeyed(content.overrides.clone(), &old, &new),
    }
}

/// The start of which the key in a path speaks, if the path is of an occurrence.
#[must_use]
pub fn anchor(path: &FieldPath, content: &Content) -> Option<EventTime> {
    time_field(&content.fields, "start").filter(|_| !path.part.is_master())
}

/// How far the wall clock moved.
fn wall_shift(old: &EventTime, new: &EventTime) -> SignedDuration {
    new.wall().duration_since(old.wall())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master() -> Fields {
        serde_json::from_value(json!({
            "title": "Standup", "location": "Room 1", "uid": "u1",
            "start": {"kind": "zoned", "wall": "2026-01-05T09:00:00", "zone": "Europe/Berlin"},
            "end": {"kind": "zoned", "wall": "2026-01-05T09:15:00", "zone": "Europe/Berlin"},
            "recurrence": {"rules": ["FREQ=WEEKLY"], "dates": []},
        }))
        .unwrap()
    }

    #[test]
    fn an_override_says_only_what_differs() {
        let key = PartKey::occurrence("2026-01-12T09:00:00");
        let mut occurrence = inherited(Kind::Event, &master(), &key);
        assert_eq!(occurrence["end"]["wall"], "2026-01-12T09:15:00");
        occurrence.insert("title".to_owned(), json!("Long standup"));
        occurrence.remove("location");
        let thin = sparse(Kind::Event, &master(), &key, &occurrence);
        assert_eq!(
            thin,
            Fields::from([
                ("title".to_owned(), json!("Long standup")),
                ("location".to_owned(), Value::Null),
            ])
        );
        assert_eq!(full(Kind::Event, &master(), &key, &thin), occurrence);
    }

    #[test]
    fn keys_move_with_the_master() {
        let content = Content {
            fields: master(),
            overrides: [(PartKey::occurrence("2026-01-12T09:00:00"), cancelled())].into(),
        };
        let mut moved = content.clone();
        moved.fields.insert(
            "start".to_owned(),
            json!({"kind": "zoned", "wall": "2026-01-06T10:30:00", "zone": "Europe/Berlin"}),
        );
        let aligned = aligned(&content, &moved);
        assert_eq!(
            aligned.overrides.keys().next().unwrap().as_str(),
            "2026-01-13T10:30:00"
        );
    }
}
