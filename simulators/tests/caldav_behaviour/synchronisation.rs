//! The life of a sync token (RFC 6578): first synchronisation, pages, tombstones, expiry, and the fallbacks.

use simulators::caldav::{Operation, Quirks, UnauthorizedFrom};

use crate::client::{CALENDAR, event, server};

#[tokio::test]
async fn a_token_yields_what_changed_since_and_tombstones_for_what_went() {
    let (_server, client, calendar) = server().await;
    for name in ["1", "2", "3"] {
        calendar
            .put(&format!("{name}.ics"), event(name, "first"))
            .unwrap();
    }
    calendar.delete("3.ics").unwrap();
    let first = client.sync("", None).await.multistatus();
    assert_eq!(
        first.members(),
        [("1.ics", None), ("2.ics", None)],
        "a first synchronisation reports no removals"
    );
    assert_eq!(
        first.responses[0].text("getetag"),
        Some(calendar.get("1.ics").unwrap().etag.as_str())
    );
    let token = first.sync_token.unwrap();
    assert!(client.sync(&token, None).await.multistatus().responses.is_empty());

    calendar
        .edit("1.ics", |ics| ics.replace("first", "second"))
        .unwrap();
    calendar.delete("2.ics").unwrap();
    calendar.put("4.ics", event("4", "new")).unwrap();
    let second = client.sync(&token, None).await.multistatus();
    assert_eq!(
        second.members(),
        [("1.ics", None), ("2.ics", Some(404)), ("4.ics", None)]
    );
    let again = client.sync(&token, None).await.multistatus();
    assert_eq!(again.members(), second.members(), "an older token stays good");

    calendar.put("2.ics", event("2", "back")).unwrap();
    let third = client.sync(&second.sync_token.unwrap(), None).await.multistatus();
    assert_eq!(
        third.members(),
        [("2.ics", None)],
        "what came back is no tombstone"
    );
}

#[tokio::test]
async fn pages_end_with_507_for_the_collection_and_miss_nothing_that_changes_meanwhile() {
    let (server, client, calendar) = server().await;
    for number in 1..=5 {
        calendar
            .put(&format!("{number}.ics"), event(&number.to_string(), "first"))
            .unwrap();
    }
    server.set_quirks(Quirks {
        page_size: Some(2),
        ..Quirks::default()
    });
    let page = client.sync("", None).await.multistatus();
    assert_eq!(
        page.members(),
        [("1.ics", None), ("2.ics", None), ("", Some(507))]
    );
    assert_eq!(page.responses[2].href, CALENDAR);
    assert_eq!(
        page.responses[2].condition.as_deref(),
        Some("number-of-matches-within-limits")
    );

    calendar
        .edit("1.ics", |ics| ics.replace("first", "edited between pages"))
        .unwrap();
    calendar.delete("3.ics").unwrap();
    let mut token = page.sync_token.unwrap();
    let mut seen = Vec::new();
    loop {
        let page = client.sync(&token, None).await.multistatus();
        token = page.sync_token.clone().unwrap();
        let more = page.responses.iter().any(|response| response.status == Some(507));
        seen.extend(
            page.responses
                .into_iter()
                .filter(|response| response.status != Some(507)),
        );
        if !more {
            break;
        }
    }
    let seen: Vec<_> = seen
        .iter()
        .map(|response| (response.name(), response.status))
        .collect();
    assert_eq!(
        seen,
        [
            ("4.ics", None),
            ("5.ics", None),
            ("1.ics", None),
            ("3.ics", Some(404))
        ]
    );
}

#[tokio::test]
async fn a_client_may_ask_for_smaller_pages_but_not_for_empty_ones() {
    let (_server, client, calendar) = server().await;
    for number in 1..=3 {
        calendar
            .put(&format!("{number}.ics"), event(&number.to_string(), "x"))
            .unwrap();
    }
    let exact = client.sync("", Some(3)).await.multistatus();
    assert_eq!(
        exact.members().len(),
        3,
        "nothing is left, so nothing is announced"
    );
    assert_eq!(
        client
            .sync("", Some(2))
            .await
            .multistatus()
            .members()
            .last()
            .unwrap()
            .1,
        Some(507)
    );
    assert_eq!(client.sync("", Some(0)).await.status, 400);
}

#[tokio::test]
async fn expired_foreign_and_invented_tokens_are_refused_by_name() {
    let (server, client, calendar) = server().await;
    calendar.put("1.ics", event("1", "x")).unwrap();
    let token = client.sync("", None).await.multistatus().sync_token.unwrap();
    let future = format!("{token}999");
    for invalid in ["nonsense", "urn:x-caldav-simulator:sync:999:0:1", &future] {
        client
            .sync(invalid, None)
            .await
            .assert_condition(403, "valid-sync-token");
    }
    calendar.expire_sync_tokens().unwrap();
    client
        .sync(&token, None)
        .await
        .assert_condition(403, "valid-sync-token");
    let renewed = client.sync("", None).await.multistatus().sync_token.unwrap();
    assert_eq!(client.sync(&renewed, None).await.status, 207);
    server.set_quirks(Quirks {
        expire_sync_tokens: true,
        ..Quirks::default()
    });
    client
        .sync(&renewed, None)
        .await
        .assert_condition(403, "valid-sync-token");
    assert_eq!(client.sync("", None).await.status, 207);
}

