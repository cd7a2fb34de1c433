//! The stand-in under a client that we did not write: `google-calendar3`, generated from Google's Discovery
//! document, through its own hyper client. What it cannot do is measured here too, for `docs/adr/0002-vendor-sdks.md`;
//! when one of those tests fails after an upgrade of that crate, the decision deserves a second look.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail anywhere, helpers included"
)]

mod google;

use google::{ADA, Api, TEAM, start};
use google_calendar3::api::{CalendarHub, Event, EventDateTime};
use google_calendar3::hyper_util::client::legacy::Client;
use google_calendar3::hyper_util::client::legacy::connect::HttpConnector;
use google_calendar3::hyper_util::rt::TokioExecutor;
use http::Method;
use serde_json::{Value, json};
use simulators::faults::{Fault, Match};
use simulators::google_calendar::{
    CalendarConfig, Config, GoogleCalendar, GoogleCalendarServer, ManualClock, Trouble,
};

/// The vendor library's client, pointed at the simulator: a URL is all that can be exchanged.
fn vendor_client(google: &GoogleCalendarServer) -> CalendarHub<HttpConnector> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut hub = CalendarHub::new(client, format!("token-of-{ADA}"));
    hub.base_url(google.api_url());
    hub
}

fn when(text: &str) -> Option<EventDateTime> {
    let date_time = Some(text.parse().unwrap());
    Some(EventDateTime {
        date_time,
        time_zone: Some("Europe/Berlin".to_owned()),
        ..EventDateTime::default()
    })
}

fn typed(summary: &str) -> Event {
    Event {
        summary: Some(summary.to_owned()),
        start: when("2026-03-02T08:00:00Z"),
        end: when("2026-03-02T09:00:00Z"),
        ..Event::default()
    }
}

