//! `/`: a few friendly lines for whoever opens the address in a browser.

use axum::Router;
use axum::routing::get;

use crate::state::AppState;

/// The greeting.
pub fn router() -> Router<AppState> {
    Router::new().route("/", get(greeting))
}

async fn greeting() -> String {
    format!(
        "This is Concord {}.\n\n  /docs           the API, to read and to try\n  /openapi.json   the same for \
         programs\n  /healthz        whether it runs\n  /readyz         whether it can serve\n  /metrics        \
         its counters, for Prometheus\n\nEverything under /v1 takes an API key: Authorization: Bearer ck_...\n",
        env!("CARGO_PKG_VERSION")
    )
}
