//! A hub with providers in memory that sign what they send, and the sender.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connector_memory::{MemoryConnector, MemoryProvider, Options, delivery};
use connector_sdk::signature::standard_webhooks;
use connector_sdk::{Clock as _, Connector, RemoteId, SystemClock, WebhookProof, WebhookSecret};
use http::HeaderMap;
use hub::config::Config;
use hub::server::{Make, Server};
use model::{Content, Fields};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::harness::{Database, until};

use crate::fresh_database;

/// Bound of every wait; only a failing test comes near it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// Where the provider is said to be. It is in memory, and nobody asks there.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:9/";
/// The provider's calendar.
pub(crate) const WORK: &str = "work";

/// A provider that signs its webhooks, with one calendar.
pub(crate) fn provider() -> MemoryProvider {
    let provider = MemoryProvider::new(Options {
        webhook: WebhookProof::Signed,
        ..Options::WHOLE
    });
    provider.add_collection(WORK, "Work");
    provider
}

/// The connectors of a hub that knows this provider as `memory`.
pub(crate) fn connectors(provider: &MemoryProvider) -> Vec<Arc<dyn Connector>> {
    vec![Arc::new(MemoryConnector::named("memory", provider.clone()))]
}

/// An event of one hour.
pub(crate) fn event(uid: &str, title: &str) -> Content {
    let at = |hour: u8| json!({"kind": "zoned", "wall": format!("2026-03-02T{hour:02}:00:00"), "zone": "Europe/Berlin"});
    let fields = [
        ("uid", json!(uid)),
        ("title", json!(title)),
        ("start", at(9)),
        ("end", at(10)),
    ];
    let fields: Fields = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Content::new(fields)
}

/// A running hub with one connection.
pub(crate) struct Scene {
    pub(crate) provider: MemoryProvider,
    pub(crate) server: Server,
    pub(crate) key: String,
    pub(crate) connection: String,
    /// The path of the connection's address.
    pub(crate) hook: String,
    pub(crate) secret: WebhookSecret,
    pub(crate) http: reqwest::Client,
    _database: Option<Database>,
    _folder: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn data(&self) -> Value {
        assert!(self.status < 300, "{}: {}", self.status, self.text);
        let mut body: Value = serde_json::from_str(&self.text).unwrap();
        body["data"].take()
    }

    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap();
        body["error"]["code"].as_str().unwrap().to_owned()
    }
}

impl Scene {
    pub(crate) async fn start() -> Self {
        Self::start_with("", |make| make).await
    }

    pub(crate) async fn start_with(settings: &str, other: impl FnOnce(Make) -> Make) -> Self {
        let provider = provider();
        let folder = tempfile::tempdir().unwrap();
        let (url, database) = fresh_database(folder.path());
        let text = format!(
            "listen = \"127.0.0.1:0\"\ndatabase_url = \"{url}\"\nsync_interval_seconds = 3600\nmaster_key_file = \"{}\"\n{settings}",
            folder.path().join("concord.key").display()
        );
        let make = other(Make {
            connectors: connectors(&provider),
            ..Make::default()
        });
        let server = Server::start_with(&Config::from_toml(&text).unwrap(), make)
            .await
            .unwrap();
        let mut scene = Self {
            provider,
            key: server.first_key().unwrap().to_owned(),
            server,
            connection: String::new(),
            hook: String::new(),
            secret: standard_webhooks::secret([1; 32]),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            _database: database,
            _folder: folder,
        };
        (scene.connection, scene.secret) = scene.connect(json!({})).await;
        scene.hook = format!("/hooks/{}", scene.connection);
        scene
    }

    /// A connection with these settings that has been read to its end, and the secret of its address.
    pub(crate) async fn connect(&self, mut config: Value) -> (String, WebhookSecret) {
        config["base_url"] = json!(NOWHERE);
        let body = json!({"provider": "memory", "config": config});
        let made = self
            .call(Method::POST, "/v1/connections", Some(body))
            .await
            .data();
        let id = made["id"].as_str().unwrap().to_owned();
        let job = format!("/v1/jobs/{}", made["job_id"].as_str().unwrap());
        let done = async || (self.get(&job).await["state"] == "done").then_some(());
        until("the first sync", LIMIT, done).await.unwrap();
        let path = format!("/v1/connections/{id}/webhook");
        let address = self.call(Method::PUT, &path, Some(json!({}))).await.data();
        (id, WebhookSecret::new(address["secret"].as_str().unwrap()))
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.call_as(&self.key, method, path, body).await
    }

    pub(crate) async fn call_as(&self, key: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.server.base_url()))
            .bearer_auth(key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        read(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await.data()
    }

    /// Sends bytes with headers to a path, as a provider would.
    pub(crate) async fn send(&self, path: &str, headers: HeaderMap, body: impl Into<Bytes>) -> Answer {
        let url = format!("{}{path}", self.server.base_url());
        read(self.http.post(url).headers(headers).body(body.into())).await
    }

    /// Sends a signed delivery with these notices to the connection.
    pub(crate) async fn deliver(&self, id: &str, notices: &[Value]) -> Answer {
        self.deliver_to(&self.hook, &self.secret, id, notices).await
    }

    pub(crate) async fn deliver_to(
        &self,
        path: &str,
        secret: &WebhookSecret,
        id: &str,
        notices: &[Value],
    ) -> Answer {
        let body = delivery::body(notices);
        let headers = delivery::headers(secret, id, SystemClock.now_ms(), &body).unwrap();
        self.send(path, headers, body).await
    }

    /// What the provider says of an object of its calendar now.
    pub(crate) fn observation(&self, id: &str) -> Value {
        self.provider.observation(WORK, &RemoteId(id.to_owned()))
    }

    /// The only delivery with this id of the provider's, once it is in this state.
    pub(crate) async fn delivery_in(&self, id: &str, state: &str) -> Value {
        let path = format!("/v1/deliveries?delivery_id={id}");
        let mut last = Value::Null;
        let found = until("the delivery", LIMIT, async || {
            last = self.get(&path).await;
            (last.as_array().is_some_and(|all| all.len() == 1) && last[0]["state"] == state)
                .then(|| last[0].clone())
        })
        .await;
        found.unwrap_or_else(|error| panic!("{error}: {last}"))
    }

    /// The titles of all events, in order.
    pub(crate) async fn titles(&self) -> Vec<String> {
        let events = self.get("/v1/events?limit=200").await;
        let title = |event: &Value| event["title"].as_str().unwrap().to_owned();
        let mut titles: Vec<String> = events.as_array().unwrap().iter().map(title).collect();
        titles.sort();
        titles
    }
}

async fn read(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}
