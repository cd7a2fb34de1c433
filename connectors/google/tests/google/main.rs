//! The connector against Google's stand-in: what is Google's own and not of the contract in general.

#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod auth;
mod reading;
mod trouble;
mod writing;

use connector_google::connector;
use connector_sdk::{
    Action, Applied, Change, Context, Cursor, Error, Known, Page, Pull as _, PullRequest, Push as _,
    RemoteCollection, RemoteId, RemoteObject, SeriesPart, Target, Write,
};
use futures::StreamExt as _;
use model::{Content, EventTime, FieldPath, IntentId, Kind, PartKey};
use serde_json::{Value, json};
use simulators::google_calendar::{
    AccountConfig, CalendarConfig, CalendarHandle, Config, GoogleCalendar, GoogleCalendarServer, ManualClock,
};
use testkit::conformance::context;

const ADA: &str = "ada@example.org";
const TOKEN: &str = "ya29.ada";
const ZONE: &str = "Europe/Berlin";

/// Google's stand-in and a connection to it.
struct World {
    google: GoogleCalendarServer,
    ctx: Context,
}

async fn world() -> World {
    world_with(|config| config).await
}

async fn world_with(change: impl FnOnce(Config) -> Config) -> World {
    let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
    let account = AccountConfig::new(ADA)
        .access_token(TOKEN)
        .refresh_token("1//refresh");
    let calendar = CalendarConfig::new(ADA, ADA).summary("Ada").time_zone(ZONE);
    let config = Config::new(clock.clock()).account(account).calendar(calendar);
    let google = GoogleCalendar::start(change(config)).await.unwrap();
    let ctx = context(&google.api_url(), &json!({"access_token": TOKEN}), &json!({})).unwrap();
    World { google, ctx }
}

impl World {
    /// Ada's calendar, as another client sees it.
    fn calendar(&self) -> CalendarHandle {
        self.google.calendar(ADA)
    }

    /// Another client's event, half an hour long.
    fn put(&self, summary: &str) -> String {
        self.put_json(json!({"summary": summary}))
    }

    /// Another client's weekly series.
    fn put_series(&self, summary: &str) -> String {
        self.put_json(json!({"summary": summary, "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=6"]}))
    }

    fn put_json(&self, more: Value) -> String {
        let mut event = json!({
            "start": {"dateTime": "2026-03-02T09:00:00", "timeZone": ZONE},
            "end": {"dateTime": "2026-03-02T09:30:00", "timeZone": ZONE},
        });
        event
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let event = self.calendar().insert(event).unwrap();
        event["id"].as_str().unwrap().to_owned()
    }

    async fn collection(&self) -> RemoteCollection {
        let listed = connector().collections(&self.ctx).await.unwrap();
        listed
            .into_iter()
            .find(|collection| collection.id.0 == ADA)
            .unwrap()
    }

    /// Pulls to the end: the pages, and the error that ended it.
    async fn pull(&self, cursor: Option<&Cursor>) -> (Vec<Page>, Option<Error>) {
        let (collection, known) = (fixed_collection(), Known::new());
        let request = PullRequest {
            collection: &collection,
            cursor,
            known: &known,
        };
        let connector = connector();
        let mut pages = Vec::new();
        let mut stream = connector.pages(&self.ctx, request);
        while let Some(page) = stream.next().await {
            match page {
                Ok(page) => pages.push(page),
                Err(error) => return (pages, Some(error)),
            }
        }
        (pages, None)
    }

    /// All changes of a pull that ends well, and its cursor.
    async fn changes(&self, cursor: Option<&Cursor>) -> (Vec<Change>, Cursor) {
        let (pages, error) = self.pull(cursor).await;
        assert!(error.is_none(), "{error:?}");
        let cursor = pages.last().unwrap().cursor.clone().unwrap();
        (pages.into_iter().flat_map(|page| page.changes).collect(), cursor)
    }

    async fn fetch(&self, id: &str) -> RemoteObject {
        let ids = [RemoteId(id.to_owned())];
        let fetched = connector()
            .fetch(&self.ctx, &fixed_collection(), &ids)
            .await
            .unwrap();
        match fetched.into_iter().next().unwrap() {
            Change::Present(object) => *object,
            other => panic!("{other:?}"),
        }
    }

    async fn apply(&self, write: Write) -> Result<Applied, Error> {
        let outcomes = connector().apply(&self.ctx, &fixed_collection(), &[write]).await;
        outcomes.into_iter().next().unwrap()
    }

    async fn store(&self, write: Write) -> RemoteObject {
        match self.apply(write).await.unwrap() {
            Applied::Stored(object) => *object,
            Applied::Gone => panic!("it is gone"),
        }
    }
}

fn fixed_collection() -> RemoteCollection {
    RemoteCollection {
        id: RemoteId(ADA.to_owned()),
        kind: Kind::Event,
        name: "Ada".to_owned(),
        access: connector_sdk::Access::ReadWrite,
        fields: [("zone".to_owned(), json!(ZONE))].into(),
    }
}

fn write(part: PartKey, action: Action) -> Write {
    Write {
        intent: IntentId::new(1, 1),
        kind: Kind::Event,
        part,
        action,
    }
}

fn create(content: Content) -> Write {
    write(PartKey::MASTER, Action::Create { content })
}

fn update(target: Target, part: PartKey, content: Content, fields: &[&str]) -> Write {
    let changed = fields
        .iter()
        .map(|field| FieldPath {
            part: part.clone(),
            field: (*field).to_owned(),
        })
        .collect();
    let action = Action::Update {
        target,
        content,
        changed,
    };
    write(part, action)
}

fn target(object: &RemoteObject) -> Target {
    Target {
        id: Some(object.id.clone()),
        version: object.version.clone(),
        raw: Some(object.raw.clone()),
        series: object.series.clone(),
    }
}

/// An occurrence without an object of its own.
fn implied(series: &str, wall: &str) -> Target {
    Target {
        id: None,
        version: None,
        raw: None,
        series: Some(SeriesPart {
            series: RemoteId(series.to_owned()),
            original_start: EventTime::zoned(wall.parse().unwrap(), ZONE).unwrap(),
        }),
    }
}
