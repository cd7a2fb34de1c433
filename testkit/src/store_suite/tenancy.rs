//! Another organization's rows do not exist.

use anyhow::ensure;
use connector_sdk::{Cursor, RemoteId};
use model::{ConflictId, FieldPath, IntentId, Kind, MirrorId, OrganizationId, PartKey};
use sync::ports::{Effect, StoreError};
use sync::state::{
    Conflict, Health, Intent, IntentAction, Link, Member, MemberRole, Mirror, Pairing, Record, TargetEdits,
};

use super::Subject;
use super::world::{START_MS, World, held};

/// Something of everything.
struct Estate {
    world: World,
    record: Record,
    link: Link,
    conflict: Conflict,
    mirror: Mirror,
    intent: Intent,
}

async fn settle(subject: &dyn Subject) -> anyhow::Result<Estate> {
    let world = World::build(subject).await?;
    let org = world.organization.clone();
    let (record, mut link, mut effects) = world.arrival("Secret", "a");
    link.dirty = true;
    effects[1] = Effect::CreateLink(Box::new(link.clone()));
    let conflict = Conflict {
        id: ConflictId::new(1, 1),
        organization: org.clone(),
        record: record.id.clone(),
        link: link.id.clone(),
        path: Some(FieldPath::master("title")),
        anchor: None,
        base: None,
        hub: None,
        remote: None,
        winner: None,
        rule: conflict::Rule::Ask,
        resolved_at: None,
        created_at: START_MS,
    };
    let mirror = Mirror {
        id: MirrorId::new(1, 1),
        organization: org.clone(),
        name: "Mirror".to_owned(),
        kind: Kind::Event,
        members: vec![Member {
            collection_id: world.work.id.clone(),
            role: MemberRole::Both,
        }],
        policy: conflict::Rule::LastWriter,
        field_owners: std::collections::BTreeMap::new(),
        target_edits: TargetEdits::Keep,
        created_at: START_MS,
    };
    let intent = Intent {
        id: IntentId::new(1, 1),
        organization: org.clone(),
        link: link.id.clone(),
        connection: world.connection.id.clone(),
        part: PartKey::MASTER,
        action: IntentAction::Create,
        sent: record.content.clone(),
        changed: std::collections::BTreeSet::new(),
        created_at: START_MS,
    };
    effects.extend([
        Effect::PutConflict(Box::new(conflict.clone())),
        Effect::PutMirror(Box::new(mirror.clone())),
        Effect::OpenIntent(Box::new(intent.clone())),
        Effect::Quarantine(Box::new(world.quarantined("q", "v1"))),
        Effect::Enqueue(Box::new(world.sync(START_MS))),
    ]);
    subject.store().commit(&org, None, effects).await?;
    Ok(Estate {
        world,
        record,
        link,
        conflict,
        mirror,
        intent,
    })
}

/// By no method, with the right ids in hand.
pub async fn another_organization_finds_nothing(subject: &dyn Subject) -> anyhow::Result<()> {
    let estate = settle(subject).await?;
    let stranger = World::build(subject).await?.organization;
    let store = subject.store();
    let (world, org) = (&estate.world, &stranger);
    let ids = [RemoteId("a".to_owned()), RemoteId("q".to_owned())];
    ensure!(store.connection(org, &world.connection.id).await?.is_none());
    ensure!(store.collections(org, &world.connection.id).await?.is_empty());
    ensure!(store.collection(org, &world.work.id).await?.is_none());
    ensure!(store.known(org, &world.work.id).await?.is_empty());
    ensure!(store.linked(org, &world.work.id, &ids).await?.is_empty());
    ensure!(store.link(org, &estate.link.id).await?.is_none());
    ensure!(store.record(org, &estate.record.id).await?.is_none());
    ensure!(store.links_of(org, &estate.record.id).await?.is_empty());
    ensure!(
        store
            .dirty_links(org, &world.connection.id, START_MS, 9)
            .await?
            .is_empty()
    );
    ensure!(store.raws(org, &estate.link.id).await?.is_empty());
    ensure!(store.open_intents(org, &world.connection.id).await?.is_empty());
    ensure!(store.mirrors_of(org, &world.work.id).await?.is_empty());
    ensure!(store.mirror(org, &estate.mirror.id).await?.is_none());
    ensure!(store.members(org, &world.work.id, None, 9).await?.is_empty());
    ensure!(store.pairings(org, &world.work.id).await?.is_empty());
    ensure!(store.conflict(org, &estate.conflict.id).await?.is_none());
    // The same questions by their owner, so that the silence above means something.
    let org = &world.organization;
    ensure!(store.known(org, &world.work.id).await?.len() == 2);
    ensure!(
        store
            .dirty_links(org, &world.connection.id, START_MS, 9)
            .await?
            .len()
            == 1
    );
    ensure!(store.mirrors_of(org, &world.work.id).await?.len() == 1);
    ensure!(store.members(org, &world.work.id, None, 9).await?.len() == 1);
    Ok(())
}

