//! Pulling: pages, cursors, deletes, single objects.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use connector_sdk::{Change, Coverage, ErrorKind, Known, Listing, Page, PullRequest, RemoteId};
use futures::StreamExt as _;
use model::{FieldPath, PartKey};
use serde_json::Value;

use super::case::{all, cases, cursor, edits, fetch, objects, pages, pull, reads, store, target, update};
use super::{Subject, collection, sample};

cases![
    (
        a_full_pull_names_everything_once_and_ends_complete,
        "R2, R3",
        reads
    ),
    (a_cursor_comes_with_the_last_page_only, "R4", |capability| {
        capability.incremental
    }),
    (a_delta_holds_what_changed_since_its_cursor, "R5", |capability| {
        capability.incremental
    }),
    (a_delta_without_changes_is_empty, "R5", |capability| capability
        .incremental),
    (a_delta_names_what_was_deleted, "R6", |capability| capability
        .reports_deletes),
    (
        a_delta_laid_over_what_was_there_is_what_is_there,
        "R13",
        |capability| capability.incremental && edits(capability)
    ),
    (
        a_lost_cursor_is_said_and_a_full_pull_mends_it,
        "R7",
        |capability| capability.incremental
    ),
    (fetch_answers_every_id_once, "R8, R9", reads),
    (
        objects_are_canonical_and_keep_what_the_provider_sent,
        "R10",
        reads
    ),
    (what_cannot_be_understood_does_not_stop_the_rest, "R11", reads),
    (a_cancelled_pull_ends_without_a_cursor, "R12", reads),
];

const TITLES: [&str; 5] = ["one", "two", "three", "four", "five"];

async fn put_all(subject: &dyn Subject) -> Result<Vec<RemoteId>> {
    let mut ids = Vec::new();
    for title in TITLES {
        ids.push(subject.put(&sample::plain(subject.kind(), title)).await?);
    }
    Ok(ids)
}

fn ids(pages: &[Page]) -> Vec<&RemoteId> {
    let changes = pages.iter().flat_map(|page| &page.changes);
    changes.map(Change::id).collect()
}

async fn a_full_pull_names_everything_once_and_ends_complete(subject: &dyn Subject) -> Result<()> {
    let put = put_all(subject).await?;
    let collection = collection(subject).await?;
    let pages = all(subject, &collection, None).await?;
    let named = ids(&pages);
    ensure!(
        named.len() == put.len(),
        "{} of {} are named",
        named.len(),
        put.len()
    );
    ensure!(
        named.into_iter().collect::<BTreeSet<_>>() == put.iter().collect::<BTreeSet<_>>(),
        "other ids than those of the objects"
    );
    let (last, before) = pages.split_last().context("there is no page")?;
    ensure!(
        last.listing == Listing::Complete,
        "the last page is {:?}",
        last.listing
    );
    ensure!(
        before.iter().all(|page| page.listing == Listing::Partial),
        "a page before the last is not partial"
    );
    Ok(())
}

async fn a_cursor_comes_with_the_last_page_only(subject: &dyn Subject) -> Result<()> {
    put_all(subject).await?;
    let collection = collection(subject).await?;
    let pages = all(subject, &collection, None).await?;
    let (last, before) = pages.split_last().context("there is no page")?;
    ensure!(last.cursor.is_some(), "the last page has no cursor");
    ensure!(
        before.iter().all(|page| page.cursor.is_none()),
        "a page of an enumeration that goes on has a cursor"
    );
    Ok(())
}

