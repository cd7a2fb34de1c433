//! Edits by clients of the API: each one transaction of record, feed, touched links and the jobs that push them.

use std::collections::{BTreeMap, BTreeSet};

use connector_sdk::Access;
use model::{CollectionId, Content, FieldError, FieldPath, Fields, LinkId, OrganizationId, RecordId};
use serde_json::{Map, Value};

use crate::engine::Engine;
use crate::mirror;
use crate::patch::{check_content, check_writable, follow_start, merge_patch};
use crate::plan;
use crate::ports::{Effect, StoreError};
use crate::state::{
    Collection, DELETED, FeedAction, FeedEntry, FieldClock, Link, LinkState, Origin, Pairing, Record,
};
use crate::subject::Subject;
use crate::work::{pending_link, push_job, push_job_for};

/// How often an edit is planned anew because someone else was faster.
pub(crate) const MAX_TRIES: u32 = 8;

/// Why an edit was not made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The record was joined into another one, because both were the same thing.
    #[error("it was joined into {0}, because both were the same thing; use that id")]
    Merged(RecordId),
    /// A field is unknown, read-only, or has a value of the wrong shape.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// Someone changed the same fields since the version that the edit was based on.
    #[error("{} changed since the version the edit was based on; the current version is {current}", fields.join(", "))]
    VersionMismatch {
        /// The present version.
        current: i64,
        /// The fields that both changed.
        fields: Vec<String>,
    },
    /// The collection cannot be written.
    #[error("`{0}` is read-only for this account")]
    ReadOnly(String),
    /// The edit makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The store failed, or the record stayed contested.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far an edit of one occurrence reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EditScope {
    /// This occurrence.
    This,
    /// This one and all later ones: the series is split in two.
    Following,
    /// The whole series.
    All,
}

impl Engine {
    /// Makes a record in a collection, and in whatever mirrors that collection.
    ///
    /// # Errors
    /// Why nothing was made.
    pub async fn create(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        fields: Fields,
        origin: Origin,
    ) -> Result<Record, EditError> {
        let home = self.writable_collection(organization, collection).await?;
        let schema = home.remote.kind.schema();
        check_writable(schema, fields.keys())?;
        let mut fields = schema.canonical(fields)?;
        fields.retain(|_, value| !value.is_null());
        let content = Content::new(fields);
        check_content(home.remote.kind, &content)?;
        let record = self.new_record(&home, content, &origin);
        let (record, effects) = self
            .arrival(&home, record, &origin, &BTreeMap::new(), &BTreeSet::new())
            .await?;
        self.desk.commit(organization, None, effects).await?;
        self.arrived(&home, &record).await;
        Ok(record)
    }

