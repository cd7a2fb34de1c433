//! Writing: each write is an intent that was stored before it is sent.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use model::{Content, FieldPath, IntentId, Kind, PartKey};

use crate::collection::RemoteCollection;
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::pull::{RemoteObject, SeriesPart};
use crate::{RemoteId, RemoteVersion};

/// One write to one remote object.
#[derive(Debug, Clone)]
pub struct Write {
    /// The intent behind it. A created object's id or marker is derived from it, so that a create whose answer was
    /// lost can be found again.
    pub intent: IntentId,
    /// What is written.
    pub kind: Kind,
    /// Which part: the master for [`crate::SeriesModel::Whole`], else the part whose object this is.
    pub part: PartKey,
    /// What to do.
    pub action: Action,
}

/// What to do with a remote object.
#[derive(Debug, Clone)]
pub enum Action {
    /// Make it. For [`crate::SeriesModel::PerPart`] the master is made, with the cancelled occurrences if it can
    /// carry them; the other overrides follow as updates. For [`crate::SeriesModel::Instances`] the master alone is
    /// made; changed occurrences follow as updates, cancelled ones as deletes.
    Create {
        /// What it shall say.
        content: Content,
    },
    /// Change what is named and nothing else.
    Update {
        /// The object.
        target: Target,
        /// The record's whole content as it shall be.
        content: Content,
        /// The paths that differ from what the object says now.
        changed: BTreeSet<FieldPath>,
    },
    /// Remove it. With a part of [`crate::SeriesModel::Instances`] that is not the master: cancel the occurrence,
    /// whether or not it is an object (then the target has no id, and `series` names it).
    Delete {
        /// The object.
        target: Target,
    },
}

/// The object a write goes to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its id; `None` for an override that is not an object of its own yet (then `series` is set).
    pub id: Option<RemoteId>,
    /// The version that was read: the write is conditional on it. `None` where the provider has none.
    pub version: Option<RemoteVersion>,
    /// The object as last seen, whole and of this version.
    pub raw: Option<Bytes>,
    /// For an override that is or becomes an object of its own, and for an occurrence that is cancelled: whose it is.
    pub series: Option<SeriesPart>,
}

/// What a write came to.
#[derive(Debug, Clone)]
pub enum Applied {
    /// The object as the provider holds it now: read back, or answered by the write itself. Never merely assumed.
    Stored(Box<RemoteObject>),
    /// The object is gone. Deleting what is not there succeeds.
    Gone,
}

impl Applied {
    /// The object, where there is one.
    #[must_use]
    pub fn object(self) -> Option<RemoteObject> {
        match self {
            Self::Stored(object) => Some(*object),
            Self::Gone => None,
        }
    }
}

/// The writing facet.
#[async_trait]
pub trait Push: Send + Sync {
    /// Carries out the writes, one outcome each, in order. A failed one does not stop the others. Nobody is
    /// notified by them.
    async fn apply(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        writes: &[Write],
    ) -> Vec<Result<Applied, Error>>;

    /// Whom the provider would mail if this write were carried out now, by address. Asked where the capability says
    /// [`crate::Notifies::Existing`], before an object that names people is changed or deleted; nobody else has to
    /// answer.
    ///
    /// # Errors
    /// When it cannot be told; `Unsupported` from connectors that are not asked.
    async fn notified(
        &self,
        _ctx: &Context,
        _collection: &RemoteCollection,
        _write: &Write,
    ) -> Result<Vec<String>, Error> {
        Err(Error::new(
            ErrorKind::Unsupported,
            "notified",
            "this connector's capability says whom it mails",
        ))
    }

    /// Looks for the object that a create with this intent would have made. Asked before a create is sent again.
    /// [`Applied::Gone`] when the provider itself says that it was made and deleted since, as Google does; `None` when
    /// it shows no trace of it.
    ///
    /// # Errors
    /// When it cannot be told whether the object is there; `Unsupported` when it never can.
    async fn probe(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Option<Applied>, Error>;
}
