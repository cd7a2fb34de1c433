//! The provider as tests use it: both layouts of series, versions, tombstones, cursors, trouble.

#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::sync::Arc;

use async_trait::async_trait;
use connector_memory::{Fault, MemoryConnector, MemoryProvider, Operation, Options, connector};
use connector_sdk::{
    Action, Applied, Change, Connector as _, Context, Credentials, Cursor, Error, ErrorKind, HttpRequest,
    HttpResponse, HttpTransport, Known, Listing, Page, Pull as _, PullRequest, Push as _, RemoteCollection,
    RemoteId, RemoteObject, SeriesModel, SeriesPart, SystemClock, Target, Write,
};
use futures::StreamExt as _;
use model::{Content, FieldPath, IntentId, Kind, PartKey, series};
use serde_json::json;

/// The provider is in the process: nothing may go over the network.
struct NoNetwork;

#[async_trait]
impl HttpTransport for NoNetwork {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        panic!("{request:?}")
    }
}

fn context() -> Context {
    Context {
        http: Arc::new(NoNetwork),
        dial: Arc::new(connector_sdk::NoDial),
        base_url: "memory://provider/".parse().unwrap(),
        credentials: Arc::new(Credentials::default()),
        config: Arc::default(),
        clock: Arc::new(SystemClock),
        cancel: tokio_util::sync::CancellationToken::new(),
    }
}

fn standup() -> Content {
    let moved = json!({"title": "Long standup"});
    serde_json::from_value(json!({
        "fields": {
            "title": "Standup",
            "start": {"kind": "zoned", "wall": "2026-01-05T09:00:00", "zone": "Europe/Berlin"},
            "end": {"kind": "zoned", "wall": "2026-01-05T09:15:00", "zone": "Europe/Berlin"},
            "recurrence": {"rules": ["FREQ=WEEKLY"], "dates": []},
        },
        "overrides": {"2026-01-12T09:00:00": moved, "2026-01-19T09:00:00": {"status": "cancelled"}},
    }))
    .unwrap()
}

fn titled(title: &str) -> Content {
    serde_json::from_value(json!({"fields": {"title": title}})).unwrap()
}

fn subject(options: Options) -> (MemoryProvider, MemoryConnector, RemoteCollection) {
    let provider = MemoryProvider::new(options);
    let collection = provider.add_collection("work", "Work");
    (provider.clone(), connector(provider), collection)
}

async fn pull(
    connector: &MemoryConnector,
    collection: &RemoteCollection,
    cursor: Option<&Cursor>,
) -> (Vec<Page>, Option<ErrorKind>) {
    let (ctx, known) = (context(), Known::new());
    let request = PullRequest {
        collection,
        cursor,
        known: &known,
    };
    let mut pages = Vec::new();
    let mut stream = connector.pages(&ctx, request);
    while let Some(page) = stream.next().await {
        match page {
            Ok(page) => pages.push(page),
            Err(error) => {
                assert!(stream.next().await.is_none(), "an error ends the stream");
                return (pages, Some(error.kind));
            }
        }
    }
    (pages, None)
}

fn intent(n: u128) -> IntentId {
    IntentId::new(1, n)
}

fn write(part: PartKey, action: Action) -> Write {
    Write {
        intent: intent(7),
        kind: Kind::Event,
        part,
        action,
    }
}

async fn apply(
    connector: &MemoryConnector,
    collection: &RemoteCollection,
    write: Write,
) -> Result<Applied, Error> {
    connector
        .apply(&context(), collection, &[write])
        .await
        .pop()
        .unwrap()
}

fn object(outcome: Result<Applied, Error>) -> RemoteObject {
    match outcome.unwrap() {
        Applied::Stored(object) => *object,
        Applied::Gone => panic!("the object is gone"),
    }
}

fn target(object: &RemoteObject) -> Target {
    Target {
        id: Some(object.id.clone()),
        version: object.version.clone(),
        raw: Some(object.raw.clone()),
        series: object.series.clone(),
    }
}

fn part(id: &RemoteId, key: &str) -> Target {
    let start = series::time_field(&standup().fields, "start").unwrap();
    Target {
        id: None,
        version: None,
        raw: None,
        series: Some(SeriesPart {
            series: id.clone(),
            original_start: model::EventTime::from_part_key(&PartKey::occurrence(key), &start).unwrap(),
        }),
    }
}

