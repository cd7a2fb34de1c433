//! Credentials that have run out are renewed once, however many jobs find out at the same time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ::sync::ports::Providers as _;
use ::sync::state::{Connection, Health, Origin};
use async_trait::async_trait;
use connector_sdk::oauth::OAuth2;
use connector_sdk::{
    Account, Actions, Auth, AuthScheme, Capability, Clock, Connector, ConnectorInfo, Context, Credentials,
    Error, ErrorKind, Limits, Pull, Push, RemoteCollection, SystemClock, Webhooks,
};
use hub::entropy::SystemEntropy;
use hub::providers::ProviderPool;
use hub::state::id_parts;
use model::{ConnectionId, Content, Kind};
use serde_json::{Map, json};
use store::SqliteStore;
use testkit::harness::sqlite;

/// A provider of tokens that are renewed by counting up.
struct Counting {
    info: ConnectorInfo,
    renewals: AtomicU32,
    refuses: bool,
}

#[async_trait]
impl Auth for Counting {
    fn schemes(&self) -> &'static [AuthScheme] {
        &[AuthScheme::Bearer]
    }

    fn oauth2(&self) -> Option<&'static OAuth2> {
        None
    }

    fn check(&self, _credentials: &Credentials) -> Result<(), Error> {
        Ok(())
    }

    async fn account(&self, _ctx: &Context) -> Result<Option<Account>, Error> {
        Ok(None)
    }

    async fn refresh(&self, ctx: &Context) -> Result<Option<Credentials>, Error> {
        if self.refuses {
            return Err(Error::new(ErrorKind::Unauthorized, "refresh", "refused for good"));
        }
        // Others come to the door meanwhile.
        tokio::task::yield_now().await;
        let number = self.renewals.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(Some(ctx.credentials.with("token", format!("token {number}"))))
    }
}

impl Connector for Counting {
    fn info(&self) -> &ConnectorInfo {
        &self.info
    }

    fn capability(&self, _kind: Kind) -> Capability {
        Capability::NONE
    }

    fn auth(&self) -> &dyn Auth {
        self
    }

    fn pull(&self) -> Option<&dyn Pull> {
        None
    }

    fn push(&self) -> Option<&dyn Push> {
        None
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        None
    }

    fn actions(&self) -> Option<&dyn Actions> {
        None
    }

    fn project(&self, _collection: &RemoteCollection, content: &Content) -> Content {
        content.clone()
    }
}

struct Stage {
    pool: ProviderPool,
    connector: Arc<Counting>,
    connection: Connection,
    store: SqliteStore,
    folder: tempfile::TempDir,
}

async fn stage(refuses: bool) -> Stage {
    stage_by(refuses, |_| Arc::new(SystemClock)).await
}

/// With a clock that may know of the database's file.
async fn stage_by(refuses: bool, clock: impl FnOnce(&Path) -> Arc<dyn Clock>) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.db");
    let url = format!("sqlite://{}", file.display());
    let key = store::MasterKey::from_text(&"ab".repeat(32)).unwrap();
    let store = SqliteStore::open(&url, key, Arc::new(SystemClock)).await.unwrap();
    let organization = hub::server::new_organization("one", &SystemClock, &SystemEntropy);
    store.create_organization(&organization).await.unwrap();
    let (now_ms, random) = id_parts(&SystemClock, &SystemEntropy);
    let connection = Connection {
        id: ConnectionId::new(now_ms, random),
        organization: organization.id,
        provider: "counting".to_owned(),
        name: "test".to_owned(),
        owner: None,
        config: Map::new(),
        health: Health::Active,
        health_reason: None,
        discovered_at: None,
        synced_at: None,
        created_at: SystemClock.now_ms(),
    };
    let old = json!({"token": "token 0", "kept": "as it is"});
    let old = Credentials::from_json(old.as_object().unwrap()).unwrap();
    store
        .insert_connection(&connection, &old, &Origin::Hub)
        .await
        .unwrap();
    let info = ConnectorInfo {
        id: "counting",
        name: "Counting",
        kinds: &[],
        schemes: connector_sdk::WEB,
        default_base_url: Some("https://provider.example/"),
        limits: Limits {
            requests_per_second: None,
            timeout_ms: 1_000,
            max_response_bytes: 1 << 20,
        },
        passthrough: None,
        docs_url: "",
    };
    let connector = Arc::new(Counting {
        info,
        renewals: AtomicU32::new(0),
        refuses,
    });
    let connectors: Vec<Arc<dyn Connector>> = vec![connector.clone()];
    let pool = ProviderPool::new(connectors, store.clone(), clock(&file), &[], None).unwrap();
    Stage {
        pool,
        connector,
        connection,
        store,
        folder,
    }
}

