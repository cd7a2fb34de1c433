//! Faults that a review of the engine found, each as the sentence that was not true.

use std::collections::BTreeMap;

use connector_memory::{Fault, Operation, Options};
use connector_sdk::ErrorKind;
use model::{Content, FieldPath, PartKey};
use serde_json::{Value, json};
use sync::ports::{Effect, Store as _};
use sync::state::{JobTask, LinkState, MemberRole, Origin, TargetEdits};
use sync::{EditScope, Resolution};

use crate::world::{CAL, World, event, fields, key, series, shared};

const PAIR: [Options; 2] = [Options::WHOLE, Options::PER_PART];

fn api() -> Origin {
    Origin::Api("test".to_owned())
}

fn time(day: u8, hour: u8) -> Value {
    json!({"kind": "zoned", "wall": format!("2026-01-{day:02}T{hour:02}:00:00"), "zone": "Europe/Berlin"})
}

fn move_to(content: &mut Content, hour: u8) {
    let mut moved = content.clone();
    moved.fields.insert("start".to_owned(), time(5, hour));
    moved.fields.insert("end".to_owned(), time(5, hour + 1));
    content.overrides = model::series::aligned(content, &moved).overrides;
    content.fields = moved.fields;
}

#[tokio::test]
async fn a_deleted_series_takes_its_override_objects_with_it() {
    for from in 0..2 {
        let world = World::mirrored(&PAIR).await;
        let mut content = series("Standup");
        content.overrides.insert(key(7), fields(json!({"title": "Long"})));
        world.put(0, "a", content);
        world.settle().await;
        world.delete(from);
        world.settle().await;
        assert!(
            world.contents(0).is_empty() && world.contents(1).is_empty(),
            "from {from}"
        );
        assert!(world.records().await.is_empty());
    }
}

#[tokio::test]
async fn a_series_that_is_moved_at_the_provider_keeps_its_overrides() {
    for hour in [8, 11] {
        for from in 0..2 {
            let world = World::mirrored(&PAIR).await;
            let mut content = series("Standup");
            content.overrides.insert(key(7), model::series::cancelled());
            content.overrides.insert(key(8), fields(json!({"title": "Long"})));
            world.put(0, "a", content);
            world.settle().await;
            world.edit(from, |content| move_to(content, hour));
            world.settle().await;
            for side in 0..2 {
                let keys: Vec<String> = world
                    .only(side)
                    .overrides
                    .keys()
                    .map(ToString::to_string)
                    .collect();
                let expected = [
                    format!("2026-01-07T{hour:02}:00:00"),
                    format!("2026-01-08T{hour:02}:00:00"),
                ];
                assert_eq!(keys, expected, "side {side}, moved at {from} to {hour}");
            }
        }
    }
}

#[tokio::test]
async fn the_next_syncs_do_not_carry_out_bit_by_bit_what_the_breaker_stopped() {
    let small = Options {
        page_size: 5,
        ..Options::WHOLE
    };
    let mut world = World::mirrored(&[small, Options::PER_PART]).await;
    for at in 0..60 {
        world.put(0, &format!("e{at:02}"), event(&format!("Event {at}")));
    }
    world.settle().await;
    for at in 0..60 {
        world.sides[0].provider.delete(CAL, &format!("e{at:02}"));
    }
    let failure = world.sync(0).await.unwrap_err();
    assert_eq!(failure.code, "deletes_held");
    let held_at = world.records().await.len();
    assert!(held_at >= 30, "{held_at}");
    for round in 0..4 {
        if round == 2 {
            world.restart().await;
            world.sides[0].provider.expire_cursors();
        }
        let failure = world.sync(0).await.unwrap_err();
        assert_eq!(failure.code, "deletes_held");
        assert_eq!(world.records().await.len(), held_at, "round {round}");
    }
    let connection = world.sides[0].connection.clone();
    world
        .run(JobTask::Sync {
            connection,
            discover: false,
            approve_deletes: true,
        })
        .await
        .unwrap();
    world.settle().await;
    assert!(world.records().await.is_empty());
    // The hold is over: a single delete needs nobody's word.
    world.put(0, "late", event("Late"));
    world.settle().await;
    world.sides[0].provider.delete(CAL, "late");
    world.settle().await;
    assert!(world.records().await.is_empty());
}

#[tokio::test]
async fn a_touch_of_the_providers_own_bookkeeping_revives_nothing() {
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    world.delete(0);
    world.edit(1, |content| {
        content
            .fields
            .insert("updated_at".to_owned(), json!("2026-01-02T03:04:05Z"));
        content.fields.insert("sequence".to_owned(), json!(3));
        content.fields.insert("my_response".to_owned(), json!("accepted"));
    });
    world.settle().await;
    assert!(world.contents(0).is_empty() && world.contents(1).is_empty());
}

