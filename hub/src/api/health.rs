//! `/healthz`, `/readyz`, `/metrics`: for machines that watch. They take no key and say nothing about anyone's data.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::Data;
use super::error::{ApiError, Code, Failures};
use crate::state::AppState;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusOut {
    /// `ok`.
    pub status: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(scrape))
}

const OK: Data<StatusOut> = Data {
    data: StatusOut {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    },
};

/// Whether the process runs.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, body = Data<StatusOut>)))]
async fn healthz() -> Data<StatusOut> {
    OK
}

/// Whether it can serve: the database answers and is up to date, and the server is not stopping.
#[utoipa::path(get, path = "/readyz", tag = "server",
    responses((status = 200, body = Data<StatusOut>), Failures))]
async fn readyz(State(state): State<AppState>) -> Result<Data<StatusOut>, ApiError> {
    if state.stopping().is_cancelled() {
        return Err(ApiError::new(Code::Unavailable, "the server is stopping"));
    }
    // The store brings its tables up to date before it opens: one that answers is one that is current.
    state.unscoped_store().next_due().await?;
    Ok(OK)
}

/// Counters in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "server",
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn scrape(State(state): State<AppState>) -> Result<Response, ApiError> {
    let store = state.unscoped_store();
    for organization in store.organizations().await? {
        let seq = store.latest_seq(&organization.id).await?;
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 changes")]
        metrics::gauge!("concord_feed_seq", "organization" => organization.id.to_string()).set(seq as f64);
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of jobs")]
    metrics::gauge!("concord_jobs_running").set(state.lanes().running() as f64);
    super::gauges::refresh(&state).await?;
    state.prometheus().run_upkeep();
    let text = state.prometheus().render();
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
