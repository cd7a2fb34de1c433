//! The unified model and the core words: ids, kinds, records, fields, changes, time.
//!
//! This room does no I/O and reads no clock. Everything else in the workspace speaks its words; see
//! `ARCHITECTURE.md` for how the rooms fit together.

pub mod calendar;
pub mod canonical;
pub mod contact;
pub mod content;
pub mod event;
pub mod expand;
mod fields;
pub mod folder;
pub mod id;
pub mod kind;
pub mod message;
mod record;
pub mod schema;
pub mod series;
pub mod time;
pub mod zone;

pub use calendar::Calendar;
pub use contact::Contact;
pub use content::{Content, FieldPath, Fields, PartKey};
pub use event::Event;
pub use folder::Folder;
pub use id::{
    ApiKeyId, AuditId, CollectionId, ConflictId, ConnectLinkId, ConnectionId, InboundId, IntentId, JobId,
    JourneyId, LinkId, MirrorId, OrganizationId, OutboundDeliveryId, ProviderAppId, QuarantineId, RecordId,
    UserId, WebhookEndpointId,
};
pub use kind::Kind;
pub use message::Message;
pub use schema::{FieldError, FieldSpec, MergeClass, Schema, Scope};
pub use time::EventTime;
