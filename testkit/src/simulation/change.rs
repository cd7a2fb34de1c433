//! What people change: pure functions from a content to the next, each writing values that can be followed.

use jiff::SignedDuration;
use model::{Content, EventTime, FieldPath, Fields, Kind, PartKey, series};
use serde_json::{Value, json};

use super::oracle::Oracle;
use super::token::{self, PEOPLE};

/// One person's change of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Another name.
    Name,
    /// Another long text, rich.
    Text,
    /// Another place, or company.
    Place,
    /// No place any more.
    ClearPlace,
    /// One more guest, or address.
    AddPerson,
    /// One fewer.
    DropPerson,
    /// One more label.
    AddLabel,
    /// One fewer.
    DropLabel,
    /// What belongs to the account alone.
    Own,
    /// The whole moves in time.
    Move,
    /// A series gets fewer or more occurrences.
    Count,
    /// One occurrence of a series.
    Occurrence(OccurrenceChange),
}

/// A change of one occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OccurrenceChange {
    /// Another name.
    Name,
    /// Another place.
    Place,
    /// It moves in time.
    Move,
    /// It does not take place.
    Cancel,
    /// It takes place after all, as its series says.
    Revive,
    /// What belongs to the account alone.
    Own,
}

/// How often each change is made, out of a hundred.
pub const WEIGHTS: [(Change, u32); 17] = [
    (Change::Name, 16),
    (Change::Text, 8),
    (Change::Place, 10),
    (Change::ClearPlace, 3),
    (Change::AddPerson, 9),
    (Change::DropPerson, 5),
    (Change::AddLabel, 6),
    (Change::DropLabel, 3),
    (Change::Own, 4),
    (Change::Move, 8),
    (Change::Count, 2),
    (Change::Occurrence(OccurrenceChange::Name), 8),
    (Change::Occurrence(OccurrenceChange::Place), 4),
    (Change::Occurrence(OccurrenceChange::Move), 4),
    (Change::Occurrence(OccurrenceChange::Cancel), 5),
    (Change::Occurrence(OccurrenceChange::Revive), 3),
    (Change::Occurrence(OccurrenceChange::Own), 2),
];

/// What the fields of a kind are called.
struct Names {
    name: &'static str,
    text: &'static str,
    place: &'static str,
    people: &'static str,
    labels: &'static str,
    own: &'static str,
}

const fn names(kind: Kind) -> Names {
    match kind {
        Kind::Event | Kind::Calendar => Names {
            name: "title",
            text: "description",
            place: "location",
            people: "attendees",
            labels: "categories",
            own: "reminders",
        },
        Kind::Contact => Names {
            name: "display_name",
            text: "notes",
            place: "company",
            people: "emails",
            labels: "tags",
            own: "my_note",
        },
        // Messages are not made by people's edits here; the names are those that a reader may set.
        Kind::Folder | Kind::Message => Names {
            name: "subject",
            text: "body",
            place: "thread",
            people: "to",
            labels: "labels",
            own: "custom",
        },
    }
}

/// A new record: a single event, a daily series, or a contact.
#[must_use]
pub fn fresh(kind: Kind, as_series: bool, pick: u32, oracle: &mut Oracle) -> Content {
    let names = names(kind);
    let entity = oracle.fresh_entity();
    let title = format!("{entity} {}", oracle.fresh_text());
    let mut fields = Fields::from([
        (names.name.to_owned(), json!(title)),
        ("uid".to_owned(), json!(format!("{entity}{PEOPLE}"))),
    ]);
    if kind == Kind::Event {
        let (minute, second) = oracle.fresh_time();
        let wall = |hour: u32| format!("2026-02-{:02}T{hour:02}:{minute:02}:{second:02}", 1 + pick % 27);
        let zone = ["Europe/Berlin", "America/New_York", "Asia/Tokyo"][pick as usize % 3];
        let at = |hour| json!({"kind": "zoned", "wall": wall(hour), "zone": zone});
        let hour = 7 + pick % 9;
        fields.extend([
            ("start".to_owned(), at(hour)),
            ("end".to_owned(), at(hour + 1)),
            ("status".to_owned(), json!("confirmed")),
            ("busy".to_owned(), json!(true)),
        ]);
        if as_series {
            fields.insert("recurrence".to_owned(), daily(4 + pick % 4));
        }
    }
    if pick.is_multiple_of(4) {
        let people = vec![person(kind, &oracle.fresh_text())];
        fields.insert(names.people.to_owned(), Value::Array(people));
    }
    Content::new(fields)
}

