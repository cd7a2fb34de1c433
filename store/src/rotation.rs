//! Another master key in the place of the one in use: from one moment on everything is sealed with the new one, and what
//! the old one sealed is sealed anew, some rows at a time. Servers go on meanwhile, and hold both keys. Whatever ends it
//! in the middle leaves every value readable with both keys; calling it again goes on. See `docs/adr/0014-*.md`.

use std::collections::BTreeSet;

use sync::ports::StoreError;

use crate::column::{corrupt, failed, get};
use crate::dialect::Engine;
use crate::open::SqlStore;
use crate::ring::{BEFORE, CURRENT, HELD_BY, Keys, THE_SERVER, keys};
use crate::seal::{MasterKey, Sealed};
use crate::sql::{self, QueryBuilder};
use crate::write::Write;

/// Values of one transaction: writers wait for no more than that.
const ROWS: i64 = 100;
/// Before the fingerprint of a key that was replaced.
const RETIRED: &str = "master_key_retired:";

/// A table with sealed values, and how its rows are named.
struct Sealing {
    table: &'static str,
    owner: &'static str,
    /// What tells several values of an owner apart.
    part: Option<&'static str>,
    /// The last word of the place, where the row itself does not say it.
    purpose: Option<&'static str>,
}

const SEALED: [Sealing; 4] = [
    Sealing {
        table: "credentials",
        owner: "connection_id",
        part: Some("purpose"),
        purpose: None,
    },
    Sealing {
        table: "hook_secrets",
        owner: "owner",
        part: None,
        purpose: Some(crate::hooks::PURPOSE),
    },
    Sealing {
        table: "webhook_secrets",
        owner: "endpoint_id",
        part: Some("number"),
        purpose: Some(crate::outbound::SECRET_PURPOSE),
    },
    Sealing {
        table: "app_clients",
        owner: "app_id",
        part: None,
        purpose: Some(crate::consent::CLIENT_PURPOSE),
    },
];

/// Why the key was not changed, or not to the end. Everything can be read with the two keys together.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Only one key was given.
    #[error("there is no new master key to change to; nothing was changed")]
    NoNewKey,
    /// The new key was in use before.
    #[error("master key {0} was replaced once, and is not taken back into use; nothing was changed")]
    Retired(String),
    /// Somebody serves the database who would not be able to read what is sealed anew.
    #[error("{node} serves the database and does not hold master key {key} yet; nothing was changed")]
    NotHeld {
        /// Who.
        node: String,
        /// The new key's fingerprint.
        key: String,
    },
    /// Some values cannot be read, with either key.
    #[error(
        "{} sealed values cannot be read with the keys given, and stay as they are: {}; all others are sealed anew, and \
         the old key is still needed",
        .0.len(), .0.join(", ")
    )]
    Unreadable(Vec<String>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How the change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The key that is of no use any more; `None` when that was so before.
    pub before: Option<String>,
    /// The key that seals.
    pub current: String,
    /// Values that were sealed anew.
    pub resealed: u64,
}

impl SqlStore {
    /// Changes from the first key of the ring to its next one, or goes on where an earlier call ended. `told` hears how
    /// many values were sealed anew so far, after each transaction.
    ///
    /// # Errors
    /// As [`RotationError`] says.
    pub async fn rotate_key(&self, mut told: impl FnMut(u64)) -> Result<Rotated, RotationError> {
        let Keys { current, before } = self.begin_rotation().await?;
        let Some(before) = before else {
            return Ok(Rotated {
                before: None,
                current,
                resealed: 0,
            });
        };
        let key = self.keys().find(&current);
        let key = key.ok_or_else(|| corrupt("master key", "it was changed again meanwhile"))?;
        let mut resealed = 0;
        let mut unreadable = Vec::new();
        for sealing in &SEALED {
            let mut passed = 0;
            loop {
                let some = self.reseal(sealing, key, passed).await?;
                if some.rows == 0 {
                    break;
                }
                resealed += some.resealed;
                passed += i64::try_from(some.unreadable.len()).unwrap_or(i64::MAX);
                unreadable.extend(some.unreadable);
                told(resealed);
            }
        }
        if !unreadable.is_empty() {
            return Err(RotationError::Unreadable(unreadable));
        }
        self.end_rotation(&before, &current).await?;
        Ok(Rotated {
            before: Some(before),
            current,
            resealed,
        })
    }

    /// From its commit on everything is sealed with the new key.
    async fn begin_rotation(&self) -> Result<Keys, RotationError> {
        let mut write = self.write().await?;
        // Writers that seal hold this row until they have committed, and those that come later see what is written here.
        sql::query("UPDATE installation SET value = value WHERE name = $1")
            .bind(CURRENT)
            .execute(write.conn())
            .await
            .map_err(failed)?;
        let found = keys(&mut write).await?;
        if found.before.is_some() {
            return Ok(found);
        }
        let next = self.keys().next().ok_or(RotationError::NoNewKey)?;
        if next.id() == found.current {
            return Ok(found);
        }
        let retired = sql::query("SELECT value FROM installation WHERE name = $1")
            .bind(format!("{RETIRED}{}", next.id()))
            .fetch_optional(write.conn())
            .await
            .map_err(failed)?;
        if retired.is_some() {
            return Err(RotationError::Retired(next.id().to_owned()));
        }
        // Who has the lock on a file keeps servers away; one that runs has it, and has said what it holds.
        if !self.is_alone() {
            self.refuse_unknowing(&mut write, next).await?;
        }
        put(&mut write, BEFORE, &found.current).await?;
        put(&mut write, CURRENT, next.id()).await?;
        write.commit().await?;
        Ok(Keys {
            current: next.id().to_owned(),
            before: Some(found.current),
        })
    }

