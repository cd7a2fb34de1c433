//! Radicale asked in its own words through the hub: `PROPFIND`, `REPORT`, and a write with a precondition.

use reqwest::Method;

use crate::hub::{Answer, Client, Hub};
use crate::scene::{ALICE, Dav, WORK, ics};

async fn call(hub: &Hub, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = hub.request(method, path).header("depth", "1").body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Client::answer(request).await.unwrap()
}

#[tokio::test]
async fn radicale_answers_webdav_methods_through_the_hub() {
    let events = (0..5).map(|number| {
        let uid = format!("e{number}");
        (
            format!("{uid}.ics"),
            ics(&uid, &[&format!("SUMMARY:Event {number}")]),
        )
    });
    let dav = Dav::with(events).await;
    let hub = Hub::start().await;
    let connected = hub.connect(dav.connection()).await;
    let work = format!("/v1/passthrough/{}/{ALICE}/{WORK}/", connected.id);
    let xml = [("content-type", "application/xml; charset=utf-8")];

    let propfind = "<propfind xmlns=\"DAV:\"><prop><getetag/></prop></propfind>";
    let found = call(&hub, "PROPFIND", &work, &xml, propfind.to_owned()).await;
    assert_eq!(found.status, 207, "{}", found.text);
    assert_eq!(found.text.matches("<getetag>").count(), 6, "{}", found.text);

    let report = "<c:calendar-query xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\"><prop><c:calendar-data/>\
                  </prop><c:filter><c:comp-filter name=\"VCALENDAR\"/></c:filter></c:calendar-query>";
    let report = call(&hub, "REPORT", &work, &xml, report.to_owned()).await;
    assert_eq!(report.status, 207, "{}", report.text);
    for number in 0..5 {
        assert!(
            report.text.contains(&format!("SUMMARY:Event {number}")),
            "{}",
            report.text
        );
    }

    let calendar = [("content-type", "text/calendar"), ("if-none-match", "*")];
    let one = format!("{work}e0.ics");
    let refused = call(&hub, "PUT", &one, &calendar, ics("e0", &["SUMMARY:Overwritten"])).await;
    assert_eq!(refused.status, 412, "the server's own refusal: {}", refused.text);
    let fresh = format!("{work}by-hand.ics");
    let made = call(
        &hub,
        "PUT",
        &fresh,
        &calendar,
        ics("by-hand", &["SUMMARY:By hand"]),
    )
    .await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(dav.item("by-hand.ics").contains("SUMMARY:By hand"));

    let lines = hub.all("/v1/audit").await;
    let statuses: Vec<_> = lines
        .iter()
        .rev()
        .map(|line| line["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [207, 207, 412, 201]);
    hub.synced(&connected.id).await;
    hub.titled("By hand").await;
}
