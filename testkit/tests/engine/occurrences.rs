//! Occurrences beside their series: what they inherit, what they say for themselves, and what becomes of either when
//! both are edited at once, in different places.

use connector_memory::Options;
use model::{Content, series::cancelled};
use serde_json::{Value, json};
use sync::EditScope;
use sync::ports::Store as _;
use sync::state::{LinkState, MemberRole, Origin, Record, TargetEdits};

use crate::world::{World, fields, key, series, shared};

const LAYOUTS: [Options; 3] = [Options::WHOLE, Options::PER_PART, Options::INSTANCES];
/// Vendors where changed occurrences are objects of their own.
const APART: [Options; 2] = [Options::PER_PART, Options::INSTANCES];

fn api() -> Origin {
    Origin::Api("test".to_owned())
}

async fn standup(pair: &[Options]) -> (World, Record) {
    let world = World::mirrored(pair).await;
    world.put(0, "a", series("Standup"));
    world.settle().await;
    let record = world.only_record().await;
    (world, record)
}

impl World {
    async fn patch_day(&self, record: &Record, day: u8, patch: Value) {
        let patch = patch.as_object().unwrap().clone();
        self.engine
            .patch_occurrence(
                &self.organization,
                &record.id,
                &key(day),
                EditScope::This,
                None,
                patch,
                api(),
            )
            .await
            .unwrap();
    }

    fn set_own(&self, side: usize, day: u8, own: Value) {
        self.edit(side, |content| {
            content.overrides.insert(key(day), fields(own));
        });
    }

    async fn at_rest(&self, record: &Record) {
        let links = self.store.links_of(&self.organization, &record.id).await.unwrap();
        for link in links {
            assert_eq!((link.state, link.dirty), (LinkState::Synced, false));
        }
    }
}

fn later(content: &mut Content, hour: u8) {
    for (field, hour) in [("start", hour), ("end", hour + 1)] {
        let time =
            json!({"kind": "zoned", "wall": format!("2026-01-05T{hour:02}:00:00"), "zone": "Europe/Berlin"});
        content.fields.insert(field.to_owned(), time);
    }
    let moved = |key: &model::PartKey| {
        model::PartKey::occurrence(key.to_string().replace("T09:", &format!("T{hour:02}:")))
    };
    let overrides = std::mem::take(&mut content.overrides);
    content.overrides = overrides
        .iter()
        .map(|(key, own)| (moved(key), own.clone()))
        .collect();
}

#[tokio::test]
async fn what_a_client_writes_of_an_occurrence_does_not_take_its_series_edit_for_the_occurrences_own() {
    for apart in APART {
        for other in LAYOUTS {
            let (world, record) = standup(&[apart, other]).await;
            // Nobody has pulled this yet when the occurrence is written, and the vendor answers with all of it.
            world.set(0, "location", json!("Roof"));
            world
                .patch_day(&record, 7, json!({"title": "Long standup"}))
                .await;
            world.work().await;
            world.settle().await;
            for side in 0..2 {
                let content = world.only(side);
                assert_eq!(content.fields["location"], "Roof");
                assert_eq!(
                    content.overrides[&key(7)],
                    fields(json!({"title": "Long standup"}))
                );
            }
            world.set(1, "location", json!("Cellar"));
            world.settle().await;
            let hub = &world.only_record().await.content;
            assert_eq!(hub.overrides[&key(7)], fields(json!({"title": "Long standup"})));
        }
    }
}

#[tokio::test]
async fn a_value_that_an_occurrence_shares_with_its_series_stays_its_own_when_the_series_gets_another() {
    for pair in [
        [Options::PER_PART, Options::WHOLE],
        [Options::INSTANCES, Options::PER_PART],
    ] {
        let (world, record) = standup(&pair).await;
        world.patch_day(&record, 7, json!({"location": "Roof"})).await;
        world.settle().await;
        // The series comes to say the same, and then something else.
        for place in ["Roof", "Cellar"] {
            world.patch(&record.id, json!({"location": place})).await;
            world.settle().await;
        }
        for side in 0..2 {
            let content = world.only(side);
            assert_eq!(content.fields["location"], "Cellar");
            assert_eq!(content.overrides[&key(7)]["location"], "Roof", "{pair:?}");
        }
        world.at_rest(&record).await;
    }
}

