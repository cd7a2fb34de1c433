//! Records, events, links and what hangs on them.

use model::{CollectionId, ConnectionId, FieldPath, Kind, OrganizationId};
use serde_json::json;
use store::{ConflictFilter, EventFilter, LinkFilter, Paging, QuarantineFilter, RecordFilter};
use sync::ports::{Effect, Store};
use sync::state::{Link, LinkState, Quarantine, Record};
use testkit::store_suite::world::START_MS;

use crate::{ms, settled, zoned};

#[tokio::test]
async fn records_are_listed_by_every_filter_live_only_and_with_their_links() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let (first, link) = bench
        .event(&world, "1", json!({"title": "Größenplan 100%"}))
        .await;
    let (second, _) = bench
        .event(
            &world,
            "2",
            json!({"location": "Raum_7", "attendees": [{"address": "zoe@example.org"}]}),
        )
        .await;
    let (third, _) = bench
        .event(&world, "3", json!({"description": {"text": "a\\b"}}))
        .await;
    let (gone, _) = bench.event(&world, "4", json!({"title": "Größenplan"})).await;
    let deleted = Record {
        version: 2,
        deleted: true,
        ..gone
    };
    let copy = world.link(&second, &world.home, "copy");
    let later = Record {
        version: 2,
        updated_at: START_MS + 50,
        ..third.clone()
    };
    bench
        .commit(
            &world,
            vec![
                Effect::UpdateRecord(Box::new(deleted)),
                Effect::CreateLink(Box::new(copy)),
                Effect::UpdateRecord(Box::new(later)),
            ],
        )
        .await;
    let found = async |filter: RecordFilter| -> Vec<String> {
        let page = bench
            .store
            .records(org, &filter, &Paging::first(50))
            .await
            .unwrap();
        assert_eq!(page.next, None);
        page.items
            .into_iter()
            .map(|view| view.record.id.to_string())
            .collect()
    };
    let of = |records: &[&Record]| {
        records
            .iter()
            .map(|record| record.id.to_string())
            .collect::<Vec<_>>()
    };
    let all = RecordFilter::of_kind(Kind::Event);
    assert_eq!(found(all.clone()).await, of(&[&first, &second, &third]));
    assert!(found(RecordFilter::of_kind(Kind::Calendar)).await.is_empty());
    for (q, expected) in [
        ("GRÖSSENPLAN", vec![]),
        ("größenPLAN", vec![&first]),
        ("100%", vec![&first]),
        ("0%P", vec![]),
        ("raum_7", vec![&second]),
        ("raumx7", vec![]),
        ("ZOE@", vec![&second]),
        ("a\\b", vec![&third]),
        ("event", vec![&second, &third]),
    ] {
        let filter = RecordFilter {
            q: Some(q.to_owned()),
            ..all.clone()
        };
        assert_eq!(found(filter).await, of(&expected), "{q}");
    }
    let filter = RecordFilter {
        updated_after: Some(START_MS),
        ..all.clone()
    };
    assert_eq!(found(filter).await, of(&[&third]));
    let filter = RecordFilter {
        collection: Some(world.home.id.clone()),
        ..all.clone()
    };
    assert_eq!(found(filter).await, of(&[&second]));
    let filter = RecordFilter {
        connection: Some(world.connection.id.clone()),
        ..all.clone()
    };
    assert_eq!(found(filter).await.len(), 3);
    let filter = RecordFilter {
        connection: Some(ConnectionId::new(9, 9)),
        ..all.clone()
    };
    assert!(found(filter).await.is_empty());
    let page = bench.store.records(org, &all, &Paging::first(2)).await.unwrap();
    assert_eq!(page.items[0].links, [link]);
    assert_eq!(page.items[1].links.len(), 2);
    let rest = Paging {
        after: page.next,
        limit: 2,
    };
    let rest = bench.store.records(org, &all, &rest).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (1, None));
    let stranger = OrganizationId::new(9, 9);
    assert!(
        bench
            .store
            .records(&stranger, &all, &Paging::first(9))
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert!(
        bench
            .store
            .record_view(&stranger, &first.id)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_week_shows_what_overlaps_it_and_every_series_that_began() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let at = |start: &str, end: &str| json!({"start": zoned(start), "end": zoned(end)});
    let (inside, _) = bench
        .event(&world, "inside", at("2026-03-04T09:00:00", "2026-03-04T10:00:00"))
        .await;
    let (across, _) = bench
        .event(&world, "across", at("2026-02-20T09:00:00", "2026-03-02T00:30:00"))
        .await;
    let (point, _) = bench
        .event(&world, "point", at("2026-03-02T00:00:00", "2026-03-02T00:00:00"))
        .await;
    bench
        .event(&world, "ended", at("2026-03-01T09:00:00", "2026-03-02T00:00:00"))
        .await;
    bench
        .event(&world, "later", at("2026-03-09T00:00:00", "2026-03-09T01:00:00"))
        .await;
    let mut weekly = at("2025-01-06T09:00:00", "2025-01-06T09:15:00");
    weekly["recurrence"] = json!({"rules": ["FREQ=WEEKLY"], "dates": []});
    let (series, _) = bench.event(&world, "series", weekly).await;
    let (from, to) = (ms("2026-03-01T23:00:00Z"), ms("2026-03-08T23:00:00Z"));
    let week = async |filter: EventFilter, limit: u32| -> Vec<String> {
        let views = bench
            .store
            .events_between(org, from, to, &filter, limit)
            .await
            .unwrap();
        assert!(views.iter().all(|view| view.links.len() == 1));
        views.into_iter().map(|view| view.record.id.to_string()).collect()
    };
    let expected = [&series, &across, &point, &inside].map(|record| record.id.to_string());
    assert_eq!(week(EventFilter::default(), 50).await, expected);
    assert_eq!(week(EventFilter::default(), 2).await, expected[..2]);
    let collections = vec![world.home.id.clone(), world.work.id.clone()];
    assert_eq!(
        week(
            EventFilter {
                collections,
                connection: None
            },
            50
        )
        .await,
        expected
    );
    let elsewhere = EventFilter {
        collections: vec![CollectionId::new(9, 9)],
        connection: None,
    };
    assert!(week(elsewhere, 50).await.is_empty());
    let moved = Record { version: 2, ..inside };
    let mut moved = moved;
    moved
        .content
        .set(&FieldPath::master("start"), Some(zoned("2026-04-04T09:00:00")));
    moved
        .content
        .set(&FieldPath::master("end"), Some(zoned("2026-04-04T10:00:00")));
    bench
        .commit(&world, vec![Effect::UpdateRecord(Box::new(moved))])
        .await;
    assert_eq!(week(EventFilter::default(), 50).await, expected[..3]);
}

#[tokio::test]
async fn links_conflicts_and_quarantine_are_listed_by_their_filters() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let (record, link) = bench.event(&world, "1", json!({})).await;
    let (_, other) = bench.event(&world, "2", json!({})).await;
    let refused = Link {
        revision: 2,
        state: LinkState::Rejected {
            reason: "full".to_owned(),
        },
        ..other
    };
    bench
        .commit(&world, vec![Effect::UpdateLink(Box::new(refused.clone()))])
        .await;
    let links = async |filter: LinkFilter| {
        bench
            .store
            .links(org, &filter, &Paging::first(9))
            .await
            .unwrap()
            .items
    };
    assert_eq!(
        links(LinkFilter::default()).await,
        [link.clone(), refused.clone()]
    );
    let rejected = LinkFilter {
        state: Some("rejected".to_owned()),
        ..LinkFilter::default()
    };
    assert_eq!(links(rejected).await, [refused]);
    let of_record = LinkFilter {
        record: Some(record.id.clone()),
        ..LinkFilter::default()
    };
    assert_eq!(links(of_record).await, std::slice::from_ref(&link));
    let elsewhere = LinkFilter {
        collection: Some(world.home.id.clone()),
        ..LinkFilter::default()
    };
    assert!(links(elsewhere).await.is_empty());
    let clash = |n: u64| sync::state::Conflict {
        id: model::ConflictId::new(n, 1),
        organization: org.clone(),
        record: record.id.clone(),
        link: link.id.clone(),
        path: None,
        anchor: None,
        base: None,
        hub: Some(json!("Ours")),
        remote: None,
        winner: None,
        rule: conflict::Rule::Ask,
        resolved_at: None,
        created_at: START_MS,
    };
    let mut effects: Vec<Effect> = (1..=3).map(|n| Effect::PutConflict(Box::new(clash(n)))).collect();
    effects.push(Effect::ResolveConflict {
        conflict: clash(2).id,
        at: START_MS,
    });
    bench.commit(&world, effects).await;
    let open = ConflictFilter {
        open: true,
        record: None,
    };
    let page = bench
        .store
        .conflicts(org, &open, &Paging::first(1))
        .await
        .unwrap();
    assert_eq!(page.items, [clash(3)], "newest first");
    let rest = Paging {
        after: page.next,
        limit: 1,
    };
    let page = bench.store.conflicts(org, &open, &rest).await.unwrap();
    assert_eq!((page.items, page.next), (vec![clash(1)], None));
    let all = ConflictFilter {
        open: false,
        record: Some(record.id.clone()),
    };
    assert_eq!(
        bench
            .store
            .conflicts(org, &all, &Paging::first(9))
            .await
            .unwrap()
            .items
            .len(),
        3
    );
    let entry = world.quarantined("poison", "v1");
    let cursor = Effect::PutCursor {
        collection: world.work.id.clone(),
        cursor: Some(connector_sdk::Cursor("far".to_owned())),
        enumerated_at: None,
    };
    bench
        .commit(&world, vec![Effect::Quarantine(Box::new(entry.clone())), cursor])
        .await;
    let filter = QuarantineFilter {
        collection: Some(world.work.id.clone()),
    };
    assert_eq!(
        bench
            .store
            .quarantined(org, &filter, &Paging::first(9))
            .await
            .unwrap()
            .items,
        std::slice::from_ref(&entry)
    );
    assert_eq!(
        bench.store.quarantine(org, &entry.id).await.unwrap(),
        Some(entry.clone())
    );
    assert!(
        !bench
            .store
            .retry_quarantine(&OrganizationId::new(9, 9), &entry.id)
            .await
            .unwrap()
    );
    assert!(bench.store.retry_quarantine(org, &entry.id).await.unwrap());
    let now = bench.store.quarantine(org, &entry.id).await.unwrap().unwrap();
    assert_eq!(now, Quarantine { retry_at: 0, ..entry });
    let collection = bench.store.collection(org, &world.work.id).await.unwrap();
    assert!(
        collection.unwrap().cursor.is_some(),
        "nothing is read from end to end for it"
    );
}

#[tokio::test]
async fn collections_are_listed_by_kind_and_switched() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let list = async |connection: Option<&ConnectionId>| {
        bench
            .store
            .collections_of_kind(org, Kind::Event, connection, &Paging::first(9))
            .await
            .unwrap()
            .items
    };
    assert_eq!(list(None).await, [world.work.clone(), world.home.clone()]);
    assert_eq!(list(Some(&world.connection.id)).await.len(), 2);
    assert!(list(Some(&ConnectionId::new(9, 9))).await.is_empty());
    assert!(
        bench
            .store
            .enable_collection(org, &world.work.id, false)
            .await
            .unwrap()
    );
    assert!(!list(None).await[0].enabled);
    assert!(
        !bench
            .store
            .enable_collection(&OrganizationId::new(9, 9), &world.work.id, true)
            .await
            .unwrap()
    );
}
