//! A create that arrives late, when the hub has asked for it and had no answer.

use conflict::Rule;
use model::Kind;
use testkit::simulation::play::play_in;
use testkit::simulation::provider::{Creation, Fault, Operation, Quirks, Trouble};
use testkit::simulation::setup::{Setup, Topology};
use testkit::simulation::step::Step;
use testkit::simulation::{Detail, Options};

/// Two providers; the second makes what it is asked for under an id of its own, and knows a request that comes twice.
fn pair() -> Setup {
    let second = Quirks {
        creation: Creation::Marker,
        ..Quirks::default()
    };
    Setup {
        kind: Kind::Event,
        topology: Topology::Pair,
        providers: vec![Quirks::default(), second],
        rule: Rule::LastWriter,
        skews_ms: vec![0],
        overlapping: false,
    }
}

/// The create takes effect after the hub has looked for it in vain, just before it is tried again. So the second try is
/// answered as a `POST` is that carries a word that the vendor has seen: `200` with what is there, and not `201`.
#[test]
fn a_create_whose_response_was_lost_and_whose_retry_answers_200_instead_of_201_makes_one_object() {
    let late = Trouble::Late { operations: 1 };
    let steps = [
        Step::Put {
            side: 0,
            series: false,
            pick: 0,
        },
        Step::Trouble {
            side: 1,
            fault: Fault::next(Operation::Write, late),
        },
        Step::Poll { side: 0 },
        Step::Pass { ms: 60_000, seed: 1 },
        Step::Work { turns: 400, seed: 1 },
        Step::Pass { ms: 60_000, seed: 1 },
        Step::Work { turns: 400, seed: 1 },
    ];
    let options = Options {
        detail: Detail::Story,
        ..Options::default()
    };
    let played = play_in(1, pair(), &steps, &options);
    assert!(played.violations.is_empty(), "{:#?}", played.violations);
    let creates: Vec<&str> = played
        .trace
        .lines()
        .filter(|line| line.contains(" create {"))
        .collect();
    let [first, second] = creates.as_slice() else {
        panic!("one create and one more try, not {creates:#?}");
    };
    assert!(first.contains("-> unavailable"), "{first}");
    // The server's first id: had the retry made another object it would be the second.
    assert!(second.contains("-> stored ms1 "), "{second}");
}
