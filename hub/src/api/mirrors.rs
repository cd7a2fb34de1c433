//! `/v1/mirrors`: calendars that shall hold the same events.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use conflict::Rule;
use model::{Kind, MirrorId};
use serde::{Deserialize, Serialize};
use sync::PlannedOperation;
use sync::ports::Store as _;
use sync::state::{FieldOwner, Member, Mirror, TargetEdits};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, List, created, moment};
use super::error::{ApiError, Failures};
use super::extract::{Body, Caller, Id, IdempotencyKey, Params, paging};
use super::once;
use crate::state::AppState;

/// Longest name, in characters.
const LONGEST_NAME: usize = 200;
/// Members that one mirror may have.
const MAX_MEMBERS: usize = 50;

/// A mirror.
#[derive(Debug, Serialize, ToSchema)]
pub struct MirrorOut {
    /// Its id.
    pub id: MirrorId,
    /// Its name for people.
    #[schema(example = "Work in both calendars")]
    pub name: String,
    /// The kind of the records.
    pub kind: Kind,
    /// Who takes part.
    pub members: Vec<Member>,
    /// What happens when two sides changed the same field.
    pub policy: Rule,
    /// Fields with an owner: `hub`, or the collection that decides.
    pub field_owners: BTreeMap<String, FieldOwner>,
    /// What happens to edits on a member that is only a target.
    pub target_edits: TargetEdits,
    /// When it was made.
    pub created_at: String,
}

impl From<Mirror> for MirrorOut {
    fn from(mirror: Mirror) -> Self {
        Self {
            id: mirror.id,
            name: mirror.name,
            kind: mirror.kind,
            members: mirror.members,
            policy: mirror.policy,
            field_owners: mirror.field_owners,
            target_edits: mirror.target_edits,
            created_at: moment(mirror.created_at),
        }
    }
}

/// A new mirror.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Work in both calendars",
    "members": [
        {"collection_id": "coll_01jd3m8y6q0000000000000000", "role": "both"},
        {"collection_id": "coll_01jd3m8y6q0000000000000001", "role": "both"}
    ],
    "policy": "last_writer"
}))]
pub struct MirrorIn {
    /// Its name for people.
    name: String,
    /// Who takes part: at least one that gives (`source`, `both`) and another that takes (`target`, `both`).
    members: Vec<Member>,
    /// What happens when two sides changed the same field; `last_writer` unless given.
    #[serde(default)]
    policy: Rule,
    /// Fields with an owner: `"hub"`, or `{"collection": "coll_..."}`.
    #[serde(default)]
    field_owners: BTreeMap<String, FieldOwner>,
    /// What happens to edits on a member that is only a target; `keep` unless given.
    #[serde(default)]
    target_edits: Option<TargetEdits>,
}

/// What to change of a mirror.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"policy": "ask"}))]
pub struct MirrorPatch {
    /// Its name.
    name: Option<String>,
    /// Who takes part, whole. Who leaves keeps its copies.
    members: Option<Vec<Member>>,
    /// What happens when two sides changed the same field.
    policy: Option<Rule>,
    /// Fields with an owner, whole.
    field_owners: Option<BTreeMap<String, FieldOwner>>,
    /// What happens to edits on a member that is only a target.
    target_edits: Option<TargetEdits>,
}

/// Whether to do it.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DryRunParams {
    /// Only say what would be written; nothing is stored.
    dry_run: Option<bool>,
}

/// Which piece of the list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MirrorParams {
    /// At most so many, 1 to 200; 50 unless given.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, patch, delete))
}

/// What the engine does not check: the name, the number of members, the owned fields and their owners.
fn check(mirror: &Mirror) -> Result<(), ApiError> {
    if mirror.name.trim().is_empty() || mirror.name.chars().count() > LONGEST_NAME {
        return Err(ApiError::invalid_field(
            "name",
            &format!("must have 1 to {LONGEST_NAME} characters"),
        ));
    }
    if mirror.members.len() > MAX_MEMBERS {
        return Err(ApiError::invalid_field(
            "members",
            &format!("must be at most {MAX_MEMBERS}"),
        ));
    }
    for (field, owner) in &mirror.field_owners {
        let path = format!("field_owners.{field}");
        if mirror.kind.schema().field(field).is_none() {
            let problem = format!("names no field of a {}", mirror.kind.name());
            return Err(ApiError::invalid_field(&path, &problem));
        }
        let stranger = match owner {
            FieldOwner::Hub => false,
            FieldOwner::Collection(id) => !mirror.members.iter().any(|member| member.collection_id == *id),
        };
        if stranger {
            return Err(ApiError::invalid_field(
                &path,
                "must be `hub` or a member of the mirror",
            ));
        }
    }
    Ok(())
}

/// Refusals of the engine that concern the members, in the body's words.
fn refused(error: sync::EditError) -> ApiError {
    match error {
        sync::EditError::NotFound("collection") => {
            ApiError::invalid_field("members", "names a collection that is none of yours")
        }
        sync::EditError::Invalid(message) => {
            let details = serde_json::json!({ "path": "members" });
            ApiError::new(super::error::Code::InvalidField, message).with_details(details)
        }
        error => error.into(),
    }
}

