//! A real Radicale behind a counting proxy, a simulated Google, and events for both.

use connector_sdk::{Clock as _, SystemClock};
use serde_json::{Value, json};
use simulators::google_calendar::{
    AccountConfig, CalendarConfig, Clock, Config, GoogleCalendar, GoogleCalendarServer,
};
use simulators::server::Mark;
use testkit::harness::{CountingProxy, Radicale};

use crate::hub::{Connected, Hub, caldav};

/// The account at Google, and its primary calendar.
pub(crate) const ADA: &str = "ada@example.com";
const TOKEN: &str = "token-of-ada";
/// The account at Radicale, and its calendar.
pub(crate) const ALICE: &str = "alice";
pub(crate) const WORK: &str = "work";

/// Radicale behind a proxy: the hub speaks to the proxy, the test to the server.
pub(crate) struct Dav {
    pub(crate) radicale: Radicale,
    pub(crate) proxy: CountingProxy,
}

impl Dav {
    /// A server with these objects in the calendar.
    pub(crate) async fn with<F: AsRef<str>, I: AsRef<[u8]>>(items: impl IntoIterator<Item = (F, I)>) -> Self {
        let radicale = Radicale::start().await.unwrap();
        radicale.load_collection(ALICE, WORK, items).unwrap();
        let proxy = CountingProxy::start(radicale.base_url()).await.unwrap();
        Self { radicale, proxy }
    }

    /// The body that connects to it.
    pub(crate) fn connection(&self) -> Value {
        let url = self.proxy.base_url().unwrap();
        caldav(url.as_str(), ALICE, &self.radicale.credentials.password)
    }

    /// An object as it lies at the server.
    pub(crate) fn item(&self, name: &str) -> String {
        let item = self.radicale.read_item(ALICE, WORK, name).unwrap();
        item.unwrap_or_else(|| panic!("{name} is not at the server"))
    }

    /// Every object at the server.
    pub(crate) fn items(&self) -> Vec<(String, String)> {
        self.radicale.items(ALICE, WORK).unwrap().into_iter().collect()
    }

    /// The only object at the server that has this line.
    pub(crate) fn with_line(&self, line: &str) -> Option<(String, String)> {
        let wanted = format!("{line}\r\n");
        let mut found: Vec<_> = self
            .items()
            .into_iter()
            .filter(|(_, ics)| ics.contains(&wanted))
            .collect();
        assert!(found.len() <= 1, "{line} is there more than once: {found:#?}");
        found.pop()
    }

    /// Writes an object as another client would.
    pub(crate) async fn put(&self, name: &str, ics: &str) {
        self.radicale.put(ALICE, WORK, name, ics, None).await.unwrap();
    }

    /// Replaces text in an object, as another client would; only what is there can be replaced.
    pub(crate) async fn edit(&self, name: &str, from: &str, to: &str) {
        let before = self.item(name);
        assert!(before.contains(from), "{from} is not in {before}");
        self.put(name, &before.replace(from, to)).await;
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.radicale.delete(ALICE, WORK, name).await.unwrap();
    }

    /// Requests of the hub that changed something, since the last `forget`.
    pub(crate) fn writes(&self) -> usize {
        self.proxy.writes().len()
    }
}

/// Says what the server said last when a test fails.
impl Drop for Dav {
    #[expect(clippy::print_stderr, reason = "the runner shows it with the failed test")]
    fn drop(&mut self) {
        const SHOWN: usize = 40;
        if std::thread::panicking() {
            let lines = self.radicale.log();
            for line in &lines[lines.len().saturating_sub(SHOWN)..] {
                eprintln!("radicale: {line}");
            }
        }
    }
}

/// A simulated Google with one account whose calendar is in Berlin.
pub(crate) async fn google() -> GoogleCalendarServer {
    let config = Config::new(Clock::new(|| SystemClock.now()))
        .account(AccountConfig::new(ADA).access_token(TOKEN))
        .calendar(
            CalendarConfig::new(ADA, ADA)
                .summary("Ada")
                .time_zone("Europe/Berlin"),
        );
    GoogleCalendar::start(config).await.unwrap()
}

/// The body that connects to it.
pub(crate) fn google_connection(google: &GoogleCalendarServer) -> Value {
    json!({
        "provider": "google",
        "config": {"base_url": google.api_url(), "token_url": google.token_url()},
        "credentials": {"access_token": TOKEN},
    })
}

/// A hub between Radicale and Google.
pub(crate) struct Scene {
    pub(crate) hub: Hub,
    pub(crate) dav: Dav,
    pub(crate) google: GoogleCalendarServer,
    pub(crate) at_dav: Connected,
    pub(crate) at_google: Connected,
}

/// Where the counting at both servers began.
pub(crate) struct Counting {
    google: Mark,
}

