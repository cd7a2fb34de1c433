//! An event's JSON as the lens engine sees it.

use serde_json::{Map, Value};

use super::codecs::{people, properties, recurrence, reminders, things, time};
use crate::engine::{Codec, Problem, Row, Tree};
use crate::error::quoted;

/// An event's JSON, and what it is read and written with.
#[derive(Debug, Clone, Default)]
pub(super) struct Json {
    pub(super) root: Map<String, Value>,
    /// The account's address, for answers that are not marked as its own.
    pub(super) me: Option<String>,
    /// The zone for times that have none.
    pub(super) calendar_zone: Option<String>,
}

impl Json {
    pub(super) fn new(root: Map<String, Value>) -> Self {
        Self {
            root,
            ..Self::default()
        }
    }

    /// The value at a path; `None` when absent or null.
    pub(super) fn at(&self, path: &str) -> Option<&Value> {
        let mut steps = path.split('/');
        let first = self.root.get(steps.next()?)?;
        steps
            .try_fold(first, |value, step| value.get(step))
            .filter(|value| !value.is_null())
    }

    /// Sets or removes the value at a path; objects on the way are made.
    pub(super) fn set(&mut self, path: &str, value: Option<Value>) {
        match path.rsplit_once('/') {
            Some((object, leaf)) => self.set_member(object, leaf, value),
            None => member(&mut self.root, path, value),
        }
    }

    /// Sets or removes one member, whose name may hold anything, of the object at a path.
    pub(super) fn set_member(&mut self, path: &str, name: &str, value: Option<Value>) {
        let mut object = &mut self.root;
        for step in path.split('/') {
            if value.is_none() && !object.get(step).is_some_and(Value::is_object) {
                return;
            }
            let next = object.entry(step).or_insert(Value::Null);
            if !next.is_object() {
                *next = Value::Object(Map::new());
            }
            let Value::Object(inner) = next else { return };
            object = inner;
        }
        member(object, name, value);
    }

    /// The elements of an array; none when it is absent.
    pub(super) fn array(&self, path: &str) -> Result<&[Value], Problem> {
        match self.at(path) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(expected("a list", other)),
        }
    }

    /// The members of an object; `None` when it is absent.
    pub(super) fn object(&self, path: &str) -> Result<Option<&Map<String, Value>>, Problem> {
        match self.at(path) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(members)),
            Some(other) => Err(expected("an object", other)),
        }
    }
}

fn member(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => drop(object.insert(name.to_owned(), value)),
        None => drop(object.remove(name)),
    }
}

pub(super) fn expected(what: &str, found: &Value) -> Problem {
    Problem::invalid(format!("{what} is expected, not {}", quoted(&found.to_string())))
}

/// The text of a member; `None` when absent or null.
///
/// # Errors
/// Something else is there.
pub(super) fn text(value: Option<&Value>) -> Result<Option<&str>, Problem> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(expected("text", other)),
    }
}

impl Tree for Json {
    fn scalar(&self, path: &str, escaped: bool) -> Result<Option<String>, Problem> {
        match self.at(path) {
            Some(Value::Number(number)) if !escaped => Ok(Some(number.to_string())),
            found => Ok(text(found)?.map(str::to_owned)),
        }
    }

    fn set_scalar(&mut self, path: &str, _escaped: bool, text: Option<&str>) -> Result<(), Problem> {
        if path == "source/url" {
            things::set_source(self, text);
        } else {
            self.set(path, text.map(Value::from));
        }
        Ok(())
    }

    fn shaped(&self, row: &Row) -> Result<Option<Value>, Problem> {
        match row.codec {
            Codec::Description => things::description(self, row.path),
            Codec::Time | Codec::EndTime => time::time(self, row.path),
            Codec::Moment => Ok(time::moment(self, row.path)),
            Codec::Person => people::person(self, row.path),
            Codec::Attendees => people::attendees(self, row.path),
            Codec::MyResponse => people::my_response(self, row.path),
            Codec::Reminders => reminders::reminders(self, row.path),
            Codec::Recurrence => recurrence::recurrence(self),
            Codec::Labels => properties::labels(self, row.path),
            Codec::Attachments => things::attachments(self, row.path),
            Codec::Conferencing => things::conferencing(self),
            Codec::Palette(palette) => things::color(self, row.path, palette),
            Codec::Custom => properties::custom(self, row.path),
            Codec::Uid => properties::uid(self, row.path),
            Codec::Text | Codec::Uri | Codec::Number | Codec::Choice(_) | Codec::Flag(_) => Err(no_form(row)),
        }
    }

    fn set_shaped(&mut self, row: &Row, value: Option<&Value>) -> Result<(), Problem> {
        match row.codec {
            Codec::Description => things::set_description(self, row.path, value),
            Codec::Time => time::set_time(self, row.path, value),
            Codec::EndTime => time::set_end(self, row.path, value),
            Codec::Attendees => people::set_attendees(self, row.path, value),
            Codec::MyResponse => people::set_my_response(self, row.path, value),
            Codec::Reminders => reminders::set_reminders(self, row.path, value),
            Codec::Recurrence => recurrence::set_recurrence(self, value),
            Codec::Labels => properties::set_labels(self, row.path, value),
            Codec::Attachments => things::set_attachments(self, row.path, value),
            Codec::Palette(palette) => things::set_color(self, row.path, palette, value),
            Codec::Custom => properties::set_custom(self, row.path, value),
            Codec::Uid => properties::set_uid(self, value),
            Codec::Text
            | Codec::Uri
            | Codec::Number
            | Codec::Choice(_)
            | Codec::Flag(_)
            | Codec::Moment
            | Codec::Person
            | Codec::Conferencing => Err(no_form(row)),
        }
    }
}

fn no_form(row: &Row) -> Problem {
    Problem::invalid(format!(
        "the codec {:?} has no form in Google's events",
        row.codec
    ))
}
