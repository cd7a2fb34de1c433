//! Updates that a slow provider carries out after it was asked for them and had nothing: what they sent comes back as if
//! somebody there had edited it.

use model::{Content, series};

use crate::scene::Scene;
use crate::state::{Intent, fingerprint};
use crate::work::Work;

/// Values kept per link; the oldest go.
const MOST: usize = 64;

impl Work {
    /// Remembers what an update sent that may take effect until then.
    pub(crate) fn expect_late(&mut self, scene: &Scene, intent: &Intent, until_ms: i64) {
        let projected = scene.project(&intent.sent);
        let sent = intent.changed.iter();
        let traits = &mut self.link.traits;
        let sent = sent.map(|path| fingerprint(path, projected.get(path)));
        traits.late.extend(sent);
        let excess = traits.late.len().saturating_sub(MOST);
        traits.late.drain(..excess);
        traits.late_until = Some(until_ms);
        self.link_changes();
    }

    /// Lets the snapshots advance over what the hub had sent itself.
    pub(super) fn recognise_late(&mut self, scene: &Scene, remote: &Content) {
        let traits = &mut self.link.traits;
        let Some(until) = traits.late_until else { return };
        if until < scene.now_ms {
            traits.late.clear();
            traits.late_until = None;
            self.link_changes();
            return;
        }
        let start = |content: &Content| series::time_field(&content.fields, "start");
        let snapshots = &mut self.link.snapshots;
        let unmoved = start(&snapshots.remote) == start(remote) && start(&snapshots.hub) == start(remote);
        let mut came = snapshots.remote.differences(remote);
        came.retain(|path| {
            (unmoved || path.part.is_master()) && traits.late.contains(&fingerprint(path, remote.get(path)))
        });
        // A start takes its overrides' keys along: that is left to the merge.
        came.retain(|path| unmoved || path.field != "start");
        for path in &came {
            let value = remote.get(path).cloned();
            snapshots.hub.set(path, value.clone());
            snapshots.remote.set(path, value);
        }
        if !came.is_empty() {
            self.link_changes();
        }
    }
}
