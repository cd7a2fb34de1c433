//! Linking the records of a mirror: what is the same is joined, pair by pair; of the rest copies are asked for.

use std::collections::BTreeSet;

use model::{CollectionId, MirrorId, OrganizationId, RecordId};

use super::join::{Overlap, Pair, Union, unite};
use super::picture::{Picture, Verdict};
use super::rules::Rules;
use crate::engine::{Desk, Progress, Summary, Trouble};
use crate::mirror::{mirrors_of, targets};
use crate::ports::{Effect, StoreError};
use crate::state::{Collection, Fence, Mirror};
use crate::work::{pending_link, push_job_for};

/// Copies that one commit asks for.
const BATCH: usize = 200;

/// From where to where records go.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) source: Collection,
    pub(crate) target: Collection,
}

/// The ways that the records of a mirror's sources go, onward through connected mirrors. `assumed` is the mirror as
/// it shall be, which may not be stored yet. Collections that were never completely read are left out: nobody knows
/// what they hold already. Their first complete pull comes back to this.
pub(crate) async fn routes(
    desk: &Desk,
    mirror: &Mirror,
    assumed: Option<&Mirror>,
) -> Result<Vec<Route>, StoreError> {
    let mut routes = Vec::new();
    for member in mirror.members.iter().filter(|member| member.role.gives()) {
        let found = desk
            .store
            .collection(&mirror.organization, &member.collection_id)
            .await?;
        let Some(source) = found.filter(Collection::is_known) else {
            continue;
        };
        let mirrors = mirrors_of(desk, &source, assumed).await?;
        let targets = targets(desk, &source, &mirrors, assumed).await?;
        routes.extend(
            targets
                .into_iter()
                .filter(Collection::is_known)
                .map(|target| Route {
                    source: source.clone(),
                    target,
                }),
        );
    }
    Ok(routes)
}

/// The collections on some ways.
pub(crate) fn places(routes: &[Route]) -> BTreeSet<CollectionId> {
    routes
        .iter()
        .flat_map(|route| [route.source.id.clone(), route.target.id.clone()])
        .collect()
}

/// Links every record of a mirror's sources to its targets, and sends the pushes off. Runs again without harm.
pub(crate) async fn backfill(
    desk: &Desk,
    organization: &OrganizationId,
    id: &MirrorId,
    fence: Option<&Fence>,
    progress: &dyn Progress,
) -> Result<Summary, Trouble> {
    let mirror = desk.store.mirror(organization, id).await?;
    let mirror = mirror.ok_or(Trouble::Gone("mirror"))?;
    let routes = routes(desk, &mirror, None).await?;
    let mut picture = Picture::read(desk, organization, &places(&routes)).await?;
    let mut summary = Summary::default();
    let mut contested = None;
    for route in routes {
        let mirrors = desk.store.mirrors_of(organization, &route.target.id).await?;
        let rules = Rules::of(&mirrors, &route.target.id);
        let mut copies = Vec::new();
        for verdict in picture.compare(&route.source.id, &route.target.id) {
            let (source, target) = match verdict {
                Verdict::Ambiguous { record, .. } | Verdict::New { record } => {
                    copies.push(record);
                    continue;
                }
                Verdict::Same { source, target, .. } => (source, target),
            };
            match join(desk, organization, fence, (&source, &target), &rules).await? {
                Joined::Done(union) => {
                    summary.linked += 1;
                    summary.conflicts += union.clashes.len() as u64;
                    picture.join(union.record, &target);
                    progress.report(summary.linked + summary.created, None);
                }
                // Where a create is in doubt, the copy waits for that before it is made.
                Joined::Apart | Joined::InDoubt => copies.push(source),
                Joined::Gone => copies.extend(living(desk, organization, source).await?),
                Joined::Contested(what) => contested = Some(what),
            }
        }
        let records: Vec<&RecordId> = copies.iter().collect();
        summary.created += ask_for_copies(desk, &route.target, &picture, &records, fence).await?;
        for record in &copies {
            picture.expect(record, &route.target.id);
        }
        progress.report(summary.linked + summary.created, None);
    }
    match contested {
        // The rest is done; the job comes back for these.
        Some(what) => Err(StoreError::Stale(what.to_string()).into()),
        None => Ok(summary),
    }
}

