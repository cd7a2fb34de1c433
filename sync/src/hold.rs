//! The breaker: a pull that would change too much of a collection at once stops and asks, and what a person answers.
//!
//! Once it has asked, nothing of that sort is carried out until somebody answers: the next pulls would else do in
//! portions what this one did not. An answer is for what was shown; a pull that goes far beyond it asks again.
//!
//! A pull is committed page by page, and is too much only from the page on that goes beyond the bounds: what came in
//! the pages before, at most as much as any pull may do unasked, has been taken over, and a rejection does not undo it.

use model::{CollectionId, Content, FieldPath, OrganizationId, RecordId};
use serde::{Deserialize, Serialize};

use crate::edit::EditError;
use crate::engine::{Engine, Run, Trouble};
use crate::observe::{Pulling, Sheet};
use crate::ports::{Effect, StoreError};
use crate::scene::Scene;
use crate::state::{Collection, FeedAction, FeedEntry, Origin};
use crate::work::Work;

/// Records that a hold shows by name.
const SAMPLE: usize = 20;

/// Why a collection waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What the pull would have done, in words.
    pub reason: String,
    /// What of it is too much.
    pub about: Vec<HeldChange>,
    /// Records that it would have deleted.
    pub deletes: usize,
    /// Their remote objects.
    pub objects: usize,
    /// Records that it would have changed.
    pub updates: usize,
    /// Objects that the hub holds of the collection.
    pub of: usize,
    /// Some of the records.
    pub sample: Vec<HeldRecord>,
    /// Since when it asks, epoch milliseconds.
    pub since: i64,
    /// What a person said; the next pull acts on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<HoldAnswer>,
}

/// What a pull would do too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeldChange {
    /// Deletes.
    Delete,
    /// Changes.
    Update,
}

/// A record that a held pull would have deleted or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HeldRecord {
    /// The record.
    pub record_id: RecordId,
    /// Its title, for people.
    pub title: Option<String>,
    /// What would have been done.
    pub change: HeldChange,
}

/// What a person says to a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldAnswer {
    /// The next pull carries it out.
    Approved,
    /// The hub's records stay as they are, and the provider gets them back.
    Rejected,
}

impl HoldAnswer {
    /// The name in the store and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

impl Hold {
    /// A hold of deletes of which only the words are known, as earlier releases stored it.
    #[must_use]
    pub fn in_words(reason: String) -> Self {
        Self {
            reason,
            about: vec![HeldChange::Delete],
            deletes: 0,
            objects: 0,
            updates: 0,
            of: 0,
            sample: Vec::new(),
            since: 0,
            answer: None,
        }
    }
}

/// How much a pull does.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) deletes: usize,
    /// Remote objects of the deleted records: overrides may have objects of their own, which [`Pulling::known`]
    /// counts too.
    pub(crate) objects: usize,
    pub(crate) updates: usize,
}

impl Tally {
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            deletes: self.deletes + other.deletes,
            objects: self.objects + other.objects,
            updates: self.updates + other.updates,
        }
    }
}

/// What a pull that has stopped goes on to count.
pub(crate) struct Held {
    about: Vec<HeldChange>,
    sample: Vec<HeldRecord>,
}

impl Scene {
    /// What a person rejected is undone by this pull: deleted objects are made again, edits are taken back, each
    /// logged as a conflict that the hub won.
    pub(crate) fn obey(&mut self) {
        let Some(hold) = &self.collection.hold else { return };
        if hold.answer == Some(HoldAnswer::Rejected) {
            self.restore = hold.about.contains(&HeldChange::Delete);
            self.policy.revert_remote |= hold.about.contains(&HeldChange::Update);
        }
    }
}

