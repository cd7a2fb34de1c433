//! Two calendars that hold the same things already: linked, not copied; undone without a trace at any provider.

use conflict::Rule;
use connector_memory::{Fault, Operation, Options};
use connector_sdk::ErrorKind;
use model::{Content, FieldPath, LinkId, RecordId};
use serde_json::{Value, json};
use sync::Progress;
use sync::ports::Store;
use sync::state::{JobTask, Link, LinkState, MemberRole, Origin, TargetEdits};
use sync::{EditError, Reason};
use tokio_util::sync::CancellationToken;

use crate::world::{CAL, World, event, fields, key, series, shared};

mod apart;
mod overrides;

const PAIRS: [[Options; 2]; 3] = [
    [Options::WHOLE, Options::WHOLE],
    [Options::WHOLE, Options::PER_PART],
    [Options::PER_PART, Options::PER_PART],
];
const BOTH: [(usize, MemberRole); 2] = [(0, MemberRole::Both), (1, MemberRole::Both)];

fn set(content: &mut Content, field: &str, value: Value) {
    content.set(&FieldPath::master(field), Some(value));
}

/// The same event under another name.
fn named(content: &Content, uid: &str) -> Content {
    let mut content = content.clone();
    set(&mut content, "uid", json!(uid));
    content
}

/// What the hub knows of each side, before any mirror.
async fn read(world: &World) {
    for side in 0..world.sides.len() {
        world.sync(side).await.unwrap();
        world.pass(std::time::Duration::from_secs(60));
    }
}

/// The same events on every side.
async fn full(options: &[Options], events: &[Content]) -> World {
    let world = World::new(options).await;
    for side in 0..options.len() {
        for (number, content) in events.iter().enumerate() {
            world.put(side, &format!("s{side}n{number}"), content.clone());
        }
    }
    read(&world).await;
    world
}

async fn links(world: &World, record: &RecordId) -> Vec<Link> {
    world.store.links_of(&world.organization, record).await.unwrap()
}

/// Lets every mirror look again.
async fn link_again(world: &World) {
    let mirrors = world
        .store
        .mirrors_of(&world.organization, &world.sides[0].collection)
        .await
        .unwrap();
    for mirror in mirrors {
        world.run(JobTask::Mirror { mirror: mirror.id }).await.unwrap();
    }
}

fn ids(world: &World, side: usize) -> Vec<String> {
    world.sides[side].provider.contents(CAL).into_keys().collect()
}

/// Where the link of a record to one side stands.
async fn link_at(world: &World, record: &RecordId, side: usize) -> Link {
    let links = links(world, record).await;
    let here = &world.sides[side].collection;
    links
        .into_iter()
        .find(|link| link.collection == *here)
        .expect("a link")
}

#[tokio::test]
async fn calendars_with_the_same_events_are_linked_and_written_only_where_they_differ() {
    for pair in PAIRS {
        let events: Vec<Content> = (0..30).map(|number| event(&format!("Event {number}"))).collect();
        let world = full(&pair, &events).await;
        world.sides[1]
            .provider
            .set(CAL, "s1n3", fields(json!({"title": "Renamed"})));
        world.sides[0]
            .provider
            .set(CAL, "s0n4", fields(json!({"location": "Roof"})));
        read(&world).await;
        assert_eq!(world.records().await.len(), 60);
        world.mirror(&BOTH, Rule::LastWriter, TargetEdits::Keep).await;
        world.settle().await;
        assert_eq!(world.records().await.len(), 30);
        assert_eq!(
            world.writes(),
            2,
            "a title here and a place there, and nothing else"
        );
        assert_eq!((ids(&world, 0).len(), ids(&world, 1).len()), (30, 30));
        for side in 0..2 {
            let contents = world.sides[side].provider.contents(CAL);
            assert_eq!(contents[&format!("s{side}n3")].fields["title"], "Renamed");
            assert_eq!(contents[&format!("s{side}n4")].fields["location"], "Roof");
        }
        let conflicts = world.conflicts().await;
        assert_eq!(
            conflicts.len(),
            1,
            "the title that lost can be had back: {conflicts:#?}"
        );
        assert_eq!(conflicts[0].hub, Some(json!("Event 3")));
        for record in world.records().await {
            let links = links(&world, &record.id).await;
            assert!(links.len() == 2 && links.iter().all(|link| link.state == LinkState::Synced));
        }
    }
}

