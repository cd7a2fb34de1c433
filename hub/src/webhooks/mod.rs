//! Webhooks in: `/hooks/{connection_id}`, and `/hooks/apps/{provider_app_id}` for many connections at once.
//!
//! Raw bytes, size limit, handshake, verification, dedupe, durable inbox; then 2xx, and not before. Nothing of a request
//! is read that is not proven, and nothing is answered 2xx that is not durable.

mod body;
pub mod committer;
mod directory;
mod intake;
mod late;
mod routes;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use connector_sdk::Clock;
use model::OrganizationId;
use store::{HookOwner, SqliteStore};

pub use body::{ALL_BODIES_BYTES, BODY_WITHIN};
pub use routes::{refresh_all as refresh_routes, refresh_one as refresh_routes_of};

use crate::providers::ProviderPool;
use crate::state::AppState;
use committer::{Committer, InboxPort};

/// What the addresses need: look-ups, the way to the committer, room for bodies.
pub struct Intake {
    directory: directory::Directory,
    committer: Committer,
    room: body::Room,
    /// Scheme, host and port that providers were given.
    origin: Arc<str>,
}

impl Intake {
    /// The addresses of a server that others reach at `origin` (scheme, host and port), writing to this inbox.
    #[must_use]
    pub fn new(
        store: SqliteStore,
        inbox: Arc<dyn InboxPort>,
        providers: Arc<ProviderPool>,
        clock: Arc<dyn Clock>,
        origin: &str,
    ) -> Self {
        Self {
            directory: directory::Directory::new(store, providers, clock),
            committer: Committer::start(inbox),
            room: body::Room::default(),
            origin: origin.trim_end_matches('/').into(),
        }
    }

    /// Forgets what it knows of an address: its secrets have changed, or it is gone.
    pub fn forget(&self, owner: &HookOwner) {
        self.directory.forget(owner);
    }

    /// Forgets what it knows of an organization's routes.
    pub fn forget_routes(&self, organization: &OrganizationId) {
        self.directory.forget_routes(organization);
    }

    /// The address at which an owner's deliveries come in.
    #[must_use]
    pub fn address_of(&self, owner: &HookOwner) -> String {
        match owner {
            HookOwner::Connection(id) => format!("{}/hooks/{id}", self.origin),
            HookOwner::App(id) => format!("{}/hooks/apps/{id}", self.origin),
        }
    }
}

/// The addresses. No API key: who may send is proven by the delivery itself.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(
            "/hooks/{id}",
            get(intake::to_connection).post(intake::to_connection),
        )
        .route("/hooks/apps/{id}", get(intake::to_app).post(intake::to_app))
}
