//! One delivery from its first byte to its answer.

use std::time::{Duration, Instant};

use axum::extract::{Path, Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use connector_sdk::signature::Refusal;
use connector_sdk::webhooks::DEFAULT_MAX_BODY_BYTES;
use connector_sdk::webhooks::inbox::StoredHead;
use connector_sdk::{Handshake, RawRequest, VerifiedRequest, Webhooks};
use hmac::{Hmac, Mac as _};
use model::{ConnectionId, InboundId, JobId};
use sha2::{Digest as _, Sha256};
use store::{HookOwner, NewInbound, Receipt};
use tokio::time::timeout;

use super::body::Unread;
use super::committer::Turned;
use super::directory::Target;
use crate::api::error::{ApiError, Code};
use crate::api::request_id;
use crate::state::AppState;
use crate::traces::follow::{Arrival, Arrived};

/// Connections that one delivery may concern; vendors name a handful.
const MAX_ROUTES: usize = 100;
/// Longest delivery id that is kept as it is; a longer one is kept as its hash.
const LONGEST_ID: usize = 200;
/// Longest route; what is longer names nobody.
const LONGEST_ROUTE: usize = 500;
/// How long a sender waits for its answer, not counting how long its body takes to arrive: for the look at what its
/// address leads to, the proof, and the commit together. A slow or silent database must not keep it for longer.
const ANSWERED_WITHIN: Duration = Duration::from_millis(950);
/// When a sender that was turned away may come again, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// `/hooks/{connection_id}`.
pub(super) async fn to_connection(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    deliver(&state, id.parse().ok().map(HookOwner::Connection), request).await
}

/// `/hooks/apps/{provider_app_id}`.
pub(super) async fn to_app(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    deliver(&state, id.parse().ok().map(HookOwner::App), request).await
}

async fn deliver(state: &AppState, owner: Option<HookOwner>, request: Request) -> Response {
    let provider;
    let begun = Instant::now();
    let outcome = match target_of(state, owner).await {
        Err(refused) => {
            provider = "unknown";
            Err(refused)
        }
        Ok(target) => {
            provider = target
                .as_ref()
                .map_or("unknown", |target| target.connector.info().id);
            receive(
                state,
                target.as_deref(),
                request,
                ANSWERED_WITHIN.saturating_sub(begun.elapsed()),
            )
            .await
        }
    };
    let (name, response) = match outcome {
        Ok(taken) => (taken.name(), taken.into_response()),
        Err(refused) => (refused.name, refused.into_response()),
    };
    metrics::counter!("concord_webhooks_total", "provider" => provider, "outcome" => name).increment(1);
    response
}

/// What was done with a delivery that was proven, or with a request that set its address up.
enum Taken {
    Shook(Handshake),
    Stored,
    Seen,
    Parked,
    OfNobody,
}

impl Taken {
    const fn name(&self) -> &'static str {
        match self {
            Self::Shook(_) => "handshake",
            Self::Stored => "stored",
            Self::Seen => "seen",
            Self::Parked => "parked",
            Self::OfNobody => "of_nobody",
        }
    }

    fn into_response(self) -> Response {
        match self {
            Self::Shook(handshake) => (handshake.status, handshake.headers, handshake.body).into_response(),
            Self::Stored | Self::Seen | Self::Parked | Self::OfNobody => StatusCode::OK.into_response(),
        }
    }
}

/// What is answered to a delivery that was not taken.
struct Refused {
    /// The word for metrics.
    name: &'static str,
    error: ApiError,
}

impl Refused {
    fn new(name: &'static str, code: Code, message: &str) -> Self {
        Self {
            name,
            error: ApiError::new(code, message),
        }
    }

    /// The same answer whether the address leads nowhere, the signature is wrong, or there is no secret.
    fn unproven(reason: Refusal) -> Self {
        let message = "the delivery is not proven; nothing was read of it and nothing stored";
        Self::new(reason.name(), Code::BadSignature, message)
    }

    fn busy(name: &'static str) -> Self {
        let message = "the delivery was not stored; send it again";
        Self::new(name, Code::Unavailable, message)
    }

    fn into_response(self) -> Response {
        let later = self.error.code == Code::Unavailable;
        let mut response = self.error.into_response();
        if later {
            let value = HeaderValue::from_static(RETRY_AFTER_SECONDS);
            response.headers_mut().insert(RETRY_AFTER, value);
        }
        response
    }
}

impl From<Unread> for Refused {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge => {
                let message =
                    "the body is larger than this provider's deliveries ever are; nothing was stored";
                Self::new("too_large", Code::PayloadTooLarge, message)
            }
            Unread::TooSlow => {
                let message = "the body did not arrive within ten seconds; nothing was stored";
                Self::new("too_slow", Code::RequestTimeout, message)
            }
            Unread::Broken => {
                let message = "the body broke off before its end; nothing was stored";
                Self::new("broken_off", Code::RequestTimeout, message)
            }
            Unread::NoRoom => Self::busy("no_room"),
        }
    }
}

