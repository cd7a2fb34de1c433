//! From an HTTP request to its answer: who asks, what for, and which quirk comes in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, header};

use super::answer::{Answer, Refusal, failed_condition, method_not_allowed, need_privilege, refuse};
use super::bad_answers;
use super::collections::{delete_calendar, make_calendar};
use super::config::Schemes;
use super::element::{CALDAV, DAV, Element, UnreadableXml};
use super::free_busy::free_busy;
use super::login::{challenge, user_of};
use super::objects::{Place, delete, get, put};
use super::properties::View;
use super::propfind::propfind;
use super::quirks::{Operation, Quirks};
use super::reports::{Reported, multiget, query, sync_collection};
use super::state::State;
use super::target::{Links, Target};

/// No request body may be larger: the server holds it in memory.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

const ALLOWED: &str = "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, REPORT, MKCALENDAR";

/// The server behind the socket; the handles share it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) context_path: String,
    pub(crate) schemes: Schemes,
    pub(crate) max_resource_size_bytes: usize,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    inner: Mutex<Inner>,
}

/// What changes while the server runs.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) state: State,
    pub(crate) quirks: Quirks,
    /// Requests of each kind since the start.
    pub(crate) counts: BTreeMap<Operation, u64>,
    /// The same since the quirks were last set.
    pub(crate) counts_of_quirks: BTreeMap<Operation, u64>,
}

/// A request, read.
struct Call {
    method: Method,
    target: Target,
    headers: HeaderMap,
    body: Bytes,
    document: Option<Result<Element, UnreadableXml>>,
}

impl Service {
    pub(crate) fn new(
        context_path: String,
        schemes: Schemes,
        max_resource_size_bytes: usize,
        scheme: &'static str,
        (state, quirks): (State, Quirks),
    ) -> Self {
        let inner = Inner {
            state,
            quirks,
            counts: BTreeMap::new(),
            counts_of_quirks: BTreeMap::new(),
        };
        Self {
            context_path,
            schemes,
            max_resource_size_bytes,
            scheme,
            inner: Mutex::new(inner),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request.
    pub(crate) async fn answer(self: Arc<Self>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large").into_response(false);
        };
        let target = Target::of_path(parts.uri.path(), &self.context_path);
        let call = Call::read(parts.method, target, parts.headers, body);
        let (response, spoil) = self.respond(&call);
        match spoil {
            Some(form) => bad_answers::spoiled(form, response).await,
            None => response,
        }
    }

    fn respond(&self, call: &Call) -> (Response, Option<super::quirks::BadAnswerForm>) {
        let operation = call.operation();
        let mut inner = self.lock();
        *inner.counts.entry(operation).or_default() += 1;
        let nth = inner.counts_of_quirks.entry(operation).or_default();
        *nth += 1;
        let nth = *nth;
        let quirks = inner.quirks.clone();
        let bad = quirks
            .bad_answer
            .filter(|bad| bad.operation.is_none_or(|wanted| wanted == operation));
        if let Some(response) = bad.and_then(|bad| bad_answers::instead(bad.form)) {
            return (response, None);
        }
        let refused = quirks
            .unauthorized_from
            .is_some_and(|from| from.operation == operation && nth >= from.nth);
        let answer = match refused {
            true => Err(challenge(self.schemes)),
            false => self.handle(&mut inner.state, &quirks, call),
        };
        let answer = answer.unwrap_or_else(|refusal| *refusal);
        (
            answer.into_response(quirks.dav_without_prefix),
            bad.map(|bad| bad.form),
        )
    }

    fn handle(&self, state: &mut State, quirks: &Quirks, call: &Call) -> Result<Answer, Refusal> {
        let target = match &call.target {
            // RFC 6764 section 5: any method is redirected, before anybody logs in.
            Target::WellKnown if !quirks.no_well_known => {
                let answer = Answer::empty(StatusCode::MOVED_PERMANENTLY);
                return Ok(answer.header(header::LOCATION, &self.context_path));
            }
            Target::WellKnown => return Err(refuse(StatusCode::NOT_FOUND, "no such resource")),
            Target::Top if quirks.no_well_known => &Target::Root,
            target => target,
        };
        if call.method == Method::OPTIONS {
            return Ok(Answer::empty(StatusCode::OK).header(header::ALLOW, ALLOWED));
        }
        let user = user_of(state, self.schemes, &call.headers).ok_or_else(|| challenge(self.schemes))?;
        let links = self.links(quirks, &call.headers);
        if target.account().is_some_and(|account| account != user) {
            // Whether it exists is nobody else's business.
            return Err(need_privilege(links.root(), "read"));
        }
        let view = View {
            user: &user,
            links: &links,
            quirks,
            max_resource_size_bytes: self.max_resource_size_bytes,
        };
        dispatch(state, &view, target, call)
    }

    fn links(&self, quirks: &Quirks, headers: &HeaderMap) -> Links {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let origin = match host {
            Some(host) if quirks.absolute_hrefs => format!("{}://{host}", self.scheme),
            Some(_) | None => String::new(),
        };
        Links {
            origin,
            context_path: self.context_path.clone(),
        }
    }
}

impl Call {
    fn read(method: Method, target: Target, headers: HeaderMap, body: Bytes) -> Self {
        let speaks_xml = matches!(method.as_str(), "PROPFIND" | "REPORT" | "MKCALENDAR") && !body.is_empty();
        let document = speaks_xml.then(|| Element::read(&String::from_utf8_lossy(&body)));
        Self {
            method,
            target,
            headers,
            body,
            document,
        }
    }

