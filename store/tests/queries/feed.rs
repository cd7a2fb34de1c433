//! The feed: which connections a change concerns, and what a filter takes.

use model::ConnectionId;
use serde_json::json;
use store::{Change, ChangeFilter};
use sync::ports::Effect;
use sync::state::FeedAction;
use testkit::store_suite::world::{World, entry};

use crate::{Bench, settled};

async fn all(bench: &Bench, world: &World, filter: &ChangeFilter) -> Vec<Change> {
    let org = &world.organization;
    bench.store.changes_after(org, 0, filter, 1_000).await.unwrap()
}

#[tokio::test]
async fn a_change_names_the_connections_where_its_record_is_or_was_until_then() {
    let (bench, world) = settled().await;
    let (mut record, link) = bench.event(&world, "1", json!({})).await;
    let here = vec![world.connection.id.clone()];
    let last = all(&bench, &world, &ChangeFilter::default()).await.pop().unwrap();
    assert_eq!(
        (last.entry.action, &last.connections),
        (FeedAction::Created, &here)
    );

    record.version += 1;
    record.deleted = true;
    let gone = Effect::DropLink {
        link: link.id.clone(),
        revision: link.revision,
    };
    let told = Effect::Feed(entry(&record, FeedAction::Deleted));
    bench
        .commit(
            &world,
            vec![Effect::UpdateRecord(Box::new(record.clone())), gone, told],
        )
        .await;
    let last = all(&bench, &world, &ChangeFilter::default()).await.pop().unwrap();
    assert_eq!(
        (last.entry.action, &last.connections),
        (FeedAction::Deleted, &here),
        "the link is gone, and who follows the connection still hears of it"
    );
}

#[tokio::test]
async fn a_filter_takes_the_same_from_the_store_and_from_memory() {
    let (bench, world) = settled().await;
    let (record, _) = bench.event(&world, "1", json!({})).await;
    let mut alone = record.clone();
    alone.id = model::RecordId::new(7, 7);
    let told = Effect::Feed(entry(&alone, FeedAction::Created));
    bench
        .commit(&world, vec![Effect::CreateRecord(Box::new(alone)), told])
        .await;
    let everything = all(&bench, &world, &ChangeFilter::default()).await;
    let (here, stranger) = (world.connection.id.clone(), ConnectionId::new(1, 1));
    let kinds = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    for (filter, expected) in [
        (kinds(&["event"]), vec![]),
        (kinds(&["event", "connection"]), vec![here.clone()]),
        (vec![], vec![here.clone(), stranger.clone()]),
        (vec![], vec![stranger]),
        (kinds(&["nonsense' OR '1'='1"]), vec![here]),
    ]
    .map(|(kinds, connections)| {
        let filter = ChangeFilter { kinds, connections };
        let taken = everything.iter().filter(|change| filter.takes(change));
        let taken: Vec<Change> = taken.cloned().collect();
        (filter, taken)
    }) {
        assert_eq!(all(&bench, &world, &filter).await, expected, "{filter:?}");
        assert!(expected.len() < everything.len(), "{filter:?} narrows");
    }
}
