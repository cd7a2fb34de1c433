//! What the test connector's deliveries say, and to whom.

#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

use connector_memory::{MemoryConnector, MemoryProvider, Options, connector, delivery};
use connector_sdk::signature::standard_webhooks::secret;
use connector_sdk::webhooks::inbox::StoredHead;
use connector_sdk::{
    Change, ErrorKind, Notice, Observed, RawRequest, RemoteId, Route, VerifiedRequest, WebhookProof,
    WebhookSecret, WebhookSecrets, Webhooks as _,
};
use model::{Content, Fields};
use serde_json::Value;

const NOW_MS: i64 = 1_800_000_000_000;

fn provider(webhook: WebhookProof) -> MemoryConnector {
    let provider = MemoryProvider::new(Options {
        webhook,
        ..Options::WHOLE
    });
    provider.add_collection("work", "Work");
    connector(provider)
}

fn key() -> WebhookSecret {
    secret([7; 32])
}

fn proven(connector: &MemoryConnector, request: RawRequest) -> VerifiedRequest {
    connector
        .verify(request, &WebhookSecrets::new([key()]), NOW_MS)
        .unwrap()
}

fn signed(connector: &MemoryConnector, notices: &[Value]) -> VerifiedRequest {
    let body = delivery::body(notices);
    proven(
        connector,
        delivery::signed(&key(), "msg_1", NOW_MS, body).unwrap(),
    )
}

fn titled(title: &str) -> Content {
    Content::new(Fields::from([("title".to_owned(), title.into())]))
}

fn observed(notice: &Notice) -> &Observed {
    match notice {
        Notice::Observed(observed) => observed,
        Notice::Dirty { .. } => panic!("it only says that something changed"),
    }
}

#[test]
fn an_object_is_told_as_it_is_and_a_later_state_has_a_greater_key() {
    let connector = provider(WebhookProof::Signed);
    let there = connector.provider();
    let id = RemoteId("a".to_owned());
    there.put("work", "a", titled("First"));
    let first = there.observation("work", &id);
    there.put("work", "a", titled("Second"));
    let second = there.observation("work", &id);
    there.delete("work", "a");
    let gone = there.observation("work", &id);

    let request = signed(&connector, &[first, second, gone]);
    let notices = connector.parse(&request, None).unwrap();
    let told: Vec<&Observed> = notices.iter().map(observed).collect();
    let titles: Vec<Option<&Value>> = told
        .iter()
        .map(|one| match one.change() {
            Change::Present(object) => object.content.fields.get("title"),
            Change::Deleted(gone) if *gone == id => None,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(titles, [Some(&"First".into()), Some(&"Second".into()), None]);
    assert!(told.is_sorted_by(|one, next| one.ordering_key() < next.ordering_key()));
    assert!(told.iter().all(|one| one.collection().0 == "work"));
}

#[test]
fn a_delivery_for_two_accounts_is_told_to_each_apart() {
    let connector = provider(WebhookProof::Signed);
    let request = signed(
        &connector,
        &[
            delivery::to_account(delivery::dirty("work"), "ada"),
            delivery::to_account(delivery::dirty("home"), "bob"),
            delivery::to_account(delivery::dirty("team"), "ada"),
        ],
    );
    let route = |name: &str| Route(name.to_owned());
    assert_eq!(connector.routes(&request), [route("ada"), route("bob")]);
    let collections = |name: &str| -> Vec<String> {
        let notices = connector.parse(&request, Some(&route(name))).unwrap();
        let named = notices.into_iter().map(|notice| match notice {
            Notice::Dirty { collection } => collection.unwrap().0,
            Notice::Observed(_) => panic!("nothing was told in full"),
        });
        named.collect()
    };
    assert_eq!(collections("ada"), ["work", "team"]);
    assert_eq!(collections("bob"), ["home"]);
    assert_eq!(collections("eve"), [""; 0]);
}

#[test]
fn a_shared_secret_may_say_that_something_changed_and_never_what() {
    let connector = provider(WebhookProof::SharedSecret);
    let there = connector.provider();
    there.put("work", "a", titled("First"));
    let fact = there.observation("work", &RemoteId("a".to_owned()));
    let token = key();
    let deliver = |notice| {
        let body = delivery::body(&[notice]);
        let request = proven(&connector, delivery::with_token(token.expose(), NOW_MS, body));
        assert_eq!(
            request.header("x-memory-token"),
            Some("[redacted]"),
            "a proven request is stored and shown"
        );
        connector.parse(&request, None)
    };
    assert_eq!(deliver(delivery::dirty("work")).unwrap().len(), 1);
    assert_eq!(deliver(fact).unwrap_err().kind, ErrorKind::BadSignature);
}

#[test]
fn what_the_inbox_kept_says_what_was_proven() {
    let connector = provider(WebhookProof::Signed);
    let body = delivery::body(&[delivery::dirty("work")]);
    let mut request = delivery::signed(&key(), "msg_1", NOW_MS, body.clone()).unwrap();
    request.headers.append(
        "x-odd",
        http::HeaderValue::from_bytes(b"\xff\xfe caf\xc3\xa9").unwrap(),
    );
    request
        .headers
        .append("x-odd", http::HeaderValue::from_static("twice"));
    request.path_and_query = "/hooks/conn_1?a=b".to_owned();
    let before = proven(&connector, request);

    let row = serde_json::to_string(&StoredHead::of(&before)).unwrap();
    let head: StoredHead = serde_json::from_str(&row).unwrap();
    let after = head.restore(body).unwrap();
    assert_eq!(after.request().headers, before.request().headers);
    assert_eq!(after.request().path_and_query, before.request().path_and_query);
    assert_eq!(after.body(), before.body());
    assert_eq!(after.grade(), before.grade());
    assert_eq!(connector.delivery_id(&after).as_deref(), Some("msg_1"));
    assert_eq!(connector.parse(&after, None).unwrap().len(), 1);
}

#[test]
fn a_challenge_is_echoed_as_text_and_only_when_short() {
    let connector = provider(WebhookProof::Signed);
    let mut request = delivery::with_token("", NOW_MS, bytes::Bytes::new());
    request.method = http::Method::GET;
    let ask = |request: &RawRequest| connector.handshake(request, &WebhookSecrets::default(), NOW_MS);
    request.path_and_query = "/?challenge=a%26b".to_owned();
    let answer = ask(&request).unwrap();
    assert_eq!(answer.body, "a&b");
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    request.path_and_query = format!("/?challenge={}", "a".repeat(300));
    assert!(ask(&request).is_none());
    request.path_and_query = "/?challenge=a".to_owned();
    request.method = http::Method::POST;
    assert!(ask(&request).is_none(), "a delivery is no challenge");
}

#[test]
fn nothing_of_a_request_is_in_its_debug() {
    let request = delivery::signed(&key(), "msg_1", NOW_MS, "private words".into()).unwrap();
    let shown = format!("{request:?}");
    assert!(shown.contains("body_bytes: 13"), "{shown}");
    for hidden in ["private", "msg_1", "v1,", key().expose()] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    assert_eq!(
        format!("{:?}", WebhookSecrets::new([key()])),
        "WebhookSecrets { live: [WebhookSecret], keys: None, audiences: [] }"
    );
}
