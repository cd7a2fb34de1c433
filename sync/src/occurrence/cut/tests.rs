//! Cutting a series in two, as a table: what both halves say, and that together they say what the series said. Here to be
//! exact: no mutant of it lives unseen (docs/mutants.md).

use jiff::Timestamp;

use super::*;
use crate::staged::fields;

/// A series from Monday, 5 January, at nine in Berlin, half an hour long.
fn series(rules: &[&str], dates: &[&str]) -> Content {
    Content::new(fields(json!({
        "title": "standup",
        "start": {"kind": "zoned", "wall": "2026-01-05T09:00:00", "zone": "Europe/Berlin"},
        "end": {"kind": "zoned", "wall": "2026-01-05T09:30:00", "zone": "Europe/Berlin"},
        "recurrence": {"rules": rules, "dates": dates},
    })))
}

fn nine(day: &str) -> PartKey {
    PartKey::occurrence(format!("2026-{day}T09:00:00"))
}

fn rules(content: &Content) -> &Value {
    &content.fields["recurrence"]["rules"]
}

fn dates(content: &Content) -> &Value {
    &content.fields["recurrence"]["dates"]
}

/// What is said in the title, and when, of all occurrences in the first half of the year.
fn titles(content: &Content) -> Vec<(Timestamp, Value)> {
    let (from, to) = ("2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z");
    let found = model::expand::occurrences(
        content,
        from.parse().unwrap(),
        to.parse().unwrap(),
        &TimeZone::UTC,
    );
    let titled = found.unwrap().into_iter();
    titled
        .map(|mut occurrence| (occurrence.starts_at, occurrence.fields.remove("title").unwrap()))
        .collect()
}

/// The starts of all occurrences in the first half of the year.
fn starts(content: &Content) -> Vec<Timestamp> {
    titles(content).into_iter().map(|(start, _)| start).collect()
}

/// Both halves, which together have the occurrences of the series, each once.
fn halves(series: &Content, key: &PartKey) -> (Content, Content) {
    let (head, tail) = (truncated(series, key).unwrap(), tail(series, key).unwrap());
    let together = [titles(&head), titles(&tail)].concat();
    assert_eq!(together, titles(series), "head {head:#?}\ntail {tail:#?}");
    (head, tail)
}

#[test]
fn a_rule_that_counts_ends_before_the_cut_and_counts_on_from_it() {
    let whole = series(&["FREQ=WEEKLY;COUNT=4"], &[]);
    let (head, tail) = halves(&whole, &nine("01-12"));
    assert_eq!(rules(&head), &json!(["FREQ=WEEKLY;UNTIL=20260112T075959Z"]));
    assert_eq!(head.fields["start"], whole.fields["start"]);
    assert_eq!(rules(&tail), &json!(["FREQ=WEEKLY;COUNT=3"]));
    assert_eq!(tail.fields["start"]["wall"], "2026-01-12T09:00:00");
    assert_eq!(tail.fields["end"]["wall"], "2026-01-12T09:30:00");
    assert_eq!(tail.fields["title"], "standup");
}

#[test]
fn a_rule_with_an_end_gets_an_earlier_one_and_keeps_its_own_after_the_cut() {
    let rule = "FREQ=WEEKLY;BYDAY=MO,WE;UNTIL=20260401T070000Z";
    let (head, tail) = halves(&series(&[rule], &[]), &nine("01-14"));
    assert_eq!(
        rules(&head),
        &json!(["FREQ=WEEKLY;BYDAY=MO,WE;UNTIL=20260114T075959Z"])
    );
    assert_eq!(rules(&tail), &json!([rule]));
}

#[test]
fn days_and_floating_times_end_by_the_day_and_by_the_wall_clock() {
    let mut days = series(&["FREQ=DAILY"], &[]);
    days.fields.extend(fields(json!({
        "start": {"kind": "date", "date": "2026-01-05"}, "end": {"kind": "date", "date": "2026-01-06"},
    })));
    let (head, _) = halves(&days, &PartKey::occurrence("2026-01-12"));
    assert_eq!(rules(&head), &json!(["FREQ=DAILY;UNTIL=20260111"]));

    let mut floating = series(&["FREQ=DAILY"], &[]);
    floating.fields.extend(fields(json!({
        "start": {"kind": "floating", "wall": "2026-01-05T09:00:00"},
        "end": {"kind": "floating", "wall": "2026-01-05T09:30:00"},
    })));
    let (head, _) = halves(&floating, &nine("01-12"));
    assert_eq!(rules(&head), &json!(["FREQ=DAILY;UNTIL=20260112T085959"]));
}

#[test]
fn further_dates_go_to_the_half_that_they_fall_in() {
    let further = ["2026-01-06T20:00:00", "2026-01-14T20:00:00"];
    let (head, tail) = halves(&series(&["FREQ=WEEKLY;COUNT=4"], &further), &nine("01-12"));
    assert_eq!(dates(&head), &json!([further[0]]));
    assert_eq!(dates(&tail), &json!([further[1]]));
}

