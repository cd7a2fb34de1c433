//! One write: transaction 1 stores the intent, then the provider is called.

use std::collections::BTreeMap;

use bytes::Bytes;
use connector_sdk::{Action, Applied, Error, ErrorKind, SeriesPart, Target, Write};
use model::{EventTime, IntentId, PartKey, series};

use crate::engine::{Run, Trouble};
use crate::matching::{TWIN_IN_DOUBT, Twin};
use crate::ports::Effect;
use crate::push::Ended;
use crate::push::next::Pending;
use crate::push::outcome::Outcome;
use crate::scene::Scene;
use crate::state::{Intent, IntentAction, Link, LinkState};
use crate::work::Work;

impl Run<'_> {
    /// Transaction 1, the call, transaction 2.
    pub(super) async fn write(
        &mut self,
        scene: &Scene,
        work: Work,
        pending: Pending,
    ) -> Result<Ended, Trouble> {
        let Some(facet) = scene.provider.connector.push() else {
            return self
                .refuse(work, "the provider cannot be written to".to_owned(), None)
                .await;
        };
        let changed = pending.changed.iter().cloned();
        let exempt = pending.action != IntentAction::Update;
        if let Some(until) = work.over_budget(changed, self.desk.now_ms()).filter(|_| !exempt) {
            return self.wait(work, until).await;
        }
        let known = work.link.parts.get(&pending.part);
        if known.is_some_and(|known| known.raw_outdated) && pending.action != IntentAction::Create {
            self.read_anew(scene, &work.link, &pending.part).await?;
            return Ok(Ended::Again);
        }
        if self.looks_different(scene, &work, &pending).await? {
            return Ok(Ended::Again);
        }
        if pending.action == IntentAction::Create {
            match self.join_twin(scene, &work).await? {
                Twin::None => {}
                Twin::Joined => return Ok(Ended::Again),
                Twin::InDoubt => return self.refuse(work, TWIN_IN_DOUBT.to_owned(), None).await,
            }
        }
        let raws = self.desk.store.raws(&self.organization, &work.link.id).await?;
        let proposed = self.proposed(&work, pending);
        let write = to_write(&proposed, &work.link, &raws);
        let sides = (&work.link, &*work.record);
        let sent = (&proposed.sent, proposed.action);
        if let Some(reason) = self.must_ask(scene, sides, facet, &write, sent).await? {
            return self.ask(work, reason).await;
        }
        let (intent, again) = self.open_intent(&work, proposed).await?;
        if again && !scene.capability.client_ids && !self.asked.remove(&intent.id) {
            // Nothing names its object yet, and nobody has asked since whether it was made.
            self.put_off(&work.link.id).await?;
            return Ok(Ended::Rested);
        }
        if let (true, false, LinkState::Rejected { reason }) =
            (again, scene.capability.client_ids, &work.link.state)
        {
            // Its doubt was told; only a person sends it again.
            let reason = reason.clone();
            return self.refuse(work, reason, None).await;
        }
        let write = to_write(&intent, &work.link, &raws);
        let outcome = facet
            .apply(
                &scene.provider.ctx,
                &scene.collection.remote,
                std::slice::from_ref(&write),
            )
            .await
            .pop()
            .unwrap_or_else(|| {
                Err(Error::new(
                    ErrorKind::Unexpected,
                    "push",
                    "the connector gave no outcome for the write",
                ))
            });
        match outcome {
            Ok(applied) => {
                self.summary.written += 1;
                let outcome = match applied {
                    // It may be what an earlier try made, and somebody edited since.
                    Applied::Stored(object) if again => Outcome::Found(object),
                    applied => Outcome::Answered(applied),
                };
                self.finish(scene, &intent, outcome).await
            }
            Err(error) => self.fail(scene, work, &intent, again, error).await,
        }
    }

    /// The intent of a write that is not written down yet.
    fn proposed(&self, work: &Work, pending: Pending) -> Intent {
        Intent {
            id: IntentId::new(self.desk.epoch_ms(), self.desk.random()),
            organization: self.organization.clone(),
            link: work.link.id.clone(),
            connection: self.connection.id.clone(),
            part: pending.part,
            action: pending.action,
            sent: pending.sent,
            changed: pending.changed,
            created_at: self.desk.now_ms(),
        }
    }

    /// Writes the intent down. A create that is in doubt is tried again as it was, name and content: both tries then
    /// mean one object (invariant 8), and what changed since follows as an update. Whether it is such a try.
    async fn open_intent(&mut self, work: &Work, intent: Intent) -> Result<(Intent, bool), Trouble> {
        if intent.action == IntentAction::Create {
            let open = self
                .desk
                .store
                .open_intents(&self.organization, &self.connection.id)
                .await?;
            let earlier = open
                .into_iter()
                .find(|intent| intent.link == work.link.id && intent.action == IntentAction::Create);
            if let Some(earlier) = earlier {
                // Nothing is written down anew, and the lease may be lost all the same.
                self.desk
                    .commit(&self.organization, self.fence, Vec::new())
                    .await?;
                return Ok((earlier, true));
            }
        }
        self.commit(vec![Effect::OpenIntent(Box::new(intent.clone()))])
            .await?;
        Ok((intent, false))
    }
}

/// The write behind an intent.
pub(crate) fn to_write(intent: &Intent, link: &Link, raws: &BTreeMap<PartKey, Bytes>) -> Write {
    let known = link.parts.get(&intent.part);
    let master = link.parts.get(&PartKey::MASTER);
    let series = (!intent.part.is_master())
        .then(|| {
            let start = series::time_field(&link.snapshots.remote.fields, "start")?;
            let original_start = EventTime::from_part_key(&intent.part, &start)?;
            Some(SeriesPart {
                series: master?.id.clone(),
                original_start,
            })
        })
        .flatten();
    let target = Target {
        id: known.map(|part| part.id.clone()),
        version: known.and_then(|part| part.version.clone()),
        raw: raws.get(&intent.part).cloned(),
        series,
    };
    let action = match intent.action {
        IntentAction::Create => Action::Create {
            content: intent.sent.clone(),
        },
        IntentAction::Update => Action::Update {
            target,
            content: intent.sent.clone(),
            changed: intent.changed.clone(),
        },
        IntentAction::Delete => Action::Delete { target },
    };
    Write {
        intent: intent.id.clone(),
        kind: link.kind,
        part: intent.part.clone(),
        action,
    }
}
