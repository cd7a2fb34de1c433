//! Links, journeys and grants; and that of many who would renew credentials one does, and a late one writes nothing.

use std::sync::atomic::Ordering;

use connector_sdk::Credentials;
use model::{ConnectLinkId, ConnectionId, JourneyId, OrganizationId, ProviderAppId};
use secrecy::ExposeSecret as _;
use serde_json::json;
use store::{
    AppClient, AppRef, ChangeFilter, Connect, ConnectLink, Grant, GrantedTo, Journey, Paging, ProviderApp,
    RenewalEnd, RenewalLease, Wanted, installation,
};
use sync::ports::{Store as _, StoreError};
use sync::state::{Health, Origin};
use testkit::store_suite::world::{self, START_MS};

use crate::bench;
use crate::bench::Bench;

const LEASE_MS: i64 = 60_000;

fn organization() -> OrganizationId {
    OrganizationId::new(1, 1)
}

fn credentials(token: &str) -> Credentials {
    let json = json!({"access_token": token, "refresh_token": "r"});
    Credentials::from_json(json.as_object().unwrap()).unwrap()
}

fn app() -> AppRef {
    AppRef {
        owner: organization(),
        id: ProviderAppId::new(1, 1),
    }
}

fn grant() -> Grant {
    Grant {
        app: app(),
        account: Some("ada@example.com".to_owned()),
        scopes: vec!["read".to_owned()],
        granted_at: START_MS,
    }
}

fn a_link(uses_left: i64) -> ConnectLink {
    ConnectLink {
        id: ConnectLinkId::new(1, 1),
        organization: organization(),
        app: app(),
        connection: None,
        wanted: Wanted::default(),
        uses_left,
        expires_at: START_MS + 1_000,
        created_by: "key".to_owned(),
        created_at: START_MS,
    }
}

/// A connection with credentials; answers with its id.
async fn connected(bench: &Bench) -> ConnectionId {
    let connection = world::connection(&organization());
    bench
        .store
        .insert_connection(&connection, &credentials("one"), &Origin::Hub)
        .await
        .unwrap();
    connection.id
}

async fn lease(
    bench: &Bench,
    connection: &ConnectionId,
    generation: i64,
    node: &str,
) -> Option<RenewalLease> {
    bench
        .store
        .lease_renewal(&organization(), connection, generation, node, LEASE_MS)
        .await
        .unwrap()
}

async fn end(bench: &Bench, lease: &RenewalLease, end: RenewalEnd<'_>) -> bool {
    bench
        .store
        .end_renewal(&organization(), lease, end)
        .await
        .unwrap()
}

async fn token(bench: &Bench, connection: &ConnectionId) -> (i64, String) {
    let held = bench
        .store
        .held_credentials(&organization(), connection)
        .await
        .unwrap()
        .unwrap();
    (
        held.generation,
        held.credentials.get("access_token").unwrap().to_owned(),
    )
}

#[tokio::test]
async fn of_many_that_would_renew_one_does_and_the_next_generation_is_free_again() {
    let bench = bench().await;
    let id = connected(&bench).await;
    let first = lease(&bench, &id, 0, "a").await.unwrap();
    assert!(!first.doubtful);
    for node in ["a", "b"] {
        assert_eq!(
            lease(&bench, &id, 0, node).await,
            None,
            "{node} waits, were it the same node"
        );
    }
    assert!(end(&bench, &first, RenewalEnd::Renewed(&credentials("two"))).await);
    assert_eq!(token(&bench, &id).await, (1, "two".to_owned()));
    assert_eq!(lease(&bench, &id, 0, "b").await, None, "that generation is past");
    assert!(lease(&bench, &id, 1, "b").await.is_some());
}

#[tokio::test]
async fn a_node_that_lost_its_lease_stores_no_token() {
    let bench = bench().await;
    let id = connected(&bench).await;
    let slow = lease(&bench, &id, 0, "slow").await.unwrap();
    bench.clock.0.fetch_add(LEASE_MS, Ordering::SeqCst);
    let next = lease(&bench, &id, 0, "next").await.unwrap();
    assert!(
        next.doubtful,
        "what the slow one asked for may have been answered"
    );
    assert!(!end(&bench, &slow, RenewalEnd::Renewed(&credentials("late"))).await);
    assert!(!end(&bench, &slow, RenewalEnd::Refused("late")).await);
    assert_eq!(token(&bench, &id).await, (0, "one".to_owned()));
    assert!(end(&bench, &next, RenewalEnd::Renewed(&credentials("two"))).await);
    assert!(!end(&bench, &slow, RenewalEnd::Renewed(&credentials("late"))).await);
    assert_eq!(token(&bench, &id).await, (1, "two".to_owned()));
}

