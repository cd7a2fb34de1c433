//! Calendars, pages, sync tokens, exceptions and tombstones.

use connector_google::connector;
use connector_sdk::{Access, Actions as _, Change, Connector as _, ErrorKind, Listing, Pull as _, RemoteId};
use model::{PartKey, series};
use serde_json::json;
use simulators::faults::{Fault, Match};
use simulators::google_calendar::{AccountConfig, CalendarConfig, Role};

use super::{ADA, ZONE, fixed_collection, world, world_with};

#[tokio::test]
async fn calendars_come_page_by_page_with_zone_and_rights() {
    let world = world_with(|config| {
        let other = "grace@example.org";
        let shared = |id: &str, role| CalendarConfig::new(id, other).summary(id).shared_with(ADA, role);
        config
            .account(AccountConfig::new(other))
            .calendar(shared("c_read@group.calendar.google.com", Role::Reader))
            .calendar(shared("c_write@group.calendar.google.com", Role::Writer))
            .calendar(shared("c_busy@group.calendar.google.com", Role::FreeBusyReader))
            .page_size_cap(1)
    })
    .await;
    let mut listed = connector().collections(&world.ctx).await.unwrap();
    listed.sort_by(|a, b| a.id.cmp(&b.id));
    let seen: Vec<_> = listed
        .iter()
        .map(|one| {
            (
                one.id.0.as_str(),
                one.access,
                one.fields["zone"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (ADA, Access::ReadWrite, ZONE),
            ("c_busy@group.calendar.google.com", Access::ReadOnly, "UTC"),
            ("c_read@group.calendar.google.com", Access::ReadOnly, "UTC"),
            ("c_write@group.calendar.google.com", Access::ReadWrite, "UTC"),
        ]
    );
    assert_eq!(world.collection().await.name, "Ada");
}

#[tokio::test]
async fn a_calendar_in_a_zone_nobody_knows_is_read_only_and_hides_no_other() {
    let world = world().await;
    let entry =
        |id: &str, zone: &str| json!({"id": id, "summary": id, "timeZone": zone, "accessRole": "owner"});
    let list = json!({"items": [entry("a", "Mars/Olympus"), entry("b", ZONE)]});
    world
        .google
        .faults()
        .next(Match::path("calendarList"), Fault::answer(200, list.to_string()));
    let listed = connector().collections(&world.ctx).await.unwrap();
    let seen: Vec<_> = listed.iter().map(|one| (one.id.0.as_str(), one.access)).collect();
    assert_eq!(seen, [("a", Access::ReadOnly), ("b", Access::ReadWrite)]);
}

#[tokio::test]
async fn a_change_between_two_pages_is_in_the_next_delta() {
    let world = world_with(|config| config.page_size_cap(2)).await;
    let ids: Vec<String> = (0..5).map(|n| world.put(&format!("event {n}"))).collect();
    let handle = world.calendar();
    let first = ids[0].clone();
    world.google.faults().next(
        Match::path("/events").with_query("pageToken"),
        Fault::before(move || {
            handle
                .patch(&first, json!({"summary": "changed meanwhile"}))
                .unwrap();
        }),
    );
    let (pages, error) = world.pull(None).await;
    assert!(error.is_none());
    let listings: Vec<_> = pages
        .iter()
        .map(|page| (page.listing, page.cursor.is_some()))
        .collect();
    assert_eq!(
        listings,
        [
            (Listing::Partial, false),
            (Listing::Partial, false),
            (Listing::Complete, true)
        ]
    );
    let (changes, _) = world.changes(pages[2].cursor.as_ref()).await;
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].id().0, ids[0]);
}

#[tokio::test]
async fn a_full_pull_after_a_gap_leaves_out_what_was_deleted_in_it() {
    let world = world().await;
    let (kept, deleted) = (world.put("kept"), world.put("deleted"));
    let (_, cursor) = world.changes(None).await;
    world.calendar().delete(&deleted).unwrap();
    world.google.purge_tombstones();
    let (pages, error) = world.pull(Some(&cursor)).await;
    assert_eq!((pages.len(), error.unwrap().kind), (0, ErrorKind::CursorExpired));
    let (changes, _) = world.changes(None).await;
    assert!(
        matches!(&changes[..], [Change::Present(object)] if object.id.0 == kept),
        "{changes:?}"
    );
}

#[tokio::test]
async fn a_token_that_is_none_and_any_410_are_a_lost_cursor() {
    let world = world().await;
    let nonsense = connector_sdk::Cursor("not a token".to_owned());
    assert_eq!(
        world.pull(Some(&nonsense)).await.1.unwrap().kind,
        ErrorKind::CursorExpired
    );
    let (_, cursor) = world.changes(None).await;
    world
        .google
        .faults()
        .next(Match::path("/events"), Fault::answer(410, "gone"));
    assert_eq!(
        world.pull(Some(&cursor)).await.1.unwrap().kind,
        ErrorKind::CursorExpired
    );
}

