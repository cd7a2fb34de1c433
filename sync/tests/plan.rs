//! The plan of one link as a table: parent, local (the hub's side), remote (the provider's), and what is merged. Here to
//! be exact: no mutant of the planner lives unseen (docs/mutants.md).

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::collections::{BTreeMap, BTreeSet};

use conflict::{Merged, Policy, Rule};
use connector_sdk::{Capability, FieldSupport};
use model::{
    CollectionId, ConnectionId, Content, FieldPath, Fields, Kind, LinkId, OrganizationId, PartKey, RecordId,
};
use serde_json::{Value, json};
use sync::plan::{Input, hub_side, plan, split};
use sync::state::{Link, LinkState, Record, Snapshots, Traits};

const fn writable(field: &'static str) -> FieldSupport {
    FieldSupport {
        field,
        writable: true,
    }
}

/// A provider without locations, whose organizers cannot be written.
const FIELDS: &[FieldSupport] = &[
    writable("title"),
    writable("start"),
    writable("status"),
    writable("recurrence"),
    writable("color"),
    FieldSupport {
        field: "organizer",
        writable: false,
    },
];

const CAPABILITY: Capability = Capability {
    read: true,
    create: true,
    update: true,
    delete: true,
    fields: FIELDS,
    ..Capability::NONE
};

fn fields(json: Value) -> Fields {
    serde_json::from_value(json).unwrap()
}

fn content(json: Value) -> Content {
    Content::new(fields(json))
}

/// A weekly series from Monday, 5 January, at this hour, whose second occurrence has a title of its own.
fn weekly(hour: u8, second: Option<&str>) -> Content {
    let mut content = content(json!({
        "title": "standup",
        "start": {"kind": "floating", "wall": format!("2026-01-05T{hour:02}:00:00")},
        "recurrence": {"rules": ["FREQ=WEEKLY;COUNT=4"]},
    }));
    if let Some(title) = second {
        content
            .overrides
            .insert(second_at(hour), fields(json!({"title": title})));
    }
    content
}

fn second_at(hour: u8) -> PartKey {
    PartKey::occurrence(format!("2026-01-12T{hour:02}:00:00"))
}

fn title_of_second(hour: u8) -> FieldPath {
    FieldPath {
        part: second_at(hour),
        field: "title".to_owned(),
    }
}

struct Case {
    parent: Content,
    local: Content,
    remote: Content,
    rule: Rule,
    held: BTreeSet<FieldPath>,
    capability: Capability,
    /// What the provider made of the parent, where that differs from it.
    there: Option<Content>,
    /// What the provider would hold of the hub's side.
    project: fn(&Content) -> Content,
}

impl Case {
    fn new(parent: Content, local: Content, remote: Content) -> Self {
        Self {
            parent,
            local,
            remote,
            rule: Rule::LastWriter,
            held: BTreeSet::new(),
            capability: CAPABILITY,
            there: None,
            project: Content::clone,
        }
    }

    fn merged(&self) -> Merged {
        let policy = Policy {
            default: self.rule,
            ..Policy::default()
        };
        plan(&Input {
            kind: Kind::Event,
            capability: &self.capability,
            policy: &policy,
            snapshots: &Snapshots {
                remote: self.there.clone().unwrap_or_else(|| self.parent.clone()),
                hub: self.parent.clone(),
            },
            hub: &self.local,
            remote: &self.remote,
            held: &self.held,
            project: &self.project,
        })
    }
}

fn paths(fields: &[&str]) -> BTreeSet<FieldPath> {
    fields.iter().map(|field| FieldPath::master(*field)).collect()
}

#[test]
fn what_the_provider_changed_is_taken_and_what_the_hub_changed_is_sent() {
    let parent = content(json!({"title": "a", "color": "red"}));
    let local = content(json!({"title": "b", "color": "red"}));
    let remote = content(json!({"title": "a", "color": "blue"}));
    let merged = Case::new(parent, local, remote).merged();
    assert_eq!(merged.hub, content(json!({"title": "b", "color": "blue"})));
    assert_eq!(merged.taken, paths(&["color"]));
    assert_eq!(merged.send, paths(&["title"]));
}

