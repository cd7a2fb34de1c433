//! The layer that keeps a long piece of work going when its access token ends in the middle: the request that was
//! refused is sent once more with a renewed token, and so are all after it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use connector_sdk::{Error, ErrorKind, HttpRequest, HttpResponse, HttpTransport};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};

use super::renewal::{Renewals, Subject};

/// A transport whose requests carry the newest access token. A request without this connection's token is not touched.
pub(super) struct Renewing {
    renewals: Arc<Renewals>,
    subject: Subject,
    /// What requests come with: the token of when the connection was opened.
    opened_with: SecretString,
    current: Mutex<Current>,
}

#[derive(Clone)]
struct Current {
    token: SecretString,
    generation: i64,
    /// A renewed token was refused, too: it is not the token.
    hopeless: bool,
}

impl Renewing {
    pub(super) fn new(renewals: Arc<Renewals>, subject: Subject, token: &str, generation: i64) -> Self {
        let token = SecretString::from(token);
        Self {
            renewals,
            subject,
            opened_with: token.clone(),
            current: Mutex::new(Current {
                token,
                generation,
                hopeless: false,
            }),
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carries_ours(&self, headers: &HeaderMap) -> bool {
        let wanted = bearer(&self.opened_with);
        wanted.is_some() && headers.get(AUTHORIZATION) == wanted.as_ref()
    }

    async fn send_with(&self, mut request: HttpRequest, token: &SecretString) -> Result<HttpResponse, Error> {
        if let Some(value) = bearer(token) {
            request.headers.insert(AUTHORIZATION, value);
        }
        self.subject.ctx.http.send(request).await
    }
}

fn bearer(token: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[async_trait]
impl HttpTransport for Renewing {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        if !self.carries_ours(&request.headers) {
            return self.subject.ctx.http.send(request).await;
        }
        let used = self.current().clone();
        let response = self.send_with(request.clone(), &used.token).await?;
        if response.status != StatusCode::UNAUTHORIZED || used.hopeless {
            return Ok(response);
        }
        // Refused before anything was done (RFC 9110, 15.5.2): what is sent again is not done twice, writes included.
        let held = match self.renewals.renew(&self.subject, used.generation).await {
            Ok(held) => held,
            // The connector says it in its own words, and the engine asks for the reason.
            Err(error) if error.kind == ErrorKind::Unauthorized => return Ok(response),
            Err(error) => return Err(error),
        };
        let token = SecretString::from(held.credentials.get("access_token").unwrap_or_default());
        let response = self.send_with(request, &token).await?;
        *self.current() = Current {
            token,
            generation: held.generation,
            hopeless: response.status == StatusCode::UNAUTHORIZED,
        };
        Ok(response)
    }
}
