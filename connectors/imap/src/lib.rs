//! IMAP: any mailbox that speaks RFC 9051 or RFC 3501. Folders are collections, messages are records; flags and labels
//! go both ways, what was sent does not change.
//!
//! The commands are few, and each is asked for exactly what is used of it, so the connection is our own over the parser
//! `imap-proto`: with bounds on what an answer may hold and how long it may take, and with the answers of QRESYNC.

mod address;
mod auth;
mod changes;
mod errors;
mod fetch;
mod find;
mod folders;
mod ids;
mod names;
mod pull;
mod push;
mod session;
mod wire;

use connector_sdk::{
    Actions, Auth, Capability, Conditional, Connector, ConnectorInfo, Limits, Notifies, Pull, Push,
    RemoteCollection, SeriesModel, WebhookProof, Webhooks,
};
use model::{Content, Kind};

use crate::auth::ImapAuth;
use crate::pull::ImapPull;
use crate::push::ImapPush;

static INFO: ConnectorInfo = ConnectorInfo {
    id: "imap",
    name: "IMAP",
    kinds: &[Kind::Message],
    schemes: address::SCHEMES,
    default_base_url: None,
    limits: Limits {
        requests_per_second: None,
        timeout_ms: 60_000,
        max_response_bytes: 24 << 20,
    },
    passthrough: None,
    docs_url: "https://www.rfc-editor.org/rfc/rfc9051",
};

/// The IMAP connector.
pub struct ImapConnector {
    pull: ImapPull,
}

/// The IMAP connector.
#[must_use]
pub const fn connector() -> ImapConnector {
    paged(pull::PAGE)
}

/// The same with at most so many messages on one page: for tests, which want pages of few.
#[must_use]
pub const fn paged(messages: usize) -> ImapConnector {
    ImapConnector {
        pull: ImapPull { page: messages },
    }
}

impl Connector for ImapConnector {
    fn info(&self) -> &ConnectorInfo {
        &INFO
    }

    fn capability(&self, kind: Kind) -> Capability {
        match kind {
            Kind::Message => Capability {
                read: true,
                create: false,
                update: true,
                delete: true,
                incremental: true,
                reports_deletes: true,
                // By UNCHANGEDSINCE (RFC 7162). A server without it is read right before a write, which then names the
                // flags that it changes and no others.
                conditional: Conditional::Version,
                notifies: Notifies::Never,
                client_ids: false,
                series: SeriesModel::None,
                batch_max: 50,
                webhook: WebhookProof::None,
                webhook_expires_max_ms: None,
                fields: mapping::mime::support(),
            },
            Kind::Calendar | Kind::Contact | Kind::Event | Kind::Folder => Capability::NONE,
        }
    }

    fn auth(&self) -> &dyn Auth {
        &ImapAuth
    }

    fn pull(&self) -> Option<&dyn Pull> {
        Some(&self.pull)
    }

    fn push(&self) -> Option<&dyn Push> {
        Some(&ImapPush)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        None
    }

    fn actions(&self) -> Option<&dyn Actions> {
        None
    }

    fn project(&self, _collection: &RemoteCollection, content: &Content) -> Content {
        mapping::mime::project(content)
    }
}
