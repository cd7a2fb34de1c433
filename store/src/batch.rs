//! Effects in one transaction: first put into an order in which rows of a sort are written together, then applied.

use std::collections::{BTreeMap, HashSet};

use model::{InboundId, LinkId, OrganizationId, PartKey, RecordId};
use sync::history::HistoryEntry;
use sync::ports::{Effect, StoreError};
use sync::state::{FeedAction, FeedEntry, Fence, InboundEnd, Link, NewJob, Record};

use crate::freshness::{self, Fresh};
use crate::inbox::Ended;
use crate::link_parts::Parts;
use crate::original::{self, Packed};
use crate::watch::Committed;
use crate::write::Write;
use crate::{
    SqliteStore, collections, conflicts, connections, history, inbox, intents, links, mirrors, pairings,
    quarantine, queue, records,
};

/// What is written at once.
#[derive(Debug)]
enum Step {
    Records(Vec<Record>),
    ChangedLinks(Vec<Link>),
    Links(Vec<Link>),
    Raws(Vec<((LinkId, PartKey), Packed)>),
    One(Effect),
}

/// Effects in the order of their writing. New records, links and originals, and changed links, are collected until an
/// effect comes that looks at one of them; nothing looks at the feed, at new jobs and at history, which go last.
#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
    records: Vec<Record>,
    record_ids: HashSet<RecordId>,
    links: Vec<Link>,
    changed_links: Vec<Link>,
    /// New and changed ones.
    link_ids: HashSet<LinkId>,
    /// Those of the new links. A changed one may have been at any record.
    linked_records: HashSet<RecordId>,
    /// The last original of each part: PostgreSQL refuses to write a row twice in one statement.
    raws: BTreeMap<(LinkId, PartKey), Packed>,
    feed: Vec<FeedEntry>,
    jobs: Vec<NewJob>,
    history: Vec<HistoryEntry>,
    /// Links go, or move to another record.
    takes_apart: bool,
    /// Webhooks that were taken in.
    webhooks: Vec<InboundId>,
    /// Over what the links that were dropped have left.
    freshness: Vec<Fresh>,
    /// What became of webhooks; nothing else of a commit looks at them.
    ended: Vec<Ended>,
}

impl Plan {
    fn of(effects: Vec<Effect>) -> Self {
        let mut plan = Self::default();
        for effect in effects {
            plan.add(effect);
        }
        plan.flush();
        plan
    }

    fn add(&mut self, effect: Effect) {
        self.takes_apart |= match &effect {
            Effect::Feed(entry) => entry.action == FeedAction::Deleted,
            other => matches!(other, Effect::DropLink { .. }),
        };
        if let Effect::EndInbound {
            inbound,
            end: InboundEnd::Done(_),
            ..
        } = &effect
        {
            self.webhooks.push(inbound.clone());
        }
        match effect {
            Effect::CreateRecord(record) => {
                self.record_ids.insert(record.id.clone());
                self.records.push(*record);
            }
            Effect::CreateLink(link) => {
                self.link_ids.insert(link.id.clone());
                self.linked_records.insert(link.record.clone());
                self.links.push(*link);
            }
            Effect::PutRaw { link, part, raw } => {
                self.raws.insert((link, part), original::pack(&raw));
            }
            Effect::Feed(entry) => self.feed.push(entry),
            Effect::History(entry) => self.history.push(*entry),
            Effect::Enqueue(job) => self.jobs.push(*job),
            Effect::PutFreshness {
                collection,
                remote,
                freshness,
                at,
            } => self.freshness.push(Fresh {
                collection,
                remote,
                freshness,
                at,
            }),
            Effect::UpdateRecord(record) => {
                let seen = self.record_ids.contains(&record.id);
                self.one(seen, Effect::UpdateRecord(record));
            }
            Effect::UpdateLink(link) => {
                // A new one may have taken the place in its collection that this one gives up.
                if !self.links.is_empty() || self.link_ids.contains(&link.id) || self.holds_raw_of(&link.id) {
                    self.flush();
                }
                self.link_ids.insert(link.id.clone());
                self.changed_links.push(*link);
            }
            Effect::Touch { record, except } => {
                let seen = !self.changed_links.is_empty() || self.linked_records.contains(&record);
                self.one(seen, Effect::Touch { record, except });
            }
            Effect::DropLink { link, revision } => self.one(true, Effect::DropLink { link, revision }),
            Effect::EndInbound { inbound, end, at } => self.ended.push(Ended { inbound, end, at }),
            other @ (Effect::PutCursor { .. }
            | Effect::PutCollection(_)
            | Effect::HoldCollection { .. }
            | Effect::OpenIntent(_)
            | Effect::CloseIntent(_)
            | Effect::PutConflict(_)
            | Effect::ResolveConflict { .. }
            | Effect::Quarantine(_)
            | Effect::Release { .. }
            | Effect::SetHealth { .. }
            | Effect::Discovered { .. }
            | Effect::PutMirror(_)
            | Effect::DropMirror(_)
            | Effect::ExpectNoIntent(_)
            | Effect::Pair { .. }) => self.one(false, other),
        }
    }

