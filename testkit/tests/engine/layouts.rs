//! Series whose changed occurrences are objects and whose cancelled ones are none, beside the other layouts.

use connector_memory::{Fault, Options};
use serde_json::json;
use sync::ports::Store as _;
use sync::state::{LinkState, Origin};
use sync::{EditError, EditScope};

use crate::world::{CAL, World, fields, key, series, shared};

/// A vendor whose deltas keep silent about what is gone.
const SILENT: Options = Options {
    reports_deletes: false,
    ..Options::INSTANCES
};

const OTHERS: [Options; 3] = [Options::WHOLE, Options::PER_PART, Options::INSTANCES];

async fn mirrored_series(pair: &[Options]) -> World {
    let world = World::mirrored(pair).await;
    let mut content = series("Standup");
    content
        .overrides
        .insert(key(8), fields(json!({"title": "Long standup"})));
    world.put(0, "a", content);
    world.settle().await;
    world
}

#[tokio::test]
async fn an_occurrence_that_the_vendor_dropped_without_a_word_is_cancelled_elsewhere() {
    for other in OTHERS {
        for vendor in [SILENT, Options::INSTANCES] {
            let world = mirrored_series(&[vendor, other]).await;
            let before = world.writes();
            // One that has an object of its own, and one that never had any.
            world.edit(0, |content| {
                content.overrides.insert(key(8), model::series::cancelled());
                content.overrides.insert(key(9), model::series::cancelled());
            });
            world.settle().await;
            for side in 0..2 {
                let content = world.only(side);
                assert_eq!(
                    content.overrides[&key(8)],
                    model::series::cancelled(),
                    "{other:?}"
                );
                assert_eq!(
                    content.overrides[&key(9)],
                    model::series::cancelled(),
                    "{other:?}"
                );
                assert_eq!(content.overrides.len(), 2);
            }
            assert!(world.writes() - before <= 2);
            world.sides[0].provider.expire_cursors();
            world.settle().await;
            assert_eq!(world.only(1).overrides.len(), 2, "a full pull changes nothing");
            assert_eq!(shared(&world.only(0)), shared(&world.only(1)));
        }
    }
}

#[tokio::test]
async fn a_changed_occurrence_that_is_as_its_series_again_is_so_elsewhere_and_not_cancelled() {
    for other in OTHERS {
        let world = mirrored_series(&[Options::INSTANCES, other]).await;
        // Its object goes, with a tombstone of its own.
        world.put(0, "a", series("Standup"));
        world.settle().await;
        assert!(world.only(1).overrides.is_empty(), "{:?}", world.only(1));
        assert_eq!(shared(&world.only(0)), shared(&world.only(1)));
    }
}

#[tokio::test]
async fn a_tombstone_on_a_page_without_its_series_is_explained_by_the_series() {
    let paged = Options {
        page_size: 1,
        ..Options::INSTANCES
    };
    for (cancels, expected) in [(true, Some(model::series::cancelled())), (false, None)] {
        let world = mirrored_series(&[paged, Options::WHOLE]).await;
        world.edit(0, |content| {
            content.set(&model::FieldPath::master("location"), Some(json!("Roof")));
            content
                .overrides
                .insert(key(8), fields(json!({"title": "Longer standup"})));
        });
        // The occurrence goes after the page that brings its series was read.
        world.sides[0].provider.before_next_page(move |provider| {
            provider.before_next_page(move |provider| {
                if cancels {
                    provider.edit(CAL, "a", |content| {
                        content.overrides.insert(key(8), model::series::cancelled());
                    });
                } else {
                    let mut content = provider.content(CAL, "a").unwrap();
                    content.overrides.clear();
                    provider.put(CAL, "a", content);
                }
            });
        });
        world.sync(0).await.unwrap();
        let record = world.only_record().await;
        assert_eq!(record.content.overrides.get(&key(8)), expected.as_ref());
        world.settle().await;
        assert_eq!(world.only(1).overrides.get(&key(8)), expected.as_ref());
    }
}

