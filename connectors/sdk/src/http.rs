//! HTTP as connectors see it: whole requests, whole bounded answers, no redirects followed behind their back.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::error::{Error, ErrorKind, Retry};

/// A request.
#[derive(Clone)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The whole address.
    pub url: Url,
    /// Headers; authorisation among them, so they are never logged.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The connector's name for what it does, for errors, metrics and traces.
    pub operation: &'static str,
    /// Whether sending it twice is as good as once; only such requests are sent again by the retry layer.
    pub idempotent: bool,
}

/// An answer. Its body is at most as large as the connector's limits allow.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The address that answered.
    pub url: Url,
}

impl HttpResponse {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// When the provider wants to be asked again: `Retry-After` in seconds (dates are read as backoff).
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self
            .header("retry-after")
            .and_then(|text| text.trim().parse().ok())
        {
            Some(seconds) => Retry::After(Duration::from_secs(seconds)),
            None => Retry::Backoff,
        }
    }
}

impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {}{}",
            self.method,
            self.url.host_str().unwrap_or_default(),
            self.url.path()
        )
    }
}

/// Sends requests.
#[async_trait]
pub trait HttpTransport: Send + Sync {
    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// `Unavailable` when no whole answer came, `Unexpected` when it is larger than allowed. Any status is an
    /// answer, not an error.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error>;
}

/// The transport over the network.
#[derive(Debug, Clone)]
pub struct NetworkTransport {
    client: reqwest::Client,
    max_response_bytes: usize,
}

impl NetworkTransport {
    /// A transport that waits at most `timeout` for an answer and reads at most `max_response_bytes` of it.
    ///
    /// # Errors
    /// When the machine's TLS roots cannot be read.
    pub fn new(timeout: Duration, max_response_bytes: usize, extra_roots: &[Bytes]) -> Result<Self, Error> {
        Self::with_resolver(timeout, max_response_bytes, extra_roots, None)
    }

    /// The same with names looked up by `resolver`, which alone decides where connections go: proxies that the
    /// environment names are left aside, as they would look names up themselves.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_resolver(
        timeout: Duration,
        max_response_bytes: usize,
        extra_roots: &[Bytes],
        resolver: Option<Arc<dyn reqwest::dns::Resolve>>,
    ) -> Result<Self, Error> {
        let failed = |error: reqwest::Error| {
            Error::new(
                ErrorKind::Unexpected,
                "transport",
                "the HTTP client cannot be set up",
            )
            .with_source(error)
        };
        let mut roots = Vec::with_capacity(extra_roots.len());
        for pem in extra_roots {
            roots.push(reqwest::Certificate::from_pem(pem).map_err(failed)?);
        }
        let mut builder = reqwest::Client::builder();
        if let Some(resolver) = resolver {
            builder = builder.dns_resolver(resolver).no_proxy();
        }
        let client = builder
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("Concord/", env!("CARGO_PKG_VERSION")))
            .tls_certs_merge(roots)
            .build()
            .map_err(failed)?;
        Ok(Self {
            client,
            max_response_bytes,
        })
    }
}

impl NetworkTransport {
    /// The same, reading at most so much of an answer.
    #[must_use]
    pub fn reading_at_most(&self, bytes: usize) -> Self {
        Self {
            client: self.client.clone(),
            max_response_bytes: self.max_response_bytes.min(bytes),
        }
    }
}

#[async_trait]
impl HttpTransport for NetworkTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        let operation = request.operation;
        let url = request.url.clone();
        let response = self
            .client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(request.body)
            .send()
            .await
            .map_err(|error| unreachable_error(operation, &url, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = BytesMut::new();
        let mut stream = response.bytes_stream();
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| unreachable_error(operation, &url, error))?;
            if body.len() + piece.len() > self.max_response_bytes {
                return Err(Error::new(
                    ErrorKind::Unexpected,
                    operation,
                    format!(
                        "the answer is larger than {} MiB and was not read to its end",
                        self.max_response_bytes >> 20
                    ),
                )
                .with_status(status.as_u16()));
            }
            body.extend_from_slice(&piece);
        }
        Ok(HttpResponse {
            status,
            headers,
            body: body.freeze(),
            url,
        })
    }
}

/// Says in a person's words why no answer came.
fn unreachable_error(operation: &'static str, url: &Url, error: reqwest::Error) -> Error {
    let host = url.host_str().unwrap_or("the server");
    let beneath = deepest(&error);
    let message = if error.is_timeout() {
        format!("{host} did not answer in time")
    } else if beneath.contains("Expired") || beneath.contains("expired") {
        format!("the certificate of {host} has expired; nothing was sent")
    } else if beneath.contains("certificate") {
        format!("the certificate of {host} is not trusted; nothing was sent")
    } else if error.is_connect() {
        format!("{host} cannot be reached: {beneath}")
    } else {
        format!("the connection to {host} broke before the whole answer came: {beneath}")
    };
    Error::new(ErrorKind::Unavailable, operation, message).with_source(error.without_url())
}

fn deepest(error: &reqwest::Error) -> String {
    let mut source = error.source();
    let mut text = String::new();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}