#[test]
fn a_field_that_the_provider_does_not_know_is_not_cleared_by_its_silence() {
    let parent = content(json!({"title": "a", "location": "x"}));
    let remote = content(json!({"title": "a"}));
    let merged = Case::new(parent.clone(), parent.clone(), remote).merged();
    assert_eq!(merged.hub, parent);
    assert!(merged.taken.is_empty() && merged.send.is_empty());
}

#[test]
fn a_field_that_can_only_be_read_is_taken_and_never_sent() {
    let person = |address: &str| content(json!({"title": "a", "organizer": {"address": address}}));
    let sent = Case::new(person("a@x"), person("b@x"), person("a@x")).merged();
    assert!(sent.send.is_empty() && sent.clashes.is_empty());
    let taken = Case::new(person("a@x"), person("a@x"), person("b@x")).merged();
    assert_eq!(taken.hub, person("b@x"));
}

#[test]
fn nothing_is_sent_where_nothing_can_be_changed() {
    let mut case = Case::new(
        content(json!({"title": "a"})),
        content(json!({"title": "b"})),
        content(json!({"title": "a"})),
    );
    case.capability.update = false;
    assert!(case.merged().send.is_empty());
}

#[test]
fn a_series_that_the_provider_moved_keeps_its_occurrences_edits() {
    let case = Case::new(
        weekly(9, Some("demo")),
        weekly(9, Some("demo")),
        weekly(10, Some("demo")),
    );
    let merged = case.merged();
    for content in [&merged.hub, &merged.base_hub, &merged.base_remote] {
        assert_eq!(*content, weekly(10, Some("demo")));
    }
    assert_eq!(
        merged.taken,
        paths(&["start"]),
        "the occurrence says what it said"
    );
    assert!(merged.send.is_empty() && merged.clashes.is_empty());
}

#[test]
fn an_occurrence_in_the_words_of_its_series_is_sent_when_the_series_gets_others() {
    let alike = weekly(9, Some("standup"));
    let mut sent = Case::new(alike.clone(), alike.clone(), weekly(9, None));
    sent.there = Some(weekly(9, None));
    sent.local.fields.insert("title".to_owned(), json!("sprint"));
    let merged = sent.merged();
    assert_eq!(
        merged.send,
        BTreeSet::from([FieldPath::master("title"), title_of_second(9)])
    );
    assert_eq!(
        merged.base_hub.get(&title_of_second(9)),
        None,
        "until it was sent"
    );

    let mut taken = Case::new(alike.clone(), alike.clone(), weekly(9, None));
    taken.there = Some(weekly(9, None));
    taken.remote.fields.insert("title".to_owned(), json!("sprint"));
    let merged = taken.merged();
    assert_eq!(merged.hub.get(&title_of_second(9)), Some(&json!("standup")));
    assert_eq!(merged.send, BTreeSet::from([title_of_second(9)]));

    let mut idle = Case::new(alike.clone(), alike, weekly(9, None));
    idle.there = Some(weekly(9, None));
    idle.local.fields.insert("color".to_owned(), json!("red"));
    assert_eq!(
        idle.merged().send,
        paths(&["color"]),
        "nothing else changes for it"
    );
}

#[test]
fn an_occurrence_that_the_provider_does_not_hold_is_not_sent_for_words_of_its_own() {
    // It has other words than its series, and the provider lost them: that is settled, whatever else changes.
    let mut lost = Case::new(weekly(9, Some("demo")), weekly(9, Some("demo")), weekly(9, None));
    lost.there = Some(weekly(9, None));
    lost.local.fields.insert("color".to_owned(), json!("red"));
    assert_eq!(lost.merged().send, paths(&["color"]));
    // It has those of its series, and the provider could not hold them if they were sent.
    let alike = weekly(9, Some("standup"));
    let mut unable = Case::new(alike.clone(), alike, weekly(9, None));
    unable.there = Some(weekly(9, None));
    unable.project = |content| Content::new(content.fields.clone());
    unable.local.fields.insert("title".to_owned(), json!("sprint"));
    assert_eq!(unable.merged().send, paths(&["title"]));
}

/// A series of days from Monday, 5 January.
fn days() -> Content {
    content(json!({
        "title": "rounds",
        "start": {"kind": "date", "date": "2026-01-05"},
        "recurrence": {"rules": ["FREQ=DAILY"]},
    }))
}

