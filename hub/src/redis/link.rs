//! The connection to the server: kept up, given up at the first trouble, and taken up again by itself. Whoever asks
//! while it is down is told so at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connector_sdk::Clock;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult};
use sync::ports::Entropy;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::budget;
use super::{Address, Reason};

/// How long a question may take, the way there and back included. Nobody waits longer for the server.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_millis(250);
/// How long a connection may take to be made. Nobody waits for that.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// Between two looks at a connection that nobody uses.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The shortest and the longest pause between two attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// A connection that lasted this long was a good one: the next pause is the shortest again.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// The server, as this node sees it. Cheap to clone.
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

struct Shared {
    address: Address,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    stopping: CancellationToken,
    state: watch::Sender<State>,
    outages: AtomicU64,
    said: Mutex<Option<Result<(), Reason>>>,
}

/// Whether there is a connection, and which.
#[derive(Clone)]
enum State {
    Down,
    Up {
        connection: MultiplexedConnection,
        number: u64,
    },
}

impl State {
    const fn number(&self) -> Option<u64> {
        match self {
            Self::Down => None,
            Self::Up { number, .. } => Some(*number),
        }
    }
}

impl Redis {
    /// Keeps a connection to the server until `stopping` is cancelled. Does not wait for it.
    #[must_use]
    pub fn start(
        address: Address,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        stopping: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let redis = Self(Arc::new(Shared {
            address,
            clock,
            entropy,
            stopping,
            state: watch::channel(State::Down).0,
            outages: AtomicU64::new(0),
            said: Mutex::new(None),
        }));
        let kept = tokio::spawn(redis.clone().keep());
        (redis, kept)
    }

    /// Whether it answers, as far as is known.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.state.borrow().number().is_some()
    }

    /// How often it was lost.
    #[must_use]
    pub fn outages(&self) -> u64 {
        self.0.outages.load(Ordering::Acquire)
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.0.address
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    pub(super) fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// Returns when it answers.
    pub(super) async fn up(&self) {
        self.until(|number| number.is_some()).await;
    }

    /// Asks the server, for [`ANSWER_WITHIN`] at most. Nothing when it is down, or was no help: then it is down from now
    /// on, until it answers again.
    pub(super) async fn ask<T, F>(&self, question: impl FnOnce(MultiplexedConnection) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let (connection, number) = match &*self.0.state.borrow() {
            State::Down => return None,
            State::Up { connection, number } => (connection.clone(), *number),
        };
        match within(ANSWER_WITHIN, question(connection)).await {
            Ok(answer) => Some(answer),
            Err(reason) => {
                self.lose(number, reason);
                None
            }
        }
    }

    /// Something is wrong with what the server said on its present connection.
    pub(super) fn distrust(&self) {
        let number = self.0.state.borrow().number();
        if let Some(number) = number {
            self.lose(number, Reason::Nonsense);
        }
    }

    /// Gives this connection up, unless that was done already.
    fn lose(&self, number: u64, reason: Reason) {
        let lost = self.0.state.send_if_modified(|state| {
            let current = state.number() == Some(number);
            if current {
                // Dropping the last handle of a connection closes it.
                *state = State::Down;
            }
            current
        });
        if lost {
            self.0.outages.fetch_add(1, Ordering::AcqRel);
            metrics::counter!("concord_redis_outages_total").increment(1);
            self.say(Err(reason));
        }
    }

    /// One line per change.
    fn say(&self, news: Result<(), Reason>) {
        let mut said = self.said();
        let before = said.replace(news);
        let address = &self.0.address;
        match news {
            Ok(()) if before != Some(Ok(())) => {
                tracing::info!(redis = %address, "Redis answers: nodes share rates and hear of changes through it");
            }
            Err(reason) if !matches!(before, Some(Err(_))) => tracing::warn!(
                redis = %address, %reason,
                "Redis is no help: each node keeps to its share of the vendors' rates, and hears of changes through the \
                 database. Nothing is lost; it is tried again by itself"
            ),
            Ok(()) | Err(_) => {}
        }
    }

    fn said(&self) -> MutexGuard<'_, Option<Result<(), Reason>>> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep(self) {
        let mut number = 0;
        let mut pause = PAUSES.0;
        loop {
            let connected = tokio::select! {
                () = self.0.stopping.cancelled() => return,
                connected = self.connect() => connected,
            };
            match connected {
                Ok(connection) => {
                    number += 1;
                    self.0.state.send_replace(State::Up { connection, number });
                    self.say(Ok(()));
                    let begun = tokio::time::Instant::now();
                    self.watch(number).await;
                    if begun.elapsed() >= STEADY_AFTER {
                        pause = PAUSES.0;
                    }
                }
                Err(reason) => self.say(Err(reason)),
            }
            tokio::select! {
                () = self.0.stopping.cancelled() => return,
                () = self.rest(pause) => {}
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Connects, and finds out whether the server does what it is for.
    async fn connect(&self) -> Result<MultiplexedConnection, Reason> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let client = self.0.address.client();
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let connection = within(CONNECT_WITHIN, connecting).await?;
        within(CONNECT_WITHIN, budget::probe(connection.clone())).await?;
        Ok(connection)
    }

    /// Returns when this connection is no more, or everything stops.
    async fn watch(&self, number: u64) {
        loop {
            tokio::select! {
                () = self.0.stopping.cancelled() => return,
                () = self.until(|current| current != Some(number)) => return,
                () = self.0.clock.sleep(LOOK_EVERY) => {
                    self.ask(async |mut connection| {
                        redis::cmd("PING").query_async::<String>(&mut connection).await
                    })
                    .await;
                }
            }
        }
    }

    /// Returns when the number of the connection is such.
    async fn until(&self, wanted: impl Fn(Option<u64>) -> bool) {
        let mut state = self.0.state.subscribe();
        // The sender lives as long as this does.
        let _ = state.wait_for(|state| wanted(state.number())).await;
    }

    /// Waits about as long: nodes that lost the server together do not come back in step.
    pub(super) async fn rest(&self, pause: Duration) {
        let half = pause / 2;
        let share = (self.0.entropy.random() % 1_000) as u32;
        self.0.clock.sleep(half + half * share / 1_000).await;
    }

    pub(super) fn random(&self) -> u128 {
        self.0.entropy.random()
    }
}

/// What comes of it in this time.
pub(super) async fn within<T>(
    time: Duration,
    asked: impl Future<Output = RedisResult<T>>,
) -> Result<T, Reason> {
    match tokio::time::timeout(time, asked).await {
        Ok(answer) => answer.map_err(|error| Reason::from(&error)),
        Err(_) => Err(Reason::Late),
    }
}
