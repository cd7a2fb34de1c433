//! Dry runs: the plan as data, shown and not carried out.

use std::collections::BTreeSet;

use connector_sdk::{Change, Error, ErrorKind, Listing, PullRequest};
use futures::StreamExt as _;
use model::{CollectionId, ConnectionId, LinkId, OrganizationId, RecordId};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, Progress, Run, Summary, Trouble};
use crate::hold::Tally;
use crate::matching::Reason;
use crate::observe::Pulling;
use crate::push::{Step, next_write};
use crate::scene::Scene;
use crate::silence::would_mail;
use crate::state::{CollectionCache, FeedAction, IntentAction};
use crate::work::{Work, pending_link};

/// Operations that a dry run lists at most.
pub(crate) const MAX_OPERATIONS: usize = 10_000;

/// One thing that a run would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct PlannedOperation {
    /// `hub` when the hub's record would change, `remote` when the provider would be written.
    pub side: &'static str,
    /// `create`, `update`, `delete`, `quarantine` or `refuse`; of a mirror also `link` (two records would become one)
    /// and `ambiguous` (it looks like several, so it would be taken for another thing).
    pub action: &'static str,
    /// The record; absent where it would only come into being.
    pub record_id: Option<RecordId>,
    /// Records that would be joined into it; of an ambiguous one, those that it may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_ids: Vec<RecordId>,
    /// By what two records are taken for the same thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched_by: Option<Reason>,
    /// The collection that would be written; absent where the connection says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection_id: Option<CollectionId>,
    /// The link.
    pub link_id: Option<LinkId>,
    /// The provider's id of the object.
    pub remote_id: Option<String>,
    /// The record's title, for people.
    pub title: Option<String>,
    /// The paths that would change.
    pub fields: Vec<String>,
    /// Why it would be refused or quarantined.
    pub reason: Option<String>,
    /// Where the two records say something different, and which value would stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clashes: Vec<PlannedClash>,
    /// Whom the provider would mail, whatever it is asked: it would wait for an approval.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notifies: Vec<String>,
}

/// A field that two records would have to agree on.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct PlannedClash {
    /// The field.
    pub field: String,
    /// The value of the record that stays: `hub` in `winner`.
    pub hub: Option<serde_json::Value>,
    /// The value of the one that is joined into it: `remote` in `winner`.
    pub remote: Option<serde_json::Value>,
    /// Which would stand; absent while a person is asked.
    pub winner: Option<conflict::Side>,
    /// The rule that decides.
    pub rule: conflict::Rule,
}

/// Nobody watches a dry run.
pub(crate) struct Unwatched;

impl Progress for Unwatched {
    fn report(&self, _: u64, _: Option<u64>) {}
}

impl Engine {
    /// What a sync of the connection would do now. Nothing is written, here or there.
    ///
    /// # Errors
    /// When the provider or the store fails.
    pub async fn dry_run(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
        cancel: &CancellationToken,
    ) -> Result<Vec<PlannedOperation>, Error> {
        let broken = |trouble: Trouble| match trouble {
            Trouble::Provider(error) => error,
            Trouble::Store(_)
            | Trouble::Gone(_)
            | Trouble::Cancelled
            | Trouble::Held(_)
            | Trouble::HeldChanges(_) => Error::new(ErrorKind::Unavailable, "dry_run", trouble.to_string()),
        };
        self.plan_connection(organization, id, cancel)
            .await
            .map_err(broken)
    }

    /// A run of a connection that nobody watches and that commits nothing by itself.
    pub(crate) async fn rehearsal<'a>(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
        cancel: &'a CancellationToken,
    ) -> Result<Run<'a>, Trouble> {
        let connection = self
            .desk
            .store
            .connection(organization, id)
            .await?
            .ok_or(Trouble::Gone("connection"))?;
        Ok(Run {
            desk: self.desk.clone(),
            organization: organization.clone(),
            provider: self.providers.open(&connection).await?,
            connection,
            fence: None,
            progress: &Unwatched,
            cancel,
            approve_deletes: false,
            summary: Summary::default(),
            done: 0,
            asked: BTreeSet::new(),
        })
    }

    async fn plan_connection(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
        cancel: &CancellationToken,
    ) -> Result<Vec<PlannedOperation>, Trouble> {
        let run = self.rehearsal(organization, id, cancel).await?;
        let mut planned = Vec::new();
        for collection in self.desk.store.collections(organization, id).await? {
            if collection.enabled && planned.len() < MAX_OPERATIONS {
                run.plan_pull(collection, &mut planned).await?;
            }
        }
        run.plan_push(&mut planned).await?;
        planned.truncate(MAX_OPERATIONS);
        Ok(planned)
    }
}

