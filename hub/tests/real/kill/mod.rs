//! `kill -9` at random moments while syncs and pushes run and everybody edits: nothing is lost, nothing is there
//! twice, nothing stays stuck.
//!
//! The random numbers are seeded; a run differs from the next only in how fast the machine is.

mod verdict;
mod world;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::harness::until;

use crate::size;
use world::World;

/// What a hub says that finds a write whose outcome nobody recorded.
const PROBING: &str = "probing what became of a write";
/// Requests that both servers see before a kill, at most.
const LONGEST_RUN: usize = 14;
/// A kill comes after this time even if fewer were seen: then it hits a hub at rest.
const LONGEST_WAIT: Duration = Duration::from_millis(1_500);

#[tokio::test]
async fn killed_again_and_again_the_hub_loses_nothing_and_repeats_nothing() {
    let kills = size(12, 50);
    let mut rng = StdRng::seed_from_u64(20_260_302);
    let mut world = World::begin(size(16, 60)).await;
    let mut in_doubt = 0;
    for round in 0..kills {
        world.edit_at_the_servers(&mut rng, round).await;
        let edits = world.choose_edits_here(&mut rng, round).await;
        let client = world.hub.client();
        let connections = world.connections.clone();
        let work = async move {
            let made = world::edit_here(&client, edits).await;
            world::ask_for_syncs(&client, &connections).await;
            made
        };
        let (seen, wanted) = (world.requests(), rng.random_range(0..LONGEST_RUN));
        let (made, ()) = tokio::join!(work, async {
            let enough = async || (world.requests() >= seen + wanted).then_some(());
            // In vain when there is nothing left to do: that is a moment, too.
            let _ = until("requests", LONGEST_WAIT, enough).await;
            in_doubt += world.hub.said(PROBING);
            world.hub.kill();
        });
        world.ledger.extend(made);
        world.hub.restart().await;
    }
    world.leave_alone().await;
    in_doubt += world.hub.said(PROBING);
    assert!(in_doubt > 0, "no kill hit a write: this proves nothing");
    verdict::check(&world).await;
}
