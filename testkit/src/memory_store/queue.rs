//! The queue: joining, lanes, leases, fences and retries.

use std::collections::{BTreeMap, BTreeSet};

use model::{JobId, OrganizationId};
use serde_json::Value;
use sync::ports::{JobFailure, StoreError};
use sync::state::{ClaimedJob, Fence, JobTask, NewJob};

/// A piece of background work.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What it does.
    pub task: JobTask,
    /// How it stands.
    pub state: JobState,
    /// Not before, epoch milliseconds.
    pub run_at: i64,
    /// How often it was begun.
    pub attempts: u32,
    /// What is done, and of how much where that is known.
    pub progress: (u64, Option<u64>),
    /// What came out.
    pub result: Option<Value>,
    /// Why the last attempt failed.
    pub failure: Option<JobFailure>,
    lane: String,
    token: i64,
    lease_until: i64,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It waits, for the first time or for another attempt.
    Queued,
    /// Someone works on it.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended badly, for good.
    Failed,
}

impl Job {
    fn new(job: NewJob) -> Self {
        Self {
            id: job.id,
            organization: job.organization,
            lane: job.task.lane(),
            task: job.task,
            state: JobState::Queued,
            run_at: job.run_at,
            attempts: 0,
            progress: (0, None),
            result: None,
            failure: None,
            token: 0,
            lease_until: 0,
        }
    }

    /// Claims it. The claim counts the attempts before it.
    fn begin(&mut self, lease_until: i64) -> ClaimedJob {
        let attempts = self.attempts;
        self.state = JobState::Running;
        self.attempts += 1;
        self.token += 1;
        self.lease_until = lease_until;
        self.progress = (0, None);
        ClaimedJob {
            id: self.id.clone(),
            organization: self.organization.clone(),
            task: self.task.clone(),
            attempts,
            fence: Fence {
                job: self.id.clone(),
                token: self.token,
            },
            webhook: None,
        }
    }

    /// Whether it is this work, and waits.
    fn waits_for(&self, organization: &OrganizationId, task: &JobTask) -> bool {
        self.state == JobState::Queued && self.organization == *organization && self.task == *task
    }

    /// Whether it holds its lane.
    fn is_held(&self, now_ms: i64) -> bool {
        self.state == JobState::Running && self.lease_until > now_ms
    }

    /// Whether it can be claimed, as far as it alone decides.
    fn is_due(&self, now_ms: i64) -> bool {
        match self.state {
            JobState::Queued => self.run_at <= now_ms,
            JobState::Running => self.lease_until <= now_ms,
            JobState::Succeeded | JobState::Failed => false,
        }
    }

    fn has(&self, fence: &Fence) -> bool {
        self.state == JobState::Running && self.token == fence.token
    }

    fn shares_lane(&self, other: &Self) -> bool {
        self.lane == other.lane && self.organization == other.organization
    }

    /// What is claimed first within a lane: lost jobs before waiting ones, since as long as nobody took one over its
    /// old holder could still commit.
    fn turn(&self) -> (bool, i64, &JobId) {
        (self.state != JobState::Running, self.due_turn(), &self.id)
    }

    /// Live work has a head start.
    fn due_turn(&self) -> i64 {
        self.run_at.saturating_sub(self.task.head_start_ms())
    }
}

/// What became of new work.
#[derive(Debug)]
pub(super) enum Enqueued {
    /// It waits by itself.
    New(JobId),
    /// An identical job waited already, until then at this time.
    Joined { id: JobId, run_at: i64 },
}

/// All jobs.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    jobs: BTreeMap<JobId, Box<Job>>,
    /// Those that wait or run: a handful, whatever has ended.
    open: BTreeSet<JobId>,
}

impl Queue {
    pub(super) fn all(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().map(|job| &**job)
    }

    fn open(&self) -> impl Iterator<Item = &Job> {
        self.open
            .iter()
            .filter_map(|id| self.jobs.get(id))
            .map(|job| &**job)
    }

    /// Enqueues work, or joins an identical job that waits: the earlier of the two times holds.
    pub(super) fn enqueue(&mut self, job: NewJob) -> Result<Enqueued, StoreError> {
        let waiting = self
            .open()
            .find(|open| open.waits_for(&job.organization, &job.task));
        if let Some(waiting) = waiting.map(|waiting| waiting.id.clone()) {
            let was = self.jobs.get(&waiting).map_or(job.run_at, |stored| stored.run_at);
            self.run_at(&waiting, was.min(job.run_at));
            return Ok(Enqueued::Joined {
                id: waiting,
                run_at: was,
            });
        }
        if self.jobs.contains_key(&job.id) {
            return Err(StoreError::Stale(job.id.to_string()));
        }
        let id = job.id.clone();
        self.open.insert(id.clone());
        self.jobs.insert(id.clone(), Box::new(Job::new(job)));
        Ok(Enqueued::New(id))
    }