    fn holds_raw_of(&self, link: &LinkId) -> bool {
        let first = (link.clone(), PartKey::MASTER);
        self.raws
            .range(first..)
            .next()
            .is_some_and(|((id, _), _)| id == link)
    }

    fn one(&mut self, flush: bool, effect: Effect) {
        if flush {
            self.flush();
        }
        self.steps.push(Step::One(effect));
    }

    fn flush(&mut self) {
        self.record_ids.clear();
        self.link_ids.clear();
        self.linked_records.clear();
        if !self.records.is_empty() {
            self.steps.push(Step::Records(std::mem::take(&mut self.records)));
        }
        if !self.changed_links.is_empty() {
            self.steps
                .push(Step::ChangedLinks(std::mem::take(&mut self.changed_links)));
        }
        if !self.links.is_empty() {
            self.steps.push(Step::Links(std::mem::take(&mut self.links)));
        }
        if !self.raws.is_empty() {
            self.steps
                .push(Step::Raws(std::mem::take(&mut self.raws).into_iter().collect()));
        }
    }
}

impl SqliteStore {
    pub(crate) async fn apply(
        &self,
        organization: &OrganizationId,
        fence: Option<&Fence>,
        effects: Vec<Effect>,
    ) -> Result<(), StoreError> {
        foreign(organization, &effects)?;
        // What takes time is done before the writing connection is taken.
        let plan = Plan::of(effects);
        let now = self.now_ms();
        let mut write = self.write_in(organization).await?;
        let of_job = match fence {
            Some(fence) => queue::check_fence(&mut write, organization, fence).await?,
            None => None,
        };
        let webhook = plan.webhooks.first().cloned().or(of_job);
        write.brought_by(webhook.clone());
        if plan.takes_apart {
            write.remember(organization, &plan.feed).await?;
        }
        let mut parts = Parts::default();
        for step in plan.steps {
            match step {
                Step::Records(rows) => records::insert(&mut write, organization, rows).await?,
                Step::ChangedLinks(rows) => links::update(&mut write, organization, &mut parts, rows).await?,
                Step::Links(rows) => links::insert(&mut write, organization, &mut parts, rows).await?,
                Step::Raws(rows) => links::put_raws(&mut write, organization, rows).await?,
                Step::One(effect) => one(&mut write, organization, &mut parts, effect, now).await?,
            }
        }
        parts.write(&mut write, organization, now).await?;
        freshness::put(&mut write, organization, plan.freshness).await?;
        inbox::end(&mut write, organization, plan.ended).await?;
        for job in &plan.jobs {
            queue::enqueue(&mut write, organization, job, now).await?;
        }
        history::append(&mut write, organization, plan.history).await?;
        let entries = plan.feed.len();
        write.append(organization, plan.feed).await?;
        let (passed_on, last) = write.outcome();
        write.commit().await?;
        if let (Some(webhook), Some(watch)) = (webhook, self.watcher()) {
            watch.committed(&Committed {
                webhook,
                webhooks: plan.webhooks,
                passed_on,
                job: fence.map(|fence| fence.job.clone()),
                changes: last.filter(|_| entries > 0).map(|last| (entries, last)),
                began_at: now,
            });
        }
        Ok(())
    }
}