/// The content after the change; `None` where there is nothing of the sort to change.
#[must_use]
pub fn apply(
    kind: Kind,
    content: &Content,
    change: Change,
    pick: u32,
    oracle: &mut Oracle,
) -> Option<Content> {
    let names = names(kind);
    let thinned = thinned(kind, content);
    let content = &thinned;
    let mut next = content.clone();
    match change {
        Change::Name => {
            let title = renamed(content, &names, oracle)?;
            next.fields.insert(names.name.to_owned(), title);
        }
        Change::Text => {
            let text = oracle.fresh_text();
            let value = json!({"text": text, "html": format!("<p>{text}</p>")});
            next.fields.insert(names.text.to_owned(), value);
        }
        Change::Place => {
            next.fields
                .insert(names.place.to_owned(), json!(oracle.fresh_text()));
        }
        Change::ClearPlace => {
            next.fields.remove(names.place)?;
        }
        Change::AddPerson => {
            let one = person(kind, &oracle.fresh_text());
            edit_list(&mut next, names.people, |people| people.push(one));
        }
        Change::DropPerson => drop_one(&mut next, names.people, pick)?,
        Change::AddLabel => {
            let label = json!(oracle.fresh_text());
            edit_list(&mut next, names.labels, |labels| labels.push(label));
        }
        Change::DropLabel => drop_one(&mut next, names.labels, pick)?,
        Change::Own => {
            let value = own(kind, oracle);
            next.fields.insert(names.own.to_owned(), value);
        }
        Change::Move => next = moved(content, pick, oracle)?,
        Change::Count => {
            occurrence_count(content)?;
            next.fields.insert("recurrence".to_owned(), daily(2 + pick % 7));
        }
        Change::Occurrence(change) => {
            let key = occurrence(content, pick)?;
            return changed_occurrence(kind, content, &key, change, pick, oracle);
        }
    }
    let fields = kind.schema().canonical(next.fields).ok()?;
    next.fields = fields.into_iter().filter(|(_, value)| !value.is_null()).collect();
    Some(next)
}

/// Overrides without what their series says too: that is no value of their own, and follows the series.
#[must_use]
pub fn thinned(kind: Kind, content: &Content) -> Content {
    let mut thinned = content.clone();
    for (key, own) in &content.overrides {
        let full = series::full(kind, &content.fields, key, own);
        let thin = series::sparse(kind, &content.fields, key, &full);
        thinned.overrides.insert(key.clone(), thin);
    }
    thinned.overrides.retain(|_, own| !own.is_empty());
    thinned
}

/// One of the occurrences that the series makes, cancelled ones among them.
#[must_use]
pub fn occurrence(content: &Content, pick: u32) -> Option<PartKey> {
    let count = occurrence_count(content)?;
    let start = series::time_field(&content.fields, "start")?;
    let days = i64::from(pick % count);
    Some(
        start
            .shifted(SignedDuration::from_hours(24 * days))
            .part_key(&start),
    )
}

/// How many occurrences a series of ours has.
fn occurrence_count(content: &Content) -> Option<u32> {
    let rule = content.fields.get("recurrence")?.get("rules")?.get(0)?.as_str()?;
    let count = rule.split(';').find_map(|part| part.strip_prefix("COUNT="))?;
    count.parse().ok().filter(|count| *count > 0)
}

fn daily(count: u32) -> Value {
    json!({"rules": [format!("FREQ=DAILY;COUNT={count}")], "dates": []})
}

fn person(kind: Kind, text: &str) -> Value {
    let address = format!("{text}{PEOPLE}");
    match kind {
        Kind::Contact => json!({"address": address}),
        Kind::Folder | Kind::Message => json!({"address": address}),
        Kind::Event | Kind::Calendar => {
            json!({"address": address, "role": "participant", "response": "needs_action", "optional": false})
        }
    }
}

fn own(kind: Kind, oracle: &mut Oracle) -> Value {
    match kind {
        Kind::Contact | Kind::Folder | Kind::Message => json!(oracle.fresh_text()),
        Kind::Event | Kind::Calendar => {
            let (minute, second) = oracle.fresh_time();
            let before = i64::from(minute) * 60 + i64::from(second);
            json!({"use_default": false, "items": [{"minutes_before": before, "method": "popup"}]})
        }
    }
}