    /// Sets when a job is due.
    pub(super) fn run_at(&mut self, id: &JobId, run_at: i64) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.run_at = run_at;
        }
    }

    /// Undoes an enqueue.
    pub(super) fn forget(&mut self, id: &JobId) {
        self.jobs.remove(id);
        self.open.remove(id);
    }

    /// Refuses to go on unless the job is still held, by this claim and in this organization.
    pub(super) fn check_fence(&self, organization: &OrganizationId, fence: &Fence) -> Result<(), StoreError> {
        let held = self.jobs.get(&fence.job).filter(|job| job.has(fence));
        match held.filter(|job| job.organization == *organization) {
            Some(_) => Ok(()),
            None => Err(StoreError::Fenced(fence.job.clone())),
        }
    }

    pub(super) fn claim(&mut self, now_ms: i64, lease_ms: i64, limit: u32) -> Vec<ClaimedJob> {
        let mut free: Vec<&Job> = Vec::new();
        for job in self.open().filter(|job| job.is_due(now_ms)) {
            if self
                .open()
                .any(|other| other.is_held(now_ms) && other.shares_lane(job))
            {
                continue;
            }
            match free.iter_mut().find(|other| other.shares_lane(job)) {
                Some(first) if job.turn() < first.turn() => *first = job,
                Some(_) => {}
                None => free.push(job),
            }
        }
        free.sort_by_key(|job| (job.due_turn(), &job.id));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let ids: Vec<JobId> = free.into_iter().take(limit).map(|job| job.id.clone()).collect();
        let jobs = &mut self.jobs;
        ids.iter()
            .filter_map(|id| Some(jobs.get_mut(id)?.begin(now_ms.saturating_add(lease_ms))))
            .collect()
    }

    pub(super) fn heartbeat(
        &mut self,
        fence: &Fence,
        until_ms: i64,
        progress: (u64, Option<u64>),
    ) -> Result<(), StoreError> {
        let job = self.held(fence)?;
        job.lease_until = until_ms;
        job.progress = progress;
        Ok(())
    }

    /// Ends a job, or puts it back to wait for another attempt. Where an identical job waits by now, that one is the
    /// other attempt: it takes over the count, so that the pauses between attempts go on growing.
    pub(super) fn finish(
        &mut self,
        fence: &Fence,
        result: Result<Value, JobFailure>,
    ) -> Result<(), StoreError> {
        let job = self.held(fence)?;
        if result.is_ok() && !job.task.is_kept() {
            self.forget(&fence.job);
            return Ok(());
        }
        let attempts = job.attempts;
        let retry_at = match result {
            Ok(value) => {
                job.state = JobState::Succeeded;
                job.result = Some(value);
                job.failure = None;
                None
            }
            Err(failure) => {
                job.state = JobState::Failed;
                let retry_at = failure.retry_at;
                job.failure = Some(failure);
                retry_at
            }
        };
        let Some(retry_at) = retry_at else {
            self.open.remove(&fence.job);
            return Ok(());
        };
        let (organization, task) = (job.organization.clone(), job.task.clone());
        let other = self.open().find(|open| open.waits_for(&organization, &task));
        if let Some(other) = other.map(|other| other.id.clone()) {
            if let Some(other) = self.jobs.get_mut(&other) {
                other.attempts = other.attempts.max(attempts);
            }
            self.open.remove(&fence.job);
        } else if let Some(job) = self.jobs.get_mut(&fence.job) {
            job.state = JobState::Queued;
            job.run_at = retry_at;
        }
        Ok(())
    }

    /// Ends the leases of an earlier process. The tokens rise: nothing that it may still have on the way is taken.
    pub(super) fn take_over(&mut self) {
        for id in &self.open {
            if let Some(job) = self.jobs.get_mut(id).filter(|job| job.state == JobState::Running) {
                job.lease_until = 0;
                job.token += 1;
            }
        }
    }

    /// The job of a fence that still stands. A fence names a job without its organization.
    fn held(&mut self, fence: &Fence) -> Result<&mut Job, StoreError> {
        match self.jobs.get_mut(&fence.job).filter(|job| job.has(fence)) {
            Some(job) => Ok(job),
            None => Err(StoreError::Fenced(fence.job.clone())),
        }
    }
}
