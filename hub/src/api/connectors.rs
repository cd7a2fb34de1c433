//! `/v1/connectors`: which providers there are and what the hub can do with each.

use connector_sdk::{Connector, FieldSupport};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::List;
use super::error::{ApiError, Failures};
use super::extract::Caller;
use crate::state::AppState;

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectorOut {
    /// Its name in the API.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Where it is when a connection names no `base_url`; null when each must.
    pub default_base_url: Option<&'static str>,
    /// How connections may prove who they are.
    #[schema(value_type = Vec<String>)]
    pub auth: Value,
    /// What people can be asked for, where accounts are connected by signing in at the vendor; null where they are not.
    pub permissions: Option<Vec<PermissionOut>>,
    /// What calls in the vendor's own words may do; null where it takes none.
    pub passthrough: Option<PassthroughOut>,
    /// What the hub can do, per kind.
    pub kinds: Vec<KindOut>,
    /// The vendor's documentation.
    pub docs_url: &'static str,
}

/// Something that a connection can be used for.
#[derive(Debug, Serialize, ToSchema)]
pub struct PermissionOut {
    /// Its name, for `permissions` of `/v1/connections/authorize`.
    pub name: &'static str,
    /// What it lets the hub do.
    pub purpose: &'static str,
    /// The vendor's scopes that it takes.
    pub scopes: &'static [&'static str],
    /// Whether no connection is of use without it.
    pub required: bool,
}

/// What calls in the vendor's own words may do.
#[derive(Debug, Serialize, ToSchema)]
pub struct PassthroughOut {
    /// Where they may go besides the connection's own host, for connections at the vendor's usual address.
    pub origins: &'static [&'static str],
    /// The methods that are taken.
    pub methods: &'static [&'static str],
}

/// What the hub can do with a kind.
#[derive(Debug, Serialize, ToSchema)]
pub struct KindOut {
    /// The kind.
    pub kind: model::Kind,
    /// What the connector can do with it.
    #[schema(value_type = Object)]
    pub capability: Value,
    /// The fields that are read and written.
    pub fields: Vec<&'static str>,
    /// The fields that are only read.
    pub read_only_fields: Vec<&'static str>,
}

impl ConnectorOut {
    fn of(connector: &dyn Connector) -> Self {
        let info = connector.info();
        let kinds = info.kinds.iter().map(|kind| {
            let capability = connector.capability(*kind);
            let named = |writable: bool| {
                let fields = capability.fields.iter();
                fields
                    .filter(move |field: &&FieldSupport| field.writable == writable)
                    .map(|field| field.field)
                    .collect()
            };
            KindOut {
                kind: *kind,
                capability: serde_json::to_value(capability).unwrap_or_default(),
                fields: named(true),
                read_only_fields: named(false),
            }
        });
        Self {
            id: info.id,
            name: info.name,
            default_base_url: info.default_base_url,
            auth: serde_json::to_value(connector.auth().schemes()).unwrap_or_default(),
            permissions: connector.auth().oauth2().map(|declared| {
                let permissions = declared.permissions.iter();
                permissions
                    .map(|permission| PermissionOut {
                        name: permission.name,
                        purpose: permission.purpose,
                        scopes: permission.scopes,
                        required: permission.required,
                    })
                    .collect()
            }),
            passthrough: info.passthrough.map(|declared| PassthroughOut {
                origins: declared.origins,
                methods: declared.methods,
            }),
            kinds: kinds.collect(),
            docs_url: info.docs_url,
        }
    }
}

/// Every provider.
#[utoipa::path(get, path = "/v1/connectors", tag = "connectors", security(("api_key" = [])),
    responses((status = 200, body = List<ConnectorOut>), Failures))]
async fn list(caller: Caller) -> Result<List<ConnectorOut>, ApiError> {
    let connectors = caller.state().providers().connectors();
    Ok(List::whole(
        connectors
            .map(|connector| ConnectorOut::of(connector.as_ref()))
            .collect(),
    ))
}
