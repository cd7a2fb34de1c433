//! Errors of every shape, and answers that no honest server gives.

use std::time::Duration;

use connector_google::connector;
use connector_sdk::{Change, ErrorKind, Listing, Pull as _, Retry};
use http::Method;
use serde_json::{Value, json};
use simulators::faults::{Fault, FaultAnswer, Match};
use testkit::conformance::sample;

use super::{create, fixed_collection, world, world_with};

fn body(status: u16, reason: &str) -> String {
    let detail = json!({"domain": "calendar", "reason": reason, "message": "As Google says it"});
    json!({"error": {"errors": [detail], "code": status, "message": "As Google says it"}}).to_string()
}

#[tokio::test]
async fn errors_of_a_write_have_their_kind_operation_and_words() {
    let world = world().await;
    for (status, reason, kind) in [
        (400, "invalid", ErrorKind::Invalid),
        (401, "authError", ErrorKind::Unauthorized),
        (403, "rateLimitExceeded", ErrorKind::RateLimited),
        (403, "userRateLimitExceeded", ErrorKind::RateLimited),
        (403, "quotaExceeded", ErrorKind::RateLimited),
        (403, "forbidden", ErrorKind::PermissionDenied),
        (403, "requiredAccessLevel", ErrorKind::PermissionDenied),
        (409, "duplicate", ErrorKind::AlreadyExists),
        (429, "rateLimitExceeded", ErrorKind::RateLimited),
        (500, "backendError", ErrorKind::Unavailable),
        (503, "backendError", ErrorKind::Unavailable),
    ] {
        let fault = Fault::answer(status, body(status, reason));
        world.google.faults().next(Match::method(Method::POST), fault);
        let error = world.apply(create(sample::event("x"))).await.unwrap_err();
        assert_eq!(error.kind, kind, "{status} {reason}");
        assert_eq!((error.operation, error.status), ("push.create", Some(status)));
        assert!(error.message.contains("As Google says it"), "{}", error.message);
    }
    assert_eq!(
        world.google.log().writes(),
        11,
        "the connector tries nothing again by itself"
    );
}

