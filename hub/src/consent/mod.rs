//! Consent: people connect their accounts by signing in at their vendor. A link leads to a page that says who asks for
//! what; from there a browser sets out on a journey to the vendor, and comes back to the callback of the app that asked.
//! See `docs/adr/0017-consent-and-tokens.md`.

pub mod apps;
mod callback;
mod cookie;
mod finish;
mod journey;
mod page;
pub mod revoke;
mod secrets;

use axum::Router;
use axum::routing::get;

pub use secrets::{digest, fresh};

use crate::state::AppState;

/// The pages. No API key: links, cookies and states prove what needs to be proven.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/connect/{token}", get(journey::show).post(journey::set_out))
        .route(
            "/connect/repair/{id}",
            get(journey::show_repair).post(journey::set_out_to_repair),
        )
        .route("/oauth/callback/{app}", get(callback::come_back))
}