#[tokio::test]
async fn a_cancelled_occurrence_is_cancelled_by_one_write_in_every_layout() {
    for other in OTHERS {
        for occurrence in [key(8), key(9)] {
            let world = mirrored_series(&[Options::INSTANCES, other]).await;
            let record = world.only_record().await;
            let before = world.writes();
            world
                .engine
                .delete_occurrence(
                    &world.organization,
                    &record.id,
                    &occurrence,
                    EditScope::This,
                    None,
                    Origin::Api("test".to_owned()),
                )
                .await
                .unwrap();
            world.settle().await;
            assert_eq!(world.writes() - before, 2, "one write a side");
            for side in 0..2 {
                let content = world.only(side);
                assert_eq!(content.overrides[&occurrence], model::series::cancelled());
            }
        }
    }
}

#[tokio::test]
async fn a_cancel_whose_answer_was_lost_is_done_once() {
    for occurrence in [key(8), key(9)] {
        let world = mirrored_series(&[Options::WHOLE, Options::INSTANCES]).await;
        let before = world.sides[1].provider.writes();
        world.edit(0, |content| {
            content
                .overrides
                .insert(occurrence.clone(), model::series::cancelled());
        });
        world.sides[1].provider.fail(Fault::lost_answer());
        world.settle().await;
        assert_eq!(world.sides[1].provider.writes() - before, 1);
        assert_eq!(shared(&world.only(0)), shared(&world.only(1)));
        assert!(world.conflicts().await.is_empty());
    }
}

#[tokio::test]
async fn an_occurrence_that_cannot_be_brought_back_is_refused_with_a_reason() {
    let world = mirrored_series(&[Options::INSTANCES, Options::WHOLE]).await;
    world.edit(0, |content| {
        content.overrides.insert(key(9), model::series::cancelled());
    });
    world.settle().await;
    world.edit(1, |content| {
        content.overrides.remove(&key(9));
    });
    world.settle().await;
    assert_eq!(world.only(0).overrides[&key(9)], model::series::cancelled());
    assert!(!world.only(1).overrides.contains_key(&key(9)));
    let record = world.only_record().await;
    let links = world
        .store
        .links_of(&world.organization, &record.id)
        .await
        .unwrap();
    let link = links
        .iter()
        .find(|link| link.collection == world.sides[0].collection)
        .unwrap();
    let LinkState::Rejected { reason } = &link.state else {
        panic!("{:?}", link.state);
    };
    assert!(reason.contains("cannot be brought back"), "{reason}");
}

#[tokio::test]
async fn an_edit_of_a_changed_occurrence_beats_its_cancel_where_it_can_be_brought_back() {
    let world = mirrored_series(&[Options::INSTANCES, Options::WHOLE]).await;
    world.edit(0, |content| {
        content
            .overrides
            .insert(key(8), fields(json!({"title": "Longer standup"})));
    });
    world.edit(1, |content| {
        content.overrides.insert(key(8), model::series::cancelled());
    });
    world.settle().await;
    for side in 0..2 {
        assert_eq!(
            world.only(side).overrides[&key(8)],
            fields(json!({"title": "Longer standup"}))
        );
    }
    assert!(
        !world.conflicts().await.is_empty(),
        "the cancel that lost is logged"
    );
}

#[tokio::test]
async fn an_occurrence_that_does_not_exist_is_cancelled_nowhere() {
    let world = mirrored_series(&[Options::INSTANCES, Options::WHOLE]).await;
    let record = world.only_record().await;
    let outcome = world
        .engine
        .delete_occurrence(
            &world.organization,
            &record.id,
            &key(25),
            EditScope::This,
            None,
            Origin::Api("test".to_owned()),
        )
        .await;
    assert!(
        matches!(outcome, Err(EditError::NotFound("occurrence"))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn what_else_is_known_of_a_cancelled_occurrence_is_not_written_where_it_is_no_object() {
    let world = mirrored_series(&[Options::WHOLE, Options::INSTANCES]).await;
    let before = world.writes();
    let mut cancelled = model::series::cancelled();
    cancelled.insert("location".to_owned(), json!("Roof"));
    world.edit(0, |content| {
        content.overrides.insert(key(8), cancelled.clone());
    });
    world.settle().await;
    assert_eq!(world.writes() - before, 1);
    assert_eq!(world.only(1).overrides[&key(8)], model::series::cancelled());
    assert_eq!(world.only_record().await.content.overrides[&key(8)], cancelled);
}
