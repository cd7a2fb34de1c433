//! The whole world between two steps: the store, two providers, the people, and how much trouble is left to come.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use connector_sdk::{Action, RemoteId};
use model::{CollectionId, ConnectionId, Content, Fields, Kind, MirrorId, OrganizationId};
use serde_json::{Value, json};
use sync::ports::Store as _;
use sync::state::{
    Collection, Connection, Health, Intent, Link, Member, MemberRole, Mirror, Record, TargetEdits,
};

use crate::broken::Broken;
use crate::deeds::{Deeds, End, Place, What};
use crate::gate::Event;
use crate::remote::{Remote, calendar, created_id};
use crate::shelf::{Shelf, at_once};

/// How much may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Trouble {
    /// Edits and deletes by people.
    pub(crate) deeds: u8,
    /// The process dies.
    pub(crate) crashes: u8,
    /// The answer to a write is lost, or the write itself is late or lost.
    pub(crate) losses: u8,
    /// A provider forgets its cursors.
    pub(crate) expiries: u8,
    /// A worker runs a whole job of the other connection between two steps of a job.
    pub(crate) overlaps: u8,
}

/// A promise that was broken, by its number in DESIGN section 6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) invariant: u8,
    pub(crate) what: String,
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) shelf: Shelf,
    pub(crate) remotes: [Remote; 2],
    pub(crate) deeds: Deeds,
    pub(crate) trouble: Trouble,
    pub(crate) broken: Broken,
    /// What people do in this model.
    pub(crate) habits: &'static [What],
    /// Whether somebody took the second provider's object out of the record, and whether it was there.
    pub(crate) parted: Option<bool>,
    /// Rises with every run, past every pause that the engine takes: what waits is due in the next run.
    pub(crate) now_ms: i64,
    /// Ids given so far. They only ever rise, so that their order is the order of their making.
    pub(crate) ids: u128,
    pub(crate) violations: Vec<Violation>,
    /// What the run met on its way, for the coverage properties.
    pub(crate) met: BTreeSet<&'static str>,
}

pub(crate) fn organization() -> OrganizationId {
    OrganizationId::new(1, 1)
}

pub(crate) fn connection_id(side: usize) -> ConnectionId {
    ConnectionId::new(1, side as u128)
}

pub(crate) fn mirror_id() -> MirrorId {
    MirrorId::new(1, 1)
}

fn collection_id(side: usize) -> CollectionId {
    CollectionId::new(1, side as u128)
}

/// Which of the two a connection is.
pub(crate) fn side_of(connection: &ConnectionId) -> usize {
    usize::from(*connection == connection_id(1))
}

impl World {
    /// Two connected calendars that mirror each other; the first holds an event that the hub has not seen.
    pub(crate) fn new(trouble: Trouble, habits: &'static [What], broken: Broken) -> Self {
        let connections = (0..2).map(connection).collect();
        let collections = (0..2).map(collection).collect();
        let shelf = Shelf::new(connections, collections, mirror());
        let mut remotes = [Remote::empty(), Remote::empty()];
        let start = json!({"kind": "floating", "wall": "2026-01-05T09:00:00"});
        let fields = [("title".to_owned(), json!("first")), ("start".to_owned(), start)];
        remotes[0].put("seed", fields.into());
        Self {
            shelf,
            remotes,
            deeds: Deeds::default(),
            trouble,
            broken,
            habits,
            parted: None,
            now_ms: 1_000_000_000,
            ids: 0,
            violations: Vec::new(),
            met: BTreeSet::new(),
        }
    }

    /// The one object of a provider, as a person there sees it.
    fn shown_at(&self, side: usize) -> Option<&Fields> {
        let mut objects = self.remotes[side].objects.values();
        objects.next().map(|object| &object.fields)
    }

    /// Whether somebody there sees anything that they could edit.
    pub(crate) fn inhabited(&self, place: Place) -> bool {
        match place {
            Place::Provider(side) => self.shown_at(side).is_some(),
            Place::Hub => self.shelf.has_live(),
        }
    }

    /// What somebody there could do.
    pub(crate) fn deeds_at(&self, place: Place) -> impl Iterator<Item = Event> {
        let fitting = self.habits.iter().filter(move |what| what.fits(place));
        fitting.map(move |what| Event::Deed(place, *what))
    }

