//! Objects that cannot be understood: never written over, looked at again by themselves, let go when they are gone.

use std::time::Duration;

use connector_memory::{Fault, Operation, Options};
use connector_sdk::{ErrorKind, RemoteId};
use model::PartKey;
use serde_json::json;
use store::{Paging, QuarantineFilter};
use sync::ports::Store as _;
use sync::state::{Link, LinkState, Origin, Quarantine};

use crate::world::{CAL, World, event, key, series};

const DAY: Duration = Duration::from_secs(86_400);
const CUT_OFF: Option<&str> = Some("the body is cut off");

impl World {
    async fn quarantined(&self) -> Vec<Quarantine> {
        let filter = QuarantineFilter::default();
        let first = Paging::first(200);
        let page = self.store.quarantined(&self.organization, &filter, &first);
        page.await.unwrap().items
    }

    fn poison(&self, side: usize, object: &str, reason: Option<&str>) {
        let object = RemoteId(object.to_owned());
        self.sides[side].provider.poison(CAL, &object, reason);
    }

    /// The id of the only record on a side.
    fn only_id(&self, side: usize) -> String {
        let mut ids = self.sides[side].provider.contents(CAL).into_keys();
        ids.next().unwrap()
    }

    /// The one link of a side.
    async fn link_on(&self, side: usize) -> Link {
        let collection = &self.sides[side].collection;
        let parts = self.store.known(&self.organization, collection).await.unwrap();
        let ids: Vec<RemoteId> = parts.into_keys().collect();
        let linked = self.store.linked(&self.organization, collection, &ids).await;
        linked.unwrap().remove(0).link
    }
}

/// A mirrored event whose copy another client has changed into something that cannot be read.
async fn spoiled() -> (World, String) {
    let world = World::mirrored(&[Options::WHOLE, Options::PER_PART]).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    let copy = world.only_id(1);
    world.set(1, "location", json!("Attic"));
    world.poison(1, &copy, CUT_OFF);
    world.sync(1).await.unwrap();
    assert_eq!(world.quarantined().await.len(), 1);
    (world, copy)
}

#[tokio::test]
async fn what_cannot_be_read_is_not_written_over_and_the_edit_goes_out_once_it_can() {
    let (world, copy) = spoiled().await;
    let record = world.only_record().await;
    let writes = world.sides[1].provider.writes();
    world.patch(&record.id, json!({"title": "Dinner"})).await;
    world.work().await;
    assert_eq!(world.only(0).fields["title"], "Dinner", "the other side goes on");
    let waiting = world.link_on(1).await;
    let reason = "the object cannot be read: the body is cut off".to_owned();
    assert_eq!(
        (waiting.state, waiting.dirty),
        (LinkState::Rejected { reason }, false)
    );
    let reads = world.sides[1].provider.reads();
    world.work().await;
    assert_eq!(
        world.sides[1].provider.reads(),
        reads,
        "nobody comes back to it by himself"
    );
    world.settle().await;
    assert_eq!(world.link_on(1).await.attempts, 0);
    // Asking for it by hand changes nothing either.
    world
        .engine
        .retry_link(&world.organization, &waiting.id)
        .await
        .unwrap();
    world.work().await;
    assert!(matches!(world.link_on(1).await.state, LinkState::Rejected { .. }));
    assert_eq!(world.sides[1].provider.writes(), writes, "nothing was sent there");
    world.poison(1, &copy, None);
    world.pass(DAY);
    world.settle().await;
    for side in 0..2 {
        let now = world.only(side).fields;
        assert_eq!(
            (&now["title"], &now["location"]),
            (&json!("Dinner"), &json!("Attic"))
        );
        assert_eq!(world.link_on(side).await.state, LinkState::Synced);
    }
    assert!(world.quarantined().await.is_empty());
}