/// Stores the mirror and answers as `stored` says; for a dry run answers with what storing it would do.
async fn put(
    caller: &Caller,
    mirror: Mirror,
    dry_run: Option<bool>,
    stored: impl FnOnce(MirrorOut) -> Response,
) -> Result<Response, ApiError> {
    check(&mirror)?;
    let engine = caller.engine();
    if dry_run.unwrap_or(false) {
        let planned = engine.dry_run_mirror(&mirror).await.map_err(refused)?;
        return Ok(List::whole(planned).into_response());
    }
    Ok(stored(engine.put_mirror(mirror).await.map_err(refused)?.into()))
}

async fn found(caller: &Caller, id: &MirrorId) -> Result<Mirror, ApiError> {
    let mirror = caller.store().mirror(&caller.organization, id).await?;
    mirror.ok_or_else(|| ApiError::not_found("mirror"))
}

/// Mirrors, in order of id.
#[utoipa::path(get, path = "/v1/mirrors", tag = "mirrors", security(("api_key" = [])), params(MirrorParams),
    responses((status = 200, body = List<MirrorOut>), Failures))]
async fn list(caller: Caller, Params(params): Params<MirrorParams>) -> Result<List<MirrorOut>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let page = caller.store().mirrors(&caller.organization, &paging).await?;
    Ok(List::of(page, MirrorOut::from))
}

/// Makes a mirror: events of its sources appear in its targets, now and from now on. What a target holds already, by
/// UID or by title and time, is linked and not copied; what fits several stays apart. No attendee is mailed. Two
/// mirrors that share a calendar must have the same rules. With `dry_run=true` the answer is what would be linked and
/// written.
#[utoipa::path(post, path = "/v1/mirrors", tag = "mirrors", security(("api_key" = [])), request_body = MirrorIn,
    params(DryRunParams, ("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, body = Data<MirrorOut>),
        (status = 200, description = "With `dry_run=true`: what would be written", body = List<PlannedOperation>),
        Failures,
    ))]
async fn create(
    caller: Caller,
    Params(params): Params<DryRunParams>,
    key: IdempotencyKey,
    body: Body<MirrorIn>,
) -> Result<Response, ApiError> {
    let (wanted, digest) = (body.value, body.digest);
    let (epoch_ms, random) = caller.state().id_parts();
    let mirror = Mirror {
        id: MirrorId::new(epoch_ms, random),
        organization: caller.organization.clone(),
        name: wanted.name,
        kind: Kind::Event,
        members: wanted.members,
        policy: wanted.policy,
        field_owners: wanted.field_owners,
        target_edits: wanted.target_edits.unwrap_or(TargetEdits::Keep),
        created_at: caller.state().clock().now_ms(),
    };
    let stored = |mirror: MirrorOut| created(&format!("/v1/mirrors/{}", mirror.id), mirror);
    // A dry run makes nothing, so its answer is not kept under the key.
    let key = if params.dry_run.unwrap_or(false) {
        IdempotencyKey(None)
    } else {
        key
    };
    once(
        &caller,
        key,
        "POST /v1/mirrors",
        &digest,
        put(&caller, mirror, params.dry_run, stored),
    )
    .await
}

/// One mirror.
#[utoipa::path(get, path = "/v1/mirrors/{id}", tag = "mirrors", security(("api_key" = [])),
    params(("id" = String, Path, example = "mir_01jd3m8y6q0000000000000000")),
    responses((status = 200, body = Data<MirrorOut>), Failures))]
async fn get(caller: Caller, Id(id): Id<MirrorId>) -> Result<Data<MirrorOut>, ApiError> {
    Ok(Data {
        data: found(&caller, &id).await?.into(),
    })
}

/// Changes a mirror. With `dry_run=true` the answer is what would be written.
#[utoipa::path(patch, path = "/v1/mirrors/{id}", tag = "mirrors", security(("api_key" = [])),
    request_body = MirrorPatch, params(("id" = String, Path), DryRunParams),
    responses((status = 200, body = Data<MirrorOut>), Failures))]
async fn patch(
    caller: Caller,
    Id(id): Id<MirrorId>,
    Params(params): Params<DryRunParams>,
    body: Body<MirrorPatch>,
) -> Result<Response, ApiError> {
    let mut mirror = found(&caller, &id).await?;
    let wanted = body.value;
    mirror.name = wanted.name.unwrap_or(mirror.name);
    mirror.members = wanted.members.unwrap_or(mirror.members);
    mirror.policy = wanted.policy.unwrap_or(mirror.policy);
    mirror.field_owners = wanted.field_owners.unwrap_or(mirror.field_owners);
    mirror.target_edits = wanted.target_edits.unwrap_or(mirror.target_edits);
    put(&caller, mirror, params.dry_run, |mirror| {
        Data { data: mirror }.into_response()
    })
    .await
}

/// Ends a mirror. What it linked and copied is taken apart: everything stays where it is, and nothing hears of the
/// others any more.
#[utoipa::path(delete, path = "/v1/mirrors/{id}", tag = "mirrors", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 204), Failures))]
async fn delete(caller: Caller, Id(id): Id<MirrorId>) -> Result<StatusCode, ApiError> {
    caller.engine().drop_mirror(&caller.organization, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