    /// The link of the record that lives to the second provider.
    pub(crate) fn second_link(&self) -> Option<Link> {
        let record = self.shelf.live()?;
        let links = self.shelf.store.links().into_iter();
        let mut links = links.filter(|link| link.record == record.id);
        links.find(|link| side_of(&link.connection) == 1)
    }

    /// Somebody does something at a provider.
    pub(crate) fn act(&mut self, side: usize, what: What) {
        let Some((id, object)) = self.remotes[side].objects.iter().next() else {
            return;
        };
        let (id, certain) = (id.clone(), object.written <= object.shown);
        let value = self
            .deeds
            .add(Place::Provider(side), what, &object.fields, certain);
        match what.field() {
            Some(field) => self.remotes[side].edit(&id, field, value),
            None => self.remotes[side].delete(&id),
        }
        self.trouble.deeds -= 1;
    }

    /// A write that was held up takes effect; nobody hears of it.
    pub(crate) fn arrive(&mut self, side: usize) {
        if let Some(write) = self.remotes[side].in_flight.take() {
            self.met.insert("a late write took effect");
            if self.remotes[side].apply(&write).is_err() {
                self.met.insert("a late write was refused");
            }
        }
        self.watch();
    }

    /// What must hold at every single step: one object per provider (8), no unseen edit overwritten (9).
    pub(crate) fn watch(&mut self) {
        for side in 0..2 {
            if self.remotes[side].objects.len() > 1 {
                self.accuse(8, format!("two objects at provider {side}"));
            }
            if self.remotes[side].overwrote_unseen {
                self.accuse(9, format!("an unseen edit at provider {side} was overwritten"));
            }
        }
    }

    pub(crate) fn accuse(&mut self, invariant: u8, what: String) {
        if self.violations.iter().all(|known| known.invariant != invariant) {
            self.violations.push(Violation { invariant, what });
        }
    }

    /// Writes that took effect.
    pub(crate) fn writes(&self) -> u32 {
        self.remotes.iter().map(|remote| remote.writes).sum()
    }

    /// What must hold once all is quiet: agreement (1), nothing lost (3), nothing back from the dead (4), one record
    /// and one object each (8).
    pub(crate) fn judge(&mut self) {
        let mut live = self.shelf.store.records();
        live.retain(|record| !record.deleted);
        let halves = 1 + usize::from(self.parted == Some(true));
        if live.len() > halves {
            self.accuse(8, format!("{} live records", live.len()));
        }
        for side in 0..2 {
            let there: Vec<&Fields> = self.remotes[side]
                .objects
                .values()
                .map(|object| &object.fields)
                .collect();
            let wanted: Vec<&Fields> = live
                .iter()
                .filter(|record| self.parted.is_none() || self.is_linked(record, side))
                .map(|record| &record.content.fields)
                .collect();
            if there != wanted {
                let text = format!("provider {side} holds {there:?}, the hub {wanted:?}");
                self.accuse(1, text);
            }
        }
        if let Some(homeless) = live
            .iter()
            .find(|record| (0..2).all(|side| !self.is_linked(record, side)))
        {
            self.accuse(3, format!("{} is at no provider", homeless.id));
        }
        let store = &self.shelf.store;
        // A create that never arrives, of a record that is deleted, stays in doubt for a while.
        let under_way =
            store.links().iter().any(|link| link.dirty) || (!live.is_empty() && !store.intents().is_empty());
        if under_way {
            self.accuse(1, "something is still under way".to_owned());
        }
        let logged = self.logged();
        let mut alive: Vec<&Fields> = live.iter().map(|record| &record.content.fields).collect();
        if alive.is_empty() {
            alive.extend(self.shown_at(0).or(self.shown_at(1)));
        }
        let end = End {
            alive,
            logged: &logged,
            revived: self
                .shelf
                .store
                .conflicts()
                .iter()
                .any(|conflict| conflict.path.is_none()),
        };
        // Of two halves each has its own deletes.
        let resurrected = self.deeds.resurrected(&end).filter(|_| self.parted.is_none());
        let lost = self.deeds.lost(&end);
        if let Some(lost) = lost {
            self.accuse(3, lost);
        }
        if let Some(resurrected) = resurrected {
            self.accuse(4, resurrected);
        }
    }

