//! Pulling from servers that lack something, or have their own ways.

use std::time::Duration;

use connector_sdk::{Change, Connector as _, ErrorKind, Known, Listing, PullRequest, RemoteId};
use futures::StreamExt as _;
use http::Method;
use serde_json::json;
use simulators::caldav::{CaldavServer, Operation, Quirks, Rejection};
use simulators::faults::{Fault, Match};

use testkit::harness::until;

use crate::account::{Account, PASSWORD, Replica, event, listings, simulated};

/// Whatever a server lacks: everything comes, then only what changed, deletions included.
async fn everything_then_changes(quirks: Quirks) -> (CaldavServer, Replica) {
    let server = simulated(120, quirks.clone()).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let handle = server.calendar("alice", "work");
    let mut replica = Replica::default();
    let pages = replica.pull(&account, &calendar).await;
    assert_eq!(pages.last().unwrap().listing, Listing::Complete, "{quirks:?}");
    assert_eq!(replica.objects.len(), 120, "{quirks:?}");
    assert_eq!(
        replica.objects[&RemoteId(handle.path_of("007.ics"))]
            .content
            .fields["title"],
        "Event 7"
    );

    handle.put("new.ics", event("new", "New")).unwrap();
    handle.put("007.ics", event("uid-7", "Changed")).unwrap();
    handle.delete("009.ics").unwrap();
    let pages = replica.pull(&account, &calendar).await;
    let gone = RemoteId(handle.path_of("009.ics"));
    match pages.last().unwrap().listing {
        Listing::Delta => assert!(!replica.objects.contains_key(&gone), "{quirks:?}"),
        Listing::Complete => {
            assert!(
                !pages
                    .iter()
                    .flat_map(|page| &page.changes)
                    .any(|change| *change.id() == gone)
            );
            assert!(matches!(
                account.fetch(&calendar, &gone).await,
                Change::Deleted(_)
            ));
            replica.objects.remove(&gone);
            replica.known.remove(&gone);
        }
        Listing::Partial => panic!("a stream does not end with a part"),
    }
    assert_eq!(replica.objects.len(), 120, "{quirks:?}");
    assert!(replica.titles().contains(&"New") && replica.titles().contains(&"Changed"));

    let pages = replica.pull(&account, &calendar).await;
    let news = pages
        .iter()
        .flat_map(|page| &page.changes)
        .filter(|change| !matches!(change, Change::Unchanged(_)));
    assert_eq!(news.count(), 0, "nothing changed: {quirks:?}");
    (server, replica)
}

#[tokio::test]
async fn pages_of_507_are_followed_to_their_end() {
    let quirks = Quirks {
        page_size: Some(25),
        ..Quirks::default()
    };
    let (server, _) = everything_then_changes(quirks).await;
    assert!(server.count(Operation::SyncCollection) >= 6);
}

#[tokio::test]
async fn a_server_without_sync_collection_is_compared() {
    let quirks = Quirks {
        no_sync_collection: true,
        ..Quirks::default()
    };
    let (server, mut replica) = everything_then_changes(quirks).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let mark = server.log().mark();
    let pages = replica.pull(&account, &calendar).await;
    assert_eq!(
        listings(&pages),
        [Listing::Delta],
        "the ctag says that nothing changed"
    );
    assert_eq!(server.log().since(mark).len(), 1);
}

#[tokio::test]
async fn a_server_without_sync_collection_and_ctag_is_listed_each_time() {
    everything_then_changes(Quirks {
        no_sync_collection: true,
        no_ctag: true,
        ..Quirks::default()
    })
    .await;
}

#[tokio::test]
async fn a_server_without_etags_has_its_bodies_compared() {
    everything_then_changes(Quirks {
        no_etags: true,
        ..Quirks::default()
    })
    .await;
    let quirks = Quirks {
        no_etags: true,
        no_ctag: true,
        no_sync_collection: true,
        ..Quirks::default()
    };
    everything_then_changes(quirks).await;
}

#[tokio::test]
async fn hrefs_and_calendar_data_come_in_any_dress() {
    let quirks = Quirks {
        absolute_hrefs: true,
        dav_without_prefix: true,
        calendar_data_as_cdata: true,
        ..Quirks::default()
    };
    everything_then_changes(quirks).await;
}

#[tokio::test]
async fn an_expired_token_is_told_apart_and_a_new_enumeration_reads_nothing_twice() {
    let server = simulated(30, Quirks::default()).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let mut replica = Replica::default();
    replica.pull(&account, &calendar).await;
    server.calendar("alice", "work").expire_sync_tokens().unwrap();
    let (pages, error) = account
        .pages(&calendar, replica.cursor.as_ref(), &replica.known)
        .await;
    assert!(pages.is_empty());
    assert_eq!(error.unwrap().kind, ErrorKind::CursorExpired);
    let before = server.count(Operation::Multiget);
    replica.cursor = None;
    let pages = replica.pull(&account, &calendar).await;
    assert_eq!(listings(&pages), [Listing::Complete]);
    assert_eq!(server.count(Operation::Multiget), before);
}

