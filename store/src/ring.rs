//! The master keys that a process holds, and which of them seals: the one that the database names. So the key can be
//! changed while nodes work, each of which holds both.

use sync::ports::StoreError;
use zeroize::Zeroizing;

use crate::column::{corrupt, failed, get};
use crate::dialect::{Engine, postgres};
use crate::open::{OpenError, OpenMode, SqlStore};
use crate::seal::{MasterKey, SealError, Sealed};
use crate::sql;
use crate::write::Write;

/// The row of `installation` with the fingerprint of the key that seals.
pub(crate) const CURRENT: &str = "master_key";
/// The one with the fingerprint of the key that is being taken out of use, as long as anything may be sealed with it.
pub(crate) const BEFORE: &str = "master_key_before";
/// Before the name of a node: what keys it holds.
pub(crate) const HELD_BY: &str = "keys_of:";
/// The one server of a file.
pub(crate) const THE_SERVER: &str = "server";

/// The keys that a process was given: one, or two while the first is being replaced.
#[derive(Debug, Clone)]
pub struct KeyRing {
    first: MasterKey,
    next: Option<MasterKey>,
}

impl KeyRing {
    /// `first` is what a new database is sealed with; `next` is what `first` is, or was, to be replaced by.
    #[must_use]
    pub const fn new(first: MasterKey, next: Option<MasterKey>) -> Self {
        Self { first, next }
    }

    /// The key to change to, if one was given.
    #[must_use]
    pub const fn next(&self) -> Option<&MasterKey> {
        self.next.as_ref()
    }

    pub(crate) const fn first(&self) -> &MasterKey {
        &self.first
    }

    /// The key with this fingerprint.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&MasterKey> {
        [Some(&self.first), self.next.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.id() == id)
    }

    /// The fingerprints, for people and for the database.
    pub(crate) fn ids(&self) -> String {
        match &self.next {
            Some(next) => format!("{} {}", self.first.id(), next.id()),
            None => self.first.id().to_owned(),
        }
    }

    /// Unseals with the key that sealed.
    pub(crate) fn unseal(&self, place: &[&str], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let key = self.find(&sealed.key_id);
        key.ok_or_else(|| SealError::OtherKey(sealed.key_id.clone()))?
            .unseal(place, sealed)
    }
}

impl From<MasterKey> for KeyRing {
    fn from(key: MasterKey) -> Self {
        Self::new(key, None)
    }
}

/// What the database says of its keys.
pub(crate) struct Keys {
    /// What seals.
    pub(crate) current: String,
    /// What is being taken out of use.
    pub(crate) before: Option<String>,
}

/// Reads what the database says of its keys.
pub(crate) async fn keys(write: &mut Write) -> Result<Keys, StoreError> {
    let rows = sql::query("SELECT name, value FROM installation WHERE name IN ($1, $2)")
        .bind(CURRENT)
        .bind(BEFORE)
        .fetch_all(write.conn())
        .await
        .map_err(failed)?;
    let (mut current, mut before) = (None, None);
    for row in &rows {
        let place = match get::<&str>(row, "name")? {
            CURRENT => &mut current,
            _ => &mut before,
        };
        *place = Some(get(row, "value")?);
    }
    let current = current.ok_or_else(|| corrupt("master key", "the database names none"))?;
    Ok(Keys { current, before })
}

impl SqlStore {
    /// The key that seals in this transaction. Until it ends no other one becomes it.
    pub(crate) async fn sealing_key(&self, write: &mut Write) -> Result<&MasterKey, StoreError> {
        let id: String = sql::query_scalar(write.engine().sealing_key())
            .fetch_one(write.conn())
            .await
            .map_err(failed)?;
        self.keys().find(&id).ok_or_else(|| {
            let problem = format!(
                "the database is sealed with {id} by now, which this process was not given: nothing was written; \
                 restart it with that key"
            );
            corrupt("master key", problem)
        })
    }

    /// Refuses keys that did not seal what is in the database; the first key of a new one is the right one. A server
    /// leaves word of what it holds, so that the key is not changed without it.
    pub(crate) async fn check_keys(&self, mode: OpenMode) -> Result<(), OpenError> {
        let given = self.keys();
        let mut write = self.write().await?;
        sql::query("INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
            .bind(CURRENT)
            .bind(given.first().id())
            .execute(write.conn())
            .await
            .map_err(failed)?;
        // From here to the commit nobody begins to change it.
        sql::query(write.engine().sealing_key())
            .fetch_one(write.conn())
            .await
            .map_err(failed)?;
        let Keys { current, before } = keys(&mut write).await?;
        if given.find(&current).is_none() {
            return Err(OpenError::WrongKey {
                expected: current,
                given: given.ids(),
            });
        }
        if let Some(before) = before
            && given.find(&before).is_none()
        {
            return Err(OpenError::KeyBetween {
                before,
                after: current,
            });
        }
        if mode == OpenMode::Serve {
            let name = match self.engine() {
                Engine::Sqlite => THE_SERVER.to_owned(),
                Engine::Postgres => postgres::node(),
            };
            sql::query(
                "INSERT INTO installation (name, value) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )
            .bind(format!("{HELD_BY}{name}"))
            .bind(given.ids())
            .execute(write.conn())
            .await
            .map_err(failed)?;
        }
        Ok(write.commit().await?)
    }
}
