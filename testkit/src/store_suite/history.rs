//! The history of records: in order, bounded, and only of what was committed.

use anyhow::ensure;
use serde_json::{Value, json};
use sync::history::{Cause, HistoryAction, HistoryDetail, HistoryEntry, KEPT_PER_RECORD};
use sync::ports::Effect;
use sync::state::{Origin, Record};

use super::Subject;
use super::commits::is_stale;
use super::world::{START_MS, World};

/// An entry about the title.
fn renamed(record: &Record, title: &str) -> HistoryEntry {
    HistoryEntry {
        organization: record.organization.clone(),
        record: record.id.clone(),
        version: record.version,
        action: HistoryAction::Updated,
        path: Some("title".to_owned()),
        detail: HistoryDetail {
            before: Some(Value::Null),
            after: Some(json!(title)),
            cause: Cause::request(Some("req_1".to_owned()), "key_1".to_owned()),
            ..HistoryDetail::by(Origin::Api("key_1".to_owned()))
        },
        at: START_MS,
    }
}

fn created(record: &Record) -> HistoryEntry {
    HistoryEntry {
        action: HistoryAction::Created,
        path: None,
        ..renamed(record, "first")
    }
}

fn effect(entry: &HistoryEntry) -> Effect {
    Effect::History(Box::new(entry.clone()))
}

/// What was written reads back as it was, newest first, and each record has its own.
pub async fn history_reads_back_newest_first_for_each_record(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let (store, org) = (subject.store(), &world.organization);
    let (one, _, mut effects) = world.arrival("One", "a");
    let (two, _, more) = world.arrival("Two", "b");
    effects.extend(more);
    let told = [created(&one), created(&two), renamed(&one, "in the same commit")];
    effects.extend(told.iter().map(effect));
    store.commit(org, None, effects).await?;
    let later = [renamed(&one, "later"), renamed(&one, "last")];
    store
        .commit(org, None, later.iter().map(effect).collect())
        .await?;
    let wanted = [&later[1], &later[0], &told[2], &told[0]].map(Clone::clone);
    let found = subject.history(org, &one.id).await?;
    ensure!(found == wanted, "{found:#?}");
    ensure!(subject.history(org, &two.id).await? == [told[1].clone()]);
    Ok(())
}

/// A history does not grow without end: the oldest entries go with the commit that appends.
pub async fn the_oldest_history_of_a_record_goes_beyond_the_bound(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let (store, org) = (subject.store(), &world.organization);
    let (one, _, mut effects) = world.arrival("One", "a");
    let (two, _, more) = world.arrival("Two", "b");
    effects.extend(more);
    effects.extend([created(&one), created(&two)].iter().map(effect));
    store.commit(org, None, effects).await?;
    for commit in 0..6 {
        let many = (0..100).map(|number| effect(&renamed(&one, &format!("{commit}-{number}"))));
        store.commit(org, None, many.collect()).await?;
    }
    let found = subject.history(org, &one.id).await?;
    ensure!(i64::try_from(found.len())? == KEPT_PER_RECORD, "{}", found.len());
    ensure!(found[0].detail.after == Some(json!("5-99")));
    let oldest = found.last().and_then(|entry| entry.detail.after.clone());
    ensure!(oldest == Some(json!("1-0")), "{oldest:?}");
    ensure!(
        subject.history(org, &two.id).await?.len() == 1,
        "another record's stays"
    );
    Ok(())
}

/// What was not committed did not happen.
pub async fn a_commit_that_fails_leaves_no_history(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let (store, org) = (subject.store(), &world.organization);
    let (one, _, mut effects) = world.arrival("One", "a");
    effects.push(effect(&created(&one)));
    store.commit(org, None, effects).await?;
    let stale = Record {
        version: 7,
        ..one.clone()
    };
    let effects = vec![
        effect(&renamed(&one, "never")),
        Effect::UpdateRecord(Box::new(stale)),
    ];
    ensure!(is_stale(store.commit(org, None, effects).await));
    ensure!(subject.history(org, &one.id).await?.len() == 1);
    Ok(())
}
