//! People: what they do at the providers and through the API, told to the oracle as they do it.

use std::collections::BTreeSet;

use connector_sdk::{Notifies, RemoteId};
use model::{Content, FieldPath, PartKey};
use serde_json::json;
use sync::ports::{Linked, Store as _};
use sync::state::{Link, LinkState, Origin, Record};
use sync::{EditError, EditScope, Resolution};

use super::change::{self, Change, OccurrenceChange};
use super::provider::Creation;
use super::step::ClientAct;
use super::story::content_of;
use super::token::{self, Token};
use super::turn::{Task, finish};
use super::world::{ASIDE, MAIN, World};

impl World {
    /// Somebody makes something at a provider.
    pub(crate) fn put(&mut self, side: usize, series: bool, pick: u32) {
        let kind = self.kind();
        let content = change::fresh(kind, series, pick, &mut self.watch.notes().oracle);
        let provider = &self.sides[side].provider;
        let id = token::entity(&content).map_or_else(|| "x".to_owned(), |entity| format!("n{entity}"));
        provider.put(MAIN, &id, content);
        let after = provider.content(MAIN, &id);
        self.tell(side, "made at", None, after.as_ref());
    }

    /// Somebody gave the same to all providers, before anything joins them.
    pub(crate) fn share(&mut self, series: bool, pick: u32) {
        let kind = self.kind();
        let content = change::fresh(kind, series, pick, &mut self.watch.notes().oracle);
        let id = token::entity(&content).map_or_else(|| "x".to_owned(), |entity| format!("n{entity}"));
        for side in &self.sides {
            side.provider.put(MAIN, &id, content.clone());
        }
        let mut held = self.sides.iter().map(|side| side.provider.content(MAIN, &id));
        let first = held.next().flatten();
        // Whoever deletes one of them cannot know what the others say in words of their own.
        let differ = held.any(|other| other != first);
        if let Some(entity) = first.as_ref().and_then(token::entity).filter(|_| differ) {
            self.watch.notes().oracle.may_outlive(entity);
        }
        self.tell(0, "made everywhere, and at", None, first.as_ref());
    }

    /// Somebody changes something at a provider.
    pub(crate) fn edit(&mut self, side: usize, pick: u32, change: Change) {
        let Some((id, before)) = self.pick_object(side, MAIN, pick) else {
            return;
        };
        let kind = self.kind();
        let next = change::apply(kind, &before, change, pick / 7, &mut self.watch.notes().oracle);
        let Some(next) = next else { return };
        let provider = &self.sides[side].provider;
        provider.edit(MAIN, &id, |content| *content = next);
        let after = provider.content(MAIN, &id);
        self.tell(side, &format!("{change:?} at"), Some(&before), after.as_ref());
    }

    /// Somebody deletes something at a provider.
    pub(crate) fn delete(&mut self, side: usize, pick: u32) {
        let Some((id, before)) = self.pick_object(side, MAIN, pick) else {
            return;
        };
        let doubted = self.foresee_delete(side, &id, &before);
        if self.sides[side].provider.delete(MAIN, &id) {
            self.tell(side, "deleted at", Some(&before), None);
            self.watch.notes().oracle.doubt(&before, &doubted);
        }
    }

    /// Somebody takes a delete back at a provider.
    pub(crate) fn restore(&mut self, side: usize, pick: u32) {
        let provider = &self.sides[side].provider;
        let deleted = provider.deleted(MAIN);
        if deleted.is_empty() {
            return;
        }
        let id = &deleted[pick as usize % deleted.len()];
        if provider.restore(MAIN, id) {
            let after = provider.content(MAIN, id);
            if let Some(entity) = after.as_ref().and_then(token::entity) {
                // It may have been made again meanwhile, as something else.
                self.watch.notes().oracle.allow_another(entity);
            }
            self.tell(side, "restored at", None, after.as_ref());
        }
    }

    /// Somebody moves something to the other collection of a provider, or back.
    pub(crate) fn relocate(&mut self, side: usize, pick: u32) {
        let (from, to) = if pick.is_multiple_of(3) {
            (ASIDE, MAIN)
        } else {
            (MAIN, ASIDE)
        };
        let Some((id, before)) = self.pick_object(side, from, pick / 3) else {
            return;
        };
        let doubted = match from {
            MAIN => self.foresee_delete(side, &id, &before),
            _ => BTreeSet::new(),
        };
        let provider = &self.sides[side].provider;
        let Some(moved) = provider.move_to(from, &id, to) else {
            return;
        };
        let after = provider.content(to, &moved);
        if let Some(entity) = token::entity(&before) {
            self.watch.notes().oracle.allow_another(entity);
        }
        // Gone from one collection, and new in the other.
        self.tell(side, "moved away at", Some(&before), None);
        self.watch.notes().oracle.doubt(&before, &doubted);
        self.tell(side, "moved here at", None, after.as_ref());
    }

