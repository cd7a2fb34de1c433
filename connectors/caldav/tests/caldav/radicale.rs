//! Against a real Radicale.

use connector_sdk::{Access, Change, ErrorKind, Listing, RemoteId};
use testkit::corpus;
use testkit::harness::{CountingProxy, Radicale};

use crate::account::{Account, Replica, event, listings};

#[tokio::test]
async fn calendars_are_found_from_any_address() {
    let server = Radicale::start().await.unwrap();
    server
        .load_collection("alice", "work", [("a.ics", event("a", "One"))])
        .unwrap();
    server
        .load_collection("alice", "home", [("b.ics", event("b", "Two"))])
        .unwrap();
    let root = server.base_url().as_str().to_owned();
    for base in [
        root.clone(),
        format!("{root}alice/"),
        format!("{root}alice"),
        format!("{root}.well-known/caldav"),
    ] {
        let account = Account::new(&base, "alice", &server.credentials.password);
        let mut found: Vec<String> = account
            .collections()
            .await
            .unwrap()
            .into_iter()
            .map(|c| c.id.0)
            .collect();
        found.sort();
        assert_eq!(found, ["/alice/home/", "/alice/work/"], "from {base}");
    }
    let one = Account::new(
        &format!("{root}alice/work/"),
        "alice",
        &server.credentials.password,
    );
    let found = one.collections().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].id.0.as_str(), found[0].access),
        ("/alice/work/", Access::ReadWrite)
    );
    assert_eq!(found[0].fields["name"], "work");
}

#[tokio::test]
async fn two_thousand_events_come_whole_then_only_what_changed() {
    let server = Radicale::start().await.unwrap();
    let resources = corpus::events(2_000, 7);
    server
        .load_collection("alice", "work", resources.iter().map(|r| (&r.name, &r.ics)))
        .unwrap();
    let account = Account::of(&server);
    let calendar = account.calendar("work").await;
    let mut replica = Replica::default();
    let pages = replica.pull(&account, &calendar).await;
    assert_eq!(replica.unreadable, [].into());
    assert_eq!(replica.objects.len(), 2_000);
    assert!(pages.len() > 3, "it comes in pages");
    let (last, before) = pages.split_last().unwrap();
    assert_eq!(last.listing, Listing::Complete);
    assert!(
        before
            .iter()
            .all(|page| page.listing == Listing::Partial && page.cursor.is_none())
    );
    for resource in &resources {
        let object = &replica.objects[&RemoteId(format!("/alice/work/{}", resource.name))];
        assert_eq!(object.content.fields["uid"], resource.uid.as_str());
    }

    let edited = event(&resources[7].uid, "Edited");
    server
        .put("alice", "work", "event-000007.ics", &edited, None)
        .await
        .unwrap();
    server
        .put("alice", "work", "extra.ics", &event("extra", "Extra"), None)
        .await
        .unwrap();
    server.delete("alice", "work", "event-000003.ics").await.unwrap();
    let pages = replica.pull(&account, &calendar).await;
    assert_eq!(listings(&pages), [Listing::Delta]);
    let extra = &replica.objects[&RemoteId("/alice/work/extra.ics".into())];
    assert_eq!(extra.content.fields["title"], "Extra");
    assert!(
        !replica
            .objects
            .contains_key(&RemoteId("/alice/work/event-000003.ics".into()))
    );
    let edited = &replica.objects[&RemoteId("/alice/work/event-000007.ics".into())];
    assert_eq!(edited.content.fields["title"], "Edited");
    assert_eq!(pages[0].changes.len(), 3, "and nothing else");
}

#[tokio::test]
async fn nothing_new_costs_one_request() {
    let server = Radicale::start().await.unwrap();
    server
        .load_collection("alice", "work", [("a.ics", event("a", "One"))])
        .unwrap();
    let proxy = CountingProxy::start(server.base_url()).await.unwrap();
    let account = Account::new(
        proxy.base_url().unwrap().as_str(),
        "alice",
        &server.credentials.password,
    );
    let calendar = account.calendar("work").await;
    let mut replica = Replica::default();
    replica.pull(&account, &calendar).await;
    proxy.forget();
    let pages = replica.pull(&account, &calendar).await;
    assert_eq!(listings(&pages), [Listing::Delta]);
    assert!(pages[0].changes.is_empty());
    assert_eq!(proxy.seen().len(), 1, "{:?}", proxy.seen());
}

#[tokio::test]
async fn what_is_known_already_is_not_read_again() {
    let server = Radicale::start().await.unwrap();
    let resources = corpus::small_events(150, 3);
    server
        .load_collection("alice", "work", resources.iter().map(|r| (&r.name, &r.ics)))
        .unwrap();
    let proxy = CountingProxy::start(server.base_url()).await.unwrap();
    let account = Account::new(
        proxy.base_url().unwrap().as_str(),
        "alice",
        &server.credentials.password,
    );
    let calendar = account.calendar("work").await;
    let mut replica = Replica::default();
    replica.pull(&account, &calendar).await;
    replica.cursor = None;
    proxy.forget();
    let pages = replica.pull(&account, &calendar).await;
    assert_eq!(listings(&pages), [Listing::Complete]);
    assert_eq!(pages[0].changes.len(), 150);
    assert!(
        pages[0]
            .changes
            .iter()
            .all(|change| matches!(change, Change::Unchanged(_)))
    );
    assert_eq!(proxy.seen().len(), 2, "its state and the list, no object");
}

#[tokio::test]
async fn a_token_the_server_never_gave_is_an_expired_cursor() {
    let server = Radicale::start().await.unwrap();
    server
        .load_collection("alice", "work", [("a.ics", event("a", "One"))])
        .unwrap();
    let account = Account::of(&server);
    let calendar = account.calendar("work").await;
    for cursor in [
        r#"{"mode":"sync","token":"http://radicale.org/ns/sync/0000000000000000000000000000000000000000000000000000000000000000"}"#,
        "not ours",
    ] {
        let cursor = connector_sdk::Cursor(cursor.to_owned());
        let (pages, error) = account.pages(&calendar, Some(&cursor), &Default::default()).await;
        assert!(pages.is_empty());
        assert_eq!(error.unwrap().kind, ErrorKind::CursorExpired);
    }
}

#[tokio::test]
async fn single_objects_are_fetched_and_missing_ones_are_deleted() {
    let server = Radicale::start().await.unwrap();
    server
        .load_collection("alice", "work", [("a.ics", event("a", "One"))])
        .unwrap();
    let account = Account::of(&server);
    let calendar = account.calendar("work").await;
    let present = account
        .fetch(&calendar, &RemoteId("/alice/work/a.ics".into()))
        .await;
    assert!(matches!(present, Change::Present(object) if object.content.fields["title"] == "One"));
    let missing = account
        .fetch(&calendar, &RemoteId("/alice/work/b.ics".into()))
        .await;
    assert!(matches!(missing, Change::Deleted(id) if id.0 == "/alice/work/b.ics"));
}

#[tokio::test]
async fn work_that_is_stopped_ends_without_a_cursor() {
    let server = Radicale::start().await.unwrap();
    let resources = corpus::small_events(300, 3);
    server
        .load_collection("alice", "work", resources.iter().map(|r| (&r.name, &r.ics)))
        .unwrap();
    let account = Account::of(&server);
    let calendar = account.calendar("work").await;
    account.ctx.cancel.cancel();
    let (pages, error) = account.pages(&calendar, None, &Default::default()).await;
    assert!(pages.is_empty() && error.is_none());
}
