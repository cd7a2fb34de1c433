//! Series: the master and its overrides, as one object or as one each.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use connector_sdk::{
    Applied, Capability, Change, ErrorKind, RemoteCollection, RemoteObject, SeriesModel, SeriesPart, Target,
};
use model::{Content, EventTime, FieldPath, Fields, Kind, PartKey, series};

use super::case::{all, apply, cases, create, cursor, delete, fetch, objects, store, target, update, writes};
use super::{Subject, collection, sample};

fn has_series(capability: &Capability) -> bool {
    writes(capability) && capability.series != SeriesModel::None
}

fn has_instances(capability: &Capability) -> bool {
    writes(capability) && capability.series == SeriesModel::Instances
}

cases![
    (a_series_with_overrides_comes_back_whole, "S1, S2", has_series),
    (
        a_master_comes_before_its_overrides,
        "S3",
        |capability| has_series(capability) && capability.series.has_part_objects()
    ),
    (an_occurrence_is_cancelled_and_stays_so, "S4", has_series),
    (an_override_that_is_taken_back_is_gone, "S5", has_series),
    (an_edit_of_the_master_keeps_its_overrides, "S6", has_series),
    (a_deleted_series_takes_its_overrides_with_it, "S7", has_series),
    (
        a_cancelled_occurrence_stands_in_its_master_alone,
        "S8",
        has_instances
    ),
    (
        a_cancelled_occurrence_is_brought_back_or_refused,
        "S9",
        has_instances
    ),
];

/// The master as its own object, and all parts joined as the engine joins them.
struct Whole {
    parts: BTreeMap<PartKey, RemoteObject>,
    content: Content,
}

/// Joins the objects of one series.
async fn read(subject: &dyn Subject, collection: &RemoteCollection) -> Result<Whole> {
    let found = objects(subject, collection).await?;
    let master = found.iter().find(|object| object.series.is_none());
    let master = master.context("the master is not there")?.clone();
    let start = series::time_field(&master.content.fields, "start").context("the master has no start")?;
    let mut content = master.content.clone();
    let mut parts = BTreeMap::new();
    for object in found {
        let Some(part) = &object.series else {
            ensure!(object.id == master.id, "there are two masters");
            continue;
        };
        ensure!(part.series == master.id, "an override names another series");
        ensure!(object.content.overrides.is_empty(), "an override has overrides");
        let key = part.original_start.part_key(&start);
        let sparse = series::sparse(Kind::Event, &master.content.fields, &key, &object.content.fields);
        if !sparse.is_empty() {
            content.overrides.insert(key.clone(), sparse);
        }
        parts.insert(key, object);
    }
    parts.insert(PartKey::MASTER, master);
    Ok(Whole { parts, content })
}

/// Writes a series as the engine does: all at once, or the master and then part by part.
async fn write(
    subject: &dyn Subject,
    collection: &RemoteCollection,
    content: &Content,
) -> Result<RemoteObject> {
    let master = store(subject, collection, create(20, content.clone())).await?;
    if super::capability(subject).series.has_part_objects() {
        for (key, fields) in &content.overrides {
            if !master.content.overrides.contains_key(key) {
                write_part(subject, collection, &master, None, key, content, fields).await?;
            }
        }
        // Where a master lists what is cancelled, it has changed since.
        return fetch(subject, collection, &master.id).await;
    }
    Ok(master)
}

async fn write_part(
    subject: &dyn Subject,
    collection: &RemoteCollection,
    master: &RemoteObject,
    part: Option<&RemoteObject>,
    key: &PartKey,
    content: &Content,
    fields: &Fields,
) -> Result<()> {
    let model = super::capability(subject).series;
    let to = match part {
        Some(object) => target(object),
        None if model.has_part_objects() => implied(master, key)?,
        None => target(master),
    };
    if model == SeriesModel::Instances && series::is_cancelled(fields) && content.overrides.contains_key(key)
    {
        let mut cancel = delete(to);
        cancel.part = key.clone();
        let outcome = apply(subject, collection, cancel).await??;
        ensure!(
            matches!(outcome, Applied::Gone),
            "a cancelled occurrence is {outcome:?}"
        );
        return Ok(());
    }
    let paths: Vec<FieldPath> = fields
        .keys()
        .map(|field| FieldPath {
            part: key.clone(),
            field: field.clone(),
        })
        .collect();
    let written = if model.has_part_objects() {
        key.clone()
    } else {
        PartKey::MASTER
    };
    store(subject, collection, update(to, written, content.clone(), &paths)).await?;
    Ok(())
}