/// The same at nine and at three, whose occurrences of Tuesday each have a title of their own.
fn twice_a_day() -> Content {
    let mut content = content(json!({
        "title": "rounds",
        "start": {"kind": "floating", "wall": "2026-01-05T09:00:00"},
        "recurrence": {"rules": ["BYHOUR=9,15;FREQ=DAILY"]},
    }));
    for (hour, title) in [("09", "early"), ("15", "late")] {
        content.overrides.insert(
            PartKey::occurrence(format!("2026-01-06T{hour}:00:00")),
            fields(json!({"title": title})),
        );
    }
    content
}

#[test]
fn a_series_of_days_that_the_provider_gives_hours_keeps_each_occurrence_of_a_day() {
    let merged = Case::new(days(), days(), twice_a_day()).merged();
    for content in [&merged.hub, &merged.base_hub, &merged.base_remote] {
        assert_eq!(*content, twice_a_day());
    }
    assert!(merged.send.is_empty() && merged.clashes.is_empty());
}

#[test]
fn a_provider_that_knows_only_days_does_not_make_one_of_two_occurrences_of_a_day() {
    let mut case = Case::new(twice_a_day(), twice_a_day(), days());
    case.there = Some(days());
    let merged = case.merged();
    assert_eq!(merged.hub, twice_a_day());
    assert!(merged.send.is_empty() && merged.taken.is_empty() && merged.clashes.is_empty());
}

#[test]
fn a_series_that_the_hub_moved_sends_its_start_and_no_occurrence() {
    let case = Case::new(
        weekly(9, Some("demo")),
        weekly(10, Some("demo")),
        weekly(9, Some("demo")),
    );
    let merged = case.merged();
    assert_eq!(merged.hub, weekly(10, Some("demo")));
    assert_eq!(merged.send, paths(&["start"]));
    for snapshot in [&merged.base_hub, &merged.base_remote] {
        assert_eq!(
            *snapshot,
            weekly(9, Some("demo")),
            "the provider still has it there"
        );
    }
}

#[test]
fn an_occurrence_edited_while_the_other_side_moves_the_series_is_the_same_occurrence() {
    // The hub moves it, the provider names the second occurrence anew.
    let merged = Case::new(
        weekly(9, Some("demo")),
        weekly(10, Some("demo")),
        weekly(9, Some("show")),
    )
    .merged();
    assert_eq!(merged.hub, weekly(10, Some("show")));
    assert_eq!(merged.taken, [title_of_second(10)].into());
    assert_eq!(merged.send, paths(&["start"]));
    // The provider moves it, the hub names the second occurrence anew.
    let merged = Case::new(
        weekly(9, Some("demo")),
        weekly(9, Some("show")),
        weekly(10, Some("demo")),
    )
    .merged();
    assert_eq!(merged.hub, weekly(10, Some("show")));
    assert_eq!(merged.taken, paths(&["start"]));
    assert_eq!(merged.send, [title_of_second(10)].into());
}

#[test]
fn when_both_moved_the_series_all_paths_speak_of_the_start_that_stands() {
    for (rule, stands) in [(Rule::RemoteWins, 11), (Rule::HubWins, 10)] {
        let mut case = Case::new(
            weekly(9, Some("demo")),
            weekly(10, Some("mine")),
            weekly(11, Some("theirs")),
        );
        case.rule = rule;
        let merged = case.merged();
        let title = if rule == Rule::HubWins { "mine" } else { "theirs" };
        assert_eq!(merged.hub, weekly(stands, Some(title)), "{rule:?}");
        let clashes: BTreeSet<_> = merged.clashes.iter().map(|clash| clash.path.clone()).collect();
        assert_eq!(
            clashes,
            [FieldPath::master("start"), title_of_second(stands)].into(),
            "{rule:?}"
        );
        let all: BTreeSet<_> = merged.taken.union(&merged.send).cloned().collect();
        assert_eq!(all, clashes, "{rule:?}");
        assert_eq!(merged.base_remote, weekly(11, Some("theirs")), "{rule:?}");
    }
}

