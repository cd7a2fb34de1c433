//! The inbox: batches, doubles, the jobs that come with them, parking, forgetting; secrets and routes of addresses.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use connector_sdk::Credentials;
use model::{ConnectionId, InboundId, JobId, OrganizationId, ProviderAppId};
use store::{
    HookOwner, HookSecret, INBOUND_KEPT_MS, InboundFilter, InboundState, NewInbound, PARKED_MS, Paging,
    ProviderApp, Receipt,
};
use sync::ports::{Effect, Jobs, Store, StoreError};
use sync::state::{Connection, InboundEnd, InboundOutcome, JobTask, Origin};
use testkit::store_suite::world::{START_MS, World};

use crate::{Bench, settled};

fn row(world: &World, number: u128, delivery: Option<&str>) -> NewInbound {
    NewInbound {
        id: InboundId::new(START_MS as u64, number),
        organization: world.organization.clone(),
        connection: Some(world.connection.id.clone()),
        app: None,
        route: None,
        provider: "memory".to_owned(),
        delivery: delivery.map(str::to_owned),
        head: "{}".to_owned(),
        body: Bytes::from(format!("body {number}").repeat(if number.is_multiple_of(2) { 1 } else { 500 })),
        trace: None,
        received_at: START_MS,
        job: JobId::new(START_MS as u64, 1_000_000 + number),
    }
}

async fn waiting(bench: &Bench, world: &World) -> Vec<String> {
    let (organization, connection) = (&world.organization, &world.connection.id);
    let found = bench
        .store
        .inbox(organization, connection, START_MS, 2_000)
        .await
        .unwrap();
    found.into_iter().map(|inbound| inbound.id.to_string()).collect()
}

#[tokio::test]
async fn a_batch_is_written_whole_in_order_and_byte_by_byte() {
    let (bench, world) = settled().await;
    let rows: Vec<NewInbound> = (0..613)
        .map(|number| row(&world, number, Some(&number.to_string())))
        .collect();
    let receipts = bench.store.receive(rows.clone()).await.unwrap();
    assert_eq!(receipts, vec![Receipt::Stored; 613]);
    let (organization, connection) = (&world.organization, &world.connection.id);
    let found = bench
        .store
        .inbox(organization, connection, START_MS, 2_000)
        .await
        .unwrap();
    assert_eq!(found.len(), 613);
    for (row, found) in rows.iter().zip(&found) {
        assert_eq!(
            (&found.id, &found.body, &found.head),
            (&row.id, &row.body, &row.head)
        );
    }
    assert!(
        bench
            .store
            .inbox(organization, connection, START_MS - 1, 9)
            .await
            .unwrap()
            .is_empty()
    );
    let jobs = bench.store.claim("node", START_MS, 1_000, 9).await.unwrap();
    assert_eq!(jobs.len(), 1, "one job for all of them");
    assert_eq!(
        jobs[0].task,
        JobTask::Inbox {
            connection: connection.clone()
        }
    );
}

#[tokio::test]
async fn a_double_is_not_written_within_a_batch_and_after_it_and_one_without_id_always_is() {
    let (bench, world) = settled().await;
    let batch = vec![
        row(&world, 1, Some("a")),
        row(&world, 2, Some("a")),
        row(&world, 3, Some("b")),
        row(&world, 4, None),
        row(&world, 5, None),
    ];
    let receipts = bench.store.receive(batch).await.unwrap();
    let (stored, seen) = (Receipt::Stored, Receipt::Seen);
    assert_eq!(receipts, [stored, seen, stored, stored, stored]);
    let again = vec![row(&world, 6, Some("b")), row(&world, 7, Some("c"))];
    assert_eq!(bench.store.receive(again).await.unwrap(), [seen, stored]);
    let mut elsewhere = row(&world, 8, Some("a"));
    elsewhere.organization = OrganizationId::new(9, 9);
    let mut routed = row(&world, 9, Some("a"));
    routed.route = Some("ada".to_owned());
    assert_eq!(
        bench.store.receive(vec![elsewhere, routed]).await.unwrap(),
        [stored, stored]
    );
    assert_eq!(waiting(&bench, &world).await.len(), 6);
}

