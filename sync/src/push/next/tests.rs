//! What a link needs next, as a table. Here to be exact: no mutant of it lives unseen (docs/mutants.md).

use std::sync::Arc;

use conflict::Side;
use connector_memory::Options;
use serde_json::{Value, json};

use super::*;
use crate::staged::{
    fields, floating, has_object, link_id, of_second, paths, scene, second_at, unwritten, weekly, with,
    written,
};
use crate::state::{FieldClock, Origin};

const LAYOUTS: [Options; 3] = [Options::WHOLE, Options::PER_PART, Options::INSTANCES];

fn write(scene: &Scene, work: &Work) -> Pending {
    match next_write(scene, work) {
        Step::Write(pending) => pending,
        Step::Rest | Step::Yield | Step::Drop | Step::Refuse(_) => panic!("nothing is written"),
    }
}

fn rests(scene: &Scene, work: &Work) -> bool {
    matches!(next_write(scene, work), Step::Rest)
}

fn deleted(work: &mut Work) {
    Arc::make_mut(&mut work.record).deleted = true;
}

/// Another account's edit made this.
fn from_elsewhere(work: &mut Work, what: &str) {
    let clock = FieldClock {
        version: 2,
        origin: Origin::Link(link_id(2)),
    };
    Arc::make_mut(&mut work.record)
        .clocks
        .insert(what.to_owned(), clock);
}

fn cancelled() -> Option<Value> {
    Some(json!({"status": "cancelled"}))
}

fn titled(title: &str) -> Option<Value> {
    Some(json!({ "title": title }))
}

#[test]
fn what_was_never_written_is_created_with_all_that_can_be_written() {
    for layout in LAYOUTS {
        let series = weekly(9, titled("demo"));
        let pending = write(&scene(layout), &unwritten(series.clone()));
        assert_eq!(pending.action, IntentAction::Create);
        assert_eq!(pending.part, PartKey::MASTER);
        assert_eq!(pending.changed, series.paths().collect());
        assert_eq!(pending.sent, series);
    }
    let mut untitled = scene(Options::WHOLE);
    let all = untitled.capability.fields.iter().copied();
    let some: Vec<_> = all.filter(|known| known.field != "title").collect();
    untitled.capability.fields = some.leak();
    let pending = write(&untitled, &unwritten(weekly(9, None)));
    assert_eq!(pending.changed, paths(&["start", "end", "recurrence"]));
}

#[test]
fn what_both_sides_agree_on_needs_nothing() {
    for layout in LAYOUTS {
        let series = weekly(9, titled("demo"));
        assert!(rests(&scene(layout), &written(&series, series.clone())));
    }
}

#[test]
fn an_edit_is_an_update_of_just_that() {
    for layout in LAYOUTS {
        let (before, after) = (weekly(9, None), with(weekly(9, None), "title", json!("sprint")));
        let pending = write(&scene(layout), &written(&before, after.clone()));
        assert_eq!(pending.action, IntentAction::Update);
        assert_eq!(pending.changed, paths(&["title"]));
        assert_eq!(pending.sent, after);
    }
}

#[test]
fn what_goes_is_removed_where_it_is_and_forgotten_where_it_is_not() {
    let series = weekly(9, titled("demo"));
    for removing in [true, false] {
        let gone = |mut work: Work| {
            work.link.removing = removing;
            if !removing {
                deleted(&mut work);
            }
            work
        };
        let scene = scene(Options::PER_PART);
        let pending = write(&scene, &gone(written(&series, series.clone())));
        assert_eq!(pending.action, IntentAction::Delete, "removing: {removing}");
        assert_eq!(pending.part, PartKey::MASTER, "the series as a whole");
        assert!(pending.changed.is_empty());
        let unwritten = gone(unwritten(series.clone()));
        assert!(matches!(next_write(&scene, &unwritten), Step::Drop));
    }
}

#[test]
fn a_collection_that_only_gives_keeps_what_others_delete_but_not_what_is_to_leave_it() {
    let series = weekly(9, None);
    let mut gives = scene(Options::WHOLE);
    gives.source_only = true;
    let mut work = written(&series, series.clone());
    deleted(&mut work);
    assert_eq!(
        write(&gives, &work).action,
        IntentAction::Delete,
        "a client of the hub deleted it"
    );
    from_elsewhere(&mut work, DELETED);
    assert!(rests(&gives, &work), "another account deleted it");
    work.link.removing = true;
    assert_eq!(write(&gives, &work).action, IntentAction::Delete);
}

#[test]
fn a_collection_that_only_gives_is_not_written_what_others_edit() {
    let before = weekly(9, None);
    let after = with(
        with(before.clone(), "title", json!("sprint")),
        "location",
        json!("Roof"),
    );
    let mut gives = scene(Options::WHOLE);
    gives.source_only = true;
    let mut work = written(&before, after);
    from_elsewhere(&mut work, "title");
    assert_eq!(write(&gives, &work).changed, paths(&["location"]));
    from_elsewhere(&mut work, "location");
    assert!(rests(&gives, &work));
}

