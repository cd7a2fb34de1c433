//! Random edits on every side with lost answers and lost cursors: all agree in the end, and fall silent.

use connector_memory::{Fault, Operation, Options};
use connector_sdk::ErrorKind;
use model::FieldPath;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use crate::world::{CAL, World, event, fields, key, series, shared};

/// Schedules that are tried, each from its number as seed.
const SEEDS: u64 = 40;

async fn act(world: &mut World, random: &mut StdRng, step: usize) {
    let side = random.random_range(0..world.sides.len());
    let provider = world.sides[side].provider.clone();
    let ids: Vec<String> = provider.contents(CAL).into_keys().collect();
    let any = (!ids.is_empty()).then(|| ids[random.random_range(0..ids.len().max(1))].clone());
    let text = json!(format!("step {step}"));
    match (random.random_range(0..14), any) {
        (0 | 1, _) => provider.put(CAL, &format!("n{step}"), event(&format!("event {step}"))),
        (2, _) => provider.put(CAL, &format!("n{step}"), series(&format!("series {step}"))),
        (3 | 4, Some(id)) => {
            let field = ["title", "location"][random.random_range(0..2)];
            provider.edit(CAL, &id, |content| {
                content.set(&FieldPath::master(field), Some(text))
            });
        }
        (5, Some(id)) => {
            let day = random.random_range(6..12);
            let deleted = random.random_bool(0.5);
            provider.edit(CAL, &id, |content| {
                if content.fields.contains_key("recurrence") {
                    let thin = if deleted {
                        model::series::cancelled()
                    } else {
                        fields(json!({"title": text}))
                    };
                    content.overrides.insert(key(day), thin);
                }
            });
        }
        (6, Some(id)) => {
            provider.delete(CAL, &id);
        }
        (7, _) => provider.expire_cursors(),
        (8, _) => provider.fail(Fault::lost_answer()),
        (9, _) => provider.fail(Fault::next(Operation::Write, ErrorKind::Unavailable)),
        (10, _) => provider.fail(Fault::next(Operation::Page, ErrorKind::Unavailable)),
        (11, _) => world.restart().await,
        (12, _) => {
            let records = world.records().await;
            if let Some(record) = records.first() {
                world
                    .patch(
                        &record.id,
                        json!({"description": {"text": format!("step {step}")}}),
                    )
                    .await;
            }
        }
        _ => {
            let _ = world.sync(side).await;
        }
    }
}

async fn schedule(seed: u64) {
    let options = [
        Options::WHOLE,
        Options::PER_PART,
        Options {
            page_size: 2,
            ..Options::WHOLE
        },
    ];
    let mut world = World::mirrored(&options[..2 + usize::try_from(seed % 2).unwrap()]).await;
    let mut random = StdRng::seed_from_u64(seed);
    for step in 0..40 {
        act(&mut world, &mut random, step).await;
    }
    // What trouble is still to come is met here; then the providers behave.
    for _ in 0..12 {
        world.pass(std::time::Duration::from_secs(3_600));
        world.round().await;
    }
    world.settle().await;
    for side in 0..world.sides.len() {
        let outcome = world.sync(side).await;
        assert!(
            outcome.is_ok(),
            "seed {seed}: side {side} does not recover: {outcome:?}"
        );
    }
    for record in world.records().await {
        let links = sync::ports::Store::links_of(&world.store, &world.organization, &record.id)
            .await
            .unwrap();
        assert_eq!(
            links.len(),
            world.sides.len(),
            "seed {seed}: {} has {links:#?}",
            record.content.fields["title"]
        );
        for link in links {
            assert_eq!(
                link.state,
                sync::state::LinkState::Synced,
                "seed {seed}: {link:#?}"
            );
        }
    }
    let sorted = |side: usize| {
        let mut contents: Vec<String> = world
            .contents(side)
            .iter()
            .map(|content| serde_json::to_string(&shared(content)).unwrap())
            .collect();
        contents.sort();
        contents
    };
    let first = sorted(0);
    for side in 1..world.sides.len() {
        let other = sorted(side);
        let apart: Vec<&String> = first.iter().filter(|one| !other.contains(one)).collect();
        let instead: Vec<&String> = other.iter().filter(|one| !first.contains(one)).collect();
        assert!(
            apart.is_empty() && instead.is_empty(),
            "seed {seed}: side 0 has {apart:#?}, side {side} has {instead:#?}"
        );
    }
    assert_eq!(
        first.len(),
        world.records().await.len(),
        "seed {seed}: the hub holds as many"
    );
    let uids: std::collections::BTreeSet<String> = world
        .contents(0)
        .iter()
        .map(|content| content.fields["uid"].to_string())
        .collect();
    assert_eq!(uids.len(), first.len(), "seed {seed}: something is there twice");
}

#[tokio::test]
async fn random_schedules_converge_without_doubles_and_fall_silent() {
    for seed in 0..SEEDS {
        schedule(seed).await;
    }
}
