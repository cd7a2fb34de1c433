//! Reading: collections, pages of changes behind a cursor, single objects.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use model::{Content, EventTime, FieldPath, Kind, series};
use serde::{Deserialize, Serialize};

use crate::collection::RemoteCollection;
use crate::context::Context;
use crate::error::Error;
use crate::{RemoteId, RemoteVersion};

/// A place in a collection's history, opaque to everyone but its connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// The objects the hub holds of a collection, with the versions it last saw. Lets a connector without deltas
/// compare, and one with deltas skip what it need not fetch.
pub type Known = HashMap<RemoteId, Option<RemoteVersion>>;

/// What to pull.
#[derive(Debug, Clone, Copy)]
pub struct PullRequest<'a> {
    /// From which collection.
    pub collection: &'a RemoteCollection,
    /// From where on; `None` for everything.
    pub cursor: Option<&'a Cursor>,
    /// What the hub holds already.
    pub known: &'a Known,
}

/// What a page stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Changes since the cursor.
    Delta,
    /// A piece of a complete enumeration that goes on.
    Partial,
    /// The last piece of a complete, unfiltered enumeration: what no piece of this stream named is not there.
    Complete,
}

/// A page of changes.
#[derive(Debug, Clone)]
pub struct Page {
    /// What was seen.
    pub changes: Vec<Change>,
    /// Set only when everything before it is in this or an earlier page of the stream: the hub stores it in the
    /// transaction that stores the page.
    pub cursor: Option<Cursor>,
    /// What the page stands for.
    pub listing: Listing,
}

/// One thing that was seen at the provider.
#[derive(Debug, Clone)]
pub enum Change {
    /// An object as it is now.
    Present(Box<RemoteObject>),
    /// An object that the hub holds in its present version.
    Unchanged(RemoteId),
    /// An object that the provider says is gone. Absence alone is never this.
    Deleted(RemoteId),
    /// An object that is there and cannot be understood; it is quarantined, the rest goes on.
    Unreadable {
        /// Its id.
        id: RemoteId,
        /// Its version, so that it is looked at again only when it changed.
        version: Option<RemoteVersion>,
        /// What is wrong with it, for a person.
        reason: String,
        /// What the provider sent, kept.
        raw: Bytes,
    },
}

impl Change {
    /// The object it speaks of.
    #[must_use]
    pub fn id(&self) -> &RemoteId {
        match self {
            Self::Present(object) => &object.id,
            Self::Unchanged(id) | Self::Deleted(id) | Self::Unreadable { id, .. } => id,
        }
    }
}

/// An object at a provider, in canonical form.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteObject {
    /// Its id.
    pub id: RemoteId,
    /// Its version, where the provider has versions.
    pub version: Option<RemoteVersion>,
    /// Its kind.
    pub kind: Kind,
    /// Set when this object is one override of a series whose master is another object.
    pub series: Option<SeriesPart>,
    /// How much of the object `content` says.
    pub coverage: Coverage,
    /// What it says. For an override (`series` set): the occurrence's *full* fields and no overrides; the engine
    /// makes them sparse. Otherwise: the master with all overrides that this object itself carries.
    pub content: Content,
    /// The object as the provider gave it: the complement is what the mapping does not cover of it. Of a sparse
    /// object it is a fragment, which the hub does not keep.
    pub raw: Bytes,
}

/// How much of an object a [`RemoteObject`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coverage {
    /// All of it: what is absent is not there.
    #[default]
    Full,
    /// What changed, as deltas of some vendors have it. Only `pages` gives such objects, and only behind a cursor.
    ///
    /// - A field that is absent was not said and stays as it was; `null` is cleared; a value is the new one.
    /// - For an override (`series` set) that holds of the occurrence's full fields.
    /// - An override that stands in its master's object and is absent was not said and stays. One that is named is
    ///   said whole, in sparse form; with no fields it is no more.
    Sparse,
}

impl RemoteObject {
    /// What the object says as a whole, where `before` is what it said when it was last seen: of an override the
    /// occurrence's full fields.
    #[must_use]
    pub fn over(&self, before: &Content) -> Content {
        match self.coverage {
            Coverage::Full => self.content.clone(),
            Coverage::Sparse => laid_over(&self.content, before),
        }
    }
}

fn laid_over(said: &Content, before: &Content) -> Content {
    let mut whole = before.clone();
    for (field, value) in &said.fields {
        whole.set(&FieldPath::master(field), Some(value.clone()));
    }
    // What the delta says of overrides speaks of the start that the series has now.
    whole.overrides = series::aligned(before, &whole).overrides;
    for (part, fields) in &said.overrides {
        if fields.is_empty() {
            whole.overrides.remove(part);
        } else {
            whole.overrides.insert(part.clone(), fields.clone());
        }
    }
    whole
}

/// Which occurrence of which series an object overrides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesPart {
    /// The master's id.
    pub series: RemoteId,
    /// When the occurrence was to start.
    pub original_start: EventTime,
}

/// The reading facet.
#[async_trait]
pub trait Pull: Send + Sync {
    /// All collections of the account that hold kinds of this connector.
    ///
    /// # Errors
    /// `Unauthorized`, `Unexpected` when the server does not speak the protocol, `Unavailable`.
    async fn collections(&self, ctx: &Context) -> Result<Vec<RemoteCollection>, Error>;

    /// Changes since the cursor, or everything without one. The stream ends after the page that brings the last
    /// cursor, or with an error; nothing is taken for deleted from a stream that ended with an error. A lost
    /// cursor is `CursorExpired`: the hub then asks again without one, and the connector takes the new cursor
    /// *before* it enumerates.
    fn pages<'a>(&'a self, ctx: &'a Context, request: PullRequest<'a>) -> BoxStream<'a, Result<Page, Error>>;

    /// The present state of single objects: one change per id, `Deleted` for those the provider says it has not.
    ///
    /// # Errors
    /// When the state of the ids cannot be told; never because one of them is gone.
    async fn fetch(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        ids: &[RemoteId],
    ) -> Result<Vec<Change>, Error>;
}
