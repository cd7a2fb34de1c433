//! The causal history of a record: why each field has the value it has. Written with every change, in the same
//! transaction, and read by people only; nothing here decides anything.
//!
//! `entries` is the one place that tells what a change did, from the record before and after it. Whoever changes a
//! record asks it; `Desk::commit` then notes through what the change came, and when.

use model::{
    CollectionId, ConflictId, ConnectionId, Content, FieldPath, IntentId, JobId, LinkId, OrganizationId,
    RecordId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::engine::Desk;
use crate::ports::{Effect, StoreError};
use crate::state::{Conflict, Fence, FieldClock, Link, Origin, Record};

/// Entries that are kept per record; the oldest go first.
pub const KEPT_PER_RECORD: i64 = 500;
/// Fields that one change lists; of a longer one the last entry says how many more there were.
const LISTED_PER_CHANGE: usize = 100;
/// Longest value that is kept whole, as JSON, in bytes.
const WHOLE_VALUE: usize = 1_024;
/// Of a longer one so many characters are kept.
const SHOWN_OF_LONG: usize = 200;

/// One thing that happened to a record, or to one of its fields.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// Whose it is.
    pub organization: OrganizationId,
    /// The record.
    pub record: RecordId,
    /// The record's version after it.
    pub version: i64,
    /// What happened.
    pub action: HistoryAction,
    /// The field as the API names it (`title`, `overrides.<start>.title`); `None` for the record as a whole.
    pub path: Option<String>,
    /// How it came to that.
    pub detail: HistoryDetail,
    /// When it was committed, epoch milliseconds.
    pub at: i64,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HistoryAction {
    /// The record came into being; its fields have their first values.
    Created,
    /// The field has another value.
    Updated,
    /// The record was deleted.
    Deleted,
    /// The record lives again: someone edited what another had deleted.
    Revived,
    /// An edit or a delete lost, and the value stayed; `decision` says to whom and by which rule.
    Kept,
    /// Two edits wait for a person; the value stayed meanwhile.
    Held,
    /// Someone decided a conflict about the field.
    Resolved,
    /// An object at a provider is tied to the record from now on.
    Joined,
    /// An object at a provider is not tied to the record any more.
    Left,
}

impl HistoryAction {
    /// The name in the store and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Revived => "revived",
            Self::Kept => "kept",
            Self::Held => "held",
            Self::Resolved => "resolved",
            Self::Joined => "joined",
            Self::Left => "left",
        }
    }
}

/// How it came to an entry: the stored document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryDetail {
    /// The value before; absent where there was none. A long one is cut, see [`cut`].
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub before: Option<Value>,
    /// The value after.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub after: Option<Value>,
    /// Fields that changed besides and are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// Who did it.
    pub origin: Origin,
    /// Where: the collection whose object or account it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Through what it came.
    #[serde(default)]
    pub cause: Cause,
    /// What decided, where two edits could not both stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Which version made the value that was replaced, and who did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<FieldClock>,
    /// The record that this one was taken out of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_from: Option<RecordId>,
}

impl HistoryDetail {
    /// Someone's doing of which nothing else is known yet.
    #[must_use]
    pub fn by(origin: Origin) -> Self {
        Self {
            before: None,
            after: None,
            more: 0,
            origin,
            place: None,
            cause: Cause::default(),
            decision: None,
            replaced: None,
            taken_from: None,
        }
    }
}

/// A link's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The link.
    pub link: LinkId,
    /// Its connection.
    pub connection: ConnectionId,
    /// Its collection.
    pub collection: CollectionId,
}

impl Place {
    /// The place of a link.
    #[must_use]
    pub fn of(link: &Link) -> Self {
        Self {
            link: link.id.clone(),
            connection: link.connection.clone(),
            collection: link.collection.clone(),
        }
    }
}

/// Through what a change came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
    /// The client's request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The API key of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The write of ours whose outcome it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<IntentId>,
}

/// The way that a change came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// A client's request.
    Request,
    /// What a sync read at a provider.
    Pull,
    /// What a provider answered when it was written to.
    Answer,
    /// What was found when a provider was asked what had become of a write.
    Probe,
    /// Other background work.
    Job,
}

