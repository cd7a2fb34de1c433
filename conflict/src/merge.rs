//! The three-way merge of one link: what the hub takes, what the provider is sent, who lost.

use std::collections::{BTreeMap, BTreeSet};

use model::{Content, FieldPath, FieldSpec, PartKey, Schema, series};
use serde::Serialize;
use serde_json::Value;

use crate::element::{self, Values};
use crate::policy::{Policy, Rule, Side};

/// Both sides of a link and their snapshots. Override keys of all five speak of the same master start (see
/// [`series::aligned`]).
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// The hub value that `base_remote` stands for.
    pub base_hub: &'a Content,
    /// The hub's side now, the link's own fields included.
    pub hub: &'a Content,
    /// The provider's last canonical value.
    pub base_remote: &'a Content,
    /// The provider's side now.
    pub remote: &'a Content,
    /// What the provider would hold if the hub's side were written: its lossy projection.
    pub projected: &'a Content,
}

/// What a merge came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Merged {
    /// The hub's side afterwards.
    pub hub: Content,
    /// The snapshots afterwards. Paths in `send` still differ from them, which is what keeps them to be sent.
    pub base_hub: Content,
    /// See `base_hub`.
    pub base_remote: Content,
    /// Paths at which the hub took the provider's or a merged value.
    pub taken: BTreeSet<FieldPath>,
    /// Paths at which the provider has to be written.
    pub send: BTreeSet<FieldPath>,
    /// Paths that wait for a person.
    pub held: BTreeSet<FieldPath>,
    /// Edits that lost, or wait.
    pub clashes: Vec<Clash>,
}

/// Two edits that could not both stand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Clash {
    /// The field.
    pub path: FieldPath,
    /// The value the hub had before.
    pub base: Option<Value>,
    /// The hub's value.
    pub hub: Option<Value>,
    /// The provider's value.
    pub remote: Option<Value>,
    /// Who was given right; `None` while a person is asked.
    pub winner: Option<Side>,
    /// The rule that decided.
    pub rule: Rule,
}

/// What the connector can do with a field.
pub trait Support {
    /// Whether it reads the field.
    fn reads(&self, field: &str) -> bool;
    /// Whether it writes the field.
    fn writes(&self, field: &str) -> bool;
}

impl Sides<'_> {
    /// Whether neither side changed a part.
    fn is_quiet(&self, part: &PartKey) -> bool {
        same(part, self.hub, self.base_hub) && same(part, self.remote, self.base_remote)
    }
}

/// Whether two contents say the same of a part.
fn same(part: &PartKey, one: &Content, other: &Content) -> bool {
    if part.is_master() {
        one.fields == other.fields
    } else {
        one.overrides.get(part) == other.overrides.get(part)
    }
}

/// Merges both sides of a link.
///
/// `held` are the paths that already wait for a person. Fields that the connector does not read are left alone.
#[must_use]
pub fn merge(
    schema: &Schema,
    sides: Sides<'_>,
    support: &dyn Support,
    policy: &Policy,
    held: &BTreeSet<FieldPath>,
) -> Merged {
    let mut run = Run {
        sides,
        support,
        policy,
        merged: Merged {
            hub: sides.hub.clone(),
            base_hub: sides.base_hub.clone(),
            base_remote: sides.base_remote.clone(),
            held: held.clone(),
            ..Merged::default()
        },
    };
    for part in run.parts() {
        if sides.is_quiet(&part) && !held.iter().any(|path| path.part == part) {
            continue;
        }
        let fields = run.fields(schema, &part);
        if run.revived(&part, &fields) {
            continue;
        }
        let mut groups: BTreeMap<&str, Vec<FieldPath>> = BTreeMap::new();
        for spec in fields {
            let path = FieldPath {
                part: part.clone(),
                field: spec.name.to_owned(),
            };
            match spec.group {
                Some(group) => groups.entry(group).or_default().push(path),
                None => run.field(spec, path),
            }
        }
        for paths in groups.into_values() {
            run.group(schema, paths);
        }
    }
    run.merged
}

struct Run<'a> {
    sides: Sides<'a>,
    support: &'a dyn Support,
    policy: &'a Policy,
    merged: Merged,
}

impl<'a> Run<'a> {
    fn contents(&self) -> [&'a Content; 4] {
        [
            self.sides.base_hub,
            self.sides.hub,
            self.sides.base_remote,
            self.sides.remote,
        ]
    }

    /// The parts that any side knows, in order.
    fn parts(&self) -> BTreeSet<PartKey> {
        let overrides = self
            .contents()
            .into_iter()
            .flat_map(|content| content.overrides.keys());
        std::iter::once(PartKey::MASTER)
            .chain(overrides.cloned())
            .collect()
    }

