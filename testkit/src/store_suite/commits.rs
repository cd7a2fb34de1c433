//! Commits: all or nothing, refused when stale or fenced, and read back as they were written.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use bytes::Bytes;
use connector_sdk::{Cursor, RemoteId};
use model::{ConflictId, FieldPath, IntentId, LinkId, PartKey};
use serde_json::{Value, json};
use sync::ports::{Effect, StoreError};
use sync::state::{
    Conflict, FeedAction, FieldClock, Health, Intent, IntentAction, Link, LinkState, Origin, Record,
};

use super::Subject;
use super::world::{START_MS, World, entry, held, part};

pub(super) fn is_stale(result: Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Stale(_)))
}

pub(super) fn next_version(record: &Record, title: &str) -> Record {
    let mut record = record.clone();
    record.version += 1;
    record
        .content
        .set(&FieldPath::master("title"), Some(json!(title)));
    record
}

pub(super) fn next_revision(link: &Link) -> Link {
    Link {
        revision: link.revision + 1,
        ..link.clone()
    }
}

pub(super) fn clash(world: &World, record: &Record, link: &Link) -> Conflict {
    Conflict {
        id: ConflictId::new(1, u128::from(link.revision.unsigned_abs())),
        organization: world.organization.clone(),
        record: record.id.clone(),
        link: link.id.clone(),
        path: Some(FieldPath {
            part: PartKey::occurrence("2026-03-02T09:00:00"),
            field: "title".to_owned(),
        }),
        base: None,
        hub: Some(Value::Null),
        remote: Some(json!("Theirs")),
        anchor: serde_json::from_value(
            json!({"kind": "zoned", "wall": "2026-03-02T09:00:00", "zone": "Europe/Berlin"}),
        )
        .ok(),
        winner: Some(conflict::Side::Remote),
        rule: conflict::Rule::LastWriter,
        resolved_at: None,
        created_at: START_MS,
    }
}

pub(super) fn intent(world: &World, link: &Link) -> Intent {
    Intent {
        id: IntentId::new(1, 1),
        organization: world.organization.clone(),
        link: link.id.clone(),
        connection: world.connection.id.clone(),
        part: PartKey::occurrence("2026-03-02T09:00:00"),
        action: IntentAction::Update,
        sent: link.snapshots.hub.clone(),
        changed: BTreeSet::from([FieldPath::master("title")]),
        created_at: START_MS,
    }
}

/// A record and a link that use every field they have.
fn elaborate(world: &World) -> (Record, Link) {
    let mut record = world.record("Größe \u{0} \u{1F600} 'quoted'");
    let occurrence = PartKey::occurrence("2026-03-09T09:00:00");
    record.content.overrides.insert(
        occurrence.clone(),
        [
            ("title".to_owned(), json!("Moved")),
            ("location".to_owned(), Value::Null),
        ]
        .into(),
    );
    let mut link = world.link(&record, &world.work, "/work/1.ics");
    record.clocks = BTreeMap::from([(
        "title".to_owned(),
        FieldClock {
            version: 1,
            origin: Origin::Link(link.id.clone()),
        },
    )]);
    record.home = Some(link.id.clone());
    link.traits.approved = Some(7);
    link.traits.wrote_at = Some(1_767_000_000_000);
    link.traits.spent = [(29_450_000, 20)].into();
    link.traits.sent = vec![u64::MAX];
    link.traits.rewrites = vec![sync::state::Rewrite {
        from: 1,
        to: u64::MAX,
        times: 3,
        habit: true,
    }];
    link.state = LinkState::Rejected {
        reason: "the calendar is full".to_owned(),
    };
    link.parts.insert(occurrence.clone(), part("/work/1.ics#2", "v7"));
    link.parts.insert(
        PartKey::occurrence("2026-03-16"),
        sync::state::RemotePart {
            id: RemoteId("/work/1.ics#3".to_owned()),
            version: None,
            raw_outdated: true,
        },
    );
    link.snapshots
        .hub
        .set(&FieldPath::master("title"), Some(json!("Kept longer")));
    link.local
        .set(&FieldPath::master("color"), Some(json!("#ff0000")));
    link.held = BTreeSet::from([
        FieldPath::master("title"),
        FieldPath {
            part: occurrence,
            field: "location".to_owned(),
        },
    ]);
    link.dirty = true;
    link.removing = true;
    link.attempts = 4;
    link.not_before = START_MS + 5;
    (record, link)
}