impl Cause {
    /// A client's request.
    #[must_use]
    pub fn request(request: Option<String>, key: String) -> Self {
        Self {
            via: Some(Via::Request),
            request,
            key: Some(key),
            ..Self::default()
        }
    }

    /// A job.
    #[must_use]
    pub fn job(job: JobId) -> Self {
        Self {
            via: Some(Via::Job),
            job: Some(job),
            ..Self::default()
        }
    }

    /// What is known of a cause nearer to the change, and the rest from this one.
    fn completed(&self, nearer: Self) -> Self {
        Self {
            via: nearer.via.or(self.via),
            request: nearer.request.or_else(|| self.request.clone()),
            key: nearer.key.or_else(|| self.key.clone()),
            job: nearer.job.or_else(|| self.job.clone()),
            intent: nearer.intent.or_else(|| self.intent.clone()),
        }
    }
}

/// What decided between two edits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The conflict in the log.
    pub conflict: ConflictId,
    /// The rule.
    pub rule: conflict::Rule,
    /// Who was given right; `None` while a person is asked.
    pub winner: Option<conflict::Side>,
    /// The value that does not stand; while a person is asked, the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub lost: Option<Value>,
}

impl Decision {
    fn of(conflict: &Conflict) -> Self {
        let lost = match conflict.winner {
            Some(conflict::Side::Remote) => &conflict.hub,
            Some(conflict::Side::Hub) | None => &conflict.remote,
        };
        Self {
            conflict: conflict.id.clone(),
            rule: conflict.rule,
            winner: conflict.winner,
            lost: lost.as_ref().map(cut),
        }
    }
}

/// A stored `null` (cleared for one occurrence) is a value.
fn said<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A value as history keeps it: whole, or, when it is long, `{"$truncated": "its beginning", "size_bytes": 12345}`.
#[must_use]
pub fn cut(value: &Value) -> Value {
    let text = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => return value.clone(),
        Value::String(text) if text.len() <= WHOLE_VALUE => return value.clone(),
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    if text.len() <= WHOLE_VALUE {
        return value.clone();
    }
    let beginning: String = text.chars().take(SHOWN_OF_LONG).collect();
    json!({"$truncated": beginning, "size_bytes": text.len()})
}

/// A change of a record, and of the link it came through.
pub(crate) struct Change<'a> {
    /// The record as it was; `None` when it is new.
    pub(crate) before: Option<&'a Record>,
    pub(crate) after: &'a Record,
    pub(crate) link: Option<LinkChange<'a>>,
    /// Clashes that the change brought to light.
    pub(crate) conflicts: &'a [Conflict],
    pub(crate) origin: &'a Origin,
}

/// What became of a link.
pub(crate) struct LinkChange<'a> {
    pub(crate) link: &'a Link,
    /// Its own fields as they were.
    pub(crate) local: &'a Content,
    /// Whether it got its object.
    pub(crate) joined: bool,
    /// Whether it is no more.
    pub(crate) left: bool,
}

/// The entries of a change. Their cause and moment are filled in by [`Desk::commit`].
pub(crate) fn entries(change: &Change<'_>) -> Vec<Effect> {
    let mut told = Told {
        change,
        decided: Vec::new(),
        entries: Vec::new(),
    };
    match change.before {
        None => told.whole(HistoryAction::Created, None),
        Some(before) => {
            told.life(before);
            told.shared(before);
            told.local();
            told.clashes();
            told.objects();
        }
    }
    told.entries
        .into_iter()
        .map(|entry| Effect::History(Box::new(entry)))
        .collect()
}

/// A record that came out of another one: on both.
pub(crate) fn taken_out(from: &Record, record: &Record, origin: &Origin) -> Vec<Effect> {
    let change = |after| Change {
        before: None,
        after,
        link: None,
        conflicts: &[],
        origin,
    };
    let mut entries = entries(&change(record));
    for effect in &mut entries {
        if let Effect::History(entry) = effect {
            entry.detail.taken_from = Some(from.id.clone());
        }
    }
    entries
}

