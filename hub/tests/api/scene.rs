//! Two vendors and a hub: connected, synced, mirrored; and waiting until nothing is left to do.

use connector_sdk::{Clock as _, SystemClock};
use serde_json::{Value, json};
use simulators::caldav::{
    AccountConfig, CaldavServer, CalendarConfig, CalendarHandle, Config as CaldavConfig,
};
use simulators::google_calendar::{
    AccountConfig as GoogleAccount, CalendarConfig as GoogleCalendarConfig, Clock, Config as GoogleConfig,
    GoogleCalendar, GoogleCalendarServer,
};
use testkit::harness::until;

use crate::server::{LIMIT, PASSWORD, TestServer, USER, start_server};

/// The account at Google, and its primary calendar.
pub(crate) const ADA: &str = "ada@example.com";
const TOKEN: &str = "token-of-ada";

/// A simulated Google with one account and its calendar in Berlin.
pub(crate) async fn google_server() -> GoogleCalendarServer {
    google_server_with(|config| config).await
}

pub(crate) async fn google_server_with(
    more: impl FnOnce(GoogleConfig) -> GoogleConfig,
) -> GoogleCalendarServer {
    let config = GoogleConfig::new(Clock::new(|| SystemClock.now()))
        .account(GoogleAccount::new(ADA).access_token(TOKEN))
        .calendar(
            GoogleCalendarConfig::new(ADA, ADA)
                .summary("Ada")
                .time_zone("Europe/Berlin"),
        );
    GoogleCalendar::start(more(config)).await.unwrap()
}

/// A simulated CalDAV server with the calendar "Work" and these objects in it.
pub(crate) async fn caldav_server(objects: &[(&str, String)]) -> CaldavServer {
    let work = CalendarConfig::new("work")
        .display_name("Work")
        .timezone("Europe/Berlin");
    let work = objects
        .iter()
        .fold(work, |work, (name, ics)| work.object(*name, ics.clone()));
    let account = AccountConfig::new(USER).password(PASSWORD).calendar(work);
    CaldavServer::start(CaldavConfig::with_account(account))
        .await
        .unwrap()
}

/// The calendar of [`caldav_server`].
pub(crate) fn work(caldav: &CaldavServer) -> CalendarHandle {
    caldav.calendar(USER, "work")
}

/// A calendar object with one VEVENT of these lines, UID and times of 2026-03-02 09:00 in Berlin included unless
/// given.
pub(crate) fn ics(uid: &str, lines: &[&str]) -> String {
    let mut text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Concord//test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20260101T000000Z\r\n"
    );
    if !lines.iter().any(|line| line.starts_with("DTSTART")) {
        text += "DTSTART;TZID=Europe/Berlin:20260302T090000\r\nDTEND;TZID=Europe/Berlin:20260302T100000\r\n";
    }
    for line in lines {
        text += line;
        text += "\r\n";
    }
    text + "END:VEVENT\r\nEND:VCALENDAR\r\n"
}

/// An event at Google on 2026-03-02 09:00 in Berlin.
pub(crate) fn google_event(title: &str) -> Value {
    json!({
        "summary": title,
        "start": {"dateTime": "2026-03-02T09:00:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-02T10:00:00", "timeZone": "Europe/Berlin"},
    })
}

/// A series at Google: every day from 2026-03-02, 09:00 in Berlin, ten times.
pub(crate) fn google_series(title: &str) -> Value {
    let mut event = google_event(title);
    event["recurrence"] = json!(["RRULE:FREQ=DAILY;COUNT=10"]);
    event
}

/// A hub connected to both vendors.
pub(crate) struct Scene {
    pub(crate) server: TestServer,
    pub(crate) google: GoogleCalendarServer,
    pub(crate) caldav: CaldavServer,
    pub(crate) google_connection: String,
    pub(crate) caldav_connection: String,
    /// The calendar at Google.
    pub(crate) ada: String,
    /// The calendar at the CalDAV server.
    pub(crate) work: String,
}

impl Scene {
    /// Both connected and synced, not mirrored.
    pub(crate) async fn connected(google: GoogleCalendarServer, caldav: CaldavServer) -> Self {
        let server = start_server().await;
        let made_caldav = server.connect(&caldav).await;
        let made_google = connect_google(&server, &google).await;
        let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
        let calendar = |made: &Value| made["collections"][0]["id"].as_str().unwrap().to_owned();
        Self {
            google_connection: id(&made_google),
            caldav_connection: id(&made_caldav),
            ada: calendar(&made_google),
            work: calendar(&made_caldav),
            server,
            google,
            caldav,
        }
    }

    /// Both connected, their calendars mirrored both ways, everything settled.
    pub(crate) async fn mirrored(google: GoogleCalendarServer, caldav: CaldavServer) -> Self {
        let scene = Self::connected(google, caldav).await;
        scene.mirror(json!({})).await;
        scene
    }

