//! The lens engine: reads and writes any vendor's object from one table of rows.

use std::collections::BTreeSet;

use model::content::Fields;
use model::{Kind, canonical};
use serde_json::Value;

pub use crate::error::Problem;
use crate::error::{MappingError, Reason, quoted};

/// Which way a row carries its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Read and written.
    Both,
    /// Vendor to model only: the vendor decides.
    ReadOnly,
    /// Read always; written when the object is created and never again.
    Create,
}

/// How a value is translated between model and vendor. The plain ones work on any [`Tree`]; each vendor's tree
/// gives the shaped ones their form there.
#[derive(Debug, Clone, Copy)]
pub enum Codec {
    /// Human text.
    Text,
    /// An address: text that the vendor's format never escapes.
    Uri,
    /// A whole number.
    Number,
    /// One of a closed list of words.
    Choice(&'static Choice),
    /// A yes or no that the vendor spells as words.
    Flag(&'static Flag),
    /// Plain and rich text of one description.
    Description,
    /// Wall time with zone, floating time, or day.
    Time,
    /// The same for the end, which vendors may give as a length or leave out.
    EndTime,
    /// An instant of the vendor's clock, RFC 3339 in UTC in the model.
    Moment,
    /// One person.
    Person,
    /// People told apart by address.
    Attendees,
    /// The account's own entry among the attendees.
    MyResponse,
    /// Alarms relative to the start.
    Reminders,
    /// Rules and further dates.
    Recurrence,
    /// A set of labels.
    Labels,
    /// Documents told apart by address.
    Attachments,
    /// Where to join remotely.
    Conferencing,
    /// A closed palette: vendor id and `#rrggbb`.
    Palette(&'static [(&'static str, &'static str)]),
    /// The organization's own fields, one vendor entry per member.
    Custom,
    /// The identifier that all copies of an event share.
    Uid,
}

/// The words of a closed list.
#[derive(Debug)]
pub struct Choice {
    /// Model word and vendor word.
    pub words: &'static [(&'static str, &'static str)],
    /// The model's word when the vendor says nothing.
    pub absent: &'static str,
    /// The model's word for a vendor word that is not in the list.
    pub unknown: &'static str,
}

/// The two words of a yes or no.
#[derive(Debug)]
pub struct Flag {
    /// The vendor's word for yes.
    pub yes: &'static str,
    /// The vendor's word for no.
    pub no: &'static str,
    /// What it means when the vendor says nothing.
    pub absent: bool,
}

/// One line of a mapping: a model field, where it lives at the vendor, and how it is translated.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The model's field.
    pub field: &'static str,
    /// The place in the vendor's object.
    pub path: &'static str,
    /// How the value is translated.
    pub codec: Codec,
    /// Which way it is carried.
    pub direction: Direction,
}

/// What a vendor can do with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSupport {
    /// The model's field.
    pub field: &'static str,
    /// Whether an edit of it can be written to an object that exists.
    pub writable: bool,
}

/// A vendor's object as the engine sees it.
pub trait Tree {
    /// The text at a path. `escaped` says whether the vendor's format escapes text there.
    ///
    /// # Errors
    /// Something other than text is there.
    fn scalar(&self, path: &str, escaped: bool) -> Result<Option<String>, Problem>;

    /// Sets or, with `None`, removes the text at a path.
    ///
    /// # Errors
    /// There is no place for text there.
    fn set_scalar(&mut self, path: &str, escaped: bool, text: Option<&str>) -> Result<(), Problem>;

    /// The canonical value of a row whose codec has a shape of its own at this vendor.
    ///
    /// # Errors
    /// The value at the path has another shape.
    fn shaped(&self, row: &Row) -> Result<Option<Value>, Problem>;