async fn a_delta_holds_what_changed_since_its_cursor(subject: &dyn Subject) -> Result<()> {
    let put = put_all(subject).await?;
    let collection = collection(subject).await?;
    let since = cursor(subject, &collection).await?;
    subject.retitle(&put[1], "changed").await?;
    let added = subject.put(&sample::plain(subject.kind(), "six")).await?;
    let pages = all(subject, &collection, Some(&since)).await?;
    ensure!(
        pages.iter().all(|page| page.listing == Listing::Delta),
        "a page of a delta is not called one"
    );
    let mut present: Vec<(&RemoteId, Option<&Value>)> = Vec::new();
    for change in pages.iter().flat_map(|page| &page.changes) {
        match change {
            Change::Present(object) => {
                present.push((
                    &object.id,
                    object.content.fields.get(sample::names(subject.kind())[0]),
                ));
            }
            other => anyhow::bail!("an edit and a new event come as {other:?}"),
        }
    }
    present.sort_by_key(|(id, _)| *id);
    let titles = ["changed", "six"].map(|title| sample::title(subject.kind(), title));
    let mut wanted = vec![(&put[1], Some(&titles[0])), (&added, Some(&titles[1]))];
    wanted.sort_by_key(|(id, _)| *id);
    ensure!(present == wanted, "the delta holds {present:?}");
    let next = since.after(&pages)?;
    let rest = all(subject, &collection, Some(&next)).await?;
    ensure!(ids(&rest).is_empty(), "the next delta repeats {:?}", ids(&rest));
    Ok(())
}

async fn a_delta_laid_over_what_was_there_is_what_is_there(subject: &dyn Subject) -> Result<()> {
    let put = put_all(subject).await?;
    let collection = collection(subject).await?;
    let before = objects(subject, &collection).await?;
    let since = cursor(subject, &collection).await?;
    subject.retitle(&put[1], "changed").await?;
    let mut cleared = fetch(subject, &collection, &put[1]).await?;
    let [_, place, _] = sample::names(subject.kind());
    cleared.content.fields.remove(place);
    let clear = update(
        target(&cleared),
        PartKey::MASTER,
        cleared.content,
        &[FieldPath::master(place)],
    );
    let stored = store(subject, &collection, clear).await?;
    let fetched = fetch(subject, &collection, &put[1]).await?;
    let whole = before.iter().chain([&stored, &fetched]);
    ensure!(
        whole.into_iter().all(|object| object.coverage == Coverage::Full),
        "an object that was listed, written or fetched is sparse"
    );
    let earlier = before.iter().find(|object| object.id == put[1]);
    let earlier = earlier.context("the object was not listed")?;
    let pages = all(subject, &collection, Some(&since)).await?;
    let changes = pages.iter().flat_map(|page| &page.changes);
    let told: Vec<_> = changes.filter(|change| *change.id() == put[1]).collect();
    let [Change::Present(object)] = told[..] else {
        anyhow::bail!("an edit comes as {told:?}");
    };
    ensure!(
        object.over(&earlier.content) == fetched.content && object.version == fetched.version,
        "what the delta makes of it is {:?}",
        object.over(&earlier.content)
    );
    Ok(())
}

async fn a_delta_without_changes_is_empty(subject: &dyn Subject) -> Result<()> {
    put_all(subject).await?;
    let collection = collection(subject).await?;
    let since = cursor(subject, &collection).await?;
    let pages = all(subject, &collection, Some(&since)).await?;
    ensure!(ids(&pages).is_empty(), "it holds {:?}", ids(&pages));
    Ok(())
}

async fn a_delta_names_what_was_deleted(subject: &dyn Subject) -> Result<()> {
    let put = put_all(subject).await?;
    let collection = collection(subject).await?;
    let since = cursor(subject, &collection).await?;
    subject.delete(&put[2]).await?;
    let pages = all(subject, &collection, Some(&since)).await?;
    let changes: Vec<&Change> = pages.iter().flat_map(|page| &page.changes).collect();
    ensure!(
        matches!(changes[..], [Change::Deleted(id)] if *id == put[2]),
        "one delete comes as {changes:?}"
    );
    Ok(())
}

async fn a_lost_cursor_is_said_and_a_full_pull_mends_it(subject: &dyn Subject) -> Result<()> {
    let put = put_all(subject).await?;
    let collection = collection(subject).await?;
    let since = cursor(subject, &collection).await?;
    subject.delete(&put[0]).await?;
    subject.expire_cursors().await?;
    let ctx = subject.context();
    let pulled = pages(subject, &ctx, &collection, Some(&since), async |_| Ok(())).await?;
    let error = pulled.error.context("an expired cursor is accepted")?;
    ensure!(error.kind == ErrorKind::CursorExpired, "it is told as {error:?}");
    ensure!(
        pulled.pages.iter().all(|page| page.cursor.is_none()),
        "a lost cursor is followed by another"
    );
    let left = objects(subject, &collection).await?;
    ensure!(
        left.len() == put.len() - 1,
        "the full pull names {} objects",
        left.len()
    );
    let next = cursor(subject, &collection).await?;
    all(subject, &collection, Some(&next)).await?;
    Ok(())
}

