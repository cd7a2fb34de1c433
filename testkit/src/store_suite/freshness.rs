//! How new the last observations of remote objects were.

use anyhow::ensure;
use connector_sdk::{RemoteId, RemoteVersion};
use model::PartKey;
use sync::ports::{Effect, StoreError};
use sync::state::{Freshness, Link};

use super::Subject;
use super::world::{START_MS, World};

fn remote(id: &str) -> RemoteId {
    RemoteId(id.to_owned())
}

fn fresh(ordering: i64) -> Freshness {
    Freshness {
        ordering: Some(ordering),
        version: Some(RemoteVersion(format!("v{ordering}"))),
    }
}

fn put(world: &World, id: &str, freshness: Freshness) -> Effect {
    Effect::PutFreshness {
        collection: world.work.id.clone(),
        remote: remote(id),
        freshness,
        at: START_MS,
    }
}

async fn read(subject: &dyn Subject, world: &World, id: &str) -> Result<Option<Freshness>, StoreError> {
    let ids = [remote(id), remote("nobody")];
    let found = subject
        .store()
        .freshness(&world.organization, &world.work.id, &ids)
        .await?;
    Ok(found.get(&remote(id)).cloned())
}

/// The last one stands, of each object for itself and in its own collection.
pub async fn the_last_freshness_of_an_object_stands(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let effects = vec![
        put(&world, "a", fresh(1)),
        put(&world, "b", fresh(7)),
        put(&world, "a", fresh(2)),
    ];
    store.commit(&world.organization, None, effects).await?;
    ensure!(read(subject, &world, "a").await? == Some(fresh(2)));
    store
        .commit(&world.organization, None, vec![put(&world, "a", fresh(3))])
        .await?;
    ensure!(read(subject, &world, "a").await? == Some(fresh(3)));
    ensure!(read(subject, &world, "b").await? == Some(fresh(7)));
    let elsewhere = store
        .freshness(&world.organization, &world.home.id, &[remote("a")])
        .await?;
    ensure!(elsewhere.is_empty());
    Ok(())
}

/// Dropped, or with another object by now; unless the same batch says how new its end was.
pub async fn an_object_that_loses_its_link_is_not_known_to_be_new_any_more(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let mut links: Vec<Link> = Vec::new();
    for id in ["a", "b", "c"] {
        let (_, link, mut effects) = world.arrival("Event", id);
        effects.push(put(&world, id, fresh(5)));
        store.commit(&world.organization, None, effects).await?;
        links.push(link);
    }
    let drop = |link: &Link| Effect::DropLink {
        link: link.id.clone(),
        revision: link.revision,
    };
    store
        .commit(&world.organization, None, vec![drop(&links[0])])
        .await?;
    ensure!(read(subject, &world, "a").await? == Some(Freshness::default()));
    let ended = Freshness {
        ordering: Some(6),
        version: None,
    };
    let effects = vec![put(&world, "b", ended.clone()), drop(&links[1])];
    store.commit(&world.organization, None, effects).await?;
    ensure!(read(subject, &world, "b").await? == Some(ended));
    let mut moved = links[2].clone();
    moved.revision += 1;
    if let Some(part) = moved.parts.get_mut(&PartKey::MASTER) {
        part.id = remote("d");
    }
    let effects = vec![Effect::UpdateLink(Box::new(moved.clone()))];
    store.commit(&world.organization, None, effects).await?;
    ensure!(read(subject, &world, "c").await? == Some(Freshness::default()));
    moved.revision += 1;
    let effects = vec![
        put(&world, "d", fresh(9)),
        Effect::UpdateLink(Box::new(moved.clone())),
    ];
    store.commit(&world.organization, None, effects).await?;
    ensure!(
        read(subject, &world, "d").await? == Some(fresh(9)),
        "it kept its link"
    );
    Ok(())
}

/// Neither what it says nor what a dropped link takes.
pub async fn a_commit_that_fails_leaves_freshness_as_it_was(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let (_, link, mut effects) = world.arrival("Event", "a");
    effects.push(put(&world, "a", fresh(5)));
    store.commit(&world.organization, None, effects).await?;
    let drop = Effect::DropLink {
        link: link.id.clone(),
        revision: link.revision,
    };
    let effects = vec![drop.clone(), put(&world, "b", fresh(1)), drop];
    let refused = store.commit(&world.organization, None, effects).await;
    ensure!(matches!(refused, Err(StoreError::Stale(_))), "{refused:?}");
    ensure!(read(subject, &world, "a").await? == Some(fresh(5)));
    ensure!(read(subject, &world, "b").await?.is_none());
    Ok(())
}
