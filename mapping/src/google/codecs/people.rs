//! `organizer` and `attendees`.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events#attendees>

use model::canonical;
use model::event::{Attendee, Person, Response, Role};
use serde_json::{Map, Value, json};

use crate::engine::{Problem, typed};
use crate::error::Reason;
use crate::google::tree::{Json, text};

pub(in crate::google) fn person(json: &Json, path: &str) -> Result<Option<Value>, Problem> {
    let Some(members) = json.object(path)? else {
        return Ok(None);
    };
    let Some(address) = text(members.get("email"))? else {
        return Ok(None);
    };
    let name = text(members.get("displayName"))?;
    Ok(canonical::to_value(Person {
        address: address.to_owned(),
        name: name.map(str::to_owned),
    }))
}

/// Model answer and `responseStatus`. A delegate was sent: Google can only say that the person does not come.
const RESPONSES: [(Response, &str); 5] = [
    (Response::NeedsAction, "needsAction"),
    (Response::Accepted, "accepted"),
    (Response::Declined, "declined"),
    (Response::Tentative, "tentative"),
    (Response::Delegated, "declined"),
];

fn response(members: &Map<String, Value>) -> Response {
    let said = members
        .get("responseStatus")
        .and_then(Value::as_str)
        .unwrap_or_default();
    RESPONSES
        .iter()
        .find(|(_, word)| *word == said)
        .map_or(Response::NeedsAction, |(response, _)| *response)
}

fn word(response: Response) -> &'static str {
    RESPONSES
        .iter()
        .find(|(known, _)| *known == response)
        .map_or("needsAction", |(_, word)| word)
}

fn is_true(members: &Map<String, Value>, name: &str) -> bool {
    members.get(name).and_then(Value::as_bool) == Some(true)
}

/// The lower-case address; Google leaves it out where it may not be shown.
fn address(element: &Value) -> Option<String> {
    let address = element.get("email")?.as_str()?.trim().to_lowercase();
    (!address.is_empty()).then_some(address)
}

fn attendee(element: &Value) -> Option<Attendee> {
    let members = element.as_object()?;
    Some(Attendee {
        address: address(element)?,
        name: members
            .get("displayName")
            .and_then(Value::as_str)
            .map(str::to_owned),
        role: if is_true(members, "resource") {
            Role::Resource
        } else {
            Role::Participant
        },
        response: response(members),
        optional: is_true(members, "optional"),
    })
}

pub(in crate::google) fn attendees(json: &Json, path: &str) -> Result<Option<Value>, Problem> {
    Ok(canonical::to_value(
        json.array(path)?.iter().filter_map(attendee).collect::<Vec<_>>(),
    ))
}

pub(in crate::google) fn set_attendees(
    json: &mut Json,
    path: &str,
    value: Option<&Value>,
) -> Result<(), Problem> {
    if json.at("attendeesOmitted").and_then(Value::as_bool) == Some(true) {
        return Err(Problem::new(
            Reason::Unsupported,
            "Google left attendees out of its answer; writing the list would remove them",
        ));
    }
    let mut wanted: Vec<Attendee> = value.map(typed).transpose()?.unwrap_or_default();
    let mut elements = Vec::new();
    for element in json.array(path)? {
        let Some(known) = address(element) else {
            elements.push(element.clone());
            continue;
        };
        if let Some(at) = wanted.iter().position(|attendee| attendee.address == known) {
            elements.push(said(element.clone(), &wanted.remove(at)));
        }
    }
    elements.extend(wanted.iter().map(|new| said(json!({"email": new.address}), new)));
    json.set(path, (!elements.is_empty()).then_some(Value::Array(elements)));
    Ok(())
}

/// The element saying what is wanted; members that already mean it, and unknown ones, stay.
fn said(mut element: Value, wanted: &Attendee) -> Value {
    let known = attendee(&element);
    let Value::Object(members) = &mut element else {
        return element;
    };
    let mut set = |name: &str, value: Option<Value>| match value {
        Some(value) => drop(members.insert(name.to_owned(), value)),
        None => drop(members.remove(name)),
    };
    if known.as_ref().and_then(|known| known.name.as_ref()) != wanted.name.as_ref() {
        set("displayName", wanted.name.as_deref().map(Value::from));
    }
    let response = known
        .as_ref()
        .map_or(Response::NeedsAction, |known| known.response);
    if word(response) != word(wanted.response) {
        set("responseStatus", Some(word(wanted.response).into()));
    }
    if known.as_ref().is_some_and(|known| known.optional) != wanted.optional {
        set("optional", Some(wanted.optional.into()));
    }
    let is_resource = known.is_some_and(|known| known.role == Role::Resource);
    if is_resource != (wanted.role == Role::Resource) {
        set("resource", Some((!is_resource).into()));
    }
    element
}

/// Which element is the account's own.
fn own(json: &Json, elements: &[Value]) -> Option<usize> {
    let marked = elements
        .iter()
        .position(|element| element.get("self").and_then(Value::as_bool) == Some(true));
    marked.or_else(|| {
        let me = json.me.as_ref()?.to_lowercase();
        elements
            .iter()
            .position(|element| address(element).as_ref() == Some(&me))
    })
}

pub(in crate::google) fn my_response(json: &Json, path: &str) -> Result<Option<Value>, Problem> {
    let elements = json.array(path)?;
    let own = own(json, elements)
        .and_then(|at| elements.get(at))
        .and_then(Value::as_object);
    Ok(own.and_then(|members| canonical::to_value(response(members))))
}

/// An account that is not invited cannot answer: nothing is written then.
pub(in crate::google) fn set_my_response(
    json: &mut Json,
    path: &str,
    value: Option<&Value>,
) -> Result<(), Problem> {
    let response: Response = value.map(typed).transpose()?.unwrap_or(Response::NeedsAction);
    let mut elements = json.array(path)?.to_vec();
    let Some(at) = own(json, &elements) else {
        return Ok(());
    };
    if let Some(Value::Object(members)) = elements.get_mut(at) {
        members.insert("responseStatus".to_owned(), word(response).into());
    }
    json.set(path, Some(Value::Array(elements)));
    Ok(())
}
