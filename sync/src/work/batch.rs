//! What has changed about a link and its record as one batch of effects, and the jobs that follow it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{ConnectionId, Content, JobId, PartKey};

use crate::engine::Desk;
use crate::history;
use crate::ports::Effect;
use crate::state::{FeedEntry, JobTask, Link, LinkState, NewJob, Origin, Record, Snapshots, Traits};
use crate::work::Work;

impl Work {
    /// The batch. `origin` is who caused it.
    pub(crate) fn into_effects(mut self, origin: &Origin) -> Vec<Effect> {
        let mut effects = Vec::new();
        let action = self.action();
        let (id, now) = (self.record.id.clone(), self.record.updated_at);
        if action.is_some() {
            let version = self.next_version();
            let record = Arc::make_mut(&mut self.record);
            record.version = version;
            let record = Box::new(record.clone());
            effects.push(match self.fresh {
                true => Effect::CreateRecord(record),
                false => Effect::UpdateRecord(record),
            });
        }
        if self.dropped {
            effects.push(Effect::DropLink {
                link: self.link.id.clone(),
                revision: self.link.revision,
            });
        } else if self.fresh {
            effects.push(Effect::CreateLink(Box::new(self.link.clone())));
        } else if self.link_changed {
            self.link.revision += 1;
            effects.push(Effect::UpdateLink(Box::new(self.link.clone())));
        }
        if !self.dropped {
            let link = &self.link.id;
            let raws = std::mem::take(&mut self.raws);
            effects.extend(raws.into_iter().map(|(part, raw)| Effect::PutRaw {
                link: link.clone(),
                part,
                raw,
            }));
        }
        if action.is_some() && !self.fresh {
            effects.push(Effect::Touch {
                record: id.clone(),
                except: Some(self.link.id.clone()),
            });
        }
        effects.extend(
            self.siblings
                .drain(..)
                .map(|link| Effect::CreateLink(Box::new(link))),
        );
        effects.extend(self.history(origin));
        effects.extend(
            self.conflicts
                .drain(..)
                .map(|conflict| Effect::PutConflict(Box::new(conflict))),
        );
        if let Some(action) = action {
            effects.push(Effect::Feed(FeedEntry {
                action,
                subject: id.to_string(),
                kind: self.record.kind.name().to_owned(),
                version: self.record.version,
                changed: self.changed.iter().map(ToString::to_string).collect(),
                origin: origin.clone(),
                at: now,
            }));
        }
        effects
    }

    fn history(&self, origin: &Origin) -> Vec<Effect> {
        history::entries(&history::Change {
            before: (!self.fresh).then_some(&*self.was.record),
            after: &self.record,
            link: Some(history::LinkChange {
                link: &self.link,
                local: &self.was.local,
                joined: !self.was.there && self.link.parts.contains_key(&PartKey::MASTER),
                left: self.dropped && self.was.there,
            }),
            conflicts: &self.conflicts,
            origin,
        })
    }
}

/// A link whose remote object is still to be made.
pub(crate) fn pending_link(desk: &Desk, record: &Record, target: &crate::state::Collection) -> Link {
    Link {
        id: desk.link_id(),
        organization: record.organization.clone(),
        record: record.id.clone(),
        connection: target.connection.clone(),
        collection: target.id.clone(),
        kind: record.kind,
        revision: 1,
        state: LinkState::Pending,
        parts: BTreeMap::new(),
        snapshots: Snapshots::default(),
        local: Content::default(),
        held: BTreeSet::new(),
        dirty: true,
        removing: false,
        attempts: 0,
        not_before: 0,
        traits: Traits::default(),
    }
}

/// The job that pushes a connection.
pub(crate) fn push_job(desk: &Desk, link: &Link) -> Effect {
    push_job_for(desk, &link.organization, &link.connection)
}

/// The job that pushes a connection.
pub(crate) fn push_job_for(
    desk: &Desk,
    organization: &model::OrganizationId,
    connection: &ConnectionId,
) -> Effect {
    Effect::Enqueue(Box::new(NewJob {
        id: JobId::new(desk.epoch_ms(), desk.random()),
        organization: organization.clone(),
        task: JobTask::Push {
            connection: connection.clone(),
        },
        run_at: desk.now_ms(),
    }))
}
