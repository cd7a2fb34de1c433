//! The way it is meant: from a link to a connection that syncs; again for the same account; more permissions; goodbye.

use std::time::Duration;

use hub::server::Make;
use serde_json::json;
use simulators::faults::{Fault, Gate, Match};
use simulators::google_calendar::Answer as Person;

use super::{ADA, BOB, Browser, parameter, scene, scene_of};
use crate::scene::{event_titled, google_event, sync};

#[tokio::test]
async fn a_person_who_agrees_gets_a_connection_that_syncs() {
    let scene = scene().await;
    scene
        .google
        .calendar(ADA)
        .insert(google_event("Stand-up"))
        .unwrap();
    let link = scene.link(json!({})).await;
    let mut browser = Browser::default();

    let page = browser.get(&link).await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("make, change and delete events"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("<script"), "{}", page.text);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("cache-control"), "no-store");

    let vendor = browser.go_to_vendor(&link).await;
    assert!(vendor.starts_with(&scene.google.authorize_url()), "{vendor}");
    assert_eq!(parameter(&vendor, "code_challenge_method").unwrap(), "S256");
    assert_eq!(parameter(&vendor, "access_type").unwrap(), "offline");
    let redirect = scene.server.url(&format!("/oauth/callback/{}", scene.app));
    assert_eq!(parameter(&vendor, "redirect_uri").unwrap(), redirect);

    let callback = browser.go_to_callback(&link).await;
    let done = browser.get(&callback).await;
    assert!(done.status == 200 && done.text.contains(ADA), "{}", done.text);
    let connection = scene.only_connection().await;
    assert_eq!(
        (&connection["name"], &connection["health"]),
        (&json!(ADA), &json!("active"))
    );
    assert_eq!(connection["consent"]["account"], ADA);
    assert_eq!(connection["consent"]["provider_app_id"], scene.app);
    assert_eq!(connection["config"]["base_url"], scene.google.api_url());
    event_titled(&scene.server, "Stand-up").await;

    assert_eq!(
        browser.get(&link).await.status,
        404,
        "a link is for one account unless said"
    );
}

#[tokio::test]
async fn afterwards_the_browser_goes_where_the_enterprise_wants_it() {
    let scene = scene().await;
    let link = scene
        .link(json!({"return_url": "https://portal.example/done?tab=1"}))
        .await;
    let mut browser = Browser::default();
    let callback = browser.go_to_callback(&link).await;
    let sent = browser.get(&callback).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let to = sent.header("location");
    assert!(to.starts_with("https://portal.example/done?tab=1&"), "{to}");
    assert_eq!(parameter(to, "outcome").unwrap(), "connected");
    let connection = scene.only_connection().await;
    assert_eq!(connection["id"], parameter(to, "connection_id").unwrap());
}

#[tokio::test]
async fn one_link_serves_many_people_and_one_account_has_one_connection() {
    let scene = scene().await;
    let link = scene.link(json!({"uses": 3, "expires_in_seconds": 86_400})).await;
    for person in [ADA, BOB, ADA] {
        scene.google.answers(Person::Agrees(person.to_owned()));
        let mut browser = Browser::default();
        let callback = browser.go_to_callback(&link).await;
        assert_eq!(browser.get(&callback).await.status, 200);
    }
    let listed = scene.server.get("/v1/connections").await.data();
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, [json!(ADA), json!(BOB)]);
    let links = scene.server.get("/v1/connect-links").await.data();
    assert_eq!(links[0]["uses_left"], 0);
    assert_eq!(Browser::default().get(&link).await.status, 404);
}

#[tokio::test]
async fn a_link_can_be_taken_back() {
    let scene = scene().await;
    let link = scene.link(json!({})).await;
    let links = scene.server.get("/v1/connect-links").await.data();
    let path = format!("/v1/connect-links/{}", links[0]["id"].as_str().unwrap());
    assert_eq!(scene.server.get(&path).await.data(), links[0]);
    assert_eq!(scene.server.delete(&path).await.status, 204);
    assert_eq!(Browser::default().get(&link).await.status, 404);
    assert_eq!(scene.server.delete(&path).await.status, 404);
}

