//! What others do to a folder, and what the connector makes of it.

use std::collections::BTreeSet;

use connector_sdk::{
    Action, Change, Connector as _, Coverage, ErrorKind, Known, Listing, RemoteId, Target, Write,
};
use model::{FieldPath, IntentId, Kind, PartKey};
use serde_json::json;

use crate::account::{Account, FOLDER, USER, changes, cursor, message};

const POORER: [&[&str]; 3] = [&[], &["QRESYNC"], &["QRESYNC", "CONDSTORE"]];

async fn with_messages(without: &'static [&'static str], count: usize) -> Account {
    let account = Account::start(without).await.unwrap();
    for number in 0..count {
        let raw = message(&format!("m{number}"));
        account.server.append(USER, FOLDER, raw.as_bytes()).unwrap();
    }
    account
}

#[tokio::test]
async fn folders_are_named_with_what_they_are_for() {
    let account = Account::start(&[]).await.unwrap();
    let words = ["mailbox", "create", "-u", USER, "Work/Entwürfe"];
    account.server.doveadm(&words, b"").unwrap();
    let folder = account.folder("Work/Entw&APw-rfe").await;
    assert_eq!(folder.name, "Entwürfe");
    assert_eq!(folder.fields["path"], "Work/Entwürfe");
    assert_eq!(account.folder("INBOX").await.fields["role"], "inbox");
    assert_eq!(account.folder("Sent").await.fields["role"], "sent");
}

