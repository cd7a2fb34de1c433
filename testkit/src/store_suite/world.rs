//! A small world to write into: an organization with a connection and two calendars.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use connector_sdk::{Access, RemoteCollection, RemoteId, RemoteVersion};
use model::{
    CollectionId, ConnectionId, Content, FieldPath, JobId, Kind, LinkId, OrganizationId, PartKey,
    QuarantineId, RecordId,
};
use serde_json::json;
use sync::hold::Hold;
use sync::ports::Effect;
use sync::state::{
    Collection, Connection, FeedAction, FeedEntry, Health, JobTask, Link, LinkState, NewJob, Origin,
    Quarantine, Record, RemotePart, Snapshots, Traits,
};

use super::Subject;

/// A moment: every case begins here.
pub const START_MS: i64 = 1_780_000_000_000;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A number that no other object of the process has, rising.
fn next() -> (u64, u128) {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    (START_MS as u64 + number, u128::from(number))
}

/// An organization with a connection and two calendars on it.
#[derive(Debug, Clone)]
pub struct World {
    /// The organization.
    pub organization: OrganizationId,
    /// Its connection.
    pub connection: Connection,
    /// A calendar.
    pub work: Collection,
    /// Another one.
    pub home: Collection,
}

impl World {
    /// Builds one in the store.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn build(subject: &dyn Subject) -> anyhow::Result<Self> {
        let (ms, random) = next();
        let organization = OrganizationId::new(ms, random);
        let connection = connection(&organization);
        subject.add_connection(&connection).await?;
        let work = collection(&connection, "/work/");
        let home = collection(&connection, "/home/");
        let effects = vec![
            Effect::PutCollection(Box::new(work.clone())),
            Effect::PutCollection(Box::new(home.clone())),
        ];
        subject.store().commit(&organization, None, effects).await?;
        Ok(Self {
            organization,
            connection,
            work,
            home,
        })
    }

    /// A record that no store has yet.
    #[must_use]
    pub fn record(&self, title: &str) -> Record {
        let (ms, random) = next();
        Record {
            id: RecordId::new(ms, random),
            organization: self.organization.clone(),
            kind: Kind::Event,
            version: 1,
            content: content(title),
            clocks: BTreeMap::new(),
            home: None,
            deleted: false,
            merged_into: None,
            created_at: START_MS,
            updated_at: START_MS,
        }
    }

    /// A link of the record to one object in a collection.
    #[must_use]
    pub fn link(&self, record: &Record, collection: &Collection, remote: &str) -> Link {
        let (ms, random) = next();
        Link {
            id: LinkId::new(ms, random),
            organization: self.organization.clone(),
            record: record.id.clone(),
            connection: collection.connection.clone(),
            collection: collection.id.clone(),
            kind: record.kind,
            revision: 1,
            state: LinkState::Synced,
            parts: BTreeMap::from([(PartKey::MASTER, part(remote, "v1"))]),
            snapshots: Snapshots {
                remote: record.content.clone(),
                hub: record.content.clone(),
            },
            local: Content::default(),
            held: BTreeSet::new(),
            dirty: false,
            removing: false,
            attempts: 0,
            not_before: 0,
            traits: Traits::default(),
        }
    }

    /// A record and its link to `remote` in the work calendar, as a page would bring them.
    #[must_use]
    pub fn arrival(&self, title: &str, remote: &str) -> (Record, Link, Vec<Effect>) {
        let mut record = self.record(title);
        let link = self.link(&record, &self.work, remote);
        record.home = Some(link.id.clone());
        let effects = vec![
            Effect::CreateRecord(Box::new(record.clone())),
            Effect::CreateLink(Box::new(link.clone())),
            Effect::PutRaw {
                link: link.id.clone(),
                part: PartKey::MASTER,
                raw: Bytes::from(format!("BEGIN:VEVENT\r\nSUMMARY:{title}\r\nEND:VEVENT\r\n")),
            },
            Effect::Feed(entry(&record, FeedAction::Created)),
        ];
        (record, link, effects)
    }

    /// An object in quarantine.
    #[must_use]
    pub fn quarantined(&self, remote: &str, version: &str) -> Quarantine {
        let (ms, random) = next();
        Quarantine {
            id: QuarantineId::new(ms, random),
            organization: self.organization.clone(),
            collection: self.work.id.clone(),
            remote: RemoteId(remote.to_owned()),
            version: Some(RemoteVersion(version.to_owned())),
            reason: "an unknown zone".to_owned(),
            raw: Bytes::from_static(b"BEGIN:VEVENT"),
            created_at: START_MS,
            tries: 0,
            retry_at: START_MS,
        }
    }

    /// A push on the connection.
    #[must_use]
    pub fn push(&self, run_at: i64) -> NewJob {
        job(
            &self.organization,
            JobTask::Push {
                connection: self.connection.id.clone(),
            },
            run_at,
        )
    }

    /// A sync of the connection.
    #[must_use]
    pub fn sync(&self, run_at: i64) -> NewJob {
        let task = JobTask::Sync {
            connection: self.connection.id.clone(),
            discover: false,
            approve_deletes: false,
        };
        job(&self.organization, task, run_at)
    }
}

