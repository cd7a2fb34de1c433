//! Writing: conditions, probes, frames, silence.

use anyhow::{Context as _, Result, ensure};
use connector_sdk::{Applied, Conditional, ErrorKind, Notifies, RemoteObject, Target};
use model::{Content, FieldPath, Kind, PartKey};
use serde_json::json;

use super::case::{
    all, apply, cases, create, cursor, delete, edits, fetch, objects, of_kind, push, store, target, there,
    update, writes,
};
use super::{Subject, collection, sample};

cases![
    (
        a_stale_write_is_refused_and_changes_nothing,
        "W1",
        |capability| edits(capability) && capability.conditional == Conditional::Version
    ),
    (
        a_create_is_found_by_its_intent_and_never_doubled,
        "W2, W3",
        |capability| writes(capability) && capability.client_ids
    ),
    (
        a_create_whose_answer_was_lost_can_be_found,
        "W2",
        |capability| writes(capability) && capability.client_ids
    ),
    (deleting_what_is_not_there_succeeds, "W4", edits),
    (a_failed_write_does_not_stop_the_next, "W5", edits),
    (what_is_answered_is_what_is_stored, "W6", edits),
    (an_update_changes_what_it_names_and_nothing_else, "W7", edits),
    (a_field_that_is_cleared_is_gone, "W7", edits),
    (writing_back_what_was_read_changes_nothing, "W8", edits),
    (nobody_is_notified, "W9", |capability| writes(capability)
        && capability.notifies != Notifies::Always),
    (
        people_whom_others_invited_are_told_of_before_they_are_mailed,
        "W12",
        |capability| writes(capability) && capability.notifies == Notifies::Existing
    ),
    (
        an_own_write_comes_back_as_it_was_answered,
        "W10",
        |capability| edits(capability) && capability.incremental
    ),
    (a_projection_is_its_own_projection, "P1", edits),
    (a_projection_is_what_is_read_back, "P2", writes),
];

fn titled(subject: &dyn Subject, content: &Content, title: &str) -> Content {
    let mut content = content.clone();
    content
        .fields
        .insert(title_of(subject).to_owned(), sample::title(subject.kind(), title));
    content
}

fn title_of(subject: &dyn Subject) -> &'static str {
    let [title, _, _] = sample::names(subject.kind());
    title
}

async fn a_stale_write_is_refused_and_changes_nothing(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let id = subject.put(&sample::plain(subject.kind(), "ours")).await?;
    let read = fetch(subject, &collection, &id).await?;
    ensure!(
        read.version.is_some(),
        "an object has no version to be conditional on"
    );
    subject.retitle(&id, "theirs").await?;
    let title = [FieldPath::master(title_of(subject))];
    let stale_update = update(
        target(&read),
        PartKey::MASTER,
        titled(subject, &read.content, "mine"),
        &title,
    );
    for write in [stale_update, delete(target(&read))] {
        match apply(subject, &collection, write).await? {
            Err(error) => ensure!(
                error.kind == ErrorKind::VersionConflict,
                "it is told as {error:?}"
            ),
            Ok(applied) => anyhow::bail!("a stale write is carried out: {applied:?}"),
        }
    }
    let now = fetch(subject, &collection, &id).await?;
    ensure!(
        now.content.fields[title_of(subject)] == sample::title(subject.kind(), "theirs"),
        "the other's edit is lost"
    );
    let fresh = update(
        target(&now),
        PartKey::MASTER,
        titled(subject, &now.content, "mine"),
        &title,
    );
    let written = store(subject, &collection, fresh).await?;
    ensure!(
        written.content.fields[title_of(subject)] == sample::title(subject.kind(), "mine"),
        "a fresh write is not carried out"
    );
    ensure!(
        written.version != now.version,
        "a changed object keeps its version"
    );
    Ok(())
}

