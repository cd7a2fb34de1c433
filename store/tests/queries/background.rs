//! Jobs, bells, idempotency keys.

use std::sync::atomic::Ordering;

use model::{ConnectionId, JobId, OrganizationId};
use serde_json::json;
use store::{
    ChangeFilter, ConnectionCount, ConnectionPatch, IdempotencyClaim, JobFilter, JobState, Paging, QueueDepth,
};
use sync::ports::{Effect, Jobs, Store};
use sync::state::{Connection, Health, JobTask, NewJob, Origin};
use testkit::store_suite::Subject as _;
use testkit::store_suite::world::START_MS;

use crate::{DAY_MS, settled};

#[tokio::test]
async fn the_bells_ring_after_the_commit_and_only_then() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let mut changes = bench.store.subscribe_changes();
    let mut jobs = bench.store.subscribe_jobs();
    jobs.mark_unchanged();
    let (_, _, taken) = world.arrival("One", "a");
    bench.commit(&world, taken).await;
    let head = changes.recv().await.unwrap();
    assert_eq!(head.organization, *org);
    assert_eq!(
        bench
            .store
            .changes_after(org, head.seq - 1, &ChangeFilter::default(), 9)
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(!jobs.has_changed().unwrap());
    let (_, _, mut refused) = world.arrival("Two", "a");
    refused.push(Effect::Enqueue(Box::new(world.push(START_MS))));
    assert!(bench.store.commit(org, None, refused).await.is_err());
    assert!(changes.try_recv().is_err() && !jobs.has_changed().unwrap());
    bench
        .commit(&world, vec![Effect::Enqueue(Box::new(world.push(START_MS)))])
        .await;
    jobs.changed().await.unwrap();
    assert!(changes.try_recv().is_err());
}

