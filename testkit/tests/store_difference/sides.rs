//! The two stores, and their answers as text.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector_sdk::{Clock, Credentials};
use jiff::Timestamp;
use model::{OrganizationId, RecordId};
use store::{
    ChangeFilter, ConflictFilter, Durability, JobFilter, LinkFilter, MasterKey, OpenMode, Options, Paging,
    QuarantineFilter, SqlStore,
};
use sync::ports::{Jobs, Store, StoreError};
use sync::state::{Connection, Origin};
use tempfile::TempDir;
use testkit::harness::Database;
use testkit::memory_store::MemoryStore;

use crate::names::{Operation, Question, START_MS, space};

/// Stands still: what a store writes of its own accord carries the same moment on both.
struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(START_MS).unwrap()
    }

    async fn sleep(&self, _duration: Duration) {}
}

/// What the store in memory is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    Sqlite,
    Postgres,
}

pub(crate) struct Sides {
    pub(crate) memory: MemoryStore,
    pub(crate) sql: SqlStore,
    folder: TempDir,
    /// On PostgreSQL.
    database: Option<Database>,
}

impl Sides {
    pub(crate) async fn open(other: Other) -> Self {
        let folder = TempDir::new().unwrap();
        let database = (other == Other::Postgres).then(|| Database::new().unwrap());
        Self {
            memory: MemoryStore::new(),
            sql: open(&folder, database.as_ref()).await,
            folder,
            database,
        }
    }

    /// The process dies, and another one opens the stores.
    async fn reopen(&mut self) {
        self.memory.take_over();
        self.sql.close().await;
        if let Some(database) = &self.database {
            // The lock on a file proves that its old process is dead. On a server time does: the leases run out.
            database
                .psql("UPDATE jobs SET lease_until = 0, token = token + 1 WHERE state = 'running'")
                .unwrap();
        }
        self.sql = open(&self.folder, self.database.as_ref()).await;
    }

    pub(crate) async fn add_connection(&self, connection: &Connection) {
        self.memory.add_connection(connection.clone()).unwrap();
        self.sql
            .insert_connection(connection, &Credentials::default(), &Origin::Hub)
            .await
            .unwrap();
    }

    /// Both answers: in memory, and in the other store.
    pub(crate) async fn ask(&mut self, operation: &Operation) -> (String, String) {
        if let Operation::Reopen = operation {
            self.reopen().await;
        }
        if let Operation::Enqueue(job) = operation {
            let sql = self.sql.enqueue(job.clone()).await.map(|job| job.id);
            return (text(self.memory.enqueue(job.clone())), text(sql));
        }
        (
            answer(&self.memory, operation).await,
            answer(&self.sql, operation).await,
        )
    }

    /// Every row that can be listed, by its sort.
    pub(crate) async fn all_rows(
        &self,
        organizations: &[OrganizationId],
    ) -> Vec<(&'static str, String, String)> {
        let all = Paging::first(10_000);
        let (mut links, mut conflicts, mut entries, mut jobs) = (vec![], vec![], vec![], vec![]);
        let mut found = Vec::new();
        for organization in organizations {
            let filter = LinkFilter::default();
            links.extend(self.sql.links(organization, &filter, &all).await.unwrap().items);
            let filter = ConflictFilter::default();
            let page = self.sql.conflicts(organization, &filter, &all).await.unwrap();
            conflicts.extend(page.items);
            let filter = QuarantineFilter::default();
            let page = self.sql.quarantined(organization, &filter, &all).await.unwrap();
            entries.extend(page.items);
            let filter = JobFilter::default();
            jobs.extend(self.sql.jobs(organization, &filter, &all).await.unwrap().items);
            let feed = self
                .sql
                .changes_after(organization, 0, &ChangeFilter::default(), u32::MAX)
                .await
                .unwrap();
            let feed: Vec<_> = feed
                .into_iter()
                .map(|change| (change.seq, change.entry))
                .collect();
            for number in 0..space::RECORDS {
                let id = RecordId::new(1, u128::from(number));
                let page = self.sql.history(organization, &id, None, &all).await.unwrap();
                let told = self.memory.history(organization, &id);
                found.push(("history", text(told), text(page.items)));
            }
            found.push(("feed", text(self.memory.feed(organization)), text(feed)));
        }
        // Of ids that are in both organizations the order is that of the organizations.
        links.sort_by(|one, other| one.id.cmp(&other.id));
        conflicts.sort_by(|one, other| one.id.cmp(&other.id));
        entries.sort_by(|one, other| one.id.cmp(&other.id));
        jobs.sort_by(|one, other| one.id.cmp(&other.id));
        let jobs: Vec<String> = jobs
            .into_iter()
            .map(|job| {
                let state = format!("{:?}", job.state);
                text((
                    job.id,
                    job.task,
                    state,
                    job.run_at,
                    job.attempts,
                    job.done,
                    job.total,
                    job.result,
                    job.failure,
                ))
            })
            .collect();
        let in_memory: Vec<String> = self
            .memory
            .jobs()
            .into_iter()
            .map(|job| {
                let (state, (done, total)) = (format!("{:?}", job.state), job.progress);
                let failure = job.failure.map(|failure| (failure.code, failure.message));
                text((
                    job.id,
                    job.task,
                    state,
                    job.run_at,
                    job.attempts,
                    done,
                    total,
                    job.result,
                    failure,
                ))
            })
            .collect();
        found.push(("jobs", in_memory.join("\n"), jobs.join("\n")));
        found.push(("links", text(self.memory.links()), text(links)));
        found.push(("conflicts", text(self.memory.conflicts()), text(conflicts)));
        found.push(("quarantine", text(self.memory.quarantined()), text(entries)));
        found
    }
}

