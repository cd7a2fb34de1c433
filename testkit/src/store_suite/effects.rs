//! Effects, each for itself: what they change, and what they leave alone.

use anyhow::ensure;
use connector_sdk::{Cursor, RemoteId};
use model::FieldPath;
use serde_json::json;
use sync::hold::{Hold, HoldAnswer};
use sync::ports::Effect;
use sync::state::{Health, Link, LinkState};

use super::Subject;
use super::commits::{clash, intent, is_stale, next_revision};
use super::world::{START_MS, World, collection, held};

/// Nothing stays behind that would be mistaken for a later link's.
pub async fn a_dropped_link_takes_what_hangs_on_it_and_frees_its_remote_object(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (record, link, mut effects) = world.arrival("One", "a");
    let open = intent(&world, &link);
    effects.push(Effect::OpenIntent(Box::new(open.clone())));
    store.commit(org, None, effects).await?;
    let (_, again, effects) = world.arrival("Again", "a");
    let mut drop = vec![
        Effect::DropLink {
            link: link.id.clone(),
            revision: 1,
        },
        Effect::CloseIntent(open.id),
    ];
    drop.extend(effects);
    store.commit(org, None, drop).await?;
    ensure!(store.link(org, &link.id).await?.is_none());
    ensure!(store.raws(org, &link.id).await?.is_empty());
    ensure!(store.open_intents(org, &world.connection.id).await?.is_empty());
    ensure!(store.record(org, &record.id).await? == Some(record));
    let mut smaller = next_revision(&again);
    smaller.parts.clear();
    store
        .commit(org, None, vec![Effect::UpdateLink(Box::new(smaller))])
        .await?;
    ensure!(
        store.raws(org, &again.id).await?.is_empty(),
        "the original of a part goes with the part"
    );
    ensure!(store.known(org, &world.work.id).await?.is_empty());
    Ok(())
}

/// An answer that came while a pull was on its way is not lost.
pub async fn a_hold_that_was_answered_meanwhile_is_not_put_over(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let (store, org) = (subject.store(), &world.organization);
    let put = |before, hold: Option<Hold>| Effect::HoldCollection {
        collection: world.work.id.clone(),
        before,
        hold: hold.map(Box::new),
    };
    let answered = Hold {
        answer: Some(HoldAnswer::Approved),
        ..held()
    };
    store.commit(org, None, vec![put(None, Some(held()))]).await?;
    store
        .commit(org, None, vec![put(None, Some(answered.clone()))])
        .await?;
    for late in [Some(held()), None] {
        ensure!(is_stale(store.commit(org, None, vec![put(None, late)]).await));
    }
    let now = store.collection(org, &world.work.id).await?;
    ensure!(now.is_some_and(|now| now.hold == Some(answered)));
    let done = vec![put(Some(HoldAnswer::Approved), None)];
    store.commit(org, None, done).await?;
    let now = store.collection(org, &world.work.id).await?;
    ensure!(now.is_some_and(|now| now.hold.is_none()));
    Ok(())
}

/// What one account said is on its way to the others, and nobody puts such a link to rest unknowing.
pub async fn a_touch_marks_the_other_links_and_makes_their_readers_stale(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (record, link, effects) = world.arrival("One", "a");
    let other = world.link(&record, &world.home, "b");
    store.commit(org, None, effects).await?;
    let effects = vec![
        Effect::CreateLink(Box::new(other.clone())),
        Effect::Touch {
            record: record.id.clone(),
            except: Some(link.id.clone()),
        },
    ];
    store.commit(org, None, effects).await?;
    let touched = Link {
        revision: 2,
        state: LinkState::Pending,
        dirty: true,
        ..other.clone()
    };
    let links = store.links_of(org, &record.id).await?;
    ensure!(links == [link.clone(), touched.clone()], "{links:?}");
    let unknowing = Link { revision: 2, ..other };
    ensure!(is_stale(
        store
            .commit(org, None, vec![Effect::UpdateLink(Box::new(unknowing))])
            .await
    ));
    let refused = Link {
        revision: 3,
        state: LinkState::Rejected {
            reason: "full".to_owned(),
        },
        ..touched
    };
    let effects = vec![
        Effect::UpdateLink(Box::new(refused.clone())),
        Effect::Touch {
            record: record.id.clone(),
            except: None,
        },
    ];
    store.commit(org, None, effects).await?;
    let links = store.links_of(org, &record.id).await?;
    ensure!(
        links[0]
            == Link {
                revision: 2,
                state: LinkState::Pending,
                dirty: true,
                ..link
            }
    );
    ensure!(
        links[1]
            == Link {
                revision: 4,
                dirty: true,
                ..refused
            },
        "a refusal stays in sight"
    );
    Ok(())
}

