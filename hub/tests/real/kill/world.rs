//! Both servers, the hub between them, and a ledger of what everybody did.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};
use simulators::google_calendar::GoogleCalendarServer;
use testkit::corpus::semantics;

use crate::hub::{Client, Hub, path_of};
use crate::scene::{ADA, ALICE, Dav, WORK, google, google_body, google_connection, ics, with_property};

/// The fields that are edited: as the hub, Google and iCalendar call them.
pub(super) const FIELDS: [(&str, &str, &str); 3] = [
    ("title", "summary", "SUMMARY"),
    ("location", "location", "LOCATION"),
    ("description", "description", "DESCRIPTION"),
];
/// Every so many events one is a series of five weeks.
const SERIES_EVERY: usize = 5;
const MAX_TRIES: usize = 5;

/// What somebody did.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// Set a field (by its place in [`FIELDS`]). `over` is the value that this editor saw and replaced knowingly.
    Edit {
        uid: String,
        field: usize,
        value: String,
        over: Option<String>,
        certain: bool,
    },
    /// Made an event of this title.
    Create { title: String, certain: bool },
    /// Deleted an event; always certain, or tried again.
    Delete { uid: String },
    /// Deleted the occurrence of this day.
    Cancel { uid: String, day: String },
}

/// What is to be done through the API.
pub(super) enum Plan {
    Edit {
        event: Value,
        field: usize,
        value: String,
    },
    Create {
        calendar: String,
        title: String,
    },
    Delete {
        event: Value,
    },
    Cancel {
        event: Value,
        day: String,
    },
}

pub(super) struct World {
    pub(super) hub: Hub,
    pub(super) dav: Dav,
    pub(super) google: GoogleCalendarServer,
    pub(super) connections: [String; 2],
    pub(super) ledger: Vec<Deed>,
    calendars: [String; 2],
    /// Fields of events that nobody has edited yet.
    fresh: Vec<(String, usize)>,
    /// Events that nobody edits, to be deleted.
    doomed: Vec<String>,
    /// Events at Google from the start, by UID.
    google_ids: BTreeMap<String, String>,
    http: reqwest::Client,
}

