//! Lost answers, crashes, refusals, contested writes.

use connector_memory::{Fault, Operation, Options};
use connector_sdk::ErrorKind;
use model::FieldPath;
use serde_json::json;
use sync::ports::Store;
use sync::state::LinkState;

use crate::world::{CAL, World, event};

const PAIR: [Options; 2] = [Options::WHOLE, Options::PER_PART];

#[tokio::test]
async fn a_create_whose_answer_was_lost_makes_one_object() {
    for target in 0..2 {
        let mut world = World::mirrored(&PAIR).await;
        world.sides[target].provider.fail(Fault::lost_answer());
        world.put(1 - target, "a", event("Lunch"));
        world.sync(1 - target).await.unwrap();
        world.restart().await;
        world.settle().await;
        assert_eq!(world.only(target).fields["title"], "Lunch");
        assert_eq!(world.records().await.len(), 1);
        assert_eq!(world.writes(), 1);
    }
}

#[tokio::test]
async fn an_update_whose_answer_was_lost_is_not_taken_for_someone_elses() {
    for target in 0..2 {
        let mut world = World::mirrored(&PAIR).await;
        world.put(1 - target, "a", event("Lunch"));
        world.settle().await;
        let record = world.only_record().await;
        world.sides[target].provider.fail(Fault::lost_answer());
        world.patch(&record.id, json!({"title": "First"})).await;
        world.work().await;
        world.patch(&record.id, json!({"title": "Second"})).await;
        world.restart().await;
        world.settle().await;
        for side in 0..2 {
            assert_eq!(world.only(side).fields["title"], "Second");
        }
        assert!(
            world.conflicts().await.is_empty(),
            "{:#?}",
            world.conflicts().await
        );
    }
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_is_done_once() {
    for target in 0..2 {
        let mut world = World::mirrored(&PAIR).await;
        world.put(1 - target, "a", event("Lunch"));
        world.settle().await;
        world.sides[target].provider.fail(Fault::lost_answer());
        world.delete(1 - target);
        world.sync(1 - target).await.unwrap();
        world.restart().await;
        world.settle().await;
        assert!(world.contents(0).is_empty() && world.contents(1).is_empty());
    }
}

#[tokio::test]
async fn an_edit_at_the_provider_between_our_read_and_our_write_survives() {
    for target in 0..2 {
        let world = World::mirrored(&PAIR).await;
        world.put(1 - target, "a", event("Lunch"));
        world.settle().await;
        world.sides[target].provider.before_next_write(|provider| {
            let id = provider.contents(CAL).into_keys().next().unwrap();
            provider.edit(CAL, &id, |content| {
                content.set(&FieldPath::master("location"), Some(json!("Roof")));
            });
        });
        let record = world.only_record().await;
        world.patch(&record.id, json!({"title": "Dinner"})).await;
        world.settle().await;
        for side in 0..2 {
            assert_eq!(world.only(side).fields["title"], "Dinner", "target {target}");
            assert_eq!(world.only(side).fields["location"], "Roof", "target {target}");
        }
        assert!(world.conflicts().await.is_empty());
    }
}

#[tokio::test]
async fn a_write_refused_for_good_is_shown_not_repeated_and_can_be_reverted() {
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", event("Lunch"));
    world.put(0, "b", event("Tea"));
    world.settle().await;
    let lunch = world
        .records()
        .await
        .into_iter()
        .find(|r| r.content.fields["title"] == "Lunch")
        .unwrap();
    let refusals = world.writes();
    world.sides[1]
        .provider
        .fail(Fault::next(Operation::Write, ErrorKind::Invalid));
    world.patch(&lunch.id, json!({"title": "Dinner"})).await;
    world.settle().await;
    let links = world
        .store
        .links_of(&world.organization, &lunch.id)
        .await
        .unwrap();
    let rejected = links
        .iter()
        .find(|link| matches!(link.state, LinkState::Rejected { .. }))
        .unwrap();
    assert_eq!(rejected.collection, world.sides[1].collection);
    assert_eq!(
        world.writes() - refusals,
        1,
        "the other side was written, the refused one is left alone"
    );
    world
        .engine
        .revert_link(&world.organization, &rejected.id)
        .await
        .unwrap();
    world.settle().await;
    for side in 0..2 {
        assert!(
            world
                .contents(side)
                .iter()
                .any(|content| content.fields["title"] == "Lunch")
        );
        assert!(
            world
                .contents(side)
                .iter()
                .all(|content| content.fields["title"] != "Dinner")
        );
    }
}

#[tokio::test]
async fn a_provider_that_is_down_catches_up_when_it_is_back() {
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    for _ in 0..5 {
        world.sides[1]
            .provider
            .fail(Fault::next(Operation::Write, ErrorKind::Unavailable));
    }
    let record = world.only_record().await;
    world.patch(&record.id, json!({"title": "Dinner"})).await;
    for _ in 0..8 {
        world.pass(std::time::Duration::from_secs(3_600));
        world.round().await;
    }
    assert_eq!(world.only(1).fields["title"], "Dinner");
}

#[tokio::test]
async fn refused_credentials_are_said_and_nothing_is_lost() {
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    world.sides[1].provider.revoke();
    world.set(0, "title", json!("Dinner"));
    world.sync(0).await.unwrap();
    let connection = Store::connection(&world.store, &world.organization, &world.sides[1].connection);
    let connection = connection.await.unwrap().unwrap();
    assert_eq!(connection.health, sync::state::Health::NeedsReauth);
    assert!(connection.health_reason.is_some());
    world.sides[1].provider.restore();
    world.settle().await;
    assert_eq!(world.only(1).fields["title"], "Dinner");
}

#[tokio::test]
async fn a_create_in_doubt_that_is_refused_when_tried_again_stays_the_one_that_may_still_appear() {
    let world = World::mirrored(&PAIR).await;
    let failing = &world.sides[1];
    let unavailable = Fault::next(Operation::Write, ErrorKind::Unavailable);
    failing.provider.fail(unavailable);
    world.put(0, "a", event("Lunch"));
    world.sync(0).await.unwrap();
    world.work().await;
    let open = || async {
        let open = world.store.open_intents(&world.organization, &failing.connection);
        open.await.unwrap()
    };
    let doubtful = open().await;
    assert_eq!(doubtful.len(), 1);
    let refused = Fault::next(Operation::Write, ErrorKind::PermissionDenied);
    failing.provider.fail(refused);
    world.pass(std::time::Duration::from_secs(3_600));
    world.sync(1).await.unwrap();
    let record = world.only_record().await;
    let links = world
        .store
        .links_of(&world.organization, &record.id)
        .await
        .unwrap();
    let link = links
        .into_iter()
        .find(|link| link.collection == failing.collection);
    let link = link.unwrap();
    assert!(matches!(link.state, LinkState::Rejected { .. }), "{link:#?}");
    assert_eq!(open().await, doubtful, "the next try has another name");
    let retried = world.engine.retry_link(&world.organization, &link.id).await;
    retried.unwrap();
    world.settle().await;
    assert_eq!(world.only(1).fields["title"], "Lunch");
    assert!(open().await.is_empty());
}
