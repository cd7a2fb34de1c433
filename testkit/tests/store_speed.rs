//! How many commits and reads a second the two stores do on one core, with the calls that an edit which goes to another
//! account makes. A measurement, not a test of behaviour: run by name,
//! `cargo test --release -p testkit --test store_speed -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]
#![allow(clippy::print_stdout, reason = "a measurement is printed")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connector_sdk::{Credentials, SystemClock};
use model::{FieldPath, IntentId, OrganizationId, PartKey, RecordId};
use serde_json::json;
use store::{Durability, MasterKey, OpenMode, Options, SqliteStore};
use sync::history::HistoryEntry;
use sync::ports::{Effect, Jobs, Store};
use sync::state::{Connection, FeedAction, FeedEntry, Intent, IntentAction, Link, LinkState, Origin, Record};
use testkit::memory_store::MemoryStore;
use testkit::store_suite::Subject;
use testkit::store_suite::world::{START_MS, World, entry, part};

/// Records in each of the two collections.
const RECORDS: usize = 40;

struct Measured {
    name: &'static str,
    store: Arc<dyn Store>,
    memory: Option<MemoryStore>,
    sqlite: Option<SqliteStore>,
    edits: usize,
}

#[async_trait]
impl Subject for Measured {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn jobs(&self) -> Arc<dyn Jobs> {
        match (&self.memory, &self.sqlite) {
            (Some(store), _) => Arc::new(store.clone()),
            (None, store) => Arc::new(store.clone().unwrap()),
        }
    }

    async fn add_connection(&self, connection: &Connection) -> anyhow::Result<()> {
        if let Some(store) = &self.memory {
            store.add_connection(connection.clone())?;
        }
        if let Some(store) = &self.sqlite {
            store
                .insert_connection(connection, &Credentials::default(), &Origin::Hub)
                .await?;
        }
        Ok(())
    }

    async fn feed(&self, _organization: &OrganizationId) -> anyhow::Result<Vec<(i64, FeedEntry)>> {
        Ok(Vec::new())
    }

    async fn history(
        &self,
        _organization: &OrganizationId,
        _record: &RecordId,
    ) -> anyhow::Result<Vec<HistoryEntry>> {
        Ok(Vec::new())
    }
}

/// A record with its links, as they are now.
struct Row {
    record: Record,
    here: Link,
    there: Link,
}

async fn fill(world: &World, store: &dyn Store) -> Vec<Row> {
    let mut rows = Vec::new();
    for number in 0..RECORDS {
        let (record, here, mut effects) = world.arrival("Planning", &format!("here {number}"));
        let there = world.link(&record, &world.home, &format!("there {number}"));
        effects.push(Effect::CreateLink(Box::new(there.clone())));
        store.commit(&world.organization, None, effects).await.unwrap();
        rows.push(Row { record, here, there });
    }
    rows
}

/// The three commits of an edit that came from one account and goes to another: taken in, written down, done.
fn commits(world: &World, row: &mut Row, number: usize) -> [Vec<Effect>; 3] {
    row.record.version += 1;
    let title = json!(format!("Planning {number}"));
    row.record.content.set(&FieldPath::master("title"), Some(title));
    row.here.revision += 1;
    row.here.snapshots.remote = row.record.content.clone();
    row.here.snapshots.hub = row.record.content.clone();
    let remote = row.here.parts[&PartKey::MASTER].id.0.clone();
    row.here
        .parts
        .insert(PartKey::MASTER, part(&remote, &format!("v{number}")));
    let taken = vec![
        Effect::UpdateRecord(Box::new(row.record.clone())),
        Effect::UpdateLink(Box::new(row.here.clone())),
        Effect::PutRaw {
            link: row.here.id.clone(),
            part: PartKey::MASTER,
            raw: format!("BEGIN:VEVENT\r\nSUMMARY:Planning {number}\r\nEND:VEVENT\r\n").into(),
        },
        Effect::Touch {
            record: row.record.id.clone(),
            except: Some(row.here.id.clone()),
        },
        Effect::Feed(entry(&row.record, FeedAction::Updated)),
        Effect::Enqueue(Box::new(world.push(START_MS))),
    ];
    let intent = Intent {
        id: IntentId::new(2, number as u128),
        organization: world.organization.clone(),
        link: row.there.id.clone(),
        connection: world.connection.id.clone(),
        part: PartKey::MASTER,
        action: IntentAction::Update,
        sent: row.record.content.clone(),
        changed: BTreeSet::from([FieldPath::master("title")]),
        created_at: START_MS,
    };
    row.there.revision += 2;
    row.there.dirty = true;
    row.there.state = LinkState::Pending;
    let opened = vec![
        Effect::OpenIntent(Box::new(intent.clone())),
        Effect::UpdateLink(Box::new(row.there.clone())),
    ];
    row.there.revision += 1;
    row.there.dirty = false;
    row.there.state = LinkState::Synced;
    row.there.snapshots = row.here.snapshots.clone();
    let done = vec![
        Effect::CloseIntent(intent.id),
        Effect::UpdateLink(Box::new(row.there.clone())),
        Effect::PutRaw {
            link: row.there.id.clone(),
            part: PartKey::MASTER,
            raw: format!("BEGIN:VEVENT\r\nSUMMARY:Planning {number}\r\nEND:VEVENT\r\n").into(),
        },
    ];
    [taken, opened, done]
}

