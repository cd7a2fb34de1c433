//! `/v1/links`: how each record stands at each provider; approve what would mail people, retry and revert what a
//! provider refuses; tie records by hand, and take them apart again.

use model::{CollectionId, ConnectionId, FieldPath, LinkId, PartKey, RecordId};
use serde::{Deserialize, Serialize};
use store::LinkFilter;
use sync::ports::Store as _;
use sync::state::{Link, LinkState};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, List};
use super::error::{ApiError, Failures};
use super::extract::{Body, Caller, Id, IfMatch, Params, paging};
use crate::state::AppState;

/// How a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkStateName {
    /// Both sides agree.
    Synced,
    /// Something is on its way.
    Pending,
    /// Something is on its way, and held back for a while; `reason` says why.
    Waiting,
    /// Sending it would make the provider mail people; `reason` names them. Approve or revert.
    NeedsApproval,
    /// The provider refuses the hub's value for good; `reason` says why. Retry or revert.
    Rejected,
}

impl LinkStateName {
    const fn name(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::NeedsApproval => "needs_approval",
            Self::Rejected => "rejected",
        }
    }
}

/// The tie between a record and one object at a provider, as it is shown with its record.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LinkBrief {
    /// Its id.
    pub id: LinkId,
    /// The connection of the object.
    pub connection_id: ConnectionId,
    /// The collection of the object.
    pub collection_id: CollectionId,
    /// How it stands.
    pub state: LinkStateName,
    /// Why the provider refuses, in its words; who would be mailed; what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The provider's id of the object; absent until it has been made.
    pub remote_id: Option<String>,
}

impl LinkBrief {
    /// A link as clients see it.
    #[must_use]
    pub fn of(link: &Link) -> Self {
        let (state, reason) = match &link.state {
            LinkState::Synced => (LinkStateName::Synced, None),
            LinkState::Pending => (LinkStateName::Pending, None),
            LinkState::Waiting { reason } => (LinkStateName::Waiting, Some(reason.clone())),
            LinkState::NeedsApproval { reason } => (LinkStateName::NeedsApproval, Some(reason.clone())),
            LinkState::Rejected { reason } => (LinkStateName::Rejected, Some(reason.clone())),
        };
        Self {
            id: link.id.clone(),
            connection_id: link.connection.clone(),
            collection_id: link.collection.clone(),
            state,
            reason,
            remote_id: link.parts.get(&PartKey::MASTER).map(|part| part.id.to_string()),
        }
    }
}

/// A link by itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkOut {
    /// What is shown with the record, too.
    #[serde(flatten)]
    pub brief: LinkBrief,
    /// The record.
    pub record_id: RecordId,
    /// Fields that wait for a decision in `/v1/conflicts`: neither taken nor sent.
    pub held: Vec<String>,
    /// Failed attempts to write since the last that succeeded.
    pub attempts: u32,
    /// Occurrences with an object of their own at the provider, by original start.
    pub occurrences: Vec<String>,
}

impl From<&Link> for LinkOut {
    fn from(link: &Link) -> Self {
        let occurrences = link.parts.keys().filter(|part| !part.is_master());
        Self {
            brief: LinkBrief::of(link),
            record_id: link.record.clone(),
            held: link.held.iter().map(FieldPath::to_string).collect(),
            attempts: link.attempts,
            occurrences: occurrences.map(|part| part.as_str().to_owned()).collect(),
        }
    }
}

/// Which links.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LinkParams {
    /// Of this record.
    #[param(value_type = Option<String>)]
    record_id: Option<RecordId>,
    /// On this connection.
    #[param(value_type = Option<String>)]
    connection_id: Option<ConnectionId>,
    /// In this collection.
    #[param(value_type = Option<String>)]
    collection_id: Option<CollectionId>,
    /// In this state.
    state: Option<LinkStateName>,
    /// At most so many, 1 to 200; 50 unless given.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, tie))
        .routes(routes!(get))
        .routes(routes!(approve))
        .routes(routes!(retry))
        .routes(routes!(revert))
        .routes(routes!(unlink))
}

/// Two records that are the same thing.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "record_id": "rec_01jd3m8y6q0000000000000000",
    "other_id": "rec_01jd3m8y6q0000000000000001"
}))]
pub struct TieIn {
    /// The record that stays, with its id.
    record_id: RecordId,
    /// The one that is joined into it.
    other_id: RecordId,
}

/// One record that was two.
#[derive(Debug, Serialize, ToSchema)]
pub struct TiedOut {
    /// The record.
    pub record_id: RecordId,
    /// Its version.
    pub version: i64,
    /// Its links, those of the other one among them.
    pub links: Vec<LinkBrief>,
}

/// Links of records to objects at providers, in order of id.
#[utoipa::path(get, path = "/v1/links", tag = "links", security(("api_key" = [])), params(LinkParams),
    responses((status = 200, body = List<LinkOut>), Failures))]
