//! One `VEVENT` as the lens engine sees it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::codecs::{alarms, labels, links, people, recurrence, text, time};
use super::line::{Line, escape, unescape};
use super::tree::Component;
use super::zones::Zones;
use crate::engine::{Codec, Problem, Row, Tree};

/// A `VEVENT` with the zones of the object that it stands in.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) component: Component,
    pub(crate) zones: Arc<Zones>,
    /// Zones that were written and that the object does not define yet.
    pub(crate) introduced: BTreeSet<String>,
}

impl Event {
    pub(crate) fn new(component: Component, zones: Arc<Zones>) -> Self {
        Self {
            component,
            zones,
            introduced: BTreeSet::new(),
        }
    }
}

impl Tree for Event {
    fn scalar(&self, path: &str, escaped: bool) -> Result<Option<String>, Problem> {
        Ok(self.component.first(path).map(|line| {
            if escaped {
                unescape(line.value())
            } else {
                line.value().to_owned()
            }
        }))
    }

    fn set_scalar(&mut self, path: &str, escaped: bool, text: Option<&str>) -> Result<(), Problem> {
        let Some(text) = text else {
            self.component.remove(|line| line.name() == path);
            return Ok(());
        };
        self.component.upsert(path, |line: &mut Line| {
            line.set_value(if escaped { escape(text) } else { text.to_owned() });
            // It points at another form of the text that was just replaced (RFC 5545 section 3.2.1).
            line.set_param("ALTREP", None);
        });
        Ok(())
    }

    fn shaped(&self, row: &Row) -> Result<Option<Value>, Problem> {
        match row.codec {
            Codec::Description => Ok(text::description(self)),
            Codec::Time => time::start(self),
            Codec::EndTime => time::end(self),
            Codec::Moment => Ok(time::moment(self, row.path)),
            Codec::Person => Ok(people::person(self, row.path)),
            Codec::Attendees => Ok(people::attendees(self)),
            Codec::Reminders => Ok(alarms::reminders(self)),
            Codec::Recurrence => recurrence::recurrence(self),
            Codec::Labels => Ok(labels::labels(self, row.path)),
            Codec::Attachments => Ok(links::attachments(self)),
            Codec::Conferencing => Ok(links::conferencing(self)),
            Codec::Text
            | Codec::Uri
            | Codec::Number
            | Codec::Choice(_)
            | Codec::Flag(_)
            | Codec::MyResponse
            | Codec::Palette(_)
            | Codec::Custom
            | Codec::Uid => Err(no_form(row)),
        }
    }

    fn set_shaped(&mut self, row: &Row, value: Option<&Value>) -> Result<(), Problem> {
        match row.codec {
            Codec::Description => text::set_description(self, value),
            Codec::Time => time::set_start(self, value),
            Codec::EndTime => time::set_end(self, value),
            Codec::Person => people::set_person(self, row.path, value),
            Codec::Attendees => people::set_attendees(self, value),
            Codec::Reminders => alarms::set_reminders(self, value),
            Codec::Recurrence => recurrence::set_recurrence(self, value),
            Codec::Labels => labels::set_labels(self, row.path, value),
            Codec::Attachments => links::set_attachments(self, value),
            Codec::Conferencing => links::set_conferencing(self, value),
            Codec::Text
            | Codec::Uri
            | Codec::Number
            | Codec::Choice(_)
            | Codec::Flag(_)
            | Codec::Moment
            | Codec::MyResponse
            | Codec::Palette(_)
            | Codec::Custom
            | Codec::Uid => Err(no_form(row)),
        }
    }
}

fn no_form(row: &Row) -> Problem {
    Problem::invalid(format!("the codec {:?} has no form in iCalendar", row.codec))
}
