//! The simulator as a test: its schedules break no invariant, a seed is played alike every time and on either store,
//! and what fails can be made small.
//!
//! `cargo run --release -p testkit --bin simulate` plays far more of them; `CONCORD_FULL=1` plays more here.

#![expect(clippy::expect_used, reason = "a test's helper fails the test")]

mod deaf;
mod late;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deaf::Deaf;
use testkit::simulation::provider::Quirks;
use testkit::simulation::topologies::{layouts, measure};
use testkit::simulation::{Detail, DiskKind, Options, play, shrink, sweep};

/// Seeds that once failed, in the order in which they were found. A schedule follows from its seed only as long as the
/// simulator stays as it is, so an old seed may play something else by now; it costs nothing to keep it.
const FIXED_SEEDS: &[u64] = &[
    // Edits at providers without versions went under writes of the hub.
    50_035, 50_168, 50_242, 50_273, 50_304, 50_375, 50_594, 50_684, 50_890, 50_921, 50_961, 50_978,
    // Creates that nobody can ask about came back as strangers, renamed or rewritten.
    50_086, 50_201, 50_725, 50_731, 50_829, 50_914,
    // What the hub knows of a cancelled occurrence was written again and again where that is no object.
    50_218, 50_641, 50_772,
    // A create in doubt was refused when it was tried again, and made anew under another name.
    60_307, 61_487,
    // Occurrences were written, and mailed guests whom somebody had invited to the series meanwhile.
    50_278, 60_396, 60_408, 60_632,
    // Occurrences were told by the start that their series had before it was moved.
    60_134,
    // Labels that are only read somewhere took others with them; writes went unseen within the same second.
    70_371, 70_589,
    // A provider's own wording of what it was sent, seen late, brought back what was deleted.
    71_422, 71_461, 92_697, 90_548,
    // A create was sent twice in one run; what somebody edited between two tries was taken for the provider's wording.
    91_197, 91_908, 92_599,
    // Nobody can know: creates in doubt whose objects were edited or deleted before they were seen, guests withheld.
    90_262, 90_437, 92_372, 71_470,
    // What an update sent was recognised again each time the provider turned the value into the same.
    204_039,
    // Two records of one thing could not be joined while a create of one was in doubt, and were tried for ever.
    206_893,
    // An occurrence that said the same as its series lost its words when the series was renamed.
    93_799,
    // Nobody can know: a field that is only read there was filled in by somebody while its create was in doubt, a create
    // in doubt was tried again by a person who had not looked.
    110_620, 210_890,
    // A deleted occurrence was taken for cancelled although its series had moved; one whose id went with its series
    // brought its deleted record back; a decision was lost because the series moved; an object was left of what its
    // series no longer reaches. An object that a later page replaced, guests that a late write met.
    213_781, 212_113, 219_724, 216_409, 214_336, 217_882, 225_544, 227_264,
    // What a provider filled in of its own counted as its answer to what the hub says there. A record waited to be joined
    // with its twin.
    230_846, 232_791, // A start that nobody could decide without its end.
    240_442,
    // The simulator's own: rows late through a new version, an approval of what has no name, a page's object gone before
    // its cursor, what a cancelled occurrence said.
    203_795, 80_078, 209_726, 200_534, 205_709, 205_988, 207_752, // Mended on the way.
    90_279, 93_115, 93_549, 94_649, 98_283, 99_008, 112_093, 71_289,
    // The record was written by somebody else while an answer was lost, and what had been sent was taken for an edit.
    255_227,
    // The simulator's own: an object deleted and restored between two pulls was shown by halves; what an occurrence said
    // went without being written.
    256_978, 253_853, 236_922, 241_266, 254_272, 238_462,
    // The second try to cancel an occurrence went over what somebody had done with what the first had made of it; a second
    // write of an occurrence that had become an object never learned its name.
    304_694, 330_391,
    // An occurrence was taken for one of its series as it had been, because the series could not be read.
    325_200,
    // The simulator's own: a node that had lost its lease had read what the write went over, lists that end early, UIDs that
    // two providers gave, occurrences renamed out of sight.
    314_388, 330_496, 318_686, 329_085, 319_167, 323_949, 326_576, 330_084,
    // What all had before they were joined: one was deleted while its other half waited to be joined with it; occurrences set
    // aside with their series came back without it.
    361_965, 55, 915, 3566, 3926,
];

/// The same, found by schedules of sixty steps.
const FIXED_SHORT_SEEDS: &[u64] = &[
    // Things that were joined counted as edited where one provider says the same in other words, or where guests stay its own.
    700_279, 701_180, 710_955, 730_175,
    // What was said of an occurrence beyond its series was cleared by the first look at the whole again.
    732_810,
    // A node that had lost its lease sent a create that another was sending.
    811_757, // The simulator's own: a round counted as quiet in which a row moved on while its page was read.
    815_828,
    // An object under a create's own name that was deleted before it was looked for; a shortened series that said no
    // more of an occurrence that was cancelled beyond its end; a late update in the provider's own words; a node that died
    // between closing an update in doubt and expecting it; an account's own words about an occurrence beyond the end; what
    // was given up with the copy that alone was to have it (an excuse); an edit at a provider without versions that only a
    // node without its lease had read when another wrote (an excuse); a late update that moved the start; one whose words
    // the hub has changed since.
    1_067_324, 1_034_412, 2_011_084, 3_024_958, 3_053_826, 3_056_851, 3_257_155, 3_336_291, 3_352_849,
    3_383_185,
];

