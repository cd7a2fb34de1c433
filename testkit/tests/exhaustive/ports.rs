//! The engine's ports, each call of which is a step through the gate: store, provider, clock, ids.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_sdk::oauth::OAuth2;
use connector_sdk::{
    Account, Actions, Applied, Auth, AuthScheme, Capability, Change, Clock, Conditional, Connector,
    ConnectorInfo, Context, Credentials, Error, ErrorKind, FieldSupport, HttpRequest, HttpResponse,
    HttpTransport, Known, Limits, Notifies, Page, Pull, PullRequest, Push, RemoteCollection, RemoteId,
    SeriesModel, WebhookProof, Webhooks, Write,
};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;
use model::{
    CollectionId, ConflictId, ConnectionId, Content, Kind, LinkId, MirrorId, OrganizationId, PartKey,
    RecordId,
};
use sync::ports::{Effect, Entropy, Linked, Provider, Providers, Store, StoreError};
use sync::state::{
    Collection, Conflict, Connection, Fence, Freshness, Inbound, Intent, Link, Mirror, Pairing, Quarantine,
    Record,
};
use tokio_util::sync::CancellationToken;

use crate::broken::Broken;
use crate::gate::{Gate, Step};
use crate::remote::{calendar, created_id, refused};
use crate::shelf::at_once;
use crate::world::{World, side_of};

/// All ports of one engine. Those of an API client pass unseen: its edit is one event, not many steps.
pub(crate) struct Port {
    pub(crate) gate: Arc<Gate>,
    pub(crate) unseen: bool,
}

impl Port {
    async fn take<T: Send>(&self, step: Step, act: impl FnOnce(&mut World) -> T + Send) -> T {
        if self.unseen {
            self.gate.peek(act)
        } else {
            self.gate.take(step, act).await
        }
    }
}

type Stored<T> = Result<T, StoreError>;

/// One look into the store is one step.
macro_rules! look {
    ($port:expr, $step:ident, $method:ident ( $($argument:expr),* )) => {
        $port
            .take(Step::$step, |world| at_once(world.shelf.store.$method($($argument),*)))
            .await
    };
}

#[async_trait]
impl Store for Port {
    async fn connection(&self, owner: &OrganizationId, id: &ConnectionId) -> Stored<Option<Connection>> {
        look!(self, Settled, connection(owner, id))
    }

    async fn collections(
        &self,
        owner: &OrganizationId,
        connection: &ConnectionId,
    ) -> Stored<Vec<Collection>> {
        look!(self, Settled, collections(owner, connection))
    }

    async fn collection(&self, owner: &OrganizationId, id: &CollectionId) -> Stored<Option<Collection>> {
        look!(self, Settled, collection(owner, id))
    }

    async fn known(&self, owner: &OrganizationId, collection: &CollectionId) -> Stored<Known> {
        look!(self, Settled, known(owner, collection))
    }