async fn target_of(
    state: &AppState,
    owner: Option<HookOwner>,
) -> Result<Option<std::sync::Arc<Target>>, Refused> {
    let Some(owner) = owner else { return Ok(None) };
    state.intake().directory.find(&owner).await.map_err(unfound)
}

/// The store does not answer for an address: whether a delivery is proven cannot be said, and its sender comes again.
fn unfound(error: impl std::fmt::Display) -> Refused {
    tracing::error!(%error, "a webhook's address cannot be looked up");
    Refused::busy("store_failed")
}

async fn receive(
    state: &AppState,
    target: Option<&Target>,
    request: Request,
    within: Duration,
) -> Result<Taken, Refused> {
    let (parts, body) = request.into_parts();
    let arrival = Arrival::begin(state.traces(), &parts.headers);
    let facet = target.and_then(|target| target.connector.webhooks());
    let limit = facet.map_or(DEFAULT_MAX_BODY_BYTES, Webhooks::max_body_bytes);
    let held = state.intake().room.read(body, limit).await?;
    let now_ms = state.clock().now_ms();
    let (Some(target), Some(facet)) = (target, facet) else {
        work_in_vain(&held.bytes);
        return Err(Refused::unproven(Refusal::NoSecret));
    };
    let trace = trace_of(&parts);
    let raw = RawRequest {
        method: parts.method,
        path_and_query: parts
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        origin: std::sync::Arc::clone(&state.intake().origin),
        headers: parts.headers,
        body: held.bytes.clone(),
        received_at_ms: now_ms,
    };
    if let Some(handshake) = facet.handshake(&raw, &target.secrets, now_ms) {
        if handshake.secret.is_some() {
            // Nobody has asked for one: whoever offers a secret could prove anything with it afterwards.
            return Err(Refused::new(
                "unasked_secret",
                Code::NotFound,
                "there is nothing at this address",
            ));
        }
        return Ok(Taken::Shook(handshake));
    }
    let taken = async {
        let verified = verify(state, target, facet, raw, now_ms).await?;
        store(state, target, facet, &verified, (trace, arrival)).await
    };
    // What is committed nevertheless is recognised when it comes again.
    timeout(within, taken)
        .await
        .unwrap_or_else(|_| Err(Refused::busy(Turned::Late.name())))
}

/// Proves the delivery. Where no secret fits, the secrets are looked up once more: a new one may have been set on
/// another node.
async fn verify(
    state: &AppState,
    target: &Target,
    facet: &dyn Webhooks,
    raw: RawRequest,
    now_ms: i64,
) -> Result<VerifiedRequest, Refused> {
    let again = raw.clone();
    let error = match facet.verify(raw, &target.secrets, now_ms) {
        Ok(verified) => return Ok(verified),
        Err(error) => error,
    };
    let refusal = error.refusal().unwrap_or(Refusal::Malformed);
    if matches!(
        refusal,
        Refusal::WrongSignature | Refusal::NoSecret | Refusal::UnknownKey
    ) {
        let anew = state
            .intake()
            .directory
            .find_anew(target)
            .await
            .map_err(unfound)?;
        if let Some(fresh) = anew
            && let Ok(verified) = facet.verify(again, &fresh.secrets, now_ms)
        {
            return Ok(verified);
        }
    }
    let provider = target.connector.info().id;
    metrics::counter!("concord_webhook_refusals_total", "provider" => provider, "reason" => refusal.name())
        .increment(1);
    tracing::warn!(provider, address = ?target.owner, reason = refusal.name(), "a delivery was refused: {error}");
    Err(Refused::unproven(refusal))
}

