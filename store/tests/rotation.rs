//! Another master key in the place of the one in use: nothing sealed is lost, whatever ends the change in the middle.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

mod place;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use connector_sdk::Credentials;
use model::{ConnectionId, OrganizationId, ProviderAppId, WebhookEndpointId};
use place::Place;
use secrecy::ExposeSecret as _;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use store::{
    AppClient, ChangeFilter, EndpointState, HookOwner, HookSecret, KeyRing, MasterKey, OpenError, OpenMode,
    ProviderApp, RotationError, SqlStore, WebhookEndpoint,
};
use sync::state::Origin;
use testkit::store_suite::world;
use tokio::sync::oneshot;

/// More than two transactions' worth.
const CONNECTIONS: usize = 230;

fn new_key() -> MasterKey {
    MasterKey::from_text(&"ab".repeat(32)).unwrap()
}

fn both(place: &Place) -> KeyRing {
    KeyRing::new(place.key(), Some(new_key()))
}

fn organization() -> OrganizationId {
    OrganizationId::new(1, 1)
}

fn credentials(password: &str) -> Credentials {
    Credentials::from_json(json!({"password": password}).as_object().unwrap()).unwrap()
}

async fn connect(store: &SqlStore, password: &str) -> ConnectionId {
    let connection = world::connection(&organization());
    store
        .insert_connection(&connection, &credentials(password), &Origin::Hub)
        .await
        .unwrap();
    connection.id
}

/// What is sealed: credentials, the secrets of an app's address, its client's, those of an endpoint.
struct Sealed {
    connections: Vec<ConnectionId>,
    app: HookOwner,
    endpoint: WebhookEndpointId,
}

impl Sealed {
    async fn fill(store: &SqlStore, count: usize) -> Self {
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
            connections.push(connect(store, &format!("password {number}")).await);
        }
        let app = ProviderApp {
            id: ProviderAppId::new(3, 3),
            organization: organization(),
            provider: "memory".to_owned(),
            name: "Ours".to_owned(),
            created_at: 0,
        };
        let secret = HookSecret {
            text: "hook".to_owned(),
            since: 0,
            until: None,
        };
        let client = AppClient {
            client_id: "hub".to_owned(),
            client_secret: Some("client".to_owned().into()),
            endpoints: Default::default(),
        };
        let secrets = [secret];
        let inserted = store.insert_provider_app(&app, &secrets, Some(&client));
        inserted.await.unwrap();
        let endpoint = WebhookEndpoint {
            id: WebhookEndpointId::new(7, 7),
            organization: organization(),
            name: "Ours".to_owned(),
            url: "https://example.com/hook".to_owned(),
            filter: ChangeFilter::default(),
            actions: Vec::new(),
            rate: None,
            ordered: false,
            state: EndpointState::Active,
            reason: None,
            cursor: 0,
            failing_since: None,
            created_at: 0,
            updated_at: 0,
        };
        let made = store
            .insert_webhook_endpoint(&endpoint, "whsec_1", &Origin::Hub)
            .await;
        made.unwrap();
        let until = i64::MAX;
        let org = organization();
        let rotated = store.rotate_webhook_secret(&org, &endpoint.id, "whsec_2", until, &Origin::Hub);
        assert!(rotated.await.unwrap());
        Self {
            connections,
            app: HookOwner::App(app.id),
            endpoint: endpoint.id,
        }
    }

    async fn check(&self, store: &SqlStore) {
        let org = organization();
        for (number, connection) in self.connections.iter().enumerate() {
            let found = store.credentials(&org, connection).await.unwrap().unwrap();
            assert_eq!(found.get("password"), Some(format!("password {number}").as_str()));
        }
        assert_eq!(store.hook_secrets(&org, &self.app).await.unwrap()[0].text, "hook");
        let HookOwner::App(app) = &self.app else {
            panic!("the address is an app's");
        };
        let client = store.app_client(&org, app).await.unwrap().unwrap();
        assert_eq!(client.client_secret.unwrap().expose_secret(), "client");
        let secrets = store.webhook_secrets(&org, &self.endpoint).await.unwrap();
        let texts: Vec<&str> = secrets.iter().map(|secret| secret.text.as_str()).collect();
        assert_eq!(texts, ["whsec_2", "whsec_1"]);
    }
}

/// Changes the key until `transactions` of it are committed, and dies in the next one; whether it was done before.
async fn die_after(store: SqlStore, transactions: usize) -> bool {
    let (dead, died) = oneshot::channel::<()>();
    let mut dead = Some(dead);
    let mut seen = 0;
    let changing = async {
        let told = |_| {
            seen += 1;
            if seen == transactions {
                dead.take();
            }
        };
        store.rotate_key(told).await
    };
    tokio::select! {
        biased;
        _ = died => false,
        outcome = changing => { outcome.unwrap(); true }
    }
}

