//! The connector contract, executed. `docs/specs/connector.md` states it in MUSTs; each case here names the ones
//! that it checks. Cases are chosen by capability, so that a connector is held to what it says it can do.
//!
//! A connector's own tests give a [`Subject`]: the connector, a context, and hands to act as another client of the
//! same account. [`run`] takes a fresh one for each case.

mod case;
mod context;
mod errors;
mod facets;
mod reading;
pub mod sample;
mod series;
pub mod webhooks;
mod writing;

use async_trait::async_trait;
use connector_sdk::{Capability, Connector, Context, RemoteCollection, RemoteId};
use model::{Content, Kind};

pub use context::{context, no_network};

use case::Case;
pub use webhooks::Deliveries;

/// A connector under test, connected to a provider that the test controls.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The connector.
    fn connector(&self) -> &dyn Connector;

    /// A context with working credentials.
    fn context(&self) -> Context;

    /// The kind that is exchanged with it.
    fn kind(&self) -> Kind {
        Kind::Event
    }

    /// The id of an empty, writable collection of that kind. A full pull of it takes several pages from three objects
    /// on, unless the provider has no pages.
    fn collection(&self) -> RemoteId;

    /// An id that no object of the collection ever had.
    fn absent(&self) -> RemoteId;

    /// Another client stores a record without overrides.
    async fn put(&self, content: &Content) -> anyhow::Result<RemoteId>;

    /// Another client changes a record's title.
    async fn retitle(&self, id: &RemoteId, title: &str) -> anyhow::Result<()>;

    /// Another client deletes a record.
    async fn delete(&self, id: &RemoteId) -> anyhow::Result<()>;

    /// The cursors that were given out stop working.
    async fn expire_cursors(&self) -> anyhow::Result<()>;

    /// The credentials stop working for good.
    async fn revoke(&self) -> anyhow::Result<()>;

    /// The next write takes effect and its answer is lost; `false` when the provider cannot be made to do so.
    async fn lose_next_answer(&self) -> bool {
        false
    }

    /// Another client stores something that cannot be understood; `None` when the provider would not take it.
    async fn put_unreadable(&self) -> anyhow::Result<Option<RemoteId>> {
        Ok(None)
    }

    /// Write requests that the provider got from the connector.
    fn writes(&self) -> usize;

    /// Mails that the provider sent, or would have sent, to attendees.
    fn mails(&self) -> usize {
        0
    }

    /// Deliveries as the provider sends them; needed where the capability says `webhook`.
    fn deliveries(&self) -> Option<Deliveries> {
        None
    }

    /// Texts that must never be in an error: passwords, tokens.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Runs every case that the connector's capability calls for, each with a fresh subject.
///
/// # Errors
/// One line per case that failed, with the MUSTs it executes.
pub async fn run<S: Subject>(fresh: impl AsyncFn() -> anyhow::Result<S>) -> anyhow::Result<()> {
    let mut failures = Vec::new();
    let mut checked = 0;
    for case in cases() {
        let subject = fresh().await?;
        let capability = subject.connector().capability(subject.kind());
        if !(case.needs)(&capability) {
            continue;
        }
        checked += 1;
        if let Err(error) = (case.check)(&subject).await {
            failures.push(format!("{} ({}): {error:#}", case.name, case.musts));
        }
    }
    anyhow::ensure!(checked > 0, "the capability calls for no case at all");
    anyhow::ensure!(
        failures.is_empty(),
        "{} of {checked} cases failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    Ok(())
}

fn cases() -> Vec<Case> {
    [
        facets::CASES,
        reading::CASES,
        writing::CASES,
        series::CASES,
        errors::CASES,
        webhooks::CASES,
    ]
    .concat()
}

/// The collection as the connector lists it.
async fn collection(subject: &dyn Subject) -> anyhow::Result<RemoteCollection> {
    let pull = case::pull(subject)?;
    let wanted = subject.collection();
    let listed = pull.collections(&subject.context()).await?;
    listed
        .into_iter()
        .find(|collection| collection.id == wanted)
        .ok_or_else(|| anyhow::anyhow!("`collections` leaves {wanted} out"))
}

/// The capability for the subject's kind.
fn capability(subject: &dyn Subject) -> Capability {
    subject.connector().capability(subject.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = include_str!("../../../docs/specs/connector.md");

    #[test]
    fn every_case_names_musts_that_the_specification_states() {
        for case in cases() {
            for must in case.musts.split(", ") {
                assert!(
                    SPEC.contains(&format!("**{must}**")),
                    "{} names {must}",
                    case.name
                );
            }
        }
    }

    #[test]
    fn every_must_says_whether_a_case_executes_it() {
        let executed: Vec<&str> = cases().iter().flat_map(|case| case.musts.split(", ")).collect();
        for line in SPEC.lines().filter(|line| line.starts_with("- **")) {
            let must = line.trim_start_matches("- **").split("**").next().unwrap();
            let marked = line.contains("*(by review)*");
            assert_ne!(executed.contains(&must), marked, "{must}");
        }
    }
}