    /// Mirrors both calendars and waits until everything is on both sides. `more` overrides members of the body.
    pub(crate) async fn mirror(&self, more: Value) -> Value {
        let mut body = json!({
            "name": "Both",
            "members": [
                {"collection_id": self.ada, "role": "both"},
                {"collection_id": self.work, "role": "both"},
            ],
        });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = self.server.post("/v1/mirrors", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        self.settle().await;
        made.data()
    }

    /// Syncs both connections and waits until nothing is left to do.
    pub(crate) async fn round(&self) {
        sync(&self.server, &self.google_connection).await;
        sync(&self.server, &self.caldav_connection).await;
        self.settle().await;
    }

    pub(crate) async fn settle(&self) {
        settle(&self.server).await;
    }

    pub(crate) async fn event(&self, title: &str) -> Value {
        event_titled(&self.server, title).await
    }

    /// The event at Google with this title, not deleted.
    pub(crate) fn at_google(&self, title: &str) -> Option<Value> {
        self.google
            .calendar(ADA)
            .living_events()
            .into_iter()
            .find(|event| event["summary"] == title)
    }

    /// The object at the CalDAV server with this title.
    pub(crate) fn at_caldav(&self, title: &str) -> Option<String> {
        let line = format!("SUMMARY:{}\r\n", title.replace(',', "\\,"));
        work(&self.caldav)
            .list()
            .into_iter()
            .map(|member| member.ics)
            .find(|ics| ics.contains(&line))
    }

    /// Points in both logs.
    pub(crate) fn marks(&self) -> Marks {
        Marks {
            google: self.google.log().mark(),
            caldav: self.caldav.log().mark(),
        }
    }

    /// Writes since these points, at Google and at the CalDAV server; shown when a test fails.
    #[expect(clippy::print_stdout, reason = "a test that fails shows it")]
    pub(crate) fn writes_since(&self, marks: &Marks) -> (usize, usize) {
        let at_google = self.google.log().writes_since(marks.google);
        let at_caldav = self.caldav.log().writes_since(marks.caldav);
        for write in at_google.iter().chain(&at_caldav) {
            println!(
                "{} {} {:?} -> {:?}",
                write.method, write.path, write.headers, write.status
            );
        }
        (at_google.len(), at_caldav.len())
    }
}

/// Points in both logs.
pub(crate) struct Marks {
    google: simulators::server::Mark,
    caldav: simulators::server::Mark,
}

/// Connects to a simulated Google and waits for the first sync. Answers with the connection as created.
pub(crate) async fn connect_google(server: &TestServer, google: &GoogleCalendarServer) -> Value {
    let body = json!({
        "provider": "google",
        "config": {"base_url": google.api_url(), "token_url": google.token_url()},
        "credentials": {"access_token": TOKEN},
    });
    let answer = server.post("/v1/connections", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let made = answer.data();
    let job = server.ended_job(made["job_id"].as_str().unwrap()).await;
    assert_eq!(job["state"], "done", "{job}");
    made
}

/// A hub with one CalDAV connection; answers with the ids of connection and calendar, too.
pub(crate) async fn with_caldav(caldav: &CaldavServer) -> (TestServer, String, String) {
    let server = start_server().await;
    let made = server.connect(caldav).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let calendar = made["collections"][0]["id"].as_str().unwrap().to_owned();
    (server, id, calendar)
}

/// A hub with one Google connection; answers with the ids of connection and calendar, too.
pub(crate) async fn with_google(google: &GoogleCalendarServer) -> (TestServer, String, String) {
    let server = start_server().await;
    let made = connect_google(&server, google).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let calendar = made["collections"][0]["id"].as_str().unwrap().to_owned();
    (server, id, calendar)
}

/// Syncs a connection; answers with the ended job.
pub(crate) async fn sync(server: &TestServer, connection: &str) -> Value {
    let answer = server
        .post(&format!("/v1/connections/{connection}/sync"), json!({}))
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    server.ended_job(answer.data()["id"].as_str().unwrap()).await
}

/// Waits until no job is due and no link has anything on its way.
pub(crate) async fn settle(server: &TestServer) {
    let mut left = Value::Null;
    let settled = until("everything to settle", LIMIT, async || {
        let mut open = Vec::new();
        for path in [
            "/v1/jobs?state=queued",
            "/v1/jobs?state=running",
            "/v1/links?state=pending",
        ] {
            open.extend(server.get(path).await.data().as_array().unwrap().clone());
        }
        left = Value::Array(open);
        left.as_array().unwrap().is_empty().then_some(())
    })
    .await;
    settled.unwrap_or_else(|error| panic!("{error}; left are {left:#}"));
}

/// Waits for an event with this title.
pub(crate) async fn event_titled(server: &TestServer, title: &str) -> Value {
    let mut titles = Vec::new();
    let found = until("the event", LIMIT, async || {
        let events = events(server).await;
        titles = events.iter().map(|event| event["title"].clone()).collect();
        events.into_iter().find(|event| event["title"] == title)
    })
    .await;
    found.unwrap_or_else(|error| panic!("{error}: {title}; there are {titles:?}"))
}

/// All events.
pub(crate) async fn events(server: &TestServer) -> Vec<Value> {
    server
        .get("/v1/events?limit=200")
        .await
        .data()
        .as_array()
        .unwrap()
        .clone()
}

/// The address of an event.
pub(crate) fn path_of(event: &Value) -> String {
    format!("/v1/events/{}", event["id"].as_str().unwrap())
}

/// Waits until an event is as wanted.
pub(crate) async fn event_when(server: &TestServer, event: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    let path = path_of(event);
    let mut last = Value::Null;
    let found = until("the event", LIMIT, async || {
        last = server.get(&path).await.json();
        let event = &last["data"];
        (event.is_object() && wanted(event)).then(|| event.clone())
    })
    .await;
    found.unwrap_or_else(|error| panic!("{error}; it is {last:#}"))
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    until(what, LIMIT, async || condition().then_some(()))
        .await
        .unwrap();
}
