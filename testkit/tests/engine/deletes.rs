//! What is deleted stays deleted, what was edited lives, and absence alone deletes nothing.

use connector_memory::{Fault, Operation, Options};
use connector_sdk::ErrorKind;
use serde_json::json;

use crate::world::{PAIRS, World, event, key, series};

const PAIR: [Options; 2] = [Options::WHOLE, Options::PER_PART];

#[tokio::test]
async fn a_delete_reaches_the_other_side_and_does_not_come_back() {
    for pair in PAIRS {
        for from in 0..2 {
            let world = World::mirrored(&pair).await;
            world.put(0, "a", event("Lunch"));
            world.settle().await;
            world.delete(from);
            world.settle().await;
            assert!(world.contents(0).is_empty() && world.contents(1).is_empty());
            for side in &world.sides {
                side.provider.expire_cursors();
            }
            world.settle().await;
            assert!(world.contents(0).is_empty() && world.contents(1).is_empty());
            assert!(world.records().await.is_empty());
        }
    }
}

#[tokio::test]
async fn an_edit_beats_a_delete_on_the_other_side() {
    for pair in PAIRS {
        for (deleter, editor) in [(0, 1), (1, 0)] {
            let world = World::mirrored(&pair).await;
            world.put(0, "a", event("Lunch"));
            world.settle().await;
            world.delete(deleter);
            world.set(editor, "title", json!("Dinner"));
            world.settle().await;
            for side in 0..2 {
                assert_eq!(world.only(side).fields["title"], "Dinner", "deleted on {deleter}");
            }
            assert!(!world.conflicts().await.is_empty(), "the revival is logged");
        }
    }
}

#[tokio::test]
async fn deletes_in_a_gap_are_applied_after_the_cursor_was_lost() {
    let world = World::mirrored(&PAIR).await;
    for at in 0..10 {
        world.put(0, &format!("e{at}"), event(&format!("Event {at}")));
    }
    world.settle().await;
    world.sides[0].provider.delete("cal", "e3");
    world.put(0, "e10", event("Event 10"));
    world.sides[0].provider.expire_cursors();
    world.settle().await;
    assert_eq!(world.contents(0).len(), 10);
    assert_eq!(world.contents(1).len(), 10);
    assert!(
        world
            .contents(1)
            .iter()
            .all(|content| content.fields["title"] != "Event 3")
    );
}

#[tokio::test]
async fn a_source_that_refuses_us_on_its_third_page_deletes_nothing() {
    let options = Options {
        page_size: 5,
        ..Options::WHOLE
    };
    let world = World::mirrored(&[options, Options::PER_PART]).await;
    for at in 0..20 {
        world.put(0, &format!("e{at:02}"), event(&format!("Event {at}")));
    }
    world.settle().await;
    let before = world.writes();
    world.sides[0].provider.expire_cursors();
    world.sides[0]
        .provider
        .fail(Fault::next(Operation::Page, ErrorKind::Unauthorized).after(3));
    let failure = world.sync(0).await.unwrap_err();
    assert_eq!(failure.code, "provider_unauthorized");
    world.sync(1).await.unwrap();
    assert_eq!(world.records().await.len(), 20);
    assert_eq!(world.writes(), before);
}

#[tokio::test]
async fn a_delete_of_nearly_everything_stops_and_asks() {
    let world = World::mirrored(&PAIR).await;
    for at in 0..50 {
        world.put(0, &format!("e{at:02}"), event(&format!("Event {at}")));
    }
    world.settle().await;
    for at in 0..45 {
        world.sides[0].provider.delete("cal", &format!("e{at:02}"));
    }
    let failure = world.sync(0).await.unwrap_err();
    assert_eq!(failure.code, "deletes_held");
    world.sync(1).await.unwrap();
    assert_eq!(
        world.contents(1).len(),
        50,
        "nothing was deleted before someone agreed"
    );
    let connection = world.sides[0].connection.clone();
    let task = sync::state::JobTask::Sync {
        connection,
        discover: false,
        approve_deletes: true,
    };
    world.run(task).await.unwrap();
    world.settle().await;
    assert_eq!(world.contents(1).len(), 5);
}

#[tokio::test]
async fn deleted_occurrences_stay_deleted() {
    for pair in PAIRS {
        let world = World::mirrored(&pair).await;
        let mut content = series("Standup");
        content.overrides.insert(key(6), model::series::cancelled());
        world.put(0, "a", content);
        world.settle().await;
        world.edit(1, |content| {
            content.overrides.insert(key(7), model::series::cancelled());
        });
        world.settle().await;
        for side in &world.sides {
            side.provider.expire_cursors();
        }
        world.settle().await;
        for side in 0..2 {
            let content = world.only(side);
            assert_eq!(
                content.overrides[&key(6)],
                model::series::cancelled(),
                "side {side}"
            );
            assert_eq!(
                content.overrides[&key(7)],
                model::series::cancelled(),
                "side {side}"
            );
        }
    }
}