/// Makes the delivery durable, once for each connection that it concerns.
async fn store(
    state: &AppState,
    target: &Target,
    facet: &dyn Webhooks,
    verified: &VerifiedRequest,
    (trace, arrival): (Option<String>, Option<Arrival>),
) -> Result<Taken, Refused> {
    let places = places(state, target, facet, verified).await?;
    if places.is_empty() {
        return Ok(Taken::OfNobody);
    }
    let head = serde_json::to_string(&StoredHead::of(verified)).map_err(|error| {
        tracing::error!(%error, "a delivery's head cannot be written down");
        Refused::busy("head_failed")
    })?;
    let delivery = facet.delivery_id(verified).map(kept_id);
    let parked = places.iter().all(|place| place.connection.is_none());
    let rows: Vec<NewInbound> = places
        .into_iter()
        .map(|place| {
            let (now_ms, random) = state.id_parts();
            NewInbound {
                id: InboundId::new(now_ms, random),
                organization: target.organization.clone(),
                connection: place.connection,
                app: match &target.owner {
                    HookOwner::App(id) => Some(id.clone()),
                    HookOwner::Connection(_) => None,
                },
                route: place.route,
                provider: target.connector.info().id.to_owned(),
                delivery: delivery.clone(),
                head: head.clone(),
                body: verified.body().clone(),
                trace: trace.clone(),
                received_at: verified.request().received_at_ms,
                job: JobId::new(now_ms, state.entropy().random()),
            }
        })
        .collect();
    let count = rows.len();
    let told = arrival.map(|arrival| (arrival, rows.iter().map(Arrived::from).collect::<Vec<_>>()));
    let begun = state.traces().begin();
    let committed = state.intake().committer.commit(rows).await;
    if let (Some((arrival, rows)), Ok(receipts)) = (told, &committed) {
        let rows = rows.into_iter().zip(receipts.iter().copied()).collect();
        arrival.stored(state.traces(), target.connector.info().id, rows, begun);
    }
    match committed {
        Ok(receipts) if receipts.len() != count => {
            tracing::error!(
                count,
                answered = receipts.len(),
                "the inbox did not answer for all that it was given"
            );
            Err(Refused::busy("store_failed"))
        }
        Ok(receipts) if receipts.iter().all(|receipt| *receipt == Receipt::Seen) => Ok(Taken::Seen),
        Ok(_) if parked => Ok(Taken::Parked),
        Ok(_) => Ok(Taken::Stored),
        Err(turned) => Err(Refused::busy(turned.name())),
    }
}

/// A connection that a delivery concerns, and under which route.
struct Place {
    connection: Option<ConnectionId>,
    route: Option<String>,
}

async fn places(
    state: &AppState,
    target: &Target,
    facet: &dyn Webhooks,
    verified: &VerifiedRequest,
) -> Result<Vec<Place>, Refused> {
    if let HookOwner::Connection(id) = &target.owner {
        return Ok(vec![Place {
            connection: Some(id.clone()),
            route: None,
        }]);
    }
    let mut places = Vec::new();
    let mut routes = facet.routes(verified);
    let told = routes.len();
    // A NUL is no text to PostgreSQL.
    routes.retain(|route| !route.0.is_empty() && route.0.len() <= LONGEST_ROUTE && !route.0.contains('\0'));
    routes.truncate(MAX_ROUTES);
    if routes.len() < told {
        let left_out = told - routes.len();
        tracing::warn!(address = ?target.owner, left_out, "a delivery names routes that are too many or no routes");
    }
    for route in routes {
        let owners = state.intake().directory.routed(target, &route.0).await;
        let owners = owners.map_err(|error| {
            tracing::error!(%error, "the connections of a route cannot be looked up");
            Refused::busy("store_failed")
        })?;
        if owners.is_empty() {
            places.push(Place {
                connection: None,
                route: Some(route.0),
            });
            continue;
        }
        places.extend(owners.iter().map(|connection| Place {
            connection: Some(connection.clone()),
            route: Some(route.0.clone()),
        }));
    }
    Ok(places)
}

/// The provider's id as it is kept.
fn kept_id(id: String) -> String {
    if id.len() <= LONGEST_ID && !id.contains('\0') {
        return id;
    }
    let digest = Sha256::digest(id.as_bytes());
    let mut hashed = String::from("sha256:");
    for byte in digest {
        hashed.push_str(&format!("{byte:02x}"));
    }
    hashed
}

/// What a wrong signature would have cost, so that an address that leads nowhere does not answer sooner.
fn work_in_vain(body: &[u8]) {
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&[0x5c; 32]) {
        mac.update(body);
        std::hint::black_box(mac.verify_slice(&[0; 32]).is_ok());
    }
}

/// The trace that the delivery belongs to (<https://www.w3.org/TR/trace-context/#traceparent-header>), or the
/// request's own id.
fn trace_of(parts: &Parts) -> Option<String> {
    traceparent(&parts.headers).or_else(|| request_id(&parts.extensions).map(str::to_owned))
}

fn traceparent(headers: &HeaderMap) -> Option<String> {
    let mut fields = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (version, trace) = (fields.next()?, fields.next()?);
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let fits = version.len() == 2 && hex(version) && version != "ff" && trace.len() == 32 && hex(trace);
    (fits && trace.bytes().any(|byte| byte != b'0')).then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_taken_from_a_well_formed_header_only() {
        let trace = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::from_str(text).unwrap());
            traceparent(&headers)
        };
        let good = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(
            trace(&format!("00-{good}-00f067aa0ba902b7-01")).as_deref(),
            Some(good)
        );
        for bad in [
            "",
            "00",
            "00-short-x-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(trace(bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_of_any_length_are_told_apart() {
        assert_eq!(kept_id("msg_1".to_owned()), "msg_1");
        let (one, two) = ("a".repeat(10_000), format!("{}b", "a".repeat(9_999)));
        assert_ne!(kept_id(one.clone()), kept_id(two));
        assert_eq!(kept_id(one.clone()), kept_id(one.clone()));
        assert!(kept_id(one).len() <= LONGEST_ID);
    }
}