/// The name with a new token: who it is stays readable in front.
fn renamed(content: &Content, names: &Names, oracle: &mut Oracle) -> Option<Value> {
    let entity = token::entity_text(token::entity(content)?);
    content.fields.get(names.name)?;
    Some(json!(format!("{entity} {}", oracle.fresh_text())))
}

fn edit_list(content: &mut Content, field: &str, edit: impl FnOnce(&mut Vec<Value>)) {
    let mut list = match content.fields.remove(field) {
        Some(Value::Array(list)) => list,
        Some(_) | None => Vec::new(),
    };
    edit(&mut list);
    content.fields.insert(field.to_owned(), Value::Array(list));
}

fn drop_one(content: &mut Content, field: &str, pick: u32) -> Option<()> {
    let length = content.fields.get(field)?.as_array()?.len();
    (length > 0).then(|| {
        edit_list(content, field, |list| {
            list.remove(pick as usize % length);
        });
    })
}

/// Begins some hours earlier or later, at a minute of its own. Overrides move along.
fn moved(content: &Content, pick: u32, oracle: &mut Oracle) -> Option<Content> {
    let start = series::time_field(&content.fields, "start")?;
    let mut next = content.clone();
    let times = moved_times(&content.fields, &start, pick, oracle)?;
    next.fields.extend(times);
    next.overrides = series::aligned(content, &next).overrides;
    Some(next)
}

/// Start and end of what lasts as long as before, at another hour and a minute of its own.
fn moved_times(fields: &Fields, start: &EventTime, pick: u32, oracle: &mut Oracle) -> Option<Fields> {
    let end = series::time_field(fields, "end")?;
    let length = start.until(&end);
    let (minute, second) = oracle.fresh_time();
    let hour = i8::try_from(6 + pick % 12).ok()?;
    let wall = start.wall();
    let wall = wall.date().at(hour, minute, second, 0);
    let begin = start.with_wall(wall);
    let end = begin.shifted(length);
    Some(Fields::from([
        ("start".to_owned(), json!(begin)),
        ("end".to_owned(), json!(end)),
    ]))
}

/// One occurrence changed. Where the change takes back the last thing it says for itself, the override goes.
fn changed_occurrence(
    kind: Kind,
    content: &Content,
    key: &PartKey,
    change: OccurrenceChange,
    pick: u32,
    oracle: &mut Oracle,
) -> Option<Content> {
    let names = names(kind);
    let mut next = content.clone();
    let cancelled = content.overrides.get(key).is_some_and(series::is_cancelled);
    if cancelled != (change == OccurrenceChange::Revive) {
        return None;
    }
    let path = |field: &str| FieldPath {
        part: key.clone(),
        field: field.to_owned(),
    };
    match change {
        OccurrenceChange::Name => {
            let name = renamed(content, &names, oracle)?;
            next.set(&path(names.name), Some(name));
        }
        OccurrenceChange::Place => next.set(&path(names.place), Some(json!(oracle.fresh_text()))),
        OccurrenceChange::Own => next.set(&path(names.own), Some(own(kind, oracle))),
        OccurrenceChange::Cancel => {
            next.overrides.insert(key.clone(), series::cancelled());
        }
        OccurrenceChange::Revive => {
            next.overrides.remove(key);
        }
        OccurrenceChange::Move => {
            let sparse = content.overrides.get(key).cloned().unwrap_or_default();
            let full = series::full(kind, &content.fields, key, &sparse);
            let start = series::time_field(&full, "start")?;
            for (field, value) in moved_times(&full, &start, pick, oracle)? {
                next.set(&path(&field), Some(value));
            }
        }
    }
    Some(next)
}

/// The JSON Merge Patch that turns one set of fields into another.
#[must_use]
pub fn merge_patch(before: &Fields, after: &Fields) -> serde_json::Map<String, Value> {
    let gone = before.keys().filter(|field| !after.contains_key(*field));
    let changed = after
        .iter()
        .filter(|(field, value)| before.get(*field) != Some(value));
    gone.map(|field| (field.clone(), Value::Null))
        .chain(changed.map(|(field, value)| (field.clone(), value.clone())))
        .collect()
}
