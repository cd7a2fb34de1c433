//! A small HTTP client and a simulated Google with two people, for the google_* tests.

#![allow(dead_code, reason = "each test binary uses its own part")]

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use simulators::google_calendar::{
    AccountConfig, CalendarConfig, Config, GoogleCalendar, GoogleCalendarServer, ManualClock, Role,
};

/// Owns a calendar in Berlin and the team's.
pub(crate) const ADA: &str = "ada@example.com";
/// Writes on the team's calendar.
pub(crate) const GRACE: &str = "grace@example.com";
/// The calendar they share.
pub(crate) const TEAM: &str = "team@group.calendar.google.com";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn builder(clock: &ManualClock) -> Config {
    Config::new(clock.clock())
        .account(
            AccountConfig::new(ADA)
                .display_name("Ada")
                .access_token("token-of-ada@example.com"),
        )
        .account(AccountConfig::new(GRACE).access_token("token-of-grace@example.com"))
        .calendar(
            CalendarConfig::new(ADA, ADA)
                .summary("Ada")
                .time_zone("Europe/Berlin"),
        )
        .calendar(
            CalendarConfig::new(TEAM, ADA)
                .summary("Team")
                .shared_with(GRACE, Role::Writer),
        )
}

pub(crate) async fn start() -> (GoogleCalendarServer, Api) {
    let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
    let server = GoogleCalendar::start(builder(&clock)).await.unwrap();
    let api = Api::new(&server, ADA);
    (server, api)
}

/// One account's view of one calendar.
#[derive(Clone)]
pub(crate) struct Api {
    client: reqwest::Client,
    root: String,
    calendar: String,
    token: String,
}

impl Api {
    pub(crate) fn new(server: &GoogleCalendarServer, email: &str) -> Self {
        Self::with_token(server, email, &format!("token-of-{email}"))
    }

    pub(crate) fn with_token(server: &GoogleCalendarServer, calendar: &str, token: &str) -> Self {
        Self {
            client: reqwest::Client::new(),
            root: server.api_url().trim_end_matches('/').to_owned(),
            calendar: calendar.to_owned(),
            token: token.to_owned(),
        }
    }

    pub(crate) fn on(&self, calendar: &str) -> Self {
        Self {
            calendar: calendar.to_owned(),
            ..self.clone()
        }
    }

    fn request(&self, method: Method, url: String, body: Option<Value>) -> reqwest::RequestBuilder {
        let request = self.client.request(method, url).bearer_auth(&self.token);
        match body {
            Some(body) => request.json(&body),
            None => request,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/calendars/{}{path}", self.root, self.calendar)
    }

    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value), reqwest::Error> {
        answer(self.request(method, self.url(path), body)).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        self.try_send(method, path, body).await.unwrap()
    }

    pub(crate) async fn conditional(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        etag: &str,
    ) -> (u16, Value) {
        answer(
            self.request(method, self.url(path), body)
                .header("If-Match", etag),
        )
        .await
        .unwrap()
    }

    pub(crate) async fn ok(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.send(method.clone(), path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    pub(crate) async fn insert(&self, event: Value) -> Value {
        self.ok(Method::POST, "/events", Some(event)).await
    }

    pub(crate) async fn sync_token(&self) -> String {
        let list = self.ok(Method::GET, "/events", None).await;
        list["nextSyncToken"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn at(&self, path: &str) -> Value {
        let (status, body) = answer(self.request(Method::GET, format!("{}{path}", self.root), None))
            .await
            .unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) async fn post_root(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(Method::POST, format!("{}{path}", self.root), Some(body)))
            .await
            .unwrap()
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, Value), reqwest::Error> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let body = response.bytes().await?;
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).unwrap()
    };
    Ok((status, body))
}

pub(crate) fn meeting(summary: &str) -> Value {
    json!({
        "summary": summary,
        "start": {"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "Europe/Berlin"},
    })
}

pub(crate) fn daily() -> Value {
    let mut series = meeting("Stand-up");
    series["id"] = json!("standup");
    series["recurrence"] = json!(["RRULE:FREQ=DAILY;COUNT=5"]);
    series
}

pub(crate) fn ids(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

pub(crate) fn reason(answer: &Value) -> &str {
    answer["error"]["errors"][0]["reason"].as_str().unwrap()
}