async fn open(folder: &TempDir, database: Option<&Database>) -> SqlStore {
    let url = match database {
        Some(database) => database.url().to_owned(),
        None => format!("sqlite://{}", folder.path().join("concord.db").display()),
    };
    let key = MasterKey::load_or_create(&folder.path().join("concord.key")).unwrap();
    let options = Options {
        mode: OpenMode::Serve,
        durability: Durability::ProcessOnly,
        readers: 1,
        ..Options::default()
    };
    SqlStore::open_with(&url, key, Arc::new(Still), options)
        .await
        .unwrap()
}

fn text(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

async fn answer<S: Store + Jobs>(store: &S, operation: &Operation) -> String {
    match operation {
        Operation::Commit(organization, fence, effects) => {
            match store.commit(organization, fence.as_ref(), effects.clone()).await {
                // Which of several stale rows of a batch is named is each store's own affair.
                Err(StoreError::Stale(_)) => "Err(Stale)".to_owned(),
                other => text(other),
            }
        }
        Operation::Enqueue(_) | Operation::Reopen => String::new(),
        Operation::Claim {
            now_ms,
            lease_ms,
            limit,
        } => text(store.claim("node", *now_ms, *lease_ms, *limit).await),
        Operation::Heartbeat(fence, until_ms) => text(store.heartbeat(fence, *until_ms, 3, Some(9)).await),
        Operation::Finish(fence, now_ms, result) => text(store.finish(fence, *now_ms, result.clone()).await),
        Operation::Ask(organization, question) => match read(store, organization, question).await {
            Ok(answer) => answer,
            Err(error) => text(error),
        },
    }
}

async fn read(
    store: &dyn Store,
    organization: &OrganizationId,
    question: &Question,
) -> Result<String, StoreError> {
    Ok(match question {
        Question::Connection(id) => text(store.connection(organization, id).await?),
        Question::Collections(id) => text(store.collections(organization, id).await?),
        Question::Collection(id) => text(store.collection(organization, id).await?),
        // A map without an order.
        Question::Known(id) => text(BTreeMap::from_iter(store.known(organization, id).await?)),
        Question::Linked(id, remotes) => text(store.linked(organization, id, remotes).await?),
        Question::Link(id) => text(store.link(organization, id).await?),
        Question::Record(id) => text(store.record(organization, id).await?),
        Question::LinksOf(id) => text(store.links_of(organization, id).await?),
        Question::DirtyLinks(id, now_ms, limit) => {
            text(store.dirty_links(organization, id, *now_ms, *limit).await?)
        }
        Question::Raws(id) => text(store.raws(organization, id).await?),
        Question::OpenIntents(id) => text(store.open_intents(organization, id).await?),
        Question::MirrorsOf(id) => text(store.mirrors_of(organization, id).await?),
        Question::Mirror(id) => text(store.mirror(organization, id).await?),
        Question::Joined(id, after, limit) => {
            text(store.joined(organization, id, after.as_ref(), *limit).await?)
        }
        Question::Conflict(id) => text(store.conflict(organization, id).await?),
        Question::Members(id, after, limit) => {
            text(store.members(organization, id, after.as_ref(), *limit).await?)
        }
        Question::WithUid(id, uids) => text(store.with_uid(organization, id, uids).await?),
        Question::Pairings(id) => text(store.pairings(organization, id).await?),
        Question::PairingsOf(id) => text(store.pairings_of(organization, id).await?),
    })
}
