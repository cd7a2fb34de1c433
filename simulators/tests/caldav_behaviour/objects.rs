//! GET, PUT and DELETE: entity tags, preconditions, what may be stored, and rights.

use crate::client::{CALENDAR, Client, event, event_with, server};

#[tokio::test]
async fn writes_carry_tags_and_are_counted() {
    let (server, client, calendar) = server().await;
    let mark = server.log().mark();
    let created = client
        .put("1.ics", &event("1", "first"), &[("if-none-match", "*")])
        .await;
    let etag = created.header("etag").unwrap().to_owned();
    assert_eq!(created.status, 201);
    let read = client.send("GET", &format!("{CALENDAR}1.ics"), &[], "").await;
    assert_eq!(
        (read.status, read.header("etag"), read.body.clone()),
        (200, Some(etag.as_str()), event("1", "first"))
    );
    assert_eq!(
        client
            .send(
                "GET",
                &format!("{CALENDAR}1.ics"),
                &[("if-none-match", &etag)],
                ""
            )
            .await
            .status,
        304
    );

    let updated = client
        .put("1.ics", &event("1", "second"), &[("if-match", &etag)])
        .await;
    assert_eq!(updated.status, 204);
    assert_eq!(
        updated.header("etag"),
        Some(calendar.get("1.ics").unwrap().etag.as_str())
    );
    assert_eq!(
        client
            .put("1.ics", &event("1", "stale"), &[("if-match", &etag)])
            .await
            .status,
        412
    );
    assert_eq!(
        client
            .put("1.ics", &event("1", "double"), &[("if-none-match", "*")])
            .await
            .status,
        412
    );
    assert_eq!(
        client
            .put("2.ics", &event("2", "gone"), &[("if-match", &etag)])
            .await
            .status,
        412
    );
    assert_eq!(calendar.list().len(), 1);
    assert!(calendar.get("1.ics").unwrap().ics.contains("SUMMARY:second"));

    let delete = async |tag: &str| {
        client
            .send("DELETE", &format!("{CALENDAR}1.ics"), &[("if-match", tag)], "")
            .await
    };
    assert_eq!(delete(&etag).await.status, 412);
    assert_eq!(delete(updated.header("etag").unwrap()).await.status, 204);
    assert_eq!(delete("*").await.status, 404);
    assert!(calendar.list().is_empty());
    assert_eq!(server.log().writes_since(mark).len(), 8);
}

#[tokio::test]
async fn an_edit_slipped_in_before_a_put_makes_the_put_fail_and_survives() {
    let (server, client, calendar) = server().await;
    let etag = calendar.put("1.ics", event("1", "read")).unwrap();
    let other = calendar.clone();
    server.before_next_put(move || {
        other.edit("1.ics", |ics| ics.replace("read", "theirs")).unwrap();
    });
    assert_eq!(
        client
            .put("1.ics", &event("1", "ours"), &[("if-match", &etag)])
            .await
            .status,
        412
    );
    let theirs = calendar.get("1.ics").unwrap();
    assert!(theirs.ics.contains("SUMMARY:theirs"));
    let second = client
        .put("1.ics", &event("1", "ours"), &[("if-match", &theirs.etag)])
        .await;
    assert_eq!(second.status, 204, "the hook ran once");
}

#[tokio::test]
async fn a_uid_belongs_to_one_resource() {
    let (_server, client, calendar) = server().await;
    let long = "u".repeat(100);
    assert_eq!(client.put("1.ics", &event(&long, "x"), &[]).await.status, 201);
    let conflict = client.put("2.ics", &event(&long, "x"), &[]).await;
    conflict.assert_condition(403, "no-uid-conflict");
    assert!(
        conflict
            .body
            .contains(&format!("<D:href>{CALENDAR}1.ics</D:href>")),
        "{}",
        conflict.body
    );
    client
        .put("1.ics", &event("other", "x"), &[])
        .await
        .assert_condition(403, "no-uid-conflict");
    assert_eq!(client.put("1.ics", &event(&long, "y"), &[]).await.status, 204);
    calendar.delete("1.ics").unwrap();
    assert_eq!(
        client.put("2.ics", &event(&long, "x"), &[]).await.status,
        201,
        "a deleted object frees its UID"
    );
}