/// The same, found by the runs of landings.
const FIXED_LANDING_SEEDS: &[u64] = &[
    // A delta of a series said no more of an occurrence that was an object of its own by then.
    124_331_261_386_802,
    124_331_261_387_406,
    // Nobody can know what became of these creates.
    124_331_261_387_845,
    124_331_261_388_045,
    // Rows that came late through a new version; a cancelled occurrence.
    186_254_120_672_216,
    186_254_120_672_613,
];

/// The same among providers that keep the contract, and differ in how they lay out series.
const FIXED_CALM_SEEDS: &[u64] = &[
    165, 215, 232, 352, 666, 792, 838, 931, 1035, 1546, 1602, 1711, 1740, 1999, 2035, 2422, 2481, 2694, 3072,
    3467, 3655, 3669, 4019, 4052, 4072, 4428, 4551, 4639, 4872, 4951, 5209, 5280, 5296, 5555, 5701, 5752,
    10030, 10728, 10751, 11358, 11702, 11831, 12145, 12159, 12195, 12702, 12777, 12922, 13257, 20461, 20598,
    21595, 31984, 36324, 40435, 51663,
    102_845, // Deleted after somebody had replaced there what an update in doubt had sent.
    258_859,
    // The simulator's own: an occurrence that only a node without its lease had been shown went with its series.
    7_003_221,
];

fn calm() -> Options {
    let quirks = Quirks::NAMES.iter().filter(|name| **name != "layout");
    Options {
        without: quirks.map(|name| (*name).to_owned()).collect(),
        ..Options::default()
    }
}

fn is_full() -> bool {
    std::env::var_os("CONCORD_FULL").is_some()
}

/// How much is played: so many, or more where everything is asked for.
fn size(usual: u64, full: u64) -> u64 {
    if is_full() { full } else { usual }
}

/// Plays seeds on all cores; what failed, by seed.
fn failures(seeds: &[u64], play: impl Fn(u64) -> Option<String> + Sync) -> BTreeMap<u64, String> {
    let next = AtomicU64::new(0);
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    let mut found = BTreeMap::new();
                    while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                        found.extend(play(*seed).map(|message| (*seed, message)));
                    }
                    found
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a worker"))
            .collect()
    })
}

fn first_violation(seed: u64, options: &Options) -> Option<String> {
    play(seed, options).violations.first().map(ToString::to_string)
}

fn traced(seed: u64, options: &Options) -> String {
    let options = Options {
        detail: Detail::Trace,
        ..options.clone()
    };
    play(seed, &options).trace
}

/// Fails with the first line in which two traces differ.
fn assert_same(seed: u64, what: &str, one: &str, other: &str) {
    if one == other {
        return;
    }
    let lines = one.lines().zip(other.lines()).enumerate();
    let differing = lines.into_iter().find(|(_, (one, other))| one != other);
    match differing {
        Some((at, (one, other))) => panic!("seed {seed}, {what}, line {at}:\n  {one}\n  {other}"),
        None => panic!(
            "seed {seed}, {what}: {} lines and {} lines",
            one.lines().count(),
            other.lines().count()
        ),
    }
}

