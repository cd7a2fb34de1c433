//! Queries: what is known, linked, missing, due.

use std::collections::BTreeMap;

use anyhow::ensure;
use bytes::Bytes;
use connector_sdk::{RemoteId, RemoteVersion};
use model::{Kind, LinkId, MirrorId, PartKey};
use sync::ports::Effect;
use sync::state::{FieldOwner, Link, Member, MemberRole, Mirror, TargetEdits};

use super::Subject;
use super::world::{START_MS, World, part};

fn remote(id: &str) -> RemoteId {
    RemoteId(id.to_owned())
}

fn version(text: &str) -> Option<RemoteVersion> {
    Some(RemoteVersion(text.to_owned()))
}

/// A series whose overrides are objects of their own.
fn series(world: &World) -> (Link, Vec<Effect>) {
    let (_, mut link, mut effects) = world.arrival("Standup", "master");
    link.parts
        .insert(PartKey::occurrence("2026-03-09T09:00:00"), part("moved", "v7"));
    link.parts.insert(
        PartKey::occurrence("2026-03-16T09:00:00"),
        sync::state::RemotePart {
            id: remote("unversioned"),
            version: None,
            raw_outdated: false,
        },
    );
    effects[1] = Effect::CreateLink(Box::new(link.clone()));
    (link, effects)
}

/// All of them, and of nothing else.
pub async fn known_names_every_part_and_what_is_in_quarantine(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (link, mut effects) = series(&world);
    effects.extend([
        Effect::Quarantine(Box::new(world.quarantined("poison", "p1"))),
        Effect::Quarantine(Box::new(world.quarantined("poison", "p2"))),
        Effect::Quarantine(Box::new(world.quarantined("moved", "v8"))),
    ]);
    store.commit(org, None, effects).await?;
    let known = store.known(org, &world.work.id).await?;
    let expected = [
        (remote("master"), version("v1")),
        (remote("moved"), version("v8")),
        (remote("unversioned"), None),
        (remote("poison"), version("p2")),
    ];
    ensure!(known == expected.into(), "{known:?}");
    ensure!(store.known(org, &world.home.id).await?.is_empty());
    let mut later = Link { revision: 2, ..link };
    later.parts = BTreeMap::from([(PartKey::MASTER, part("master", "v2"))]);
    let release = |id: &str| Effect::Release {
        collection: world.work.id.clone(),
        remote: remote(id),
    };
    let effects = vec![
        Effect::UpdateLink(Box::new(later)),
        release("poison"),
        release("moved"),
        release("never"),
    ];
    store.commit(org, None, effects).await?;
    let known = store.known(org, &world.work.id).await?;
    ensure!(known == [(remote("master"), version("v2"))].into(), "{known:?}");
    Ok(())
}

/// And an entry that is put anew over itself keeps its id.
pub async fn what_is_in_quarantine_is_found_by_its_object_and_when_it_is_due(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let entry = |name: &str, retry_at| sync::state::Quarantine {
        retry_at,
        ..world.quarantined(name, "v1")
    };
    let [late, soon, now, also_now] = [entry("a", 30), entry("b", 20), entry("d", 10), entry("c", 10)];
    let put = |entry: &sync::state::Quarantine| Effect::Quarantine(Box::new(entry.clone()));
    let effects = [&late, &soon, &now, &also_now].map(put).to_vec();
    store.commit(org, None, effects).await?;
    let ids = [remote("d"), remote("nobody"), remote("a"), remote("d")];
    let found = store.unreadable(org, &world.work.id, &ids).await?;
    ensure!(found == [late.clone(), now.clone()], "{found:?}");
    ensure!(store.unreadable(org, &world.home.id, &ids).await?.is_empty());
    ensure!(store.unreadable(org, &world.work.id, &[]).await?.is_empty());
    let due = store.unreadable_due(org, &world.work.id, 20, 9).await?;
    ensure!(due == [also_now.clone(), now.clone(), soon], "{due:?}");
    let due = store.unreadable_due(org, &world.work.id, 20, 1).await?;
    ensure!(due == [also_now], "{due:?}");
    ensure!(store.unreadable_due(org, &world.home.id, 99, 9).await?.is_empty());
    let again = sync::state::Quarantine {
        tries: 1,
        retry_at: 40,
        ..now.clone()
    };
    store.commit(org, None, vec![put(&again)]).await?;
    let found = store.unreadable(org, &world.work.id, &[remote("d")]).await?;
    ensure!(found == [again], "{found:?}");
    Ok(())
}

/// With its record; ids that nobody has are left out.
pub async fn linked_finds_the_part_that_a_remote_id_belongs_to(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (link, effects) = series(&world);
    store.commit(org, None, effects).await?;
    let ids = [
        remote("moved"),
        remote("nobody"),
        remote("master"),
        remote("moved"),
    ];
    let found = store.linked(org, &world.work.id, &ids).await?;
    // In order of the remote ids, each once.
    ensure!(found.len() == 2 && found.iter().all(|linked| linked.link == link));
    ensure!(found.iter().all(|linked| linked.record.id == link.record));
    ensure!(found[0].part == PartKey::MASTER);
    ensure!(found[1].part == PartKey::occurrence("2026-03-09T09:00:00"));
    ensure!(store.linked(org, &world.home.id, &ids).await?.is_empty());
    ensure!(store.linked(org, &world.work.id, &[]).await?.is_empty());
    Ok(())
}

