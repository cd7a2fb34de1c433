//! CalDAV: Apple, Nextcloud, Radicale, Fastmail and every other RFC 4791 server.
//!
//! Stateless: everything a piece of work needs comes with its `Context`, and a collection's place in history is its
//! cursor. `README.md` tells how to connect to the servers people use.

mod auth;
mod cursor;
mod dav;
mod discovery;
mod enumerate;
mod errors;
mod free_busy;
mod hrefs;
mod multiget;
mod pull;
mod push;
mod scheduling;
mod xml;

use connector_sdk::{
    Actions, Auth, Capability, Conditional, Connector, ConnectorInfo, Limits, Notifies, Passthrough, Pull,
    Push, RemoteCollection, SeriesModel, WebhookProof, Webhooks,
};
use model::{Content, Kind};

use crate::auth::{CaldavAuth, sign};
use crate::free_busy::CaldavActions;
use crate::pull::CaldavPull;
use crate::push::CaldavPush;

static INFO: ConnectorInfo = ConnectorInfo {
    id: "caldav",
    name: "CalDAV",
    kinds: &[Kind::Event],
    schemes: connector_sdk::WEB,
    default_base_url: None,
    limits: Limits {
        requests_per_second: None,
        timeout_ms: 60_000,
        max_response_bytes: 64 << 20,
    },
    passthrough: Some(Passthrough {
        origins: &[],
        // COPY, MOVE and LOCK are left out: their headers name addresses of their own (RFC 4918, 10.3 and 10.4).
        methods: &[
            "GET",
            "HEAD",
            "OPTIONS",
            "PUT",
            "DELETE",
            "POST",
            "PROPFIND",
            "PROPPATCH",
            "REPORT",
            "MKCOL",
            "MKCALENDAR",
        ],
        sign,
    }),
    docs_url: "https://www.rfc-editor.org/rfc/rfc4791",
};

/// The CalDAV connector.
#[derive(Debug, Clone, Copy)]
pub struct CaldavConnector(());

/// The CalDAV connector.
#[must_use]
pub fn connector() -> CaldavConnector {
    CaldavConnector(())
}

impl Connector for CaldavConnector {
    fn info(&self) -> &ConnectorInfo {
        &INFO
    }

    fn capability(&self, kind: Kind) -> Capability {
        match kind {
            Kind::Event => Capability {
                read: true,
                create: true,
                update: true,
                delete: true,
                incremental: true,
                reports_deletes: true,
                conditional: Conditional::Version,
                // Servers may mail attendees by themselves (RFC 6638). Those whom this connector names are written so that
                // they do not; those whom others invited are asked about, object by object.
                notifies: Notifies::Existing,
                client_ids: true,
                series: SeriesModel::Whole,
                batch_max: 1,
                webhook: WebhookProof::None,
                webhook_expires_max_ms: None,
                fields: mapping::ical::support(),
            },
            Kind::Calendar | Kind::Contact | Kind::Folder | Kind::Message => Capability::NONE,
        }
    }

    fn auth(&self) -> &dyn Auth {
        &CaldavAuth
    }

    fn pull(&self) -> Option<&dyn Pull> {
        Some(&CaldavPull)
    }

    fn push(&self) -> Option<&dyn Push> {
        Some(&CaldavPush)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        None
    }

    fn actions(&self) -> Option<&dyn Actions> {
        Some(&CaldavActions)
    }

    fn project(&self, _collection: &RemoteCollection, content: &Content) -> Content {
        mapping::ical::project(content)
    }
}
