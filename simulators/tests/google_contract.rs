//! The stand-in speaks Google's own contract: in a broad scenario, every path and query parameter that is used and
//! every body that is exchanged is held against the vendor's Discovery document.
//!
//! The document is not part of this repository. Set `CONCORD_VENDOR_SPECS` to a folder with
//! `google/calendar.v3.json` (from <https://calendar-json.googleapis.com/$discovery/rest?version=v3>).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail anywhere, helpers included"
)]

#[path = "google/discovery.rs"]
mod discovery;
mod google;

use std::collections::BTreeSet;
use std::path::Path;

use discovery::Discovery;
use google::{ADA, GRACE, TEAM, start};
use http::Method;
use serde_json::{Value, json};
use simulators::google_calendar::Role;

/// What the stand-in answers; the rest of the document's operations get 501 `notSimulated`.
const SIMULATED: &[&str] = &[
    "calendar.calendarList.get",
    "calendar.calendarList.list",
    "calendar.calendars.delete",
    "calendar.calendars.get",
    "calendar.calendars.insert",
    "calendar.channels.stop",
    "calendar.events.delete",
    "calendar.events.get",
    "calendar.events.import",
    "calendar.events.insert",
    "calendar.events.instances",
    "calendar.events.list",
    "calendar.events.move",
    "calendar.events.patch",
    "calendar.events.update",
    "calendar.events.watch",
    "calendar.freebusy.query",
];

/// Sends requests and judges each exchange.
struct Judge {
    discovery: Discovery,
    client: reqwest::Client,
    root: String,
    token: String,
    covered: BTreeSet<String>,
    bodies: usize,
}

impl Judge {
    async fn ask(&mut self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.exchange(method.clone(), path, body).await;
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    async fn refused(&mut self, method: Method, path: &str, body: Option<Value>, expected: u16) {
        let (status, answer) = self.exchange(method.clone(), path, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
    }

    async fn exchange(&mut self, method: Method, target: &str, body: Option<Value>) -> (u16, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let operation = self.discovery.operation(&method, path);
        self.discovery.check_query(operation, query);
        if let Some(body) = &body {
            self.discovery.check_body(
                &format!("request of {}", operation.id),
                operation.request.as_ref(),
                body,
            );
            self.bodies += 1;
        }
        let request = self
            .client
            .request(method, format!("{}{target}", self.root))
            .bearer_auth(&self.token);
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        let answer = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        };
        if status < 300 {
            let what = format!("response of {}", operation.id);
            self.discovery
                .check_body(&what, operation.response.as_ref(), &answer);
            self.covered.insert(operation.id.clone());
        } else {
            check_error(&answer, status);
        }
        self.bodies += 1;
        (status, answer)
    }
}

/// Errors are not in the Discovery document, but on a page with every body in full.
/// <https://developers.google.com/workspace/calendar/api/guides/errors>
fn check_error(answer: &Value, status: u16) {
    let error = &answer["error"];
    assert_eq!(error["code"], status, "{answer}");
    assert!(error["message"].is_string(), "{answer}");
    for detail in error["errors"].as_array().unwrap() {
        for field in ["domain", "reason", "message"] {
            assert!(detail[field].is_string(), "{answer}");
        }
    }
}

fn rich_event(id: &str) -> Value {
    json!({
        "id": id, "summary": "Grüße", "description": "<b>rich</b>", "location": "Room 1", "colorId": "5",
        "start": {"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "Europe/Berlin"},
        "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4", "EXDATE;TZID=Europe/Berlin:20260309T090000"],
        "attendees": [{"email": GRACE, "optional": true}, {"email": ADA, "responseStatus": "accepted"}],
        "reminders": {"useDefault": false, "overrides": [{"method": "popup", "minutes": 10}]},
        "extendedProperties": {"private": {"concord": "1"}, "shared": {"s": "2"}},
        "source": {"title": "Page", "url": "https://example.com/"},
        "transparency": "transparent", "visibility": "private", "status": "tentative",
        "guestsCanInviteOthers": false, "guestsCanModify": true, "guestsCanSeeOtherGuests": false,
        "conferenceData": {"createRequest": {"requestId": "r", "conferenceSolutionKey": {"type": "hangoutsMeet"}}},
        "attachments": [{"fileUrl": "https://example.com/f", "title": "F", "mimeType": "text/plain"}],
        "sequence": 3, "eventType": "default",
    })
}

async fn events(judge: &mut Judge) {
    let events = format!("/calendars/{ADA}/events");
    let path = format!("{events}?conferenceDataVersion=1&supportsAttachments=true&sendUpdates=none");
    judge.ask(Method::POST, &path, Some(rich_event("rich0"))).await;
    let day = json!({"summary": "Day", "start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"},
                     "eventType": "workingLocation", "workingLocationProperties": {"type": "homeOffice", "homeOffice": {}}});
    let day = judge.ask(Method::POST, &events, Some(day)).await;
    let mut imported = rich_event("");
    imported.as_object_mut().unwrap().remove("id");
    imported["iCalUID"] = json!("uid@elsewhere");
    imported["organizer"] = json!({"email": "boss@elsewhere.example"});
    judge
        .ask(Method::POST, &format!("{events}/import"), Some(imported))
        .await;

