//! What becomes of writes at providers with each quirk of ids, conditions, frames, rewriting and mails.

use bytes::Bytes;
use connector_sdk::{Action, Applied, Change, ErrorKind, RemoteCollection};
use model::{Content, FieldPath, Kind, PartKey};
use serde_json::{Value, json};
use testkit::conformance::sample;
use testkit::simulation::provider::{Creation, Layout, Mails, Quirks, Versions};

use crate::client::{Client, WORK, client, events, target};

fn with(change: impl FnOnce(&mut Quirks)) -> Client {
    let mut quirks = Quirks::NONE;
    change(&mut quirks);
    events(quirks)
}

#[tokio::test]
async fn a_create_without_a_client_id_gets_one_of_the_servers_and_is_found_by_its_word_or_not_at_all() {
    for creation in [Creation::Marker, Creation::Blind] {
        let client = with(|quirks| quirks.creation = creation);
        let write = client.create(1, sample::event("new"));
        let made = client.store(write.clone()).await;
        assert!(!write.intent.as_str().contains(&made.id.0[1..]), "{:?}", made.id);
        let found = client.probe(&write).await;
        let again = client.store(write.clone()).await;
        match creation {
            Creation::Marker | Creation::ClientId => {
                assert_eq!(found.unwrap().unwrap().object().unwrap().id, made.id);
                assert_eq!(again.id, made.id);
                client.apply(client.delete(&made)).await.unwrap();
                assert!(matches!(client.probe(&write).await.unwrap(), Some(Applied::Gone)));
                let dead = client.apply(write).await.unwrap_err();
                assert_eq!(dead.kind, ErrorKind::AlreadyExists);
            }
            Creation::Blind => {
                assert_eq!(found.unwrap_err().kind, ErrorKind::Unsupported);
                assert_ne!(again.id, made.id);
            }
        }
    }
}

#[tokio::test]
async fn a_condition_is_worth_what_the_grade_says() {
    for (versions, overwrites) in [
        (Versions::Strong, false),
        (Versions::Second, true),
        (Versions::Weak, true),
        (Versions::None, true),
    ] {
        let client = with(|quirks| quirks.versions = versions);
        client.put("a", "before");
        let read = client.fetch("a").await;
        client.edit("a", "theirs, in the same second");
        let outcome = client.apply(client.retitle(&read, "mine")).await;
        assert_eq!(outcome.is_ok(), overwrites, "{versions:?}");
        let read = client.fetch("a").await;
        client.provider.set_now(1_700_000_005_000);
        client.edit("a", "theirs, later");
        let outcome = client.apply(client.retitle(&read, "mine")).await;
        let refused = matches!(versions, Versions::Strong | Versions::Second);
        assert_eq!(outcome.is_err(), refused, "{versions:?}");
    }
}

#[tokio::test]
async fn an_object_without_a_condition_is_overwritten_and_that_is_written_down() {
    let client = with(|quirks| quirks.versions = Versions::None);
    client.put("a", "before");
    let read = client.fetch("a").await;
    client.edit("a", "theirs");
    client.store(client.retitle(&read, "mine")).await;
    let write = client.provider.take_hub_writes().remove(0);
    assert_eq!(write.unseen, [FieldPath::master("title")]);
}

#[tokio::test]
async fn a_whole_write_carries_the_vendors_own_fields_or_loses_them() {
    for (kept, whole_put) in [(true, true), (false, true), (false, false)] {
        let client = with(|quirks| quirks.whole_put = whole_put);
        client.put("a", "before");
        let mut read = client.fetch("a").await;
        let raw: Value = serde_json::from_slice(&read.raw).unwrap();
        assert!(raw["vendor"]["vendor_tag"].is_u64(), "{raw}");
        if !kept {
            let bare = json!({"content": raw["content"]});
            read.raw = Bytes::from(bare.to_string());
        }
        client.store(client.retitle(&read, "after")).await;
        let write = client.provider.take_hub_writes().remove(0);
        assert_eq!(write.complement_lost, whole_put && !kept);
        let raw: Value = serde_json::from_slice(&client.fetch("a").await.raw).unwrap();
        assert_eq!(raw["vendor"].is_null(), whole_put && !kept, "{raw}");
    }
}