#[tokio::test]
async fn a_named_pause_is_told() {
    let world = world().await;
    world.google.faults().next(
        Match::any(),
        Fault::Answer(FaultAnswer {
            status: 429,
            headers: vec![("retry-after".to_owned(), "30".to_owned())],
            body: body(429, "rateLimitExceeded"),
        }),
    );
    let (_, error) = world.pull(None).await;
    assert_eq!(error.unwrap().retry, Retry::After(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_limit_in_the_middle_of_a_pull_ends_it_without_a_cursor() {
    let world = world_with(|config| config.page_size_cap(1)).await;
    for title in ["a", "b", "c"] {
        world.put(title);
    }
    let limit = Fault::answer(403, body(403, "rateLimitExceeded"));
    world.google.faults().next(Match::path("/events").nth(3), limit);
    let (pages, error) = world.pull(None).await;
    assert_eq!(error.unwrap().kind, ErrorKind::RateLimited);
    assert_eq!(pages.len(), 2);
    assert!(
        pages
            .iter()
            .all(|page| page.cursor.is_none() && page.listing == Listing::Partial)
    );
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_unexpected() {
    let world = world().await;
    for nonsense in [
        "",
        "<html>",
        "[]",
        "null",
        "{\"items\":7}",
        "{\"items\":[{]}",
        "{\"items\":[],",
    ] {
        world
            .google
            .faults()
            .next(Match::path("/events"), Fault::answer(200, nonsense));
        let (pages, error) = world.pull(None).await;
        let error = error.unwrap_or_else(|| panic!("{nonsense} is taken for {pages:?}"));
        assert_eq!(error.kind, ErrorKind::Unexpected, "{nonsense}");
        assert!(!error.message.contains("html"));
    }
    world
        .google
        .faults()
        .next(Match::path("/events"), Fault::answer(302, ""));
    assert_eq!(world.pull(None).await.1.unwrap().kind, ErrorKind::Unexpected);
    world
        .google
        .faults()
        .next(Match::path("/events"), Fault::answer(200, body(404, "notFound")));
    let error = world.pull(None).await.1.unwrap();
    assert_eq!(
        error.kind,
        ErrorKind::NotFound,
        "an error under a status of success"
    );
}

#[tokio::test]
async fn a_broken_connection_is_unavailable() {
    let world = world().await;
    world.google.faults().next(Match::any(), Fault::DropBeforeEffect);
    assert_eq!(world.pull(None).await.1.unwrap().kind, ErrorKind::Unavailable);
    world.google.faults().next(Match::any(), Fault::LoseResponse);
    let lost = world.apply(create(sample::event("x"))).await.unwrap_err();
    assert!(lost.is_doubtful());
}

#[tokio::test]
async fn pages_that_go_round_in_a_circle_end() {
    let world = world().await;
    let circle = json!({"items": [], "nextPageToken": "again"}).to_string();
    world
        .google
        .faults()
        .always(Match::any(), Fault::answer(200, circle));
    let (pages, error) = world.pull(None).await;
    assert_eq!((pages.len(), error.unwrap().kind), (1, ErrorKind::Unexpected));
    let error = connector().collections(&world.ctx).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unexpected);
}

/// An event, with some members changed.
fn event(id: &str, more: Value) -> Value {
    let mut event = json!({
        "id": id,
        "etag": "\"1\"",
        "status": "confirmed",
        "start": {"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-02T09:30:00+01:00", "timeZone": "Europe/Berlin"},
    });
    event
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    event
}

#[tokio::test]
async fn hostile_events_are_set_aside_one_by_one() {
    let world = world().await;
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let hostile = [
        event(
            "zone",
            json!({"start": {"dateTime": "2026-03-02T09:00:00", "timeZone": "Mars/Olympus"}}),
        )
        .to_string(),
        event("time", json!({"start": {"dateTime": "half past nine"}})).to_string(),
        event("type", json!({"summary": {"text": "an object"}})).to_string(),
        event("people", json!({"attendees": "everybody"})).to_string(),
        event("original", json!({"recurringEventId": "m"})).to_string(),
        r#"{"id":"start","etag":"\"1\"","status":"confirmed"}"#.to_owned(),
        r#"{"id":17}"#.to_owned(),
        "7".to_owned(),
        format!(r#"{{"id":"deep","summary":{deep}}}"#),
    ];
    let good = event("good", json!({"summary": "Good"})).to_string();
    let items = hostile
        .iter()
        .chain([&good])
        .cloned()
        .collect::<Vec<_>>()
        .join(",");
    let page = format!(r#"{{"items":[{items}],"nextSyncToken":"t"}}"#);
    world
        .google
        .faults()
        .next(Match::path("/events"), Fault::answer(200, page));
    let (changes, _) = world.changes(None).await;
    assert_eq!(changes.len(), hostile.len() + 1);
    let mut names = Vec::new();
    for change in &changes {
        match change {
            Change::Unreadable { id, reason, raw, .. } => {
                assert!(!reason.is_empty() && !raw.is_empty(), "{id}");
                names.push(id.0.clone());
            }
            Change::Present(object) => assert_eq!(object.id.0, "good"),
            other => panic!("{other:?}"),
        }
    }
    names.sort();
    names.dedup();
    assert_eq!(
        names.len(),
        hostile.len(),
        "each has a name of its own: {names:?}"
    );
}

#[tokio::test]
async fn a_single_event_that_cannot_be_read_is_fetched_as_such() {
    let world = world().await;
    let odd = event("odd", json!({"summary": 7})).to_string();
    world
        .google
        .faults()
        .next(Match::path("/events/odd"), Fault::answer(200, odd));
    let ids = [connector_sdk::RemoteId("odd".to_owned())];
    let fetched = connector()
        .fetch(&world.ctx, &fixed_collection(), &ids)
        .await
        .unwrap();
    assert!(matches!(&fetched[..], [Change::Unreadable { id, .. }] if id.0 == "odd"));
}

#[tokio::test]
async fn an_id_from_outside_cannot_leave_its_place_in_the_address() {
    let world = world().await;
    let ids = [connector_sdk::RemoteId("../../../token?x=#y".to_owned())];
    let fetched = connector()
        .fetch(&world.ctx, &fixed_collection(), &ids)
        .await
        .unwrap();
    assert!(matches!(&fetched[..], [Change::Deleted(_)]));
    let entries = world.google.log().entries();
    assert!(
        entries[0].path.starts_with("/calendar/v3/calendars/"),
        "{}",
        entries[0].path
    );
    assert_eq!(entries[0].query, "");
}
