//! `/v1/webhook-endpoints`: addresses of yours that are told what changes (docs/outbound.md).

mod deliveries;
mod shapes;

use axum::http::StatusCode;
use axum::response::Response;
use model::WebhookEndpointId;
use serde::{Deserialize, Serialize};
use store::{EndpointState, WebhookEndpoint};
use sync::ports::Store as _;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, List, created, moment};
use super::error::{ApiError, Code, Failures};
use super::extract::{Body, Caller, Id, Params, paging};
use crate::egress;
use crate::outbound::new_secret;
use crate::state::AppState;
use shapes::{MAX_ENDPOINTS, check};

pub use deliveries::{
    OutboundAttemptOut, OutboundDeliveryDetail, OutboundDeliveryOut, OutboundDeliveryParams,
    OutboundReplayIn, OutboundReplayed,
};
pub use shapes::{EndpointCreated, EndpointIn, EndpointOut, EndpointPatch};

/// How long the old secret goes on signing unless the request says otherwise: a day.
const KEEP_OLD_SECONDS: u32 = 86_400;
/// The longest it may: a week.
const MAX_KEEP_OLD_SECONDS: u32 = 7 * 86_400;
/// How often a change is tried while others change the same endpoint.
const PATCH_TRIES: usize = 5;

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, patch, delete))
        .routes(routes!(rotate_secret))
        .merge(deliveries::router())
}

/// Which piece of the list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EndpointParams {
    /// At most so many, 1 to 200; 50 unless given.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// For how long both secrets sign.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"keep_old_for_seconds": 86400}))]
pub struct RotateIn {
    /// How long the old secret goes on signing beside the new one, 0 to 604800 seconds; a day unless given.
    #[serde(default)]
    keep_old_for_seconds: Option<u32>,
}

/// A new secret.
#[derive(Serialize, ToSchema)]
pub struct SecretCreated {
    /// The secret. It is never shown again.
    #[schema(example = "whsec_...")]
    pub secret: String,
    /// Until when the old one signs, too.
    #[schema(format = DateTime)]
    pub old_secret_signs_until: String,
}

pub(super) async fn found(caller: &Caller, id: &WebhookEndpointId) -> Result<WebhookEndpoint, ApiError> {
    let endpoint = caller.store().webhook_endpoint(&caller.organization, id).await?;
    endpoint.ok_or_else(|| ApiError::not_found("webhook endpoint"))
}

/// The address as it will be used.
async fn address(caller: &Caller, text: &str) -> Result<String, ApiError> {
    let refused = |refusal: egress::Refusal| ApiError::invalid_field("url", &refusal.to_string());
    let url = egress::parse(text).map_err(refused)?;
    caller.state().guard().check(&url).await.map_err(refused)?;
    Ok(url.into())
}

/// Connections in a filter must be the caller's own: a filter that can never match is a mistake.
async fn own_connections(caller: &Caller, endpoint: &WebhookEndpoint) -> Result<(), ApiError> {
    for connection in &endpoint.filter.connections {
        if caller
            .store()
            .connection(&caller.organization, connection)
            .await?
            .is_none()
        {
            let problem = "names a connection that is none of yours";
            return Err(ApiError::invalid_field("connection_ids", problem));
        }
    }
    Ok(())
}

/// Endpoints, in order of id.
#[utoipa::path(get, path = "/v1/webhook-endpoints", tag = "webhook endpoints", security(("api_key" = [])),
    params(EndpointParams), responses((status = 200, body = List<EndpointOut>), Failures))]
async fn list(caller: Caller, Params(params): Params<EndpointParams>) -> Result<List<EndpointOut>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let page = caller
        .store()
        .webhook_endpoints(&caller.organization, &paging)
        .await?;
    Ok(List::of(page, EndpointOut::from))
}

/// Makes an endpoint: from now on it is told what changes, signed by Standard Webhooks. The answer holds the secret to
/// verify with; it is shown this once, which is why this takes no `Idempotency-Key`. The address must be on the public
/// internet and begin with `https://`, unless the server's settings allow more.
#[utoipa::path(post, path = "/v1/webhook-endpoints", tag = "webhook endpoints", security(("api_key" = [])),
    request_body = EndpointIn,
    responses((status = 201, body = Data<EndpointCreated>), Failures))]
async fn create(caller: Caller, body: Body<EndpointIn>) -> Result<Response, ApiError> {
    let state = caller.state();
    let (epoch_ms, random) = state.id_parts();
    let mut endpoint = body.value.into_endpoint(
        WebhookEndpointId::new(epoch_ms, random),
        caller.organization.clone(),
        state.clock().now_ms(),
    );
    check(&endpoint)?;
    endpoint.url = address(&caller, &endpoint.url).await?;
    own_connections(&caller, &endpoint).await?;
    let all = store::Paging::first(MAX_ENDPOINTS);
    let present = caller
        .store()
        .webhook_endpoints(&caller.organization, &all)
        .await?;
    if present.items.len() >= MAX_ENDPOINTS as usize {
        let message =
            format!("there are {MAX_ENDPOINTS} webhook endpoints already; delete one, or widen its filter");
        return Err(ApiError::new(Code::Conflict, message));
    }
    let secret = new_secret(state.entropy());
    caller
        .store()
        .insert_webhook_endpoint(&endpoint, secret.expose(), &caller.origin())
        .await?;
    state.dispatcher().endpoints_changed();
    tracing::info!(endpoint = %endpoint.id, by = %caller.key, "webhook endpoint made");
    let location = format!("/v1/webhook-endpoints/{}", endpoint.id);
    let made = EndpointCreated {
        endpoint: endpoint.into(),
        secret: secret.expose().to_owned(),
    };
    Ok(created(&location, made))
}

