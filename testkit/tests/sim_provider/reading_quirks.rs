//! What a client reads from providers with each quirk of versions, histories and lists.

use std::collections::BTreeSet;

use connector_sdk::{Access, Change, Coverage, ErrorKind, Listing};
use model::{FieldPath, series};
use serde_json::{Value, json};
use testkit::conformance::sample;
use testkit::simulation::provider::{Deltas, Hiding, Layout, ListCap, Quirks, Timestamps, Versions};

use crate::client::{Client, WORK, events, present};

const MINUTE: i64 = 60_000;
const START: i64 = 1_700_000_000_000;

fn with(change: impl FnOnce(&mut Quirks)) -> Client {
    let mut quirks = Quirks::NONE;
    change(&mut quirks);
    events(quirks)
}

#[tokio::test]
async fn versions_look_as_the_grade_says() {
    for (versions, wanted) in [
        (Versions::Strong, "\""),
        (Versions::Weak, "W/\""),
        (Versions::Second, "1700000000-"),
    ] {
        let client = with(|quirks| quirks.versions = versions);
        client.put("a", "one");
        let before = client.fetch("a").await.version.unwrap();
        assert!(before.0.starts_with(wanted), "{before:?}");
        assert_eq!(client.fetch("a").await.version.unwrap(), before);
        client.edit("a", "two");
        assert_ne!(client.fetch("a").await.version.unwrap(), before);
    }
    let client = with(|quirks| quirks.versions = Versions::None);
    client.put("a", "one");
    assert_eq!(client.fetch("a").await.version, None);
}

#[tokio::test]
async fn a_restless_provider_changes_versions_and_nothing_else() {
    let client = with(|quirks| quirks.restless = true);
    client.put("a", "one");
    let first = client.fetch("a").await;
    let cursor = client.pull(None).await.cursor();
    let mut versions = BTreeSet::new();
    for _ in 0..50 {
        let object = client.fetch("a").await;
        assert_eq!(object.content, first.content);
        versions.insert(object.version);
    }
    assert!(versions.len() > 1, "it never stirred");
    assert_eq!(client.pull(Some(&cursor)).await.ids(), ["a"]);
}