#[tokio::test]
async fn a_delivery_joins_a_job_that_waits_and_never_one_that_has_begun() {
    let (bench, world) = settled().await;
    let jobs = async || bench.store.claim("node", START_MS, 60_000, 9).await.unwrap();
    bench.store.receive(vec![row(&world, 1, None)]).await.unwrap();
    bench.store.receive(vec![row(&world, 2, None)]).await.unwrap();
    let first = jobs().await;
    assert_eq!(first.len(), 1);
    bench.store.receive(vec![row(&world, 3, None)]).await.unwrap();
    assert!(jobs().await.is_empty(), "its lane is taken");
    let done = Ok(serde_json::json!({}));
    bench.store.finish(&first[0].fence, START_MS, done).await.unwrap();
    let second = jobs().await;
    assert_eq!(second.len(), 1);
    assert_ne!(second[0].id, first[0].id);
    let gone = bench.store.job(&world.organization, &first[0].id).await.unwrap();
    assert!(gone.is_none(), "nobody asks what it did");
    let mut bell = bench.store.subscribe_jobs();
    bell.mark_unchanged();
    bench.store.receive(vec![row(&world, 4, None)]).await.unwrap();
    assert!(bell.has_changed().unwrap(), "workers wake");
}

#[tokio::test]
async fn a_webhook_ends_once_with_what_it_brought_or_not_at_all() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    bench
        .store
        .receive(vec![row(&world, 1, Some("a"))])
        .await
        .unwrap();
    let id = InboundId::new(START_MS as u64, 1);
    let end = |end: InboundEnd| Effect::EndInbound {
        inbound: id.clone(),
        end,
        at: START_MS + 5,
    };
    let retry = InboundEnd::Retry {
        at: START_MS + 50,
        reason: "later".to_owned(),
    };
    bench.commit(&world, vec![end(retry)]).await;
    assert!(waiting(&bench, &world).await.is_empty(), "not due");
    let again = bench
        .store
        .inbox(org, &world.connection.id, START_MS + 50, 9)
        .await
        .unwrap();
    assert_eq!(again[0].attempts, 1);
    let outcome = InboundOutcome {
        applied: 1,
        ..InboundOutcome::default()
    };
    let (record, _, mut effects) = world.arrival("Event", "1");
    effects.push(end(InboundEnd::Done(outcome)));
    bench.commit(&world, effects).await;
    let (late, _, mut effects) = world.arrival("Event", "2");
    effects.push(end(InboundEnd::Done(outcome)));
    let refused = bench.store.commit(org, None, effects).await;
    assert!(matches!(refused, Err(StoreError::Stale(_))), "{refused:?}");
    assert!(bench.store.record(org, &record.id).await.unwrap().is_some());
    assert!(bench.store.record(org, &late.id).await.unwrap().is_none());
    let shown = bench.store.inbound(org, &id).await.unwrap().unwrap();
    assert_eq!((shown.state, shown.outcome), (InboundState::Done, Some(outcome)));
    assert!(
        bench
            .store
            .inbound(&OrganizationId::new(9, 9), &id)
            .await
            .unwrap()
            .is_none()
    );
    let job = JobId::new(7, 7);
    let replayed = bench
        .store
        .replay_inbound(org, &id, job.clone())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((replayed.state, replayed.attempts), (InboundState::Waiting, 0));
    assert!(
        bench
            .store
            .replay_inbound(&OrganizationId::new(9, 9), &id, job)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn what_has_ended_is_known_for_three_days_and_then_forgotten() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    bench
        .store
        .receive(vec![row(&world, 1, Some("a")), row(&world, 2, Some("b"))])
        .await
        .unwrap();
    let ended = Effect::EndInbound {
        inbound: InboundId::new(START_MS as u64, 1),
        end: InboundEnd::Quarantined("nonsense".to_owned()),
        at: START_MS,
    };
    bench.commit(&world, vec![ended]).await;
    bench.store.sweep(START_MS + INBOUND_KEPT_MS).await.unwrap();
    assert_eq!(
        bench
            .store
            .receive(vec![row(&world, 3, Some("a"))])
            .await
            .unwrap(),
        [Receipt::Seen]
    );
    bench.store.sweep(START_MS + INBOUND_KEPT_MS + 1).await.unwrap();
    let left = bench
        .store
        .inbound_list(org, &InboundFilter::default(), &Paging::first(9))
        .await
        .unwrap();
    assert_eq!(left.items.len(), 1, "what waits is never forgotten");
    assert_eq!(left.items[0].delivery.as_deref(), Some("b"));
}