#[tokio::test]
async fn the_delete_of_what_cannot_be_read_waits_and_follows() {
    let world = World::mirrored(&[Options::WHOLE, Options::WHOLE]).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    let copy = world.only_id(1);
    // Nobody changed it; it just cannot be read any more.
    world.poison(1, &copy, CUT_OFF);
    world.sides[1].provider.expire_cursors();
    world.sync(1).await.unwrap();
    let record = world.only_record().await;
    let origin = Origin::Api("test".to_owned());
    world
        .engine
        .delete(&world.organization, &record.id, None, origin)
        .await
        .unwrap();
    world.work().await;
    world.settle().await;
    assert_eq!((world.contents(0).len(), world.contents(1).len()), (0, 1));
    assert!(matches!(world.link_on(1).await.state, LinkState::Rejected { .. }));
    world.poison(1, &copy, None);
    world.pass(DAY);
    world.settle().await;
    assert_eq!((world.contents(0).len(), world.contents(1).len()), (0, 0));
    assert!(world.records().await.is_empty());
}

#[tokio::test]
async fn one_unreadable_part_keeps_its_whole_series_from_being_written() {
    let world = World::mirrored(&[Options::WHOLE, Options::PER_PART]).await;
    let mut daily = series("Standup");
    daily
        .overrides
        .insert(key(7), crate::world::fields(json!({"title": "Retro"})));
    world.put(1, "s", daily);
    world.settle().await;
    let part = connector_memory::part_id("s", &key(7));
    world.poison(1, &part.0, CUT_OFF);
    world.sides[1].provider.expire_cursors();
    world.sync(1).await.unwrap();
    let writes = world.sides[1].provider.writes();
    let record = world.only_record().await;
    world.patch(&record.id, json!({"location": "Attic"})).await;
    world.work().await;
    assert_eq!(world.sides[1].provider.writes(), writes);
    assert!(matches!(world.link_on(1).await.state, LinkState::Rejected { .. }));
    // The object is gone: there is nothing to wait for.
    world.sides[1].provider.edit(CAL, "s", |content| {
        content.overrides.remove(&key(7));
    });
    world.settle().await;
    world.pass(DAY);
    world.settle().await;
    assert_eq!(world.only(1).fields["location"], "Attic");
}

#[tokio::test]
async fn it_is_looked_at_again_with_growing_pauses_and_leaves_without_a_new_version() {
    let world = World::new(&[Options::WHOLE]).await;
    world.put(0, "a", event("Lunch"));
    world.poison(0, "a", CUT_OFF);
    world.sync(0).await.unwrap();
    let first = world.quarantined().await.remove(0);
    world.sync(0).await.unwrap();
    assert_eq!(
        world.quarantined().await,
        std::slice::from_ref(&first),
        "not due yet"
    );
    // The clock of these tests ticks on its own now and then, by milliseconds.
    let mut pause = first.retry_at - first.created_at;
    let mut pauses = Vec::new();
    for tries in 1..=12 {
        let due = world.quarantined().await.remove(0).retry_at;
        world.pass(Duration::from_millis(u64::try_from(pause).unwrap()));
        world.sync(0).await.unwrap();
        let entry = world.quarantined().await.remove(0);
        assert_eq!(
            (entry.tries, &entry.id, entry.created_at),
            (tries, &first.id, first.created_at)
        );
        pause = entry.retry_at - due;
        pauses.push(pause / 60_000);
    }
    assert_eq!(
        pauses,
        [2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_440, 1_440],
        "minutes"
    );
    world.poison(0, "a", None);
    world.pass(Duration::from_secs(60));
    world.sync(0).await.unwrap();
    assert!(
        world.records().await.is_empty(),
        "its pause is longer than that by now"
    );
    world.pass(DAY);
    world.sync(0).await.unwrap();
    assert_eq!(world.only_record().await.content.fields["title"], "Lunch");
    assert!(world.quarantined().await.is_empty());
}

#[tokio::test]
async fn asked_for_it_is_looked_at_with_the_next_sync() {
    let world = World::new(&[Options::WHOLE]).await;
    world.put(0, "a", event("Lunch"));
    world.poison(0, "a", CUT_OFF);
    world.sync(0).await.unwrap();
    world.poison(0, "a", None);
    world.sync(0).await.unwrap();
    let entry = world.quarantined().await.remove(0);
    assert!(
        world
            .store
            .retry_quarantine(&world.organization, &entry.id)
            .await
            .unwrap()
    );
    world.sync(0).await.unwrap();
    assert_eq!(world.only_record().await.content.fields["title"], "Lunch");
}

