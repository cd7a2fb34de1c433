//! Statements as data: one text and its values, sent to whichever engine the store is on. Everything in this room asks
//! its questions through these types; which engine answers is known to this folder and to `dialect` alone.
//!
//! A text is written in the words both engines take ([`query`]). Where a number of values is not known beforehand
//! [`QueryBuilder`] writes each engine's own form: lists of ids, and rows to insert.

mod builder;
mod connection;
mod gate;
pub(crate) mod plans;
mod value;

pub(crate) use builder::QueryBuilder;
pub(crate) use connection::{Conn, Pool, Row, Target, Tx};
pub(crate) use gate::Gate;
pub(crate) use value::{Stored, Value};

use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Error};

use builder::{Bound, Piece};

/// What a statement says.
enum Text {
    /// The same on both engines.
    Fixed(&'static str),
    /// Written for the engine once that is known.
    Built(Vec<Piece>),
}

/// A statement with its values.
pub(crate) struct Query {
    text: Text,
    values: Vec<Value>,
}

/// A statement with one text for both engines; values stand as `$1`, `$2`, ...
pub(crate) fn query(sql: &'static str) -> Query {
    Query {
        text: Text::Fixed(sql),
        values: Vec::new(),
    }
}

/// As [`query`], for one column.
pub(crate) fn query_scalar(sql: &'static str) -> Scalar {
    Scalar(query(sql))
}

/// What a statement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done(u64);

impl Done {
    pub(crate) const fn rows_affected(self) -> u64 {
        self.0
    }
}

/// Sends a statement to its engine by one of sqlx's ways of fetching.
macro_rules! send {
    ($query:expr, $target:expr, $fetch:ident, $sqlite:expr, $postgres:expr) => {{
        let query: Query = $query;
        match $target.into() {
            Target::Pool(Pool::Sqlite(pool)) => query.on_sqlite()?.$fetch(pool).await.map($sqlite),
            Target::Conn(Conn::Sqlite(conn)) => query.on_sqlite()?.$fetch(conn).await.map($sqlite),
            Target::Pool(Pool::Postgres(gate)) => {
                let _place = gate.enter().await?;
                let answer = match query.on_postgres()?.$fetch(&gate.pool).await {
                    // Nothing depends on the connection it ran on: it goes to a new one.
                    Err(error) if plans::overtaken(&error) => query.on_postgres()?.$fetch(&gate.pool).await,
                    other => other,
                };
                gate.note(answer).map($postgres)
            }
            Target::Conn(Conn::Postgres(conn)) => {
                let answer = query.on_postgres()?.$fetch(conn).await;
                // The transaction is over; whoever began it tries again.
                answer
                    .inspect_err(|error| {
                        plans::overtaken(error);
                    })
                    .map($postgres)
            }
        }
    }};
}

type OnSqlite = sqlx::query::Query<'static, sqlx::Sqlite, SqliteArguments>;
type OnPostgres = sqlx::query::Query<'static, sqlx::Postgres, PgArguments>;

impl Query {
    /// The next value.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    pub(crate) async fn execute<'c>(self, target: impl Into<Target<'c>>) -> Result<Done, Error> {
        send!(self, target, execute, |done| Done(done.rows_affected()), |done| {
            Done(done.rows_affected())
        })
    }

    pub(crate) async fn fetch_all<'c>(self, target: impl Into<Target<'c>>) -> Result<Vec<Row>, Error> {
        send!(
            self,
            target,
            fetch_all,
            |rows| rows.into_iter().map(Row::Sqlite).collect(),
            |rows| rows.into_iter().map(Row::Postgres).collect()
        )
    }

    pub(crate) async fn fetch_one<'c>(self, target: impl Into<Target<'c>>) -> Result<Row, Error> {
        send!(self, target, fetch_one, Row::Sqlite, Row::Postgres)
    }

    pub(crate) async fn fetch_optional<'c>(
        self,
        target: impl Into<Target<'c>>,
    ) -> Result<Option<Row>, Error> {
        send!(self, target, fetch_optional, |row| row.map(Row::Sqlite), |row| {
            row.map(Row::Postgres)
        })
    }

    fn on_sqlite(self) -> Result<OnSqlite, Error> {
        match self.text {
            Text::Fixed(sql) => Ok(sqlx::query_with(sql, value::for_sqlite(self.values)?)),
            Text::Built(pieces) => {
                let sql = builder::text_for_sqlite(&pieces);
                Ok(sqlx::query_with(
                    AssertSqlSafe(sql),
                    value::for_sqlite(self.values)?,
                ))
            }
        }
    }

    fn on_postgres(&self) -> Result<OnPostgres, Error> {
        match &self.text {
            Text::Fixed(sql) => {
                let values = value::for_postgres(self.values.iter().map(Bound::One))?;
                Ok(sqlx::query_with(*sql, values))
            }
            Text::Built(pieces) => {
                let sql = builder::text_for_postgres(pieces);
                let values = builder::values_for_postgres(pieces, &self.values)?;
                Ok(sqlx::query_with(AssertSqlSafe(sql), value::for_postgres(values)?))
            }
        }
    }
}

/// A statement whose rows have one column.
pub(crate) struct Scalar(Query);

impl Scalar {
    /// The next value.
    pub(crate) fn bind(self, value: impl Into<Value>) -> Self {
        Self(self.0.bind(value))
    }

    pub(crate) async fn fetch_one<'c, T>(self, target: impl Into<Target<'c>>) -> Result<T, Error>
    where
        T: for<'r> Stored<'r>,
    {
        self.0.fetch_one(target).await?.first()
    }

    pub(crate) async fn fetch_optional<'c, T>(self, target: impl Into<Target<'c>>) -> Result<Option<T>, Error>
    where
        T: for<'r> Stored<'r>,
    {
        let row = self.0.fetch_optional(target).await?;
        row.map(|row| row.first()).transpose()
    }

    pub(crate) async fn fetch_all<'c, T>(self, target: impl Into<Target<'c>>) -> Result<Vec<T>, Error>
    where
        T: for<'r> Stored<'r>,
    {
        let rows = self.0.fetch_all(target).await?;
        rows.iter().map(Row::first).collect()
    }
}
