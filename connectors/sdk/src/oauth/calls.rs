//! What is said to an authorization server. No answer's text reaches an error: it may hold tokens.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use oauth2::basic::{BasicClient, BasicErrorResponse, BasicErrorResponseType, BasicTokenResponse};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    TokenResponse as _, TokenUrl,
};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use url::form_urlencoded::Serializer;

use super::door::Door;
use super::{ClientProof, OAuth2, Registration};
use crate::context::Context;
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::http::{HttpRequest, HttpTransport};

/// Longest answer of a token endpoint that is read, in bytes.
pub const LONGEST_ANSWER: usize = 64 << 10;
const EXCHANGE: &str = "auth.exchange";
const REFRESH: &str = "auth.refresh";
const REVOKE: &str = "auth.revoke";

/// What a vendor granted. `Debug` shows no token.
pub struct Granted {
    /// What requests are sent with.
    pub access_token: SecretString,
    /// What it is renewed with, where the vendor gave one.
    pub refresh_token: Option<SecretString>,
    /// How long the access token lives.
    pub expires_in: Option<Duration>,
    /// What was granted; `None`: what was asked for (<https://datatracker.ietf.org/doc/html/rfc6749#section-5.1>).
    pub scopes: Option<Vec<String>>,
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted")
            .field("expires_in", &self.expires_in)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl Granted {
    /// These tokens over the credentials before them: a refresh token that was not replaced is kept. `granted_at`
    /// and `expires_at` are in epoch milliseconds.
    #[must_use]
    pub fn over(&self, before: &Credentials, now_ms: i64) -> Credentials {
        let mut credentials = before
            .with("access_token", self.access_token.expose_secret())
            .with("granted_at", now_ms.to_string())
            .with(
                "expires_at",
                self.expires_at(now_ms)
                    .map(|at| at.to_string())
                    .unwrap_or_default(),
            );
        if let Some(token) = &self.refresh_token {
            credentials = credentials.with("refresh_token", token.expose_secret());
        }
        credentials
    }

    /// When the access token ends, epoch milliseconds.
    #[must_use]
    pub fn expires_at(&self, now_ms: i64) -> Option<i64> {
        let lifetime = i64::try_from(self.expires_in?.as_millis()).ok()?;
        now_ms.checked_add(lifetime)
    }
}

impl From<BasicTokenResponse> for Granted {
    fn from(answer: BasicTokenResponse) -> Self {
        Self {
            access_token: SecretString::from(answer.access_token().secret().as_str()),
            refresh_token: answer
                .refresh_token()
                .map(|token| SecretString::from(token.secret().as_str())),
            expires_in: answer.expires_in(),
            scopes: answer
                .scopes()
                .map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect()),
        }
    }
}

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

fn client(declared: &OAuth2, registration: &Registration) -> Client {
    let mut client = BasicClient::new(ClientId::new(registration.client_id.clone()))
        .set_auth_uri(AuthUrl::from_url(registration.authorize_url.clone()))
        .set_token_uri(TokenUrl::from_url(registration.token_url.clone()))
        .set_auth_type(match declared.client_proof {
            ClientProof::Body => AuthType::RequestBody,
            ClientProof::Header => AuthType::BasicAuth,
        });
    if let Some(secret) = registration.secret() {
        client = client.set_client_secret(ClientSecret::new(secret.to_owned()));
    }
    client
}

/// Where a person is sent to give consent. `verifier` proves later that the code comes back to who asked for it
/// (<https://datatracker.ietf.org/doc/html/rfc7636>).
#[must_use]
pub fn authorize_url(
    declared: &OAuth2,
    registration: &Registration,
    redirect_url: &Url,
    scopes: &[String],
    state: &str,
    verifier: &SecretString,
) -> Url {
    let client = client(declared, registration).set_redirect_uri(RedirectUrl::from_url(redirect_url.clone()));
    let mut request = client
        .authorize_url(|| CsrfToken::new(state.to_owned()))
        .add_scopes(scopes.iter().cloned().map(Scope::new));
    if declared.pkce {
        let verifier = PkceCodeVerifier::new(verifier.expose_secret().to_owned());
        request = request.set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
    }
    for (name, value) in declared.authorize_params {
        request = request.add_extra_param(*name, *value);
    }
    request.url().0
}

/// Exchanges a code for tokens. Sent once: a code is good for one use.
///
/// # Errors
/// `Unauthorized` when the code is not accepted, `PermissionDenied` when the app is not; others as they come.
pub async fn exchange(
    http: &dyn HttpTransport,
    declared: &OAuth2,
    registration: &Registration,
    redirect_url: &Url,
    code: &SecretString,
    verifier: &SecretString,
) -> Result<Granted, Error> {
    let client = client(declared, registration).set_redirect_uri(RedirectUrl::from_url(redirect_url.clone()));
    let mut request = client.exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()));
    if declared.pkce {
        request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()));
    }
    let door = Door {
        http,
        operation: EXCHANGE,
        idempotent: false,
    };
    let answer = request.request_async(&door).await;
    answer
        .map(Granted::from)
        .map_err(|error| refusal(EXCHANGE, "the authorization code", error))
}

/// New tokens for a refresh token.
///
/// # Errors
/// `Unauthorized` when the refresh token is refused for good, `PermissionDenied` when the app is; others as they come.
pub async fn refresh(
    http: &dyn HttpTransport,
    declared: &OAuth2,
    registration: &Registration,
    refresh_token: &SecretString,
) -> Result<Granted, Error> {
    let token = RefreshToken::new(refresh_token.expose_secret().to_owned());
    let client = client(declared, registration);
    let door = Door {
        http,
        operation: REFRESH,
        // Where tokens rotate the first answer, though lost, may have replaced this one; sending it again by oneself
        // may look like theft, and end the grant: https://datatracker.ietf.org/doc/html/rfc9700#section-4.14
        idempotent: !declared.rotates,
    };
    let answer = client.exchange_refresh_token(&token).request_async(&door).await;
    answer
        .map(Granted::from)
        .map_err(|error| refusal(REFRESH, "the refresh token", error))
}

