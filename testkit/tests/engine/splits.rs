//! A series that is split: no occurrence is lost, doubled or changed by it.

use connector_memory::Options;
use model::{Content, PartKey};
use serde_json::{Value, json};
use sync::EditScope;
use sync::state::Origin;

use crate::world::{World, event, fields, key, series};

const PAIR: [Options; 2] = [Options::WHOLE, Options::PER_PART];

fn api() -> Origin {
    Origin::Api("test".to_owned())
}

#[tokio::test]
async fn a_split_is_one_transaction_so_that_no_crash_loses_the_second_half() {
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", series("Standup"));
    world.settle().await;
    let record = world.only_record().await;
    let patch = json!({"title": "Late"}).as_object().unwrap().clone();
    let before = world.store.latest_seq(&world.organization).await.unwrap();
    let mut commits = world.store.subscribe_changes();
    world
        .engine
        .patch_occurrence(
            &world.organization,
            &record.id,
            &key(9),
            EditScope::Following,
            None,
            patch,
            api(),
        )
        .await
        .unwrap();
    assert_eq!(commits.try_recv().unwrap().seq, before + 2, "both halves at once");
    assert!(commits.try_recv().is_err());
    world.settle().await;
    for side in 0..2 {
        assert_eq!(count(&world.contents(side)), 10);
    }
}

fn count(contents: &[Content]) -> usize {
    let all = contents.iter().map(|content| {
        let (from, to) = ("2026-01-01T00:00:00Z", "2026-12-01T00:00:00Z");
        let zone = jiff::tz::TimeZone::UTC;
        model::expand::occurrences(content, from.parse().unwrap(), to.parse().unwrap(), &zone)
            .unwrap()
            .len()
    });
    all.sum()
}

async fn split(content: Content, at: &PartKey, patch: Value) -> (World, Vec<sync::state::Record>) {
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", content);
    world.settle().await;
    let record = world.only_record().await;
    let patch = patch.as_object().unwrap().clone();
    let records = world
        .engine
        .patch_occurrence(
            &world.organization,
            &record.id,
            at,
            EditScope::Following,
            None,
            patch,
            api(),
        )
        .await
        .unwrap();
    world.settle().await;
    (world, records)
}

#[tokio::test]
async fn further_dates_do_not_count_when_a_series_is_split() {
    let mut content = series("Standup");
    let rule =
        json!({"rules": ["COUNT=10;FREQ=DAILY"], "dates": ["2026-01-06T20:00:00", "2026-01-07T20:00:00"]});
    content.fields.insert("recurrence".to_owned(), rule);
    let before = count(std::slice::from_ref(&content));
    let (world, _) = split(content, &key(9), json!({"title": "Late"})).await;
    for side in 0..2 {
        assert_eq!(
            count(&world.contents(side)),
            before,
            "side {side}: {:#?}",
            world.contents(side)
        );
    }
}

#[tokio::test]
async fn a_rule_that_is_over_is_not_taken_up_again_when_its_series_is_split_at_a_further_date() {
    let mut content = series("Standup");
    let rule =
        json!({"rules": ["COUNT=2;FREQ=WEEKLY"], "dates": ["2026-02-20T09:00:00", "2026-02-27T09:00:00"]});
    content.fields.insert("recurrence".to_owned(), rule);
    let at = PartKey::occurrence("2026-02-20T09:00:00");
    let (world, records) = split(content, &at, json!({"title": "Late"})).await;
    assert_eq!(records[1].content.fields["recurrence"]["rules"], json!([]));
    for side in 0..2 {
        assert_eq!(
            count(&world.contents(side)),
            4,
            "side {side}: {:#?}",
            world.contents(side)
        );
    }
}

#[tokio::test]
async fn deleting_a_further_date_and_what_follows_adds_nothing_to_a_rule_that_is_over() {
    let mut content = series("Standup");
    let rule = json!({"rules": ["COUNT=2;FREQ=WEEKLY"], "dates": ["2026-02-20T09:00:00"]});
    content.fields.insert("recurrence".to_owned(), rule);
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", content);
    world.settle().await;
    let record = world.only_record().await;
    let at = PartKey::occurrence("2026-02-20T09:00:00");
    let scope = EditScope::Following;
    world
        .engine
        .delete_occurrence(&world.organization, &record.id, &at, scope, None, api())
        .await
        .unwrap();
    world.settle().await;
    for side in 0..2 {
        assert_eq!(count(&world.contents(side)), 2, "{:#?}", world.contents(side));
    }
}

