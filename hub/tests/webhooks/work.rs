//! What comes of a delivery that was stored.

use connector_memory::delivery;
use connector_sdk::RemoteId;
use reqwest::Method;
use serde_json::json;
use testkit::harness::until;

use crate::scene::{LIMIT, Scene, WORK, event};

#[tokio::test]
async fn an_observation_is_taken_in_without_asking_the_provider() {
    let scene = Scene::start().await;
    scene.provider.put(WORK, "a", event("a", "One"));
    let notices = [scene.observation("a")];
    let reads = scene.provider.reads();
    scene.deliver("msg_1", &notices).await;
    scene.delivery_in("msg_1", "done").await;
    assert_eq!(scene.titles().await, ["One"]);
    assert_eq!(scene.provider.reads(), reads);
}

#[tokio::test]
async fn a_notice_that_something_changed_makes_the_connection_look() {
    let scene = Scene::start().await;
    scene.provider.put(WORK, "a", event("a", "One"));
    scene.deliver("msg_1", &[delivery::dirty(WORK)]).await;
    let done = scene.delivery_in("msg_1", "done").await;
    assert_eq!(done["outcome"]["dirty"], 1);
    let there = async || (scene.titles().await == ["One"]).then_some(());
    until("the pull", LIMIT, there).await.unwrap();
}

#[tokio::test]
async fn an_older_observation_never_goes_over_a_newer_one_whatever_comes_first() {
    let scene = Scene::start().await;
    scene.provider.put(WORK, "a", event("a", "One"));
    let first = scene.observation("a");
    scene.provider.put(WORK, "a", event("a", "Two"));
    let second = scene.observation("a");
    scene.provider.delete(WORK, "a");
    let deleted = scene.observation("a");
    scene.deliver("msg_2", &[second]).await;
    scene.delivery_in("msg_2", "done").await;
    scene.deliver("msg_1", std::slice::from_ref(&first)).await;
    let late = scene.delivery_in("msg_1", "done").await;
    assert_eq!(late["outcome"], json!({"applied": 0, "outdated": 1, "dirty": 0}));
    assert_eq!(scene.titles().await, ["Two"]);
    scene.deliver("msg_3", &[deleted]).await;
    scene.delivery_in("msg_3", "done").await;
    scene.deliver("msg_1_again", &[first]).await;
    let late = scene.delivery_in("msg_1_again", "done").await;
    assert_eq!(late["outcome"]["outdated"], 1, "what is gone is not brought back");
    assert!(scene.titles().await.is_empty());
}

#[tokio::test]
async fn what_a_pull_has_seen_is_not_overwritten_by_what_comes_late() {
    let scene = Scene::start().await;
    scene.provider.put(WORK, "a", event("a", "One"));
    let first = scene.observation("a");
    scene.provider.put(WORK, "a", event("a", "Two"));
    scene.deliver("msg_look", &[delivery::dirty(WORK)]).await;
    until("the pull", LIMIT, async || {
        (scene.titles().await == ["Two"]).then_some(())
    })
    .await
    .unwrap();
    scene.deliver("msg_1", &[first]).await;
    let late = scene.delivery_in("msg_1", "done").await;
    assert_eq!(late["outcome"], json!({"applied": 0, "outdated": 0, "dirty": 1}));
    scene.settled().await;
    assert_eq!(scene.titles().await, ["Two"]);
}