#[tokio::test]
async fn an_entry_whose_object_is_gone_leaves_whether_or_not_the_provider_tells() {
    let silent = Options {
        reports_deletes: false,
        ..Options::WHOLE
    };
    for options in [Options::WHOLE, silent] {
        let world = World::new(&[options]).await;
        world.put(0, "a", event("Lunch"));
        world.poison(0, "a", CUT_OFF);
        world.sync(0).await.unwrap();
        assert_eq!(world.quarantined().await.len(), 1);
        world.delete(0);
        world.pass(Duration::from_secs(120));
        world.sync(0).await.unwrap();
        assert!(world.quarantined().await.is_empty());
    }
}

#[tokio::test]
async fn one_that_cannot_even_be_fetched_holds_up_no_other() {
    let world = World::new(&[Options::WHOLE]).await;
    for id in ["a", "b"] {
        world.put(0, id, event(id));
        world.poison(0, id, CUT_OFF);
    }
    world.sync(0).await.unwrap();
    for id in ["a", "b"] {
        world.poison(0, id, None);
    }
    world.pass(Duration::from_secs(120));
    // The two together, and the first by itself.
    for _ in 0..2 {
        world.sides[0]
            .provider
            .fail(Fault::next(Operation::Fetch, ErrorKind::Unexpected));
    }
    world.sync(0).await.unwrap();
    assert_eq!(world.only_record().await.content.fields["title"], "b");
    let left = world.quarantined().await;
    assert_eq!(
        (left.len(), &left[0].remote.0, left[0].tries),
        (1, &"a".to_owned(), 1)
    );
}

#[tokio::test]
async fn a_sparse_delta_after_a_version_that_could_not_be_read_is_read_whole() {
    let sparse = Options {
        sparse_deltas: true,
        ..Options::WHOLE
    };
    let world = World::mirrored(&[sparse, Options::WHOLE]).await;
    world.put(0, "a", event("Lunch"));
    world.settle().await;
    world.set(0, "location", json!("Attic"));
    world.poison(0, "a", CUT_OFF);
    world.sync(0).await.unwrap();
    world.poison(0, "a", None);
    world.set(0, "title", json!("Dinner"));
    world.sync(0).await.unwrap();
    let now = world.only_record().await.content.fields;
    assert_eq!(
        (&now["title"], &now["location"]),
        (&json!("Dinner"), &json!("Attic"))
    );
}

#[tokio::test]
async fn an_occurrence_waits_for_its_series_that_was_moved_and_cannot_be_read() {
    let world = World::mirrored(&[Options::WHOLE, Options::PER_PART]).await;
    world.put(1, "s", series("Standup"));
    world.settle().await;
    let later = PartKey::occurrence("2026-01-07T10:30:00".to_owned());
    world.edit(1, |content| {
        for (field, time) in [("start", "10:30:00"), ("end", "11:30:00")] {
            let moved =
                json!({"kind": "zoned", "wall": format!("2026-01-05T{time}"), "zone": "Europe/Berlin"});
            content.fields.insert(field.to_owned(), moved);
        }
        let retro = crate::world::fields(json!({"title": "Retro"}));
        content.overrides.insert(later.clone(), retro);
    });
    world.poison(1, "s", CUT_OFF);
    world.sync(1).await.unwrap();
    let waiting: Vec<String> = world
        .quarantined()
        .await
        .into_iter()
        .map(|entry| entry.reason)
        .collect();
    assert!(
        waiting.contains(&"its series changed, and cannot be read".to_owned()),
        "{waiting:?}"
    );
    let known = world.only_record().await.content;
    assert!(
        known.overrides.is_empty(),
        "an occurrence that its series has not: {known:?}"
    );

    world.poison(1, "s", None);
    world.pass(DAY);
    world.settle().await;
    assert_eq!(world.only(0).overrides[&later]["title"], "Retro");
    assert!(world.quarantined().await.is_empty());
}