    fn is_linked(&self, record: &Record, side: usize) -> bool {
        let links = self.shelf.store.links();
        let mut there = links.iter().filter(|link| link.is_there());
        there.any(|link| link.record == record.id && side_of(&link.connection) == side)
    }

    /// The values that the conflict log keeps, by field.
    fn logged(&self) -> BTreeSet<(String, String)> {
        let text = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
        let mut logged = BTreeSet::new();
        for conflict in self.shelf.store.conflicts() {
            let Some(path) = &conflict.path else { continue };
            for value in [text(&conflict.hub), text(&conflict.remote)]
                .into_iter()
                .flatten()
            {
                logged.insert((path.field.clone(), value));
            }
        }
        logged
    }

    /// The world in words that do not depend on how it came about: ids by the order of their making, versions by
    /// their rank, no times. Record and link revisions are left out: they are locks, and between two runs nobody
    /// holds any. So are the field clocks and the tries so far, which decide nothing in this model.
    pub(crate) fn canonical(&self) -> String {
        let mut text = String::with_capacity(1_024);
        let store = &self.shelf.store;
        let (all_records, all_links, intents) = (store.records(), store.links(), store.intents());
        let records: BTreeMap<_, usize> = all_records.iter().map(|record| &record.id).zip(0..).collect();
        let links: BTreeMap<_, usize> = all_links.iter().map(|link| &link.id).zip(0..).collect();
        for record in &all_records {
            let home = record.home.as_ref().and_then(|home| links.get(home));
            let fields = show(&record.content);
            let apart = at_once(store.pairings_of(&record.organization, &record.id)).unwrap_or_default();
            let _ = writeln!(text, "record {} {home:?} {fields} {apart:?}", record.deleted);
        }
        for link in &all_links {
            let record = records.get(&link.record).copied().unwrap_or(usize::MAX);
            let _ = writeln!(text, "link {record} {}", self.show_link(link));
        }
        for intent in &intents {
            let link = links.get(&intent.link).copied();
            let _ = writeln!(text, "intent {link:?} {}", self.show_intent(intent));
        }
        let revived = store.conflicts().iter().any(|conflict| conflict.path.is_none());
        let _ = writeln!(text, "logged {:?} {revived}", self.logged());
        for collection in store.with_state(|state| state.collections().cloned().collect::<Vec<_>>()) {
            let side = side_of(&collection.connection);
            let cursor = collection
                .cursor
                .as_ref()
                .map(|cursor| self.show_cursor(side, &cursor.0));
            let _ = writeln!(
                text,
                "cursor {cursor:?} {} {}",
                collection.enumerated_at.is_some(),
                collection.hold.is_some()
            );
        }
        let _ = writeln!(text, "waiting {:?} {}", self.shelf.pushes, self.shelf.linking);
        for side in 0..2 {
            self.show_remote(side, &intents, &mut text);
        }
        let _ = write!(
            text,
            "{:?} {:?} {:?} {:?}",
            self.deeds.0, self.parted, self.trouble, self.violations
        );
        text
    }

    fn show_remote(&self, side: usize, intents: &[Intent], text: &mut String) {
        let remote = &self.remotes[side];
        for (id, object) in &remote.objects {
            let _ = writeln!(
                text,
                "object {side} {} {} {} {} {:?}",
                self.rank_of(side, id),
                self.rank(side, object.changed),
                object.edited > object.shown,
                object.written > object.shown,
                object.fields
            );
        }
        for (id, at) in &remote.gone {
            let _ = writeln!(
                text,
                "gone {side} {} {}",
                self.rank_of(side, id),
                self.rank(side, *at)
            );
        }
        if let Some(write) = &remote.in_flight {
            let action = match &write.action {
                Action::Create { content } => {
                    let open = intents.iter().position(|intent| intent.id == write.intent);
                    let made = self.rank_of(side, &created_id(&write.intent));
                    format!("{open:?} {made} {}", show(content))
                }
                Action::Update {
                    target,
                    content,
                    changed,
                } => format!("{} {} {changed:?}", self.show_target(side, target), show(content)),
                Action::Delete { target } => self.show_target(side, target),
            };
            let _ = writeln!(text, "in flight {side} {action}");
        }
    }