#[tokio::test]
async fn permissions_are_asked_for_by_use_and_can_grow() {
    let scene = scene().await;
    let link = scene.link(json!({"permissions": ["read"]})).await;
    let mut browser = Browser::default();
    let vendor = browser.go_to_vendor(&link).await;
    assert!(
        !parameter(&vendor, "scope")
            .unwrap()
            .contains("auth/calendar.events "),
        "{vendor}"
    );
    let callback = browser.go_to_callback(&link).await;
    assert_eq!(browser.get(&callback).await.status, 200);
    let before = scene.only_connection().await;
    assert_eq!(before["consent"]["scopes"].as_array().unwrap().len(), 2);

    let more = json!({"connection_id": before["id"], "permissions": ["write"]});
    let link = scene.link(more).await;
    let callback = browser.go_to_callback(&link).await;
    assert_eq!(browser.get(&callback).await.status, 200);
    let after = scene.only_connection().await;
    assert_eq!(after["id"], before["id"]);
    assert_eq!(after["consent"]["scopes"].as_array().unwrap().len(), 3, "{after}");
}

#[tokio::test]
async fn removing_a_connection_gives_its_tokens_back() {
    let scene = scene().await;
    let connection = scene.connect().await;
    assert_eq!(scene.google.granted(ADA).len(), 1);
    let path = format!("/v1/connections/{}", connection["id"].as_str().unwrap());
    let app = format!("/v1/provider-apps/{}", scene.app);
    scene.server.delete(&app).await.failure(409, "conflict");
    assert_eq!(scene.server.delete(&path).await.status, 204);
    assert!(
        scene.google.granted(ADA).is_empty(),
        "Google knows that it is over"
    );
    assert_eq!(scene.server.delete(&app).await.status, 204);
}

#[tokio::test]
async fn what_came_by_consent_is_not_changed_by_hand() {
    let scene = scene().await;
    let connection = scene.connect().await;
    let path = format!("/v1/connections/{}", connection["id"].as_str().unwrap());
    for body in [
        json!({"config": {"base_url": "https://thief.example/"}}),
        json!({"config": {"token_url": "https://thief.example/"}}),
        json!({"credentials": {"access_token": "another"}}),
    ] {
        scene.server.patch(&path, body).await.failure(409, "conflict");
    }
    let answer = scene.server.patch(&path, json!({"name": "Ada at work"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let job = sync(&scene.server, connection["id"].as_str().unwrap()).await;
    assert_eq!(job["state"], "done", "{job}");
}

#[tokio::test]
async fn settings_of_a_connection_that_came_by_consent_can_be_changed() {
    let scene = scene().await;
    let connection = scene.connect().await;
    let path = format!("/v1/connections/{}", connection["id"].as_str().unwrap());
    let changed = scene
        .server
        .patch(&path, json!({"config": {"note": "of the enterprise"}}))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.data()["config"]["note"], "of the enterprise");
    assert_eq!(changed.data()["config"]["base_url"], scene.google.api_url());
}

#[tokio::test]
async fn two_tabs_of_one_consent_make_one_connection() {
    let scene = scene().await;
    let (mut one, mut two) = (Browser::default(), Browser::default());
    let link = scene.link(json!({"uses": 2})).await;
    let first = one.go_to_callback(&link).await;
    let second = two.go_to_callback(&link).await;
    // Both stand at the vendor's door before either is let in.
    let gates = [Gate::new(), Gate::new()];
    for gate in &gates {
        scene
            .google
            .faults()
            .next(Match::path("/token"), Fault::Hold(gate.clone()));
    }
    let meet = async {
        for gate in &gates {
            gate.reached().await;
        }
        for gate in &gates {
            gate.open();
        }
    };
    let (first, second, ()) = tokio::join!(one.get(&first), two.get(&second), meet);
    assert_eq!(
        (first.status, second.status),
        (200, 200),
        "{} {}",
        first.text,
        second.text
    );
    let connection = scene.only_connection().await;
    let job = sync(&scene.server, connection["id"].as_str().unwrap()).await;
    assert_eq!(job["state"], "done", "{job}");
}

#[tokio::test]
async fn a_vendor_that_hangs_keeps_nobody_waiting_and_the_link_works_again() {
    let make = Make {
        token_patience: Duration::from_millis(300),
        ..Make::default()
    };
    let scene = scene_of(|config| config, make).await;
    let link = scene.link(json!({})).await;
    let mut ada = Browser::default();
    let callback = ada.go_to_callback(&link).await;
    let gate = Gate::new();
    scene
        .google
        .faults()
        .next(Match::path("/token"), Fault::Hold(gate.clone()));
    let page = ada.get(&callback).await;
    assert_eq!(page.status, 422, "{}", page.text);
    assert!(page.text.contains("does not answer"), "{}", page.text);
    gate.open();
    scene.has_no_connection().await;
    let callback = ada.go_to_callback(&link).await;
    assert_eq!(ada.get(&callback).await.status, 200);
    scene.only_connection().await;
}
