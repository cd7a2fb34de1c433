//! Which endpoints this node sends to: those it holds a lease of. Starts and ends their tasks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use store::WebhookEndpoint;
use tokio_util::sync::CancellationToken;

use super::endpoint::{self, Handle};
use super::record::{self, Outcomes};
use super::{Dispatcher, derive};

/// How long an endpoint stays ours without a sign of life.
const LEASE_MS: i64 = 30_000;
/// Between two signs of life.
const RENEW: Duration = Duration::from_secs(10);
/// How long after the longest attempt the last ones have to be written down when the server stops.
const PATIENCE: Duration = Duration::from_secs(2);

/// Works until `stop` is cancelled, then ends in order: nothing more is begun, what is under way ends and is written
/// down, and the endpoints are free for others.
pub(super) async fn run(dispatcher: Dispatcher, outcomes: Outcomes, stop: CancellationToken) {
    let written = CancellationToken::new();
    let recorder = tokio::spawn(record::run(dispatcher.clone(), outcomes, written.clone()));
    let deriving = tokio::spawn(derive::run(dispatcher.clone(), stop.clone()));
    let mut held_until = 0;
    while !stop.is_cancelled() {
        let begun = dispatcher.0.clock.now_ms();
        match lease(&dispatcher, begun).await {
            Ok(endpoints) => {
                held_until = begun + LEASE_MS;
                reconcile(&dispatcher, endpoints);
            }
            Err(error) => {
                tracing::error!(%error, "webhook endpoints cannot be leased; tried again soon");
                if dispatcher.0.clock.now_ms() >= held_until {
                    reconcile(&dispatcher, Vec::new());
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = dispatcher.0.leases.notified() => {}
            () = dispatcher.0.clock.sleep(RENEW) => {}
        }
    }
    reconcile(&dispatcher, Vec::new());
    dispatcher.0.sending.close();
    let patience = dispatcher.0.limits.attempt + PATIENCE;
    if tokio::time::timeout(patience, dispatcher.0.sending.wait())
        .await
        .is_err()
    {
        tracing::warn!("some deliveries did not end in time; they are sent again with the same ids");
    }
    written.cancel();
    for task in [recorder, deriving] {
        if let Err(error) = task.await {
            tracing::error!(%error, "a task of the outbound webhooks ended badly");
        }
    }
    if let Err(error) = dispatcher
        .0
        .store
        .release_webhook_endpoints(&dispatcher.0.node)
        .await
    {
        tracing::warn!(%error, "webhook endpoints are not given back; others take them when the lease has run out");
    }
}

async fn lease(
    dispatcher: &Dispatcher,
    now_ms: i64,
) -> Result<Vec<WebhookEndpoint>, sync::ports::StoreError> {
    let shared = &dispatcher.0;
    shared
        .store
        .lease_webhook_endpoints(&shared.node, now_ms, LEASE_MS)
        .await
}

/// A task for each endpoint that is ours, and none for others. An endpoint whose task is still ending gets its next one
/// when that is done: two would send the same twice.
fn reconcile(dispatcher: &Dispatcher, endpoints: Vec<WebhookEndpoint>) {
    let mut ours: HashMap<_, _> = endpoints
        .into_iter()
        .map(|endpoint| ((endpoint.organization.clone(), endpoint.id.clone()), endpoint))
        .collect();
    let several = dispatcher.0.store.is_shared();
    let mut tasks = dispatcher.0.endpoints();
    for (key, handle) in tasks.iter() {
        match ours.remove(key) {
            Some(endpoint) => handle.update(endpoint, several),
            None => handle.stop(),
        }
    }
    for (key, endpoint) in ours {
        let (handle, notes) = Handle::new(endpoint);
        let handle = Arc::new(handle);
        tasks.insert(key, Arc::clone(&handle));
        let task = endpoint::run(dispatcher.clone(), handle, notes);
        dispatcher.0.sending.spawn(task);
    }
    drop(tasks);
    dispatcher.0.feed.notify_one();
}