    let instance = format!("{events}/rich0_20260316T080000Z");
    judge
        .ask(
            Method::PATCH,
            &format!("{instance}?sendUpdates=none"),
            Some(json!({"summary": "One"})),
        )
        .await;
    judge
        .ask(
            Method::DELETE,
            &format!("{events}/rich0_20260323T080000Z?sendUpdates=none"),
            None,
        )
        .await;
    let mut replacement = rich_event("rich0");
    replacement["location"] = json!("Room 2");
    judge
        .ask(
            Method::PUT,
            &format!("{events}/rich0?sendUpdates=all"),
            Some(replacement),
        )
        .await;
    judge
        .ask(
            Method::GET,
            &format!("{events}/rich0?maxAttendees=1&timeZone=Asia/Tokyo"),
            None,
        )
        .await;
    judge.ask(Method::GET, &instance, None).await;
    judge
        .ask(
            Method::GET,
            &format!("{events}/rich0/instances?showDeleted=true&maxResults=1"),
            None,
        )
        .await;

    let mut page = judge
        .ask(Method::GET, &format!("{events}?maxResults=2"), None)
        .await;
    while let Some(token) = page["nextPageToken"].as_str() {
        page = judge
            .ask(
                Method::GET,
                &format!("{events}?maxResults=2&pageToken={token}"),
                None,
            )
            .await;
    }
    let token = page["nextSyncToken"].as_str().unwrap().to_owned();
    let id = day["id"].as_str().unwrap();
    judge
        .ask(Method::DELETE, &format!("{events}/{id}?sendUpdates=none"), None)
        .await;
    judge
        .ask(Method::GET, &format!("{events}?syncToken={token}"), None)
        .await;
    let single =
        "singleEvents=true&orderBy=startTime&timeMin=2026-01-01T00:00:00Z&timeMax=2027-01-01T00:00:00Z";
    for query in [
        single,
        "showDeleted=true",
        "privateExtendedProperty=concord%3D1",
        "q=gr%C3%BC%C3%9Fe",
        "eventTypes=default",
    ] {
        judge.ask(Method::GET, &format!("{events}?{query}"), None).await;
    }
    judge
        .ask(
            Method::POST,
            &format!("{events}/rich0/move?destination={TEAM}&sendUpdates=none"),
            None,
        )
        .await;

    judge
        .refused(Method::GET, &format!("{events}?syncToken={token}&q=a"), None, 400)
        .await;
    judge
        .refused(Method::POST, &events, Some(rich_event("rich0")), 409)
        .await;
    judge
        .refused(Method::GET, &format!("{events}/nowhere"), None, 404)
        .await;
    judge
        .refused(Method::DELETE, &format!("{events}/{id}"), None, 410)
        .await;
    judge
        .refused(Method::POST, &format!("{events}/quickAdd?text=Lunch"), None, 501)
        .await;
}

