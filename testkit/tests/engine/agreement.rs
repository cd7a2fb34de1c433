//! Two providers agree through the hub, and then there is silence.

use conflict::Rule;
use connector_memory::Options;
use serde_json::json;
use sync::ports::Store;
use sync::state::{MemberRole, TargetEdits};

use crate::world::{PAIRS, World, event, fields, key, series, shared};

#[tokio::test]
async fn an_event_appears_on_the_other_side_once_and_then_nothing_is_written() {
    for pair in PAIRS {
        let world = World::mirrored(&pair).await;
        world.put(0, "a", event("Lunch"));
        world.sync(0).await.unwrap();
        world.work().await;
        assert_eq!(world.only(1).fields["title"], "Lunch");
        assert_eq!(world.writes(), 1);
        for _ in 0..10 {
            world.round().await;
        }
        assert_eq!(world.writes(), 1, "idle rounds write nothing");
        assert_eq!(world.records().await.len(), 1);
    }
}

#[tokio::test]
async fn one_edit_on_either_side_is_one_write_on_the_other() {
    for pair in PAIRS {
        let world = World::mirrored(&pair).await;
        world.put(0, "a", event("Lunch"));
        world.settle().await;
        for (from, to) in [(0, 1), (1, 0)] {
            let before = world.writes();
            world.set(from, "title", json!(format!("from {from}")));
            world.settle().await;
            assert_eq!(world.only(to).fields["title"], format!("from {from}"));
            assert_eq!(world.writes() - before, 1);
        }
    }
}

#[tokio::test]
async fn a_series_with_moved_and_deleted_occurrences_is_the_same_everywhere() {
    for pair in PAIRS {
        let world = World::mirrored(&pair).await;
        let mut content = series("Standup");
        content.overrides.insert(key(7), model::series::cancelled());
        content
            .overrides
            .insert(key(8), fields(json!({"title": "Long standup"})));
        world.put(0, "a", content.clone());
        world.settle().await;
        assert_eq!(shared(&world.only(1)), shared(&content));
        world.edit(1, |content| {
            content.overrides.insert(key(9), model::series::cancelled());
        });
        world.settle().await;
        assert_eq!(world.only(0).overrides[&key(9)], model::series::cancelled());
        assert_eq!(world.only(0).overrides.len(), 3, "{:?}", world.only(0));
    }
}

#[tokio::test]
async fn when_a_series_moves_its_overrides_move_along() {
    for pair in PAIRS {
        let world = World::mirrored(&pair).await;
        let mut content = series("Standup");
        content.overrides.insert(key(7), model::series::cancelled());
        world.put(0, "a", content);
        world.settle().await;
        let record = world.only_record().await;
        let time = |hour: u8| json!({"kind": "zoned", "wall": format!("2026-01-05T{hour:02}:00:00"), "zone": "Europe/Berlin"});
        world
            .patch(&record.id, json!({"start": time(11), "end": time(12)}))
            .await;
        world.settle().await;
        let moved = model::PartKey::occurrence("2026-01-07T11:00:00");
        for side in 0..2 {
            let content = world.only(side);
            assert_eq!(content.fields["start"], time(11));
            let keys: Vec<_> = content.overrides.keys().cloned().collect();
            assert_eq!(keys, std::slice::from_ref(&moved), "side {side}");
        }
    }
}

#[tokio::test]
async fn edits_of_different_fields_on_both_sides_are_both_kept() {
    for pair in PAIRS {
        let world = World::mirrored(&pair).await;
        world.put(0, "a", event("Lunch"));
        world.settle().await;
        world.set(0, "title", json!("Dinner"));
        world.set(1, "location", json!("Roof"));
        world.settle().await;
        for side in 0..2 {
            assert_eq!(world.only(side).fields["title"], "Dinner");
            assert_eq!(world.only(side).fields["location"], "Roof");
        }
        assert!(world.conflicts().await.is_empty());
    }
}

#[tokio::test]
async fn of_two_edits_of_one_field_one_stands_everywhere_and_the_other_can_be_restored() {
    let world = World::mirrored(&PAIRS[1]).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    world.set(0, "title", json!("Dinner"));
    world.set(1, "title", json!("Supper"));
    world.settle().await;
    let conflicts = world.conflicts().await;
    assert_eq!(conflicts.len(), 1, "{conflicts:#?}");
    assert_eq!(world.only(0).fields["title"], world.only(1).fields["title"]);
    let standing = world.only(0).fields["title"].clone();
    let lost = if standing == "Dinner" { "Supper" } else { "Dinner" };
    let resolution = match conflicts[0].hub.as_ref() {
        Some(value) if value == lost => sync::Resolution::Hub,
        _ => sync::Resolution::Remote,
    };
    let origin = sync::state::Origin::Api("test".to_owned());
    world
        .engine
        .resolve(&world.organization, &conflicts[0].id, resolution, origin)
        .await
        .unwrap();
    world.settle().await;
    for side in 0..2 {
        assert_eq!(world.only(side).fields["title"], lost);
    }
}

