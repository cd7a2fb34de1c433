//! Values on their way into a statement, and the types that come out of a row.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, Decode, Error, Postgres, Sqlite, Type};

use super::builder::Bound;

/// A value of a statement. NULL has the type of its column: PostgreSQL is told the type of every value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
    Bytes(Option<Vec<u8>>),
}

impl Value {
    /// As PostgreSQL gives it back.
    pub(crate) fn into_postgres(self) -> Self {
        match self {
            Self::Text(Some(text)) => Self::Text(Some(without_nul(&text).into_owned())),
            other => other,
        }
    }

    /// Adds the value to a hash so that no two rows of values run into each other.
    pub(crate) fn digest(&self, digest: &mut Sha256) {
        let part = match self {
            Self::Text(text) => text.as_ref().map(|text| text.as_bytes().to_vec()),
            Self::Int(number) => number.map(|number| number.to_be_bytes().to_vec()),
            Self::Bytes(bytes) => bytes.clone(),
        };
        match part {
            None => digest.update([0]),
            Some(part) => {
                digest.update([1]);
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
    }
}

/// A type that a column of either engine can be read as.
pub(crate) trait Stored<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

impl<'r, T> Stored<'r> for T where T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{}

/// Conversions into one sort of value.
macro_rules! into_value {
    ($($from:ty => $sort:ident, |$it:ident| $made:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($it: $from) -> Self {
                Self::$sort($made)
            }
        })*
    };
}

into_value! {
    &str => Text, |it| Some(it.to_owned());
    &&str => Text, |it| Some((*it).to_owned());
    String => Text, |it| Some(it);
    &String => Text, |it| Some(it.clone());
    Option<&str> => Text, |it| it.map(str::to_owned);
    Option<String> => Text, |it| it;
    Option<&String> => Text, |it| it.cloned();
    &Option<String> => Text, |it| it.clone();
    i64 => Int, |it| Some(it);
    Option<i64> => Int, |it| it;
    Vec<u8> => Bytes, |it| Some(it);
    &Vec<u8> => Bytes, |it| Some(it.clone());
    &[u8] => Bytes, |it| Some(it.to_vec());
    Option<Vec<u8>> => Bytes, |it| it;
}

pub(super) fn for_sqlite(values: Vec<Value>) -> Result<SqliteArguments, Error> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        match value {
            Value::Text(text) => arguments.add(text),
            Value::Int(number) => arguments.add(number),
            Value::Bytes(bytes) => arguments.add(bytes),
        }
        .map_err(Error::Encode)?;
    }
    Ok(arguments)
}

pub(super) fn for_postgres<'v>(values: impl IntoIterator<Item = Bound<'v>>) -> Result<PgArguments, Error> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Bound::One(Value::Text(text)) => arguments.add(text.as_deref().map(without_nul)),
            Bound::One(Value::Int(number)) => arguments.add(*number),
            Bound::One(Value::Bytes(bytes)) => arguments.add(bytes.as_deref()),
            Bound::Texts(texts) => {
                let texts = texts.into_iter().map(|text| text.map(without_nul));
                arguments.add(texts.collect::<Vec<_>>())
            }
            Bound::Ints(numbers) => arguments.add(numbers),
            Bound::Bytes(many) => arguments.add(many),
        }
        .map_err(Error::Encode)?;
    }
    Ok(arguments)
}

/// PostgreSQL refuses NUL in text (<https://www.postgresql.org/docs/current/datatype-character.html>), and one object
/// with a NUL in its name must not keep the rest of its page out. In documents it is written as an escape and stays.
fn without_nul(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}
