//! What a connector can do with a kind: flat data, and the only place that says so.

use mapping::FieldSupport;
use serde::Serialize;

use crate::webhooks::Grade;

/// What a connector can do with one kind.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Capability {
    /// It can list and fetch records.
    pub read: bool,
    /// It can create records.
    pub create: bool,
    /// It can change records.
    pub update: bool,
    /// It can delete records.
    pub delete: bool,
    /// It can tell what changed since a cursor.
    pub incremental: bool,
    /// Its deltas name what was deleted.
    pub reports_deletes: bool,
    /// How far a write can be made conditional on what was read.
    pub conditional: Conditional,
    /// Whether writing makes the vendor mail people.
    pub notifies: Notifies,
    /// Whether the client chooses a new object's id, so that a create can be probed and never doubled.
    pub client_ids: bool,
    /// How series and their overrides are laid out at the vendor.
    pub series: SeriesModel,
    /// How many writes one call may carry.
    pub batch_max: u32,
    /// Whether the provider tells of changes by itself, and how its deliveries are proven.
    pub webhook: WebhookProof,
    /// The longest that a subscription to deliveries lasts, in milliseconds; `None` where it does not end by itself,
    /// or where there are none.
    pub webhook_expires_max_ms: Option<i64>,
    /// The fields it maps, and which of them it can write.
    #[serde(skip)]
    pub fields: &'static [FieldSupport],
}

impl Capability {
    /// A kind that the connector does not know.
    pub const NONE: Self = Self {
        read: false,
        create: false,
        update: false,
        delete: false,
        incremental: false,
        reports_deletes: false,
        conditional: Conditional::None,
        notifies: Notifies::Never,
        client_ids: false,
        series: SeriesModel::None,
        batch_max: 1,
        webhook: WebhookProof::None,
        webhook_expires_max_ms: None,
        fields: &[],
    };

    /// Whether the connector reads this field.
    #[must_use]
    pub fn reads(&self, field: &str) -> bool {
        self.fields.iter().any(|support| support.field == field)
    }

    /// Whether the connector writes this field.
    #[must_use]
    pub fn writes(&self, field: &str) -> bool {
        self.fields
            .iter()
            .any(|support| support.field == field && support.writable)
    }
}

/// How far a write can be made conditional.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conditional {
    /// On the exact version that was read: no remote change is ever overwritten unseen.
    Version,
    /// On a time of whole seconds: a change in the same second can be missed.
    Second,
    /// Not at all: clashes are found by reading back.
    None,
}

/// How a provider's deliveries are proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookProof {
    /// By a signature: they may say what changed.
    Signed,
    /// By a secret that both sides know: they may say that something changed.
    SharedSecret,
    /// There are no deliveries.
    None,
}

impl WebhookProof {
    /// The grade that a proven delivery has.
    #[must_use]
    pub const fn grade(self) -> Option<Grade> {
        match self {
            Self::Signed => Some(Grade::Signed),
            Self::SharedSecret => Some(Grade::SharedSecret),
            Self::None => None,
        }
    }
}

/// Whether writing makes the vendor mail people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Notifies {
    /// It never does.
    Never,
    /// It does unless told not to; this connector always tells it not to.
    Suppressible,
    /// It mails the people whom an object names already, as other clients invited them; those whom this connector names
    /// it leaves alone. [`crate::Push::notified`] says whom a write would mail.
    Existing,
    /// It does, and nothing turns it off.
    Always,
}

/// How series are laid out at the vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesModel {
    /// There are no series of this kind.
    None,
    /// One remote object holds the master and all overrides (CalDAV).
    Whole,
    /// The master and each override, cancelled ones included, are remote objects of their own (Google). A master may
    /// list cancelled occurrences itself.
    PerPart,
    /// The master and each *changed* occurrence are remote objects of their own; a cancelled occurrence is no object
    /// at all, and the master's object lists it (Microsoft Graph: `cancelledOccurrences`). It is cancelled by a delete
    /// of the occurrence, and it may be impossible to bring it back.
    Instances,
}

impl SeriesModel {
    /// Whether overrides are objects of their own.
    #[must_use]
    pub const fn has_part_objects(self) -> bool {
        match self {
            Self::PerPart | Self::Instances => true,
            Self::None | Self::Whole => false,
        }
    }
}
