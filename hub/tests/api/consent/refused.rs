//! What must not make a connection: swapped states, replayed codes, other browsers, other organizations, other issuers,
//! half a consent, another account.

use reqwest::Method;
use serde_json::json;
use simulators::google_calendar::Answer as Person;

use super::{ADA, BOB, Browser, Scene, link, make_app, parameter, scene, scene_with, with_parameter};

/// Asserts that this callback connects nothing.
async fn refused(scene: &Scene, browser: &mut Browser, callback: &str) {
    let page = browser.get(callback).await;
    assert_eq!(page.status, 400, "{}", page.text);
    assert!(page.text.contains("Nothing was connected"), "{}", page.text);
    scene.has_no_connection().await;
}

#[tokio::test]
async fn a_state_that_is_swapped_made_up_or_missing_connects_nothing() {
    let scene = scene().await;
    let (mut ada, mut mallory) = (Browser::default(), Browser::default());
    let of_ada = ada.go_to_callback(&scene.link(json!({})).await).await;
    let of_mallory = mallory.go_to_callback(&scene.link(json!({})).await).await;
    // Mallory's code under Ada's state, in Mallory's browser and in Ada's.
    let swapped = with_parameter(&of_mallory, "state", parameter(&of_ada, "state").as_deref());
    refused(&scene, &mut mallory, &swapped).await;
    for state in [Some("made-up"), None] {
        refused(&scene, &mut ada, &with_parameter(&of_ada, "state", state)).await;
    }
    // In Ada's browser the state fits and the code does not: PKCE ties it to who asked for it.
    let page = ada.get(&swapped).await;
    assert_eq!(page.status, 422, "{}", page.text);
    scene.has_no_connection().await;
}

#[tokio::test]
async fn another_browser_cannot_finish_and_the_right_one_still_can() {
    let scene = scene().await;
    let mut ada = Browser::default();
    let callback = ada.go_to_callback(&scene.link(json!({})).await).await;
    refused(&scene, &mut Browser::default(), &callback).await;
    let mut mallory = Browser::default();
    mallory.go_to_vendor(&scene.link(json!({})).await).await;
    refused(&scene, &mut mallory, &callback).await;
    assert_eq!(ada.get(&callback).await.status, 200);
    scene.only_connection().await;
}

#[tokio::test]
async fn a_callback_works_once_and_a_code_is_never_exchanged_twice() {
    let scene = scene().await;
    let mut ada = Browser::default();
    let callback = ada.go_to_callback(&scene.link(json!({})).await).await;
    let cookies = ada.cookies.clone();
    assert_eq!(ada.get(&callback).await.status, 200);
    let connection = scene.only_connection().await;
    let exchanged = scene.token_requests();
    let mut again = Browser { cookies };
    assert_eq!(again.get(&callback).await.status, 400);
    assert_eq!(scene.only_connection().await["id"], connection["id"]);
    assert_eq!(
        scene.token_requests(),
        exchanged,
        "the vendor was not asked again"
    );
}

#[tokio::test]
async fn a_code_of_another_organization_makes_no_connection_in_either() {
    let scene = scene().await;
    let stranger = scene.server.other_tenant().await;
    let theirs = make_app(&scene.server, &scene.google, &stranger).await;
    let (mut ours, mut their) = (Browser::default(), Browser::default());
    let our_callback = ours.go_to_callback(&scene.link(json!({})).await).await;
    let their_callback = their
        .go_to_callback(&link(&scene.server, &stranger, json!({})).await)
        .await;
    // Their answer at our address, and the other way round.
    let elsewhere = their_callback.replace(&theirs, &scene.app);
    assert_eq!(their.get(&elsewhere).await.status, 400);
    let elsewhere = our_callback.replace(&scene.app, &theirs);
    refused(&scene, &mut ours, &elsewhere).await;
    // Their code under our state.
    let code = parameter(&their_callback, "code");
    let mixed = with_parameter(&our_callback, "code", code.as_deref());
    assert_eq!(ours.get(&mixed).await.status, 422);
    scene.has_no_connection().await;
    let listed = scene
        .server
        .send(Method::GET, "/v1/connections", None, &stranger)
        .await;
    assert_eq!(listed.data(), json!([]));
}