    /// Whether the hub writes this field to the provider at all, and the provider keeps it.
    pub(crate) fn holds(&self, side: usize, field: &str) -> bool {
        let capability = self.sides[side].connector.capability(self.kind());
        let guests = field == "attendees" && capability.notifies == Notifies::Always;
        let dropped = self.sides[side].provider.quirks().drops.as_deref() == Some(field);
        capability.writes(field) && !guests && !dropped
    }

    /// What a provider was told and could not hold goes with what it could. Gives the values that the hub wrote there
    /// and of which it does not know yet that they arrived, whether or not somebody has replaced them there since.
    fn foresee_delete(&self, side: usize, id: &str, content: &Content) -> BTreeSet<Token> {
        let (ids, main) = ([RemoteId(id.to_owned())], &self.sides[side].main);
        let linked = finish(self.store.linked(&self.organization, main, &ids));
        let mut linked = linked.and_then(Result::ok).unwrap_or_default();
        let mut doubted = BTreeSet::new();
        if linked.is_empty() {
            linked = self.awaited(side, content);
            if !linked.is_empty() && self.sides[side].provider.quirks().creation == Creation::Blind {
                // The hub never learns that what it asked for was there, and went.
                return token::of_content(content);
            }
        }
        for linked in linked {
            let mut absent = linked.record.content.clone();
            absent.retain(|_, field| !self.holds(side, field));
            let mut tokens = token::of_content(&linked.link.snapshots.hub);
            tokens.extend(token::of_content(&absent));
            self.watch.notes().oracle.forgo(tokens);
            if linked.link.parts.is_empty() {
                continue;
            }
            doubted = token::of_content(&linked.record.content);
            let confirmed = token::of_content(&linked.link.snapshots.remote);
            doubted.retain(|token| !confirmed.contains(token));
        }
        doubted
    }

    /// The links of which this object is what their create made, though the hub does not know yet.
    fn awaited(&self, side: usize, content: &Content) -> Vec<Linked> {
        let entity = token::entity(content);
        let notes = self.watch.notes();
        let records: Vec<_> = notes
            .records()
            .filter(|record| token::entity(&record.content) == entity)
            .cloned()
            .collect();
        drop(notes);
        let mut awaited = Vec::new();
        for record in records {
            let links = finish(self.store.links_of(&self.organization, &record.id));
            let links = links.and_then(Result::ok).unwrap_or_default();
            let here = |link: &Link| link.collection == self.sides[side].main && link.parts.is_empty();
            awaited.extend(links.into_iter().filter(here).map(|link| Linked {
                link,
                record: record.clone(),
                part: PartKey::MASTER,
            }));
        }
        awaited
    }

    fn tell(&mut self, side: usize, what: &str, before: Option<&Content>, after: Option<&Content>) {
        let what = format!("{what} p{side}");
        self.watch.remark(|| {
            format!(
                "{what}: {} => {}",
                before.map(content_of).unwrap_or_default(),
                after.map(content_of).unwrap_or_default()
            )
        });
        // What the hub can only read it takes for the provider's own, while it waits to learn what became of a create.
        let unmet = after.is_some_and(|content| !self.awaited(side, content).is_empty());
        let capability = self.sides[side].connector.capability(self.kind());
        let mut apart = after.cloned().unwrap_or_default();
        apart.retain(|_, field| {
            (field == "attendees" && !self.holds(side, field)) || (unmet && !capability.writes(field))
        });
        let mut notes = self.watch.notes();
        notes.oracle.keep_apart(token::of_content(&apart));
        notes.oracle.act(&what, before, after);
        drop(notes);
        self.notify(side);
    }

    pub(crate) fn pick_object(&self, side: usize, collection: &str, pick: u32) -> Option<(String, Content)> {
        let provider = &self.sides[side].provider;
        let mut ids = provider.records(collection);
        if ids.is_empty() {
            return None;
        }
        let id = ids.swap_remove(pick as usize % ids.len());
        let content = provider.content(collection, &id)?;
        Some((id, content))
    }

    /// A client of the API does something, at once or slowly.
    pub(crate) fn call(&mut self, act: ClientAct, pick: u32, slowly: bool) {
        // One client, one call at a time.
        while self.client_turn() {}
        let Some(task) = self.prepare(act, pick) else {
            return;
        };
        self.watch.remark(|| format!("{act:?} through the API"));
        self.client = Some(task);
        if !slowly {
            while self.client_turn() {}
        }
    }

    fn prepare(&mut self, act: ClientAct, pick: u32) -> Option<Task<()>> {
        match act {
            ClientAct::Create { side } => Some(self.create_call(side, pick)),
            ClientAct::Edit { change, matched } => self.edit_call(change, matched, pick),
            ClientAct::Delete => {
                let (engine, organization) = (self.engine(), self.organization.clone());
                let record = self.pick_record(pick)?;
                Some(task(async move {
                    engine.delete(&organization, &record.id, None, client()).await
                }))
            }
            ClientAct::Following | ClientAct::CutShort | ClientAct::Whole => self.series_call(act, pick),
            ClientAct::Resolve { hub } => self.resolve_call(hub, pick),
            ClientAct::Retry | ClientAct::Revert => self.link_call(act, pick),
        }
    }

