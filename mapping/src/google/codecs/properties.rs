//! What Google has no member for is kept in private extended properties, whose names begin with `concord.`.
//! <https://developers.google.com/workspace/calendar/api/guides/extended-properties>

use model::canonical;
use serde_json::{Map, Value};

use crate::engine::{Problem, typed};
use crate::google::tree::{Json, text};

/// Longest key of a property, in characters; longer ones are dropped by Google without a word.
const MAX_KEY: usize = 44;
/// Longest value of a property, in characters; likewise.
const MAX_VALUE: usize = 1024;
/// What the name of an own field begins with.
const CUSTOM: &str = "concord.x.";
/// Where the UID of the event's source stands: Google makes an `iCalUID` of its own.
const UID: &str = "extendedProperties/private/concord.uid";

fn fits(value: &str) -> bool {
    value.chars().count() <= MAX_VALUE
}

pub(in crate::google) fn uid(json: &Json, path: &str) -> Result<Option<Value>, Problem> {
    let uid = match text(json.at(UID))? {
        Some(uid) => Some(uid),
        None => text(json.at(path))?,
    };
    Ok(uid.map(str::to_owned).and_then(canonical::to_value))
}

pub(in crate::google) fn set_uid(json: &mut Json, value: Option<&Value>) -> Result<(), Problem> {
    let uid: Option<String> = value.map(typed).transpose()?;
    json.set(UID, uid.filter(|uid| fits(uid)).map(Value::from));
    Ok(())
}

/// Labels as a JSON list. One that is not is somebody else's, and says nothing here.
pub(in crate::google) fn labels(json: &Json, path: &str) -> Result<Option<Value>, Problem> {
    let labels = text(json.at(path))?.and_then(|text| serde_json::from_str::<Vec<String>>(text).ok());
    Ok(labels.and_then(canonical::to_value))
}

pub(in crate::google) fn set_labels(
    json: &mut Json,
    path: &str,
    value: Option<&Value>,
) -> Result<(), Problem> {
    let labels: Option<Vec<String>> = value.map(typed).transpose()?;
    let text = labels.map(|labels| Value::from(labels).to_string());
    json.set(path, text.filter(|text| fits(text)).map(Value::from));
    Ok(())
}

pub(in crate::google) fn custom(json: &Json, path: &str) -> Result<Option<Value>, Problem> {
    let Some(members) = json.object(path)? else {
        return Ok(None);
    };
    let own = members.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix(CUSTOM)?;
        let said = value.as_str()?;
        let value = serde_json::from_str(said).unwrap_or_else(|_| Value::from(said));
        Some((name.to_owned(), value))
    });
    Ok(canonical::to_value(own.collect::<Map<String, Value>>()))
}

pub(in crate::google) fn set_custom(
    json: &mut Json,
    path: &str,
    value: Option<&Value>,
) -> Result<(), Problem> {
    let wanted: Map<String, Value> = value.map(typed).transpose()?.unwrap_or_default();
    let known: Vec<String> = json
        .object(path)?
        .into_iter()
        .flat_map(Map::keys)
        .filter(|key| {
            key.strip_prefix(CUSTOM)
                .is_some_and(|name| !wanted.contains_key(name))
        })
        .cloned()
        .collect();
    for key in known {
        json.set_member(path, &key, None);
    }
    for (name, value) in &wanted {
        let key = format!("{CUSTOM}{name}");
        let text = value.to_string();
        if key.chars().count() <= MAX_KEY && fits(&text) {
            json.set_member(path, &key, Some(text.into()));
        }
    }
    Ok(())
}
