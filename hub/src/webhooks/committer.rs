//! Group commit: concurrent handlers hand their webhooks to one committer, which writes all that wait in one
//! transaction and then answers each. A disk syncs once per batch, not once per webhook; while it does, the next batch
//! gathers by itself. Nobody waits for a batch to fill. A server takes two batches at once: one is worked on while the
//! other waits for the disk.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use store::{NewInbound, Receipt, SqliteStore};
use sync::ports::StoreError;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::late::{Late, Sign};

/// Deliveries of one transaction; one that concerns many connections is as many rows.
pub const BATCH: usize = 512;
/// Webhooks that wait for a transaction; more are turned away at once.
pub const QUEUE: usize = 4_096;
/// How long a caller waits for the commit. After that it is told to come again: what is committed nevertheless is
/// recognised then by its delivery id.
pub const COMMIT_WITHIN: Duration = Duration::from_millis(950);
/// How long a transaction may take. Nobody waits for it by then; what it did nevertheless is recognised, too. A network
/// that lost a server says nothing for many minutes, and the server that took its place is not asked meanwhile.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(30);

/// Where webhooks are made durable: the store, or a test's stand-in that fails.
#[async_trait]
pub trait InboxPort: Send + Sync {
    /// Writes all of them in one transaction, or none. Answers for each, in their order.
    async fn receive(&self, rows: Vec<NewInbound>) -> Result<Vec<Receipt>, StoreError>;

    /// Batches that it is given at once, at least one.
    fn lanes(&self) -> usize;
}

#[async_trait]
impl InboxPort for SqliteStore {
    fn lanes(&self) -> usize {
        self.receives_at_once()
    }

    async fn receive(&self, rows: Vec<NewInbound>) -> Result<Vec<Receipt>, StoreError> {
        Self::receive(self, rows).await
    }
}

/// Why a webhook was not made durable. Whatever it is, the provider sends it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Turned {
    /// More come than can be written.
    #[error("too many deliveries wait to be stored")]
    Full,
    /// The database failed.
    #[error("the database does not take deliveries now")]
    Failed,
    /// The database takes too long.
    #[error("the database did not take the delivery in time")]
    Late,
}

impl Turned {
    /// The word for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "queue_full",
            Self::Failed => "store_failed",
            Self::Late => "store_late",
        }
    }
}

struct Waiting {
    rows: Vec<NewInbound>,
    sign: Option<Sign>,
    answer: oneshot::Sender<Result<Vec<Receipt>, Turned>>,
}

/// The way to the committer. Clones share it; the committer ends with the last of them.
#[derive(Clone)]
pub struct Committer {
    queue: mpsc::Sender<Waiting>,
    late: Late,
}

impl Committer {
    /// A committer on this inbox, as a task of its own.
    #[must_use]
    pub fn start(inbox: Arc<dyn InboxPort>) -> Self {
        Self::start_with(inbox, GIVEN_UP_AFTER)
    }

    fn start_with(inbox: Arc<dyn InboxPort>, given_up_after: Duration) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let late = Late::default();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..inbox.lanes().max(1) {
            tokio::spawn(commit_all(
                Arc::clone(&inbox),
                Arc::clone(&waiting),
                late.clone(),
                given_up_after,
            ));
        }
        Self { queue, late }
    }

    /// Makes webhooks durable, all together, and waits for the commit.
    ///
    /// # Errors
    /// When they are not known to be durable; the caller must not be told that they are.
    pub async fn commit(&self, rows: Vec<NewInbound>) -> Result<Vec<Receipt>, Turned> {
        let sign = Late::sign(&rows);
        if sign.is_some_and(|sign| self.late.holds(&sign)) {
            return Ok(vec![Receipt::Seen; rows.len()]);
        }
        let (answer, answered) = oneshot::channel();
        self.queue
            .try_send(Waiting { rows, sign, answer })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Turned::Full,
                mpsc::error::TrySendError::Closed(_) => Turned::Failed,
            })?;
        match tokio::time::timeout(COMMIT_WITHIN, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Turned::Failed),
            Err(_) => Err(Turned::Late),
        }
    }
}