#[tokio::test]
async fn what_cannot_be_understood_is_kept_with_its_reason_and_keeps_nobody_back() {
    let scene = Scene::start().await;
    let body = bytes::Bytes::from_static(b"{\"notices\": 7}");
    let now_ms = connector_sdk::Clock::now_ms(&connector_sdk::SystemClock);
    let headers = delivery::headers(&scene.secret, "msg_bad", now_ms, &body).unwrap();
    assert_eq!(
        scene.send(&scene.hook, headers, body).await.status,
        200,
        "it is proven, and stored"
    );
    scene.provider.put(WORK, "a", event("a", "One"));
    scene.deliver("msg_good", &[scene.observation("a")]).await;
    scene.delivery_in("msg_good", "done").await;
    let bad = scene.delivery_in("msg_bad", "quarantined").await;
    assert!(!bad["error"].as_str().unwrap().is_empty(), "{bad}");
    assert_eq!(scene.titles().await, ["One"]);
    let replay = format!("/v1/deliveries/{}/replay", bad["id"].as_str().unwrap());
    assert_eq!(scene.call(Method::POST, &replay, None).await.status, 202);
    scene.delivery_in("msg_bad", "quarantined").await;
}

#[tokio::test]
async fn a_replay_has_no_second_effect() {
    let scene = Scene::start().await;
    scene.provider.put(WORK, "a", event("a", "One"));
    scene.deliver("msg_1", &[scene.observation("a")]).await;
    let done = scene.delivery_in("msg_1", "done").await;
    let replay = format!("/v1/deliveries/{}/replay", done["id"].as_str().unwrap());
    assert_eq!(scene.call(Method::POST, &replay, None).await.status, 202);
    let again = until("the replay", LIMIT, async || {
        let now = scene.get("/v1/deliveries?delivery_id=msg_1").await;
        (now[0]["outcome"]["outdated"] == 1).then_some(())
    });
    again.await.unwrap();
    let created = scene.get("/v1/changes?after=0").await;
    let created = created
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| change["kind"] == "event")
        .count();
    assert_eq!(created, 1);
}

#[tokio::test]
async fn deliveries_for_a_paused_connection_wait_for_it() {
    let scene = Scene::start().await;
    let path = format!("/v1/connections/{}", scene.connection);
    let pause = async |paused: bool| {
        let answer = scene
            .call(Method::PATCH, &path, Some(json!({"paused": paused})))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    pause(true).await;
    scene.provider.put(WORK, "a", event("a", "One"));
    scene.deliver("msg_1", &[scene.observation("a")]).await;
    scene.settled().await;
    scene.delivery_in("msg_1", "waiting").await;
    pause(false).await;
    scene.delivery_in("msg_1", "done").await;
    assert_eq!(scene.titles().await, ["One"]);
}

#[tokio::test]
async fn deliveries_of_a_connection_that_is_removed_end_with_it() {
    let scene = Scene::start().await;
    let path = format!("/v1/connections/{}", scene.connection);
    scene
        .call(Method::PATCH, &path, Some(json!({"paused": true})))
        .await;
    scene.deliver("msg_1", &[delivery::dirty(WORK)]).await;
    assert_eq!(scene.call(Method::DELETE, &path, None).await.status, 204);
    scene.delivery_in("msg_1", "dropped").await;
    let refused = scene.deliver("msg_2", &[delivery::dirty(WORK)]).await;
    assert_eq!(refused.status, 401, "the address leads nowhere now");
}

#[tokio::test]
async fn a_delivery_says_what_changed_in_many_objects_at_once() {
    let scene = Scene::start().await;
    let notices: Vec<_> = (0..40)
        .map(|number| {
            let id = format!("event-{number:02}");
            scene.provider.put(WORK, &id, event(&id, &id));
            scene.provider.observation(WORK, &RemoteId(id))
        })
        .collect();
    scene.deliver("msg_1", &notices).await;
    let done = scene.delivery_in("msg_1", "done").await;
    assert_eq!(done["outcome"]["applied"], 40);
    assert_eq!(scene.titles().await.len(), 40);
}

impl Scene {
    /// Waits until no job waits or runs.
    pub(crate) async fn settled(&self) {
        let idle = async || {
            let queued = self.get("/v1/jobs?state=queued").await;
            let running = self.get("/v1/jobs?state=running").await;
            (queued == json!([]) && running == json!([])).then_some(())
        };
        until("an idle hub", LIMIT, idle).await.unwrap();
    }
}