async fn a_death_in_the_middle(place: Place) {
    let store = place.open_with_key(both(&place)).await;
    let mut sealed = Sealed::fill(&store, CONNECTIONS).await;
    store.close().await;
    let mut deaths = 0;
    loop {
        let store = place.try_open(both(&place), OpenMode::Beside).await.unwrap();
        let done = die_after(store.clone(), 1).await;
        // What it was in the middle of is rolled back when its connection goes.
        store.close().await;
        let store = place.open_with_key(both(&place)).await;
        sealed.check(&store).await;
        let password = format!("password {}", sealed.connections.len());
        sealed.connections.push(connect(&store, &password).await);
        store.close().await;
        let refused = place.try_open(place.key(), OpenMode::Serve).await.unwrap_err();
        assert!(matches!(refused, OpenError::WrongKey { .. }), "{refused}");
        if done {
            break;
        }
        deaths += 1;
        let refused = place.try_open(new_key(), OpenMode::Serve).await.unwrap_err();
        assert!(matches!(refused, OpenError::KeyBetween { .. }), "{refused}");
        assert!(deaths < 20, "each call gets further");
    }
    assert!(deaths >= 3, "only {deaths} deaths");
    let store = place.open_with_key(new_key()).await;
    sealed.check(&store).await;
    store.close().await;
    // It does not come back.
    let back = KeyRing::new(new_key(), Some(place.key()));
    let store = place.open_with_key(back).await;
    let refused = store.rotate_key(|_| {}).await.unwrap_err();
    assert!(matches!(refused, RotationError::Retired(_)), "{refused}");
}

#[tokio::test]
async fn whatever_ends_the_change_in_the_middle_nothing_is_lost_and_the_next_call_goes_on() {
    a_death_in_the_middle(Place::new()).await;
}

#[tokio::test]
async fn whatever_ends_the_change_in_the_middle_nothing_is_lost_and_the_next_call_goes_on_on_postgres() {
    a_death_in_the_middle(Place::on_postgres()).await;
}

/// A server goes on and writes; at the end the new key alone opens everything.
async fn beside_a_server(place: Place) {
    let serving = place.open().await;
    let sealed = Sealed::fill(&serving, CONNECTIONS).await;
    let beside = place.try_open(both(&place), OpenMode::Beside).await.unwrap();
    let refused = beside.rotate_key(|_| {}).await.unwrap_err();
    assert!(matches!(refused, RotationError::NotHeld { .. }), "{refused}");
    beside.close().await;
    serving.close().await;

    let serving = place.open_with_key(both(&place)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let (serving, stop, connections) = (serving.clone(), Arc::clone(&stop), sealed.connections.clone());
        tokio::spawn(async move {
            let (org, mut written) = (organization(), 0_usize);
            while !stop.load(Ordering::Relaxed) {
                let number = written % connections.len();
                let same = credentials(&format!("password {number}"));
                let done = serving.replace_credentials(&org, &connections[number], &same);
                assert!(done.await.unwrap());
                written += 1;
            }
            written
        })
    };
    let beside = place.try_open(both(&place), OpenMode::Beside).await.unwrap();
    let rotated = beside.rotate_key(|_| {}).await.unwrap();
    assert_eq!(
        (rotated.before.as_deref(), rotated.current.as_str()),
        (Some(place.key().id()), new_key().id())
    );
    let again = beside.rotate_key(|_| {}).await.unwrap();
    assert_eq!((again.before, again.resealed), (None, 0));
    stop.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 0);
    sealed.check(&serving).await;
    assert_eq!(serving.facts(0).await.unwrap().key_id, new_key().id());
    beside.close().await;
    serving.close().await;
    let store = place.open_with_key(new_key()).await;
    sealed.check(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_holds_both_keys_goes_on_while_the_key_is_changed() {
    beside_a_server(Place::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_holds_both_keys_goes_on_while_the_key_is_changed_on_postgres() {
    beside_a_server(Place::on_postgres()).await;
}

#[tokio::test]
async fn a_value_that_nobody_can_read_is_named_and_keeps_no_other_back() {
    let place = Place::new();
    let store = place.open_with_key(both(&place)).await;
    let mut sealed = Sealed::fill(&store, 3).await;
    let broken = sealed.connections.remove(1);
    let mut meddler = SqliteConnection::connect(&place.url()).await.unwrap();
    let sql = format!("UPDATE credentials SET nonce = x'00' WHERE connection_id = '{broken}'");
    sqlx::query(AssertSqlSafe(sql))
        .execute(&mut meddler)
        .await
        .unwrap();
    let error = store.rotate_key(|_| {}).await.unwrap_err();
    assert!(error.to_string().contains(broken.as_str()), "{error}");
    let others = [0, 2].map(|number| format!("password {number}"));
    for (connection, password) in sealed.connections.iter().zip(others) {
        let found = store
            .credentials(&organization(), connection)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.get("password"), Some(password.as_str()));
    }
    // New credentials mend it.
    let (org, new) = (organization(), credentials("new"));
    assert!(store.replace_credentials(&org, &broken, &new).await.unwrap());
    store.rotate_key(|_| {}).await.unwrap();
    store.close().await;
    let store = place.open_with_key(new_key()).await;
    let found = store
        .credentials(&organization(), &broken)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.get("password"), Some("new"));
}