#[test]
fn a_question_about_an_occurrence_stays_open_when_either_side_moves_the_series() {
    for (local, remote) in [(9, 10), (10, 9)] {
        let mut case = Case::new(
            weekly(9, Some("theirs")),
            weekly(local, Some("mine")),
            weekly(remote, Some("theirs")),
        );
        case.held = [title_of_second(local)].into();
        let merged = case.merged();
        assert_eq!(merged.hub, weekly(10, Some("mine")), "{local} {remote}");
        assert_eq!(merged.held, [title_of_second(10)].into(), "{local} {remote}");
        assert!(
            !merged.send.contains(&title_of_second(10)),
            "nothing is decided yet"
        );
    }
}

#[test]
fn an_occurrence_that_some_client_named_oddly_keeps_its_name_while_nothing_moves() {
    // By its day, in a series of hours.
    let odd = PartKey::occurrence("2026-01-12");
    let series = |title: &str| {
        let mut series = weekly(9, None);
        series
            .overrides
            .insert(odd.clone(), fields(json!({"title": title})));
        series
    };
    let title = FieldPath {
        part: odd.clone(),
        field: "title".to_owned(),
    };
    let merged = Case::new(series("a"), series("a"), series("b")).merged();
    assert_eq!(merged.hub, series("b"));
    assert_eq!(merged.taken, [title.clone()].into());

    let mut asked = Case::new(series("a"), series("b"), series("a"));
    asked.held = [title.clone()].into();
    let merged = asked.merged();
    assert_eq!(merged.hub, series("b"));
    assert_eq!(merged.held, [title].into());
    assert!(merged.send.is_empty());
}

fn record(content: Content) -> Record {
    Record {
        id: RecordId::new(1, 1),
        organization: OrganizationId::new(1, 1),
        kind: Kind::Event,
        version: 1,
        content,
        clocks: BTreeMap::new(),
        home: None,
        deleted: false,
        merged_into: None,
        created_at: 0,
        updated_at: 0,
    }
}

fn link(local: Content) -> Link {
    Link {
        id: LinkId::new(1, 1),
        organization: OrganizationId::new(1, 1),
        record: RecordId::new(1, 1),
        connection: ConnectionId::new(1, 1),
        collection: CollectionId::new(1, 1),
        kind: Kind::Event,
        revision: 1,
        state: LinkState::Synced,
        parts: BTreeMap::new(),
        snapshots: Snapshots::default(),
        local,
        held: BTreeSet::new(),
        dirty: false,
        removing: false,
        attempts: 0,
        not_before: 0,
        traits: Traits::default(),
    }
}

/// What an account says of the weekly series at this hour: a colour, and another one for the second occurrence.
fn colours(hour: u8) -> Content {
    let mut own = Content {
        fields: fields(json!({"color": "red"})),
        overrides: BTreeMap::new(),
    };
    own.fields
        .insert("start".to_owned(), weekly(hour, None).fields["start"].clone());
    own.overrides
        .insert(second_at(hour), fields(json!({"color": "blue"})));
    own
}

#[test]
fn an_accounts_own_words_about_a_series_move_along_with_it() {
    let side = hub_side(&record(weekly(10, Some("demo"))), &link(colours(9)));
    let mut expected = weekly(10, Some("demo"));
    expected.fields.insert("color".to_owned(), json!("red"));
    if let Some(second) = expected.overrides.get_mut(&second_at(10)) {
        second.insert("color".to_owned(), json!("blue"));
    }
    assert_eq!(side, expected);
}

#[test]
fn an_accounts_own_words_about_a_series_need_none_about_its_occurrences_and_the_other_way_round() {
    let mut whole = colours(9);
    whole.overrides.clear();
    let mut expected = weekly(9, None);
    expected.fields.insert("color".to_owned(), json!("red"));
    assert_eq!(hub_side(&record(weekly(9, None)), &link(whole)), expected);

    let mut second = colours(9);
    second.fields.clear();
    let mut expected = weekly(9, None);
    expected
        .overrides
        .insert(second_at(9), fields(json!({"color": "blue"})));
    assert_eq!(hub_side(&record(weekly(9, None)), &link(second)), expected);
}

/// The series with its second occurrence cancelled.
fn without_second(mut series: Content, hour: u8) -> Content {
    series
        .overrides
        .insert(second_at(hour), fields(json!({"status": "cancelled"})));
    series
}