#[tokio::test]
async fn a_whole_write_of_an_old_object_without_a_condition_takes_later_edits_back() {
    for whole_put in [true, false] {
        let client = with(|quirks| quirks.whole_put = whole_put);
        client.put("a", "before");
        let mut read = client.fetch("a").await;
        client.provider.edit(WORK, "a", |content| {
            content.set(&FieldPath::master("location"), Some(json!("Room 2")));
        });
        read.version = None;
        client.store(client.retitle(&read, "after")).await;
        let place = client.provider.content(WORK, "a").unwrap().fields["location"].clone();
        let unseen = client.provider.take_hub_writes().remove(0).unseen;
        if whole_put {
            assert_eq!(place, "Room 1");
            assert_eq!(unseen, [FieldPath::master("location")]);
        } else {
            assert_eq!(place, "Room 2");
            assert!(unseen.is_empty());
        }
    }
}

#[tokio::test]
async fn a_whole_write_of_one_occurrence_says_all_of_it() {
    for layout in [Layout::PerPart, Layout::Instances] {
        let client = with(|quirks| {
            quirks.layout = layout;
            quirks.whole_put = true;
        });
        client.provider.put(WORK, "s", sample::series("standup"));
        let key = sample::edited();
        let read = client.fetch("s_20260309T090000").await;
        let mut content = client.provider.content(WORK, "s").unwrap();
        let path = FieldPath {
            part: key.clone(),
            field: "location".to_owned(),
        };
        content.set(&path, Some(json!("Room 9")));
        let action = Action::Update {
            target: target(&read),
            content: content.clone(),
            changed: [path].into(),
        };
        client.store(client.write(1, key, action)).await;
        assert_eq!(client.provider.content(WORK, "s"), Some(content), "{layout:?}");
    }
}

/// What is read back of a content that was written, and what another client's is kept as.
async fn kept(client: &Client, content: &Content) -> Content {
    let made = client.store(client.create(1, content.clone())).await;
    assert_eq!(client.fetch(&made.id.0).await.content, made.content);
    client.provider.put(WORK, "theirs", content.clone());
    assert_eq!(client.provider.content(WORK, "theirs").unwrap(), made.content);
    assert_eq!(client.provider.normalise(content), made.content);
    made.content
}

fn projected(client: &Client, collection: &RemoteCollection, content: &Content) -> Content {
    client.connector.project(collection, content)
}

#[tokio::test]
async fn texts_are_cut_and_the_projection_knows_where_that_is_documented() {
    for unannounced in [false, true] {
        let client = with(|quirks| {
            quirks.title_max = Some(6);
            quirks.notes_max = Some(5);
            quirks.unannounced = unannounced;
        });
        let content = sample::event("Grüße an alle");
        let read = kept(&client, &content).await;
        assert_eq!(read.fields["title"], "Grüße ");
        assert_eq!(read.fields["description"]["text"], "Bring");
        let collection = client.collection();
        let projected = projected(&client, &collection, &content);
        assert_eq!(projected == read, !unannounced);
        assert_eq!(projected == content, unannounced);
    }
}

#[tokio::test]
async fn an_override_that_is_cut_to_what_the_series_says_says_nothing_any_more() {
    let client = with(|quirks| quirks.title_max = Some(7));
    let read = kept(&client, &sample::series("standup")).await;
    let edited = &read.overrides[&sample::edited()];
    assert!(!edited.contains_key("title"), "{edited:?}");
    assert!(edited.contains_key("start"));
}

#[tokio::test]
async fn zones_are_replaced_by_others_with_the_same_rules() {
    let client = with(|quirks| quirks.zones = true);
    let read = kept(&client, &sample::series("standup")).await;
    assert_eq!(read.fields["start"]["zone"], "Europe/Paris");
    assert_eq!(read.overrides[&sample::edited()]["end"]["zone"], "Europe/Paris");
    let again = client.provider.normalise(&read);
    assert_eq!(again, read, "rewriting twice is rewriting once");
}

#[tokio::test]
async fn sets_come_in_another_order_and_are_read_as_the_same() {
    let client = with(|quirks| quirks.resorts = true);
    let read = kept(&client, &sample::meeting("people")).await;
    assert_eq!(read, sample::meeting("people"));
    let raw: Value = serde_json::from_slice(&client.fetch("theirs").await.raw).unwrap();
    let first = &raw["content"]["fields"]["attendees"][0]["address"];
    assert_eq!(first, "ZOE@EXAMPLE.NET");
}