/// That a link is no longer a record's, where no other change says so.
pub(crate) fn left(record: &Record, link: &Link, origin: &Origin) -> Vec<Effect> {
    entries(&Change {
        before: Some(record),
        after: record,
        link: Some(LinkChange {
            link,
            local: &link.local,
            joined: false,
            left: true,
        }),
        conflicts: &[],
        origin,
    })
}

/// The decision of a person: said of the field even where its value stays.
pub(crate) fn resolved(
    effects: &mut Vec<Effect>,
    conflict: &Conflict,
    (record, value): (&Record, Option<&Value>),
    origin: &Origin,
) {
    let path = conflict.path.as_ref().map(ToString::to_string);
    let decision = Some(Decision {
        // Which of the two lost is for this entry to say.
        lost: None,
        ..Decision::of(conflict)
    });
    for effect in effects.iter_mut() {
        if let Effect::History(entry) = effect
            && entry.path == path
        {
            entry.action = HistoryAction::Resolved;
            entry.detail.decision = decision;
            return;
        }
    }
    let stays = conflict.path.as_ref().and_then(|path| record.content.get(path));
    let mut entry = blank(record, HistoryAction::Resolved, path, origin);
    entry.detail.before = stays.map(cut);
    entry.detail.after = value.map(cut);
    entry.detail.decision = decision;
    effects.push(Effect::History(Box::new(entry)));
}

fn blank(record: &Record, action: HistoryAction, path: Option<String>, origin: &Origin) -> HistoryEntry {
    HistoryEntry {
        organization: record.organization.clone(),
        record: record.id.clone(),
        version: record.version,
        action,
        path,
        detail: HistoryDetail::by(origin.clone()),
        at: 0,
    }
}

/// A change while it is being told.
struct Told<'a> {
    change: &'a Change<'a>,
    /// Conflicts that an entry names already.
    decided: Vec<&'a ConflictId>,
    entries: Vec<HistoryEntry>,
}

impl<'a> Told<'a> {
    fn push(&mut self, action: HistoryAction, path: Option<String>) -> &mut HistoryDetail {
        let mut entry = blank(self.change.after, action, path, self.change.origin);
        entry.detail.place = self.change.link.as_ref().map(|change| Place::of(change.link));
        self.entries.push(entry);
        let at = self.entries.len() - 1;
        &mut self.entries[at].detail
    }

    fn whole(&mut self, action: HistoryAction, decision: Option<Decision>) {
        self.push(action, None).decision = decision;
    }

    fn decision(&mut self, path: Option<&FieldPath>) -> Option<Decision> {
        let conflicts: &'a [Conflict] = self.change.conflicts;
        let conflict = conflicts.iter().find(|conflict| conflict.path.as_ref() == path)?;
        self.decided.push(&conflict.id);
        Some(Decision::of(conflict))
    }

    /// Deleted, or alive again.
    fn life(&mut self, before: &Record) {
        match (before.deleted, self.change.after.deleted) {
            (false, true) => self.whole(HistoryAction::Deleted, None),
            (true, false) => {
                let decision = self.decision(None);
                self.whole(HistoryAction::Revived, decision);
            }
            (false, false) | (true, true) => {}
        }
    }

    /// The record's own fields.
    fn shared(&mut self, before: &Record) {
        let after = self.change.after;
        let paths = before.content.differences(&after.content);
        let more = paths.len().saturating_sub(LISTED_PER_CHANGE);
        for path in paths.into_iter().take(LISTED_PER_CHANGE) {
            let decision = self.decision(Some(&path));
            let detail = self.push(HistoryAction::Updated, Some(path.to_string()));
            detail.before = before.content.get(&path).map(cut);
            detail.after = after.content.get(&path).map(cut);
            detail.decision = decision;
            detail.replaced = detail.before.as_ref().map(|_| clock_of(before, &path));
        }
        if more > 0 {
            self.push(HistoryAction::Updated, None).more = more;
        }
    }