/// The reads of the same edit; how many there were.
async fn reads(world: &World, store: &dyn Store, row: &Row) -> usize {
    let org = &world.organization;
    let remote = row.here.parts[&PartKey::MASTER].id.clone();
    let linked = store.linked(org, &world.work.id, &[remote]).await.unwrap();
    assert_eq!(linked.len(), 1);
    assert_eq!(store.links_of(org, &row.record.id).await.unwrap().len(), 2);
    assert!(store.mirrors_of(org, &world.work.id).await.unwrap().is_empty());
    let connection = &world.connection.id;
    store.dirty_links(org, connection, START_MS, 50).await.unwrap();
    assert!(store.link(org, &row.there.id).await.unwrap().is_some());
    store.raws(org, &row.there.id).await.unwrap();
    store.open_intents(org, connection).await.unwrap();
    assert!(store.collection(org, &world.work.id).await.unwrap().is_some());
    assert_eq!(store.known(org, &world.work.id).await.unwrap().len(), RECORDS);
    9
}

async fn measure(subject: &Measured) {
    let world = World::build(subject).await.unwrap();
    let store = subject.store();
    let mut rows = fill(&world, store.as_ref()).await;
    let (mut written, mut read) = (Duration::ZERO, Duration::ZERO);
    let mut answers = 0;
    for number in 0..subject.edits {
        let row = &mut rows[number % RECORDS];
        for effects in commits(&world, row, number) {
            let begun = Instant::now();
            store.commit(&world.organization, None, effects).await.unwrap();
            written += begun.elapsed();
        }
        let begun = Instant::now();
        answers += reads(&world, store.as_ref(), row).await;
        read += begun.elapsed();
    }
    let rate = |count: usize, time: Duration| count as f64 / time.as_secs_f64();
    println!(
        "{}: {:.0} commits/s, {:.0} reads/s, {:.0} calls/s in all",
        subject.name,
        rate(subject.edits * 3, written),
        rate(answers, read),
        rate(subject.edits * 3 + answers, written + read),
    );
}

#[tokio::test]
#[ignore = "a measurement"]
async fn calls_a_second_of_both_stores() {
    let store = MemoryStore::new();
    measure(&Measured {
        name: "in memory",
        store: Arc::new(store.clone()),
        memory: Some(store),
        sqlite: None,
        edits: 40_000,
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("concord.db").display());
    let key = MasterKey::from_text(&"42".repeat(32)).unwrap();
    let options = Options {
        mode: OpenMode::Serve,
        durability: Durability::ProcessOnly,
        readers: 1,
        ..Options::default()
    };
    let clock = Arc::new(SystemClock);
    let store = SqliteStore::open_with(&url, key, clock, options).await.unwrap();
    measure(&Measured {
        name: "on SQLite",
        store: Arc::new(store.clone()),
        memory: None,
        sqlite: Some(store),
        edits: 2_000,
    })
    .await;
}
