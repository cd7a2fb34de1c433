//! A connection as the hub would make it: the network transport under the layers, real credentials, a real clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_caldav::{CaldavConnector, connector};
use connector_sdk::http::NetworkTransport;
use connector_sdk::layers::{Metrics, RetryIdempotent};
use connector_sdk::{
    Applied, Change, Clock, Connector as _, Context, Credentials, Cursor, Error, Known, Listing, Page,
    PullRequest, RemoteCollection, RemoteId, RemoteObject, SystemClock, Write,
};
use futures::StreamExt as _;
use serde_json::{Value, json};
use simulators::caldav::{AccountConfig, CaldavServer, CalendarConfig, Config, Quirks};
use testkit::harness::Radicale;
use url::Url;

/// The machine's clock, without the pauses between tries.
struct Impatient;

#[async_trait]
impl Clock for Impatient {
    fn now(&self) -> jiff::Timestamp {
        SystemClock.now()
    }

    async fn sleep(&self, _duration: Duration) {}
}

/// A connection to one server.
pub(crate) struct Account {
    pub(crate) ctx: Context,
    pub(crate) connector: CaldavConnector,
}

impl Account {
    /// With a name and a password.
    pub(crate) fn new(base_url: &str, user: &str, password: &str) -> Self {
        Self::with(base_url, json!({"username": user, "password": password}), &[])
    }

    /// As `alice` of a private Radicale, from its root.
    pub(crate) fn of(server: &Radicale) -> Self {
        let account = &server.credentials;
        Self::new(server.base_url().as_str(), &account.user, &account.password)
    }

    /// As `alice` of a simulated server, from its root.
    pub(crate) fn at(server: &CaldavServer) -> Self {
        Self::new(server.base_url(), "alice", PASSWORD)
    }

    /// With any credentials and further certificate authorities.
    pub(crate) fn with(base_url: &str, credentials: Value, roots: &[Bytes]) -> Self {
        Self::reading_at_most(
            connector().info().limits.max_response_bytes,
            base_url,
            credentials,
            roots,
        )
    }

    /// With another bound on answers than the connector's own.
    pub(crate) fn reading_at_most(
        max_response_bytes: usize,
        base_url: &str,
        credentials: Value,
        roots: &[Bytes],
    ) -> Self {
        let connector = connector();
        let timeout = Duration::from_millis(connector.info().limits.timeout_ms);
        let network = NetworkTransport::new(timeout, max_response_bytes, roots);
        let clock = Arc::new(Impatient);
        let http = Metrics::new(RetryIdempotent::new(network.unwrap(), clock.clone()), "caldav");
        let credentials = Credentials::from_json(credentials.as_object().unwrap()).unwrap();
        connector.auth().check(&credentials).unwrap();
        let ctx = Context {
            http: Arc::new(http),
            dial: Arc::new(connector_sdk::NoDial),
            base_url: Url::parse(base_url).unwrap(),
            credentials: Arc::new(credentials),
            config: Arc::default(),
            clock,
            cancel: Default::default(),
        };
        Self { ctx, connector }
    }

    pub(crate) async fn collections(&self) -> Result<Vec<RemoteCollection>, Error> {
        self.connector.pull().unwrap().collections(&self.ctx).await
    }

    /// The calendar of this name.
    pub(crate) async fn calendar(&self, name: &str) -> RemoteCollection {
        let all = self.collections().await.unwrap();
        let found = all.iter().find(|calendar| calendar.name == name);
        found
            .unwrap_or_else(|| panic!("no calendar {name} among {all:?}"))
            .clone()
    }

    /// Every page until the stream ends, and the error that ended it.
    pub(crate) async fn pages(
        &self,
        collection: &RemoteCollection,
        cursor: Option<&Cursor>,
        known: &Known,
    ) -> (Vec<Page>, Option<Error>) {
        let request = PullRequest {
            collection,
            cursor,
            known,
        };
        let mut stream = self.connector.pull().unwrap().pages(&self.ctx, request);
        let mut pages = Vec::new();
        while let Some(page) = stream.next().await {
            match page {
                Ok(page) => pages.push(page),
                Err(error) => {
                    assert!(stream.next().await.is_none(), "a stream ends with its error");
                    return (pages, Some(error));
                }
            }
        }
        (pages, None)
    }

