//! Schedules that are due, once for all nodes; and the usual times, as the query and as the formula say them.

use std::sync::atomic::Ordering;

use model::{ConnectionId, JobId};
use store::{Paging, Scheduled, next_usual_sync};
use sync::ports::{Jobs as _, Store as _};
use sync::state::{JobTask, NewJob, Selection};
use testkit::store_suite::Subject;
use testkit::store_suite::world::{self, START_MS};

use crate::{bench, settled};

fn at(next_at: i64) -> Scheduled {
    Scheduled {
        schedule: Some("{}".to_owned()),
        next_at: Some(next_at),
    }
}

#[tokio::test]
async fn what_is_due_is_begun_by_one_node_and_is_due_later_again() {
    let (bench, world) = settled().await;
    let (store, organization) = (&bench.store, &world.organization);
    let connection = &world.connection.id;
    let collection = store
        .collections(organization, connection)
        .await
        .unwrap()
        .remove(0)
        .id;
    assert!(store.due_schedules(i64::MAX).await.unwrap().is_empty());
    assert!(
        store
            .put_schedule(organization, connection, &at(START_MS + 10))
            .await
            .unwrap()
    );
    assert!(
        store
            .put_collection_schedule(organization, &collection, &at(START_MS + 20))
            .await
            .unwrap()
    );
    let unknown = ConnectionId::new(9, 9);
    assert!(
        !store
            .put_schedule(organization, &unknown, &at(START_MS))
            .await
            .unwrap()
    );

    assert!(store.due_schedules(START_MS + 9).await.unwrap().is_empty());
    let due = store.due_schedules(START_MS + 20).await.unwrap();
    let named: Vec<_> = due
        .iter()
        .map(|due| (due.collection.clone(), due.due_at))
        .collect();
    assert_eq!(
        named,
        [(None, START_MS + 10), (Some(collection.clone()), START_MS + 20)]
    );
    let apart = store.scheduled_collections().await.unwrap();
    assert_eq!(
        apart[&(organization.clone(), connection.clone())],
        std::slice::from_ref(&collection)
    );

    let job = NewJob {
        id: JobId::new(7, 7),
        organization: organization.clone(),
        task: JobTask::Poll {
            connection: connection.clone(),
            collections: Selection::Only(vec![collection.clone()]),
        },
        run_at: START_MS,
    };
    let begun = vec![(due[1].clone(), Some(START_MS + 100))];
    assert!(store.begin_scheduled(&job, &begun).await.unwrap());
    let late = NewJob {
        id: JobId::new(8, 8),
        ..job.clone()
    };
    assert!(
        !store.begin_scheduled(&late, &begun).await.unwrap(),
        "another node was faster"
    );
    let found = store.job(organization, &late.id).await.unwrap();
    assert_eq!(found, None);
    let stored = store.schedules(organization, connection).await.unwrap();
    assert_eq!(stored.collections[&collection].next_at, Some(START_MS + 100));
    assert_eq!(stored.connection.next_at, Some(START_MS + 10));

    // A poll of one collection does not stand for one of the rest.
    let claimed = store.claim("a", START_MS + 1, 60_000, 10).await.unwrap();
    let poll = claimed.iter().find(|claimed| claimed.id == job.id).unwrap();
    store
        .finish(&poll.fence, START_MS + 50, Ok(serde_json::json!({})))
        .await
        .unwrap();
    let after = store.schedules(organization, connection).await.unwrap();
    assert_eq!(after.attempted_at, stored.attempted_at);
}

#[tokio::test]
async fn the_usual_next_time_is_when_the_query_finds_it_due() {
    let bench = bench().await;
    let interval_ms = 60_000;
    for number in 0..40_u64 {
        let mut connection = world::connection(&model::OrganizationId::new(1, 1));
        connection.id = ConnectionId::new(number, u128::from(number) * 77_777);
        connection.synced_at = None;
        bench.add_connection(&connection).await.unwrap();
    }
    let listed = bench
        .store
        .connections(&model::OrganizationId::new(1, 1), &Paging::first(100))
        .await
        .unwrap();
    let attempted_at = START_MS + 12_345;
    bench.clock.0.store(attempted_at, Ordering::SeqCst);
    for connection in &listed.items {
        let well = sync::ports::Effect::SetHealth {
            connection: connection.id.clone(),
            health: sync::state::Health::Active,
            reason: None,
            synced_at: Some(attempted_at),
        };
        bench
            .store
            .commit(&connection.organization, None, vec![well])
            .await
            .unwrap();
    }
    for connection in &listed.items {
        let next = next_usual_sync(&connection.id, attempted_at, interval_ms);
        assert!(next > attempted_at && next <= attempted_at + interval_ms);
        let due = async |now_ms: i64| {
            let due = bench.store.due_connections(now_ms, interval_ms).await.unwrap();
            due.iter().any(|(_, id)| *id == connection.id)
        };
        assert!(!due(next - 1).await && due(next).await, "{}", connection.id);
    }
}