#[tokio::test]
async fn a_person_who_is_asked_decides_and_until_then_both_keep_theirs() {
    let world = World::new(&PAIRS[0]).await;
    world
        .mirror(
            &[(0, MemberRole::Both), (1, MemberRole::Both)],
            Rule::Ask,
            TargetEdits::Keep,
        )
        .await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    world.set(0, "title", json!("Dinner"));
    world.set(1, "title", json!("Supper"));
    world.settle().await;
    assert_eq!(world.only(0).fields["title"], "Dinner");
    assert_eq!(world.only(1).fields["title"], "Supper");
    let conflicts = world.conflicts().await;
    assert_eq!(conflicts.len(), 1, "{conflicts:#?}");
    let origin = sync::state::Origin::Api("test".to_owned());
    let value = sync::Resolution::Value(json!("Brunch"));
    world
        .engine
        .resolve(&world.organization, &conflicts[0].id, value, origin)
        .await
        .unwrap();
    world.settle().await;
    for side in 0..2 {
        assert_eq!(world.only(side).fields["title"], "Brunch");
    }
}

#[tokio::test]
async fn a_start_and_an_end_that_wait_are_decided_together() {
    let world = World::new(&PAIRS[0]).await;
    let both = [(0, MemberRole::Both), (1, MemberRole::Both)];
    world.mirror(&both, Rule::Ask, TargetEdits::Keep).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    let at =
        |hour| json!({"kind": "zoned", "wall": format!("2026-01-05T{hour}:00:00"), "zone": "Europe/Berlin"});
    for (side, hours) in [(0, ["06", "07"]), (1, ["18", "19"])] {
        world.edit(side, |content| {
            content.fields.insert("start".to_owned(), at(hours[0]));
            content.fields.insert("end".to_owned(), at(hours[1]));
        });
    }
    world.settle().await;
    let conflicts = world.conflicts().await;
    let about = |field: &str| {
        let mut all = conflicts.iter();
        all.find(|one| one.path.as_ref().is_some_and(|path| path.field == field))
            .unwrap()
    };
    // The later end would do with either start, the later start with neither's earlier end: so it is the first decided.
    let later = match about("start").remote.as_ref() == Some(&at("18")) {
        true => sync::Resolution::Remote,
        false => sync::Resolution::Hub,
    };
    let origin = sync::state::Origin::Api("test".to_owned());
    let decided = world
        .engine
        .resolve(&world.organization, &about("start").id, later, origin)
        .await
        .unwrap();
    assert_eq!(
        (&decided.content.fields["start"], &decided.content.fields["end"]),
        (&at("18"), &at("19"))
    );
    world.settle().await;
    for side in 0..2 {
        let fields = world.only(side).fields;
        assert_eq!((&fields["start"], &fields["end"]), (&at("18"), &at("19")));
    }
}

#[tokio::test]
async fn reminders_stay_on_their_own_account() {
    let world = World::mirrored(&PAIRS[1]).await;
    let mut content = event("Lunch");
    let reminders = json!({"use_default": false, "items": [{"minutes_before": 10, "method": "popup"}]});
    content.fields.insert("reminders".to_owned(), reminders.clone());
    content.fields.insert("my_response".to_owned(), json!("accepted"));
    world.put(0, "a", content);
    world.settle().await;
    assert!(!world.only(1).fields.contains_key("reminders"));
    let other = json!({"use_default": false, "items": [{"minutes_before": 60, "method": "email"}]});
    world.set(1, "reminders", other.clone());
    world.settle().await;
    assert_eq!(world.only(0).fields["reminders"], reminders);
    assert_eq!(world.only(1).fields["reminders"], other);
    assert_eq!(world.only(0).fields["my_response"], "accepted");
    assert!(!world.only(1).fields.contains_key("my_response"));
}

#[tokio::test]
async fn three_calendars_in_one_mirror_hold_the_same_and_fall_silent() {
    let world = World::mirrored(&[Options::WHOLE, Options::PER_PART, Options::WHOLE]).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    let before = world.writes();
    world.set(1, "title", json!("Dinner"));
    world.settle().await;
    assert_eq!(world.writes() - before, 2, "one write at each of the other two");
    for side in 0..3 {
        assert_eq!(world.only(side).fields["title"], "Dinner");
    }
}

#[tokio::test]
async fn a_pure_source_is_never_written_by_an_edit_of_its_target() {
    let world = World::new(&PAIRS[0]).await;
    world
        .mirror(
            &[(0, MemberRole::Source), (1, MemberRole::Target)],
            Rule::LastWriter,
            TargetEdits::Keep,
        )
        .await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    world.set(1, "title", json!("Mine"));
    world.settle().await;
    assert_eq!(world.only(0).fields["title"], "Lunch");
    assert_eq!(world.only(1).fields["title"], "Mine");
}