/// A provider's listing says nothing of where the hub stands.
pub async fn a_listing_keeps_what_the_hub_knows_of_a_collection(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let mut off = world.work.clone();
    off.enabled = false;
    let effects = vec![
        Effect::PutCursor {
            collection: world.work.id.clone(),
            cursor: Some(Cursor("here".to_owned())),
            enumerated_at: Some(START_MS),
        },
        Effect::PutCollection(Box::new(off)),
    ];
    store.commit(org, None, effects).await?;
    let mut listed = collection(&world.connection, "/work/");
    listed.remote.name = "Renamed".to_owned();
    store
        .commit(org, None, vec![Effect::PutCollection(Box::new(listed.clone()))])
        .await?;
    let now = store.collection(org, &world.work.id).await?;
    let now = now.ok_or_else(|| anyhow::anyhow!("the collection is not there"))?;
    ensure!(now.remote.name == "Renamed" && !now.enabled && now.enumerated_at == Some(START_MS));
    ensure!(now.cursor == Some(Cursor("here".to_owned())));
    ensure!(
        store.collection(org, &listed.id).await?.is_none(),
        "it is the one that was known"
    );
    Ok(())
}

/// Two people who resolve at once do not both succeed.
pub async fn a_conflict_is_resolved_once(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (record, link, mut effects) = world.arrival("One", "a");
    let conflict = clash(&world, &record, &link);
    effects.push(Effect::PutConflict(Box::new(conflict.clone())));
    store.commit(org, None, effects).await?;
    let resolve = |at| Effect::ResolveConflict {
        conflict: conflict.id.clone(),
        at,
    };
    store.commit(org, None, vec![resolve(START_MS + 1)]).await?;
    ensure!(is_stale(
        store.commit(org, None, vec![resolve(START_MS + 2)]).await
    ));
    let now = store.conflict(org, &conflict.id).await?;
    ensure!(now.is_some_and(|now| now.resolved_at == Some(START_MS + 1)));
    Ok(())
}

/// Someone paused the connection while a sync was on.
pub async fn a_pause_outlives_the_reports_of_a_sync(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let report = |health, reason: Option<&str>| Effect::SetHealth {
        connection: world.connection.id.clone(),
        health,
        reason: reason.map(str::to_owned),
        synced_at: None,
    };
    store
        .commit(org, None, vec![report(Health::Paused, Some("holidays"))])
        .await?;
    store
        .commit(org, None, vec![report(Health::Active, None)])
        .await?;
    let now = store.connection(org, &world.connection.id).await?;
    ensure!(
        now.is_some_and(
            |now| now.health == Health::Paused && now.health_reason.as_deref() == Some("holidays")
        )
    );
    Ok(())
}

/// What was sent stays as it was sent, until its outcome is known.
pub async fn an_intent_is_written_down_once(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (_, link, mut effects) = world.arrival("One", "a");
    let open = intent(&world, &link);
    effects.push(Effect::OpenIntent(Box::new(open.clone())));
    store.commit(org, None, effects).await?;
    let mut other = open.clone();
    other.sent.set(&FieldPath::master("title"), Some(json!("Later")));
    ensure!(is_stale(
        store
            .commit(org, None, vec![Effect::OpenIntent(Box::new(other))])
            .await
    ));
    ensure!(store.open_intents(org, &world.connection.id).await? == std::slice::from_ref(&open));
    store
        .commit(org, None, vec![Effect::CloseIntent(open.id.clone())])
        .await?;
    store
        .commit(org, None, vec![Effect::OpenIntent(Box::new(open.clone()))])
        .await?;
    ensure!(store.open_intents(org, &world.connection.id).await? == [open]);
    Ok(())
}