#[tokio::test]
async fn a_folder_is_read_newest_first_and_then_only_its_changes() {
    for without in POORER {
        let account = with_messages(without, 5).await;
        let mut known = Known::new();
        let pages = account.pull(None, &mut known).await.unwrap();
        let subjects: Vec<_> = changes(&pages)
            .iter()
            .map(|change| match change {
                Change::Present(object) => object.content.fields["subject"].as_str().unwrap().to_owned(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(subjects, ["m4", "m3", "m2", "m1", "m0"]);
        let since = cursor(&pages);

        let uids = account.server.uids(USER, FOLDER, &["all"]).unwrap();
        account
            .server
            .add_flags(USER, FOLDER, uids[1], "\\Flagged work")
            .unwrap();
        // The highest UID goes: the next message gets a higher one all the same.
        account.server.expunge(USER, FOLDER, uids[4]).unwrap();
        account
            .server
            .append(USER, FOLDER, message("m5").as_bytes())
            .unwrap();
        let pages = account.pull(Some(&since), &mut known).await.unwrap();
        assert!(pages.iter().all(|page| page.listing == Listing::Delta));
        let mut flagged = 0;
        let mut seen = BTreeSet::new();
        for change in changes(&pages) {
            match change {
                Change::Present(object) if object.coverage == Coverage::Sparse => {
                    assert_eq!(object.content.fields["flags"], json!(["flagged"]));
                    assert_eq!(object.content.fields["labels"], json!(["work"]));
                    flagged += 1;
                }
                Change::Present(object) => {
                    seen.insert(object.content.fields["subject"].as_str().unwrap().to_owned());
                }
                Change::Deleted(id) => assert_eq!(Account::uid(id), uids[4]),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((flagged, seen), (1, ["m5".to_owned()].into()), "{without:?}");
        assert_eq!(known.len(), 5);

        let since = cursor(&pages);
        let before = account.dial.commands();
        let pages = account.pull(Some(&since), &mut known).await.unwrap();
        assert!(changes(&pages).is_empty(), "{without:?}");
        assert_eq!(cursor(&pages), since);
        let asked = account.dial.commands() - before;
        assert!(asked <= 16, "{asked} commands to hear that nothing changed");
    }
}

#[tokio::test]
async fn messages_keep_their_ids_when_the_folder_gets_new_uids() {
    for without in POORER {
        let account = with_messages(without, 4).await;
        // Two that nothing tells apart.
        let twin = message("twin");
        account.server.append(USER, FOLDER, twin.as_bytes()).unwrap();
        account.server.append(USER, FOLDER, twin.as_bytes()).unwrap();
        let mut known = Known::new();
        let pages = account.pull(None, &mut known).await.unwrap();
        let since = cursor(&pages);
        let before: BTreeSet<RemoteId> = known.keys().cloned().collect();
        assert_eq!(before.len(), 6);

        // Every message moves away and back: all UIDs are new, and so is the folder's number.
        for (from, to) in [(FOLDER, "Away"), ("Away", FOLDER)] {
            if to == "Away" {
                account
                    .server
                    .doveadm(&["mailbox", "create", "-u", USER, to], b"")
                    .unwrap();
            }
            let words = ["move", "-u", USER, to, "mailbox", from, "all"];
            account.server.doveadm(&words, b"").unwrap();
        }
        account.server.renumber(USER, FOLDER, 4_000_000_000).unwrap();
        let uids = account.server.uids(USER, FOLDER, &["all"]).unwrap();
        assert!(uids[0] > 6, "{uids:?}");
        account.server.expunge(USER, FOLDER, uids[0]).unwrap();
        account
            .server
            .append(USER, FOLDER, message("later").as_bytes())
            .unwrap();

        let error = account.pull(Some(&since), &mut known).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::CursorExpired);
        let mut after = known.clone();
        let pages = account.pull(None, &mut after).await.unwrap();
        let named: Vec<&RemoteId> = changes(&pages).iter().map(|change| change.id()).collect();
        let again: BTreeSet<RemoteId> = named.iter().map(|id| (*id).clone()).collect();
        assert_eq!(named.len(), again.len(), "nothing is doubled");
        assert_eq!(again.len(), 6);
        assert_eq!(again.intersection(&before).count(), 5, "{without:?}: {again:?}");

        // By their old names they are found where they are now; the one that is gone is not.
        let ids: Vec<RemoteId> = before.into_iter().collect();
        let collection = account.folder(FOLDER).await;
        let pull = account.connector.pull().unwrap();
        let fetched = pull.fetch(&account.context, &collection, &ids).await.unwrap();
        let there = fetched
            .iter()
            .filter(|change| matches!(change, Change::Present(_)));
        assert_eq!(there.count(), 5);

        // A flag that is set now goes to the message that bears the old name.
        let old = |id: &RemoteId| ids.contains(id) && again.contains(id);
        let (id, version) = after.iter().find(|(id, _)| old(id)).unwrap();
        let mut content = model::Content::default();
        content.fields.insert("flags".to_owned(), json!(["seen"]));
        let write = Write {
            intent: IntentId::new(1, 1),
            kind: Kind::Message,
            part: PartKey::MASTER,
            action: Action::Update {
                target: Target {
                    id: Some(id.clone()),
                    version: version.clone(),
                    raw: None,
                    series: None,
                },
                content,
                changed: [FieldPath::master("flags")].into(),
            },
        };
        let push = account.connector.push().unwrap();
        let outcome = push
            .apply(&account.context, &collection, &[write])
            .await
            .pop()
            .unwrap()
            .unwrap();
        let stored = outcome.object().unwrap();
        assert_eq!(
            (&stored.id, &stored.content.fields["flags"]),
            (id, &json!(["seen"]))
        );
    }
}

#[tokio::test]
async fn a_delete_removes_that_message_and_no_other() {
    for without in [&[][..], &["UIDPLUS", "QRESYNC", "CONDSTORE"]] {
        let account = with_messages(without, 3).await;
        let mut known = Known::new();
        account.pull(None, &mut known).await.unwrap();
        let uids = account.server.uids(USER, FOLDER, &["all"]).unwrap();
        let collection = account.folder(FOLDER).await;
        let delete = |uid: u32| {
            let (id, version) = known.iter().find(|(id, _)| Account::uid(id) == uid).unwrap();
            Write {
                intent: IntentId::new(1, 1),
                kind: Kind::Message,
                part: PartKey::MASTER,
                action: Action::Delete {
                    target: Target {
                        id: Some(id.clone()),
                        version: version.clone(),
                        raw: None,
                        series: None,
                    },
                },
            }
        };
        account
            .server
            .add_flags(USER, FOLDER, uids[2], "\\Deleted")
            .unwrap();
        let push = account.connector.push().unwrap();
        let outcome = push
            .apply(&account.context, &collection, &[delete(uids[0])])
            .await
            .pop()
            .unwrap();
        let left = account.server.uids(USER, FOLDER, &["all"]).unwrap();
        if without.is_empty() {
            outcome.unwrap();
            assert_eq!(left, uids[1..]);
        } else {
            // Another client's message would go with it.
            assert_eq!(outcome.unwrap_err().kind, ErrorKind::Unsupported);
            assert_eq!(left, uids);
        }
    }
}