#[tokio::test]
async fn rich_text_comes_back_as_the_vendor_writes_it() {
    let client = with(|quirks| quirks.html = true);
    let mut content = sample::event("rich");
    let html = json!({"text": "Hi", "html": "<b>Hi</b>"});
    content.fields.insert("description".to_owned(), html);
    let read = kept(&client, &content).await;
    assert_eq!(
        read.fields["description"]["html"],
        "<html><body><strong>Hi</strong></body></html>"
    );
    assert_eq!(client.provider.normalise(&read), read);
}

#[tokio::test]
async fn a_field_is_dropped_without_a_word_though_it_is_claimed() {
    let client = with(|quirks| quirks.drops = Some("location".to_owned()));
    assert!(client.connector.capability(Kind::Event).writes("location"));
    let content = sample::event("dropped");
    let collection = client.collection();
    assert_eq!(projected(&client, &collection, &content), content);
    let read = kept(&client, &content).await;
    assert!(!read.fields.contains_key("location"));
    let object = client.fetch("theirs").await;
    let write = client.set(&object, "location", Some(json!("Room 2")));
    let again = client.store(write).await;
    assert!(!again.content.fields.contains_key("location"));
}

#[tokio::test]
async fn a_field_that_is_lacking_is_not_claimed_and_one_that_is_read_only_is_not_taken() {
    let client = with(|quirks| {
        quirks.lacks = ["location".to_owned()].into();
        quirks.read_only = ["description".to_owned()].into();
    });
    let capability = client.connector.capability(Kind::Event);
    assert!(!capability.reads("location"));
    assert!(capability.reads("description") && !capability.writes("description"));
    let made = client.store(client.create(1, sample::event("made"))).await;
    for field in ["location", "description"] {
        assert!(!made.content.fields.contains_key(field), "{field}");
    }
    client.put("theirs", "theirs");
    let object = client.fetch("theirs").await;
    assert_eq!(object.content.fields["description"]["text"], "Bring coffee");
    let write = client.set(&object, "description", Some(json!({"text": "Mine"})));
    let after = client.store(write).await;
    assert_eq!(after.content.fields["description"]["text"], "Bring coffee");
}

#[tokio::test]
async fn the_provider_gives_its_own_uid_where_it_does() {
    for own_uid in [false, true] {
        let client = with(|quirks| quirks.own_uid = own_uid);
        let mut content = sample::event("named");
        content.fields.insert("uid".to_owned(), json!("ours"));
        let made = client.store(client.create(1, content)).await;
        assert_eq!(made.content.fields["uid"] != "ours", own_uid);
        assert!(made.content.fields["uid"].is_string());
        assert_eq!(client.connector.capability(Kind::Event).writes("uid"), !own_uid);
    }
}

#[tokio::test]
async fn guests_are_mailed_where_nothing_prevents_it() {
    for (mails, forgets, mailed) in [
        (Mails::Never, true, 0),
        (Mails::Suppressible, false, 0),
        (Mails::Suppressible, true, 3),
        (Mails::Always, false, 3),
    ] {
        let client = with(|quirks| quirks.mails = mails);
        if forgets {
            client.provider.forget_silence();
        }
        let alone = client.store(client.create(1, sample::event("alone"))).await;
        client.store(client.retitle(&alone, "still alone")).await;
        assert_eq!(client.provider.mails(), 0, "nobody is invited");
        let made = client.store(client.create(2, sample::meeting("together"))).await;
        let changed = client.store(client.retitle(&made, "changed")).await;
        client.apply(client.delete(&changed)).await.unwrap();
        assert_eq!(client.provider.mails(), mailed, "{mails:?}");
        let told = client.provider.take_hub_writes();
        assert_eq!(told.iter().filter(|write| write.mailed).count() as u64, mailed);
    }
}

#[tokio::test]
async fn what_was_written_is_rewritten_once_more_some_minutes_later() {
    let client = with(|quirks| quirks.rewrites_later_ms = Some(60_000));
    let made = client.store(client.create(1, sample::event("standup"))).await;
    assert_eq!(made.content.fields["title"], "standup");
    let cursor = client.pull(None).await.cursor();
    client.provider.set_now(1_700_000_059_999);
    assert!(client.pull(Some(&cursor)).await.ids().is_empty());
    client.provider.set_now(1_700_000_060_000);
    let delta = client.pull(Some(&cursor)).await;
    let Change::Present(object) = delta.changes()[0] else {
        panic!("{delta:?}", delta = delta.changes());
    };
    assert_eq!(object.content.fields["title"], "Standup");
    assert_ne!(object.version, made.version);
    assert_eq!(client.provider.normalise(&made.content), object.content);
    client.provider.set_now(1_700_009_000_000);
    assert!(client.pull(Some(&delta.cursor())).await.ids().is_empty(), "once");
    assert_eq!(client.provider.writes(), 1);
}