async fn a_create_is_found_by_its_intent_and_never_doubled(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let ctx = subject.context();
    let write = of_kind(subject, create(1, sample::plain(subject.kind(), "once")));
    let before = push(subject)?.probe(&ctx, &collection, &write).await?;
    ensure!(before.is_none(), "it is found before it is made");
    let made = store(subject, &collection, write.clone()).await?;
    let found = push(subject)?.probe(&ctx, &collection, &write).await?;
    let found = found.and_then(Applied::object);
    let found = found.context("it is not found after it was made")?;
    ensure!(
        found.id == made.id && found.content == made.content,
        "something else is found"
    );
    match apply(subject, &collection, write).await? {
        Err(error) => ensure!(
            error.kind == ErrorKind::AlreadyExists,
            "the double is told as {error:?}"
        ),
        Ok(applied) => anyhow::bail!("it is made twice: {applied:?}"),
    }
    let other = store(
        subject,
        &collection,
        create(2, sample::plain(subject.kind(), "another")),
    )
    .await?;
    ensure!(other.id != made.id, "two intents make one object");
    let there = objects(subject, &collection).await?;
    ensure!(there.len() == 2, "there are {} objects", there.len());
    Ok(())
}

async fn a_create_whose_answer_was_lost_can_be_found(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    if !subject.lose_next_answer().await {
        return Ok(());
    }
    let write = of_kind(subject, create(3, sample::plain(subject.kind(), "lost")));
    let Err(error) = apply(subject, &collection, write.clone()).await? else {
        anyhow::bail!("a lost answer is called a success");
    };
    ensure!(error.is_doubtful(), "it is told as {error:?}");
    let found = push(subject)?
        .probe(&subject.context(), &collection, &write)
        .await?;
    ensure!(
        found.and_then(Applied::object).is_some(),
        "what was made is not found"
    );
    Ok(())
}

async fn deleting_what_is_not_there_succeeds(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let id = subject.put(&sample::plain(subject.kind(), "gone")).await?;
    let read = fetch(subject, &collection, &id).await?;
    for _ in 0..2 {
        let applied = apply(subject, &collection, delete(target(&read))).await??;
        ensure!(
            matches!(applied, Applied::Gone),
            "a delete is answered with {applied:?}"
        );
    }
    let never = Target {
        id: Some(subject.absent()),
        version: None,
        raw: None,
        series: None,
    };
    let applied = apply(subject, &collection, delete(never)).await??;
    ensure!(
        matches!(applied, Applied::Gone),
        "a delete is answered with {applied:?}"
    );
    ensure!(
        objects(subject, &collection).await?.is_empty(),
        "something is left"
    );
    Ok(())
}

async fn a_failed_write_does_not_stop_the_next(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let absent = Target {
        id: Some(subject.absent()),
        version: None,
        raw: None,
        series: None,
    };
    let title = [FieldPath::master(title_of(subject))];
    let bad = update(
        absent,
        PartKey::MASTER,
        sample::plain(subject.kind(), "nowhere"),
        &title,
    );
    let good = if super::capability(subject).create {
        create(4, sample::plain(subject.kind(), "somewhere"))
    } else {
        let made = there(subject, &collection, 4, sample::plain(subject.kind(), "before")).await?;
        let somewhere = titled(subject, &made.content, "somewhere");
        update(target(&made), PartKey::MASTER, somewhere, &title)
    };
    let outcomes = push(subject)?
        .apply(
            &subject.context(),
            &collection,
            &[bad, good].map(|write| of_kind(subject, write)),
        )
        .await;
    let [Err(first), Ok(Applied::Stored(_))] = &outcomes[..] else {
        anyhow::bail!("a write that fails and one that does not come to {outcomes:?}");
    };
    ensure!(
        matches!(first.kind, ErrorKind::NotFound | ErrorKind::VersionConflict),
        "an update of what is not there is told as {first:?}"
    );
    ensure!(
        objects(subject, &collection).await?.len() == 1,
        "the update made something"
    );
    Ok(())
}

