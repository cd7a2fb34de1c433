//! The oracle: it saw every act of every person, and knows what must therefore still be there at the end.
//!
//! Each value that somebody writes carries a [`Token`]. An act that replaces a value which its author could see
//! overwrites that value's token; everything else that disappears was lost.

use std::collections::{BTreeMap, BTreeSet};

use model::{Content, Kind, Scope};

use super::token::{self, Token};

/// One act of a person, at a provider or through the API.
#[derive(Debug, Clone)]
struct Act {
    /// When, counted in acts.
    at: usize,
    /// Whether it deleted the entity at the place where it was done.
    deletes: bool,
    /// What it wrote.
    written: BTreeSet<Token>,
    /// What its author saw there before, and what that had replaced.
    visible: BTreeSet<Token>,
    /// What its author saw there before, and nothing of what that had replaced.
    seen: BTreeSet<Token>,
    /// What it undid, if it wrote values that had been there earlier: whoever still saw these did not know of it.
    undone: BTreeSet<Token>,
    /// Whether it brought the whole entity here: an undelete, a move.
    arrives: bool,
    /// What it was, for people.
    what: String,
}

/// Everything that people did.
#[derive(Debug)]
pub struct Oracle {
    kind: Kind,
    next_token: Token,
    next_time: u32,
    next_entity: u32,
    acts: usize,
    /// Each token's entity, with where it was written.
    written: BTreeMap<Token, (u32, String)>,
    per_link: BTreeSet<Token>,
    overwritten: BTreeSet<Token>,
    /// What a token's act replaced, at any distance: whoever sees the token sees that they are over.
    replaced: BTreeMap<Token, BTreeSet<Token>>,
    logged: BTreeSet<Token>,
    /// Entities that may have an object which no record's delete reaches.
    outliving: BTreeSet<u32>,
    /// Tokens that a provider without versions let us overwrite unseen: nobody can know of them.
    unprotected: BTreeSet<Token>,
    by_entity: BTreeMap<u32, Vec<Act>>,
    /// How many more objects of an entity there may be, because somebody split or moved it.
    extra: BTreeMap<u32, usize>,
}