#[tokio::test]
async fn a_cancelled_occurrence_without_an_object_is_cancelled_by_a_delete_and_stays_so() {
    let client = with(|quirks| quirks.layout = Layout::Instances);
    let mut content = sample::series("standup");
    content.overrides.clear();
    let made = client.store(client.create(1, content.clone())).await;
    let key = PartKey::occurrence("2026-03-23T09:00:00");
    let start = model::series::time_field(&content.fields, "start").unwrap();
    let mut to = target(&made);
    to.series = Some(connector_sdk::SeriesPart {
        series: made.id.clone(),
        original_start: model::EventTime::from_part_key(&key, &start).unwrap(),
    });
    to.id = None;
    let delete = client.write(2, key.clone(), Action::Delete { target: to });
    assert!(matches!(client.apply(delete).await, Ok(Applied::Gone)));
    let master = client.fetch(&made.id.0).await;
    assert!(model::series::is_cancelled(&master.content.overrides[&key]));
    assert_eq!(client.pull(None).await.ids(), [made.id.0.as_str()]);
    assert_eq!(client.provider.take_hub_writes()[1].part, key);
}

#[tokio::test]
async fn contacts_are_flat() {
    let client = client(Kind::Contact, Quirks::NONE);
    let made = client.store(client.create(1, sample::contact("Zoe"))).await;
    assert_eq!(made.kind, Kind::Contact);
    assert_eq!(made.content, sample::contact("Zoe"));
    assert!(client.connector.capability(Kind::Contact).fields.len() > 10);
    assert!(!client.connector.capability(Kind::Event).read);
}

/// The target of a write to an occurrence that was no object of its own when its series was read.
fn occurrence(client: &Client, object: &connector_sdk::RemoteObject, key: &PartKey) -> connector_sdk::Target {
    let content = client.provider.content(WORK, &object.id.0).unwrap();
    let start = model::series::time_field(&content.fields, "start").unwrap();
    connector_sdk::Target {
        id: None,
        version: None,
        raw: None,
        series: Some(connector_sdk::SeriesPart {
            series: object.id.clone(),
            original_start: model::EventTime::from_part_key(key, &start).unwrap(),
        }),
    }
}

#[tokio::test]
async fn an_occurrence_that_somebody_changed_meanwhile_is_not_overwritten() {
    let client = with(|quirks| quirks.layout = Layout::PerPart);
    client.provider.put(WORK, "s", sample::series("standup"));
    let master = client.fetch("s").await;
    let path = FieldPath {
        part: PartKey::occurrence("2026-03-23T09:00:00"),
        field: "title".to_owned(),
    };
    client
        .provider
        .edit(WORK, "s", |content| content.set(&path, Some(json!("theirs"))));
    let mut content = client.provider.content(WORK, "s").unwrap();
    content.set(&path, Some(json!("mine")));
    let action = Action::Update {
        target: occurrence(&client, &master, &path.part),
        content,
        changed: [path.clone()].into(),
    };
    let refused = client
        .apply(client.write(1, path.part.clone(), action))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::VersionConflict);
    let there = client.provider.content(WORK, "s").unwrap();
    assert_eq!(there.get(&path), Some(&json!("theirs")));
}

#[tokio::test]
async fn overrides_that_move_along_with_their_series_are_not_overwritten() {
    let client = with(|quirks| quirks.layout = Layout::PerPart);
    client.provider.put(WORK, "s", sample::series("standup"));
    client.pull(None).await;
    let master = client.fetch("s").await;
    let theirs = FieldPath {
        part: sample::edited(),
        field: "location".to_owned(),
    };
    client
        .provider
        .edit(WORK, "s", |content| content.set(&theirs, Some(json!("Room 2"))));
    let start = json!({"kind": "zoned", "wall": "2026-03-02T08:00:00", "zone": "Europe/Berlin"});
    client.store(client.set(&master, "start", Some(start))).await;
    let write = client.provider.take_hub_writes().remove(0);
    assert!(write.unseen.is_empty(), "{:?}", write.unseen);
    let moved = FieldPath {
        part: PartKey::occurrence("2026-03-09T08:00:00"),
        ..theirs
    };
    assert_eq!(write.after.unwrap().get(&moved), Some(&json!("Room 2")));
}
