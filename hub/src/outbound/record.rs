//! Writing down what came of attempts, of all endpoints together: while one transaction is on its way the next gathers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::{OrganizationId, OutboundDeliveryId, WebhookEndpointId};
use store::{EndpointNote, Sent};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Dispatcher;

/// Attempts that wait to be written, of all endpoints. When there are more, sending waits.
const WAITING: usize = 8_192;
/// Attempts of one transaction.
const MOST: usize = 2_000;
/// How long the database is left alone when it fails.
const PAUSE: Duration = Duration::from_secs(1);

/// Takes attempts to be written down.
#[derive(Clone)]
pub(super) struct Recorder(mpsc::Sender<Sent>);

/// Attempts on their way into the store.
pub(super) type Outcomes = mpsc::Receiver<Sent>;

pub(super) fn channel() -> (Recorder, Outcomes) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Recorder(sender), receiver)
}

impl Recorder {
    pub(super) async fn put(&self, sent: Sent) {
        // Nobody listens when the process is about to end: it is sent again with the same id.
        let _ = self.0.send(sent).await;
    }
}

/// Writes until `done` is cancelled and nothing waits any more. While the database fails nothing is dropped: sending
/// stops by itself when enough waits.
pub(super) async fn run(dispatcher: Dispatcher, mut outcomes: Outcomes, done: CancellationToken) {
    let mut batch = Vec::new();
    loop {
        let received = tokio::select! {
            biased;
            received = outcomes.recv_many(&mut batch, MOST) => received,
            () = done.cancelled() => return,
        };
        if received == 0 {
            return;
        }
        while let Err(error) = dispatcher.0.store.record_attempts(&batch).await {
            tracing::error!(%error, "attempts cannot be written down; tried again, and nothing is lost");
            if done.is_cancelled() {
                return;
            }
            dispatcher.0.clock.sleep(PAUSE).await;
        }
        settle(&dispatcher, &batch);
        batch.clear();
    }
}

/// Tells the endpoints what is written.
fn settle(dispatcher: &Dispatcher, batch: &[Sent]) {
    let mut by_endpoint: HashMap<(&OrganizationId, &WebhookEndpointId), Vec<OutboundDeliveryId>> =
        HashMap::new();
    let mut disabled = false;
    for sent in batch {
        let key = (&sent.organization, &sent.endpoint);
        by_endpoint.entry(key).or_default().push(sent.delivery.clone());
        disabled |= matches!(sent.note, Some(EndpointNote::Disabled(_)));
    }
    let endpoints = dispatcher.0.endpoints();
    for ((organization, endpoint), ids) in by_endpoint {
        if let Some(handle) = endpoints.get(&(organization.clone(), endpoint.clone())) {
            Arc::clone(handle).recorded(ids);
        }
    }
    drop(endpoints);
    if disabled {
        dispatcher.endpoints_changed();
    }
}
