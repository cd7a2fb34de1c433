//! Deliveries from the feed: for all endpoints of an organization together, in one transaction that moves their cursors.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::{OrganizationId, OutboundDeliveryId};
use store::{Change, ChangeFilter, Derivation, DueDelivery, FeedHead, NewDelivery};
use sync::ports::StoreError;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::sync::CancellationToken;

use super::endpoint::Handle;
use super::schedule::RETRY_WINDOW_MS;
use super::{Dispatcher, Shared};

/// Changes that one read takes.
const BATCH: u32 = 1_000;
/// Changes that concern nobody, after which a cursor is stored nevertheless: as many are read again after a crash.
const UNSTORED: i64 = 1_000;
/// Looks again without a bell: another process may have written.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// Makes deliveries until `stop` is cancelled.
pub(super) async fn run(dispatcher: Dispatcher, stop: CancellationToken) {
    let mut bell = dispatcher.0.store.subscribe_changes();
    loop {
        let heads = tokio::select! {
            () = stop.cancelled() => return,
            heads = rung(&mut bell) => heads,
            () = dispatcher.0.feed.notified() => None,
            () = dispatcher.0.clock.sleep(LONGEST_SILENCE) => None,
        };
        let everybody = || {
            let endpoints = dispatcher.0.endpoints();
            endpoints
                .keys()
                .map(|(organization, _)| organization.clone())
                .collect()
        };
        let organizations: BTreeSet<OrganizationId> = heads.unwrap_or_else(everybody);
        for organization in organizations {
            if let Err(error) = all(&dispatcher.0, &organization).await {
                tracing::error!(%error, %organization, "no deliveries can be made; tried again soon, nothing is lost");
            }
        }
    }
}

/// Whose feeds grew; `None` when that was missed.
async fn rung(bell: &mut Receiver<FeedHead>) -> Option<BTreeSet<OrganizationId>> {
    let mut grown = BTreeSet::new();
    match bell.recv().await {
        Ok(head) => grown.insert(head.organization),
        Err(RecvError::Lagged(_)) => return None,
        // The store is closing.
        Err(RecvError::Closed) => std::future::pending().await,
    };
    loop {
        match bell.try_recv() {
            Ok(head) => grown.insert(head.organization),
            Err(TryRecvError::Lagged(_)) => return None,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Some(grown),
        };
    }
}

async fn all(shared: &Shared, organization: &OrganizationId) -> Result<(), StoreError> {
    while some(shared, organization).await? {}
    Ok(())
}

/// What one endpoint gets of a piece of the feed.
struct Share {
    handle: Arc<Handle>,
    derivation: Derivation,
    fresh: Vec<DueDelivery>,
}

/// One piece of an organization's feed; whether there may be more.
async fn some(shared: &Shared, organization: &OrganizationId) -> Result<bool, StoreError> {
    let hungry: Vec<Arc<Handle>> = {
        let endpoints = shared.endpoints();
        let of = endpoints.iter().filter(|((owner, _), _)| owner == organization);
        of.map(|(_, handle)| handle)
            .filter(|handle| handle.takes_more())
            .map(Arc::clone)
            .collect()
    };
    let Some(after) = hungry.iter().map(|handle| handle.position().scanned).min() else {
        return Ok(false);
    };
    let everything = ChangeFilter::default();
    let changes = shared
        .store
        .changes_after(organization, after, &everything, BATCH)
        .await?;
    let Some(last) = changes.last().map(|change| change.seq) else {
        return Ok(false);
    };
    let now_ms = shared.clock.now_ms();
    let mut shares = Vec::new();
    for handle in hungry {
        let share = share(shared, &handle, &changes, last, now_ms);
        if share.fresh.is_empty() && last - share.derivation.from < UNSTORED {
            handle.scanned(last);
        } else {
            shares.push(share);
        }
    }
    if !shares.is_empty() {
        derive(shared, organization, shares, now_ms).await?;
    }
    Ok(changes.len() >= BATCH as usize)
}

fn share(shared: &Shared, handle: &Arc<Handle>, changes: &[Change], last: i64, now_ms: i64) -> Share {
    let (endpoint, position) = (handle.endpoint(), handle.position());
    let told = changes
        .iter()
        .filter(|change| change.seq > position.scanned && endpoint.takes(change));
    let fresh: Vec<DueDelivery> = told
        .map(|change| DueDelivery {
            id: delivery_id(shared, now_ms, change.seq),
            attempts: 0,
            created_at: now_ms,
            deadline: now_ms + RETRY_WINDOW_MS,
            change: Some(change.clone()),
        })
        .collect();
    let deliveries = fresh.iter().filter_map(|delivery| {
        let change = delivery.change.as_ref()?;
        Some(NewDelivery {
            id: delivery.id.clone(),
            seq: Some(change.seq),
            subject: change.entry.subject.clone(),
        })
    });
    Share {
        derivation: Derivation {
            endpoint: endpoint.id.clone(),
            from: position.cursor,
            to: last.max(position.cursor),
            seen_at: endpoint.updated_at,
            ordered: endpoint.ordered,
            deliveries: deliveries.collect(),
        },
        handle: Arc::clone(handle),
        fresh,
    }
}

/// Ids of one moment sort by their changes, so that their order is the feed's.
fn delivery_id(shared: &Shared, now_ms: i64, seq: i64) -> OutboundDeliveryId {
    let random = shared.entropy.random() & u128::from(u32::MAX);
    let place = u128::from(seq.unsigned_abs()) << 32;
    OutboundDeliveryId::new(u64::try_from(now_ms).unwrap_or_default(), place | random)
}

async fn derive(
    shared: &Shared,
    organization: &OrganizationId,
    mut shares: Vec<Share>,
    now_ms: i64,
) -> Result<(), StoreError> {
    shares.sort_by(|a, b| a.derivation.endpoint.cmp(&b.derivation.endpoint));
    for share in &shares {
        share.handle.set_deriving(true);
    }
    let derivations: Vec<Derivation> = shares.iter().map(|share| share.derivation.clone()).collect();
    let deadline = now_ms + RETRY_WINDOW_MS;
    let derived = shared
        .store
        .derive_deliveries(organization, &derivations, now_ms, deadline)
        .await;
    let outcomes = match &derived {
        Ok(accepted) => accepted.clone(),
        Err(_) => vec![false; shares.len()],
    };
    for (share, accepted) in shares.into_iter().zip(outcomes) {
        if accepted {
            share.handle.derived(&share.derivation, share.fresh);
        } else if derived.is_ok() {
            // It was changed meanwhile, or another node has it.
            share.handle.lost_track();
            shared.leases.notify_one();
        }
        share.handle.set_deriving(false);
    }
    derived.map(|_| ())
}
