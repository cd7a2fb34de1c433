//! Consents that meet: of one account at once, of links that are used up, and of an app whose secret is wrong.

use std::sync::atomic::Ordering;

use connector_sdk::Credentials;
use model::{ConnectLinkId, ConnectionId, OrganizationId, ProviderAppId};
use serde_json::json;
use store::{
    AppClient, AppRef, ChangeFilter, Connect, ConnectLink, Grant, GrantedTo, ProviderApp, RenewalEnd, Wanted,
};
use sync::ports::{Effect, Store as _};
use sync::state::{Connection, Health, Origin};
use testkit::store_suite::world::{self, START_MS};

use crate::bench;
use crate::bench::Bench;

fn organization() -> OrganizationId {
    OrganizationId::new(1, 1)
}

fn grant() -> Grant {
    Grant {
        app: AppRef {
            owner: organization(),
            id: ProviderAppId::new(1, 1),
        },
        account: Some("ada@example.com".to_owned()),
        scopes: vec!["read".to_owned()],
        granted_at: START_MS,
    }
}

fn tokens(json: serde_json::Value) -> Credentials {
    Credentials::from_json(json.as_object().unwrap()).unwrap()
}

async fn connect(bench: &Bench, connection: &Connection, credentials: &Credentials) -> ConnectionId {
    let grant = grant();
    let connect = Connect {
        to: GrantedTo::New(connection),
        credentials,
        grant: &grant,
        link: None,
    };
    bench
        .store
        .connect(&organization(), connect, &Origin::Hub)
        .await
        .unwrap()
}

#[tokio::test]
async fn of_one_account_that_comes_many_times_at_once_there_is_one_connection() {
    let bench = bench().await;
    let connections: Vec<Connection> = (0..8).map(|_| world::connection(&organization())).collect();
    let fresh = tokens(json!({"access_token": "one", "refresh_token": "r"}));
    let asked = connections
        .iter()
        .map(|connection| connect(&bench, connection, &fresh));
    let mut ids = futures::future::join_all(asked).await;
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let listed = bench
        .store
        .connections(&organization(), &store::Paging::first(10))
        .await
        .unwrap();
    assert_eq!(listed.items.len(), 1);

    // A vendor that gives no refresh token again means the one before.
    let again = tokens(json!({"access_token": "two"}));
    let id = connect(&bench, &world::connection(&organization()), &again).await;
    assert_eq!(id, ids[0]);
    let held = bench
        .store
        .credentials(&organization(), &id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (held.get("access_token"), held.get("refresh_token")),
        (Some("two"), Some("r"))
    );
}

#[tokio::test]
async fn a_used_up_link_is_listed_for_a_day_and_then_forgotten() {
    let bench = bench().await;
    let link = ConnectLink {
        id: ConnectLinkId::new(1, 1),
        organization: organization(),
        app: grant().app,
        connection: None,
        wanted: Wanted::default(),
        uses_left: 2,
        expires_at: START_MS + 30 * 24 * 3_600_000,
        created_by: "key".to_owned(),
        created_at: START_MS,
    };
    bench.store.insert_connect_link(&link, "digest").await.unwrap();
    for account in ["ada@example.com", "bob@example.com"] {
        let (connection, credentials) = (
            world::connection(&organization()),
            tokens(json!({"access_token": "a"})),
        );
        let grant = Grant {
            account: Some(account.to_owned()),
            ..grant()
        };
        let connect = Connect {
            to: GrantedTo::New(&connection),
            credentials: &credentials,
            grant: &grant,
            link: Some(&link.id),
        };
        bench
            .store
            .connect(&organization(), connect, &Origin::Hub)
            .await
            .unwrap();
        bench.clock.0.fetch_add(1_000, Ordering::SeqCst);
    }
    // The last use was a second after the start.
    let day = 24 * 3_600_000;
    bench.store.sweep(START_MS + 1_000 + day - 1).await.unwrap();
    assert!(bench.store.connect_link_at("digest").await.unwrap().is_some());
    bench.store.sweep(START_MS + 1_000 + day).await.unwrap();
    assert_eq!(bench.store.connect_link_at("digest").await.unwrap(), None);
}

async fn health(bench: &Bench, id: &ConnectionId) -> (Health, Option<String>) {
    let found = bench
        .store
        .connection(&organization(), id)
        .await
        .unwrap()
        .unwrap();
    (found.health, found.health_reason)
}

/// A sync that went well, as the engine reports it.
async fn synced(bench: &Bench, id: &ConnectionId) {
    let well = Effect::SetHealth {
        connection: id.clone(),
        health: Health::Active,
        reason: None,
        synced_at: Some(START_MS),
    };
    bench
        .store
        .commit(&organization(), None, vec![well])
        .await
        .unwrap();
}

#[tokio::test]
async fn what_people_have_to_put_right_is_said_until_it_is_however_well_syncs_go() {
    let bench = bench().await;
    let fresh = tokens(json!({"access_token": "one", "refresh_token": "r"}));
    let id = connect(&bench, &world::connection(&organization()), &fresh).await;
    let refused = async |generation: i64| {
        let lease = bench
            .store
            .lease_renewal(&organization(), &id, generation, "a", 60_000)
            .await
            .unwrap()
            .unwrap();
        let end = RenewalEnd::Failed {
            renew_after: bench.clock.0.load(Ordering::SeqCst) + 300_000,
            doubtful: false,
            trouble: Some("the app's secret is wrong"),
        };
        assert!(
            bench
                .store
                .end_renewal(&organization(), &lease, end)
                .await
                .unwrap()
        );
    };
    let told = async || {
        let (organization, filter) = (organization(), ChangeFilter::default());
        let changes = bench.store.changes_after(&organization, 0, &filter, 50).await;
        changes.unwrap().len()
    };
    let before = told().await;
    refused(0).await;
    let degraded = (Health::Degraded, Some("the app's secret is wrong".to_owned()));
    assert_eq!(health(&bench, &id).await, degraded);
    synced(&bench, &id).await;
    assert_eq!(
        health(&bench, &id).await,
        degraded,
        "the token still lasts, and that is no cure"
    );
    bench.clock.0.fetch_add(300_000, Ordering::SeqCst);
    refused(0).await;
    assert_eq!(told().await, before + 1, "said once in the feed");

    // The app gets its right secret: the vendor is asked at once.
    let app = ProviderApp {
        id: grant().app.id,
        organization: organization(),
        provider: "google".to_owned(),
        name: "an app".to_owned(),
        created_at: START_MS,
    };
    let client = AppClient {
        client_id: "hub".to_owned(),
        client_secret: Some("right".to_owned().into()),
        endpoints: Default::default(),
    };
    bench.store.insert_provider_app(&app, &[], None).await.unwrap();
    assert!(
        bench
            .store
            .put_app_client(&organization(), &app.id, &client)
            .await
            .unwrap()
    );
    let held = bench
        .store
        .held_credentials(&organization(), &id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((held.trouble, held.renew_after), (None, None));
    synced(&bench, &id).await;
    assert_eq!(health(&bench, &id).await, (Health::Active, None));
}
