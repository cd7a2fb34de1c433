//! A store that fails before, in and after a commit: no 2xx while it does, and recovery by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use connector_memory::delivery;
use hub::server::Make;
use hub::webhooks::committer::InboxPort;
use serde_json::json;
use store::{NewInbound, Receipt, SqliteStore};
use sync::ports::StoreError;

use crate::scene::{Scene, WORK, event};

/// Fails so many commits, before they take effect or after.
#[derive(Default)]
struct Plan {
    before: AtomicUsize,
    after: AtomicUsize,
    calls: AtomicUsize,
}

struct Failing {
    store: SqliteStore,
    plan: Arc<Plan>,
}

fn spend(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

#[async_trait]
impl InboxPort for Failing {
    fn lanes(&self) -> usize {
        1
    }

    async fn receive(&self, rows: Vec<NewInbound>) -> Result<Vec<Receipt>, StoreError> {
        self.plan.calls.fetch_add(1, Ordering::SeqCst);
        if spend(&self.plan.before) {
            return Err(StoreError::Database("disk I/O error".into()));
        }
        let receipts = self.store.receive(rows).await?;
        if spend(&self.plan.after) {
            return Err(StoreError::Database(
                "the connection was lost during COMMIT".into(),
            ));
        }
        Ok(receipts)
    }
}

async fn scene() -> (Scene, Arc<Plan>) {
    let plan = Arc::new(Plan::default());
    let used = Arc::clone(&plan);
    let scene = Scene::start_with("", |make| Make {
        inbox: Box::new(move |store| Arc::new(Failing { store, plan: used })),
        ..make
    })
    .await;
    (scene, plan)
}

#[tokio::test]
async fn while_the_store_fails_nothing_is_acknowledged_and_then_everything_is() {
    let (scene, plan) = scene().await;
    plan.before.store(3, Ordering::SeqCst);
    for attempt in 0..3 {
        let answer = scene.deliver("msg_1", &[delivery::dirty(WORK)]).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "unavailable"),
            "{attempt}"
        );
        assert_eq!(answer.headers["retry-after"], "1");
    }
    assert_eq!(scene.get("/v1/deliveries").await, json!([]));
    assert_eq!(scene.deliver("msg_1", &[delivery::dirty(WORK)]).await.status, 200);
    scene.delivery_in("msg_1", "done").await;
    assert_eq!(plan.calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_acknowledged_and_its_repeat_has_no_second_effect() {
    let (scene, plan) = scene().await;
    plan.after.store(1, Ordering::SeqCst);
    scene.provider.put(WORK, "a", event("a", "One"));
    let notices = [scene.observation("a")];
    assert_eq!(scene.deliver("msg_1", &notices).await.status, 503);
    scene.delivery_in("msg_1", "done").await;
    assert_eq!(scene.deliver("msg_1", &notices).await.status, 200, "seen before");
    let listed = scene.get("/v1/deliveries").await;
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(scene.titles().await, ["One"]);
}
