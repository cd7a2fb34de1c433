//! `/v1/connections/{id}/webhook`: the address at which a provider's deliveries for one connection come in, and the
//! secrets that prove them. The parts that provider apps share with it.

use model::ConnectionId;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use store::{HookOwner, HookSecret};
use sync::ports::Store as _;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, moment};
use super::error::{ApiError, Code, Failures};
use super::extract::{Body, Caller, Id};
use crate::state::AppState;

/// How long an old secret goes on being taken once a new one is set, unless said, in seconds.
const OVERLAP_SECONDS: u32 = 24 * 3_600;
/// The longest that it may.
const LONGEST_OVERLAP_SECONDS: u32 = 30 * 24 * 3_600;
/// Bytes of a secret that the hub makes: what Standard Webhooks recommends at least.
const MADE_BYTES: usize = 32;
const SHORTEST_SECRET: usize = 8;
/// Public keys and key sets are secrets in form only, and long.
const LONGEST_SECRET: usize = 16 << 10;

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read, replace))
}

/// A new secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretIn {
    /// The secret, or the provider's public key, as the provider shows it. Unset: one is made, and shown once.
    pub secret: Option<String>,
    /// How long the secret before it goes on being taken, in seconds; a day unless said, 30 days at most. 0 ends it.
    pub overlap_seconds: Option<u32>,
}

/// Where deliveries come in, and what proves them.
#[derive(Serialize, ToSchema)]
pub struct AddressOut {
    /// The address to give to the provider; null where the provider sends no webhooks that this version takes, and
    /// changes are found by polling.
    #[schema(example = "https://concord.example.com/hooks/conn_01jd3m8y6q0000000000000000")]
    pub url: Option<String>,
    /// The secrets that are taken, newest first; the secrets themselves are never shown again.
    pub secrets: Vec<SecretOut>,
    /// The secret that was made with this request. It is shown only now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A secret without its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct SecretOut {
    /// Since when it is taken.
    #[schema(format = DateTime)]
    pub since: String,
    /// Until when it is taken; null: until it is replaced.
    #[schema(format = DateTime)]
    pub until: Option<String>,
}

impl From<&HookSecret> for SecretOut {
    fn from(secret: &HookSecret) -> Self {
        Self {
            since: moment(secret.since),
            until: secret.until.map(moment),
        }
    }
}

/// Where a connection's webhooks come in, and since when its secrets are taken.
#[utoipa::path(get, path = "/v1/connections/{id}/webhook", tag = "webhooks", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 200, body = Data<AddressOut>), Failures))]
async fn read(caller: Caller, Id(id): Id<ConnectionId>) -> Result<Data<AddressOut>, ApiError> {
    let provider = provider_of(&caller, &id).await?;
    let mut data = address(&caller, &HookOwner::Connection(id), None).await?;
    if check_provider(caller.state(), &provider).is_err() {
        data.url = None;
    }
    Ok(Data { data })
}

/// Sets a new secret for a connection's webhooks. The one before it is taken for a while longer, so that the provider
/// can be told in peace; of three the oldest ends.
#[utoipa::path(put, path = "/v1/connections/{id}/webhook", tag = "webhooks", security(("api_key" = [])),
    params(("id" = String, Path)), request_body = SecretIn,
    responses((status = 200, body = Data<AddressOut>), Failures))]
async fn replace(
    caller: Caller,
    Id(id): Id<ConnectionId>,
    body: Body<SecretIn>,
) -> Result<Data<AddressOut>, ApiError> {
    let provider = provider_of(&caller, &id).await?;
    check_provider(caller.state(), &provider)?;
    let owner = HookOwner::Connection(id);
    let made = rotate(&caller, &owner, body.value).await?;
    let data = address(&caller, &owner, made).await?;
    Ok(Data { data })
}

async fn provider_of(caller: &Caller, id: &ConnectionId) -> Result<String, ApiError> {
    let found = caller.store().connection(&caller.organization, id).await?;
    let connection = found.ok_or_else(|| ApiError::not_found("connection"))?;
    Ok(connection.provider)
}