    /// Sets or, with `None`, removes the value of such a row, touching nothing else.
    ///
    /// # Errors
    /// The value cannot be said in the vendor's form.
    fn set_shaped(&mut self, row: &Row, value: Option<&Value>) -> Result<(), Problem>;
}

/// The canonical value of one row.
///
/// # Errors
/// What is wrong at the row's path.
pub fn get<T: Tree>(tree: &T, row: &Row) -> Result<Option<Value>, Problem> {
    match row.codec {
        Codec::Text => Ok(tree.scalar(row.path, true)?.and_then(canonical::to_value)),
        Codec::Uri => {
            let text = tree.scalar(row.path, false)?;
            Ok(text.and_then(|text| canonical::to_value(text.trim().to_owned())))
        }
        Codec::Number => {
            let text = tree.scalar(row.path, false)?;
            Ok(text
                .and_then(|text| text.trim().parse::<i64>().ok())
                .map(Value::from))
        }
        Codec::Choice(choice) => {
            let text = tree.scalar(row.path, false)?;
            let word = match text.as_deref().map(str::trim) {
                None | Some("") => choice.absent,
                Some(text) => choice
                    .words
                    .iter()
                    .find(|(_, vendor)| vendor.eq_ignore_ascii_case(text))
                    .map_or(choice.unknown, |(word, _)| word),
            };
            Ok(Some(Value::from(word)))
        }
        Codec::Flag(flag) => {
            let text = tree.scalar(row.path, false)?;
            let text = text.as_deref().map(str::trim).unwrap_or_default();
            let value = if text.eq_ignore_ascii_case(flag.yes) {
                true
            } else if text.eq_ignore_ascii_case(flag.no) {
                false
            } else {
                flag.absent
            };
            Ok(Some(Value::from(value)))
        }
        Codec::Description
        | Codec::Time
        | Codec::EndTime
        | Codec::Moment
        | Codec::Person
        | Codec::Attendees
        | Codec::MyResponse
        | Codec::Reminders
        | Codec::Recurrence
        | Codec::Labels
        | Codec::Attachments
        | Codec::Conferencing
        | Codec::Palette(_)
        | Codec::Custom
        | Codec::Uid => tree.shaped(row),
    }
}

/// Sets or, with `None`, clears the value of one row.
///
/// # Errors
/// The value has the wrong shape or cannot be said at this vendor.
pub fn put<T: Tree>(tree: &mut T, row: &Row, value: Option<&Value>) -> Result<(), Problem> {
    match row.codec {
        Codec::Text => tree.set_scalar(row.path, true, as_text(value)?),
        Codec::Uri => tree.set_scalar(row.path, false, as_text(value)?),
        Codec::Number => {
            let text = value.and_then(Value::as_i64).map(|number| number.to_string());
            tree.set_scalar(row.path, false, text.as_deref())
        }
        Codec::Choice(choice) => {
            let word = as_text(value)?;
            let vendor = word.and_then(|word| {
                let known = choice.words.iter().find(|(model, _)| *model == word);
                known.map(|(_, vendor)| *vendor)
            });
            tree.set_scalar(row.path, false, vendor)
        }
        Codec::Flag(flag) => {
            let word = value
                .and_then(Value::as_bool)
                .map(|yes| if yes { flag.yes } else { flag.no });
            tree.set_scalar(row.path, false, word)
        }
        Codec::Description
        | Codec::Time
        | Codec::EndTime
        | Codec::Moment
        | Codec::Person
        | Codec::Attendees
        | Codec::MyResponse
        | Codec::Reminders
        | Codec::Recurrence
        | Codec::Labels
        | Codec::Attachments
        | Codec::Conferencing
        | Codec::Palette(_)
        | Codec::Custom
        | Codec::Uid => tree.set_shaped(row, value),
    }
}

fn as_text(value: Option<&Value>) -> Result<Option<&str>, Problem> {
    match value {
        None => Ok(None),
        Some(value) => match value.as_str() {
            Some(text) => Ok(Some(text)),
            None => Err(Problem::invalid(format!(
                "text is expected, not {}",
                quoted(&value.to_string())
            ))),
        },
    }
}

/// The typed value of a field that is about to be written.
///
/// # Errors
/// The value has another shape than the model says.
pub fn typed<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, Problem> {
    serde_json::from_value(value.clone()).map_err(|error| Problem::invalid(error.to_string()))
}

/// Everything the rows can read from a vendor's object, in canonical form.
///
/// # Errors
/// The first row whose value cannot be read.
pub fn read<'r, T: Tree>(rows: impl IntoIterator<Item = &'r Row>, tree: &T) -> Result<Fields, MappingError> {
    let mut fields = Fields::new();
    for row in rows {
        if fields.contains_key(row.field) {
            continue;
        }
        if let Some(value) = get(tree, row).map_err(|problem| problem.at(row.field, row.path))? {
            fields.insert(row.field.to_owned(), value);
        }
    }
    Ok(fields)
}

/// Brings a vendor's object to say `fields`: a row whose value already reads so is not touched, and a field that
/// is absent or null is cleared. Returns the fields that changed.
///
/// # Errors
/// The first row whose value cannot be written.
pub fn write<'r, T: Tree>(
    rows: impl IntoIterator<Item = &'r Row>,
    tree: &mut T,
    fields: &Fields,
    creating: bool,
) -> Result<BTreeSet<&'static str>, MappingError> {
    let mut changed = BTreeSet::new();
    for row in rows {
        let carried = match row.direction {
            Direction::Both => true,
            Direction::ReadOnly => false,
            Direction::Create => creating,
        };
        if !carried {
            continue;
        }
        let wanted = fields.get(row.field).filter(|value| !value.is_null());
        let at = |problem: Problem| problem.at(row.field, row.path);
        if get(tree, row).map_err(at)?.as_ref() == wanted {
            continue;
        }
        put(tree, row, wanted).map_err(at)?;
        changed.insert(row.field);
    }
    Ok(changed)
}

/// Says every row's value whatever the object says now: for an object that was not seen.
///
/// # Errors
/// The first row whose value cannot be written.
pub fn force<'r, T: Tree>(
    rows: impl IntoIterator<Item = &'r Row>,
    tree: &mut T,
    fields: &Fields,
) -> Result<(), MappingError> {
    for row in rows.into_iter().filter(|row| row.direction == Direction::Both) {
        let wanted = fields.get(row.field).filter(|value| !value.is_null());
        put(tree, row, wanted).map_err(|problem| problem.at(row.field, row.path))?;
    }
    Ok(())
}

/// The rows that an override may have a value for.
pub fn override_rows(rows: &'static [Row]) -> impl Iterator<Item = &'static Row> {
    rows.iter().filter(|row| {
        Kind::Event
            .schema()
            .field(row.field)
            .is_some_and(|spec| spec.in_override)
    })
}

/// What a table of rows supports, each field once.
#[must_use]
pub fn support(rows: &'static [Row]) -> Vec<FieldSupport> {
    let mut fields: Vec<FieldSupport> = Vec::new();
    for row in rows {
        let writable = row.direction == Direction::Both;
        match fields.iter_mut().find(|support| support.field == row.field) {
            Some(known) => known.writable |= writable,
            None => fields.push(FieldSupport {
                field: row.field,
                writable,
            }),
        }
    }
    fields
}

/// Keeps of `fields` what a table of rows carries to the vendor.
pub(crate) fn retain_carried(rows: &[Row], fields: &mut Fields) {
    fields.retain(|name, _| {
        rows.iter()
            .any(|row| row.field == name && row.direction != Direction::ReadOnly)
    });
}

/// A value that must be there and is not.
pub(crate) fn missing(field: &str, path: &str, problem: &str) -> MappingError {
    Problem::new(Reason::Missing, problem).at(field, path)
}
