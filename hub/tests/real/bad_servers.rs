//! Servers that are wrong, broken or hostile: each is a clear error with its code, nothing that the hub has is lost,
//! and the process goes on with bounded memory.

use std::time::Duration;

use serde_json::{Value, json};
use simulators::caldav::{
    AccountConfig, BadAnswer, BadAnswerForm, CaldavServer, CalendarConfig, Config, Operation, Quirks,
};
use testkit::corpus;
use testkit::harness::{TlsFront, TlsIdentity, until};

use crate::hub::{Hub, caldav};
use crate::scene::{Dav, google, ics};

const USER: &str = "ada";
const PASSWORD: &str = "correct horse";
const MEBIBYTE: u64 = 1 << 20;

async fn refused(hub: &Hub, body: Value, code: &str) -> String {
    let message = hub.post("/v1/connections", body).await.failure(422, code);
    assert!(
        hub.all("/v1/connections").await.is_empty(),
        "nothing is stored after {code}"
    );
    message
}

#[tokio::test]
async fn wrong_addresses_and_passwords_are_told_apart() {
    let dav = Dav::with([("a.ics", ics("a", &["SUMMARY:Planning"]))]).await;
    let hub = Hub::start().await;
    let right = dav.connection();
    let with_url = |url: &str| caldav(url, "alice", &dav.radicale.credentials.password);

    refused(&hub, with_url("http://127.0.0.1:9/"), "provider_unreachable").await;
    let mut wrong = right.clone();
    wrong["credentials"]["password"] = json!("hunter2");
    let message = refused(&hub, wrong, "provider_unauthorized").await;
    assert!(!message.contains("hunter2"), "{message}");
    let google = google().await;
    refused(&hub, with_url(&google.api_url()), "provider_not_supported").await;
    // What was right still is.
    hub.connect(right).await;
    assert_eq!(hub.events().await.len(), 1);
    assert_eq!(dav.writes(), 0);
}

