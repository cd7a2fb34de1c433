//! The watch at the ports: it counts, writes the trace, tells the oracle what people did through the API, and checks
//! what can be checked at every single effect.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_sdk::{Action, Known, RemoteId, Write};
use model::{ConflictId, FieldPath, IntentId, Kind, LinkId, RecordId};
use sync::ports::Effect;
use sync::state::{Link, LinkState, Record};

use super::oracle::Oracle;
use super::pages::Pages;
use super::token::{self, Token};

/// Calls of the ports after which a schedule counts as one that never ends: a hundred times what one takes on average.
pub(crate) const ENDLESS: u64 = 400_000;

/// What unwinds a schedule that never ends.
pub(crate) struct Endless;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Actor {
    /// A client of the API.
    #[default]
    Client,
    /// A node's worker.
    Node(usize),
}

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's number in the design.
    pub invariant: u8,
    /// The record, the field and the sides.
    pub message: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "invariant {} ({}): {}",
            self.invariant,
            name(self.invariant),
            self.message
        )
    }
}

/// The name of an invariant.
#[must_use]
pub const fn name(invariant: u8) -> &'static str {
    match invariant {
        0 => "no panic",
        1 => "convergence",
        2 => "quiescence",
        3 => "no lost update",
        4 => "no resurrection",
        5 => "no base, no delete",
        6 => "incomplete, no delete",
        7 => "no echo",
        8 => "effectively once",
        9 => "no stale write",
        10 => "lens laws",
        11 => "frame",
        12 => "cursor safety",
        13 => "order independence",
        14 => "identity",
        15 => "isolation",
        16 => "silence",
        17 => "atomicity",
        _ => "no invariant",
    }
}

/// How much of what happens is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    Silent,
    /// What took effect, in short.
    Story,
    /// Every call at a port with its arguments and its answer.
    Trace,
}

/// The watch. One per simulated world, shared by all its ports.
#[derive(Debug)]
pub struct Watch(Mutex<Notes>);

/// The name of a collection that its connector and its store agree on.
pub(crate) fn place(connection: &model::ConnectionId, remote: &RemoteId) -> String {
    format!("{connection}/{remote}")
}

/// What the watch knows.
#[derive(Debug)]
pub struct Notes {
    /// Who is being polled.
    pub actor: Actor,
    /// Calls at the ports so far.
    pub calls: u64,
    /// Calls that changed something: commits and writes at providers.
    pub effects: u64,
    /// The process dies after so many effects.
    pub crash_after: Option<u64>,
    /// When it has died, it dies again after so many more.
    pub crash_every: Option<u64>,
    /// It dies now.
    pub crash: bool,
    /// What people did.
    pub oracle: Oracle,
    /// What must never be, and was.
    pub violations: Vec<Violation>,
    detail: Detail,
    trace: String,
    /// Conflicts that nobody has resolved; whether a person is asked.
    conflicts: BTreeMap<ConflictId, bool>,
    /// All conflicts that were ever logged.
    logged: BTreeSet<ConflictId>,
    /// What the hub meant with a write, by its intent.
    meant: HashMap<IntentId, Meant>,
    records: BTreeMap<RecordId, Arc<Record>>,
    locals: BTreeMap<LinkId, (RecordId, BTreeSet<Token>)>,
    /// Records of which somebody gave up a copy that was never made.
    given_up: BTreeSet<RecordId>,
    /// Which place a collection is: its connection and its id there.
    places: BTreeMap<model::CollectionId, String>,
    /// What pages showed, and what became of it.
    pub(crate) pages: Pages,
    /// Links of which a person is told that nobody knows what became of their create.
    in_doubt: BTreeSet<LinkId>,
}

fn is_in_doubt(link: &Link) -> bool {
    matches!(&link.state, LinkState::Rejected { reason, .. } if reason == sync::IN_DOUBT)
}

/// What the hub meant with a write.
#[derive(Debug, Clone)]
pub(crate) struct Meant {
    /// The entity that it was about, if it was named.
    pub(crate) entity: Option<u32>,
    /// What an update was to change.
    pub(crate) changed: Option<BTreeSet<FieldPath>>,
}

/// What a commit will have done, if it goes through.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    records: Vec<Arc<Record>>,
    locals: Vec<(LinkId, RecordId, BTreeSet<Token>)>,
    conflicts: Vec<(ConflictId, bool)>,
    resolved: Vec<ConflictId>,
    dropped: Vec<LinkId>,
    /// Links, and whether the doubt about their create is reported.
    doubts: Vec<(LinkId, bool, bool)>,
    places: Vec<(model::CollectionId, String)>,
    /// The objects of links.
    parts: Vec<(model::CollectionId, Vec<RemoteId>)>,
    /// The cursor that a collection is given.
    pub(crate) cursor: Option<(model::CollectionId, String)>,
}

