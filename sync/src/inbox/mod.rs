//! The inbox: what webhooks brought is taken in through the same merge as a pull, in the transaction that says what
//! became of each of them. So every webhook has its effect once, however often its work begins.
//!
//! A job works on a connection's webhooks in their order, in the lane of its syncs. What one of them cannot be
//! understood for keeps only that one back.

mod judge;
mod take;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use connector_sdk::webhooks::inbox::StoredHead;
use connector_sdk::{Error, ErrorKind, Notice, Retry, Route};
use futures::FutureExt as _;
use model::{ConnectionId, JobId};

use crate::engine::{Engine, Progress, Run, Summary, Trouble};
use crate::history::Via;
use crate::ports::{Effect, StoreError};
use crate::state::{ClaimedJob, Health, Inbound, InboundEnd, JobTask, NewJob};
use tokio_util::sync::CancellationToken;

/// Webhooks of one transaction.
const BATCH: u32 = 128;
/// Webhooks of one job: then others of the lane have their turn.
const LONGEST_RUN: usize = 4_096;
/// Failed attempts after which a webhook is put into quarantine.
pub const MAX_ATTEMPTS: u32 = 5;
/// Before the second attempt, in milliseconds; it doubles with each.
const FIRST_PAUSE_MS: i64 = 1_000;

/// A webhook that was understood.
struct Understood {
    inbound: Inbound,
    notices: Vec<Notice>,
}

/// Why one webhook was not worked off.
enum Failure {
    /// The matter is the webhook's own.
    Own { reason: String, for_good: bool },
    /// The matter is the connection's, the database's or the job's.
    Common(Trouble),
}

impl Engine {
    /// Works through a connection's inbox, then pushes what that made dirty on the same connection.
    pub(crate) async fn work_inbox(
        &self,
        job: &ClaimedJob,
        id: &ConnectionId,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Summary, Trouble> {
        let found = self.desk.store.connection(&job.organization, id).await?;
        let Some(connection) = found else {
            return self.drop_all(job, id).await;
        };
        if connection.health == Health::Paused {
            // What came waits with it.
            return Ok(Summary::default());
        }
        let provider = self.providers.open(&connection).await?;
        let mut run = Run {
            desk: self.desk.clone(),
            organization: job.organization.clone(),
            connection,
            provider,
            fence: Some(&job.fence),
            progress,
            cancel,
            approve_deletes: false,
            summary: Summary::default(),
            done: 0,
            asked: BTreeSet::new(),
        };
        let mut outcome = run.work_through_inbox().await;
        if matches!(&outcome, Err(Trouble::Provider(error)) if error.kind == ErrorKind::Unauthorized) {
            run.provider = self.providers.reopen(&run.connection, &run.provider).await?;
            outcome = run.work_through_inbox().await;
        }
        outcome.map(|()| run.summary)
    }

    /// The connection was removed between a webhook's arrival and its turn.
    async fn drop_all(&self, job: &ClaimedJob, id: &ConnectionId) -> Result<Summary, Trouble> {
        let store = &self.desk.store;
        loop {
            let left = store.inbox(&job.organization, id, i64::MAX, BATCH).await?;
            if left.is_empty() {
                return Ok(Summary::default());
            }
            let reason = "the connection was removed";
            let effects = left
                .into_iter()
                .map(|inbound| Effect::EndInbound {
                    inbound: inbound.id,
                    end: InboundEnd::Dropped(reason.to_owned()),
                    at: self.desk.now_ms(),
                })
                .collect();
            store.commit(&job.organization, Some(&job.fence), effects).await?;
        }
    }
}

impl Run<'_> {
    async fn work_through_inbox(&mut self) -> Result<(), Trouble> {
        self.desk.cause.via = Some(Via::Probe);
        self.recover().await?;
        self.desk.cause.via = Some(Via::Job);
        let mut seen = 0;
        loop {
            self.check_cancelled()?;
            let (organization, connection) = (&self.organization, &self.connection.id);
            let now_ms = self.desk.now_ms();
            let waiting = self
                .desk
                .store
                .inbox(organization, connection, now_ms, BATCH)
                .await?;
            if waiting.is_empty() {
                break;
            }
            let count = waiting.len();
            self.take_batch(waiting, now_ms).await?;
            seen += count;
            self.advance(count as u64, None);
            if count < BATCH as usize {
                // What came since has a job of its own, which begins when this one has ended.
                break;
            }
            if seen >= LONGEST_RUN {
                let next = self.inbox_job(now_ms);
                self.commit(vec![next]).await?;
                break;
            }
        }
        self.push().await
    }

    /// Works on webhooks together; where that fails for a reason of one of them, on each by itself.
    async fn take_batch(&mut self, waiting: Vec<Inbound>, now_ms: i64) -> Result<(), Trouble> {
        let mut understood = Vec::with_capacity(waiting.len());
        for inbound in waiting {
            match self.understand(&inbound) {
                Ok(notices) => understood.push(Understood { inbound, notices }),
                Err(failure) => self.note_failure(&inbound, failure).await?,
            }
        }
        match self.try_taking(&understood).await {
            Ok(()) => return Ok(()),
            Err(Failure::Common(trouble)) => return Err(trouble),
            Err(failure @ Failure::Own { .. }) if understood.len() == 1 => {
                return self.note_failure(&understood[0].inbound, failure).await;
            }
            Err(Failure::Own { .. }) => {}
        }
        // What concerned a collection that came before the failure is taken and ended.
        let left = self
            .desk
            .store
            .inbox(&self.organization, &self.connection.id, now_ms, BATCH)
            .await?;
        let waits = |one: &&Understood| left.iter().any(|left| left.id == one.inbound.id);
        for one in understood.iter().filter(waits) {
            match self.try_taking(std::slice::from_ref(one)).await {
                Ok(()) => {}
                Err(Failure::Common(trouble)) => return Err(trouble),
                Err(failure) => self.note_failure(&one.inbound, failure).await?,
            }
        }
        Ok(())
    }