    /// Changes a record by JSON Merge Patch. `if_match` is the version that the edit is based on: fields that
    /// changed since then are not overwritten.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn patch(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
        if_match: Option<i64>,
        patch: Map<String, Value>,
        origin: Origin,
    ) -> Result<Record, EditError> {
        self.change(organization, record, if_match, &origin, |subject, home| {
            let side = subject.side(home);
            let mut next = side.clone();
            next.fields = merge_patch(subject.record.kind.schema(), &side.fields, &patch)?;
            Ok(follow_start(next, &side))
        })
        .await
    }

    /// Deletes a record. Its remote objects follow.
    ///
    /// # Errors
    /// Why nothing was deleted.
    pub async fn delete(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
        if_match: Option<i64>,
        origin: Origin,
    ) -> Result<(), EditError> {
        for _ in 0..MAX_TRIES {
            let mut subject = self.subject(organization, record).await?;
            if let Some(version) = if_match.filter(|version| *version != subject.record.version) {
                let fields = subject.changed_since(version);
                return Err(EditError::VersionMismatch {
                    current: subject.record.version,
                    fields,
                });
            }
            self.check_home(organization, &subject).await?;
            subject.record.version += 1;
            subject.record.deleted = true;
            let clock = FieldClock {
                version: subject.record.version,
                origin: origin.clone(),
            };
            subject.record.clocks.insert(DELETED.to_owned(), clock);
            subject.record.updated_at = self.desk.now_ms();
            let mut effects = subject.recorded(&origin, None);
            effects.extend(self.announce(&subject, FeedAction::Deleted, Vec::new(), &origin, None));
            match self.desk.commit(organization, None, effects).await {
                Err(StoreError::Stale(_)) => {}
                outcome => return Ok(outcome?),
            }
        }
        Err(contested(record))
    }

    /// Reads, changes and commits a record's content, again when someone else was faster.
    pub(crate) async fn change(
        &self,
        organization: &OrganizationId,
        id: &RecordId,
        if_match: Option<i64>,
        origin: &Origin,
        edit: impl Fn(&Subject, Option<&Link>) -> Result<Content, EditError> + Send + Sync,
    ) -> Result<Record, EditError> {
        for _ in 0..MAX_TRIES {
            let mut subject = self.subject(organization, id).await?;
            self.check_home(organization, &subject).await?;
            let home = subject.home().cloned();
            let before = subject.side(home.as_ref());
            let next = edit(&subject, home.as_ref())?;
            check_content(subject.record.kind, &next)?;
            subject.check_base(if_match, &before.differences(&next))?;
            let effects = self.edited(&mut subject, next, origin);
            match self.desk.commit(organization, None, effects).await {
                Err(StoreError::Stale(_)) => {}
                outcome => {
                    outcome?;
                    return Ok(subject.record);
                }
            }
        }
        Err(contested(id))
    }

    /// The effects of a record's new content: its fields, those of its home link, and whoever has to hear of it.
    pub(crate) fn edited(&self, subject: &mut Subject, next: Content, origin: &Origin) -> Vec<Effect> {
        let home = subject.home().cloned();
        let nothing = Content::default();
        let earlier = home.as_ref().map_or(&nothing, |link| &link.local);
        let (shared, local) = plan::split(subject.record.kind, next, earlier);
        let paths = subject.set_content(shared, origin, self.desk.now_ms());
        let mut effects = Vec::new();
        let touched = home.filter(|link| link.local != local).map(|mut link| {
            link.local = local;
            link.dirty = true;
            link.state = LinkState::Pending;
            link.revision += 1;
            link
        });
        effects.extend(subject.recorded(origin, touched.as_ref()));
        if let Some(link) = &touched {
            effects.push(push_job(&self.desk, link));
            effects.push(Effect::UpdateLink(Box::new(link.clone())));
        }
        if !paths.is_empty() {
            let except = touched.as_ref().map(|link| &link.id);
            effects.extend(self.announce(subject, FeedAction::Updated, paths, origin, except));
        }
        effects
    }

    /// The effects that tell everyone of a change: touched links, feed, jobs.
    pub(crate) fn announce(
        &self,
        subject: &Subject,
        action: FeedAction,
        paths: Vec<FieldPath>,
        origin: &Origin,
        except: Option<&LinkId>,
    ) -> Vec<Effect> {
        let mut effects = vec![
            Effect::Touch {
                record: subject.record.id.clone(),
                except: except.cloned(),
            },
            Effect::Feed(FeedEntry {
                action,
                subject: subject.record.id.to_string(),
                kind: subject.record.kind.name().to_owned(),
                version: subject.record.version,
                changed: paths.iter().map(ToString::to_string).collect(),
                origin: origin.clone(),
                at: subject.record.updated_at,
            }),
        ];
        let connections: BTreeSet<_> = subject.links.iter().map(|link| &link.connection).collect();
        effects.extend(
            connections
                .into_iter()
                .map(|connection| push_job_for(&self.desk, &subject.record.organization, connection)),
        );
        effects
    }

    /// A record that is not yet stored, with a UID of its own.
    pub(crate) fn new_record(&self, home: &Collection, mut content: Content, origin: &Origin) -> Record {
        let id = self.desk.record_id();
        let now = self.desk.now_ms();
        let schema = home.remote.kind.schema();
        for (field, value) in [
            ("uid", Value::from(format!("{id}@concord"))),
            ("status", Value::from("confirmed")),
            ("busy", Value::from(true)),
        ] {
            if schema.field(field).is_some() {
                content.fields.entry(field.to_owned()).or_insert(value);
            }
        }
        let clock = FieldClock {
            version: 1,
            origin: origin.clone(),
        };
        Record {
            id,
            organization: home.organization.clone(),
            kind: home.remote.kind,
            version: 1,
            clocks: BTreeMap::from([("uid".to_owned(), clock)]),
            content,
            home: None,
            deleted: false,
            merged_into: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// The effects of a new record with a link to its collection and to those that mirror it. `own` is what the
    /// accounts of the other collections say of it; it is kept out of those that are `apart`.
    pub(crate) async fn arrival(
        &self,
        home: &Collection,
        mut record: Record,
        origin: &Origin,
        own: &BTreeMap<CollectionId, Content>,
        apart: &BTreeSet<CollectionId>,
    ) -> Result<(Record, Vec<Effect>), EditError> {
        let mirrors = self.desk.store.mirrors_of(&home.organization, &home.id).await?;
        let mut collections = vec![home.clone()];
        let targets = mirror::targets(&self.desk, home, &mirrors, None).await?;
        collections.extend(targets.into_iter().filter(|target| !apart.contains(&target.id)));
        let (shared, local) = plan::split(
            record.kind,
            std::mem::take(&mut record.content),
            &Content::default(),
        );
        record.content = shared;
        let mut links: Vec<Link> = collections
            .iter()
            .map(|target| Link {
                local: own.get(&target.id).cloned().unwrap_or_default(),
                ..pending_link(&self.desk, &record, target)
            })
            .collect();
        if let Some(link) = links.first_mut() {
            link.local = local;
            record.home = Some(link.id.clone());
        }
        let subject = Subject::fresh(record.clone(), links.clone());
        let mut effects = subject.recorded(origin, None);
        effects.extend(links.into_iter().map(|link| Effect::CreateLink(Box::new(link))));
        effects.extend(apart.iter().map(|collection| Effect::Pair {
            record: record.id.clone(),
            collection: collection.clone(),
            pairing: Some(Pairing::Apart),
        }));
        effects.extend(self.announce(&subject, FeedAction::Created, Vec::new(), origin, None));
        Ok((record, effects))
    }

    /// A new record is stored. What goes wrong from here on must not make its client send it again.
    pub(crate) async fn arrived(&self, home: &Collection, record: &Record) {
        if let Err(error) = self.catch_up(home, &record.id).await {
            tracing::warn!(record = %record.id, %error, "nobody looked whether a mirror was made meanwhile");
        }
    }

    /// The record that stands for this one: itself, or the one that it was joined into.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn standing(
        &self,
        organization: &OrganizationId,
        id: &RecordId,
    ) -> Result<RecordId, StoreError> {
        let mut id = id.clone();
        while let Some(into) = self
            .desk
            .store
            .record(organization, &id)
            .await?
            .and_then(|record| record.merged_into)
        {
            id = into;
        }
        Ok(id)
    }

    pub(crate) async fn subject(
        &self,
        organization: &OrganizationId,
        id: &RecordId,
    ) -> Result<Subject, EditError> {
        let record = self.desk.store.record(organization, id).await?;
        let record = record.ok_or(EditError::NotFound("record"))?;
        if record.merged_into.is_some() {
            return Err(EditError::Merged(self.standing(organization, id).await?));
        }
        if record.deleted {
            return Err(EditError::NotFound("record"));
        }
        let links = self.desk.store.links_of(organization, id).await?;
        Ok(Subject::stored(record, links))
    }

    async fn writable_collection(
        &self,
        organization: &OrganizationId,
        id: &CollectionId,
    ) -> Result<Collection, EditError> {
        let collection = self
            .desk
            .store
            .collection(organization, id)
            .await?
            .ok_or(EditError::NotFound("collection"))?;
        match collection.remote.access {
            Access::ReadWrite => Ok(collection),
            Access::ReadOnly => Err(EditError::ReadOnly(collection.remote.name)),
        }
    }

    /// Refuses edits of records whose own collection is read-only: they could never arrive.
    pub(crate) async fn check_home(
        &self,
        organization: &OrganizationId,
        subject: &Subject,
    ) -> Result<Option<Collection>, EditError> {
        match subject.home() {
            Some(link) => self
                .writable_collection(organization, &link.collection)
                .await
                .map(Some),
            None => Ok(None),
        }
    }
}

pub(crate) fn contested(record: &RecordId) -> EditError {
    EditError::Store(StoreError::Stale(record.to_string()))
}
