//! What differs between engines, in one place: a file for each, and here what chooses between them. Everything else in
//! this room is SQL that SQLite and PostgreSQL both take: `$1`, `ON CONFLICT ... DO UPDATE`, `RETURNING`, partial
//! indexes, window functions.

/// The jobs that can be claimed: due ones that wait, and running ones whose lease ran out, one of each lane that
/// nobody works on. A lost job goes before waiting ones of its lane: as long as nobody took it over its old holder
/// could still commit. Live work has a head start.
///
/// Nothing is ranked as a whole: both halves come in the order of their turns, the waiting ones out of the index
/// `jobs_by_turn`, and each is held against its own lane. With a limit behind it no more rows are read than that takes,
/// however many are due: a thousand connections may be at the same moment, and a worker asks after each job.
macro_rules! free_jobs {
    () => {
        "SELECT j.organization_id AS organization_id, j.id AS id, j.lane AS lane, j.run_at - j.head_start_ms AS turn
         FROM jobs j
         WHERE j.state = 'running' AND j.state IN ('queued', 'running') AND j.lease_until <= $1
            AND NOT EXISTS (
                SELECT 1 FROM jobs o
                WHERE o.organization_id = j.organization_id AND o.lane = j.lane AND o.state = 'running'
                    AND (o.lease_until > $1 OR o.run_at - o.head_start_ms < j.run_at - j.head_start_ms
                        OR (o.run_at - o.head_start_ms = j.run_at - j.head_start_ms AND o.id < j.id))
            )
         UNION ALL
         SELECT j.organization_id AS organization_id, j.id AS id, j.lane AS lane, j.run_at - j.head_start_ms AS turn
         FROM jobs j
         WHERE j.state = 'queued' AND j.run_at <= $1 AND j.run_at - j.head_start_ms <= $1
            AND NOT EXISTS (
                SELECT 1 FROM jobs o
                WHERE o.organization_id = j.organization_id AND o.lane = j.lane AND o.state = 'running'
            )
            AND NOT EXISTS (
                SELECT 1 FROM jobs o
                WHERE o.organization_id = j.organization_id AND o.lane = j.lane AND o.state = 'queued'
                    AND o.run_at <= $1
                    AND (o.run_at - o.head_start_ms < j.run_at - j.head_start_ms
                        OR (o.run_at - o.head_start_ms = j.run_at - j.head_start_ms AND o.id < j.id))
            )
         ORDER BY turn, id"
    };
}

/// The job that a fence speaks of, if it is still held.
macro_rules! fence {
    () => {
        "SELECT id, webhook FROM jobs WHERE organization_id = $1 AND id = $2 AND token = $3 AND state = 'running'"
    };
}

/// A connection's own number: the last two letters of its id, each at the place of its value.
macro_rules! place_of_connection {
    ($find:literal, $last_but_one:literal, $last:literal) => {
        concat!(
            "CAST(32 * ",
            $find,
            "('0123456789abcdefghjkmnpqrstvwxyz', ",
            $last_but_one,
            ") + ",
            $find,
            "('0123456789abcdefghjkmnpqrstvwxyz', ",
            $last,
            ") - 33 AS BIGINT)"
        )
    };
}

/// Takes out a job that has ended, under its fence.
macro_rules! forget {
    () => {
        "DELETE FROM jobs WHERE id = $1 AND token = $2 AND state = 'running'"
    };
}

/// The fingerprint of the master key that seals.
macro_rules! sealing_key {
    () => {
        "SELECT value FROM installation WHERE name = 'master_key'"
    };
}

#[cfg(test)]
mod plans;
pub(crate) mod postgres;
pub(crate) mod sqlite;

use sqlx::Error;

use crate::sql::Pool;

/// Whether there is a job to claim.
pub(crate) const ANYTHING_TO_CLAIM: &str = concat!(free_jobs!(), " LIMIT 1");

/// When the next job is due, or the next lease runs out. The index `jobs_to_claim` gives both, the first by its order; what
/// is said twice is what SQLite knows that index by.
pub(crate) const NEXT_DUE: &str = "SELECT MIN(due) FROM (
        SELECT due FROM (
            SELECT MIN(j.lease_until) AS due FROM jobs j
            WHERE j.state = 'running' AND j.state IN ('queued', 'running')
        ) AS leased
        UNION ALL
        SELECT due FROM (
            SELECT j.run_at AS due FROM jobs j
            WHERE j.state = 'queued' AND j.state IN ('queued', 'running') AND NOT EXISTS (
                SELECT 1 FROM jobs o
                WHERE o.organization_id = j.organization_id AND o.lane = j.lane AND o.state = 'running'
            )
            ORDER BY j.run_at LIMIT 1
        ) AS waiting
     ) AS times";

/// Variables of one statement. SQLite takes 32,766 (<https://www.sqlite.org/limits.html>); on PostgreSQL rows are sent
/// as a few arrays.
const MAX_VARIABLES: usize = 32_766;

/// Rows of one INSERT. More rows save round trips; beyond a hundred or so the longer statement costs what they save.
pub(crate) const fn rows_per_insert(columns: usize) -> usize {
    let most = MAX_VARIABLES / columns;
    if most < 100 { most } else { 100 }
}

/// Ids of one list.
pub(crate) const IDS_PER_QUERY: usize = 500;

/// Which engine a store is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// Finds jobs to claim and keeps them from others until the commit: `$1` now, `$2` how many.
    pub(crate) const fn claim(self) -> &'static str {
        match self {
            Self::Sqlite => sqlite::CLAIM,
            Self::Postgres => postgres::CLAIM,
        }
    }

    /// A number of its own, from 0 to 1,023, for a connection `c`: out of the random end of its id.
    pub(crate) const fn place_of_connection(self) -> &'static str {
        match self {
            Self::Sqlite => place_of_connection!("INSTR", "SUBSTR(c.id, -2, 1)", "SUBSTR(c.id, -1)"),
            Self::Postgres => {
                place_of_connection!("STRPOS", "SUBSTR(RIGHT(c.id, 2), 1, 1)", "RIGHT(c.id, 1)")
            }
        }
    }

    /// Finds the job of a fence, if it is still held, and keeps it so until the commit.
    pub(crate) const fn fence(self) -> &'static str {
        match self {
            Self::Sqlite => sqlite::FENCE,
            Self::Postgres => postgres::FENCE,
        }
    }

    /// Takes out a job that has ended: `$1` its id, `$2` its token.
    pub(crate) const fn forget(self) -> &'static str {
        match self {
            Self::Sqlite => forget!(),
            Self::Postgres => postgres::FORGET,
        }
    }

    /// The fingerprint of the master key that seals, and keeps it so until the commit.
    pub(crate) const fn sealing_key(self) -> &'static str {
        match self {
            Self::Sqlite => sqlite::SEALING_KEY,
            Self::Postgres => postgres::SEALING_KEY,
        }
    }

    /// Ends a query whose rows are to be kept from others until the commit. SQLite has one writer at a time anyway.
    pub(crate) const fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// What is broken in the database.
    pub(crate) async fn problems(self, pool: &Pool) -> Result<Vec<String>, Error> {
        match self {
            Self::Sqlite => sqlite::problems(pool).await,
            Self::Postgres => postgres::problems(pool).await,
        }
    }
}