async fn asked() -> World {
    let world = World::new(&PAIR).await;
    world
        .mirror(
            &[(0, MemberRole::Both), (1, MemberRole::Both)],
            conflict::Rule::Ask,
            TargetEdits::Keep,
        )
        .await;
    world
}

#[tokio::test]
async fn a_held_conflict_is_decided_between_the_values_of_now() {
    for resolution in [Resolution::Hub, Resolution::Remote] {
        let world = asked().await;
        world.put(0, "a", event("Lunch"));
        world.settle().await;
        world.set(0, "title", json!("Dinner"));
        world.set(1, "title", json!("Supper"));
        world.settle().await;
        let conflict = world.conflicts().await.remove(0);
        // Both sides go on editing while nobody decides.
        world.set(0, "title", json!("Late dinner"));
        world.set(1, "title", json!("Late supper"));
        world.settle().await;
        let expected = if resolution == Resolution::Hub {
            "Late dinner"
        } else {
            "Late supper"
        };
        world
            .engine
            .resolve(&world.organization, &conflict.id, resolution, api())
            .await
            .unwrap();
        world.settle().await;
        for side in 0..2 {
            assert_eq!(world.only(side).fields["title"], expected);
        }
    }
}

#[tokio::test]
async fn an_override_written_while_the_start_is_held_names_the_providers_own_occurrence() {
    let world = asked().await;
    let mut content = series("Standup");
    content.overrides.insert(key(7), fields(json!({"title": "Long"})));
    world.put(0, "a", content);
    world.settle().await;
    world.edit(0, |content| move_to(content, 8));
    world.edit(1, |content| move_to(content, 11));
    world.settle().await;
    let record = world.only_record().await;
    let hour = |side: usize| world.only(side).fields["start"]["wall"].as_str().unwrap()[11..13].to_owned();
    assert_ne!(hour(0), hour(1), "nobody has decided yet");
    let own = |side: usize, day: u8| PartKey::occurrence(format!("2026-01-{day:02}T{}:00:00", hour(side)));
    let start: model::EventTime = serde_json::from_value(record.content.fields["start"].clone()).unwrap();
    let in_hub = PartKey::occurrence(format!("2026-01-08T{:02}:00:00", start.wall().hour()));
    let patch = json!({"location": "Roof"}).as_object().unwrap().clone();
    world
        .engine
        .patch_occurrence(
            &world.organization,
            &record.id,
            &in_hub,
            EditScope::This,
            None,
            patch,
            api(),
        )
        .await
        .unwrap();
    world.settle().await;
    for side in 0..2 {
        let keys: Vec<PartKey> = world.only(side).overrides.keys().cloned().collect();
        assert_eq!(keys, [own(side, 7), own(side, 8)], "side {side}");
        assert_eq!(
            world.only(side).overrides[&own(side, 8)],
            fields(json!({"location": "Roof"}))
        );
    }
    // The start is decided for side 1; whatever hangs on it moves along.
    let conflicts = world.conflicts().await;
    for field in ["end", "start"] {
        let conflict = conflicts
            .iter()
            .find(|conflict| conflict.path == Some(FieldPath::master(field)))
            .unwrap();
        let value = Resolution::Value(time(5, if field == "start" { 11 } else { 12 }));
        world
            .engine
            .resolve(&world.organization, &conflict.id, value, api())
            .await
            .unwrap();
    }
    world.settle().await;
    let at = |day: u8| PartKey::occurrence(format!("2026-01-{day:02}T11:00:00"));
    for side in 0..2 {
        let keys: Vec<PartKey> = world.only(side).overrides.keys().cloned().collect();
        assert_eq!(keys, [at(7), at(8)], "side {side}");
    }
    let keys: Vec<PartKey> = world
        .only_record()
        .await
        .content
        .overrides
        .keys()
        .cloned()
        .collect();
    assert_eq!(keys, [at(7), at(8)]);
}

#[tokio::test]
async fn alarms_of_one_occurrence_move_with_the_series_and_end_with_it() {
    for mover in 0..3 {
        let world = World::mirrored(&[Options::WHOLE, Options::WHOLE]).await;
        world.put(0, "a", series("Standup"));
        world.settle().await;
        let alarm = json!({"use_default": false, "items": [{"minutes_before": 60, "method": "email"}]});
        world.edit(1, |content| {
            content
                .overrides
                .insert(key(8), fields(json!({"reminders": alarm})));
        });
        world.settle().await;
        assert!(world.only(0).overrides.is_empty());
        let record = world.only_record().await;
        if mover == 2 {
            world
                .patch(&record.id, json!({"start": time(5, 11), "end": time(5, 12)}))
                .await;
        } else {
            world.edit(mover, |content| move_to(content, 11));
        }
        world.settle().await;
        let at = |day: u8| PartKey::occurrence(format!("2026-01-{day:02}T11:00:00"));
        let overrides = BTreeMap::from([(at(8), fields(json!({"reminders": alarm})))]);
        assert_eq!(world.only(1).overrides, overrides, "moved by {mover}");
        assert!(world.only(0).overrides.is_empty());
        world
            .engine
            .delete_occurrence(
                &world.organization,
                &record.id,
                &at(7),
                EditScope::Following,
                None,
                api(),
            )
            .await
            .unwrap();
        world.settle().await;
        assert!(
            world.only(1).overrides.is_empty(),
            "no occurrence is left to carry it: {:?}",
            world.only(1)
        );
    }
}