/// The series with one occurrence left.
fn shortened(mut series: Content) -> Content {
    series
        .fields
        .insert("recurrence".to_owned(), json!({"rules": ["FREQ=WEEKLY;COUNT=1"]}));
    series
}

#[test]
fn a_shortened_series_silence_about_a_cancelled_occurrence_is_no_edit() {
    let both = without_second(weekly(9, None), 9);
    let merged = Case::new(both.clone(), both.clone(), shortened(weekly(9, None))).merged();
    assert_eq!(
        merged.hub,
        shortened(both.clone()),
        "should the series be lengthened, it stays cancelled"
    );
    assert_eq!(merged.base_remote, merged.hub);
    assert!(merged.send.is_empty());

    let moved = Case::new(both.clone(), both, shortened(weekly(10, None))).merged();
    assert_eq!(
        moved.hub,
        shortened(without_second(weekly(10, None), 10)),
        "by the key that it has there"
    );
}

#[test]
fn a_cancelled_occurrence_that_its_series_still_has_is_brought_back_by_silence() {
    let both = without_second(weekly(9, None), 9);
    let merged = Case::new(both.clone(), both, weekly(9, None)).merged();
    assert_eq!(merged.hub, weekly(9, None));
}

#[test]
fn silence_about_a_cancelled_occurrence_stands_for_what_both_sides_agreed_on_alone() {
    let both = without_second(weekly(9, None), 9);
    let back = shortened(weekly(9, None));
    let merged = Case::new(both.clone(), weekly(9, None), back.clone()).merged();
    assert_eq!(
        merged.base_remote, back,
        "the hub takes it back, and both are as short"
    );
    let merged = Case::new(weekly(9, None), both.clone(), back.clone()).merged();
    assert_eq!(
        merged.base_remote, back,
        "the provider never said that it is cancelled"
    );
    let renamed = Case::new(weekly(9, Some("demo")), weekly(9, Some("demo")), back.clone()).merged();
    assert_eq!(
        renamed.base_remote, back,
        "a renamed occurrence is not a cancelled one"
    );
}

#[test]
fn an_accounts_own_words_about_a_cancelled_occurrence_wait_until_that_is_taken_back() {
    let cancelled = |hour: u8| without_second(weekly(hour, None), hour);
    let mut side = cancelled(10);
    side.fields.insert("color".to_owned(), json!("red"));
    assert_eq!(
        hub_side(&record(cancelled(10)), &link(colours(9))),
        side,
        "a cancelled occurrence says nothing else"
    );
    let (shared, own) = split(Kind::Event, side, &colours(9));
    assert_eq!(shared, cancelled(10));
    assert_eq!(own, colours(10), "they wait, by the key that it has now");
    let back = hub_side(&record(weekly(10, None)), &link(own));
    assert_eq!(back.overrides[&second_at(10)], fields(json!({"color": "blue"})));
}

#[test]
fn an_accounts_own_words_about_an_occurrence_go_with_it() {
    let mut short = shortened(weekly(9, None));
    let side = hub_side(&record(short.clone()), &link(colours(9)));
    short.fields.insert("color".to_owned(), json!("red"));
    assert_eq!(side, short);
}

#[test]
fn a_side_comes_apart_into_what_all_share_and_what_one_account_says() {
    let mut side = weekly(9, Some("demo"));
    side.fields.insert("color".to_owned(), json!("red"));
    if let Some(second) = side.overrides.get_mut(&second_at(9)) {
        second.insert("color".to_owned(), json!("blue"));
    }
    let (shared, own) = split(Kind::Event, side.clone(), &Content::default());
    assert_eq!(shared, weekly(9, Some("demo")));
    assert_eq!(
        own,
        colours(9),
        "the occurrence's key is kept with the start it speaks of"
    );
    assert_eq!(
        hub_side(&record(shared), &link(own)),
        side,
        "and they go together again"
    );
}

#[test]
fn without_occurrences_of_its_own_an_account_keeps_no_start() {
    let mut side = weekly(9, Some("demo"));
    side.fields.insert("color".to_owned(), json!("red"));
    let (_, own) = split(Kind::Event, side, &Content::default());
    assert_eq!(own, content(json!({"color": "red"})));
}
