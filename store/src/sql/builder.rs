//! Statements of changing length. SQLite gets its values one by one; PostgreSQL gets lists and columns as arrays, so
//! that the text is the same whatever their length, and is prepared once
//! (<https://www.postgresql.org/docs/current/functions-array.html>, `unnest`).

use std::fmt::Write as _;

use sqlx::Error;
use sqlx::error::BoxDynError;

use super::{Query, Text, Value};

/// A piece of a statement, and how many values belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(&'static str),
    /// The name of a column.
    Name(String),
    /// One value.
    Bind,
    /// So many texts to choose from.
    List(usize),
    /// So many rows of so many columns.
    Rows {
        columns: usize,
        rows: usize,
    },
}

/// Builds a statement from texts of ours and values of anyone's. Texts are `'static`, so that no value can be taken for
/// one.
pub(crate) struct QueryBuilder {
    pieces: Vec<Piece>,
    values: Vec<Value>,
}

/// Takes the values of one row.
pub(crate) struct RowBuilder<'a> {
    values: &'a mut Vec<Value>,
    columns: usize,
}

impl RowBuilder<'_> {
    /// The value of the next column.
    pub(crate) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.columns += 1;
        self
    }
}

impl QueryBuilder {
    pub(crate) fn new(sql: &'static str) -> Self {
        Self {
            pieces: vec![Piece::Text(sql)],
            values: Vec::new(),
        }
    }

    /// Text.
    pub(crate) fn push(&mut self, sql: &'static str) -> &mut Self {
        self.pieces.push(Piece::Text(sql));
        self
    }

    /// The name of a column that was read from the database itself. It stands in quotes.
    pub(crate) fn push_name(&mut self, name: &str) -> &mut Self {
        self.pieces.push(Piece::Name(name.replace('"', "")));
        self
    }

    /// A value.
    pub(crate) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.pieces.push(Piece::Bind);
        self.values.push(value.into());
        self
    }

    /// ` IN (..)` with these texts. An empty list is in nothing.
    pub(crate) fn push_in<T: Into<String>>(&mut self, texts: impl IntoIterator<Item = T>) -> &mut Self {
        let before = self.values.len();
        self.values
            .extend(texts.into_iter().map(|text| Value::Text(Some(text.into()))));
        self.pieces.push(Piece::List(self.values.len() - before));
        self
    }

    /// Rows to insert; stands where `VALUES (..), (..)` would. Each row binds the same columns in the same order.
    pub(crate) fn push_values<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut bind: impl FnMut(RowBuilder<'_>, T),
    ) -> &mut Self {
        let before = self.values.len();
        let mut rows = 0;
        for item in items {
            let row = RowBuilder {
                values: &mut self.values,
                columns: 0,
            };
            bind(row, item);
            rows += 1;
        }
        let bound = self.values.len() - before;
        self.pieces.push(Piece::Rows {
            columns: bound.checked_div(rows).unwrap_or_default(),
            rows,
        });
        self
    }

    /// The statement.
    pub(crate) fn build(&mut self) -> Query {
        Query {
            text: Text::Built(std::mem::take(&mut self.pieces)),
            values: std::mem::take(&mut self.values),
        }
    }
}

/// SQLite finds a numbered parameter with a linear search; a plain `?` costs nothing.
pub(super) fn text_for_sqlite(pieces: &[Piece]) -> String {
    let mut sql = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => sql.push_str(text),
            Piece::Name(name) => {
                sql.push('"');
                sql.push_str(name);
                sql.push('"');
            }
            Piece::Bind => sql.push('?'),
            Piece::List(count) => {
                sql.push_str(" IN (");
                marks(&mut sql, *count);
                sql.push(')');
            }
            Piece::Rows { columns, rows } => {
                sql.push_str("VALUES ");
                for row in 0..*rows {
                    sql.push_str(if row == 0 { "(" } else { ", (" });
                    marks(&mut sql, *columns);
                    sql.push(')');
                }
            }
        }
    }
    sql
}

fn marks(sql: &mut String, count: usize) {
    for number in 0..count {
        sql.push_str(if number == 0 { "?" } else { ", ?" });
    }
}

pub(super) fn text_for_postgres(pieces: &[Piece]) -> String {
    let mut sql = String::new();
    let mut last = 0;
    let mut next = move || {
        last += 1;
        last
    };
    for piece in pieces {
        // Writing into a string does not fail.
        let _ = match piece {
            Piece::Text(text) => sql.write_str(text),
            Piece::Name(name) => write!(sql, "\"{name}\""),
            Piece::Bind => write!(sql, "${}", next()),
            Piece::List(_) => write!(sql, " = ANY(${})", next()),
            Piece::Rows { columns, .. } => {
                sql.push_str("SELECT * FROM UNNEST(");
                for column in 0..*columns {
                    let _ = write!(sql, "{}${}", if column == 0 { "" } else { ", " }, next());
                }
                sql.write_str(")")
            }
        };
    }
    sql
}

