//! The last look before a copy is made: the collection may hold the same thing by now, under a record of its own.

use super::Reason;
use super::rules::Rules;
use super::run::{Joined, join};
use crate::engine::{Run, Trouble};
use crate::ports::Linked;
use crate::scene::Scene;
use crate::state::{IntentAction, Pairing};
use crate::work::Work;

/// Why no copy is made beside an object with the same UID whose own record waits for a lost answer.
pub const TWIN_IN_DOUBT: &str = "the same thing is there already, under a record of its own that cannot be joined yet: the \
    answer to a creation of that record was lost; decide that one first, then retry this one";

/// What stands in the way of a copy that was about to be made.
pub(crate) enum Twin {
    /// Nothing.
    None,
    /// The record was joined with the one that was there: nothing is left to make.
    Joined,
    /// The one that is there cannot be joined before a person has decided what became of a create.
    InDoubt,
}

impl Run<'_> {
    /// Joins a record whose copy was about to be made with the one that has its UID there.
    pub(crate) async fn join_twin(&self, scene: &Scene, work: &Work) -> Result<Twin, Trouble> {
        let (link, record) = (&work.link, &work.record);
        let Some(uid) = record.uid().filter(|_| record.home.as_ref() != Some(&link.id)) else {
            return Ok(Twin::None);
        };
        let store = &self.desk.store;
        let uids = [uid.to_owned()];
        let found = store
            .with_uid(&self.organization, &scene.collection.id, &uids)
            .await?;
        let (there, waiting): (Vec<Linked>, Vec<Linked>) =
            found.into_iter().partition(|linked| linked.link.is_there());
        let [twin] = there.as_slice() else {
            return Ok(Twin::None);
        };
        if waiting.len() > 1 || self.is_apart(work, twin).await? || self.in_doubt(work).await? {
            return Ok(Twin::None);
        }
        let mirrors = store.mirrors_of(&self.organization, &scene.collection.id).await?;
        let rules = Rules::of(&mirrors, &scene.collection.id);
        let pair = (&record.id, &twin.record.id);
        match join(&self.desk, &self.organization, self.fence, pair, &rules).await? {
            Joined::Done(union) => {
                tracing::info!(record = %union.record.id, reason = ?Reason::Uid, "met before its copy was made");
                Ok(Twin::Joined)
            }
            Joined::Apart => Ok(Twin::None),
            Joined::InDoubt => Ok(Twin::InDoubt),
            Joined::Gone => Ok(Twin::Joined),
            // Contested: the next run looks again before it makes anything.
            Joined::Contested(what) => Err(crate::ports::StoreError::Stale(what.to_string()).into()),
        }
    }

    /// Whether somebody has taken these two apart.
    async fn is_apart(&self, work: &Work, twin: &Linked) -> Result<bool, Trouble> {
        let store = &self.desk.store;
        let apart = Some(&Pairing::Apart);
        let decided = store.pairings_of(&self.organization, &work.record.id).await?;
        if decided.get(&work.link.collection) == apart {
            return Ok(true);
        }
        let decided = store.pairings_of(&self.organization, &twin.record.id).await?;
        let links = store.links_of(&self.organization, &work.record.id).await?;
        Ok(links.iter().any(|link| decided.get(&link.collection) == apart))
    }

    /// A create that may have been carried out is tried again as it was, and not given up for another object.
    async fn in_doubt(&self, work: &Work) -> Result<bool, Trouble> {
        let open = self
            .desk
            .store
            .open_intents(&self.organization, &self.connection.id)
            .await?;
        Ok(open
            .iter()
            .any(|intent| intent.link == work.link.id && intent.action == IntentAction::Create))
    }
}
