//! How long a page takes. A measurement, not a test of behaviour: run by name,
//! `cargo test --release -p store --test speed -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

mod place;

use std::sync::Arc;
use std::time::{Duration, Instant};

use connector_sdk::{Credentials, RemoteId, SystemClock};
use model::{CollectionId, ConnectionId, FieldPath, JobId, LinkId, PartKey};
use serde_json::json;
use store::SqliteStore;
use sync::history::{Cause, HistoryAction, HistoryDetail, HistoryEntry, Place, Via};
use sync::ports::{Effect, Store};
use sync::state::{FeedAction, Link, Origin, Record};
use testkit::store_suite::world::{self, World};

const PAGE: usize = 400;
const PAGES: usize = 13;

struct Timed(Vec<Duration>);

impl Timed {
    fn shown(mut self) -> (Duration, Duration) {
        self.0.sort();
        (self.0[self.0.len() / 2], self.0[self.0.len() - 1])
    }
}

/// An event as a calendar server sends it: about a kilobyte.
fn arrival(world: &World, page: usize, number: usize) -> (Record, Link, Vec<Effect>) {
    let (mut record, mut link, mut effects) =
        world.arrival("Weekly planning", &format!("/work/{page}-{number}.ics"));
    let text = "Agenda, minutes and what is left over from last week. ".repeat(6);
    record
        .content
        .set(&FieldPath::master("description"), Some(json!({"text": text})));
    link.snapshots.remote = record.content.clone();
    link.snapshots.hub = record.content.clone();
    effects.push(Effect::History(Box::new(told(&record, HistoryAction::Created))));
    effects[0] = Effect::CreateRecord(Box::new(record.clone()));
    effects[1] = Effect::CreateLink(Box::new(link.clone()));
    effects[2] = Effect::PutRaw {
        link: link.id.clone(),
        part: PartKey::MASTER,
        raw: format!(
            "BEGIN:VCALENDAR\r\n{}\r\nDESCRIPTION:{text}\r\nX-SEQ:{number}",
            "X-PAD:abcdefghij\r\n".repeat(30)
        )
        .into(),
    };
    (record, link, effects)
}

/// What the engine tells of a record that a pull brings.
fn told(record: &Record, action: HistoryAction) -> HistoryEntry {
    let (link, connection) = (LinkId::new(1, 1), ConnectionId::new(1, 1));
    HistoryEntry {
        organization: record.organization.clone(),
        record: record.id.clone(),
        version: record.version,
        action,
        path: None,
        detail: HistoryDetail {
            place: Some(Place {
                link: link.clone(),
                connection,
                collection: CollectionId::new(1, 1),
            }),
            cause: Cause {
                via: Some(Via::Pull),
                ..Cause::job(JobId::new(1, 1))
            },
            ..HistoryDetail::by(Origin::Link(link))
        },
        at: world::START_MS,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn a_page_of_new_records_and_what_is_known() {
    let place = place::Place::new();
    let store = SqliteStore::open(&place.url(), place.key(), Arc::new(SystemClock))
        .await
        .unwrap();
    let organization = model::OrganizationId::new(1, 1);
    let connection = world::connection(&organization);
    store
        .insert_connection(&connection, &Credentials::default(), &Origin::Hub)
        .await
        .unwrap();
    let work = world::collection(&connection, "/work/");
    let world = World {
        organization,
        home: work.clone(),
        work,
        connection,
    };
    let org = &world.organization;
    store
        .commit(
            org,
            None,
            vec![Effect::PutCollection(Box::new(world.work.clone()))],
        )
        .await
        .unwrap();
    let mut pages = Timed(Vec::new());
    let mut last = Vec::new();
    for page in 0..PAGES {
        last = (0..PAGE).map(|number| arrival(&world, page, number)).collect();
        let effects = last.iter().flat_map(|(_, _, effects)| effects.clone()).collect();
        let begun = Instant::now();
        store.commit(org, None, effects).await.unwrap();
        pages.0.push(begun.elapsed());
    }
    let (mut known, mut linked) = (Timed(Vec::new()), Timed(Vec::new()));
    for _ in 0..9 {
        let begun = Instant::now();
        assert_eq!(
            store.known(org, &world.work.id).await.unwrap().len(),
            PAGE * PAGES
        );
        known.0.push(begun.elapsed());
        let ids: Vec<RemoteId> = (0..PAGE)
            .map(|number| RemoteId(format!("/work/3-{number}.ics")))
            .collect();
        let begun = Instant::now();
        assert_eq!(store.linked(org, &world.work.id, &ids).await.unwrap().len(), PAGE);
        linked.0.push(begun.elapsed());
    }
    let updates = last
        .into_iter()
        .flat_map(|(record, link, effects)| {
            let record = Record { version: 2, ..record };
            let entry = world::entry(&record, FeedAction::Updated);
            let told = HistoryEntry {
                path: Some("title".to_owned()),
                ..told(&record, HistoryAction::Updated)
            };
            [
                Effect::History(Box::new(told)),
                Effect::UpdateRecord(Box::new(record)),
                Effect::UpdateLink(Box::new(Link { revision: 2, ..link })),
                effects[2].clone(),
                Effect::Feed(entry),
            ]
        })
        .collect();
    let begun = Instant::now();
    store.commit(org, None, updates).await.unwrap();
    let updates = begun.elapsed();
    println!("median and worst:");
    println!("a page of {PAGE} new records: {:?}", pages.shown());
    println!("known of {}: {:?}", PAGE * PAGES, known.shown());
    println!("linked of {PAGE}: {:?}", linked.shown());
    println!("a page of {PAGE} changed records: {updates:?}");
}