#[test]
fn what_cannot_be_written_is_refused_by_name() {
    let (before, after) = (weekly(9, None), with(weekly(9, None), "title", json!("sprint")));
    let refused = |scene: &Scene, work: &Work| match next_write(scene, work) {
        Step::Refuse(reason) => reason.contains("`Team` is read-only"),
        Step::Rest | Step::Yield | Step::Drop | Step::Write(_) => false,
    };
    let mut fixed = scene(Options::WHOLE);
    fixed.capability.create = false;
    assert!(refused(&fixed, &unwritten(after.clone())), "nothing can be made");
    assert!(!refused(&fixed, &written(&before, after.clone())));

    let mut closed = scene(Options::WHOLE);
    closed.collection.remote.access = Access::ReadOnly;
    assert!(refused(&closed, &unwritten(after.clone())));
    assert!(refused(&closed, &written(&before, after)));
    assert!(
        rests(&closed, &written(&before, before.clone())),
        "nothing was asked of it"
    );
}

#[test]
fn an_edit_of_what_the_provider_owns_is_taken_back() {
    let before = weekly(9, None);
    let mut owned = scene(Options::WHOLE);
    owned.policy.owners.insert("title".to_owned(), Side::Remote);
    let work = written(&before, with(before.clone(), "title", json!("sprint")));
    assert!(matches!(next_write(&owned, &work), Step::Yield));
}

#[test]
fn parts_that_are_objects_of_their_own_are_written_one_by_one_the_series_first() {
    let before = weekly(9, titled("demo"));
    let both = with(weekly(9, titled("show")), "title", json!("sprint"));
    let pending = write(&scene(Options::WHOLE), &written(&before, both.clone()));
    assert_eq!(pending.changed.len(), 2, "one object is one write");
    assert_eq!(pending.part, PartKey::MASTER);
    for layout in [Options::PER_PART, Options::INSTANCES] {
        let pending = write(&scene(layout), &written(&before, both.clone()));
        assert_eq!(
            (pending.part, pending.changed),
            (PartKey::MASTER, paths(&["title"]))
        );
        assert_eq!(pending.sent, both);

        let pending = write(&scene(layout), &written(&before, weekly(9, titled("show"))));
        assert_eq!(pending.action, IntentAction::Update);
        assert_eq!(
            (pending.part, pending.changed),
            (second_at(9), [of_second(9, "title")].into())
        );
        assert_eq!(pending.sent, weekly(9, titled("show")), "it is still there");
    }
}

#[test]
fn an_occurrence_is_cancelled_by_a_delete_only_where_its_object_goes_with_it() {
    for (layout, action) in [
        (Options::WHOLE, IntentAction::Update),
        (Options::PER_PART, IntentAction::Update),
        (Options::INSTANCES, IntentAction::Delete),
    ] {
        let pending = write(&scene(layout), &written(&weekly(9, None), weekly(9, cancelled())));
        assert_eq!(pending.action, action);
        assert_eq!(pending.changed, [of_second(9, "status")].into());
        assert_eq!(pending.sent, weekly(9, cancelled()));
    }
}

#[test]
fn of_an_occurrence_that_is_cancelled_on_both_sides_nothing_is_said_where_it_is_no_object() {
    let known = weekly(9, Some(json!({"status": "cancelled", "title": "demo"})));
    let work = written(&weekly(9, cancelled()), known);
    assert!(rests(&scene(Options::INSTANCES), &work));
    for layout in [Options::WHOLE, Options::PER_PART] {
        assert_eq!(
            write(&scene(layout), &work).changed,
            [of_second(9, "title")].into()
        );
    }
    // Taken back, it is said.
    let back = written(&weekly(9, cancelled()), weekly(9, None));
    let pending = write(&scene(Options::INSTANCES), &back);
    assert_eq!(
        (pending.action, pending.changed),
        (IntentAction::Update, [of_second(9, "status")].into())
    );
}

/// The series ends with its first Monday.
fn shortened(mut series: Content) -> Content {
    series.set(
        &FieldPath::master("recurrence"),
        Some(json!({"rules": ["FREQ=WEEKLY;COUNT=1"]})),
    );
    series
}

#[test]
fn an_object_that_outlives_its_occurrence_is_cancelled() {
    // The series was written; the override is still there.
    let before = shortened(weekly(9, titled("demo")));
    let mut work = written(&before, shortened(weekly(9, None)));
    has_object(&mut work, second_at(9));
    for (layout, action) in [
        (Options::PER_PART, IntentAction::Update),
        (Options::INSTANCES, IntentAction::Delete),
    ] {
        let pending = write(&scene(layout), &work);
        assert_eq!(
            (pending.part, pending.action),
            (second_at(9), action),
            "{layout:?}"
        );
        assert_eq!(pending.changed, [of_second(9, "status")].into());
        assert_eq!(pending.sent, shortened(weekly(9, cancelled())));
    }
    // What is part of the series' own object goes with it.
    let pending = write(&scene(Options::WHOLE), &work);
    assert_eq!(pending.changed, [of_second(9, "title")].into());
    assert_eq!(pending.sent, shortened(weekly(9, None)));
}

