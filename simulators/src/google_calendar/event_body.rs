//! From what a client sent to what Google stores: checked times and recurrence, attendees completed, defaults left
//! out, empty texts dropped.

use serde_json::{Map, Value, json};

use super::errors::ApiError;
use super::recurrence::Series;
use super::times::When;

/// Values that Google does not repeat in its answers, since they are the default.
const SILENT_DEFAULTS: &[(&str, Default)] = &[
    ("transparency", Default::Text("opaque")),
    ("visibility", Default::Text("default")),
    ("summary", Default::Text("")),
    ("description", Default::Text("")),
    ("location", Default::Text("")),
    ("colorId", Default::Text("")),
    ("anyoneCanAddSelf", Default::Flag(false)),
    ("guestsCanInviteOthers", Default::Flag(true)),
    ("guestsCanModify", Default::Flag(false)),
    ("guestsCanSeeOtherGuests", Default::Flag(true)),
    ("attendeesOmitted", Default::Flag(false)),
    ("endTimeUnspecified", Default::Flag(false)),
    ("privateCopy", Default::Flag(false)),
];

const SILENT_ATTENDEE_DEFAULTS: &[(&str, Default)] = &[
    ("optional", Default::Flag(false)),
    ("resource", Default::Flag(false)),
    ("comment", Default::Text("")),
    ("displayName", Default::Text("")),
];

enum Default {
    Text(&'static str),
    Flag(bool),
}

impl Default {
    fn is(&self, value: &Value) -> bool {
        match self {
            Self::Text(text) => value.as_str() == Some(text),
            Self::Flag(flag) => value.as_bool() == Some(*flag),
        }
    }
}

fn drop_defaults(body: &mut Map<String, Value>, defaults: &[(&str, Default)]) {
    for (name, default) in defaults {
        if body.get(*name).is_some_and(|value| default.is(value)) {
            body.remove(*name);
        }
    }
}

/// The calendar's share in a body: its zone, and names of zones that it stores under another name.
pub(crate) struct Surroundings<'a> {
    pub calendar_zone: &'a str,
    pub zone_rewrites: &'a [(String, String)],
}

/// Brings a merged or replaced body into stored form.
pub(crate) fn settle(body: &mut Map<String, Value>, around: &Surroundings<'_>) -> Result<(), ApiError> {
    settle_times(body, around)?;
    drop_defaults(body, SILENT_DEFAULTS);
    settle_attendees(body)?;
    if body
        .get("attachments")
        .and_then(Value::as_array)
        .is_some_and(|attachments| attachments.len() > 25)
    {
        return Err(ApiError::invalid("An event can have at most 25 attachments."));
    }
    body.entry("status").or_insert_with(|| json!("confirmed"));
    body.entry("eventType").or_insert_with(|| json!("default"));
    Ok(())
}

fn settle_times(body: &mut Map<String, Value>, around: &Surroundings<'_>) -> Result<(), ApiError> {
    let read = |side: &str| match body.get(side) {
        Some(value) => When::parse(value, side, around.calendar_zone),
        None => Err(ApiError::required(format!("Missing {side} time."))),
    };
    // Google checks the end first.
    let (end, end_has_zone) = read("end")?;
    let (start, start_has_zone) = read("start")?;
    match (&start, &end) {
        (When::Day(start), When::Day(end)) if end <= start => return Err(ApiError::time_range_empty()),
        (When::Instant { at: start, .. }, When::Instant { at: end, .. }) if end < start => {
            return Err(ApiError::time_range_empty());
        }
        (When::Day(_), When::Day(_)) | (When::Instant { .. }, When::Instant { .. }) => {}
        (When::Day(_), When::Instant { .. }) | (When::Instant { .. }, When::Day(_)) => {
            return Err(ApiError::invalid(
                "Start and end times must either both be date or both be dateTime.",
            ));
        }
    }
    body.insert("start".to_owned(), renamed(start, around).to_stored());
    body.insert("end".to_owned(), renamed(end, around).to_stored());
    let recurs = body
        .get("recurrence")
        .and_then(Value::as_array)
        .is_some_and(|lines| !lines.is_empty());
    if !recurs {
        body.remove("recurrence");
        return Ok(());
    }
    // "For recurring events this field is required and specifies the time zone in which the recurrence is
    // expanded." https://developers.google.com/workspace/calendar/api/v3/reference/events#start.timeZone
    for (side, has_zone) in [("start", start_has_zone), ("end", end_has_zone)] {
        if !has_zone {
            return Err(ApiError::required(format!(
                "Missing time zone definition for {side} time."
            )));
        }
    }
    Series::read(body).map(|_| ())
}

