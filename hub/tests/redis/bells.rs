//! Changes that another node committed are heard of through the server alone: the stores here have databases of their
//! own, so that nothing else can have told.

use std::sync::Arc;
use std::time::Duration;

use ::sync::ports::{Effect, Store as _};
use ::sync::state::{FeedAction, FeedEntry, Origin};
use connector_sdk::SystemClock;
use hub::redis::carry;
use model::OrganizationId;
use store::{FeedHead, MasterKey, Organization, SqlStore};
use tempfile::TempDir;
use testkit::harness::{Redis, until};
use tokio::sync::broadcast::Receiver;

use super::{LIMIT, Link};

struct Node {
    store: SqlStore,
    link: Link,
    _folder: TempDir,
}

impl Node {
    async fn start(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("sqlite://{}", folder.path().join("concord.db").display());
        let key = MasterKey::from_text(&"42".repeat(32)).unwrap();
        let store = SqlStore::open(&file, key, Arc::new(SystemClock)).await.unwrap();
        let link = Link::to(url);
        drop(carry(&link.redis, &store));
        Self {
            store,
            link,
            _folder: folder,
        }
    }

    async fn organization(&self) -> OrganizationId {
        let organization = Organization {
            id: OrganizationId::new(1, 7),
            name: "default".to_owned(),
            created_at: 0,
        };
        self.store.create_organization(&organization).await.unwrap();
        organization.id
    }

    async fn commit(&self, organization: &OrganizationId) {
        let change = Effect::Feed(FeedEntry {
            action: FeedAction::Updated,
            subject: "rec_1".to_owned(),
            kind: "event".to_owned(),
            version: 1,
            changed: Vec::new(),
            origin: Origin::Hub,
            at: 1_780_000_000_000,
        });
        self.store.commit(organization, None, vec![change]).await.unwrap();
    }
}

/// What rings within a moment.
async fn rung(bell: &mut Receiver<FeedHead>) -> Option<FeedHead> {
    tokio::time::timeout(Duration::from_millis(200), bell.recv())
        .await
        .ok()
        .map(Result::unwrap)
}

/// Commits until the other node hears of it: a bell that rings while nobody listens yet is not heard.
async fn heard(from: &Node, bell: &mut Receiver<FeedHead>, organization: &OrganizationId) -> FeedHead {
    until("a change to be heard of", LIMIT, async || {
        from.commit(organization).await;
        rung(bell).await
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_heard_of_through_the_server_before_and_after_it_was_away() {
    let mut server = Redis::start().await.unwrap();
    let (one, two) = (Node::start(&server.url()).await, Node::start(&server.url()).await);
    let organization = one.organization().await;
    let mut bell = two.store.subscribe_changes();
    let head = heard(&one, &mut bell, &organization).await;
    assert_eq!(head.organization, organization);

    for crash in [false, true] {
        if crash {
            server.kill().unwrap();
        } else {
            server.stop().await.unwrap();
        }
        one.link.is(false).await;
        // A commit does not care.
        one.commit(&organization).await;
        server.go_up().await.unwrap();
        one.link.is(true).await;
        while rung(&mut bell).await.is_some() {}
        heard(&one, &mut bell, &organization).await;
    }
    assert!(one.link.redis.outages() >= 2);
    one.link.end().await;
    two.link.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_of_a_node_rings_nothing_and_harms_nothing() {
    let server = Redis::start().await.unwrap();
    let (one, two) = (Node::start(&server.url()).await, Node::start(&server.url()).await);
    let organization = one.organization().await;
    let mut bell = two.store.subscribe_changes();
    heard(&one, &mut bell, &organization).await;
    let far = format!("{{\"node\":1,\"heads\":{{\"{organization}\":{}}}}}", i64::MAX);
    for nonsense in [
        "",
        "{",
        "[1]",
        "{\"node\":1,\"heads\":{\"no id\":1}}",
        &"x".repeat(100_000),
    ] {
        server.ask(&["PUBLISH", "concord:feed", nonsense]).unwrap();
    }
    // A number that cannot be: it is a hint, and keeps no bell from ringing afterwards. Messages keep their order, so that
    // whatever the nonsense rang would have rung before it.
    server.ask(&["PUBLISH", "concord:feed", &far]).unwrap();
    loop {
        let head = until("the hint", LIMIT, async || rung(&mut bell).await)
            .await
            .unwrap();
        assert_eq!(head.organization, organization);
        if head.seq == i64::MAX {
            break;
        }
        assert!(head.seq < 1_000, "of the node's own commits: {head:?}");
    }
    let head = heard(&one, &mut bell, &organization).await;
    assert!(head.seq < 1_000, "{head:?}");
    one.link.end().await;
    two.link.end().await;
}
