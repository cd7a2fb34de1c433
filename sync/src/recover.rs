//! Recovery: intents whose outcome nobody recorded. The provider is asked; nothing is sent blindly again.

use std::collections::BTreeSet;

use connector_sdk::{Applied, Change, Conditional, ErrorKind, Notifies, RemoteId, RemoteObject, SeriesModel};
use model::{CollectionId, PartKey};

use crate::engine::{Run, Trouble};
use crate::hold::Tally;
use crate::matching::is_likely;
use crate::observe::Pulling;
use crate::ports::{Effect, Linked, StoreError};
use crate::push::{Outcome, Pending, to_write};
use crate::scene::Scene;
use crate::state::{CollectionCache, Intent, IntentAction, Link, LinkState, Origin};
use crate::work::{Work, means_the_same};

/// Why a create is not tried again where nothing tells what became of it (invariant 8).
pub const IN_DOUBT: &str = "the answer to its creation was lost, and this provider cannot be asked whether it was made; look \
    there, and retry if it is missing";

/// What is known of a write whose object is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Its answer was lost: it may take effect yet.
    MayComeLate,
    /// It was refused.
    None,
}

impl Run<'_> {
    /// Finds out what became of every open intent of the connection. Runs before anything is pulled, so that our
    /// own creates are never met as strangers.
    pub(crate) async fn recover(&mut self) -> Result<(), Trouble> {
        let open = self
            .desk
            .store
            .open_intents(&self.organization, &self.connection.id)
            .await?;
        let mut scenes = CollectionCache::default();
        for intent in open {
            self.check_cancelled()?;
            tracing::info!(intent = %intent.id, action = intent.action.name(), "probing what became of a write");
            let linked = self.desk.store.link(&self.organization, &intent.link).await?;
            let scene = match &linked {
                Some(linked) => self.scene_of(&linked.link, &mut scenes).await?,
                None => None,
            };
            let Some(scene) = scene else {
                self.commit(vec![Effect::CloseIntent(intent.id)]).await?;
                continue;
            };
            match intent.action {
                IntentAction::Create => {
                    self.recover_create(&scene, &intent).await?;
                    self.asked.insert(intent.id);
                }
                IntentAction::Update | IntentAction::Delete => {
                    self.look_again(&scene, &intent, Doubt::MayComeLate).await?;
                }
            }
        }
        Ok(())
    }

    /// An update that is not there although its answer was lost may take effect yet. What it sent is no stranger's edit.
    async fn expect_late(&self, scene: &Scene, intent: &Intent) -> Result<(), Trouble> {
        let Some(linked) = self.desk.store.link(&self.organization, &intent.link).await? else {
            return Ok(());
        };
        let mut work = Work::stored(linked.link, linked.record);
        work.expect_late(scene, intent, self.desk.now_ms() + self.desk.settings.doubt_ms);
        match self.commit(work.into_effects(&Origin::Hub)).await {
            // Somebody has written it since.
            Err(StoreError::Stale(_)) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// Other updates of the same object may be in doubt beside this write.
    async fn expect_others(&self, scene: &Scene, intent: &Intent) -> Result<(), Trouble> {
        let store = &self.desk.store;
        let open = store
            .open_intents(&self.organization, &self.connection.id)
            .await?;
        let others = open.iter().filter(|other| {
            other.link == intent.link && other.id != intent.id && other.action == IntentAction::Update
        });
        for other in others {
            self.expect_late(scene, other).await?;
        }
        Ok(())
    }

    /// The creates in a collection of which nobody knows what became of them.
    pub(crate) async fn creates_in_doubt(&self, collection: &CollectionId) -> Result<Vec<Intent>, Trouble> {
        let store = &self.desk.store;
        let open = store
            .open_intents(&self.organization, &self.connection.id)
            .await?;
        let mut creates = Vec::new();
        for intent in open
            .into_iter()
            .filter(|intent| intent.action == IntentAction::Create)
        {
            let linked = store.link(&self.organization, &intent.link).await?;
            if linked.is_some_and(|linked| linked.link.collection == *collection) {
                creates.push(intent);
            }
        }
        Ok(creates)
    }

    /// A slow provider may carry out a create after it was asked for it and had nothing. Before an object that the
    /// hub does not know is taken for a stranger, it is asked again (invariant 8).
    pub(crate) async fn claim_late_creates(
        &mut self,
        pulling: &mut Pulling,
        mut changes: Vec<Change>,
    ) -> Result<Vec<Change>, Trouble> {
        let is_strange = |change: &Change| match change {
            Change::Present(object) => object.series.is_none() && !pulling.known.contains_key(&object.id),
            Change::Unchanged(_) | Change::Deleted(_) | Change::Unreadable { .. } => false,
        };
        if pulling.doubtful.is_empty() || !changes.iter().any(is_strange) {
            return Ok(changes);
        }
        // Nothing is recognised by what a delta says of it.
        self.make_whole(&pulling.scene, &mut changes, is_strange).await?;
        let is_stranger: Vec<bool> = changes.iter().map(is_strange).collect();
        let mut strangers: Vec<&RemoteObject> = Vec::new();
        for change in changes.iter().filter(|change| is_strange(change)) {
            if let Change::Present(object) = change {
                strangers.push(object);
            }
        }
        for intent in std::mem::take(&mut pulling.doubtful) {
            if !self.recover_create(&pulling.scene, &intent).await? {
                self.recognise(&pulling.scene, &intent, &mut strangers).await?;
            }
        }
        pulling.doubtful = self.creates_in_doubt(&pulling.scene.collection.id).await?;
        let Some(facet) = pulling.scene.provider.connector.pull() else {
            return Ok(changes);
        };
        // One of the strangers may be the object in doubt, and have been edited or deleted between the page and the
        // probe: what the page says of them is out of date.
        let (strangers, mut others): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .zip(is_stranger)
            .partition(|(_, strange)| *strange);
        let ids: Vec<RemoteId> = strangers.iter().map(|(change, _)| change.id().clone()).collect();
        let remote = &pulling.scene.collection.remote;
        let now = facet.fetch(&pulling.scene.provider.ctx, remote, &ids).await?;
        others.extend(now.into_iter().map(|change| (change, true)));
        Ok(others.into_iter().map(|(change, _)| change).collect())
    }

    /// A create: the object is looked for by the id or marker that derives from the intent. When it is not there
    /// the intent stays open, and the next try uses the same one. Whether the provider can be asked at all.
    async fn recover_create(&mut self, scene: &Scene, intent: &Intent) -> Result<bool, Trouble> {
        let Some(facet) = scene.provider.connector.push() else {
            return Ok(true);
        };
        let Some(linked) = self.desk.store.link(&self.organization, &intent.link).await? else {
            return Ok(true);
        };
        let write = to_write(intent, &linked.link, &std::collections::BTreeMap::new());
        let probed = facet
            .probe(&scene.provider.ctx, &scene.collection.remote, &write)
            .await;
        // Nobody wants it any more, and it will not appear any more.
        let over = (linked.record.deleted || linked.link.removing) && !self.is_doubtful(intent);
        match probed {
            Ok(Some(Applied::Stored(object))) => {
                self.summary.written += 1;
                self.finish(scene, intent, Outcome::Found(object)).await?;
            }
            // Somebody deleted it before the hub had seen it.
            Ok(Some(Applied::Gone)) => {
                self.finish(scene, intent, Outcome::Deleted).await?;
            }
            Ok(None) if over => self.give_up(linked).await?,
            Ok(None) => {}
            Err(error) if error.kind == ErrorKind::Unsupported && over => self.give_up(linked).await?,
            Err(error) if error.kind == ErrorKind::Unsupported => {
                // At most one object, and its doubt shown: a person looks, and has it made again or not. The intent
                // stays open, so that the object is recognised when a pull shows it.
                if !matches!(linked.link.state, LinkState::Rejected { .. }) {
                    let work = Work::stored(linked.link, linked.record);
                    self.refuse(work, IN_DOUBT.to_owned(), None).await?;
                }
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// A create that the provider cannot be asked about: the stranger with its UID is what it made, however it was
    /// edited since; else the one with its name and time.
    async fn recognise(
        &mut self,
        scene: &Scene,
        intent: &Intent,
        strangers: &mut Vec<&RemoteObject>,
    ) -> Result<(), Trouble> {
        let sent = scene.project(&intent.sent);
        let alike = |object: &RemoteObject| is_likely(object.kind, &sent, &object.content);
        let uid = sent.fields.get("uid");
        let named = |object: &RemoteObject| uid.is_some() && object.content.fields.get("uid") == uid;
        let only = |found: &dyn Fn(&RemoteObject) -> bool| {
            let mut found = (0..strangers.len()).filter(|at| found(strangers[*at]));
            found.next().filter(|_| found.next().is_none())
        };
        // Somebody who tried again may have made several; the first is the record's.
        let first = strangers.iter().position(|object| named(object));
        if let Some(at) = first.or_else(|| only(&alike)) {
            let object = strangers.remove(at);
            self.summary.written += 1;
            self.finish(scene, intent, Outcome::Found(Box::new(object.clone())))
                .await?;
        }
        Ok(())
    }

    /// Forgets a link whose object was never made; its intents go with it.
    async fn give_up(&self, linked: Linked) -> Result<(), Trouble> {
        let mut work = Work::stored(linked.link, linked.record);
        work.drop_link();
        match self.commit(work.into_effects(&Origin::Hub)).await {
            // Somebody wants it again just now.
            Err(StoreError::Stale(_)) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// Whether a create of the link's object was sent that may still take effect.
    pub(crate) async fn may_still_appear(&self, link: &Link) -> Result<bool, Trouble> {
        let store = &self.desk.store;
        let open = store
            .open_intents(&self.organization, &self.connection.id)
            .await?;
        Ok(open.iter().any(|intent| {
            intent.link == link.id && intent.action == IntentAction::Create && self.is_doubtful(intent)
        }))
    }

    fn is_doubtful(&self, intent: &Intent) -> bool {
        self.desk.now_ms() - intent.created_at < self.desk.settings.doubt_ms
    }

    /// An update or delete: the object is read. If it says what was sent, the write took effect; anything else is
    /// merged like any other remote state. Either way the intent is closed. Whether the object is another one than
    /// was last seen.
    pub(crate) async fn look_again(
        &mut self,
        scene: &Scene,
        intent: &Intent,
        doubt: Doubt,
    ) -> Result<bool, Trouble> {
        let close = Effect::CloseIntent(intent.id.clone());
        let Some(linked) = self.desk.store.link(&self.organization, &intent.link).await? else {
            self.commit(vec![close]).await?;
            return Ok(false);
        };
        let Some(facet) = scene.provider.connector.pull() else {
            return Ok(false);
        };
        self.expect_others(scene, intent).await?;
        // An occurrence without an object of its own: its id derives from the series, so writing it again cannot make
        // a second one. Its series is looked at, which may have moved.
        let parts = &linked.link.parts;
        let Some(part) = parts.get(&intent.part).or_else(|| parts.get(&PartKey::MASTER)) else {
            self.commit(vec![close]).await?;
            return Ok(false);
        };
        // An occurrence may be gone because its series is, and says more beside it in any case.
        let mut ids = vec![part.id.clone()];
        ids.extend(parts.get(&PartKey::MASTER).map(|master| master.id.clone()));
        ids.dedup();
        let changes = facet
            .fetch(&scene.provider.ctx, &scene.collection.remote, &ids)
            .await?;
        let own = changes.iter().find(|change| *change.id() == part.id);
        if let Some(Change::Present(object)) = own
            && intent.action == IntentAction::Update
            && parts.contains_key(&intent.part)
            && object.version != part.version
            && let Some((_, view)) = scene.remote_view(&linked.link, object)
        {
            let projected = scene.project(&intent.sent);
            let before = &linked.link.snapshots.remote;
            let took_effect = intent.changed.iter().all(|path| {
                let (sent, there) = (projected.get(path), view.get(path));
                sent == there || (there != before.get(path) && means_the_same(sent, there))
            });
            if took_effect {
                self.summary.written += 1;
                self.finish(scene, intent, Outcome::Answered(Applied::Stored(object.clone())))
                    .await?;
                return Ok(true);
            }
        }
        // An exception that is gone may be as its series says again, and not cancelled: the series tells.
        let telling = intent.part.is_master() || scene.capability.series != SeriesModel::Instances;
        let gone = matches!(own, Some(Change::Deleted(_)) | None);
        if gone && telling && intent.action == IntentAction::Delete {
            self.finish(scene, intent, Outcome::Answered(Applied::Gone))
                .await?;
            return Ok(true);
        }
        let same = matches!(own, Some(Change::Present(object)) if object.version == part.version);
        if same && doubt == Doubt::MayComeLate && intent.action == IntentAction::Update {
            // While the intent is open: whoever closes it can be sure that this is known.
            self.expect_late(scene, intent).await?;
        }
        self.take_fetched(scene, &changes, Some(close)).await?;
        Ok(!same)
    }

    /// Reads a part whole: what is kept of it is older than what is known of it, and a write must not build on that.
    pub(crate) async fn read_anew(
        &mut self,
        scene: &Scene,
        link: &Link,
        part: &PartKey,
    ) -> Result<(), Trouble> {
        let Some((facet, known)) = scene.provider.connector.pull().zip(link.parts.get(part)) else {
            return Ok(());
        };
        let ids = std::slice::from_ref(&known.id);
        let remote = &scene.collection.remote;
        let changes = facet.fetch(&scene.provider.ctx, remote, ids).await?;
        self.take_fetched(scene, &changes, None).await
    }

    /// Looks at what a write is about to go over, where its condition does not cover that: edits since the last pull
    /// would be lost without a word, guests be mailed. Whether there were any; they are taken in.
    pub(crate) async fn looks_different(
        &mut self,
        scene: &Scene,
        work: &Work,
        pending: &Pending,
    ) -> Result<bool, Trouble> {
        if pending.action == IntentAction::Create {
            return Ok(false);
        }
        let link = &work.link;
        // A condition on whole seconds does not see what happened within the second.
        let unguarded = scene.capability.conditional != Conditional::Version;
        let master = pending.part.is_master();
        // An occurrence's own object says nothing of whom its series invites.
        let mails = scene.capability.notifies == Notifies::Always && !master;
        // It has no version either while it is as its series: an earlier try may have made it an object, and somebody have
        // taken that back.
        let retried = !master && !link.parts.contains_key(&pending.part) && link.attempts > 0;
        let looked_at = |part: &PartKey| {
            let covered = *part == pending.part || (master && pending.action == IntentAction::Delete);
            (unguarded && covered) || ((mails || retried) && part.is_master())
        };
        let parts = link.parts.iter().filter(|(part, _)| looked_at(part));
        let ids: Vec<RemoteId> = parts.map(|(_, remote)| remote.id.clone()).collect();
        let Some(facet) = scene.provider.connector.pull().filter(|_| !ids.is_empty()) else {
            return Ok(false);
        };
        let remote = &scene.collection.remote;
        let mut changes = match facet.fetch(&scene.provider.ctx, remote, &ids).await {
            // The write will say so, too, and what it goes over it guards.
            Err(error)
                if !unguarded && matches!(error.kind, ErrorKind::NotFound | ErrorKind::PermissionDenied) =>
            {
                return Ok(false);
            }
            changes => changes?,
        };
        changes.retain(|change| match change {
            Change::Present(object) => scene
                .remote_view(link, object)
                .is_some_and(|(_, view)| view != link.snapshots.remote),
            Change::Unreadable { .. } => true,
            Change::Deleted(_) | Change::Unchanged(_) => false,
        });
        if changes.is_empty() {
            return Ok(false);
        }
        self.take_fetched(scene, &changes, None).await?;
        let unreadable = |change: &Change| matches!(change, Change::Unreadable { .. });
        let now = self.desk.store.link(&self.organization, &link.id).await?;
        // What the hub cannot take in must not keep it from writing for ever.
        let same = now.is_some_and(|now| {
            now.link.snapshots == link.snapshots
                && now.link.parts == link.parts
                && now.record.version == work.record.version
        });
        Ok(!same || changes.iter().any(unreadable))
    }

    /// Takes in objects that were asked for by name.
    async fn take_fetched(
        &mut self,
        scene: &Scene,
        changes: &[Change],
        also: Option<Effect>,
    ) -> Result<(), Trouble> {
        let known = self
            .desk
            .store
            .known(&self.organization, &scene.collection.id)
            .await?;
        let mut scene = scene.clone();
        // The provider answers for these objects. A hold is about what a pull would delete.
        scene.collection.hold = None;
        let mut pulling = Pulling {
            scene,
            known,
            seen: BTreeSet::new(),
            tally: Tally::default(),
            held: None,
            doubtful: Vec::new(),
        };
        self.take_changes(&mut pulling, changes, also.into_iter().collect())
            .await
    }
}