    fn document(&self) -> Result<Option<&Element>, Refusal> {
        match &self.document {
            None => Ok(None),
            Some(Ok(element)) => Ok(Some(element)),
            Some(Err(error)) => Err(refuse(StatusCode::BAD_REQUEST, &error.to_string())),
        }
    }

    fn operation(&self) -> Operation {
        let report = self
            .document
            .as_ref()
            .and_then(|document| document.as_ref().ok())
            .map(|root| root.name.parts());
        match (self.method.as_str(), report) {
            ("OPTIONS", _) => Operation::Options,
            ("GET" | "HEAD", _) => Operation::Get,
            ("PUT", _) => Operation::Put,
            ("DELETE", _) => Operation::Delete,
            ("MKCALENDAR", _) => Operation::Mkcalendar,
            ("PROPFIND", _) => Operation::Propfind,
            ("REPORT", Some((CALDAV, "calendar-multiget"))) => Operation::Multiget,
            ("REPORT", Some((CALDAV, "calendar-query"))) => Operation::CalendarQuery,
            ("REPORT", Some((CALDAV, "free-busy-query"))) => Operation::FreeBusyQuery,
            ("REPORT", Some((DAV, "sync-collection"))) => Operation::SyncCollection,
            _ => Operation::Other,
        }
    }
}

fn dispatch(state: &mut State, view: &View<'_>, target: &Target, call: &Call) -> Result<Answer, Refusal> {
    match (call.method.as_str(), target) {
        (_, Target::Unknown | Target::Top | Target::WellKnown) => {
            Err(refuse(StatusCode::NOT_FOUND, "no such resource"))
        }
        ("PROPFIND", _) => propfind(state, view, target, &call.headers, call.document()?),
        ("REPORT", Target::Calendar(account, name)) => {
            let Some(calendar) = state.calendar(account, name) else {
                return Err(refuse(StatusCode::NOT_FOUND, "no such calendar"));
            };
            report(
                view,
                Reported {
                    account,
                    name,
                    calendar,
                },
                call,
            )
        }
        ("REPORT", _) => Err(unsupported_report()),
        ("GET" | "HEAD" | "PUT" | "DELETE", Target::Object(account, calendar, object)) => {
            let place = Place {
                account,
                calendar,
                object,
            };
            match call.method.as_str() {
                "PUT" => put(state, view, place, &call.headers, &call.body),
                "DELETE" => delete(state, view, place, &call.headers),
                _ => get(state, view, place, &call.headers),
            }
        }
        ("MKCALENDAR", Target::Calendar(account, name)) => {
            make_calendar(state, account, name, call.document()?)
        }
        ("MKCALENDAR", _) => {
            let condition = Element::caldav("calendar-collection-location-ok");
            Err(failed_condition(StatusCode::FORBIDDEN, condition))
        }
        ("DELETE", Target::Calendar(account, name)) => delete_calendar(state, account, name),
        _ => Err(method_not_allowed(ALLOWED)),
    }
}

fn report(view: &View<'_>, of: Reported<'_>, call: &Call) -> Result<Answer, Refusal> {
    let Some(request) = call.document()? else {
        return Err(refuse(StatusCode::BAD_REQUEST, "a report needs a body"));
    };
    match call.operation() {
        Operation::Multiget => multiget(view, of, request),
        Operation::CalendarQuery => query(view, of, &call.headers, request),
        Operation::FreeBusyQuery => free_busy(of, request),
        Operation::SyncCollection if !view.quirks.no_sync_collection => {
            sync_collection(view, of, &call.headers, request)
        }
        Operation::SyncCollection
        | Operation::Options
        | Operation::Propfind
        | Operation::Get
        | Operation::Put
        | Operation::Delete
        | Operation::Mkcalendar
        | Operation::Other => Err(unsupported_report()),
    }
}

/// RFC 3253 section 3.6.
fn unsupported_report() -> Refusal {
    failed_condition(StatusCode::FORBIDDEN, Element::dav("supported-report"))
}

/// The router's only handler: WebDAV's methods have no routes of their own in HTTP frameworks.
pub(crate) fn router(service: Arc<Service>) -> axum::Router {
    let handler = move |request: Request<Body>| {
        let service = Arc::clone(&service);
        async move { service.answer(request).await }
    };
    axum::Router::new().fallback(handler)
}
