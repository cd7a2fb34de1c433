//! What a delivery says.

use serde::{Deserialize, Serialize};

use super::Grade;
use super::request::VerifiedRequest;
use crate::RemoteId;
use crate::error::{Error, ErrorKind};
use crate::pull::Change;

/// A name under which a provider app's deliveries find a connection: a workspace, an account, a subscription.
/// Opaque, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Route(pub String);

/// One thing that a delivery says.
#[derive(Debug, Clone)]
pub enum Notice {
    /// Something changed: go and look. Says nothing about what.
    Dirty {
        /// In this collection; `None`: somewhere in the account, or its list of collections.
        collection: Option<RemoteId>,
    },
    /// What changed. Goes through the same merge as a pull.
    Observed(Observed),
}

/// Of two observations of one object, the one with the greater key is the later state; equal keys are one state.
/// The provider's own number: a sequence, or a time in milliseconds. Keys of different objects are not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderingKey(pub i64);

/// A change that a signed delivery brings.
#[derive(Debug, Clone)]
pub struct Observed {
    collection: RemoteId,
    change: Change,
    ordering_key: OrderingKey,
}

impl Observed {
    /// A change as the delivery tells it. Its object is whole (`Coverage::Full`).
    ///
    /// # Errors
    /// `BadSignature` when the delivery only brought a shared secret: then it can be `Dirty` and no more.
    pub fn new(
        request: &VerifiedRequest,
        collection: RemoteId,
        change: Change,
        ordering_key: OrderingKey,
    ) -> Result<Self, Error> {
        match request.grade() {
            Grade::Signed => Ok(Self {
                collection,
                change,
                ordering_key,
            }),
            Grade::SharedSecret => Err(Error::new(
                ErrorKind::BadSignature,
                "webhook.parse",
                "a delivery that is not signed says what changed; it may only say that something did",
            )),
        }
    }

    /// Where.
    #[must_use]
    pub fn collection(&self) -> &RemoteId {
        &self.collection
    }

    /// What.
    #[must_use]
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// Which state of the object it is.
    #[must_use]
    pub fn ordering_key(&self) -> OrderingKey {
        self.ordering_key
    }

    /// Where, what, and which state of the object it is.
    #[must_use]
    pub fn into_parts(self) -> (RemoteId, Change, OrderingKey) {
        (self.collection, self.change, self.ordering_key)
    }
}
