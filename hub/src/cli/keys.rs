//! `concord key create`: the way in when no key is at hand. It opens the database beside a running server.

use connector_sdk::SystemClock;
use store::{KeyPermission, OpenMode, Organization, SqliteStore};

use super::database_failed;
use super::terminal::Terminal;
use crate::config::Config;
use crate::entropy::SystemEntropy;
use crate::failure::Failure;
use crate::keys::{Fresh, LONGEST_NAME};
use crate::server::{new_organization, open_store};

pub(super) async fn create(
    config: &Config,
    name: &str,
    organization: Option<&str>,
    permissions: &[KeyPermission],
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let name = name.trim();
    if name.is_empty() || name.len() > LONGEST_NAME {
        let cause = format!("a key's name has 1 to {LONGEST_NAME} bytes");
        return Err(Failure::new(cause, "give another one: --name \"calendar app\"").into());
    }
    let store = open_store(config, OpenMode::Beside).await?;
    let organization = find_or_make(&store, organization).await?;
    let fresh = Fresh::make(
        organization.id.clone(),
        name.to_owned(),
        permissions.to_vec(),
        &SystemClock,
        &SystemEntropy,
    );
    store
        .create_api_key(&fresh.key, &fresh.secret)
        .await
        .map_err(|error| database_failed(&error))?;
    store.close().await;
    terminal.line(&format!(
        "A key for the organization {} ({}), shown only this once:",
        organization.name, organization.id
    ))?;
    terminal.line("")?;
    terminal.line(&format!("  {}", terminal.bold(&fresh.secret)))?;
    Ok(())
}

async fn find_or_make(store: &SqliteStore, wanted: Option<&str>) -> Result<Organization, Failure> {
    let failed = |error| database_failed(&error);
    let known = store.organizations().await.map_err(failed)?;
    let found = match wanted {
        None => known.into_iter().next(),
        Some(wanted) => {
            let found = known
                .into_iter()
                .find(|known| known.id.as_str() == wanted || known.name == wanted);
            if found.is_none() && wanted.starts_with(model::OrganizationId::PREFIX) {
                let remedy = "leave --organization out for the oldest one, or give a name to make a new one";
                return Err(Failure::new(format!("there is no organization {wanted}"), remedy));
            }
            found
        }
    };
    if let Some(found) = found {
        return Ok(found);
    }
    let fresh = new_organization(wanted.unwrap_or("default"), &SystemClock, &SystemEntropy);
    store.create_organization(&fresh).await.map_err(failed)?;
    Ok(fresh)
}