/// Every effect that names a row by its id, and rows that say they belong to someone else.
pub async fn another_organization_changes_nothing(subject: &dyn Subject) -> anyhow::Result<()> {
    let estate = settle(subject).await?;
    let stranger: OrganizationId = World::build(subject).await?.organization;
    let store = subject.store();
    let (world, owner) = (&estate.world, &estate.world.organization);
    let mut record = Record {
        version: 2,
        ..estate.record.clone()
    };
    let mut link = Link {
        revision: 2,
        ..estate.link.clone()
    };
    let feed = subject.feed(owner).await?;
    let mut attempts = vec![
        Effect::UpdateRecord(Box::new(record.clone())),
        Effect::UpdateLink(Box::new(link.clone())),
    ];
    record.organization = stranger.clone();
    link.organization = stranger.clone();
    attempts.extend([
        Effect::UpdateRecord(Box::new(record)),
        Effect::UpdateLink(Box::new(link)),
        Effect::DropLink {
            link: estate.link.id.clone(),
            revision: 1,
        },
        Effect::Touch {
            record: estate.record.id.clone(),
            except: None,
        },
        Effect::PutCursor {
            collection: world.work.id.clone(),
            cursor: Some(Cursor("theirs".to_owned())),
            enumerated_at: None,
        },
        Effect::HoldCollection {
            collection: world.work.id.clone(),
            before: None,
            hold: Some(Box::new(held())),
        },
        Effect::CloseIntent(estate.intent.id.clone()),
        Effect::ResolveConflict {
            conflict: estate.conflict.id.clone(),
            at: START_MS,
        },
        Effect::Release {
            collection: world.work.id.clone(),
            remote: RemoteId("q".to_owned()),
        },
        Effect::SetHealth {
            connection: world.connection.id.clone(),
            health: Health::NeedsReauth,
            reason: None,
            synced_at: None,
        },
        Effect::Discovered {
            connection: world.connection.id.clone(),
            at: START_MS,
        },
        Effect::DropMirror(estate.mirror.id.clone()),
        Effect::Pair {
            record: estate.record.id.clone(),
            collection: world.work.id.clone(),
            pairing: Some(Pairing::Apart),
        },
        Effect::PutRaw {
            link: estate.link.id.clone(),
            part: PartKey::MASTER,
            raw: b"theirs".to_vec().into(),
        },
    ]);
    for attempt in attempts {
        // Refused or without effect: what counts is below.
        let shown = format!("{attempt:?}");
        match store.commit(&stranger, None, vec![attempt]).await {
            Ok(()) | Err(StoreError::Stale(_)) => {}
            Err(other) => anyhow::bail!("{shown}: {other}"),
        }
    }
    let fence = subject
        .jobs()
        .claim("node", START_MS, 1_000, 9)
        .await?
        .remove(0)
        .fence;
    let borrowed = store.commit(&stranger, Some(&fence), Vec::new()).await;
    ensure!(
        matches!(borrowed, Err(StoreError::Fenced(_))),
        "a fence holds in its own organization"
    );
    ensure!(store.record(owner, &estate.record.id).await? == Some(estate.record.clone()));
    ensure!(store.links_of(owner, &estate.record.id).await? == std::slice::from_ref(&estate.link));
    ensure!(store.collection(owner, &world.work.id).await? == Some(world.work.clone()));
    ensure!(store.connection(owner, &world.connection.id).await? == Some(world.connection.clone()));
    ensure!(store.open_intents(owner, &world.connection.id).await? == [estate.intent]);
    ensure!(store.conflict(owner, &estate.conflict.id).await? == Some(estate.conflict));
    ensure!(store.mirror(owner, &estate.mirror.id).await? == Some(estate.mirror));
    ensure!(store.known(owner, &world.work.id).await?.len() == 2);
    ensure!(store.pairings_of(owner, &estate.record.id).await?.is_empty());
    let raws = store.raws(owner, &estate.link.id).await?;
    ensure!(
        raws.get(&PartKey::MASTER)
            .is_some_and(|raw| raw.starts_with(b"BEGIN"))
    );
    ensure!(subject.feed(owner).await? == feed);
    Ok(())
}