async fn calendars_and_channels(judge: &mut Judge) {
    let created = judge
        .ask(
            Method::POST,
            "/calendars",
            Some(json!({"summary": "New", "description": "D"})),
        )
        .await;
    let id = created["id"].as_str().unwrap();
    judge.ask(Method::GET, &format!("/calendars/{id}"), None).await;
    let list = judge
        .ask(Method::GET, "/users/me/calendarList?minAccessRole=writer", None)
        .await;
    assert!(list.get("nextSyncToken").is_none());
    let list = judge
        .ask(Method::GET, "/users/me/calendarList?showHidden=true", None)
        .await;
    judge
        .ask(Method::GET, &format!("/users/me/calendarList/{id}"), None)
        .await;
    judge.ask(Method::DELETE, &format!("/calendars/{id}"), None).await;
    let token = list["nextSyncToken"].as_str().unwrap();
    judge
        .ask(
            Method::GET,
            &format!("/users/me/calendarList?syncToken={token}"),
            None,
        )
        .await;

    let channel = json!({"id": "c", "type": "web_hook", "address": "https://hooks.example/google", "token": "t",
                         "params": {"ttl": "3600"}});
    let channel = judge
        .ask(Method::POST, "/calendars/primary/events/watch", Some(channel))
        .await;
    let stop = json!({"id": "c", "resourceId": channel["resourceId"]});
    judge.ask(Method::POST, "/channels/stop", Some(stop)).await;
    let query = json!({"timeMin": "2026-03-01T00:00:00Z", "timeMax": "2026-04-01T00:00:00Z", "timeZone": "Europe/Berlin",
                       "items": [{"id": TEAM}, {"id": "nobody@example.com"}]});
    judge.ask(Method::POST, "/freeBusy", Some(query)).await;
}

#[tokio::test]
async fn every_exchange_fits_the_vendors_discovery_document() {
    let Some(folder) = std::env::var_os("CONCORD_VENDOR_SPECS") else {
        println!("CONCORD_VENDOR_SPECS is not set: the vendor contract of Google Calendar was NOT checked.");
        return;
    };
    let text = std::fs::read_to_string(Path::new(&folder).join("google/calendar.v3.json")).unwrap();
    let (google, _api) = start().await;
    let mut judge = Judge {
        discovery: Discovery::read(&text),
        client: reqwest::Client::new(),
        root: google.api_url().trim_end_matches('/').to_owned(),
        token: format!("token-of-{ADA}"),
        covered: BTreeSet::new(),
        bodies: 0,
    };
    events(&mut judge).await;
    calendars_and_channels(&mut judge).await;
    google.set_role(TEAM, GRACE, Role::Reader);
    judge.token = format!("token-of-{GRACE}");
    let seen = judge
        .ask(Method::GET, &format!("/calendars/{TEAM}/events"), None)
        .await;
    assert_eq!(seen["accessRole"], "reader");
    judge
        .refused(
            Method::POST,
            &format!("/calendars/{TEAM}/events"),
            Some(rich_event("rich1")),
            403,
        )
        .await;

    let all: BTreeSet<&str> = judge
        .discovery
        .operations
        .iter()
        .map(|operation| operation.id.as_str())
        .collect();
    let covered: BTreeSet<&str> = judge.covered.iter().map(String::as_str).collect();
    println!(
        "Discovery revision {}; {} bodies checked",
        judge.discovery.revision, judge.bodies
    );
    println!("covered, {} of {}: {covered:?}", covered.len(), all.len());
    println!(
        "not simulated: {:?}",
        all.difference(&covered).collect::<Vec<_>>()
    );
    assert_eq!(covered, SIMULATED.iter().copied().collect());
}