/// Every field survives, in every state it can have.
pub async fn what_is_written_reads_back_as_it_was(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    ensure!(store.connection(org, &world.connection.id).await? == Some(world.connection.clone()));
    ensure!(store.collection(org, &world.work.id).await? == Some(world.work.clone()));
    let listed = store.collections(org, &world.connection.id).await?;
    ensure!(
        listed == [world.home.clone(), world.work.clone()],
        "in order of their names: {listed:?}"
    );
    let (record, link) = elaborate(&world);
    let conflict = clash(&world, &record, &link);
    let intent = intent(&world, &link);
    let effects = vec![
        Effect::CreateRecord(Box::new(record.clone())),
        Effect::CreateLink(Box::new(link.clone())),
        Effect::PutConflict(Box::new(conflict.clone())),
        Effect::OpenIntent(Box::new(intent.clone())),
        Effect::PutCursor {
            collection: world.work.id.clone(),
            cursor: Some(Cursor("opaque".to_owned())),
            enumerated_at: Some(START_MS),
        },
        Effect::HoldCollection {
            collection: world.work.id.clone(),
            before: None,
            hold: Some(Box::new(held())),
        },
        Effect::Discovered {
            connection: world.connection.id.clone(),
            at: START_MS,
        },
        Effect::SetHealth {
            connection: world.connection.id.clone(),
            health: Health::Degraded,
            reason: Some("slow".to_owned()),
            synced_at: Some(START_MS + 1),
        },
    ];
    store.commit(org, None, effects).await?;
    ensure!(store.record(org, &record.id).await? == Some(record.clone()));
    ensure!(store.links_of(org, &record.id).await? == std::slice::from_ref(&link));
    let linked = store
        .link(org, &link.id)
        .await?
        .ok_or_else(|| anyhow::anyhow!("the link is not there"))?;
    ensure!(linked.link == link && *linked.record == record && linked.part == PartKey::MASTER);
    ensure!(store.conflict(org, &conflict.id).await? == Some(conflict));
    ensure!(store.open_intents(org, &world.connection.id).await? == std::slice::from_ref(&intent));
    let collection = store.collection(org, &world.work.id).await?;
    let collection = collection.ok_or_else(|| anyhow::anyhow!("the collection is not there"))?;
    ensure!(collection.cursor == Some(Cursor("opaque".to_owned())));
    ensure!(collection.enumerated_at == Some(START_MS) && collection.hold == Some(held()));
    let connection = store.connection(org, &world.connection.id).await?;
    let connection = connection.ok_or_else(|| anyhow::anyhow!("the connection is not there"))?;
    ensure!(connection.health == Health::Degraded && connection.health_reason.as_deref() == Some("slow"));
    ensure!(connection.discovered_at == Some(START_MS) && connection.synced_at == Some(START_MS + 1));
    let lost = vec![
        Effect::CloseIntent(intent.id),
        Effect::PutCursor {
            collection: world.work.id.clone(),
            cursor: None,
            enumerated_at: None,
        },
        Effect::HoldCollection {
            collection: world.work.id.clone(),
            before: None,
            hold: None,
        },
    ];
    store.commit(org, None, lost).await?;
    ensure!(store.open_intents(org, &world.connection.id).await?.is_empty());
    let collection = store.collection(org, &world.work.id).await?;
    ensure!(collection.is_some_and(|now| now.cursor.is_none()
        && now.hold.is_none()
        && now.enumerated_at == Some(START_MS)));
    Ok(())
}

/// A record that changed since it was read.
pub async fn a_stale_record_is_refused_and_nothing_is_written(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (record, _, effects) = world.arrival("One", "a");
    store.commit(org, None, effects).await?;
    let mine = next_version(&record, "Mine");
    store
        .commit(org, None, vec![Effect::UpdateRecord(Box::new(mine.clone()))])
        .await?;
    let (other, _, mut effects) = world.arrival("Two", "b");
    effects.push(Effect::UpdateRecord(Box::new(next_version(&record, "Theirs"))));
    ensure!(is_stale(store.commit(org, None, effects).await));
    ensure!(store.record(org, &record.id).await? == Some(mine));
    ensure!(
        store.record(org, &other.id).await?.is_none(),
        "what stood before it was undone"
    );
    ensure!(
        subject
            .feed(org)
            .await?
            .iter()
            .filter(|(_, entry)| entry.subject == other.id.as_str())
            .count()
            == 0
    );
    let unknown = next_version(&world.record("Never stored"), "x");
    ensure!(is_stale(
        store
            .commit(org, None, vec![Effect::UpdateRecord(Box::new(unknown))])
            .await
    ));
    Ok(())
}

