//! Places for calls in vendors' own words: each holds a whole request and a whole answer in memory.

use std::sync::Arc;

use connector_sdk::Error;
use sync::ports::Provider;
use sync::state::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ProviderPool;

/// At once with the credentials of one connection, on one server.
const PER_CONNECTION: usize = 4;
/// At once on one server.
const IN_ALL: usize = 64;

/// A place; leaving it is dropping this.
#[derive(Debug)]
pub struct CallPermit {
    _of_the_connection: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

pub(super) fn of_a_connection() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(PER_CONNECTION))
}

pub(super) fn of_all() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(IN_ALL))
}

impl ProviderPool {
    /// A place for a call with this connection's credentials; `None` when all are taken.
    ///
    /// # Errors
    /// `Invalid` when the provider is unknown.
    pub fn call_permit(&self, connection: &Connection) -> Result<Option<CallPermit>, Error> {
        let service = self.service(&connection.provider)?;
        let of_the_connection = Arc::clone(&self.kept(service, &connection.id).calls).try_acquire_owned();
        let of_all = Arc::clone(&self.calls).try_acquire_owned();
        Ok(match (of_the_connection, of_all) {
            (Ok(of_the_connection), Ok(of_all)) => Some(CallPermit {
                _of_the_connection: of_the_connection,
                _of_all: of_all,
            }),
            (Err(_), _) | (_, Err(_)) => None,
        })
    }

    /// Opens a connection for a call whose answer has at most so many bytes.
    ///
    /// # Errors
    /// As [`sync::ports::Providers::open`].
    pub async fn open_for_call(&self, connection: &Connection, max_bytes: usize) -> Result<Provider, Error> {
        self.open_reading(connection, max_bytes).await
    }
}