#[tokio::test]
async fn one_object_that_is_always_refused_is_set_aside_and_the_others_come() {
    let mut quirks = Quirks::default();
    quirks
        .reject_uids
        .insert("uid-5".to_owned(), Rejection::always(400));
    quirks.malformed_objects.insert("006.ics".to_owned());
    let server = simulated(20, quirks).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let mut replica = Replica::default();
    replica.pull(&account, &calendar).await;
    let handle = server.calendar("alice", "work");
    assert_eq!(replica.objects.len(), 18);
    assert!(replica.unreadable[&RemoteId(handle.path_of("005.ics"))].contains("400"));
    assert!(
        replica
            .unreadable
            .contains_key(&RemoteId(handle.path_of("006.ics")))
    );
}

#[tokio::test]
async fn tasks_are_left_alone_and_what_became_one_is_not_taken_for_deleted() {
    let server = simulated(2, Quirks::default()).await;
    let task = event("t", "Task")
        .replace("VEVENT", "VTODO")
        .replace("DTEND", "DUE");
    let handle = server.calendar("alice", "work");
    handle.put("task.ics", task.clone()).unwrap();
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let mut replica = Replica::default();
    replica.pull(&account, &calendar).await;
    assert_eq!((replica.objects.len(), replica.unreadable.len()), (2, 0));
    handle.put("001.ics", task).unwrap();
    replica.pull(&account, &calendar).await;
    assert!(
        replica
            .unreadable
            .contains_key(&RemoteId(handle.path_of("001.ics")))
    );
}

#[tokio::test]
async fn a_calendar_that_is_gone_is_an_error_and_deletes_nothing() {
    for no_sync_collection in [false, true] {
        let server = simulated(
            5,
            Quirks {
                no_sync_collection,
                ..Quirks::default()
            },
        )
        .await;
        let account = Account::at(&server);
        let calendar = account.calendar("Work").await;
        let mut replica = Replica::default();
        replica.pull(&account, &calendar).await;
        server.remove_calendar("alice", "work").unwrap();
        for cursor in [replica.cursor.as_ref(), None] {
            let (pages, error) = account.pages(&calendar, cursor, &Known::new()).await;
            assert!(pages.is_empty());
            assert_eq!(error.unwrap().kind, ErrorKind::NotFound);
        }
    }
}

#[tokio::test]
async fn busy_times_are_asked_of_the_server_that_can_tell() {
    let server = simulated(3, Quirks::default()).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let (from, to) = (
        "2026-01-05T00:00:00Z".parse().unwrap(),
        "2026-01-06T00:00:00Z".parse().unwrap(),
    );
    let actions = account.connector.actions().unwrap();
    let busy = actions
        .free_busy(&account.ctx, &calendar, from, to)
        .await
        .unwrap();
    assert_eq!(busy.len(), 1, "three events at the same time are one busy period");
    assert_eq!(busy[0].from, "2026-01-05T09:00:00Z".parse().unwrap());
    assert_eq!(busy[0].to, "2026-01-05T10:00:00Z".parse().unwrap());
    assert!(
        actions
            .free_busy(&account.ctx, &calendar, to, from)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn batches_shrink_to_what_may_be_read_and_a_giant_is_set_aside() {
    let server = simulated(60, Quirks::default()).await;
    let handle = server.calendar("alice", "work");
    let giant = event("giant", &"G".repeat(100_000));
    handle.put("giant.ics", giant).unwrap();
    let login = json!({"username": "alice", "password": PASSWORD});
    let account = Account::reading_at_most(32 * 1024, server.base_url(), login, &[]);
    let calendar = account.calendar("Work").await;
    let mut replica = Replica::default();
    let pages = replica.pull(&account, &calendar).await;
    assert_eq!(pages.last().unwrap().listing, Listing::Complete);
    assert_eq!(replica.objects.len(), 60);
    assert!(replica.unreadable[&RemoteId(handle.path_of("giant.ics"))].contains("larger than"));
}

#[tokio::test]
async fn an_object_that_a_report_is_silent_about_is_asked_for_by_itself() {
    let server = simulated(1, Quirks::default()).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let handle = server.calendar("alice", "work");
    let silence = "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\"/>";
    for (name, there) in [("000.ics", true), ("never.ics", false)] {
        let report = Match::method(Method::from_bytes(b"REPORT").unwrap());
        server.faults().next(report, Fault::answer(207, silence));
        let change = account.fetch(&calendar, &RemoteId(handle.path_of(name))).await;
        assert_eq!(matches!(change, Change::Present(_)), there, "{change:?}");
        assert_eq!(matches!(change, Change::Deleted(_)), !there, "{change:?}");
    }
}

#[tokio::test]
async fn while_a_page_is_stored_the_next_ones_are_on_their_way() {
    let server = simulated(450, Quirks::default()).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let known = Known::new();
    let request = PullRequest {
        collection: &calendar,
        cursor: None,
        known: &known,
    };
    let mut pages = account.connector.pull().unwrap().pages(&account.ctx, request);
    let first = pages.next().await.unwrap().unwrap();
    assert_eq!(first.listing, Listing::Partial);
    let asked = async || (server.count(Operation::Multiget) >= 3).then_some(());
    until("two more requests, unasked", Duration::from_secs(10), asked)
        .await
        .unwrap();
    drop(pages);
    assert!(
        server.count(Operation::Multiget) <= 3,
        "and no more than two ahead"
    );
}
