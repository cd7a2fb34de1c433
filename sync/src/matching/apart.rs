//! Taking one object out of a record again, and tying two records by hand. Neither writes to any provider.

use std::collections::{BTreeMap, BTreeSet};

use model::{CollectionId, FieldPath, LinkId, OrganizationId, RecordId};

use super::join::{Overlap, Union, unite};
use super::rules::Rules;
use super::run::read_pair;
use crate::edit::{EditError, MAX_TRIES, contested};
use crate::engine::{Desk, Engine};
use crate::history::{self, Change, LinkChange};
use crate::plan;
use crate::ports::{Effect, StoreError};
use crate::state::{FeedAction, FeedEntry, FieldClock, Link, LinkState, Origin, Pairing, Record};
use crate::work::push_job;

impl Engine {
    /// Takes the object behind a link out of its record: it gets a record of its own, which says what the provider
    /// says. What the two took from each other and have written stays; what was still to be written is not. No
    /// mirror joins or copies the two into each other's collections again. A link without an object is removed, and
    /// its collection gets no copy.
    ///
    /// # Errors
    /// `Invalid` when the record has nothing else, or is being deleted.
    pub async fn unlink(&self, organization: &OrganizationId, id: &LinkId) -> Result<Link, EditError> {
        let store = &self.desk.store;
        let mut record = None;
        for _ in 0..MAX_TRIES {
            let found = store.link(organization, id).await?;
            let linked = found.ok_or(EditError::NotFound("link"))?;
            record = Some(linked.record.id.clone());
            let links = store.links_of(organization, &linked.record.id).await?;
            let others: Vec<Link> = links.into_iter().filter(|link| link.id != *id).collect();
            if linked.record.deleted {
                let text = "the event was deleted, and its copies are going; there is nothing to take apart";
                return Err(EditError::Invalid(text.to_owned()));
            }
            if !others.iter().any(Link::is_there) {
                let text = "the record has no other object; there is nothing to take apart";
                return Err(EditError::Invalid(text.to_owned()));
            }
            let (link, effects) = self.separated(&linked.record, linked.link, others);
            match self.desk.commit(organization, None, effects).await {
                Err(StoreError::Stale(_)) => {}
                outcome => {
                    outcome?;
                    return Ok(link);
                }
            }
        }
        Err(record.map_or(EditError::NotFound("link"), |record| contested(&record)))
    }

    /// The effects of taking a link out of its record.
    fn separated(&self, record: &Record, link: Link, others: Vec<Link>) -> (Link, Vec<Effect>) {
        let desk = &self.desk;
        let apart = |record: &RecordId, collection: &CollectionId| Effect::Pair {
            record: record.clone(),
            collection: collection.clone(),
            pairing: Some(Pairing::Apart),
        };
        // A write on its way would come back to a link that means something else by now.
        let mut effects = vec![
            Effect::ExpectNoIntent(link.id.clone()),
            apart(&record.id, &link.collection),
        ];
        let remaining = without(record, &link, &others, desk.now_ms());
        let changed = record.content.differences(&remaining.content);
        effects.push(Effect::UpdateRecord(Box::new(remaining.clone())));
        effects.extend(history::entries(&Change {
            before: Some(record),
            after: &remaining,
            link: Some(LinkChange {
                link: &link,
                local: &link.local,
                joined: false,
                left: true,
            }),
            conflicts: &[],
            origin: &Origin::Hub,
        }));
        if !changed.is_empty() {
            effects.push(Effect::Touch {
                record: remaining.id.clone(),
                except: Some(link.id.clone()),
            });
            effects.extend(others.iter().map(|link| push_job(desk, link)));
        }
        effects.push(entry(FeedAction::Updated, &remaining, &changed));
        if !link.is_there() {
            effects.push(Effect::DropLink {
                link: link.id.clone(),
                revision: link.revision,
            });
            return (link, effects);
        }
        let (own, link) = alone(desk, record, link);
        effects.push(Effect::CreateRecord(Box::new(own.clone())));
        effects.extend(history::taken_out(record, &own, &Origin::Hub));
        effects.push(Effect::UpdateLink(Box::new(link.clone())));
        effects.extend(others.iter().map(|other| apart(&own.id, &other.collection)));
        effects.push(entry(FeedAction::Created, &own, &[]));
        (link, effects)
    }