async fn commit_all(
    inbox: Arc<dyn InboxPort>,
    waiting: Arc<Mutex<mpsc::Receiver<Waiting>>>,
    late: Late,
    given_up_after: Duration,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let taken = waiting.lock().await.recv_many(&mut batch, BATCH).await;
        if taken == 0 {
            return;
        }
        // Whoever gave up has been told to come again.
        batch.retain(|waiting| !waiting.answer.is_closed());
        if batch.is_empty() {
            continue;
        }
        let counts: Vec<usize> = batch.iter().map(|waiting| waiting.rows.len()).collect();
        let rows: Vec<NewInbound> = batch
            .iter_mut()
            .flat_map(|waiting| std::mem::take(&mut waiting.rows))
            .collect();
        let size = rows.len();
        let begun = tokio::time::Instant::now();
        let outcome = tokio::time::timeout(given_up_after, inbox.receive(rows)).await;
        let outcome = outcome.unwrap_or_else(|elapsed| Err(StoreError::Database(elapsed.into())));
        metrics::histogram!("concord_webhook_commit_seconds").record(begun.elapsed().as_secs_f64());
        metrics::histogram!("concord_webhook_batch_rows").record(size as f64);
        match outcome {
            Ok(receipts) => {
                let mut receipts = receipts.into_iter();
                for (waiting, count) in batch.drain(..).zip(counts) {
                    let answered = waiting.answer.send(Ok(receipts.by_ref().take(count).collect()));
                    if answered.is_err()
                        && let Some(sign) = waiting.sign
                    {
                        late.note(sign);
                    }
                }
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, source, rows = size, "webhooks could not be stored; their senders are told to come again");
                for waiting in batch.drain(..) {
                    let _ = waiting.answer.send(Err(Turned::Failed));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use bytes::Bytes;
    use model::{ConnectionId, InboundId, JobId, OrganizationId};
    use tokio::sync::Semaphore;

    use super::*;

    /// Notes batches; each waits for a permit.
    struct Gated {
        gate: Semaphore,
        failing: AtomicBool,
        batches: std::sync::Mutex<Vec<usize>>,
    }

    impl Gated {
        fn closed() -> Arc<Self> {
            Arc::new(Self {
                gate: Semaphore::new(0),
                failing: AtomicBool::new(false),
                batches: std::sync::Mutex::default(),
            })
        }
    }

    #[async_trait]
    impl InboxPort for Gated {
        fn lanes(&self) -> usize {
            1
        }

        async fn receive(&self, rows: Vec<NewInbound>) -> Result<Vec<Receipt>, StoreError> {
            self.gate.acquire().await.unwrap().forget();
            self.batches.lock().unwrap().push(rows.len());
            if self.failing.load(Ordering::Relaxed) {
                return Err(StoreError::Database("disk full".into()));
            }
            Ok(rows.iter().map(|_| Receipt::Stored).collect())
        }
    }

    fn row(number: u128) -> NewInbound {
        NewInbound {
            id: InboundId::new(1, number),
            organization: OrganizationId::new(1, 1),
            connection: Some(ConnectionId::new(1, 1)),
            app: None,
            route: None,
            provider: "memory".to_owned(),
            delivery: None,
            head: String::new(),
            body: Bytes::new(),
            trace: None,
            received_at: 0,
            job: JobId::new(1, number),
        }
    }

    #[tokio::test]
    async fn what_gathers_during_a_commit_is_one_transaction() {
        let inbox = Gated::closed();
        let committer = Committer::start(inbox.clone());
        let all = futures::future::join_all((0..700).map(|number| committer.commit(vec![row(number)])));
        let open = async {
            tokio::task::yield_now().await;
            inbox.gate.add_permits(100);
        };
        let (answers, ()) = tokio::join!(all, open);
        assert!(answers.iter().all(|answer| *answer == Ok(vec![Receipt::Stored])));
        let batches = inbox.batches.lock().unwrap().clone();
        assert_eq!(batches.iter().sum::<usize>(), 700);
        assert!(batches.len() <= 4, "{batches:?}");
        assert!(batches.iter().all(|size| *size <= BATCH), "{batches:?}");
    }

    #[tokio::test]
    async fn a_failed_transaction_is_told_to_each_and_the_next_one_is_tried() {
        let inbox = Gated::closed();
        inbox.failing.store(true, Ordering::Relaxed);
        inbox.gate.add_permits(2);
        let committer = Committer::start(inbox.clone());
        assert_eq!(committer.commit(vec![row(1)]).await, Err(Turned::Failed));
        inbox.failing.store(false, Ordering::Relaxed);
        assert_eq!(
            committer.commit(vec![row(2), row(3)]).await,
            Ok(vec![Receipt::Stored; 2])
        );
    }

    /// Never answers the first time.
    struct Hung(AtomicBool);

    #[async_trait]
    impl InboxPort for Hung {
        fn lanes(&self) -> usize {
            1
        }

        async fn receive(&self, rows: Vec<NewInbound>) -> Result<Vec<Receipt>, StoreError> {
            if !self.0.swap(true, Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok(rows.iter().map(|_| Receipt::Stored).collect())
        }
    }

    #[tokio::test]
    async fn a_transaction_that_never_ends_is_given_up_and_the_next_one_is_tried() {
        let inbox = Arc::new(Hung(AtomicBool::new(false)));
        let committer = Committer::start_with(inbox, Duration::from_millis(20));
        assert_eq!(committer.commit(vec![row(1)]).await, Err(Turned::Failed));
        assert_eq!(committer.commit(vec![row(2)]).await, Ok(vec![Receipt::Stored]));
    }

    #[tokio::test]
    async fn what_was_committed_too_late_is_acknowledged_at_once_when_it_comes_again() {
        let inbox = Gated::closed();
        let committer = Committer::start(inbox.clone());
        let named = |number: u128, delivery: &str| NewInbound {
            delivery: Some(delivery.to_owned()),
            ..row(number)
        };
        assert_eq!(committer.commit(vec![named(1, "a")]).await, Err(Turned::Late));
        // One more that waits behind the first, and whose answer says that the first is written.
        let behind = committer.commit(vec![named(2, "b")]);
        let (behind, ()) = tokio::join!(behind, async { inbox.gate.add_permits(2) });
        assert_eq!(behind, Ok(vec![Receipt::Stored]));
        // Nothing can be written now, and nothing has to be.
        assert_eq!(
            committer.commit(vec![named(3, "a")]).await,
            Ok(vec![Receipt::Seen])
        );
        assert_eq!(*inbox.batches.lock().unwrap(), [1, 1]);
        let other = NewInbound {
            route: Some("elsewhere".to_owned()),
            ..named(4, "a")
        };
        assert_eq!(
            committer.commit(vec![other]).await,
            Err(Turned::Late),
            "another one"
        );
    }

    #[tokio::test]
    async fn a_store_that_hangs_keeps_nobody_waiting_and_a_full_queue_turns_away_at_once() {
        let inbox = Gated::closed();
        let committer = Committer::start(inbox.clone());
        let many = (0..QUEUE as u128 + 2_000).map(|number| committer.commit(vec![row(number)]));
        let answers = futures::future::join_all(many).await;
        assert!(answers.iter().all(Result::is_err));
        assert!(answers.contains(&Err(Turned::Full)) && answers.contains(&Err(Turned::Late)));
        // Those who gave up are not written once it goes on.
        inbox.gate.add_permits(1_000);
        assert_eq!(committer.commit(vec![row(9)]).await, Ok(vec![Receipt::Stored]));
        let written: usize = inbox.batches.lock().unwrap().iter().sum();
        assert!(written <= BATCH + 1, "{written}");
    }
}
