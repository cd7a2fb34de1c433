//! From a SQLite file to a PostgreSQL database, whole, in one transaction: for those who outgrow the file.
//!
//! What was copied is read back before the commit and compared, row by row, through a hash that does not depend on
//! their order. Whatever goes wrong, the new database is left as empty as it was, and the file is only read.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use sync::ports::StoreError;

use crate::SqlStore;
use crate::column::{corrupt, failed, get};
use crate::dialect::Engine;
use crate::facts::TABLES;
use crate::ring::{CURRENT, keys};
use crate::sql::{self, Conn, QueryBuilder, Row, Value};
use crate::write::Write;

/// Rows that are read at once.
const ROWS: i64 = 500;

/// Why nothing was copied. The new database is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It goes from a file to a server, and no other way.
    #[error("a copy goes from a SQLite file to a PostgreSQL database")]
    Direction,
    /// There is something in the new database.
    #[error("the new database is not empty: there are rows in `{0}`; nothing was copied")]
    NotEmpty(String),
    /// Its master key is being changed.
    #[error("the file's master key is being changed; nothing was copied")]
    KeyBetween,
    /// What was read back is not what was written.
    #[error("`{table}` came out differently: {expected} rows were copied, {found} found; nothing was kept")]
    Differs {
        /// Of which table.
        table: String,
        /// Rows in the file.
        expected: u64,
        /// Rows in the new database.
        found: u64,
    },
    /// A database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A table that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: String,
    /// Its rows.
    pub rows: u64,
}

/// A column: its name, what is in it, its place in the primary key, from 1.
struct Column {
    name: String,
    sort: Sort,
    key: i64,
}

#[derive(Clone, Copy)]
enum Sort {
    Text,
    Int,
    Bytes,
}

/// How many rows, and what is in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    rows: u64,
    /// The sum of the rows' hashes: their order does not matter, and a row that is there twice does.
    hash: u128,
}

/// Copies everything from the file `from` to the empty database `to`. `told` hears of each table when it is done.
///
/// # Errors
/// When `to` is not empty, or anything fails; nothing was kept then.
pub async fn copy(
    from: &SqlStore,
    to: &SqlStore,
    mut told: impl FnMut(&Copied),
) -> Result<Vec<Copied>, CopyError> {
    if (from.engine(), to.engine()) != (Engine::Sqlite, Engine::Postgres) {
        return Err(CopyError::Direction);
    }
    let mut write = to.write().await?;
    for table in TABLES {
        let mut query = QueryBuilder::new("SELECT 1 AS one FROM ");
        let found = query.push(table).push(" LIMIT 1").build();
        if found
            .fetch_optional(write.conn())
            .await
            .map_err(failed)?
            .is_some()
        {
            return Err(CopyError::NotEmpty(table.to_owned()));
        }
    }
    take_key_over(from, &mut write).await?;
    let mut copied = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        let columns = columns(from, table).await?;
        let expected = pour(from, write.conn(), table, &columns).await?;
        let found = sum(write.conn(), table, &columns).await?;
        if found != expected {
            return Err(CopyError::Differs {
                table: table.to_owned(),
                expected: expected.rows,
                found: found.rows,
            });
        }
        let done = Copied {
            table: table.to_owned(),
            rows: expected.rows,
        };
        told(&done);
        copied.push(done);
    }
    write.commit().await?;
    Ok(copied)
}

/// What is copied is sealed with the file's key, which becomes the new database's.
async fn take_key_over(from: &SqlStore, write: &mut Write) -> Result<(), CopyError> {
    let of_file = keys(&mut from.write().await?).await?;
    if of_file.before.is_some() {
        return Err(CopyError::KeyBetween);
    }
    sql::query("UPDATE installation SET value = $1 WHERE name = $2")
        .bind(of_file.current)
        .bind(CURRENT)
        .execute(write.conn())
        .await
        .map_err(failed)?;
    Ok(())
}