impl Oracle {
    /// Nobody has done anything yet.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            next_token: 0,
            next_time: 0,
            next_entity: 0,
            acts: 0,
            written: BTreeMap::new(),
            per_link: BTreeSet::new(),
            overwritten: BTreeSet::new(),
            replaced: BTreeMap::new(),
            logged: BTreeSet::new(),
            outliving: BTreeSet::new(),
            unprotected: BTreeSet::new(),
            by_entity: BTreeMap::new(),
            extra: BTreeMap::new(),
        }
    }

    /// A text that nobody has written before.
    pub fn fresh_text(&mut self) -> String {
        self.next_token += 1;
        token::text(self.next_token)
    }

    /// A minute and a second that nobody has begun at before.
    pub fn fresh_time(&mut self) -> (i8, i8) {
        self.next_time += 1;
        let (_, minute, second) = token::time(self.next_time);
        (minute, second)
    }

    /// A new entity's name.
    pub fn fresh_entity(&mut self) -> String {
        self.next_entity += 1;
        token::entity_text(self.next_entity)
    }

    /// Somebody changed an entity's content at one place, from what they saw there to what is there now.
    pub fn act(&mut self, what: &str, before: Option<&Content>, after: Option<&Content>) {
        let Some(entity) = [after, before].into_iter().flatten().find_map(token::entity) else {
            return;
        };
        let tokens = |content: Option<&Content>| content.map(token::of_content).unwrap_or_default();
        let (visible, now) = (tokens(before), tokens(after));
        let written: BTreeSet<Token> = now.difference(&visible).copied().collect();
        if let Some(content) = after {
            self.note_per_link(content);
        }
        let deletes = after.is_none();
        self.record(entity, what, deletes, visible, written, &now);
    }

    /// Somebody replaced some values of an entity by others, of which nothing else is known.
    pub fn replace(&mut self, entity: u32, what: &str, before: BTreeSet<Token>, after: &BTreeSet<Token>) {
        let written = after.difference(&before).copied().collect();
        self.per_link.extend(after);
        self.record(entity, what, false, before, written, after);
    }

    fn record(
        &mut self,
        entity: u32,
        what: &str,
        deletes: bool,
        visible: BTreeSet<Token>,
        written: BTreeSet<Token>,
        now: &BTreeSet<Token>,
    ) {
        self.acts += 1;
        let what = format!("act {} ({what})", self.acts);
        let arrives = visible.is_empty() && self.by_entity.contains_key(&entity);
        self.overwritten.extend(visible.difference(now));
        let again = written.iter().any(|token| self.written.contains_key(token));
        let undone = match again {
            true => visible.difference(now).copied().collect(),
            false => BTreeSet::new(),
        };
        let closure = |tokens: &BTreeSet<Token>| {
            let earlier = tokens.iter().filter_map(|token| self.replaced.get(token));
            let earlier: BTreeSet<Token> = earlier.flatten().copied().collect();
            tokens.union(&earlier).copied().collect::<BTreeSet<Token>>()
        };
        let known = closure(&visible);
        let replaced = closure(&visible.difference(now).copied().collect());
        for token in &written {
            self.written
                .entry(*token)
                .or_insert_with(|| (entity, what.clone()));
            self.replaced.insert(*token, replaced.clone());
        }
        self.by_entity.entry(entity).or_default().push(Act {
            at: self.acts,
            deletes,
            written,
            visible: known,
            seen: visible,
            undone,
            arrives,
            what,
        });
    }

    fn note_per_link(&mut self, content: &Content) {
        let schema = self.kind.schema();
        let parts = std::iter::once(&content.fields).chain(content.overrides.values());
        for (field, value) in parts.flatten() {
            if schema
                .field(field)
                .is_some_and(|spec| spec.scope == Scope::PerLink)
            {
                token::collect(value, &mut self.per_link);
            }
        }
    }

    /// The hub wrote these values to what was just deleted, and the answer got lost: for all it can know, they were
    /// edits that arrived beside the delete.
    pub fn doubt(&mut self, content: &Content, values: &BTreeSet<Token>) {
        let acts = token::entity(content).and_then(|entity| self.by_entity.get_mut(&entity));
        if let Some(act) = acts.and_then(|acts| acts.last_mut()).filter(|act| act.deletes) {
            act.visible.retain(|token| !values.contains(token));
        }
    }

    /// Values stay at the account where they were written: guests where the vendor always mails them.
    pub fn keep_apart(&mut self, tokens: impl IntoIterator<Item = Token>) {
        self.per_link.extend(tokens);
    }

    /// Values go that a provider had been told, and that its user's delete reaches although they never were there.
    pub fn forgo(&mut self, tokens: impl IntoIterator<Item = Token>) {
        self.overwritten.extend(tokens);
    }

    /// Values stand in the conflict log, from where one call restores them.
    pub fn log(&mut self, tokens: impl IntoIterator<Item = Token>) {
        self.logged.extend(tokens);
    }

    /// Values may be missing: overwritten at a provider that has no versions, which no client of it can prevent, or given up
    /// with the copy that alone was to have them.
    pub fn excuse(&mut self, tokens: impl IntoIterator<Item = Token>) {
        self.unprotected.extend(tokens);
    }

    /// There may be one more object of this entity than before.
    pub fn allow_another(&mut self, entity: u32) {
        *self.extra.entry(entity).or_default() += 1;
    }

    /// Somebody tried a create in doubt again, unasked whether it was made: of two objects then one is a stranger's, and
    /// a delete of the other does not reach it.
    pub fn may_outlive(&mut self, entity: u32) {
        self.outliving.insert(entity);
    }

    /// How many live objects an entity may have in one collection.
    #[must_use]
    pub fn allowed(&self, entity: u32) -> usize {
        1 + self.extra.get(&entity).copied().unwrap_or_default()
    }

    /// Whether somebody deleted the entity at this side, or moved it away.
    #[must_use]
    pub fn was_deleted_at(&self, entity: u32, side: usize) -> bool {
        let place = format!(" at p{side})");
        let mut acts = self.by_entity.get(&entity).into_iter().flatten();
        acts.any(|act| act.deletes && act.what.ends_with(&place))
    }

    /// Whether anybody ever deleted the entity, or moved it away.
    #[must_use]
    pub fn was_deleted(&self, entity: u32) -> bool {
        self.by_entity
            .get(&entity)
            .is_some_and(|acts| acts.iter().any(|act| act.deletes))
    }

    /// Invariant 3: values that are neither there, nor overwritten by someone who saw them, nor in the conflict log.
    #[must_use]
    pub fn lost(&self, there: &BTreeSet<Token>) -> Vec<String> {
        let gone = self.written.iter().filter(|(token, (entity, _))| {
            !there.contains(token)
                && !self.overwritten.contains(token)
                && !self.logged.contains(token)
                && !self.unprotected.contains(token)
                // What belongs to one account goes with the record.
                && (!self.per_link.contains(token) || !self.was_deleted(*entity))
        });
        gone.map(|(token, (entity, what))| {
            format!("the value t{token}z of e{entity}z, written by {what}, is neither there, nor overwritten, nor in the conflict log")
        })
        .collect()
    }

    /// Invariant 3 for whole entities: those that are gone although nobody deleted them.
    #[must_use]
    pub fn vanished(&self, live: &BTreeSet<u32>) -> Vec<String> {
        let gone = self
            .by_entity
            .keys()
            .filter(|entity| !live.contains(entity) && !self.was_deleted(**entity));
        gone.map(|entity| format!("e{entity}z is gone although nobody deleted it"))
            .collect()
    }

    /// Invariant 4: entities that live although somebody deleted them and nobody edited them beside or after that.
    #[must_use]
    pub fn resurrected(&self, live: &BTreeSet<u32>) -> Vec<String> {
        let mut found = Vec::new();
        for entity in live.difference(&self.outliving) {
            let acts = self.by_entity.get(entity).map_or(&[][..], Vec::as_slice);
            for deletion in acts.iter().filter(|act| act.deletes) {
                let reason = acts.iter().any(|act| {
                    let unseen = act.arrives
                        || act.written.is_empty()
                        || act.undone.iter().any(|token| deletion.seen.contains(token))
                        || act.written.iter().any(|token| !deletion.visible.contains(token));
                    !act.deletes && (act.at > deletion.at || unseen)
                });
                if !reason {
                    found.push(format!(
                        "e{entity}z lives although {} deleted it and nobody has edited it since",
                        deletion.what
                    ));
                }
            }
        }
        found
    }

    /// Whether somebody wrote this value.
    #[must_use]
    pub fn knows(&self, token: Token) -> bool {
        self.written.contains_key(&token)
    }

    /// How many acts there were.
    #[must_use]
    pub const fn acts(&self) -> usize {
        self.acts
    }
}
