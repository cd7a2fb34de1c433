//! Laws of the merge, on generated contents.

use std::collections::BTreeSet;

use conflict::{Merged, Policy, Rule, Sides, Support, merge};
use model::{Content, Kind, PartKey};
use proptest::prelude::*;
use serde_json::{Value, json};

struct All;

impl Support for All {
    fn reads(&self, _: &str) -> bool {
        true
    }
    fn writes(&self, _: &str) -> bool {
        true
    }
}

fn time() -> impl Strategy<Value = Value> {
    (0..4u8).prop_map(|hour| json!({"kind": "floating", "wall": format!("2026-01-05T{hour:02}:00:00")}))
}

fn attendees() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[abc]@x", prop_oneof![Just("accepted"), Just("declined")], 0..3).prop_map(
        |people| {
            people
                .into_iter()
                .map(|(address, response)| json!({"address": address, "response": response}))
                .collect()
        },
    )
}

fn content() -> impl Strategy<Value = Content> {
    let field = |strategy: BoxedStrategy<Value>| prop::option::of(strategy);
    let labels = prop::collection::btree_set("[xyz]", 0..3)
        .prop_map(|set| json!(set))
        .boxed();
    let title = "[ab]".prop_map(Value::from).boxed();
    let occurrence = prop_oneof![
        Just(model::series::cancelled()),
        "[ab]".prop_map(|title| [("title".to_owned(), json!(title))].into()),
    ];
    (
        field(title.clone()),
        field(title),
        field(time().boxed()),
        field(time().boxed()),
        field(attendees().boxed()),
        field(labels),
        prop::option::of(occurrence),
    )
        .prop_map(
            |(title, location, start, end, attendees, categories, occurrence)| {
                let named = [
                    ("title", title),
                    ("location", location),
                    ("start", start),
                    ("end", end),
                    ("attendees", attendees.filter(|value| value != &json!([]))),
                    ("categories", categories.filter(|value| value != &json!([]))),
                ];
                let fields = named
                    .into_iter()
                    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                    .collect();
                let mut content = Content::new(fields);
                if let Some(occurrence) = occurrence {
                    content
                        .overrides
                        .insert(PartKey::occurrence("2026-01-12T01:00:00"), occurrence);
                }
                content
            },
        )
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        Just(Rule::LastWriter),
        Just(Rule::HubWins),
        Just(Rule::RemoteWins),
        Just(Rule::Ask)
    ]
}

fn run(base_hub: &Content, base_remote: &Content, hub: &Content, remote: &Content, rule: Rule) -> Merged {
    let sides = Sides {
        base_hub,
        hub,
        base_remote,
        remote,
        projected: hub,
    };
    let policy = Policy {
        default: rule,
        ..Policy::default()
    };
    merge(Kind::Event.schema(), sides, &All, &policy, &BTreeSet::new())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn unchanged_sides_are_silent(base in content(), remote in content(), rule in rule()) {
        let merged = run(&base, &remote, &base, &remote, rule);
        prop_assert_eq!(&merged.hub, &base);
        prop_assert!(merged.send.is_empty() && merged.taken.is_empty() && merged.clashes.is_empty());
    }

    #[test]
    fn after_the_write_both_sides_agree_and_nothing_more_is_sent(
        base in content(), hub in content(), remote in content(), rule in rule(),
    ) {
        let merged = run(&base, &base, &hub, &remote, rule);
        // The provider does exactly what it is told.
        let mut written = remote.clone();
        for path in &merged.send {
            written.set(path, merged.hub.get(path).cloned());
        }
        for path in written.differences(&merged.hub) {
            prop_assert!(merged.held.contains(&path), "{} differs and nobody was asked", path);
        }
        let again = run(&merged.hub, &written, &merged.hub, &written, rule);
        prop_assert!(again.send.is_empty() && again.clashes.is_empty());
    }

    #[test]
    fn every_edit_is_in_the_result_or_in_the_log(
        base in content(), hub in content(), remote in content(), rule in rule(),
    ) {
        let merged = run(&base, &base, &hub, &remote, rule);
        for side in [&hub, &remote] {
            for path in base.differences(side) {
                let mine = side.get(&path);
                let kept = merged.hub.get(&path) == mine;
                let logged = merged.clashes.iter().any(|clash| {
                    clash.path == path || (clash.path.part == path.part && clash.path.field == "status")
                });
                let woven = matches!(path.field.as_str(), "attendees" | "categories");
                prop_assert!(kept || logged || woven, "edit of {} is lost: {:?}", path, mine);
            }
        }
    }

    #[test]
    fn one_sided_edits_travel_unharmed(base in content(), edit in content(), rule in rule()) {
        let taken = run(&base, &base, &base, &edit, rule);
        prop_assert_eq!(&taken.hub, &edit);
        prop_assert!(taken.send.is_empty() && taken.clashes.is_empty());
        let sent = run(&base, &base, &edit, &base, rule);
        prop_assert_eq!(&sent.hub, &edit);
        prop_assert!(sent.taken.is_empty() && sent.clashes.is_empty());
        prop_assert_eq!(sent.send.into_iter().collect::<Vec<_>>(), base.differences(&edit));
    }
}
