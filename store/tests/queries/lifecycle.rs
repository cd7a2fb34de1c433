//! Opening, crashing, sharing, facts.

use model::OrganizationId;
use serde_json::json;
use store::{IdempotencyClaim, OpenMode, Organization, SqliteStore};
use sync::ports::{Jobs, Store, StoreError};
use testkit::store_suite::world::START_MS;

use crate::{Bench, settled};

#[tokio::test]
async fn after_a_crash_nothing_is_stuck_and_nothing_is_lost() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let (record, link) = bench.event(&world, "1", json!({})).await;
    bench.store.enqueue(world.sync(START_MS)).await.unwrap();
    let held = bench
        .store
        .claim("node", START_MS, 3_600_000, 1)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        bench.store.claim_idempotency(org, "key", "a").await.unwrap(),
        IdempotencyClaim::Fresh
    );
    let Bench { store, place, .. } = bench;
    // As a crash leaves it: nothing is closed, no lease is given back.
    drop(store);
    let store = place.open().await;
    let late = store.commit(org, Some(&held.fence), Vec::new()).await;
    assert!(
        matches!(late, Err(StoreError::Fenced(_))),
        "what the dead process had on its way is refused"
    );
    let again = store.claim("node", START_MS, 1_000, 1).await.unwrap().remove(0);
    assert_eq!((again.id, again.attempts), (held.id, 1));
    assert_eq!(
        store.claim_idempotency(org, "key", "a").await.unwrap(),
        IdempotencyClaim::Fresh
    );
    let view = store.record_view(org, &record.id).await.unwrap().unwrap();
    assert_eq!((view.record, view.links), (record, vec![link]));
    assert!(store.facts(START_MS).await.unwrap().problems.is_empty());
}

#[tokio::test]
async fn one_process_serves_a_file_and_short_commands_run_beside_it() {
    let (bench, world) = settled().await;
    let place = &bench.place;
    bench.store.enqueue(world.sync(START_MS)).await.unwrap();
    let held = bench
        .store
        .claim("node", START_MS, 60_000, 1)
        .await
        .unwrap()
        .remove(0);
    let refused = place.try_open(place.key(), OpenMode::Serve).await.unwrap_err();
    assert!(
        matches!(&refused, store::OpenError::InUse(path) if *path == place.path()),
        "{refused}"
    );
    let beside = place.try_open(place.key(), OpenMode::Beside).await.unwrap();
    let fresh = Organization {
        id: OrganizationId::new(1, 1),
        name: "Acme".to_owned(),
        created_at: START_MS,
    };
    beside.default_organization(&fresh).await.unwrap();
    beside.close().await;
    assert_eq!(bench.store.organizations().await.unwrap(), [fresh]);
    bench
        .store
        .commit(&world.organization, Some(&held.fence), Vec::new())
        .await
        .unwrap();
    bench.store.close().await;
    place.open().await;
}

#[tokio::test]
async fn only_the_address_of_a_file_is_taken() {
    for url in [
        "postgres://localhost/x",
        "sqlite::memory:",
        "sqlite://a.db?mode=ro",
        "concord.db",
    ] {
        let error = SqliteStore::path_of(url).unwrap_err();
        assert!(
            matches!(error, store::OpenError::Address { .. }),
            "{url}: {error}"
        );
    }
    assert_eq!(
        SqliteStore::path_of("sqlite://concord.db").unwrap().to_str(),
        Some("concord.db")
    );
    assert_eq!(
        SqliteStore::path_of("sqlite:///var/lib/c.db").unwrap().to_str(),
        Some("/var/lib/c.db")
    );
}

#[tokio::test]
async fn the_facts_count_what_is_there() {
    let (bench, world) = settled().await;
    bench.event(&world, "1", json!({})).await;
    bench.store.enqueue(world.sync(START_MS - 5)).await.unwrap();
    let facts = bench.store.facts(START_MS).await.unwrap();
    let rows = |table: &str| {
        facts
            .rows
            .iter()
            .find(|(name, _)| name == table)
            .map(|(_, count)| *count)
    };
    assert_eq!(
        (rows("records"), rows("links"), rows("collections")),
        (Some(1), Some(1), Some(2))
    );
    assert_eq!(
        (facts.migration, facts.oldest_due_at, facts.running),
        (17, Some(START_MS - 5), 0)
    );
    assert!(facts.problems.is_empty() && facts.log_bytes > 0);
    assert_eq!(facts.key_id, bench.place.key().id());
    bench.store.claim("node", START_MS, 1_000, 1).await.unwrap();
    let facts = bench.store.facts(START_MS + 1_000).await.unwrap();
    assert_eq!((facts.running, facts.expired), (1, 1));
}
