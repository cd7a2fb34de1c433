//! Faults that a review of the engine found, each as the sentence that was not true.

use model::Content;
use serde_json::{Value, json};

use crate::world::{World, fields, key, series};

const PAIR: [Options; 2] = [Options::WHOLE, Options::PER_PART];

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