impl Watch {
    /// A watch that has seen nothing.
    #[must_use]
    pub fn new(kind: Kind, detail: Detail) -> Self {
        Self(Mutex::new(Notes {
            actor: Actor::Client,
            calls: 0,
            effects: 0,
            crash_after: None,
            crash_every: None,
            crash: false,
            oracle: Oracle::new(kind),
            violations: Vec::new(),
            detail,
            trace: String::new(),
            conflicts: BTreeMap::new(),
            logged: BTreeSet::new(),
            meant: HashMap::new(),
            records: BTreeMap::new(),
            locals: BTreeMap::new(),
            given_up: BTreeSet::new(),
            places: BTreeMap::new(),
            pages: Pages::default(),
            in_doubt: BTreeSet::new(),
        }))
    }

    /// What it knows, for as long as the guard lives.
    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was answered.
    pub(crate) fn answered(&self, text: impl FnOnce() -> String) {
        let mut notes = self.notes();
        notes.count();
        notes.write(Detail::Trace, text);
    }

    /// A call took effect: in short, and in full.
    pub(crate) fn effect(&self, short: impl FnOnce() -> String, full: impl FnOnce() -> String) {
        let mut notes = self.notes();
        notes.count();
        notes.effects += 1;
        if notes.crash_after.is_some_and(|after| notes.effects == after) {
            notes.crash = true;
            notes.crash_after = notes.crash_every.map(|every| notes.effects + every);
        }
        notes.write(Detail::Story, short);
        notes.write(Detail::Trace, full);
    }

    /// What a commit's effects mean, read before they are handed over.
    pub(crate) fn foresee(effects: &[Effect]) -> Seen {
        let mut seen = Seen::default();
        for effect in effects {
            match effect {
                Effect::CreateRecord(record) | Effect::UpdateRecord(record) => {
                    seen.records.push(Arc::new(record.as_ref().clone()));
                }
                Effect::CreateLink(link) | Effect::UpdateLink(link) => {
                    let tokens = token::of_content(&link.local);
                    seen.locals.push((link.id.clone(), link.record.clone(), tokens));
                    let ids = link.parts.values().map(|part| part.id.clone());
                    seen.parts.push((link.collection.clone(), ids.collect()));
                    seen.doubts
                        .push((link.id.clone(), is_in_doubt(link), link.parts.is_empty()));
                }
                Effect::DropLink { link, .. } => seen.dropped.push(link.clone()),
                Effect::ResolveConflict { conflict, .. } => seen.resolved.push(conflict.clone()),
                Effect::PutConflict(conflict) => {
                    seen.conflicts
                        .push((conflict.id.clone(), conflict.winner.is_none()));
                }
                Effect::PutCollection(collection) => {
                    let place = place(&collection.connection, &collection.remote.id);
                    seen.places.push((collection.id.clone(), place));
                }
                Effect::PutCursor {
                    collection,
                    cursor: Some(cursor),
                    ..
                } => seen.cursor = Some((collection.clone(), cursor.0.clone())),
                _ => {}
            }
        }
        seen
    }

    /// A commit went through.
    pub(crate) fn committed(&self, seen: Seen, known: Option<&Known>) {
        let mut notes = self.notes();
        let by_client = notes.actor == Actor::Client;
        let logged = seen.conflicts.iter().map(|(id, _)| id.clone());
        notes.logged.extend(logged);
        notes.conflicts.extend(seen.conflicts);
        for resolved in seen.resolved {
            notes.conflicts.remove(&resolved);
        }
        // Records that were joined into another one are retired, not deleted: their links go on there.
        let joined = seen
            .locals
            .iter()
            .any(|(link, record, _)| notes.locals.get(link).is_some_and(|(before, _)| before != record));
        for record in seen.records {
            let before = notes.records.insert(record.id.clone(), record.clone());
            if by_client {
                notes.client_wrote(before.as_deref(), &record);
            } else if !joined {
                notes.check_deleted(before.as_deref(), &record);
            }
        }
        for (link, record, now) in seen.locals {
            let before = notes.locals.insert(link, (record.clone(), now.clone()));
            let before = before.map(|(_, before)| before).unwrap_or_default();
            let entity = notes
                .records
                .get(&record)
                .and_then(|record| token::entity(&record.content));
            if let Some(entity) = entity.filter(|_| by_client && before != now) {
                notes
                    .oracle
                    .replace(entity, "through the API, on one account", before, &now);
            }
        }
        for (link, in_doubt, is_unmade) in seen.doubts {
            notes.report_doubt(link, in_doubt, is_unmade && by_client);
        }
        for link in seen.dropped {
            if let Some((record, own)) = notes.locals.remove(&link).filter(|_| by_client) {
                notes.given_up.insert(record);
                // With the copy goes what was to be said in it alone.
                notes.oracle.excuse(own);
            }
        }
        notes.places.extend(seen.places);
        for (collection, ids) in seen.parts {
            if let Some(place) = notes.places.get(&collection).cloned() {
                notes.pages.hold(&place, ids);
            }
        }
        if let (Some((collection, cursor)), Some(known)) = (seen.cursor, known)
            && let Some(place) = notes.places.get(&collection).cloned()
        {
            let wrong = notes.pages.check_cursor(place, cursor, known);
            notes.violations.extend(wrong);
        }
    }

