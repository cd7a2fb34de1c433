//! A vendor's rate that nodes share: turns are booked at the server by one atomic script. Without it each node keeps to
//! its share, and never to more.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use connector_sdk::Clock;
use connector_sdk::layers::Budget;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use model::ConnectionId;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisResult, Script};
use store::SqlStore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Redis;

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("turn.lua")));
/// How far ahead turns are booked. Who would wait longer asks again later.
const AHEAD: Duration = Duration::from_secs(10);
/// The longest pause before asking again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Between two counts of the nodes.
const COUNT_EVERY: Duration = Duration::from_secs(10);
const SECOND_US: u64 = 1_000_000;

/// How many nodes there are, as the database knew when it was last asked. Clones share the number.
#[derive(Clone, Debug)]
pub struct Nodes(Arc<AtomicU32>);

impl Nodes {
    /// So many; never none.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self(Arc::new(AtomicU32::new(number.max(1))))
    }

    /// How many there are.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// There are so many now.
    pub fn set(&self, number: u32) {
        self.0.store(number.max(1), Ordering::Release);
    }

    /// Counts those of the database, and goes on doing so until `stop` is cancelled. While it does not answer the last
    /// number stands.
    pub async fn count(self, store: SqlStore, clock: Arc<dyn Clock>, stop: CancellationToken) {
        loop {
            if let Ok(nodes) = store.nodes().await {
                self.set(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock.sleep(COUNT_EVERY) => {}
            }
        }
    }
}

/// Makes the budgets of connections.
#[derive(Clone)]
pub struct Budgets {
    redis: Redis,
    nodes: Nodes,
}

impl Budgets {
    /// Budgets that are shared through this server, among so many nodes when it is no help.
    #[must_use]
    pub const fn new(redis: Redis, nodes: Nodes) -> Self {
        Self { redis, nodes }
    }

    /// A connection's, of so many requests each second, and as many at once.
    #[must_use]
    pub fn of(&self, connection: &ConnectionId, per_second: NonZeroU32) -> Arc<dyn Budget> {
        Arc::new(SharedBudget {
            redis: self.redis.clone(),
            nodes: self.nodes.clone(),
            key: format!("concord:budget:{connection}"),
            per_second,
            share: Mutex::new(Share {
                settled: Some(self.redis.outages()),
                booked_until: Instant::now(),
                own: None,
            }),
        })
    }
}

struct SharedBudget {
    redis: Redis,
    nodes: Nodes,
    key: String,
    per_second: NonZeroU32,
    share: Mutex<Share>,
}

/// What this node may do by itself.
struct Share {
    /// The outages after which the server knows what is left; nothing once a turn was taken without it.
    settled: Option<u64>,
    /// When the last turn comes that was booked there: before that the share is not touched.
    booked_until: Instant,
    own: Option<Own>,
}

struct Own {
    outages: u64,
    nodes: u32,
    limiter: Arc<DefaultDirectRateLimiter>,
}

/// What the server said.
enum Turn {
    /// After this time it is ours.
    Booked(Duration),
    /// Too many wait.
    Later(Duration),
}

#[async_trait]
impl Budget for SharedBudget {
    async fn turn(&self) {
        loop {
            match self.book().await {
                Some(Turn::Booked(wait)) => {
                    metrics::counter!("concord_budget_turns_total", "from" => "redis").increment(1);
                    if !wait.is_zero() {
                        self.redis.clock().sleep(wait).await;
                    }
                    return;
                }
                Some(Turn::Later(wait)) => self.redis.clock().sleep(wait).await,
                None => tokio::select! {
                    () = self.turn_of_own() => {
                        metrics::counter!("concord_budget_turns_total", "from" => "share").increment(1);
                        return;
                    }
                    () = self.redis.up() => {}
                },
            }
        }
    }
}

impl SharedBudget {
    /// A turn booked at the server; nothing when that is no help.
    async fn book(&self) -> Option<Turn> {
        let outages = self.redis.outages();
        let unsettled = self.share().settled != Some(outages);
        let answer = self
            .redis
            .ask(|connection| book(connection, &self.key, self.per_second, unsettled))
            .await?;
        let turn = read(answer);
        match turn {
            Some(Turn::Booked(wait)) => {
                let mut share = self.share();
                share.settled = Some(outages);
                share.booked_until = share.booked_until.max(Instant::now() + wait);
            }
            Some(Turn::Later(_)) => {}
            None => self.redis.distrust(),
        }
        turn
    }

