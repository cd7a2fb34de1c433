//! Providers that rewrite what they are sent, minutes later and unasked, even against each other: silence all the same.

use std::time::Duration;

use connector_memory::Options;
use serde_json::{Value, json};
use sync::ports::Store as _;
use sync::state::{Link, LinkState, MemberRole, TargetEdits};

use crate::world::{CAL, World, event};

type Habit = fn(&str) -> String;

fn upper(text: &str) -> String {
    text.to_uppercase()
}

fn lower(text: &str) -> String {
    text.to_lowercase()
}

fn capital(text: &str) -> String {
    let first = text.chars().take(1).collect::<String>().to_uppercase();
    first + &text.chars().skip(1).collect::<String>().to_lowercase()
}

fn louder(text: &str) -> String {
    format!("{text}!")
}

/// Each provider rewrites the titles that it holds; whether one of them did.
fn rewrite(world: &World, habits: &[Habit]) -> bool {
    let mut any = false;
    for (side, habit) in world.sides.iter().zip(habits) {
        for (id, content) in side.provider.contents(CAL) {
            let title = content.fields["title"].as_str().unwrap().to_owned();
            let rewritten = habit(&title);
            if rewritten != title {
                any = true;
                side.provider.edit(CAL, &id, |content| {
                    content.fields.insert("title".to_owned(), json!(rewritten));
                });
            }
        }
    }
    any
}

/// Ten minutes, again and again, in which the providers rewrite what the last ones brought. Writes in each.
async fn minutes(world: &World, habits: &[Habit], times: usize) -> Vec<usize> {
    let mut writes = Vec::new();
    for _ in 0..times {
        let before = world.writes();
        world.pass(Duration::from_secs(300));
        rewrite(world, habits);
        world.pass(Duration::from_secs(300));
        world.round().await;
        writes.push(world.writes() - before);
    }
    writes
}

fn title(world: &World, side: usize) -> String {
    world.only(side).fields["title"].as_str().unwrap().to_owned()
}

async fn link(world: &World, side: usize) -> Link {
    let record = world.only_record().await;
    let links = world
        .store
        .links_of(&world.organization, &record.id)
        .await
        .unwrap();
    let collection = &world.sides[side].collection;
    let link = links.into_iter().find(|link| link.collection == *collection);
    link.unwrap()
}

const SIDES: [Options; 3] = [Options::WHOLE, Options::PER_PART, Options::INSTANCES];

/// `count` calendars, each mirrored to the next, the last to the first where there are more than two.
async fn ring(count: usize) -> World {
    let world = World::new(&SIDES[..count]).await;
    let pairs = if count == 2 { 1 } else { count };
    for at in 0..pairs {
        let members = [(at, MemberRole::Both), ((at + 1) % count, MemberRole::Both)];
        world
            .mirror(&members, conflict::Rule::LastWriter, TargetEdits::Keep)
            .await;
    }
    world
}

#[tokio::test]
async fn two_providers_that_rewrite_each_other_fall_silent_within_few_writes() {
    for habits in [[upper as Habit, lower], [lower, capital], [upper, upper]] {
        let world = ring(2).await;
        world.put(0, "a", event("Lunch"));
        let writes = minutes(&world, &habits, 12).await;
        assert!(writes.iter().sum::<usize>() <= 8, "{writes:?}");
        assert_eq!(writes[6..], [0; 6], "{writes:?}");
        assert_eq!(link(&world, 0).await.state, LinkState::Synced);
        assert_eq!(link(&world, 1).await.state, LinkState::Synced);
    }
}

#[tokio::test]
async fn three_providers_in_a_ring_that_rewrite_each_other_fall_silent_within_few_writes() {
    for habits in [[upper as Habit, lower, capital], [upper, lower, upper]] {
        let world = ring(3).await;
        world.put(0, "a", event("Lunch"));
        let writes = minutes(&world, &habits, 24).await;
        assert!(writes.iter().sum::<usize>() <= 24, "{writes:?}");
        assert_eq!(writes[12..], [0; 12], "{writes:?}");
        // The next edit is as bounded, and what is known of earlier values is not in its way.
        world.set(1, "title", json!("dinner"));
        let writes = minutes(&world, &habits, 24).await;
        assert!(writes.iter().sum::<usize>() <= 24, "{writes:?}");
        assert_eq!(writes[12..], [0; 12], "{writes:?}");
        for side in 0..3 {
            assert_eq!(title(&world, side).to_lowercase(), "dinner");
        }
    }
}

