//! Mirrors that overlap and come back to where they began: whatever goes around arrives everywhere once.

use connector_memory::Options;
use model::Content;
use serde_json::json;
use sync::state::{MemberRole, TargetEdits};

use crate::world::{World, event, series};

/// Providers of every layout, as many as there are sides.
const LAYOUTS: [Options; 4] = [
    Options::WHOLE,
    Options::PER_PART,
    Options::INSTANCES,
    Options::WHOLE,
];

/// Each side in a mirror with the next, the last with the first, and one more mirror across.
async fn ring(sides: usize) -> World {
    let world = World::new(&LAYOUTS[..sides]).await;
    let next = (0..sides).map(|at| (at, (at + 1) % sides));
    for (one, other) in next.chain([(0, sides / 2)]) {
        let members = [(one, MemberRole::Both), (other, MemberRole::Both)];
        world
            .mirror(&members, conflict::Rule::LastWriter, TargetEdits::Keep)
            .await;
    }
    world
}

fn titles(contents: &[Content]) -> Vec<&str> {
    let titles = contents
        .iter()
        .filter_map(|content| content.fields["title"].as_str());
    titles.collect()
}

#[tokio::test]
async fn a_delete_in_a_ring_of_overlapping_mirrors_is_one_write_at_each_side_and_leaves_no_copy() {
    for sides in [3, 4] {
        for from in 0..sides {
            let world = ring(sides).await;
            world.put(0, "a", event("Lunch"));
            world.put(1, "b", series("Standup"));
            world.settle().await;
            for side in 0..sides {
                assert_eq!(world.contents(side).len(), 2, "no copy of a copy at {side}");
            }
            let lunch = |side: usize| -> Option<String> {
                let held = world.sides[side].provider.contents("cal");
                let mut held = held.into_iter();
                held.find_map(|(id, content)| (content.fields["title"] == "Lunch").then_some(id))
            };
            let (before, id) = (world.writes(), lunch(from).unwrap());
            assert!(world.sides[from].provider.delete("cal", &id));
            world.settle().await;
            assert_eq!(
                world.writes() - before,
                sides - 1,
                "one write at each of the others"
            );

            let rested = world.writes();
            for side in &world.sides {
                side.provider.expire_cursors();
            }
            world.settle().await;
            world.round().await;
            assert_eq!(
                world.writes(),
                rested,
                "and then none, whatever is looked at again"
            );
            for side in 0..sides {
                assert_eq!(titles(&world.contents(side)), ["Standup"], "{side} of {sides}");
            }
            assert_eq!(world.records().await.len(), 1);
        }
    }
}

#[tokio::test]
async fn deletes_on_all_sides_of_a_ring_at_once_cost_at_most_one_write_each_and_bring_nothing_back() {
    let world = ring(4).await;
    world.put(2, "a", event("Lunch"));
    world.settle().await;
    let before = world.writes();
    for side in 0..4 {
        world.delete(side);
    }
    world.settle().await;
    let written = world.writes() - before;
    assert!(
        written < 4,
        "{written} deletes of what three other sides had deleted already"
    );
    let rested = world.writes();
    world.settle().await;
    assert_eq!(world.writes(), rested);
    assert!((0..4).all(|side| world.contents(side).is_empty()));
}

#[tokio::test]
async fn an_edit_beside_a_delete_in_a_ring_brings_one_copy_back_to_each_side() {
    for (deleter, editor) in [(0, 1), (1, 3), (3, 0)] {
        let world = ring(4).await;
        world.put(0, "a", event("Lunch"));
        world.settle().await;
        let before = world.writes();
        world.delete(deleter);
        world.set(editor, "title", json!("Dinner"));
        world.settle().await;
        let written = world.writes() - before;
        assert!(
            written <= 2 * 4,
            "{written} writes for a delete and an edit at four sides"
        );
        for side in 0..4 {
            assert_eq!(titles(&world.contents(side)), ["Dinner"], "at {side}");
        }
    }
}