#[test]
fn a_series_of_dates_is_cut_at_one_of_them() {
    let further = ["2026-01-12T09:00:00", "2026-01-20T09:00:00"];
    let whole = series(&[], &further);
    let (head, tail) = halves(&whole, &nine("01-20"));
    assert_eq!(dates(&head), &json!([further[0]]));
    assert_eq!(dates(&tail), &json!([further[1]]), "the cut is the second half's");
    let (head, tail) = halves(&whole, &nine("01-12"));
    assert!(
        !head.fields.contains_key("recurrence"),
        "one date alone is no series: {head:?}"
    );
    assert_eq!(dates(&tail), &json!(further));
}

#[test]
fn what_is_said_of_occurrences_goes_with_them_that_of_the_cut_with_the_second_half() {
    let mut whole = series(&["FREQ=WEEKLY;COUNT=4"], &[]);
    for day in ["01-05", "01-12", "01-19"] {
        whole.overrides.insert(nine(day), fields(json!({"title": day})));
    }
    let (head, tail) = halves(&whole, &nine("01-12"));
    assert_eq!(
        head.overrides,
        [(nine("01-05"), fields(json!({"title": "01-05"})))].into()
    );
    let expected = ["01-12", "01-19"].map(|day| (nine(day), fields(json!({"title": day}))));
    assert_eq!(tail.overrides, expected.into());
    assert_eq!(
        tail.fields["title"], "standup",
        "an override at the seam stays one"
    );
}

#[test]
fn a_half_of_one_occurrence_stays_a_series_while_something_is_said_of_that_one() {
    let mut dates_only = series(&[], &["2026-01-12T09:00:00"]);
    dates_only
        .overrides
        .insert(nine("01-05"), fields(json!({"title": "first"})));
    let (head, tail) = halves(&dates_only, &nine("01-12"));
    assert_eq!(dates(&head), &json!(["2026-01-05T09:00:00"]));
    assert_eq!(dates(&tail), &json!(["2026-01-12T09:00:00"]));

    // A provider shows an occurrence that its rule does not make.
    let mut further = series(&["FREQ=WEEKLY;COUNT=2"], &[]);
    further
        .overrides
        .insert(nine("02-20"), fields(json!({"title": "further"})));
    let (head, tail) = halves(&further, &nine("02-20"));
    assert_eq!(rules(&head), &json!(["FREQ=WEEKLY;COUNT=2"]));
    assert_eq!(dates(&tail), &json!(["2026-02-20T09:00:00"]));
}

#[test]
fn a_series_is_cut_only_at_an_occurrence_that_it_has() {
    let whole = series(&["FREQ=WEEKLY;COUNT=4"], &[]);
    for key in [
        nine("01-13"),
        nine("03-02"),
        PartKey::MASTER,
        PartKey::occurrence("2026-01-12"),
    ] {
        let missing = |half: Result<Content, EditError>| matches!(half, Err(EditError::NotFound(_)));
        assert!(missing(truncated(&whole, &key)), "{key:?}");
        assert!(missing(tail(&whole, &key)), "{key:?}");
    }
}

#[test]
fn a_rule_that_is_over_before_the_cut_is_not_taken_up_again() {
    for rule in ["FREQ=WEEKLY;COUNT=2", "FREQ=WEEKLY;UNTIL=20260112T080000Z"] {
        let further = ["2026-02-20T09:00:00", "2026-02-27T09:00:00"];
        let (head, tail) = halves(&series(&[rule], &further), &nine("02-27"));
        assert_eq!(rules(&head), &json!([rule]));
        assert_eq!(rules(&tail), &json!([]));
    }
    let both = ["FREQ=DAILY;COUNT=3", "FREQ=WEEKLY;COUNT=4"];
    let (head, tail) = halves(&series(&both, &[]), &nine("01-19"));
    assert_eq!(
        rules(&head),
        &json!(["FREQ=DAILY;COUNT=3", "FREQ=WEEKLY;UNTIL=20260119T075959Z"])
    );
    assert_eq!(rules(&tail), &json!(["FREQ=WEEKLY;COUNT=2"]));
}

#[test]
fn a_series_is_not_cut_where_its_rule_would_fall_on_other_days() {
    let whole = series(&["FREQ=WEEKLY;COUNT=9"], &["2026-01-21T09:00:00"]);
    let key = nine("01-21");
    let refused = |half: Result<Content, EditError>| matches!(half, Err(EditError::Invalid(_)));
    assert!(refused(tail(&whole, &key)), "{:#?}", tail(&whole, &key));
    // Where the rule itself names the days they stay, but calendars differ about a start that is none of them.
    let named = series(&["FREQ=WEEKLY;BYDAY=MO;COUNT=9"], &["2026-01-21T09:00:00"]);
    assert!(refused(tail(&named, &key)));
    // What comes before it can be cut off all the same: that ends both.
    for whole in [whole, named] {
        let head = truncated(&whole, &key).unwrap();
        assert_eq!(starts(&head), starts(&whole)[..3]);
    }
}

#[test]
fn of_two_rules_each_goes_on_as_it_was() {
    let rules = [
        "FREQ=WEEKLY;BYDAY=MO,WE;COUNT=9",
        "FREQ=MONTHLY;BYMONTHDAY=5;COUNT=3",
    ];
    halves(&series(&rules, &[]), &nine("01-14"));
}
