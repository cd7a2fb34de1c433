//! What is answered to a delivery, and when.

use connector_memory::delivery;
use connector_sdk::signature::standard_webhooks;
use connector_sdk::{Clock as _, SystemClock, WebhookSecret};
use http::{HeaderMap, HeaderValue};
use reqwest::Method;
use serde_json::{Value, json};

use crate::scene::{Scene, WORK, event};

#[tokio::test]
async fn a_signed_delivery_is_durable_when_it_is_answered() {
    let scene = Scene::start().await;
    let notices = [delivery::dirty(WORK)];
    assert_eq!(scene.deliver("msg_1", &notices).await.status, 200);
    let listed = scene.get("/v1/deliveries").await;
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed[0]["delivery_id"], "msg_1");
    assert_eq!(listed[0]["connection_id"], scene.connection.as_str());
    assert!(listed[0].get("request").is_none());
    let path = format!("/v1/deliveries/{}", listed[0]["id"].as_str().unwrap());
    let whole = scene.get(&path).await;
    let body = delivery::body(&notices);
    use base64::Engine as _;
    let stored = base64::engine::general_purpose::STANDARD
        .decode(whole["request"]["body"].as_str().unwrap())
        .unwrap();
    assert_eq!(stored, body, "byte by byte");
    assert_eq!(whole["request"]["path_and_query"], scene.hook.as_str());
    assert!(whole["trace_id"].is_string());
}

#[tokio::test]
async fn what_is_not_proven_is_refused_alike_and_nothing_is_stored() {
    let scene = Scene::start().await;
    let body = delivery::body(&[delivery::dirty(WORK)]);
    let now_ms = SystemClock.now_ms();
    let signed = |secret: &WebhookSecret, at: i64| delivery::headers(secret, "msg_1", at, &body).unwrap();
    let good = signed(&scene.secret, now_ms);
    let stranger = standard_webhooks::secret([9; 32]);
    let mut doubled = good.clone();
    doubled.append("webhook-id", HeaderValue::from_static("msg_2"));
    let mut nameless = good.clone();
    nameless.remove("webhook-id");
    let mut answers = Vec::new();
    for (what, path, headers) in [
        ("another's secret", scene.hook.as_str(), signed(&stranger, now_ms)),
        ("no headers", &scene.hook, HeaderMap::new()),
        ("no id", &scene.hook, nameless),
        ("two ids", &scene.hook, doubled),
        ("long ago", &scene.hook, signed(&scene.secret, now_ms - 3_600_000)),
        (
            "in the future",
            &scene.hook,
            signed(&scene.secret, now_ms + 3_600_000),
        ),
        (
            "no such connection",
            "/hooks/conn_01jd3m8y6q0000000000000000",
            good.clone(),
        ),
        ("no id at all", "/hooks/nonsense", good.clone()),
        (
            "no such app",
            "/hooks/apps/app_01jd3m8y6q0000000000000000",
            good.clone(),
        ),
    ] {
        let answer = scene.send(path, headers, body.clone()).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        let mut said: Value = serde_json::from_str(&answer.text).unwrap();
        said["error"]["request_id"].take();
        answers.push(said);
    }
    let mut changed = body.to_vec();
    changed[20] ^= 1;
    assert_eq!(scene.send(&scene.hook, good.clone(), changed).await.status, 401);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(scene.get("/v1/deliveries").await, json!([]));
    assert_eq!(
        scene.send(&scene.hook, good, body).await.status,
        200,
        "the good one is good"
    );
}

