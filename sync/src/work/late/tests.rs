//! Updates that take effect late, as a table. Here to be exact: no mutant of it lives unseen (docs/mutants.md).

use std::collections::BTreeSet;

use connector_memory::Options;
use model::{ConnectionId, IntentId, OrganizationId, PartKey};
use serde_json::json;

use super::*;
use crate::staged::{NOW_MS, link_id, of_second, paths, scene, second_at, weekly, with, written};
use crate::state::IntentAction;

const VERSIONLESS: Options = Options {
    versions: false,
    ..Options::WHOLE
};

/// An update of these paths, whose answer was lost.
fn update(sent: Content, changed: BTreeSet<FieldPath>) -> Intent {
    Intent {
        id: IntentId::new(1, 1),
        organization: OrganizationId::new(1, 1),
        link: link_id(1),
        connection: ConnectionId::new(1, 1),
        part: PartKey::MASTER,
        action: IntentAction::Update,
        sent,
        changed,
        created_at: 0,
    }
}

fn titled(title: &str) -> Content {
    with(weekly(9, None), "title", json!(title))
}

/// The same note, in this markup.
fn noted(html: &str) -> Content {
    let note = json!({"text": "bring cake", "html": html});
    with(titled("standup"), "description", note)
}

fn title(content: &Content) -> Option<&Value> {
    content.fields.get("title")
}

/// The hub sent `sprint` and now says `retro`; both sides had agreed on `standup`.
fn overtaken(scene: &Scene, until_ms: i64) -> Work {
    let mut work = written(&titled("standup"), titled("retro"));
    work.expect_late(scene, &update(titled("sprint"), paths(&["title"])), until_ms);
    work
}

fn is_agreed_on(work: &Work, value: &str) -> bool {
    let snapshots = &work.link.snapshots;
    [&snapshots.hub, &snapshots.remote].map(title) == [Some(&json!(value)); 2]
}

#[test]
fn what_the_hub_sent_and_gave_up_for_lost_is_no_edit_of_the_providers() {
    let scene = scene(Options::WHOLE);
    let mut work = overtaken(&scene, NOW_MS + 1);
    assert!(work.is_changed(), "it outlives a restart");
    let aside = work.pass_late(&scene, &titled("sprint"));
    assert!(is_agreed_on(&work, "sprint"));
    assert!(
        aside.is_empty(),
        "nobody else can have written it: the version was named"
    );
}

#[test]
fn it_is_expected_until_its_time_is_over() {
    let scene = scene(Options::WHOLE);
    for (until_ms, agreed) in [
        (NOW_MS - 1, "standup"),
        (NOW_MS, "sprint"),
        (NOW_MS + 1, "sprint"),
    ] {
        let mut work = overtaken(&scene, until_ms);
        work.pass_late(&scene, &titled("sprint"));
        assert!(is_agreed_on(&work, agreed), "{until_ms}");
        let traits = &work.link.traits;
        assert!(
            traits.late.is_empty() && traits.late_until.is_none(),
            "{until_ms}"
        );
    }
}

#[test]
fn it_is_expected_while_the_provider_says_what_it_said() {
    let scene = scene(Options::WHOLE);
    let mut work = overtaken(&scene, NOW_MS + 1);
    work.pass_late(&scene, &titled("standup"));
    assert!(is_agreed_on(&work, "standup"));
    work.pass_late(&scene, &titled("sprint"));
    assert!(is_agreed_on(&work, "sprint"));
}

#[test]
fn what_somebody_else_wrote_is_an_edit_and_ends_the_expectation_where_writes_name_a_version() {
    for (options, agreed) in [(Options::WHOLE, "standup"), (VERSIONLESS, "sprint")] {
        let scene = scene(options);
        let mut work = overtaken(&scene, NOW_MS + 1);
        work.pass_late(&scene, &titled("theirs"));
        assert!(is_agreed_on(&work, "standup"), "left to the merge");
        work.pass_late(&scene, &titled("sprint"));
        assert!(is_agreed_on(&work, agreed), "{options:?}");
    }
}

