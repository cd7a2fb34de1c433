//! The feed as it grows: one reader per organization, and what it reads handed to everybody who follows. A follower
//! begins in the store, catches up, and steps over to what the reader hands out without a gap and without a double.

mod channel;
mod follower;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_sdk::Clock;
use model::OrganizationId;
use store::{Change, ChangeFilter, SqliteStore};
use sync::ports::StoreError;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use channel::{Channel, Seat};
pub use follower::{Follower, News};

/// Followers that an organization may have on one node at once.
pub const MAX_FOLLOWERS: usize = 1_000;
/// Changes that wait for a follower. Who has more waiting is let go, and resumes.
pub const QUEUE: usize = 256;

/// How many may follow, and how far behind they may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Followers of an organization.
    pub followers: usize,
    /// Changes that wait for one of them.
    pub queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            followers: MAX_FOLLOWERS,
            queue: QUEUE,
        }
    }
}

/// Why nothing more is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server stops.
    Stopping,
    /// The database does not answer.
    Unavailable,
    /// More waited than [`Limits::queue`].
    Slow,
    /// The key that opened it opens nothing any more.
    Revoked,
}

impl End {
    /// The word for it in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::Unavailable => "unavailable",
            Self::Slow => "slow",
            Self::Revoked => "revoked",
        }
    }
}

/// Why nobody may follow now.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The organization has as many followers as it may.
    #[error("there are {0} streams of this organization already; end one, or share one")]
    TooMany(usize),
    /// The place does not exist yet.
    #[error("the feed ends at {head}, before the place to go on after; was the database restored?")]
    Beyond {
        /// Where the feed ends.
        head: i64,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A change, and its text once somebody needed it: written once for all followers.
#[derive(Debug)]
pub struct Told {
    /// The change.
    pub change: Change,
    text: std::sync::OnceLock<Arc<str>>,
}

impl Told {
    fn new(change: Change) -> Arc<Self> {
        Arc::new(Self {
            change,
            text: std::sync::OnceLock::new(),
        })
    }

    /// Its text, made by the first who asks.
    pub fn text(&self, make: impl FnOnce(&Change) -> String) -> Arc<str> {
        Arc::clone(self.text.get_or_init(|| make(&self.change).into()))
    }
}

/// The feeds of all organizations. Cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Shared>);

struct Shared {
    store: SqliteStore,
    clock: Arc<dyn Clock>,
    stopping: CancellationToken,
    limits: Limits,
    channels: Mutex<HashMap<OrganizationId, Arc<Channel>>>,
}

impl Feed {
    /// Feeds of what this store commits; every follower is told when `stopping` is cancelled.
    #[must_use]
    pub fn new(
        store: SqliteStore,
        clock: Arc<dyn Clock>,
        stopping: CancellationToken,
        limits: Limits,
    ) -> Self {
        let feed = Self(Arc::new(Shared {
            store,
            clock,
            stopping,
            limits,
            channels: Mutex::default(),
        }));
        tokio::spawn(listen(feed.clone()));
        feed
    }

    /// Follows an organization's feed from after `after`, or from now on.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn follow(
        &self,
        organization: &OrganizationId,
        after: Option<i64>,
        filter: ChangeFilter,
    ) -> Result<Follower, Refused> {
        let head = self.0.store.latest_seq(organization).await?;
        let after = after.unwrap_or(head);
        if after > head {
            return Err(Refused::Beyond { head });
        }
        let (channel, seat) = self.seat(organization, head)?;
        Ok(Follower::new(self.clone(), channel, seat, filter, after))
    }

    /// Followers of an organization on this node.
    #[must_use]
    pub fn followers(&self, organization: &OrganizationId) -> usize {
        self.channels()
            .get(organization)
            .map_or(0, |channel| channel.seats())
    }

    /// A seat at the organization's reader, which begins to read with the first.
    fn seat(&self, organization: &OrganizationId, head: i64) -> Result<(Arc<Channel>, Arc<Seat>), Refused> {
        let mut channels = self.channels();
        let channel = match channels.get(organization) {
            Some(channel) => Arc::clone(channel),
            None => {
                let channel = Arc::new(Channel::new(organization.clone(), head));
                channels.insert(organization.clone(), Arc::clone(&channel));
                tokio::spawn(channel::read(self.clone(), Arc::clone(&channel)));
                channel
            }
        };
        let most = self.0.limits.followers;
        let seat = channel.sit(most).ok_or(Refused::TooMany(most))?;
        Ok((channel, seat))
    }

    /// Gives a seat back; the reader ends with the last.
    fn leave(&self, channel: &Arc<Channel>, seat: &Seat) {
        let mut channels = self.channels();
        channel.stand_up(seat);
        let current = channels.get(channel.organization());
        if channel.seats() == 0 && current.is_some_and(|current| Arc::ptr_eq(current, channel)) {
            channels.remove(channel.organization());
            channel.close();
        }
    }

    /// The reader ended: the next follower gets a new one.
    fn forget(&self, channel: &Arc<Channel>) {
        let mut channels = self.channels();
        if channels
            .get(channel.organization())
            .is_some_and(|current| Arc::ptr_eq(current, channel))
        {
            channels.remove(channel.organization());
        }
    }

    fn channels(&self) -> MutexGuard<'_, HashMap<OrganizationId, Arc<Channel>>> {
        self.0.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes an organization's reader when its feed grew.
async fn listen(feed: Feed) {
    let mut bell = feed.0.store.subscribe_changes();
    loop {
        let rung = tokio::select! {
            () = feed.0.stopping.cancelled() => return,
            rung = bell.recv() => rung,
        };
        match rung {
            Ok(head) => {
                // Others may ring for what was read already: a node hears of a change by more than one way.
                if let Some(channel) = feed.channels().get(&head.organization)
                    && channel.position() < head.seq
                {
                    channel.ring();
                }
            }
            Err(RecvError::Lagged(_)) => feed.channels().values().for_each(|channel| channel.ring()),
            Err(RecvError::Closed) => return,
        }
    }
}
