//! The feed: dense, in the order of the commits, for every reader at every moment.

use anyhow::ensure;
use futures::future::try_join_all;
use sync::ports::Effect;
use sync::state::FeedAction;

use super::Subject;
use super::world::{World, entry};

/// Commits at once.
const WRITERS: usize = 8;
/// Commits of each.
const COMMITS: usize = 12;

/// No reader sees n+1 before n.
pub async fn the_feed_is_dense_and_in_order_under_concurrent_commits(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let before = subject.feed(org).await?.len();
    let writers = (0..WRITERS).map(|writer| {
        let (store, world) = (store.clone(), world.clone());
        async move {
            for commit in 0..COMMITS {
                let (_, _, mut effects) = world.arrival("Event", &format!("{writer}/{commit}"));
                let (second, _, more) = world.arrival("Event", &format!("{writer}/{commit}/2"));
                effects.extend(more);
                effects.push(Effect::Feed(entry(&second, FeedAction::Updated)));
                store.commit(&world.organization, None, effects).await?;
            }
            anyhow::Ok(())
        }
    });
    let all = WRITERS * COMMITS * 3 + before;
    let reader = async {
        let mut seen = 0;
        while seen < all {
            let feed = subject.feed(org).await?;
            ensure!(feed.len() >= seen, "the feed shrank");
            for ((seq, _), expected) in feed.iter().zip(1i64..) {
                ensure!(*seq == expected, "{seq} stands where {expected} should");
            }
            seen = feed.len();
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    };
    futures::try_join!(try_join_all(writers), reader)?;
    let feed = subject.feed(org).await?;
    ensure!(feed.len() == all);
    // The entries of a commit stand together, in its order.
    for commit in feed[before..].chunks(3) {
        let actions: Vec<FeedAction> = commit.iter().map(|(_, entry)| entry.action).collect();
        ensure!(
            actions == [FeedAction::Created, FeedAction::Created, FeedAction::Updated],
            "{actions:?}"
        );
        ensure!(commit[1].1.subject == commit[2].1.subject);
    }
    Ok(())
}

/// A number that was taken by a commit that failed is given again.
pub async fn a_commit_that_fails_leaves_no_gap_in_the_feed(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (first, _, effects) = world.arrival("One", "a");
    store.commit(org, None, effects).await?;
    let (_, _, taken) = world.arrival("Two", "a");
    ensure!(store.commit(org, None, taken).await.is_err());
    let (third, _, effects) = world.arrival("Three", "c");
    store.commit(org, None, effects).await?;
    let feed = subject.feed(org).await?;
    let numbers: Vec<i64> = feed.iter().map(|(seq, _)| *seq).collect();
    ensure!(
        numbers == (1..=numbers.len() as i64).collect::<Vec<_>>(),
        "{numbers:?}"
    );
    let last = &feed[feed.len() - 2..];
    ensure!(
        last[0].1 == entry(&first, FeedAction::Created) && last[1].1 == entry(&third, FeedAction::Created)
    );
    Ok(())
}