/// The columns of a table, as the file has them. Both engines have the same: a test compares them.
async fn columns(from: &SqlStore, table: &'static str) -> Result<Vec<Column>, StoreError> {
    let rows = sql::query("SELECT name, type, pk FROM pragma_table_info($1)")
        .bind(table)
        .fetch_all(from.read())
        .await
        .map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(Column {
                name: get(row, "name")?,
                sort: match get(row, "type")? {
                    "TEXT" => Sort::Text,
                    "BIGINT" => Sort::Int,
                    "BLOB" => Sort::Bytes,
                    other => return Err(corrupt("column", format!("of type {other}"))),
                },
                key: get(row, "pk")?,
            })
        })
        .collect()
}

/// Copies the rows of a table.
async fn pour(
    from: &SqlStore,
    mut to: Conn<'_>,
    table: &'static str,
    columns: &[Column],
) -> Result<Sum, StoreError> {
    let mut sum = Sum::default();
    let mut last = None;
    loop {
        let rows = page(from.read(), table, columns, last.as_ref()).await?;
        let Some(end) = rows.last() else { return Ok(sum) };
        last = Some(end.clone());
        for row in &rows {
            sum.add(row);
        }
        let mut insert = QueryBuilder::new("INSERT INTO ");
        insert.push(table).push(" (");
        names(&mut insert, columns.iter());
        insert.push(") ");
        insert.push_values(rows, |mut row, values| {
            for value in values {
                row.push_bind(value);
            }
        });
        insert.build().execute(to.lend()).await.map_err(failed)?;
    }
}

/// Reads a table to its end.
async fn sum(mut conn: Conn<'_>, table: &'static str, columns: &[Column]) -> Result<Sum, StoreError> {
    let mut sum = Sum::default();
    let mut last = None;
    loop {
        let rows = page(conn.lend(), table, columns, last.as_ref()).await?;
        let Some(end) = rows.last() else { return Ok(sum) };
        last = Some(end.clone());
        for row in &rows {
            sum.add(row);
        }
    }
}

/// The rows that follow `last` in the order of the primary key.
async fn page<'c>(
    target: impl Into<sql::Target<'c>>,
    table: &'static str,
    columns: &[Column],
    last: Option<&Vec<Value>>,
) -> Result<Vec<Vec<Value>>, StoreError> {
    let places: BTreeMap<i64, usize> = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.key > 0)
        .map(|(place, column)| (column.key, place))
        .collect();
    let key = || places.values().map(|place| &columns[*place]);
    let mut query = QueryBuilder::new("SELECT ");
    names(&mut query, columns.iter());
    query.push(" FROM ").push(table);
    if let Some(last) = last {
        query.push(" WHERE (");
        names(&mut query, key());
        query.push(") > (");
        for (number, place) in places.values().enumerate() {
            query.push(if number == 0 { "" } else { ", " });
            query.push_bind(last[*place].clone());
        }
        query.push(")");
    }
    query.push(" ORDER BY ");
    names(&mut query, key());
    query.push(" LIMIT ").push_bind(ROWS);
    let rows = query.build().fetch_all(target).await.map_err(failed)?;
    rows.iter().map(|row| values(row, columns)).collect()
}

fn names<'a>(query: &mut QueryBuilder, columns: impl Iterator<Item = &'a Column>) {
    for (number, column) in columns.enumerate() {
        query.push(if number == 0 { "" } else { ", " });
        query.push_name(&column.name);
    }
}

fn values(row: &Row, columns: &[Column]) -> Result<Vec<Value>, StoreError> {
    columns
        .iter()
        .enumerate()
        .map(|(place, column)| {
            let value = match column.sort {
                Sort::Text => row.at(place).map(Value::Text),
                Sort::Int => row.at(place).map(Value::Int),
                Sort::Bytes => row.at(place).map(Value::Bytes),
            };
            value.map(Value::into_postgres).map_err(failed)
        })
        .collect()
}

impl Sum {
    fn add(&mut self, row: &[Value]) {
        let mut digest = Sha256::new();
        for value in row {
            value.digest(&mut digest);
        }
        let mut first = [0; 16];
        first.copy_from_slice(&digest.finalize()[..16]);
        self.rows += 1;
        self.hash = self.hash.wrapping_add(u128::from_le_bytes(first));
    }
}
