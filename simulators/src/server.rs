//! The ground under every simulator: an HTTP(S) server on loopback that stops when it is told to or dropped, and
//! the layers that record each request and apply the [`Faults`] plan.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub use crate::request_log::{LoggedRequest, Mark, RequestLog};

use crate::faults::{Fault, FaultAnswer, Faults};

const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

/// Where and how to listen.
#[derive(Clone, Default)]
pub struct ServerOptions {
    /// Address to bind; none means 127.0.0.1 with a free port.
    pub address: Option<SocketAddr>,
    /// Serve HTTPS with this configuration instead of HTTP.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("address", &self.address)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

/// A running server. Dropping it closes the port and cuts every connection.
#[derive(Debug)]
pub struct SimulatorServer {
    address: SocketAddr,
    base_url: String,
    stop: CancellationToken,
    cut: CancellationToken,
    accepting: Option<JoinHandle<()>>,
    serving: Option<JoinHandle<io::Result<()>>>,
}

impl SimulatorServer {
    /// Binds the address and serves `router` in the background.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(router: Router, options: ServerOptions) -> io::Result<Self> {
        let wanted = options
            .address
            .unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let tcp = TcpListener::bind(wanted).await?;
        let address = tcp.local_addr()?;
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let (sender, ready) = mpsc::channel(64);
        let tls = options.tls.map(TlsAcceptor::from);
        let accepting = tokio::spawn(accept_all(tcp, tls, sender, stop.clone(), cut.clone()));
        let listener = Connections { address, ready };
        let service = router.into_make_service_with_connect_info::<ConnectionCut>();
        let stopped = stop.clone().cancelled_owned();
        let serving = axum::serve(listener, service).with_graceful_shutdown(stopped);
        let serving = tokio::spawn(async move { serving.await });
        let base_url = format!("{scheme}://{address}");
        Ok(Self {
            address,
            base_url,
            stop,
            cut,
            accepting: Some(accepting),
            serving: Some(serving),
        })
    }

    /// `http(s)://address:port`, without a trailing slash.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and cuts all open connections at once. What is in flight is lost, as when a vendor's
    /// front end dies.
    pub fn abort(&self) {
        self.stop.cancel();
        self.cut.cancel();
    }

    /// Stops listening, lets requests in flight finish (those that take longer than five seconds are cut), and
    /// returns when the port is closed.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(accepting) = self.accepting.take() {
            log_failure(accepting.await);
        }
        if let Some(mut serving) = self.serving.take() {
            match tokio::time::timeout(SHUTDOWN_PATIENCE, &mut serving).await {
                Ok(ended) => log_failure(ended),
                Err(_elapsed) => self.cut.cancel(),
            }
        }
    }
}

fn log_failure<T>(ended: Result<T, tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::warn!(%error, "simulator server ended badly");
    }
}

impl Drop for SimulatorServer {
    fn drop(&mut self) {
        self.abort();
    }
}

/// Adds the request log (outermost) and the fault plan to a simulator's router.
pub fn observed(router: Router, log: RequestLog, faults: Faults) -> Router {
    router
        .layer(from_fn_with_state(faults, apply_faults))
        .layer(from_fn_with_state(log, record))
}

async fn record(State(log): State<RequestLog>, request: Request, next: Next) -> Response {
    let sequence = log.arrived(request.method(), request.uri(), request.headers());
    let connection = connection_of(&request);
    let response = next.run(request).await;
    // A cut connection carries no answer: the entry keeps its empty status.
    if !connection.is_some_and(|connection| connection.0.is_cancelled()) {
        log.answered(sequence, response.status());
    }
    response
}

fn connection_of(request: &Request) -> Option<ConnectionCut> {
    request
        .extensions()
        .get::<ConnectInfo<ConnectionCut>>()
        .map(|info| info.0.clone())
}

async fn apply_faults(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    let uri = request.uri();
    let Some(fault) = faults.take(request.method(), uri.path(), uri.query().unwrap_or_default()) else {
        return next.run(request).await;
    };
    let connection = connection_of(&request);
    match fault {
        Fault::Answer(answer) => fault_response(answer),
        Fault::LoseResponse => {
            let response = next.run(request).await;
            cut(connection);
            response
        }
        Fault::DropBeforeEffect => {
            cut(connection);
            Response::new(Body::empty())
        }
        Fault::Delay(time) => {
            tokio::time::sleep(time).await;
            next.run(request).await
        }
        Fault::Hold(gate) => {
            gate.pass().await;
            next.run(request).await
        }
        Fault::Before(hook) => {
            hook();
            next.run(request).await
        }
    }
}

fn cut(connection: Option<ConnectionCut>) {
    match connection {
        Some(connection) => connection.0.cancel(),
        None => tracing::error!(
            "a fault wanted to cut a connection, but the router is not served by SimulatorServer"
        ),
    }
}

fn fault_response(answer: FaultAnswer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Ends one connection without an answer.
#[derive(Clone, Debug)]
struct ConnectionCut(CancellationToken);

impl Connected<IncomingStream<'_, Connections>> for ConnectionCut {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        Self(stream.io().cut.clone())
    }
}

/// Accepted connections, TLS already spoken. A slow or failing handshake holds up no other connection.
struct Connections {
    address: SocketAddr,
    ready: mpsc::Receiver<(Connection, SocketAddr)>,
}

async fn accept_all(
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    sender: mpsc::Sender<(Connection, SocketAddr)>,
    stop: CancellationToken,
    cut: CancellationToken,
) {
    while let Some(accepted) = stop.run_until_cancelled(tcp.accept()).await {
        let Ok((stream, peer)) = accepted else {
            // Out of file descriptors, most likely: give others time to close some.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (sender, tls, cut) = (sender.clone(), tls.clone(), cut.child_token());
        tokio::spawn(async move {
            let Some(io) = cut.run_until_cancelled(handshake(stream, tls)).await.flatten() else {
                return;
            };
            // A closed channel means that the server has stopped: the connection closes with it.
            let _ = sender.send((Connection::new(io, cut), peer)).await;
        });
    }
}

async fn handshake(stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<Box<dyn Stream>> {
    let Some(tls) = tls else {
        return Some(Box::new(stream));
    };
    match tls.accept(stream).await {
        Ok(stream) => Some(Box::new(stream)),
        Err(error) => {
            tracing::debug!(%error, "tls handshake failed");
            None
        }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A byte stream that fails with "connection reset" once it is cut.
struct Connection {
    io: Box<dyn Stream>,
    cut: CancellationToken,
    cut_seen: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn new(io: Box<dyn Stream>, cut: CancellationToken) -> Self {
        let cut_seen = Box::pin(cut.clone().cancelled_owned());
        Self { io, cut, cut_seen }
    }

    fn poll_intact(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut_seen.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_intact(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_intact(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_intact(cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