/// A link that changed since it was read, be it updated or dropped.
pub async fn a_stale_link_is_refused_and_nothing_is_written(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (record, link, effects) = world.arrival("One", "a");
    store.commit(org, None, effects).await?;
    let mut mine = next_revision(&link);
    mine.parts.insert(PartKey::MASTER, part("a", "v2"));
    store
        .commit(org, None, vec![Effect::UpdateLink(Box::new(mine.clone()))])
        .await?;
    for effect in [
        Effect::UpdateLink(Box::new(next_revision(&link))),
        Effect::DropLink {
            link: link.id.clone(),
            revision: link.revision,
        },
        Effect::UpdateLink(Box::new(next_revision(&world.link(&record, &world.home, "z")))),
    ] {
        let effects = vec![
            Effect::UpdateRecord(Box::new(next_version(&record, "Lost"))),
            effect,
        ];
        ensure!(is_stale(store.commit(org, None, effects).await));
    }
    ensure!(store.links_of(org, &record.id).await? == [mine]);
    ensure!(store.record(org, &record.id).await? == Some(record));
    Ok(())
}

/// A batch is one thing.
pub async fn a_failing_last_effect_undoes_all_before_it(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let before = subject.feed(org).await?;
    let (record, link, mut effects) = world.arrival("One", "a");
    effects.extend([
        Effect::OpenIntent(Box::new(intent(&world, &link))),
        Effect::PutConflict(Box::new(clash(&world, &record, &link))),
        Effect::Quarantine(Box::new(world.quarantined("q", "v1"))),
        Effect::Enqueue(Box::new(world.push(START_MS))),
        Effect::PutCursor {
            collection: world.work.id.clone(),
            cursor: Some(Cursor("far".to_owned())),
            enumerated_at: None,
        },
        Effect::DropLink {
            link: LinkId::new(1, 1),
            revision: 1,
        },
    ]);
    ensure!(is_stale(store.commit(org, None, effects).await));
    ensure!(store.record(org, &record.id).await?.is_none());
    ensure!(store.link(org, &link.id).await?.is_none());
    ensure!(store.raws(org, &link.id).await?.is_empty());
    ensure!(store.known(org, &world.work.id).await?.is_empty());
    ensure!(store.open_intents(org, &world.connection.id).await?.is_empty());
    ensure!(
        store
            .conflict(org, &clash(&world, &record, &link).id)
            .await?
            .is_none()
    );
    ensure!(store.collection(org, &world.work.id).await? == Some(world.work.clone()));
    ensure!(subject.jobs().claim("node", START_MS, 1_000, 9).await?.is_empty());
    ensure!(subject.feed(org).await? == before);
    Ok(())
}

/// A node that slept cannot write late.
pub async fn a_lost_fence_writes_nothing(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let (store, jobs) = (subject.store(), subject.jobs());
    let org = &world.organization;
    store
        .commit(org, None, vec![Effect::Enqueue(Box::new(world.sync(START_MS)))])
        .await?;
    let first = jobs.claim("sleeper", START_MS, 1_000, 1).await?.remove(0);
    let (held, _, effects) = world.arrival("Held", "a");
    store.commit(org, Some(&first.fence), effects).await?;
    let second = jobs.claim("heir", START_MS + 1_000, 1_000, 1).await?.remove(0);
    ensure!(second.id == first.id && second.fence.token > first.fence.token);
    let (late, _, effects) = world.arrival("Late", "b");
    let refused = store.commit(org, Some(&first.fence), effects.clone()).await;
    ensure!(
        matches!(&refused, Err(StoreError::Fenced(job)) if *job == first.id),
        "{refused:?}"
    );
    ensure!(store.record(org, &late.id).await?.is_none());
    ensure!(store.record(org, &held.id).await?.is_some());
    ensure!(matches!(
        jobs.heartbeat(&first.fence, START_MS + 9_000, 1, None).await,
        Err(StoreError::Fenced(_))
    ));
    let finish = jobs.finish(&first.fence, START_MS, Ok(Value::Null)).await;
    ensure!(matches!(finish, Err(StoreError::Fenced(_))));
    store.commit(org, Some(&second.fence), effects).await?;
    jobs.finish(&second.fence, START_MS + 1_001, Ok(Value::Null))
        .await?;
    let (_, _, effects) = world.arrival("After the end", "c");
    ensure!(matches!(
        store.commit(org, Some(&second.fence), effects).await,
        Err(StoreError::Fenced(_))
    ));
    Ok(())
}