    /// Whoever serves must hold the new key.
    async fn refuse_unknowing(&self, write: &mut Write, next: &MasterKey) -> Result<(), RotationError> {
        let nodes: Vec<String> = match self.engine() {
            Engine::Sqlite => vec![THE_SERVER.to_owned()],
            Engine::Postgres => self.nodes().await?.into_iter().map(|node| node.name).collect(),
        };
        for node in nodes {
            let held: Option<String> = sql::query_scalar("SELECT value FROM installation WHERE name = $1")
                .bind(format!("{HELD_BY}{node}"))
                .fetch_optional(write.conn())
                .await
                .map_err(failed)?;
            let holds = held.is_some_and(|held| held.split(' ').any(|id| id == next.id()));
            if !holds {
                let key = next.id().to_owned();
                return Err(RotationError::NotHeld { node, key });
            }
        }
        Ok(())
    }

    /// Seals some rows of a table anew, after those that cannot be read.
    async fn reseal(&self, sealing: &Sealing, key: &MasterKey, passed: i64) -> Result<Batch, RotationError> {
        let mut write = self.write().await?;
        let mut query = QueryBuilder::new("SELECT organization_id, ");
        query.push(sealing.owner).push(" AS owner, ");
        match sealing.part {
            Some(part) => query.push("CAST(").push(part).push(" AS TEXT)"),
            None => query.push("''"),
        };
        query
            .push(" AS part, key_id, nonce, sealed FROM ")
            .push(sealing.table)
            .push(" WHERE key_id <> ")
            .push_bind(key.id())
            .push(" ORDER BY organization_id, ")
            .push(sealing.owner)
            .push(", part LIMIT ")
            .push_bind(ROWS)
            .push(" OFFSET ")
            .push_bind(passed)
            .push(self.engine().for_update());
        let rows = query.build().fetch_all(write.conn()).await.map_err(failed)?;
        let mut done = Batch {
            rows: rows.len(),
            resealed: 0,
            unreadable: Vec::new(),
        };
        for row in &rows {
            let (organization, owner) = (get::<&str>(row, "organization_id")?, get::<&str>(row, "owner")?);
            let part: String = get(row, "part")?;
            let sealed = Sealed {
                key_id: get(row, "key_id")?,
                nonce: get(row, "nonce")?,
                bytes: get(row, "sealed")?,
            };
            let mut place = vec![organization, owner];
            place.extend(sealing.part.map(|_| part.as_str()));
            place.extend(sealing.purpose);
            let Ok(plain) = self.keys().unseal(&place, &sealed) else {
                done.unreadable.push(format!("{} of {owner}", sealing.table));
                continue;
            };
            let anew = key
                .seal(&place, &plain)
                .map_err(|error| corrupt("sealed value", error))?;
            let mut update = QueryBuilder::new("UPDATE ");
            update
                .push(sealing.table)
                .push(" SET key_id = ")
                .push_bind(anew.key_id)
                .push(", nonce = ")
                .push_bind(anew.nonce)
                .push(", sealed = ")
                .push_bind(anew.bytes)
                .push(" WHERE organization_id = ")
                .push_bind(organization)
                .push(" AND ")
                .push(sealing.owner)
                .push(" = ")
                .push_bind(owner);
            if let Some(column) = sealing.part {
                update
                    .push(" AND CAST(")
                    .push(column)
                    .push(" AS TEXT) = ")
                    .push_bind(part.as_str());
            }
            let changed = update.build().execute(write.conn()).await.map_err(failed)?;
            done.resealed += changed.rows_affected();
        }
        write.commit().await?;
        Ok(done)
    }

    /// The old key is of no use any more, if nothing is sealed with it.
    async fn end_rotation(&self, before: &str, current: &str) -> Result<(), RotationError> {
        let mut write = self.write().await?;
        let mut left = BTreeSet::new();
        for sealing in &SEALED {
            let mut query = QueryBuilder::new("SELECT 1 AS one FROM ");
            query
                .push(sealing.table)
                .push(" WHERE key_id <> ")
                .push_bind(current)
                .push(" LIMIT 1");
            let found = query.build().fetch_optional(write.conn()).await.map_err(failed)?;
            if found.is_some() {
                left.insert(format!("of {}", sealing.table));
            }
        }
        if !left.is_empty() {
            return Err(RotationError::Unreadable(left.into_iter().collect()));
        }
        sql::query("DELETE FROM installation WHERE name = $1")
            .bind(BEFORE)
            .execute(write.conn())
            .await
            .map_err(failed)?;
        put(
            &mut write,
            &format!("{RETIRED}{before}"),
            &self.now_ms().to_string(),
        )
        .await?;
        Ok(write.commit().await?)
    }
}

/// What came of some rows.
struct Batch {
    rows: usize,
    resealed: u64,
    unreadable: Vec<String>,
}

async fn put(write: &mut Write, name: &str, value: &str) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO installation (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(write.conn())
    .await
    .map_err(failed)?;
    Ok(())
}
