//! Tokens and several nodes: fifty callers make one request; a refusal is asked for once; an answer that was lost where
//! refresh tokens rotate.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ::sync::ports::{Provider, Providers as _};
use ::sync::state::{Connection, Health, Origin};
use async_trait::async_trait;
use connector_sdk::oauth::{ClientProof, OAuth2, refresh_by};
use connector_sdk::{
    Account, Actions, Auth, AuthScheme, Capability, Clock, Connector, ConnectorInfo, Context, Credentials,
    Error, ErrorKind, Pull, Push, RemoteCollection, SystemClock, Webhooks,
};
use futures::future::join_all;
use hub::entropy::SystemEntropy;
use hub::providers::{ProviderPool, TOKEN_PATIENCE};
use hub::server::new_organization;
use hub::state::id_parts;
use jiff::{SignedDuration, Timestamp};
use model::{ConnectionId, Content, Kind};
use serde_json::{Value, json};
use simulators::faults::{Fault, Match};
use simulators::google_calendar::{
    AccountConfig, Answer, Clock as GoogleClock, Config, GoogleCalendar, GoogleCalendarServer, Rotation,
};
use store::{MasterKey, SqlStore};
use testkit::harness::Database;

const ADA: &str = "ada@example.com";
const CALLERS: usize = 50;

/// A clock that is moved by hand; whoever waits lets others go on.
struct HandClock(AtomicI64);

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
    }

    async fn sleep(&self, _duration: Duration) {
        tokio::task::yield_now().await;
    }
}

/// Google's connector at a vendor that rotates refresh tokens.
struct Rotating;

static ROTATES: OAuth2 = OAuth2 {
    authorize_url: "https://vendor.example/authorize",
    token_url: "https://vendor.example/token",
    revocation_url: None,
    issuer: None,
    names_issuer: false,
    pkce: true,
    rotates: true,
    client_proof: ClientProof::Body,
    authorize_params: &[],
    permissions: &[],
    docs_url: "",
};
static GOOGLE: connector_google::GoogleConnector = connector_google::GoogleConnector;

#[async_trait]
impl Auth for Rotating {
    fn schemes(&self) -> &'static [AuthScheme] {
        GOOGLE.schemes()
    }

    fn oauth2(&self) -> Option<&'static OAuth2> {
        Some(&ROTATES)
    }

    fn check(&self, credentials: &Credentials) -> Result<(), Error> {
        GOOGLE.check(credentials)
    }

    async fn account(&self, ctx: &Context) -> Result<Option<Account>, Error> {
        GOOGLE.account(ctx).await
    }

    async fn refresh(&self, ctx: &Context) -> Result<Option<Credentials>, Error> {
        refresh_by(ctx, &ROTATES).await
    }
}

impl Connector for Rotating {
    fn info(&self) -> &ConnectorInfo {
        GOOGLE.info()
    }

    fn capability(&self, kind: Kind) -> Capability {
        GOOGLE.capability(kind)
    }

    fn auth(&self) -> &dyn Auth {
        self
    }

    fn pull(&self) -> Option<&dyn Pull> {
        GOOGLE.pull()
    }

    fn push(&self) -> Option<&dyn Push> {
        GOOGLE.push()
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        GOOGLE.webhooks()
    }

    fn actions(&self) -> Option<&dyn Actions> {
        GOOGLE.actions()
    }

    fn project(&self, collection: &RemoteCollection, content: &Content) -> Content {
        GOOGLE.project(collection, content)
    }
}

/// Two nodes' doors to the vendors, on one database, and a connection whose access token has ended.
struct Stage {
    google: GoogleCalendarServer,
    pools: Vec<ProviderPool>,
    stores: Vec<SqlStore>,
    connection: Connection,
    clock: Arc<HandClock>,
    _database: Database,
}

async fn stage(rotation: Rotation) -> Stage {
    stage_with(rotation, SignedDuration::from_hours(1), TOKEN_PATIENCE).await
}

/// With access tokens that live so long, and nodes that wait so long for new ones.
async fn stage_with(rotation: Rotation, lifetime: SignedDuration, patience: Duration) -> Stage {
    let config = Config::new(GoogleClock::new(|| SystemClock.now()))
        .account(AccountConfig::new(ADA))
        .oauth_client("hub", "s3cret")
        .access_token_lifetime(lifetime)
        .rotation(rotation);
    let google = GoogleCalendar::start(config).await.unwrap();
    let token = consented(&google).await;
    let database = Database::new().unwrap();
    let clock = Arc::new(HandClock(AtomicI64::new(SystemClock.now_ms())));
    let (mut pools, mut stores) = (Vec::new(), Vec::new());
    for node in ["one", "two"] {
        let key = MasterKey::from_text(&"42".repeat(32)).unwrap();
        let store = SqlStore::open(database.url(), key, clock.clone()).await.unwrap();
        let connector: Arc<dyn Connector> = match rotation {
            Rotation::Never => Arc::new(connector_google::connector()),
            Rotation::Replaces | Rotation::ReplacesWithGrace => Arc::new(Rotating),
        };
        let pool = ProviderPool::new(vec![connector], store.clone(), clock.clone(), &[], None).unwrap();
        pools.push(pool.named(node).patient_for(patience));
        stores.push(store);
    }
    let connection = connect(&stores[0], &google, &token).await;
    google.expire_access_tokens();
    Stage {
        google,
        pools,
        stores,
        connection,
        clock,
        _database: database,
    }
}