#[tokio::test]
async fn credentials_given_by_hand_stand_over_a_renewal_under_way() {
    let bench = bench().await;
    let id = connected(&bench).await;
    let under_way = lease(&bench, &id, 0, "a").await.unwrap();
    let replaced = bench
        .store
        .replace_credentials(&organization(), &id, &credentials("by hand"))
        .await
        .unwrap();
    assert!(replaced);
    assert!(!end(&bench, &under_way, RenewalEnd::Renewed(&credentials("late"))).await);
    assert_eq!(token(&bench, &id).await, (1, "by hand".to_owned()));
}

#[tokio::test]
async fn a_refusal_is_told_once_and_nobody_asks_again_until_there_are_new_credentials() {
    let bench = bench().await;
    let id = connected(&bench).await;
    let asked = lease(&bench, &id, 0, "a").await.unwrap();
    assert!(end(&bench, &asked, RenewalEnd::Refused("invalid_grant")).await);
    bench.clock.0.fetch_add(100 * LEASE_MS, Ordering::SeqCst);
    assert_eq!(lease(&bench, &id, 0, "b").await, None);
    let held = bench
        .store
        .held_credentials(&organization(), &id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(held.refused.as_deref(), Some("invalid_grant"));
    let connection = bench
        .store
        .connection(&organization(), &id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(connection.health, Health::NeedsReauth);
    assert_eq!(connection.health_reason.as_deref(), Some("invalid_grant"));
    let changes = bench
        .store
        .changes_after(&organization(), 0, &ChangeFilter::default(), 10)
        .await
        .unwrap();
    assert_eq!(changes.last().unwrap().entry.changed, ["health"]);

    let (credentials, grant) = (credentials("two"), grant());
    let connect = Connect {
        to: GrantedTo::Known(&id),
        credentials: &credentials,
        grant: &grant,
        link: None,
    };
    bench
        .store
        .connect(&organization(), connect, &Origin::Hub)
        .await
        .unwrap();
    let connection = bench
        .store
        .connection(&organization(), &id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (connection.health, connection.health_reason),
        (Health::Active, None)
    );
    assert!(lease(&bench, &id, 1, "b").await.is_some());
}

#[tokio::test]
async fn a_vendor_in_trouble_is_left_alone_for_a_while_and_a_lost_answer_is_remembered() {
    let bench = bench().await;
    let id = connected(&bench).await;
    let asked = lease(&bench, &id, 0, "a").await.unwrap();
    let failed = RenewalEnd::Failed {
        renew_after: START_MS + 10_000,
        doubtful: true,
        trouble: None,
    };
    assert!(end(&bench, &asked, failed).await);
    assert_eq!(lease(&bench, &id, 0, "b").await, None);
    bench.clock.0.fetch_add(10_000, Ordering::SeqCst);
    let again = lease(&bench, &id, 0, "b").await.unwrap();
    assert!(again.doubtful);
    assert!(end(&bench, &again, RenewalEnd::Renewed(&credentials("two"))).await);
    assert!(
        !lease(&bench, &id, 1, "a").await.unwrap().doubtful,
        "doubts end with an answer"
    );
}

#[tokio::test]
async fn a_link_is_used_as_often_as_it_says_and_not_when_nothing_comes_of_it() {
    let bench = bench().await;
    bench
        .store
        .insert_connect_link(&a_link(1), "digest")
        .await
        .unwrap();
    let (credentials, grant) = (credentials("one"), grant());
    let first = world::connection(&organization());
    let link = a_link(1).id;
    let with_link = |connection| Connect {
        to: GrantedTo::New(connection),
        credentials: &credentials,
        grant: &grant,
        link: Some(&link),
    };
    bench
        .store
        .connect(&organization(), with_link(&first), &Origin::Hub)
        .await
        .unwrap();
    let found = bench.store.connect_link_at("digest").await.unwrap().unwrap();
    assert_eq!(found.uses_left, 0);
    let second = sync::state::Connection {
        id: ConnectionId::new(9, 9),
        ..first.clone()
    };
    let refused = bench
        .store
        .connect(&organization(), with_link(&second), &Origin::Hub)
        .await;
    assert!(matches!(refused, Err(StoreError::Stale(_))), "{refused:?}");
    assert_eq!(
        bench.store.connection(&organization(), &second.id).await.unwrap(),
        None
    );
    let known = bench
        .store
        .connection_of_account(&organization(), &app(), "ada@example.com")
        .await
        .unwrap();
    assert_eq!(known, Some(first.id));
    let stranger = OrganizationId::new(2, 2);
    let theirs = bench
        .store
        .connection_of_account(&stranger, &app(), "ada@example.com")
        .await
        .unwrap();
    assert_eq!(theirs, None);
    assert_eq!(bench.store.grants_through(&app(), None).await.unwrap(), 1);
    assert_eq!(
        bench
            .store
            .grants_through(&app(), Some("bob@example.com"))
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn a_journey_ends_once_and_in_time_and_what_is_over_is_forgotten() {
    let bench = bench().await;
    let journey = |number: u64| Journey {
        id: JourneyId::new(number, 1),
        organization: organization(),
        state_digest: format!("state {number}"),
        browser_digest: "browser".to_owned(),
        link: None,
        app: app(),
        connection: None,
        wanted: Wanted::default(),
        used_at: None,
        expires_at: START_MS + 1_000,
        created_at: START_MS,
    };
    for number in [1, 2] {
        bench.store.insert_journey(&journey(number)).await.unwrap();
    }
    let found = bench.store.journey_at("state 1").await.unwrap();
    assert_eq!(found, Some(journey(1)));
    let ended = |number, now_ms| {
        let id = JourneyId::new(number, 1);
        let store = bench.store.clone();
        async move { store.end_journey(&organization(), &id, now_ms).await.unwrap() }
    };
    let all = futures::future::join_all((0..8).map(|_| ended(1, START_MS))).await;
    assert_eq!(all.into_iter().filter(|won| *won).count(), 1);
    assert!(!ended(2, START_MS + 1_000).await, "too late");
    bench
        .store
        .insert_connect_link(&a_link(5), "digest")
        .await
        .unwrap();
    let (hour, day) = (3_600_000, 24 * 3_600_000);
    let found = async |after_ms: i64| {
        bench.store.sweep(START_MS + after_ms).await.unwrap();
        let journey = bench.store.journey_at("state 1").await.unwrap();
        let link = bench.store.connect_link_at("digest").await.unwrap();
        (journey.is_some(), link.is_some())
    };
    assert_eq!(found(1_000 + hour - 1).await, (true, true));
    assert_eq!(
        found(1_000 + hour).await,
        (false, true),
        "a journey an hour after its end"
    );
    assert_eq!(found(1_000 + day - 1).await, (false, true));
    assert_eq!(
        found(1_000 + day).await,
        (false, false),
        "a link a day after its end"
    );
}

#[tokio::test]
async fn an_apps_secret_comes_back_sealed_in_between_and_goes_with_the_app() {
    let bench = bench().await;
    for owner in [organization(), installation()] {
        let app = ProviderApp {
            id: ProviderAppId::new(3, 3),
            organization: owner.clone(),
            provider: "google".to_owned(),
            name: "an app".to_owned(),
            created_at: START_MS,
        };
        let client = AppClient {
            client_id: "hub".to_owned(),
            client_secret: Some("hunter2".to_owned().into()),
            endpoints: Default::default(),
        };
        assert!(!format!("{client:?}").contains("hunter2"));
        bench
            .store
            .insert_provider_app(&app, &[], Some(&client))
            .await
            .unwrap();
        let found = bench.store.app_client(&owner, &app.id).await.unwrap().unwrap();
        assert_eq!(found.client_secret.unwrap().expose_secret(), "hunter2");
        assert!(bench.store.delete_provider_app(&owner, &app.id).await.unwrap());
        assert!(bench.store.app_client(&owner, &app.id).await.unwrap().is_none());
        assert!(
            bench
                .store
                .provider_apps(&owner, &Paging::first(9))
                .await
                .unwrap()
                .items
                .is_empty()
        );
    }
}