#[tokio::test]
async fn what_is_parked_goes_to_whoever_owns_its_route_in_time() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let parked = |number: u128, route: &str| NewInbound {
        connection: None,
        app: Some(ProviderAppId::new(1, 1)),
        route: Some(route.to_owned()),
        ..row(&world, number, Some(&format!("msg_{number}")))
    };
    let rows = vec![parked(1, "ada"), parked(2, "bob")];
    bench.store.receive(rows).await.unwrap();
    assert!(waiting(&bench, &world).await.is_empty());
    let provider = "memory";
    let routes = ["ada".to_owned(), "eve".to_owned()];
    bench
        .store
        .put_routes(org, &world.connection.id, provider, &routes)
        .await
        .unwrap();
    assert_eq!(bench.store.unpark().await.unwrap(), 1);
    assert_eq!(waiting(&bench, &world).await.len(), 1);
    assert_eq!(
        bench.store.routed(org, provider, "ada").await.unwrap(),
        std::slice::from_ref(&world.connection.id)
    );
    assert!(bench.store.routed(org, "other", "ada").await.unwrap().is_empty());
    assert!(
        bench
            .store
            .routed(&OrganizationId::new(9, 9), provider, "ada")
            .await
            .unwrap()
            .is_empty()
    );
    bench
        .store
        .put_routes(org, &world.connection.id, provider, &["eve".to_owned()])
        .await
        .unwrap();
    assert!(bench.store.routed(org, provider, "ada").await.unwrap().is_empty());
    assert_eq!(
        bench.store.drop_parked(START_MS + PARKED_MS - 1).await.unwrap(),
        0
    );
    assert_eq!(bench.store.drop_parked(START_MS + PARKED_MS).await.unwrap(), 1);
    assert_eq!(bench.store.inbox_depth().await.unwrap().parked, 0);
}

#[tokio::test]
async fn doubles_that_were_parked_at_two_addresses_have_one_effect_and_hold_up_nobody() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let parked = |number: u128, app: u128, delivery: Option<&str>| NewInbound {
        connection: None,
        app: Some(ProviderAppId::new(1, app)),
        route: Some("ada".to_owned()),
        ..row(&world, number, delivery)
    };
    let named = NewInbound {
        route: Some("ada".to_owned()),
        ..row(&world, 6, Some("known"))
    };
    let rows = vec![
        parked(1, 1, Some("twice")),
        parked(2, 2, Some("twice")),
        parked(3, 1, None),
        parked(4, 2, None),
        parked(5, 1, Some("known")),
        named,
    ];
    assert_eq!(bench.store.receive(rows).await.unwrap(), [Receipt::Stored; 6]);
    bench
        .store
        .put_routes(org, &world.connection.id, "memory", &["ada".to_owned()])
        .await
        .unwrap();
    for expected in [3, 0] {
        assert_eq!(bench.store.unpark().await.unwrap(), expected);
    }
    let id = |number: u128| InboundId::new(START_MS as u64, number).to_string();
    assert_eq!(waiting(&bench, &world).await, [1, 3, 4, 6].map(id));
    assert_eq!(bench.store.drop_parked(START_MS + PARKED_MS).await.unwrap(), 2);
}

#[tokio::test]
async fn batches_with_the_same_deliveries_in_opposite_order_do_not_hold_each_other_up() {
    let (bench, world) = settled().await;
    for round in 0..10_u128 {
        let batch = |start: u128, ids: &mut dyn Iterator<Item = u128>| -> Vec<NewInbound> {
            ids.map(|at| {
                row(
                    &world,
                    round * 10_000 + start + at,
                    Some(&format!("{round}-{at}")),
                )
            })
            .collect()
        };
        let (up, down) = (batch(0, &mut (0..300)), batch(5_000, &mut (0..300).rev()));
        let (up, down) = tokio::join!(bench.store.receive(up), bench.store.receive(down));
        let receipts = up.unwrap().into_iter().chain(down.unwrap());
        let stored = receipts.filter(|receipt| *receipt == Receipt::Stored).count();
        assert_eq!(stored, 300, "each once");
    }
}

