//! Random edits on every side and through the API, with lost answers, lost cursors and restarts: all agree in the
//! end, nothing is there twice, and then there is silence. A schedule follows from its seed alone.
//!
//! `CONCORD_SEEDS=2000` tries more schedules, `CONCORD_SEED=17` that one alone.

use std::collections::BTreeSet;

use conflict::Rule;
use connector_memory::{Fault, Operation, Options};
use connector_sdk::ErrorKind;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use model::{Content, FieldPath, Fields, Kind, PartKey};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use sync::ports::{Store as _, StoreError};
use sync::state::{LinkState, MemberRole, Origin, Record, TargetEdits};
use sync::{EditError, EditScope, Resolution};

use crate::world::{CAL, World, event, fields, series, shared};

/// Schedules that are tried.
const SEEDS: u64 = 32;
/// Steps of one schedule.
const STEPS: usize = 40;

const SMALL_PAGES: Options = Options {
    page_size: 2,
    ..Options::WHOLE
};

/// Who is joined with whom, and who is given right.
async fn begin(seed: u64) -> World {
    let both = |sides: &[usize]| -> Vec<_> { sides.iter().map(|side| (*side, MemberRole::Both)).collect() };
    let sides = [Options::WHOLE, Options::PER_PART, SMALL_PAGES];
    let (sides, mirrors, rule): (&[Options], Vec<Vec<usize>>, Rule) = match seed % 5 {
        0 => (&sides[..2], vec![vec![0, 1]], Rule::LastWriter),
        1 => (&sides, vec![vec![0, 1, 2]], Rule::LastWriter),
        2 => (&sides, vec![vec![0, 1], vec![1, 2]], Rule::LastWriter),
        3 => (&sides[..2], vec![vec![0, 1]], Rule::HubWins),
        _ => (&sides[..2], vec![vec![0, 1]], Rule::Ask),
    };
    let world = World::new(sides).await;
    for members in mirrors {
        world.mirror(&both(&members), rule, TargetEdits::Keep).await;
    }
    world
}

fn is_series(content: &Content) -> bool {
    model::expand::is_series(content)
}

/// The keys of a series' occurrences, those of deleted ones apart.
fn occurrences(content: &Content) -> (Vec<PartKey>, Vec<PartKey>) {
    let year = ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    let there = model::expand::occurrences(
        content,
        year.0.parse().unwrap(),
        year.1.parse().unwrap(),
        &TimeZone::UTC,
    );
    let deleted = content
        .overrides
        .iter()
        .filter(|(_, fields)| model::series::is_cancelled(fields));
    (
        there.unwrap().into_iter().map(|one| one.key).collect(),
        deleted.map(|(key, _)| key.clone()).collect(),
    )
}

fn any<T: Clone>(random: &mut StdRng, of: &[T]) -> Option<T> {
    (!of.is_empty()).then(|| of[random.random_range(0..of.len())].clone())
}

/// Start and end, some hours later or earlier.
fn moved(content: &Content, hours: i64) -> Fields {
    let by = SignedDuration::from_hours(hours);
    ["start", "end"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), model::series::time_field(&content.fields, name)?)))
        .map(|(name, time)| (name, json!(time.shifted(by))))
        .collect()
}

/// What another client does at a provider.
fn act_at_provider(world: &World, random: &mut StdRng, step: usize) {
    let side = random.random_range(0..world.sides.len());
    let provider = &world.sides[side].provider;
    let ids: Vec<String> = provider.contents(CAL).into_keys().collect();
    let text = json!(format!("step {step}"));
    let Some(id) = any(random, &ids).filter(|_| random.random_range(0..10) > 2) else {
        let made = match random.random_bool(0.5) {
            true => event(&format!("event {step}")),
            false => series(&format!("series {step}")),
        };
        provider.put(CAL, &format!("n{step}"), made);
        return;
    };
    let content = provider.content(CAL, &id).unwrap();
    let (there, deleted) = occurrences(&content);
    match random.random_range(0..12) {
        0..=2 => {
            let field = ["title", "location"][random.random_range(0..2)];
            provider.edit(CAL, &id, |content| {
                content.set(&FieldPath::master(field), Some(text))
            });
        }
        3 => {
            let alarm = json!({"use_default": false, "items": [{"minutes_before": step, "method": "popup"}]});
            provider.set(CAL, &id, fields(json!({"reminders": alarm})));
        }
        4 => {
            provider.delete(CAL, &id);
        }
        5 => {
            let mut next = content.clone();
            next.fields.extend(moved(&content, random.random_range(-3..4)));
            let next = Content {
                overrides: model::series::aligned(&content, &next).overrides,
                ..next
            };
            provider.edit(CAL, &id, |content| *content = next);
        }
        6 | 7 if is_series(&content) => {
            if let Some(key) = any(random, &there) {
                let thin = any(
                    random,
                    &[
                        json!({"status": "cancelled"}),
                        json!({"title": text}),
                        json!({"reminders": {"use_default": true, "items": []}}),
                    ],
                );
                provider.edit(CAL, &id, |content| {
                    content.overrides.insert(key, fields(thin.unwrap()));
                });
            }
        }
        8 | 9 if is_series(&content) => {
            if let Some(key) = any(random, &deleted) {
                provider.edit(CAL, &id, |content| {
                    content.overrides.insert(key, Fields::new());
                });
            }
        }
        _ => {
            provider.edit(CAL, &id, |content| {
                content.set(&FieldPath::master("location"), None)
            });
        }
    }
}

