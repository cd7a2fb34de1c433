//! Updates that a slow provider carries out after it was asked for them and had nothing: what they sent comes back as if
//! somebody there had edited it.

use conflict::{Clash, Rule, Side};
use connector_sdk::Conditional;
use model::{Content, FieldPath, series};
use serde_json::Value;

use crate::scene::Scene;
use crate::state::{Intent, fingerprint};
use crate::work::{Work, gist};

#[cfg(test)]
mod tests;

/// Marks kept per link, one or two for each value; the oldest go.
const MOST: usize = 128;

impl Work {
    /// Remembers what an update sent that may take effect until then.
    pub(crate) fn expect_late(&mut self, scene: &Scene, intent: &Intent, until_ms: i64) {
        let projected = scene.project(&intent.sent);
        let sent = intent.changed.iter();
        let traits = &mut self.link.traits;
        let sent = sent.flat_map(|path| marks(path, projected.get(path)));
        traits.late.extend(sent);
        let excess = traits.late.len().saturating_sub(MOST);
        traits.late.drain(..excess);
        traits.late_until = Some(until_ms);
        self.link_changes();
    }

    /// Lets the snapshots advance over what the hub had sent itself. Where writes are conditional on a version, the first
    /// other version ends the expectation: an update that names an older one comes to nothing. What it goes over without
    /// a merge is given back, to be logged.
    pub(super) fn pass_late(&mut self, scene: &Scene, remote: &Content) -> Vec<Clash> {
        let mut aside = Vec::new();
        let traits = &self.link.traits;
        let Some(until) = traits.late_until else {
            return aside;
        };
        if until < scene.now_ms {
            self.expect_nothing();
            return aside;
        }
        let start = |content: &Content| series::time_field(&content.fields, "start");
        let snapshots = &self.link.snapshots;
        let sides = [&snapshots.remote, &snapshots.hub, remote];
        let unmoved = sides.iter().all(|side| start(side) == start(remote));
        let alone = sides.iter().all(|side| side.overrides.is_empty());
        let changed = snapshots.remote.differences(remote);
        if changed.is_empty() {
            return aside;
        }
        // A start takes its overrides' keys along: that is left to the merge.
        let ours = changed.into_iter().filter(|path| {
            (unmoved || alone || (path.part.is_master() && path.field != "start"))
                && marks(path, remote.get(path))
                    .iter()
                    .any(|mark| traits.late.contains(mark))
        });
        let ours: Vec<FieldPath> = ours.collect();
        let guarded = scene.capability.conditional == Conditional::Version;
        let hub = scene.hub_side(&self.link, &self.record);
        for path in ours {
            let value = remote.get(&path).cloned();
            let late = &mut self.link.traits.late;
            let as_sent = late.contains(&fingerprint(&path, value.as_ref()));
            // Each update takes effect once: what says the same a second time is no longer that update.
            for mark in marks(&path, value.as_ref()) {
                if let Some(at) = late.iter().position(|sent| *sent == mark) {
                    late.remove(at);
                }
            }
            let own = hub.get(&path);
            // The provider may put what it was sent in words of its own: the hub's say the same.
            let in_other_words = !as_sent && gist_of(own) == gist_of(value.as_ref());
            if in_other_words || (!guarded && own != value.as_ref()) {
                aside.push(set_aside(&path, &hub, value.clone()));
            }
            let agreed = if in_other_words {
                own.cloned()
            } else {
                value.clone()
            };
            self.link.snapshots.hub.set(&path, agreed);
            self.link.snapshots.remote.set(&path, value);
            self.link_changes();
        }
        if guarded {
            self.expect_nothing();
        }
        aside
    }

    fn expect_nothing(&mut self) {
        self.link.traits.late.clear();
        self.link.traits.late_until = None;
        self.link_changes();
    }
}

/// What a value is recognised by: its words, and its meaning where a provider may put that in others.
fn marks(path: &FieldPath, value: Option<&Value>) -> Vec<u64> {
    let mut marks = vec![fingerprint(path, value)];
    let gist = fingerprint(path, gist_of(value).as_ref());
    if gist != marks[0] {
        marks.push(gist);
    }
    marks
}

fn gist_of(value: Option<&Value>) -> Option<Value> {
    value.map(gist)
}

/// The value is kept once, in case it was a person after all who wrote what the hub had sent.
fn set_aside(path: &FieldPath, hub: &Content, remote: Option<Value>) -> Clash {
    let hub = hub.get(path).cloned();
    Clash {
        path: path.clone(),
        base: remote.clone(),
        hub,
        remote,
        winner: Some(Side::Hub),
        rule: Rule::LastWriter,
    }
}