#[tokio::test]
async fn exceptions_come_full_after_their_master_and_cancelled_ones_bare() {
    let world = world().await;
    let master = world.put_series("Standup");
    let moved = format!("{master}_20260309T080000Z");
    world
        .calendar()
        .patch(&moved, json!({"summary": "Long standup"}))
        .unwrap();
    world
        .calendar()
        .cancel_instance(&master, "20260316T080000Z")
        .unwrap();
    let (_, cursor) = world.changes(None).await;
    world
        .calendar()
        .patch(&master, json!({"location": "Room 2"}))
        .unwrap();
    world
        .calendar()
        .patch(&moved, json!({"location": "Room 3"}))
        .unwrap();

    for cursor in [None, Some(&cursor)] {
        let (changes, _) = world.changes(cursor).await;
        let objects: Vec<_> = changes
            .iter()
            .map(|change| match change {
                Change::Present(object) => object,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(objects[0].id.0, master);
        assert!(objects[0].series.is_none());
        let exception = objects.iter().find(|object| object.id.0 == moved).unwrap();
        let part = exception.series.as_ref().unwrap();
        assert_eq!(part.series.0, master);
        let start = series::time_field(&objects[0].content.fields, "start").unwrap();
        assert_eq!(
            part.original_start.part_key(&start).as_str(),
            "2026-03-09T09:00:00"
        );
        assert_eq!(exception.content.fields["title"], "Long standup");
        assert_eq!(exception.content.fields["start"]["wall"], "2026-03-09T09:00:00");
    }
    let (changes, _) = world.changes(None).await;
    let cancelled = changes.iter().find_map(|change| match change {
        Change::Present(object) if series::is_cancelled(&object.content.fields) => Some(object),
        _ => None,
    });
    assert_eq!(cancelled.unwrap().content.fields, series::cancelled());
}

#[tokio::test]
async fn exdates_are_cancelled_overrides_of_the_master() {
    let world = world().await;
    world.put_json(json!({
        "recurrence": ["EXDATE;TZID=Europe/Berlin:20260309T090000", "RRULE:FREQ=WEEKLY;COUNT=6"],
    }));
    let (changes, _) = world.changes(None).await;
    let [Change::Present(master)] = &changes[..] else {
        panic!("{changes:?}")
    };
    let excluded: Vec<&PartKey> = master.content.overrides.keys().collect();
    assert_eq!(excluded, [&PartKey::occurrence("2026-03-09T09:00:00")]);
}

#[tokio::test]
async fn a_deleted_series_is_deleted_with_all_its_exceptions() {
    let world = world().await;
    let master = world.put_series("Standup");
    let moved = format!("{master}_20260309T080000Z");
    world
        .calendar()
        .patch(&moved, json!({"summary": "Long standup"}))
        .unwrap();
    let (_, cursor) = world.changes(None).await;
    world.calendar().delete(&master).unwrap();
    let (changes, _) = world.changes(Some(&cursor)).await;
    let gone: Vec<&str> = changes
        .iter()
        .map(|change| match change {
            Change::Deleted(id) => id.0.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(gone, [master.as_str(), moved.as_str()]);
}

#[tokio::test]
async fn an_event_is_not_called_deleted_when_its_calendar_is_out_of_sight() {
    let world = world_with(|config| {
        let shared = CalendarConfig::new("team@example.org", "grace@example.org");
        config
            .account(AccountConfig::new("grace@example.org"))
            .calendar(shared.shared_with(ADA, Role::Writer))
    })
    .await;
    let team = world.google.calendar("team@example.org");
    let event = team
        .insert(json!({
            "start": {"date": "2026-03-02"},
            "end": {"date": "2026-03-03"},
        }))
        .unwrap();
    let ids = [RemoteId(event["id"].as_str().unwrap().to_owned())];
    let mut collection = fixed_collection();
    collection.id = RemoteId("team@example.org".to_owned());
    world.google.set_role("team@example.org", ADA, None);
    let error = connector()
        .fetch(&world.ctx, &collection, &ids)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn busy_times_are_told_in_order() {
    let world = world().await;
    world.put("busy");
    world.put_json(json!({"summary": "free", "transparency": "transparent"}));
    let actions = connector();
    let actions = actions.actions().unwrap();
    let (from, to) = (
        "2026-03-02T00:00:00Z".parse().unwrap(),
        "2026-03-03T00:00:00Z".parse().unwrap(),
    );
    let busy = actions
        .free_busy(&world.ctx, &fixed_collection(), from, to)
        .await
        .unwrap();
    let spans: Vec<_> = busy
        .iter()
        .map(|one| (one.from.to_string(), one.to.to_string()))
        .collect();
    assert_eq!(
        spans,
        [(
            "2026-03-02T08:00:00Z".to_owned(),
            "2026-03-02T08:30:00Z".to_owned()
        )]
    );

    let mut unknown = fixed_collection();
    unknown.id = RemoteId("nobody@example.org".to_owned());
    let error = connector()
        .free_busy(&world.ctx, &unknown, from, to)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "an error under status 200");
}
