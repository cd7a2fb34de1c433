//! Edits of one occurrence of a series: this one, this and the following, or all.

mod cut;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use model::{
    CollectionId, Content, EventTime, FieldError, Fields, OrganizationId, PartKey, RecordId, series,
};
use serde_json::{Map, Value, json};

use self::cut::{tail, truncated};
use crate::edit::{EditError, EditScope, MAX_TRIES, contested};
use crate::engine::Engine;
use crate::patch::{check_content, follow_start, merge_patch};
use crate::plan;
use crate::ports::StoreError;
use crate::state::{Origin, Pairing, Record};
use crate::subject::Subject;

/// Fields that an edit of a whole series through one of its occurrences shifts instead of sets.
const TIMES: [&str; 2] = ["start", "end"];

impl Engine {
    /// Changes one occurrence, the series from it on, or the whole series. `Following` gives the shortened series
    /// and the new one that carries on; the others give the one record.
    ///
    /// # Errors
    /// Why nothing was changed.
    #[expect(clippy::too_many_arguments, reason = "each is a word of the client's request")]
    pub async fn patch_occurrence(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
        key: &PartKey,
        scope: EditScope,
        if_match: Option<i64>,
        patch: Map<String, Value>,
        origin: Origin,
    ) -> Result<Vec<Record>, EditError> {
        let scope = self.effective(organization, record, key, scope).await?;
        match scope {
            EditScope::This => {
                let changed = self.change(organization, record, if_match, &origin, |subject, home| {
                    let side = subject.side(home);
                    let full = occurrence(&side, key)?;
                    let schema = subject.record.kind.schema();
                    master_only(schema, &patch)?;
                    let next = merge_patch(schema, &full, &patch)?;
                    if series::is_cancelled(&full)
                        && series::is_cancelled(&next)
                        && !series::is_cancelled(&side.fields)
                    {
                        let text =
                            "the occurrence is deleted; status=confirmed in the same edit brings it back";
                        return Err(EditError::Invalid(text.to_owned()));
                    }
                    Ok(with_override(side, subject.record.kind, key, &next))
                });
                Ok(vec![changed.await?])
            }
            EditScope::All => {
                let changed = self.change(organization, record, if_match, &origin, |subject, home| {
                    let side = subject.side(home);
                    let occurrence = occurrence(&side, key)?;
                    let mut next = side.clone();
                    let patched = merge_patch(subject.record.kind.schema(), &occurrence, &patch)?;
                    let shifted = shift_master(&side.fields, &occurrence, &patched, &patch);
                    let rest: Map<String, Value> = patch
                        .iter()
                        .filter(|(name, _)| !TIMES.contains(&name.as_str()))
                        .map(|(name, value)| (name.clone(), value.clone()))
                        .collect();
                    next.fields = merge_patch(subject.record.kind.schema(), &side.fields, &rest)?;
                    next.fields.extend(shifted);
                    Ok(follow_start(next, &side))
                });
                Ok(vec![changed.await?])
            }
            EditScope::Following => {
                self.split(organization, record, key, if_match, &patch, &origin)
                    .await
            }
        }
    }

    /// Deletes one occurrence, the series from it on, or the whole series (then nothing is given back).
    ///
    /// # Errors
    /// Why nothing was deleted.
    pub async fn delete_occurrence(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
        key: &PartKey,
        scope: EditScope,
        if_match: Option<i64>,
        origin: Origin,
    ) -> Result<Vec<Record>, EditError> {
        match self.effective(organization, record, key, scope).await? {
            EditScope::All => {
                self.delete(organization, record, if_match, origin).await?;
                Ok(Vec::new())
            }
            EditScope::This => {
                let changed = self.change(organization, record, if_match, &origin, |subject, home| {
                    let mut side = subject.side(home);
                    occurrence(&side, key)?;
                    side.overrides.insert(key.clone(), series::cancelled());
                    Ok(side)
                });
                Ok(vec![changed.await?])
            }
            EditScope::Following => {
                let changed = self.change(organization, record, if_match, &origin, |subject, home| {
                    truncated(&subject.side(home), key)
                });
                Ok(vec![changed.await?])
            }
        }
    }

    /// "This and following" from the first occurrence on is the whole series.
    async fn effective(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
        key: &PartKey,
        scope: EditScope,
    ) -> Result<EditScope, EditError> {
        let subject = self.subject(organization, record).await?;
        if !model::expand::is_series(&subject.record.content) {
            return Err(EditError::Invalid(
                "the event is not a series; edit the event itself".to_owned(),
            ));
        }
        let first = series::time_field(&subject.record.content.fields, "start");
        let at_first = first.is_some_and(|start| start.part_key(&start) == *key);
        Ok(if scope == EditScope::Following && at_first {
            EditScope::All
        } else {
            scope
        })
    }

    /// The collections that somebody has kept a record out of.
    async fn apart(
        &self,
        organization: &OrganizationId,
        id: &RecordId,
    ) -> Result<BTreeSet<CollectionId>, StoreError> {
        let decided = self.desk.store.pairings_of(organization, id).await?;
        let apart = decided
            .into_iter()
            .filter(|(_, pairing)| *pairing == Pairing::Apart);
        Ok(apart.map(|(collection, _)| collection).collect())
    }