    /// A turn of the node's own share.
    async fn turn_of_own(&self) {
        let booked_until = self.share().booked_until;
        let wait = booked_until.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            self.redis.clock().sleep(wait).await;
        }
        self.own().until_ready().await;
    }

    /// The node's own share. It begins spent whenever the server was lost or the share became another: what was taken
    /// right before counts.
    fn own(&self) -> Arc<DefaultDirectRateLimiter> {
        let (outages, nodes) = (self.redis.outages(), self.nodes.number());
        let mut share = self.share();
        share.settled = None;
        if let Some(own) = &share.own
            && (own.outages, own.nodes) == (outages, nodes)
        {
            return Arc::clone(&own.limiter);
        }
        let (quota, burst) = share_of(self.per_second, nodes);
        let limiter = Arc::new(RateLimiter::direct(quota));
        let _ = limiter.check_n(burst);
        share.own = Some(Own {
            outages,
            nodes,
            limiter: Arc::clone(&limiter),
        });
        limiter
    }

    fn share(&self) -> MutexGuard<'_, Share> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rate of one of so many nodes, and how much of it may be taken at once.
fn share_of(per_second: NonZeroU32, nodes: u32) -> (Quota, NonZeroU32) {
    let burst = NonZeroU32::new(per_second.get() / nodes.max(1)).unwrap_or(NonZeroU32::MIN);
    let period = Duration::from_secs(1) * nodes.max(1) / per_second.get();
    let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    (quota.allow_burst(burst), burst)
}

async fn book(
    mut connection: MultiplexedConnection,
    key: &str,
    per_second: NonZeroU32,
    unsettled: bool,
) -> RedisResult<(i64, i64)> {
    let interval = SECOND_US / u64::from(per_second.get());
    SCRIPT
        .key(key)
        .arg(interval)
        .arg(interval * u64::from(per_second.get()))
        .arg(AHEAD.as_micros() as u64)
        .arg(if unsettled { "spent" } else { "known" })
        .invoke_async(&mut connection)
        .await
}

/// What the answer means; nothing when it means nothing.
fn read((kind, wait_us): (i64, i64)) -> Option<Turn> {
    let wait = Duration::from_micros(u64::try_from(wait_us).ok()?);
    match kind {
        0 => Some(Turn::Later(wait.clamp(Duration::from_millis(10), ASK_AGAIN))),
        1 if wait <= AHEAD => Some(Turn::Booked(wait)),
        _ => None,
    }
}

/// Books a turn that nobody wants: whether the server runs the script, and may write.
pub(super) async fn probe(connection: MultiplexedConnection) -> RedisResult<()> {
    let answer = book(connection, "concord:probe", NonZeroU32::MAX, false).await?;
    match read(answer) {
        Some(_) => Ok(()),
        None => Err((
            ErrorKind::UnexpectedReturnType,
            "the script's answer means nothing",
        )
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_nothing_and_all_shares_together_are_no_more_than_the_rate() {
        for per_second in [1_u32, 2, 3, 10, 1_000] {
            for nodes in [0_u32, 1, 2, 3, 7, 5_000] {
                let rate = NonZeroU32::new(per_second).unwrap();
                let (quota, burst) = share_of(rate, nodes);
                assert!(burst.get() <= rate.get());
                assert_eq!(quota.burst_size(), burst);
                let together = f64::from(nodes.max(1)) / quota.replenish_interval().as_secs_f64();
                assert!(
                    together <= f64::from(per_second) * 1.000_001,
                    "{per_second} {nodes} {together}"
                );
            }
        }
    }

    #[test]
    fn an_answer_that_means_nothing_is_none() {
        assert!(matches!(read((1, 0)), Some(Turn::Booked(Duration::ZERO))));
        assert!(matches!(read((0, i64::MAX)), Some(Turn::Later(ASK_AGAIN))));
        for nonsense in [(1, -1), (1, i64::MAX), (2, 0), (-1, 5), (0, i64::MIN)] {
            assert!(read(nonsense).is_none(), "{nonsense:?}");
        }
    }
}