impl Scene {
    /// Both connected, their calendars mirrored both ways, everything settled.
    pub(crate) async fn mirrored(hub: Hub, dav: Dav, google: GoogleCalendarServer) -> Self {
        let at_dav = hub.connect(dav.connection()).await;
        let at_google = hub.connect(google_connection(&google)).await;
        let scene = Self {
            hub,
            dav,
            google,
            at_dav,
            at_google,
        };
        let members = json!([
            {"collection_id": scene.at_dav.calendar, "role": "both"},
            {"collection_id": scene.at_google.calendar, "role": "both"},
        ]);
        let body = json!({"name": "Both", "members": members});
        let made = scene.hub.post("/v1/mirrors", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        scene.hub.settle().await;
        scene
    }

    /// Syncs both connections and waits until nothing is left to do.
    pub(crate) async fn round(&self) {
        self.hub.synced(&self.at_dav.id).await;
        self.hub.synced(&self.at_google.id).await;
        self.hub.settle().await;
    }

    /// Begins to count writes at both servers.
    pub(crate) fn count(&self) -> Counting {
        self.dav.proxy.forget();
        Counting {
            google: self.google.log().mark(),
        }
    }

    /// The hub's writes since then, at Radicale and at Google.
    pub(crate) fn writes(&self, since: &Counting) -> (usize, usize) {
        let at_google = self.google.log().writes_since(since.google);
        (self.dav.writes(), at_google.len())
    }

    /// Asserts what each side was written since then, and says what the writes were if not.
    pub(crate) fn assert_writes(&self, since: &Counting, wanted: (usize, usize), why: &str) {
        assert_eq!(
            self.writes(since),
            wanted,
            "{why}; Radicale was sent {:#?}, Google {:#?}",
            self.dav.proxy.writes(),
            self.google.log().writes_since(since.google)
        );
    }

    /// The living event at Google with this title.
    pub(crate) fn google_event(&self, title: &str) -> Option<Value> {
        let mut found = self.google.calendar(ADA).living_events();
        found.retain(|event| event["summary"] == title);
        assert!(found.len() <= 1, "{title} is there more than once: {found:#?}");
        found.pop()
    }
}

/// Radicale cannot serve an object whose zones are not defined in it.
const BERLIN: &str = "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:DAYLIGHT\r\nDTSTART:19810329T020000\r\n\
    RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nEND:DAYLIGHT\r\n\
    BEGIN:STANDARD\r\nDTSTART:19961027T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n\
    TZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n";

/// A calendar object with one VEVENT of these lines; on 2026-03-02 from 09:00 to 10:00 in UTC unless they say when.
pub(crate) fn ics(uid: &str, lines: &[&str]) -> String {
    let zoned = lines.iter().any(|line| line.contains("TZID=Europe/Berlin"));
    let zone = if zoned { BERLIN } else { "" };
    let mut text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Concord//test//EN\r\n{zone}BEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20260101T000000Z\r\n"
    );
    if !lines.iter().any(|line| line.starts_with("DTSTART")) {
        text += "DTSTART:20260302T090000Z\r\nDTEND:20260302T100000Z\r\n";
    }
    for line in lines {
        text += line;
        text += "\r\n";
    }
    text + "END:VEVENT\r\nEND:VCALENDAR\r\n"
}

/// An event at Google on 2026-03-02 from 09:00 to 10:00 in Berlin.
pub(crate) fn google_body(title: &str) -> Value {
    json!({
        "summary": title,
        "start": {"dateTime": "2026-03-02T09:00:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-02T10:00:00", "timeZone": "Europe/Berlin"},
    })
}

/// The object with that property (and its parameters) in its event, or in its series rather than an occurrence, in
/// place of what was there.
pub(crate) fn with_property(ics: &str, name: &str, value: &str) -> String {
    let unfolded = ics.replace("\r\n ", "").replace("\r\n\t", "");
    let mut text = String::new();
    let mut event: Vec<&str> = Vec::new();
    let mut depth = 0;
    for line in unfolded.split("\r\n").filter(|line| !line.is_empty()) {
        let opens = line.starts_with("BEGIN:");
        if line == "BEGIN:VEVENT" {
            depth = 1;
            continue;
        }
        if depth == 0 {
            text += &format!("{line}\r\n");
            continue;
        }
        depth += i32::from(opens) - i32::from(line.starts_with("END:"));
        if depth > 0 {
            event.push(line);
            continue;
        }
        text += &rewritten(&event, name, value);
        event.clear();
    }
    text
}

fn rewritten(event: &[&str], name: &str, value: &str) -> String {
    let mut text = String::from("BEGIN:VEVENT\r\n");
    let occurrence = event.iter().any(|line| line.starts_with("RECURRENCE-ID"));
    if !occurrence {
        text += &format!("{name}:{value}\r\n");
    }
    let name = name.split(';').next();
    let mut depth = 0;
    for line in event {
        depth += i32::from(line.starts_with("BEGIN:"));
        let named = line.split([':', ';']).next() == name;
        if occurrence || depth > 0 || !named {
            text += &format!("{line}\r\n");
        }
        depth -= i32::from(line.starts_with("END:"));
    }
    text + "END:VEVENT\r\n"
}
