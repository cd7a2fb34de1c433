//! Deciding a conflict, or deciding it anew.

use model::{ConflictId, FieldPath, OrganizationId, Scope};
use serde_json::Value;

use crate::edit::{EditError, MAX_TRIES, contested};
use crate::engine::Engine;
use crate::patch::check_event;
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
        let value = match resolution {
            Resolution::Hub => conflict.hub.clone(),
            Resolution::Remote => conflict.remote.clone(),
            Resolution::Value(value) => Some(value),
        };
        for _ in 0..MAX_TRIES {
            let mut subject = self.subject(organization, &conflict.record).await?;
            let now = self.desk.now_ms();
            let mut effects = vec![Effect::ResolveConflict {
                conflict: id.clone(),
                at: now,
            }];
            let paths = subject.put_value(&conflict, &path, value.clone(), &origin, now)?;
            if let Some(mut link) = subject
                .links
                .iter()
                .find(|link| link.id == conflict.link)
                .cloned()
            {
                // The value at the provider stands for itself: what the hub says differently is sent.
                link.held.remove(&path);
                let remote = link.snapshots.remote.get(&path).cloned();
                link.snapshots.hub.set(&path, remote);
                link.local = subject.local(&link.id);
                link.dirty = true;
                link.state = LinkState::Pending;
                link.revision += 1;
                effects.push(Effect::UpdateLink(Box::new(link)));
            }
            if !paths.is_empty() {
                effects.push(Effect::UpdateRecord(Box::new(subject.record.clone())));
            }
            effects.extend(self.announce(
                &subject,
                FeedAction::Updated,
                paths,
                &origin,
                Some(&conflict.link),
            ));
            match self.desk.store.commit(organization, None, effects).await {
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
    /// Sets the value that a conflict was resolved to.
    fn put_value(
        &mut self,
        conflict: &Conflict,
        path: &FieldPath,
        value: Option<Value>,
        origin: &Origin,
        now_ms: i64,
    ) -> Result<Vec<FieldPath>, EditError> {
        let schema = self.record.kind.schema();
        let fields = [(path.field.clone(), value.unwrap_or(Value::Null))].into();
        let value = schema.canonical(fields)?.remove(&path.field);
        let per_link = schema
            .field(&path.field)
            .is_some_and(|spec| spec.scope == Scope::PerLink);
        if per_link {
            if let Some(link) = self.links.iter_mut().find(|link| link.id == conflict.link) {
                link.local.set(path, value);
            }
            return Ok(Vec::new());
        }
        let mut content = self.record.content.clone();
        content.set(path, value);
        check_event(&content)?;
        Ok(self.set_content(content, origin, now_ms))
    }
}
