//! What a person can do about a link that stands still: approve, try again, or give up.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{LinkId, OrganizationId};

use crate::edit::EditError;
use crate::engine::Engine;
use crate::mirror;
use crate::plan;
use crate::ports::Effect;
use crate::silence;
use crate::state::{FeedAction, Link, LinkState, Origin};
use crate::subject::Subject;
use crate::work::push_job;

impl Engine {
    /// Lets out what waits because the provider mails people about it: the record as it is now, and no later edit.
    ///
    /// # Errors
    /// Why not; `VersionMismatch` when the record is not in the version that was looked at.
    pub async fn approve_link(
        &self,
        organization: &OrganizationId,
        link: &LinkId,
        if_match: Option<i64>,
    ) -> Result<Link, EditError> {
        let linked = self
            .desk
            .store
            .link(organization, link)
            .await?
            .ok_or(EditError::NotFound("link"))?;
        let (mut link, record) = (linked.link, linked.record);
        if if_match.is_some_and(|seen| seen != record.version) {
            return Err(EditError::VersionMismatch {
                current: record.version,
                fields: Vec::new(),
            });
        }
        if !matches!(link.state, LinkState::NeedsApproval { .. }) {
            return Err(EditError::Invalid(
                "nothing waits here for an approval".to_owned(),
            ));
        }
        link.traits.approved = Some(record.version);
        link.state = LinkState::Pending;
        link.dirty = true;
        link.not_before = 0;
        link.revision += 1;
        let effects = vec![
            Effect::UpdateLink(Box::new(link.clone())),
            push_job(&self.desk, &link),
        ];
        self.desk.store.commit(organization, None, effects).await?;
        Ok(link)
    }

    /// Tries a rejected link again.
    ///
    /// # Errors
    /// Why not.
    pub async fn retry_link(&self, organization: &OrganizationId, link: &LinkId) -> Result<Link, EditError> {
        let linked = self
            .desk
            .store
            .link(organization, link)
            .await?
            .ok_or(EditError::NotFound("link"))?;
        let mut link = linked.link;
        link.state = LinkState::Pending;
        link.traits.spent.clear();
        link.dirty = true;
        link.attempts = 0;
        link.not_before = 0;
        link.revision += 1;
        let effects = vec![
            Effect::UpdateLink(Box::new(link.clone())),
            push_job(&self.desk, &link),
        ];
        self.desk.commit(organization, None, effects).await?;
        Ok(link)
    }

    /// Gives up what a provider refused: the hub takes the provider's values again. A link whose object was never
    /// made is removed.
    ///
    /// # Errors
    /// Why not.
    pub async fn revert_link(&self, organization: &OrganizationId, id: &LinkId) -> Result<Link, EditError> {
        let linked = self
            .desk
            .store
            .link(organization, id)
            .await?
            .ok_or(EditError::NotFound("link"))?;
        let (mut link, record) = (linked.link, linked.record);
        let origin = Origin::Link(link.id.clone());
        if link.parts.is_empty() {
            let open = self
                .desk
                .store
                .open_intents(organization, &link.connection)
                .await?;
            if open.iter().any(|intent| intent.link == link.id) {
                let text =
                    "nobody knows yet whether its object was made; it can be given up after the next sync";
                return Err(EditError::Invalid(text.to_owned()));
            }
            let effect = Effect::DropLink {
                link: link.id.clone(),
                revision: link.revision,
            };
            self.desk.commit(organization, None, vec![effect]).await?;
            link.state = LinkState::Synced;
            return Ok(link);
        }
        let connection = self.desk.store.connection(organization, &link.connection).await?;
        let connection = connection.ok_or(EditError::NotFound("connection"))?;
        let provider = self.providers.open(&connection).await;
        let provider = provider.map_err(|error| EditError::Invalid(error.to_string()))?;
        let capability = provider.connector.capability(link.kind);
        let mut side = plan::hub_side(&record, &link);
        let mut hub = side.clone();
        if silence::is_quiet_copy(&capability, &link, &record) {
            hub = silence::without_guests(hub);
        }
        // What the provider cannot hold was not refused: it belongs to the others.
        let refused = hub.differences(&link.snapshots.hub);
        for path in refused.into_iter().filter(|path| capability.writes(&path.field)) {
            side.set(&path, link.snapshots.hub.get(&path).cloned());
        }
        let (shared, local) = plan::split(record.kind, side, &link.local);
        let mut subject = Subject::stored(Arc::unwrap_or_clone(record), vec![link.clone()]);
        let paths = subject.set_content(shared, &origin, self.desk.now_ms());
        link.local = local;
        link.hold(BTreeSet::new(), &subject.record.content);
        link.state = LinkState::Synced;
        link.dirty = false;
        link.attempts = 0;
        link.revision += 1;
        let mut effects = vec![Effect::UpdateLink(Box::new(link.clone()))];
        let revived = subject.record.deleted;
        let changed = !paths.is_empty() || revived;
        if changed {
            subject.record.deleted = false;
            if paths.is_empty() {
                subject.record.version += 1;
            }
        }
        effects.extend(subject.recorded(&origin, Some(&link)));
        if changed {
            effects.extend(self.announce(&subject, FeedAction::Updated, paths, &origin, Some(&link.id)));
        }
        if revived {
            // Its other links went with the delete.
            let home = self.desk.store.collection(organization, &link.collection).await?;
            if let Some(home) = home {
                effects.extend(mirror::backfill_jobs(&self.desk, &home, &[]).await?);
            }
        }
        self.desk.commit(organization, None, effects).await?;
        Ok(link)
    }
}
