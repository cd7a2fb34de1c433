//! What was committed when nobody waited for it any more. Its senders were told to come again, and hear at once then
//! that it is durable: otherwise each of their attempts would be a transaction that is as late as the first, and on a disk
//! that is slow for long nobody would ever be acknowledged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use store::NewInbound;
use tokio::time::Instant;

/// Webhooks that are remembered; beyond it all are forgotten, which costs their senders an attempt.
const KEPT: usize = 65_536;
/// How long. What is stored is known for three days at least.
const BELIEVED: Duration = Duration::from_secs(600);

/// What a webhook is recognised by: where it goes, and the provider's own ids.
pub(super) type Sign = [u8; 32];

/// What was late. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Late(Arc<Mutex<HashMap<Sign, Instant>>>);

impl Late {
    /// The sign of a webhook's rows. One without an id of the provider's is never recognised.
    pub(super) fn sign(rows: &[NewInbound]) -> Option<Sign> {
        let mut hasher = Sha256::new();
        for row in rows {
            let parts = [
                Some(row.organization.as_str()),
                row.connection.as_ref().map(|id| id.as_str()),
                row.app.as_ref().map(|id| id.as_str()),
                Some(row.delivery.as_deref()?),
                row.route.as_deref(),
            ];
            for part in parts {
                // No text has this length: a missing part is not an empty one.
                let length = part.map_or(u64::MAX, |part| part.len() as u64);
                hasher.update(length.to_le_bytes());
                hasher.update(part.unwrap_or_default());
            }
        }
        Some(hasher.finalize().into())
    }

    /// Notes a webhook that is durable.
    pub(super) fn note(&self, sign: Sign) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.retain(|_, at| at.elapsed() < BELIEVED);
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(sign, Instant::now());
    }

    /// Whether this webhook is known to be durable.
    pub(super) fn holds(&self, sign: &Sign) -> bool {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(sign).is_some_and(|at| at.elapsed() < BELIEVED)
    }
}
