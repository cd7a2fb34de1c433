//! `/v1/webhook-endpoints/{id}/deliveries`: what was sent and what came of it; tests and replays.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use model::{OutboundDeliveryId, WebhookEndpointId};
use serde::{Deserialize, Serialize};
use store::{Attempt, Delivery, DeliveryFilter, DeliveryState, NewDelivery, Replay, ReplayOf};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{found, must_be_active};
use crate::api::envelope::{Data, List, moment};
use crate::api::error::{ApiError, Code, Failures};
use crate::api::extract::{Body, Caller, Id, Params, paging};
use crate::outbound::RETRY_WINDOW_MS;
use crate::state::AppState;

/// Deliveries that one replay may name.
const MAX_REPLAYED: usize = 500;

/// Its routes.
pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(test))
        .routes(routes!(replay))
}

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutboundDeliveryOut {
    /// Its id: the header `webhook-id`, the same in every attempt.
    pub id: OutboundDeliveryId,
    /// To where.
    pub endpoint_id: WebhookEndpointId,
    /// The change that it tells, as in `/v1/changes`; null for a test.
    pub seq: Option<i64>,
    /// What the change is about.
    pub subject: String,
    /// How it stands: `pending`, `delivered`, `dead` (given up; can be replayed) or `skipped`.
    #[schema(value_type = String, example = "delivered")]
    pub state: &'static str,
    /// How often it was sent.
    pub attempts: u32,
    /// When it is sent next, while it waits.
    #[schema(format = DateTime)]
    pub next_at: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it arrived or was given up.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
}

impl From<Delivery> for OutboundDeliveryOut {
    fn from(delivery: Delivery) -> Self {
        let waits = delivery.state == DeliveryState::Pending;
        Self {
            id: delivery.id,
            endpoint_id: delivery.endpoint,
            seq: delivery.seq,
            subject: delivery.subject,
            state: delivery.state.name(),
            attempts: delivery.attempts,
            next_at: waits.then(|| moment(delivery.next_at)),
            created_at: moment(delivery.created_at),
            ended_at: delivery.ended_at.map(moment),
        }
    }
}

/// An attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutboundAttemptOut {
    /// The how-manieth, from 1.
    pub number: u32,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// How long it took.
    pub took_ms: i64,
    /// What came of it: `delivered`, `refused`, `redirected`, `timed_out`, `unreachable`, `blocked`.
    #[schema(value_type = String, example = "refused")]
    pub outcome: &'static str,
    /// The HTTP status, where one came.
    pub status: Option<u16>,
    /// What went wrong, or how the answer begins.
    pub detail: Option<String>,
}

impl From<Attempt> for OutboundAttemptOut {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            at: moment(attempt.at),
            took_ms: attempt.took_ms,
            outcome: attempt.outcome.name(),
            status: attempt.status,
            detail: attempt.detail,
        }
    }
}

/// A delivery with its attempts.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutboundDeliveryDetail {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: OutboundDeliveryOut,
    /// Its attempts, in order. (`attempts` counts them.)
    pub attempt_log: Vec<OutboundAttemptOut>,
}

/// Which deliveries.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OutboundDeliveryParams {
    /// Those in this state: `pending`, `delivered`, `dead`, `skipped`.
    #[param(value_type = Option<String>)]
    state: Option<DeliveryState>,
    /// Those made at or after this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Those made before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// At most so many, 1 to 200; 50 unless given.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// What to send again: deliveries by id, or those made in a time.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "2026-03-02T00:00:00Z", "to": "2026-03-03T00:00:00Z", "states": ["dead"]}))]
pub struct OutboundReplayIn {
    /// These, up to 500.
    delivery_ids: Option<Vec<OutboundDeliveryId>>,
    /// Those made at or after this moment.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Those made before this moment.
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Those in one of these states: `dead`, `delivered`, `skipped`. Of a time only `dead` ones unless given; of ids
    /// any.
    #[schema(value_type = Option<Vec<String>>)]
    states: Option<Vec<DeliveryState>>,
}

/// What is sent again.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutboundReplayed {
    /// How many deliveries.
    pub replayed: u64,
}

/// Both ids of the path.
struct Both(WebhookEndpointId, OutboundDeliveryId);

impl<S: Send + Sync> FromRequestParts<S> for Both {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let missing = || ApiError::not_found("delivery");
        let Path((endpoint, delivery)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|_| missing())?;
        let endpoint = endpoint.parse().map_err(|_| missing())?;
        Ok(Self(endpoint, delivery.parse().map_err(|_| missing())?))
    }
}

/// Deliveries of an endpoint, newest first. They are kept for 30 days.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{id}/deliveries", tag = "webhook endpoints",
    security(("api_key" = [])), params(("id" = String, Path), OutboundDeliveryParams),
    responses((status = 200, body = List<OutboundDeliveryOut>), Failures))]
