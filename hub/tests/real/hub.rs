//! `concord serve` as a process of its own, and the client that speaks to it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::harness::{Program, RunningProgram, until};

/// Bound of every wait; only a failing test comes near it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A server with its database in a folder that goes with the test. What is asked of it, its [`Client`] asks.
pub(crate) struct Hub {
    process: RunningProgram,
    client: Client,
    settings: Vec<(String, String)>,
    // Last: the process must be gone before its folder.
    folder: TempDir,
}

/// A client of the API; clones speak to the same server.
#[derive(Clone)]
pub(crate) struct Client {
    url: String,
    key: String,
    http: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Hub {
    /// A server whose periodic syncs are far apart: a test asks for those it wants.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server with more settings, as variables.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings: Vec<(String, String)> = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let (process, url) = serve(&folder, &settings).await;
        let key = process
            .output()
            .iter()
            .find_map(|line| line.trim().strip_prefix("ck_").map(|rest| format!("ck_{rest}")))
            .expect("a new database prints its first key");
        let http = reqwest::Client::builder().no_proxy().timeout(LIMIT);
        let client = Client {
            url,
            key,
            http: http.build().unwrap(),
        };
        Self {
            process,
            client,
            settings,
            folder,
        }
    }

    /// A client that outlives the process.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// How often this process has said that in its log.
    pub(crate) fn said(&self, words: &str) -> usize {
        self.process
            .output()
            .iter()
            .filter(|line| line.contains(words))
            .count()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// Starts the server again on the same database.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        (self.process, self.client.url) = serve(&self.folder, &self.settings).await;
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        self.process.resident_bytes().unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }
}

impl std::ops::Deref for Hub {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let named = format!("{method} {path}");
        let sent = self.try_send(method, path, body).await;
        sent.unwrap_or_else(|error| panic!("{named}: {error}"))
    }

    /// Sends a request to a server that may die before it answers.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Answer> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::answer(request).await
    }

    /// A request with the key, to be completed by the test.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        request.bearer_auth(&self.key)
    }

    pub(crate) async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok(Answer { status, text })
    }

    /// All elements of a list, page by page.
    pub(crate) async fn all(&self, path: &str) -> Vec<Value> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}{mark}limit=200{cursor}")).await.json();
            found.extend(page["data"].as_array().expect("a list").iter().cloned());
            match page["page"]["next"].as_str() {
                Some(next) => cursor = format!("&cursor={}", encoded(next)),
                None => return found,
            }
        }
    }

    /// All events.
    pub(crate) async fn events(&self) -> Vec<Value> {
        self.all("/v1/events").await
    }

    /// The one event with this UID.
    pub(crate) async fn event(&self, uid: &str) -> Value {
        let mut found = self.events().await;
        found.retain(|event| event["uid"] == uid);
        assert_eq!(found.len(), 1, "events with the UID {uid}: {found:#?}");
        found.remove(0)
    }

    /// The one event with this title.
    pub(crate) async fn titled(&self, title: &str) -> Value {
        let mut found = self.events().await;
        found.retain(|event| event["title"] == title);
        assert_eq!(found.len(), 1, "events titled {title}: {found:#?}");
        found.remove(0)
    }

    /// Connects, and waits for the first sync. Answers with the connection as created.
    pub(crate) async fn connect(&self, body: Value) -> Connected {
        let answer = self.post("/v1/connections", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let made = answer.data();
        let job = self.ended_job(made["job_id"].as_str().unwrap()).await;
        assert_eq!(job["state"], "done", "{job}");
        Connected {
            id: made["id"].as_str().unwrap().to_owned(),
            calendar: made["collections"][0]["id"].as_str().unwrap().to_owned(),
            first_sync: job["result"].clone(),
        }
    }

    /// Syncs a connection; answers with the ended job.
    pub(crate) async fn sync(&self, connection: &str) -> Value {
        let path = format!("/v1/connections/{connection}/sync");
        let answer = self.post(&path, json!({})).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        self.ended_job(answer.data()["id"].as_str().unwrap()).await
    }

    /// Syncs a connection, and asserts that it went well; answers with the counts.
    pub(crate) async fn synced(&self, connection: &str) -> Value {
        let job = self.sync(connection).await;
        assert_eq!(job["state"], "done", "{job}");
        job["result"].clone()
    }

    /// Waits until a job has ended for good.
    pub(crate) async fn ended_job(&self, id: &str) -> Value {
        self.job_when(id, has_ended).await
    }

    /// Waits until a job has ended, or failed for the first time.
    pub(crate) async fn tried_job(&self, id: &str) -> Value {
        let tried = |job: &Value| has_ended(job) || job["error"].is_object();
        self.job_when(id, tried).await
    }

    async fn job_when(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/v1/jobs/{id}");
        let mut last = Value::Null;
        let found = until("the job", LIMIT, async || {
            last = self.get(&path).await.data();
            wanted(&last).then_some(())
        });
        let found = found.await;
        found.unwrap_or_else(|error| panic!("{error}; the job was {last}"));
        last
    }

    /// Waits until no job is due and no link has anything on its way.
    pub(crate) async fn settle(&self) {
        let mut left = Vec::new();
        let settled = until("everything to settle", LIMIT, async || {
            left.clear();
            for path in [
                "/v1/jobs?state=queued",
                "/v1/jobs?state=running",
                "/v1/links?state=pending",
            ] {
                let page = self.get(path).await.data();
                left.extend(page.as_array().unwrap().iter().cloned());
            }
            left.is_empty().then_some(())
        });
        let settled = settled.await;
        settled.unwrap_or_else(|error| panic!("{error}; left are {left:#?}"));
    }
}