fn renamed(when: When, around: &Surroundings<'_>) -> When {
    match when {
        When::Day(date) => When::Day(date),
        When::Instant { at, zone } => {
            let stored_as = around
                .zone_rewrites
                .iter()
                .find(|(from, _)| *from == zone)
                .map(|(_, to)| to.clone());
            When::Instant {
                at,
                zone: stored_as.unwrap_or(zone),
            }
        }
    }
}

fn settle_attendees(body: &mut Map<String, Value>) -> Result<(), ApiError> {
    let organizer = body
        .get("organizer")
        .and_then(|organizer| organizer.get("email"))
        .cloned();
    let Some(Value::Array(attendees)) = body.get_mut("attendees") else {
        return Ok(());
    };
    for attendee in attendees.iter_mut().filter_map(Value::as_object_mut) {
        attendee.retain(|_, value| !value.is_null());
        let email = attendee.get("email").and_then(Value::as_str).unwrap_or_default();
        match email.split_once('@') {
            Some((name, host)) if !name.is_empty() && !host.is_empty() => {}
            Some(_) => return Err(ApiError::invalid("Invalid attendee email.")),
            None if email.is_empty() => return Err(ApiError::required("Missing attendee email.")),
            None => return Err(ApiError::invalid("Invalid attendee email.")),
        }
        drop_defaults(attendee, SILENT_ATTENDEE_DEFAULTS);
        if attendee.get("additionalGuests").and_then(Value::as_i64) == Some(0) {
            attendee.remove("additionalGuests");
        }
        attendee
            .entry("responseStatus")
            .or_insert_with(|| json!("needsAction"));
        if attendee.get("email") == organizer.as_ref() {
            attendee.insert("organizer".to_owned(), json!(true));
        }
    }
    if attendees.is_empty() {
        body.remove("attendees");
    }
    Ok(())
}

/// Reminders as one account has them.
pub(crate) fn settle_reminders(reminders: &mut Map<String, Value>) -> Result<(), ApiError> {
    let count = reminders
        .get("overrides")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    let use_default = reminders
        .entry("useDefault")
        .or_insert_with(|| json!(count == 0))
        .as_bool()
        == Some(true);
    if use_default && count > 0 {
        let message = "Cannot specify both default reminders and overrides at the same time.";
        return Err(ApiError::new(
            400,
            "calendar",
            "cannotUseDefaultRemindersAndSpecifyOverride",
            message,
        ));
    }
    if count > 5 {
        return Err(ApiError::invalid(
            "An event can have at most 5 override reminders.",
        ));
    }
    if count == 0 {
        reminders.remove("overrides");
    }
    Ok(())
}

/// Answers a `createRequest` with a conference.
/// <https://developers.google.com/workspace/calendar/api/guides/create-events#conferencing>
pub(crate) fn settle_conference(body: &mut Map<String, Value>) {
    let Some(Value::Object(conference)) = body.get_mut("conferenceData") else {
        body.remove("hangoutLink");
        return;
    };
    let Some(Value::Object(request)) = conference.get_mut("createRequest") else {
        return;
    };
    if conference_exists(request) {
        return;
    }
    let request_id = request
        .get("requestId")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let digits = super::state::base32hex(request_id.as_bytes());
    let letters: String = digits
        .bytes()
        .cycle()
        .take(10)
        .map(|byte| char::from(b'a' + byte % 26))
        .collect();
    let code = match letters.len() {
        10 => format!("{}-{}-{}", &letters[..3], &letters[3..7], &letters[7..]),
        _ => "aaa-aaaa-aaa".to_owned(),
    };
    request.insert("status".to_owned(), json!({"statusCode": "success"}));
    request
        .entry("conferenceSolutionKey")
        .or_insert_with(|| json!({"type": "hangoutsMeet"}));
    let uri = format!("https://meet.google.com/{code}");
    conference.insert("conferenceId".to_owned(), json!(code));
    conference.insert(
        "entryPoints".to_owned(),
        json!([{"entryPointType": "video", "uri": uri, "label": format!("meet.google.com/{code}")}]),
    );
    conference.insert(
        "conferenceSolution".to_owned(),
        json!({"key": {"type": "hangoutsMeet"}, "name": "Google Meet"}),
    );
    body.insert("hangoutLink".to_owned(), json!(uri));
}

fn conference_exists(request: &Map<String, Value>) -> bool {
    request.contains_key("status")
}