/// What a client of the API does. It may come too late; then nothing was changed.
async fn act_through_the_api(world: &World, random: &mut StdRng, step: usize) {
    let Some(record) = any(random, &world.records().await) else {
        return;
    };
    let api = Origin::Api("test".to_owned());
    let (organization, id) = (&world.organization, &record.id);
    let text = json!(format!("step {step}"));
    let patch = |json: Value| json.as_object().unwrap().clone();
    let (there, deleted) = occurrences(&record.content);
    let key = any(random, &there).filter(|_| is_series(&record.content));
    let version = random.random_bool(0.3).then_some(record.version);
    let outcome: Result<(), EditError> = match (random.random_range(0..10), key) {
        (0..=1, _) => {
            let change = patch(json!({"description": {"text": text}}));
            let outcome = world.engine.patch(organization, id, version, change, api).await;
            outcome.map(drop)
        }
        (2, _) => {
            let hours = random.random_range(-3..4);
            let change = patch(json!(moved(&record.content, hours)));
            world
                .engine
                .patch(organization, id, version, change, api)
                .await
                .map(drop)
        }
        (3, _) => world.engine.delete(organization, id, version, api).await,
        (4, _) => {
            let alarm = json!({"use_default": false, "items": [{"minutes_before": step, "method": "email"}]});
            let change = patch(json!({"reminders": alarm}));
            world
                .engine
                .patch(organization, id, None, change, api)
                .await
                .map(drop)
        }
        (5, _) if is_series(&record.content) => match any(random, &deleted) {
            Some(key) => {
                let change = patch(json!({"status": "confirmed"}));
                let scope = EditScope::This;
                world
                    .engine
                    .patch_occurrence(organization, id, &key, scope, version, change, api)
                    .await
                    .map(drop)
            }
            None => Ok(()),
        },
        (6..=7, Some(key)) => {
            let scopes = [EditScope::This, EditScope::Following, EditScope::All];
            let scope = scopes[random.random_range(0..3)];
            let change = patch(json!({"title": text}));
            world
                .engine
                .patch_occurrence(organization, id, &key, scope, version, change, api)
                .await
                .map(drop)
        }
        (8, Some(key)) => {
            let scope = [EditScope::This, EditScope::Following][random.random_range(0..2)];
            world
                .engine
                .delete_occurrence(organization, id, &key, scope, version, api)
                .await
                .map(drop)
        }
        _ => {
            let mut made = event(&format!("made {step}")).fields;
            made.remove("uid");
            let home = &world.sides[random.random_range(0..world.sides.len())].collection;
            world.engine.create(organization, home, made, api).await.map(drop)
        }
    };
    if let Err(EditError::Store(error @ (StoreError::Database(_) | StoreError::Corrupt { .. }))) = outcome {
        panic!("{error}");
    }
}

async fn act(world: &mut World, random: &mut StdRng, step: usize) {
    let side = random.random_range(0..world.sides.len());
    let provider = world.sides[side].provider.clone();
    match random.random_range(0..20) {
        0..=7 => act_at_provider(world, random, step),
        8..=11 => act_through_the_api(world, random, step).await,
        12 => provider.expire_cursors(),
        13 => provider.fail(Fault::lost_answer()),
        14 => provider.fail(Fault::next(Operation::Write, ErrorKind::Unavailable)),
        15 => provider.fail(Fault::next(Operation::Page, ErrorKind::Unavailable)),
        16 => world.restart().await,
        _ => {
            let _ = world.sync(side).await;
        }
    }
}

