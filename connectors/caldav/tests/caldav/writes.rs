//! Writing: conditional, and repeatable by probe.

use std::collections::BTreeSet;

use bytes::Bytes;
use connector_sdk::{
    Action, Applied, Change, Connector as _, ErrorKind, RemoteCollection, RemoteId, RemoteObject, Retry,
    Target, Write,
};
use http::Method;
use model::{Content, FieldPath, IntentId, Kind, PartKey};
use serde_json::{Value, json};
use simulators::caldav::Quirks;
use simulators::faults::{Fault, Match};
use testkit::corpus::semantics;
use testkit::harness::Radicale;

use crate::account::{Account, PASSWORD, Replica, event, simulated};

pub(crate) fn write(number: u64, action: Action) -> Write {
    let intent = IntentId::new(1_700_000_000_000 + number, 42);
    Write {
        intent,
        kind: Kind::Event,
        part: PartKey::MASTER,
        action,
    }
}

pub(crate) fn content(title: &str) -> Content {
    let fields = json!({
        "title": title,
        "start": {"kind": "zoned", "wall": "2026-03-02T09:00:00", "zone": "Europe/Berlin"},
        "end": {"kind": "zoned", "wall": "2026-03-02T10:00:00", "zone": "Europe/Berlin"},
    });
    Content::new(serde_json::from_value(fields).unwrap())
}

pub(crate) fn target(object: &RemoteObject) -> Target {
    Target {
        id: Some(object.id.clone()),
        version: object.version.clone(),
        raw: Some(object.raw.clone()),
        series: None,
    }
}

pub(crate) fn retitled(object: &RemoteObject, title: &str) -> Action {
    let mut content = object.content.clone();
    let path = FieldPath::master("title");
    content.set(&path, Some(Value::from(title)));
    Action::Update {
        target: target(object),
        content,
        changed: BTreeSet::from([path]),
    }
}

pub(crate) fn stored(applied: Applied) -> RemoteObject {
    match applied {
        Applied::Stored(object) => *object,
        Applied::Gone => panic!("it is gone"),
    }
}