#[tokio::test]
async fn pages_hold_no_more_than_their_size() {
    let client = with(|quirks| quirks.page_size = 2);
    for id in ["a", "b", "c", "d", "e"] {
        client.put(id, id);
    }
    let pulled = client.pull(None).await;
    let sizes: Vec<usize> = pulled.pages.iter().map(|page| page.changes.len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(pulled.ids(), ["a", "b", "c", "d", "e"]);
}

fn by_time(granularity_ms: i64, late_ms: i64, page_size: usize) -> Client {
    with(|quirks| {
        quirks.page_size = page_size;
        quirks.timestamps = Some(Timestamps {
            granularity_ms,
            late_ms,
        });
    })
}

#[tokio::test]
async fn rows_of_one_time_are_read_across_page_borders() {
    let client = by_time(MINUTE, 0, 1);
    let cursor = client.pull(None).await.cursor();
    for id in ["a", "b", "c"] {
        client.put(id, id);
    }
    client.provider.set_now(START + MINUTE);
    // While they are read, one that stands before the place of the second page is changed in the same minute.
    let pulled = client
        .pull_with(Some(&cursor), |pages| {
            if pages == 2 {
                client.edit("a", "changed");
            }
        })
        .await;
    assert_eq!(pulled.ids()[..3], ["a", "b", "c"]);
    client.provider.set_now(START + 2 * MINUTE);
    let again = client.pull(Some(&pulled.cursor())).await;
    let changed = again
        .changes()
        .into_iter()
        .find(|change| change.id().0 == "a")
        .unwrap();
    assert_eq!(present(changed).content.fields["title"], "changed");
}

#[tokio::test]
async fn what_lies_in_the_overlap_and_is_known_is_not_read_again() {
    let mut client = by_time(MINUTE, 0, 10);
    client.put("a", "one");
    let cursor = client.pull(None).await.cursor();
    assert_eq!(client.pull(Some(&cursor)).await.ids(), ["a"]);
    let held = client.fetch("a").await;
    client.known.insert(held.id, held.version);
    assert!(client.pull(Some(&cursor)).await.ids().is_empty());
}

#[tokio::test]
async fn a_row_that_appears_late_is_in_a_later_delta_and_answers_at_once() {
    let mut seen_late = false;
    for round in 0..20 {
        let client = by_time(1_000, 2 * MINUTE, 10);
        client.provider.set_now(START + round);
        let cursor = client.pull(None).await.cursor();
        let id = format!("row{round}");
        for extra in 0..round {
            client.put(&format!("other{extra}"), "other");
        }
        client.put(&id, "late");
        assert_eq!(client.fetch(&id).await.content.fields["title"], "late");
        let first = client.pull(Some(&cursor)).await;
        let at_once = first.ids().contains(&id.as_str());
        seen_late |= !at_once;
        client.provider.set_now(START + round + 2 * MINUTE);
        let second = client.pull(Some(&first.cursor())).await;
        assert!(
            at_once || second.ids().contains(&id.as_str()),
            "{id} never appears"
        );
    }
    assert!(seen_late, "no row was late");
}

#[tokio::test]
async fn calm_shows_late_rows() {
    let client = by_time(1_000, 100 * MINUTE, 10);
    let cursor = client.pull(None).await.cursor();
    for number in 0..10 {
        client.put(&format!("row{number}"), "late");
    }
    assert!(client.pull(Some(&cursor)).await.ids().len() < 10);
    client.provider.calm();
    assert_eq!(client.pull(Some(&cursor)).await.ids().len(), 10);
}

#[tokio::test]
async fn some_cursors_are_dead_on_arrival_until_calm() {
    let client = with(|quirks| quirks.dying_cursors = true);
    let mut dead = 0;
    for _ in 0..40 {
        let cursor = client.pull(None).await.cursor();
        let next = client.pull(Some(&cursor)).await;
        if let Some(error) = next.error {
            assert_eq!(error.kind, ErrorKind::CursorExpired);
            assert!(next.pages.is_empty());
            dead += 1;
        }
    }
    assert!((1..30).contains(&dead), "{dead} of 40");
    client.provider.calm();
    for _ in 0..20 {
        let cursor = client.pull(None).await.cursor();
        assert!(client.pull(Some(&cursor)).await.error.is_none());
    }
}

#[tokio::test]
async fn cursors_expire_when_told_to() {
    let client = events(Quirks::NONE);
    let cursor = client.pull(None).await.cursor();
    client.provider.expire_cursors();
    let error = client.pull(Some(&cursor)).await.error.unwrap();
    assert_eq!(error.kind, ErrorKind::CursorExpired);
    let cursor = client.pull(None).await.cursor();
    assert!(client.pull(Some(&cursor)).await.error.is_none());
}

#[tokio::test]
async fn a_cap_that_nobody_knows_of_calls_a_cut_list_complete() {
    let client = with(|quirks| {
        quirks.list_cap = Some(ListCap {
            objects: 2,
            known: false,
        });
    });
    for id in ["a", "b", "c"] {
        client.put(id, id);
    }
    let pulled = client.pull(None).await;
    assert_eq!(pulled.ids(), ["a", "b"]);
    assert_eq!(pulled.pages.last().unwrap().listing, Listing::Complete);
    assert_eq!(client.fetch("c").await.id.0, "c");
    client.edit("c", "changed");
    let cursor = pulled.cursor();
    assert_eq!(client.pull(Some(&cursor)).await.ids(), ["c"], "deltas are whole");
    client.provider.calm();
    let error = client.pull(Some(&cursor)).await.error.unwrap();
    assert_eq!(error.kind, ErrorKind::CursorExpired);
    assert_eq!(client.pull(None).await.ids(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_cap_that_the_connector_knows_of_makes_no_list_complete() {
    let client = with(|quirks| {
        quirks.page_size = 1;
        quirks.list_cap = Some(ListCap {
            objects: 2,
            known: true,
        });
    });
    for id in ["a", "b", "c"] {
        client.put(id, id);
    }
    let pulled = client.pull(None).await;
    assert_eq!(pulled.ids(), ["a", "b"]);
    assert!(
        pulled
            .pages
            .iter()
            .all(|page| page.listing == Listing::Partial && page.cursor.is_none())
    );
    client.provider.delete(WORK, "c");
    let whole = client.pull(None).await;
    assert_eq!(whole.pages.last().unwrap().listing, Listing::Complete);
}

#[tokio::test]
async fn what_is_out_of_sight_is_in_no_list_and_answers_as_the_vendor_does() {
    for hiding in [Hiding::Denied, Hiding::NotFound] {
        let client = with(|quirks| quirks.hiding = hiding);
        client.put("a", "one");
        client.put("b", "two");
        let cursor = client.pull(None).await.cursor();
        let object = client.fetch("a").await;
        client.provider.hide(WORK, "a", true);
        client.edit("a", "unseen");
        assert_eq!(client.pull(None).await.ids(), ["b"]);
        assert!(client.pull(Some(&cursor)).await.ids().is_empty());
        let refused = client.apply(client.retitle(&object, "mine")).await.unwrap_err();
        match hiding {
            Hiding::Denied => {
                let error = client.try_fetch("a").await.unwrap_err();
                assert_eq!(error.kind, ErrorKind::PermissionDenied);
                assert_eq!(refused.kind, ErrorKind::PermissionDenied);
                assert_eq!(client.access().await, Access::ReadWrite);
            }
            Hiding::NotFound => {
                assert!(matches!(client.try_fetch("a").await, Ok(Change::Deleted(_))));
                assert_eq!(refused.kind, ErrorKind::NotFound);
                assert_eq!(client.access().await, Access::ReadOnly);
            }
        }
        client.provider.hide(WORK, "a", false);
        assert_eq!(client.access().await, Access::ReadWrite);
        let back = client.pull(Some(&cursor)).await;
        assert_eq!(back.ids(), ["a"]);
        assert_eq!(present(back.changes()[0]).content.fields["title"], "unseen");
    }
}

#[tokio::test]
async fn deltas_name_deletes_where_they_do() {
    for deltas in [Deltas::Full, Deltas::NoDeletes] {
        let client = with(|quirks| quirks.deltas = deltas);
        client.put("a", "one");
        let cursor = client.pull(None).await.cursor();
        client.provider.delete(WORK, "a");
        let delta = client.pull(Some(&cursor)).await;
        match deltas {
            Deltas::Full => assert!(matches!(delta.changes()[..], [Change::Deleted(_)])),
            Deltas::NoDeletes | Deltas::None => assert!(delta.ids().is_empty()),
        }
        assert!(matches!(client.try_fetch("a").await, Ok(Change::Deleted(_))));
    }
    let client = with(|quirks| quirks.deltas = Deltas::None);
    client.put("a", "one");
    let pulled = client.pull(None).await;
    assert_eq!(pulled.pages.last().unwrap().listing, Listing::Complete);
    assert!(pulled.pages.iter().all(|page| page.cursor.is_none()));
}

#[tokio::test]
async fn a_sparse_delta_says_what_changed_and_null_for_what_was_cleared() {
    let client = with(|quirks| quirks.sparse_deltas = true);
    client.put("a", "one");
    let before = client.fetch("a").await;
    let cursor = client.pull(None).await.cursor();
    client.provider.edit(WORK, "a", |content| {
        content.set(&FieldPath::master("title"), Some(json!("two")));
        content.set(&FieldPath::master("location"), None);
    });
    let delta = client.pull(Some(&cursor)).await;
    let object = present(delta.changes()[0]);
    assert_eq!(object.coverage, Coverage::Sparse);
    let said: Vec<_> = object.content.fields.iter().collect();
    let wanted = [("location", Value::Null), ("title", json!("two"))];
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value))
        .collect();
    assert_eq!(
        said,
        wanted
            .iter()
            .map(|(name, value)| (name, *value))
            .collect::<Vec<_>>()
    );
    let whole = object.over(&before.content);
    assert_eq!(Some(whole), client.provider.content(WORK, "a"));
    assert_eq!(client.fetch("a").await.coverage, Coverage::Full);
}

#[tokio::test]
async fn what_cannot_be_understood_says_so_until_it_is_mended() {
    let client = events(Quirks::NONE);
    client.put("a", "one");
    let cursor = client.pull(None).await.cursor();
    client.provider.poison(WORK, "a", true);
    let delta = client.pull(Some(&cursor)).await;
    assert!(matches!(delta.changes()[..], [Change::Unreadable { .. }]));
    assert!(matches!(
        client.try_fetch("a").await,
        Ok(Change::Unreadable { .. })
    ));
    client.provider.poison(WORK, "a", false);
    let delta = client.pull(Some(&delta.cursor())).await;
    assert_eq!(present(delta.changes()[0]).content.fields["title"], "one");
}

#[tokio::test]
async fn a_moved_object_is_gone_here_and_there_under_the_same_id_or_another() {
    for changes in [false, true] {
        let client = with(|quirks| quirks.ids_change_on_move = changes);
        client.provider.add_collection("home");
        client.put("a", "one");
        let cursor = client.pull(None).await.cursor();
        let there = client.provider.move_to(WORK, "a", "home").unwrap();
        assert_eq!(there != "a", changes);
        assert!(matches!(
            client.pull(Some(&cursor)).await.changes()[..],
            [Change::Deleted(_)]
        ));
        assert_eq!(
            client.provider.content("home", &there).unwrap().fields["title"],
            "one"
        );
        assert_eq!(client.provider.move_to(WORK, "a", "home"), None);
    }
}

#[tokio::test]
async fn a_deleted_record_can_be_taken_out_of_the_bin() {
    let client = events(Quirks::NONE);
    client.put("a", "one");
    let before = client.fetch("a").await;
    assert!(!client.provider.restore(WORK, "a"));
    client.provider.delete(WORK, "a");
    assert!(!client.provider.delete(WORK, "a"));
    let cursor = client.pull(None).await.cursor();
    assert!(client.provider.restore(WORK, "a"));
    let delta = client.pull(Some(&cursor)).await;
    let back = present(delta.changes()[0]);
    assert_eq!((&back.id, &back.content), (&before.id, &before.content));
    assert_ne!(back.version, before.version);
}

#[tokio::test]
async fn overrides_are_objects_where_the_layout_makes_them_so() {
    for (layout, wanted) in [
        (Layout::Whole, vec!["s"]),
        (
            Layout::PerPart,
            vec!["s", "s_20260309T090000", "s_20260316T090000"],
        ),
        (Layout::Instances, vec!["s", "s_20260309T090000"]),
    ] {
        let client = with(|quirks| quirks.layout = layout);
        client.provider.put(WORK, "s", sample::series("standup"));
        let pulled = client.pull(None).await;
        assert_eq!(pulled.ids(), wanted, "{layout:?}");
        let changes = pulled.changes();
        let master = present(changes[0]);
        let cancelled = master.content.overrides.get(&sample::cancelled());
        assert_eq!(
            cancelled.is_some_and(series::is_cancelled),
            layout != Layout::PerPart,
            "{layout:?}"
        );
    }
}
