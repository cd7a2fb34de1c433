//! `reminders`: the calendar's defaults, or up to five of the event's own.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events#reminders>

use model::canonical;
use model::event::{Reminder, ReminderMethod, Reminders};
use serde_json::{Value, json};

use crate::engine::{Problem, typed};
use crate::google::tree::{Json, expected};

/// "Valid values are between 0 and 40320 (4 weeks in minutes)."
const MINUTES: std::ops::RangeInclusive<i64> = 0..=40_320;
/// "The maximum number of override reminders is 5."
const MAX_ITEMS: usize = 5;

fn reminder(element: &Value) -> Option<Reminder> {
    let method = match element.get("method")?.as_str()? {
        "popup" => ReminderMethod::Popup,
        "email" => ReminderMethod::Email,
        _ => return None,
    };
    Some(Reminder {
        minutes_before: element.get("minutes")?.as_i64()?,
        method,
    })
}

const fn method(method: ReminderMethod) -> &'static str {
    match method {
        ReminderMethod::Popup => "popup",
        ReminderMethod::Email => "email",
    }
}

fn own(json: &Json, path: &str) -> Result<Vec<Value>, Problem> {
    Ok(json.array(&format!("{path}/overrides"))?.to_vec())
}

pub(in crate::google) fn reminders(json: &Json, path: &str) -> Result<Option<Value>, Problem> {
    let Some(members) = json.object(path)? else {
        return Ok(None);
    };
    let use_default = match members.get("useDefault") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(yes)) => *yes,
        Some(other) => return Err(expected("true or false", other)),
    };
    let items = own(json, path)?.iter().filter_map(reminder).collect();
    Ok(canonical::to_value(Reminders { use_default, items }))
}

/// The defaults and own alarms exclude each other at Google; where both are wanted the own ones stay. Alarms that
/// Google cannot have (after the start, more than four weeks before, a sixth one) are left out.
pub(in crate::google) fn set_reminders(
    json: &mut Json,
    path: &str,
    value: Option<&Value>,
) -> Result<(), Problem> {
    let mut wanted: Reminders = value.map(typed).transpose()?.unwrap_or_default();
    wanted.items.retain(|item| MINUTES.contains(&item.minutes_before));
    wanted.items.truncate(MAX_ITEMS);
    if wanted.use_default && wanted.items.is_empty() {
        json.set(path, Some(json!({"useDefault": true})));
        return Ok(());
    }
    let mut elements = own(json, path)?;
    elements.retain(|element| reminder(element).is_none_or(|known| wanted.items.contains(&known)));
    let known: Vec<Reminder> = elements.iter().filter_map(reminder).collect();
    let new = wanted.items.iter().filter(|item| !known.contains(item));
    elements.extend(new.map(|item| json!({"method": method(item.method), "minutes": item.minutes_before})));
    json.set(&format!("{path}/useDefault"), Some(false.into()));
    json.set(&format!("{path}/overrides"), Some(Value::Array(elements)));
    Ok(())
}
