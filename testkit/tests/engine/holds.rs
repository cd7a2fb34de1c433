//! A pull that would change too much stops and asks, and does what a person answers.

use connector_memory::Options;
use serde_json::json;
use sync::hold::{HeldChange, Hold, HoldAnswer};
use sync::ports::Store;
use sync::state::Origin;

use crate::world::{CAL, World, event};

const PAIR: [Options; 2] = [Options::WHOLE, Options::PER_PART];

/// A mirror of so many events, at rest.
async fn with_events(options: &[Options], count: usize) -> World {
    let world = World::mirrored(options).await;
    for at in 0..count {
        world.put(0, &format!("e{at:03}"), event(&format!("Event {at}")));
    }
    world.settle().await;
    world
}

fn rename(world: &World, count: usize, title: &str) {
    for at in 0..count {
        let changed = world.sides[0]
            .provider
            .edit(CAL, &format!("e{at:03}"), |content| {
                content.fields.insert("title".to_owned(), json!(title));
            });
        assert!(changed, "{at}");
    }
}

fn delete(world: &World, from: usize, to: usize) {
    for at in from..to {
        world.sides[0].provider.delete(CAL, &format!("e{at:03}"));
    }
}

async fn hold(world: &World) -> Option<Hold> {
    let id = &world.sides[0].collection;
    let found = Store::collection(&world.store, &world.organization, id).await;
    found.unwrap().unwrap().hold
}

async fn answer(world: &World, answer: HoldAnswer) {
    let id = &world.sides[0].collection;
    world
        .engine
        .answer_hold(&world.organization, id, answer, &Origin::Hub)
        .await
        .unwrap();
}

/// How many objects have this title on a side.
fn titled(world: &World, side: usize, title: &str) -> usize {
    let all = world.contents(side);
    all.iter()
        .filter(|content| content.fields["title"] == title)
        .count()
}

#[tokio::test]
async fn a_hold_says_how_much_of_what_and_since_when() {
    let pages = Options {
        page_size: 10,
        ..Options::WHOLE
    };
    let world = with_events(&[pages, Options::PER_PART], 50).await;
    delete(&world, 0, 45);
    world.sync(0).await.unwrap_err();
    let first = hold(&world).await.unwrap();
    assert_eq!(first.about, [HeldChange::Delete]);
    assert_eq!(
        (first.deletes, first.of),
        (45, 50),
        "the whole pull is counted, {first:?}"
    );
    assert_eq!(first.sample.len(), 20);
    assert!(
        first.sample[0]
            .title
            .as_ref()
            .is_some_and(|title| title.starts_with("Event"))
    );
    world.pass(std::time::Duration::from_secs(60));
    world.sync(0).await.unwrap_err();
    let second = hold(&world).await.unwrap();
    assert_eq!(second.since, first.since);
    assert_eq!(second.answer, None);
}

#[tokio::test]
async fn an_approved_hold_is_carried_out_and_is_over() {
    let world = with_events(&PAIR, 50).await;
    delete(&world, 0, 45);
    world.sync(0).await.unwrap_err();
    answer(&world, HoldAnswer::Approved).await;
    world.sync(0).await.unwrap();
    world.settle().await;
    assert_eq!((world.contents(0).len(), world.contents(1).len()), (5, 5));
    assert_eq!(hold(&world).await, None);
}

#[tokio::test]
async fn an_approval_is_for_what_was_shown_and_far_more_asks_again() {
    let world = with_events(&PAIR, 100).await;
    delete(&world, 0, 51);
    world.sync(0).await.unwrap_err();
    answer(&world, HoldAnswer::Approved).await;
    // A few more are within the bounds of any pull; these are not, beyond the 51 that were shown.
    let settings = sync::Settings {
        delete_share_percent: 40,
        ..sync::Settings::default()
    };
    let mut world = world;
    world.engine = world.engine.clone().with_settings(settings);
    delete(&world, 51, 99);
    world.sync(0).await.unwrap_err();
    let again = hold(&world).await.unwrap();
    assert_eq!((again.answer, again.deletes), (None, 99));
    assert_eq!(world.contents(1).len(), 100, "nothing was deleted");
    answer(&world, HoldAnswer::Approved).await;
    world.settle().await;
    assert_eq!(world.contents(1).len(), 1);
}

