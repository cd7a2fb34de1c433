//! What the connector is and can do.

use connector_sdk::{
    Actions, Auth, Capability, Conditional, Connector, ConnectorInfo, Limits, Notifies, Passthrough, Pull,
    Push, RemoteCollection, SeriesModel, WebhookProof, Webhooks,
};
use model::{Content, Kind};

use crate::auth::sign;

/// The zone of a calendar that names none.
const DEFAULT_ZONE: &str = "UTC";

static INFO: ConnectorInfo = ConnectorInfo {
    id: "google",
    name: "Google Calendar",
    kinds: &[Kind::Event],
    schemes: connector_sdk::WEB,
    default_base_url: Some("https://www.googleapis.com/calendar/v3/"),
    limits: Limits {
        // 600 requests per minute, project and user: https://developers.google.com/workspace/calendar/api/guides/quota
        requests_per_second: Some(10),
        timeout_ms: 60_000,
        max_response_bytes: 64 << 20,
    },
    passthrough: Some(Passthrough {
        // All of the calendar's API is beneath one address.
        origins: &[],
        methods: &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        sign,
    }),
    docs_url: "https://developers.google.com/workspace/calendar/api/v3/reference",
};

/// The connector of Google Calendar.
#[derive(Debug, Clone, Copy, Default)]
pub struct GoogleConnector;

/// The connector of Google Calendar.
#[must_use]
pub fn connector() -> GoogleConnector {
    GoogleConnector
}

impl Connector for GoogleConnector {
    fn info(&self) -> &ConnectorInfo {
        &INFO
    }

    fn capability(&self, kind: Kind) -> Capability {
        match kind {
            Kind::Calendar | Kind::Contact | Kind::Folder | Kind::Message => Capability::NONE,
            Kind::Event => Capability {
                read: true,
                create: true,
                update: true,
                delete: true,
                incremental: true,
                reports_deletes: true,
                conditional: Conditional::Version,
                notifies: Notifies::Suppressible,
                client_ids: true,
                series: SeriesModel::PerPart,
                batch_max: 1,
                webhook: WebhookProof::None,
                webhook_expires_max_ms: None,
                fields: mapping::google::support(),
            },
        }
    }

    fn auth(&self) -> &dyn Auth {
        self
    }

    fn pull(&self) -> Option<&dyn Pull> {
        Some(self)
    }

    fn push(&self) -> Option<&dyn Push> {
        Some(self)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        None
    }

    fn actions(&self) -> Option<&dyn Actions> {
        Some(self)
    }

    fn project(&self, collection: &RemoteCollection, content: &Content) -> Content {
        mapping::google::project(content, zone_of(collection))
    }
}

/// The calendar's zone: that of its days, and of times that float.
pub(crate) fn zone_of(collection: &RemoteCollection) -> &str {
    let zone = collection.fields.get("zone").and_then(serde_json::Value::as_str);
    zone.unwrap_or(DEFAULT_ZONE)
}