/// An occurrence that has no object of its own.
fn implied(master: &RemoteObject, key: &PartKey) -> Result<Target> {
    let start = series::time_field(&master.content.fields, "start").context("the master has no start")?;
    let original_start = EventTime::from_part_key(key, &start).context("not an occurrence's key")?;
    Ok(Target {
        id: None,
        version: None,
        raw: None,
        series: Some(SeriesPart {
            series: master.id.clone(),
            original_start,
        }),
    })
}

/// What is to be read back of the overrides.
fn overrides(
    subject: &dyn Subject,
    collection: &RemoteCollection,
    content: &Content,
) -> BTreeMap<PartKey, Fields> {
    subject.connector().project(collection, content).overrides
}

fn ensure_overrides(read: &Content, wanted: &BTreeMap<PartKey, Fields>) -> Result<()> {
    ensure!(
        read.overrides == *wanted,
        "the overrides are {:?} and were to be {wanted:?}",
        read.overrides
    );
    Ok(())
}

async fn a_series_with_overrides_comes_back_whole(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let content = sample::series("whole");
    write(subject, &collection, &content).await?;
    let whole = read(subject, &collection).await?;
    ensure_overrides(&whole.content, &overrides(subject, &collection, &content))?;
    ensure!(
        whole.content.fields["recurrence"] == content.fields["recurrence"],
        "the rule is {}",
        whole.content.fields["recurrence"]
    );
    let apart = super::capability(subject).series.has_part_objects();
    ensure!(
        apart || whole.parts.len() == 1,
        "a whole series is {} objects",
        whole.parts.len()
    );
    Ok(())
}

async fn a_master_comes_before_its_overrides(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    write(subject, &collection, &sample::series("ordered")).await?;
    for page in all(subject, &collection, None).await? {
        let is_override = page.changes.iter().map(|change| match change {
            Change::Present(object) => object.series.is_some(),
            Change::Unchanged(_) | Change::Deleted(_) | Change::Unreadable { .. } => false,
        });
        ensure!(
            is_override.is_sorted(),
            "an override comes before a master of its page"
        );
    }
    Ok(())
}

async fn an_occurrence_is_cancelled_and_stays_so(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let mut content = sample::series("cancelled");
    content.overrides.clear();
    let master = write(subject, &collection, &content).await?;
    content.overrides.insert(sample::cancelled(), series::cancelled());
    write_part(
        subject,
        &collection,
        &master,
        None,
        &sample::cancelled(),
        &content,
        &series::cancelled(),
    )
    .await?;
    for _ in 0..2 {
        let whole = read(subject, &collection).await?;
        ensure_overrides(&whole.content, &content.overrides)?;
    }
    Ok(())
}

/// Both an edited and, unless a delete made it so, a cancelled occurrence, listed by the master where it can.
async fn an_override_that_is_taken_back_is_gone(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let content = sample::series("taken back");
    write(subject, &collection, &content).await?;
    let mut wanted = content.clone();
    let mut keys = vec![sample::edited(), sample::cancelled()];
    keys.retain(|key| !has_instances(&super::capability(subject)) || *key != sample::cancelled());
    for key in keys {
        let before = read(subject, &collection).await?;
        let fields = wanted
            .overrides
            .remove(&key)
            .context("there is no such override")?;
        let master = &before.parts[&PartKey::MASTER];
        write_part(
            subject,
            &collection,
            master,
            before.parts.get(&key),
            &key,
            &wanted,
            &fields,
        )
        .await?;
        let after = read(subject, &collection).await?;
        ensure_overrides(&after.content, &overrides(subject, &collection, &wanted))?;
    }
    Ok(())
}