/// The record, unless it was deleted since it was looked at: what it would have been joined with was.
async fn living(
    desk: &Desk,
    organization: &OrganizationId,
    id: RecordId,
) -> Result<Option<RecordId>, StoreError> {
    let record = desk.store.record(organization, &id).await?;
    Ok(record.filter(|record| !record.deleted).map(|record| record.id))
}

/// Makes pending links, and sends the push off.
async fn ask_for_copies(
    desk: &Desk,
    target: &Collection,
    picture: &Picture,
    records: &[&RecordId],
    fence: Option<&Fence>,
) -> Result<u64, Trouble> {
    let organization = &target.organization;
    let mut made = 0;
    for records in records.chunks(BATCH) {
        let mut effects: Vec<Effect> = records
            .iter()
            .filter_map(|id| picture.record(id))
            .map(|record| Effect::CreateLink(Box::new(pending_link(desk, record, target))))
            .collect();
        made += effects.len() as u64;
        effects.push(push_job_for(desk, organization, &target.connection));
        desk.commit(organization, fence, effects).await?;
    }
    Ok(made)
}

/// What became of a join.
pub(crate) enum Joined {
    Done(Box<Union>),
    /// Both have an object in one collection; nothing was changed.
    Apart,
    /// A copy of one of them, which the other has already, may have been made or not: nobody knows. Nothing was changed.
    InDoubt,
    /// One of them is gone.
    Gone,
    /// Somebody else was at work on one of them all the time; nothing was changed.
    Contested(RecordId),
}

/// Makes one record of two, in one transaction; again when someone was faster.
pub(crate) async fn join(
    desk: &Desk,
    organization: &OrganizationId,
    fence: Option<&Fence>,
    (keep, other): (&RecordId, &RecordId),
    rules: &Rules,
) -> Result<Joined, StoreError> {
    for _ in 0..desk.settings.max_replans {
        let Some(pair) = read_pair(desk, organization, keep, other).await? else {
            return Ok(Joined::Gone);
        };
        let union = match unite(pair, rules, desk.now_ms()) {
            Ok(union) => union,
            Err(Overlap(_)) => return Ok(Joined::Apart),
        };
        if has_open_intent(desk, organization, &union).await? {
            return Ok(Joined::InDoubt);
        }
        let effects = union.clone().into_effects(desk);
        match desk.commit(organization, fence, effects).await {
            Ok(()) => return Ok(Joined::Done(Box::new(union))),
            Err(StoreError::Stale(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Joined::Contested(keep.clone()))
}

/// Whether something that was sent through a link that would go has not been answered yet.
async fn has_open_intent(
    desk: &Desk,
    organization: &OrganizationId,
    union: &Union,
) -> Result<bool, StoreError> {
    for link in union.dropped() {
        let open = desk.store.open_intents(organization, &link.connection).await?;
        if open.iter().any(|intent| intent.link == link.id) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Two live records with their links, as they are now.
pub(crate) async fn read_pair(
    desk: &Desk,
    organization: &OrganizationId,
    keep: &RecordId,
    other: &RecordId,
) -> Result<Option<Pair>, StoreError> {
    let store = &desk.store;
    let (Some(kept), Some(gone)) = (
        store.record(organization, keep).await?,
        store.record(organization, other).await?,
    ) else {
        return Ok(None);
    };
    if kept.deleted || gone.deleted || kept.id == gone.id {
        return Ok(None);
    }
    Ok(Some(Pair {
        keep: kept,
        keep_links: store.links_of(organization, keep).await?,
        other: gone,
        other_links: store.links_of(organization, other).await?,
        decided: store.pairings_of(organization, other).await?,
    }))
}