/// As they do when a provider merges or renames objects.
pub async fn links_of_one_batch_may_exchange_their_remote_objects(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (_, first, mut effects) = world.arrival("One", "a");
    let (_, second, more) = world.arrival("Two", "b");
    effects.extend(more);
    store.commit(org, None, effects).await?;
    let (mut a, mut b) = (next_revision(&first), next_revision(&second));
    std::mem::swap(&mut a.parts, &mut b.parts);
    let effects = vec![
        Effect::UpdateLink(Box::new(a.clone())),
        Effect::UpdateLink(Box::new(b.clone())),
    ];
    store.commit(org, None, effects).await?;
    let mut found = store
        .linked(
            org,
            &world.work.id,
            &[RemoteId("a".to_owned()), RemoteId("b".to_owned())],
        )
        .await?;
    found.sort_by(|left, right| left.link.id.cmp(&right.link.id));
    ensure!(found[0].link == a && found[1].link == b);
    // Raised once more in the batch that raises it: the second sees the first.
    let (later, latest) = (next_revision(&a), next_revision(&next_revision(&a)));
    let effects = vec![
        Effect::UpdateLink(Box::new(later)),
        Effect::UpdateLink(Box::new(latest.clone())),
    ];
    store.commit(org, None, effects).await?;
    ensure!(
        store
            .link(org, &a.id)
            .await?
            .is_some_and(|now| now.link == latest)
    );
    Ok(())
}

/// Whatever stands between the two: what counts is where the batch ends.
pub async fn a_remote_object_changes_hands_within_a_batch_in_any_order(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (record, first, mut effects) = world.arrival("One", "a");
    let (_, second, more) = world.arrival("Two", "b");
    effects.extend(more);
    store.commit(org, None, effects).await?;
    let (mut a, mut b) = (next_revision(&first), next_revision(&second));
    std::mem::swap(&mut a.parts, &mut b.parts);
    let effects = vec![
        Effect::UpdateLink(Box::new(a.clone())),
        Effect::Touch {
            record: record.id.clone(),
            except: Some(a.id.clone()),
        },
        Effect::UpdateLink(Box::new(b.clone())),
    ];
    store.commit(org, None, effects).await?;
    let ids = [RemoteId("a".to_owned()), RemoteId("b".to_owned())];
    let found = store.linked(org, &world.work.id, &ids).await?;
    ensure!(found[0].link == b && found[1].link == a);
    // A new link takes what another one still has, and loses a few effects later.
    let (_, heir, mut effects) = world.arrival("Three", "a");
    effects.push(Effect::DropLink {
        link: b.id,
        revision: b.revision,
    });
    store.commit(org, None, effects).await?;
    let found = store.linked(org, &world.work.id, &ids).await?;
    ensure!(found[0].link == heir && found[1].link == a);
    Ok(())
}

/// As when records are taken apart, or a provider moves an object to another calendar.
pub async fn a_link_moves_to_another_record_and_collection(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (record, link, effects) = world.arrival("One", "a");
    store.commit(org, None, effects).await?;
    let other = world.record("Two");
    let mut moved = next_revision(&link);
    moved.record = other.id.clone();
    moved.collection = world.home.id.clone();
    let effects = vec![
        Effect::CreateRecord(Box::new(other.clone())),
        Effect::UpdateLink(Box::new(moved.clone())),
        // The record it left is none of its business.
        Effect::Touch {
            record: record.id.clone(),
            except: None,
        },
    ];
    store.commit(org, None, effects).await?;
    ensure!(store.links_of(org, &record.id).await?.is_empty());
    ensure!(store.links_of(org, &other.id).await? == std::slice::from_ref(&moved));
    ensure!(store.known(org, &world.work.id).await?.is_empty());
    let ids = [RemoteId("a".to_owned())];
    ensure!(store.linked(org, &world.home.id, &ids).await?[0].link == moved);
    Ok(())
}