/// Refuses providers that send no webhooks.
pub(super) fn check_provider(state: &AppState, provider: &str) -> Result<(), ApiError> {
    let connector = state
        .providers()
        .connector(provider)
        .ok_or_else(|| ApiError::invalid_field("provider", "is none of those that `/v1/connectors` lists"))?;
    match connector.webhooks() {
        Some(_) => Ok(()),
        None => Err(ApiError::new(
            Code::ProviderNotSupported,
            format!(
                "`{provider}` sends no webhooks that this version takes; its changes are found by polling"
            ),
        )),
    }
}

/// Where an owner's deliveries come in.
pub(super) async fn address(
    caller: &Caller,
    owner: &HookOwner,
    made: Option<String>,
) -> Result<AddressOut, ApiError> {
    let secrets = caller.store().hook_secrets(&caller.organization, owner).await?;
    let now_ms = caller.state().clock().now_ms();
    let live = secrets.iter().filter(|secret| is_live(secret, now_ms));
    Ok(AddressOut {
        url: Some(caller.state().intake().address_of(owner)),
        secrets: live.map(SecretOut::from).collect(),
        secret: made,
    })
}

/// Puts a new secret before the one that is there. Answers with the secret when it was made here.
pub(super) async fn rotate(
    caller: &Caller,
    owner: &HookOwner,
    wanted: SecretIn,
) -> Result<Option<String>, ApiError> {
    let now_ms = caller.state().clock().now_ms();
    let (fresh, made) = fresh(wanted.secret, now_ms)?;
    let overlap = wanted.overlap_seconds.unwrap_or(OVERLAP_SECONDS);
    if overlap > LONGEST_OVERLAP_SECONDS {
        return Err(ApiError::invalid_field(
            "overlap_seconds",
            "must be at most 2592000 (30 days)",
        ));
    }
    let store = caller.store();
    let stored = store.hook_secrets(&caller.organization, owner).await?;
    let before = stored
        .into_iter()
        .find(|secret| is_live(secret, now_ms) && overlap > 0);
    let mut secrets = vec![fresh];
    secrets.extend(before.map(|mut before| {
        let until = now_ms + i64::from(overlap) * 1_000;
        before.until = Some(before.until.map_or(until, |was| was.min(until)));
        before
    }));
    if !store
        .put_hook_secrets(&caller.organization, owner, &secrets)
        .await?
    {
        return Err(ApiError::not_found("address"));
    }
    caller.state().intake().forget(owner);
    tracing::info!(address = ?owner, by = %caller.key, "webhook secret replaced");
    Ok(made)
}

/// A new secret, given or made; in the second case with its text.
pub(super) fn fresh(given: Option<String>, now_ms: i64) -> Result<(HookSecret, Option<String>), ApiError> {
    let (text, made) = match given {
        Some(text) => {
            let text = text.trim().to_owned();
            if !(SHORTEST_SECRET..=LONGEST_SECRET).contains(&text.len()) {
                let problem = format!("must have {SHORTEST_SECRET} to {LONGEST_SECRET} bytes");
                return Err(ApiError::invalid_field("secret", &problem));
            }
            (text, None)
        }
        None => {
            let text = make()?;
            (text.clone(), Some(text))
        }
    };
    let secret = HookSecret {
        text,
        since: now_ms,
        until: None,
    };
    Ok((secret, made))
}

/// In the form of Standard Webhooks: <https://www.standardwebhooks.com/>.
fn make() -> Result<String, ApiError> {
    use base64::Engine as _;
    let mut bytes = [0u8; MADE_BYTES];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|_| ApiError::new(Code::Internal, "the machine gives no randomness"))?;
    Ok(format!(
        "whsec_{}",
        base64::engine::general_purpose::STANDARD.encode(bytes)
    ))
}

fn is_live(secret: &HookSecret, now_ms: i64) -> bool {
    secret.until.is_none_or(|until| until > now_ms)
}