    /// The fields that any side has in a part, in order of their names, as far as the connector reads them.
    fn fields(&self, schema: &Schema, part: &PartKey) -> Vec<&'static FieldSpec> {
        let all = self
            .contents()
            .into_iter()
            .filter_map(|content| match part.is_master() {
                true => Some(&content.fields),
                false => content.overrides.get(part),
            });
        let mut names: Vec<&str> = all.flat_map(|fields| fields.keys().map(String::as_str)).collect();
        names.sort();
        names.dedup();
        let specs = names.into_iter().filter_map(|name| schema.field(name));
        specs.filter(|spec| self.support.reads(spec.name)).collect()
    }

    fn hub_changed(&self, path: &FieldPath) -> bool {
        self.sides.hub.get(path) != self.sides.base_hub.get(path)
    }

    fn remote_changed(&self, path: &FieldPath) -> bool {
        self.sides.remote.get(path) != self.sides.base_remote.get(path)
    }

    /// Both sides say the same, as far as the provider can say it.
    fn agree(&self, path: &FieldPath) -> bool {
        let remote = self.sides.remote.get(path);
        remote == self.sides.hub.get(path) || remote == self.sides.projected.get(path)
    }

    /// One field outside a group.
    fn field(&mut self, spec: &FieldSpec, path: FieldPath) {
        if !self.support.writes(spec.name) {
            if self.remote_changed(&path) {
                self.read_only(spec, &path);
            }
            return;
        }
        if self.merged.held.contains(&path) {
            if self.agree(&path) {
                self.merged.held.remove(&path);
                self.settle(&path);
            } else {
                if self.remote_changed(&path) {
                    // The person who decides has to see this value too, whatever becomes of the object.
                    self.log_as(&path, Rule::Ask);
                }
                self.follow(&path);
            }
            return;
        }
        match (self.hub_changed(&path), self.remote_changed(&path)) {
            (false, false) => {}
            _ if self.agree(&path) => self.settle(&path),
            (true, false) if self.policy.owner(spec.name) == Some(Side::Remote) => {
                self.clash(&path, Rule::RemoteWins);
            }
            (true, false) => {
                self.merged.send.insert(path);
            }
            (false, true) if self.policy.owner(spec.name) == Some(Side::Hub) => {
                self.clash(&path, Rule::HubWins);
            }
            (false, true) => self.take(&path),
            (true, true) => self.both(spec, &path),
        }
    }

    /// The provider changed a field that cannot be written there. What it would hold of the hub's value says nothing.
    fn read_only(&mut self, spec: &FieldSpec, path: &FieldPath) {
        if !self.hub_changed(path) || self.sides.hub.get(path) == self.sides.remote.get(path) {
            self.take(path);
            return;
        }
        match self.elements(spec, path, Side::Remote) {
            Some(merged) if !merged.clashed => {
                self.follow(path);
                if merged.value.as_ref() != self.sides.hub.get(path) {
                    self.merged.taken.insert(path.clone());
                }
                self.merged.hub.set(path, merged.value);
            }
            Some(_) | None => self.clash(path, Rule::RemoteWins),
        }
    }

    /// The field merged element by element, where it has elements and no owner.
    fn elements(&self, spec: &FieldSpec, path: &FieldPath, winner: Side) -> Option<element::MergedValue> {
        if self.policy.owner(spec.name).is_some() {
            return None;
        }
        let values = Values {
            base_hub: self.sides.base_hub.get(path),
            hub: self.sides.hub.get(path),
            base_remote: self.sides.base_remote.get(path),
            remote: self.sides.remote.get(path),
        };
        element::merge(spec.merge, &values, winner)
    }

    /// Both sides changed the field, differently.
    fn both(&mut self, spec: &FieldSpec, path: &FieldPath) {
        let rule = self.policy.rule(spec.name);
        let merged = self.elements(spec, path, rule.winner().unwrap_or(Side::Hub));
        let Some(merged) = merged.filter(|merged| !(merged.clashed && rule == Rule::Ask)) else {
            self.clash(path, rule);
            return;
        };
        if merged.clashed {
            self.log(path, rule);
        }
        self.follow(path);
        if merged.value.as_ref() != self.sides.hub.get(path) {
            self.merged.taken.insert(path.clone());
        }
        if merged.value.as_ref() != self.sides.remote.get(path) {
            self.merged.send.insert(path.clone());
        }
        self.merged.hub.set(path, merged.value);
    }

    /// Fields that are decided together when both sides changed some of them.
    fn group(&mut self, schema: &Schema, paths: Vec<FieldPath>) {
        let writable = paths.iter().all(|path| self.support.writes(&path.field));
        let held = paths.iter().any(|path| self.merged.held.contains(path));
        let apart = paths
            .iter()
            .any(|path| self.hub_changed(path) && !self.agree(path))
            && paths
                .iter()
                .any(|path| self.remote_changed(path) && !self.agree(path));
        if !apart || held || !writable {
            for path in paths {
                if let Some(spec) = schema.field(&path.field) {
                    self.field(spec, path);
                }
            }
            return;
        }
        let rule = self.policy.rule(&paths[0].field);
        for path in paths {
            if self.agree(&path) {
                self.settle(&path);
            } else {
                self.clash(&path, rule);
            }
        }
    }

    /// An occurrence cancelled on one side and edited on the other lives: edit beats delete. Whether that was so.
    fn revived(&mut self, part: &PartKey, fields: &[&'static FieldSpec]) -> bool {
        if part.is_master() {
            return false;
        }
        let says = |content: &Content| content.overrides.get(part).is_some_and(series::is_cancelled);
        let (hub_now, hub_before) = (says(self.sides.hub), says(self.sides.base_hub));
        let (remote_now, remote_before) = (says(self.sides.remote), says(self.sides.base_remote));
        let paths: Vec<FieldPath> = fields
            .iter()
            .map(|spec| FieldPath {
                part: part.clone(),
                field: spec.name.to_owned(),
            })
            .collect();
        let hub_edited = !hub_now && paths.iter().any(|path| self.hub_changed(path));
        let remote_edited = !remote_now && paths.iter().any(|path| self.remote_changed(path));
        let status = FieldPath {
            part: part.clone(),
            field: "status".to_owned(),
        };
        if hub_now && !hub_before && remote_edited {
            self.log_as(&status, Rule::RemoteWins);
            paths.iter().for_each(|path| self.take(path));
            true
        } else if remote_now && !remote_before && hub_edited {
            self.log_as(&status, Rule::HubWins);
            for path in &paths {
                self.follow(path);
                if self.sides.hub.get(path) != self.sides.remote.get(path) {
                    self.merged.send.insert(path.clone());
                }
            }
            true
        } else {
            false
        }
    }

    /// The rule decides, and the loser is logged.
    fn clash(&mut self, path: &FieldPath, rule: Rule) {
        self.log(path, rule);
        match rule.winner() {
            Some(Side::Remote) => self.take(path),
            Some(Side::Hub) => {
                self.follow(path);
                self.merged.send.insert(path.clone());
            }
            None => {
                self.follow(path);
                self.merged.held.insert(path.clone());
            }
        }
    }

    /// Logs a clash, unless the losing side only lacks an edit of its own.
    fn log(&mut self, path: &FieldPath, rule: Rule) {
        let lost = match rule.winner() {
            Some(Side::Remote) => self.hub_changed(path),
            Some(Side::Hub) => self.remote_changed(path),
            None => true,
        };
        if lost {
            self.log_as(path, rule);
        }
    }

    fn log_as(&mut self, path: &FieldPath, rule: Rule) {
        self.merged.clashes.push(Clash {
            path: path.clone(),
            base: self.sides.base_hub.get(path).cloned(),
            hub: self.sides.hub.get(path).cloned(),
            remote: self.sides.remote.get(path).cloned(),
            winner: rule.winner(),
            rule,
        });
    }

    /// The hub takes the provider's value, and both snapshots with it.
    fn take(&mut self, path: &FieldPath) {
        let value = self.sides.remote.get(path).cloned();
        if self.sides.hub.get(path) != value.as_ref() {
            self.merged.taken.insert(path.clone());
        }
        self.merged.hub.set(path, value.clone());
        self.merged.base_hub.set(path, value.clone());
        self.merged.base_remote.set(path, value);
        self.merged.held.remove(path);
    }

    /// Both sides agree: the snapshots say what each side says.
    fn settle(&mut self, path: &FieldPath) {
        self.merged.base_hub.set(path, self.sides.hub.get(path).cloned());
        self.merged
            .base_remote
            .set(path, self.sides.remote.get(path).cloned());
    }

    /// The provider's value is known and stands for itself: whatever the hub says differently is still to be sent.
    fn follow(&mut self, path: &FieldPath) {
        let value = self.sides.remote.get(path).cloned();
        self.merged.base_hub.set(path, value.clone());
        self.merged.base_remote.set(path, value);
    }
}