#[tokio::test]
async fn events_under_other_uids_are_linked_by_title_and_time_and_keep_their_uids() {
    for pair in PAIRS {
        let world = World::new(&pair).await;
        for number in 0..5 {
            let content = event(&format!("Event {number}"));
            world.put(
                0,
                &format!("a{number}"),
                named(&content, &format!("{number}@here")),
            );
            let mut there = named(&content, &format!("{number}@there"));
            set(&mut there, "title", json!(format!("  EVENT   {number} ")));
            world.put(1, &format!("b{number}"), there);
        }
        read(&world).await;
        world.mirror(&BOTH, Rule::HubWins, TargetEdits::Keep).await;
        world.settle().await;
        assert_eq!(world.records().await.len(), 5);
        assert_eq!(world.writes(), 5, "the other spelling of each title");
        for (side, name) in [(0, "here"), (1, "there")] {
            for (number, content) in world.contents(side).iter().enumerate() {
                assert_eq!(content.fields["uid"], format!("{number}@{name}"));
                assert_eq!(content.fields["title"], format!("Event {number}"));
            }
        }
        world.sides[1]
            .provider
            .set(CAL, "b2", fields(json!({"title": "Later"})));
        let before = world.writes();
        world.settle().await;
        assert_eq!(
            world.sides[0].provider.content(CAL, "a2").unwrap().fields["title"],
            "Later"
        );
        assert_eq!(world.writes() - before, 1);
    }
}

#[tokio::test]
async fn series_differ_from_single_events_and_other_rules_are_other_series() {
    let world = World::new(&PAIRS[0]).await;
    world.put(0, "a", named(&series("Standup"), "a"));
    world.put(1, "b", named(&event("Standup"), "b"));
    read(&world).await;
    world.mirror(&BOTH, Rule::LastWriter, TargetEdits::Keep).await;
    world.settle().await;
    assert_eq!(world.records().await.len(), 2);
    assert_eq!((world.contents(0).len(), world.contents(1).len()), (2, 2));
}

#[tokio::test]
async fn ambiguous_doubles_stay_apart_whatever_happens_between() {
    for steps in 0..4 {
        let mut world = World::new(&PAIRS[0]).await;
        world.put(0, "a1", named(&event("Standup"), "a1"));
        world.put(0, "a2", named(&event("Standup"), "a2"));
        world.put(1, "b", named(&event("Standup"), "b"));
        read(&world).await;
        world.mirror(&BOTH, Rule::LastWriter, TargetEdits::Keep).await;
        if steps > 0 {
            // One copy arrives later than the other.
            let fault = Fault::next(Operation::Write, ErrorKind::Unavailable).after(steps - 1);
            world.sides[1].provider.fail(fault);
        }
        let _ = world.sync(1).await;
        link_again(&world).await;
        world.restart().await;
        link_again(&world).await;
        world.settle().await;
        link_again(&world).await;
        world.settle().await;
        assert_eq!(world.records().await.len(), 3, "three things");
        assert_eq!((world.contents(0).len(), world.contents(1).len()), (3, 3));
        assert!(world.conflicts().await.is_empty());
    }
}

/// Dies after so many steps of a job.
struct Dying(std::sync::atomic::AtomicI64);

impl Progress for Dying {
    fn report(&self, _: u64, _: Option<u64>) {
        let left = self.0.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        assert!(left > 0, "the process dies here");
    }
}