    pub(crate) async fn fetch(&self, collection: &RemoteCollection, id: &RemoteId) -> Change {
        let ids = std::slice::from_ref(id);
        let pull = self.connector.pull().unwrap();
        let mut changes = pull.fetch(&self.ctx, collection, ids).await.unwrap();
        assert_eq!(changes.len(), 1);
        changes.remove(0)
    }

    pub(crate) async fn write(&self, collection: &RemoteCollection, write: Write) -> Result<Applied, Error> {
        let push = self.connector.push().unwrap();
        let mut outcomes = push.apply(&self.ctx, collection, &[write]).await;
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0)
    }
}

/// What the hub would hold after pulling: a replica that follows the contract's rules.
#[derive(Default)]
pub(crate) struct Replica {
    pub(crate) objects: BTreeMap<RemoteId, RemoteObject>,
    pub(crate) unreadable: BTreeMap<RemoteId, String>,
    pub(crate) known: Known,
    pub(crate) cursor: Option<Cursor>,
}

impl Replica {
    /// Pulls once; returns the pages. Panics on an error.
    pub(crate) async fn pull(&mut self, account: &Account, collection: &RemoteCollection) -> Vec<Page> {
        let (pages, error) = account.pages(collection, self.cursor.as_ref(), &self.known).await;
        assert!(error.is_none(), "{error:?}");
        let last = pages.last().unwrap();
        assert!(last.cursor.is_some(), "the last page brings the cursor");
        self.take(&pages);
        pages
    }

    pub(crate) fn take(&mut self, pages: &[Page]) {
        for page in pages {
            for change in &page.changes {
                self.take_change(change);
            }
            if let Some(cursor) = &page.cursor {
                self.cursor = Some(cursor.clone());
            }
        }
    }

    fn take_change(&mut self, change: &Change) {
        match change {
            Change::Present(object) => {
                self.known.insert(object.id.clone(), object.version.clone());
                self.unreadable.remove(&object.id);
                self.objects.insert(object.id.clone(), (**object).clone());
            }
            Change::Unchanged(id) => assert!(self.known.contains_key(id), "{id} is not known"),
            Change::Deleted(id) => {
                self.known.remove(id);
                self.unreadable.remove(id);
                self.objects.remove(id);
            }
            Change::Unreadable {
                id, version, reason, ..
            } => {
                self.known.insert(id.clone(), version.clone());
                self.unreadable.insert(id.clone(), reason.clone());
            }
        }
    }

    pub(crate) fn titles(&self) -> Vec<&str> {
        let titles = self
            .objects
            .values()
            .map(|object| object.content.fields["title"].as_str().unwrap());
        let mut titles: Vec<&str> = titles.collect();
        titles.sort_unstable();
        titles
    }
}

/// What the pages of one pull stand for, in order.
pub(crate) fn listings(pages: &[Page]) -> Vec<Listing> {
    pages.iter().map(|page| page.listing).collect()
}

/// A small event.
pub(crate) fn event(uid: &str, title: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Tests//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20260101T000000Z\r\nDTSTART:20260105T090000Z\r\nDTEND:20260105T100000Z\r\nSUMMARY:{title}\r\n\
         X-COLOUR-OF-THE-DOOR;X-SIDE=left:green\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

pub(crate) const PASSWORD: &str = "correct horse";

/// A simulated server where `alice` has the calendar `work` with so many events, `0.ics` and on.
pub(crate) async fn simulated(events: usize, quirks: Quirks) -> CaldavServer {
    let mut calendar = CalendarConfig::new("work")
        .display_name("Work")
        .color("#1BADF8FF")
        .timezone("Europe/Berlin");
    for number in 0..events {
        let name = format!("{number:03}.ics");
        calendar = calendar.object(name, event(&format!("uid-{number}"), &format!("Event {number}")));
    }
    let account = AccountConfig::new("alice")
        .password(PASSWORD)
        .token("tok-1")
        .calendar(calendar);
    let config = Config {
        quirks,
        ..Config::with_account(account)
    };
    CaldavServer::start(config).await.unwrap()
}
