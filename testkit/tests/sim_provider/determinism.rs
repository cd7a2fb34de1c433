//! Everything follows from the seed, and quirks are data.

use std::collections::BTreeSet;

use model::Kind;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use testkit::conformance::sample;
use testkit::simulation::provider::{Fault, Quirks};

use crate::client::{WORK, client};

/// A random schedule against a random provider, and all that was seen of it.
async fn trace(seed: u64) -> String {
    let mut rng = StdRng::seed_from_u64(seed);
    let kind = if rng.random_bool(0.5) {
        Kind::Event
    } else {
        Kind::Contact
    };
    let quirks = Quirks::random(&mut rng, kind);
    let client = client(kind, quirks);
    let mut cursor = None;
    let mut seen = String::new();
    let mut say = |what: String| {
        seen.push_str(&what);
        seen.push('\n');
    };
    for step in 0..60_u64 {
        client
            .provider
            .set_now(1_700_000_000_000 + i64::try_from(step).unwrap() * 7_000);
        let id = format!("r{}", rng.random_range(0..4));
        match rng.random_range(0..7) {
            0 => client.put(&id, &format!("title {step}")),
            1 => {
                client.provider.delete(WORK, &id);
            }
            2 => {
                let pulled = client.pull(cursor.as_ref()).await;
                cursor = pulled.pages.last().and_then(|page| page.cursor.clone());
                say(format!("{:?} {:?}", pulled.pages, pulled.error));
            }
            3 => client.provider.fail(Fault::random(&mut rng)),
            4 => {
                if client
                    .connector
                    .pull()
                    .unwrap()
                    .collections(&client.ctx)
                    .await
                    .is_ok()
                {
                    let write = client.create(u128::from(step), sample::plain(kind, "made"));
                    say(format!("{:?}", client.apply(write).await));
                }
            }
            5 => client.provider.hide(WORK, &id, rng.random_bool(0.5)),
            _ => {
                client.provider.restore(WORK, &id);
            }
        }
    }
    client.provider.calm();
    say(format!("{:?}", client.provider.contents(WORK)));
    say(format!("{:?}", client.provider.take_hub_writes()));
    seen
}

#[tokio::test]
async fn the_same_seed_gives_the_same_trace() {
    for seed in 0..40 {
        assert_eq!(trace(seed).await, trace(seed).await, "seed {seed}");
    }
    assert_ne!(trace(1).await, trace(2).await);
}

#[test]
fn chance_gives_every_quirk_and_none_alike() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut met = BTreeSet::new();
    let mut ideal = 0;
    for _ in 0..500 {
        let quirks = Quirks::random(&mut rng, Kind::Event);
        ideal += usize::from(quirks.active().is_empty());
        met.extend(quirks.active());
    }
    assert_eq!(met, Quirks::NAMES.iter().copied().collect());
    assert!((5..250).contains(&ideal), "{ideal} of 500 are ideal");
    let contacts = (0..200).map(|_| Quirks::random(&mut rng, Kind::Contact));
    for quirks in contacts {
        for name in ["layout", "zones", "mails"] {
            assert!(!quirks.active().contains(&name), "{name}");
        }
    }
}

#[test]
fn quirks_are_taken_away_one_by_one_until_none_is_left() {
    let mut rng = StdRng::seed_from_u64(3);
    for _ in 0..50 {
        let mut quirks = Quirks::random(&mut rng, Kind::Event);
        while let Some(name) = quirks.active().first().copied() {
            let less = quirks.without(name).unwrap();
            assert!(!less.active().contains(&name));
            assert_eq!(less.active().len() + 1, quirks.active().len());
            assert_eq!(less.without(name), None);
            quirks = less;
        }
        assert_eq!(quirks, Quirks::NONE);
    }
    assert_eq!(Quirks::NONE.without("no such quirk"), None);
}

#[test]
fn quirks_are_written_down_and_read_again() {
    let mut rng = StdRng::seed_from_u64(4);
    for _ in 0..50 {
        let quirks = Quirks::random(&mut rng, Kind::Event);
        let text = serde_json::to_string(&quirks).unwrap();
        assert_eq!(serde_json::from_str::<Quirks>(&text).unwrap(), quirks);
    }
    assert_eq!(serde_json::from_str::<Quirks>("{}").unwrap(), Quirks::default());
}