async fn fetch_answers_every_id_once(subject: &dyn Subject) -> Result<()> {
    let put = put_all(subject).await?;
    let collection = collection(subject).await?;
    subject.delete(&put[3]).await?;
    let asked = [put[0].clone(), put[3].clone(), subject.absent(), put[4].clone()];
    let changes = pull(subject)?
        .fetch(&subject.context(), &collection, &asked)
        .await?;
    let answered: BTreeSet<&RemoteId> = changes.iter().map(Change::id).collect();
    ensure!(
        changes.len() == asked.len(),
        "{} answers to {} ids",
        changes.len(),
        asked.len()
    );
    ensure!(
        answered == asked.iter().collect(),
        "other ids are answered: {answered:?}"
    );
    for change in &changes {
        let is_there = *change.id() == put[0] || *change.id() == put[4];
        ensure!(
            matches!(change, Change::Present(_)) == is_there
                && matches!(change, Change::Deleted(_)) != is_there,
            "it is there: {is_there}, and comes as {change:?}"
        );
    }
    let none = pull(subject)?.fetch(&subject.context(), &collection, &[]).await?;
    ensure!(none.is_empty(), "nothing was asked and something answered");
    Ok(())
}

async fn objects_are_canonical_and_keep_what_the_provider_sent(subject: &dyn Subject) -> Result<()> {
    subject
        .put(&sample::with_people(subject.kind(), "canonical"))
        .await?;
    let collection = collection(subject).await?;
    let capability = super::capability(subject);
    for object in objects(subject, &collection).await? {
        ensure!(!object.raw.is_empty(), "what the provider sent is not kept");
        ensure!(object.kind == subject.kind(), "its kind is {:?}", object.kind);
        let canonical = subject.kind().schema().canonical(object.content.fields.clone())?;
        ensure!(canonical == object.content.fields, "its fields are not canonical");
        ensure!(
            object.content.fields.values().all(|value| !value.is_null()),
            "a field of a master is null"
        );
        for field in object.content.fields.keys() {
            ensure!(
                capability.reads(field),
                "`{field}` is read, and the capability does not say so"
            );
        }
    }
    Ok(())
}

async fn what_cannot_be_understood_does_not_stop_the_rest(subject: &dyn Subject) -> Result<()> {
    let put = put_all(subject).await?;
    let Some(unreadable) = subject.put_unreadable().await? else {
        return Ok(());
    };
    let collection = collection(subject).await?;
    let pages = all(subject, &collection, None).await?;
    let changes: Vec<&Change> = pages.iter().flat_map(|page| &page.changes).collect();
    let present = changes
        .iter()
        .filter(|change| matches!(change, Change::Present(_)))
        .count();
    ensure!(
        present == put.len(),
        "{present} of {} readable objects come",
        put.len()
    );
    ensure!(
        changes.iter().any(
            |change| matches!(change, Change::Unreadable { id, raw, reason, .. }
            if *id == unreadable && !raw.is_empty() && !reason.is_empty())
        ),
        "the unreadable one does not come with its reason"
    );
    ensure!(
        pages.last().is_some_and(|page| page.listing == Listing::Complete),
        "the pull does not come to its end"
    );
    Ok(())
}

async fn a_cancelled_pull_ends_without_a_cursor(subject: &dyn Subject) -> Result<()> {
    put_all(subject).await?;
    let collection = collection(subject).await?;
    let ctx = subject.context();
    let known = Known::new();
    let request = PullRequest {
        collection: &collection,
        cursor: None,
        known: &known,
    };
    let mut stream = pull(subject)?.pages(&ctx, request);
    let first = stream.next().await.context("there is no page")??;
    if first.listing == Listing::Complete {
        return Ok(());
    }
    ctx.cancel.cancel();
    while let Some(page) = stream.next().await {
        let Ok(page) = page else { return Ok(()) };
        ensure!(page.cursor.is_none(), "a cancelled pull gives a cursor");
        ensure!(
            page.listing != Listing::Complete,
            "a cancelled pull calls itself complete"
        );
    }
    Ok(())
}
