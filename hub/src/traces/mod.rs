//! Traces (OpenTelemetry): one follows one webhook from its first byte to the client's socket. Off unless a collector is
//! named; then spans go into a bounded queue, and what the collector does not take in time is dropped and counted.
//!
//! Spans say ids, counts and outcomes: no bodies, no headers, no names, no addresses. See `docs/adr/0016-*.md`.

pub(crate) mod follow;
mod ids;
mod queue;
mod settings;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use connector_sdk::Clock;
use model::{InboundId, OutboundDeliveryId};
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tokio::time::Instant;

pub(crate) use follow::Follow;
pub(crate) use ids::{Step, header, parse};
pub use queue::Queue;
pub use settings::{Settings, from_environment};

/// Links of one span.
const MOST_LINKS: usize = 32;

/// Where spans go. Cheap to clone; without a collector it does nothing.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Inner>>);

struct Inner {
    queue: Queue,
    clock: Arc<dyn Clock>,
    scope: InstrumentationScope,
    /// Of a trace's id, as the specification compares them: below it a trace is told.
    ratio: f64,
    process: u128,
    number: AtomicU64,
}

/// When something began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    at_ms: i64,
    instant: Instant,
}

/// A span of a webhook's trace, until it is told.
pub(crate) struct Span<'a> {
    inner: &'a Inner,
    trace: TraceId,
    id: SpanId,
    parent: SpanId,
    kind: SpanKind,
    name: &'static str,
    attributes: Vec<KeyValue>,
    links: Vec<Link>,
    status: Status,
}

impl Traces {
    /// Spans go into this queue.
    #[must_use]
    pub fn into(queue: Queue, ratio: f64, clock: Arc<dyn Clock>, process: u128) -> Self {
        let scope = InstrumentationScope::builder("concord").with_version(env!("CARGO_PKG_VERSION"));
        Self(Some(Arc::new(Inner {
            queue,
            clock,
            scope: scope.build(),
            ratio,
            process,
            number: AtomicU64::new(0),
        })))
    }

    /// Now, if anybody wants to know.
    pub(crate) fn begin(&self) -> Option<Begun> {
        let inner = self.0.as_ref()?;
        Some(Begun {
            at_ms: inner.clock.now_ms(),
            instant: Instant::now(),
        })
    }

    fn of(&self, webhook: &InboundId) -> Option<(&Inner, TraceId)> {
        let inner = self.0.as_deref()?;
        let trace = ids::trace(webhook);
        inner.tells(trace).then_some((inner, trace))
    }

    /// The step of a webhook's trace that others refer to.
    pub(crate) fn step(&self, webhook: &InboundId, step: Step, name: &'static str) -> Option<Span<'_>> {
        let (inner, trace) = self.of(webhook)?;
        let (parent, kind) = match step {
            Step::Receive => (SpanId::INVALID, SpanKind::Server),
            Step::Take => (ids::step(webhook, Step::Receive), SpanKind::Consumer),
        };
        Some(Span::new(
            inner,
            trace,
            ids::step(webhook, step),
            parent,
            kind,
            name,
        ))
    }

    /// What follows from a step of a webhook's trace.
    pub(crate) fn after(
        &self,
        webhook: &InboundId,
        step: Step,
        kind: SpanKind,
        name: &'static str,
    ) -> Option<Span<'_>> {
        let (inner, trace) = self.of(webhook)?;
        Some(Span::new(
            inner,
            trace,
            inner.leaf(),
            ids::step(webhook, step),
            kind,
            name,
        ))
    }

    /// An attempt to deliver: of the trace of the webhook that brought the change about, or of one of its own.
    pub(crate) fn delivery(
        &self,
        webhook: Option<&InboundId>,
        delivery: &OutboundDeliveryId,
    ) -> Option<Span<'_>> {
        let (name, kind) = ("webhook deliver", SpanKind::Client);
        if let Some(webhook) = webhook {
            return self.after(webhook, Step::Take, kind, name);
        }
        let inner = self.0.as_deref()?;
        let trace = ids::trace_of_delivery(delivery);
        let span = Span::new(inner, trace, inner.leaf(), SpanId::INVALID, kind, name);
        inner.tells(trace).then_some(span)
    }

    /// How long ago that was, by the same clock.
    pub(crate) fn since(&self, at_ms: i64) -> Duration {
        let now_ms = self.0.as_ref().map_or(at_ms, |inner| inner.clock.now_ms());
        Duration::from_millis((now_ms - at_ms).max(0).unsigned_abs())
    }
}

impl Inner {
    fn leaf(&self) -> SpanId {
        ids::leaf(self.process, self.number.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether a trace is told: every node decides the same
    /// (<https://opentelemetry.io/docs/specs/otel/trace/sdk/#traceidratiobased>).
    fn tells(&self, trace: TraceId) -> bool {
        if self.ratio >= 1.0 {
            return true;
        }
        let bytes = trace.to_bytes();
        let mut low = [0; 8];
        low.copy_from_slice(&bytes[8..]);
        ((u64::from_be_bytes(low) >> 1) as f64) < self.ratio * (1_u64 << 63) as f64
    }
}

impl<'a> Span<'a> {
    const fn new(
        inner: &'a Inner,
        trace: TraceId,
        id: SpanId,
        parent: SpanId,
        kind: SpanKind,
        name: &'static str,
    ) -> Self {
        Self {
            inner,
            trace,
            id,
            parent,
            kind,
            name,
            attributes: Vec::new(),
            links: Vec::new(),
            status: Status::Unset,
        }
    }

    /// What it says.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(name, value));
        self
    }

    /// That it has to do with a span of somebody else's.
    pub(crate) fn linked(mut self, to: Option<SpanContext>) -> Self {
        if self.links.len() < MOST_LINKS {
            self.links.extend(to.map(Link::with_context));
        }
        self
    }

    /// That it has to do with a step of another webhook.
    pub(crate) fn linked_to(self, webhook: &InboundId, step: Step) -> Self {
        let to = ids::context(ids::trace(webhook), ids::step(webhook, step), false);
        self.linked(Some(to))
    }

    /// That it did not end well.
    pub(crate) fn failed(mut self, failed: bool) -> Self {
        if failed {
            self.status = Status::error(Cow::Borrowed(""));
        }
        self
    }

    /// As others refer to it.
    pub(crate) fn context(&self) -> SpanContext {
        ids::context(self.trace, self.id, false)
    }

    /// Tells it, as ended now.
    pub(crate) fn end(self, begun: Begun) {
        self.end_after(begun.at_ms, begun.instant.elapsed());
    }

    /// Tells it, with this beginning and length.
    pub(crate) fn end_after(mut self, began_ms: i64, took: Duration) {
        let mut links = SpanLinks::default();
        links.links = std::mem::take(&mut self.links);
        let start_time = SystemTime::UNIX_EPOCH + Duration::from_millis(began_ms.unsigned_abs());
        self.inner.queue.put(SpanData {
            span_context: self.context(),
            parent_span_id: self.parent,
            parent_span_is_remote: false,
            span_kind: self.kind,
            name: Cow::Borrowed(self.name),
            start_time,
            end_time: start_time + took,
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: self.status,
            instrumentation_scope: self.inner.scope.clone(),
        });
    }
}
