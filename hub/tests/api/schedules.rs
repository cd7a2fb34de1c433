//! Schedules: set, refused, shown, kept to; apart from each other, and beside syncs that people ask for.

use connector_sdk::{Clock as _, SystemClock};
use model::{CollectionId, ConnectionId, OrganizationId};
use serde_json::{Value, json};
use simulators::caldav::{AccountConfig, CaldavServer, CalendarConfig, Config};
use store::Scheduled;
use testkit::harness::until;

use crate::scene::{sync, with_caldav};
use crate::server::{LIMIT, PASSWORD, TestServer, USER, calendar_server, start_server_with};

async fn organization(server: &TestServer) -> OrganizationId {
    let store = server.server.state().unscoped_store();
    store.organizations().await.unwrap().remove(0).id
}

/// The last jobs of a connection that synced it.
async fn syncs(server: &TestServer, connection: &str) -> Vec<Value> {
    let jobs = server
        .get(&format!("/v1/jobs?connection_id={connection}&limit=200"))
        .await;
    let jobs = jobs.data().as_array().unwrap().clone();
    let synced = |job: &Value| job["task"] == "sync" && job["state"] == "done";
    jobs.into_iter().filter(synced).collect()
}

fn long_ago(schedule: &Value) -> Scheduled {
    Scheduled {
        schedule: Some(schedule.to_string()),
        next_at: Some(SystemClock.now_ms() - 5 * 3_600_000),
    }
}

