//! One link on a stage, for the tables of what is decided about it: a weekly series, which an account has at a provider
//! in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use connector_memory::{MemoryProvider, Options};
use connector_sdk::{
    Access, Context, Credentials, Error, ErrorKind, HttpRequest, HttpResponse, HttpTransport,
    RemoteCollection, RemoteId, SystemClock,
};
use model::{
    CollectionId, ConnectionId, Content, FieldPath, Fields, Kind, LinkId, OrganizationId, PartKey, RecordId,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::ports::Provider;
use crate::scene::Scene;
use crate::state::{Collection, Link, LinkState, Record, RemotePart, Snapshots, Traits};
use crate::work::Work;

/// When it plays, epoch milliseconds.
pub(crate) const NOW_MS: i64 = 1_000_000;

struct NoNetwork;

#[async_trait]
impl HttpTransport for NoNetwork {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        let message = "there is no network on a stage";
        Err(Error::new(ErrorKind::Unavailable, request.operation, message))
    }
}

pub(crate) fn fields(json: Value) -> Fields {
    serde_json::from_value(json).unwrap()
}

pub(crate) fn floating(wall: &str) -> Value {
    json!({"kind": "floating", "wall": wall})
}

/// Four Mondays from 5 January at this hour. Of the second, `second` is said.
pub(crate) fn weekly(hour: u8, second: Option<Value>) -> Content {
    let mut content = Content::new(fields(json!({
        "title": "standup",
        "start": floating(&format!("2026-01-05T{hour:02}:00:00")),
        "end": floating(&format!("2026-01-05T{hour:02}:30:00")),
        "recurrence": {"rules": ["FREQ=WEEKLY;COUNT=4"]},
    })));
    if let Some(second) = second {
        content.overrides.insert(second_at(hour), fields(second));
    }
    content
}

/// The same content, with this said of the whole of it.
pub(crate) fn with(mut content: Content, field: &str, value: Value) -> Content {
    content.set(&FieldPath::master(field), Some(value));
    content
}

/// The second Monday.
pub(crate) fn second_at(hour: u8) -> PartKey {
    PartKey::occurrence(format!("2026-01-12T{hour:02}:00:00"))
}

/// What is said in a field of the second Monday.
pub(crate) fn of_second(hour: u8, field: &str) -> FieldPath {
    FieldPath {
        part: second_at(hour),
        field: field.to_owned(),
    }
}

pub(crate) fn paths(fields: &[&str]) -> BTreeSet<FieldPath> {
    fields.iter().map(|field| FieldPath::master(*field)).collect()
}

pub(crate) fn link_id(number: u128) -> LinkId {
    LinkId::new(1, number)
}

/// A collection of such a provider, in no mirror.
pub(crate) fn scene(options: Options) -> Scene {
    let provider = Provider {
        connector: Arc::new(connector_memory::connector(MemoryProvider::new(options))),
        ctx: Context {
            http: Arc::new(NoNetwork),
            dial: Arc::new(connector_sdk::NoDial),
            base_url: "memory://provider/".parse().unwrap(),
            credentials: Arc::new(Credentials::default()),
            config: Arc::default(),
            clock: Arc::new(SystemClock),
            cancel: CancellationToken::new(),
        },
    };
    let collection = Collection {
        id: CollectionId::new(1, 1),
        organization: OrganizationId::new(1, 1),
        connection: ConnectionId::new(1, 1),
        remote: RemoteCollection {
            id: RemoteId("team".to_owned()),
            kind: Kind::Event,
            name: "Team".to_owned(),
            access: Access::ReadWrite,
            fields: Fields::new(),
        },
        cursor: None,
        enumerated_at: None,
        enabled: true,
        hold: None,
    };
    Scene::new(provider, collection, &[], Vec::new(), NOW_MS)
}

/// A record that says `local`, which was never written.
pub(crate) fn unwritten(local: Content) -> Work {
    let link = Link {
        id: link_id(1),
        organization: OrganizationId::new(1, 1),
        record: RecordId::new(1, 1),
        connection: ConnectionId::new(1, 1),
        collection: CollectionId::new(1, 1),
        kind: Kind::Event,
        revision: 1,
        state: LinkState::Pending,
        parts: BTreeMap::new(),
        snapshots: Snapshots::default(),
        local: Content::default(),
        held: BTreeSet::new(),
        dirty: true,
        removing: false,
        attempts: 0,
        not_before: 0,
        traits: Traits::default(),
    };
    let record = Record {
        id: RecordId::new(1, 1),
        organization: OrganizationId::new(1, 1),
        kind: Kind::Event,
        version: 2,
        content: local,
        clocks: BTreeMap::new(),
        home: Some(link_id(1)),
        deleted: false,
        merged_into: None,
        created_at: 0,
        updated_at: 0,
    };
    Work::stored(link, Arc::new(record))
}

/// A record that says `local`, since both sides said `agreed`.
pub(crate) fn written(agreed: &Content, local: Content) -> Work {
    let mut work = unwritten(local);
    work.link.snapshots = Snapshots {
        remote: agreed.clone(),
        hub: agreed.clone(),
    };
    has_object(&mut work, PartKey::MASTER);
    work
}

/// The provider has an object of its own for this part.
pub(crate) fn has_object(work: &mut Work, part: PartKey) {
    let object = RemotePart {
        id: RemoteId(format!("object {}", part.as_str())),
        version: None,
        raw_outdated: false,
    };
    work.link.parts.insert(part, object);
}
