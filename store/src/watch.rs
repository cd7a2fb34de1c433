//! What commits do with webhooks, for whoever follows them through the store.

use model::{InboundId, JobId};

/// Hears of commits after they happened. It must not wait: the committer does.
pub trait Watch: Send + Sync {
    /// A transaction was committed that took webhooks in, or that goes back to one.
    fn committed(&self, what: &Committed);
}

/// A commit that has to do with webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The webhook that its changes and jobs go back to.
    pub webhook: InboundId,
    /// The webhooks that it ended as done; empty in what follows later.
    pub webhooks: Vec<InboundId>,
    /// The webhooks that the jobs which it enqueued go back to: another's, where an identical one waited for it already.
    pub passed_on: Vec<InboundId>,
    /// The job that committed.
    pub job: Option<JobId>,
    /// How many entries of the feed, and the `seq` of the last.
    pub changes: Option<(usize, i64)>,
    /// When it began, epoch milliseconds.
    pub began_at: i64,
}
