//! A reverse proxy before a real server: counts what passes, so that a test can say "zero writes", and lets single
//! requests fail, wait, or lose their answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::{Method, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::cut::{Cut, CuttableListener};

/// Methods that change something at a CalDAV or JSON server. POST is among them: a vendor's query by POST must be
/// counted by path.
const WRITES: [&str; 9] = [
    "PUT",
    "DELETE",
    "POST",
    "PATCH",
    "MKCOL",
    "MKCALENDAR",
    "PROPPATCH",
    "MOVE",
    "COPY",
];

/// Headers that concern one hop only (RFC 9110, section 7.6.1), and those that the next hop sets by itself.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
    header::CONTENT_LENGTH,
];

/// What happens to a request that a fault meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultAction {
    /// It is answered with this status and text and never reaches the server.
    Status(StatusCode, String),
    /// It reaches the server after this time.
    Delay(Duration),
    /// The connection closes and the request never reaches the server.
    Close,
    /// The server executes the request, and the connection closes before the answer: a lost response.
    LoseAnswer,
}

/// Which requests fail, and how.
#[derive(Clone, Debug)]
pub struct Fault {
    method: Option<Method>,
    path_contains: String,
    skip: usize,
    times: usize,
    action: FaultAction,
}

impl Fault {
    /// Meets the next request, once.
    pub fn new(action: FaultAction) -> Self {
        Self {
            method: None,
            path_contains: String::new(),
            skip: 0,
            times: 1,
            action,
        }
    }

    /// Only requests of this method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Only requests whose path and query contain this.
    #[must_use]
    pub fn path_contains(mut self, part: impl Into<String>) -> Self {
        self.path_contains = part.into();
        self
    }

    /// The `nth` matching request, counted from 1, rather than the first.
    #[must_use]
    pub fn nth(mut self, nth: usize) -> Self {
        self.skip = nth.saturating_sub(1);
        self
    }

    /// So many matching requests in a row.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Every matching request, until the faults are cleared.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    fn meets(&mut self, method: &Method, path: &str) -> bool {
        let matches =
            self.method.as_ref().is_none_or(|wanted| wanted == method) && path.contains(&self.path_contains);
        if !matches || self.times == 0 {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times = self.times.saturating_sub(1);
        true
    }
}

/// A request that came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRequest {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// The answer's status; nothing when the connection was closed.
    pub status: Option<StatusCode>,
}

impl SeenRequest {
    /// Whether it was of a method that changes something.
    pub fn is_write(&self) -> bool {
        WRITES.contains(&self.method.as_str())
    }
}

#[derive(Default)]
struct Ledger {
    seen: Vec<SeenRequest>,
    faults: Vec<Fault>,
}

#[derive(Clone)]
struct Shared {
    upstream: Url,
    http: reqwest::Client,
    ledger: Arc<Mutex<Ledger>>,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running proxy. Dropping it closes its port.
pub struct CountingProxy {
    address: SocketAddr,
    shared: Shared,
    _serving: AbortOnDropHandle<()>,
}

impl CountingProxy {
    /// Stands before `upstream` on a free loopback port.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(upstream: &Url) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .no_gzip()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let shared = Shared {
            upstream: upstream.clone(),
            http,
            ledger: Arc::default(),
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let listener = CuttableListener(listener);
        let router = Router::new().fallback(pass).with_state(shared.clone());
        let service = router.into_make_service_with_connect_info::<Cut>();
        let serving = tokio::spawn(async move {
            // Ends only with the task.
            let _ = axum::serve(listener, service).await;
        });
        Ok(Self {
            address,
            shared,
            _serving: AbortOnDropHandle::new(serving),
        })
    }

    /// `http://127.0.0.1:PORT/`, in place of the server's own address.
    ///
    /// # Errors
    /// Never in practice; the address is ours.
    pub fn base_url(&self) -> Result<Url> {
        Ok(Url::parse(&format!("http://{}/", self.address))?)
    }

    /// Adds a fault. Of several that would meet a request, the first added does.
    pub fn inject(&self, fault: Fault) {
        self.shared.ledger().faults.push(fault);
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.shared.ledger().faults.clear();
    }

    /// All requests since the start or the last `forget`, in order of arrival at their answer.
    pub fn seen(&self) -> Vec<SeenRequest> {
        self.shared.ledger().seen.clone()
    }

    /// How many requests there were of each method.
    pub fn by_method(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for request in &self.shared.ledger().seen {
            *counts.entry(request.method.to_string()).or_default() += 1;
        }
        counts
    }

    /// The requests that change something at the server, refused and lost ones included.
    pub fn writes(&self) -> Vec<SeenRequest> {
        self.shared
            .ledger()
            .seen
            .iter()
            .filter(|request| request.is_write())
            .cloned()
            .collect()
    }

    /// Starts counting afresh.
    pub fn forget(&self) {
        self.shared.ledger().seen.clear();
    }
}

async fn pass(
    State(shared): State<Shared>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response<Body> {
    let method = request.method().clone();
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let action = {
        let mut ledger = shared.ledger();
        ledger
            .faults
            .iter_mut()
            .find_map(|fault| fault.meets(&method, &path).then(|| fault.action.clone()))
    };
    let answer = match action {
        None => Some(forward(&shared, &path, request).await),
        Some(FaultAction::Status(status, text)) => Some(plain(status, text)),
        Some(FaultAction::Delay(time)) => {
            sleep_until(Instant::now() + time).await;
            Some(forward(&shared, &path, request).await)
        }
        Some(FaultAction::Close) => None,
        Some(FaultAction::LoseAnswer) => {
            forward(&shared, &path, request).await;
            None
        }
    };
    let status = answer.as_ref().map(Response::status);
    shared.ledger().seen.push(SeenRequest { method, path, status });
    answer.unwrap_or_else(|| {
        cut.now();
        plain(StatusCode::BAD_GATEWAY, String::new())
    })
}

async fn forward(shared: &Shared, path: &str, request: Request) -> Response<Body> {
    let attempt = async {
        let (parts, body) = request.into_parts();
        let url = shared.upstream.join(path)?;
        // Collected, since a request of unknown length would go out in chunks, which Radicale's server does not read.
        let body = axum::body::to_bytes(body, usize::MAX).await?;
        let upstream = shared
            .http
            .request(parts.method, url)
            .headers(end_to_end(parts.headers))
            .body(body);
        let answer = upstream.send().await?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        *response.headers_mut() = end_to_end(answer.headers().clone());
        // Collected too: a lost answer must be one that the server has completed.
        *response.body_mut() = Body::from(answer.bytes().await?);
        anyhow::Ok(response)
    };
    attempt
        .await
        .unwrap_or_else(|error| plain(StatusCode::BAD_GATEWAY, format!("proxy: {error:#}")))
}

fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}