#[tokio::test]
async fn many_that_ask_at_once_share_one_renewal_and_it_is_stored() {
    let stage = stage(false).await;
    let opened = stage.pool.open(&stage.connection).await.unwrap();
    let asked = (0..8).map(|_| stage.pool.reopen(&stage.connection, &opened));
    for provider in futures::future::join_all(asked).await {
        assert_eq!(provider.unwrap().ctx.credentials.get("token"), Some("token 1"));
    }
    assert_eq!(stage.connector.renewals.load(Ordering::SeqCst), 1);

    let (organization, id) = (&stage.connection.organization, &stage.connection.id);
    let stored = stage.store.credentials(organization, id).await.unwrap().unwrap();
    assert_eq!(
        (stored.get("token"), stored.get("kept")),
        (Some("token 1"), Some("as it is"))
    );

    let opened = stage.pool.open(&stage.connection).await.unwrap();
    let later = stage.pool.reopen(&stage.connection, &opened).await.unwrap();
    assert_eq!(
        later.ctx.credentials.get("token"),
        Some("token 2"),
        "a later refusal renews again"
    );
}

#[tokio::test]
async fn a_refused_renewal_keeps_the_old_credentials_and_is_not_asked_for_again() {
    let stage = stage(true).await;
    let opened = stage.pool.open(&stage.connection).await.unwrap();
    let error = stage.pool.reopen(&stage.connection, &opened).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    let error = stage.pool.open(&stage.connection).await.err().unwrap();
    assert!(
        error.kind == ErrorKind::Unauthorized && error.message.contains("new credentials"),
        "{error}"
    );
    let (organization, id) = (&stage.connection.organization, &stage.connection.id);
    let stored = stage.store.credentials(organization, id).await.unwrap().unwrap();
    assert_eq!(stored.get("token"), Some("token 0"));
}

/// The disk is put right while somebody waits to try again.
struct Mending {
    file: PathBuf,
    waits: Arc<AtomicU32>,
}

#[async_trait]
impl Clock for Mending {
    fn now(&self) -> jiff::Timestamp {
        SystemClock.now()
    }

    async fn sleep(&self, _duration: Duration) {
        if self.waits.fetch_add(1, Ordering::SeqCst) == 1 {
            sqlite::execute(&self.file, "DROP TRIGGER trouble;").unwrap();
        }
    }
}

#[tokio::test]
async fn a_token_whose_storing_fails_is_not_lost_and_not_asked_for_twice() {
    let waits = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&waits);
    let stage = stage_by(false, |file| {
        Arc::new(Mending {
            file: file.to_owned(),
            waits: counted,
        })
    })
    .await;
    let opened = stage.pool.open(&stage.connection).await.unwrap();
    let trigger = "CREATE TRIGGER trouble BEFORE UPDATE OF sealed ON credentials
                   BEGIN SELECT RAISE(ABORT, 'disk trouble'); END;";
    sqlite::execute(&stage.folder.path().join("r.db"), trigger).unwrap();
    let renewed = stage.pool.reopen(&stage.connection, &opened).await.unwrap();
    assert_eq!(renewed.ctx.credentials.get("token"), Some("token 1"));
    assert_eq!(waits.load(Ordering::SeqCst), 2, "it failed twice");
    assert_eq!(stage.connector.renewals.load(Ordering::SeqCst), 1);
    let (organization, id) = (&stage.connection.organization, &stage.connection.id);
    let stored = stage.store.credentials(organization, id).await.unwrap().unwrap();
    assert_eq!(stored.get("token"), Some("token 1"));
}