/// Somebody decides whatever waits for a decision. Start and end clash together and are decided together.
async fn decide(world: &World) {
    for _ in 0..3 {
        for conflict in world.conflicts().await {
            if conflict.winner.is_none() && conflict.resolved_at.is_none() {
                let origin = Origin::Api("test".to_owned());
                let _ = world
                    .engine
                    .resolve(&world.organization, &conflict.id, Resolution::Remote, origin)
                    .await;
            }
        }
        world.settle().await;
    }
}

/// What has to be the same everywhere: what each occurrence says. An override may say what its series says by now, and
/// some may be left of occurrences that the series no longer reaches.
fn told(content: &Content) -> String {
    let mut told = shared(content);
    let (there, _) = occurrences(&Content::new(told.fields.clone()));
    for (key, own) in std::mem::take(&mut told.overrides) {
        let full = model::series::full(Kind::Event, &told.fields, &key, &own);
        let thin = model::series::sparse(Kind::Event, &told.fields, &key, &full);
        if !thin.is_empty() && there.contains(&key) {
            told.overrides.insert(key, thin);
        }
    }
    serde_json::to_string(&told).unwrap()
}

/// Whether an occurrence was edited while somebody shortened its series: it lives on where that can be said, and is
/// refused elsewhere.
fn outlives_its_series(content: &Content) -> bool {
    let (there, _) = occurrences(&Content::new(content.fields.clone()));
    content
        .overrides
        .iter()
        .any(|(key, own)| !there.contains(key) && !model::series::is_cancelled(own))
}

/// Every side has the record, and all of it.
async fn check_links(world: &World, record: &Record, seed: u64) {
    let links = world
        .store
        .links_of(&world.organization, &record.id)
        .await
        .unwrap();
    assert_eq!(
        links.len(),
        world.sides.len(),
        "seed {seed}: {record:#?} has {links:#?}"
    );
    for link in links {
        let refused = matches!(link.state, LinkState::Rejected { .. });
        assert!(
            link.state == LinkState::Synced || (refused && outlives_its_series(&record.content)),
            "seed {seed}: {link:#?}"
        );
    }
}

async fn schedule(seed: u64) {
    let mut world = begin(seed).await;
    let mut random = StdRng::seed_from_u64(seed);
    for step in 0..STEPS {
        act(&mut world, &mut random, step).await;
    }
    // What trouble is still to come is met here; then the providers behave.
    for _ in 0..8 {
        world.pass(std::time::Duration::from_secs(3_600));
        world.round().await;
    }
    world.settle().await;
    decide(&world).await;
    for side in 0..world.sides.len() {
        let outcome = world.sync(side).await;
        assert!(
            outcome.is_ok(),
            "seed {seed}: side {side} does not recover: {outcome:?}"
        );
    }
    let records: Vec<Record> = world.records().await;
    for record in &records {
        check_links(&world, record, seed).await;
    }
    let mut hub: Vec<String> = records.iter().map(|record| told(&record.content)).collect();
    hub.sort();
    for side in 0..world.sides.len() {
        let mut here: Vec<String> = world.contents(side).iter().map(told).collect();
        here.sort();
        let apart: Vec<&String> = hub.iter().filter(|one| !here.contains(one)).collect();
        let instead: Vec<&String> = here.iter().filter(|one| !hub.contains(one)).collect();
        assert!(
            apart.is_empty() && instead.is_empty() && hub.len() == here.len(),
            "seed {seed}: the hub has {apart:#?}, side {side} has {instead:#?}"
        );
    }
    let uids: BTreeSet<String> = records
        .iter()
        .map(|record| record.content.fields["uid"].to_string())
        .collect();
    assert_eq!(uids.len(), hub.len(), "seed {seed}: something is there twice");
}

/// Every second seed from `first` on.
async fn schedules(first: u64) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = number("CONCORD_SEEDS").unwrap_or(SEEDS);
    let only = number("CONCORD_SEED");
    for seed in (first..seeds.max(only.map_or(0, |only| only + 1))).step_by(2) {
        if only.is_none_or(|only| only == seed) {
            schedule(seed).await;
        }
    }
}

// Two tests, so that two cores share the work.

#[tokio::test]
async fn random_schedules_converge_without_doubles_and_fall_silent() {
    schedules(0).await;
}

#[tokio::test]
async fn more_random_schedules_converge_without_doubles_and_fall_silent() {
    schedules(1).await;
}
