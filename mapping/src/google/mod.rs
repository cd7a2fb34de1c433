//! Google Calendar's events and the model. One event of Google is one part of a record: the master, or one override
//! of a series; the connector puts the parts together.
//!
//! Declared losses of the direction to Google, which [`project`] shows: floating times become wall times of the
//! calendar's zone; `organizer` and `conferencing` are Google's to set; roles other than resource become
//! participant, `delegated` becomes `declined`; a colour must be of Google's palette, `url` of the web; alarms after
//! the start or more than four weeks before it, and all after the fifth, are left out; a rich description keeps its
//! HTML, and its plain form is derived from that; fractions of a second are left out.

mod codecs;
pub mod rows;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use model::content::{Content, Fields, PartKey};
use model::{EventTime, Kind, canonical, series, zone};
use serde_json::{Map, Value};

use crate::engine::{self, FieldSupport, Problem, Row};
use crate::error::{MappingError, Reason};
use codecs::{recurrence, time};
use rows::{CALENDAR_ROWS, EVENT_ROWS};
use tree::{Json, expected, text};

/// One event as Google holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct GoogleEvent {
    /// Google's id of it.
    pub id: String,
    /// Its version; empty when the answer has none.
    pub etag: String,
    /// For one occurrence of a series: the series' id, and when the occurrence was to start.
    pub series: Option<(String, EventTime)>,
    /// Whether it is deleted or cancelled.
    pub cancelled: bool,
    /// All canonical fields of this one event, inherited ones included. A deleted event has perhaps only `status`.
    pub fields: Fields,
    /// The occurrences that `EXDATE` lines take out, as cancelled overrides.
    pub exdates: BTreeMap<PartKey, Fields>,
}

fn members(raw: &Value) -> Result<Map<String, Value>, MappingError> {
    match raw {
        Value::Object(members) => Ok(members.clone()),
        other => Err(expected("an object", other).at("", "")),
    }
}

/// Reads an event. `me` is the account's address, for answers that Google did not mark as its own.
///
/// # Errors
/// The first member that has another shape than Google documents, or a zone that nobody knows.
pub fn read(raw: &Value, me: Option<&str>) -> Result<GoogleEvent, MappingError> {
    let mut json = Json::new(members(raw)?);
    json.me = me.map(str::to_owned);
    let at = |path: &'static str| move |problem: Problem| problem.at("", path);
    let id = text(json.at("id")).map_err(at("id"))?.filter(|id| !id.is_empty());
    let id = id
        .ok_or_else(|| engine::missing("", "id", "the event has no id"))?
        .to_owned();
    let etag = text(json.at("etag"))
        .map_err(at("etag"))?
        .unwrap_or_default()
        .to_owned();
    let series = series_of(&json)?;
    let cancelled = text(json.at("status")).map_err(at("status"))? == Some("cancelled");
    // "Cancelled exceptions ... are only guaranteed to have values for the id, recurringEventId and
    // originalStartTime fields populated"; other deleted events only for the id.
    if cancelled && json.at("start").is_none() {
        let fields = series::cancelled();
        return Ok(GoogleEvent {
            id,
            etag,
            series,
            cancelled,
            fields,
            exdates: BTreeMap::new(),
        });
    }
    let fields = fields_of(&json, series.is_none())?;
    if !fields.contains_key("start") {
        return Err(engine::missing("start", "start", "the event has no start"));
    }
    let excluded = recurrence::excluded(&json).map_err(|problem| problem.at("status", "recurrence"))?;
    let exdates = excluded
        .into_iter()
        .map(|key| (key, series::cancelled()))
        .collect();
    Ok(GoogleEvent {
        id,
        etag,
        series,
        cancelled,
        fields,
        exdates,
    })
}

fn series_of(json: &Json) -> Result<Option<(String, EventTime)>, MappingError> {
    let series = text(json.at("recurringEventId")).map_err(|problem| problem.at("", "recurringEventId"))?;
    let Some(series) = series else { return Ok(None) };
    let original = json.at("originalStartTime");
    let original = original.ok_or_else(|| {
        engine::missing(
            "start",
            "originalStartTime",
            "an occurrence does not say which one it is",
        )
    })?;
    let start = time::read(original).map_err(|problem| problem.at("start", "originalStartTime"))?;
    Ok(Some((series.to_owned(), start)))
}

fn fields_of(json: &Json, master: bool) -> Result<Fields, MappingError> {
    if master {
        engine::read(EVENT_ROWS, json)
    } else {
        engine::read(engine::override_rows(EVENT_ROWS), json)
    }
}