#[tokio::test]
async fn jobs_show_their_progress_and_their_end() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let queued = bench.store.enqueue(world.sync(START_MS + 7)).await.unwrap();
    assert_eq!(
        (queued.state, queued.attempts, queued.run_at),
        (JobState::Queued, 0, START_MS + 7)
    );
    let joined = bench.store.enqueue(world.sync(START_MS)).await.unwrap();
    assert_eq!((joined.id.clone(), joined.run_at), (queued.id.clone(), START_MS));
    assert_eq!(bench.store.next_due().await.unwrap(), Some(START_MS));
    let claimed = bench
        .store
        .claim("node", START_MS, 1_000, 1)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        bench.store.next_due().await.unwrap(),
        Some(START_MS + 1_000),
        "the end of the lease"
    );
    bench
        .store
        .heartbeat(&claimed.fence, START_MS + 9_000, 12, Some(40))
        .await
        .unwrap();
    let running = bench.store.job(org, &queued.id).await.unwrap().unwrap();
    assert_eq!(
        (running.state, running.done, running.total),
        (JobState::Running, 12, Some(40))
    );
    bench
        .store
        .finish(&claimed.fence, START_MS + 5, Ok(json!({"pulled": 40})))
        .await
        .unwrap();
    let ended = bench.store.job(org, &queued.id).await.unwrap().unwrap();
    assert_eq!(
        (ended.state, ended.result),
        (JobState::Succeeded, Some(json!({"pulled": 40})))
    );
    assert_eq!(ended.finished_at, Some(START_MS + 5));
    assert_eq!(bench.store.next_due().await.unwrap(), None);
    assert!(
        bench
            .store
            .job(&OrganizationId::new(9, 9), &queued.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(bench.store.job(org, &JobId::new(9, 9)).await.unwrap().is_none());
    bench.store.enqueue(world.push(START_MS)).await.unwrap();
    let filter = JobFilter {
        state: Some(JobState::Queued),
        connection: Some(world.connection.id.clone()),
    };
    assert_eq!(
        bench
            .store
            .jobs(org, &filter, &Paging::first(9))
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        bench
            .store
            .jobs(org, &JobFilter::default(), &Paging::first(9))
            .await
            .unwrap()
            .items
            .len(),
        2
    );
    assert_eq!(
        bench.store.cancel_jobs(org, &world.connection.id).await.unwrap(),
        1
    );
    bench.store.sweep(START_MS + 8 * DAY_MS).await.unwrap();
    assert!(
        bench
            .store
            .jobs(org, &JobFilter::default(), &Paging::first(9))
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

#[tokio::test]
async fn a_connection_is_due_when_its_last_sync_is_long_ago_and_none_waits() {
    let (bench, world) = settled().await;
    let id = (world.organization.clone(), world.connection.id.clone());
    let due = async |now: i64| bench.store.due_connections(now, 60_000).await.unwrap();
    // Its moment in each minute is the one at which this test begins.
    let moment = |now: i64| (now - place(&world.connection.id) * 60_000 / 1_024) % 60_000;
    let start = START_MS + 60_000 - moment(START_MS);
    assert_eq!(moment(start), 0);
    assert_eq!(due(START_MS).await, std::slice::from_ref(&id), "never synced");
    bench.store.enqueue(world.sync(START_MS)).await.unwrap();
    assert!(due(START_MS).await.is_empty(), "a sync waits");
    let job = bench
        .store
        .claim("node", START_MS, 1_000, 1)
        .await
        .unwrap()
        .remove(0);
    assert!(due(START_MS).await.is_empty(), "a sync runs");
    let failure = sync::ports::JobFailure {
        code: "x".to_owned(),
        message: "y".to_owned(),
        retry_at: None,
    };
    bench.store.finish(&job.fence, start, Err(failure)).await.unwrap();
    assert!(due(start + 59_999).await.is_empty(), "it failed in this minute");
    assert_eq!(due(start + 60_000).await, std::slice::from_ref(&id));
    bench.store.enqueue(world.push(START_MS)).await.unwrap();
    assert_eq!(due(start + 60_000).await, [id], "a push is not a sync");
    for health in [Health::Paused, Health::NeedsReauth] {
        let patch = ConnectionPatch {
            health: Some((health, None)),
            ..ConnectionPatch::default()
        };
        bench
            .store
            .update_connection(&world.organization, &world.connection.id, &patch, &Origin::Hub)
            .await
            .unwrap();
        assert!(due(START_MS + DAY_MS).await.is_empty());
    }
}

/// The number that a connection has by its id.
fn place(id: &ConnectionId) -> i64 {
    let letters = "0123456789abcdefghjkmnpqrstvwxyz";
    let end = id.as_str().chars().rev().take(2).collect::<Vec<_>>();
    let value = |letter: char| i64::try_from(letters.find(letter).unwrap()).unwrap();
    value(end[1]) * 32 + value(end[0])
}

#[tokio::test]
async fn connections_that_were_looked_at_together_come_back_one_after_the_other() {
    const CONNECTIONS: u64 = 64;
    let (bench, world) = settled().await;
    let mut jobs = Vec::new();
    for number in 1..=CONNECTIONS {
        // The end of an id is random; here all ends come, at even distances.
        let id = ConnectionId::new(number, u128::from(number * 1_024 / CONNECTIONS));
        let connection = Connection {
            id: id.clone(),
            ..world.connection.clone()
        };
        bench.add_connection(&connection).await.unwrap();
        let task = JobTask::Sync {
            connection: id,
            discover: false,
            approve_deletes: false,
        };
        let job = JobId::new(number, 0);
        jobs.push(NewJob {
            id: job,
            task,
            ..world.sync(START_MS)
        });
    }
    bench.store.enqueue_all(jobs.clone()).await.unwrap();
    bench.store.enqueue_all(jobs).await.unwrap();
    let claimed = bench.store.claim("node", START_MS, 1_000, 1_000).await.unwrap();
    assert_eq!(claimed.len() as u64, CONNECTIONS, "each once");
    for job in &claimed {
        bench
            .store
            .finish(&job.fence, START_MS, Ok(json!({})))
            .await
            .unwrap();
    }
    let known = |due: Vec<(OrganizationId, ConnectionId)>| {
        due.iter().filter(|(_, id)| *id != world.connection.id).count() as u64
    };
    let mut before = 0;
    for tenth in 1..=10 {
        let due = bench
            .store
            .due_connections(START_MS + tenth * 6_000, 60_000)
            .await;
        let due = known(due.unwrap());
        let fresh = due - before;
        assert!((5..=8).contains(&fresh), "{fresh} came in the tenth {tenth}");
        before = due;
    }
    assert_eq!(before, CONNECTIONS, "each within the interval");
}

#[tokio::test]
async fn a_sync_that_found_nothing_is_forgotten_after_an_hour_and_one_that_did_something_after_a_week() {
    let (bench, world) = settled().await;
    let (store, org) = (&bench.store, &world.organization);
    let run = async |result: serde_json::Value| {
        let job = store.enqueue(world.sync(START_MS)).await.unwrap().id;
        let claimed = store.claim("node", START_MS, 1_000, 1).await.unwrap().remove(0);
        store.finish(&claimed.fence, START_MS, Ok(result)).await.unwrap();
        job
    };
    let idle = run(json!({"created": 0, "updated": 0, "collections": 3})).await;
    let busy = run(json!({"created": 0, "updated": 1, "collections": 3})).await;
    let kept = async |at: i64| {
        store.sweep(at).await.unwrap();
        let kept = async |id| store.job(org, id).await.unwrap().is_some();
        (kept(&idle).await, kept(&busy).await)
    };
    assert_eq!(kept(START_MS + 3_600_000).await, (true, true));
    assert_eq!(kept(START_MS + 3_600_001).await, (false, true));
    assert_eq!(kept(START_MS + 7 * DAY_MS).await, (false, true));
    assert_eq!(kept(START_MS + 7 * DAY_MS + 1).await, (false, false));
}

#[tokio::test]
async fn an_idempotency_key_lets_a_request_happen_once_for_a_day() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let claim = async |hash: &str| bench.store.claim_idempotency(org, "key", hash).await.unwrap();
    assert_eq!(claim("a").await, IdempotencyClaim::Fresh);
    assert_eq!(claim("a").await, IdempotencyClaim::InProgress);
    assert_eq!(claim("b").await, IdempotencyClaim::Mismatch);
    bench.store.abandon_idempotency(org, "key").await.unwrap();
    assert_eq!(claim("a").await, IdempotencyClaim::Fresh);
    bench
        .store
        .complete_idempotency(org, "key", 201, "{\"data\":1}")
        .await
        .unwrap();
    let replay = IdempotencyClaim::Replay {
        status: 201,
        body: "{\"data\":1}".to_owned(),
    };
    assert_eq!(claim("a").await, replay);
    assert_eq!(claim("b").await, IdempotencyClaim::Mismatch);
    bench.store.abandon_idempotency(org, "key").await.unwrap();
    assert_eq!(claim("a").await, replay, "what was carried out is not given up");
    let stranger = OrganizationId::new(9, 9);
    assert_eq!(
        bench
            .store
            .claim_idempotency(&stranger, "key", "z")
            .await
            .unwrap(),
        IdempotencyClaim::Fresh
    );
    bench.clock.0.store(START_MS + 5 * 60_000, Ordering::SeqCst);
    let again = bench
        .store
        .claim_idempotency(&stranger, "key", "z")
        .await
        .unwrap();
    assert_eq!(
        again,
        IdempotencyClaim::Fresh,
        "an abandoned claim is free after five minutes"
    );
    bench.clock.0.store(START_MS + DAY_MS, Ordering::SeqCst);
    assert_eq!(claim("b").await, IdempotencyClaim::Fresh);
}

#[tokio::test]
async fn what_waits_and_how_connections_are_is_counted_over_all_organizations() {
    let (bench, world) = settled().await;
    let store = &bench.store;
    assert_eq!(store.queue_depths().await.unwrap(), []);
    store.enqueue(world.push(START_MS + 9)).await.unwrap();
    let theirs = NewJob {
        organization: OrganizationId::new(9, 9),
        id: JobId::new(9, 9),
        ..world.push(START_MS + 4)
    };
    store.enqueue(theirs).await.unwrap();
    let waiting = QueueDepth {
        task: "push".to_owned(),
        state: "queued".to_owned(),
        jobs: 2,
        oldest_due_at: START_MS + 4,
    };
    assert_eq!(store.queue_depths().await.unwrap(), [waiting]);
    let counted = ConnectionCount {
        provider: world.connection.provider.clone(),
        health: "active".to_owned(),
        connections: 1,
    };
    assert_eq!(store.connection_counts().await.unwrap(), [counted]);
    assert_eq!(store.quarantined_everywhere().await.unwrap(), 0);
}