#[tokio::test]
async fn a_create_that_the_provider_carries_out_late_makes_one_event() {
    for target in 0..2 {
        let world = World::mirrored(&PAIR).await;
        let provider = world.sides[target].provider.clone();
        provider.fail(Fault::next(Operation::Write, ErrorKind::Unavailable));
        world.put(1 - target, "a", event("Lunch"));
        world.sync(1 - target).await.unwrap();
        let connection = &world.sides[target].connection;
        let intent = world
            .store
            .open_intents(&world.organization, connection)
            .await
            .unwrap()
            .remove(0);
        // It is asked whether it made the event, says no, and only then makes it.
        world.pass(std::time::Duration::from_secs(3_600));
        let id = format!("m{}", intent.id.as_str().trim_start_matches("int_"));
        provider.before_next_page(move |provider| provider.put(CAL, &id, intent.sent));
        let _ = world.sync(target).await;
        world.settle().await;
        assert_eq!(world.records().await.len(), 1);
        for side in 0..2 {
            assert_eq!(world.only(side).fields["title"], "Lunch");
        }
    }
}

#[tokio::test]
async fn a_write_whose_object_is_tied_to_another_record_is_refused_and_not_tried_for_ever() {
    let world = World::mirrored(&PAIR).await;
    let provider = world.sides[1].provider.clone();
    provider.fail(Fault::next(Operation::Write, ErrorKind::Unavailable));
    world.put(0, "a", event("Lunch"));
    world.sync(0).await.unwrap();
    let connection = &world.sides[1].connection;
    let intent = world
        .store
        .open_intents(&world.organization, connection)
        .await
        .unwrap()
        .remove(0);
    let id = format!("m{}", intent.id.as_str().trim_start_matches("int_"));
    // The object comes in as a stranger while nobody waits for it.
    provider.put(CAL, &id, event("Stranger"));
    let link = intent.link.clone();
    world
        .store
        .commit(
            &world.organization,
            None,
            vec![Effect::CloseIntent(intent.id.clone())],
        )
        .await
        .unwrap();
    world.pass(std::time::Duration::from_secs(3_600));
    provider.fail(Fault::next(Operation::Write, ErrorKind::Unavailable));
    let _ = world.sync(1).await;
    let open = world
        .store
        .open_intents(&world.organization, connection)
        .await
        .unwrap();
    let closes = open.into_iter().map(|intent| Effect::CloseIntent(intent.id));
    let again = Effect::OpenIntent(Box::new(intent));
    world
        .store
        .commit(&world.organization, None, closes.chain([again]).collect())
        .await
        .unwrap();
    world.pass(std::time::Duration::from_secs(3_600));
    world.sync(1).await.unwrap();
    let link = world
        .store
        .link(&world.organization, &link)
        .await
        .unwrap()
        .unwrap()
        .link;
    assert!(matches!(link.state, LinkState::Rejected { .. }), "{link:#?}");
    assert_eq!(world.records().await.len(), 2);
}

#[tokio::test]
async fn a_deleted_occurrence_is_brought_back_by_its_status_and_by_nothing_else() {
    let world = World::mirrored(&PAIR).await;
    let mut content = series("Standup");
    content.overrides.insert(key(7), model::series::cancelled());
    world.put(0, "a", content);
    world.settle().await;
    let record = world.only_record().await;
    let patch = async |patch: Value| {
        let patch = patch.as_object().unwrap().clone();
        world
            .engine
            .patch_occurrence(
                &world.organization,
                &record.id,
                &key(7),
                EditScope::This,
                None,
                patch,
                api(),
            )
            .await
    };
    assert!(
        patch(json!({"title": "Lost"})).await.is_err(),
        "an edit is not dropped in silence"
    );
    patch(json!({"title": "Back", "status": "confirmed"}))
        .await
        .unwrap();
    world.settle().await;
    for side in 0..2 {
        assert_eq!(
            shared(&world.only(side)).overrides[&key(7)],
            fields(json!({"title": "Back"}))
        );
    }
}