    /// The hub is about to send this.
    pub(crate) fn mean(&self, write: &Write) {
        let meant = match &write.action {
            Action::Create { content } => Meant {
                entity: token::entity(content),
                changed: None,
            },
            Action::Update { content, changed, .. } => Meant {
                entity: token::entity(content),
                changed: Some(changed.clone()),
            },
            Action::Delete { .. } => return,
        };
        self.notes().meant.insert(write.intent.clone(), meant);
    }

    /// The trace so far; empty when none is kept.
    #[must_use]
    pub fn trace(&self) -> String {
        self.notes().trace.clone()
    }

    /// A line of the schedule in the trace.
    pub(crate) fn remark(&self, text: impl FnOnce() -> String) {
        let mut notes = self.notes();
        if notes.detail != Detail::Silent {
            let _ = writeln!(notes.trace, "-- {}", text());
        }
    }

    /// Something that must never be.
    pub fn violate(&self, invariant: u8, message: impl Into<String>) {
        let message = message.into();
        self.remark(|| format!("invariant {invariant}: {message}"));
        self.notes().violations.push(Violation { invariant, message });
    }
}

impl Notes {
    /// How much is written down.
    #[must_use]
    pub const fn detail(&self) -> Detail {
        self.detail
    }

    /// Counts a call, and stops a schedule that goes on for ever.
    fn count(&mut self) {
        self.calls += 1;
        if self.calls > ENDLESS {
            std::panic::resume_unwind(Box::new(Endless));
        }
    }

    fn write(&mut self, detail: Detail, text: impl FnOnce() -> String) {
        if self.detail == detail {
            let who = match self.actor {
                Actor::Client => "client".to_owned(),
                Actor::Node(node) => format!("node{node}"),
            };
            let _ = writeln!(self.trace, "{:06} {who} {}", self.calls, text());
        }
    }

    /// Where nothing tells what became of a create, its object may come back as a stranger, and a person who tries
    /// again may make a second one: one more for each time that the doubt is reported.
    fn report_doubt(&mut self, link: LinkId, in_doubt: bool, is_unmade: bool) {
        let known = self
            .locals
            .get(&link)
            .and_then(|(record, _)| self.records.get(record));
        let entity = known.and_then(|record| token::entity(&record.content));
        if !in_doubt {
            // Nobody has seen its object yet: somebody has it made once more.
            if self.in_doubt.remove(&link)
                && is_unmade
                && let Some(entity) = entity
            {
                self.oracle.may_outlive(entity);
            }
        } else if self.in_doubt.insert(link)
            && let Some(entity) = entity
        {
            self.oracle.allow_another(entity);
        }
    }

    /// A client's edit replaces what it read in the same transaction.
    fn client_wrote(&mut self, before: Option<&Record>, record: &Record) {
        let before = before
            .filter(|before| !before.deleted)
            .map(|before| &before.content);
        let after = (!record.deleted).then_some(&record.content);
        if before == after {
            return;
        }
        if before.is_none()
            && let Some(entity) = token::entity(&record.content)
            && self.oracle.allowed(entity) > 0
            && token::of_content(&record.content)
                .iter()
                .any(|token| self.oracle.knows(*token))
        {
            // The later half of a series that was split.
            self.oracle.allow_another(entity);
        }
        self.oracle.act("through the API", before, after);
    }

    /// Invariants 5 and 6: the hub deletes only what somebody deleted.
    fn check_deleted(&mut self, before: Option<&Record>, record: &Record) {
        if !record.deleted || before.is_none_or(|before| before.deleted) {
            return;
        }
        let Some(entity) = token::entity(&record.content) else {
            return;
        };
        if !self.oracle.was_deleted(entity) {
            let message = format!(
                "{} (e{entity}z) was deleted in the hub, and nobody deleted it",
                record.id
            );
            self.violations.push(Violation {
                invariant: 6,
                message,
            });
        }
    }

    /// Whether somebody gave up a copy of the record that was never made.
    #[must_use]
    pub fn is_given_up(&self, record: &RecordId) -> bool {
        self.given_up.contains(record)
    }

    /// What the hub meant with the write of this intent.
    #[must_use]
    pub(crate) fn meant(&self, intent: &IntentId) -> Option<&Meant> {
        self.meant.get(intent)
    }

    /// All conflicts that were ever logged, in order of id.
    #[must_use]
    pub fn logged(&self) -> Vec<ConflictId> {
        self.logged.iter().cloned().collect()
    }

    /// Conflicts that nobody has resolved, in order of id.
    #[must_use]
    pub fn conflicts(&self) -> Vec<ConflictId> {
        self.conflicts.keys().cloned().collect()
    }

    /// Conflicts that wait for a person, in order of id.
    #[must_use]
    pub fn undecided(&self) -> Vec<ConflictId> {
        let asked = self.conflicts.iter().filter(|(_, asked)| **asked);
        asked.map(|(id, _)| id.clone()).collect()
    }

    /// The hub's records as last committed.
    pub fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.records.values()
    }
}
