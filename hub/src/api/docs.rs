//! `/openapi.json`, and `/docs`: the API to read and to try. Everything the page needs is in the binary; a policy in
//! its headers keeps the browser from asking anyone else.

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::state::AppState;

const OWN_SERVER_ONLY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
);

/// The documents.
pub fn router(openapi: OpenApi) -> Router<AppState> {
    let config = Config::default()
        // Its default asks an outside service to validate the document.
        .validator_url("none")
        .persist_authorization(false)
        .try_it_out_enabled(true);
    let page = SwaggerUi::new("/docs")
        .url("/openapi.json", openapi)
        .config(config);
    Router::from(page).layer(from_fn(keep_to_this_server))
}

async fn keep_to_this_server(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, OWN_SERVER_ONLY);
    response
}