impl Run<'_> {
    /// What of a pull is too much, beyond what somebody has agreed to.
    fn too_much(&self, pulling: &Pulling, tally: Tally) -> Vec<HeldChange> {
        let hold = pulling.scene.collection.hold.as_ref();
        let open = |change| hold.is_some_and(|hold| hold.answer.is_none() && hold.about.contains(&change));
        let agreed = |change| hold.filter(|hold| hold.answer.is_some() && hold.about.contains(&change));
        let (settings, known) = (&self.desk.settings, pulling.known.len());
        let share = |percent: usize| known * percent / 100;
        let mut about = Vec::new();
        let (deletes, objects) =
            agreed(HeldChange::Delete).map_or((0, 0), |hold| (hold.deletes, hold.objects));
        let over = tally.deletes.saturating_sub(deletes) > settings.delete_floor
            && tally.objects.saturating_sub(objects) > share(settings.delete_share_percent);
        if !self.approve_deletes && tally.deletes > 0 && (over || open(HeldChange::Delete)) {
            about.push(HeldChange::Delete);
        }
        let updates = agreed(HeldChange::Update).map_or(0, |hold| hold.updates);
        let beyond = tally.updates.saturating_sub(updates);
        // While it is enumerated for the first time there is nothing yet that could be overwritten by mistake.
        let enumerated = pulling.scene.collection.enumerated_at.is_some();
        let over = beyond > settings.update_floor && beyond > share(settings.update_share_percent);
        if tally.updates > 0 && ((enumerated && over) || open(HeldChange::Update)) {
            about.push(HeldChange::Update);
        }
        about
    }

    /// Whether a page has to wait, since the pull is too much with it. From then on the pull is only counted.
    pub(crate) fn holds(&self, pulling: &mut Pulling, sheet: &Sheet) -> bool {
        let tally = pulling.tally.plus(sheet.tally);
        let about = self.too_much(pulling, tally);
        if about.is_empty() && pulling.held.is_none() {
            return false;
        }
        pulling.tally = tally;
        let held = pulling.held.get_or_insert_with(|| Held {
            about: Vec::new(),
            sample: Vec::new(),
        });
        for change in about {
            if !held.about.contains(&change) {
                held.about.push(change);
            }
        }
        let room = SAMPLE.saturating_sub(held.sample.len());
        held.sample
            .extend(sheet.works.iter().filter_map(sampled).take(room));
        true
    }

    /// Asks, where the pull had to stop; forgets the question, where it did not.
    pub(crate) async fn ask_or_forget(&self, pulling: &Pulling) -> Result<(), Trouble> {
        let collection = &pulling.scene.collection;
        let Some(held) = &pulling.held else {
            return match &collection.hold {
                Some(_) => self.put_hold(collection, None).await,
                None => Ok(()),
            };
        };
        let (tally, of) = (pulling.tally, pulling.known.len());
        let open = collection.hold.as_ref().filter(|hold| hold.answer.is_none());
        let hold = Hold {
            reason: reason(collection, held, tally, of),
            about: held.about.clone(),
            deletes: tally.deletes,
            objects: tally.objects,
            updates: tally.updates,
            of,
            sample: held.sample.clone(),
            since: open
                .map(|hold| hold.since)
                .filter(|since| *since > 0)
                .unwrap_or(pulling.scene.now_ms),
            answer: None,
        };
        let reason = hold.reason.clone();
        if open != Some(&hold) {
            self.put_hold(collection, Some(hold)).await?;
        }
        Err(if held.about.contains(&HeldChange::Delete) {
            Trouble::Held(reason)
        } else {
            Trouble::HeldChanges(reason)
        })
    }

    async fn put_hold(&self, collection: &Collection, hold: Option<Hold>) -> Result<(), Trouble> {
        let effects = vec![
            Effect::HoldCollection {
                collection: collection.id.clone(),
                before: collection.hold.as_ref().and_then(|hold| hold.answer),
                hold: hold.map(Box::new),
            },
            told(&collection.id, &Origin::Hub, self.desk.now_ms()),
        ];
        match self.commit(effects).await {
            // Somebody answered meanwhile, and has sent a sync that goes by the answer.
            Err(StoreError::Stale(_)) => Ok(()),
            outcome => Ok(outcome?),
        }
    }
}

fn told(collection: &CollectionId, origin: &Origin, at: i64) -> Effect {
    Effect::Feed(FeedEntry {
        action: FeedAction::Updated,
        subject: collection.to_string(),
        kind: "collection".to_owned(),
        version: 0,
        changed: vec!["hold".to_owned()],
        origin: origin.clone(),
        at,
    })
}

fn sampled(work: &Work) -> Option<HeldRecord> {
    let change = match work.action()? {
        FeedAction::Deleted => HeldChange::Delete,
        FeedAction::Updated => HeldChange::Update,
        FeedAction::Created => return None,
    };
    let title = |content: &Content| {
        let title = content.get(&FieldPath::master("title"))?;
        Some(title.as_str()?.to_owned())
    };
    Some(HeldRecord {
        record_id: work.record_id().clone(),
        title: title(&work.record.content),
        change,
    })
}

fn reason(collection: &Collection, held: &Held, tally: Tally, of: usize) -> String {
    let what: Vec<String> = held
        .about
        .iter()
        .map(|change| match change {
            HeldChange::Delete => format!(
                "lose {} records ({} of its {of} objects)",
                tally.deletes, tally.objects
            ),
            HeldChange::Update => format!("have {} of its {of} objects changed", tally.updates),
        })
        .collect();
    format!(
        "`{}` would {} at once; nothing more was taken over. Approve the hold if that is right, or reject it to give \
         the provider back what the hub has",
        collection.remote.name,
        what.join(" and ")
    )
}

impl Engine {
    /// Answers a hold. The next sync of the connection acts on it.
    ///
    /// # Errors
    /// `Invalid` when the collection does not wait for anybody.
    pub async fn answer_hold(
        &self,
        organization: &OrganizationId,
        id: &CollectionId,
        answer: HoldAnswer,
        origin: &Origin,
    ) -> Result<Collection, EditError> {
        let found = self.desk.store.collection(organization, id).await?;
        let mut collection = found.ok_or(EditError::NotFound("calendar"))?;
        let Some(hold) = &mut collection.hold else {
            let text = "nothing waits for an answer here: the last sync stayed within its bounds";
            return Err(EditError::Invalid(text.to_owned()));
        };
        let before = hold.answer.replace(answer);
        let effects = vec![
            Effect::HoldCollection {
                collection: id.clone(),
                before,
                hold: Some(Box::new(hold.clone())),
            },
            told(id, origin, self.desk.now_ms()),
        ];
        self.desk.commit(organization, None, effects).await?;
        Ok(collection)
    }
}