async fn list(
    caller: Caller,
    Id(id): Id<WebhookEndpointId>,
    Params(params): Params<OutboundDeliveryParams>,
) -> Result<List<OutboundDeliveryOut>, ApiError> {
    found(&caller, &id).await?;
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let filter = DeliveryFilter {
        state: params.state,
        from_ms: params.from.map(Timestamp::as_millisecond),
        to_ms: params.to.map(Timestamp::as_millisecond),
    };
    let page = caller
        .store()
        .deliveries(&caller.organization, &id, &filter, &paging)
        .await?;
    Ok(List::of(page, OutboundDeliveryOut::from))
}

/// One delivery with its attempts.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{id}/deliveries/{delivery_id}", tag = "webhook endpoints",
    security(("api_key" = [])), params(("id" = String, Path), ("delivery_id" = String, Path)),
    responses((status = 200, body = Data<OutboundDeliveryDetail>), Failures))]
async fn get(caller: Caller, Both(endpoint, id): Both) -> Result<Data<OutboundDeliveryDetail>, ApiError> {
    let (store, organization) = (caller.store(), &caller.organization);
    let delivery = store.delivery(organization, &endpoint, &id).await?;
    let delivery = delivery.ok_or_else(|| ApiError::not_found("delivery"))?;
    let attempts = store.delivery_attempts(organization, &id).await?;
    Ok(Data {
        data: OutboundDeliveryDetail {
            delivery: delivery.into(),
            attempt_log: attempts.into_iter().map(OutboundAttemptOut::from).collect(),
        },
    })
}

/// Sends a message of the type `webhook_endpoint.test`, once. The answer names the delivery to look at.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/test", tag = "webhook endpoints",
    security(("api_key" = [])), params(("id" = String, Path)),
    responses((status = 202, body = Data<OutboundDeliveryOut>), Failures))]
async fn test(caller: Caller, Id(id): Id<WebhookEndpointId>) -> Result<Response, ApiError> {
    must_be_active(&found(&caller, &id).await?)?;
    let state = caller.state();
    let (epoch_ms, random) = state.id_parts();
    let delivery = NewDelivery {
        id: OutboundDeliveryId::new(epoch_ms, random),
        seq: None,
        subject: id.to_string(),
    };
    let deadline = state.clock().now_ms() + RETRY_WINDOW_MS;
    let (store, organization) = (caller.store(), &caller.organization);
    let stored = store
        .insert_test_delivery(organization, &id, &delivery, deadline)
        .await?;
    let made = store.delivery(organization, &id, &delivery.id).await?;
    let (true, Some(made)) = (stored, made) else {
        return Err(ApiError::not_found("webhook endpoint"));
    };
    state.dispatcher().deliveries_changed(organization, &id);
    let data = OutboundDeliveryOut::from(made);
    Ok((StatusCode::ACCEPTED, Data { data }).into_response())
}

/// Sends deliveries again, with the ids that they had: those that you name, or those made in a time. What waits anyway
/// is left as it is.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/replay", tag = "webhook endpoints",
    security(("api_key" = [])), request_body = OutboundReplayIn, params(("id" = String, Path)),
    responses((status = 202, body = Data<OutboundReplayed>), Failures))]
async fn replay(
    caller: Caller,
    Id(id): Id<WebhookEndpointId>,
    body: Body<OutboundReplayIn>,
) -> Result<Response, ApiError> {
    must_be_active(&found(&caller, &id).await?)?;
    let wanted = body.value;
    let (of, usual) = match (wanted.delivery_ids, wanted.from, wanted.to) {
        (Some(ids), None, None) if (1..=MAX_REPLAYED).contains(&ids.len()) => (
            ReplayOf::Ids(ids),
            vec![
                DeliveryState::Dead,
                DeliveryState::Delivered,
                DeliveryState::Skipped,
            ],
        ),
        (None, Some(from), Some(to)) if from < to => {
            let (from_ms, to_ms) = (from.as_millisecond(), to.as_millisecond());
            (ReplayOf::Time { from_ms, to_ms }, vec![DeliveryState::Dead])
        }
        _ => {
            let message = format!("send `delivery_ids` (1 to {MAX_REPLAYED}), or `from` and a later `to`");
            return Err(ApiError::new(Code::InvalidField, message));
        }
    };
    let states = wanted.states.unwrap_or(usual);
    if states.is_empty() {
        return Err(ApiError::invalid_field("states", "must name one state or more"));
    }
    let state = caller.state();
    let replay = Replay {
        of,
        states,
        deadline_ms: state.clock().now_ms() + RETRY_WINDOW_MS,
    };
    let (store, organization) = (caller.store(), &caller.organization);
    let replayed = store.replay_deliveries(organization, &id, &replay).await?;
    state.dispatcher().deliveries_changed(organization, &id);
    let data = OutboundReplayed { replayed };
    Ok((StatusCode::ACCEPTED, Data { data }).into_response())
}
