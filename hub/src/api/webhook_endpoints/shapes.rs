//! Webhook endpoints as clients see and send them.

use model::{ConnectionId, OrganizationId, WebhookEndpointId};
use serde::{Deserialize, Serialize};
use store::{ChangeFilter, EndpointState, WebhookEndpoint};
use sync::state::FeedAction;
use utoipa::ToSchema;

use crate::api::envelope::moment;
use crate::api::error::ApiError;

/// Endpoints that an organization may have.
pub(super) const MAX_ENDPOINTS: u32 = 100;
/// Longest name, in characters.
const LONGEST_NAME: usize = 200;
/// Names that a filter may have of each sort.
const MAX_FILTERED: usize = 20;
/// Longest name of a kind, in bytes.
const LONGEST_KIND: usize = 64;
/// The highest rate that can be asked for.
const MAX_RATE: u32 = 10_000;

/// A webhook endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndpointOut {
    /// Its id.
    pub id: WebhookEndpointId,
    /// Its name for people.
    pub name: String,
    /// Where it is.
    #[schema(example = "https://example.com/hooks/concord")]
    pub url: String,
    /// The sorts of things that it is told of, as `kind` in `/v1/changes`; all when empty.
    #[schema(example = json!(["event"]))]
    pub kinds: Vec<String>,
    /// What must have happened; anything when empty.
    pub actions: Vec<FeedAction>,
    /// The connections that it is told of; all when empty.
    pub connection_ids: Vec<ConnectionId>,
    /// Deliveries per second at most.
    pub rate_per_second: Option<u32>,
    /// Changes of one object wait for each other.
    pub ordered: bool,
    /// Whether it is told anything: `active` or `disabled`.
    #[schema(value_type = String, example = "active")]
    pub state: &'static str,
    /// Why it is disabled.
    pub reason: Option<String>,
    /// Since when every attempt fails.
    #[schema(format = DateTime)]
    pub failing_since: Option<String>,
    /// Deliveries were made of the feed up to about this `seq`.
    pub after: i64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl From<WebhookEndpoint> for EndpointOut {
    fn from(endpoint: WebhookEndpoint) -> Self {
        Self {
            id: endpoint.id,
            name: endpoint.name,
            url: endpoint.url,
            kinds: endpoint.filter.kinds,
            actions: endpoint.actions,
            connection_ids: endpoint.filter.connections,
            rate_per_second: endpoint.rate,
            ordered: endpoint.ordered,
            state: endpoint.state.name(),
            reason: endpoint.reason,
            failing_since: endpoint.failing_since.map(moment),
            after: endpoint.cursor,
            created_at: moment(endpoint.created_at),
            updated_at: moment(endpoint.updated_at),
        }
    }
}

/// A new endpoint with its secret.
#[derive(Serialize, ToSchema)]
pub struct EndpointCreated {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: EndpointOut,
    /// The secret to verify with. It is never shown again.
    #[schema(example = "whsec_...")]
    pub secret: String,
}

/// A new endpoint.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": "https://example.com/hooks/concord", "kinds": ["event"]}))]
pub struct EndpointIn {
    /// Where it is: `https://`, on the public internet.
    url: String,
    /// Its name for people.
    #[serde(default)]
    name: String,
    /// The sorts of things that it is told of, up to 20; all unless given.
    #[serde(default)]
    kinds: Vec<String>,
    /// What must have happened; anything unless given.
    #[serde(default)]
    actions: Vec<FeedAction>,
    /// The connections that it is told of, up to 20; all unless given.
    #[serde(default)]
    connection_ids: Vec<ConnectionId>,
    /// Deliveries per second at most, 1 to 10,000; as many as it takes unless given.
    #[serde(default)]
    rate_per_second: Option<u32>,
    /// Whether changes of one object wait for each other: the next is sent when the one before it has arrived or was
    /// given up. No, unless given.
    #[serde(default)]
    ordered: bool,
}

impl EndpointIn {
    pub(super) fn into_endpoint(
        self,
        id: WebhookEndpointId,
        organization: OrganizationId,
        now_ms: i64,
    ) -> WebhookEndpoint {
        WebhookEndpoint {
            id,
            organization,
            name: self.name,
            url: self.url,
            filter: ChangeFilter {
                kinds: self.kinds,
                connections: self.connection_ids,
            },
            actions: self.actions,
            rate: self.rate_per_second,
            ordered: self.ordered,
            state: EndpointState::Active,
            reason: None,
            cursor: 0,
            failing_since: None,
            created_at: now_ms,
            updated_at: now_ms,
        }
    }
}

