//! A mirror's dry run: the same picture, the same verdicts, the same joins and the same next writes as the real one,
//! and nothing of it stored or sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use conflict::Clash;
use model::{CollectionId, RecordId};
use tokio_util::sync::CancellationToken;

use super::join::{Pair, Union, unite};
use super::picture::{Picture, Verdict};
use super::rules::Rules;
use super::run::{places, routes};
use super::{Reason, Route};
use crate::dry_run::{MAX_OPERATIONS, PlannedClash, PlannedOperation, title};
use crate::edit::EditError;
use crate::engine::{Engine, Run, Trouble};
use crate::mirror::mirrors_of;
use crate::ports::StoreError;
use crate::scene::Scene;
use crate::state::{Collection, Link, Mirror, Record};
use crate::work::{Work, pending_link};

/// A dry run under way.
struct Preview<'a> {
    engine: &'a Engine,
    mirror: &'a Mirror,
    picture: Picture,
    /// Records whose links would be others than the stored ones.
    links: BTreeMap<RecordId, Vec<Link>>,
    planned: Vec<PlannedOperation>,
}

impl Engine {
    /// What a mirror would do if it were stored now: which records would be linked and why, which are ambiguous, what
    /// would be written where, and whom a provider would mail.
    ///
    /// # Errors
    /// When a member is missing or the store fails.
    pub async fn dry_run_mirror(&self, mirror: &Mirror) -> Result<Vec<PlannedOperation>, EditError> {
        self.check_mirror(mirror).await?;
        let routes = routes(&self.desk, mirror, Some(mirror)).await?;
        let picture = Picture::read(&self.desk, &mirror.organization, &places(&routes)).await?;
        let mut preview = Preview {
            engine: self,
            mirror,
            picture,
            links: BTreeMap::new(),
            planned: Vec::new(),
        };
        for route in &routes {
            preview.take(route).await?;
        }
        preview.plan_writes().await?;
        preview.planned.truncate(MAX_OPERATIONS);
        Ok(preview.planned)
    }
}

