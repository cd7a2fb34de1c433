//! A mailbox at a real server and the hub: taken in, kept in step, marked on either side and on both, renumbered.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use testkit::harness::Dovecot;

use crate::hub::{Connected, Hub};
use crate::size;

const USER: &str = "alice";
const IDLE_ROUNDS: usize = 5;

fn raw(subject: &str, extra: &str) -> String {
    format!(
        "From: Grace <grace@example.org>\r\nTo: zoe@example.net\r\nSubject: {subject}\r\n\
         Date: Sun, 01 Mar 2026 10:00:00 +0100\r\nMessage-ID: <{subject}@example.org>\r\n{extra}\r\nBring coffee\r\n"
    )
}

/// A mailbox with messages `m0`, `m1`, ... in its inbox, and a hub that has taken them in.
async fn connected(count: usize) -> (Dovecot, Hub, Connected) {
    let server = Dovecot::start().await.unwrap();
    for number in 0..count {
        let message = raw(&format!("m{number}"), "");
        server.append(USER, "INBOX", message.as_bytes()).unwrap();
    }
    let hub = Hub::start().await;
    let connected = hub.connect(account(&server)).await;
    assert_eq!(connected.first_sync["created"], count, "{}", connected.first_sync);
    (server, hub, connected)
}

fn account(server: &Dovecot) -> Value {
    json!({
        "provider": "imap",
        "name": "Mail",
        "config": {"base_url": server.base_url(), "security": "none"},
        "credentials": {"username": USER, "password": server.password()},
    })
}

async fn messages(hub: &Hub) -> BTreeMap<String, Value> {
    let found = hub.all("/v1/messages").await.into_iter();
    found
        .map(|message| (message["subject"].as_str().unwrap().to_owned(), message))
        .collect()
}

fn path(message: &Value) -> String {
    format!("/v1/messages/{}", message["id"].as_str().unwrap())
}

fn uid(server: &Dovecot, subject: &str) -> u32 {
    server.uids(USER, "INBOX", &["subject", subject]).unwrap()[0]
}

