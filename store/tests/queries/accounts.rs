//! Organizations, keys, connections.

use model::{ApiKeyId, ConnectionId, OrganizationId};
use serde_json::json;
use store::{ApiKey, ChangeFilter, ConnectionPatch, JobState, KeyPermission, Organization, Paging};
use sync::history::{Cause, HistoryAction};
use sync::ports::{Effect, Jobs, Store, StoreError};
use sync::state::{FeedAction, Health, Origin};
use testkit::store_suite::Subject;
use testkit::store_suite::world::{self, START_MS};

use crate::{bench, settled};

#[tokio::test]
async fn the_default_organization_is_made_once() {
    let bench = bench().await;
    let fresh = |n: u128| Organization {
        id: OrganizationId::new(n as u64, n),
        name: format!("Organization {n}"),
        created_at: START_MS + n as i64,
    };
    let first = bench.store.default_organization(&fresh(1)).await.unwrap();
    assert_eq!(bench.store.default_organization(&fresh(2)).await.unwrap(), first);
    bench.store.create_organization(&fresh(3)).await.unwrap();
    assert!(matches!(
        bench.store.create_organization(&fresh(3)).await,
        Err(StoreError::Stale(_))
    ));
    assert_eq!(bench.store.organizations().await.unwrap(), [fresh(1), fresh(3)]);
}

#[tokio::test]
async fn a_key_is_found_by_its_secret_until_it_is_revoked() {
    let bench = bench().await;
    let organization = Organization {
        id: OrganizationId::new(1, 1),
        name: "Acme".to_owned(),
        created_at: START_MS,
    };
    bench.store.create_organization(&organization).await.unwrap();
    let key = ApiKey {
        id: ApiKeyId::new(1, 1),
        organization: organization.id.clone(),
        name: "laptop".to_owned(),
        prefix: "ck_ab".to_owned(),
        permissions: vec![KeyPermission::Passthrough],
        created_at: START_MS,
        last_used_at: None,
        revoked_at: None,
    };
    bench.store.create_api_key(&key, "ck_ab-secret").await.unwrap();
    assert_eq!(bench.store.find_api_key("ck_ab-secre").await.unwrap(), None);
    assert_eq!(
        bench.store.api_keys(&organization.id).await.unwrap(),
        std::slice::from_ref(&key)
    );
    let found = bench.store.find_api_key("ck_ab-secret").await.unwrap();
    assert_eq!(found, Some(key.clone()));
    let used = bench.store.api_keys(&organization.id).await.unwrap().remove(0);
    assert_eq!(used.last_used_at, Some(START_MS));
    let stranger = OrganizationId::new(2, 2);
    assert!(bench.store.api_keys(&stranger).await.unwrap().is_empty());
    assert!(!bench.store.revoke_api_key(&stranger, &key.id).await.unwrap());
    assert!(
        bench
            .store
            .revoke_api_key(&organization.id, &key.id)
            .await
            .unwrap()
    );
    assert!(
        !bench
            .store
            .revoke_api_key(&organization.id, &key.id)
            .await
            .unwrap()
    );
    assert_eq!(bench.store.find_api_key("ck_ab-secret").await.unwrap(), None);
}