/// What to change of an endpoint.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"state": "active"}))]
pub struct EndpointPatch {
    /// Where it is.
    url: Option<String>,
    /// Its name for people.
    name: Option<String>,
    /// The sorts of things that it is told of, whole.
    kinds: Option<Vec<String>>,
    /// What must have happened, whole.
    actions: Option<Vec<FeedAction>>,
    /// The connections that it is told of, whole.
    connection_ids: Option<Vec<ConnectionId>>,
    /// Deliveries per second at most; 0 takes the limit away.
    rate_per_second: Option<u32>,
    /// Whether changes of one object wait for each other.
    ordered: Option<bool>,
    /// `active` or `disabled`.
    #[schema(value_type = Option<String>)]
    state: Option<EndpointState>,
    /// Leaves out what it was not told yet: what waits becomes `skipped`, and it goes on with what comes from now on.
    pub(super) skip_missed: Option<bool>,
}

impl EndpointPatch {
    pub(super) fn applied_to(self, before: &WebhookEndpoint) -> WebhookEndpoint {
        let mut endpoint = before.clone();
        endpoint.url = self.url.unwrap_or(endpoint.url);
        endpoint.name = self.name.unwrap_or(endpoint.name);
        endpoint.filter.kinds = self.kinds.unwrap_or(endpoint.filter.kinds);
        endpoint.filter.connections = self.connection_ids.unwrap_or(endpoint.filter.connections);
        endpoint.actions = self.actions.unwrap_or(endpoint.actions);
        endpoint.ordered = self.ordered.unwrap_or(endpoint.ordered);
        match self.rate_per_second {
            Some(0) => endpoint.rate = None,
            Some(rate) => endpoint.rate = Some(rate),
            None => {}
        }
        if let Some(state) = self.state {
            endpoint.state = state;
            match state {
                EndpointState::Active => (endpoint.reason, endpoint.failing_since) = (None, None),
                EndpointState::Disabled => {
                    let by_hand = || "somebody asked for it".to_owned();
                    endpoint.reason = Some(endpoint.reason.unwrap_or_else(by_hand));
                }
            }
        }
        endpoint
    }
}

/// The fields that differ, as the feed names them.
pub(super) fn changed(before: &WebhookEndpoint, after: &WebhookEndpoint) -> Vec<&'static str> {
    let differs = [
        ("url", before.url != after.url),
        ("name", before.name != after.name),
        ("kinds", before.filter.kinds != after.filter.kinds),
        ("actions", before.actions != after.actions),
        (
            "connection_ids",
            before.filter.connections != after.filter.connections,
        ),
        ("rate_per_second", before.rate != after.rate),
        ("ordered", before.ordered != after.ordered),
        ("state", before.state != after.state),
        ("reason", before.reason != after.reason),
    ];
    let differing = differs.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(field, _)| field).collect()
}

/// What can be told without looking anywhere.
pub(super) fn check(endpoint: &WebhookEndpoint) -> Result<(), ApiError> {
    if endpoint.name.chars().count() > LONGEST_NAME {
        let problem = format!("must have at most {LONGEST_NAME} characters");
        return Err(ApiError::invalid_field("name", &problem));
    }
    for (field, count) in [
        ("kinds", endpoint.filter.kinds.len()),
        ("connection_ids", endpoint.filter.connections.len()),
        ("actions", endpoint.actions.len()),
    ] {
        if count > MAX_FILTERED {
            let problem = format!("must name at most {MAX_FILTERED}");
            return Err(ApiError::invalid_field(field, &problem));
        }
    }
    let named = |kind: &String| !kind.is_empty() && kind.len() <= LONGEST_KIND;
    if !endpoint.filter.kinds.iter().all(named) {
        let problem = format!("must be names of 1 to {LONGEST_KIND} bytes");
        return Err(ApiError::invalid_field("kinds", &problem));
    }
    if endpoint.rate.is_some_and(|rate| rate == 0 || rate > MAX_RATE) {
        let problem = format!("must be from 1 to {MAX_RATE}");
        return Err(ApiError::invalid_field("rate_per_second", &problem));
    }
    Ok(())
}