/// [`refresh`] for a connection whose credentials hold everything, the client's id and secret too; `None` without a
/// refresh token. `config.token_url` says where, if it is elsewhere.
///
/// # Errors
/// As [`refresh`]; `Invalid` when something is missing.
pub async fn refresh_by(ctx: &Context, declared: &OAuth2) -> Result<Option<Credentials>, Error> {
    let credentials = ctx.credentials.as_ref();
    let Some(token) = credentials.get("refresh_token").filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let elsewhere = super::Endpoints {
        token_url: ctx
            .config
            .get("token_url")
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned),
        ..super::Endpoints::default()
    };
    let secret = credentials.get("client_secret").map(SecretString::from);
    let registration = Registration::new(declared, &elsewhere, credentials.require("client_id")?, secret)?;
    let granted = refresh(
        ctx.http.as_ref(),
        declared,
        &registration,
        &SecretString::from(token),
    )
    .await?;
    Ok(Some(granted.over(credentials, ctx.clock.now_ms())))
}

/// Gives a token back; what is granted with it ends. `false` where the vendor has no such endpoint.
///
/// # Errors
/// When the vendor did not take it. A token that it does not know is as good as given back.
pub async fn revoke(
    http: &dyn HttpTransport,
    declared: &OAuth2,
    registration: &Registration,
    token: &SecretString,
) -> Result<bool, Error> {
    let Some(url) = registration.revocation_url.clone() else {
        return Ok(false);
    };
    let (headers, form) = revocation(declared, registration, token)?;
    let door = Door {
        http,
        operation: REVOKE,
        idempotent: true,
    };
    let response = door
        .send(HttpRequest {
            method: Method::POST,
            url,
            headers,
            body: Bytes::from(form),
            operation: REVOKE,
            idempotent: true,
        })
        .await?;
    // An unknown token: RFC 7009 says 200, Google 400 `invalid_token`.
    let unknown = || response.body.windows(13).any(|word| word == b"invalid_token");
    if response.status.is_success() || unknown() {
        return Ok(true);
    }
    Err(Error::new(
        ErrorKind::Unexpected,
        REVOKE,
        "the vendor did not take the token back",
    )
    .with_status(response.status.as_u16()))
}

/// <https://datatracker.ietf.org/doc/html/rfc7009#section-2.1>
fn revocation(
    declared: &OAuth2,
    registration: &Registration,
    token: &SecretString,
) -> Result<(HeaderMap, String), Error> {
    let mut form = Serializer::new(String::new());
    form.append_pair("token", token.expose_secret());
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let (id, secret) = (&registration.client_id, registration.secret());
    match declared.client_proof {
        ClientProof::Body => {
            form.append_pair("client_id", id);
            if let Some(secret) = secret {
                form.append_pair("client_secret", secret);
            }
        }
        ClientProof::Header => {
            headers.insert(AUTHORIZATION, basic(id, secret.unwrap_or_default())?);
        }
    }
    Ok((headers, form.finish()))
}

/// HTTP Basic as <https://datatracker.ietf.org/doc/html/rfc6749#section-2.3.1> wants it: both form-encoded first.
fn basic(id: &str, secret: &str) -> Result<HeaderValue, Error> {
    use base64::Engine as _;
    let encoded = |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = format!("{}:{}", encoded(id), encoded(secret));
    let text = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Error::new(ErrorKind::Invalid, REVOKE, "the client's id cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a failed exchange means. The answer's own text is not repeated.
fn refusal(
    operation: &'static str,
    what: &str,
    error: RequestTokenError<Error, BasicErrorResponse>,
) -> Error {
    let answer = match error {
        RequestTokenError::Request(error) => return error,
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            let message = "the token endpoint's answer holds no access token";
            return Error::new(ErrorKind::Unexpected, operation, message);
        }
        RequestTokenError::ServerResponse(answer) => answer,
    };
    let (kind, message) = match answer.error() {
        BasicErrorResponseType::InvalidGrant => (
            ErrorKind::Unauthorized,
            format!("the vendor refuses {what} (invalid_grant): it has expired or was revoked"),
        ),
        BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient => (
            ErrorKind::PermissionDenied,
            format!(
                "the vendor refuses the app ({}): its client id or secret is wrong, or it may not do this; {what} is \
                 kept, give the app its right secret",
                answer.error().as_ref()
            ),
        ),
        BasicErrorResponseType::Extension(code)
            if code == "temporarily_unavailable" || code == "server_error" =>
        {
            let message = "the token endpoint is in trouble; it is asked again later".to_owned();
            (ErrorKind::Unavailable, message)
        }
        // Whatever it is, it is not said to be for good: only people could put that right.
        BasicErrorResponseType::Extension(_) => (
            ErrorKind::Unexpected,
            format!("the vendor does not take {what} now, for a reason of its own; it is kept"),
        ),
        BasicErrorResponseType::InvalidRequest
        | BasicErrorResponseType::InvalidScope
        | BasicErrorResponseType::UnsupportedGrantType => (
            ErrorKind::Invalid,
            format!(
                "the vendor does not understand the request ({})",
                answer.error().as_ref()
            ),
        ),
    };
    Error::new(kind, operation, message)
}