#[tokio::test]
async fn a_rejected_delete_makes_the_objects_again_and_nothing_is_lost() {
    let world = with_events(&PAIR, 50).await;
    delete(&world, 0, 45);
    world.put(0, "new", event("New meanwhile"));
    world.sync(0).await.unwrap_err();
    answer(&world, HoldAnswer::Rejected).await;
    world.sync(0).await.unwrap();
    world.settle().await;
    assert_eq!((world.contents(0).len(), world.contents(1).len()), (51, 51));
    assert_eq!(world.records().await.len(), 51, "no copies");
    assert_eq!(world.conflicts().await.len(), 45, "each is logged");
    assert_eq!(hold(&world).await, None);
    // The next delete is one like any other.
    world.sides[0].provider.delete(CAL, "new");
    world.settle().await;
    assert_eq!(world.contents(1).len(), 50);
}

#[tokio::test]
async fn edits_of_nearly_everything_stop_and_ask() {
    let pages = Options {
        page_size: 50,
        ..Options::WHOLE
    };
    let world = with_events(&[pages, Options::PER_PART], 240).await;
    rename(&world, 230, "Spam");
    let failure = world.sync(0).await.unwrap_err();
    assert_eq!(failure.code, "changes_held");
    let asked = hold(&world).await.unwrap();
    assert_eq!(asked.about, [HeldChange::Update]);
    assert_eq!((asked.updates, asked.of, asked.deletes), (230, 240, 0));
    world.sync(1).await.unwrap();
    let before = titled(&world, 1, "Spam");
    assert!(before <= 200, "the excess is not taken over: {before}");
    world.sync(0).await.unwrap_err();
    world.sync(1).await.unwrap();
    assert_eq!(titled(&world, 1, "Spam"), before, "and no portion more");
    answer(&world, HoldAnswer::Approved).await;
    world.settle().await;
    assert_eq!((titled(&world, 0, "Spam"), titled(&world, 1, "Spam")), (230, 230));
    assert_eq!(hold(&world).await, None);
}

#[tokio::test]
async fn rejected_edits_are_taken_back_at_the_provider_and_logged() {
    // In one page: what earlier pages brought within the bounds has been taken over.
    let pages = Options {
        page_size: 500,
        ..Options::WHOLE
    };
    let world = with_events(&[pages, Options::PER_PART], 210).await;
    rename(&world, 210, "Spam");
    world.sync(0).await.unwrap_err();
    answer(&world, HoldAnswer::Rejected).await;
    world.settle().await;
    assert_eq!((titled(&world, 0, "Spam"), titled(&world, 1, "Spam")), (0, 0));
    assert_eq!(titled(&world, 0, "Event 7"), 1);
    let conflicts = world.conflicts().await;
    assert!(
        conflicts
            .iter()
            .all(|conflict| conflict.remote == Some(json!("Spam")))
    );
    assert!(conflicts.len() >= 200);
    assert_eq!(hold(&world).await, None);
}

#[tokio::test]
async fn a_first_enumeration_and_a_small_share_ask_nobody() {
    let world = with_events(&PAIR, 300).await;
    rename(&world, 220, "Renamed");
    world.sync(0).await.unwrap();
    assert_eq!(hold(&world).await, None);
}

#[tokio::test]
async fn a_hold_on_one_connection_lets_the_others_go_on() {
    let world = with_events(&PAIR, 50).await;
    delete(&world, 0, 45);
    world.sync(0).await.unwrap_err();
    world.put(1, "other", event("Other"));
    world.sync(1).await.unwrap();
    world.work().await;
    assert_eq!(titled(&world, 0, "Other"), 1);
    let nothing = world
        .engine
        .answer_hold(
            &world.organization,
            &world.sides[1].collection,
            HoldAnswer::Approved,
            &Origin::Hub,
        )
        .await;
    assert!(nothing.is_err(), "nothing waits there");
}
