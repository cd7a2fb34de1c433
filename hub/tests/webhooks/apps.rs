//! One address for many connections.

use connector_memory::delivery::{self, to_account};
use connector_sdk::WebhookSecret;
use reqwest::Method;
use serde_json::{Value, json};

use crate::scene::{Scene, WORK, event};

async fn app(scene: &Scene) -> (String, String, WebhookSecret) {
    let body = json!({"provider": "memory", "name": "Our app"});
    let made = scene.call(Method::POST, "/v1/provider-apps", Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.data();
    let id = made["id"].as_str().unwrap().to_owned();
    assert!(
        made["webhook"]["url"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/hooks/apps/{id}"))
    );
    let secret = WebhookSecret::new(made["webhook"]["secret"].as_str().unwrap());
    (format!("/hooks/apps/{id}"), id, secret)
}

#[tokio::test]
async fn a_delivery_reaches_those_whom_it_concerns_and_tells_each_its_own() {
    let scene = Scene::start().await;
    let (hook, id, secret) = app(&scene).await;
    let (ada, _) = scene.connect(json!({"account": "ada"})).await;
    let (bob, _) = scene.connect(json!({"account": "bob"})).await;
    scene.provider.put(WORK, "a", event("a", "Of Ada"));
    scene.provider.put(WORK, "b", event("b", "Of Bob"));
    let notices = [
        to_account(scene.observation("a"), "ada"),
        to_account(scene.observation("b"), "bob"),
    ];
    assert_eq!(
        scene.deliver_to(&hook, &secret, "msg_1", &notices).await.status,
        200
    );
    assert_eq!(
        scene.deliver_to(&hook, &secret, "msg_1", &notices).await.status,
        200
    );
    scene.settled().await;
    let listed = scene.get(&format!("/v1/deliveries?provider_app_id={id}")).await;
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 2, "one for each, and no double: {listed:?}");
    for (connection, route) in [(ada, "ada"), (bob, "bob")] {
        let own = listed
            .iter()
            .find(|one| one["connection_id"] == connection.as_str());
        let own = own.unwrap_or_else(|| panic!("{connection}: {listed:?}"));
        assert_eq!(own["route"], route);
        assert_eq!(
            own["outcome"],
            json!({"applied": 1, "outdated": 0, "dirty": 0}),
            "{own}"
        );
    }
    assert_eq!(scene.titles().await, ["Of Ada", "Of Bob"]);
}

#[tokio::test]
async fn what_nobody_owns_is_parked_until_somebody_does() {
    let scene = Scene::start().await;
    let (hook, _, secret) = app(&scene).await;
    scene.provider.put(WORK, "c", event("c", "Of Cara"));
    let notices = [to_account(scene.observation("c"), "cara")];
    assert_eq!(
        scene.deliver_to(&hook, &secret, "msg_1", &notices).await.status,
        200
    );
    let parked = scene.delivery_in("msg_1", "parked").await;
    assert_eq!(parked["connection_id"], Value::Null);
    scene.connect(json!({"account": "cara"})).await;
    let done = scene.delivery_in("msg_1", "done").await;
    assert_eq!(done["route"], "cara");
    assert_eq!(scene.titles().await, ["Of Cara"]);
}

#[tokio::test]
async fn what_is_parked_for_nobody_is_dropped_after_ten_minutes() {
    let scene = Scene::start().await;
    let (hook, _, secret) = app(&scene).await;
    let notices = [to_account(delivery::dirty(WORK), "nobody")];
    scene.deliver_to(&hook, &secret, "msg_1", &notices).await;
    scene.delivery_in("msg_1", "parked").await;
    let store = scene.server.state().unscoped_store();
    let now_ms = scene.server.state().clock().now_ms();
    assert_eq!(
        store
            .drop_parked(now_ms + store::PARKED_MS - 60_000)
            .await
            .unwrap(),
        0
    );
    assert_eq!(store.drop_parked(now_ms + store::PARKED_MS).await.unwrap(), 1);
    let dropped = scene.delivery_in("msg_1", "dropped").await;
    assert!(dropped["error"].as_str().unwrap().contains("route"), "{dropped}");
}

#[tokio::test]
async fn an_app_is_made_renamed_and_removed_and_its_secret_is_shown_once() {
    let scene = Scene::start().await;
    let (hook, id, secret) = app(&scene).await;
    let path = format!("/v1/provider-apps/{id}");
    let shown = scene.call(Method::GET, &path, None).await;
    assert!(!shown.text.contains("whsec_"), "{}", shown.text);
    let renamed = scene
        .call(Method::PATCH, &path, Some(json!({"name": "Another"})))
        .await;
    assert_eq!(renamed.data()["name"], "Another");
    let rotated = scene
        .call(
            Method::PUT,
            &format!("{path}/secret"),
            Some(json!({"secret": "whsec_c2VjcmV0IG9mIDI0IGJ5dGVzISE="})),
        )
        .await
        .data();
    assert_eq!(rotated["webhook"]["secrets"].as_array().unwrap().len(), 2);
    let notices = [delivery::dirty(WORK)];
    assert_eq!(
        scene.deliver_to(&hook, &secret, "msg_1", &notices).await.status,
        200,
        "concerns nobody"
    );
    assert_eq!(scene.call(Method::DELETE, &path, None).await.status, 204);
    assert_eq!(scene.call(Method::DELETE, &path, None).await.status, 404);
    assert_eq!(
        scene.deliver_to(&hook, &secret, "msg_2", &notices).await.status,
        401
    );
    let unknown = json!({"provider": "nonsense", "name": "x"});
    let refused = scene.call(Method::POST, "/v1/provider-apps", Some(unknown)).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
}