fn flags(server: &Dovecot, uid: u32) -> BTreeSet<String> {
    let flags = server.flags(USER, "INBOX", uid).unwrap().into_iter();
    flags.filter(|flag| flag != "\\Recent").collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

async fn assert_idle(hub: &Hub, connection: &str) {
    for _ in 0..IDLE_ROUNDS {
        let summary = hub.synced(connection).await;
        for count in ["created", "updated", "deleted", "written", "conflicts"] {
            assert_eq!(summary[count], 0, "{count}: {summary}");
        }
    }
}

#[tokio::test]
async fn a_mailbox_is_taken_in_and_kept_in_step_both_ways() {
    let (server, hub, connected) = connected(size(30, 500)).await;
    let folders = hub.all("/v1/folders").await;
    let roles: BTreeSet<&str> = folders
        .iter()
        .filter_map(|folder| folder["role"].as_str())
        .collect();
    assert_eq!(roles, ["inbox", "sent", "trash"].into());
    let inbox = folders.iter().find(|folder| folder["role"] == "inbox").unwrap();
    assert_eq!(inbox["counts"]["messages"], size(30, 500));

    let before = messages(&hub).await;
    let one = &before["m1"];
    assert_eq!(
        one["from"],
        json!([{"address": "grace@example.org", "name": "Grace"}])
    );
    assert_eq!(one["preview"], "Bring coffee");
    assert_eq!(one["folder_id"], inbox["id"]);
    assert_eq!(one["body"], Value::Null, "lists are without bodies");
    assert_eq!(hub.get(&path(one)).await.data()["body"]["text"], "Bring coffee");
    for (query, count) in [
        (
            format!("folder_id={}", inbox["id"].as_str().unwrap()),
            size(30, 500),
        ),
        (format!("connection_id={}", connected.id), size(30, 500)),
        ("q=GRACE".to_owned(), size(30, 500)),
        ("q=m17".to_owned(), size(1, 1 + 10)),
        ("updated_after=2099-01-01T00:00:00Z".to_owned(), 0),
    ] {
        let found = hub.all(&format!("/v1/messages?{query}")).await;
        if query != "q=m17" {
            assert_eq!(found.len(), count, "{query}");
        } else {
            assert!(found.iter().any(|message| message["subject"] == "m17"), "{query}");
        }
    }

    // Others mark, send and remove; the hub marks.
    server
        .add_flags(USER, "INBOX", uid(&server, "m2"), "\\Seen work")
        .unwrap();
    server.expunge(USER, "INBOX", uid(&server, "m3")).unwrap();
    server
        .append(
            USER,
            "INBOX",
            raw("new", "References: <m1@example.org>\r\n").as_bytes(),
        )
        .unwrap();
    let edit = json!({"flags": ["flagged", "seen"], "labels": ["todo"]});
    hub.patch(&path(&before["m4"]), edit).await.data();
    hub.settle().await;
    hub.synced(&connected.id).await;
    let now = messages(&hub).await;
    assert_eq!(now["m2"]["flags"], json!(["seen"]));
    assert_eq!(now["m2"]["labels"], json!(["work"]));
    assert!(!now.contains_key("m3"));
    assert_eq!(now["new"]["thread"], "m1@example.org");
    assert_eq!(
        flags(&server, uid(&server, "m4")),
        set(&["\\Flagged", "\\Seen", "todo"])
    );
    assert_eq!(now["m4"]["links"][0]["state"], "synced");

    // Both mark the same message: neither mark is lost.
    server
        .add_flags(USER, "INBOX", uid(&server, "m5"), "\\Flagged theirs")
        .unwrap();
    hub.patch(&path(&now["m5"]), json!({"flags": ["seen"], "labels": ["ours"]}))
        .await
        .data();
    hub.settle().await;
    hub.synced(&connected.id).await;
    hub.settle().await;
    let both = set(&["\\Flagged", "\\Seen", "ours", "theirs"]);
    assert_eq!(flags(&server, uid(&server, "m5")), both);
    let now = messages(&hub).await;
    assert_eq!(now["m5"]["flags"], json!(["flagged", "seen"]));
    assert_eq!(now["m5"]["labels"], json!(["ours", "theirs"]));

    // A delete here is one there.
    let gone = uid(&server, "m6");
    assert_eq!(hub.delete(&path(&now["m6"])).await.status, 204);
    hub.settle().await;
    assert!(!server.uids(USER, "INBOX", &["all"]).unwrap().contains(&gone));
    assert_idle(&hub, &connected.id).await;
}

#[tokio::test]
async fn what_was_sent_cannot_be_changed_and_is_said_so() {
    let (_server, hub, _) = connected(1).await;
    let message = messages(&hub).await.remove("m0").unwrap();
    for (field, value, code) in [
        ("subject", json!("another"), "read_only"),
        ("folder_id", json!("x"), "read_only"),
        ("flags", json!(["read"]), "invalid_field"),
        ("colour", json!("red"), "unknown_field"),
    ] {
        let answer = hub.patch(&path(&message), json!({ field: value })).await;
        assert!(answer.text.contains(code), "{field}: {}", answer.text);
        assert!(answer.status >= 400);
    }
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_a_folder_gets_new_uids() {
    let count = size(25, 500);
    let (server, hub, connected) = connected(count).await;
    let before = messages(&hub).await;
    // An edit of ours waits while all UIDs become others: the message goes out and comes back in.
    server
        .doveadm(&["mailbox", "create", "-u", USER, "Away"], b"")
        .unwrap();
    for (from, to) in [("INBOX", "Away"), ("Away", "INBOX")] {
        server
            .doveadm(&["move", "-u", USER, to, "mailbox", from, "all"], b"")
            .unwrap();
    }
    server.renumber(USER, "INBOX", 4_000_000_000).unwrap();
    hub.patch(&path(&before["m7"]), json!({"flags": ["answered"]}))
        .await
        .data();
    hub.settle().await;
    hub.synced(&connected.id).await;
    hub.settle().await;
    let after = messages(&hub).await;
    let ids = |all: &BTreeMap<String, Value>| -> BTreeMap<String, Value> {
        all.iter()
            .map(|(subject, message)| (subject.clone(), message["id"].clone()))
            .collect()
    };
    assert_eq!(
        ids(&before),
        ids(&after),
        "every message is the record that it was"
    );
    assert_eq!(hub.all("/v1/messages").await.len(), count);
    assert_eq!(flags(&server, uid(&server, "m7")), set(&["\\Answered"]));
    assert_idle(&hub, &connected.id).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_set_aside_and_a_refused_login_is_said() {
    let server = Dovecot::start().await.unwrap();
    server.append(USER, "INBOX", raw("good", "").as_bytes()).unwrap();
    server.append(USER, "INBOX", b"\r\n\r\n").unwrap();
    let hub = Hub::start().await;
    let connected = hub.connect(account(&server)).await;
    assert_eq!(messages(&hub).await.len(), 1);
    let aside = hub.all("/v1/quarantine").await;
    assert_eq!(aside.len(), 1, "{aside:#?}");
    assert_idle(&hub, &connected.id).await;
    server.revoke().await.unwrap();
    hub.sync(&connected.id).await;
    let health = hub.get(&format!("/v1/connections/{}", connected.id)).await.data();
    assert_eq!(health["health"], "needs_reauth", "{health}");
    assert!(!health.to_string().contains(server.password()));
    let mut wrong = account(&server);
    wrong["config"]["base_url"] = json!("https://127.0.0.1:1");
    let answer = hub.post("/v1/connections", wrong).await;
    assert!(answer.text.contains("imaps:// or imap://"), "{}", answer.text);
}