#[tokio::test]
async fn anothers_connection_does_not_take_it() {
    let scene = Scene::start().await;
    let (other, _) = scene.connect(json!({"account": "bob"})).await;
    let path = format!("/hooks/{other}");
    let answer = scene
        .deliver_to(&path, &scene.secret, "msg_1", &[delivery::dirty(WORK)])
        .await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_repeated_delivery_is_welcome_and_stored_once() {
    let scene = Scene::start().await;
    scene.provider.put(WORK, "a", event("a", "One"));
    let notices = [scene.observation("a")];
    let all = (0..20).map(|_| scene.deliver("msg_1", &notices));
    let answers = futures::future::join_all(all).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let done = scene.delivery_in("msg_1", "done").await;
    assert_eq!(done["outcome"], json!({"applied": 1, "outdated": 0, "dirty": 0}));
    assert_eq!(scene.deliver("msg_1", &notices).await.status, 200);
    assert_eq!(scene.get("/v1/deliveries").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_oversized_body_is_refused_before_it_is_read() {
    let scene = Scene::start().await;
    let answer = scene
        .send(&scene.hook, HeaderMap::new(), vec![b'x'; (256 << 10) + 1])
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "payload_too_large")
    );
}

#[tokio::test]
async fn a_challenge_is_answered_and_an_old_secret_lives_on_for_a_while() {
    let scene = Scene::start().await;
    let challenge = format!("{}?challenge=abc", scene.hook);
    let answer = scene.call(Method::GET, &challenge, None).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "abc"));
    let path = format!("/v1/connections/{}/webhook", scene.connection);
    let rotate = async |body: Value| {
        let address = scene.call(Method::PUT, &path, Some(body)).await.data();
        (WebhookSecret::new(address["secret"].as_str().unwrap()), address)
    };
    let (second, shown) = rotate(json!({})).await;
    assert_eq!(shown["secrets"].as_array().unwrap().len(), 2);
    let notices = [delivery::dirty(WORK)];
    let status = async |secret: &WebhookSecret, id: &str| {
        scene.deliver_to(&scene.hook, secret, id, &notices).await.status
    };
    assert_eq!(status(&scene.secret, "msg_1").await, 200);
    assert_eq!(status(&second, "msg_2").await, 200);
    let (third, _) = rotate(json!({})).await;
    assert_eq!(
        status(&scene.secret, "msg_3").await,
        401,
        "of three the oldest has ended"
    );
    assert_eq!(status(&second, "msg_4").await, 200);
    let (fourth, shown) = rotate(json!({"overlap_seconds": 0})).await;
    assert_eq!(shown["secrets"].as_array().unwrap().len(), 1);
    assert_eq!(status(&third, "msg_5").await, 401);
    assert_eq!(status(&fourth, "msg_6").await, 200);
    let read = scene.call(Method::GET, &path, None).await;
    assert!(!read.text.contains("whsec_"), "shown once: {}", read.text);
}

#[tokio::test]
async fn anothers_deliveries_are_not_found() {
    let scene = Scene::start().await;
    scene.deliver("msg_1", &[delivery::dirty(WORK)]).await;
    let id = scene.get("/v1/deliveries").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let stranger = scene.other_tenant().await;
    let path = format!("/v1/deliveries/{id}");
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::POST, format!("{path}/replay")),
        (
            Method::GET,
            format!("/v1/connections/{}/webhook", scene.connection),
        ),
    ] {
        assert_eq!(
            scene.call_as(&stranger, method, &path, None).await.status,
            404,
            "{path}"
        );
    }
    let listed = scene
        .call_as(&stranger, Method::GET, "/v1/deliveries", None)
        .await;
    assert_eq!(listed.data(), json!([]));
}

impl Scene {
    /// A key of another organization on the same server.
    async fn other_tenant(&self) -> String {
        use hub::entropy::SystemEntropy;
        let store = self.server.state().unscoped_store();
        let organization = hub::server::new_organization("another", &SystemClock, &SystemEntropy);
        store.create_organization(&organization).await.unwrap();
        let fresh = hub::keys::Fresh::make(
            organization.id,
            "key".to_owned(),
            Vec::new(),
            &SystemClock,
            &SystemEntropy,
        );
        store.create_api_key(&fresh.key, &fresh.secret).await.unwrap();
        fresh.secret
    }
}
