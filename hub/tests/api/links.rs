//! What a provider refuses or sends unreadably: shown with its reason, apart from all others, and put right again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use simulators::caldav::{CaldavServer, Quirks, Rejection};
use simulators::faults::{Fault, FaultAnswer, Match};

use crate::scene::{
    caldav_server, event_titled, event_when, events, ics, path_of, settle, sync, with_caldav, work,
};
use crate::server::{Answer, TestServer};

fn refusing(uid: &str, rejection: Rejection) -> Quirks {
    Quirks {
        reject_uids: [(uid.to_owned(), rejection)].into(),
        ..Quirks::default()
    }
}

/// Two events, one of which the server will not have written; both edited.
async fn refused() -> (TestServer, CaldavServer, Value) {
    let objects = [
        ("1.ics", ics("u1", &["SUMMARY:Refused"])),
        ("2.ics", ics("u2", &["SUMMARY:Taken"])),
    ];
    let caldav = caldav_server(&objects).await;
    let (server, ..) = with_caldav(&caldav).await;
    caldav.set_quirks(refusing("u1", Rejection::of_writes(403)));
    let event = event_titled(&server, "Refused").await;
    let other = event_titled(&server, "Taken").await;
    server
        .patch(&path_of(&event), json!({"title": "Refused, edited"}))
        .await
        .data();
    server
        .patch(&path_of(&other), json!({"title": "Taken, edited"}))
        .await
        .data();
    let event = event_when(&server, &event, |event| event["links"][0]["state"] == "rejected").await;
    (server, caldav, event)
}

#[tokio::test]
async fn a_write_refused_for_good_is_shown_and_can_be_reverted() {
    let (server, caldav, event) = refused().await;
    let link = &event["links"][0];
    assert!(
        link["reason"].as_str().is_some_and(|reason| !reason.is_empty()),
        "{link}"
    );
    settle(&server).await;
    assert!(
        work(&caldav)
            .get("2.ics")
            .unwrap()
            .ics
            .contains("Taken\\, edited"),
        "the others go on"
    );
    let rejected = server.get("/v1/links?state=rejected").await.data();
    assert_eq!(rejected.as_array().unwrap().len(), 1, "{rejected}");
    assert_eq!(rejected[0]["record_id"], event["id"]);

    let path = format!("/v1/links/{}", link["id"].as_str().unwrap());
    let reverted = server.post(&format!("{path}/revert"), json!({})).await.data();
    assert_eq!(reverted["state"], "synced", "{reverted}");
    assert_eq!(server.get(&path).await.data()["state"], "synced");
    assert_eq!(
        server.get(&path_of(&event)).await.data()["title"],
        "Refused",
        "the provider's value again"
    );
}

/// Lets the server say that it schedules by itself; the simulator itself never mails anybody.
fn advertise_scheduling(server: &CaldavServer) {
    let answer = FaultAnswer {
        status: 200,
        headers: vec![(
            "dav".to_owned(),
            "1, calendar-access, calendar-auto-schedule".to_owned(),
        )],
        body: String::new(),
    };
    let options = Match::method(Method::OPTIONS);
    server.faults().always(options, Fault::Answer(answer));
}

#[tokio::test]
async fn a_write_that_would_mail_people_waits_for_an_approval() {
    let guests = [
        "SUMMARY:Review",
        "ORGANIZER:mailto:ada@example.com",
        "ATTENDEE:mailto:grace@example.com",
    ];
    let objects = [("1.ics", ics("u1", &guests))];
    let caldav = caldav_server(&objects).await;
    advertise_scheduling(&caldav);
    let (server, ..) = with_caldav(&caldav).await;
    let event = event_titled(&server, "Review").await;
    let edited = server
        .patch(&path_of(&event), json!({"title": "Second review"}))
        .await
        .data();
    let event = event_when(&server, &edited, |event| {
        event["links"][0]["state"] == "needs_approval"
    })
    .await;
    let link = &event["links"][0];
    let reason = link["reason"].as_str().unwrap();
    assert!(reason.contains("grace@example.com"), "{reason}");
    settle(&server).await;
    assert!(work(&caldav).get("1.ics").unwrap().ics.contains("SUMMARY:Review"));
    let waiting = server.get("/v1/links?state=needs_approval").await.data();
    assert_eq!(waiting.as_array().unwrap().len(), 1, "{waiting}");

    let path = format!("/v1/links/{}/approve", link["id"].as_str().unwrap());
    let version = event["version"].as_i64().unwrap();
    let of_before = server
        .request(Method::POST, &path)
        .bearer_auth(&server.key)
        .header("if-match", (version - 1).to_string());
    Answer::of(of_before).await.failure(412, "version_mismatch");
    let approved = server.post(&path, json!({})).await.data();
    assert_eq!(approved["state"], "pending", "{approved}");
    event_when(&server, &event, |event| event["links"][0]["state"] == "synced").await;
    assert!(
        work(&caldav)
            .get("1.ics")
            .unwrap()
            .ics
            .contains("SUMMARY:Second review")
    );
    server.post(&path, json!({})).await.failure(409, "conflict");
    server
        .post("/v1/links/link_01/approve", json!({}))
        .await
        .failure(404, "not_found");
}

