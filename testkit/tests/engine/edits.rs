//! Edits through the API: one occurrence, this and following, all; versions as the base of a merge.

use connector_memory::Options;
use model::Kind;
use serde_json::json;
use sync::state::Origin;
use sync::{EditError, EditScope};

use crate::world::{PAIRS, World, event, fields, key, series};

const PAIR: [Options; 2] = [Options::WHOLE, Options::PER_PART];

fn api() -> Origin {
    Origin::Api("test".to_owned())
}

#[tokio::test]
async fn an_event_made_through_the_api_reaches_its_calendar_and_the_mirrored_one() {
    let world = World::mirrored(&PAIR).await;
    let made = fields(json!({
        "title": "Made here",
        "start": {"kind": "date", "date": "2026-03-01"}, "end": {"kind": "date", "date": "2026-03-02"},
    }));
    world
        .engine
        .create(&world.organization, &world.sides[0].collection, made, api())
        .await
        .unwrap();
    world.work().await;
    for side in 0..2 {
        assert_eq!(world.only(side).fields["title"], "Made here");
    }
    assert_eq!(world.writes(), 2);
    world.settle().await;
    assert_eq!(world.writes(), 2);
}

#[tokio::test]
async fn an_edit_based_on_an_old_version_merges_by_field() {
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    let old = world.only_record().await;
    world.patch(&old.id, json!({"title": "Dinner"})).await;
    let patch = |patch: serde_json::Value| patch.as_object().unwrap().clone();
    let location = patch(json!({"location": "Roof"}));
    let merged = world
        .engine
        .patch(&world.organization, &old.id, Some(old.version), location, api())
        .await
        .unwrap();
    assert_eq!(merged.content.fields["title"], "Dinner");
    assert_eq!(merged.content.fields["location"], "Roof");
    let title = patch(json!({"title": "Supper"}));
    let refused = world
        .engine
        .patch(&world.organization, &old.id, Some(old.version), title, api())
        .await;
    match refused {
        Err(EditError::VersionMismatch { current, fields }) => {
            assert_eq!(current, merged.version);
            assert_eq!(fields, ["title"]);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_occurrence_is_edited_alone() {
    for pair in PAIRS {
        let world = World::mirrored(&pair).await;
        world.put(0, "a", series("Standup"));
        world.settle().await;
        let record = world.only_record().await;
        let before = world.writes();
        let patch = json!({"title": "Long standup"}).as_object().unwrap().clone();
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
            .unwrap();
        world.settle().await;
        assert_eq!(world.writes() - before, 2, "one write at each side");
        for side in 0..2 {
            let content = world.only(side);
            assert_eq!(content.fields["title"], "Standup");
            assert_eq!(
                content.overrides[&key(7)],
                fields(json!({"title": "Long standup"}))
            );
        }
    }
}

#[tokio::test]
async fn this_and_following_makes_two_series_with_two_writes_a_side() {
    for pair in PAIRS {
        let world = World::mirrored(&pair).await;
        let mut content = series("Standup");
        content.overrides.insert(key(6), model::series::cancelled());
        content
            .overrides
            .insert(key(10), fields(json!({"title": "Special"})));
        world.put(0, "a", content);
        world.settle().await;
        let record = world.only_record().await;
        let before = world.writes();
        let patch = json!({"title": "Late standup"}).as_object().unwrap().clone();
        let records = world
            .engine
            .patch_occurrence(
                &world.organization,
                &record.id,
                &key(9),
                EditScope::Following,
                None,
                patch,
                api(),
            )
            .await
            .unwrap();
        assert_eq!(records.len(), 2);
        world.settle().await;
        for side in 0..2 {
            let contents = world.contents(side);
            assert_eq!(contents.len(), 2);
            let mut starts: Vec<String> = Vec::new();
            for content in &contents {
                let found = model::expand::occurrences(
                    content,
                    "2026-01-01T00:00:00Z".parse().unwrap(),
                    "2026-02-01T00:00:00Z".parse().unwrap(),
                    &jiff::tz::TimeZone::UTC,
                );
                starts.extend(
                    found
                        .unwrap()
                        .iter()
                        .map(|one| format!("{} {}", one.key, one.fields["title"].as_str().unwrap())),
                );
            }
            starts.sort();
            let days = [5, 7, 8, 9, 10, 11, 12, 13, 14];
            let title = |day| match day {
                10 => "Special",
                9..=14 => "Late standup",
                _ => "Standup",
            };
            let expected: Vec<String> = days
                .iter()
                .map(|day| format!("{} {}", key(*day), title(*day)))
                .collect();
            assert_eq!(starts, expected, "side {side}");
        }
        // Where overrides are objects of their own, the one that moves over costs two more: cancelled here, made there.
        let apart = pair.iter().filter(|options| options.series.has_part_objects());
        assert_eq!(world.writes() - before, 4 + 2 * apart.count());
        assert_eq!(
            world
                .records()
                .await
                .iter()
                .filter(|r| r.content.fields.contains_key("split_from"))
                .count(),
            1
        );
        assert_eq!(record.kind, Kind::Event);
    }
}

#[tokio::test]
async fn a_plain_split_is_exactly_two_writes_a_side() {
    for pair in PAIRS {
        let world = World::mirrored(&pair).await;
        world.put(0, "a", series("Standup"));
        world.settle().await;
        let record = world.only_record().await;
        let before: Vec<usize> = world.sides.iter().map(|side| side.provider.writes()).collect();
        let patch = json!({"title": "Late standup"}).as_object().unwrap().clone();
        world
            .engine
            .patch_occurrence(
                &world.organization,
                &record.id,
                &key(9),
                EditScope::Following,
                None,
                patch,
                api(),
            )
            .await
            .unwrap();
        world.settle().await;
        for (side, before) in world.sides.iter().zip(before) {
            assert_eq!(side.provider.writes() - before, 2);
        }
    }
}

#[tokio::test]
async fn an_occurrence_that_does_not_exist_is_not_found() {
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", series("Standup"));
    world.settle().await;
    let record = world.only_record().await;
    for key in [
        "2026-01-25T09:00:00",
        "2026-01-07T09:30:00",
        "nonsense",
        "2026-01-07",
    ] {
        let key = model::PartKey::occurrence(key);
        let outcome = world
            .engine
            .delete_occurrence(
                &world.organization,
                &record.id,
                &key,
                EditScope::This,
                None,
                api(),
            )
            .await;
        assert!(
            matches!(outcome, Err(EditError::NotFound("occurrence"))),
            "{key}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn nonsense_is_refused_with_the_field_named() {
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", series("Standup"));
    world.settle().await;
    let record = world.only_record().await;
    let cases = [
        (json!({"titel": "x"}), "titel"),
        (json!({"busy": "yes"}), "busy"),
        (json!({"uid": "mine"}), "uid"),
        (json!({"start": null}), "start"),
        (json!({"end": {"wall": "2025-01-01T00:00:00"}}), "end"),
        (
            json!({"start": {"kind": "zoned", "wall": "2026-01-05T09:00:00", "zone": "Mars/Base"}}),
            "start",
        ),
        (json!({"recurrence": {"rules": ["FREQ=SOMETIMES"]}}), "recurrence"),
        (
            json!({"recurrence": {"rules": ["FREQ=SECONDLY;UNTIL=21260101T000000Z"]}}),
            "recurrence",
        ),
    ];
    for (patch, field) in cases {
        let patch = patch.as_object().unwrap().clone();
        match world
            .engine
            .patch(&world.organization, &record.id, None, patch, api())
            .await
        {
            Err(EditError::Field(error)) => assert_eq!(error.field, field, "{error}"),
            other => panic!("{field}: {other:?}"),
        }
    }
    assert_eq!(world.only_record().await.version, record.version);
}
