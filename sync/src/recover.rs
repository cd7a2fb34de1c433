//! Recovery: intents whose outcome nobody recorded. The provider is asked; nothing is sent blindly again.

use std::collections::BTreeSet;

use connector_sdk::{Applied, Change, ErrorKind, RemoteId, RemoteObject};
use model::{CollectionId, PartKey};

use crate::engine::{Run, Trouble};
use crate::hold::Tally;
use crate::observe::Pulling;
use crate::ports::Effect;
use crate::push::{Outcome, to_write};
use crate::scene::Scene;
use crate::state::{CollectionCache, Intent, IntentAction, Link, LinkState};
use crate::work::Work;

/// Why a create is not tried again where nothing tells what became of it (invariant 8).
const IN_DOUBT: &str = "the answer to its creation was lost, and this provider cannot be asked whether it was made; look \
    there, and retry if it is missing";

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
                IntentAction::Create => drop(self.recover_create(&scene, &intent).await?),
                IntentAction::Update | IntentAction::Delete => {
                    self.look_again(&scene, &intent).await?;
                }
            }
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
        changes: &[Change],
    ) -> Result<(), Trouble> {
        let is_strange = |change: &Change| match change {
            Change::Present(object) => object.series.is_none() && !pulling.known.contains_key(&object.id),
            Change::Unchanged(_) | Change::Deleted(_) | Change::Unreadable { .. } => false,
        };
        if pulling.doubtful.is_empty() || !changes.iter().any(is_strange) {
            return Ok(());
        }
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
        Ok(())
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
        match probed {
            Ok(Some(Applied::Stored(object))) => {
                self.summary.written += 1;
                self.finish(scene, intent, Outcome::Found(object)).await?;
            }
            // Somebody deleted it before the hub had seen it.
            Ok(Some(Applied::Gone)) => {
                self.finish(scene, intent, Outcome::Deleted).await?;
            }
            Ok(None) => {}
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

    /// A create that the provider cannot be asked about: the one stranger with its name and time is what it made.
    async fn recognise(
        &mut self,
        scene: &Scene,
        intent: &Intent,
        strangers: &mut Vec<&RemoteObject>,
    ) -> Result<(), Trouble> {
        let sent = scene.project(&intent.sent);
        let alike = |object: &RemoteObject| {
            let same = |field: &str| object.content.fields.get(field) == sent.fields.get(field);
            same("title") && same("display_name") && same("start")
        };
        let found: Vec<usize> = (0..strangers.len()).filter(|at| alike(strangers[*at])).collect();
        if let [at] = found.as_slice() {
            let object = strangers.remove(*at);
            self.summary.written += 1;
            self.finish(scene, intent, Outcome::Found(Box::new(object.clone())))
                .await?;
        }
        Ok(())
    }

    /// An update or delete: the object is read. If it says what was sent, the write took effect; anything else is
    /// merged like any other remote state. Either way the intent is closed. Whether the object is another one than
    /// was last seen.
    pub(crate) async fn look_again(&mut self, scene: &Scene, intent: &Intent) -> Result<bool, Trouble> {
        let close = Effect::CloseIntent(intent.id.clone());
        let Some(linked) = self.desk.store.link(&self.organization, &intent.link).await? else {
            self.commit(vec![close]).await?;
            return Ok(false);
        };
        let Some(facet) = scene.provider.connector.pull() else {
            return Ok(false);
        };
        // An occurrence without an object of its own: its id derives from the series, so writing it again cannot make
        // a second one. Its series is looked at, which may have moved.
        let parts = &linked.link.parts;
        let Some(part) = parts.get(&intent.part).or_else(|| parts.get(&PartKey::MASTER)) else {
            self.commit(vec![close]).await?;
            return Ok(false);
        };
        let ids: [RemoteId; 1] = [part.id.clone()];
        let changes = facet
            .fetch(&scene.provider.ctx, &scene.collection.remote, &ids)
            .await?;
        if let Some(Change::Present(object)) = changes.first()
            && intent.action == IntentAction::Update
            && parts.contains_key(&intent.part)
            && object.version != part.version
            && let Some((_, view)) = scene.remote_view(&linked.link, object)
        {
            let projected = scene.project(&intent.sent);
            let took_effect = intent
                .changed
                .iter()
                .all(|path| view.get(path) == projected.get(path));
            if took_effect {
                self.summary.written += 1;
                self.finish(scene, intent, Outcome::Answered(Applied::Stored(object.clone())))
                    .await?;
                return Ok(true);
            }
        }
        if matches!(changes.first(), Some(Change::Deleted(_)) | None) && intent.action == IntentAction::Delete
        {
            self.finish(scene, intent, Outcome::Answered(Applied::Gone))
                .await?;
            return Ok(true);
        }
        let same = matches!(changes.first(), Some(Change::Present(object)) if object.version == part.version);
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
