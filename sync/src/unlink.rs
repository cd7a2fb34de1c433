//! Taking records apart when the mirror that held them together is gone: what no other mirror joins gets a record of
//! its own. Nothing is written to any provider, and no copy is removed.

use std::collections::{BTreeMap, BTreeSet};

use model::{CollectionId, OrganizationId, PartKey, RecordId};

use crate::engine::{Desk, Progress, Summary, Trouble};
use crate::history;
use crate::matching::apart::alone;
use crate::mirror;
use crate::ports::{Effect, StoreError};
use crate::state::{FeedAction, FeedEntry, Fence, Link, Origin, Pairing, Record};

/// Records that one read takes.
const BATCH: u32 = 100;

/// Goes through the records of the collections that were members, and takes apart those that no mirror joins any
/// more. Runs again without harm.
pub(crate) async fn unlink(
    desk: &Desk,
    organization: &OrganizationId,
    members: &[CollectionId],
    fence: Option<&Fence>,
    progress: &dyn Progress,
) -> Result<Summary, Trouble> {
    let mut summary = Summary::default();
    let mut reach = Reach::default();
    for member in members {
        let mut after: Option<RecordId> = None;
        loop {
            let records = desk
                .store
                .joined(organization, member, after.as_ref(), BATCH)
                .await?;
            let Some(last) = records.last() else { break };
            after = Some(last.id.clone());
            for record in records {
                summary.created += take_apart(desk, record, &mut reach, fence).await?;
                progress.report(summary.created, None);
            }
        }
    }
    Ok(summary)
}

/// Gives every group of links that is no longer joined with the record's home a record of its own. How many.
async fn take_apart(
    desk: &Desk,
    record: Record,
    reach: &mut Reach,
    fence: Option<&Fence>,
) -> Result<u64, Trouble> {
    let links = desk.store.links_of(&record.organization, &record.id).await?;
    let home = links
        .iter()
        .position(|link| Some(&link.id) == record.home.as_ref())
        .unwrap_or_default();
    let mut left: Vec<Link> = links;
    if left.is_empty() {
        return Ok(0);
    }
    let first = left.remove(home);
    // What somebody tied by hand stays, whatever mirrors say.
    let decided = desk.store.pairings_of(&record.organization, &record.id).await?;
    let tied = |link: &Link| decided.get(&link.collection) == Some(&Pairing::Tied);
    let (mut own, mut left): (Vec<Link>, Vec<Link>) = left.into_iter().partition(tied);
    own.insert(0, first);
    extend(desk, &mut own, &mut left, reach).await?;
    let mut made = 0;
    while let Some(next) = left.pop() {
        let mut links = vec![next];
        extend(desk, &mut links, &mut left, reach).await?;
        let effects = detached(desk, &record, links);
        match desk.commit(&record.organization, fence, effects).await {
            Ok(()) => made += 1,
            // Someone is at work on the link; the next run takes it.
            Err(StoreError::Stale(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(made)
}

/// Adds the links that mirrors still join with these, taken out of `left`.
async fn extend(
    desk: &Desk,
    links: &mut Vec<Link>,
    left: &mut Vec<Link>,
    reach: &mut Reach,
) -> Result<(), Trouble> {
    let mut at = 0;
    while at < links.len() {
        let here = links[at].clone();
        let mut rest = Vec::with_capacity(left.len());
        for other in left.drain(..) {
            let joined = reach.reaches(desk, &here, &other.collection).await?
                || reach.reaches(desk, &other, &here.collection).await?;
            if joined {
                links.push(other)
            } else {
                rest.push(other)
            }
        }
        *left = rest;
        at += 1;
    }
    Ok(())
}

/// The effects that give links a record of their own. Those without a remote object are dropped: there is no copy.
fn detached(desk: &Desk, from: &Record, links: Vec<Link>) -> Vec<Effect> {
    let (there, nowhere): (Vec<Link>, Vec<Link>) = links
        .into_iter()
        .partition(|link| link.parts.contains_key(&PartKey::MASTER));
    let mut effects: Vec<Effect> = nowhere
        .into_iter()
        .map(|link| Effect::DropLink {
            link: link.id,
            revision: link.revision,
        })
        .collect();
    let Some(home) = there.first().map(|link| link.id.clone()) else {
        return effects;
    };
    if let [only] = there.as_slice() {
        // Whatever was still to be written there came from the others.
        let (record, link) = alone(desk, from, only.clone());
        effects.push(Effect::CreateRecord(Box::new(record.clone())));
        effects.extend(history::taken_out(from, &record, &Origin::Hub));
        effects.extend(history::left(from, only, &Origin::Hub));
        effects.push(Effect::UpdateLink(Box::new(link)));
        effects.push(announced(&record));
        return effects;
    }
    let now = desk.now_ms();
    let record = Record {
        id: desk.record_id(),
        version: 1,
        clocks: BTreeMap::new(),
        home: Some(home),
        created_at: now,
        updated_at: now,
        ..from.clone()
    };
    effects.push(Effect::CreateRecord(Box::new(record.clone())));
    effects.extend(history::taken_out(from, &record, &Origin::Hub));
    for link in &there {
        effects.extend(history::left(from, link, &Origin::Hub));
    }
    effects.extend(there.into_iter().map(|mut link| {
        link.record = record.id.clone();
        link.revision += 1;
        Effect::UpdateLink(Box::new(link))
    }));
    effects.push(announced(&record));
    effects
}

fn announced(record: &Record) -> Effect {
    Effect::Feed(FeedEntry {
        action: FeedAction::Created,
        subject: record.id.to_string(),
        kind: record.kind.name().to_owned(),
        version: record.version,
        changed: Vec::new(),
        origin: Origin::Hub,
        at: record.created_at,
    })
}

/// Which collections a collection's records go to, looked up once each.
#[derive(Default)]
struct Reach(BTreeMap<CollectionId, BTreeSet<CollectionId>>);

impl Reach {
    async fn reaches(&mut self, desk: &Desk, from: &Link, to: &CollectionId) -> Result<bool, Trouble> {
        if let Some(targets) = self.0.get(&from.collection) {
            return Ok(targets.contains(to));
        }
        let mut targets = BTreeSet::new();
        if let Some(collection) = desk
            .store
            .collection(&from.organization, &from.collection)
            .await?
        {
            let mirrors = desk
                .store
                .mirrors_of(&from.organization, &from.collection)
                .await?;
            let found = mirror::targets(desk, &collection, &mirrors, None).await?;
            targets.extend(found.into_iter().map(|target| target.id));
        }
        let answer = targets.contains(to);
        self.0.insert(from.collection.clone(), targets);
        Ok(answer)
    }
}
