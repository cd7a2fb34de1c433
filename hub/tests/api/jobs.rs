//! Background work: panics, lost leases, retries, and what a stop does to it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector_sdk::{Clock as _, SystemClock};
use hub::entropy::SystemEntropy;
use hub::state::id_parts;
use hub::traces::Traces;
use hub::worker::{LEASE, Lanes, Runner, Worker};
use model::{ConnectionId, JobId, OrganizationId};
use serde_json::{Value, json};
use store::{Job, JobState, SqliteStore};
use sync::engine::Progress;
use sync::ports::JobFailure;
use sync::state::{ClaimedJob, JobTask, NewJob};
use tokio_util::sync::CancellationToken;

use crate::server::{LIMIT, TestServer, start_server};

/// Does what the test says.
enum Stand {
    Panics,
    Waits,
    FailsOnce,
}

#[async_trait]
impl Runner for Stand {
    async fn run(
        &self,
        job: &ClaimedJob,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Value, JobFailure> {
        match self {
            Self::Panics => panic!("on purpose"),
            Self::Waits => {
                progress.report(3, Some(10));
                cancel.cancelled().await;
                Err(failure(None))
            }
            Self::FailsOnce if job.attempts == 0 => Err(failure(Some(SystemClock.now_ms()))),
            Self::FailsOnce => Ok(json!({"attempts": job.attempts})),
        }
    }
}

fn failure(retry_at: Option<i64>) -> JobFailure {
    JobFailure {
        code: "provider_error".to_owned(),
        message: "on purpose".to_owned(),
        retry_at,
    }
}

/// A queue of its own and a worker on it.
struct Bench {
    store: SqliteStore,
    organization: OrganizationId,
    connection: ConnectionId,
    lanes: Lanes,
    stop: CancellationToken,
    worker: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

async fn bench(stand: Stand) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("q.db").display());
    let key = store::MasterKey::from_text(&"ab".repeat(32)).unwrap();
    let store = SqliteStore::open(&url, key, Arc::new(SystemClock)).await.unwrap();
    let organization = hub::server::new_organization("one", &SystemClock, &SystemEntropy);
    store.create_organization(&organization).await.unwrap();
    let (now_ms, random) = id_parts(&SystemClock, &SystemEntropy);
    let connection = sync::state::Connection {
        id: ConnectionId::new(now_ms, random),
        organization: organization.id.clone(),
        provider: "caldav".to_owned(),
        name: "test".to_owned(),
        owner: None,
        config: serde_json::Map::new(),
        health: sync::state::Health::Active,
        health_reason: None,
        discovered_at: None,
        synced_at: None,
        created_at: SystemClock.now_ms(),
    };
    let credentials = connector_sdk::Credentials::default();
    store
        .insert_connection(&connection, &credentials, &sync::state::Origin::Hub)
        .await
        .unwrap();
    let (lanes, stop) = (Lanes::default(), CancellationToken::new());
    let worker = Worker {
        store: store.clone(),
        runner: Arc::new(stand),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        lanes: lanes.clone(),
        traces: Traces::default(),
        node: "test".to_owned(),
        parallel: 2,
        lease: LEASE,
    };
    Bench {
        store,
        organization: organization.id,
        connection: connection.id,
        lanes,
        worker: tokio::spawn(worker.work(stop.clone())),
        stop,
        _folder: folder,
    }
}

impl Bench {
    async fn enqueue(&self) -> JobId {
        let (now_ms, random) = id_parts(&SystemClock, &SystemEntropy);
        let job = NewJob {
            id: JobId::new(now_ms, random),
            organization: self.organization.clone(),
            task: JobTask::Push {
                connection: self.connection.clone(),
            },
            run_at: SystemClock.now_ms(),
        };
        self.store.enqueue(job).await.unwrap().id
    }

