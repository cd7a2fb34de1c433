//! What a connector says when it fails.

use anyhow::{Context as _, Result, ensure};
use connector_sdk::{Error, ErrorKind, Listing, Retry};

use super::case::{
    all, apply, cases, create, delete, edits, fetch, of_kind, pages, pull, push, reads, target,
};
use super::{Subject, collection, sample};

cases![
    (
        a_token_revoked_between_pages_ends_the_stream_without_a_cursor,
        "E1, E2",
        reads
    ),
    (
        every_facet_says_that_the_credentials_are_refused,
        "E1, E3, E4",
        edits
    ),
];

fn check(subject: &dyn Subject, error: &Error) -> Result<()> {
    ensure!(error.kind == ErrorKind::Unauthorized, "it is told as {error:?}");
    ensure!(
        error.retry == Retry::Permanent,
        "refused credentials are tried again"
    );
    ensure!(!error.operation.is_empty(), "no operation is named");
    ensure!(!error.message.is_empty(), "nothing is said");
    let mut said = format!("{error} {error:?}");
    let mut beneath = std::error::Error::source(error);
    while let Some(source) = beneath {
        said.push_str(&format!(" {source} {source:?}"));
        beneath = source.source();
    }
    for secret in subject.secrets() {
        ensure!(!said.contains(&secret), "a secret is in the error");
    }
    Ok(())
}

async fn a_token_revoked_between_pages_ends_the_stream_without_a_cursor(subject: &dyn Subject) -> Result<()> {
    for title in ["one", "two", "three", "four", "five"] {
        subject.put(&sample::plain(subject.kind(), title)).await?;
    }
    let collection = collection(subject).await?;
    let in_one_page = all(subject, &collection, None).await?.len() == 1;
    if in_one_page {
        subject.revoke().await?;
    }
    let ctx = subject.context();
    let pulled = pages(subject, &ctx, &collection, None, async |count| match count {
        1 => subject.revoke().await,
        _ => Ok(()),
    })
    .await?;
    let error = pulled.error.context("refused credentials are accepted")?;
    check(subject, &error)?;
    for page in &pulled.pages {
        ensure!(page.cursor.is_none(), "a broken pull gives a cursor");
        ensure!(
            page.listing != Listing::Complete,
            "a broken pull calls itself complete"
        );
    }
    Ok(())
}

async fn every_facet_says_that_the_credentials_are_refused(subject: &dyn Subject) -> Result<()> {
    let collection = collection(subject).await?;
    let id = subject.put(&sample::plain(subject.kind(), "there")).await?;
    let there = fetch(subject, &collection, &id).await?;
    subject.revoke().await?;
    let ctx = subject.context();
    let listed = pull(subject)?.collections(&ctx).await;
    check(subject, &listed.err().context("collections are listed")?)?;
    let fetched = pull(subject)?.fetch(&ctx, &collection, &[id]).await;
    check(subject, &fetched.err().context("an object is fetched")?)?;
    let removed = apply(subject, &collection, delete(target(&there))).await?;
    check(subject, &removed.err().context("an object is removed")?)?;
    if !super::capability(subject).create {
        return Ok(());
    }
    let write = of_kind(subject, create(30, sample::plain(subject.kind(), "refused")));
    let written = apply(subject, &collection, write.clone()).await?;
    check(subject, &written.err().context("an object is written")?)?;
    let probed = push(subject)?.probe(&ctx, &collection, &write).await;
    check(subject, &probed.err().context("an object is looked for")?)?;
    Ok(())
}
