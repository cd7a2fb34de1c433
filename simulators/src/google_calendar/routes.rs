//! The HTTP surface: who asks, what it costs, which operation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use super::config::Role;
use super::errors::ApiError;
use super::events_create;
use super::events_write::{self, Edit, WriteOptions};
use super::mailbox::SendUpdates;
use super::occurrences::find;
use super::params::Params;
use super::state::World;
use super::{calendars, channels, consent, freebusy, listing, oauth, render};

/// The simulated world behind its lock.
#[derive(Clone)]
pub(crate) struct Shared {
    pub world: Arc<Mutex<World>>,
    pub base_url: Arc<std::sync::OnceLock<String>>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one authenticated call; the whole of it happens under the lock.
    fn call(
        &self,
        asked: &Asked,
        units: u32,
        operation: impl FnOnce(&mut World, &str) -> Result<Reply, ApiError>,
    ) -> Response {
        let mut world = self.lock();
        let outcome = asked.caller(&world).and_then(|email| {
            world.charge(&email, units)?;
            operation(&mut world, &email)
        });
        match outcome {
            Ok(reply) => reply.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

enum Reply {
    Resource(Value),
    Nothing,
    NotModified,
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Nothing => StatusCode::NO_CONTENT.into_response(),
            Self::NotModified => StatusCode::NOT_MODIFIED.into_response(),
            Self::Resource(body) => {
                let etag = body
                    .get("etag")
                    .and_then(Value::as_str)
                    .and_then(|etag| etag.parse().ok());
                let mut response = axum::Json(body).into_response();
                let headers = response.headers_mut();
                let json = HeaderValue::from_static("application/json; charset=UTF-8");
                headers.insert(header::CONTENT_TYPE, json);
                if let Some(etag) = etag {
                    headers.insert(header::ETAG, etag);
                }
                response
            }
        }
    }
}

/// What every operation needs of a request.
struct Asked {
    headers: HeaderMap,
    params: Params,
}

impl Asked {
    fn new(headers: HeaderMap, query: Option<String>) -> Self {
        Self {
            headers,
            params: Params::parse(query.as_deref().unwrap_or_default()),
        }
    }

    fn header(&self, name: header::HeaderName) -> Option<String> {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    }

    fn caller(&self, world: &World) -> Result<String, ApiError> {
        let authorization = self
            .header(header::AUTHORIZATION)
            .ok_or_else(ApiError::login_required)?;
        let (scheme, token) = authorization.split_once(' ').ok_or_else(ApiError::auth_error)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(ApiError::auth_error());
        }
        world.authenticate(token.trim())
    }

    fn write_options(&self) -> Result<WriteOptions, ApiError> {
        // What a client must declare before Google lets it touch newer parts of an event:
        // https://developers.google.com/workspace/calendar/api/v3/reference/events/update
        let mut ignored = Vec::new();
        if self.params.get("conferenceDataVersion") != Some("1") {
            ignored.push("conferenceData");
        }
        if self.params.flag("supportsAttachments")? != Some(true) {
            ignored.push("attachments");
        }
        // "Version 1 enables support for event labels [...]. In this case, the colorId field is ignored."
        let knows_labels = self.params.get("eventLabelVersion") == Some("1");
        ignored.push(if knows_labels { "colorId" } else { "eventLabelId" });
        Ok(WriteOptions {
            send: SendUpdates::from_params(&self.params)?,
            ignored,
            if_match: self.header(header::IF_MATCH),
        })
    }
}

fn object(body: &Bytes) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(ApiError::parse_error()),
    }
}

/// A PATCH costs three units.
/// <https://developers.google.com/workspace/calendar/api/v3/reference/events/patch>
const PATCH_UNITS: u32 = 3;