    async fn linked(
        &self,
        owner: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Stored<Vec<Linked>> {
        look!(self, Read, linked(owner, collection, ids))
    }

    async fn link(&self, owner: &OrganizationId, id: &LinkId) -> Stored<Option<Linked>> {
        look!(self, Read, link(owner, id))
    }

    async fn record(&self, owner: &OrganizationId, id: &RecordId) -> Stored<Option<Record>> {
        look!(self, Read, record(owner, id))
    }

    async fn links_of(&self, owner: &OrganizationId, record: &RecordId) -> Stored<Vec<Link>> {
        look!(self, Read, links_of(owner, record))
    }

    async fn dirty_links(
        &self,
        owner: &OrganizationId,
        connection: &ConnectionId,
        now_ms: i64,
        limit: u32,
    ) -> Stored<Vec<LinkId>> {
        look!(self, Read, dirty_links(owner, connection, now_ms, limit))
    }

    async fn raws(&self, owner: &OrganizationId, link: &LinkId) -> Stored<BTreeMap<PartKey, Bytes>> {
        look!(self, Settled, raws(owner, link))
    }

    async fn open_intents(&self, owner: &OrganizationId, connection: &ConnectionId) -> Stored<Vec<Intent>> {
        look!(self, Settled, open_intents(owner, connection))
    }

    async fn mirrors_of(&self, owner: &OrganizationId, collection: &CollectionId) -> Stored<Vec<Mirror>> {
        look!(self, Settled, mirrors_of(owner, collection))
    }

    async fn mirror(&self, owner: &OrganizationId, id: &MirrorId) -> Stored<Option<Mirror>> {
        look!(self, Settled, mirror(owner, id))
    }

    async fn members(
        &self,
        owner: &OrganizationId,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Stored<Vec<Linked>> {
        look!(self, Read, members(owner, collection, after, limit))
    }

    async fn with_uid(
        &self,
        owner: &OrganizationId,
        collection: &CollectionId,
        uids: &[String],
    ) -> Stored<Vec<Linked>> {
        look!(self, Read, with_uid(owner, collection, uids))
    }

    async fn pairings(
        &self,
        owner: &OrganizationId,
        collection: &CollectionId,
    ) -> Stored<BTreeMap<RecordId, Pairing>> {
        look!(self, Settled, pairings(owner, collection))
    }

    async fn pairings_of(
        &self,
        owner: &OrganizationId,
        record: &RecordId,
    ) -> Stored<BTreeMap<CollectionId, Pairing>> {
        look!(self, Settled, pairings_of(owner, record))
    }

    async fn joined(
        &self,
        owner: &OrganizationId,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Stored<Vec<Record>> {
        look!(self, Read, joined(owner, collection, after, limit))
    }

    async fn conflict(&self, owner: &OrganizationId, id: &ConflictId) -> Stored<Option<Conflict>> {
        look!(self, Read, conflict(owner, id))
    }

    async fn unreadable(
        &self,
        owner: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Stored<Vec<Quarantine>> {
        look!(self, Settled, unreadable(owner, collection, ids))
    }

    async fn unreadable_due(
        &self,
        owner: &OrganizationId,
        collection: &CollectionId,
        now_ms: i64,
        limit: u32,
    ) -> Stored<Vec<Quarantine>> {
        look!(self, Settled, unreadable_due(owner, collection, now_ms, limit))
    }

    async fn inbox(
        &self,
        owner: &OrganizationId,
        connection: &ConnectionId,
        now_ms: i64,
        limit: u32,
    ) -> Stored<Vec<Inbound>> {
        look!(self, Read, inbox(owner, connection, now_ms, limit))
    }

    async fn freshness(
        &self,
        owner: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Stored<BTreeMap<RemoteId, Freshness>> {
        look!(self, Read, freshness(owner, collection, ids))
    }

    async fn commit(&self, _: &OrganizationId, _: Option<&Fence>, effects: Vec<Effect>) -> Stored<()> {
        let broken = self.gate.peek(|world| world.broken);
        let effects = broken.spoil(effects);
        if broken == Broken::CursorFirst {
            let (cursor, page): (Vec<_>, Vec<_>) = effects
                .into_iter()
                .partition(|effect| matches!(effect, Effect::PutCursor { .. }));
            if !cursor.is_empty() {
                self.take(Step::Commit, |world| world.shelf.commit(cursor))
                    .await?;
            }
            return self.take(Step::Commit, |world| world.shelf.commit(page)).await;
        }
        let commit = |world: &mut World| {
            let done = world.shelf.commit(effects);
            if done.is_err() {
                world.met.insert("a commit was stale");
            }
            done
        };
        self.take(Step::Commit, commit).await
    }
}

impl Entropy for Port {
    fn random(&self) -> u128 {
        self.gate.peek(|world| {
            world.ids += 1;
            world.ids
        })
    }
}

#[async_trait]
impl Clock for Port {
    fn now(&self) -> Timestamp {
        let now = self.gate.peek(|world| world.now_ms);
        Timestamp::from_millisecond(now).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    async fn sleep(&self, _: Duration) {}
}

#[async_trait]
impl Providers for Port {
    async fn open(&self, connection: &Connection) -> Result<Provider, Error> {
        let side = side_of(&connection.id);
        let ctx = Context {
            dial: Arc::new(connector_sdk::NoDial),
            http: Arc::new(NoNetwork),
            base_url: "model://provider/"
                .parse()
                .map_err(|_| refused(ErrorKind::Invalid, "open"))?,
            credentials: Arc::new(Credentials::default()),
            config: Arc::default(),
            clock: Arc::new(Self {
                gate: self.gate.clone(),
                unseen: true,
            }),
            cancel: CancellationToken::new(),
        };
        let connector = Wire {
            gate: self.gate.clone(),
            side,
        };
        Ok(Provider {
            connector: Arc::new(connector),
            ctx,
        })
    }

    async fn reopen(&self, _: &Connection, _: &Provider) -> Result<Provider, Error> {
        Err(refused(ErrorKind::Unauthorized, "refresh"))
    }
}

struct NoNetwork;

#[async_trait]
impl HttpTransport for NoNetwork {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        Err(refused(ErrorKind::Unavailable, request.operation))
    }
}

/// The connector of one of the providers.
struct Wire {
    gate: Arc<Gate>,
    side: usize,
}

static INFO: ConnectorInfo = ConnectorInfo {
    id: "model",
    name: "Model",
    kinds: &[Kind::Event],
    schemes: connector_sdk::WEB,
    default_base_url: None,
    limits: Limits {
        requests_per_second: None,
        timeout_ms: 1_000,
        max_response_bytes: 1 << 20,
    },
    passthrough: None,
    docs_url: "docs/specs/connector.md",
};

static FIELDS: LazyLock<Vec<FieldSupport>> = LazyLock::new(|| {
    let fields = ["title", "location", "start"].into_iter();
    fields
        .map(|field| FieldSupport {
            field,
            writable: true,
        })
        .collect()
});

impl Connector for Wire {
    fn info(&self) -> &ConnectorInfo {
        &INFO
    }

    fn capability(&self, _: Kind) -> Capability {
        Capability {
            read: true,
            create: true,
            update: true,
            delete: true,
            incremental: true,
            reports_deletes: true,
            conditional: Conditional::Version,
            notifies: Notifies::Never,
            client_ids: true,
            series: SeriesModel::Whole,
            batch_max: 1,
            webhook: WebhookProof::None,
            webhook_expires_max_ms: None,
            fields: &FIELDS,
        }
    }

    fn auth(&self) -> &dyn Auth {
        self
    }

    fn pull(&self) -> Option<&dyn Pull> {
        Some(self)
    }

    fn push(&self) -> Option<&dyn Push> {
        Some(self)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        None
    }

    fn actions(&self) -> Option<&dyn Actions> {
        None
    }

    fn project(&self, _: &RemoteCollection, content: &Content) -> Content {
        content.clone()
    }
}

#[async_trait]
impl Auth for Wire {
    fn schemes(&self) -> &'static [AuthScheme] {
        &[AuthScheme::None]
    }

    fn oauth2(&self) -> Option<&'static OAuth2> {
        None
    }

    fn check(&self, _: &Credentials) -> Result<(), Error> {
        Ok(())
    }

    async fn account(&self, _ctx: &Context) -> Result<Option<Account>, Error> {
        Ok(None)
    }

    async fn refresh(&self, _: &Context) -> Result<Option<Credentials>, Error> {
        Ok(None)
    }
}

#[async_trait]
impl Pull for Wire {
    async fn collections(&self, _: &Context) -> Result<Vec<RemoteCollection>, Error> {
        let listed = self.gate.take(Step::Ask(self.side), |_| vec![calendar()]);
        Ok(listed.await)
    }

    fn pages<'a>(&'a self, _: &'a Context, request: PullRequest<'a>) -> BoxStream<'a, Result<Page, Error>> {
        let side = self.side;
        let ask = move |world: &mut World| world.remotes[side].page(request.cursor);
        stream::once(self.gate.take(Step::Ask(side), ask)).boxed()
    }

    async fn fetch(&self, _: &Context, _: &RemoteCollection, ids: &[RemoteId]) -> Result<Vec<Change>, Error> {
        let side = self.side;
        let ask = |world: &mut World| -> Vec<Change> {
            ids.iter().map(|id| world.remotes[side].show(id)).collect()
        };
        Ok(self.gate.take(Step::Ask(side), ask).await)
    }
}

#[async_trait]
impl Push for Wire {
    async fn apply(
        &self,
        _: &Context,
        _: &RemoteCollection,
        writes: &[Write],
    ) -> Vec<Result<Applied, Error>> {
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            outcomes.push(self.gate.tell(self.side, write).await);
        }
        outcomes
    }

    async fn probe(
        &self,
        _: &Context,
        _: &RemoteCollection,
        write: &Write,
    ) -> Result<Option<Applied>, Error> {
        let (side, id) = (self.side, created_id(&write.intent));
        let ask = |world: &mut World| match world.remotes[side].show(&id) {
            Change::Present(object) => {
                world.met.insert("a create was found by its probe");
                Some(Applied::Stored(object))
            }
            Change::Unchanged(_) | Change::Deleted(_) | Change::Unreadable { .. } => {
                let was_there = world.remotes[side].gone.contains_key(&id);
                was_there.then_some(Applied::Gone)
            }
        };
        Ok(self.gate.take(Step::Ask(side), ask).await)
    }
}