#[tokio::test]
async fn a_crash_between_two_pairs_leaves_the_rest_to_the_next_run() {
    for steps in 0..7 {
        let events: Vec<Content> = (0..5).map(|number| event(&format!("Event {number}"))).collect();
        let mut world = full(&PAIRS[1], &events).await;
        world.put(0, "only", event("Only here"));
        world.sync(0).await.unwrap();
        let engine = world.engine.clone();
        let mirror = world.unstored(&BOTH, Rule::LastWriter, TargetEdits::Keep);
        engine.put_mirror(mirror).await.unwrap();
        let job = world.claim().await;
        let dying = Dying(steps.into());
        let run = tokio::spawn(async move { engine.run(&job, &dying, &CancellationToken::new()).await });
        let died = run.await;
        assert!(died.is_err(), "after {steps} steps");
        world.restart().await;
        link_again(&world).await;
        world.settle().await;
        assert_eq!(world.records().await.len(), 6, "after {steps} steps");
        assert_eq!((world.contents(0).len(), world.contents(1).len()), (6, 6));
        assert_eq!(world.writes(), 1, "one copy was missing");
    }
}

#[tokio::test]
async fn linking_again_changes_nothing() {
    let events: Vec<Content> = (0..4).map(|number| event(&format!("Event {number}"))).collect();
    let world = full(&PAIRS[0], &events).await;
    world.mirror(&BOTH, Rule::LastWriter, TargetEdits::Keep).await;
    world.settle().await;
    let seq = world.store.latest_seq(&world.organization).await.unwrap();
    for _ in 0..3 {
        link_again(&world).await;
        world.settle().await;
    }
    assert_eq!(world.store.latest_seq(&world.organization).await.unwrap(), seq);
    assert_eq!(world.writes(), 0);
}

#[tokio::test]
async fn three_calendars_become_one_record_each() {
    let events: Vec<Content> = (0..6).map(|number| event(&format!("Event {number}"))).collect();
    let options = [Options::WHOLE, Options::PER_PART, Options::WHOLE];
    let world = full(&options, &events).await;
    world.put(2, "more", event("Third only"));
    world.sync(2).await.unwrap();
    let members: Vec<_> = (0..3).map(|side| (side, MemberRole::Both)).collect();
    world.mirror(&members, Rule::LastWriter, TargetEdits::Keep).await;
    world.settle().await;
    assert_eq!(world.records().await.len(), 7);
    for side in 0..3 {
        assert_eq!(world.contents(side).len(), 7, "side {side}");
    }
    assert_eq!(world.writes(), 2, "the one event that two did not have");
}

#[tokio::test]
async fn the_policy_decides_and_a_calendar_that_only_takes_follows() {
    let cases = [
        (Rule::HubWins, MemberRole::Both, "here"),
        (Rule::RemoteWins, MemberRole::Both, "there"),
        (Rule::LastWriter, MemberRole::Both, "there"),
        (Rule::LastWriter, MemberRole::Target, "here"),
    ];
    for (rule, role, standing) in cases {
        let world = World::new(&PAIRS[0]).await;
        for (side, place) in ["here", "there"].into_iter().enumerate() {
            let mut content = event("Lunch");
            set(&mut content, "location", json!(place));
            world.put(side, "x", content);
        }
        read(&world).await;
        let source = if role == MemberRole::Both {
            role
        } else {
            MemberRole::Source
        };
        world
            .mirror(&[(0, source), (1, role)], rule, TargetEdits::Keep)
            .await;
        world.settle().await;
        for side in 0..2 {
            assert_eq!(world.only(side).fields["location"], standing, "{rule:?} {role:?}");
        }
        let conflicts = world.conflicts().await;
        assert_eq!((conflicts.len(), conflicts[0].rule), (1, rule));
        assert_eq!(world.writes(), 1);
    }
}