#[test]
fn an_accounts_own_words_about_an_occurrence_that_is_no_more_go_along_with_another_write() {
    let blue = Some(json!({"color": "blue"}));
    let whole = scene(Options::WHOLE);
    let before = shortened(weekly(9, blue.clone()));
    assert!(
        rests(&whole, &written(&before, shortened(weekly(9, None)))),
        "not worth a write"
    );

    let renamed = with(shortened(weekly(9, None)), "title", json!("sprint"));
    let both = [FieldPath::master("title"), of_second(9, "color")].into();
    assert_eq!(write(&whole, &written(&before, renamed)).changed, both);

    let reached = written(&weekly(9, blue.clone()), weekly(9, None));
    assert_eq!(write(&whole, &reached).changed, [of_second(9, "color")].into());
    let of_all = written(
        &with(shortened(weekly(9, None)), "color", json!("red")),
        shortened(weekly(9, None)),
    );
    assert_eq!(write(&whole, &of_all).changed, paths(&["color"]));
}

#[test]
fn an_object_that_is_cancelled_or_gone_already_is_not_cancelled_again() {
    let before = shortened(weekly(9, titled("demo")));
    let no_object = written(&before, shortened(weekly(9, None)));
    let before = shortened(weekly(9, Some(json!({"status": "cancelled", "title": "demo"}))));
    let mut cancelled = written(&before, shortened(weekly(9, None)));
    has_object(&mut cancelled, second_at(9));
    for layout in [Options::PER_PART, Options::INSTANCES] {
        assert!(rests(&scene(layout), &no_object), "{layout:?}");
        assert!(rests(&scene(layout), &cancelled), "{layout:?}");
    }
}

#[test]
fn a_series_that_is_shortened_is_written_before_what_it_leaves_behind() {
    let mut work = written(&weekly(9, titled("demo")), shortened(weekly(9, None)));
    has_object(&mut work, second_at(9));
    let pending = write(&scene(Options::PER_PART), &work);
    assert_eq!(
        (pending.part, pending.changed),
        (PartKey::MASTER, paths(&["recurrence"]))
    );
}

#[test]
fn a_start_that_waits_for_a_person_leaves_the_occurrences_where_the_provider_has_them() {
    // The provider has it at nine and in another spelling; here it was moved to ten, about which somebody is asked.
    let there = with(weekly(9, titled("demo")), "location", json!("ROOM 1"));
    let here = with(weekly(10, titled("show")), "location", json!("Room 1"));
    let mut work = written(&there, here);
    work.link.snapshots.hub = with(there.clone(), "location", json!("Room 1"));
    let held = paths(&["start", "end"]);
    work.link.hold(held, &work.record.content);
    for layout in LAYOUTS {
        let pending = write(&scene(layout), &work);
        assert_eq!(pending.changed, [of_second(9, "title")].into(), "{layout:?}");
        let expected = with(weekly(9, titled("show")), "location", json!("Room 1"));
        assert_eq!(pending.sent, expected, "{layout:?}");
    }
    // Where only the start waits, the end is sent as the hub has it.
    work.link.hold(paths(&["start"]), &work.record.content);
    let pending = write(&scene(Options::WHOLE), &work);
    let end = floating("2026-01-05T10:30:00");
    assert_eq!(
        pending.changed,
        [FieldPath::master("end"), of_second(9, "title")].into()
    );
    assert_eq!(pending.sent.fields["end"], end);
    assert_eq!(
        pending.sent.overrides,
        [(second_at(9), fields(json!({"title": "show"})))].into()
    );
}

#[test]
fn a_start_that_is_written_takes_its_occurrences_along() {
    let pending = write(
        &scene(Options::WHOLE),
        &written(&weekly(9, titled("demo")), weekly(10, titled("show"))),
    );
    assert_eq!(pending.sent, weekly(10, titled("show")));
    let mut changed = paths(&["start", "end"]);
    changed.insert(of_second(10, "title"));
    assert_eq!(pending.changed, changed);
}

#[test]
fn an_end_that_waits_for_a_person_is_named_as_the_hub_has_it() {
    // The start stays: nothing has to be named anew.
    let before = weekly(9, None);
    let longer = with(before.clone(), "end", floating("2026-01-05T11:00:00"));
    let mut work = written(&before, with(longer, "title", json!("sprint")));
    work.link.hold(paths(&["end"]), &work.record.content);
    let pending = write(&scene(Options::WHOLE), &work);
    assert_eq!(pending.changed, paths(&["title"]));
    assert_eq!(pending.sent, work.record.content);
}
