//! Pools, connections, transactions and rows of either engine.

use std::sync::Arc;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Error, Postgres, Row as _, Sqlite, Transaction};

use super::Stored;
use super::gate::{Gate, Place};

/// Connections to share.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(Arc<Gate>),
}

/// A connection, lent.
#[derive(Debug)]
pub(crate) enum Conn<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// Where a statement is sent.
pub(crate) enum Target<'c> {
    Pool(&'c Pool),
    Conn(Conn<'c>),
}

impl<'c> From<&'c Pool> for Target<'c> {
    fn from(pool: &'c Pool) -> Self {
        Self::Pool(pool)
    }
}

impl<'c> From<Conn<'c>> for Target<'c> {
    fn from(conn: Conn<'c>) -> Self {
        Self::Conn(conn)
    }
}

impl Conn<'_> {
    /// For one statement.
    pub(crate) fn lend(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            Self::Postgres(conn) => Conn::Postgres(conn),
        }
    }
}

impl Pool {
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(gate) => gate.pool.close().await,
        }
    }
}

/// A transaction. Dropped without a commit it leaves everything as it was.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>, Place),
}

impl Tx {
    /// Begins one on a server.
    pub(crate) async fn on_server(gate: &Gate) -> Result<Self, Error> {
        let place = gate.enter().await?;
        Ok(Self::Postgres(gate.note(gate.pool.begin().await)?, place))
    }

    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(tx) => Conn::Sqlite(tx),
            Self::Postgres(tx, _) => Conn::Postgres(tx),
        }
    }

    pub(crate) async fn commit(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx, _place) => tx.commit().await,
        }
    }
}

/// A row of an answer.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value in a column.
    pub(crate) fn try_get<'r, T: Stored<'r>>(&'r self, column: &str) -> Result<T, Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    /// The value in the first column.
    pub(crate) fn first<'r, T: Stored<'r>>(&'r self) -> Result<T, Error> {
        self.at(0)
    }

    /// The value in a column by its place, from 0.
    pub(crate) fn at<'r, T: Stored<'r>>(&'r self, place: usize) -> Result<T, Error> {
        match self {
            Self::Sqlite(row) => row.try_get(place),
            Self::Postgres(row) => row.try_get(place),
        }
    }
}