/// A refresh token as a person's consent gives it.
async fn consented(google: &GoogleCalendarServer) -> String {
    google.answers(Answer::Agrees(ADA.to_owned()));
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let redirect = "http://127.0.0.1:9/callback";
    let asked = format!(
        "{}?client_id=hub&response_type=code&scope=calendar&access_type=offline&state=s&redirect_uri={redirect}",
        google.authorize_url()
    );
    let answer = http.get(asked).send().await.unwrap();
    let back = reqwest::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    let code = back
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned();
    let form = format!(
        "grant_type=authorization_code&client_id=hub&client_secret=s3cret&redirect_uri={redirect}&code={code}"
    );
    let answer = http
        .post(google.token_url())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap();
    let granted: Value = answer.json().await.unwrap();
    granted["refresh_token"].as_str().unwrap().to_owned()
}

async fn connect(store: &SqlStore, google: &GoogleCalendarServer, token: &str) -> Connection {
    let organization = new_organization("one", &SystemClock, &SystemEntropy);
    store.create_organization(&organization).await.unwrap();
    let (now_ms, random) = id_parts(&SystemClock, &SystemEntropy);
    let config = json!({"base_url": google.api_url(), "token_url": google.token_url()});
    let connection = Connection {
        id: ConnectionId::new(now_ms, random),
        organization: organization.id,
        provider: "google".to_owned(),
        name: "Ada".to_owned(),
        owner: None,
        config: config.as_object().unwrap().clone(),
        health: Health::Active,
        health_reason: None,
        discovered_at: None,
        synced_at: None,
        created_at: SystemClock.now_ms(),
    };
    let credentials = json!({
        "access_token": "ended", "refresh_token": token, "client_id": "hub", "client_secret": "s3cret",
    });
    let credentials = Credentials::from_json(credentials.as_object().unwrap()).unwrap();
    store
        .insert_connection(&connection, &credentials, &Origin::Hub)
        .await
        .unwrap();
    connection
}

impl Stage {
    /// The connection opened by as many callers, one node's and the other's in turn.
    async fn opened(&self) -> Vec<Provider> {
        let opened = (0..CALLERS).map(|number| self.pools[number % 2].open(&self.connection));
        join_all(opened).await.into_iter().map(Result::unwrap).collect()
    }

    async fn reopen(&self, node: usize) -> Result<Provider, Error> {
        let opened = self.pools[node].open(&self.connection).await?;
        self.pools[node].reopen(&self.connection, &opened).await
    }

    /// Requests to renew so far.
    fn renewals(&self) -> usize {
        let entries = self.google.log().entries();
        // The first was the exchange of the code.
        entries.iter().filter(|entry| entry.path == "/token").count() - 1
    }