impl Run<'_> {
    /// What pulling one collection would change in the hub, and then at other providers.
    async fn plan_pull(
        &self,
        collection: crate::state::Collection,
        planned: &mut Vec<PlannedOperation>,
    ) -> Result<(), Trouble> {
        let cursor = collection.cursor.clone();
        let scene = self.scene(collection).await?;
        let provider = scene.provider.clone();
        let Some(facet) = provider.connector.pull() else {
            return Ok(());
        };
        let known = self
            .desk
            .store
            .known(&self.organization, &scene.collection.id)
            .await?;
        let remote = scene.collection.remote.clone();
        let mut pulling = Pulling {
            scene,
            known: known.clone(),
            seen: std::collections::BTreeSet::new(),
            tally: Tally::default(),
            held: None,
            doubtful: Vec::new(),
        };
        // From the cursor; from the start when that is lost.
        for from in [cursor.as_ref(), None] {
            let request = PullRequest {
                collection: &remote,
                cursor: from,
                known: &known,
            };
            let mut pages = facet.pages(&provider.ctx, request);
            let mut expired = false;
            while let Some(page) = pages.next().await {
                self.check_cancelled()?;
                let page = match page {
                    Err(error) if error.kind == ErrorKind::CursorExpired && from.is_some() => {
                        expired = true;
                        break;
                    }
                    page => page?,
                };
                let mut changes = page.changes;
                if page.listing != Listing::Delta {
                    pulling
                        .seen
                        .extend(changes.iter().map(|change| change.id().clone()));
                }
                if page.listing == Listing::Complete {
                    changes.extend(self.sweep(&pulling).await?);
                }
                self.plan_changes(&pulling, &changes, planned).await?;
            }
            if !expired {
                break;
            }
        }
        Ok(())
    }

    async fn plan_changes(
        &self,
        pulling: &Pulling,
        changes: &[Change],
        planned: &mut Vec<PlannedOperation>,
    ) -> Result<(), Trouble> {
        for change in changes {
            if let Change::Unreadable { id, reason, .. } = change {
                planned.push(PlannedOperation {
                    side: "hub",
                    action: "quarantine",
                    remote_id: Some(id.to_string()),
                    reason: Some(reason.clone()),
                    ..PlannedOperation::default()
                });
            }
        }
        let sheet = self.sheet(pulling, changes).await?;
        for work in sheet.works().iter().filter(|work| work.is_changed()) {
            let action = match work.action() {
                Some(FeedAction::Created) => "create",
                Some(FeedAction::Updated) => "update",
                Some(FeedAction::Deleted) => "delete",
                None => continue,
            };
            planned.push(operation("hub", action, work, work.changed_paths(), None));
            if action == "create" {
                for target in &pulling.scene.targets {
                    let link = pending_link(&self.desk, &work.record, target);
                    let sibling = Work::stored(link, work.record.clone());
                    planned.push(PlannedOperation {
                        link_id: None,
                        ..operation("remote", "create", &sibling, Vec::new(), None)
                    });
                }
            }
        }
        Ok(())
    }

    /// What pushing would write.
    async fn plan_push(&self, planned: &mut Vec<PlannedOperation>) -> Result<(), Trouble> {
        let mut scenes = CollectionCache::default();
        let limit = u32::try_from(MAX_OPERATIONS).unwrap_or(u32::MAX);
        let dirty = self
            .desk
            .store
            .dirty_links(&self.organization, &self.connection.id, i64::MAX, limit)
            .await?;
        for id in dirty {
            let Some(linked) = self.desk.store.link(&self.organization, &id).await? else {
                continue;
            };
            let Some(scene) = self
                .scene_of(&linked.link, &mut scenes)
                .await?
                .filter(|scene| scene.collection.enabled)
            else {
                continue;
            };
            let work = Work::stored(linked.link, linked.record);
            let mut next = self.planned_write(&scene, &work);
            if let Some(reason) = self.why_unreadable(&scene, &work.link).await? {
                next = next.map(|planned| PlannedOperation {
                    action: "refuse",
                    reason: Some(reason),
                    ..planned
                });
            }
            planned.extend(next);
        }
        Ok(())
    }

    /// What the next write of a link would be.
    pub(crate) fn planned_write(&self, scene: &Scene, work: &Work) -> Option<PlannedOperation> {
        let (action, fields, sent) = match next_write(scene, work) {
            Step::Rest | Step::Yield | Step::Drop => return None,
            Step::Refuse(reason) => {
                return Some(operation("remote", "refuse", work, Vec::new(), Some(reason)));
            }
            Step::Write(pending) => {
                let fields = pending.changed.iter().map(ToString::to_string).collect();
                (pending.action, fields, pending.sent)
            }
        };
        let name = match action {
            IntentAction::Create => "create",
            IntentAction::Update => "update",
            IntentAction::Delete => "delete",
        };
        let people = would_mail(&scene.capability, &work.link.snapshots.remote, &sent, action);
        Some(PlannedOperation {
            collection_id: Some(work.link.collection.clone()),
            notifies: people.into_iter().collect(),
            ..operation("remote", name, work, fields, None)
        })
    }
}

pub(crate) fn operation(
    side: &'static str,
    action: &'static str,
    work: &Work,
    fields: Vec<String>,
    reason: Option<String>,
) -> PlannedOperation {
    let remote = work.link.parts.get(&model::PartKey::MASTER);
    PlannedOperation {
        side,
        action,
        record_id: Some(work.record.id.clone()),
        link_id: Some(work.link.id.clone()),
        remote_id: remote.map(|part| part.id.to_string()),
        title: title(&work.record.content.fields),
        fields,
        reason,
        ..PlannedOperation::default()
    }
}

pub(crate) fn title(fields: &model::Fields) -> Option<String> {
    fields
        .get("title")?
        .as_str()
        .map(|title| title.chars().take(120).collect())
}
