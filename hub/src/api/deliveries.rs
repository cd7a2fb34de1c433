//! `/v1/deliveries`: webhooks that providers sent, with their requests and what became of them.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_sdk::webhooks::inbox::StoredHead;
use model::{ConnectionId, InboundId, JobId, ProviderAppId};
use serde::{Deserialize, Serialize};
use store::{InboundFilter, InboundRow, InboundState};
use sync::state::InboundOutcome;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, List, moment};
use super::error::{ApiError, Code, Failures};
use super::extract::{Caller, Id, Params, paging};
use crate::state::AppState;

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(replay))
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStateOut {
    /// It is stored, and waits for its turn or for another attempt.
    Waiting,
    /// No connection owns its route yet; after ten minutes it is dropped.
    Parked,
    /// It has had its effect.
    Done,
    /// It failed too often, or can never be understood; `error` says why. A replay tries it anew.
    Quarantined,
    /// There was nothing that it could be applied to.
    Dropped,
}

impl From<InboundState> for DeliveryStateOut {
    fn from(state: InboundState) -> Self {
        match state {
            InboundState::Waiting => Self::Waiting,
            InboundState::Parked => Self::Parked,
            InboundState::Done => Self::Done,
            InboundState::Quarantined => Self::Quarantined,
            InboundState::Dropped => Self::Dropped,
        }
    }
}

impl From<DeliveryStateOut> for InboundState {
    fn from(state: DeliveryStateOut) -> Self {
        match state {
            DeliveryStateOut::Waiting => Self::Waiting,
            DeliveryStateOut::Parked => Self::Parked,
            DeliveryStateOut::Done => Self::Done,
            DeliveryStateOut::Quarantined => Self::Quarantined,
            DeliveryStateOut::Dropped => Self::Dropped,
        }
    }
}

/// A webhook that a provider sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryOut {
    /// Its id here.
    pub id: InboundId,
    /// The provider.
    pub provider: String,
    /// The connection that it concerns; null while nobody owns its route.
    pub connection_id: Option<ConnectionId>,
    /// The app at whose address it came in; null at a connection's own.
    pub provider_app_id: Option<ProviderAppId>,
    /// Under which key it found its connection, at an app's address.
    pub route: Option<String>,
    /// The provider's own id of it; null where the provider gives none.
    pub delivery_id: Option<String>,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
    /// How it stands.
    pub state: DeliveryStateOut,
    /// Failed attempts so far.
    pub attempts: u32,
    /// What came of it, once it is done.
    pub outcome: Option<InboundOutcome>,
    /// Why the last attempt failed, or why it ended as it did.
    pub error: Option<String>,
    /// How long its body is.
    pub size_bytes: u64,
    /// When it came.
    #[schema(format = DateTime)]
    pub received_at: String,
    /// Not before, while it waits.
    #[schema(format = DateTime)]
    pub due_at: String,
    /// When it ended. Three days later it is forgotten.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// The request as it came; only when the delivery is asked for by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestOut>,
}

/// A webhook's request.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestOut {
    /// The method.
    pub method: String,
    /// The path, and the query with its `?`.
    pub path_and_query: String,
    /// Name and value of each header, in their order. A shared secret says `[redacted]`.
    pub headers: Vec<(String, String)>,
    /// The body byte by byte, in base64.
    pub body: String,
}

impl From<InboundRow> for DeliveryOut {
    fn from(row: InboundRow) -> Self {
        Self {
            id: row.id,
            provider: row.provider,
            connection_id: row.connection,
            provider_app_id: row.app,
            route: row.route,
            delivery_id: row.delivery,
            trace_id: row.trace,
            state: row.state.into(),
            attempts: row.attempts,
            outcome: row.outcome,
            error: row.error,
            size_bytes: row.body_bytes,
            received_at: moment(row.received_at),
            due_at: moment(row.due_at),
            finished_at: row.finished_at.map(moment),
            request: None,
        }
    }
}

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// In this state.
    state: Option<DeliveryStateOut>,
    /// For this connection.
    #[param(value_type = Option<String>)]
    connection_id: Option<ConnectionId>,
    /// At the address of this app.
    #[param(value_type = Option<String>)]
    provider_app_id: Option<ProviderAppId>,
    /// With this id of the provider's.
    delivery_id: Option<String>,
    /// At most so many, from 1 to 200; 50 unless said.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// Webhooks that came in, newest first.
#[utoipa::path(get, path = "/v1/deliveries", tag = "webhooks", security(("api_key" = [])),
    params(ListParams), responses((status = 200, body = List<DeliveryOut>), Failures))]
async fn list(caller: Caller, Params(params): Params<ListParams>) -> Result<List<DeliveryOut>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let filter = InboundFilter {
        state: params.state.map(Into::into),
        connection: params.connection_id,
        app: params.provider_app_id,
        delivery: params.delivery_id,
    };
    let page = caller
        .store()
        .inbound_list(&caller.organization, &filter, &paging)
        .await?;
    Ok(List::of(page, DeliveryOut::from))
}

/// One webhook, with its request as it came.
#[utoipa::path(get, path = "/v1/deliveries/{id}", tag = "webhooks", security(("api_key" = [])),
    params(("id" = String, Path, example = "in_01jd3m8y6q0000000000000000")),
    responses((status = 200, body = Data<DeliveryOut>), Failures))]
async fn read(caller: Caller, Id(id): Id<InboundId>) -> Result<Data<DeliveryOut>, ApiError> {
    let (store, organization) = (caller.store(), &caller.organization);
    let row = store.inbound(organization, &id).await?;
    let mut data = DeliveryOut::from(row.ok_or_else(|| ApiError::not_found("delivery"))?);
    let (head, body) = store
        .inbound_request(organization, &id)
        .await?
        .ok_or_else(|| ApiError::not_found("delivery"))?;
    let damaged = || ApiError::new(Code::Internal, "the stored request cannot be read back");
    let head: StoredHead = serde_json::from_str(&head).map_err(|_| damaged())?;
    let verified = head.restore(body).map_err(|_| damaged())?;
    let request = verified.request();
    let headers = request.headers.iter();
    data.request = Some(RequestOut {
        method: request.method.to_string(),
        path_and_query: request.path_and_query.clone(),
        headers: headers
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: STANDARD.encode(&request.body),
    });
    Ok(Data { data })
}

/// Works on a webhook once more, whatever became of it. What the hub knows by now in a newer state stays as it is.
#[utoipa::path(post, path = "/v1/deliveries/{id}/replay", tag = "webhooks", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 202, body = Data<DeliveryOut>), Failures))]
async fn replay(caller: Caller, Id(id): Id<InboundId>) -> Result<Response, ApiError> {
    let (now_ms, random) = caller.state().id_parts();
    let (store, organization) = (caller.store(), &caller.organization);
    let replayed = store
        .replay_inbound(organization, &id, JobId::new(now_ms, random))
        .await?;
    let Some(row) = replayed else {
        return Err(match store.inbound(organization, &id).await? {
            Some(_) => ApiError::new(
                Code::Conflict,
                "no connection owns the delivery's route, so there is nothing to apply it to",
            ),
            None => ApiError::not_found("delivery"),
        });
    };
    tracing::info!(delivery = %id, by = %caller.key, "delivery replayed");
    let data = DeliveryOut::from(row);
    Ok((StatusCode::ACCEPTED, Data { data }).into_response())
}
