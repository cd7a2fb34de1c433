//! What becomes of tokens: renewed in the middle of a page, refused once and for all, repaired by the same account.

use serde_json::json;
use simulators::faults::{Fault, Match};
use simulators::google_calendar::Answer as Person;

use super::{ADA, BOB, Browser, scene};
use crate::scene::{event_titled, google_event, sync};

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_pull_is_renewed_once_and_the_pull_goes_on() {
    let scene = scene().await;
    scene.google.set_page_size_cap(5);
    let events = (0..23).map(|number| google_event(&format!("Event {number}")));
    scene.google.calendar(ADA).insert_all(events).unwrap();
    // The third page finds the tokens expired.
    let google = scene.google.google();
    let third = Match::path("/events").nth(3);
    let expire = Fault::before(move || google.expire_access_tokens());
    scene.google.faults().next(third, expire);
    let connection = scene.connect().await;
    assert_eq!(connection["health"], "active", "{connection}");
    let events = crate::scene::events(&scene.server).await;
    assert_eq!(events.len(), 23);
    assert_eq!(scene.token_requests(), 2, "one exchange, one renewal");
}

#[tokio::test]
async fn a_refused_renewal_is_asked_once_told_and_repaired_by_the_same_account() {
    let scene = scene().await;
    let connection = scene.connect().await;
    let id = connection["id"].as_str().unwrap();
    let before = scene.server.get("/v1/changes?limit=200").await.data();
    let after = before.as_array().unwrap().last().unwrap()["seq"].clone();
    scene.google.revoke(ADA);
    let asked = scene.token_requests();
    for _ in 0..3 {
        let job = sync(&scene.server, id).await;
        assert_eq!(job["state"], "failed", "{job}");
        assert_eq!(job["error"]["code"], "provider_unauthorized", "{job}");
    }
    assert_eq!(scene.token_requests(), asked + 1, "nobody asks a second time");
    let broken = scene.connection(id).await;
    assert_eq!(broken["health"], "needs_reauth");
    let reason = broken["health_reason"].as_str().unwrap();
    assert!(
        reason.contains("signs in again") && reason.contains(id),
        "{reason}"
    );
    let changes = scene
        .server
        .get(&format!("/v1/changes?after={after}&limit=200"))
        .await
        .data();
    let told = changes
        .as_array()
        .unwrap()
        .iter()
        .any(|change| change["id"] == id && change["changed"] == json!(["health"]));
    assert!(told, "{changes}");

    let path = format!("/v1/connections/{id}");
    for paused in [true, false] {
        let changed = scene.server.patch(&path, json!({ "paused": paused })).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
    }
    let broken = scene.connection(id).await;
    assert_eq!(broken["health"], "needs_reauth", "a pause mends nothing");

    let repair = broken["repair_url"].as_str().unwrap();
    let mut browser = Browser::default();
    scene.google.answers(Person::Agrees(BOB.to_owned()));
    let callback = browser.go_to_callback(repair).await;
    assert_eq!(
        browser.get(&callback).await.status,
        422,
        "another account repairs nothing"
    );
    scene.google.answers(Person::Agrees(ADA.to_owned()));
    let callback = browser.go_to_callback(repair).await;
    assert_eq!(browser.get(&callback).await.status, 200);
    scene
        .google
        .calendar(ADA)
        .insert(google_event("After the repair"))
        .unwrap();
    let job = sync(&scene.server, id).await;
    assert_eq!(job["state"], "done", "{job}");
    event_titled(&scene.server, "After the repair").await;
    let repaired = scene.connection(id).await;
    assert_eq!(
        (&repaired["health"], &repaired["repair_url"]),
        (&json!("active"), &json!(null))
    );
    assert_eq!(
        browser.get(repair).await.status,
        404,
        "what is not broken is not repaired"
    );
}

#[tokio::test]
async fn a_wrong_client_secret_is_the_apps_trouble_and_no_persons() {
    let scene = scene().await;
    let connection = scene.connect().await;
    let id = connection["id"].as_str().unwrap();
    let app = format!("/v1/provider-apps/{}", scene.app);
    let mut oauth = super::app_body(&scene.google)["oauth"].clone();
    oauth["client_secret"] = json!("wrong");
    scene.server.patch(&app, json!({"oauth": oauth})).await.data();
    scene.google.expire_access_tokens();
    let job = sync(&scene.server, id).await;
    assert_eq!(job["state"], "failed", "{job}");
    let broken = scene.connection(id).await;
    assert_eq!(broken["health"], "degraded", "{broken}");
    assert!(!broken.to_string().contains("wrong\""), "{broken}");
    let says_so = |connection: &serde_json::Value| {
        let reason = connection["health_reason"].as_str().unwrap_or_default();
        reason.contains("refuses the app (invalid_client)")
            && reason.contains("give the app its right secret")
    };
    assert!(says_so(&broken), "{broken}");
    // Nobody asks the vendor again for a while, and the reason stays the reason.
    let asked = scene.token_requests();
    let path = format!("/v1/connections/{id}");
    let again = scene.server.post(&format!("{path}/sync"), json!({})).await.data();
    let tried = |job: &serde_json::Value| job["error"]["code"] == "provider_forbidden";
    scene.server.job_when(again["id"].as_str().unwrap(), tried).await;
    let broken = scene.server.get(&path).await.data();
    assert!(says_so(&broken), "{broken}");
    assert_eq!(scene.token_requests(), asked);

    let right = super::app_body(&scene.google)["oauth"].clone();
    scene.server.patch(&app, json!({"oauth": right})).await.data();
    let job = sync(&scene.server, id).await;
    assert_eq!(job["state"], "done", "{job}");
    let mended = scene.connection(id).await;
    assert_eq!(
        (&mended["health"], &mended["health_reason"]),
        (&json!("active"), &json!(null))
    );
}
