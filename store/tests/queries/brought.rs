//! Which webhook brought a change about: filled in by the store, from what a transaction ends and under whose fence it is.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use model::{InboundId, JobId};
use serde_json::Value;
use store::{ChangeFilter, Committed, NewInbound, Watch};
use sync::ports::{Effect, Jobs, Store};
use sync::state::{ClaimedJob, FeedAction, FeedEntry, Fence, InboundEnd, InboundOutcome, Origin};
use testkit::store_suite::world::{START_MS, World};

use crate::{Bench, settled};

#[derive(Default)]
struct Heard(Mutex<Vec<Committed>>);

impl Watch for Heard {
    fn committed(&self, what: &Committed) {
        self.0.lock().unwrap().push(what.clone());
    }
}

fn webhook(number: u128) -> InboundId {
    InboundId::new(START_MS as u64, number)
}

async fn receive(bench: &Bench, world: &World, numbers: &[u128]) {
    let row = |number: &u128| NewInbound {
        id: webhook(*number),
        organization: world.organization.clone(),
        connection: Some(world.connection.id.clone()),
        app: None,
        route: None,
        provider: "memory".to_owned(),
        delivery: None,
        head: "{}".to_owned(),
        body: Bytes::from_static(b"body"),
        trace: None,
        received_at: START_MS,
        job: JobId::new(START_MS as u64, 1_000_000 + number),
    };
    bench
        .store
        .receive(numbers.iter().map(row).collect())
        .await
        .unwrap();
}

async fn claim(bench: &Bench) -> ClaimedJob {
    let mut claimed = bench.store.claim("node", START_MS, 60_000, 1).await.unwrap();
    claimed.remove(0)
}

fn done(number: u128) -> Effect {
    Effect::EndInbound {
        inbound: webhook(number),
        end: InboundEnd::Done(InboundOutcome::default()),
        at: START_MS,
    }
}

fn feed(world: &World) -> Effect {
    Effect::Feed(FeedEntry {
        action: FeedAction::Updated,
        subject: world.connection.id.to_string(),
        kind: "connection".to_owned(),
        version: 1,
        changed: Vec::new(),
        origin: Origin::Hub,
        at: START_MS,
    })
}

async fn commit(bench: &Bench, world: &World, fence: Option<&Fence>, effects: Vec<Effect>) {
    bench
        .store
        .commit(&world.organization, fence, effects)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_change_goes_back_to_the_webhook_whose_transaction_or_job_made_it() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let heard = Arc::new(Heard::default());
    bench.store.watch(heard.clone());
    let before = bench.store.latest_seq(org).await.unwrap();
    receive(&bench, &world, &[1, 2]).await;
    let inbox = claim(&bench).await;
    assert_eq!(inbox.webhook, None, "its webhooks are in the inbox");
    let look = Effect::Enqueue(Box::new(world.sync(START_MS)));
    commit(
        &bench,
        &world,
        Some(&inbox.fence),
        vec![done(1), done(2), feed(&world), look],
    )
    .await;
    bench
        .store
        .finish(&inbox.fence, START_MS, Ok(Value::Null))
        .await
        .unwrap();

    // Another webhook asks for the same look, which waits: it goes on for the first.
    receive(&bench, &world, &[3]).await;
    let inbox = claim(&bench).await;
    let look = Effect::Enqueue(Box::new(world.sync(START_MS)));
    commit(&bench, &world, Some(&inbox.fence), vec![done(3), look]).await;
    bench
        .store
        .finish(&inbox.fence, START_MS, Ok(Value::Null))
        .await
        .unwrap();

    let job = claim(&bench).await;
    assert_eq!(job.webhook, Some(webhook(1)));
    commit(&bench, &world, Some(&job.fence), vec![feed(&world)]).await;
    commit(&bench, &world, None, vec![feed(&world)]).await;
    let everything = ChangeFilter::default();
    let changes = bench
        .store
        .changes_after(org, before, &everything, 10)
        .await
        .unwrap();
    let brought: Vec<Option<InboundId>> = changes.into_iter().map(|change| change.webhook).collect();
    assert_eq!(brought, [Some(webhook(1)), Some(webhook(1)), None]);

    let heard = heard.0.lock().unwrap().clone();
    let told: Vec<_> = heard
        .iter()
        .map(|one| {
            (
                one.webhook.clone(),
                one.webhooks.len(),
                one.passed_on.clone(),
                one.changes,
            )
        })
        .collect();
    let expected = [
        (webhook(1), 2, vec![webhook(1)], Some((1, before + 1))),
        (webhook(3), 1, vec![webhook(1)], None),
        (webhook(1), 0, Vec::new(), Some((1, before + 2))),
    ];
    assert_eq!(told, expected);
}