/// What PostgreSQL is sent for one placeholder: a value, or a list or column of them.
#[derive(Debug, PartialEq)]
pub(super) enum Bound<'v> {
    One(&'v Value),
    Texts(Vec<Option<&'v str>>),
    Ints(Vec<Option<i64>>),
    Bytes(Vec<Option<&'v [u8]>>),
}

/// The values in the order of the placeholders: a list is one value, and so is each column of rows.
pub(super) fn values_for_postgres<'v>(
    pieces: &[Piece],
    values: &'v [Value],
) -> Result<Vec<Bound<'v>>, Error> {
    let mut left = values;
    let mut bound = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(_) | Piece::Name(_) => {}
            Piece::Bind => bound.extend(take(&mut left, 1)?.first().map(Bound::One)),
            Piece::List(count) => bound.push(Bound::Texts(texts(take(&mut left, *count)?.iter())?)),
            Piece::Rows { columns, rows } => {
                let rows = take(&mut left, columns * rows)?;
                for column in 0..*columns {
                    bound.push(of_column(rows, column, *columns)?);
                }
            }
        }
    }
    Ok(bound)
}

fn take<'v>(left: &mut &'v [Value], count: usize) -> Result<&'v [Value], Error> {
    let (taken, rest) = left.split_at_checked(count).ok_or_else(mixed)?;
    *left = rest;
    Ok(taken)
}

/// A column of rows that stand one after the other.
fn of_column(rows: &[Value], column: usize, columns: usize) -> Result<Bound<'_>, Error> {
    let values = rows.iter().skip(column).step_by(columns);
    match rows.get(column) {
        Some(Value::Int(_)) => {
            let numbers = values.map(|value| match value {
                Value::Int(number) => Ok(*number),
                Value::Text(_) | Value::Bytes(_) => Err(mixed()),
            });
            numbers.collect::<Result<_, _>>().map(Bound::Ints)
        }
        Some(Value::Bytes(_)) => {
            let bytes = values.map(|value| match value {
                Value::Bytes(bytes) => Ok(bytes.as_deref()),
                Value::Text(_) | Value::Int(_) => Err(mixed()),
            });
            bytes.collect::<Result<_, _>>().map(Bound::Bytes)
        }
        Some(Value::Text(_)) | None => texts(values).map(Bound::Texts),
    }
}

fn texts<'v>(values: impl Iterator<Item = &'v Value>) -> Result<Vec<Option<&'v str>>, Error> {
    let texts = values.map(|value| match value {
        Value::Text(text) => Ok(text.as_deref()),
        Value::Int(_) | Value::Bytes(_) => Err(mixed()),
    });
    texts.collect()
}

fn mixed() -> Error {
    Error::Encode(BoxDynError::from("the values of a column are of different sorts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(builder: &mut QueryBuilder) -> (Vec<Piece>, Vec<Value>) {
        let query = builder.build();
        match query.text {
            Text::Built(pieces) => (pieces, query.values),
            Text::Fixed(_) => panic!("built"),
        }
    }

    fn insert(rows: &[(&str, i64)]) -> (Vec<Piece>, Vec<Value>) {
        let mut builder = QueryBuilder::new("INSERT INTO t (a, b) ");
        builder.push_values(rows, |mut row, (text, number)| {
            row.push_bind(*text).push_bind(*number);
        });
        builder.push(" ON CONFLICT DO NOTHING");
        parts(&mut builder)
    }

    #[test]
    fn rows_are_values_on_sqlite_and_columns_on_postgresql() {
        let (pieces, values) = insert(&[("x", 1), ("y", 2), ("z", 3)]);
        assert_eq!(
            text_for_sqlite(&pieces),
            "INSERT INTO t (a, b) VALUES (?, ?), (?, ?), (?, ?) ON CONFLICT DO NOTHING"
        );
        assert_eq!(
            text_for_postgres(&pieces),
            "INSERT INTO t (a, b) SELECT * FROM UNNEST($1, $2) ON CONFLICT DO NOTHING"
        );
        assert_eq!(
            values_for_postgres(&pieces, &values).unwrap(),
            [
                Bound::Texts(["x", "y", "z"].map(Some).to_vec()),
                Bound::Ints([1, 2, 3].map(Some).to_vec()),
            ]
        );
    }

    #[test]
    fn the_text_for_postgresql_does_not_depend_on_how_many_there_are() {
        let (one, _) = insert(&[("x", 1)]);
        let (two, _) = insert(&[("x", 1), ("y", 2)]);
        assert_eq!(text_for_postgres(&one), text_for_postgres(&two));
    }

    #[test]
    fn a_list_is_one_value_on_postgresql_and_the_numbers_go_on_after_it() {
        let mut builder = QueryBuilder::new("SELECT 1 FROM t WHERE o = ");
        builder
            .push_bind("org")
            .push(" AND a")
            .push_in(["x", "y"])
            .push(" AND b > ")
            .push_bind(7);
        let (pieces, values) = parts(&mut builder);
        assert_eq!(
            text_for_sqlite(&pieces),
            "SELECT 1 FROM t WHERE o = ? AND a IN (?, ?) AND b > ?"
        );
        assert_eq!(
            text_for_postgres(&pieces),
            "SELECT 1 FROM t WHERE o = $1 AND a = ANY($2) AND b > $3"
        );
        assert_eq!(
            values_for_postgres(&pieces, &values).unwrap(),
            [
                Bound::One(&Value::from("org")),
                Bound::Texts(vec![Some("x"), Some("y")]),
                Bound::One(&Value::from(7)),
            ]
        );
    }

    #[test]
    fn a_column_of_different_sorts_is_refused() {
        let mut builder = QueryBuilder::new("INSERT INTO t (a) ");
        builder.push_values([Value::from("x"), Value::from(1)], |mut row, value| {
            row.push_bind(value);
        });
        let (pieces, values) = parts(&mut builder);
        assert!(values_for_postgres(&pieces, &values).is_err());
    }
}