async fn an_edit_of_the_master_keeps_its_overrides(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let content = sample::series("kept");
    write(subject, &collection, &content).await?;
    let before = read(subject, &collection).await?;
    let mut wanted = before.content.clone();
    wanted.fields.insert("location".to_owned(), "Room 9".into());
    let master = target(&before.parts[&PartKey::MASTER]);
    let change = update(master, PartKey::MASTER, wanted, &[FieldPath::master("location")]);
    let written = store(subject, &collection, change).await?;
    ensure!(
        written.content.fields["location"] == "Room 9",
        "the master does not change"
    );
    let after = read(subject, &collection).await?;
    for (key, fields) in overrides(subject, &collection, &content) {
        let now = after.content.overrides.get(&key);
        let kept = fields
            .iter()
            .all(|(name, value)| now.and_then(|now| now.get(name)) == Some(value));
        ensure!(kept, "the override of {key} is {now:?}");
    }
    Ok(())
}

async fn a_deleted_series_takes_its_overrides_with_it(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let master = write(subject, &collection, &sample::series("deleted")).await?;
    let now = fetch(subject, &collection, &master.id).await?;
    apply(subject, &collection, delete(target(&now))).await??;
    let left = objects(subject, &collection).await?;
    ensure!(left.is_empty(), "{} objects are left", left.len());
    Ok(())
}

async fn a_cancelled_occurrence_stands_in_its_master_alone(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let mut content = sample::series("dropped");
    write(subject, &collection, &content).await?;
    let before = read(subject, &collection).await?;
    ensure!(
        before.parts.len() == 2,
        "there are {} objects",
        before.parts.len()
    );
    let (master, edited) = (&before.parts[&PartKey::MASTER], &before.parts[&sample::edited()]);
    let since = match super::capability(subject).incremental {
        true => Some(cursor(subject, &collection).await?),
        false => None,
    };
    content.overrides.insert(sample::edited(), series::cancelled());
    let fields = series::cancelled();
    write_part(
        subject,
        &collection,
        master,
        Some(edited),
        &sample::edited(),
        &content,
        &fields,
    )
    .await?;
    let after = read(subject, &collection).await?;
    ensure!(after.parts.len() == 1, "there are {} objects", after.parts.len());
    ensure_overrides(&after.content, &content.overrides)?;
    let now = &after.parts[&PartKey::MASTER];
    ensure!(
        now.version.is_none() || now.version != master.version,
        "the master's version is the same"
    );
    let Some(since) = since else { return Ok(()) };
    let pages = all(subject, &collection, Some(&since)).await?;
    let told = pages
        .iter()
        .flat_map(|page| &page.changes)
        .any(|change| match change {
            Change::Present(object) => {
                object.id == master.id && object.over(&before.content).overrides == content.overrides
            }
            Change::Unchanged(_) | Change::Deleted(_) | Change::Unreadable { .. } => false,
        });
    ensure!(told, "the delta does not bring the master with what it lists");
    Ok(())
}

async fn a_cancelled_occurrence_is_brought_back_or_refused(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let mut content = sample::series("back");
    write(subject, &collection, &content).await?;
    let before = read(subject, &collection).await?;
    let master = &before.parts[&PartKey::MASTER];
    content.overrides.remove(&sample::cancelled());
    let status = FieldPath {
        part: sample::cancelled(),
        field: "status".to_owned(),
    };
    let to = implied(master, &sample::cancelled())?;
    let bring_back = update(to, sample::cancelled(), content.clone(), &[status]);
    let outcome = apply(subject, &collection, bring_back).await?;
    let after = read(subject, &collection).await?;
    match outcome {
        Ok(_) => ensure_overrides(&after.content, &overrides(subject, &collection, &content)),
        Err(error) if error.kind == ErrorKind::Unsupported => {
            ensure_overrides(&after.content, &before.content.overrides)
        }
        Err(error) => Err(error).context("it is neither brought back nor unsupported"),
    }
}