/// Says what the server said last when a test fails.
impl Drop for Hub {
    #[expect(clippy::print_stderr, reason = "the runner shows it with the failed test")]
    fn drop(&mut self) {
        const SHOWN: usize = 60;
        if std::thread::panicking() {
            let lines = self.process.output();
            for line in &lines[lines.len().saturating_sub(SHOWN)..] {
                eprintln!("concord: {line}");
            }
        }
    }
}

/// What a test needs to know of a connection.
pub(crate) struct Connected {
    pub(crate) id: String,
    /// Its first calendar.
    pub(crate) calendar: String,
    /// What the first sync did.
    pub(crate) first_sync: Value,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn data(&self) -> Value {
        assert!(self.status < 300, "{}: {}", self.status, self.text);
        self.json()["data"].take()
    }

    /// Asserts a failure in the envelope, and answers with what it says.
    pub(crate) fn failure(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        let error = self.json()["error"].take();
        assert_eq!(error["code"], code, "{error}");
        error["message"].as_str().unwrap().to_owned()
    }
}

async fn serve(folder: &TempDir, settings: &[(String, String)]) -> (RunningProgram, String) {
    let mut program = Program::new(env!("CARGO_BIN_EXE_concord"))
        .folder(folder.path())
        .env("CONCORD_LISTEN", "127.0.0.1:0")
        .env("CONCORD_SYNC_INTERVAL_SECONDS", "86400")
        .env("NO_COLOR", "1")
        // All servers are on loopback; a proxy in the environment must not come between.
        .env("NO_PROXY", "127.0.0.1,localhost")
        .arg("serve");
    for (name, value) in settings {
        program = program.env(name, value);
    }
    let mut process = program.start().unwrap();
    let url = process.wait_for_line(LIMIT, |line| {
        line.strip_prefix("Concord listens at ").map(str::to_owned)
    });
    let url = url.await.unwrap();
    let greeted = process.wait_for_line(LIMIT, |line| line.contains("/docs").then_some(()));
    greeted.await.unwrap();
    (process, url)
}

fn has_ended(job: &Value) -> bool {
    matches!(job["state"].as_str(), Some("done" | "failed" | "cancelled"))
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The address of an event.
pub(crate) fn path_of(event: &Value) -> String {
    format!("/v1/events/{}", event["id"].as_str().unwrap())
}

/// The body that connects to a CalDAV server.
pub(crate) fn caldav(base_url: &str, user: &str, password: &str) -> Value {
    json!({
        "provider": "caldav",
        "config": {"base_url": base_url},
        "credentials": {"username": user, "password": password},
    })
}