#[tokio::test]
async fn edits_of_a_pure_target_are_undone_and_logged_where_the_mirror_says_so() {
    let world = World::new(&PAIRS[1]).await;
    let members = [(0, MemberRole::Source), (1, MemberRole::Target)];
    world
        .mirror(&members, Rule::LastWriter, TargetEdits::Revert)
        .await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    world.set(1, "title", json!("Mine"));
    world.settle().await;
    for side in 0..2 {
        assert_eq!(world.only(side).fields["title"], "Lunch");
    }
    assert_eq!(world.conflicts().await.len(), 1);
}

#[tokio::test]
async fn records_that_were_there_before_the_mirror_are_brought_over() {
    let world = World::new(&PAIRS[1]).await;
    for at in 0..450 {
        world.put(0, &format!("e{at}"), event(&format!("Event {at}")));
    }
    world.settle().await;
    world
        .mirror(
            &[(0, MemberRole::Source), (1, MemberRole::Target)],
            Rule::LastWriter,
            TargetEdits::Keep,
        )
        .await;
    world.settle().await;
    assert_eq!(world.contents(1).len(), 450);
    assert_eq!(world.writes(), 450);
}

#[tokio::test]
async fn a_mirror_that_is_made_during_the_first_pull_misses_nothing_of_it() {
    let paged = Options {
        page_size: 2,
        ..Options::WHOLE
    };
    let world = World::new(&[paged, Options::WHOLE]).await;
    for at in 0..60 {
        world.put(0, &format!("e{at}"), event(&format!("Event {at}")));
    }
    let mirror_meanwhile = async {
        while world.records().await.is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(world.records().await.len() < 60, "the pull still goes on");
        let both = [(0, MemberRole::Both), (1, MemberRole::Both)];
        world.mirror(&both, Rule::LastWriter, TargetEdits::Keep).await;
    };
    let (pulled, ()) = tokio::join!(world.sync(0), mirror_meanwhile);
    pulled.unwrap();
    world.settle().await;
    assert_eq!(world.contents(1).len(), 60);
    assert_eq!(world.writes(), 60);
}

#[tokio::test]
async fn a_series_of_many_moved_occurrences_is_written_in_one_run() {
    let world = World::mirrored(&PAIRS[1]).await;
    let mut moved = series("Standup");
    for day in 5..14 {
        let own = fields(json!({"title": format!("Standup of the {day}th")}));
        moved.overrides.insert(key(day), own);
    }
    let count = moved.overrides.len();
    world.put(0, "a", moved);
    world.sync(0).await.unwrap();
    world.work().await;
    assert_eq!(world.writes(), 1 + count, "the series, and each occurrence");
    let record = world.only_record().await;
    let links = world
        .store
        .links_of(&world.organization, &record.id)
        .await
        .unwrap();
    assert!(
        links.iter().all(|link| !link.dirty),
        "nothing waits for another run"
    );
}

#[tokio::test]
async fn the_copies_of_a_deleted_mirror_no_longer_hear_of_each_other_and_none_is_removed() {
    let world = World::new(&PAIRS[1]).await;
    let both = [(0, MemberRole::Both), (1, MemberRole::Both)];
    let mirror = world.mirror(&both, Rule::LastWriter, TargetEdits::Keep).await;
    for at in 0..3 {
        world.put(0, &format!("e{at}"), event(&format!("Event {at}")));
    }
    world.settle().await;
    let before = world.writes();
    world
        .engine
        .drop_mirror(&world.organization, &mirror)
        .await
        .unwrap();
    world.settle().await;
    assert_eq!(world.writes(), before, "unlinking writes to nobody");
    assert_eq!(world.records().await.len(), 6, "each copy is a record of its own");
    world.sides[0].provider.edit("cal", "e1", |content| {
        content.set(&model::FieldPath::master("title"), Some(json!("Only here")));
    });
    world.sides[0].provider.delete("cal", "e2");
    world.settle().await;
    assert_eq!(world.contents(1).len(), 3);
    assert!(
        world
            .contents(1)
            .iter()
            .all(|content| content.fields["title"] != "Only here")
    );
}

#[tokio::test]
async fn what_another_mirror_still_joins_stays_together() {
    let world = World::new(&[Options::WHOLE, Options::PER_PART, Options::WHOLE]).await;
    let both = |a, b| [(a, MemberRole::Both), (b, MemberRole::Both)];
    let first = world
        .mirror(&both(0, 1), Rule::LastWriter, TargetEdits::Keep)
        .await;
    world
        .mirror(&both(1, 2), Rule::LastWriter, TargetEdits::Keep)
        .await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    world
        .engine
        .drop_mirror(&world.organization, &first)
        .await
        .unwrap();
    world.settle().await;
    assert_eq!(world.records().await.len(), 2);
    world.set(1, "title", json!("Dinner"));
    world.settle().await;
    assert_eq!(world.only(0).fields["title"], "Lunch");
    assert_eq!(world.only(2).fields["title"], "Dinner");
}