    fn create_call(&mut self, side: usize, pick: u32) -> Task<()> {
        let (engine, organization) = (self.engine(), self.organization.clone());
        let mut content = {
            let mut notes = self.watch.notes();
            change::fresh(self.kind(), pick.is_multiple_of(3), pick, &mut notes.oracle)
        };
        content.fields.remove("uid");
        let home = self.sides[side].main.clone();
        task(async move {
            let made = engine
                .create(&organization, &home, content.fields, client())
                .await;
            made.map(drop)
        })
    }

    fn edit_call(&mut self, change: Change, matched: bool, pick: u32) -> Option<Task<()>> {
        let record = self.pick_record(pick)?;
        let kind = self.kind();
        let next = change::apply(
            kind,
            &record.content,
            change,
            pick / 7,
            &mut self.watch.notes().oracle,
        )?;
        let (engine, organization) = (self.engine(), self.organization.clone());
        let version = matched.then_some(record.version);
        let id = record.id.clone();
        let Change::Occurrence(what) = change else {
            let patch = change::merge_patch(&record.content.fields, &next.fields);
            return Some(task(async move {
                let patched = engine.patch(&organization, &id, version, patch, client()).await;
                patched.map(drop)
            }));
        };
        let key = changed_part(&record.content, &next)?;
        if what == OccurrenceChange::Cancel {
            return Some(task(async move {
                let scope = EditScope::This;
                let deleted = engine
                    .delete_occurrence(&organization, &id, &key, scope, version, client())
                    .await;
                deleted.map(drop)
            }));
        }
        let patch = match next.overrides.get(&key) {
            Some(fields) => fields.clone().into_iter().collect(),
            None => [("status".to_owned(), json!("confirmed"))].into_iter().collect(),
        };
        Some(task(async move {
            let scope = EditScope::This;
            let patched = engine
                .patch_occurrence(&organization, &id, &key, scope, version, patch, client())
                .await;
            patched.map(drop)
        }))
    }

    fn series_call(&mut self, act: ClientAct, pick: u32) -> Option<Task<()>> {
        let record = self.pick_record(pick)?;
        let key = change::occurrence(&record.content, pick / 7)?;
        let (engine, organization) = (self.engine(), self.organization.clone());
        let id = record.id.clone();
        if act == ClientAct::CutShort {
            return Some(task(async move {
                let scope = EditScope::Following;
                let cut = engine
                    .delete_occurrence(&organization, &id, &key, scope, None, client())
                    .await;
                cut.map(drop)
            }));
        }
        let scope = if act == ClientAct::Whole {
            EditScope::All
        } else {
            EditScope::Following
        };
        let entity = token::entity_text(token::entity(&record.content)?);
        let title = format!("{entity} {}", self.watch.notes().oracle.fresh_text());
        let patch = [("title".to_owned(), json!(title))].into_iter().collect();
        Some(task(async move {
            let patched = engine
                .patch_occurrence(&organization, &id, &key, scope, None, patch, client())
                .await;
            patched.map(drop)
        }))
    }

    fn resolve_call(&mut self, hub: bool, pick: u32) -> Option<Task<()>> {
        let conflicts = self.open_conflicts();
        let conflict = conflicts.get(pick as usize % conflicts.len().max(1))?.clone();
        let (engine, organization) = (self.engine(), self.organization.clone());
        let resolution = if hub { Resolution::Hub } else { Resolution::Remote };
        Some(task(async move {
            let resolved = engine
                .resolve(&organization, &conflict, resolution, client())
                .await;
            resolved.map(drop)
        }))
    }

    fn link_call(&mut self, act: ClientAct, pick: u32) -> Option<Task<()>> {
        let refused: Vec<_> = self
            .links()
            .into_iter()
            .filter(|link| matches!(link.state, LinkState::Rejected { .. }))
            .collect();
        let link = refused.get(pick as usize % refused.len().max(1))?.id.clone();
        let (engine, organization) = (self.engine(), self.organization.clone());
        Some(task(async move {
            let done = match act {
                ClientAct::Revert => engine.revert_link(&organization, &link).await,
                _ => engine.retry_link(&organization, &link).await,
            };
            done.map(drop)
        }))
    }

    /// One of the live records.
    fn pick_record(&self, pick: u32) -> Option<std::sync::Arc<Record>> {
        let notes = self.watch.notes();
        let live: Vec<_> = notes.records().filter(|record| !record.deleted).collect();
        live.get(pick as usize % live.len().max(1))
            .map(|record| (*record).clone())
    }
}

fn client() -> Origin {
    Origin::Api("client".to_owned())
}

fn task(call: impl Future<Output = Result<(), EditError>> + Send + 'static) -> Task<()> {
    Task::new(async move {
        let _ = call.await;
    })
}

/// The part at which two contents differ.
fn changed_part(before: &Content, after: &Content) -> Option<PartKey> {
    let paths: Vec<FieldPath> = before.differences(after);
    let part = paths
        .into_iter()
        .map(|path| path.part)
        .find(|part| !part.is_master())?;
    Some(part)
}