#[tokio::test]
async fn a_certificate_that_expires_stops_the_sync_and_loses_nothing() {
    let dav = Dav::with([("a.ics", ics("a", &["SUMMARY:Planning"]))]).await;
    let (valid, expired) = (TlsIdentity::valid().unwrap(), TlsIdentity::expired().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(
        &roots,
        format!("{}\n{}", valid.authority_pem, expired.authority_pem),
    )
    .unwrap();
    let hub = Hub::start_with(&[("CONCORD_EXTRA_ROOTS_FILE", roots.to_str().unwrap())]).await;

    let radicale = dav.radicale.base_url().socket_addrs(|| None).unwrap()[0];
    let before = TlsFront::start(radicale, &valid).await.unwrap();
    let after = TlsFront::start(radicale, &expired).await.unwrap();
    let password = &dav.radicale.credentials.password;
    let body = |front: &TlsFront| caldav(front.base_url().unwrap().as_str(), "alice", password);
    let message = refused(&hub, body(&after), "provider_certificate").await;
    assert!(message.contains("expired"), "{message}");

    let connected = hub.connect(body(&before)).await;
    let moved = json!({"config": {"base_url": after.base_url().unwrap()}});
    let path = format!("/v1/connections/{}", connected.id);
    hub.patch(&path, moved.clone())
        .await
        .failure(422, "provider_certificate");
    assert_eq!(
        hub.patch(&format!("{path}?verify=false"), moved).await.status,
        200
    );
    let said = complaint(&hub, &connected.id).await;
    assert!(said.contains("expired"), "{said}");
    let health = hub.get(&path).await.data();
    assert_eq!(health["health"], "degraded", "{health}");
    assert_eq!(hub.events().await.len(), 1, "nothing is lost");
}

async fn simulated(objects: impl IntoIterator<Item = (String, String)>) -> CaldavServer {
    let calendar = CalendarConfig::new("work").display_name("Work");
    let calendar = objects
        .into_iter()
        .fold(calendar, |calendar, (name, ics)| calendar.object(name, ics));
    let account = AccountConfig::new(USER).password(PASSWORD).calendar(calendar);
    CaldavServer::start(Config::with_account(account)).await.unwrap()
}

fn spoiled(operation: Operation, form: BadAnswerForm) -> Quirks {
    let bad_answer = BadAnswer {
        operation: Some(operation),
        form,
    };
    Quirks {
        bad_answer: Some(bad_answer),
        ..Quirks::default()
    }
}

#[tokio::test]
async fn answers_that_nobody_should_trust_end_a_sync_and_lose_nothing() {
    let objects = ["a", "b", "c"].map(|uid| (format!("{uid}.ics"), ics(uid, &["SUMMARY:Planning"])));
    let server = simulated(objects).await;
    let mut hub = Hub::start().await;
    let connected = hub.connect(caldav(server.base_url(), USER, PASSWORD)).await;
    let calendar = server.calendar(USER, "work");
    for (form, words) in [
        (
            BadAnswerForm::HugeBody {
                size_bytes: 200 * MEBIBYTE,
            },
            "larger than",
        ),
        (BadAnswerForm::EntityExpansion, "document type"),
        (BadAnswerForm::MalformedXml, "not well-formed"),
        (BadAnswerForm::HtmlLoginPage, "web page"),
        (BadAnswerForm::CutMidway, "broke"),
    ] {
        for operation in [Operation::SyncCollection, Operation::Multiget] {
            calendar.edit("a.ics", with_next_title).unwrap();
            server.set_quirks(spoiled(operation, form));
            let said = complaint(&hub, &connected.id).await;
            assert!(said.contains(words), "{form:?}: {said}");
            assert_eq!(hub.events().await.len(), 3, "{form:?} lost something");
            assert!(hub.is_running());
            let resident = hub.resident_bytes();
            assert!(
                resident < 300 * MEBIBYTE,
                "{form:?}: {} MiB are resident",
                resident / MEBIBYTE
            );

            server.set_quirks(Quirks::default());
            // An object that was put aside comes back with its next change.
            calendar.edit("a.ics", with_next_title).unwrap();
            let healed = until("the connection to heal", Duration::from_secs(20), async || {
                hub.sync(&connected.id).await;
                let path = format!("/v1/connections/{}", connected.id);
                (hub.get(&path).await.data()["health"] == "active").then_some(())
            });
            healed
                .await
                .unwrap_or_else(|error| panic!("after {form:?}: {error}"));
            hub.settle().await;
            let there = calendar.get("a.ics").unwrap().ics;
            let line = format!("SUMMARY:{}\r\n", hub.event("a").await["title"].as_str().unwrap());
            assert!(there.contains(&line), "{form:?}: {line} is not in {there}");
            assert!(hub.all("/v1/quarantine").await.is_empty(), "{form:?}");
        }
    }
    assert_eq!(server.log().writes(), 0);
}

/// What a sync at a broken server has to say: its error, or why it put an object aside.
async fn complaint(hub: &Hub, connection: &str) -> String {
    let path = format!("/v1/connections/{connection}/sync");
    let asked = hub.post(&path, json!({})).await.data();
    let job = hub.tried_job(asked["id"].as_str().unwrap()).await;
    if job["state"] == "done" {
        assert_eq!(job["result"]["quarantined"], 1, "{job}");
        return hub.all("/v1/quarantine").await[0]["reason"]
            .as_str()
            .unwrap()
            .to_owned();
    }
    let code = job["error"]["code"].as_str().unwrap();
    assert!(
        ["provider_error", "provider_unreachable"].contains(&code),
        "{job}"
    );
    job["error"]["message"].as_str().unwrap().to_owned()
}

/// `SUMMARY:Planning` becomes `SUMMARY:Planning.`, and so on.
fn with_next_title(ics: &str) -> String {
    let (before, after) = ics.split_once("SUMMARY:").unwrap();
    let (title, after) = after.split_once("\r\n").unwrap();
    format!("{before}SUMMARY:{title}.\r\n{after}")
}

#[tokio::test]
async fn hostile_objects_are_taken_in_or_put_aside_with_their_reason_one_by_one() {
    let hostile = corpus::hostile();
    let texts = hostile
        .iter()
        .filter_map(|hostile| Some((hostile.name, std::str::from_utf8(&hostile.bytes).ok()?)));
    let mut objects: Vec<(String, String)> = texts
        .map(|(name, text)| (format!("{name}.ics"), text.to_owned()))
        .collect();
    for number in 0..5 {
        let uid = format!("sound-{number}");
        objects.push((format!("{uid}.ics"), ics(&uid, &["SUMMARY:Sound"])));
    }
    let count = objects.len();
    let server = simulated(objects).await;
    let mut hub = Hub::start().await;
    let connected = hub.connect(caldav(server.base_url(), USER, PASSWORD)).await;

    let quarantined = hub.all("/v1/quarantine").await;
    assert!(
        quarantined
            .iter()
            .all(|entry| !entry["reason"].as_str().unwrap().is_empty())
    );
    let events = hub.events().await;
    let taken: Vec<&str> = events
        .iter()
        .map(|event| event["links"][0]["remote_id"].as_str().unwrap())
        .collect();
    // Two hold no event at all: they are of no concern.
    assert_eq!(
        taken.len() + quarantined.len(),
        count - 2,
        "each is either taken in or put aside: {taken:?}"
    );
    for number in 0..5 {
        hub.event(&format!("sound-{number}")).await;
    }
    let reason = |name: &str| {
        let entry = quarantined
            .iter()
            .find(|entry| entry["remote_id"].as_str().unwrap().ends_with(name));
        entry.unwrap_or_else(|| panic!("{name} was taken in"))["reason"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(
        reason("/unknown-zone.ics").contains("Mars/Olympus"),
        "{}",
        reason("/unknown-zone.ics")
    );
    for name in [
        "/truncated.ics",
        "/not-a-calendar.ics",
        "/no-dtstart.ics",
        "/nesting-bomb.ics",
    ] {
        reason(name);
    }

    // A week of rules that repeat every second is answered, and says which could not be listed.
    let window = "from=2025-01-06T00:00:00Z&to=2025-01-13T00:00:00Z&expand=true";
    let listed = hub.get(&format!("/v1/events?{window}&limit=200")).await;
    let week = listed.data();
    let refused = week
        .as_array()
        .unwrap()
        .iter()
        .any(|item| item["expansion_error"].is_string());
    assert!(refused, "a rule for every second of a century is not listed");
    assert!(hub.is_running());
    let resident = hub.resident_bytes();
    assert!(
        resident < 300 * MEBIBYTE,
        "{} MiB are resident",
        resident / MEBIBYTE
    );
    let again = hub.synced(&connected.id).await;
    assert_eq!(
        (&again["created"], &again["updated"], &again["deleted"]),
        (&json!(0), &json!(0), &json!(0))
    );
    assert_eq!(server.log().writes(), 0);
}

#[tokio::test]
async fn an_object_at_a_real_server_that_makes_no_sense_is_put_aside_until_it_does() {
    let good = (0..5).map(|number| format!("sound-{number}"));
    let dav = Dav::with(good.map(|uid| (format!("{uid}.ics"), ics(&uid, &["SUMMARY:Sound"])))).await;
    let hub = Hub::start().await;
    let connected = hub.connect(dav.connection()).await;
    // Radicale lets it in: an occurrence without its series.
    let lone = ics("lone", &["SUMMARY:Lone", "RECURRENCE-ID:20260302T090000Z"]);
    dav.put("lone.ics", &lone).await;
    let summary = hub.synced(&connected.id).await;
    assert_eq!(
        (&summary["quarantined"], &summary["deleted"]),
        (&json!(1), &json!(0)),
        "{summary}"
    );
    let quarantined = hub.all("/v1/quarantine").await;
    assert!(
        quarantined[0]["reason"]
            .as_str()
            .unwrap()
            .contains("without the series"),
        "{quarantined:#?}"
    );
    assert_eq!(hub.events().await.len(), 5);

    // Put right, it comes out of quarantine.
    dav.put("lone.ics", &ics("lone", &["SUMMARY:Not alone"])).await;
    hub.synced(&connected.id).await;
    assert!(hub.all("/v1/quarantine").await.is_empty());
    assert_eq!(hub.event("lone").await["title"], "Not alone");
}
