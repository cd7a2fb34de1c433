//! A store with a clock that can be set, and a small world in it.
#![allow(dead_code, reason = "each test binary uses what it needs")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use connector_sdk::{Clock, Credentials};
use jiff::Timestamp;
use model::{FieldPath, OrganizationId, RecordId};
use serde_json::{Value, json};
use store::{Options, SqlStore};
use sync::history::HistoryEntry;
use sync::ports::{Effect, Jobs, Store};
use sync::state::{Connection, Link, Origin, Record};
use testkit::store_suite::Subject;
use testkit::store_suite::world::{START_MS, World};

use crate::place::Place;

pub(crate) const DAY_MS: i64 = 86_400_000;

/// A clock that stands still until it is set.
pub(crate) struct SetClock(pub(crate) AtomicI64);

#[async_trait]
impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
    }

    async fn sleep(&self, _duration: Duration) {}
}

pub(crate) struct Bench {
    pub(crate) store: SqlStore,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) place: Place,
}

#[async_trait]
impl Subject for Bench {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn jobs(&self) -> Arc<dyn Jobs> {
        Arc::new(self.store.clone())
    }

    async fn add_connection(&self, connection: &Connection) -> anyhow::Result<()> {
        Ok(self
            .store
            .insert_connection(connection, &Credentials::default(), &Origin::Hub)
            .await?)
    }

    async fn feed(
        &self,
        _organization: &OrganizationId,
    ) -> anyhow::Result<Vec<(i64, sync::state::FeedEntry)>> {
        anyhow::bail!("not asked for here")
    }

    async fn history(
        &self,
        _organization: &OrganizationId,
        _record: &RecordId,
    ) -> anyhow::Result<Vec<HistoryEntry>> {
        anyhow::bail!("not asked for here")
    }
}

pub(crate) async fn bench() -> Bench {
    let place = crate::fresh_place();
    let clock = Arc::new(SetClock(AtomicI64::new(START_MS)));
    let store = SqlStore::open_with(&place.url(), place.key(), clock.clone(), Options::default())
        .await
        .unwrap();
    Bench { store, clock, place }
}

pub(crate) async fn settled() -> (Bench, World) {
    let bench = bench().await;
    let world = World::build(&bench).await.unwrap();
    (bench, world)
}

impl Bench {
    pub(crate) async fn commit(&self, world: &World, effects: Vec<Effect>) {
        self.store
            .commit(&world.organization, None, effects)
            .await
            .unwrap();
    }

    /// An event of the work calendar with these fields.
    pub(crate) async fn event(&self, world: &World, remote: &str, fields: Value) -> (Record, Link) {
        let (mut record, link, mut effects) = world.arrival("Event", remote);
        for (field, value) in fields.as_object().unwrap() {
            record.content.set(&FieldPath::master(field), Some(value.clone()));
        }
        effects[0] = Effect::CreateRecord(Box::new(record.clone()));
        self.commit(world, effects).await;
        (record, link)
    }
}

pub(crate) fn zoned(wall: &str) -> Value {
    json!({"kind": "zoned", "wall": wall, "zone": "Europe/Berlin"})
}

pub(crate) fn ms(instant: &str) -> i64 {
    instant.parse::<Timestamp>().unwrap().as_millisecond()
}