#[test]
fn without_versions_it_may_have_been_a_person_so_the_value_is_kept_once() {
    let scene = scene(VERSIONLESS);
    let mut work = overtaken(&scene, NOW_MS + 1);
    let aside = work.pass_late(&scene, &titled("sprint"));
    assert!(is_agreed_on(&work, "sprint"));
    let expected = Clash {
        path: FieldPath::master("title"),
        base: Some(json!("sprint")),
        hub: Some(json!("retro")),
        remote: Some(json!("sprint")),
        winner: Some(Side::Hub),
        rule: Rule::LastWriter,
    };
    assert_eq!(aside, [expected]);

    // Where the hub still says it there is nothing to keep.
    let mut work = written(&titled("standup"), titled("sprint"));
    let sent = update(titled("sprint"), paths(&["title"]));
    work.expect_late(&scene, &sent, NOW_MS + 1);
    assert_eq!(work.pass_late(&scene, &titled("sprint")), []);
    assert!(is_agreed_on(&work, "sprint"));
}

#[test]
fn what_the_provider_makes_of_what_it_was_sent_is_recognised_and_kept_once() {
    let scene = scene(Options::WHOLE);
    let (sent, there) = (
        noted("<p>bring cake</p>"),
        noted("<html><p>bring cake</p></html>"),
    );
    let mut work = written(&titled("standup"), sent.clone());
    work.expect_late(&scene, &update(sent.clone(), paths(&["description"])), NOW_MS + 1);
    let aside = work.pass_late(&scene, &there);
    assert_eq!(work.link.snapshots.remote, there, "as the provider puts it");
    assert_eq!(
        work.link.snapshots.hub, sent,
        "as the hub puts it: neither has anything to tell the other"
    );
    assert_eq!(aside.len(), 1, "in case somebody only changed the markup");
    assert_eq!(
        aside[0].remote,
        there.get(&FieldPath::master("description")).cloned()
    );
}

#[test]
fn what_was_sent_is_behind_words_that_the_hub_has_since_changed() {
    let scene = scene(Options::WHOLE);
    let (sent, now) = (noted("<p>bring cake</p>"), noted("<p><b>bring cake</b></p>"));
    let mut work = written(&titled("standup"), now);
    work.expect_late(&scene, &update(sent.clone(), paths(&["description"])), NOW_MS + 1);
    assert_eq!(work.pass_late(&scene, &sent), []);
    assert_eq!(
        work.link.snapshots.hub, sent,
        "the other markup is still to be sent"
    );
    assert_eq!(work.link.snapshots.remote, sent);
}

#[test]
fn each_value_takes_effect_once() {
    let scene = scene(VERSIONLESS);
    let mut work = written(&titled("standup"), titled("retro"));
    let sent = with(titled("sprint"), "location", json!("Roof"));
    work.expect_late(&scene, &update(sent, paths(&["location", "title"])), NOW_MS + 1);
    work.pass_late(&scene, &titled("sprint"));
    assert!(is_agreed_on(&work, "sprint"));

    // A person takes it back, and another writes it again: that is an edit.
    let back = titled("standup");
    work.link.snapshots.hub = back.clone();
    work.link.snapshots.remote = back;
    work.pass_late(&scene, &titled("sprint"));
    assert!(is_agreed_on(&work, "standup"));

    // The other value is still under way.
    let roof = with(titled("standup"), "location", json!("Roof"));
    work.pass_late(&scene, &roof);
    assert_eq!(work.link.snapshots.remote, roof);
    assert_eq!(work.link.snapshots.hub, roof);
}

