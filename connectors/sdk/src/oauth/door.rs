//! The `oauth2` crate's way out: our transport, with its layers, bounds and guard.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::StatusCode;
use url::Url;

use super::calls::LONGEST_ANSWER;
use crate::error::{Error, ErrorKind};
use crate::http::{HttpRequest, HttpResponse, HttpTransport};

/// A transport for one operation.
pub(super) struct Door<'a> {
    pub(super) http: &'a dyn HttpTransport,
    pub(super) operation: &'static str,
    pub(super) idempotent: bool,
}

impl Door<'_> {
    /// Sends; what is no answer of an authorization server about the grant itself is an error here already.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        let response = self.http.send(request).await?;
        let status = response.status;
        let troubled =
            |kind, message: &str| Error::new(kind, self.operation, message).with_status(status.as_u16());
        if status == StatusCode::TOO_MANY_REQUESTS {
            let message =
                "the token endpoint is asked too often; nothing was renewed, it is asked again later";
            return Err(troubled(ErrorKind::RateLimited, message).with_retry(response.retry()));
        }
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            let message = "the token endpoint is in trouble; it is asked again later";
            return Err(troubled(ErrorKind::Unavailable, message).with_retry(response.retry()));
        }
        if response.body.len() > LONGEST_ANSWER {
            let message = "the token endpoint's answer is longer than any answer with tokens";
            return Err(troubled(ErrorKind::Unexpected, message));
        }
        Ok(response)
    }
}

impl<'c> oauth2::AsyncHttpClient<'c> for Door<'_> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<oauth2::HttpResponse, Error>> + Send + 'c>>;

    fn call(&'c self, request: oauth2::HttpRequest) -> Self::Future {
        Box::pin(async move {
            let broken = |_| {
                Error::new(
                    ErrorKind::Unexpected,
                    self.operation,
                    "the request cannot be made",
                )
            };
            let (head, body) = request.into_parts();
            let response = self
                .send(HttpRequest {
                    method: head.method,
                    url: Url::parse(&head.uri.to_string())
                        .map_err(|_| Error::new(ErrorKind::Invalid, self.operation, "no address"))?,
                    headers: head.headers,
                    body: Bytes::from(body),
                    operation: self.operation,
                    idempotent: self.idempotent,
                })
                .await?;
            let mut answer = http::Response::builder().status(response.status);
            if let Some(headers) = answer.headers_mut() {
                *headers = response.headers;
            }
            answer.body(response.body.to_vec()).map_err(broken)
        })
    }
}
