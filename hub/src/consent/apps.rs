//! Apps as OAuth clients: the registration with its secret, and the connector's word on the vendor.

use connector_sdk::oauth::{OAuth2, Registration};
use connector_sdk::{Connector, Error, ErrorKind};
use model::{OrganizationId, ProviderAppId};
use store::{AppRef, Paging, ProviderApp, SqliteStore, installation};
use sync::ports::StoreError;
use url::Url;

const OPERATION: &str = "auth.app";
/// Apps of one owner that are looked through for one of a provider.
const MOST_APPS: u32 = 200;

/// An app that can ask for consent.
#[derive(Debug)]
pub struct OAuthApp {
    /// Which.
    pub reference: AppRef,
    /// What the vendor's server is like.
    pub declared: &'static OAuth2,
    /// Who the hub is there.
    pub registration: Registration,
    /// Where the API is, if not where the connector says.
    pub base_url: Option<String>,
}

/// An app with its secret.
///
/// # Errors
/// `PermissionDenied` when it is gone or no OAuth client (any more): whatever lives by it waits until it is one.
pub async fn load(
    store: &SqliteStore,
    connector: &dyn Connector,
    reference: &AppRef,
) -> Result<OAuthApp, Error> {
    let refused = |message: String| Error::new(ErrorKind::PermissionDenied, OPERATION, message);
    let declared = connector.auth().oauth2().ok_or_else(|| {
        let name = connector.info().name;
        refused(format!(
            "{name} has no authorization server that this version knows of"
        ))
    })?;
    let client = store.app_client(&reference.owner, &reference.id).await;
    let client = client.map_err(|error| {
        let message = "the app's registration cannot be read now";
        Error::new(ErrorKind::Unavailable, OPERATION, message).with_source(error)
    })?;
    let client = client.ok_or_else(|| {
        let id = &reference.id;
        refused(format!(
            "the app {id} is gone, or has no client id any more; give it one"
        ))
    })?;
    // Checked when it was set, too: rows of earlier versions were not.
    let usual = connector.info().default_base_url;
    let unmixed = client.endpoints.check_unmixed(declared, usual);
    unmixed.map_err(|error| refused(error.message))?;
    Ok(OAuthApp {
        reference: reference.clone(),
        declared,
        registration: Registration::new(
            declared,
            &client.endpoints,
            &client.client_id,
            client.client_secret,
        )?,
        base_url: client.endpoints.base_url,
    })
}

/// The app of this id, the organization's own or the installation's.
///
/// # Errors
/// When the database fails.
pub async fn find(
    store: &SqliteStore,
    organization: &OrganizationId,
    id: &ProviderAppId,
) -> Result<Option<ProviderApp>, StoreError> {
    match store.provider_app(organization, id).await? {
        Some(app) => Ok(Some(app)),
        None => store.provider_app(&installation(), id).await,
    }
}

/// The apps of a provider that can ask for consent: the organization's own, or where it has none, the installation's.
///
/// # Errors
/// When the database fails.
pub async fn of_provider(
    store: &SqliteStore,
    organization: &OrganizationId,
    provider: &str,
) -> Result<Vec<ProviderApp>, StoreError> {
    for owner in [organization, &installation()] {
        let mut found = Vec::new();
        for app in store.provider_apps(owner, &Paging::first(MOST_APPS)).await?.items {
            if app.provider == provider && store.app_client(owner, &app.id).await?.is_some() {
                found.push(app);
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Where browsers come back to an app. Each has an address of its own, so that an answer of one vendor cannot be passed
/// off as another's: <https://datatracker.ietf.org/doc/html/rfc9700#section-4.4.2.2>.
///
/// # Errors
/// `Invalid` when the server's own address cannot be read.
pub fn redirect_url(origin: &str, app: &ProviderAppId) -> Result<Url, Error> {
    Url::parse(&format!("{origin}/oauth/callback/{app}")).map_err(|_| {
        let message = "`public_url` is no web address that a vendor could send people back to";
        Error::new(ErrorKind::Invalid, OPERATION, message)
    })
}