#[tokio::test]
async fn an_inbox_without_a_job_is_found_unless_its_connection_rests() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    bench.store.receive(vec![row(&world, 1, None)]).await.unwrap();
    let due = async || bench.store.due_inboxes(START_MS).await.unwrap().len();
    assert_eq!(due().await, 0, "its job waits");
    bench.store.cancel_jobs(org, &world.connection.id).await.unwrap();
    assert_eq!(due().await, 1);
    let patch = store::ConnectionPatch {
        health: Some((sync::state::Health::Paused, None)),
        ..store::ConnectionPatch::default()
    };
    bench
        .store
        .update_connection(org, &world.connection.id, &patch, &Origin::Hub)
        .await
        .unwrap();
    assert_eq!(due().await, 0);
    let cause = sync::history::Cause::default();
    bench
        .store
        .delete_connection(org, &world.connection.id, &Origin::Hub, &cause)
        .await
        .unwrap();
    let dropped = bench
        .store
        .inbound(org, &InboundId::new(START_MS as u64, 1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(dropped.state, InboundState::Dropped);
}

#[tokio::test]
async fn secrets_are_sealed_for_their_address_and_end_in_their_time() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let owner = HookOwner::Connection(world.connection.id.clone());
    let secret = |text: &str, until: Option<i64>| HookSecret {
        text: text.to_owned(),
        since: START_MS,
        until,
    };
    let both = [secret("new one", None), secret("old one", Some(START_MS + 100))];
    assert!(bench.store.put_hook_secrets(org, &owner, &both).await.unwrap());
    assert!(!format!("{both:?}").contains("new one"), "{both:?}");
    let target = bench.store.hook_target(&owner).await.unwrap().unwrap();
    assert_eq!(
        (&target.organization, target.secrets.as_slice()),
        (org, &both[..])
    );
    bench.clock.0.store(START_MS + 100, Ordering::SeqCst);
    let target = bench.store.hook_target(&owner).await.unwrap().unwrap();
    assert_eq!(target.secrets, &both[..1]);
    let nobody = HookOwner::Connection(ConnectionId::new(9, 9));
    assert!(bench.store.hook_target(&nobody).await.unwrap().is_none());
    assert!(!bench.store.put_hook_secrets(org, &nobody, &both).await.unwrap());
    assert!(
        !bench
            .store
            .put_hook_secrets(&OrganizationId::new(9, 9), &owner, &both)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn an_app_belongs_to_its_organization() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let app = ProviderApp {
        id: ProviderAppId::new(1, 1),
        organization: org.clone(),
        provider: "memory".to_owned(),
        name: "Ours".to_owned(),
        created_at: START_MS,
    };
    bench.store.insert_provider_app(&app, &[], None).await.unwrap();
    let stranger = OrganizationId::new(9, 9);
    assert_eq!(
        bench.store.provider_app(org, &app.id).await.unwrap(),
        Some(app.clone())
    );
    assert!(
        bench
            .store
            .provider_app(&stranger, &app.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        bench
            .store
            .rename_provider_app(&stranger, &app.id, "Theirs")
            .await
            .unwrap()
            .is_none()
    );
    assert!(!bench.store.delete_provider_app(&stranger, &app.id).await.unwrap());
    let target = bench
        .store
        .hook_target(&HookOwner::App(app.id.clone()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&target.organization, target.provider.as_str()), (org, "memory"));
    assert!(bench.store.delete_provider_app(org, &app.id).await.unwrap());
    assert!(
        bench
            .store
            .hook_target(&HookOwner::App(app.id))
            .await
            .unwrap()
            .is_none()
    );
    let connection = Connection {
        id: ConnectionId::new(5, 5),
        organization: stranger.clone(),
        ..world.connection.clone()
    };
    bench
        .store
        .insert_connection(&connection, &Credentials::default(), &Origin::Hub)
        .await
        .unwrap();
    assert!(
        bench
            .store
            .put_routes(&stranger, &world.connection.id, "memory", &["x".to_owned()])
            .await
            .is_err()
    );
    let twin = Connection {
        id: world.connection.id.clone(),
        ..connection
    };
    bench
        .store
        .insert_connection(&twin, &Credentials::default(), &Origin::Hub)
        .await
        .unwrap();
    let ambiguous = bench.store.hook_target(&HookOwner::Connection(twin.id)).await;
    assert!(
        matches!(ambiguous, Err(StoreError::Corrupt { .. })),
        "{ambiguous:?}"
    );
}
