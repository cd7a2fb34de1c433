//! Connections to a server, and who may wait for one. Waiting for a busy pool and waiting for a server that is away are
//! different things: the first may take its time, the second must be said at once. The pool's own limit of time knows
//! no difference, so that room is given out here, and the pool's limit is left to the making of connections.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Error;
use sqlx::postgres::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a caller waits for others to be done.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pool with room for as many as it has connections.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(super) pool: PgPool,
    room: Arc<Semaphore>,
    /// When a connection was last not to be had.
    away: Mutex<Option<Instant>>,
}

/// Room for one. Given back when dropped.
pub(crate) type Place = OwnedSemaphorePermit;

impl Gate {
    pub(crate) fn new(pool: PgPool, connections: u32) -> Self {
        Self {
            pool,
            room: Arc::new(Semaphore::new(connections as usize)),
            away: Mutex::new(None),
        }
    }

    /// The connections themselves, for what waits for nobody.
    pub(crate) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Waits for room. Who waited while somebody else found the server away does not look again.
    pub(super) async fn enter(&self) -> Result<Place, Error> {
        let began = Instant::now();
        let place = tokio::time::timeout(PATIENCE, Arc::clone(&self.room).acquire_owned());
        let Ok(Ok(place)) = place.await else {
            return Err(Error::PoolTimedOut);
        };
        let away = *self.away.lock().unwrap_or_else(PoisonError::into_inner);
        match away {
            Some(at) if at >= began => Err(Error::PoolTimedOut),
            Some(_) | None => Ok(place),
        }
    }

    /// Notes whether the server was there.
    pub(super) fn note<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::PoolTimedOut | Error::Io(_)) = &answer {
            *self.away.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        let pool = PgPool::connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
        Gate::new(pool, 1)
    }

    #[tokio::test]
    async fn who_waits_for_a_server_that_is_away_hears_with_the_first() {
        let gate = Arc::new(gate());
        let first = gate.enter().await.unwrap();
        let others: Vec<_> = (0..5)
            .map(|_| {
                let gate = Arc::clone(&gate);
                tokio::spawn(async move { gate.enter().await.map(drop) })
            })
            .collect();
        tokio::task::yield_now().await;
        gate.note::<()>(Err(Error::PoolTimedOut)).unwrap_err();
        drop(first);
        for other in others {
            assert!(matches!(other.await.unwrap(), Err(Error::PoolTimedOut)));
        }
        assert!(gate.enter().await.is_ok(), "the next one looks for itself");
    }

    #[tokio::test]
    async fn who_waits_for_others_gets_the_room_that_they_leave() {
        let gate = Arc::new(gate());
        let first = gate.enter().await.unwrap();
        let other = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter().await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!other.is_finished());
        drop(first);
        other.await.unwrap().unwrap();
    }
}
