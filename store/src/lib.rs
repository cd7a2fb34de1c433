//! The ports on SQLite and PostgreSQL. The only room that knows SQL.
//!
//! [`SqlStore`] implements [`sync::ports::Store`] and [`sync::ports::Jobs`] for the engine, and carries what the
//! hub needs beyond them, one file per resource. Every query takes the organization first.

mod audit;
mod backup;
mod batch;
mod bells;
mod changes;
mod collections;
mod column;
mod concerned;
mod conflicts;
mod connections;
mod consent;
mod copy;
mod counts;
mod credentials;
mod deliveries;
mod dialect;
mod events;
mod facts;
mod freshness;
mod gauges;
mod history;
mod hooks;
mod idempotency;
mod inbox;
mod intents;
mod jobs;
mod keys;
mod link_parts;
mod links;
mod migrations;
mod mirrors;
mod open;
mod organizations;
mod original;
mod outbound;
mod page;
mod pairings;
mod ports;
mod quarantine;
mod queue;
mod receive;
mod records;
mod renewals;
mod ring;
mod rotation;
mod schedules;
mod seal;
mod search;
mod sql;
mod watch;
mod write;

pub use audit::{AuditEnd, AuditFilter, AuditLine};
pub use backup::{BackupError, Restored};
pub use changes::{Change, ChangeFilter, FeedHead};
pub use conflicts::ConflictFilter;
pub use connections::ConnectionPatch;
pub use consent::{AppClient, AppRef, Connect, ConnectLink, Grant, GrantedTo, Journey, Wanted, installation};
pub use copy::{Copied, CopyError, copy};
pub use counts::LinkCounts;
pub use deliveries::{InboundFilter, InboundRow, InboundState};
pub use events::EventFilter;
pub use facts::{Facts, Lease, Node};
pub use gauges::{ConnectionCount, QueueDepth};
pub use hooks::{HookOwner, HookSecret, HookTarget, ProviderApp};
pub use idempotency::IdempotencyClaim;
pub use inbox::{INBOUND_KEPT_MS, InboxDepth, NewInbound, PARKED_MS, Receipt};
pub use jobs::{Job, JobFilter, JobState};
pub use keys::{ApiKey, KeyPermission};
pub use links::LinkFilter;
pub use open::{Durability, OpenError, OpenMode, Options, SqlStore};
pub use organizations::Organization;
pub use outbound::{
    Attempt, Delivery, DeliveryFilter, DeliveryState, Derivation, DueDelivery, EndpointNote, EndpointSecret,
    EndpointState, NewDelivery, Outcome, Replay, ReplayOf, Sent, Then, WebhookEndpoint,
};
pub use page::{Page, Paging};
pub use quarantine::QuarantineFilter;
pub use records::{RecordFilter, RecordView};
pub use renewals::{Held, RenewalEnd, RenewalLease};
pub use ring::KeyRing;
pub use rotation::{Rotated, RotationError};
pub use schedules::{DueSchedule, Scheduled, Schedules, next_usual_sync};
pub use seal::{KeyError, MasterKey, sync_folder_of};
pub use sync::ports::StoreError;
pub use watch::{Committed, Watch};

/// The store by its former name.
pub type SqliteStore = SqlStore;