    /// Ties two records by hand: they are one from now on, whatever mirrors say, until a link of theirs is taken out
    /// again. The first keeps its id; where they differ the policy of the mirrors that they are in decides, and
    /// without one the record that changed last.
    ///
    /// # Errors
    /// `Invalid` when they are of different kinds, or both have an object in one collection.
    pub async fn tie(
        &self,
        organization: &OrganizationId,
        keep: &RecordId,
        other: &RecordId,
    ) -> Result<Record, EditError> {
        if keep == other {
            return Err(EditError::Invalid(
                "a record is linked with itself already".to_owned(),
            ));
        }
        for _ in 0..MAX_TRIES {
            let pair = read_pair(&self.desk, organization, keep, other).await?;
            let pair = pair.ok_or(EditError::NotFound("record"))?;
            if pair.keep.kind != pair.other.kind {
                let text = "the two records are of different kinds";
                return Err(EditError::Invalid(text.to_owned()));
            }
            let mut rules = Rules::default();
            for link in &pair.other_links {
                let mirrors = self.desk.store.mirrors_of(organization, &link.collection).await?;
                if !mirrors.is_empty() {
                    rules = Rules::of(&mirrors, &link.collection);
                    break;
                }
            }
            let union = match unite(pair, &rules, self.desk.now_ms()) {
                Ok(union) => union,
                Err(Overlap(collection)) => return Err(self.overlap(organization, &collection).await?),
            };
            let (record, effects) = self.tied(union);
            match self.desk.commit(organization, None, effects).await {
                Err(StoreError::Stale(_)) => {}
                outcome => {
                    outcome?;
                    return Ok(record);
                }
            }
        }
        Err(contested(keep))
    }

    /// The effects of a join by hand: what was decided before about the collections of the two is forgotten.
    fn tied(&self, union: Union) -> (Record, Vec<Effect>) {
        let record = union.record.clone();
        let places: Vec<CollectionId> = union.links().map(|link| link.collection.clone()).collect();
        let mut effects = union.into_effects(&self.desk);
        effects.extend(places.into_iter().map(|collection| Effect::Pair {
            record: record.id.clone(),
            collection,
            pairing: Some(Pairing::Tied),
        }));
        (record, effects)
    }

    async fn overlap(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<EditError, EditError> {
        let found = self.desk.store.collection(organization, collection).await?;
        let name = found.map_or_else(|| collection.to_string(), |collection| collection.remote.name);
        Ok(EditError::Invalid(format!(
            "both have an object in `{name}`: there they are two things"
        )))
    }
}

/// A link with a record of its own, which says what the provider says. Nothing is left to be sent.
pub(crate) fn alone(desk: &Desk, from: &Record, mut link: Link) -> (Record, Link) {
    let uid = FieldPath::master("uid");
    let own = link.snapshots.remote.get(&uid).cloned();
    link.snapshots.hub.set(&uid, own);
    let (shared, local) = plan::split(link.kind, link.snapshots.hub.clone(), &link.local);
    let now = desk.now_ms();
    let record = Record {
        id: desk.record_id(),
        version: 1,
        content: shared,
        clocks: BTreeMap::new(),
        home: Some(link.id.clone()),
        created_at: now,
        updated_at: now,
        ..from.clone()
    };
    link.record = record.id.clone();
    link.revision += 1;
    link.local = local;
    link.hold(BTreeSet::new(), &record.content);
    link.dirty = false;
    link.state = LinkState::Synced;
    link.attempts = 0;
    link.not_before = 0;
    (record, link)
}

/// The record without one of its links: what came through that one and waits to be written elsewhere is taken back.
fn without(record: &Record, link: &Link, others: &[Link], now_ms: i64) -> Record {
    let mut remaining = record.clone();
    remaining.version += 1;
    remaining.updated_at = now_ms;
    let there = others.iter().find(|other| other.is_there());
    if record.home.as_ref() == Some(&link.id) {
        remaining.home = there.or(others.first()).map(|other| other.id.clone());
    }
    let Some(there) = there else { return remaining };
    let known = &there.snapshots.hub;
    let from_link = Origin::Link(link.id.clone());
    for path in record.content.differences(known) {
        let name = path.to_string();
        if record
            .clocks
            .get(&name)
            .is_some_and(|clock| clock.origin == from_link)
        {
            remaining.content.set(&path, known.get(&path).cloned());
            let clock = FieldClock {
                version: remaining.version,
                origin: Origin::Hub,
            };
            remaining.clocks.insert(name, clock);
        }
    }
    remaining
}

fn entry(action: FeedAction, record: &Record, changed: &[FieldPath]) -> Effect {
    Effect::Feed(FeedEntry {
        action,
        subject: record.id.to_string(),
        kind: record.kind.name().to_owned(),
        version: record.version,
        changed: changed.iter().map(ToString::to_string).collect(),
        origin: Origin::Hub,
        at: record.updated_at,
    })
}