async fn what_is_answered_is_what_is_stored(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let made = there(
        subject,
        &collection,
        5,
        sample::with_people(subject.kind(), "stored"),
    )
    .await?;
    same(&made, &fetch(subject, &collection, &made.id).await?)?;
    let title = [FieldPath::master(title_of(subject))];
    let change = update(
        target(&made),
        PartKey::MASTER,
        titled(subject, &made.content, "anew"),
        &title,
    );
    let changed = store(subject, &collection, change).await?;
    ensure!(changed.id == made.id, "an update changes the id");
    same(&changed, &fetch(subject, &collection, &made.id).await?)
}

fn same(answered: &RemoteObject, read: &RemoteObject) -> Result<()> {
    ensure!(answered.version == read.version, "the versions differ");
    let differences = answered.content.differences(&read.content);
    ensure!(
        differences.is_empty(),
        "answered and read differ at {differences:?}"
    );
    Ok(())
}

async fn an_update_changes_what_it_names_and_nothing_else(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let id = subject
        .put(&sample::with_people(subject.kind(), "before"))
        .await?;
    let read = fetch(subject, &collection, &id).await?;
    let mut wanted = titled(subject, &read.content, "after");
    let [_, place, notes] = sample::names(subject.kind());
    wanted
        .fields
        .insert(place.to_owned(), sample::elsewhere(subject.kind()));
    wanted.fields.remove(notes);
    let write = update(
        target(&read),
        PartKey::MASTER,
        wanted,
        &[FieldPath::master(title_of(subject))],
    );
    let written = store(subject, &collection, write).await?;
    let shared = |path: &FieldPath| !matches!(path.field.as_str(), "sequence" | "updated_at" | "created_at");
    let differences: Vec<_> = read
        .content
        .differences(&written.content)
        .into_iter()
        .filter(shared)
        .collect();
    ensure!(
        differences == [FieldPath::master(title_of(subject))],
        "it changes {differences:?}"
    );
    ensure!(
        written.content.fields[title_of(subject)] == sample::title(subject.kind(), "after"),
        "it does not change the title"
    );
    Ok(())
}

async fn a_field_that_is_cleared_is_gone(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let id = subject.put(&sample::plain(subject.kind(), "cleared")).await?;
    let read = fetch(subject, &collection, &id).await?;
    let mut wanted = read.content.clone();
    let [_, place, _] = sample::names(subject.kind());
    wanted.fields.remove(place);
    let write = update(
        target(&read),
        PartKey::MASTER,
        wanted,
        &[FieldPath::master(place)],
    );
    let written = store(subject, &collection, write).await?;
    ensure!(!written.content.fields.contains_key(place), "it is still there");
    Ok(())
}

async fn writing_back_what_was_read_changes_nothing(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let id = subject
        .put(&sample::with_people(subject.kind(), "unchanged"))
        .await?;
    let read = fetch(subject, &collection, &id).await?;
    let paths: Vec<FieldPath> = read
        .content
        .paths()
        .filter(|path| super::capability(subject).writes(&path.field))
        .collect();
    let before = subject.writes();
    let nothing = update(target(&read), PartKey::MASTER, read.content.clone(), &[]);
    let written = store(subject, &collection, nothing).await?;
    same(&written, &read)?;
    ensure!(subject.writes() == before, "a write that names nothing is sent");
    let everything = update(target(&written), PartKey::MASTER, read.content.clone(), &paths);
    let written = store(subject, &collection, everything).await?;
    let shared = |path: &FieldPath| !matches!(path.field.as_str(), "sequence" | "updated_at" | "created_at");
    let differences: Vec<_> = read
        .content
        .differences(&written.content)
        .into_iter()
        .filter(shared)
        .collect();
    ensure!(differences.is_empty(), "it changes {differences:?}");
    Ok(())
}

async fn nobody_is_notified(subject: &dyn Subject) -> Result<()> {
    if subject.kind() != Kind::Event {
        // Nobody is invited to anything else.
        return Ok(());
    }
    let collection = collection(subject).await?;
    let made = store(
        subject,
        &collection,
        create(6, sample::with_people(subject.kind(), "quiet")),
    )
    .await?;
    let mut moved = made.content.clone();
    moved.fields.insert(
        "start".to_owned(),
        json!({"kind": "zoned", "wall": "2026-03-02T08:00:00", "zone": "Europe/Berlin"}),
    );
    let write = update(
        target(&made),
        PartKey::MASTER,
        moved,
        &[FieldPath::master("start")],
    );
    let moved = store(subject, &collection, write).await?;
    apply(subject, &collection, delete(target(&moved))).await??;
    ensure!(subject.mails() == 0, "{} mails are sent", subject.mails());
    Ok(())
}

