//! Ids of traces and spans. Those of a webhook follow from its id, so that every node that has to do with it, at any
//! time, says the same without being told: nothing of a trace is stored.

use model::{InboundId, OutboundDeliveryId};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use sha2::{Digest as _, Sha256};

/// A step on a webhook's way that others refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It came in: the first of its trace.
    Receive,
    /// A job took it.
    Take,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Take => "take",
        }
    }
}

fn hash<const BYTES: usize>(parts: &[&[u8]]) -> [u8; BYTES] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let whole = digest.finalize();
    let mut bytes = [0; BYTES];
    bytes.copy_from_slice(&whole[..BYTES]);
    // All zeros would mean none.
    bytes[BYTES - 1] |= u8::from(bytes == [0; BYTES]);
    bytes
}

/// The trace of a webhook.
pub(crate) fn trace(webhook: &InboundId) -> TraceId {
    TraceId::from_bytes(hash(&[b"concord trace", webhook.as_str().as_bytes()]))
}

/// The trace of a delivery that no webhook brought about: its attempts.
pub(crate) fn trace_of_delivery(delivery: &OutboundDeliveryId) -> TraceId {
    TraceId::from_bytes(hash(&[b"concord trace", delivery.as_str().as_bytes()]))
}

/// A step of a webhook's trace.
pub(crate) fn step(webhook: &InboundId, step: Step) -> SpanId {
    SpanId::from_bytes(hash(&[
        b"concord span",
        step.name().as_bytes(),
        webhook.as_str().as_bytes(),
    ]))
}

/// A span that nobody else refers to: by what was drawn once for the process, and a number.
pub(crate) fn leaf(process: u128, number: u64) -> SpanId {
    SpanId::from_bytes(hash(&[
        b"concord leaf",
        &process.to_be_bytes(),
        &number.to_be_bytes(),
    ]))
}

/// A span as others refer to it.
pub(crate) fn context(trace: TraceId, span: SpanId, remote: bool) -> SpanContext {
    SpanContext::new(trace, span, TraceFlags::SAMPLED, remote, TraceState::default())
}

/// Where a `traceparent` header says that a request comes from
/// (<https://www.w3.org/TR/trace-context/#traceparent-header>). Anyone can write one.
pub(crate) fn parse(header: &str) -> Option<SpanContext> {
    let mut fields = header.split('-');
    let (version, trace, span) = (fields.next()?, fields.next()?, fields.next()?);
    let flags = fields.next()?;
    let digits = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let fits =
        digits(version, 2) && version != "ff" && digits(trace, 32) && digits(span, 16) && digits(flags, 2);
    if !fits || (version == "00" && fields.next().is_some()) {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    (trace != TraceId::INVALID && span != SpanId::INVALID).then(|| context(trace, span, true))
}

/// The `traceparent` header of a request that a span sends.
pub(crate) fn header(context: &SpanContext) -> String {
    format!("00-{}-{}-01", context.trace_id(), context.span_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_the_webhook_and_differ_from_each_other() {
        let (one, two) = (InboundId::new(1, 1), InboundId::new(1, 2));
        assert_eq!(trace(&one), trace(&one.clone()));
        assert_ne!(trace(&one), trace(&two));
        assert_ne!(step(&one, Step::Receive), step(&one, Step::Take));
        assert_ne!(leaf(1, 1), leaf(1, 2));
    }

    #[test]
    fn a_header_is_read_as_it_is_written_and_nothing_else_is() {
        let sent = context(trace(&InboundId::new(1, 1)), leaf(1, 1), true);
        let read = parse(&header(&sent)).unwrap();
        assert_eq!(
            (read.trace_id(), read.span_id()),
            (sent.trace_id(), sent.span_id())
        );
        let good = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(parse(&format!("00-{good}")).is_some());
        for bad in [
            "",
            "00",
            &format!("ff-{good}"),
            &format!("00-{good}-more"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
