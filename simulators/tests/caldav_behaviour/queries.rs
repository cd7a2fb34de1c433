//! `calendar-multiget`, `calendar-query` and `free-busy-query`.

use crate::client::{CALENDAR, Client, Reply, event, event_with, server};

async fn query(client: &Client, depth: &str, inner: &str) -> Reply {
    let body = format!(
        "<C:calendar-query xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><D:prop><D:getetag/></D:prop>\
         <C:filter><C:comp-filter name=\"VCALENDAR\">{inner}</C:comp-filter></C:filter></C:calendar-query>"
    );
    client.send("REPORT", CALENDAR, &[("depth", depth)], &body).await
}

fn names(reply: &Reply) -> Vec<String> {
    reply
        .multistatus()
        .members()
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

#[tokio::test]
async fn multiget_answers_each_href_with_data_or_404() {
    let (server, client, calendar) = server().await;
    calendar.put("a b.ics", event("1", "<&>\"' äöü")).unwrap();
    server
        .calendar("bob", "private")
        .put("1.ics", event("2", "x"))
        .unwrap();
    let foreign = "../../bob/private/1.ics";
    let found = client
        .multiget(&["a%20b.ics", "missing.ics", foreign])
        .await
        .multistatus();
    assert_eq!(
        found.members(),
        [
            ("a%20b.ics", None),
            ("missing.ics", Some(404)),
            ("1.ics", Some(404))
        ]
    );
    let first = &found.responses[0];
    assert_eq!(
        first.text("getetag"),
        Some(calendar.get("a b.ics").unwrap().etag.as_str())
    );
    assert_eq!(
        first.text("calendar-data"),
        Some(event("1", "<&>\"' äöü").as_str()),
        "octet for octet"
    );
    assert_eq!(client.multiget(&[]).await.status, 400);
}

#[tokio::test]
async fn a_query_finds_what_happens_in_a_time_range() {
    let (_server, client, calendar) = server().await;
    calendar.put("single.ics", event("1", "single")).unwrap();
    let weekly =
        "DTSTART;TZID=Europe/Berlin:20260105T100000|DURATION:PT30M|RRULE:FREQ=WEEKLY;COUNT=10|SUMMARY:w|";
    calendar.put("weekly.ics", event_with("2", weekly)).unwrap();
    calendar
        .put(
            "day.ics",
            event_with("3", "DTSTART;VALUE=DATE:20260302|SUMMARY:day|"),
        )
        .unwrap();
    calendar
        .put(
            "later.ics",
            event_with("4", "DTSTART:20260401T090000Z|SUMMARY:later|"),
        )
        .unwrap();
    calendar.put("broken.ics", "BEGIN:VCALENDAR\r\n").unwrap();
    let range =
        |range: &str| format!("<C:comp-filter name=\"VEVENT\"><C:time-range {range}/></C:comp-filter>");
    let second_of_march = range("start=\"20260302T080000Z\" end=\"20260302T100000Z\"");
    assert_eq!(
        names(&query(&client, "1", &second_of_march).await),
        ["day.ics", "single.ics", "weekly.ics"]
    );
    assert!(
        names(&query(&client, "0", &second_of_march).await).is_empty(),
        "depth 0 is the calendar alone"
    );
    assert_eq!(
        names(&query(&client, "1", &range("start=\"20260309T000000Z\"")).await),
        ["later.ics", "weekly.ics"]
    );
    assert_eq!(
        names(&query(&client, "1", &range("end=\"20260106T000000Z\"")).await),
        ["weekly.ics"]
    );
    for invalid in [
        "",
        "start=\"20260302T080000\"",
        "start=\"20260302T080000Z\" end=\"20260302T080000Z\"",
    ] {
        query(&client, "1", &range(invalid))
            .await
            .assert_condition(403, "valid-filter");
    }
}

#[tokio::test]
async fn a_query_tests_properties_and_refuses_tests_that_it_does_not_know() {
    let (_server, client, calendar) = server().await;
    calendar.put("1.ics", event("one", "Alpha")).unwrap();
    calendar
        .put(
            "2.ics",
            event_with("two", "DTSTART:20260302T090000Z|LOCATION:here|"),
        )
        .unwrap();
    let test = |inner: &str| format!("<C:comp-filter name=\"VEVENT\">{inner}</C:comp-filter>");
    let uid =
        "<C:prop-filter name=\"UID\"><C:text-match collation=\"i;octet\">one</C:text-match></C:prop-filter>";
    assert_eq!(names(&query(&client, "1", &test(uid)).await), ["1.ics"]);
    let summary = "<C:prop-filter name=\"SUMMARY\"><C:text-match>aLPHa</C:text-match></C:prop-filter>";
    assert_eq!(names(&query(&client, "1", &test(summary)).await), ["1.ics"]);
    let negated = summary.replace("<C:text-match>", "<C:text-match negate-condition=\"yes\">");
    assert_eq!(names(&query(&client, "1", &test(&negated)).await), ["2.ics"]);
    let absent = "<C:prop-filter name=\"LOCATION\"><C:is-not-defined/></C:prop-filter>";
    assert_eq!(names(&query(&client, "1", &test(absent)).await), ["1.ics"]);
    assert!(names(&query(&client, "1", "<C:comp-filter name=\"VTODO\"/>").await).is_empty());
    let parameter = "<C:prop-filter name=\"ATTENDEE\"><C:param-filter name=\"PARTSTAT\"/></C:prop-filter>";
    query(&client, "1", &test(parameter))
        .await
        .assert_condition(403, "supported-filter");
    let collation = uid.replace("i;octet", "i;unknown");
    query(&client, "1", &test(&collation))
        .await
        .assert_condition(403, "supported-collation");
}

#[tokio::test]
async fn free_busy_merges_what_is_busy_and_leaves_out_what_is_not() {
    let (_server, client, calendar) = server().await;
    let times = |start: &str, end: &str| format!("DTSTART:20260302T{start}00Z|DTEND:20260302T{end}00Z|");
    calendar
        .put("1.ics", event_with("1", &times("0900", "1000")))
        .unwrap();
    calendar
        .put("2.ics", event_with("2", &times("0930", "1100")))
        .unwrap();
    calendar
        .put(
            "3.ics",
            event_with("3", &format!("{}TRANSP:TRANSPARENT|", times("1200", "1300"))),
        )
        .unwrap();
    calendar
        .put(
            "4.ics",
            event_with("4", &format!("{}STATUS:CANCELLED|", times("1300", "1400"))),
        )
        .unwrap();
    calendar
        .put(
            "5.ics",
            event_with("5", &format!("{}STATUS:TENTATIVE|", times("1500", "2300"))),
        )
        .unwrap();
    let body = "<C:free-busy-query xmlns:C=\"urn:ietf:params:xml:ns:caldav\">\
        <C:time-range start=\"20260302T000000Z\" end=\"20260302T160000Z\"/></C:free-busy-query>";
    let reply = client.send("REPORT", CALENDAR, &[("depth", "1")], body).await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("text/calendar; charset=utf-8"))
    );
    let periods: Vec<&str> = reply
        .body
        .lines()
        .filter(|line| line.starts_with("FREEBUSY"))
        .collect();
    let expected = [
        "FREEBUSY;FBTYPE=BUSY:20260302T090000Z/20260302T110000Z",
        "FREEBUSY;FBTYPE=BUSY-TENTATIVE:20260302T150000Z/20260302T160000Z",
    ];
    assert_eq!(periods, expected);
}
