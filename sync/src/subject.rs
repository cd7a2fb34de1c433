//! A record with its links while a client edits it.

use model::{Content, FieldPath, LinkId, series};

use crate::edit::EditError;
use crate::history;
use crate::plan;
use crate::ports::Effect;
use crate::state::{FieldClock, Link, Origin, Record};

/// A record with its links, read to be edited.
pub(crate) struct Subject {
    pub(crate) record: Record,
    pub(crate) links: Vec<Link>,
    /// The record as it was read; `None` when it is new.
    was: Option<Record>,
}

impl Subject {
    /// A record as it is stored.
    pub(crate) fn stored(record: Record, links: Vec<Link>) -> Self {
        Self {
            was: Some(record.clone()),
            record,
            links,
        }
    }

    /// A record that is not stored yet.
    pub(crate) const fn fresh(record: Record, links: Vec<Link>) -> Self {
        Self {
            record,
            links,
            was: None,
        }
    }

    /// The effects that store the record and its history. `link` is a link whose own fields changed with it, as it is
    /// now.
    pub(crate) fn recorded(&self, origin: &Origin, link: Option<&Link>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let record = || Box::new(self.record.clone());
        match &self.was {
            None => effects.push(Effect::CreateRecord(record())),
            Some(was) if was.version != self.record.version => effects.push(Effect::UpdateRecord(record())),
            Some(_) => {}
        }
        let before = link.and_then(|now| self.links.iter().find(|link| link.id == now.id));
        let link = link.zip(before).map(|(link, before)| history::LinkChange {
            link,
            local: &before.local,
            joined: false,
            left: false,
        });
        effects.extend(history::entries(&history::Change {
            before: self.was.as_ref(),
            after: &self.record,
            link,
            conflicts: &[],
            origin,
        }));
        effects
    }

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

    pub(crate) fn local(&self, id: &LinkId) -> Content {
        self.links
            .iter()
            .find(|link| link.id == *id)
            .map(|link| link.local.clone())
            .unwrap_or_default()
    }

    /// Fields that changed after a version.
    pub(crate) fn changed_since(&self, version: i64) -> Vec<String> {
        let changed = self
            .record
            .clocks
            .iter()
            .filter(|(_, clock)| clock.version > version);
        changed.map(|(path, _)| path.clone()).collect()
    }

    /// Refuses an edit of fields that changed since the version it is based on.
    pub(crate) fn check_base(&self, if_match: Option<i64>, edited: &[FieldPath]) -> Result<(), EditError> {
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
    pub(crate) fn set_content(
        &mut self,
        mut shared: Content,
        origin: &Origin,
        now_ms: i64,
    ) -> Vec<FieldPath> {
        series::tidy(&mut shared);
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
}
