//! Members that only give or only take, owners of fields, and calendars that are not to be written.

use connector_memory::Options;
use serde_json::json;
use sync::state::{MemberRole, Origin, TargetEdits};

use crate::world::{World, event};

const PAIR: [Options; 2] = [Options::WHOLE, Options::PER_PART];

fn api() -> Origin {
    Origin::Api("test".to_owned())
}

async fn source_and_target(edits: TargetEdits) -> World {
    let world = World::new(&PAIR).await;
    world
        .mirror(
            &[(0, MemberRole::Source), (1, MemberRole::Target)],
            conflict::Rule::LastWriter,
            edits,
        )
        .await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    world
}

#[tokio::test]
async fn a_client_can_delete_a_record_of_a_pure_source() {
    let world = source_and_target(TargetEdits::Keep).await;
    let record = world.only_record().await;
    world
        .engine
        .delete(&world.organization, &record.id, None, api())
        .await
        .unwrap();
    world.settle().await;
    world.sides[0].provider.expire_cursors();
    world.settle().await;
    assert!(world.contents(0).is_empty(), "its remote objects follow");
    assert!(world.contents(1).is_empty());
    assert!(world.records().await.is_empty());
}

#[tokio::test]
async fn what_a_pure_source_deleted_is_not_made_there_again_for_an_edit_of_its_target() {
    let world = source_and_target(TargetEdits::Keep).await;
    world.set(1, "title", json!("Mine"));
    world.settle().await;
    world.delete(0);
    world.settle().await;
    assert!(world.contents(0).is_empty(), "{:?}", world.contents(0));
    assert_eq!(
        world.only(1).fields["title"],
        "Mine",
        "the target's edit is not lost"
    );
}

#[tokio::test]
async fn a_delete_by_another_member_does_not_bring_the_sources_object_back_as_new() {
    let world = World::new(&[Options::WHOLE, Options::WHOLE]).await;
    world
        .mirror(
            &[(0, MemberRole::Source), (1, MemberRole::Both)],
            conflict::Rule::LastWriter,
            TargetEdits::Keep,
        )
        .await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    world.delete(1);
    world.settle().await;
    world.sides[0].provider.expire_cursors();
    world.settle().await;
    assert_eq!(
        world.only(0).fields["title"],
        "Lunch",
        "a pure source is never written"
    );
    assert!(world.contents(1).is_empty(), "what was deleted stays deleted");
}

#[tokio::test]
async fn a_clients_edit_of_a_field_that_a_provider_owns_is_undone_and_logged() {
    let world = World::new(&PAIR).await;
    world
        .mirror_owned(&[(0, MemberRole::Both), (1, MemberRole::Both)], "title", 0)
        .await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    let record = world.only_record().await;
    world.patch(&record.id, json!({"title": "Mine"})).await;
    world.settle().await;
    for side in 0..2 {
        assert_eq!(world.only(side).fields["title"], "Lunch", "side {side}");
    }
    assert_eq!(world.only_record().await.content.fields["title"], "Lunch");
    assert_eq!(world.conflicts().await.len(), 1);
    world.set(1, "title", json!("Also mine"));
    world.settle().await;
    for side in 0..2 {
        assert_eq!(world.only(side).fields["title"], "Lunch", "side {side}");
    }
}

#[tokio::test]
async fn a_paused_connection_is_not_written_for_what_its_mirror_brings() {
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    world.pause(1, true).await;
    world.set(0, "title", json!("Dinner"));
    world.sync(0).await.unwrap();
    world.work().await;
    assert_eq!(world.only(1).fields["title"], "Lunch");
    world.pause(1, false).await;
    world.settle().await;
    assert_eq!(world.only(1).fields["title"], "Dinner");
}

#[tokio::test]
async fn a_calendar_that_is_switched_off_is_not_written() {
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    let collection = world.sides[1].collection.clone();
    world
        .store
        .enable_collection(&world.organization, &collection, false)
        .await
        .unwrap();
    world.set(0, "title", json!("Dinner"));
    world.settle().await;
    assert_eq!(world.only(1).fields["title"], "Lunch");
    world
        .store
        .enable_collection(&world.organization, &collection, true)
        .await
        .unwrap();
    world.settle().await;
    assert_eq!(world.only(1).fields["title"], "Dinner");
}