#[tokio::test]
async fn a_schedule_is_set_shown_and_taken_away() {
    let caldav = calendar_server().await;
    let (server, id, calendar) = with_caldav(&caldav).await;
    let path = format!("/v1/connections/{id}");
    let usual = server.get(&path).await.data();
    assert_eq!(usual["schedule"], json!(null));
    assert!(usual["next_sync_at"].is_string(), "as the setting says: {usual}");

    let wanted = json!({"cron": "0 6 * * MON-FRI", "zone": "Europe/Berlin", "jitter_seconds": 600});
    let often = json!({"every_seconds": 21_600});
    let set = server
        .patch(
            &path,
            json!({"schedule": wanted, "collections": {&calendar: {"schedule": often}}}),
        )
        .await
        .data();
    assert_eq!(set["schedule"], wanted);
    assert_eq!(set["collections"][0]["schedule"], often);
    let next: jiff::Timestamp = set["next_sync_at"].as_str().unwrap().parse().unwrap();
    let six = next.in_tz("Europe/Berlin").unwrap();
    assert!(
        six.hour() == 6 && six.minute() < 11 && next > SystemClock.now(),
        "{six}"
    );
    let own: jiff::Timestamp = set["collections"][0]["next_sync_at"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let ahead = own.duration_since(SystemClock.now()).as_secs();
    assert!((21_500..=21_600).contains(&ahead), "{ahead}");

    let paused = server.patch(&path, json!({"paused": true})).await.data();
    assert_eq!(
        (&paused["schedule"], &paused["next_sync_at"]),
        (&wanted, &json!(null))
    );
    server.patch(&path, json!({"paused": false})).await.data();
    let kept = server.patch(&path, json!({"name": "Another"})).await.data();
    assert_eq!(kept["schedule"], wanted, "what is not said stays");
    let taken = json!({"schedule": null, "collections": {&calendar: {"schedule": null}}});
    let usual = server.patch(&path, taken).await.data();
    assert_eq!(usual["schedule"], json!(null));
    assert_eq!(usual["collections"][0]["schedule"], json!(null));
    assert!(usual["next_sync_at"].is_string(), "{usual}");
}

#[tokio::test]
async fn a_wrong_schedule_is_refused_with_its_member_and_nothing_is_changed() {
    let caldav = calendar_server().await;
    let (server, id, calendar) = with_caldav(&caldav).await;
    let path = format!("/v1/connections/{id}");
    for (schedule, at) in [
        (json!({}), "schedule"),
        (json!({"every_seconds": 59}), "schedule.every_seconds"),
        (
            json!({"every_seconds": 60, "jitter_seconds": 31}),
            "schedule.jitter_seconds",
        ),
        (json!({"cron": "0 6 * * *"}), "schedule.zone"),
        (json!({"cron": "0 6 * * *", "zone": "Berlin"}), "schedule.zone"),
        (json!({"cron": "6 o'clock", "zone": "UTC"}), "schedule.cron"),
        (json!({"cron": "0 0 30 2 *", "zone": "UTC"}), "schedule.cron"),
        (
            json!({"every_seconds": 60, "cron": "0 6 * * *", "zone": "UTC"}),
            "schedule",
        ),
    ] {
        let body = json!({"name": "changed", "schedule": schedule});
        let error = server.patch(&path, body).await.failure(422, "invalid_field");
        assert_eq!(error["details"]["path"], at, "{error}");
        let body = json!({"name": "changed", "collections": {&calendar: {"schedule": schedule}}});
        let error = server.patch(&path, body).await.failure(422, "invalid_field");
        assert_eq!(
            error["details"]["path"],
            format!("collections.{calendar}.{at}"),
            "{error}"
        );
    }
    assert_eq!(
        server.patch(&path, json!({"schedule": "hourly"})).await.status,
        422
    );
    assert_eq!(
        server
            .patch(&path, json!({"schedule": {"hours": 6}}))
            .await
            .status,
        422
    );
    let after = server.get(&path).await.data();
    assert!(
        after["name"] != "changed" && after["schedule"].is_null(),
        "{after}"
    );
}

#[tokio::test]
async fn what_was_missed_is_caught_up_once_and_syncs_by_hand_are_at_once() {
    let caldav = calendar_server().await;
    let (server, id, _) = with_caldav(&caldav).await;
    let store = server.server.state().unscoped_store();
    let connection: ConnectionId = id.parse().unwrap();
    let before = syncs(&server, &id).await.len();
    let hourly = long_ago(&json!({"every_seconds": 3_600}));
    let organization = organization(&server).await;
    store
        .put_schedule(&organization, &connection, &hourly)
        .await
        .unwrap();
    until("the sync that was missed", LIMIT, async || {
        (syncs(&server, &id).await.len() > before).then_some(())
    })
    .await
    .unwrap();
    let shown = server.get(&format!("/v1/connections/{id}")).await.data();
    let next: jiff::Timestamp = shown["next_sync_at"].as_str().unwrap().parse().unwrap();
    let ahead = next.duration_since(SystemClock.now()).as_secs();
    assert!((3_500..=3_600).contains(&ahead), "an hour from then: {ahead}");
    let job = sync(&server, &id).await;
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(
        syncs(&server, &id).await.len(),
        before + 2,
        "one for all that was missed, one by hand"
    );
}

#[tokio::test]
async fn a_collection_with_a_schedule_of_its_own_is_synced_apart() {
    let account = AccountConfig::new(USER)
        .password(PASSWORD)
        .calendar(CalendarConfig::new("work"))
        .calendar(CalendarConfig::new("home"));
    let caldav = CaldavServer::start(Config::with_account(account)).await.unwrap();
    let server = start_server_with("sync_interval_seconds = 1").await;
    let made = server.connect(&caldav).await;
    let id = made["id"].as_str().unwrap();
    let own: CollectionId = made["collections"][0]["id"].as_str().unwrap().parse().unwrap();
    let store = server.server.state().unscoped_store();
    let organization = organization(&server).await;
    let never = Scheduled {
        schedule: Some(json!({"every_seconds": 86_400}).to_string()),
        next_at: Some(SystemClock.now_ms() + 86_400_000),
    };
    store
        .put_collection_schedule(&organization, &own, &never)
        .await
        .unwrap();
    let polled = async |collections: i64, more_than: usize| {
        let found = until("a poll", LIMIT, async || {
            let polls = syncs(&server, id).await;
            let counted = polls
                .iter()
                .filter(|job| job["result"]["collections"] == collections);
            (counted.count() > more_than).then_some(())
        });
        found.await.unwrap();
    };
    // The other one goes on by the setting, without this one.
    polled(1, 2).await;
    // With a slow schedule for the rest, what is polled now is this one.
    let connection: ConnectionId = id.parse().unwrap();
    store
        .put_schedule(&organization, &connection, &never)
        .await
        .unwrap();
    crate::scene::settle(&server).await;
    let before = syncs(&server, id).await.len();
    let due = long_ago(&json!({"every_seconds": 86_400}));
    store
        .put_collection_schedule(&organization, &own, &due)
        .await
        .unwrap();
    until("its own poll", LIMIT, async || {
        (syncs(&server, id).await.len() > before).then_some(())
    })
    .await
    .unwrap();
    let last = syncs(&server, id).await.remove(0);
    assert_eq!(last["result"]["collections"], 1, "{last}");
    // Whoever asks for a sync gets the whole.
    let job = sync(&server, id).await;
    assert_eq!(job["result"]["collections"], 2, "{job}");
}
