//! The listener: accepts connections up to a bound, and lets go of idle ones when it is reached. A client that sends its
//! headers slowly or never counts as idle, so such clients cost each other their places and nobody else's.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{Request, Response};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long a connection may be without a request whose headers are complete: an idle one, and one whose headers come
/// slowly.
pub const HEADERS_WITHIN: Duration = Duration::from_secs(30);
/// Largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Idle for less, a connection may still be sending its last answer, and is not let go.
const SETTLED: Duration = Duration::from_secs(1);
/// After an error of the system, such as too many open files.
const BREATH: Duration = Duration::from_millis(200);
/// How long idle connections have to end when the server stops.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Raises this process's bound on open files as far as it may: each connection is one, and the usual bound is low.
pub fn allow_files() {
    let bound = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: bound.maximum,
        maximum: bound.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::debug!(%error, "the bound on open files stays as it is");
    }
}

/// The connections there are.
struct Floor {
    seats: Arc<tokio::sync::Semaphore>,
    idle: Mutex<Idle>,
}

/// Those without a request, in the order in which they became idle.
#[derive(Default)]
struct Idle {
    next: u64,
    waiting: BTreeMap<u64, (tokio::time::Instant, CancellationToken)>,
}

impl Floor {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the connection that has been idle longest; whether there was one.
    fn let_go(&self) -> bool {
        let mut idle = self.idle();
        let Some(first) = idle.waiting.first_entry() else {
            return false;
        };
        if first.get().0.elapsed() < SETTLED {
            return false;
        }
        let (_, leave) = first.remove();
        leave.cancel();
        true
    }
}

/// A connection's place.
struct Seat {
    floor: Arc<Floor>,
    leave: CancellationToken,
    requests: AtomicUsize,
    ticket: Mutex<Option<u64>>,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    fn take(floor: &Arc<Floor>, permit: OwnedSemaphorePermit) -> Arc<Self> {
        let seat = Arc::new(Self {
            floor: Arc::clone(floor),
            leave: CancellationToken::new(),
            requests: AtomicUsize::new(0),
            ticket: Mutex::new(None),
            _permit: permit,
        });
        seat.rest();
        seat
    }

    fn ticket(&self) -> MutexGuard<'_, Option<u64>> {
        self.ticket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest(&self) {
        let mut ticket = self.ticket();
        if self.requests.load(Ordering::Acquire) > 0 || ticket.is_some() {
            return;
        }
        let mut idle = self.floor.idle();
        idle.next += 1;
        let number = idle.next;
        idle.waiting
            .insert(number, (tokio::time::Instant::now(), self.leave.clone()));
        *ticket = Some(number);
    }

    fn wake(&self) {
        if let Some(number) = self.ticket().take() {
            self.floor.idle().waiting.remove(&number);
        }
    }

    fn is_busy(&self) -> bool {
        self.requests.load(Ordering::Acquire) > 0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.wake();
    }
}

/// A request under way, until its answer's body has ended.
struct Busy(Arc<Seat>);

impl Busy {
    fn begin(seat: &Arc<Seat>) -> Self {
        seat.requests.fetch_add(1, Ordering::AcqRel);
        seat.wake();
        Self(Arc::clone(seat))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.rest();
        }
    }
}

/// Serves until `stop` is cancelled, then lets open requests end.
pub async fn serve(listener: TcpListener, router: Router, most: usize, stop: CancellationToken) {
    let floor = Arc::new(Floor {
        seats: Arc::new(tokio::sync::Semaphore::new(most)),
        idle: Mutex::default(),
    });
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                out_of_breath(&floor, &error).await;
                continue;
            }
        };
        let Some(permit) = seat(&floor).await else {
            metrics::counter!("concord_connections_refused_total").increment(1);
            continue;
        };
        let seat = Seat::take(&floor, permit);
        open.spawn(converse(stream, router.clone(), seat, stop.clone()));
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

/// A place, for which the connection that has been idle longest goes when all are taken.
async fn seat(floor: &Arc<Floor>) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(&floor.seats).try_acquire_owned() {
        return Some(permit);
    }
    if !floor.let_go() {
        return None;
    }
    metrics::counter!("concord_connections_let_go_total").increment(1);
    // It goes at once: its task has nothing else to do.
    let waiting = Arc::clone(&floor.seats).acquire_owned();
    tokio::time::timeout(SETTLED, waiting).await.ok()?.ok()
}

async fn out_of_breath(floor: &Floor, error: &std::io::Error) {
    let theirs = matches!(
        error.kind(),
        std::io::ErrorKind::ConnectionAborted | std::io::ErrorKind::ConnectionReset
    );
    if theirs {
        return;
    }
    // Too many open files, most likely: one less now.
    tracing::warn!(%error, "a connection could not be accepted");
    floor.let_go();
    tokio::time::sleep(BREATH).await;
}

async fn converse(stream: TcpStream, router: Router, seat: Arc<Seat>, stop: CancellationToken) {
    // A failure leaves the answers slower, and whole.
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .keep_alive_interval(HEADERS_WITHIN);
    let leave = seat.leave.clone();
    let busy = Arc::clone(&seat);
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, busy) = (router.clone(), Busy::begin(&busy));
        async move { Ok::<_, Infallible>(answer(router, request, busy).await) }
    });
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    tokio::select! {
        // A client that breaks off is its own business.
        _ = connection.as_mut() => return,
        () = leave.cancelled() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = tokio::time::sleep(LAST_WORDS) => if !seat.is_busy() { return },
        }
    }
}

async fn answer(router: Router, request: Request<Incoming>, busy: Busy) -> Response<Body> {
    let response = match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    response.map(|body| Body::new(Guarded { body, _busy: busy }))
}

/// An answer's body, whose connection is busy until it has ended.
struct Guarded {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
