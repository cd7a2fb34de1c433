//! Mirrors: which collections a record has to appear in, and bringing existing records there.

use std::collections::BTreeSet;

use model::{MirrorId, OrganizationId, RecordId};

use crate::engine::{Desk, Progress, Summary, Trouble};
use crate::ports::{Effect, StoreError};
use crate::scene::member;
use crate::state::{Collection, Fence, Mirror};
use crate::work::{pending_link, push_job_for};

/// Records that one batch of a backfill links.
const BATCH: u32 = 200;

/// The collections that a record of `collection` has to appear in: those that its mirrors' other members take, and
/// the ones that these give to in turn. Each once, never the collection itself.
pub(crate) async fn targets(
    desk: &Desk,
    collection: &Collection,
    mirrors: &[Mirror],
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
                    let onward = desk.store.mirrors_of(&collection.organization, &next.id).await?;
                    todo.push((next.id.clone(), onward));
                    found.push(next);
                }
            }
        }
    }
    Ok(found)
}

/// Links every record of a mirror's sources to its targets, and sends the pushes off. Runs again without harm.
pub(crate) async fn backfill(
    desk: &Desk,
    organization: &OrganizationId,
    id: &MirrorId,
    fence: Option<&Fence>,
    progress: &dyn Progress,
) -> Result<Summary, Trouble> {
    let mirror = desk
        .store
        .mirror(organization, id)
        .await?
        .ok_or(Trouble::Gone("mirror"))?;
    let mut summary = Summary::default();
    for source in mirror.members.iter().filter(|member| member.role.gives()) {
        let Some(from) = desk.store.collection(organization, &source.collection_id).await? else {
            continue;
        };
        let mirrors = desk.store.mirrors_of(organization, &from.id).await?;
        for target in targets(desk, &from, &mirrors).await? {
            let mut after: Option<RecordId> = None;
            loop {
                let records = desk
                    .store
                    .missing_links(organization, &from.id, &target.id, after.as_ref(), BATCH)
                    .await?;
                let Some(last) = records.last() else { break };
                after = Some(last.id.clone());
                let mut effects: Vec<Effect> = records
                    .iter()
                    .map(|record| Effect::CreateLink(Box::new(pending_link(desk, record, &target))))
                    .collect();
                effects.push(push_job_for(desk, organization, &target.connection));
                desk.store.commit(organization, fence, effects).await?;
                summary.created += records.len() as u64;
                progress.report(summary.created, None);
            }
        }
    }
    Ok(summary)
}
