//! Calls at vendors in their own words: passed on as they are, with the connection's credentials, each one recorded.

mod refused;
mod vendor;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use simulators::caldav::CaldavServer;
use simulators::faults::{Fault, FaultAnswer, Gate, Match};
use testkit::harness::until;

use crate::consent;
use crate::scene::{ADA, google_event, google_server, with_caldav, with_google, work};
use crate::server::{Answer, LIMIT, TestServer, calendar_server, start_server};
use vendor::Vendor;

const MARK: &str = "concord-passthrough";

/// The address of a call.
pub(crate) fn at(connection: &str, rest: &str) -> String {
    format!("/v1/passthrough/{connection}/{rest}")
}

/// The audit's newest line.
pub(crate) async fn last_line(server: &TestServer) -> Value {
    server.get("/v1/audit?limit=1").await.data()[0].take()
}

async fn webdav(server: &TestServer, method: &str, path: &str, depth: &str, body: String) -> Answer {
    let request = server
        .request(method.parse().unwrap(), path)
        .bearer_auth(&server.key)
        .header("depth", depth)
        .header("accept", "application/xml")
        .header("content-type", "application/xml; charset=utf-8")
        .body(body);
    Answer::of(request).await
}

#[tokio::test]
async fn google_is_read_and_written_in_its_own_words() {
    let google = google_server().await;
    let (server, connection, _) = with_google(&google).await;
    let events = at(&connection, &format!("calendars/{ADA}/events"));
    let made = server.post(&events, google_event("By hand")).await;
    assert_eq!(made.status, 200, "{}", made.text);
    assert_eq!(made.header(MARK), "google");
    assert_eq!(
        made.json()["summary"],
        "By hand",
        "the vendor's own shape, in no envelope"
    );
    let listed = server
        .get(&format!("{events}?maxResults=5&showDeleted=true"))
        .await;
    assert_eq!(listed.json()["items"][0]["summary"], "By hand");
    let entry = google.log().entries().pop().unwrap();
    assert_eq!(entry.query, "maxResults=5&showDeleted=true");

    let line = last_line(&server).await;
    assert_eq!(line["id"], listed.header("concord-audit-id"));
    assert_eq!(line["method"], "GET");
    assert_eq!(line["status"], 200);
    let target = format!("{}calendars/{ADA}/events", google.api_url());
    assert_eq!(line["target"], target, "without the query");
    assert_eq!(line["request_id"], listed.header("x-request-id"));
    let keys = server.get("/v1/api-keys").await.data();
    assert_eq!(line["api_key_id"], keys[0]["id"]);
    assert!(
        line["ended_at"].is_string() && line["response_bytes"].as_u64() > Some(0),
        "{line}"
    );
}

#[tokio::test]
async fn a_vendors_refusal_is_passed_on_and_told_from_our_own() {
    let google = google_server().await;
    let (server, connection, _) = with_google(&google).await;
    let theirs = server
        .get(&at(&connection, "calendars/nobody@example.com/events"))
        .await;
    assert_eq!((theirs.status, theirs.header(MARK)), (404, "google"));
    assert_eq!(theirs.json()["error"]["code"], 404, "{}", theirs.text);
    let ours = server.get(&at("conn_0000", "calendars")).await;
    ours.failure(404, "not_found");
    assert!(!ours.headers.contains_key(MARK));
}

#[tokio::test]
async fn what_is_no_json_is_passed_on_as_it_is() {
    let (vendor, server) = (Vendor::start().await, start_server().await);
    let connection = vendor.connect(&server).await;
    let missing = server.get(&at(&connection, "missing")).await;
    assert_eq!((missing.status, missing.text.as_str()), (404, "not here"));
    assert_eq!(missing.header(MARK), "caldav");
}

#[tokio::test]
async fn caldav_is_asked_with_its_own_methods() {
    let caldav: CaldavServer = calendar_server().await;
    let (server, connection, _) = with_caldav(&caldav).await;
    let path = at(&connection, work(&caldav).path().trim_start_matches('/'));
    let propfind = "<propfind xmlns=\"DAV:\"><prop><getetag/></prop></propfind>";
    let found = webdav(&server, "PROPFIND", &path, "1", propfind.to_owned()).await;
    assert_eq!(found.status, 207, "{}", found.text);
    assert_eq!(found.header(MARK), "caldav");
    assert!(
        found.text.contains("1.ics") && found.text.contains("2.ics"),
        "{}",
        found.text
    );
    let report = "<c:calendar-query xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\"><prop><c:calendar-data/>\
                  </prop><c:filter><c:comp-filter name=\"VCALENDAR\"/></c:filter></c:calendar-query>";
    let report = webdav(&server, "REPORT", &path, "1", report.to_owned()).await;
    assert_eq!(report.status, 207, "{}", report.text);
    assert!(report.text.contains("SUMMARY:Planning"), "{}", report.text);
    assert_eq!(last_line(&server).await["method"], "REPORT");
}