/// Refuses rows of another organization: they would be written into this one's.
fn foreign(organization: &OrganizationId, effects: &[Effect]) -> Result<(), StoreError> {
    let mut owners = effects.iter().filter_map(Effect::organization);
    match owners.find(|owner| *owner != organization) {
        None => Ok(()),
        Some(owner) => Err(StoreError::Stale(format!(
            "a row of {owner} in a commit of {organization}"
        ))),
    }
}

/// Applies an effect that stands alone.
async fn one(
    write: &mut Write,
    organization: &OrganizationId,
    parts: &mut Parts,
    effect: Effect,
    now: i64,
) -> Result<(), StoreError> {
    match effect {
        Effect::CreateRecord(record) => records::insert(write, organization, vec![*record]).await,
        Effect::UpdateRecord(record) => records::update(write, organization, &record).await,
        Effect::CreateLink(link) => links::insert(write, organization, parts, vec![*link]).await,
        Effect::UpdateLink(link) => links::update(write, organization, parts, vec![*link]).await,
        Effect::DropLink { link, revision } => {
            links::remove(write, organization, parts, &link, revision).await
        }
        Effect::PutRaw { link, part, raw } => {
            links::put_raws(write, organization, vec![((link, part), original::pack(&raw))]).await
        }
        Effect::Touch { record, except } => links::touch(write, organization, &record, except.as_ref()).await,
        Effect::PutCursor {
            collection,
            cursor,
            enumerated_at,
        } => collections::put_cursor(write, organization, &collection, cursor.as_ref(), enumerated_at).await,
        Effect::PutCollection(collection) => collections::put(write, organization, &collection).await,
        Effect::HoldCollection {
            collection,
            before,
            hold,
        } => collections::hold(write, organization, &collection, before, hold.as_deref()).await,
        Effect::OpenIntent(intent) => intents::open(write, organization, &intent).await,
        Effect::CloseIntent(intent) => intents::close(write, organization, &intent).await,
        Effect::PutConflict(conflict) => conflicts::put(write, organization, &conflict).await,
        Effect::ResolveConflict { conflict, at } => {
            conflicts::resolve(write, organization, &conflict, at).await
        }
        Effect::Quarantine(entry) => quarantine::put(write, organization, &entry).await,
        Effect::Release { collection, remote } => {
            quarantine::release(write, organization, &collection, &remote).await
        }
        Effect::Feed(entry) => write.append(organization, vec![entry]).await,
        Effect::History(entry) => history::append(write, organization, vec![*entry]).await,
        Effect::Enqueue(job) => queue::enqueue(write, organization, &job, now).await.map(|_| ()),
        Effect::SetHealth {
            connection,
            health,
            reason,
            synced_at,
        } => {
            connections::set_health(
                write,
                organization,
                &connection,
                (health, reason.as_deref()),
                synced_at,
            )
            .await
        }
        Effect::Discovered { connection, at } => {
            connections::discovered(write, organization, &connection, at).await
        }
        Effect::PutMirror(mirror) => mirrors::put(write, organization, &mirror).await,
        Effect::DropMirror(mirror) => mirrors::remove(write, organization, &mirror).await,
        Effect::ExpectNoIntent(link) => intents::expect_none(write, organization, &link).await,
        Effect::Pair {
            record,
            collection,
            pairing,
        } => pairings::put(write, organization, &record, &collection, pairing).await,
        Effect::EndInbound { inbound, end, at } => {
            inbox::end(write, organization, vec![Ended { inbound, end, at }]).await
        }
        Effect::PutFreshness {
            collection,
            remote,
            freshness,
            at,
        } => {
            let fresh = Fresh {
                collection,
                remote,
                freshness,
                at,
            };
            freshness::put(write, organization, vec![fresh]).await
        }
    }
}
