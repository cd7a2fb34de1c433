//! A server for one test, and the client that speaks to it.

use std::time::Duration;

use connector_sdk::SystemClock;
use hub::config::Config;
use hub::entropy::SystemEntropy;
use hub::keys::Fresh;
use hub::server::{Make, Server, new_organization};
use reqwest::Method;
use serde_json::{Value, json};
use simulators::caldav::{AccountConfig, CaldavServer, CalendarConfig};
use tempfile::TempDir;
use testkit::harness::Database;

/// Bound of every wait; only a failing test comes near it.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// The account of [`calendar_server`].
pub(crate) const USER: &str = "ada";
pub(crate) const PASSWORD: &str = "correct horse";

/// A running server with an API key.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) key: String,
    pub(crate) folder: TempDir,
    http: reqwest::Client,
    /// Removed when the server is gone.
    _database: Option<Database>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

/// A server with the usual settings. Periodic syncs are far apart: a test asks for those it wants.
pub(crate) async fn start_server() -> TestServer {
    start_server_with("").await
}

/// A server with more settings, in the form of the file.
pub(crate) async fn start_server_with(settings: &str) -> TestServer {
    start_server_of(settings, Make::default()).await
}

/// A server of other parts.
pub(crate) async fn start_server_of(settings: &str, make: Make) -> TestServer {
    let folder = tempfile::tempdir().unwrap();
    let (url, database) = crate::fresh_database(folder.path());
    let key_file = folder.path().join("concord.db.key");
    let interval = match settings.contains("sync_interval_seconds") {
        true => "",
        false => "sync_interval_seconds = 3600\n",
    };
    let text = format!(
        "listen = \"127.0.0.1:0\"\ndatabase_url = \"{url}\"\nmaster_key_file = \"{}\"\n{interval}{settings}",
        key_file.display()
    );
    let server = Server::start_with(&Config::from_toml(&text).unwrap(), make)
        .await
        .unwrap();
    TestServer {
        key: server.first_key().unwrap().to_owned(),
        server,
        folder,
        http: reqwest::Client::new(),
        _database: database,
    }
}

impl TestServer {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.base_url())
    }

    /// A request without a key, to be completed by the test.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, &self.key).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body), &self.key).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body), &self.key).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None, &self.key).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>, key: &str) -> Answer {
        let mut request = self.request(method, path).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request).await
    }

    /// A key of another organization on the same server.
    pub(crate) async fn other_tenant(&self) -> String {
        let store = self.server.state().unscoped_store();
        let organization = new_organization("another", &SystemClock, &SystemEntropy);
        store.create_organization(&organization).await.unwrap();
        let fresh = Fresh::make(
            organization.id,
            "another's key".to_owned(),
            vec![store::KeyPermission::Passthrough],
            &SystemClock,
            &SystemEntropy,
        );
        store.create_api_key(&fresh.key, &fresh.secret).await.unwrap();
        fresh.secret
    }

    /// Connects to a simulated CalDAV server and waits for the first sync. Answers with the connection as created.
    pub(crate) async fn connect(&self, calendars: &CaldavServer) -> Value {
        let answer = self
            .post("/v1/connections", connection_to(calendars.base_url()))
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let made = answer.data();
        let job = self.ended_job(made["job_id"].as_str().unwrap()).await;
        assert_eq!(job["state"], "done", "{job}");
        made
    }

    /// Waits until a job has ended for good.
    pub(crate) async fn ended_job(&self, id: &str) -> Value {
        self.job_when(id, |job| {
            matches!(job["state"].as_str(), Some("done" | "failed" | "cancelled"))
        })
        .await
    }

    /// Waits until a job is as wanted.
    pub(crate) async fn job_when(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/v1/jobs/{id}");
        let mut last = Value::Null;
        let found = testkit::harness::until("the job", LIMIT, async || {
            last = self.get(&path).await.data();
            wanted(&last).then(|| last.clone())
        })
        .await;
        found.unwrap_or_else(|error| panic!("{error}; the job was {last}"))
    }
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn data(&self) -> Value {
        assert!(self.status < 300, "{}: {}", self.status, self.text);
        self.json()["data"].take()
    }

    /// Asserts a failure in the envelope, and answers with what it says.
    pub(crate) fn failure(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        let error = self.json()["error"].take();
        assert_eq!(error["code"], code, "{error}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
        let id = self.headers["x-request-id"].to_str().unwrap();
        assert_eq!(error["request_id"], id, "{error}");
        error
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// The body that connects to a CalDAV server as [`USER`].
pub(crate) fn connection_to(base_url: &str) -> Value {
    json!({
        "provider": "caldav",
        "config": {"base_url": base_url},
        "credentials": {"username": USER, "password": PASSWORD},
    })
}

/// A simulated CalDAV server with one calendar of two events.
pub(crate) async fn calendar_server() -> CaldavServer {
    CaldavServer::start(simulators::caldav::Config::with_account(account()))
        .await
        .unwrap()
}

/// Its account.
pub(crate) fn account() -> AccountConfig {
    let calendar = CalendarConfig::new("work")
        .display_name("Work")
        .object("1.ics", event("1", "Planning"))
        .object("2.ics", event("2", "Review"));
    AccountConfig::new(USER).password(PASSWORD).calendar(calendar)
}

/// An event of one hour.
pub(crate) fn event(uid: &str, title: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Concord//test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}@example.com\r\n\
         DTSTAMP:20260101T000000Z\r\nDTSTART:20260302T090000Z\r\nDTEND:20260302T100000Z\r\nSUMMARY:{title}\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}