#[tokio::test]
async fn a_token_that_has_ended_is_renewed_on_the_way() {
    let scene = consent::scene().await;
    let connection = scene.connect().await;
    let asked = scene.token_requests();
    scene.google.expire_access_tokens();
    let events = at(
        connection["id"].as_str().unwrap(),
        &format!("calendars/{ADA}/events"),
    );
    let made = scene.server.post(&events, google_event("After the end")).await;
    assert_eq!(made.status, 200, "{}", made.text);
    assert_eq!(scene.token_requests(), asked + 1);
    assert_eq!(scene.google.calendar(ADA).living_events().len(), 1);
}

#[tokio::test]
async fn a_vendor_that_wants_fewer_requests_is_heard_through() {
    let google = google_server().await;
    let (server, connection, _) = with_google(&google).await;
    let slow_down = FaultAnswer {
        status: 429,
        headers: vec![("retry-after".to_owned(), "37".to_owned())],
        body: "slow down".to_owned(),
    };
    google.faults().next(Match::any(), Fault::Answer(slow_down));
    let mark = google.log().mark();
    let answer = server.get(&at(&connection, "users/me/calendarList")).await;
    assert_eq!((answer.status, answer.text.as_str()), (429, "slow down"));
    assert_eq!(
        (answer.header("retry-after"), answer.header(MARK)),
        ("37", "google")
    );
    assert_eq!(
        google.log().since(mark).len(),
        1,
        "a pause that long is the caller's"
    );
    assert_eq!(last_line(&server).await["status"], 429);
}

#[tokio::test]
async fn only_what_changes_nothing_is_sent_again() {
    let google = google_server().await;
    let (server, connection, _) = with_google(&google).await;
    let events = at(&connection, &format!("calendars/{ADA}/events"));
    let mark = google.log().mark();
    google
        .faults()
        .times(1, Match::any(), Fault::answer(503, "later"));
    assert_eq!(server.get(&events).await.status, 200);
    assert_eq!(google.log().since(mark).len(), 2);
    let mark = google.log().mark();
    google
        .faults()
        .times(1, Match::any(), Fault::answer(503, "later"));
    let answer = server.post(&events, google_event("Once")).await;
    assert_eq!((answer.status, answer.text.as_str()), (503, "later"));
    assert_eq!(google.log().since(mark).len(), 1);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_says_so_here_and_in_the_audit() {
    let google = google_server().await;
    let (server, connection, _) = with_google(&google).await;
    let events = at(&connection, &format!("calendars/{ADA}/events"));
    google.faults().next(Match::path("/events"), Fault::LoseResponse);
    let answer = server.post(&events, google_event("Perhaps")).await;
    let error = answer.failure(422, "provider_unreachable");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("may have taken effect"),
        "{error}"
    );
    assert_eq!(google.calendar(ADA).living_events().len(), 1);
    let line = last_line(&server).await;
    assert_eq!(line["id"], answer.header("concord-audit-id"));
    assert!(
        line["status"].is_null() && line["failure"].is_string() && line["ended_at"].is_string(),
        "{line}"
    );
}

#[tokio::test]
async fn a_call_is_recorded_before_it_is_made_and_ended_though_nobody_waits() {
    let google = google_server().await;
    let (server, connection, _) = with_google(&google).await;
    let gate = Gate::new();
    google.faults().next(Match::any(), Fault::Hold(gate.clone()));
    let request = server
        .request(Method::GET, &at(&connection, "users/me/calendarList"))
        .bearer_auth(&server.key)
        .timeout(Duration::from_secs(2));
    let left = tokio::spawn(request.send());
    gate.reached().await;
    let line = last_line(&server).await;
    assert_eq!((&line["ended_at"], &line["status"]), (&json!(null), &json!(null)));
    assert!(left.await.unwrap().is_err(), "the caller went away");
    gate.open();
    until("the end", LIMIT, async || {
        (last_line(&server).await["status"] == 200).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn lines_are_paged_newest_first_and_chosen_by_connection_and_key() {
    let caldav = calendar_server().await;
    let (server, connection, _) = with_caldav(&caldav).await;
    let path = at(
        &connection,
        work(&caldav).path_of("1.ics").trim_start_matches('/'),
    );
    for _ in 0..3 {
        assert_eq!(server.get(&path).await.status, 200);
    }
    let first = server.get("/v1/audit?limit=2").await.json();
    let cursor = first["page"]["next"].as_str().unwrap();
    let second = server
        .get(&format!("/v1/audit?limit=2&cursor={cursor}"))
        .await
        .json();
    let ids: Vec<&str> = [&first, &second]
        .into_iter()
        .flat_map(|page| page["data"].as_array().unwrap())
        .map(|line| line["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    assert!(second["page"]["next"].is_null());
    for (filter, wanted) in [
        (format!("connection_id={connection}"), 3),
        ("connection_id=conn_0000".to_owned(), 0),
        ("connection_id=%20".to_owned(), 0),
        (
            format!("api_key_id={}", first["data"][0]["api_key_id"].as_str().unwrap()),
            3,
        ),
        ("api_key_id=key_0000".to_owned(), 0),
    ] {
        let listed = server.get(&format!("/v1/audit?{filter}")).await.data();
        assert_eq!(listed.as_array().unwrap().len(), wanted, "{filter}");
    }
}
