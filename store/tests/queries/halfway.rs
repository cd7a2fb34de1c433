//! Commits whose caller goes away in the middle.

use store::ChangeFilter;
use sync::ports::{Effect, Store};
use testkit::store_suite::world::START_MS;

use crate::settled;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_dropped_halfway_is_whole_or_not_there_and_holds_nobody_up() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let mut all = 0;
    let mut whole = 0;
    for steps in 0..60 {
        let (first, _, mut effects) = world.arrival("One", &format!("{steps}/1"));
        let (second, _, more) = world.arrival("Two", &format!("{steps}/2"));
        effects.extend(more);
        effects.push(Effect::Touch {
            record: first.id.clone(),
            except: None,
        });
        let commit = bench.store.commit(org, None, effects);
        let patience = async {
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = patience => {}
            done = commit => done.unwrap(),
        }
        // Waits for whatever became of the commit.
        bench.store.commit(org, None, Vec::new()).await.unwrap();
        let found = [&first, &second].map(|record| record.id.clone());
        let mut there = 0;
        for id in &found {
            there += usize::from(bench.store.record(org, id).await.unwrap().is_some());
        }
        assert!(there == 0 || there == 2, "half a commit after {steps} steps");
        all += 1;
        whole += usize::from(there == 2);
    }
    assert!(whole < all, "some were dropped");
    let rows = bench
        .store
        .changes_after(org, 1, &ChangeFilter::default(), 1_000)
        .await
        .unwrap()
        .len();
    assert_eq!(rows, whole * 2);
    assert!(bench.store.facts(START_MS).await.unwrap().problems.is_empty());
}