async fn present(account: &Account, calendar: &RemoteCollection, id: &RemoteId) -> RemoteObject {
    match account.fetch(calendar, id).await {
        Change::Present(object) => *object,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_event_is_created_changed_and_deleted_at_a_real_server() {
    let server = Radicale::start().await.unwrap();
    server
        .load_collection("alice", "work", [("a.ics", event("a", "One"))])
        .unwrap();
    let account = Account::of(&server);
    let calendar = account.calendar("work").await;
    let create = write(
        1,
        Action::Create {
            content: content("Grüße, 世界"),
        },
    );
    let push = account.connector.push().unwrap();
    assert!(
        push.probe(&account.ctx, &calendar, &create)
            .await
            .unwrap()
            .is_none()
    );

    let made = stored(account.write(&calendar, create.clone()).await.unwrap());
    assert_eq!(made.id.0, format!("/alice/work/{}.ics", create.intent));
    assert_eq!(made.content.fields["title"], "Grüße, 世界");
    assert_eq!(made.content.fields["uid"], create.intent.as_str());
    let found = push
        .probe(&account.ctx, &calendar, &create)
        .await
        .unwrap()
        .unwrap()
        .object()
        .unwrap();
    assert_eq!(
        (&found.id, &found.version, &found.content),
        (&made.id, &made.version, &made.content)
    );
    let again = account.write(&calendar, create).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::AlreadyExists);

    let changed = stored(
        account
            .write(&calendar, write(2, retitled(&made, "New")))
            .await
            .unwrap(),
    );
    assert_ne!(changed.version, made.version);
    assert_eq!(
        present(&account, &calendar, &made.id).await.content.fields["title"],
        "New"
    );
    let stale = account
        .write(&calendar, write(3, retitled(&made, "Too late")))
        .await
        .unwrap_err();
    assert_eq!(
        (stale.kind, stale.retry),
        (ErrorKind::VersionConflict, Retry::Permanent)
    );

    let stale = account
        .write(
            &calendar,
            write(
                4,
                Action::Delete {
                    target: target(&made),
                },
            ),
        )
        .await
        .unwrap_err();
    assert_eq!(stale.kind, ErrorKind::VersionConflict);
    for number in [5, 6] {
        let delete = write(
            number,
            Action::Delete {
                target: target(&changed),
            },
        );
        assert!(
            matches!(account.write(&calendar, delete).await.unwrap(), Applied::Gone),
            "twice is as good as once"
        );
    }
    assert!(
        server
            .read_item("alice", "work", "a.ics")
            .unwrap()
            .unwrap()
            .contains("SUMMARY:One")
    );
}

#[tokio::test]
async fn an_edit_keeps_what_the_mapping_does_not_know() {
    let server = Radicale::start().await.unwrap();
    let before = event("a", "One").replace(
        "END:VEVENT",
        "BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT7M\r\nDESCRIPTION:x\r\nX-OURS:no\r\nEND:VALARM\r\nEND:VEVENT",
    );
    server
        .load_collection("alice", "work", [("a.ics", &before)])
        .unwrap();
    let account = Account::of(&server);
    let calendar = account.calendar("work").await;
    let id = RemoteId("/alice/work/a.ics".into());
    let object = present(&account, &calendar, &id).await;
    account
        .write(&calendar, write(1, retitled(&object, "Two")))
        .await
        .unwrap();
    let after = server.read_item("alice", "work", "a.ics").unwrap().unwrap();
    let ignored = ["SUMMARY", "DTSTAMP", "LAST-MODIFIED", "SEQUENCE", "PRODID"];
    let differences = semantics::differences(&before, &after, &ignored);
    assert!(differences.is_empty(), "{differences:?}");
    assert!(after.contains("SUMMARY:Two"));
}

#[tokio::test]
async fn an_event_keeps_its_uid_and_a_second_of_the_same_is_refused_in_words() {
    let server = Radicale::start().await.unwrap();
    server
        .load_collection("alice", "work", [("a.ics", event("taken", "One"))])
        .unwrap();
    let account = Account::of(&server);
    let calendar = account.calendar("work").await;
    let mut own = content("Own");
    own.fields.insert("uid".to_owned(), json!("own@example.org"));
    let made = stored(
        account
            .write(&calendar, write(1, Action::Create { content: own.clone() }))
            .await
            .unwrap(),
    );
    assert_eq!(made.content.fields["uid"], "own@example.org");
    own.fields.insert("uid".to_owned(), json!("taken"));
    let error = account
        .write(&calendar, write(2, Action::Create { content: own }))
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::Invalid, Retry::Permanent));
    assert!(error.message.contains("same UID"), "{error}");
}

#[tokio::test]
async fn an_edit_between_our_read_and_our_write_is_never_overwritten() {
    let server = simulated(1, Quirks::default()).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let handle = server.calendar("alice", "work");
    let object = present(&account, &calendar, &RemoteId(handle.path_of("000.ics"))).await;
    let other = handle.clone();
    server.before_next_put(move || {
        other.put("000.ics", event("uid-0", "Somebody else's")).unwrap();
    });
    let error = account
        .write(&calendar, write(1, retitled(&object, "Ours")))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::VersionConflict);
    assert!(handle.get("000.ics").unwrap().ics.contains("Somebody else's"));
}

#[tokio::test]
async fn a_lost_answer_to_a_create_is_found_by_probe_and_nothing_is_sent_twice() {
    let server = simulated(0, Quirks::default()).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    server
        .faults()
        .next(Match::method(Method::PUT), Fault::LoseResponse);
    let create = write(
        1,
        Action::Create {
            content: content("Once"),
        },
    );
    let error = account.write(&calendar, create.clone()).await.unwrap_err();
    assert!(error.is_doubtful(), "{error}");
    assert_eq!(server.log().writes(), 1, "a write is never repeated blindly");
    let push = account.connector.push().unwrap();
    let found = push
        .probe(&account.ctx, &calendar, &create)
        .await
        .unwrap()
        .unwrap()
        .object()
        .unwrap();
    assert_eq!(found.content.fields["title"], "Once");
    assert_eq!(server.calendar("alice", "work").list().len(), 1);
}