/// All routes, under `/calendar/v3` as at Google, and the authorization server's.
pub(crate) fn router(shared: Shared) -> Router {
    let events = Router::new()
        .route(
            "/calendars/{calendar}/events",
            get(list_events).post(insert_event),
        )
        .route("/calendars/{calendar}/events/import", post(import_event))
        .route("/calendars/{calendar}/events/watch", post(watch_events))
        .route("/calendars/{calendar}/events/quickAdd", any(not_simulated))
        .route(
            "/calendars/{calendar}/events/{event}",
            get(get_event)
                .put(update_event)
                .patch(patch_event)
                .delete(delete_event),
        )
        .route(
            "/calendars/{calendar}/events/{event}/instances",
            get(list_instances),
        )
        .route("/calendars/{calendar}/events/{event}/move", post(move_event));
    let rest = Router::new()
        .route("/calendars", post(insert_calendar))
        .route(
            "/calendars/{calendar}",
            delete(delete_calendar).get(get_calendar).fallback(not_simulated),
        )
        .route("/calendars/{calendar}/clear", any(not_simulated))
        .route("/calendars/{calendar}/transferOwnership", any(not_simulated))
        .route("/calendars/{calendar}/acl", any(not_simulated))
        .route("/calendars/{calendar}/acl/{*rest}", any(not_simulated))
        .route(
            "/users/me/calendarList",
            get(list_calendars).fallback(not_simulated),
        )
        .route("/users/me/calendarList/watch", any(not_simulated))
        .route(
            "/users/me/calendarList/{calendar}",
            get(get_list_entry).fallback(not_simulated),
        )
        .route("/users/me/settings", any(not_simulated))
        .route("/users/me/settings/{*rest}", any(not_simulated))
        .route("/colors", any(not_simulated))
        .route("/channels/stop", post(stop_channel))
        .route("/freeBusy", post(query_free_busy));
    Router::new()
        .nest("/calendar/v3", events.merge(rest))
        .route("/o/oauth2/v2/auth", get(authorize))
        .route("/token", post(token))
        .route("/revoke", post(revoke))
        .fallback(|| async { ApiError::not_found() })
        .with_state(shared)
}

async fn not_simulated(State(shared): State<Shared>, request: Request) -> Response {
    let asked = Asked::new(request.headers().clone(), None);
    shared.call(&asked, 1, |_, _| Err(ApiError::not_simulated()))
}

async fn token(State(shared): State<Shared>, body: Bytes) -> Response {
    let form = Params::parse(&String::from_utf8_lossy(&body));
    oauth::token(&mut shared.lock(), &form)
}

async fn authorize(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let asked = Params::parse(&query.unwrap_or_default());
    consent::authorize(&mut shared.lock(), &asked)
}

/// The token comes in the form or in the query: "https://oauth2.googleapis.com/revoke?token={token}".
async fn revoke(State(shared): State<Shared>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let asked = format!("{}&{}", query.unwrap_or_default(), String::from_utf8_lossy(&body));
    oauth::revoke(&mut shared.lock(), &Params::parse(&asked))
}

async fn list_events(
    State(shared): State<Shared>,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Asked::new(headers, query);
    shared.call(&asked, 1, |world, email| {
        let (id, role) = world.open(email, &calendar, Role::Reader)?;
        listing::events(world, email, &id, role, &asked.params).map(Reply::Resource)
    })
}

async fn list_instances(
    State(shared): State<Shared>,
    Path((calendar, event)): Path<(String, String)>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Asked::new(headers, query);
    shared.call(&asked, 1, |world, email| {
        let (id, role) = world.open(email, &calendar, Role::Reader)?;
        listing::instances(world, email, &id, role, &event, &asked.params).map(Reply::Resource)
    })
}

/// The event as the caller sees it after an operation.
fn shown(
    world: &World,
    email: &str,
    calendar: &str,
    event: &str,
    params: &Params,
) -> Result<Reply, ApiError> {
    let (id, role) = world.open(email, calendar, Role::Reader)?;
    let calendar = world.calendar(&id)?;
    let viewer = listing::viewer(calendar, email, role, params)?;
    Ok(Reply::Resource(render::event(
        calendar,
        &find(calendar, event)?,
        &viewer,
    )))
}

async fn get_event(
    State(shared): State<Shared>,
    Path((calendar, event)): Path<(String, String)>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Asked::new(headers, query);
    shared.call(&asked, 1, |world, email| {
        let reply = shown(world, email, &calendar, &event, &asked.params)?;
        match (&reply, asked.header(header::IF_NONE_MATCH)) {
            (Reply::Resource(body), Some(known)) if body["etag"] == known.as_str() => Ok(Reply::NotModified),
            (Reply::Resource(_) | Reply::Nothing | Reply::NotModified, _) => Ok(reply),
        }
    })
}

async fn insert_event(
    State(shared): State<Shared>,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    create(&shared, &calendar, &Asked::new(headers, query), &body, false)
}

async fn import_event(
    State(shared): State<Shared>,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    create(&shared, &calendar, &Asked::new(headers, query), &body, true)
}

fn create(shared: &Shared, calendar: &str, asked: &Asked, body: &Bytes, import: bool) -> Response {
    shared.call(asked, 1, |world, email| {
        let (id, _role) = world.open(email, calendar, Role::WriterWithoutPrivateAccess)?;
        let event =
            events_create::insert(world, email, &id, &object(body)?, &asked.write_options()?, import)?;
        shown(world, email, &id, &event, &asked.params)
    })
}