#[tokio::test]
async fn a_series_is_one_object_or_one_per_part() {
    let (provider, whole, collection) = subject(Options::WHOLE);
    provider.put("work", "s", standup());
    let (pages, _) = pull(&whole, &collection, None).await;
    let [Change::Present(only)] = &pages[0].changes[..] else {
        panic!("{pages:?}")
    };
    assert_eq!(only.content, standup());

    let (provider, parts, collection) = subject(Options::PER_PART);
    provider.put("work", "s", standup());
    let (pages, _) = pull(&parts, &collection, None).await;
    let seen: Vec<_> = pages[0]
        .changes
        .iter()
        .map(|change| match change {
            Change::Present(object) => (
                object.id.0.as_str(),
                object.series.is_some(),
                object.content.fields.get("title").cloned(),
                object.content.fields.get("status").cloned(),
            ),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("s", false, Some(json!("Standup")), None),
            ("s_20260112T090000", true, Some(json!("Long standup")), None),
            ("s_20260119T090000", true, None, Some(json!("cancelled"))),
        ]
    );
    assert_eq!(provider.content("work", "s").unwrap(), standup());
}

#[tokio::test]
async fn pages_end_with_a_cursor_and_a_delta_names_only_what_changed_since() {
    let (provider, connector, collection) = subject(Options {
        page_size: 2,
        ..Options::WHOLE
    });
    for id in ["a", "b", "c"] {
        provider.put("work", id, titled(id));
    }
    let (pages, _) = pull(&connector, &collection, None).await;
    let listings: Vec<_> = pages
        .iter()
        .map(|page| (page.listing, page.cursor.is_some()))
        .collect();
    assert_eq!(listings, [(Listing::Partial, false), (Listing::Complete, true)]);

    provider.delete("work", "b");
    provider.set("work", "c", titled("new").fields);
    let (pages, _) = pull(&connector, &collection, pages[1].cursor.as_ref()).await;
    assert!(
        matches!(&pages[0].changes[..], [Change::Deleted(b), Change::Present(c)] if b.0 == "b" && c.id.0 == "c")
    );
    assert_eq!(pages[0].listing, Listing::Delta);

    provider.expire_cursors();
    let (pages, error) = pull(&connector, &collection, pages[0].cursor.as_ref()).await;
    assert_eq!((pages.len(), error), (0, Some(ErrorKind::CursorExpired)));
}

#[tokio::test]
async fn an_edit_of_the_master_changes_only_the_objects_that_now_say_something_else() {
    let (provider, connector, collection) = subject(Options::PER_PART);
    provider.put("work", "s", standup());
    let (pages, _) = pull(&connector, &collection, None).await;
    provider.set("work", "s", titled("Daily").fields);
    let (pages, _) = pull(&connector, &collection, pages[0].cursor.as_ref()).await;
    let ids: Vec<_> = pages[0]
        .changes
        .iter()
        .map(|change| change.id().0.as_str())
        .collect();
    assert_eq!(
        ids,
        ["s"],
        "the override has a title of its own, the other is cancelled"
    );
}

#[tokio::test]
async fn a_stale_write_changes_nothing() {
    let (provider, connector, collection) = subject(Options::WHOLE);
    let created = object(
        apply(
            &connector,
            &collection,
            write(PartKey::MASTER, Action::Create { content: titled("a") }),
        )
        .await,
    );
    let id = created.id.0.clone();
    provider.before_next_write(move |provider| {
        provider.set("work", &id, titled("theirs").fields);
    });
    let update = Action::Update {
        target: target(&created),
        content: titled("ours"),
        changed: [FieldPath::master("title")].into(),
    };
    let refused = apply(&connector, &collection, write(PartKey::MASTER, update))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::VersionConflict);
    let delete = Action::Delete {
        target: target(&created),
    };
    let refused = apply(&connector, &collection, write(PartKey::MASTER, delete))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::VersionConflict);
    assert_eq!(provider.content("work", &created.id.0).unwrap(), titled("theirs"));
    assert_eq!(provider.writes(), 1, "the create");
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_found_and_never_made_twice() {
    let (provider, connector, collection) = subject(Options::WHOLE);
    provider.fail(Fault::lost_answer());
    let create = write(PartKey::MASTER, Action::Create { content: titled("a") });
    let lost = apply(&connector, &collection, create.clone()).await.unwrap_err();
    assert!(lost.is_doubtful());
    let found = connector
        .probe(&context(), &collection, &create)
        .await
        .unwrap()
        .unwrap()
        .object()
        .unwrap();
    assert_eq!(found.content, titled("a"));
    let again = apply(&connector, &collection, create.clone()).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::AlreadyExists);

    provider.delete("work", &found.id.0);
    let gone = connector.probe(&context(), &collection, &create).await.unwrap();
    assert!(
        matches!(gone, Some(Applied::Gone)),
        "it was made, and is gone: {gone:?}"
    );
    let burnt = apply(&connector, &collection, create).await.unwrap_err();
    assert_eq!(
        burnt.kind,
        ErrorKind::AlreadyExists,
        "what was deleted is not revived"
    );
}

