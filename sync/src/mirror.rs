//! Mirrors: which collections a record has to appear in, and bringing existing records there.

use std::collections::BTreeSet;

use connector_sdk::Access;
use model::{JobId, MirrorId, OrganizationId, RecordId};

use crate::edit::EditError;
use crate::engine::{Desk, Engine};
use crate::ports::{Effect, StoreError};
use crate::scene::member;
use crate::state::{Collection, JobTask, Mirror, NewJob};

/// The collections that a record of `collection` has to appear in: those that its mirrors' other members take, and
/// the ones that these give to in turn. Each once, never the collection itself. `assumed` counts as if it were stored.
pub(crate) async fn targets(
    desk: &Desk,
    collection: &Collection,
    mirrors: &[Mirror],
    assumed: Option<&Mirror>,
) -> Result<Vec<Collection>, StoreError> {
    let mut seen = BTreeSet::from([collection.id.clone()]);
    let mut found = Vec::new();
    let mut todo = vec![(collection.id.clone(), mirrors.to_vec())];
    while let Some((from, mirrors)) = todo.pop() {
        for mirror in &mirrors {
            if !member(mirror, &from).is_some_and(|member| member.role.gives()) {
                continue;
            }
            for taker in mirror.members.iter().filter(|member| member.role.takes()) {
                if !seen.insert(taker.collection_id.clone()) {
                    continue;
                }
                if let Some(next) = desk
                    .store
                    .collection(&collection.organization, &taker.collection_id)
                    .await?
                {
                    let onward = mirrors_of(desk, &next, assumed).await?;
                    todo.push((next.id.clone(), onward));
                    found.push(next);
                }
            }
        }
    }
    Ok(found)
}

/// The mirrors of a collection; `assumed` in the place of the stored one, if it is one of them.
pub(crate) async fn mirrors_of(
    desk: &Desk,
    collection: &Collection,
    assumed: Option<&Mirror>,
) -> Result<Vec<Mirror>, StoreError> {
    let stored = desk
        .store
        .mirrors_of(&collection.organization, &collection.id)
        .await?;
    let Some(assumed) = assumed else { return Ok(stored) };
    let mut mirrors: Vec<Mirror> = stored
        .into_iter()
        .filter(|mirror| mirror.id != assumed.id)
        .collect();
    mirrors.extend(member(assumed, &collection.id).map(|_| assumed.clone()));
    Ok(mirrors)
}

/// The jobs that link what a collection holds to where its mirrors want it, onward through connected mirrors.
pub(crate) async fn backfill_jobs(
    desk: &Desk,
    collection: &Collection,
    targets: &[Collection],
) -> Result<Vec<Effect>, StoreError> {
    let organization = &collection.organization;
    let mut jobs = Vec::new();
    for place in std::iter::once(collection).chain(targets) {
        for mirror in desk.store.mirrors_of(organization, &place.id).await? {
            let task = JobTask::Mirror { mirror: mirror.id };
            jobs.push(enqueued(desk, organization, task));
        }
    }
    Ok(jobs)
}

fn enqueued(desk: &Desk, organization: &OrganizationId, task: JobTask) -> Effect {
    Effect::Enqueue(Box::new(NewJob {
        id: JobId::new(desk.epoch_ms(), desk.random()),
        organization: organization.clone(),
        task,
        run_at: desk.now_ms(),
    }))
}

impl Engine {
    /// Stores a mirror and begins to link the records of its members. Members that a changed mirror no longer has
    /// are unlinked.
    ///
    /// # Errors
    /// `Invalid` when members are missing, cannot be written, or rules of connected mirrors contradict.
    pub async fn put_mirror(&self, mirror: Mirror) -> Result<Mirror, EditError> {
        self.check_mirror(&mirror).await?;
        let task = JobTask::Mirror {
            mirror: mirror.id.clone(),
        };
        let mut effects = vec![
            Effect::PutMirror(Box::new(mirror.clone())),
            enqueued(&self.desk, &mirror.organization, task),
        ];
        if let Some(before) = self.desk.store.mirror(&mirror.organization, &mirror.id).await? {
            let left = before
                .members
                .iter()
                .any(|was| member(&mirror, &was.collection_id).is_none());
            effects.extend(left.then(|| self.unlinking(&before)));
        }
        self.desk.commit(&mirror.organization, None, effects).await?;
        Ok(mirror)
    }

    /// Removes a mirror. Its copies stay where they are, become records of their own, and no longer hear of each
    /// other.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_mirror(&self, organization: &OrganizationId, id: &MirrorId) -> Result<(), EditError> {
        let mirror = self
            .desk
            .store
            .mirror(organization, id)
            .await?
            .ok_or(EditError::NotFound("mirror"))?;
        let effects = vec![Effect::DropMirror(id.clone()), self.unlinking(&mirror)];
        Ok(self.desk.commit(organization, None, effects).await?)
    }

    /// Looks again once a new record is stored: a mirror that was made while its links were planned has linked only
    /// what was there by then, and is asked to come back.
    pub(crate) async fn catch_up(&self, home: &Collection, record: &RecordId) -> Result<(), StoreError> {
        let organization = &home.organization;
        let mirrors = self.desk.store.mirrors_of(organization, &home.id).await?;
        let targets = targets(&self.desk, home, &mirrors, None).await?;
        let links = self.desk.store.links_of(organization, record).await?;
        let missed = targets
            .iter()
            .any(|target| links.iter().all(|link| link.collection != target.id));
        if missed {
            let jobs = backfill_jobs(&self.desk, home, &targets).await?;
            self.desk.commit(organization, None, jobs).await?;
        }
        Ok(())
    }

    /// The job that takes apart what only this mirror joined.
    fn unlinking(&self, mirror: &Mirror) -> Effect {
        let members = mirror
            .members
            .iter()
            .map(|member| member.collection_id.clone())
            .collect();
        enqueued(&self.desk, &mirror.organization, JobTask::Unlink { members })
    }

    pub(crate) async fn check_mirror(&self, mirror: &Mirror) -> Result<(), EditError> {
        let invalid = |text: String| Err(EditError::Invalid(text));
        if !mirror.members.iter().any(|member| member.role.gives())
            || !mirror.members.iter().any(|member| member.role.takes())
            || mirror.members.len() < 2
        {
            return invalid("a mirror needs one member that gives and another that takes".to_owned());
        }
        let mut seen = BTreeSet::new();
        for member in &mirror.members {
            if !seen.insert(&member.collection_id) {
                return invalid(format!("{} is named twice", member.collection_id));
            }
            let collection = self
                .desk
                .store
                .collection(&mirror.organization, &member.collection_id)
                .await?
                .ok_or(EditError::NotFound("collection"))?;
            if collection.remote.kind != mirror.kind {
                return invalid(format!(
                    "`{}` holds records of another kind",
                    collection.remote.name
                ));
            }
            if member.role.takes() && collection.remote.access == Access::ReadOnly {
                return Err(EditError::ReadOnly(collection.remote.name));
            }
            for other in self
                .desk
                .store
                .mirrors_of(&mirror.organization, &collection.id)
                .await?
            {
                if other.id != mirror.id
                    && (other.policy != mirror.policy || other.field_owners != mirror.field_owners)
                {
                    return invalid(format!(
                        "`{}` already mirrors `{}` by other rules; two rules for one set contradict each other",
                        other.name, collection.remote.name
                    ));
                }
            }
        }
        Ok(())
    }
}
