//! A sync that would lose too much stops and asks; a client answers.

use serde_json::{Value, json};

use crate::scene::{ADA, Scene, caldav_server, events, google_event, google_server, sync};

/// Forty events at Google, mirrored to CalDAV, of which all but five are gone at Google.
async fn emptied() -> Scene {
    let google = google_server().await;
    let calendar = google.calendar(ADA);
    let mut ids = Vec::new();
    for number in 0..40 {
        let made = calendar.insert(google_event(&format!("Event {number}"))).unwrap();
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let scene = Scene::mirrored(google, caldav_server(&[]).await).await;
    for id in &ids[..35] {
        scene.google.calendar(ADA).delete(id).unwrap();
    }
    let job = sync(&scene.server, &scene.google_connection).await;
    assert_eq!(job["error"]["code"], "deletes_held", "{job}");
    scene
}

async fn hold(scene: &Scene) -> Value {
    let path = format!("/v1/calendars/{}", scene.ada);
    scene.server.get(&path).await.data()["hold"].take()
}

async fn answer(scene: &Scene, word: &str) {
    let path = format!("/v1/calendars/{}/hold/{word}", scene.ada);
    let answer = scene.server.post(&path, json!({})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let job = scene
        .server
        .ended_job(answer.data()["id"].as_str().unwrap())
        .await;
    assert_eq!(job["state"], "done", "{job}");
    scene.settle().await;
}

#[tokio::test]
async fn a_hold_is_shown_with_what_it_is_about_and_approved() {
    let scene = emptied().await;
    let shown = hold(&scene).await;
    assert_eq!(
        (&shown["deletes"], &shown["of"]),
        (&json!(35), &json!(40)),
        "{shown}"
    );
    assert_eq!(
        (&shown["about"], &shown["answer"]),
        (&json!(["delete"]), &Value::Null)
    );
    assert_eq!(shown["sample"].as_array().unwrap().len(), 20);
    assert!(
        shown["sample"][0]["title"].as_str().unwrap().starts_with("Event"),
        "{shown}"
    );
    let path = format!("/v1/connections/{}", scene.google_connection);
    let connection = scene.server.get(&path).await.data();
    assert_eq!(connection["collections"][0]["hold"], shown);
    assert_eq!(connection["health"], "degraded");
    let told = scene.server.get("/v1/changes?kind=collection").await.data();
    assert_eq!(
        (&told[0]["id"], &told[0]["changed"]),
        (&json!(scene.ada), &json!(["hold"])),
        "{told}"
    );
    answer(&scene, "approve").await;
    assert_eq!(events(&scene.server).await.len(), 5);
    assert_eq!(hold(&scene).await, Value::Null);
    let path = format!("/v1/calendars/{}/hold/approve", scene.ada);
    scene.server.post(&path, json!({})).await.failure(409, "conflict");
}

#[tokio::test]
async fn a_rejected_hold_gives_the_provider_back_what_the_hub_has() {
    let scene = emptied().await;
    answer(&scene, "reject").await;
    scene.round().await;
    assert_eq!(events(&scene.server).await.len(), 40);
    assert_eq!(scene.google.calendar(ADA).living_events().len(), 40);
    assert_eq!(hold(&scene).await, Value::Null);
}