    /// Splits a series: the old one ends before the occurrence, a new one carries on from it. Both in one transaction.
    async fn split(
        &self,
        organization: &OrganizationId,
        id: &RecordId,
        key: &PartKey,
        if_match: Option<i64>,
        patch: &Map<String, Value>,
        origin: &Origin,
    ) -> Result<Vec<Record>, EditError> {
        for _ in 0..MAX_TRIES {
            let mut subject = self.subject(organization, id).await?;
            let home = self
                .check_home(organization, &subject)
                .await?
                .ok_or_else(|| EditError::Invalid("the series is in no calendar any more".to_owned()))?;
            let side = subject.side(subject.home());
            let head = truncated(&side, key)?;
            check_content(subject.record.kind, &head)?;
            subject.check_base(if_match, &side.differences(&head))?;
            let before = tail(&side, key)?;
            let mut next = before.clone();
            next.fields = merge_patch(subject.record.kind.schema(), &before.fields, patch)?;
            let mut next = follow_start(next, &before);
            check_content(subject.record.kind, &next)?;
            next.fields.remove("uid");
            next.fields.insert("split_from".to_owned(), json!(id));
            let own = own_tails(&subject, key)?;
            let mut effects = self.edited(&mut subject, head, origin);
            let record = self.new_record(&home, next, origin);
            let apart = self.apart(organization, id).await?;
            let (new, more) = self.arrival(&home, record, origin, &own, &apart).await?;
            effects.extend(more);
            match self.desk.commit(organization, None, effects).await {
                Err(StoreError::Stale(_)) => {}
                outcome => {
                    outcome?;
                    self.arrived(&home, &new).await;
                    return Ok(vec![subject.record, new]);
                }
            }
        }
        Err(contested(id))
    }
}

/// What each account says of the series from the occurrence on: its alarms, its colour.
fn own_tails(subject: &Subject, key: &PartKey) -> Result<BTreeMap<CollectionId, Content>, EditError> {
    let mut tails = BTreeMap::new();
    for link in &subject.links {
        let side = tail(&plan::hub_side(&subject.record, link), key)?;
        tails.insert(
            link.collection.clone(),
            plan::split(link.kind, side, &Content::default()).1,
        );
    }
    Ok(tails)
}

/// The full fields of an occurrence that the series really has.
fn occurrence(side: &Content, key: &PartKey) -> Result<Fields, EditError> {
    let not_found = || EditError::NotFound("occurrence");
    let start = series::time_field(&side.fields, "start").ok_or_else(not_found)?;
    let time = EventTime::from_part_key(key, &start).ok_or_else(not_found)?;
    if time.part_key(&start) != *key {
        return Err(not_found());
    }
    if let Some(sparse) = side.overrides.get(key) {
        return Ok(series::full(model::Kind::Event, &side.fields, key, sparse));
    }
    let plain = Content::new(side.fields.clone());
    let at = time.instant(&TimeZone::UTC);
    let end = at.saturating_add(SignedDuration::from_secs(1)).unwrap_or(at);
    let found = model::expand::occurrences(&plain, at, end, &TimeZone::UTC)
        .map_err(|error| EditError::Invalid(error.to_string()))?;
    let here = found
        .into_iter()
        .find(|occurrence| occurrence.key == *key)
        .ok_or_else(not_found)?;
    Ok(here.fields)
}

/// Whether the series has this occurrence: it makes it, cancelled or not, or an override says what it is. A series that
/// repeats too often to be listed is given the benefit of the doubt.
pub(crate) fn exists(side: &Content, key: &PartKey) -> bool {
    let own = side.overrides.get(key);
    if own.is_some_and(|own| !series::is_cancelled(own)) {
        return true;
    }
    let plain = Content::new(side.fields.clone());
    !matches!(occurrence(&plain, key), Err(EditError::NotFound(_)))
}

/// Refuses what only the series can have.
fn master_only(schema: &model::Schema, patch: &Map<String, Value>) -> Result<(), EditError> {
    for name in patch.keys() {
        if schema.field(name).is_some_and(|spec| !spec.in_override) {
            let problem = "belongs to the series; edit it with scope=all".to_owned();
            return Err(FieldError {
                field: name.clone(),
                problem,
            }
            .into());
        }
    }
    Ok(())
}

fn with_override(mut side: Content, kind: model::Kind, key: &PartKey, full: &Fields) -> Content {
    let thin = series::sparse(kind, &side.fields, key, full);
    if thin.is_empty() {
        side.overrides.remove(key);
    } else {
        side.overrides.insert(key.clone(), thin);
    }
    side
}

/// The master's times, moved as far as the patch moved the occurrence's.
fn shift_master(master: &Fields, before: &Fields, after: &Fields, patch: &Map<String, Value>) -> Fields {
    let mut shifted = Fields::new();
    for name in TIMES.into_iter().filter(|name| patch.contains_key(*name)) {
        let times = (
            series::time_field(master, name),
            series::time_field(before, name),
            series::time_field(after, name),
        );
        if let (Some(own), Some(old), Some(new)) = times {
            let by = new.wall().duration_since(old.wall());
            shifted.insert(
                name.to_owned(),
                json!(new.with_wall(own.wall().saturating_add(by))),
            );
        }
    }
    shifted
}