#[tokio::test]
async fn a_cancelled_occurrence_of_a_series_that_the_hub_moves_stays_cancelled() {
    for apart in APART {
        for other in LAYOUTS {
            let (world, record) = standup(&[apart, other]).await;
            world
                .patch_day(&record, 8, json!({"title": "Long standup"}))
                .await;
            world.set_own(0, 7, json!({"status": "cancelled"}));
            world.settle().await;
            world.edit(1, |content| later(content, 12));
            world.settle().await;
            // An answer about the series says nothing of its occurrences.
            world.patch(&record.id, json!({"location": "Roof"})).await;
            world.settle().await;
            let noon = |day: u8| model::PartKey::occurrence(format!("2026-01-{day:02}T12:00:00"));
            for side in 0..2 {
                let content = world.only(side);
                assert_eq!(content.overrides[&noon(7)], cancelled(), "{apart:?} {other:?}");
                assert_eq!(content.overrides[&noon(8)]["title"], "Long standup");
            }
            let hub = world.only_record().await.content;
            assert_eq!(shared(&world.only(0)).overrides, hub.overrides);
        }
    }
}

#[tokio::test]
async fn an_alarm_of_ones_own_on_an_occurrence_that_others_cancel_leaves_the_link_at_rest() {
    let alarm = json!({"items": [{"method": "popup", "minutes_before": 5}], "use_default": false});
    for own in LAYOUTS {
        let (world, record) = standup(&[own, Options::WHOLE]).await;
        world.set_own(0, 7, json!({"reminders": alarm}));
        world.settle().await;
        world.set_own(1, 7, json!({"status": "cancelled"}));
        world.settle().await;
        assert_eq!(world.only(0).overrides[&key(7)], cancelled(), "{own:?}");
        world.at_rest(&record).await;
        let writes = world.writes();
        world.settle().await;
        assert_eq!(world.writes(), writes);
    }
}

#[tokio::test]
async fn somebody_who_cancels_an_occurrence_again_and_again_is_no_provider_with_a_habit() {
    let (world, record) = standup(&[Options::WHOLE, Options::WHOLE]).await;
    for _ in 0..4 {
        world.set_own(0, 7, json!({"status": "cancelled"}));
        world.settle().await;
        assert_eq!(world.only(1).overrides[&key(7)], cancelled());
        world.patch_day(&record, 7, json!({"status": "confirmed"})).await;
        world.settle().await;
        assert!(world.only(0).overrides.is_empty());
    }
}

#[tokio::test]
async fn an_edit_of_an_occurrence_that_nobody_has_pulled_saves_its_series_from_a_delete() {
    for apart in APART {
        let (world, record) = standup(&[apart, Options::WHOLE]).await;
        // A delete of the series names its version, and the occurrence is another object.
        world.set_own(0, 7, json!({"title": "Farewell"}));
        world
            .engine
            .delete(&world.organization, &record.id, None, api())
            .await
            .unwrap();
        world.settle().await;
        let content = world.only(0);
        assert_eq!(content.overrides[&key(7)]["title"], "Farewell", "{apart:?}");
        assert_eq!(shared(&world.only(1)), shared(&content));
        assert!(!world.only_record().await.deleted);
    }
}

#[tokio::test]
async fn a_question_about_an_occurrence_follows_its_series_when_that_moves() {
    for mover in [0, 1] {
        let world = World::new(&[Options::WHOLE, Options::PER_PART]).await;
        let both = [(0, MemberRole::Both), (1, MemberRole::Both)];
        world.mirror(&both, conflict::Rule::Ask, TargetEdits::Keep).await;
        world.put(0, "a", series("Standup"));
        world.settle().await;
        world.set_own(0, 7, json!({"title": "Long standup"}));
        world.set_own(1, 7, json!({"title": "Short standup"}));
        world.settle().await;
        let asked = world.conflicts().await;
        assert_eq!(asked.len(), 1, "{asked:#?}");
        world.edit(mover, |content| later(content, 12));
        world.settle().await;
        world
            .engine
            .resolve(&world.organization, &asked[0].id, sync::Resolution::Remote, api())
            .await
            .unwrap();
        world.settle().await;
        let noon = model::PartKey::occurrence("2026-01-07T12:00:00");
        let titles = [0, 1].map(|side| world.only(side).overrides[&noon]["title"].clone());
        assert_eq!(titles[0], titles[1], "{mover}");
    }
}
