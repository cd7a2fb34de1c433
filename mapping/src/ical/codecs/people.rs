//! `ORGANIZER` and `ATTENDEE` (RFC 5545 sections 3.8.4.1 and 3.8.4.3).

use std::borrow::Cow;

use model::canonical;
use model::event::{Attendee, Person, Response, Role};
use serde_json::Value;

use crate::engine::{Problem, typed};
use crate::ical::event::Event;
use crate::ical::line::Line;

/// The mail address of a person's line, lower case. Some servers put an address of their own into the value and the
/// mail address into `EMAIL` (RFC 7986 section 6.2).
fn address(line: &Line) -> String {
    let value = line.value().trim();
    let mail = value
        .get(..7)
        .filter(|scheme| scheme.eq_ignore_ascii_case("mailto:"))
        .map(|_| &value[7..]);
    let address = match (mail, line.param("EMAIL")) {
        (Some(mail), _) => Cow::Borrowed(mail),
        (None, Some(email)) => email,
        (None, None) => Cow::Borrowed(value),
    };
    address.trim().to_lowercase()
}

/// The value for an address: a mail address, or an address of another scheme as it is.
fn address_value(address: &str) -> String {
    if address.contains(':') {
        address.to_owned()
    } else {
        format!("mailto:{address}")
    }
}

fn name(line: &Line) -> Option<String> {
    line.param("CN").map(Cow::into_owned)
}

pub(in crate::ical) fn person(event: &Event, path: &str) -> Option<Value> {
    let line = event.component.first(path)?;
    canonical::to_value(Person {
        address: address(line),
        name: name(line),
    })
}

pub(in crate::ical) fn set_person(
    event: &mut Event,
    path: &str,
    value: Option<&Value>,
) -> Result<(), Problem> {
    let Some(value) = value else {
        event.component.remove(|line| line.name() == path);
        return Ok(());
    };
    let new: Person = typed(value)?;
    if event
        .component
        .first(path)
        .is_some_and(|line| address(line) != new.address)
    {
        // Another person: what is known of the first one does not apply.
        event.component.remove(|line| line.name() == path);
    }
    event.component.upsert(path, |line| {
        if address(line) != new.address {
            line.set_value(address_value(&new.address));
        }
        line.set_param("CN", new.name.as_deref());
    });
    Ok(())
}

/// Model answer and `PARTSTAT`.
const RESPONSES: [(Response, &str); 5] = [
    (Response::NeedsAction, "NEEDS-ACTION"),
    (Response::Accepted, "ACCEPTED"),
    (Response::Declined, "DECLINED"),
    (Response::Tentative, "TENTATIVE"),
    (Response::Delegated, "DELEGATED"),
];

fn response(line: &Line) -> Response {
    let said = line.param("PARTSTAT").unwrap_or_default();
    let known = RESPONSES
        .iter()
        .find(|(_, word)| word.eq_ignore_ascii_case(&said));
    known.map_or(Response::NeedsAction, |(response, _)| *response)
}

/// Role, and whether the person may stay away. A room or device is told by its `CUTYPE`.
fn role(line: &Line) -> (Role, bool) {
    let said = line.param("ROLE").unwrap_or_default().to_ascii_uppercase();
    let kind = line.param("CUTYPE").unwrap_or_default().to_ascii_uppercase();
    let optional = said == "OPT-PARTICIPANT";
    match (kind.as_str(), said.as_str()) {
        ("RESOURCE" | "ROOM", _) => (Role::Resource, optional),
        (_, "CHAIR") => (Role::Chair, false),
        (_, "NON-PARTICIPANT") => (Role::Informed, false),
        _ => (Role::Participant, optional),
    }
}

fn attendee(line: &Line) -> Attendee {
    let (role, optional) = role(line);
    Attendee {
        address: address(line),
        name: name(line),
        role,
        response: response(line),
        optional,
    }
}

pub(in crate::ical) fn attendees(event: &Event) -> Option<Value> {
    canonical::to_value(event.component.all("ATTENDEE").map(attendee).collect::<Vec<_>>())
}

pub(in crate::ical) fn set_attendees(event: &mut Event, value: Option<&Value>) -> Result<(), Problem> {
    let mut wanted: Vec<Attendee> = value.map(typed).transpose()?.unwrap_or_default();
    event.component.remove(|line| {
        line.name() == "ATTENDEE" && !wanted.iter().any(|attendee| attendee.address == address(line))
    });
    for line in event
        .component
        .lines_mut()
        .filter(|line| line.name() == "ATTENDEE")
    {
        let known = address(line);
        if let Some(at) = wanted.iter().position(|attendee| attendee.address == known) {
            say(line, &wanted.swap_remove(at));
        }
    }
    wanted.sort_by(|a, b| a.address.cmp(&b.address));
    for attendee in wanted {
        let mut line = Line::new("ATTENDEE", address_value(&attendee.address));
        say(&mut line, &attendee);
        event.component.insert(line);
    }
    Ok(())
}

/// Makes a line say what is wanted; parameters that already mean it, and unknown ones, stay.
fn say(line: &mut Line, wanted: &Attendee) {
    let known = attendee(line);
    if known.name != wanted.name {
        line.set_param("CN", wanted.name.as_deref());
    }
    if known.response != wanted.response {
        let word = RESPONSES
            .iter()
            .find(|(response, _)| *response == wanted.response);
        line.set_param("PARTSTAT", word.map(|(_, word)| *word));
    }
    if (known.role, known.optional) == (wanted.role, wanted.optional) {
        return;
    }
    if (known.role == Role::Resource) != (wanted.role == Role::Resource) {
        line.set_param("CUTYPE", (wanted.role == Role::Resource).then_some("RESOURCE"));
    }
    // A leading or informed person who may stay away cannot be said; the role is what stays.
    let word = match (wanted.role, wanted.optional) {
        (Role::Chair, _) => "CHAIR",
        (Role::Informed, _) => "NON-PARTICIPANT",
        (Role::Participant | Role::Resource, true) => "OPT-PARTICIPANT",
        (Role::Participant | Role::Resource, false) => "REQ-PARTICIPANT",
    };
    if role(line) != (wanted.role, wanted.optional) {
        line.set_param("ROLE", Some(word));
    }
}