#[tokio::test]
async fn without_an_etag_on_the_answer_the_object_is_read_back_as_it_was_rewritten() {
    let mut quirks = Quirks {
        no_etag_on_put: true,
        truncate_text: Some(4),
        ..Quirks::default()
    };
    quirks.drop_unknown_properties = true;
    let server = simulated(0, quirks).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let create = write(
        1,
        Action::Create {
            content: content("Much too long"),
        },
    );
    let made = stored(account.write(&calendar, create).await.unwrap());
    assert_eq!(made.content.fields["title"], "Much");
    let member = &server.calendar("alice", "work").list()[0];
    assert_eq!(made.version.unwrap().0, member.etag);
}

#[tokio::test]
async fn a_server_that_rewrites_despite_its_etag_can_be_set_to_be_read_back() {
    let quirks = Quirks {
        etag_despite_rewrite: true,
        truncate_text: Some(4),
        ..Quirks::default()
    };
    let server = simulated(0, quirks).await;
    let mut account = Account::at(&server);
    let settings = json!({"read_back": true});
    account.ctx.config = std::sync::Arc::new(settings.as_object().unwrap().clone());
    let calendar = account.calendar("Work").await;
    let create = write(
        1,
        Action::Create {
            content: content("Much too long"),
        },
    );
    assert_eq!(
        stored(account.write(&calendar, create).await.unwrap())
            .content
            .fields["title"],
        "Much"
    );
}

#[tokio::test]
async fn without_etags_a_write_looks_first_and_sees_somebody_elses_edit() {
    let server = simulated(
        1,
        Quirks {
            no_etags: true,
            ..Quirks::default()
        },
    )
    .await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let handle = server.calendar("alice", "work");
    let mut replica = Replica::default();
    replica.pull(&account, &calendar).await;
    let object = replica.objects.values().next().unwrap().clone();
    let changed = stored(
        account
            .write(&calendar, write(1, retitled(&object, "Ours")))
            .await
            .unwrap(),
    );
    assert!(handle.get("000.ics").unwrap().ics.contains("SUMMARY:Ours"));
    handle.put("000.ics", event("uid-0", "Somebody else's")).unwrap();
    for action in [
        retitled(&changed, "Again"),
        Action::Delete {
            target: target(&changed),
        },
    ] {
        let error = account.write(&calendar, write(2, action)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::VersionConflict);
    }
    assert!(handle.get("000.ics").unwrap().ics.contains("Somebody else's"));
}

#[tokio::test]
async fn what_an_update_starts_from_is_read_when_it_is_not_at_hand() {
    let server = simulated(1, Quirks::default()).await;
    let account = Account::new(server.base_url(), "alice", PASSWORD);
    let calendar = account.calendar("Work").await;
    let handle = server.calendar("alice", "work");
    let object = present(&account, &calendar, &RemoteId(handle.path_of("000.ics"))).await;
    let Action::Update {
        target,
        content,
        changed,
    } = retitled(&object, "Two")
    else {
        unreachable!()
    };
    let bare = Target { raw: None, ..target };
    let update = Action::Update {
        target: bare.clone(),
        content: content.clone(),
        changed: changed.clone(),
    };
    account.write(&calendar, write(1, update)).await.unwrap();
    let text = handle.get("000.ics").unwrap().ics;
    assert!(
        text.contains("SUMMARY:Two") && text.contains("X-COLOUR-OF-THE-DOOR"),
        "{text}"
    );
    let update = Action::Update {
        target: bare,
        content,
        changed,
    };
    let error = account.write(&calendar, write(2, update)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::VersionConflict);
}

#[tokio::test]
async fn what_would_be_read_back_is_what_is_read_back() {
    let server = Radicale::start().await.unwrap();
    server
        .load_collection("alice", "work", Vec::<(&str, Bytes)>::new())
        .unwrap();
    let account = Account::of(&server);
    let calendar = account.calendar("work").await;
    let mut wanted = content("Projected");
    wanted.fields.insert("uid".to_owned(), json!("projected"));
    wanted.fields.insert("location".to_owned(), json!("Room 1"));
    let projected = account.connector.project(&calendar, &wanted);
    assert_eq!(account.connector.project(&calendar, &projected), projected);
    let made = stored(
        account
            .write(&calendar, write(1, Action::Create { content: wanted }))
            .await
            .unwrap(),
    );
    let read = present(&account, &calendar, &made.id).await.content;
    for (field, value) in &projected.fields {
        assert_eq!(read.fields.get(field), Some(value), "{field}");
    }
}
