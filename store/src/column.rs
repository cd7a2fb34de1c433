//! Values in columns: ids and documents as text, and the errors of reading them.

use std::str::FromStr;

use serde::Serialize;
use serde::de::{DeserializeOwned, IntoDeserializer, value};
use sync::ports::StoreError;

use crate::sql::{Row, Stored};

/// The database failed.
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    StoreError::Database(Box::new(error))
}

/// A write failed. A row that is there already, or one that is gone, means that someone else was faster: the caller
/// reads again and plans anew.
pub(crate) fn refused(what: &str) -> impl FnOnce(sqlx::Error) -> StoreError + '_ {
    move |error| match &error {
        sqlx::Error::Database(cause) if cause.is_unique_violation() || cause.is_foreign_key_violation() => {
            StoreError::Stale(what.to_owned())
        }
        _ => failed(error),
    }
}

/// A stored value cannot be read. The value itself is not repeated.
pub(crate) fn corrupt(what: &'static str, problem: impl ToString) -> StoreError {
    StoreError::Corrupt {
        what,
        problem: problem.to_string(),
    }
}

/// A plain value.
pub(crate) fn get<'r, T>(row: &'r Row, column: &'static str) -> Result<T, StoreError>
where
    T: Stored<'r>,
{
    row.try_get(column).map_err(|error| match error {
        sqlx::Error::ColumnDecode { source, .. } => corrupt(column, source),
        other => failed(other),
    })
}

/// An id or a part key.
pub(crate) fn id<T>(row: &Row, column: &'static str) -> Result<T, StoreError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    get::<&str>(row, column)?
        .parse()
        .map_err(|error| corrupt(column, error))
}

/// An id that may be absent.
pub(crate) fn optional_id<T>(row: &Row, column: &'static str) -> Result<Option<T>, StoreError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    get::<Option<&str>>(row, column)?
        .map(|text| text.parse().map_err(|error| corrupt(column, error)))
        .transpose()
}

/// Yes or no.
pub(crate) fn flag(row: &Row, column: &'static str) -> Result<bool, StoreError> {
    Ok(get::<i64>(row, column)? != 0)
}

/// A count; stored as BIGINT.
pub(crate) fn count<T: TryFrom<i64>>(row: &Row, column: &'static str) -> Result<T, StoreError> {
    T::try_from(get::<i64>(row, column)?).map_err(|_| corrupt(column, "out of range"))
}

/// A document.
pub(crate) fn json<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(get::<&str>(row, column)?).map_err(|error| corrupt(column, error))
}

/// A document that may be absent.
pub(crate) fn optional_json<T: DeserializeOwned>(
    row: &Row,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    get::<Option<&str>>(row, column)?
        .map(|text| serde_json::from_str(text).map_err(|error| corrupt(column, error)))
        .transpose()
}

/// One of a closed set of words.
pub(crate) fn word<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<T, StoreError> {
    let text: &str = get(row, column)?;
    T::deserialize(text.into_deserializer()).map_err(|error: value::Error| corrupt(column, error))
}

/// One of a closed set of words, or none.
pub(crate) fn optional_word<T: DeserializeOwned>(
    row: &Row,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    get::<Option<&str>>(row, column)?
        .map(|text| {
            T::deserialize(text.into_deserializer()).map_err(|error: value::Error| corrupt(column, error))
        })
        .transpose()
}

/// A document as stored.
pub(crate) fn document(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt("document", error))
}

/// The word for a value of a closed set.
pub(crate) fn spelled(value: &impl Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(_) => Err(corrupt("word", "not a word")),
        Err(error) => Err(corrupt("word", error)),
    }
}

/// Rows as values.
pub(crate) fn all<T>(
    rows: &[Row],
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    rows.iter().map(read).collect()
}
