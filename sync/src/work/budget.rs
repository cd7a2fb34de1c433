//! The write budget: a link that is written again and again, and for nobody, waits.
//!
//! A write that carries a client's edit is free. One that carries a value for the first time costs little, one that
//! sends again what was sent before costs ten times as much: that is what providers do to each other that rewrite what
//! they are sent. What is spent is given back an hour later.

use model::{Content, FieldPath};

use crate::state::{Intent, IntentAction, Origin, fingerprint};
use crate::work::Work;

/// What a link may spend within an hour: two hundred new values, or twenty that were sent before.
const BUDGET: u32 = 200;
const FIRST_TIME: u32 = 1;
const REPEATED: u32 = 10;
const MINUTE_MS: i64 = 60_000;
const WINDOW_MIN: i64 = 60;
/// Values remembered as sent; the oldest goes.
const MAX_SENT: usize = 64;

impl Work {
    /// Until when a write has to wait, if the budget is spent; a client's edit never waits.
    pub(crate) fn over_budget(&self, changed: impl Iterator<Item = FieldPath>, now_ms: i64) -> Option<i64> {
        let open = now_ms / MINUTE_MS - WINDOW_MIN;
        let spent = || self.link.traits.spent.range(open + 1..);
        let sum: u32 = spent().map(|(_, units)| units).sum();
        if sum < BUDGET || self.asked_for(changed).is_some() {
            return None;
        }
        let first = spent().next().map(|(minute, _)| *minute)?;
        Some((first + WINDOW_MIN) * MINUTE_MS)
    }

    /// The version of the latest edit by a client among the changed fields, if it was not written before.
    fn asked_for(&self, changed: impl Iterator<Item = FieldPath>) -> Option<i64> {
        let versions = changed.filter_map(|path| {
            let clock = self.record.clocks.get(&path.to_string())?;
            let asked = matches!(clock.origin, Origin::Api(_) | Origin::Conflict(_));
            asked.then_some(clock.version)
        });
        versions
            .max()
            .filter(|version| self.link.traits.asked < Some(*version))
    }

    /// Charges a write that took effect.
    pub(crate) fn charge(&mut self, intent: &Intent, now_ms: i64) {
        self.link.traits.wrote_at = Some(now_ms);
        self.link_changed = true;
        let asked = self.asked_for(intent.changed.iter().cloned());
        if asked.is_some() {
            self.link.traits.asked = asked;
        }
        let repeated = self.note_sent(&intent.sent, intent);
        if asked.is_some() {
            return;
        }
        let minute = now_ms / MINUTE_MS;
        let spent = &mut self.link.traits.spent;
        spent.retain(|at, _| *at > minute - WINDOW_MIN);
        *spent.entry(minute).or_default() += if repeated { REPEATED } else { FIRST_TIME };
    }

    /// Remembers what was sent. Whether all of it had been sent before.
    fn note_sent(&mut self, sent: &Content, intent: &Intent) -> bool {
        if intent.action != IntentAction::Update {
            return false;
        }
        let memory = &mut self.link.traits.sent;
        let mut repeated = true;
        for path in &intent.changed {
            let mark = fingerprint(path, sent.get(path));
            if memory.contains(&mark) {
                continue;
            }
            repeated = false;
            if memory.len() == MAX_SENT {
                memory.remove(0);
            }
            memory.push(mark);
        }
        repeated
    }
}
