//! Deltas that say only what changed: what they do not say stays, `null` clears.

use std::collections::BTreeMap;

use connector_memory::Options;
use model::FieldPath;
use serde_json::json;
use sync::ports::Store as _;

use crate::world::{World, event, fields, key, series, shared};

const SPARSE: [Options; 3] = [
    sparse(Options::WHOLE),
    sparse(Options::PER_PART),
    sparse(Options::INSTANCES),
];

const fn sparse(options: Options) -> Options {
    Options {
        sparse_deltas: true,
        ..options
    }
}

#[tokio::test]
async fn a_sparse_delta_against_an_explicit_null_leaves_the_absent_and_clears_the_null() {
    for options in SPARSE {
        let world = World::mirrored(&[options, Options::WHOLE]).await;
        let mut content = event("Lunch");
        content.fields.insert("location".to_owned(), json!("Roof"));
        content
            .fields
            .insert("description".to_owned(), json!({"text": "Bring coffee"}));
        world.put(0, "a", content);
        world.settle().await;
        let reads = world.sides[0].provider.reads();
        // Another client renames it and takes the place away: the delta names these two fields and no other.
        world.edit(0, |content| {
            content.set(&FieldPath::master("title"), Some(json!("Dinner")));
            content.set(&FieldPath::master("location"), None);
        });
        world.sync(0).await.unwrap();
        world.work().await;
        assert_eq!(world.sides[0].provider.reads() - reads, 1, "the delta was enough");
        for side in 0..2 {
            let now = world.only(side).fields;
            assert_eq!(now["title"], "Dinner");
            assert!(!now.contains_key("location"), "null clears");
            assert_eq!(
                now["description"],
                json!({"text": "Bring coffee"}),
                "absent stays"
            );
            assert!(now.contains_key("start") && now.contains_key("end"));
        }
        world.settle().await;
        assert_eq!(shared(&world.only(0)), shared(&world.only(1)));
    }
}

#[tokio::test]
async fn a_sparse_delta_of_one_occurrence_leaves_the_others_alone() {
    for options in SPARSE {
        let world = World::mirrored(&[options, Options::WHOLE]).await;
        let mut content = series("Standup");
        content.overrides.insert(
            key(8),
            fields(json!({"title": "Long standup", "location": "Roof"})),
        );
        content.overrides.insert(key(9), model::series::cancelled());
        world.put(0, "a", content);
        world.settle().await;
        world.edit(0, |content| {
            content.overrides.insert(
                key(8),
                fields(json!({"title": "Longer standup", "location": "Roof"})),
            );
            content
                .overrides
                .insert(key(10), fields(json!({"title": "Short standup"})));
        });
        world.settle().await;
        let now = world.only(1).overrides;
        assert_eq!(
            now[&key(8)],
            fields(json!({"title": "Longer standup", "location": "Roof"}))
        );
        assert_eq!(now[&key(9)], model::series::cancelled());
        assert_eq!(now[&key(10)], fields(json!({"title": "Short standup"})));
        world.edit(0, |content| {
            content.overrides.remove(&key(8));
        });
        world.settle().await;
        assert!(!world.only(1).overrides.contains_key(&key(8)));
        assert_eq!(world.only(1).overrides.len(), 2);
    }
}

#[tokio::test]
async fn a_series_that_moves_in_a_sparse_delta_takes_its_occurrences_along() {
    for options in SPARSE {
        let world = World::mirrored(&[options, Options::WHOLE]).await;
        let mut content = series("Standup");
        content
            .overrides
            .insert(key(8), fields(json!({"title": "Long standup"})));
        content.overrides.insert(key(9), model::series::cancelled());
        world.put(0, "a", content);
        world.settle().await;
        world.edit(0, |content| {
            let time = |hour: u8| json!({"kind": "zoned", "wall": format!("2026-01-05T{hour:02}:00:00"), "zone": "Europe/Berlin"});
            let mut moved = content.clone();
            moved.fields.insert("start".to_owned(), time(11));
            moved.fields.insert("end".to_owned(), time(12));
            moved.overrides = model::series::aligned(content, &moved).overrides;
            *content = moved;
        });
        world.settle().await;
        let at = |day: u8| model::PartKey::occurrence(format!("2026-01-{day:02}T11:00:00"));
        let expected = BTreeMap::from([
            (at(8), fields(json!({"title": "Long standup"}))),
            (at(9), model::series::cancelled()),
        ]);
        for side in 0..2 {
            assert_eq!(world.only(side).overrides, expected, "side {side}, {options:?}");
        }
    }
}

#[tokio::test]
async fn what_the_hub_has_never_seen_whole_is_fetched_whole() {
    for options in SPARSE {
        let world = World::mirrored(&[options, Options::WHOLE]).await;
        world.put(0, "a", event("Lunch"));
        let since = world.sync(0).await;
        since.unwrap();
        let mut content = series("Standup");
        content
            .overrides
            .insert(key(8), fields(json!({"title": "Long standup"})));
        world.put(0, "b", content.clone());
        world.settle().await;
        let records = world.records().await;
        let found = records
            .iter()
            .find(|record| record.content.fields["title"] == "Standup");
        assert_eq!(shared(&found.unwrap().content), shared(&content));
        assert_eq!(world.contents(1).len(), 2);
    }
}

#[tokio::test]
async fn a_write_after_a_sparse_delta_builds_on_the_whole_object() {
    for options in SPARSE {
        let world = World::mirrored(&[options, Options::WHOLE]).await;
        world.put(0, "a", event("Lunch"));
        world.settle().await;
        world.set(0, "location", json!("Roof"));
        world.settle().await;
        let record = world.only_record().await;
        let link = async || {
            let links = world
                .store
                .links_of(&world.organization, &record.id)
                .await
                .unwrap();
            let collection = &world.sides[0].collection;
            links
                .into_iter()
                .find(|link| link.collection == *collection)
                .unwrap()
        };
        let outdated = |link: &sync::state::Link| link.parts[&model::PartKey::MASTER].raw_outdated;
        assert!(outdated(&link().await), "a fragment is not kept as the original");
        let before = world.sides[0].provider.writes();
        world.set(1, "title", json!("Dinner"));
        world.settle().await;
        assert_eq!(world.sides[0].provider.writes() - before, 1);
        assert_eq!(world.only(0).fields["title"], "Dinner");
        assert_eq!(world.only(0).fields["location"], "Roof");
        let raws = world
            .store
            .raws(&world.organization, &link().await.id)
            .await
            .unwrap();
        let kept: serde_json::Value = serde_json::from_slice(&raws[&model::PartKey::MASTER]).unwrap();
        assert_eq!(kept["fields"]["location"], "Roof", "the original is whole");
        assert!(kept["fields"]["start"].is_object());
    }
}