    async fn job_when(&self, id: &JobId, wanted: impl Fn(&Job) -> bool) -> Job {
        testkit::harness::until("the job", LIMIT, async || {
            let job = self.store.job(&self.organization, id).await.unwrap();
            job.filter(|job| wanted(job))
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn a_job_that_panics_fails_and_the_worker_goes_on() {
    let bench = bench(Stand::Panics).await;
    for _ in 0..3 {
        let id = bench.enqueue().await;
        let job = bench.job_when(&id, |job| job.state == JobState::Failed).await;
        assert_eq!(job.failure.unwrap().0, "internal");
    }
}

#[tokio::test]
async fn a_job_that_may_succeed_later_is_tried_again() {
    let bench = bench(Stand::FailsOnce).await;
    let id = bench.enqueue().await;
    let job = bench.job_when(&id, |job| job.state == JobState::Succeeded).await;
    assert_eq!(job.result.unwrap(), json!({"attempts": 1}));
}

#[tokio::test]
async fn progress_is_seen_while_a_job_runs_and_calling_it_off_ends_it_quietly() {
    let bench = bench(Stand::Waits).await;
    let id = bench.enqueue().await;
    let job = bench.job_when(&id, |job| job.done == 3).await;
    assert_eq!((job.state, job.total), (JobState::Running, Some(10)));

    bench
        .store
        .cancel_jobs(&bench.organization, &bench.connection)
        .await
        .unwrap();
    bench.lanes.stop(bench.connection.as_str());
    testkit::harness::until("an empty lane", LIMIT, async || {
        (bench.lanes.running() == 0).then_some(())
    })
    .await
    .unwrap();
    let job = bench.job_when(&id, |_| true).await;
    assert_eq!((job.state, job.failure), (JobState::Cancelled, None));
}

#[tokio::test]
async fn a_stopping_worker_hands_its_jobs_to_the_next_start() {
    let bench = bench(Stand::Waits).await;
    let id = bench.enqueue().await;
    bench.job_when(&id, |job| job.state == JobState::Running).await;
    bench.stop.cancel();
    tokio::time::timeout(LIMIT, bench.worker).await.unwrap().unwrap();
    let job = bench.store.job(&bench.organization, &id).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Queued, "it waits for the next start");
    assert_eq!(job.failure.unwrap().0, "interrupted");
}

async fn short_interval() -> TestServer {
    crate::server::start_server_with("sync_interval_seconds = 1").await
}

#[tokio::test]
async fn connections_are_looked_at_again_by_themselves() {
    let server = short_interval().await;
    let calendars = crate::server::calendar_server().await;
    let made = server.connect(&calendars).await;
    calendars
        .calendar("ada", "work")
        .put("3.ics", crate::server::event("3", "Retrospective"))
        .unwrap();
    let path = format!("/v1/connections/{}", made["id"].as_str().unwrap());
    testkit::harness::until("the third event", LIMIT, async || {
        let read = server.get(&path).await.data();
        (read["collections"][0]["records"] == 3).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_stop_ends_in_time_and_leaves_a_database_that_starts_again() {
    let server = start_server().await;
    let calendars = crate::server::calendar_server().await;
    server.connect(&calendars).await;
    let TestServer {
        server, folder, key, ..
    } = server;
    tokio::time::timeout(Duration::from_secs(15), server.shutdown())
        .await
        .unwrap();
    let database = folder.path().join("concord.db");
    let text = format!(
        "listen = \"127.0.0.1:0\"\ndatabase_url = \"sqlite://{}\"",
        database.display()
    );
    let config = hub::config::Config::from_toml(&text).unwrap();
    let again = hub::server::Server::start(&config).await.unwrap();
    assert_eq!(
        again.first_key(),
        None,
        "a key is printed for a new database only"
    );
    let request = reqwest::Client::new().get(format!("{}/v1/connections", again.base_url()));
    let answer = crate::server::Answer::of(request.bearer_auth(key)).await;
    assert_eq!(answer.data().as_array().unwrap().len(), 1);
}