/// Links are one-to-one (invariant 14).
pub async fn a_remote_object_has_one_link_and_a_record_one_per_collection(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (record, link, effects) = world.arrival("One", "a");
    store.commit(org, None, effects).await?;
    let (_, _, taken) = world.arrival("Two", "a");
    ensure!(
        is_stale(store.commit(org, None, taken).await),
        "the remote object is linked"
    );
    let second = world.link(&record, &world.work, "b");
    ensure!(is_stale(
        store
            .commit(org, None, vec![Effect::CreateLink(Box::new(second))])
            .await
    ));
    let elsewhere = world.link(&record, &world.home, "a");
    store
        .commit(org, None, vec![Effect::CreateLink(Box::new(elsewhere))])
        .await?;
    let mut orphan = world.link(&world.record("Never stored"), &world.work, "c");
    orphan.organization = org.clone();
    ensure!(is_stale(
        store
            .commit(org, None, vec![Effect::CreateLink(Box::new(orphan))])
            .await
    ));
    ensure!(store.known(org, &world.work.id).await?.len() == 1);
    ensure!(
        store
            .linked(org, &world.work.id, &[RemoteId("a".to_owned())])
            .await?[0]
            .link
            .id
            == link.id
    );
    Ok(())
}

/// However a store arranges its writing, the outcome is that of the order given.
pub async fn effects_of_one_batch_see_those_before_them(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (first, link, mut effects) = world.arrival("One", "a");
    let second = next_version(&first, "Two");
    let mut moved = next_revision(&link);
    moved.parts = BTreeMap::from([(PartKey::MASTER, part("b", "v2"))]);
    let (other, other_link, others) = world.arrival("Other", "a");
    let (gone, gone_link, fleeting) = world.arrival("Gone", "c");
    effects.extend([
        Effect::UpdateRecord(Box::new(second.clone())),
        Effect::UpdateLink(Box::new(moved.clone())),
    ]);
    effects.extend(others);
    effects.extend(fleeting);
    effects.extend([
        Effect::PutRaw {
            link: moved.id.clone(),
            part: PartKey::MASTER,
            raw: Bytes::from_static(b"1"),
        },
        Effect::PutRaw {
            link: moved.id.clone(),
            part: PartKey::MASTER,
            raw: Bytes::from_static(b"2"),
        },
        Effect::DropLink {
            link: gone_link.id.clone(),
            revision: gone_link.revision,
        },
        Effect::Quarantine(Box::new(world.quarantined("q", "v1"))),
        Effect::Release {
            collection: world.work.id.clone(),
            remote: RemoteId("q".to_owned()),
        },
        Effect::Feed(entry(&second, FeedAction::Updated)),
    ]);
    store.commit(org, None, effects).await?;
    ensure!(store.record(org, &first.id).await? == Some(second));
    ensure!(store.links_of(org, &first.id).await? == [moved.clone()]);
    ensure!(store.links_of(org, &other.id).await? == [other_link]);
    ensure!(store.record(org, &gone.id).await?.is_some() && store.links_of(org, &gone.id).await?.is_empty());
    ensure!(
        store
            .raws(org, &moved.id)
            .await?
            .get(&PartKey::MASTER)
            .is_some_and(|raw| raw == "2")
    );
    let known: BTreeSet<String> = store
        .known(org, &world.work.id)
        .await?
        .into_keys()
        .map(|id| id.0)
        .collect();
    ensure!(
        known == BTreeSet::from(["a".to_owned(), "b".to_owned()]),
        "{known:?}"
    );
    let feed = subject.feed(org).await?;
    let subjects: Vec<&str> = feed
        .iter()
        .rev()
        .take(4)
        .rev()
        .map(|(_, entry)| entry.subject.as_str())
        .collect();
    ensure!(
        subjects
            == [
                first.id.as_str(),
                other.id.as_str(),
                gone.id.as_str(),
                first.id.as_str()
            ]
    );
    Ok(())
}

/// More rows than a statement takes.
pub async fn a_large_page_is_written_whole(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let mut effects = Vec::new();
    let mut ids = Vec::new();
    for number in 0..1_001 {
        let (_, _, arrival) = world.arrival(&format!("Event {number}"), &format!("r{number}"));
        effects.extend(arrival);
        ids.push(RemoteId(format!("r{number}")));
    }
    let before = subject.feed(org).await?.len();
    store.commit(org, None, effects).await?;
    ensure!(store.known(org, &world.work.id).await?.len() == ids.len());
    let linked = store.linked(org, &world.work.id, &ids).await?;
    let titles: BTreeSet<String> = linked
        .iter()
        .filter_map(|linked| {
            linked
                .record
                .content
                .fields
                .get("title")?
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    ensure!(linked.len() == ids.len() && titles.len() == ids.len());
    ensure!(subject.feed(org).await?.len() == before + ids.len());
    Ok(())
}