#[tokio::test]
async fn connections_are_paged_changed_and_announced() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let mut all = vec![world.connection.clone()];
    for _ in 0..4 {
        let connection = world::connection(org);
        bench.add_connection(&connection).await.unwrap();
        all.push(connection);
    }
    let mut found = Vec::new();
    let mut paging = Paging::first(2);
    loop {
        let page = bench.store.connections(org, &paging).await.unwrap();
        found.extend(page.items);
        if page.next.is_none() {
            break;
        }
        paging.after = page.next;
    }
    assert_eq!(found, all);
    let patch = ConnectionPatch {
        name: Some("Renamed".to_owned()),
        config: Some(
            json!({"base_url": "https://example.org"})
                .as_object()
                .cloned()
                .unwrap(),
        ),
        health: Some((Health::Paused, Some("holidays".to_owned()))),
    };
    let before = bench.store.latest_seq(org).await.unwrap();
    let of_connections = ChangeFilter {
        kinds: vec!["connection".to_owned()],
        ..ChangeFilter::default()
    };
    let origin = Origin::Api("key_1".to_owned());
    let changed = bench
        .store
        .update_connection(org, &all[0].id, &patch, &origin)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(changed.name, "Renamed");
    assert_eq!(
        (changed.health, changed.health_reason.as_deref()),
        (Health::Paused, Some("holidays"))
    );
    assert_eq!(
        bench.store.connection(org, &all[0].id).await.unwrap(),
        Some(changed)
    );
    let news = bench
        .store
        .changes_after(org, before, &of_connections, 9)
        .await
        .unwrap();
    assert_eq!(news.len(), 1);
    assert_eq!(news[0].entry.changed, ["name", "config", "health"]);
    assert_eq!(news[0].entry.origin, origin);
    let awake = ConnectionPatch {
        health: Some((Health::Active, None)),
        ..ConnectionPatch::default()
    };
    let awake = bench
        .store
        .update_connection(org, &all[0].id, &awake, &origin)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (awake.name.as_str(), awake.health, awake.health_reason),
        ("Renamed", Health::Active, None)
    );
    let nobody = ConnectionId::new(9, 9);
    assert!(
        bench
            .store
            .update_connection(org, &nobody, &patch, &origin)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_deleted_connection_takes_its_records_with_it_except_those_that_live_elsewhere() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let other = world::connection(org);
    bench.add_connection(&other).await.unwrap();
    let calendar = world::collection(&other, "/theirs/");
    bench
        .commit(&world, vec![Effect::PutCollection(Box::new(calendar.clone()))])
        .await;
    let (lonely, _) = bench.event(&world, "lonely", json!({})).await;
    let (shared, _) = bench.event(&world, "shared", json!({})).await;
    let copy = world.link(&shared, &calendar, "copy");
    bench
        .commit(
            &world,
            vec![
                Effect::CreateLink(Box::new(copy.clone())),
                Effect::Quarantine(Box::new(world.quarantined("q", "v1"))),
                Effect::Enqueue(Box::new(world.sync(START_MS))),
            ],
        )
        .await;
    let running = bench
        .store
        .claim("node", START_MS, 60_000, 1)
        .await
        .unwrap()
        .remove(0);
    let before = bench.store.latest_seq(org).await.unwrap();
    assert!(
        bench
            .store
            .delete_connection(org, &world.connection.id, &Origin::Hub, &Cause::default())
            .await
            .unwrap()
    );
    assert!(
        !bench
            .store
            .delete_connection(org, &world.connection.id, &Origin::Hub, &Cause::default())
            .await
            .unwrap()
    );
    assert!(
        bench
            .store
            .connection(org, &world.connection.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        bench
            .store
            .credentials(org, &world.connection.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        bench
            .store
            .collections(org, &world.connection.id)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(bench.store.known(org, &world.work.id).await.unwrap().is_empty());
    assert!(bench.store.record_view(org, &lonely.id).await.unwrap().is_none());
    let gone = bench.store.record(org, &lonely.id).await.unwrap().unwrap();
    assert!(
        gone.deleted && gone.version == 2,
        "it stays as deleted, so that nothing brings it back"
    );
    let told = bench
        .store
        .history(org, &lonely.id, None, &Paging::first(1))
        .await
        .unwrap();
    assert_eq!(
        (told.items[0].action, told.items[0].version),
        (HistoryAction::Deleted, 2)
    );
    let left = bench.store.record_view(org, &shared.id).await.unwrap().unwrap();
    assert_eq!(left.links, [copy]);
    let news = bench
        .store
        .changes_after(org, before, &ChangeFilter::default(), 9)
        .await
        .unwrap();
    let told: Vec<_> = news
        .iter()
        .map(|change| (change.entry.action, change.entry.subject.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (FeedAction::Deleted, lonely.id.as_str()),
            (FeedAction::Deleted, world.connection.id.as_str())
        ]
    );
    let concerned = [world.connection.id.clone()];
    assert!(
        news.iter().all(|change| change.connections == concerned),
        "who follows the connection is told of its end: {news:?}"
    );
    let late = bench.store.commit(org, Some(&running.fence), Vec::new()).await;
    assert!(matches!(late, Err(StoreError::Fenced(_))));
    let job = bench.store.job(org, &running.id).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Cancelled);
    assert_eq!(
        bench.store.facts(START_MS).await.unwrap().problems,
        Vec::<String>::new()
    );
}
