//! Concord as it ships, with a connection whose deliveries are taken; and the same without a store behind its inbox.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use connector_memory::{MemoryConnector, MemoryProvider, Options};
use connector_sdk::WebhookProof;
use hub::config::Config;
use hub::server::{Make, Server};
use hub::webhooks::committer::InboxPort;
use serde_json::{Value, json};
use store::{NewInbound, Receipt};
use sync::ports::StoreError;

/// Takes everything and keeps nothing.
struct Nowhere;

#[async_trait]
impl InboxPort for Nowhere {
    fn lanes(&self) -> usize {
        1
    }

    async fn receive(&self, rows: Vec<NewInbound>) -> Result<Vec<Receipt>, StoreError> {
        Ok(rows.iter().map(|_| Receipt::Stored).collect())
    }
}

/// Serves until it is killed. The connection is paused: what is measured is the way in, as it is for the others.
pub(crate) async fn serve(folder: &Path, database: Option<&str>, stores: bool) -> Result<()> {
    let provider = MemoryProvider::new(Options {
        webhook: WebhookProof::Signed,
        ..Options::WHOLE
    });
    provider.add_collection("work", "Work");
    let file = format!("sqlite://{}", folder.join("concord.db").display());
    let database = database.unwrap_or(&file);
    let text =
        format!("listen = \"127.0.0.1:0\"\ndatabase_url = \"{database}\"\nsync_interval_seconds = 3600\n");
    let mut make = Make {
        connectors: vec![Arc::new(MemoryConnector::named("memory", provider))],
        ..Make::default()
    };
    if !stores {
        make.inbox = Box::new(|_| Arc::new(Nowhere));
    }
    let config = Config::from_toml(&text).map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
    let server = Server::start_with(&config, make)
        .await
        .map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
    let key = server
        .first_key()
        .context("a new database has a first key")?
        .to_owned();
    let (path, secret) = connect(&server.base_url(), &key).await?;
    println!("ready {} {path} {secret}", server.address());
    std::future::pending::<()>().await;
    Ok(())
}

async fn connect(base: &str, key: &str) -> Result<(String, String)> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let call = async |request: reqwest::RequestBuilder, body: Value| {
        let answer = request
            .bearer_auth(key)
            .json(&body)
            .send()
            .await?
            .error_for_status()?;
        let mut body: Value = answer.json().await?;
        anyhow::Ok(body["data"].take())
    };
    let made = call(
        http.post(format!("{base}/v1/connections")),
        json!({"provider": "memory", "config": {"base_url": "http://127.0.0.1:9/"}}),
    )
    .await?;
    let id = made["id"].as_str().context("an id")?.to_owned();
    let one = format!("{base}/v1/connections/{id}");
    call(http.patch(&one), json!({"paused": true})).await?;
    let address = call(http.put(format!("{one}/webhook")), json!({})).await?;
    let secret = address["secret"].as_str().context("a secret")?.to_owned();
    Ok((format!("/hooks/{id}"), secret))
}