async fn list(caller: Caller, Params(params): Params<LinkParams>) -> Result<List<LinkOut>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let filter = LinkFilter {
        record: params.record_id,
        connection: params.connection_id,
        collection: params.collection_id,
        state: params.state.map(|state| state.name().to_owned()),
    };
    let page = caller
        .store()
        .links(&caller.organization, &filter, &paging)
        .await?;
    Ok(List::of(page, |link| LinkOut::from(&link)))
}

/// One link.
#[utoipa::path(get, path = "/v1/links/{id}", tag = "links", security(("api_key" = [])),
    params(("id" = String, Path, example = "link_01jd3m8y6q0000000000000000")),
    responses((status = 200, body = Data<LinkOut>), Failures))]
async fn get(caller: Caller, Id(id): Id<LinkId>) -> Result<Data<LinkOut>, ApiError> {
    let linked = caller.store().link(&caller.organization, &id).await?;
    let linked = linked.ok_or_else(|| ApiError::not_found("link"))?;
    Ok(Data {
        data: LinkOut::from(&linked.link),
    })
}

/// Sends what waits because the provider mails people about it. The approval is for the record as it is; edits made
/// later ask again. With `If-Match`, only if the record is still in that version.
#[utoipa::path(post, path = "/v1/links/{id}/approve", tag = "links", security(("api_key" = [])),
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The record's version that was looked at.")),
    responses((status = 200, body = Data<LinkOut>), Failures))]
async fn approve(
    caller: Caller,
    Id(id): Id<LinkId>,
    IfMatch(version): IfMatch,
) -> Result<Data<LinkOut>, ApiError> {
    let link = caller
        .state()
        .engine()
        .approve_link(&caller.organization, &id, version)
        .await?;
    Ok(Data {
        data: LinkOut::from(&link),
    })
}

/// Tries a refused write again, as it is now.
#[utoipa::path(post, path = "/v1/links/{id}/retry", tag = "links", security(("api_key" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = Data<LinkOut>), Failures))]
async fn retry(caller: Caller, Id(id): Id<LinkId>) -> Result<Data<LinkOut>, ApiError> {
    let link = caller.engine().retry_link(&caller.organization, &id).await?;
    Ok(Data {
        data: LinkOut::from(&link),
    })
}

/// Gives up what the provider refuses: the hub takes the provider's values again. A link whose object was never
/// made at the provider is removed.
#[utoipa::path(post, path = "/v1/links/{id}/revert", tag = "links", security(("api_key" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = Data<LinkOut>), Failures))]
async fn revert(caller: Caller, Id(id): Id<LinkId>) -> Result<Data<LinkOut>, ApiError> {
    let link = caller.engine().revert_link(&caller.organization, &id).await?;
    Ok(Data {
        data: LinkOut::from(&link),
    })
}

/// Takes the object behind a link out of its record again: it gets a record of its own, which says what the provider
/// says. Nothing is written to any provider, and no mirror joins or copies the two again by itself. A link whose object
/// was never made is removed, and its calendar gets no copy. The answer is the link with the record that it has now.
#[utoipa::path(post, path = "/v1/links/{id}/unlink", tag = "links", security(("api_key" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = Data<LinkOut>), Failures))]
async fn unlink(caller: Caller, Id(id): Id<LinkId>) -> Result<Data<LinkOut>, ApiError> {
    let link = caller.state().engine().unlink(&caller.organization, &id).await?;
    Ok(Data {
        data: LinkOut::from(&link),
    })
}

/// Makes one record of two that are the same thing, whatever mirrors say. The first keeps its id; the other's links
/// move to it, and its id answers with `404` and `details.merged_into` from then on. Where the two differ, the policy
/// of the mirrors that they are in decides, and without one the record that changed last; what loses stands in
/// `/v1/conflicts`. The providers are then written what differs. Undone with `/v1/links/{id}/unlink`.
#[utoipa::path(post, path = "/v1/links", tag = "links", security(("api_key" = [])), request_body = TieIn,
    responses((status = 200, body = Data<TiedOut>), Failures))]
async fn tie(caller: Caller, body: Body<TieIn>) -> Result<Data<TiedOut>, ApiError> {
    let TieIn { record_id, other_id } = body.value;
    for (path, id) in [("record_id", &record_id), ("other_id", &other_id)] {
        let found = caller.store().record(&caller.organization, id).await?;
        if found.is_none_or(|record| record.deleted) {
            return Err(ApiError::invalid_field(path, "names a record that is not there"));
        }
    }
    let record = caller
        .state()
        .engine()
        .tie(&caller.organization, &record_id, &other_id)
        .await?;
    let links = caller.store().links_of(&caller.organization, &record.id).await?;
    Ok(Data {
        data: TiedOut {
            record_id: record.id,
            version: record.version,
            links: links.iter().map(LinkBrief::of).collect(),
        },
    })
}