#[tokio::test]
async fn parts_of_a_series_are_written_one_by_one() {
    let (provider, connector, collection) = subject(Options::PER_PART);
    assert_eq!(connector.capability(Kind::Event).series, SeriesModel::PerPart);
    let create = write(PartKey::MASTER, Action::Create { content: standup() });
    let master = object(apply(&connector, &collection, create).await);
    let cancelled = PartKey::occurrence("2026-01-19T09:00:00");
    let edited = PartKey::occurrence("2026-01-12T09:00:00");
    assert_eq!(master.content.overrides.keys().collect::<Vec<_>>(), [&cancelled]);

    let title = FieldPath {
        part: edited.clone(),
        field: "title".to_owned(),
    };
    let update = Action::Update {
        target: part(&master.id, edited.as_str()),
        content: standup(),
        changed: [title.clone()].into(),
    };
    let occurrence = object(apply(&connector, &collection, write(edited.clone(), update)).await);
    assert_eq!(occurrence.content.fields["title"], "Long standup");
    assert_eq!(occurrence.content.fields["start"]["wall"], "2026-01-12T09:00:00");
    assert_eq!(provider.content("work", &master.id.0).unwrap(), standup());

    let mut without = standup();
    without.overrides.clear();
    let take_back = Action::Update {
        target: target(&occurrence),
        content: without.clone(),
        changed: [title].into(),
    };
    let occurrence = object(apply(&connector, &collection, write(edited, take_back)).await);
    assert_eq!(occurrence.content.fields["title"], "Standup");
    let revive = Action::Update {
        target: part(&master.id, cancelled.as_str()),
        content: without.clone(),
        changed: [FieldPath {
            part: cancelled.clone(),
            field: "status".to_owned(),
        }]
        .into(),
    };
    let revived = object(apply(&connector, &collection, write(cancelled, revive)).await);
    assert_eq!(revived.content.fields["title"], "Standup");
    assert_eq!(provider.content("work", &master.id.0).unwrap(), without);

    let delete = Action::Delete {
        target: target(&revived),
    };
    let gone = apply(&connector, &collection, write(PartKey::MASTER, delete)).await;
    assert!(matches!(gone, Ok(Applied::Gone)));
    let left = provider.content("work", &master.id.0).unwrap();
    assert_eq!(
        left.overrides.values().collect::<Vec<_>>(),
        [&series::cancelled()]
    );
}

#[tokio::test]
async fn moving_the_master_moves_its_overrides() {
    for options in [Options::WHOLE, Options::PER_PART] {
        let (provider, connector, collection) = subject(options);
        provider.put("work", "s", standup());
        let (pages, _) = pull(&connector, &collection, None).await;
        let Change::Present(master) = &pages[0].changes[0] else {
            panic!("{pages:?}")
        };
        let mut moved = standup();
        for field in ["start", "end"] {
            let wall = format!("2026-01-05T10:{}:00", if field == "start" { "00" } else { "15" });
            moved.fields.get_mut(field).unwrap()["wall"] = json!(wall);
        }
        let moved = series::aligned(&standup(), &moved).overrides.into_iter().fold(
            Content::new(moved.fields),
            |mut content, (key, fields)| {
                content.overrides.insert(key, fields);
                content
            },
        );
        let update = Action::Update {
            target: target(master),
            content: moved.clone(),
            changed: [FieldPath::master("start"), FieldPath::master("end")].into(),
        };
        object(apply(&connector, &collection, write(PartKey::MASTER, update)).await);
        assert_eq!(provider.content("work", "s").unwrap(), moved);
    }
}

#[tokio::test]
async fn trouble_ends_a_stream_without_a_cursor() {
    let (provider, connector, collection) = subject(Options {
        page_size: 1,
        ..Options::WHOLE
    });
    for id in ["a", "b", "c"] {
        provider.put("work", id, titled(id));
    }
    provider.fail(Fault::next(Operation::Page, ErrorKind::RateLimited).after(2));
    let (pages, error) = pull(&connector, &collection, None).await;
    assert_eq!((pages.len(), error), (2, Some(ErrorKind::RateLimited)));
    assert!(
        pages
            .iter()
            .all(|page| page.cursor.is_none() && page.listing == Listing::Partial)
    );
    provider.revoke();
    let (pages, error) = pull(&connector, &collection, None).await;
    assert_eq!((pages.len(), error), (0, Some(ErrorKind::Unauthorized)));
    provider.restore();
    let (pages, error) = pull(&connector, &collection, None).await;
    assert_eq!((pages.len(), error), (3, None));
}
