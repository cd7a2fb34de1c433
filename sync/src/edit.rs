//! Edits by clients of the API: each one transaction of record, feed, touched links and the jobs that push them.

use std::collections::{BTreeMap, BTreeSet};

use connector_sdk::Access;
use model::{
    CollectionId, ConflictId, Content, FieldError, FieldPath, Fields, LinkId, OrganizationId, RecordId,
    Scope, series,
};
use serde_json::{Map, Value};

use crate::engine::Engine;
use crate::plan;
use crate::ports::{Effect, StoreError};
use crate::state::{
    Collection, Conflict, FeedAction, FeedEntry, FieldClock, Link, LinkState, Mirror, NewJob, Origin, Record,
};
use crate::work::{pending_link, push_job, push_job_for};
use crate::{mirror, state};

/// How often an edit is planned anew because someone else was faster.
const MAX_TRIES: u32 = 8;

/// Why an edit was not made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
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

/// Which value shall stand.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// The hub's.
    Hub,
    /// The provider's.
    Remote,
    /// Another one.
    Value(Value),
}

/// A record with its links, read to be edited.
pub(crate) struct Subject {
    pub(crate) record: Record,
    pub(crate) links: Vec<Link>,
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
        check_event(&content)?;
        let record = self.new_record(&home, content, &origin);
        self.store_new(&home, record, &origin, Vec::new()).await
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
            subject.record.updated_at = self.desk.now_ms();
            let mut effects = vec![Effect::UpdateRecord(Box::new(subject.record.clone()))];
            effects.extend(self.announce(&subject, FeedAction::Deleted, Vec::new(), &origin, None));
            match self.desk.store.commit(organization, None, effects).await {
                Err(StoreError::Stale(_)) => {}
                outcome => return Ok(outcome?),
            }
        }
        Err(contested(record))
    }

    /// Tries a rejected link again.
    ///
    /// # Errors
    /// Why not.
    pub async fn retry_link(&self, organization: &OrganizationId, link: &LinkId) -> Result<Link, EditError> {
        let linked = self
            .desk
            .store
            .link(organization, link)
            .await?
            .ok_or(EditError::NotFound("link"))?;
        let mut link = linked.link;
        link.state = LinkState::Pending;
        link.dirty = true;
        link.attempts = 0;
        link.not_before = 0;
        link.revision += 1;
        let effects = vec![
            Effect::UpdateLink(Box::new(link.clone())),
            push_job(&self.desk, &link),
        ];
        self.desk.store.commit(organization, None, effects).await?;
        Ok(link)
    }

    /// Gives up what a provider refused: the hub takes the provider's values again. A link whose object was never
    /// made is removed.
    ///
    /// # Errors
    /// Why not.
    pub async fn revert_link(&self, organization: &OrganizationId, id: &LinkId) -> Result<Link, EditError> {
        let linked = self
            .desk
            .store
            .link(organization, id)
            .await?
            .ok_or(EditError::NotFound("link"))?;
        let (mut link, record) = (linked.link, linked.record);
        let origin = Origin::Link(link.id.clone());
        if link.parts.is_empty() {
            let effect = Effect::DropLink {
                link: link.id.clone(),
                revision: link.revision,
            };
            self.desk.store.commit(organization, None, vec![effect]).await?;
            link.state = LinkState::Synced;
            return Ok(link);
        }
        let hub = plan::hub_side(&record, &link);
        let mut side = hub.clone();
        for path in hub.differences(&link.snapshots.hub) {
            side.set(&path, link.snapshots.hub.get(&path).cloned());
        }
        let (shared, local) = plan::split(record.kind, side);
        let mut subject = Subject {
            record,
            links: vec![link.clone()],
        };
        let paths = subject.set_content(shared, &origin, self.desk.now_ms());
        link.local = local;
        link.held = BTreeSet::new();
        link.state = LinkState::Synced;
        link.dirty = false;
        link.attempts = 0;
        link.revision += 1;
        let mut effects = vec![Effect::UpdateLink(Box::new(link.clone()))];
        if !paths.is_empty() || subject.record.deleted {
            subject.record.deleted = false;
            if paths.is_empty() {
                subject.record.version += 1;
            }
            effects.push(Effect::UpdateRecord(Box::new(subject.record.clone())));
            effects.extend(self.announce(&subject, FeedAction::Updated, paths, &origin, Some(&link.id)));
        }
        self.desk.store.commit(organization, None, effects).await?;
        Ok(link)
    }

    /// Decides a conflict, or decides it anew: the chosen value stands on both sides. For a record that was
    /// deleted on one side and edited on the other, `Remote` and `Hub` say whose will be done.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn resolve(
        &self,
        organization: &OrganizationId,
        id: &ConflictId,
        resolution: Resolution,
        _by: Origin,
    ) -> Result<Record, EditError> {
        let conflict = self
            .desk
            .store
            .conflict(organization, id)
            .await?
            .ok_or(EditError::NotFound("conflict"))?;
        let path = conflict.path.clone().ok_or_else(|| {
            EditError::Invalid("the record lives because it was edited; delete it to undo that".to_owned())
        })?;
        let origin = Origin::Conflict(id.clone());
        let value = match resolution {
            Resolution::Hub => conflict.hub.clone(),
            Resolution::Remote => conflict.remote.clone(),
            Resolution::Value(value) => Some(value),
        };
        for _ in 0..MAX_TRIES {
            let mut subject = self.subject(organization, &conflict.record).await?;
            let now = self.desk.now_ms();
            let mut effects = vec![Effect::ResolveConflict {
                conflict: id.clone(),
                at: now,
            }];
            let paths = subject.put_value(&conflict, &path, value.clone(), &origin, now)?;
            if let Some(mut link) = subject
                .links
                .iter()
                .find(|link| link.id == conflict.link)
                .cloned()
            {
                // The value at the provider stands for itself: what the hub says differently is sent.
                link.held.remove(&path);
                let remote = link.snapshots.remote.get(&path).cloned();
                link.snapshots.hub.set(&path, remote);
                link.local = subject.local(&link.id);
                link.dirty = true;
                link.state = LinkState::Pending;
                link.revision += 1;
                effects.push(Effect::UpdateLink(Box::new(link)));
            }
            if !paths.is_empty() {
                effects.push(Effect::UpdateRecord(Box::new(subject.record.clone())));
            }
            effects.extend(self.announce(
                &subject,
                FeedAction::Updated,
                paths,
                &origin,
                Some(&conflict.link),
            ));
            match self.desk.store.commit(organization, None, effects).await {
                Err(StoreError::Stale(_)) => {}
                outcome => {
                    outcome?;
                    return Ok(subject.record);
                }
            }
        }
        Err(contested(&conflict.record))
    }

    /// Stores a mirror and begins to link the records of its members.
    ///
    /// # Errors
    /// `Invalid` when members are missing, cannot be written, or rules of connected mirrors contradict.
    pub async fn put_mirror(&self, mirror: Mirror) -> Result<Mirror, EditError> {
        self.check_mirror(&mirror).await?;
        let job = NewJob {
            id: model::JobId::new(self.desk.epoch_ms(), self.desk.random()),
            organization: mirror.organization.clone(),
            task: state::JobTask::Mirror {
                mirror: mirror.id.clone(),
            },
            run_at: self.desk.now_ms(),
        };
        let effects = vec![
            Effect::PutMirror(Box::new(mirror.clone())),
            Effect::Enqueue(Box::new(job)),
        ];
        self.desk
            .store
            .commit(&mirror.organization, None, effects)
            .await?;
        Ok(mirror)
    }

    /// Removes a mirror. Its copies stay where they are, and no longer hear of each other.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_mirror(
        &self,
        organization: &OrganizationId,
        id: &model::MirrorId,
    ) -> Result<(), EditError> {
        self.desk
            .store
            .mirror(organization, id)
            .await?
            .ok_or(EditError::NotFound("mirror"))?;
        Ok(self
            .desk
            .store
            .commit(organization, None, vec![Effect::DropMirror(id.clone())])
            .await?)
    }

    async fn check_mirror(&self, mirror: &Mirror) -> Result<(), EditError> {
        let invalid = |text: String| Err(EditError::Invalid(text));
        if !mirror.members.iter().any(|member| member.role.gives())
            || !mirror.members.iter().any(|member| member.role.takes())
            || mirror.members.len() < 2
        {
            return invalid("a mirror needs one member that gives and another that takes".to_owned());
        }
        let mut seen = BTreeSet::new();
        for member in &mirror.members {
            if !seen.insert(&member.collection_id) {
                return invalid(format!("{} is named twice", member.collection_id));
            }
            let collection = self
                .desk
                .store
                .collection(&mirror.organization, &member.collection_id)
                .await?
                .ok_or(EditError::NotFound("collection"))?;
            if collection.remote.kind != mirror.kind {
                return invalid(format!(
                    "`{}` holds records of another kind",
                    collection.remote.name
                ));
            }
            if member.role.takes() && collection.remote.access == Access::ReadOnly {
                return Err(EditError::ReadOnly(collection.remote.name));
            }
            for other in self
                .desk
                .store
                .mirrors_of(&mirror.organization, &collection.id)
                .await?
            {
                if other.id != mirror.id
                    && (other.policy != mirror.policy || other.field_owners != mirror.field_owners)
                {
                    return invalid(format!(
                        "`{}` already mirrors `{}` by other rules; two rules for one set contradict each other",
                        other.name, collection.remote.name
                    ));
                }
            }
        }
        Ok(())
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
            check_event(&next)?;
            subject.check_base(if_match, &before.differences(&next))?;
            let (shared, local) = plan::split(subject.record.kind, next);
            let now = self.desk.now_ms();
            let paths = subject.set_content(shared, origin, now);
            let mut effects = Vec::new();
            if let Some(mut link) = home.filter(|link| link.local != local) {
                link.local = local;
                link.dirty = true;
                link.state = LinkState::Pending;
                link.revision += 1;
                effects.push(push_job(&self.desk, &link));
                effects.push(Effect::UpdateLink(Box::new(link)));
            }
            if !paths.is_empty() {
                effects.push(Effect::UpdateRecord(Box::new(subject.record.clone())));
                let touched = effects.iter().find_map(|effect| match effect {
                    Effect::UpdateLink(link) => Some(link.id.clone()),
                    _ => None,
                });
                effects.extend(self.announce(&subject, FeedAction::Updated, paths, origin, touched.as_ref()));
            }
            match self.desk.store.commit(organization, None, effects).await {
                Err(StoreError::Stale(_)) => {}
                outcome => {
                    outcome?;
                    return Ok(subject.record);
                }
            }
        }
        Err(contested(id))
    }

    /// The effects that tell everyone of a change: touched links, feed, jobs.
    fn announce(
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

    /// A record that is not yet stored, with an iCalendar UID of its own.
    pub(crate) fn new_record(&self, home: &Collection, mut content: Content, origin: &Origin) -> Record {
        let id = self.desk.record_id();
        let now = self.desk.now_ms();
        content
            .fields
            .entry("uid".to_owned())
            .or_insert_with(|| Value::from(format!("{id}@concord")));
        for (field, value) in [("status", Value::from("confirmed")), ("busy", Value::from(true))] {
            content.fields.entry(field.to_owned()).or_insert(value);
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
            created_at: now,
            updated_at: now,
        }
    }

    /// Stores a new record with a link to its collection and to those that mirror it.
    pub(crate) async fn store_new(
        &self,
        home: &Collection,
        mut record: Record,
        origin: &Origin,
        mut effects: Vec<Effect>,
    ) -> Result<Record, EditError> {
        let mirrors = self.desk.store.mirrors_of(&home.organization, &home.id).await?;
        let mut collections = vec![home.clone()];
        collections.extend(mirror::targets(&self.desk, home, &mirrors).await?);
        let (shared, local) = plan::split(record.kind, std::mem::take(&mut record.content));
        record.content = shared;
        let mut links: Vec<Link> = collections
            .iter()
            .map(|target| pending_link(&self.desk, &record, target))
            .collect();
        if let Some(link) = links.first_mut() {
            link.local = local;
            record.home = Some(link.id.clone());
        }
        effects.push(Effect::CreateRecord(Box::new(record.clone())));
        let subject = Subject {
            record: record.clone(),
            links: links.clone(),
        };
        effects.extend(links.into_iter().map(|link| Effect::CreateLink(Box::new(link))));
        effects.extend(self.announce(&subject, FeedAction::Created, Vec::new(), origin, None));
        self.desk.store.commit(&home.organization, None, effects).await?;
        Ok(record)
    }

    pub(crate) async fn subject(
        &self,
        organization: &OrganizationId,
        id: &RecordId,
    ) -> Result<Subject, EditError> {
        let record = self
            .desk
            .store
            .record(organization, id)
            .await?
            .filter(|record| !record.deleted)
            .ok_or(EditError::NotFound("record"))?;
        let links = self.desk.store.links_of(organization, id).await?;
        Ok(Subject { record, links })
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

impl Subject {
    /// The link that per-link fields are shown and edited of.
    pub(crate) fn home(&self) -> Option<&Link> {
        let home = self
            .links
            .iter()
            .find(|link| Some(&link.id) == self.record.home.as_ref());
        home.or_else(|| self.links.first())
    }

    /// The record's fields together with those of its home link.
    pub(crate) fn side(&self, home: Option<&Link>) -> Content {
        home.map_or_else(
            || self.record.content.clone(),
            |link| plan::hub_side(&self.record, link),
        )
    }

    fn local(&self, id: &LinkId) -> Content {
        self.links
            .iter()
            .find(|link| link.id == *id)
            .map(|link| link.local.clone())
            .unwrap_or_default()
    }

    /// Fields that changed after a version.
    fn changed_since(&self, version: i64) -> Vec<String> {
        let changed = self
            .record
            .clocks
            .iter()
            .filter(|(_, clock)| clock.version > version);
        changed.map(|(path, _)| path.clone()).collect()
    }

    /// Refuses an edit of fields that changed since the version it is based on.
    fn check_base(&self, if_match: Option<i64>, edited: &[FieldPath]) -> Result<(), EditError> {
        let Some(version) = if_match else { return Ok(()) };
        let since = self.changed_since(version);
        let fields: Vec<String> = edited
            .iter()
            .map(ToString::to_string)
            .filter(|path| since.contains(path))
            .collect();
        if fields.is_empty() && version <= self.record.version {
            return Ok(());
        }
        Err(EditError::VersionMismatch {
            current: self.record.version,
            fields,
        })
    }

    /// Sets the shared fields; version and clocks follow. The paths that changed.
    fn set_content(&mut self, shared: Content, origin: &Origin, now_ms: i64) -> Vec<FieldPath> {
        let paths = self.record.content.differences(&shared);
        if !paths.is_empty() {
            self.record.version += 1;
            self.record.updated_at = now_ms;
            self.record.content = shared;
            for path in &paths {
                let clock = FieldClock {
                    version: self.record.version,
                    origin: origin.clone(),
                };
                self.record.clocks.insert(path.to_string(), clock);
            }
        }
        paths
    }

    /// Sets the value that a conflict was resolved to.
    fn put_value(
        &mut self,
        conflict: &Conflict,
        path: &FieldPath,
        value: Option<Value>,
        origin: &Origin,
        now_ms: i64,
    ) -> Result<Vec<FieldPath>, EditError> {
        let schema = self.record.kind.schema();
        let fields = [(path.field.clone(), value.unwrap_or(Value::Null))].into();
        let value = schema.canonical(fields)?.remove(&path.field);
        let per_link = schema
            .field(&path.field)
            .is_some_and(|spec| spec.scope == Scope::PerLink);
        if per_link {
            if let Some(link) = self.links.iter_mut().find(|link| link.id == conflict.link) {
                link.local.set(path, value);
            }
            return Ok(Vec::new());
        }
        let mut content = self.record.content.clone();
        content.set(path, value);
        check_event(&content)?;
        Ok(self.set_content(content, origin, now_ms))
    }
}

/// The fields after a JSON Merge Patch (RFC 7396): objects merge by member, `null` clears.
pub(crate) fn merge_patch(
    schema: &model::Schema,
    fields: &Fields,
    patch: &Map<String, Value>,
) -> Result<Fields, EditError> {
    check_writable(schema, patch.keys())?;
    let mut merged = Fields::new();
    for (name, change) in patch {
        let mut value = fields.get(name).cloned().unwrap_or(Value::Null);
        apply_patch(&mut value, change);
        merged.insert(name.clone(), value);
    }
    let mut next = fields.clone();
    next.extend(schema.canonical(merged)?);
    next.retain(|_, value| !value.is_null());
    Ok(next)
}

fn apply_patch(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    // A time of another kind is another object, not a change of the old one's members.
    let other_kind = changes
        .get("kind")
        .is_some_and(|kind| target.get("kind") != Some(kind));
    if !target.is_object() || other_kind {
        *target = Value::Object(Map::new());
    }
    let Some(members) = target.as_object_mut() else {
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            apply_patch(members.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

fn check_writable<'a>(
    schema: &model::Schema,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), EditError> {
    for name in names {
        if schema.field(name).is_some_and(|spec| !spec.writable) {
            let problem = "is set by the provider or the hub and cannot be written".to_owned();
            return Err(FieldError {
                field: name.clone(),
                problem,
            }
            .into());
        }
    }
    Ok(())
}

/// Moves override keys along when the start of a series moved.
pub(crate) fn follow_start(mut next: Content, before: &Content) -> Content {
    let start = |content: &Content| series::time_field(&content.fields, "start");
    if let (Some(old), Some(new)) = (start(before), start(&next))
        && old != new
    {
        next.overrides = series::rekeyed(std::mem::take(&mut next.overrides), &old, &new);
    }
    next
}

/// What an event must hold to be stored: a start, an end that is not before it, a rule that can be read.
pub(crate) fn check_event(content: &Content) -> Result<(), EditError> {
    let refuse = |field: &str, problem: String| {
        Err(FieldError {
            field: field.to_owned(),
            problem,
        }
        .into())
    };
    let Some(start) = series::time_field(&content.fields, "start") else {
        return refuse("start", "an event needs a start".to_owned());
    };
    if let Some(end) = series::time_field(&content.fields, "end") {
        if std::mem::discriminant(&start) != std::mem::discriminant(&end) {
            return refuse("end", "must be of the same kind as the start".to_owned());
        }
        if start.until(&end).is_negative() {
            return refuse("end", "is before the start".to_owned());
        }
    }
    if model::expand::is_series(content) {
        let from = start.instant(&jiff::tz::TimeZone::UTC);
        let to = from
            .saturating_add(jiff::SignedDuration::from_hours(24))
            .unwrap_or(from);
        if let Err(error) = model::expand::occurrences(content, from, to, &jiff::tz::TimeZone::UTC) {
            return refuse("recurrence", error.to_string());
        }
    }
    Ok(())
}

fn contested(record: &RecordId) -> EditError {
    EditError::Store(StoreError::Stale(record.to_string()))
}
