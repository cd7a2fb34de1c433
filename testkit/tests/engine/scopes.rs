//! How far an edit of an occurrence reaches: this one, this and the following, all of them.

use connector_memory::Options;
use serde_json::{Value, json};
use sync::ports::Store as _;
use sync::state::{Origin, Record};
use sync::{EditError, EditScope};

use crate::world::{World, fields, key, series};

const PAIR: [Options; 2] = [Options::WHOLE, Options::WHOLE];

fn api() -> Origin {
    Origin::Api("test".to_owned())
}

async fn standup() -> (World, Record) {
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", series("Standup"));
    world.settle().await;
    let record = world.only_record().await;
    (world, record)
}

impl World {
    async fn patch_scope(
        &self,
        record: &Record,
        day: u8,
        scope: EditScope,
        patch: Value,
    ) -> Result<Vec<Record>, EditError> {
        let patch = patch.as_object().unwrap().clone();
        let patched = self
            .engine
            .patch_occurrence(
                &self.organization,
                &record.id,
                &key(day),
                scope,
                None,
                patch,
                api(),
            )
            .await;
        self.settle().await;
        patched
    }

    async fn delete_scope(
        &self,
        record: &Record,
        day: u8,
        scope: EditScope,
    ) -> Result<Vec<Record>, EditError> {
        let deleted = self
            .engine
            .delete_occurrence(&self.organization, &record.id, &key(day), scope, None, api())
            .await;
        self.settle().await;
        deleted
    }
}

#[tokio::test]
async fn all_of_a_series_moves_as_far_as_the_one_that_was_moved_and_takes_the_rest_as_it_is() {
    let (world, record) = standup().await;
    let at = |field: &str, wall: &str| {
        let mut time = record.content.fields[field].clone();
        time["wall"] = json!(wall);
        time
    };
    let patch = json!({
        "start": at("start", "2026-01-07T10:30:00"),
        "end": at("end", "2026-01-07T11:30:00"),
        "title": "Late",
    });
    let records = world
        .patch_scope(&record, 7, EditScope::All, patch)
        .await
        .unwrap();
    assert_eq!(records.len(), 1);
    for side in 0..2 {
        let content = world.only(side);
        assert_eq!(content.fields["start"]["wall"], "2026-01-05T10:30:00");
        assert_eq!(content.fields["end"]["wall"], "2026-01-05T11:30:00");
        assert_eq!(content.fields["title"], "Late");
        assert!(content.overrides.is_empty());
    }
}

#[tokio::test]
async fn this_and_following_from_the_first_on_are_all_of_them() {
    let (world, record) = standup().await;
    let patch = json!({"title": "Late"});
    let records = world
        .patch_scope(&record, 5, EditScope::Following, patch)
        .await
        .unwrap();
    assert_eq!(records.len(), 1, "nothing is split off");
    assert_eq!(world.only(1).fields["title"], "Late");
    let rest = world
        .delete_scope(&record, 5, EditScope::Following)
        .await
        .unwrap();
    assert!(rest.is_empty());
    for side in 0..2 {
        assert!(world.contents(side).is_empty());
    }
}

#[tokio::test]
async fn the_first_alone_is_only_that_one() {
    let (world, record) = standup().await;
    let patch = json!({"title": "Late"});
    world
        .patch_scope(&record, 5, EditScope::This, patch)
        .await
        .unwrap();
    let content = world.only(1);
    assert_eq!(content.fields["title"], "Standup");
    assert_eq!(content.overrides[&key(5)], fields(json!({"title": "Late"})));
    let records = world.delete_scope(&record, 5, EditScope::This).await.unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(world.only(1).overrides[&key(5)], model::series::cancelled());
}

#[tokio::test]
async fn what_is_no_series_has_no_occurrences_to_edit() {
    let world = World::mirrored(&PAIR).await;
    let mut content = series("Meeting");
    content.fields.remove("recurrence");
    world.put(0, "a", content);
    world.settle().await;
    let record = world.only_record().await;
    for scope in [EditScope::This, EditScope::Following, EditScope::All] {
        let patched = world.patch_scope(&record, 5, scope, json!({"title": "x"})).await;
        assert!(matches!(patched, Err(EditError::Invalid(_))), "{patched:?}");
        let deleted = world.delete_scope(&record, 5, scope).await;
        assert!(matches!(deleted, Err(EditError::Invalid(_))), "{deleted:?}");
    }
    assert_eq!(world.only(1).fields["title"], "Meeting");
}

#[tokio::test]
async fn a_series_that_somebody_kept_out_of_a_calendar_stays_out_of_it_with_both_halves() {
    let (world, record) = standup().await;
    let links = world
        .store
        .links_of(&world.organization, &record.id)
        .await
        .unwrap();
    let copy = links
        .iter()
        .find(|link| Some(&link.id) != record.home.as_ref())
        .unwrap();
    world.engine.unlink(&world.organization, &copy.id).await.unwrap();
    world.settle().await;
    let patch = json!({"title": "Late"});
    let records = world
        .patch_scope(&record, 9, EditScope::Following, patch)
        .await
        .unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(world.contents(0).len(), 2);
    assert_eq!(
        world.only(1).fields["title"],
        "Standup",
        "as it was when it was taken apart"
    );
}
