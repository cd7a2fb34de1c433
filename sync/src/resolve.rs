//! Deciding a conflict, or deciding it anew.

use model::{ConflictId, Content, EventTime, FieldPath, OrganizationId, Scope, series};
use serde_json::Value;

use crate::edit::{EditError, MAX_TRIES, contested};
use crate::engine::Engine;
use crate::history;
use crate::occurrence;
use crate::patch::{check_content, follow_start};
use crate::plan;
use crate::ports::{Effect, StoreError};
use crate::state::{Conflict, FeedAction, LinkState, Origin, Record};
use crate::subject::Subject;

/// Which value shall stand.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// The hub's.
    Hub,
    /// The provider's.
    Remote,
    /// Another one.
    Value(Value),
}

impl Engine {
    /// Decides a conflict, or decides it anew: the chosen value stands on both sides. For a record that was
    /// deleted on one side and edited on the other, `Remote` and `Hub` say whose will be done.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn resolve(
        &self,
        organization: &OrganizationId,
        id: &ConflictId,
        resolution: Resolution,
        _by: Origin,
    ) -> Result<Record, EditError> {
        let conflict = self
            .desk
            .store
            .conflict(organization, id)
            .await?
            .ok_or(EditError::NotFound("conflict"))?;
        let path = conflict.path.clone().ok_or_else(|| {
            EditError::Invalid("the record lives because it was edited; delete it to undo that".to_owned())
        })?;
        let origin = Origin::Conflict(id.clone());
        let record = self.standing(organization, &conflict.record).await?;
        for _ in 0..MAX_TRIES {
            let mut subject = self.subject(organization, &record).await?;
            let path = follow(&path, conflict.anchor.as_ref(), &subject.record.content);
            let value = subject.value(&conflict, &path, &resolution);
            let now = self.desk.now_ms();
            let before = subject.record.content.clone();
            let mut effects = vec![Effect::ResolveConflict {
                conflict: id.clone(),
                at: now,
            }];
            if !path.part.is_master() && !occurrence::exists(&subject.record.content, &path.part) {
                let text = "the series was moved or shortened since, and has no such occurrence any more";
                return Err(EditError::Invalid(text.to_owned()));
            }
            let mut chosen = vec![(path.clone(), value.clone())];
            for other in subject.companions(&conflict, &path, &resolution) {
                let value = subject.value(&conflict, &other, &resolution);
                chosen.push((other, value));
            }
            let paths = subject.put_values(&conflict, &chosen, &origin, now)?;
            if let Some(mut link) = subject
                .links
                .iter()
                .find(|link| link.id == conflict.link)
                .cloned()
            {
                // The value at the provider stands for itself: what the hub says differently is sent.
                let mut held = link.held_in(&before);
                let mut base = link.snapshots.hub.clone();
                for (path, _) in &chosen {
                    held.remove(path);
                    let there = keyed_in(path, &subject.record.content, &link.snapshots.remote);
                    let told = keyed_in(path, &subject.record.content, &link.snapshots.hub);
                    base.set(&told, link.snapshots.remote.get(&there).cloned());
                }
                link.hold(held, &before);
                link.snapshots.hub = follow_start(base, &link.snapshots.hub);
                link.local = subject.local(&link.id);
                link.dirty = true;
                link.state = LinkState::Pending;
                link.revision += 1;
                effects.push(Effect::UpdateLink(Box::new(link)));
            }
            let mut told = subject.recorded(&origin, None);
            history::resolved(&mut told, &conflict, (&subject.record, value.as_ref()), &origin);
            effects.extend(told);
            effects.extend(self.announce(
                &subject,
                FeedAction::Updated,
                paths,
                &origin,
                Some(&conflict.link),
            ));
            match self.desk.commit(organization, None, effects).await {
                Err(StoreError::Stale(_)) => {}
                outcome => {
                    outcome?;
                    return Ok(subject.record);
                }
            }
        }
        Err(contested(&conflict.record))
    }
}

impl Subject {
    /// The value that a resolution names. While a conflict is held both sides go on: then it is the value of now.
    fn value(&self, conflict: &Conflict, path: &FieldPath, resolution: &Resolution) -> Option<Value> {
        let link = self.links.iter().find(|link| link.id == conflict.link);
        let held = link.filter(|link| link.held_in(&self.record.content).contains(path));
        match (resolution, held) {
            (Resolution::Hub, Some(link)) => plan::hub_side(&self.record, link).get(path).cloned(),
            (Resolution::Remote, Some(link)) => {
                let there = &link.snapshots.remote;
                there.get(&keyed_in(path, &self.record.content, there)).cloned()
            }
            (Resolution::Hub, None) => conflict.hub.clone(),
            (Resolution::Remote, None) => conflict.remote.clone(),
            (Resolution::Value(value), _) => Some(value.clone()),
        }
    }

    /// What waits beside a path and is decided together with it, since neither says anything alone: the one side's end
    /// may lie before the other's start. Each of them is in a conflict of its own, which may be decided anew.
    fn companions(&self, conflict: &Conflict, path: &FieldPath, resolution: &Resolution) -> Vec<FieldPath> {
        let schema = self.record.kind.schema();
        let group = |path: &FieldPath| schema.field(&path.field).and_then(|spec| spec.group);
        let link = self.links.iter().find(|link| link.id == conflict.link);
        let held = link
            .map(|link| link.held_in(&self.record.content))
            .unwrap_or_default();
        if matches!(resolution, Resolution::Value(_)) || group(path).is_none() || !held.contains(path) {
            return Vec::new();
        }
        let together =
            |other: &FieldPath| other != path && other.part == path.part && group(other) == group(path);
        held.into_iter().filter(together).collect()
    }

    /// Sets the values that a conflict was resolved to.
    fn put_values(
        &mut self,
        conflict: &Conflict,
        chosen: &[(FieldPath, Option<Value>)],
        origin: &Origin,
        now_ms: i64,
    ) -> Result<Vec<FieldPath>, EditError> {
        let schema = self.record.kind.schema();
        let mut content = self.record.content.clone();
        let mut shared = false;
        for (path, value) in chosen {
            let fields = [(path.field.clone(), value.clone().unwrap_or(Value::Null))].into();
            let value = schema.canonical(fields)?.remove(&path.field);
            let per_link = schema
                .field(&path.field)
                .is_some_and(|spec| spec.scope == Scope::PerLink);
            if !per_link {
                shared = true;
                content.set(path, value);
            } else if let Some(link) = self.links.iter_mut().find(|link| link.id == conflict.link) {
                let mut side = plan::hub_side(&self.record, link);
                side.set(path, value);
                link.local = plan::split(self.record.kind, side, &link.local).1;
            }
        }
        if !shared {
            return Ok(Vec::new());
        }
        let content = follow_start(content, &self.record.content);
        check_content(self.record.kind, &content)?;
        Ok(self.set_content(content, origin, now_ms))
    }
}

/// Where the occurrence of a path is by now: its key moves with its series, which began at `then`.
fn follow(path: &FieldPath, then: Option<&EventTime>, content: &Content) -> FieldPath {
    match (then, series::time_field(&content.fields, "start")) {
        (Some(then), Some(now)) => FieldPath {
            part: series::moved(&path.part, then, &now),
            field: path.field.clone(),
        },
        (Some(_) | None, _) => path.clone(),
    }
}

/// The path in `there` that is `path` in `here`.
fn keyed_in(path: &FieldPath, here: &Content, there: &Content) -> FieldPath {
    follow(path, series::time_field(&here.fields, "start").as_ref(), there)
}