impl World {
    /// `count` events on each side and as many to be deleted; a mirror between them that has only begun its work.
    pub(super) async fn begin(count: usize) -> Self {
        let lines = |title: &str, number: usize| {
            let mut lines = vec![format!("SUMMARY:{title}")];
            if number.is_multiple_of(SERIES_EVERY) {
                lines.push("RRULE:FREQ=WEEKLY;COUNT=5".to_owned());
            }
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            ics(title, &lines)
        };
        let kept = (0..count).map(|number| (format!("radicale-{number}"), number));
        let doomed = (0..count).map(|number| (format!("doomed-{number}"), 1));
        let items = kept.chain(doomed);
        let dav = Dav::with(items.map(|(uid, number)| (format!("{uid}.ics"), lines(&uid, number)))).await;
        let google = google().await;
        let mut google_ids = BTreeMap::new();
        for number in 0..count {
            let mut body = google_body(&format!("google-{number}"));
            if number.is_multiple_of(SERIES_EVERY) {
                body["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=5"]);
            }
            let made = google.calendar(ADA).insert(body).unwrap();
            let text = |name: &str| made[name].as_str().unwrap().to_owned();
            google_ids.insert(text("iCalUID"), text("id"));
        }
        let from_radicale = (0..count).map(|number| format!("radicale-{number}"));
        let uids = from_radicale.chain(google_ids.keys().cloned());
        let fresh = uids.flat_map(|uid| (0..FIELDS.len()).map(move |field| (uid.clone(), field)));
        let hub = Hub::start().await;
        let (connections, calendars) = connect(&hub, &dav, &google).await;
        Self {
            fresh: fresh.collect(),
            doomed: (0..count).map(|number| format!("doomed-{number}")).collect(),
            hub,
            dav,
            google,
            connections,
            calendars,
            google_ids,
            ledger: Vec::new(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// How many requests both servers have seen from the hub.
    pub(super) fn requests(&self) -> usize {
        self.dav.proxy.seen().len() + self.google.log().entries().len()
    }

    /// Restarted for the last time, it does what is left.
    pub(super) async fn leave_alone(&self) {
        for _ in 0..2 {
            for connection in &self.connections {
                self.hub.synced(connection).await;
            }
            self.hub.settle().await;
        }
    }

    fn take_fresh(&mut self, rng: &mut StdRng) -> (String, usize) {
        assert!(!self.fresh.is_empty(), "more events are needed for so many kills");
        let at = rng.random_range(0..self.fresh.len());
        self.fresh.swap_remove(at)
    }

    /// What other clients do at both servers, while the hub does whatever it does.
    pub(super) async fn edit_at_the_servers(&mut self, rng: &mut StdRng, round: usize) {
        for _ in 0..2 {
            let (uid, field) = self.take_fresh(rng);
            let value = format!("{} of {round} at its server", FIELDS[field].0);
            self.edit_at_home(&uid, field, &value).await;
        }
        match round % 4 {
            0 => {
                let title = format!("new-{round}");
                self.dav
                    .put(
                        &format!("{title}.ics"),
                        &ics(&title, &[&format!("SUMMARY:{title}")]),
                    )
                    .await;
                self.ledger.push(Deed::Create { title, certain: true });
            }
            1 => {
                let title = format!("new-{round}");
                self.google.calendar(ADA).insert(google_body(&title)).unwrap();
                self.ledger.push(Deed::Create { title, certain: true });
            }
            2 => {
                if let Some(uid) = self.doomed.pop() {
                    self.dav.delete(&format!("{uid}.ics")).await;
                    self.ledger.push(Deed::Delete { uid });
                }
            }
            _ => {}
        }
    }

    /// Edits an event at the server that it came from.
    async fn edit_at_home(&mut self, uid: &str, field: usize, value: &str) {
        if let Some(id) = self.google_ids.get(uid) {
            let calendar = self.google.calendar(ADA);
            calendar.patch(id, json!({ FIELDS[field].1: value })).unwrap();
            self.ledger.push(edit(uid, field, value, None));
        } else {
            self.edit_at_radicale(&format!("{uid}.ics"), uid, field, value)
                .await;
        }
    }

    /// Edits as a careful client does: only what it has seen, again when somebody was faster.
    async fn edit_at_radicale(&mut self, name: &str, uid: &str, field: usize, value: &str) {
        let url = self
            .dav
            .radicale
            .collection_url(ALICE, WORK)
            .unwrap()
            .join(name)
            .unwrap();
        let password = &self.dav.radicale.credentials.password;
        let property = FIELDS[field].2;
        for _ in 0..MAX_TRIES {
            let answer = self
                .http
                .get(url.clone())
                .basic_auth(ALICE, Some(password))
                .send()
                .await
                .unwrap();
            let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
            let before = answer.text().await.unwrap();
            let over = master_value(&before, property);
            let after = with_property(&before, property, value);
            if self
                .dav
                .radicale
                .put(ALICE, WORK, name, &after, Some(&etag))
                .await
                .is_ok()
            {
                self.ledger.push(edit(uid, field, value, over));
                return;
            }
        }
        panic!("{name} changes faster than anybody can edit it");
    }

    /// What is to be done through the API: some of it clashes with what was done at the servers just now.
    pub(super) async fn choose_edits_here(&mut self, rng: &mut StdRng, round: usize) -> Vec<Plan> {
        let mut plans = Vec::new();
        let known = self.hub.events().await;
        let find = |uid: &str| known.iter().find(|event| event["uid"] == uid).cloned();
        for number in 0..2 {
            let (uid, field) = self.take_fresh(rng);
            let Some(event) = find(&uid) else {
                // Not taken in yet: its field stays free for later.
                self.fresh.push((uid, field));
                continue;
            };
            if number == 1 {
                let value = format!("{} of {round} at its server against the hub", FIELDS[field].0);
                self.edit_at_home(&uid, field, &value).await;
            }
            let value = format!("{} of {round} through the API {number}", FIELDS[field].0);
            plans.push(Plan::Edit { event, field, value });
        }
        match round % 4 {
            0 => plans.extend(
                self.doomed
                    .pop()
                    .map(|uid| (find(&uid), uid))
                    .and_then(|(event, uid)| {
                        if event.is_none() {
                            self.doomed.push(uid);
                        }
                        event.map(|event| Plan::Delete { event })
                    }),
            ),
            1 | 3 => {
                let calendar = self.calendars[round % 4 / 2].clone();
                plans.push(Plan::Create {
                    calendar,
                    title: format!("made-{round}"),
                });
            }
            _ => {
                let number = SERIES_EVERY * (round / 20);
                let day = format!("2026-03-{:02}", 2 + 7 * (1 + round / 4 % 4));
                let event = find(&format!("radicale-{number}"));
                plans.extend(event.map(|event| Plan::Cancel { event, day }));
            }
        }
        plans
    }
}

async fn connect(hub: &Hub, dav: &Dav, google: &GoogleCalendarServer) -> ([String; 2], [String; 2]) {
    let mut connections = Vec::new();
    let mut calendars = Vec::new();
    for body in [dav.connection(), google_connection(google)] {
        let made = hub.post("/v1/connections", body).await.data();
        connections.push(made["id"].as_str().unwrap().to_owned());
        calendars.push(made["collections"][0]["id"].as_str().unwrap().to_owned());
    }
    let members: Vec<Value> = calendars
        .iter()
        .map(|id| json!({"collection_id": id, "role": "both"}))
        .collect();
    let mirror = json!({"name": "Both", "members": members});
    assert_eq!(hub.post("/v1/mirrors", mirror).await.status, 201);
    (connections.try_into().unwrap(), calendars.try_into().unwrap())
}

fn edit(uid: &str, field: usize, value: &str, over: Option<String>) -> Deed {
    Deed::Edit {
        uid: uid.to_owned(),
        field,
        value: value.to_owned(),
        over,
        certain: true,
    }
}

/// A property of the event or series in an object.
pub(super) fn master_value(ics: &str, property: &str) -> Option<String> {
    let calendar = semantics::parse(ics).unwrap();
    let masters = calendar.all("VEVENT");
    let mut masters = masters.filter(|event| event.property("RECURRENCE-ID").is_none());
    masters.next().unwrap().value(property).map(str::to_owned)
}

/// A field of an event in the hub as text.
pub(super) fn field_of(event: &Value, field: usize) -> Option<String> {
    let value = &event[FIELDS[field].0];
    let text = value.get("text").unwrap_or(value);
    text.as_str().map(str::to_owned)
}

/// Does what was planned, until the hub dies. Says what was done and whether the hub has confirmed it.
pub(super) async fn edit_here(client: &Client, plans: Vec<Plan>) -> Vec<Deed> {
    let mut made = Vec::new();
    for plan in plans {
        match plan {
            Plan::Edit { event, field, value } => made.extend(edit_event(client, &event, field, value).await),
            Plan::Create { calendar, title } => {
                let body = json!({
                    "calendar_id": calendar,
                    "title": title,
                    "start": {"kind": "zoned", "wall": "2026-03-03T14:00:00", "zone": "Europe/Berlin"},
                    "end": {"kind": "zoned", "wall": "2026-03-03T15:00:00", "zone": "Europe/Berlin"},
                });
                let answer = client.try_send(Method::POST, "/v1/events", Some(body)).await;
                assert!(
                    answer.as_ref().map_or(true, |answer| answer.status == 201),
                    "{answer:?}"
                );
                made.push(Deed::Create {
                    title,
                    certain: answer.is_ok(),
                });
            }
            Plan::Delete { event } => {
                let answer = client.try_send(Method::DELETE, &path_of(&event), None).await;
                let uid = event["uid"].as_str().unwrap().to_owned();
                // One that was not confirmed may or may not have come to pass.
                let confirmed = answer.ok().filter(|answer| answer.status == 204);
                made.extend(confirmed.map(|_| Deed::Delete { uid }));
            }
            Plan::Cancel { event, day } => {
                let time = event["start"]["wall"].as_str().unwrap()[10..].to_owned();
                let path = format!("{}/occurrences/{day}{time}", path_of(&event));
                let answer = client.try_send(Method::DELETE, &path, None).await;
                let uid = event["uid"].as_str().unwrap().to_owned();
                let confirmed = answer.ok().filter(|answer| answer.status == 204);
                made.extend(confirmed.map(|_| Deed::Cancel { uid, day }));
            }
        }
    }
    made
}

/// Edits only what it has seen, as a careful client does.
async fn edit_event(client: &Client, event: &Value, field: usize, value: String) -> Option<Deed> {
    let path = path_of(event);
    let seen = client.try_send(Method::GET, &path, None).await.ok()?.data();
    let content = match FIELDS[field].0 {
        "description" => json!({ "text": value }),
        _ => json!(value),
    };
    let request = client
        .request(Method::PATCH, &path)
        .header("if-match", format!("\"{}\"", seen["version"]))
        .json(&json!({ FIELDS[field].0: content }));
    let answer = Client::answer(request).await;
    if let Ok(answer) = &answer
        && answer.status != 200
    {
        // Somebody was faster.
        assert_eq!(answer.status, 412, "{}", answer.text);
        return None;
    }
    Some(Deed::Edit {
        uid: event["uid"].as_str().unwrap().to_owned(),
        field,
        value,
        over: field_of(&seen, field),
        certain: answer.is_ok(),
    })
}

/// Asks for syncs of a hub that may die meanwhile.
pub(super) async fn ask_for_syncs(client: &Client, connections: &[String]) {
    for connection in connections {
        let path = format!("/v1/connections/{connection}/sync");
        // No answer is an answer here: it is being killed.
        let _ = client.try_send(Method::POST, &path, Some(json!({}))).await;
    }
}