    async fn token(&self) -> String {
        let (organization, id) = (&self.connection.organization, &self.connection.id);
        let held = self.stores[1]
            .credentials(organization, id)
            .await
            .unwrap()
            .unwrap();
        held.get("access_token").unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_callers_on_two_nodes_make_exactly_one_request() {
    let stage = stage(Rotation::Never).await;
    let opened = stage.opened().await;
    // So that all are there while the first one asks.
    let delay = Fault::Delay(Duration::from_millis(500));
    stage.google.faults().next(Match::path("/token"), delay);
    let reopened = opened.iter().enumerate().map(|(number, opened)| {
        let pool = &stage.pools[number % 2];
        pool.reopen(&stage.connection, opened)
    });
    let providers: Vec<Provider> = join_all(reopened).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(stage.renewals(), 1);
    let token = stage.token().await;
    for provider in &providers {
        assert_eq!(provider.ctx.credentials.get("access_token"), Some(token.as_str()));
    }

    // The same in the middle of work: all were opened, the token ends, and all are at the vendor's door at once.
    stage.google.expire_access_tokens();
    let working = providers.iter().take(10).map(|provider| async {
        let pull = provider.connector.pull().unwrap();
        pull.collections(&provider.ctx).await
    });
    for worked in join_all(working).await {
        assert_eq!(worked.unwrap().len(), 1);
    }
    assert_eq!(stage.renewals(), 2, "one for all ten");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_reaches_fifty_callers_by_one_request() {
    let stage = stage(Rotation::Never).await;
    let opened = stage.opened().await;
    stage.google.revoke(ADA);
    let delay = Fault::Delay(Duration::from_millis(500));
    stage.google.faults().next(Match::path("/token"), delay);
    let reopened = opened.iter().enumerate().map(|(number, opened)| {
        let pool = &stage.pools[number % 2];
        pool.reopen(&stage.connection, opened)
    });
    for refused in join_all(reopened).await {
        assert_eq!(refused.err().unwrap().kind, ErrorKind::Unauthorized);
    }
    stage.clock.0.fetch_add(86_400_000, Ordering::SeqCst);
    for node in [0, 1] {
        assert_eq!(
            stage.reopen(node).await.err().unwrap().kind,
            ErrorKind::Unauthorized
        );
    }
    assert_eq!(stage.renewals(), 1, "nobody asks again, a day later neither");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_token_is_stored_before_it_is_used_and_used_by_the_other_node() {
    let stage = stage(Rotation::Replaces).await;
    for round in 1..=4 {
        stage.google.expire_access_tokens();
        stage.reopen(round % 2).await.unwrap();
        assert_eq!(stage.renewals(), round);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_asked_for_once_more_and_a_vendor_with_grace_gives_it() {
    let stage = stage(Rotation::ReplacesWithGrace).await;
    stage
        .google
        .faults()
        .next(Match::path("/token"), Fault::LoseResponse);
    for node in [0, 1] {
        let error = stage.reopen(node).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    }
    assert_eq!(stage.renewals(), 1, "nobody asks again at once");
    stage.clock.0.fetch_add(10_000, Ordering::SeqCst);
    stage.reopen(1).await.unwrap();
    assert_eq!(stage.renewals(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_that_took_the_refresh_token_with_it_is_said_and_not_stormed() {
    let stage = stage(Rotation::Replaces).await;
    stage
        .google
        .faults()
        .next(Match::path("/token"), Fault::LoseResponse);
    stage.reopen(0).await.err().unwrap();
    stage.clock.0.fetch_add(10_000, Ordering::SeqCst);
    for node in [1, 0, 1] {
        let error = stage.reopen(node).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Unauthorized, "{error}");
        assert!(error.message.contains("its answer never came"), "{error}");
    }
    assert_eq!(stage.renewals(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_may_be_called_off_and_the_new_token_is_stored_all_the_same() {
    let stage = stage(Rotation::Replaces).await;
    let gate = simulators::faults::Gate::new();
    stage
        .google
        .faults()
        .next(Match::path("/token"), Fault::Hold(gate.clone()));
    let asked = stage.reopen(0);
    tokio::select! {
        _ = asked => panic!("it is held at the gate"),
        () = gate.reached() => {}
    }
    gate.open();
    let provider = stage.reopen(1).await.unwrap();
    assert_eq!(stage.renewals(), 1);
    assert_eq!(
        provider.ctx.credentials.get("access_token"),
        Some(stage.token().await.as_str())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_renewed_five_minutes_ahead_or_in_the_last_quarter_of_a_short_life() {
    for (lives, ahead) in [(3_600_000, 300_000), (240_000, 60_000)] {
        let lifetime = SignedDuration::from_millis(lives);
        let stage = stage_with(Rotation::Never, lifetime, TOKEN_PATIENCE).await;
        stage.reopen(0).await.unwrap();
        assert_eq!(stage.renewals(), 1);
        stage.clock.0.fetch_add(lives - ahead - 1, Ordering::SeqCst);
        stage.opened().await;
        assert_eq!(stage.renewals(), 1, "a millisecond too early");
        let before = stage.token().await;
        stage.clock.0.fetch_add(1, Ordering::SeqCst);
        let opened = stage.opened().await;
        assert_eq!(stage.renewals(), 2, "fifty callers, one renewal");
        let token = stage.token().await;
        assert_ne!(token, before);
        for provider in opened {
            assert_eq!(provider.ctx.credentials.get("access_token"), Some(token.as_str()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_endpoint_that_hangs_is_waited_for_so_long_and_asked_again_later() {
    let patience = Duration::from_millis(300);
    let stage = stage_with(Rotation::Never, SignedDuration::from_hours(1), patience).await;
    let gate = simulators::faults::Gate::new();
    stage
        .google
        .faults()
        .next(Match::path("/token"), Fault::Hold(gate.clone()));
    let begun = std::time::Instant::now();
    let error = stage.reopen(0).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.message.contains("did not answer in time"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // The other node neither waits for the lease nor asks.
    let error = stage.reopen(1).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert_eq!(stage.renewals(), 1);
    stage.clock.0.fetch_add(10_000, Ordering::SeqCst);
    stage.reopen(1).await.unwrap();
    assert_eq!(stage.renewals(), 2);
    gate.open();
}