async fn people_whom_others_invited_are_told_of_before_they_are_mailed(subject: &dyn Subject) -> Result<()> {
    if subject.kind() != Kind::Event {
        // Nobody is invited to anything else.
        return Ok(());
    }
    let collection = collection(subject).await?;
    let ctx = subject.context();
    let theirs = subject.put(&sample::meeting("theirs")).await?;
    let theirs = fetch(subject, &collection, &theirs).await?;
    let ours = store(subject, &collection, create(8, sample::meeting("ours"))).await?;
    for (object, is_theirs) in [(theirs, true), (ours, false)] {
        let retitled = titled(subject, &object.content, "changed");
        let path = [FieldPath::master("title")];
        let change = update(target(&object), PartKey::MASTER, retitled, &path);
        for write in [change, delete(target(&object))] {
            let told = push(subject)?.notified(&ctx, &collection, &write).await?;
            let before = subject.mails();
            let outcome = apply(subject, &collection, write).await?;
            let mailed = subject.mails() - before;
            ensure!(
                told.len() >= mailed,
                "{mailed} are mailed, and {told:?} were told of"
            );
            ensure!(is_theirs || told.is_empty(), "{told:?} were invited by us");
            if outcome.is_err() {
                break;
            }
        }
    }
    Ok(())
}

async fn an_own_write_comes_back_as_it_was_answered(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let content = sample::plain(subject.kind(), "echo");
    let (since, made) = if super::capability(subject).create {
        let since = cursor(subject, &collection).await?;
        (since, store(subject, &collection, create(7, content)).await?)
    } else {
        let before = there(subject, &collection, 7, content).await?;
        let since = cursor(subject, &collection).await?;
        let again = titled(subject, &before.content, "again");
        let path = [FieldPath::master(title_of(subject))];
        let change = update(target(&before), PartKey::MASTER, again, &path);
        (since, store(subject, &collection, change).await?)
    };
    let pages = all(subject, &collection, Some(&since)).await?;
    let changes: Vec<_> = pages.iter().flat_map(|page| &page.changes).collect();
    let [connector_sdk::Change::Present(echo)] = changes[..] else {
        anyhow::bail!("it comes back as {changes:?}");
    };
    ensure!(echo.id == made.id, "it comes back under another id");
    let echo = RemoteObject {
        content: echo.over(&made.content),
        ..RemoteObject::clone(echo)
    };
    same(&made, &echo)
}

async fn a_projection_is_its_own_projection(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let kind = subject.kind();
    let mut samples = vec![sample::plain(kind, "p"), sample::with_people(kind, "p")];
    if kind == Kind::Event {
        samples.push(sample::series("p"));
    }
    for content in samples {
        let once = subject.connector().project(&collection, &content);
        let twice = subject.connector().project(&collection, &once);
        let differences = once.differences(&twice);
        ensure!(
            differences.is_empty(),
            "a second projection changes {differences:?}"
        );
    }
    Ok(())
}

async fn a_projection_is_what_is_read_back(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let capability = super::capability(subject);
    for (number, content) in [
        (8, sample::plain(subject.kind(), "read back")),
        (9, sample::with_people(subject.kind(), "read back")),
    ] {
        let projected = subject.connector().project(&collection, &content);
        let stored = store(subject, &collection, create(number, content)).await?;
        for path in projected.paths().filter(|path| capability.writes(&path.field)) {
            let (wanted, read) = (projected.get(&path), stored.content.get(&path));
            ensure!(
                wanted == read,
                "`{path}` is projected as {wanted:?} and read back as {read:?}"
            );
        }
    }
    Ok(())
}