#[test]
fn schedules_break_no_invariant() {
    let (seeds, options) = ((0..size(100, 3_000)).collect::<Vec<u64>>(), calm());
    let failed = failures(&seeds, |seed| first_violation(seed, &options));
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn schedules_with_every_quirk_break_no_invariant() {
    let seeds: Vec<u64> = (0..size(300, 3_000)).collect();
    let failed = failures(&seeds, |seed| first_violation(seed, &Options::default()));
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn seeds_that_once_failed_fail_no_more() {
    let short = Options {
        steps: 60,
        ..Options::default()
    };
    let fixed = [
        (FIXED_SEEDS, Options::default()),
        (FIXED_LANDING_SEEDS, Options::default()),
        (FIXED_SHORT_SEEDS, short),
    ];
    for (seeds, options) in fixed {
        let failed = failures(seeds, |seed| first_violation(seed, &options));
        assert!(failed.is_empty(), "{failed:#?}");
    }
    let calm = calm();
    let failed = failures(FIXED_CALM_SEEDS, |seed| first_violation(seed, &calm));
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn schedules_on_sqlite_break_no_invariant() {
    let options = Options {
        disk: DiskKind::Sqlite,
        ..calm()
    };
    let seeds: Vec<u64> = (0..size(4, 100)).collect();
    let failed = failures(&seeds, |seed| first_violation(seed, &options));
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_seed_leaves_the_same_trace_twice_and_on_both_stores() {
    let seeds: Vec<u64> = (1_000..1_000 + size(8, 200)).collect();
    let memory = Options::default();
    let sqlite = Options {
        disk: DiskKind::Sqlite,
        ..Options::default()
    };
    let failed = failures(&seeds, |seed| {
        let first = traced(seed, &memory);
        assert!(first.lines().count() > 200, "seed {seed} left hardly a trace");
        assert_same(seed, "twice in memory", &first, &traced(seed, &memory));
        assert_same(seed, "in memory and on SQLite", &first, &traced(seed, &sqlite));
        None
    });
    assert!(failed.is_empty());
}

#[test]
fn a_seed_leaves_the_same_trace_in_memory_and_on_postgresql() {
    let seeds: Vec<u64> = (1_000..1_000 + size(3, 20)).collect();
    let failed = failures(&seeds, |seed| {
        // One that dies now and then, and one that does not.
        for crash_every in [None, Some(9)] {
            let memory = Options {
                crash_every,
                ..Options::default()
            };
            let postgres = Options {
                disk: DiskKind::Postgres,
                ..memory.clone()
            };
            let first = traced(seed, &memory);
            assert_same(
                seed,
                "in memory and on PostgreSQL",
                &first,
                &traced(seed, &postgres),
            );
        }
        None
    });
    assert!(failed.is_empty());
}

#[test]
fn a_death_at_a_given_effect_is_played_again_alike_on_both_stores() {
    let seeds: Vec<u64> = (2_000..2_000 + size(6, 60)).collect();
    let failed = failures(&seeds, |seed| {
        let once = Options {
            crash_after: Some(10 + seed % 50),
            ..Options::default()
        };
        let first = traced(seed, &once);
        assert!(first.contains("-- the process dies"), "seed {seed} did not die");
        assert_same(seed, "dying once", &first, &traced(seed, &once));
        let sqlite = Options {
            disk: DiskKind::Sqlite,
            ..once
        };
        assert_same(seed, "dying on SQLite", &first, &traced(seed, &sqlite));
        let often = Options {
            crash_every: Some(7),
            ..Options::default()
        };
        let first = traced(seed, &often);
        let deaths = first.matches("-- the process dies").count();
        assert!(deaths > 1, "seed {seed} died {deaths} times");
        assert_same(seed, "dying often", &first, &traced(seed, &often));
        None
    });
    assert!(failed.is_empty());
}

#[test]
fn a_process_may_die_after_any_effect() {
    let seeds: Vec<u64> = (3_000..3_000 + size(3, 60)).collect();
    let options = Options {
        steps: if is_full() { 200 } else { 80 },
        ..calm()
    };
    let points = AtomicU64::new(0);
    let failed = failures(&seeds, |seed| {
        let swept = sweep(seed, &options);
        points.fetch_add(swept.points, Ordering::Relaxed);
        swept
            .failure
            .map(|(death, violation)| format!("{death:?}: {violation}"))
    });
    assert!(failed.is_empty(), "{failed:#?}");
    let points = points.into_inner();
    assert!(points > 30, "{points} crash points show little");
}

#[test]
fn a_process_on_sqlite_may_die_after_any_effect() {
    let seeds: Vec<u64> = (3_500..3_500 + size(1, 6)).collect();
    let options = Options {
        steps: if is_full() { 100 } else { 30 },
        disk: DiskKind::Sqlite,
        ..calm()
    };
    let failed = failures(&seeds, |seed| {
        let failure = sweep(seed, &options).failure;
        failure.map(|(death, violation)| format!("{death:?}: {violation}"))
    });
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn an_edit_is_one_write_at_each_replica_and_idle_rounds_write_nothing() {
    let seeds: Vec<u64> = (0..size(3, 60)).collect();
    for (topology, providers) in layouts() {
        let failed = failures(&seeds, |seed| {
            let (measured, _) = measure(seed, topology, providers, Detail::Silent);
            // The other promises have tests of their own.
            let mut found = measured
                .violations
                .iter()
                .filter(|violation| violation.invariant == 2);
            if let Some(found) = found.next() {
                return Some(found.to_string());
            }
            (measured.idle_rounds == 0).then(|| "nothing was measured".to_owned())
        });
        assert!(failed.is_empty(), "{topology:?} of {providers}: {failed:#?}");
    }
}

#[test]
fn a_connector_that_ignores_deletes_is_found_and_its_schedule_shrinks_to_what_shows_it() {
    let options = Options {
        steps: 60,
        planted: Arc::new(Deaf),
        ..calm()
    };
    let (seed, violation) = (0..100)
        .find_map(|seed| {
            let violation = play(seed, &options).violations.into_iter().next()?;
            Some((seed, violation))
        })
        .expect("a hundred schedules without a delete");
    let shrunk = shrink(seed, &options, &violation);
    assert_eq!(shrunk.violation.invariant, violation.invariant);
    assert!(
        shrunk.keep.len() < 10,
        "{} steps are left: {:?}",
        shrunk.keep.len(),
        shrunk.keep
    );
    let again = Options {
        keep: Some(shrunk.keep),
        without: shrunk.without,
        ..options
    };
    assert!(play(seed, &again).violations.contains(&shrunk.violation));
}
