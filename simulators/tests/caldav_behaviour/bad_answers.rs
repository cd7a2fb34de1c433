//! Hostile and broken answers, and that a test can tell which of them take effect.

use futures::StreamExt as _;
use simulators::caldav::{BadAnswer, BadAnswerForm, CaldavServer, Operation, Quirks};
use simulators::faults::{Fault, Match};

use crate::client::{CALENDAR, event, server};

fn spoil(server: &CaldavServer, operation: Option<Operation>, form: BadAnswerForm) {
    server.set_quirks(Quirks {
        bad_answer: Some(BadAnswer { operation, form }),
        ..Quirks::default()
    });
}

#[tokio::test]
async fn a_huge_body_is_streamed_to_its_last_byte() {
    let (server, client, _) = server().await;
    let size_bytes = 5_000_000;
    spoil(
        &server,
        Some(Operation::Propfind),
        BadAnswerForm::HugeBody { size_bytes },
    );
    let response = client.request("PROPFIND", CALENDAR).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.content_length()),
        (207, None)
    );
    let mut received = 0;
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        received += chunk.unwrap().len() as u64;
    }
    assert_eq!(received, size_bytes);
    assert_eq!(
        client.sync("", None).await.status,
        207,
        "other requests are answered rightly"
    );
}

#[tokio::test]
async fn entity_bombs_broken_xml_and_login_pages_come_with_a_straight_face() {
    let (server, client, calendar) = server().await;
    spoil(
        &server,
        Some(Operation::SyncCollection),
        BadAnswerForm::EntityExpansion,
    );
    let bomb = client.sync("", None).await;
    assert!(
        bomb.status == 207 && bomb.body.contains("<!ENTITY lol9") && bomb.body.len() < 2_000,
        "{}",
        bomb.body
    );
    spoil(
        &server,
        Some(Operation::SyncCollection),
        BadAnswerForm::MalformedXml,
    );
    let broken = client.sync("", None).await;
    let mut reader = quick_xml::NsReader::from_str(&broken.body);
    let error = loop {
        match reader.read_resolved_event() {
            Ok((_, quick_xml::events::Event::Eof)) => break None,
            Ok(_) => {}
            Err(error) => break Some(error),
        }
    };
    assert!(broken.status == 207 && error.is_some());

    spoil(&server, None, BadAnswerForm::HtmlLoginPage);
    for (method, path) in [
        ("PROPFIND", "/.well-known/caldav"),
        ("REPORT", CALENDAR),
        ("PUT", "/dav/x"),
    ] {
        let page = client.send(method, path, &[], "").await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
    }
    let put = client.put("1.ics", &event("1", "x"), &[]).await;
    assert!(
        put.status == 200 && calendar.list().is_empty(),
        "a login page stores nothing"
    );
}

#[tokio::test]
async fn an_answer_ends_midway_with_or_without_a_sign() {
    let (server, client, calendar) = server().await;
    for number in 0..50 {
        calendar
            .put(&format!("{number}.ics"), event(&number.to_string(), "x"))
            .unwrap();
    }
    let whole = client.sync("", None).await.body;
    spoil(&server, Some(Operation::SyncCollection), BadAnswerForm::Halved);
    let half = client.sync("", None).await;
    assert_eq!(
        (half.status, half.body.as_str()),
        (207, &whole[..whole.len() / 2])
    );

    spoil(&server, Some(Operation::SyncCollection), BadAnswerForm::CutMidway);
    let body =
        "<sync-collection xmlns=\"DAV:\"><sync-token/><sync-level>1</sync-level><prop/></sync-collection>";
    let response = client
        .request("REPORT", CALENDAR)
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 207);
    assert!(response.bytes().await.is_err(), "the connection ended early");
}

#[tokio::test]
async fn a_lost_response_to_a_put_leaves_the_object_stored() {
    let (server, client, calendar) = server().await;
    let put = reqwest::Method::PUT;
    server.faults().next(Match::method(put), Fault::LoseResponse);
    let request = client
        .request("PUT", &format!("{CALENDAR}1.ics"))
        .header("content-type", "text/calendar");
    assert!(request.body(event("1", "x")).send().await.is_err());
    assert_eq!(calendar.list().len(), 1);
    assert_eq!(
        client
            .put("1.ics", &event("1", "x"), &[("if-none-match", "*")])
            .await
            .status,
        412
    );
}