/// The full fields of a part.
fn part_fields(content: &Content, part: &PartKey) -> Fields {
    if part.is_master() {
        return content.fields.clone();
    }
    let sparse = content.overrides.get(part).cloned().unwrap_or_default();
    series::full(Kind::Event, &content.fields, part, &sparse)
}

fn cancelled_keys(content: &Content) -> BTreeSet<PartKey> {
    let cancelled = content
        .overrides
        .iter()
        .filter(|(_, fields)| series::is_cancelled(fields));
    cancelled.map(|(key, _)| key.clone()).collect()
}

/// The body with which a part is created, without an id. Deleted occurrences of a new series are `EXDATE` lines.
/// Floating times are written in `calendar_zone`.
///
/// # Errors
/// A part without a start, or a value that Google cannot be told.
pub fn insert(content: &Content, part: &PartKey, calendar_zone: &str) -> Result<Value, MappingError> {
    let fields = part_fields(content, part);
    let mut json = Json {
        calendar_zone: zone_name(calendar_zone)?,
        ..Json::default()
    };
    if fields.get("start").is_none_or(Value::is_null) {
        return Err(engine::missing(
            "start",
            "start",
            "an event cannot be written without a start",
        ));
    }
    if part.is_master() {
        engine::write(EVENT_ROWS, &mut json, &fields, true)?;
        let excluded = cancelled_keys(content);
        if !excluded.is_empty() {
            let at = |problem: Problem| problem.at("status", "recurrence");
            recurrence::set_excluded(&mut json, &excluded).map_err(at)?;
        }
    } else {
        engine::write(engine::override_rows(EVENT_ROWS), &mut json, &fields, false)?;
    }
    if json.at("end").is_none() {
        let at = |problem: Problem| problem.at("end", "end");
        time::set_end(&mut json, "end", None).map_err(at)?;
    }
    Ok(Value::Object(json.root))
}

fn zone_name(calendar_zone: &str) -> Result<Option<String>, MappingError> {
    let known = zone::canonical(calendar_zone);
    let known =
        known.map_err(|error| Problem::new(Reason::UnknownZone, error.to_string()).at("", "timeZone"))?;
    Ok(Some(known.to_owned()))
}

/// The body of a PATCH that brings the changed fields of a part to what `content` says, and nothing else: `null`
/// clears, lists are whole with the unknown members of the elements that stay. `raw` is the event as last seen. An
/// event that says it all already gives an empty object. Floating times are written in `calendar_zone`.
///
/// The master's `EXDATE` lines go with it: those of occurrences that are no longer deleted are taken out, and when
/// the start moves all deleted occurrences are named anew.
///
/// # Errors
/// An event that cannot be read, or a value that Google cannot be told.
pub fn patch(
    raw: Option<&Value>,
    content: &Content,
    part: &PartKey,
    changed: &BTreeSet<String>,
    calendar_zone: &str,
) -> Result<Value, MappingError> {
    let fields = part_fields(content, part);
    if !part.is_master() && series::is_cancelled(&fields) {
        return Ok(serde_json::json!({"status": "cancelled"}));
    }
    let before = raw.map(members).transpose()?.unwrap_or_default();
    let mut json = Json {
        root: before.clone(),
        calendar_zone: zone_name(calendar_zone)?,
        me: None,
    };
    let in_part = |row: &&Row| {
        part.is_master() || engine::override_rows(EVENT_ROWS).any(|known| known.field == row.field)
    };
    let named = |row: &&Row| {
        changed.contains(row.field) || (row.field == "recurrence" && dates_move(&fields, changed))
    };
    let rows = EVENT_ROWS.iter().filter(in_part).filter(named);
    if raw.is_none() {
        let rows: Vec<&Row> = rows.collect();
        engine::force(rows.iter().copied(), &mut json, &fields)?;
        clear_unsaid(&rows, &mut json);
        return Ok(Value::Object(json.root));
    }
    let at = |problem: Problem| problem.at("status", "recurrence");
    let start_before = time::start_of(&json).map_err(|problem| problem.at("start", "start"))?;
    let excluded = if part.is_master() {
        recurrence::excluded(&json).map_err(at)?
    } else {
        BTreeSet::new()
    };
    engine::write(rows, &mut json, &fields, false)?;
    let start_after = time::start_of(&json).map_err(|problem| problem.at("start", "start"))?;
    if part.is_master() && json.at("recurrence").is_some() {
        let cancelled = cancelled_keys(content);
        let wanted: BTreeSet<PartKey> = match (&start_before, &start_after) {
            (Some(before), Some(after)) if before != after => cancelled,
            _ if changed.contains("recurrence") => excluded.intersection(&cancelled).cloned().collect(),
            _ => excluded,
        };
        if recurrence::excluded(&json).map_err(at)? != wanted {
            recurrence::set_excluded(&mut json, &wanted).map_err(at)?;
        }
    }
    Ok(Value::Object(difference(&before, &json.root)))
}