#[test]
fn an_occurrence_is_recognised_where_the_series_stands_still() {
    let scene = scene(Options::WHOLE);
    let (before, sent) = (
        weekly(9, Some(json!({"title": "demo"}))),
        weekly(9, Some(json!({"title": "show"}))),
    );
    let mut work = written(&before, before.clone());
    let intent = update(sent.clone(), [of_second(9, "title")].into());
    work.expect_late(&scene, &intent, NOW_MS + 1);
    work.pass_late(&scene, &sent);
    assert_eq!(work.link.snapshots.remote, sent);
    assert_eq!(work.link.snapshots.hub, sent);
}

#[test]
fn a_start_is_recognised_where_no_occurrence_goes_along() {
    let scene = scene(Options::WHOLE);
    let (before, sent) = (weekly(9, None), weekly(10, None));
    let mut work = written(&before, before.clone());
    work.expect_late(
        &scene,
        &update(sent.clone(), paths(&["start", "end"])),
        NOW_MS + 1,
    );
    work.pass_late(&scene, &sent);
    assert_eq!(work.link.snapshots.remote, sent);
    assert_eq!(work.link.snapshots.hub, sent);
    // Each side may know one of its own.
    let known = weekly(9, Some(json!({"title": "demo"})));
    for (hub, there) in [(&known, &before), (&before, &known)] {
        let mut work = written(there, before.clone());
        work.link.snapshots.hub = hub.clone();
        work.expect_late(
            &scene,
            &update(sent.clone(), paths(&["start", "end"])),
            NOW_MS + 1,
        );
        work.pass_late(&scene, &sent);
        assert_eq!(work.link.snapshots.remote.fields["start"], before.fields["start"]);
    }
}

#[test]
fn where_the_series_moved_its_start_and_occurrences_are_left_to_the_merge() {
    let scene = scene(Options::WHOLE);
    let before = weekly(9, Some(json!({"title": "demo"})));
    let sent = with(
        weekly(10, Some(json!({"title": "show"}))),
        "title",
        json!("sprint"),
    );
    let mut changed = paths(&["start", "end", "title"]);
    changed.insert(of_second(10, "title"));
    let mut work = written(&before, before.clone());
    work.expect_late(&scene, &update(sent.clone(), changed), NOW_MS + 1);
    work.pass_late(&scene, &sent);
    let mut expected = with(before, "title", json!("sprint"));
    expected
        .fields
        .insert("end".to_owned(), sent.fields["end"].clone());
    assert_eq!(work.link.snapshots.remote, expected);
    assert_eq!(work.link.snapshots.hub, expected);
}

#[test]
fn where_the_provider_has_the_series_elsewhere_occurrences_are_left_to_the_merge() {
    // One side stands still, at a start that the other does not know.
    for (hub, remote) in [(10, 9), (9, 10)] {
        let scene = scene(Options::WHOLE);
        let mut work = written(&weekly(remote, None), weekly(hub, None));
        work.link.snapshots.hub = weekly(hub, None);
        let now = weekly(9, Some(json!({"title": "show"})));
        let intent = update(now.clone(), [of_second(9, "title")].into());
        work.expect_late(&scene, &intent, NOW_MS + 1);
        work.pass_late(&scene, &now);
        let snapshots = &work.link.snapshots;
        for snapshot in [&snapshots.hub, &snapshots.remote] {
            assert!(!snapshot.overrides.contains_key(&second_at(9)), "{hub} {remote}");
        }
    }
}

#[test]
fn of_many_values_the_oldest_are_forgotten() {
    let scene = scene(VERSIONLESS);
    let mut work = written(&titled("standup"), titled("retro"));
    for number in 0..=MOST {
        let sent = update(titled(&number.to_string()), paths(&["title"]));
        work.expect_late(&scene, &sent, NOW_MS + 1);
    }
    work.pass_late(&scene, &titled("0"));
    assert!(is_agreed_on(&work, "standup"));
    work.pass_late(&scene, &titled("1"));
    assert!(is_agreed_on(&work, "1"));
}
