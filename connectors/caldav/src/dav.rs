//! Sends WebDAV requests through the context's transport, with credentials, and follows redirects where that is safe.

use bytes::Bytes;
use connector_sdk::{Context, Error, ErrorKind, HttpRequest, HttpResponse};
use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use crate::auth::authorization;
use crate::errors;
use crate::hrefs::may_follow;
use crate::xml::properties::{Document, Root};
use crate::xml::reader;

const MAX_REDIRECTS: usize = 5;
const XML: &str = "application/xml; charset=utf-8";
/// Bodies from this size on are read off the runtime's threads.
const LARGE_BODY_BYTES: usize = 256 * 1024;

/// A context and the name of what is done in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dav<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) operation: &'static str,
}

/// A request before it has credentials.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'static str,
    pub(crate) url: &'a Url,
    pub(crate) headers: &'a [(&'static str, &'a str)],
    pub(crate) body: Bytes,
}

impl<'a> Dav<'a> {
    pub(crate) fn new(ctx: &'a Context, operation: &'static str) -> Self {
        Self { ctx, operation }
    }

    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, self.operation, message)
    }

    /// Sends one request. Reads end when the work is cancelled; a write that is under way is never given up.
    pub(crate) async fn send(&self, ask: Ask<'_>) -> Result<HttpResponse, Error> {
        if !may_follow(&self.ctx.base_url, ask.url) {
            let message = format!(
                "the server leads to {}, which is not where this connection's credentials belong; connect with that \
                 address if it is right",
                ask.url.host_str().unwrap_or("nowhere")
            );
            return Err(self.error(ErrorKind::Unexpected, message));
        }
        let idempotent = !matches!(ask.method, "PUT" | "DELETE");
        let sending = self.ctx.http.send(self.request(ask, idempotent)?);
        if !idempotent {
            return sending.await;
        }
        match self.ctx.cancel.run_until_cancelled(sending).await {
            Some(outcome) => outcome,
            None => Err(self.error(ErrorKind::Unavailable, "the work was stopped")),
        }
    }

    fn request(&self, ask: Ask<'_>, idempotent: bool) -> Result<HttpRequest, Error> {
        let invalid = |text: &str| self.error(ErrorKind::Invalid, format!("`{text}` cannot be sent"));
        let mut headers = HeaderMap::with_capacity(ask.headers.len() + 1);
        headers.insert(
            AUTHORIZATION,
            authorization(&self.ctx.credentials, self.operation)?,
        );
        for (name, value) in ask.headers {
            let value = HeaderValue::try_from(*value).map_err(|_| invalid(name))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        Ok(HttpRequest {
            method: Method::from_bytes(ask.method.as_bytes()).map_err(|_| invalid(ask.method))?,
            url: ask.url.clone(),
            headers,
            body: ask.body,
            operation: self.operation,
            idempotent,
        })
    }

    /// Sends a request with an XML body.
    pub(crate) async fn ask_xml(
        &self,
        method: &'static str,
        url: &Url,
        depth: &str,
        body: Bytes,
    ) -> Result<HttpResponse, Error> {
        let headers = [(CONTENT_TYPE_NAME, XML), ("depth", depth)];
        self.send(Ask {
            method,
            url,
            headers: &headers,
            body,
        })
        .await
    }

    /// PROPFIND that follows redirects; the answer's `url` is the last one's.
    pub(crate) async fn propfind(&self, url: &Url, depth: &str, body: Bytes) -> Result<HttpResponse, Error> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.ask_xml("PROPFIND", &url, depth, body.clone()).await?;
            if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let target = answer
                .headers
                .get(LOCATION)
                .and_then(|target| target.to_str().ok());
            match target.and_then(|target| url.join(target).ok()) {
                Some(target) => url = target,
                None => return Err(errors::refused(self.operation, &answer)),
            }
        }
        let host = url.host_str().unwrap_or("the server").to_owned();
        Err(self.error(
            ErrorKind::Unexpected,
            format!("{host} redirects in a circle; check the address"),
        ))
    }

    /// The multistatus in an answer; anything else is an error.
    pub(crate) async fn multistatus(&self, answer: HttpResponse) -> Result<Document, Error> {
        if answer.status.as_u16() != 207 {
            return Err(errors::refused(self.operation, &answer));
        }
        let operation = self.operation;
        if answer.body.len() < LARGE_BODY_BYTES {
            return read_multistatus(operation, &answer);
        }
        self.blocking(move || read_multistatus(operation, &answer))
            .await?
    }

    /// Work that takes a while, off the runtime's threads.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            self.error(
                ErrorKind::Unexpected,
                "reading an answer failed in the hub itself",
            )
            .with_source(error)
        })
    }
}

const CONTENT_TYPE_NAME: &str = "content-type";

pub(crate) fn read_multistatus(operation: &'static str, answer: &HttpResponse) -> Result<Document, Error> {
    if errors::is_web_page(answer) {
        return Err(errors::refused(operation, answer));
    }
    let document =
        reader::read(&answer.body).map_err(|error| errors::unreadable(operation, answer, error))?;
    match document.root {
        Root::Multistatus => Ok(document),
        Root::Error | Root::Other => Err(errors::refused(operation, answer)),
    }
}
