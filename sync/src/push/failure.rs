//! Writes that failed: merged and tried again, put off, refused, or left in doubt.

use std::collections::BTreeMap;

use connector_sdk::{Applied, Error, ErrorKind, Retry};

use crate::engine::{Run, Trouble};
use crate::ports::{Effect, StoreError};
use crate::push::Ended;
use crate::push::intent::to_write;
use crate::push::outcome::Outcome;
use crate::recover::Doubt;
use crate::scene::Scene;
use crate::state::{Intent, IntentAction, Origin};
use crate::work::Work;

impl Run<'_> {
    /// A write that failed: merge and try again, wait, refuse, or leave it in doubt.
    pub(super) async fn fail(
        &mut self,
        scene: &Scene,
        mut work: Work,
        intent: &Intent,
        again: bool,
        error: Error,
    ) -> Result<Ended, Trouble> {
        let close = Effect::CloseIntent(intent.id.clone());
        match error.kind {
            ErrorKind::VersionConflict | ErrorKind::NotFound if intent.action != IntentAction::Create => {
                let changed = self.look_again(scene, intent, Doubt::None).await?;
                if error.kind == ErrorKind::VersionConflict && !work.link.parts.contains_key(&intent.part) {
                    // An occurrence that is an object by now: only a pull tells its name.
                    self.look_around(scene).await?;
                }
                if !changed && !intent.part.is_master() && error.kind == ErrorKind::NotFound {
                    let reason = format!("the series there has no occurrence {}", intent.part);
                    return match self.desk.store.link(&self.organization, &intent.link).await? {
                        Some(linked) => {
                            let work = Work::stored(linked.link, linked.record);
                            self.refuse(work, reason, None).await
                        }
                        None => Ok(Ended::Rested),
                    };
                }
                Ok(Ended::Again)
            }
            ErrorKind::AlreadyExists | ErrorKind::VersionConflict => {
                let Some(facet) = scene.provider.connector.push() else {
                    return Ok(Ended::Rested);
                };
                let write = to_write(intent, &work.link, &BTreeMap::new());
                let found = facet
                    .probe(&scene.provider.ctx, &scene.collection.remote, &write)
                    .await;
                let found = match found {
                    Err(error) if error.kind == ErrorKind::Unsupported => None,
                    found => found?,
                };
                match found {
                    Some(Applied::Stored(object)) => self.finish(scene, intent, Outcome::Found(object)).await,
                    // An object under the intent's own name is its own: it was made, and somebody deleted it since.
                    Some(Applied::Gone) => self.finish(scene, intent, Outcome::Deleted).await,
                    // The provider says that it is there and shows nothing: that deletes nothing (invariant 6).
                    None if again => {
                        self.put_off(&intent.link).await?;
                        Ok(Ended::Rested)
                    }
                    None => {
                        // The name is taken by something else that is gone: the next try takes a new one.
                        self.commit(vec![close]).await?;
                        Ok(Ended::Again)
                    }
                }
            }
            // Nothing was written. A create may still be in doubt from an earlier try, so that one stays open.
            ErrorKind::Unauthorized | ErrorKind::RateLimited => {
                if intent.action != IntentAction::Create {
                    self.commit(vec![close]).await?;
                }
                Err(error.into())
            }
            ErrorKind::Unavailable | ErrorKind::Unexpected => {
                // In doubt: the intent stays open, and the next run probes before it sends again.
                let pause = match error.retry {
                    Retry::After(pause) => i64::try_from(pause.as_millis()).unwrap_or(60_000),
                    Retry::Backoff | Retry::Permanent => 1_000 << work.link.attempts.min(9),
                };
                work.postpone(self.desk.now_ms() + pause);
                match self.commit(work.into_effects(&Origin::Hub)).await {
                    // Somebody has changed it meanwhile. That is no reason to look at it again in this run: what was sent
                    // would be taken for somebody's edit.
                    Ok(()) | Err(StoreError::Stale(_)) => {}
                    Err(trouble) => return Err(trouble.into()),
                }
                Err(error
                    .with_retry(Retry::After(std::time::Duration::from_millis(
                        u64::try_from(pause).unwrap_or_default(),
                    )))
                    .into())
            }
            ErrorKind::PermissionDenied
            | ErrorKind::NotFound
            | ErrorKind::CursorExpired
            | ErrorKind::Invalid
            | ErrorKind::Unsupported
            | ErrorKind::BadSignature => {
                // An earlier try of a create may take effect yet: then its object is no stranger's.
                let over = intent.action != IntentAction::Create || !again;
                self.refuse(work, error.to_string(), over.then_some(&intent.id))
                    .await
            }
        }
    }
}