#[tokio::test]
async fn a_refused_write_is_not_repeated_until_someone_asks() {
    let (server, caldav, event) = refused().await;
    settle(&server).await;
    let connection = event["links"][0]["connection_id"].as_str().unwrap();
    let mark = caldav.log().mark();
    for _ in 0..3 {
        sync(&server, connection).await;
    }
    assert!(caldav.log().writes_since(mark).is_empty());

    caldav.set_quirks(Quirks::default());
    let path = format!("/v1/links/{}/retry", event["links"][0]["id"].as_str().unwrap());
    server.post(&path, json!({})).await.data();
    event_when(&server, &event, |event| event["links"][0]["state"] == "synced").await;
    assert!(
        work(&caldav)
            .get("1.ics")
            .unwrap()
            .ics
            .contains("Refused\\, edited")
    );
}

#[tokio::test]
async fn links_are_listed_by_record_connection_and_state() {
    let objects = [
        ("1.ics", ics("u1", &["SUMMARY:One"])),
        ("2.ics", ics("u2", &["SUMMARY:Two"])),
    ];
    let caldav = caldav_server(&objects).await;
    let (server, connection, calendar) = with_caldav(&caldav).await;
    let event = event_titled(&server, "One").await;
    let count = async |query: String| {
        server
            .get(&format!("/v1/links?{query}"))
            .await
            .data()
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(
        count(format!("record_id={}", event["id"].as_str().unwrap())).await,
        1
    );
    assert_eq!(count(format!("connection_id={connection}")).await, 2);
    assert_eq!(count(format!("collection_id={calendar}&state=synced")).await, 2);
    assert_eq!(count("state=rejected".to_owned()).await, 0);
    server
        .get("/v1/links?state=lost")
        .await
        .failure(400, "invalid_query");
    server.get("/v1/links/link_01").await.failure(404, "not_found");
    server
        .post("/v1/links/link_01/revert", json!({}))
        .await
        .failure(404, "not_found");
}

#[tokio::test]
async fn a_record_that_cannot_be_understood_is_quarantined_and_the_others_go_on() {
    let strange = [
        "SUMMARY:Strange",
        "DTSTART;TZID=Mars/Olympus:20260302T090000",
        "DTEND;TZID=Mars/Olympus:20260302T100000",
    ];
    let objects = [
        ("1.ics", ics("u1", &strange)),
        ("2.ics", ics("u2", &["SUMMARY:Plain"])),
    ];
    let caldav = caldav_server(&objects).await;
    let (server, connection, calendar) = with_caldav(&caldav).await;
    event_titled(&server, "Plain").await;
    assert_eq!(events(&server).await.len(), 1);
    let listed = server
        .get(&format!("/v1/quarantine?collection_id={calendar}"))
        .await
        .data();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert!(
        listed[0]["reason"].as_str().unwrap().contains("Mars/Olympus"),
        "{listed}"
    );
    assert!(listed[0]["raw"].is_null(), "{listed}");
    let path = format!("/v1/quarantine/{}", listed[0]["id"].as_str().unwrap());
    let raw = STANDARD
        .decode(server.get(&path).await.data()["raw"].as_str().unwrap())
        .unwrap();
    assert!(String::from_utf8(raw).unwrap().contains("SUMMARY:Strange"));
    assert_eq!(
        server.get(&format!("/v1/calendars/{calendar}")).await.data()["counts"]["quarantined"],
        1
    );

    let job = server.post(&format!("{path}/retry"), json!({})).await.data();
    server.ended_job(job["id"].as_str().unwrap()).await;
    let again = server.get("/v1/quarantine").await.data();
    assert_eq!(again.as_array().unwrap().len(), 1, "what is still strange stays");
    assert_eq!(again[0]["id"], listed[0]["id"]);
    assert_eq!((&listed[0]["tries"], &again[0]["tries"]), (&json!(0), &json!(1)));
    assert!(
        again[0]["retry_at"].as_str() > listed[0]["retry_at"].as_str(),
        "{again}"
    );

    work(&caldav)
        .edit("1.ics", |ics| ics.replace("Mars/Olympus", "Europe/Berlin"))
        .unwrap();
    sync(&server, &connection).await;
    event_titled(&server, "Strange").await;
    assert_eq!(server.get("/v1/quarantine").await.data(), json!([]));
    server
        .get("/v1/quarantine/quar_01")
        .await
        .failure(404, "not_found");
}

#[tokio::test]
async fn a_record_whose_reading_always_answers_400_holds_up_no_other() {
    let objects = [
        ("1.ics", ics("u1", &["SUMMARY:Poison"])),
        ("2.ics", ics("u2", &["SUMMARY:Plain"])),
    ];
    let caldav = caldav_server(&objects).await;
    caldav.set_quirks(refusing("u1", Rejection::always(400)));
    let (server, connection, _) = with_caldav(&caldav).await;
    event_titled(&server, "Plain").await;
    let listed = server.get("/v1/quarantine").await.data();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert!(listed[0]["reason"].as_str().unwrap().contains("400"), "{listed}");
    let job = sync(&server, &connection).await;
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(events(&server).await.len(), 1);

    // The server is well again: the object has the same version, and no list names it as changed.
    caldav.set_quirks(Quirks::default());
    let path = format!("/v1/quarantine/{}/retry", listed[0]["id"].as_str().unwrap());
    let answer = server.post(&path, json!({})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    server.ended_job(answer.data()["id"].as_str().unwrap()).await;
    event_titled(&server, "Poison").await;
    assert_eq!(server.get("/v1/quarantine").await.data(), json!([]));
    server.post(&path, json!({})).await.failure(404, "not_found");
}
