//! What joining two records asks of a store: who is in a collection, who has the same UID, what people decided, and a
//! batch that waits for writes on their way.

use std::sync::Arc;

use anyhow::ensure;
use model::FieldPath;
use serde_json::json;
use sync::ports::Effect;
use sync::state::{Link, Pairing, Record};

use super::Subject;
use super::commits::{intent, is_stale};
use super::world::World;

/// Page by page, each once; deleted records are left out.
pub async fn members_come_with_their_link_in_order_of_the_records(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let mut wanted = Vec::new();
    for number in 0..5 {
        let (mut record, link, mut effects) = world.arrival("Event", &format!("w{number}"));
        let copy = world.link(&record, &world.home, &format!("h{number}"));
        effects.push(Effect::CreateLink(Box::new(copy)));
        if number == 2 {
            record.deleted = true;
            effects[0] = Effect::CreateRecord(Box::new(record));
        } else {
            wanted.push((record, link));
        }
        store.commit(org, None, effects).await?;
    }
    let mut found: Vec<(Record, Link)> = Vec::new();
    loop {
        let after = found.last().map(|(record, _)| record.id.clone());
        let page = store.members(org, &world.work.id, after.as_ref(), 2).await?;
        ensure!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        found.extend(
            page.into_iter()
                .map(|linked| (Arc::unwrap_or_clone(linked.record), linked.link)),
        );
    }
    ensure!(found == wanted, "{found:#?}");
    Ok(())
}

/// Live ones, each with its link in the collection that was asked about.
pub async fn records_are_found_by_their_uid(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let named = |title: &str, remote: &str, uid: &str| {
        let (mut record, link, mut effects) = world.arrival(title, remote);
        record.content.set(&FieldPath::master("uid"), Some(json!(uid)));
        effects[0] = Effect::CreateRecord(Box::new(record.clone()));
        (record, link, effects)
    };
    let (one, link, effects) = named("One", "a", "u1");
    store.commit(org, None, effects).await?;
    let (mut gone, _, mut effects) = named("Gone", "b", "u1");
    gone.deleted = true;
    effects[0] = Effect::CreateRecord(Box::new(gone));
    store.commit(org, None, effects).await?;
    let (_, _, effects) = named("Other", "c", "u2");
    store.commit(org, None, effects).await?;
    let ask = |uid: &str| [uid.to_owned(), "nobody".to_owned()];
    let found = store.with_uid(org, &world.work.id, &ask("u1")).await?;
    ensure!(found.len() == 1 && *found[0].record == one && found[0].link == link);
    ensure!(store.with_uid(org, &world.home.id, &ask("u1")).await?.is_empty());
    ensure!(store.with_uid(org, &world.work.id, &[]).await?.is_empty());
    let mut renamed = Record { version: 2, ..one };
    renamed.content.set(&FieldPath::master("uid"), Some(json!("u3")));
    store
        .commit(org, None, vec![Effect::UpdateRecord(Box::new(renamed))])
        .await?;
    ensure!(store.with_uid(org, &world.work.id, &ask("u1")).await?.is_empty());
    ensure!(store.with_uid(org, &world.work.id, &ask("u3")).await?.len() == 1);
    // Longer than an index takes, and nothing that packs well.
    let mut word = 1u64;
    let mut long = String::new();
    while long.len() < 8_000 {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        long += &format!("{word:x}");
    }
    let (named_long, _, effects) = named("Long", "d", &long);
    store.commit(org, None, effects).await?;
    let found = store.with_uid(org, &world.work.id, &ask(&long)).await?;
    ensure!(found.len() == 1 && *found[0].record == named_long);
    Ok(())
}

/// The last word counts, and is forgotten when asked to.
pub async fn what_people_decided_of_a_record_and_a_collection_is_kept(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (record, _, effects) = world.arrival("One", "a");
    store.commit(org, None, effects).await?;
    let pair = |pairing| Effect::Pair {
        record: record.id.clone(),
        collection: world.home.id.clone(),
        pairing,
    };
    for pairing in [Pairing::Apart, Pairing::Tied] {
        store.commit(org, None, vec![pair(Some(pairing))]).await?;
        let found = store.pairings(org, &world.home.id).await?;
        ensure!(found == [(record.id.clone(), pairing)].into(), "{found:?}");
        ensure!(store.pairings(org, &world.work.id).await?.is_empty());
        let found = store.pairings_of(org, &record.id).await?;
        ensure!(found == [(world.home.id.clone(), pairing)].into(), "{found:?}");
    }
    store.commit(org, None, vec![pair(None), pair(None)]).await?;
    ensure!(store.pairings(org, &world.home.id).await?.is_empty());
    ensure!(store.pairings_of(org, &record.id).await?.is_empty());
    Ok(())
}

/// A link whose write is on its way is not given away under it.
pub async fn a_batch_that_expects_no_write_on_its_way_is_refused_while_there_is_one(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (record, link, mut effects) = world.arrival("One", "a");
    let open = intent(&world, &link);
    effects.push(Effect::OpenIntent(Box::new(open.clone())));
    store.commit(org, None, effects).await?;
    let drop = || {
        vec![
            Effect::ExpectNoIntent(link.id.clone()),
            Effect::DropLink {
                link: link.id.clone(),
                revision: 1,
            },
        ]
    };
    ensure!(is_stale(store.commit(org, None, drop()).await));
    ensure!(store.link(org, &link.id).await?.is_some());
    store
        .commit(org, None, vec![Effect::CloseIntent(open.id)])
        .await?;
    store.commit(org, None, drop()).await?;
    ensure!(store.link(org, &link.id).await?.is_none());
    ensure!(store.record(org, &record.id).await? == Some(record));
    Ok(())
}