async fn update_event(
    State(shared): State<Shared>,
    Path((calendar, event)): Path<(String, String)>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    edit(
        &shared,
        (&calendar, &event),
        &Asked::new(headers, query),
        &body,
        Edit::Update,
    )
}

async fn patch_event(
    State(shared): State<Shared>,
    Path((calendar, event)): Path<(String, String)>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    edit(
        &shared,
        (&calendar, &event),
        &Asked::new(headers, query),
        &body,
        Edit::Patch,
    )
}

fn edit(
    shared: &Shared,
    (calendar, event): (&str, &str),
    asked: &Asked,
    body: &Bytes,
    how: Edit,
) -> Response {
    let units = if how == Edit::Patch { PATCH_UNITS } else { 1 };
    shared.call(asked, units, |world, email| {
        let (id, _role) = world.open(email, calendar, Role::WriterWithoutPrivateAccess)?;
        let options = asked.write_options()?;
        let event = events_write::edit(world, email, (&id, event), &object(body)?, &options, how)?;
        shown(world, email, &id, &event, &asked.params)
    })
}

async fn delete_event(
    State(shared): State<Shared>,
    Path((calendar, event)): Path<(String, String)>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Asked::new(headers, query);
    shared.call(&asked, 1, |world, email| {
        let (id, _role) = world.open(email, &calendar, Role::WriterWithoutPrivateAccess)?;
        events_write::delete(world, email, &id, &event, &asked.write_options()?)?;
        Ok(Reply::Nothing)
    })
}

async fn move_event(
    State(shared): State<Shared>,
    Path((calendar, event)): Path<(String, String)>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Asked::new(headers, query);
    shared.call(&asked, 1, |world, email| {
        let (from, _role) = world.open(email, &calendar, Role::WriterWithoutPrivateAccess)?;
        let destination = asked.params.get("destination");
        let destination = destination.ok_or_else(|| ApiError::required("Missing destination."))?;
        let (to, _role) = world.open(email, destination, Role::WriterWithoutPrivateAccess)?;
        let send = SendUpdates::from_params(&asked.params)?;
        events_write::relocate(world, email, (&from, &event), &to, send)?;
        shown(world, email, &to, &event, &asked.params)
    })
}

async fn watch_events(
    State(shared): State<Shared>,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let asked = Asked::new(headers, query);
    let base = shared.base_url.get().cloned().unwrap_or_default();
    shared.call(&asked, 1, |world, email| {
        let (id, _role) = world.open(email, &calendar, Role::Reader)?;
        let segment: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        let uri = format!("{base}/calendar/v3/calendars/{segment}/events?alt=json");
        channels::watch(world, email, &id, uri, &object(&body)?).map(Reply::Resource)
    })
}

async fn stop_channel(
    State(shared): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    shared.call(&Asked::new(headers, query), 1, |world, email| {
        channels::stop(world, email, &object(&body)?)?;
        Ok(Reply::Nothing)
    })
}

async fn query_free_busy(
    State(shared): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    shared.call(&Asked::new(headers, query), 1, |world, email| {
        freebusy::query(world, email, &object(&body)?).map(Reply::Resource)
    })
}

async fn list_calendars(
    State(shared): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Asked::new(headers, query);
    shared.call(&asked, 1, |world, email| {
        calendars::list(world, email, &asked.params).map(Reply::Resource)
    })
}

async fn get_list_entry(
    State(shared): State<Shared>,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    shared.call(&Asked::new(headers, query), 1, |world, email| {
        let (id, _role) = world.open(email, &calendar, Role::FreeBusyReader)?;
        calendars::entry(world, email, &id).map(Reply::Resource)
    })
}

async fn get_calendar(
    State(shared): State<Shared>,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    shared.call(&Asked::new(headers, query), 1, |world, email| {
        let (id, _role) = world.open(email, &calendar, Role::Reader)?;
        Ok(Reply::Resource(calendars::resource(world.calendar(&id)?)))
    })
}

async fn insert_calendar(
    State(shared): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    shared.call(&Asked::new(headers, query), 1, |world, email| {
        let id = calendars::insert(world, email, &object(&body)?)?;
        Ok(Reply::Resource(calendars::resource(world.calendar(&id)?)))
    })
}

async fn delete_calendar(
    State(shared): State<Shared>,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    shared.call(&Asked::new(headers, query), 1, |world, email| {
        calendars::delete(world, email, &calendar)?;
        Ok(Reply::Nothing)
    })
}