#[tokio::test]
async fn a_person_who_is_asked_decides_what_two_calendars_said_differently() {
    let world = World::new(&PAIRS[0]).await;
    world.put(0, "a", event("Lunch"));
    let mut there = event("Lunch");
    set(&mut there, "title", json!("Dinner"));
    world.put(1, "b", there);
    read(&world).await;
    world.mirror(&BOTH, Rule::Ask, TargetEdits::Keep).await;
    world.settle().await;
    assert_eq!(world.writes(), 0, "both keep theirs");
    let conflicts = world.conflicts().await;
    assert_eq!(conflicts.len(), 1, "{conflicts:#?}");
    let origin = Origin::Api("test".to_owned());
    world
        .engine
        .resolve(
            &world.organization,
            &conflicts[0].id,
            sync::Resolution::Remote,
            origin,
        )
        .await
        .unwrap();
    world.settle().await;
    for side in 0..2 {
        assert_eq!(world.only(side).fields["title"], "Dinner");
    }
}

#[tokio::test]
async fn an_edit_that_was_not_sent_yet_is_not_lost_when_its_record_is_joined() {
    let world = full(&PAIRS[0], &[event("Lunch")]).await;
    let records = world.records().await;
    // The second record is that of side 1: it was read last.
    let there = records[1].id.clone();
    world.pause(1, true).await;
    world.patch(&there, json!({"location": "Roof"})).await;
    world.mirror(&BOTH, Rule::HubWins, TargetEdits::Keep).await;
    world.pause(1, false).await;
    world.settle().await;
    for side in 0..2 {
        assert_eq!(world.only(side).fields["location"], "Roof", "side {side}");
    }
    assert_eq!(world.records().await.len(), 1);
}

#[tokio::test]
async fn an_event_that_arrives_in_both_calendars_is_one() {
    for pair in PAIRS {
        let world = World::mirrored(&pair).await;
        world.pause(1, true).await;
        world.put(0, "a", event("Invitation"));
        world.sync(0).await.unwrap();
        world.put(1, "b", event("Invitation"));
        world.pause(1, false).await;
        world.settle().await;
        assert_eq!(
            (ids(&world, 0), ids(&world, 1)),
            (vec!["a".to_owned()], vec!["b".to_owned()])
        );
        assert_eq!(world.records().await.len(), 1);
        assert_eq!(world.writes(), 0);
        world.set(1, "title", json!("Accepted"));
        world.settle().await;
        assert_eq!(world.only(0).fields["title"], "Accepted");
    }
}

#[tokio::test]
async fn a_create_of_which_nobody_knows_is_asked_about_before_anything_is_joined() {
    let world = World::mirrored(&PAIRS[0]).await;
    world.put(0, "a", event("Invitation"));
    world.sides[1].provider.fail(Fault::lost_answer());
    world.sync(0).await.unwrap();
    world.work().await;
    world.settle().await;
    assert_eq!(
        world.contents(1).len(),
        1,
        "the copy whose answer was lost, and no other"
    );
    assert_eq!(world.records().await.len(), 1);
}

#[tokio::test]
async fn a_dry_run_says_what_the_real_run_then_does() {
    let world = World::new(&PAIRS[0]).await;
    let mut lunch = event("Lunch");
    world.put(0, "a", lunch.clone());
    set(&mut lunch, "location", json!("Roof"));
    world.put(1, "b", lunch);
    world.put(0, "c", named(&event("Standup"), "c"));
    world.put(1, "d", named(&event("Standup"), "d"));
    world.put(0, "e", named(&event("Double"), "e"));
    world.put(0, "f", named(&event("Double"), "f"));
    world.put(1, "g", named(&event("Double"), "g"));
    world.put(0, "h", event("Only here"));
    read(&world).await;
    let mirror = world.unstored(&BOTH, Rule::LastWriter, TargetEdits::Keep);
    let seq = world.store.latest_seq(&world.organization).await.unwrap();
    let planned = world.engine.dry_run_mirror(&mirror).await.unwrap();
    assert_eq!(world.store.latest_seq(&world.organization).await.unwrap(), seq);
    let of = |action: &str| {
        planned
            .iter()
            .filter(|one| one.action == action)
            .collect::<Vec<_>>()
    };
    let reasons: Vec<_> = of("link")
        .iter()
        .map(|one| (one.title.clone().unwrap(), one.matched_by))
        .collect();
    assert_eq!(
        reasons,
        [
            ("Lunch".to_owned(), Some(Reason::Uid)),
            ("Standup".to_owned(), Some(Reason::TitleAndTime))
        ]
    );
    assert_eq!(of("link")[0].fields, ["location"]);
    let ambiguous: Vec<_> = of("ambiguous")
        .iter()
        .map(|one| one.title.clone().unwrap())
        .collect();
    assert_eq!(ambiguous, ["Double", "Double", "Double"], "two here, one there");
    let creates = of("create").len();
    let updates = of("update").len();
    assert_eq!((creates, updates), (4, 1), "{planned:#?}");
    world.mirror(&BOTH, Rule::LastWriter, TargetEdits::Keep).await;
    world.settle().await;
    assert_eq!(world.writes(), creates + updates);
    assert_eq!(world.records().await.len(), 6);
}