#[tokio::test]
async fn anothers_app_connection_or_link_cannot_be_named() {
    let scene = scene().await;
    let connection = scene.connect().await;
    let stranger = scene.server.other_tenant().await;
    for body in [
        json!({"provider_app_id": scene.app}),
        json!({"connection_id": connection["id"]}),
    ] {
        let answer = scene
            .server
            .send(Method::POST, "/v1/connections/authorize", Some(body), &stranger)
            .await;
        answer.failure(404, "not_found");
    }
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_refused() {
    let scene = scene_with(|config| config.issuer("https://google.example")).await;
    let mut ada = Browser::default();
    let callback = ada.go_to_callback(&scene.link(json!({})).await).await;
    assert_eq!(parameter(&callback, "iss").unwrap(), "https://google.example");
    let mixed_up = with_parameter(&callback, "iss", Some("https://mallory.example"));
    refused(&scene, &mut ada, &mixed_up).await;
    assert_eq!(ada.get(&callback).await.status, 200);
}

#[tokio::test]
async fn half_a_consent_or_none_connects_nothing() {
    let scene = scene().await;
    let mut browser = Browser::default();
    let read = [
        "https://www.googleapis.com/auth/calendar.calendarlist.readonly",
        "https://www.googleapis.com/auth/calendar.events.readonly",
    ];
    let read = read.map(str::to_owned).to_vec();
    scene.google.answers(Person::AgreesTo(ADA.to_owned(), read));
    let link = scene.link(json!({})).await;
    let callback = browser.go_to_callback(&link).await;
    let page = browser.get(&callback).await;
    assert_eq!(page.status, 422);
    assert!(
        page.text.contains("make, change and delete events"),
        "{}",
        page.text
    );
    scene.google.answers(Person::Declines);
    let callback = browser.go_to_callback(&link).await;
    let page = browser.get(&callback).await;
    assert!(
        page.status == 200 && page.text.contains("did not allow"),
        "{}",
        page.text
    );
    scene.has_no_connection().await;
    scene.google.answers(Person::Agrees(ADA.to_owned()));
    let callback = browser.go_to_callback(&link).await;
    assert_eq!(
        browser.get(&callback).await.status,
        200,
        "the link was not used up by it"
    );
}

#[tokio::test]
async fn a_connection_is_not_given_to_another_account() {
    let scene = scene().await;
    let connection = scene.connect().await;
    scene.google.answers(Person::Agrees(BOB.to_owned()));
    let link = scene.link(json!({"connection_id": connection["id"]})).await;
    let mut browser = Browser::default();
    let callback = browser.go_to_callback(&link).await;
    let page = browser.get(&callback).await;
    assert_eq!(page.status, 422);
    assert!(page.text.contains("another account"), "{}", page.text);
    assert_eq!(scene.only_connection().await["consent"]["account"], ADA);
}

#[tokio::test]
async fn a_link_is_refused_where_it_could_not_work() {
    let scene = scene().await;
    for (body, path) in [
        (json!({"provider": "google", "uses": 0}), "uses"),
        (
            json!({"provider": "google", "expires_in_seconds": 59}),
            "expires_in_seconds",
        ),
        (
            json!({"provider": "google", "permissions": ["everything"]}),
            "permissions",
        ),
        (
            json!({"provider": "google", "return_url": "javascript:alert(1)"}),
            "return_url",
        ),
        (
            json!({"provider": "google", "config": {"base_url": "https://thief.example/"}}),
            "config.base_url",
        ),
        (json!({"provider": "caldav"}), "provider"),
    ] {
        let answer = scene.server.post("/v1/connections/authorize", body).await;
        let error = answer.failure(422, "invalid_field");
        assert_eq!(error["details"]["path"], path, "{error}");
    }
    let app = json!({"provider": "google", "name": "plain", "oauth": {
        "client_id": "hub", "token_url": "http://vendor.example/token"}});
    let error = scene
        .server
        .post("/v1/provider-apps", app)
        .await
        .failure(422, "invalid_field");
    assert!(
        error["message"].as_str().unwrap().contains("token_url"),
        "{error}"
    );
}

#[tokio::test]
async fn a_connection_that_was_made_by_hand_gets_no_tokens_of_a_persons_consent() {
    let scene = scene().await;
    let elsewhere = json!({
        "provider": "google",
        "name": "by hand",
        "config": {"base_url": "http://127.0.0.1:1/elsewhere/"},
        "credentials": {"access_token": "any"},
    });
    let made = scene.server.post("/v1/connections?verify=false", elsewhere).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let wanted = json!({"connection_id": made.data()["id"]});
    let refused = scene.server.post("/v1/connections/authorize", wanted).await;
    refused.failure(409, "conflict");
}

#[tokio::test]
async fn an_apps_secret_is_not_sent_to_an_address_that_it_was_not_given_for() {
    let scene = scene().await;
    let path = format!("/v1/provider-apps/{}", scene.app);
    let moved = |secret: Option<&str>| {
        let mut oauth = json!({
            "client_id": "hub",
            "authorize_url": "http://127.0.0.1:1/authorize",
            "token_url": "http://127.0.0.1:1/thief",
            "base_url": "http://127.0.0.1:1/api/",
        });
        if let Some(secret) = secret {
            oauth["client_secret"] = json!(secret);
        }
        json!({ "oauth": oauth })
    };
    let refused = scene.server.patch(&path, moved(None)).await;
    assert!(refused.text.contains("oauth.client_secret"), "{}", refused.text);
    refused.failure(422, "invalid_field");
    let changed = scene.server.patch(&path, moved(Some("another"))).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
}

#[tokio::test]
async fn an_app_whose_addresses_are_half_the_vendors_and_half_anothers_is_refused() {
    let scene = scene().await;
    let elsewhere = "https://thief.example/";
    for given in [
        json!({"token_url": elsewhere}),
        json!({"base_url": elsewhere}),
        json!({"authorize_url": elsewhere}),
        json!({"revocation_url": elsewhere}),
        json!({"authorize_url": elsewhere, "token_url": elsewhere}),
        json!({"token_url": elsewhere, "base_url": elsewhere, "authorize_url": "https://accounts.google.com/other"}),
    ] {
        let mut oauth = json!({"client_id": "hub", "client_secret": "s3cret"});
        oauth
            .as_object_mut()
            .unwrap()
            .extend(given.as_object().unwrap().clone());
        let body = json!({"provider": "google", "name": "mixed", "oauth": oauth});
        let answer = scene.server.post("/v1/provider-apps", body).await;
        let error = answer.failure(422, "invalid_field");
        assert!(
            error["message"].as_str().unwrap().contains("vendor's own"),
            "{given}: {error}"
        );
    }
    let whole =
        json!({"authorize_url": elsewhere, "token_url": elsewhere, "base_url": "https://api.other.example/"});
    for given in [json!({}), whole] {
        let mut oauth = json!({"client_id": "hub"});
        oauth
            .as_object_mut()
            .unwrap()
            .extend(given.as_object().unwrap().clone());
        let body = json!({"provider": "google", "name": "whole", "oauth": oauth});
        assert_eq!(
            scene.server.post("/v1/provider-apps", body).await.status,
            201,
            "{given}"
        );
    }
}

#[tokio::test]
async fn tokens_of_connections_are_not_sent_where_their_app_moves_to() {
    let scene = scene().await;
    let connection = scene.connect().await;
    let path = format!("/v1/provider-apps/{}", scene.app);
    let mut oauth = super::app_body(&scene.google)["oauth"].clone();
    oauth["token_url"] = json!("http://127.0.0.1:1/thief");
    let refused = scene.server.patch(&path, json!({ "oauth": oauth })).await;
    refused.failure(409, "conflict");
    oauth = super::app_body(&scene.google)["oauth"].clone();
    oauth["revocation_url"] = json!("http://127.0.0.1:1/thief");
    let refused = scene.server.patch(&path, json!({ "oauth": oauth })).await;
    refused.failure(409, "conflict");
    let removed = format!("/v1/connections/{}", connection["id"].as_str().unwrap());
    assert_eq!(scene.server.delete(&removed).await.status, 204);
    let changed = scene.server.patch(&path, json!({ "oauth": oauth })).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
}
