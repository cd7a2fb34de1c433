//! Several nodes on one PostgreSQL database: what each may count on while the others work.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

mod place;

use std::collections::BTreeSet;
use std::time::Duration;

use connector_sdk::Credentials;
use futures::future::join_all;
use model::OrganizationId;
use place::Place;
use sqlx::{Connection, PgConnection};
use store::{ChangeFilter, IdempotencyClaim, MasterKey, OpenError, OpenMode, Organization, SqlStore};
use sync::ports::{Effect, Jobs, Store, StoreError};
use sync::state::{FeedAction, JobTask, Origin};
use testkit::store_suite::world::{START_MS, World, connection, entry, job};

const LEASE_MS: i64 = 60_000;

async fn world(store: &SqlStore) -> World {
    let organization = OrganizationId::new(1, 1);
    let connection = connection(&organization);
    store
        .insert_connection(&connection, &Credentials::default(), &Origin::Hub)
        .await
        .unwrap();
    let work = testkit::store_suite::world::collection(&connection, "/work/");
    let home = testkit::store_suite::world::collection(&connection, "/home/");
    let effects = vec![
        Effect::PutCollection(Box::new(work.clone())),
        Effect::PutCollection(Box::new(home.clone())),
    ];
    store.commit(&organization, None, effects).await.unwrap();
    World {
        organization,
        connection,
        work,
        home,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_sees_a_number_of_the_feed_before_the_one_below_it() {
    let place = Place::on_postgres();
    let (one, two) = (place.open().await, place.open().await);
    let world = world(&one).await;
    let org = world.organization.clone();
    let before = one.latest_seq(&org).await.unwrap();
    // A commit that took its number and is slow to end.
    let mut slow = PgConnection::connect(&place.url()).await.unwrap();
    let mut held = slow.begin().await.unwrap();
    sqlx::query("UPDATE feed_heads SET seq = seq + 1 WHERE organization_id = $1")
        .bind(org.as_str())
        .execute(&mut *held)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO changes (organization_id, seq, action, subject, kind, version, changed, origin, at)
         SELECT organization_id, seq + 1, action, 'slow', kind, version, changed, origin, at FROM changes
         WHERE organization_id = $1 AND seq = $2",
    )
    .bind(org.as_str())
    .bind(before)
    .execute(&mut *held)
    .await
    .unwrap();
    let fast = {
        let (two, world) = (two.clone(), world.clone());
        tokio::spawn(async move {
            let (_, _, effects) = world.arrival("Fast", "fast");
            two.commit(&world.organization, None, effects).await
        })
    };
    // The fast one is at the row by now, and waits there.
    let waits = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted";
    testkit::harness::until("a commit that waits", Duration::from_secs(10), async || {
        let mut looker = PgConnection::connect(&place.url()).await.ok()?;
        let waiting: i64 = sqlx::query_scalar(waits).fetch_one(&mut looker).await.ok()?;
        (waiting > 0).then_some(())
    })
    .await
    .unwrap();
    let seen = one
        .changes_after(&org, before, &ChangeFilter::default(), 10)
        .await
        .unwrap();
    assert!(seen.is_empty(), "neither number is there: {seen:?}");
    held.commit().await.unwrap();
    fast.await.unwrap().unwrap();
    let seen = one
        .changes_after(&org, before, &ChangeFilter::default(), 10)
        .await
        .unwrap();
    let numbers: Vec<i64> = seen.iter().map(|change| change.seq).collect();
    assert_eq!(numbers, [before + 1, before + 2]);
    assert_eq!(seen[0].entry.subject, "slow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_edits_of_one_record_at_once_one_is_taken_and_the_others_are_stale() {
    let place = Place::on_postgres();
    let nodes = [place.open().await, place.open().await, place.open().await];
    let world = world(&nodes[0]).await;
    let (mut record, _, effects) = world.arrival("Contested", "1");
    nodes[0].commit(&world.organization, None, effects).await.unwrap();
    for round in 2..12 {
        record.version = round;
        let edits = (0..9).map(|number| {
            let (store, record) = (nodes[number % 3].clone(), record.clone());
            let organization = world.organization.clone();
            tokio::spawn(async move {
                let effects = vec![
                    Effect::Touch {
                        record: record.id.clone(),
                        except: None,
                    },
                    Effect::UpdateRecord(Box::new(record.clone())),
                    Effect::Feed(entry(&record, FeedAction::Updated)),
                ];
                store.commit(&organization, None, effects).await
            })
        });
        let ends: Vec<_> = join_all(edits).await.into_iter().map(Result::unwrap).collect();
        let taken = ends.iter().filter(|end| end.is_ok()).count();
        let stale = ends
            .iter()
            .filter(|end| matches!(end, Err(StoreError::Stale(_))))
            .count();
        assert_eq!((taken, stale), (1, 8), "{ends:?}");
    }
    let feed = nodes[1]
        .changes_after(&world.organization, 0, &ChangeFilter::default(), 1_000)
        .await
        .unwrap();
    let numbers: Vec<i64> = feed.iter().map(|change| change.seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_claimed_in_their_turn_however_the_server_reads_the_table() {
    let place = Place::on_postgres();
    let store = place.open().await;
    let organization = OrganizationId::new(1, 1);
    let jobs: Vec<_> = (0..40)
        .map(|turn| {
            let connection = connection(&organization).id;
            job(&organization, JobTask::Push { connection }, START_MS + turn)
        })
        .collect();
    // The last in turn is the first in the table.
    let effects = jobs.iter().rev().cloned().map(Box::new).map(Effect::Enqueue);
    store
        .commit(&organization, None, effects.collect())
        .await
        .unwrap();
    store.close().await;
    let mut server = PgConnection::connect(&place.url()).await.unwrap();
    // A server that knows how small the table is reads it from end to end; so does one that may not walk an index.
    for knowledge in [
        "ANALYZE jobs",
        "DO $$ BEGIN
            EXECUTE format('ALTER DATABASE %I SET enable_nestloop = off', current_database());
            EXECUTE format('ALTER DATABASE %I SET jit = off', current_database());
        END $$",
    ] {
        sqlx::query(knowledge).execute(&mut server).await.unwrap();
    }
    let store = place.open().await;
    for job in jobs {
        let claimed = store.claim("node", START_MS + 100, LEASE_MS, 1).await.unwrap();
        assert_eq!(
            claimed[0].id, job.id,
            "the one that has waited longest goes first"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_claim_at_once_take_each_job_once_and_each_lane_alone() {
    let place = Place::on_postgres();
    let nodes = [place.open().await, place.open().await, place.open().await];
    let organization = OrganizationId::new(1, 1);
    let lanes: Vec<_> = (0..20).map(|_| connection(&organization)).collect();
    let mut effects = Vec::new();
    for lane in &lanes {
        for task in [
            JobTask::Push {
                connection: lane.id.clone(),
            },
            JobTask::Sync {
                connection: lane.id.clone(),
                discover: false,
                approve_deletes: false,
            },
        ] {
            effects.push(Effect::Enqueue(Box::new(job(&organization, task, START_MS))));
        }
    }
    nodes[0].commit(&organization, None, effects).await.unwrap();
    let mut done = BTreeSet::new();
    for round in 0.. {
        let claims = (0..9).map(|number| {
            let store = nodes[number % 3].clone();
            tokio::spawn(async move { store.claim("node", START_MS + round, LEASE_MS, 3).await })
        });
        let mut held = Vec::new();
        for claim in join_all(claims).await {
            held.extend(claim.unwrap().unwrap());
        }
        let taken: BTreeSet<_> = held.iter().map(|job| job.task.lane().to_owned()).collect();
        assert_eq!(taken.len(), held.len(), "two in one lane: {held:?}");
        for job in held {
            assert!(done.insert(job.id.clone()), "{job:?} was claimed twice");
            nodes[1]
                .finish(&job.fence, START_MS, Ok(serde_json::Value::Null))
                .await
                .unwrap();
        }
        if done.len() == lanes.len() * 2 {
            break;
        }
        assert!(round < 100, "{} of {} were claimed", done.len(), lanes.len() * 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_not_taken_over_in_the_middle_of_its_commit() {
    let place = Place::on_postgres();
    let (one, two) = (place.open().await, place.open().await);
    let world = world(&one).await;
    one.enqueue(world.sync(START_MS)).await.unwrap();
    let held = one.claim("one", START_MS, 10, 1).await.unwrap().remove(0);
    // What a commit does first, and then is slow.
    let mut slow = PgConnection::connect(&place.url()).await.unwrap();
    let mut commit = slow.begin().await.unwrap();
    sqlx::query("SELECT id FROM jobs WHERE id = $1 FOR SHARE")
        .bind(held.id.as_str())
        .execute(&mut *commit)
        .await
        .unwrap();
    let late = START_MS + 1_000;
    assert!(
        two.claim("two", late, LEASE_MS, 1).await.unwrap().is_empty(),
        "its lease ran out, but its commit is on its way"
    );
    commit.commit().await.unwrap();
    let over = two.claim("two", late, LEASE_MS, 1).await.unwrap().remove(0);
    assert_eq!((&over.id, over.attempts), (&held.id, 1));
    let refused = one
        .commit(&world.organization, Some(&held.fence), Vec::new())
        .await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_leaves_the_others_their_leases() {
    let place = Place::on_postgres();
    let one = place.open().await;
    let world = world(&one).await;
    one.enqueue(world.sync(START_MS)).await.unwrap();
    let held = one.claim("one", START_MS, LEASE_MS, 1).await.unwrap().remove(0);
    let two = place.open().await;
    assert!(
        two.claim("two", START_MS + 1, LEASE_MS, 1)
            .await
            .unwrap()
            .is_empty()
    );
    one.commit(&world.organization, Some(&held.fence), Vec::new())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_agree_on_the_key_and_the_first_organization() {
    let place = Place::on_postgres();
    let key = place.key();
    let starts = (0..6).map(|number| {
        let key = key.clone();
        let place = &place;
        async move {
            let store = place.try_open(key, OpenMode::Serve).await.unwrap();
            let fresh = Organization {
                id: OrganizationId::new(number, 1),
                name: "Acme".to_owned(),
                created_at: START_MS,
            };
            store.default_organization(&fresh).await.unwrap().id
        }
    });
    let found: BTreeSet<_> = join_all(starts).await.into_iter().collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let other = MasterKey::from_text(&"11".repeat(32)).unwrap();
    let refused = place.try_open(other, OpenMode::Serve).await.unwrap_err();
    assert!(matches!(refused, OpenError::WrongKey { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_reaches_two_nodes_at_once_is_carried_out_once() {
    let place = Place::on_postgres();
    let nodes = [place.open().await, place.open().await];
    let org = OrganizationId::new(1, 1);
    for round in 0..10 {
        let key = format!("key-{round}");
        let claims = (0..6).map(|number| nodes[number % 2].claim_idempotency(&org, &key, "hash"));
        let fresh = join_all(claims)
            .await
            .into_iter()
            .filter(|claim| matches!(claim, Ok(IdempotencyClaim::Fresh)))
            .count();
        assert_eq!(fresh, 1);
    }
}

#[tokio::test]
async fn an_address_that_is_refused_is_not_repeated_with_its_password() {
    let place = Place::new();
    for url in [
        "postgres://u:hunter2@h:notaport/x",
        "postgres://u:hunter2@127.0.0.1:1/x",
    ] {
        let error = SqlStore::open(url, place.key(), std::sync::Arc::new(connector_sdk::SystemClock))
            .await
            .unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_hears_of_changes_and_work_that_another_committed() {
    let place = Place::on_postgres();
    let (one, two) = (place.open().await, place.open().await);
    let world = world(&one).await;
    let (mut changes, mut jobs) = (two.subscribe_changes(), two.subscribe_jobs());
    let wait = Duration::from_secs(20);
    for round in 0..3 {
        let (_, _, effects) = world.arrival("Told", &format!("{round}"));
        one.commit(&world.organization, None, effects).await.unwrap();
        let seq = one.latest_seq(&world.organization).await.unwrap();
        let heard = async { while changes.recv().await.unwrap().seq < seq {} };
        tokio::time::timeout(wait, heard).await.unwrap();
        jobs.mark_unchanged();
        one.enqueue(world.sync(START_MS + round)).await.unwrap();
        tokio::time::timeout(wait, jobs.changed()).await.unwrap().unwrap();
    }
    // Text that is nobody's is passed over.
    let mut other = PgConnection::connect(&place.url()).await.unwrap();
    sqlx::query("SELECT pg_notify('concord', 'x')")
        .execute(&mut other)
        .await
        .unwrap();
    let facts = one.facts(START_MS).await.unwrap();
    assert_eq!(
        facts.nodes.len(),
        1,
        "both stores are this process: {:?}",
        facts.nodes
    );
    assert!(facts.nodes[0].name.starts_with(&std::process::id().to_string()));
    let held = two.claim("two", START_MS + 9, LEASE_MS, 1).await.unwrap();
    let facts = one.facts(START_MS).await.unwrap();
    let lease = &facts.leases[0];
    assert_eq!((lease.node.as_str(), lease.jobs), ("two", held.len() as i64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_goes_on_while_a_newer_one_adds_a_column() {
    let place = Place::on_postgres();
    let store = place.open().await;
    let world = world(&store).await;
    let (_, _, effects) = world.arrival("Before", "1");
    store.commit(&world.organization, None, effects).await.unwrap();
    store.enqueue(world.sync(START_MS)).await.unwrap();
    let mut newer = PgConnection::connect(&place.url()).await.unwrap();
    for table in ["connections", "collections", "jobs"] {
        // Every connection that reads has a plan for it by then.
        let reads = (0..8).map(|_| store.connection(&world.organization, &world.connection.id));
        assert!(join_all(reads).await.iter().all(Result::is_ok));
        let add = sqlx::AssertSqlSafe(format!("ALTER TABLE {table} ADD COLUMN added TEXT"));
        sqlx::query(add).execute(&mut newer).await.unwrap();
        let reads = (0..8).map(|_| store.connection(&world.organization, &world.connection.id));
        for read in join_all(reads).await {
            assert!(read.unwrap().is_some());
        }
    }
    // A transaction is not repeated under its caller's hands: it fails once at most.
    if store.enqueue(world.sync(START_MS)).await.is_err() {
        store.enqueue(world.sync(START_MS)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_grows_from_nothing_is_counted_before_the_server_would() {
    let place = Place::on_postgres();
    let store = place.open().await;
    let world = world(&store).await;
    let mut beside = PgConnection::connect(&place.url()).await.unwrap();
    sqlx::query(
        "INSERT INTO observed (organization_id, collection_id, remote_id, at)
         SELECT organization_id, id, n::TEXT, 0 FROM collections, generate_series(1, 2000) AS n
         WHERE organization_id = $1",
    )
    .bind(world.organization.as_str())
    .execute(&mut beside)
    .await
    .unwrap();
    let counted = async {
        loop {
            let rows: f32 =
                sqlx::query_scalar("SELECT reltuples FROM pg_class WHERE oid = 'observed'::regclass")
                    .fetch_one(&mut beside)
                    .await
                    .unwrap();
            if rows == 4_000.0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    // The server looks once a minute.
    tokio::time::timeout(Duration::from_secs(40), counted)
        .await
        .unwrap();
    store.close().await;
}