    fn show_target(&self, side: usize, target: &connector_sdk::Target) -> String {
        let id = target.id.as_ref().map(|id| self.rank_of(side, id));
        let version = target
            .version
            .as_ref()
            .map(|version| self.moment(side, &version.0));
        format!("{id:?} {version:?}")
    }

    fn show_link(&self, link: &Link) -> String {
        let side = side_of(&link.connection);
        let parts: Vec<_> = link
            .parts
            .values()
            .map(|part| {
                let version = part.version.as_ref().map(|version| self.moment(side, &version.0));
                (self.rank_of(side, &part.id), version)
            })
            .collect();
        format!(
            "{side} {:?} {parts:?} {} {} {} {:?} {} {} {:?}",
            link.state,
            show(&link.snapshots.hub),
            show(&link.snapshots.remote),
            show(&link.local),
            link.held,
            link.dirty,
            link.removing,
            link.traits.rewrites
        )
    }

    fn show_intent(&self, intent: &Intent) -> String {
        let side = side_of(&intent.connection);
        let made = self.rank_of(side, &created_id(&intent.id));
        format!(
            "{made} {:?} {} {:?}",
            intent.action,
            show(&intent.sent),
            intent.changed
        )
    }

    fn show_cursor(&self, side: usize, cursor: &str) -> (bool, usize) {
        let (epoch, clock) = cursor.split_once(':').unwrap_or_default();
        let moment = clock.parse().unwrap_or_default();
        (
            epoch == self.remotes[side].epoch.to_string(),
            self.rank(side, moment),
        )
    }

    fn moment(&self, side: usize, version: &str) -> (usize, bool) {
        let moment = version.parse().unwrap_or_default();
        let is_current = self.remotes[side]
            .objects
            .values()
            .any(|object| object.changed == moment);
        (self.rank(side, moment), is_current)
    }

    /// How many of the provider's present objects and tombstones are not younger than this moment: all that a cursor
    /// or a comparison of versions can tell.
    fn rank(&self, side: usize, moment: u64) -> usize {
        let remote = &self.remotes[side];
        let moments = remote
            .objects
            .values()
            .map(|object| object.changed)
            .chain(remote.gone.values().copied());
        moments.filter(|known| *known <= moment).count()
    }

    /// An object's place among those that the provider holds or held; behind them all when it was never there.
    fn rank_of(&self, side: usize, id: &RemoteId) -> usize {
        let remote = &self.remotes[side];
        let known: BTreeSet<_> = remote.objects.keys().chain(remote.gone.keys()).collect();
        let at = known.iter().position(|known| *known == id);
        at.unwrap_or(usize::MAX)
    }
}

fn show(content: &Content) -> String {
    format!("{:?}", content.fields)
}

fn connection(side: usize) -> Connection {
    Connection {
        id: connection_id(side),
        organization: organization(),
        provider: "model".to_owned(),
        name: format!("provider {side}"),
        owner: None,
        config: serde_json::Map::new(),
        health: Health::Active,
        health_reason: None,
        // Never due: there is one calendar each and there will be no other.
        discovered_at: Some(i64::MAX / 2),
        synced_at: None,
        created_at: 0,
    }
}

fn collection(side: usize) -> Collection {
    Collection {
        id: collection_id(side),
        organization: organization(),
        connection: connection_id(side),
        remote: calendar(),
        cursor: None,
        enumerated_at: None,
        enabled: true,
        hold: None,
    }
}

fn mirror() -> Mirror {
    let members = (0..2).map(|side| Member {
        collection_id: collection_id(side),
        role: MemberRole::Both,
    });
    Mirror {
        id: mirror_id(),
        organization: organization(),
        name: "both".to_owned(),
        kind: Kind::Event,
        members: members.collect(),
        policy: conflict::Rule::LastWriter,
        field_owners: BTreeMap::new(),
        target_edits: TargetEdits::Keep,
        created_at: 0,
    }
}