    /// What belongs to one account: reminders, colour, the own answer. Not the provider's bookkeeping.
    fn local(&mut self) {
        let Some(LinkChange { link, local, .. }) = &self.change.link else {
            return;
        };
        let (link, local): (&Link, &Content) = (link, local);
        let own = |path: &FieldPath| {
            let spec = link.kind.schema().field(&path.field);
            spec.is_some_and(|spec| spec.scope == model::Scope::PerLink && spec.writable)
        };
        let paths = local.differences(&link.local).into_iter().filter(own);
        for path in paths.take(LISTED_PER_CHANGE) {
            let decision = self.decision(Some(&path));
            let detail = self.push(HistoryAction::Updated, Some(path.to_string()));
            detail.before = local.get(&path).map(cut);
            detail.after = link.local.get(&path).map(cut);
            detail.decision = decision;
        }
    }

    /// Edits that lost without a trace in the record, or wait.
    fn clashes(&mut self) {
        let conflicts: &'a [Conflict] = self.change.conflicts;
        for conflict in conflicts {
            if self.decided.contains(&&conflict.id) {
                continue;
            }
            let action = match conflict.winner {
                Some(_) => HistoryAction::Kept,
                None => HistoryAction::Held,
            };
            let value = conflict
                .path
                .as_ref()
                .and_then(|path| self.change.after.content.get(path))
                .map(cut);
            let path = conflict.path.as_ref().map(ToString::to_string);
            let detail = self.push(action, path);
            detail.before = value.clone();
            detail.after = value;
            detail.decision = Some(Decision::of(conflict));
        }
    }

    /// The link's object.
    fn objects(&mut self) {
        let Some(link) = &self.change.link else { return };
        if link.left && !self.change.after.deleted {
            self.whole(HistoryAction::Left, None);
        } else if link.joined {
            self.whole(HistoryAction::Joined, None);
        }
    }
}

/// Which version made a value, and who did. A field without a clock has its first value.
fn clock_of(record: &Record, path: &FieldPath) -> FieldClock {
    let first = || {
        let uid = record.clocks.get("uid").filter(|clock| clock.version == 1);
        let origin = match (uid, &record.home) {
            (Some(clock), _) => clock.origin.clone(),
            (None, Some(home)) => Origin::Link(home.clone()),
            (None, None) => Origin::Hub,
        };
        FieldClock { version: 1, origin }
    };
    record
        .clocks
        .get(&path.to_string())
        .cloned()
        .unwrap_or_else(first)
}

/// Notes through what a change came, where the change knows better than its job does.
pub(crate) fn through(mut effects: Vec<Effect>, via: Via, intent: Option<&IntentId>) -> Vec<Effect> {
    for effect in &mut effects {
        if let Effect::History(entry) = effect {
            entry.detail.cause.via.get_or_insert(via);
            entry.detail.cause.intent = intent.cloned();
        }
    }
    effects
}

impl Desk {
    /// Commits, with cause and moment noted in what goes into the history. Every commit of the engine passes here.
    pub(crate) async fn commit(
        &self,
        organization: &OrganizationId,
        fence: Option<&Fence>,
        mut effects: Vec<Effect>,
    ) -> Result<(), StoreError> {
        let now = self.now_ms();
        for effect in &mut effects {
            if let Effect::History(entry) = effect {
                entry.at = now;
                entry.detail.cause = self.cause.completed(std::mem::take(&mut entry.detail.cause));
            }
        }
        self.store.commit(organization, fence, effects).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_and_says_how_long_it_was() {
        let short = json!({"text": "Agenda"});
        assert_eq!(cut(&short), short);
        let long = json!("ä".repeat(2_000));
        let cut_value = cut(&long);
        assert_eq!(cut_value["size_bytes"], 4_000);
        assert_eq!(cut_value["$truncated"].as_str().unwrap().chars().count(), 200);
        let object = json!({"text": "x".repeat(5_000)});
        assert!(cut(&object)["size_bytes"].as_u64().unwrap() > 5_000);
    }

    #[test]
    fn what_is_known_nearer_to_a_change_stands_and_the_rest_comes_from_its_job() {
        let job = Cause::job(JobId::new(1, 1));
        let nearer = Cause {
            via: Some(Via::Probe),
            ..Cause::default()
        };
        let whole = job.completed(nearer);
        assert_eq!((whole.via, whole.job), (Some(Via::Probe), job.job));
    }
}