#[tokio::test]
async fn a_known_habit_is_neither_taken_nor_sent_and_is_logged_once() {
    let world = ring(2).await;
    world.put(1, "a", event("lunch"));
    world.settle().await;
    let as_provider = async |value: &str| {
        world.set(0, "title", json!(value));
        world.round().await;
    };
    let in_hub = async |value: &str| {
        let record = world.only_record().await;
        world.patch(&record.id, json!({"title": value})).await;
        world.work().await;
    };
    for _ in 0..2 {
        as_provider("LUNCH").await;
        assert_eq!(title(&world, 1), "LUNCH", "it may yet be somebody who insists");
        in_hub("lunch").await;
    }
    let writes = world.writes();
    as_provider("LUNCH").await;
    assert_eq!(
        (title(&world, 0).as_str(), title(&world, 1).as_str()),
        ("LUNCH", "lunch")
    );
    assert_eq!(world.writes(), writes);
    assert_eq!(
        world.conflicts().await.len(),
        1,
        "and can be restored, should it have been a person"
    );
    // Another value, another story; and the same one is an edit again where the hub says something else.
    in_hub("supper").await;
    as_provider("LUNCH").await;
    assert_eq!(title(&world, 1), "LUNCH");
    in_hub("lunch").await;
    as_provider("LUNCH").await;
    assert_eq!(title(&world, 1), "lunch");
    assert_eq!(world.conflicts().await.len(), 1);
    // The hub's next edit goes out over what the provider made of the last one.
    in_hub("brunch").await;
    assert_eq!(title(&world, 0), "brunch");
}

#[tokio::test]
async fn a_change_a_day_after_the_last_write_is_somebodys_edit() {
    let world = ring(2).await;
    world.put(1, "a", event("lunch"));
    world.settle().await;
    for _ in 0..3 {
        world.pass(Duration::from_secs(25 * 3_600));
        world.set(0, "title", json!("LUNCH"));
        world.round().await;
        assert_eq!(title(&world, 1), "LUNCH");
        let record = world.only_record().await;
        world.patch(&record.id, json!({"title": "lunch"})).await;
        world.work().await;
    }
    assert!(world.conflicts().await.is_empty());
}

#[tokio::test]
async fn a_provider_that_never_comes_to_an_end_is_written_within_a_budget_and_catches_up_later() {
    let world = ring(2).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    // Two programs toggle the same two values every minute, so that nothing of it is new.
    let mut waited = false;
    let before = world.sides[1].provider.writes();
    for at in 0..120 {
        world.pass(Duration::from_secs(30));
        world.set(0, "title", json!(format!("Lunch {}", at % 3)));
        world.round().await;
        waited |= matches!(link(&world, 1).await.state, LinkState::Waiting { .. });
    }
    let written = world.sides[1].provider.writes() - before;
    assert!((20..=25).contains(&written), "{written} writes in an hour");
    assert!(waited);
    let LinkState::Waiting { reason } = link(&world, 1).await.state else {
        panic!("{:?}", link(&world, 1).await.state);
    };
    assert!(reason.contains("2025-12-29T"), "it says until when: {reason}");
    // A client's edit does not wait with it.
    let record = world.only_record().await;
    world.patch(&record.id, json!({"title": "Lunch for all"})).await;
    world.work().await;
    assert_eq!(title(&world, 1), "Lunch for all");
    // What waited is not lost: the job that was left behind comes back to it.
    world.set(0, "title", json!("Lunch 1"));
    world.round().await;
    assert_eq!(title(&world, 1), "Lunch for all");
    world.pass(Duration::from_secs(3_700));
    world.work().await;
    assert_eq!(title(&world, 1), "Lunch 1");
    assert_eq!(link(&world, 1).await.state, LinkState::Synced);
}

#[tokio::test]
async fn even_values_that_are_always_new_are_bounded() {
    let world = ring(2).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    let mut writes = 0;
    for _ in 0..260 {
        let before = world.writes();
        world.pass(Duration::from_secs(6));
        rewrite(&world, &[louder as Habit, louder]);
        world.round().await;
        writes += world.writes() - before;
    }
    assert!(writes <= 2 * 201, "{writes} writes in half an hour");
}

#[tokio::test]
async fn what_an_answer_rewrites_at_once_costs_one_write() {
    for options in SIDES {
        let world = World::mirrored(&[Options::WHOLE, options]).await;
        // Cut, moved to another name of its zone, and sorted anew, before the write is answered.
        world.sides[1].provider.rewrite_writes(|content| {
            if let Some(Value::String(text)) = content.fields.get_mut("title") {
                text.truncate(10);
            }
            for name in ["start", "end"] {
                if let Some(time) = content.fields.get_mut(name) {
                    time["zone"] = json!("Europe/Vienna");
                }
            }
            if let Some(Value::Array(labels)) = content.fields.get_mut("labels") {
                labels.reverse();
            }
        });
        world.put(0, "a", event("Lunch"));
        world.settle().await;
        assert_eq!(world.writes(), 1);
        assert_eq!(world.only(1).fields["start"]["zone"], "Europe/Vienna");
        let before = world.writes();
        world.edit(0, |content| {
            content
                .fields
                .insert("title".to_owned(), json!("Lunch with everybody"));
            content.fields.insert("labels".to_owned(), json!(["blue", "red"]));
        });
        world.settle().await;
        assert_eq!(world.writes() - before, 1);
        assert_eq!(title(&world, 1), "Lunch with");
        assert_eq!(title(&world, 0), "Lunch with everybody");
        assert_eq!(world.only(0).fields["start"]["zone"], "Europe/Berlin");
        for _ in 0..3 {
            world.round().await;
        }
        assert_eq!(world.writes() - before, 1);
        assert!(world.conflicts().await.is_empty());
    }
}
