//! Servers that hide tags, rewrite what they are sent, or refuse one object for ever.

use std::collections::{BTreeMap, BTreeSet};

use simulators::caldav::{Quirks, Rejection};

use crate::client::{CALENDAR, event, event_with, server};

#[tokio::test]
async fn without_etags_no_answer_carries_one() {
    let (server, client, _) = server().await;
    server.set_quirks(Quirks {
        no_etags: true,
        ..Quirks::default()
    });
    let put = client
        .put("1.ics", &event("1", "x"), &[("if-none-match", "*")])
        .await;
    assert_eq!((put.status, put.header("etag")), (201, None));
    assert_eq!(
        client
            .put("1.ics", &event("1", "x"), &[("if-none-match", "*")])
            .await
            .status,
        412
    );
    assert_eq!(
        client
            .send("GET", &format!("{CALENDAR}1.ics"), &[], "")
            .await
            .header("etag"),
        None
    );
    let listed = client.propfind(CALENDAR, "1", "<getetag/>").await.multistatus();
    assert_eq!(listed.named("1.ics").missing, ["getetag"]);
    assert_eq!(
        client
            .multiget(&["1.ics"])
            .await
            .multistatus()
            .named("1.ics")
            .text("getetag"),
        None
    );
}

#[tokio::test]
async fn what_is_rewritten_comes_back_changed_and_without_a_tag_on_put() {
    let (server, client, calendar) = server().await;
    let sent = event_with(
        "1",
        "DTSTART;TZID=Asia/Kolkata:20260302T090000|SUMMARY:abcdef|X-OWN:mine|",
    );
    let zones = BTreeMap::from([("Asia/Kolkata".to_owned(), "Asia/Calcutta".to_owned())]);
    let rewriting = Quirks {
        rewrite_zones: zones,
        truncate_text: Some(3),
        drop_unknown_properties: true,
        resort_properties: true,
        ..Quirks::default()
    };
    server.set_quirks(rewriting.clone());
    let put = client.put("1.ics", &sent, &[]).await;
    assert_eq!((put.status, put.header("etag")), (201, None));
    let stored = calendar.get("1.ics").unwrap().ics;
    let inner = "BEGIN:VEVENT\r\nDTSTAMP:20260101T000000Z\r\nDTSTART;TZID=Asia/Calcutta:20260302T090000\r\n\
        SUMMARY:abc\r\nUID:1\r\nEND:VEVENT\r\n";
    assert!(stored.contains(inner), "{stored}");
    let same = client.put("1.ics", &stored, &[]).await;
    assert!(
        same.header("etag").is_some(),
        "stored as sent, so the tag is given"
    );
    assert_eq!(calendar.get("1.ics").unwrap().ics, stored);

    server.set_quirks(Quirks {
        etag_despite_rewrite: true,
        ..rewriting
    });
    assert!(client.put("1.ics", &sent, &[]).await.header("etag").is_some());
    server.set_quirks(Quirks {
        no_etag_on_put: true,
        ..Quirks::default()
    });
    assert_eq!(client.put("1.ics", &sent, &[]).await.header("etag"), None);
    assert_eq!(calendar.get("1.ics").unwrap().ics, sent);
}

#[tokio::test]
async fn one_object_can_be_refused_for_ever_while_the_others_work() {
    let (server, client, calendar) = server().await;
    calendar.put("bad.ics", event("bad", "x")).unwrap();
    calendar.put("good.ics", event("good", "x")).unwrap();
    let rejections = BTreeMap::from([("bad".to_owned(), Rejection::always(400))]);
    server.set_quirks(Quirks {
        reject_uids: rejections,
        ..Quirks::default()
    });
    let found = client.multiget(&["bad.ics", "good.ics"]).await.multistatus();
    assert_eq!(found.members(), [("bad.ics", Some(400)), ("good.ics", None)]);
    assert_eq!(
        client
            .send("GET", &format!("{CALENDAR}bad.ics"), &[], "")
            .await
            .status,
        400
    );
    assert_eq!(client.put("bad.ics", &event("bad", "y"), &[]).await.status, 400);
    assert_eq!(
        client
            .send("DELETE", &format!("{CALENDAR}bad.ics"), &[], "")
            .await
            .status,
        400
    );
    assert_eq!(client.put("good.ics", &event("good", "y"), &[]).await.status, 204);
    assert_eq!(
        client.sync("", None).await.multistatus().members().len(),
        2,
        "listed all the same"
    );

    let rejections = BTreeMap::from([("new".to_owned(), Rejection::of_writes(403))]);
    server.set_quirks(Quirks {
        reject_uids: rejections,
        ..Quirks::default()
    });
    assert_eq!(client.put("new.ics", &event("new", "x"), &[]).await.status, 403);
    assert_eq!(
        client.multiget(&["bad.ics"]).await.multistatus().members(),
        [("bad.ics", None)]
    );
}

#[tokio::test]
async fn one_object_can_be_malformed_and_zones_can_be_demanded() {
    let (server, client, calendar) = server().await;
    calendar.put("1.ics", event("1", "x")).unwrap();
    calendar.put("2.ics", event("2", "x")).unwrap();
    server.set_quirks(Quirks {
        malformed_objects: BTreeSet::from(["1.ics".to_owned()]),
        require_vtimezone: true,
        calendar_data_as_cdata: true,
        ..Quirks::default()
    });
    let reply = client.multiget(&["1.ics", "2.ics"]).await;
    assert!(
        reply.body.contains("<C:calendar-data><![CDATA[BEGIN:VCALENDAR"),
        "{}",
        reply.body
    );
    let found = reply.multistatus();
    let broken = found.named("1.ics").text("calendar-data").unwrap();
    assert!(
        !broken.contains("END:VCALENDAR") && broken.contains("this is not a content line"),
        "{broken}"
    );
    assert!(
        found
            .named("2.ics")
            .text("calendar-data")
            .unwrap()
            .contains("END:VCALENDAR")
    );
    let zoned = event_with("3", "DTSTART;TZID=Europe/Berlin:20260302T090000|");
    client
        .put("3.ics", &zoned, &[])
        .await
        .assert_condition(403, "valid-calendar-data");
    let zone = "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT";
    assert_eq!(
        client
            .put("3.ics", &zoned.replace("BEGIN:VEVENT", zone), &[])
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_calendar_turns_read_only_by_quirk() {
    let (server, client, _) = server().await;
    server.set_quirks(Quirks {
        read_only: BTreeSet::from(["work".to_owned()]),
        ..Quirks::default()
    });
    client
        .put("1.ics", &event("1", "x"), &[])
        .await
        .assert_condition(403, "need-privileges");
}

#[test]
fn quirks_are_plain_data_that_refuses_unknown_names() {
    let read: Quirks = serde_json::from_str(r#"{"no_ctag": true, "page_size": 7}"#).unwrap();
    assert_eq!(
        read,
        Quirks {
            no_ctag: true,
            page_size: Some(7),
            ..Quirks::default()
        }
    );
    assert!(serde_json::from_str::<Quirks>(r#"{"no_such_quirk": true}"#).is_err());
}