impl Preview<'_> {
    /// Decides one way as the real run does, and remembers what it would come to.
    async fn take(&mut self, route: &Route) -> Result<(), EditError> {
        let desk = &self.engine.desk;
        let mirrors = mirrors_of(desk, &route.target, Some(self.mirror)).await?;
        let rules = Rules::of(&mirrors, &route.target.id);
        let mut copies = Vec::new();
        for verdict in self.picture.compare(&route.source.id, &route.target.id) {
            match verdict {
                Verdict::New { record } => copies.push(record),
                Verdict::Ambiguous {
                    record,
                    others,
                    reason,
                } => {
                    self.note_ambiguous(route, &record, others, reason);
                    copies.push(record);
                }
                Verdict::Same {
                    source,
                    target,
                    reason,
                } => {
                    let pair = self.pair(&source, &target).await?;
                    let Some(pair) = pair else { continue };
                    match unite(pair, &rules, self.engine.desk.now_ms()) {
                        Ok(union) => self.note_link(route, union, reason),
                        Err(_) => copies.push(source),
                    }
                }
            }
        }
        for id in copies {
            let Some(record) = self.picture.record(&id).cloned() else {
                continue;
            };
            let link = pending_link(&self.engine.desk, &record, &route.target);
            let mut links = self.links_of(&id).await?;
            links.push(link);
            self.links.insert(id.clone(), links);
            self.picture.expect(&id, &route.target.id);
        }
        Ok(())
    }

    /// Two records as they would be by now.
    async fn pair(&self, keep: &RecordId, other: &RecordId) -> Result<Option<Pair>, StoreError> {
        let (Some(kept), Some(gone)) = (self.picture.record(keep), self.picture.record(other)) else {
            return Ok(None);
        };
        Ok(Some(Pair {
            keep: kept.clone(),
            keep_links: self.links_of(keep).await?,
            other: gone.clone(),
            other_links: self.links_of(other).await?,
            decided: BTreeMap::new(),
        }))
    }

    async fn links_of(&self, record: &RecordId) -> Result<Vec<Link>, StoreError> {
        if let Some(links) = self.links.get(record) {
            return Ok(links.clone());
        }
        let store = &self.engine.desk.store;
        store.links_of(&self.mirror.organization, record).await
    }

    fn note_link(&mut self, route: &Route, union: Union, reason: Reason) {
        let retired = union.retired_id().clone();
        let there = union.moved.iter().find(|link| link.collection == route.target.id);
        let remote = there.and_then(|link| link.parts.get(&model::PartKey::MASTER));
        self.planned.push(PlannedOperation {
            side: "hub",
            action: "link",
            record_id: Some(union.record.id.clone()),
            other_ids: vec![retired.clone()],
            matched_by: Some(reason),
            collection_id: Some(route.target.id.clone()),
            link_id: there.map(|link| link.id.clone()),
            remote_id: remote.map(|part| part.id.to_string()),
            title: title(&union.record.content.fields),
            fields: union.taken.iter().map(ToString::to_string).collect(),
            clashes: union.clashes.iter().map(planned_clash).collect(),
            ..PlannedOperation::default()
        });
        self.links.remove(&retired);
        let links = union.links().cloned().collect();
        self.links.insert(union.record.id.clone(), links);
        self.picture.join(union.record, &retired);
    }

    fn note_ambiguous(&mut self, route: &Route, id: &RecordId, others: Vec<RecordId>, reason: Reason) {
        let record = self.picture.record(id);
        self.planned.push(PlannedOperation {
            side: "hub",
            action: "ambiguous",
            record_id: Some(id.clone()),
            other_ids: others,
            matched_by: Some(reason),
            collection_id: Some(route.target.id.clone()),
            title: record.and_then(|record| title(&record.content.fields)),
            ..PlannedOperation::default()
        });
    }

    /// What the pushes would write afterwards.
    async fn plan_writes(&mut self) -> Result<(), EditError> {
        let cancel = CancellationToken::new();
        let mut stages = BTreeMap::new();
        for (record, links) in std::mem::take(&mut self.links) {
            let Some(record) = self.picture.record(&record).cloned() else {
                continue;
            };
            for link in links {
                if self.planned.len() >= MAX_OPERATIONS {
                    return Ok(());
                }
                let place = link.collection.clone();
                if !stages.contains_key(&place) {
                    let stage = self.stage(&place, &cancel).await?;
                    stages.insert(place.clone(), stage);
                }
                let stage = stages.get(&place).and_then(Option::as_ref);
                self.planned.extend(planned_write(stage, record.clone(), link));
            }
        }
        Ok(())
    }

    /// A collection as its pushes would find it; nothing where its connection cannot be opened.
    async fn stage<'c>(
        &self,
        id: &CollectionId,
        cancel: &'c CancellationToken,
    ) -> Result<Option<(Run<'c>, Scene)>, EditError> {
        let store = &self.engine.desk.store;
        let organization = &self.mirror.organization;
        let Some(collection) = store.collection(organization, id).await? else {
            return Ok(None);
        };
        let mirrors = mirrors_of(&self.engine.desk, &collection, Some(self.mirror)).await?;
        let connection = collection.connection.clone();
        let run = match self.engine.rehearsal(organization, &connection, cancel).await {
            Ok(run) => run,
            Err(Trouble::Store(error)) => return Err(error.into()),
            Err(trouble) => {
                tracing::debug!(%connection, %trouble, "shown without what its provider could say");
                return Ok(None);
            }
        };
        let scene = scene(&run, collection, &mirrors);
        Ok(Some((run, scene)))
    }
}

fn scene(run: &Run<'_>, collection: Collection, mirrors: &[Mirror]) -> Scene {
    let now = run.desk.now_ms();
    Scene::new(run.provider.clone(), collection, mirrors, Vec::new(), now)
}

/// The next write of a link that is not stored like this.
fn planned_write(stage: Option<&(Run<'_>, Scene)>, record: Record, link: Link) -> Option<PlannedOperation> {
    let is_new = !link.is_there();
    let work = Work::stored(link, Arc::new(record));
    let planned = match stage {
        Some((run, scene)) => run.planned_write(scene, &work),
        None if is_new => Some(PlannedOperation {
            side: "remote",
            action: "create",
            record_id: Some(work.record.id.clone()),
            title: title(&work.record.content.fields),
            reason: Some("its connection cannot be opened now, so this is all that can be said".to_owned()),
            collection_id: Some(work.link.collection.clone()),
            ..PlannedOperation::default()
        }),
        None => None,
    };
    planned.map(|planned| PlannedOperation {
        link_id: planned.link_id.filter(|_| !is_new),
        ..planned
    })
}

fn planned_clash(clash: &Clash) -> PlannedClash {
    PlannedClash {
        field: clash.path.to_string(),
        hub: clash.hub.clone(),
        remote: clash.remote.clone(),
        winner: clash.winner,
        rule: clash.rule,
    }
}