/// Page by page, each once, seen from either collection; deleted records and those with one link are left out.
pub async fn records_with_links_elsewhere_are_paged_in_their_order(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let mut wanted = Vec::new();
    for number in 0..7 {
        let (mut record, link, mut effects) = world.arrival("Event", &format!("w{number}"));
        if number != 3 {
            let copy = world.link(&record, &world.home, &format!("h{number}"));
            effects.push(Effect::CreateLink(Box::new(copy)));
        }
        match number {
            3 => {}
            4 => {
                record.deleted = true;
                effects[0] = Effect::CreateRecord(Box::new(record));
            }
            _ => wanted.push(link.record),
        }
        store.commit(org, None, effects).await?;
    }
    for collection in [&world.work.id, &world.home.id] {
        let mut found = Vec::new();
        loop {
            let page = store.joined(org, collection, found.last(), 2).await?;
            ensure!(page.len() <= 2);
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|record| record.id));
        }
        ensure!(found == wanted, "{found:?}");
    }
    Ok(())
}

/// Those that wait longest first, none before its time, none that has nothing to send.
pub async fn links_to_send_come_when_they_are_due_oldest_first(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let mut ids: Vec<LinkId> = Vec::new();
    for (remote, dirty, not_before) in [
        ("late", true, START_MS + 10),
        ("second", true, 2),
        ("clean", false, 0),
        ("first", true, 1),
    ] {
        let (_, mut link, mut effects) = world.arrival("Event", remote);
        link.dirty = dirty;
        link.not_before = not_before;
        ids.push(link.id.clone());
        effects[1] = Effect::CreateLink(Box::new(link));
        store.commit(org, None, effects).await?;
    }
    let due = |now, limit| store.dirty_links(org, &world.connection.id, now, limit);
    ensure!(due(START_MS, 9).await? == [ids[3].clone(), ids[1].clone()]);
    ensure!(due(START_MS + 10, 9).await? == [ids[3].clone(), ids[1].clone(), ids[0].clone()]);
    ensure!(due(START_MS + 10, 1).await? == [ids[3].clone()]);
    Ok(())
}

/// Small, large, empty, and not text.
pub async fn originals_come_back_byte_by_byte(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let (_, link, effects) = world.arrival("One", "a");
    store.commit(org, None, effects).await?;
    let originals: BTreeMap<PartKey, Bytes> = [
        ("", "DESCRIPTION:again and again\r\n".repeat(5_000).into_bytes()),
        ("2026-03-09", (0..=255u8).cycle().take(70_001).collect()),
        ("2026-03-16", Vec::new()),
        ("2026-03-23", b"\0BEGIN".to_vec()),
    ]
    .into_iter()
    .map(|(part, raw)| (PartKey::occurrence(part), Bytes::from(raw)))
    .collect();
    let effects = originals
        .iter()
        .map(|(part, raw)| Effect::PutRaw {
            link: link.id.clone(),
            part: part.clone(),
            raw: raw.clone(),
        })
        .collect();
    store.commit(org, None, effects).await?;
    ensure!(store.raws(org, &link.id).await? == originals);
    Ok(())
}

/// And no longer once it is changed or dropped.
pub async fn mirrors_are_found_by_their_members(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let store = subject.store();
    let org = &world.organization;
    let member = |id: &model::CollectionId, role| Member {
        collection_id: id.clone(),
        role,
    };
    let mut mirror = Mirror {
        id: MirrorId::new(1, 1),
        organization: org.clone(),
        name: "Work at home".to_owned(),
        kind: Kind::Event,
        members: vec![
            member(&world.work.id, MemberRole::Source),
            member(&world.home.id, MemberRole::Target),
        ],
        policy: conflict::Rule::Ask,
        field_owners: BTreeMap::from([
            ("title".to_owned(), FieldOwner::Collection(world.work.id.clone())),
            ("location".to_owned(), FieldOwner::Hub),
        ]),
        target_edits: TargetEdits::Revert,
        created_at: START_MS,
    };
    store
        .commit(org, None, vec![Effect::PutMirror(Box::new(mirror.clone()))])
        .await?;
    ensure!(store.mirror(org, &mirror.id).await? == Some(mirror.clone()));
    for collection in [&world.work.id, &world.home.id] {
        ensure!(store.mirrors_of(org, collection).await? == [mirror.clone()]);
    }
    mirror.members.remove(1);
    mirror.name = "Alone".to_owned();
    store
        .commit(org, None, vec![Effect::PutMirror(Box::new(mirror.clone()))])
        .await?;
    ensure!(store.mirrors_of(org, &world.work.id).await? == [mirror.clone()]);
    ensure!(store.mirrors_of(org, &world.home.id).await?.is_empty());
    store
        .commit(org, None, vec![Effect::DropMirror(mirror.id.clone())])
        .await?;
    ensure!(store.mirror(org, &mirror.id).await?.is_none());
    ensure!(store.mirrors_of(org, &world.work.id).await?.is_empty());
    Ok(())
}