#[tokio::test]
async fn what_is_no_calendar_object_is_refused_by_the_precondition_it_breaks() {
    let (_server, client, calendar) = server().await;
    let good = event("1", "x");
    let two_types = good.replace(
        "END:VCALENDAR",
        "BEGIN:VTODO\r\nUID:1\r\nEND:VTODO\r\nEND:VCALENDAR",
    );
    let huge = event("1", &"x".repeat(1_000_001));
    for (ics, condition) in [
        ("not icalendar".to_owned(), "valid-calendar-data"),
        (good.replace("END:VEVENT\r\n", ""), "valid-calendar-data"),
        (
            good.replace("DTSTART:20260302T090000Z", "DTSTART:tomorrow"),
            "valid-calendar-data",
        ),
        (
            good.replace("DTSTAMP:20260101T000000Z\r\n", ""),
            "valid-calendar-data",
        ),
        (good.replace("PRODID:-//Test//EN\r\n", ""), "valid-calendar-data"),
        (good.replace("UID:1\r\n", ""), "valid-calendar-object-resource"),
        (
            good.replace("PRODID", "METHOD:REQUEST\r\nPRODID"),
            "valid-calendar-object-resource",
        ),
        (two_types, "valid-calendar-object-resource"),
        (good.replace("VEVENT", "VTODO"), "supported-calendar-component"),
        (huge, "max-resource-size"),
    ] {
        client
            .put("1.ics", &ics, &[])
            .await
            .assert_condition(403, condition);
    }
    let json = client
        .send(
            "PUT",
            &format!("{CALENDAR}1.ics"),
            &[("content-type", "application/json")],
            &good,
        )
        .await;
    json.assert_condition(403, "supported-calendar-data");
    let lost = "/dav/calendars/ann%40example.com/missing/1.ics";
    assert_eq!(
        client
            .send("PUT", lost, &[("content-type", "text/calendar")], &good)
            .await
            .status,
        409
    );
    assert!(calendar.list().is_empty());
    let override_too = event_with("1", "DTSTART:20260302T090000Z|RRULE:FREQ=DAILY|").replace(
        "END:VCALENDAR",
        "BEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\nRECURRENCE-ID:20260303T090000Z\r\n\
         DTSTART:20260303T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR",
    );
    assert_eq!(client.put("1.ics", &override_too, &[]).await.status, 201);
}

#[tokio::test]
async fn a_read_only_calendar_says_so_and_takes_no_write() {
    let (_server, client, calendar) = server().await;
    calendar.put("1.ics", event("1", "x")).unwrap();
    calendar.set_read_only(true).unwrap();
    let found = client
        .propfind(CALENDAR, "0", "<current-user-privilege-set/>")
        .await
        .multistatus();
    let privileges = found.responses[0].properties["current-user-privilege-set"].names();
    assert!(privileges.contains(&"read") && !privileges.iter().any(|name| name.starts_with("write")));
    client
        .put("1.ics", &event("1", "y"), &[])
        .await
        .assert_condition(403, "need-privileges");
    client
        .put("2.ics", &event("2", "y"), &[])
        .await
        .assert_condition(403, "need-privileges");
    let delete = client.send("DELETE", &format!("{CALENDAR}1.ics"), &[], "").await;
    delete.assert_condition(403, "need-privileges");
    assert_eq!(calendar.list().len(), 1);
    calendar.set_read_only(false).unwrap();
    assert_eq!(client.put("1.ics", &event("1", "y"), &[]).await.status, 204);
}

#[tokio::test]
async fn nobody_writes_into_another_account() {
    let (server, _, _) = server().await;
    let bob = Client::new(&server).basic("bob", "hidden");
    bob.put("1.ics", &event("1", "x"), &[])
        .await
        .assert_condition(403, "need-privileges");
    let delete = bob.send("DELETE", CALENDAR, &[], "").await;
    delete.assert_condition(403, "need-privileges");
}
