//! A webhook's way as spans: what the intake, the store, jobs and those who tell of changes say of it.

use std::time::Duration;

use http::HeaderMap;
use model::{ConnectionId, InboundId, OrganizationId};
use opentelemetry::trace::{SpanContext, SpanKind};
use store::{Change, Committed, NewInbound, Receipt, Watch};
use sync::state::ClaimedJob;

use super::{Begun, Step, Traces, parse};

/// A delivery on its way into the inbox.
pub(crate) struct Arrival {
    begun: Begun,
    sender: Option<SpanContext>,
}

/// A row of the inbox that a delivery became.
pub(crate) struct Arrived {
    id: InboundId,
    organization: OrganizationId,
    /// `None` where nobody owns its route yet.
    connection: Option<ConnectionId>,
}

impl From<&NewInbound> for Arrived {
    fn from(row: &NewInbound) -> Self {
        Self {
            id: row.id.clone(),
            organization: row.organization.clone(),
            connection: row.connection.clone(),
        }
    }
}

impl Arrival {
    /// A delivery begins to be read. Who sent it may say what it belongs to for him: that is noted and not believed.
    pub(crate) fn begin(traces: &Traces, headers: &HeaderMap) -> Option<Self> {
        let begun = traces.begin()?;
        let header = headers.get("traceparent").and_then(|value| value.to_str().ok());
        Some(Self {
            begun,
            sender: header.and_then(parse),
        })
    }

    /// It is durable. The commit began at `commit`.
    pub(crate) fn stored(
        self,
        traces: &Traces,
        provider: &'static str,
        rows: Vec<(Arrived, Receipt)>,
        commit: Option<Begun>,
    ) {
        for (row, receipt) in rows {
            if receipt == Receipt::Seen {
                continue;
            }
            let Some(span) = traces.step(&row.id, Step::Receive, "webhook receive") else {
                continue;
            };
            let span = span
                .with("concord.webhook.id", row.id.to_string())
                .with("concord.organization.id", row.organization.to_string())
                .with("concord.provider", provider)
                .linked(self.sender.clone());
            let span = match &row.connection {
                Some(connection) => span.with("concord.connection.id", connection.to_string()),
                None => span.with("concord.webhook.parked", true),
            };
            span.end(self.begun);
            let stored = traces.after(&row.id, Step::Receive, SpanKind::Internal, "webhook store");
            if let (Some(span), Some(commit)) = (stored, commit) {
                span.end(commit);
            }
        }
    }
}

/// Follows webhooks through the store.
pub(crate) struct Follow(pub(crate) Traces);

impl Watch for Follow {
    fn committed(&self, what: &Committed) {
        let took = self.0.since(what.began_at);
        if what.webhooks.is_empty() {
            self.followed(what, took);
        }
        for webhook in &what.webhooks {
            self.taken(what, webhook, took);
        }
    }
}

impl Follow {
    /// Later work that goes back to a webhook changed something.
    fn followed(&self, what: &Committed, took: Duration) {
        let Some((changes, last)) = what.changes else {
            return;
        };
        let (name, kind) = ("change commit", SpanKind::Internal);
        if let Some(span) = self.0.after(&what.webhook, Step::Take, kind, name) {
            span.with("concord.changes", count(changes))
                .with("concord.change.last_seq", last)
                .with(
                    "concord.job.id",
                    what.job.as_ref().map(ToString::to_string).unwrap_or_default(),
                )
                .end_after(what.began_at, took);
        }
    }

    /// A webhook was taken in, by itself or with others. What changed goes on in the trace of the first, to which the
    /// others are linked.
    fn taken(&self, what: &Committed, webhook: &InboundId, took: Duration) {
        let Some(mut span) = self.0.step(webhook, Step::Take, "webhook take") else {
            return;
        };
        span = span
            .with("concord.webhook.id", webhook.to_string())
            .with("concord.webhooks.together", count(what.webhooks.len()))
            .with(
                "concord.job.id",
                what.job.as_ref().map(ToString::to_string).unwrap_or_default(),
            );
        if *webhook == what.webhook {
            if let Some((changes, last)) = what.changes {
                span = span
                    .with("concord.changes", count(changes))
                    .with("concord.change.last_seq", last);
            }
            for other in what.webhooks.iter().filter(|other| *other != webhook) {
                span = span.linked_to(other, Step::Take);
            }
        } else {
            span = span.linked_to(&what.webhook, Step::Take);
        }
        for other in what.passed_on.iter().filter(|other| **other != what.webhook) {
            span = span.linked_to(other, Step::Take);
        }
        span.end_after(what.began_at, took);
    }
}

/// A job that goes back to a webhook has ended.
pub(crate) fn worked(traces: &Traces, job: &ClaimedJob, begun: Option<Begun>, failed: bool) {
    let Some(webhook) = &job.webhook else { return };
    let span = traces.after(webhook, Step::Take, SpanKind::Internal, "job");
    if let (Some(span), Some(begun)) = (span, begun) {
        span.with("concord.job.id", job.id.to_string())
            .with("concord.job.task", job.task.name())
            .failed(failed)
            .end(begun);
    }
}

/// A change was handed to a client's stream.
pub(crate) fn told(traces: &Traces, change: &Change, transport: &'static str, begun: Option<Begun>) {
    let Some(webhook) = &change.webhook else { return };
    let span = traces.after(webhook, Step::Take, SpanKind::Producer, "stream send");
    if let (Some(span), Some(begun)) = (span, begun) {
        span.with("concord.change.seq", change.seq)
            .with("concord.stream.transport", transport)
            .end(begun);
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