/// Further dates are wall times of the start's zone, so they may have to be said anew when it changes.
fn dates_move(fields: &Fields, changed: &BTreeSet<String>) -> bool {
    let dates = fields
        .get("recurrence")
        .and_then(|value| value.get("dates"))
        .and_then(Value::as_array);
    changed.contains("start") && dates.is_some_and(|dates| !dates.is_empty())
}

/// For an event that was not seen: says `null` where a field was cleared, and for the form that a time has not.
fn clear_unsaid(rows: &[&Row], json: &mut Json) {
    for row in rows {
        let Some(value) = json.at(row.path) else {
            if row.field != "my_response" && row.field != "custom" {
                let path = row.path.strip_suffix("/url").unwrap_or(row.path);
                json.set(path, Some(Value::Null));
            }
            continue;
        };
        if !matches!(row.field, "start" | "end") {
            continue;
        }
        let unsaid: &[&str] = if value.get("date").is_some() {
            &["dateTime", "timeZone"]
        } else {
            &["date"]
        };
        for name in unsaid {
            json.set_member(row.path, name, Some(Value::Null));
        }
    }
}

/// What a PATCH must say to make `before` into `after`: objects member by member, everything else whole.
fn difference(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let mut body = Map::new();
    for (name, new) in after {
        match (before.get(name), new) {
            (Some(old), new) if old == new => {}
            (Some(Value::Object(old)), Value::Object(new)) => {
                body.insert(name.clone(), Value::Object(difference(old, new)));
            }
            (_, new) => {
                body.insert(name.clone(), new.clone());
            }
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        body.insert(name.clone(), Value::Null);
    }
    body
}

/// What reading gives after writing `content` as new events: everything that Google can hold of it. Floating times
/// are read back in `calendar_zone`.
#[must_use]
pub fn project(content: &Content, calendar_zone: &str) -> Content {
    let written = |part: &PartKey| -> Result<Fields, MappingError> {
        let body = members(&insert(content, part, calendar_zone)?)?;
        let mut fields = fields_of(&Json::new(body), part.is_master())?;
        engine::retain_carried(EVENT_ROWS, &mut fields);
        Ok(fields)
    };
    let mut projection = Content::new(written(&PartKey::MASTER).unwrap_or_else(|_| {
        let mut fields = content.fields.clone();
        engine::retain_carried(EVENT_ROWS, &mut fields);
        fields
    }));
    for (key, sparse) in &content.overrides {
        let fields = if series::is_cancelled(sparse) {
            series::cancelled()
        } else {
            match written(key) {
                Ok(full) => series::sparse(Kind::Event, &projection.fields, key, &full),
                Err(_) => sparse.clone(),
            }
        };
        if !fields.is_empty() {
            projection.overrides.insert(key.clone(), fields);
        }
    }
    projection
}

/// The fields that an event of Google can hold.
#[must_use]
pub fn support() -> &'static [FieldSupport] {
    static SUPPORT: LazyLock<Vec<FieldSupport>> = LazyLock::new(|| engine::support(EVENT_ROWS));
    &SUPPORT
}

/// Reads a calendar list entry as the fields of a calendar.
///
/// # Errors
/// A member that has another shape than Google documents, or a zone that nobody knows.
pub fn read_calendar(raw: &Value) -> Result<Fields, MappingError> {
    let json = Json::new(members(raw)?);
    let mut fields = engine::read(CALENDAR_ROWS, &json)?;
    if let Some(name) = text(json.at("timeZone")).map_err(|problem| problem.at("zone", "timeZone"))? {
        let zone = zone_name(name)?.and_then(canonical::to_value);
        fields.extend(zone.map(|zone| ("zone".to_owned(), zone)));
    }
    let role = text(json.at("accessRole")).map_err(|problem| problem.at("read_only", "accessRole"))?;
    if let Some(role) = role {
        fields.insert(
            "read_only".to_owned(),
            (!matches!(role, "writer" | "owner")).into(),
        );
    }
    if let Some(primary) = json.at("primary").and_then(Value::as_bool) {
        fields.insert("primary".to_owned(), primary.into());
    }
    Ok(fields)
}