fn untyped(extra: Value) -> Value {
    let mut event = json!({
        "summary": "Untyped", "description": "text",
        "start": {"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "Europe/Berlin"},
    });
    event
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    event
}

#[tokio::test]
async fn the_vendors_library_lists_inserts_patches_deletes_and_syncs() {
    let (google, _api) = start().await;
    let hub = vendor_client(&google);
    let (_, calendars) = hub.calendar_list().list().doit().await.unwrap();
    assert_eq!(calendars.items.unwrap().len(), 2);

    let mut series = typed("Series");
    series.id = Some("series0".to_owned());
    series.recurrence = Some(vec!["RRULE:FREQ=DAILY;COUNT=3".to_owned()]);
    let (_, series) = hub
        .events()
        .insert(series, ADA)
        .send_updates("none")
        .doit()
        .await
        .unwrap();
    assert_eq!(series.i_cal_uid.as_deref(), Some("series0@google.com"));
    let (_, single) = hub
        .events()
        .insert(typed("Single"), "primary")
        .doit()
        .await
        .unwrap();
    let single_id = single.id.unwrap();

    let mut found = Vec::new();
    let mut page_token: Option<String> = None;
    let sync_token = loop {
        let mut call = hub.events().list(ADA).max_results(1);
        if let Some(token) = &page_token {
            call = call.page_token(token);
        }
        let (_, page) = call.doit().await.unwrap();
        found.extend(page.items.unwrap().into_iter().filter_map(|event| event.summary));
        page_token = page.next_page_token;
        if let Some(token) = page.next_sync_token {
            break token;
        }
    };
    assert_eq!(found, ["Series", "Single"]);

    let patch = Event {
        location: Some("Room".to_owned()),
        ..Event::default()
    };
    let (_, patched) = hub.events().patch(patch, ADA, &single_id).doit().await.unwrap();
    assert_eq!(
        (patched.summary.as_deref(), patched.location.as_deref()),
        (Some("Single"), Some("Room"))
    );
    let (_, instances) = hub.events().instances(ADA, "series0").doit().await.unwrap();
    let second = instances.items.unwrap().remove(1);
    hub.events()
        .delete(ADA, second.id.as_deref().unwrap())
        .doit()
        .await
        .unwrap();

    let (_, changed) = hub
        .events()
        .list(ADA)
        .sync_token(&sync_token)
        .doit()
        .await
        .unwrap();
    let changed = changed.items.unwrap();
    assert_eq!(changed.len(), 2);
    let cancelled = changed
        .iter()
        .find(|event| event.status.as_deref() == Some("cancelled"))
        .unwrap();
    assert_eq!(cancelled.recurring_event_id.as_deref(), Some("series0"));
    let original = |event: &Event| {
        event
            .original_start_time
            .clone()
            .and_then(|start| start.date_time)
    };
    assert_eq!(original(cancelled), original(&second));

    google.expire_sync_tokens();
    let refused = hub
        .events()
        .list(ADA)
        .sync_token(&sync_token)
        .doit()
        .await
        .unwrap_err();
    let google_calendar3::Error::BadRequest(body) = refused else {
        panic!("{refused}")
    };
    assert_eq!(body["error"]["errors"][0]["reason"], "fullSyncRequired");
}

/// `eventLabelId` stands in the Discovery document of 2026-10, and not in the newest release of the library. Google
/// keeps such a field from clients that do not declare `eventLabelVersion=1`; one that does and writes through the
/// library's type loses it.
#[tokio::test]
async fn measured_a_typed_read_modify_write_loses_fields_that_the_library_does_not_know() {
    let (google, api) = start().await;
    let hub = vendor_client(&google);
    let label = |id: &str| google.calendar(ADA).event(id).unwrap()["eventLabelId"].clone();
    let event = untyped(json!({"eventLabelId": "label-1"}));
    let event = api
        .ok(Method::POST, "/events?eventLabelVersion=1", Some(event))
        .await;
    let id = event["id"].as_str().unwrap();

    let (_, mut read) = hub.events().get(ADA, id).doit().await.unwrap();
    assert!(
        !serde_json::to_string(&read).unwrap().contains("label-1"),
        "gone with the reading"
    );
    read.summary = Some("New title".to_owned());
    hub.events().update(read.clone(), ADA, id).doit().await.unwrap();
    assert_eq!(
        label(id),
        "label-1",
        "the vendor protects it from a client that does not declare it"
    );
    hub.events()
        .update(read, ADA, id)
        .param("eventLabelVersion", "1")
        .doit()
        .await
        .unwrap();
    assert!(label(id).is_null(), "lost");

    // As JSON the same round keeps it.
    google
        .calendar(ADA)
        .patch(id, json!({"eventLabelId": "label-2"}))
        .unwrap();
    let path = format!("/events/{id}");
    let mut read = api.ok(Method::GET, &path, None).await;
    read["summary"] = json!("Newer title");
    api.ok(Method::PUT, &format!("{path}?eventLabelVersion=1"), Some(read))
        .await;
    assert_eq!(label(id), "label-2");
}

#[test]
fn measured_any_unknown_field_is_dropped_while_reading() {
    let future = json!({"summary": "S", "tomorrow": {"a": 1}, "attendees": [{"email": "a@b.example", "asyncOperation": "inProgress"}]});
    let event: Event = serde_json::from_value(future).unwrap();
    let written = serde_json::to_string(&event).unwrap();
    assert!(!written.contains("tomorrow") && !written.contains("asyncOperation"));
}

#[test]
fn measured_unknown_enum_values_survive_because_the_library_types_them_as_text() {
    let future = json!({"eventType": "somethingNew", "status": "maybe", "visibility": "friends"});
    let event: Event = serde_json::from_value(future.clone()).unwrap();
    assert_eq!(event.event_type.as_deref(), Some("somethingNew"));
    let mut written = serde_json::to_value(event).unwrap();
    written
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    assert_eq!(written, future);
}

#[tokio::test]
async fn measured_a_typed_patch_cannot_clear_a_field() {
    let (google, api) = start().await;
    let event = api.insert(untyped(json!({}))).await;
    let id = event["id"].as_str().unwrap();
    let hub = vendor_client(&google);
    // `None` is the only way to say "no description", and it is left out of the request, as is every null.
    let patch = Event {
        description: None,
        summary: Some("Kept".to_owned()),
        ..Event::default()
    };
    hub.events().patch(patch, ADA, id).doit().await.unwrap();
    assert_eq!(google.calendar(ADA).event(id).unwrap()["description"], "text");
    let path = format!("/events/{id}");
    let cleared = api
        .ok(Method::PATCH, &path, Some(json!({"description": null})))
        .await;
    assert!(cleared.get("description").is_none());
}

/// Its calls have no way to set a request header, so none can carry `If-Match`.
#[tokio::test]
async fn measured_typed_writes_are_unconditional_and_overwrite_what_they_have_not_seen() {
    let (google, api) = start().await;
    let event = api.insert(untyped(json!({}))).await;
    let id = event["id"].as_str().unwrap().to_owned();
    let hub = vendor_client(&google);
    let (_, mut read) = hub.events().get(ADA, &id).doit().await.unwrap();
    google
        .calendar(ADA)
        .patch(&id, json!({"location": "somebody else's edit"}))
        .unwrap();
    read.summary = Some("Stale".to_owned());
    hub.events().update(read, ADA, &id).doit().await.unwrap();
    assert!(
        google.calendar(ADA).event(&id).unwrap().get("location").is_none(),
        "the other edit is lost"
    );
    let sent = google.log().entries();
    assert!(
        sent.iter()
            .all(|request| !request.headers.contains_key("if-match"))
    );
}

/// A `Delegate` may ask for a retry; alone the library makes none, and it never sees our transport or its layers.
#[tokio::test]
async fn measured_the_library_has_its_own_transport_and_reports_trouble_without_retrying() {
    let (google, _api) = start().await;
    let hub = vendor_client(&google);
    google
        .faults()
        .next(Match::any(), Trouble::TooManyRequests.fault());
    assert!(hub.events().list(ADA).doit().await.is_err());
    google.faults().next(Match::any(), Fault::LoseResponse);
    assert!(hub.events().insert(typed("Lost"), ADA).doit().await.is_err());
    assert_eq!(google.log().entries().len(), 2, "one request each");
    assert!(
        google
            .log()
            .entries()
            .iter()
            .all(|request| request.headers["user-agent"].contains("google-api-rust"))
    );
}

/// Google's public holiday calendars have a `#` in their id.
#[tokio::test]
async fn measured_a_calendar_id_with_a_hash_is_not_escaped_and_the_call_goes_elsewhere() {
    let id = "de.german#holiday@group.v.calendar.google.com";
    let clock = ManualClock::at(google::at("2026-01-01T00:00:00Z"));
    let config: Config = google::builder(&clock).calendar(CalendarConfig::new(id, ADA));
    let server = GoogleCalendar::start(config).await.unwrap();
    let hub = vendor_client(&server);
    assert!(hub.events().list(id).doit().await.is_err());
    let sent = server.log().entries().pop().unwrap();
    assert_eq!(sent.path, "/calendar/v3/calendars/de.german");
    let escaped = Api::new(&server, ADA).on(&id.replace('#', "%23"));
    escaped.ok(Method::GET, "/events", None).await;
    assert!(
        hub.events().list(TEAM).doit().await.is_ok(),
        "ids without such letters work"
    );
}
