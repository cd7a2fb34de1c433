//! The HTTP API (DESIGN section 9): one file per resource with its In/Out/Patch types, handlers and `router()`,
//! merged here under the layers that all share.

pub mod api_keys;
mod app_clients;
pub mod audit;
pub mod calendars;
pub mod changes;
pub mod conflicts;
pub mod connections;
pub mod connectors;
pub mod deliveries;
pub mod docs;
mod edits;
pub mod envelope;
pub mod error;
pub mod events;
pub mod extract;
pub mod folders;
pub mod free_busy;
mod gauges;
pub mod health;
pub mod holds;
mod idempotency;
pub mod jobs;
mod layers;
pub mod links;
pub mod messages;
pub mod mirrors;
pub mod occurrences;
pub mod passthrough;
pub mod provider_apps;
pub mod quarantine;
pub mod records;
pub mod root;
pub mod webhook;
pub mod webhook_endpoints;
mod window;

use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;
use crate::{consent, webhooks};

pub use idempotency::once;
pub(crate) use layers::request_id;

/// Longest time for an answer that is no stream. A new connection is tried at its provider before it is stored, so
/// this is longer than a provider may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The resources whose answers end soon.
fn resources() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(document())
        .merge(connections::router())
        .merge(calendars::router())
        .merge(holds::router())
        .merge(events::router())
        .merge(folders::router())
        .merge(messages::router())
        .merge(occurrences::router())
        .merge(free_busy::router())
        .merge(mirrors::router())
        .merge(conflicts::router())
        .merge(links::router())
        .merge(quarantine::router())
        .merge(records::router())
        .merge(changes::router())
        .merge(webhook_endpoints::router())
        .merge(jobs::router())
        .merge(deliveries::router())
        .merge(provider_apps::router())
        .merge(webhook::router())
        .merge(api_keys::router())
        .merge(audit::router())
        .merge(connectors::router())
        .merge(health::router())
}

/// The resources whose answers are streams: no timeout ends them; they end with [`AppState::stopping`].
fn streams() -> OpenApiRouter<AppState> {
    changes::streams()
}

/// The whole API with its documents.
pub fn router(state: AppState) -> Router {
    let (resources, openapi) = resources().split_for_parts();
    let (streams, of_streams) = streams().split_for_parts();
    let openapi = openapi.merge_from(of_streams).merge_from(passthrough::document());
    let status = axum::http::StatusCode::SERVICE_UNAVAILABLE;
    resources
        .route_layer(TimeoutLayer::with_status_code(status, ANSWER_TIMEOUT))
        .merge(streams)
        .route_layer(from_fn(layers::acceptable))
        .merge(passthrough::router())
        .merge(root::router())
        .merge(webhooks::router())
        .merge(consent::router())
        .merge(docs::router(openapi))
        .fallback(layers::no_such_route)
        .method_not_allowed_fallback(layers::no_such_method)
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn(layers::measure))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(layers::span)
                .on_request(())
                .on_response(layers::log_answer)
                .on_failure(()),
        )
        .layer(from_fn_with_state(state.clone(), layers::finish))
        .with_state(state)
}

/// The OpenAPI document of everything above.
#[must_use]
pub fn openapi() -> OpenApi {
    let (_, openapi) = resources().split_for_parts();
    let (_, of_streams) = streams().split_for_parts();
    openapi.merge_from(of_streams).merge_from(passthrough::document())
}

fn document() -> OpenApi {
    let mut components = Components::new();
    let key = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key: `ck_...`"))
        .build();
    components.add_security_scheme("api_key", SecurityScheme::Http(key));
    let info = InfoBuilder::new()
        .title("Concord")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Calendars and mailboxes of different systems in one API. Every success is `{\"data\": ...}`, every failure \
             `{\"error\": {\"code\", \"message\", \"details\", \"request_id\"}}`.",
        ))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .build()
}
