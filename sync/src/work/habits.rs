//! Habits: how a provider rewrites what it was sent after it had answered, minutes later and unasked.
//!
//! What an answer already says differently is settled with the write. A later rewrite looks like somebody's edit, and
//! is taken as one at first: people, too, change a thing back that somebody else brought back. When the same value
//! becomes the same other value for the third time, it is the provider's habit: from then on it is known and nothing
//! more, so that two providers with opposite habits do not write each other for ever. The value is kept in the conflict
//! log once, in case it was a person after all.

use conflict::{Clash, Rule, Side};
use model::{Content, FieldPath, Scope, series};
use serde_json::Value;

use crate::engine::Desk;
use crate::scene::Scene;
use crate::state::{Origin, Rewrite, fingerprint};
use crate::work::Work;

/// Habits kept per link; the oldest goes.
const MAX_HABITS: usize = 16;
/// So often a change has to be seen before it counts as a habit.
const HABITUAL: u8 = 3;
/// A change that is seen later than this after the last write, in milliseconds, is somebody's edit.
const WITHIN_MS: i64 = 24 * 3_600_000;

impl Work {
    /// Lets the snapshot advance over what the provider is known to do, and remembers what it may be doing.
    pub(super) fn observe_habits(&mut self, desk: &Desk, scene: &Scene, remote: &Content) {
        let wrote_at = self.link.traits.wrote_at;
        if wrote_at.is_none_or(|at| scene.now_ms - at > WITHIN_MS) {
            return;
        }
        let before = &self.link.snapshots.remote;
        let start = |content: &Content| series::time_field(&content.fields, "start");
        let moved = start(before) != start(remote);
        let hub = scene.hub_side(&self.link, &self.record);
        let mut rewritten: Vec<FieldPath> = before.differences(remote);
        rewritten.retain(|path| {
            // No provider cancels or takes up again what it was sent: people do, and more than once.
            (path.part.is_master() || !moved)
                && path.field != "status"
                && self.is_ours(path)
                && hub.get(path) == self.link.snapshots.hub.get(path)
                && hub.get(path) != remote.get(path)
        });
        if rewritten.is_empty() {
            return;
        }
        let projected = scene.project(&hub);
        rewritten.retain(|path| projected.get(path) != remote.get(path));
        for path in rewritten {
            let (from, to) = (hub.get(&path), remote.get(&path));
            match self.note(&path, from, to) {
                Seen::Now => {}
                Seen::Habit { logged } => {
                    if !logged {
                        self.log(desk, scene.now_ms, habit(&path, from, to));
                    }
                    self.advance_over(&path, to.cloned());
                }
            }
        }
    }

    /// Whether the value at a path is one that was written here, not one that came from here. What belongs to the
    /// account alone is its own affair.
    fn is_ours(&self, path: &FieldPath) -> bool {
        let spec = self.link.kind.schema().field(&path.field);
        let shared = spec.is_some_and(|spec| spec.writable && spec.scope == Scope::Shared);
        let from_here = match self.record.clocks.get(&path.to_string()) {
            Some(clock) => clock.origin == Origin::Link(self.link.id.clone()),
            None => self.record.home.as_ref() == Some(&self.link.id),
        };
        shared && !from_here
    }

    fn note(&mut self, path: &FieldPath, from: Option<&Value>, to: Option<&Value>) -> Seen {
        let (from, to) = (fingerprint(path, from), fingerprint(path, to));
        let habits = &mut self.link.traits.rewrites;
        self.link_changed = true;
        if let Some(known) = habits
            .iter_mut()
            .find(|known| known.from == from && known.to == to)
        {
            let logged = known.habit;
            known.times = known.times.saturating_add(1);
            known.habit |= known.times >= HABITUAL;
            return match known.habit {
                true => Seen::Habit { logged },
                false => Seen::Now,
            };
        }
        if habits.len() == MAX_HABITS {
            habits.remove(0);
        }
        habits.push(Rewrite {
            from,
            to,
            times: 1,
            habit: false,
        });
        Seen::Now
    }

    /// The provider's value stands for the hub's: nothing is taken and nothing is sent.
    fn advance_over(&mut self, path: &FieldPath, to: Option<Value>) {
        let before = self.link.snapshots.remote.clone();
        let snapshot = &mut self.link.snapshots.remote;
        snapshot.set(path, to);
        // Where the start is what is rewritten, the overrides' keys speak of the new one.
        let overrides = series::aligned(&before, snapshot).overrides;
        if path.part.is_master() && path.field == "start" {
            snapshot.overrides = overrides;
        }
        self.link_changed = true;
    }
}

enum Seen {
    /// As far as anybody can tell, somebody did it.
    Now,
    /// The provider does it.
    Habit { logged: bool },
}

fn habit(path: &FieldPath, hub: Option<&Value>, remote: Option<&Value>) -> Clash {
    Clash {
        path: path.clone(),
        base: hub.cloned(),
        hub: hub.cloned(),
        remote: remote.cloned(),
        winner: Some(Side::Hub),
        rule: Rule::LastWriter,
    }
}