#[tokio::test]
async fn mirrors_that_are_made_while_events_are_made_miss_none() {
    let world = World::new(&PAIRS[0]).await;
    let mirror = world.unstored(&BOTH, Rule::LastWriter, TargetEdits::Keep);
    let create = |number: u8| {
        let world = &world;
        async move {
            let mut made = event(&format!("Event {number}")).fields;
            made.remove("uid");
            let home = &world.sides[0].collection;
            let origin = Origin::Api("test".to_owned());
            world
                .engine
                .create(&world.organization, home, made, origin)
                .await
                .unwrap();
        }
    };
    let creates = async { futures::future::join_all((0..20).map(create)).await };
    let (_, stored) = tokio::join!(creates, async {
        world.engine.put_mirror(mirror).await.unwrap();
        world.work().await;
    });
    let () = stored;
    world.settle().await;
    assert_eq!((world.contents(0).len(), world.contents(1).len()), (20, 20));
}

#[tokio::test]
async fn random_calendars_are_linked_once_and_no_object_is_lost() {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};
    let seeds = std::env::var("CONCORD_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(24_u64);
    for seed in 0..seeds {
        let mut random = StdRng::seed_from_u64(seed);
        let options: Vec<Options> = (0..random.random_range(2..4))
            .map(|_| {
                if random.random_bool(0.5) {
                    Options::WHOLE
                } else {
                    Options::PER_PART
                }
            })
            .collect();
        let world = World::new(&options).await;
        for side in 0..options.len() {
            for number in 0..random.random_range(0..7) {
                let title = format!("Event {}", random.random_range(0..4));
                let content = if random.random_bool(0.3) {
                    series(&title)
                } else {
                    event(&title)
                };
                let mut content = named(&content, &format!("uid {}", random.random_range(0..6)));
                if random.random_bool(0.3) {
                    set(
                        &mut content,
                        "location",
                        json!(format!("room {}", random.random_range(0..3))),
                    );
                }
                world.put(side, &format!("s{side}n{number}"), content);
            }
        }
        read(&world).await;
        let before: Vec<Vec<String>> = (0..options.len()).map(|side| ids(&world, side)).collect();
        let members: Vec<_> = (0..options.len()).map(|side| (side, MemberRole::Both)).collect();
        let rule = [Rule::LastWriter, Rule::HubWins, Rule::RemoteWins][random.random_range(0..3)];
        world.mirror(&members, rule, TargetEdits::Keep).await;
        world.settle().await;
        for (side, before) in before.iter().enumerate() {
            let now = ids(&world, side);
            assert!(
                before.iter().all(|id| now.contains(id)),
                "seed {seed}: side {side} had {before:?} and has {now:?}"
            );
        }
        let seq = world.store.latest_seq(&world.organization).await.unwrap();
        let writes = world.writes();
        link_again(&world).await;
        world.settle().await;
        assert_eq!(world.writes(), writes, "seed {seed}");
        assert_eq!(
            world.store.latest_seq(&world.organization).await.unwrap(),
            seq,
            "seed {seed}"
        );
        for record in world.records().await {
            for link in links(&world, &record.id).await {
                assert_eq!(link.state, LinkState::Synced, "seed {seed}: {link:#?}");
            }
        }
    }
}