#[tokio::test]
async fn a_calendar_made_anew_under_the_old_name_knows_no_old_tokens() {
    let (server, client, calendar) = server().await;
    calendar.put("1.ics", event("1", "x")).unwrap();
    let token = client.sync("", None).await.multistatus().sync_token.unwrap();
    server.remove_calendar("ann@example.com", "work").unwrap();
    assert_eq!(client.sync(&token, None).await.status, 404);
    assert_eq!(client.send("MKCALENDAR", CALENDAR, &[], "").await.status, 201);
    client
        .sync(&token, None)
        .await
        .assert_condition(403, "valid-sync-token");
}

#[tokio::test]
async fn malformed_reports_are_refused() {
    let (_server, client, _) = server().await;
    let whole =
        "<sync-collection xmlns=\"DAV:\"><sync-token/><sync-level>1</sync-level><prop/></sync-collection>";
    let report = |depth: &'static str, body: String| {
        let client = client.clone();
        async move { client.send("REPORT", CALENDAR, &[("depth", depth)], &body).await }
    };
    assert_eq!(report("0", whole.to_owned()).await.status, 207);
    assert_eq!(report("1", whole.to_owned()).await.status, 400);
    assert_eq!(
        report("0", whole.replace("<sync-level>1</sync-level>", ""))
            .await
            .status,
        400
    );
    assert_eq!(report("0", whole.replace("<sync-token/>", "")).await.status, 400);
    assert_eq!(report("0", "<sync-collection".to_owned()).await.status, 400);
    report("0", whole.replace(">1<", ">infinite<"))
        .await
        .assert_condition(403, "sync-traversal-supported");
    report("0", "<unknown xmlns=\"DAV:\"/>".to_owned())
        .await
        .assert_condition(403, "supported-report");
}

#[tokio::test]
async fn without_sync_collection_the_ctag_and_the_etags_tell() {
    let (server, client, calendar) = server().await;
    server.set_quirks(Quirks {
        no_sync_collection: true,
        ..Quirks::default()
    });
    client
        .sync("", None)
        .await
        .assert_condition(403, "supported-report");
    let state = async || {
        let found = client
            .propfind(
                CALENDAR,
                "1",
                "<cs:getctag/><sync-token/><supported-report-set/><getetag/>",
            )
            .await;
        let found = found.multistatus();
        let reports = found.responses[0].properties["supported-report-set"].names();
        assert!(reports.contains(&"calendar-multiget") && !reports.contains(&"sync-collection"));
        assert!(found.responses[0].missing.contains(&"sync-token".to_owned()));
        let tags: Vec<_> = found.responses[1..]
            .iter()
            .map(|r| r.text("getetag").unwrap().to_owned())
            .collect();
        (found.responses[0].text("getctag").unwrap().to_owned(), tags)
    };
    let empty = state().await;
    calendar.put("1.ics", event("1", "x")).unwrap();
    let one = state().await;
    assert!(one.0 != empty.0 && one.1.len() == 1);
    calendar.edit("1.ics", str::to_owned).unwrap();
    let edited = state().await;
    assert!(edited.0 != one.0 && edited.1 != one.1);
    assert_eq!(state().await, edited);
    server.set_quirks(Quirks {
        no_sync_collection: true,
        no_ctag: true,
        ..Quirks::default()
    });
    let found = client
        .propfind(CALENDAR, "0", "<cs:getctag/>")
        .await
        .multistatus();
    assert_eq!(found.responses[0].missing, ["getctag"]);
}

#[tokio::test]
async fn deletes_can_be_left_out_and_the_nth_page_can_be_unauthorized() {
    let (server, client, calendar) = server().await;
    for number in 1..=4 {
        calendar
            .put(&format!("{number}.ics"), event(&number.to_string(), "x"))
            .unwrap();
    }
    let token = client.sync("", None).await.multistatus().sync_token.unwrap();
    calendar.delete("1.ics").unwrap();
    server.set_quirks(Quirks {
        omit_deletes: true,
        ..Quirks::default()
    });
    assert!(client.sync(&token, None).await.multistatus().responses.is_empty());

    let third = UnauthorizedFrom {
        operation: Operation::SyncCollection,
        nth: 3,
    };
    server.set_quirks(Quirks {
        unauthorized_from: Some(third),
        ..Quirks::default()
    });
    let before = server.count(Operation::SyncCollection);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(client.sync(&token, None).await.status);
        assert_eq!(
            client.propfind(CALENDAR, "0", "<displayname/>").await.status,
            207,
            "others are not concerned"
        );
    }
    assert_eq!(statuses, [207, 207, 401, 401]);
    assert_eq!(server.count(Operation::SyncCollection) - before, 4);
    server.set_quirks(Quirks::default());
    assert_eq!(client.sync(&token, None).await.status, 207);
}
