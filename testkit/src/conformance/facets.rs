//! What a connector says of itself.

use anyhow::{Result, ensure};
use connector_sdk::{Access, SeriesModel, WebhookProof};
use model::Kind;

use super::case::cases;
use super::{Subject, capability, collection};

cases![
    (facets_are_there_exactly_when_capability_says_so, "C1", |_| true),
    (a_kind_that_is_not_listed_has_no_capability, "C2", |_| true),
    (fields_are_of_the_kind_and_named_once, "C3", |_| true),
    (imported_credentials_are_checked_before_use, "C5", |_| true),
    (collections_name_kind_access_and_title, "R1", |capability| {
        capability.read
    }),
];

async fn facets_are_there_exactly_when_capability_says_so(subject: &dyn Subject) -> Result<()> {
    let connector = subject.connector();
    let all = Kind::ALL.map(|kind| connector.capability(kind));
    let reads = all.iter().any(|one| one.read);
    let writes = all.iter().any(|one| one.create || one.update || one.delete);
    ensure!(connector.pull().is_some() == reads, "the pull facet");
    ensure!(connector.push().is_some() == writes, "the push facet");
    let receives = all.iter().any(|one| one.webhook != WebhookProof::None);
    ensure!(connector.webhooks().is_some() == receives, "the webhooks facet");
    Ok(())
}

async fn a_kind_that_is_not_listed_has_no_capability(subject: &dyn Subject) -> Result<()> {
    let connector = subject.connector();
    for kind in Kind::ALL {
        let capability = connector.capability(kind);
        let able = capability.read || capability.create || capability.update || capability.delete;
        let listed = connector.info().kinds.contains(&kind);
        ensure!(
            able == listed,
            "{} is listed: {listed}, can be used: {able}",
            kind.name()
        );
    }
    Ok(())
}

async fn fields_are_of_the_kind_and_named_once(subject: &dyn Subject) -> Result<()> {
    for kind in Kind::ALL {
        let capability = subject.connector().capability(kind);
        let mut names: Vec<&str> = capability.fields.iter().map(|support| support.field).collect();
        for name in &names {
            ensure!(
                kind.schema().field(name).is_some(),
                "a {} has no field `{name}`",
                kind.name()
            );
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        ensure!(names.len() == count, "a field is listed twice");
        ensure!(
            capability.reads("recurrence") == (capability.series != SeriesModel::None),
            "a connector that reads recurrences says how series are laid out"
        );
        ensure!(
            !capability.reports_deletes || capability.incremental,
            "deletes are reported by deltas"
        );
        ensure!(capability.batch_max > 0, "a call carries at least one write");
        ensure!(
            capability.webhook != WebhookProof::None || capability.webhook_expires_max_ms.is_none(),
            "only subscriptions expire"
        );
    }
    Ok(())
}

async fn imported_credentials_are_checked_before_use(subject: &dyn Subject) -> Result<()> {
    let auth = subject.connector().auth();
    ensure!(!auth.schemes().is_empty(), "there is no way to connect");
    auth.check(&subject.context().credentials)?;
    Ok(())
}

async fn collections_name_kind_access_and_title(subject: &dyn Subject) -> Result<()> {
    let listed = collection(subject).await?;
    ensure!(listed.kind == subject.kind(), "its kind is {:?}", listed.kind);
    ensure!(
        listed.access == Access::ReadWrite,
        "its access is {:?}",
        listed.access
    );
    ensure!(!listed.name.is_empty(), "it has no title");
    for field in listed.fields.keys() {
        let known = subject.kind().container().unwrap_or(Kind::Calendar);
        ensure!(
            known.schema().field(field).is_some(),
            "a {} has no field `{field}`",
            known.name()
        );
    }
    ensure!(capability(subject).read, "a listed collection can be read");
    Ok(())
}
