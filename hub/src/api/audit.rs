//! `/v1/audit`: who called which vendor with whose credentials.

use model::{ApiKeyId, AuditId, ConnectionId};
use serde::{Deserialize, Serialize};
use store::{AuditFilter, AuditLine};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{List, moment};
use super::error::{ApiError, Failures};
use super::extract::{Caller, Params, paging};
use crate::state::AppState;

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A call at a vendor.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditOut {
    /// Its id, as in the answer's header `concord-audit-id`.
    pub id: AuditId,
    /// What was done: `passthrough`.
    pub action: String,
    /// The key that did it.
    pub api_key_id: ApiKeyId,
    /// The request that it was done by, as in its header `x-request-id`.
    pub request_id: Option<String>,
    /// With whose credentials.
    pub connection_id: ConnectionId,
    /// The method.
    pub method: String,
    /// Where: scheme, host and path. Queries are not kept.
    pub target: String,
    /// How much was sent.
    pub request_bytes: u64,
    /// The vendor's answer; null while none has come, and where none came.
    pub status: Option<u16>,
    /// Why none came.
    pub failure: Option<String>,
    /// How much came back; null while nobody knows.
    pub response_bytes: Option<u64>,
    /// When it was about to be made.
    #[schema(format = DateTime)]
    pub at: String,
    /// When it had ended; null while nobody knows: it is under way, or the server was killed meanwhile, and then the vendor
    /// may or may not have got it.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
}

impl From<AuditLine> for AuditOut {
    fn from(line: AuditLine) -> Self {
        let (outcome, end) = line
            .end
            .map(|end| (end.outcome, (end.response_bytes, end.at)))
            .unzip();
        let (status, failure) = match outcome {
            Some(Ok(status)) => (Some(status), None),
            Some(Err(failure)) => (None, Some(failure)),
            None => (None, None),
        };
        Self {
            id: line.id,
            action: line.action,
            api_key_id: line.key,
            request_id: line.request,
            connection_id: line.connection,
            method: line.method,
            target: line.target,
            request_bytes: line.request_bytes,
            status,
            failure,
            response_bytes: end.map(|(bytes, _)| bytes),
            at: moment(line.at),
            ended_at: end.map(|(_, at)| moment(at)),
        }
    }
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Of calls with this connection's credentials.
    connection_id: Option<String>,
    /// Of calls by this key.
    api_key_id: Option<String>,
    /// At most so many, from 1 to 200; 50 unless said.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// Calls at vendors with your connections' credentials, newest first. Lines are written before calls are made and kept for
/// thirteen months.
#[utoipa::path(get, path = "/v1/audit", tag = "passthrough", security(("api_key" = [])),
    params(ListParams), responses((status = 200, body = List<AuditOut>), Failures))]
async fn list(caller: Caller, Params(params): Params<ListParams>) -> Result<List<AuditOut>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let connection = params.connection_id.map(|text| text.parse()).transpose();
    let key = params.api_key_id.map(|text| text.parse()).transpose();
    let (Ok(connection), Ok(key)) = (connection, key) else {
        // Text that is no id names nothing, and there are no calls by nothing.
        return Ok(List::whole(Vec::new()));
    };
    let filter = AuditFilter { connection, key };
    let page = caller
        .store()
        .audit(&caller.organization, &filter, &paging)
        .await?;
    Ok(List::of(page, AuditOut::from))
}