    /// What a webhook says. A connector that panics over it is not asked by all the others' leave.
    fn understand(&self, inbound: &Inbound) -> Result<Vec<Notice>, Failure> {
        let read = || {
            let facet = self.provider.connector.webhooks().ok_or_else(|| {
                let message = "this provider's connector takes no webhooks any more";
                Error::new(ErrorKind::Unsupported, "webhook.parse", message)
            })?;
            let head: StoredHead = serde_json::from_str(&inbound.head).map_err(|error| {
                Error::new(
                    ErrorKind::Unexpected,
                    "webhook.inbox",
                    "the stored request is damaged",
                )
                .with_source(error)
            })?;
            let request = head.restore(inbound.body.clone())?;
            facet.parse(&request, inbound.route.clone().map(Route).as_ref())
        };
        match std::panic::catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(notices)) => Ok(notices),
            Ok(Err(error)) => Err(Failure::Own {
                reason: error.to_string(),
                for_good: error.retry == Retry::Permanent,
            }),
            Err(_) => Err(Failure::panicked()),
        }
    }

    async fn try_taking(&mut self, understood: &[Understood]) -> Result<(), Failure> {
        if understood.is_empty() {
            return Ok(());
        }
        match AssertUnwindSafe(self.take_together(understood))
            .catch_unwind()
            .await
        {
            Ok(Ok(())) => Ok(()),
            Ok(Err(trouble)) => Err(Failure::of(trouble)),
            Err(_) => Err(Failure::panicked()),
        }
    }

    /// Another attempt later, or quarantine. The rest goes on.
    async fn note_failure(&mut self, inbound: &Inbound, failure: Failure) -> Result<(), Trouble> {
        let (reason, for_good) = match failure {
            Failure::Own { reason, for_good } => (reason, for_good),
            Failure::Common(trouble) => return Err(trouble),
        };
        let now_ms = self.desk.now_ms();
        let mut effects = Vec::new();
        let end = if for_good || inbound.attempts + 1 >= MAX_ATTEMPTS {
            tracing::warn!(webhook = %inbound.id, connection = %self.connection.id, reason, "quarantined");
            self.summary.quarantined += 1;
            InboundEnd::Quarantined(reason)
        } else {
            let at = now_ms + self.pause_ms(inbound.attempts);
            effects.push(self.inbox_job(at));
            InboundEnd::Retry { at, reason }
        };
        effects.push(Effect::EndInbound {
            inbound: inbound.id.clone(),
            end,
            at: now_ms,
        });
        Ok(self.commit(effects).await?)
    }

    /// Doubling, and up to half as long again, so that what failed together does not come back together.
    fn pause_ms(&self, attempts: u32) -> i64 {
        let pause = FIRST_PAUSE_MS << attempts.min(9);
        let jitter = self.desk.random() % (pause.unsigned_abs() / 2 + 1) as u128;
        pause + i64::try_from(jitter).unwrap_or_default()
    }

    fn inbox_job(&self, run_at: i64) -> Effect {
        self.job(
            JobTask::Inbox {
                connection: self.connection.id.clone(),
            },
            run_at,
        )
    }

    fn job(&self, task: JobTask, run_at: i64) -> Effect {
        Effect::Enqueue(Box::new(NewJob {
            id: JobId::new(self.desk.epoch_ms(), self.desk.random()),
            organization: self.organization.clone(),
            task,
            run_at,
        }))
    }
}

impl Failure {
    fn panicked() -> Self {
        Self::Own {
            reason: "a fault of the program ended the work on it; nothing of it was taken over".to_owned(),
            for_good: false,
        }
    }

    /// Whether another webhook of the connection would meet the same trouble.
    fn of(trouble: Trouble) -> Self {
        let own = |trouble: &Trouble, for_good| Self::Own {
            reason: trouble.to_string(),
            for_good,
        };
        match &trouble {
            Trouble::Provider(error) => match error.kind {
                ErrorKind::Unauthorized
                | ErrorKind::PermissionDenied
                | ErrorKind::RateLimited
                | ErrorKind::Unavailable => Self::Common(trouble),
                ErrorKind::NotFound
                | ErrorKind::VersionConflict
                | ErrorKind::AlreadyExists
                | ErrorKind::CursorExpired
                | ErrorKind::Invalid
                | ErrorKind::Unsupported
                | ErrorKind::BadSignature
                | ErrorKind::Unexpected => own(&trouble, error.retry == Retry::Permanent),
            },
            Trouble::Store(StoreError::Corrupt { .. }) => own(&trouble, false),
            Trouble::Store(StoreError::Stale(_) | StoreError::Fenced(_) | StoreError::Database(_))
            | Trouble::Gone(_)
            | Trouble::Cancelled
            | Trouble::Held(_)
            | Trouble::HeldChanges(_) => Self::Common(trouble),
        }
    }
}