#[tokio::test]
async fn a_series_of_many_years_can_be_split() {
    for rule in ["FREQ=DAILY", "COUNT=2000;FREQ=DAILY"] {
        let mut content = series("Standup");
        content
            .fields
            .insert("recurrence".to_owned(), json!({"rules": [rule], "dates": []}));
        let at = PartKey::occurrence("2030-01-05T09:00:00");
        let (_, records) = split(content, &at, json!({"title": "Late"})).await;
        assert_eq!(records.len(), 2);
        if rule.starts_with("COUNT") {
            // 2026-01-05 to 2030-01-05 are 1461 days.
            assert_eq!(
                records[1].content.fields["recurrence"]["rules"][0],
                "FREQ=DAILY;COUNT=539"
            );
        }
    }
}

#[tokio::test]
async fn what_only_the_first_of_the_following_says_stays_with_it() {
    let mut content = series("Standup");
    content
        .overrides
        .insert(key(9), fields(json!({"location": "Roof"})));
    let (world, records) = split(content, &key(9), json!({"title": "Late"})).await;
    assert!(
        !records[1].content.fields.contains_key("location"),
        "{:#?}",
        records[1]
    );
    assert_eq!(
        records[1].content.overrides[&key(9)],
        fields(json!({"location": "Roof"}))
    );
    for side in 0..2 {
        let contents = world.contents(side);
        let late = contents
            .iter()
            .find(|content| content.fields["title"] == "Late")
            .unwrap();
        assert!(!late.fields.contains_key("location"));
    }
}

#[tokio::test]
async fn a_split_across_a_clock_change_keeps_every_occurrence() {
    // Clocks change in Berlin on 2026-03-29.
    let zoned = |until: &str| {
        let mut content = event("Standup");
        let at = |hour: u8| json!({"kind": "zoned", "wall": format!("2026-03-20T{hour:02}:30:00"), "zone": "Europe/Berlin"});
        content.fields.insert("start".to_owned(), at(2));
        content.fields.insert("end".to_owned(), at(3));
        content
            .fields
            .insert("recurrence".to_owned(), json!({"rules": [until], "dates": []}));
        content
    };
    let days = |rule: &str| {
        let mut content = event("Standup");
        content
            .fields
            .insert("start".to_owned(), json!({"kind": "date", "date": "2026-03-20"}));
        content
            .fields
            .insert("end".to_owned(), json!({"kind": "date", "date": "2026-03-21"}));
        content
            .fields
            .insert("recurrence".to_owned(), json!({"rules": [rule], "dates": []}));
        content
    };
    let cases = [
        (zoned("COUNT=20;FREQ=DAILY"), "2026-03-29T02:30:00"),
        (zoned("COUNT=20;FREQ=DAILY"), "2026-03-30T02:30:00"),
        (zoned("FREQ=DAILY;UNTIL=20260408T003000Z"), "2026-03-30T02:30:00"),
        (days("COUNT=20;FREQ=DAILY"), "2026-03-29"),
        (days("FREQ=DAILY;UNTIL=20260408"), "2026-03-30"),
    ];
    for (content, at) in cases {
        assert_eq!(count(std::slice::from_ref(&content)), 20, "{content:?}");
        let (world, records) = split(content, &PartKey::occurrence(at), json!({"title": "Late"})).await;
        for side in 0..2 {
            assert_eq!(
                count(&world.contents(side)),
                20,
                "{at}, side {side}: {records:#?}"
            );
        }
    }
}

#[tokio::test]
async fn each_account_keeps_its_own_alarms_on_both_halves_of_a_split_series() {
    let world = World::mirrored(&PAIR).await;
    world.put(0, "a", series("Standup"));
    world.settle().await;
    let alarm = |minutes: u8| json!({"use_default": false, "items": [{"minutes_before": minutes, "method": "popup"}]});
    world.set(0, "reminders", alarm(5));
    world.set(1, "reminders", alarm(60));
    world.settle().await;
    let record = world.only_record().await;
    let patch = json!({"title": "Late"}).as_object().unwrap().clone();
    world
        .engine
        .patch_occurrence(
            &world.organization,
            &record.id,
            &key(9),
            EditScope::Following,
            None,
            patch,
            api(),
        )
        .await
        .unwrap();
    world.settle().await;
    for (side, minutes) in [(0, 5), (1, 60)] {
        for content in world.contents(side) {
            assert_eq!(content.fields["reminders"], alarm(minutes), "side {side}");
        }
    }
}
