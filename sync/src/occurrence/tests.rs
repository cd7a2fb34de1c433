//! Occurrences of a series and edits of them, as a table. Here to be exact: no mutant of it lives unseen
//! (docs/mutants.md).

use super::*;
use crate::staged::{fields, floating, has_object, second_at, weekly, with, written};

fn occurrence_of(side: &Content, key: &PartKey) -> Option<Fields> {
    occurrence(side, key).ok()
}

fn second(said: Value) -> Content {
    weekly(9, Some(said))
}

fn beyond() -> PartKey {
    PartKey::occurrence("2026-03-02T09:00:00")
}

fn rule(content: Content, rule: &str) -> Content {
    with(content, "recurrence", json!({ "rules": [rule] }))
}

#[test]
fn an_occurrence_says_what_its_series_says_at_its_own_time_and_what_is_said_of_it_alone() {
    let plain = occurrence_of(&weekly(9, None), &second_at(9)).unwrap();
    let expected = fields(json!({
        "title": "standup",
        "start": floating("2026-01-12T09:00:00"),
        "end": floating("2026-01-12T09:30:00"),
    }));
    assert_eq!(plain, expected);
    let own = occurrence_of(&second(json!({"title": "demo"})), &second_at(9)).unwrap();
    assert_eq!(own["title"], "demo");
    assert_eq!(own["start"], expected["start"]);
}

#[test]
fn an_occurrence_is_found_where_the_one_before_it_is_still_going_on() {
    let long = with(weekly(9, None), "end", floating("2026-01-20T09:00:00"));
    let found = occurrence_of(&long, &second_at(9)).unwrap();
    assert_eq!(found["start"], floating("2026-01-12T09:00:00"));
}

#[test]
fn an_occurrence_is_named_by_the_time_at_which_its_series_has_it() {
    let series = second(json!({"title": "demo"}));
    for key in [
        PartKey::MASTER,
        PartKey::occurrence("2026-01-12"),
        PartKey::occurrence("2026-01-12T09:30:00"),
        PartKey::occurrence("2026-01-13T09:00:00"),
        PartKey::occurrence("the second"),
        beyond(),
    ] {
        assert!(
            matches!(occurrence(&series, &key), Err(EditError::NotFound(_))),
            "{key:?}"
        );
        assert!(!exists(&series, &key), "{key:?}");
    }
}

#[test]
fn a_series_has_what_it_makes_cancelled_or_not_and_what_an_override_says() {
    assert!(exists(&weekly(9, None), &second_at(9)));
    assert!(exists(&second(json!({"status": "cancelled"})), &second_at(9)));
    let mut further = weekly(9, None);
    further
        .overrides
        .insert(beyond(), fields(json!({"title": "demo"})));
    assert!(exists(&further, &beyond()), "an override says what it is");
    further.overrides.insert(beyond(), series::cancelled());
    assert!(
        !exists(&further, &beyond()),
        "cancelled, and the series does not make it"
    );
}

#[test]
fn a_series_that_repeats_too_often_to_be_listed_is_given_the_benefit_of_the_doubt() {
    let often = rule(weekly(9, None), "FREQ=SECONDLY");
    assert!(exists(&often, &beyond()));
    assert!(matches!(
        occurrence(&often, &beyond()),
        Err(EditError::Invalid(_))
    ));
}

#[test]
fn what_only_a_series_has_is_refused_to_an_occurrence() {
    let schema = model::Kind::Event.schema();
    let patch = |json: Value| json.as_object().cloned().unwrap();
    assert!(master_only(schema, &patch(json!({"title": "demo", "start": floating("x")}))).is_ok());
    assert!(
        master_only(schema, &patch(json!({"nonsense": 1}))).is_ok(),
        "the patch itself tells"
    );
    let refused = master_only(schema, &patch(json!({"title": "demo", "recurrence": null})));
    assert!(
        matches!(&refused, Err(EditError::Field(error)) if error.field == "recurrence"),
        "{refused:?}"
    );
}

#[test]
fn an_override_says_what_differs_and_goes_when_nothing_does() {
    let series = weekly(9, None);
    let mut full = occurrence_of(&series, &second_at(9)).unwrap();
    full.insert("title".to_owned(), json!("demo"));
    let changed = with_override(series.clone(), model::Kind::Event, &second_at(9), &full);
    assert_eq!(changed, second(json!({"title": "demo"})));
    full.insert("title".to_owned(), json!("standup"));
    let back = with_override(changed, model::Kind::Event, &second_at(9), &full);
    assert_eq!(back, series);
}

#[test]
fn a_series_moves_as_far_as_its_occurrence_was_moved() {
    let series = weekly(9, None).fields;
    let before = occurrence_of(&weekly(9, None), &second_at(9)).unwrap();
    let patch = fields(json!({"start": floating("2026-01-13T10:00:00"), "title": "demo"}));
    let mut after = before.clone();
    after.extend(patch.clone());
    let patch: Map<String, Value> = patch.into_iter().collect();
    assert_eq!(
        shift_master(&series, &before, &after, &patch),
        fields(json!({"start": floating("2026-01-06T10:00:00")})),
        "a day and an hour later; its end was not named"
    );
}

#[test]
fn each_account_has_its_own_words_on_the_second_half() {
    let mut record = weekly(9, None);
    record
        .overrides
        .insert(second_at(9), fields(json!({"title": "demo"})));
    let mut work = written(&record, record.clone());
    has_object(&mut work, second_at(9));
    let red = |mut content: Content| {
        content.set(&model::FieldPath::master("color"), Some(json!("red")));
        content
    };
    work.link.local = red(Content::default());
    let subject = Subject::stored((*work.record).clone(), vec![work.link.clone()]);
    let tails = own_tails(&subject, &second_at(9)).unwrap();
    assert_eq!(tails, [(work.link.collection, red(Content::default()))].into());
}