/// One endpoint.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{id}", tag = "webhook endpoints", security(("api_key" = [])),
    params(("id" = String, Path, example = "whe_01jd3m8y6q0000000000000000")),
    responses((status = 200, body = Data<EndpointOut>), Failures))]
async fn get(caller: Caller, Id(id): Id<WebhookEndpointId>) -> Result<Data<EndpointOut>, ApiError> {
    Ok(Data {
        data: found(&caller, &id).await?.into(),
    })
}

/// Changes an endpoint. `state: "active"` lets a disabled one go on where it stopped, or, with `skip_missed`, with what
/// comes from now on.
#[utoipa::path(patch, path = "/v1/webhook-endpoints/{id}", tag = "webhook endpoints", security(("api_key" = [])),
    request_body = EndpointPatch, params(("id" = String, Path)),
    responses((status = 200, body = Data<EndpointOut>), Failures))]
async fn patch(
    caller: Caller,
    Id(id): Id<WebhookEndpointId>,
    body: Body<EndpointPatch>,
) -> Result<Data<EndpointOut>, ApiError> {
    let wanted = body.value;
    for _ in 0..PATCH_TRIES {
        if patched(&caller, &id, wanted.clone()).await? {
            caller.state().dispatcher().endpoints_changed();
            return Ok(Data {
                data: found(&caller, &id).await?.into(),
            });
        }
    }
    let message =
        "the webhook endpoint is being changed by somebody else; nothing was changed, send it again";
    Err(ApiError::new(Code::Conflict, message))
}

/// Applies what is wanted to the endpoint as it is; `false` when it became another meanwhile.
async fn patched(caller: &Caller, id: &WebhookEndpointId, wanted: EndpointPatch) -> Result<bool, ApiError> {
    let before = found(caller, id).await?;
    let skip = wanted.skip_missed.unwrap_or(false);
    let mut endpoint = wanted.applied_to(&before);
    check(&endpoint)?;
    if endpoint.url != before.url {
        endpoint.url = address(caller, &endpoint.url).await?;
    }
    if endpoint.filter.connections != before.filter.connections {
        own_connections(caller, &endpoint).await?;
    }
    let changed = shapes::changed(&before, &endpoint);
    endpoint.updated_at = caller.state().clock().now_ms().max(before.updated_at + 1);
    let stored = caller
        .store()
        .update_webhook_endpoint(&endpoint, before.updated_at, &changed, skip, &caller.origin())
        .await?;
    Ok(stored)
}

/// Removes an endpoint with the log of its deliveries. What is under way may still arrive.
#[utoipa::path(delete, path = "/v1/webhook-endpoints/{id}", tag = "webhook endpoints", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 204), Failures))]
async fn delete(caller: Caller, Id(id): Id<WebhookEndpointId>) -> Result<StatusCode, ApiError> {
    let gone = caller
        .store()
        .delete_webhook_endpoint(&caller.organization, &id, &caller.origin())
        .await?;
    if !gone {
        return Err(ApiError::not_found("webhook endpoint"));
    }
    caller.state().dispatcher().endpoints_changed();
    tracing::info!(endpoint = %id, by = %caller.key, "webhook endpoint removed");
    Ok(StatusCode::NO_CONTENT)
}

/// Gives an endpoint a new secret, shown this once. Every delivery is signed with both until the old one ends, so that
/// you can change over without losing any.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/rotate-secret", tag = "webhook endpoints",
    security(("api_key" = [])), request_body = RotateIn, params(("id" = String, Path)),
    responses((status = 200, body = Data<SecretCreated>), Failures))]
async fn rotate_secret(
    caller: Caller,
    Id(id): Id<WebhookEndpointId>,
    body: Body<RotateIn>,
) -> Result<Data<SecretCreated>, ApiError> {
    let keep = body.value.keep_old_for_seconds.unwrap_or(KEEP_OLD_SECONDS);
    if keep > MAX_KEEP_OLD_SECONDS {
        let problem = format!("must be at most {MAX_KEEP_OLD_SECONDS}");
        return Err(ApiError::invalid_field("keep_old_for_seconds", &problem));
    }
    let state = caller.state();
    let until = state.clock().now_ms() + i64::from(keep) * 1_000;
    let secret = new_secret(state.entropy());
    let rotated = caller
        .store()
        .rotate_webhook_secret(
            &caller.organization,
            &id,
            secret.expose(),
            until,
            &caller.origin(),
        )
        .await?;
    if !rotated {
        return Err(ApiError::not_found("webhook endpoint"));
    }
    state.dispatcher().endpoints_changed();
    tracing::info!(endpoint = %id, by = %caller.key, "webhook secret rotated");
    Ok(Data {
        data: SecretCreated {
            secret: secret.expose().to_owned(),
            old_secret_signs_until: moment(until),
        },
    })
}

/// Refuses what makes no sense while nothing is sent.
pub(super) fn must_be_active(endpoint: &WebhookEndpoint) -> Result<(), ApiError> {
    match endpoint.state {
        EndpointState::Active => Ok(()),
        EndpointState::Disabled => Err(ApiError::new(
            Code::Conflict,
            "the webhook endpoint is disabled; make it active first",
        )),
    }
}