/// A connection that no store has yet.
#[must_use]
pub fn connection(organization: &OrganizationId) -> Connection {
    let (ms, random) = next();
    Connection {
        id: ConnectionId::new(ms, random),
        organization: organization.clone(),
        provider: "memory".to_owned(),
        name: "Ada".to_owned(),
        owner: None,
        config: json!({"base_url": "http://127.0.0.1:1"})
            .as_object()
            .cloned()
            .unwrap_or_default(),
        health: Health::Active,
        health_reason: None,
        discovered_at: None,
        synced_at: None,
        created_at: START_MS,
    }
}

/// A calendar that no store has yet.
#[must_use]
pub fn collection(connection: &Connection, remote: &str) -> Collection {
    let (ms, random) = next();
    Collection {
        id: CollectionId::new(ms, random),
        organization: connection.organization.clone(),
        connection: connection.id.clone(),
        remote: RemoteCollection {
            id: RemoteId(remote.to_owned()),
            kind: Kind::Event,
            name: remote.trim_matches('/').to_owned(),
            access: Access::ReadWrite,
            fields: [("color".to_owned(), json!("#3366ff"))].into(),
        },
        cursor: None,
        enumerated_at: None,
        enabled: true,
        hold: None,
    }
}

/// A question that nobody has answered.
#[must_use]
pub fn held() -> Hold {
    Hold {
        deletes: 40,
        of: 50,
        since: START_MS,
        ..Hold::in_words("40 of 50".to_owned())
    }
}

/// A job that no store has yet.
#[must_use]
pub fn job(organization: &OrganizationId, task: JobTask, run_at: i64) -> NewJob {
    let (ms, random) = next();
    NewJob {
        id: JobId::new(ms, random),
        organization: organization.clone(),
        task,
        run_at,
    }
}

/// A remote object.
#[must_use]
pub fn part(remote: &str, version: &str) -> RemotePart {
    RemotePart {
        id: RemoteId(remote.to_owned()),
        version: Some(RemoteVersion(version.to_owned())),
        raw_outdated: false,
    }
}

/// What happened to a record.
#[must_use]
pub fn entry(record: &Record, action: FeedAction) -> FeedEntry {
    FeedEntry {
        action,
        subject: record.id.to_string(),
        kind: record.kind.name().to_owned(),
        version: record.version,
        changed: vec!["title".to_owned()],
        origin: Origin::Hub,
        at: record.updated_at,
    }
}

/// An event of an hour.
#[must_use]
pub fn content(title: &str) -> Content {
    let mut content = Content::default();
    let time = |wall: &str| json!({"kind": "zoned", "wall": wall, "zone": "Europe/Berlin"});
    for (field, value) in [
        ("title", json!(title)),
        ("start", time("2026-03-02T09:00:00")),
        ("end", time("2026-03-02T10:00:00")),
    ] {
        content.set(&FieldPath::master(field), Some(value));
    }
    content
}
