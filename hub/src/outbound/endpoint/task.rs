//! The task of one endpoint: takes what is ready, sends it at the endpoint's pace, and decides what follows.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use model::OutboundDeliveryId;
use store::{Attempt, DueDelivery, EndpointNote, Outcome, Sent, Then, WebhookEndpoint};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Handle, MOST_READY, Note};
use crate::outbound::pace::{Pace, Turn};
use crate::outbound::schedule::{self, RETRY_WINDOW_MS};
use crate::outbound::send::{Answer, send};
use crate::outbound::sign::Keys;
use crate::outbound::{Dispatcher, message};
use crate::traces::{self, Span};

/// With fewer than this in memory the store is asked for more.
const FEW: usize = 250;
/// How much is asked for.
const PAGE: u32 = 500;
/// How long the store is left alone when it cannot be read.
const PAUSE_MS: i64 = 1_000;
/// The longest that a receiver's `Retry-After` holds up its other deliveries.
const LONGEST_PAUSE_MS: i64 = 3_600_000;
/// Who took nothing for so long is sent what waits at once when back. Less, and their pauses are short anyway; and what
/// fails for itself while others arrive is not to be hurried with each of those.
const OUTAGE_MS: i64 = 600_000;

struct Task {
    dispatcher: Dispatcher,
    handle: Arc<Handle>,
    notes: mpsc::UnboundedReceiver<Note>,
    ready: VecDeque<DueDelivery>,
    /// What is ready, under way, or not yet written down.
    known: HashSet<OutboundDeliveryId>,
    sending: JoinSet<Ended>,
    pace: Pace,
    failing_since: Option<i64>,
    /// The `updated_at` of the endpoint that `ready` was read for.
    read_for: i64,
    /// The `updated_at` of the endpoint that is to be disabled: nothing more is begun until that is written down.
    given_up: Option<i64>,
    keys: Option<Keys>,
    /// The store has something that is due.
    look: bool,
    /// It had more than was taken, or has when the next attempt is written down.
    more: bool,
    /// When these are written down it may have something to send again.
    awaited: HashSet<OutboundDeliveryId>,
    /// When it will have something again.
    next_due: Option<i64>,
}

/// An attempt that ended.
struct Ended {
    delivery: DueDelivery,
    at: i64,
    took: Duration,
    answer: Answer,
}

/// Sends to an endpoint until its handle is stopped and what is under way has ended.
pub(crate) async fn run(dispatcher: Dispatcher, handle: Arc<Handle>, notes: mpsc::UnboundedReceiver<Note>) {
    let endpoint = handle.endpoint();
    let mut task = Task {
        pace: Pace::new(dispatcher.0.limits.concurrency, endpoint.failing_since.is_some()),
        failing_since: endpoint.failing_since,
        read_for: endpoint.updated_at,
        given_up: None,
        dispatcher,
        notes,
        ready: VecDeque::new(),
        known: HashSet::new(),
        sending: JoinSet::new(),
        keys: None,
        look: true,
        more: false,
        awaited: HashSet::new(),
        next_due: None,
        handle,
    };
    task.work().await;
    while let Some(ended) = task.sending.join_next().await {
        task.ended(ended).await;
    }
    task.leave(&endpoint);
}

impl Task {
    async fn work(&mut self) {
        let (dispatcher, handle) = (self.dispatcher.clone(), Arc::clone(&self.handle));
        while !handle.stopped.is_cancelled() {
            let endpoint = handle.endpoint();
            if self.read_for != endpoint.updated_at {
                self.begin_anew(&endpoint);
            }
            self.load(&endpoint).await;
            // What was just read may be of later changes than the endpoint as it was before.
            let endpoint = handle.endpoint();
            let wait_until = self.start(&endpoint).await;
            self.publish();
            let now_ms = dispatcher.0.clock.now_ms();
            let wake = [wait_until, self.next_due].into_iter().flatten().min();
            let wait = wake.map(|at| Duration::from_millis(u64::try_from(at - now_ms).unwrap_or(0)));
            tokio::select! {
                () = handle.stopped.cancelled() => return,
                Some(note) = self.notes.recv() => self.noted(note),
                Some(ended) = self.sending.join_next() => self.ended(ended).await,
                () = dispatcher.0.clock.sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
            while let Ok(note) = self.notes.try_recv() {
                self.noted(note);
            }
            while let Some(ended) = self.sending.try_join_next() {
                self.ended(ended).await;
            }
            if self
                .next_due
                .is_some_and(|due| due <= dispatcher.0.clock.now_ms())
            {
                (self.next_due, self.look) = (None, true);
            }
        }
    }

    /// The endpoint was changed: what is ready may be left out by now, or have to wait for something.
    fn begin_anew(&mut self, endpoint: &WebhookEndpoint) {
        self.read_for = endpoint.updated_at;
        self.failing_since = endpoint.failing_since;
        for delivery in self.ready.drain(..) {
            self.known.remove(&delivery.id);
        }
        self.look = true;
    }

    fn noted(&mut self, note: Note) {
        match note {
            // Made before order mattered: the store says which may go.
            Note::Fresh(_) if self.handle.endpoint().ordered => self.look = true,
            Note::Fresh(fresh) => {
                for delivery in fresh {
                    if self.known.insert(delivery.id.clone()) {
                        self.ready.push_back(delivery);
                    }
                }
            }
            Note::Recorded(ids) => {
                for id in ids {
                    self.known.remove(&id);
                    self.look |= self.awaited.remove(&id);
                }
                self.look |= self.more;
            }
            Note::Look => self.look = true,
        }
    }

    /// Takes what is due from the store. Not while deliveries are being made: they are told, and would come twice.
    async fn load(&mut self, endpoint: &WebhookEndpoint) {
        if !self.look || self.ready.len() >= FEW || self.handle.deriving.load(Ordering::Acquire) {
            return;
        }
        self.look = false;
        let shared = &self.dispatcher.0;
        let (organization, now_ms) = (&endpoint.organization, shared.clock.now_ms());
        let limit = PAGE + u32::try_from(self.known.len()).unwrap_or(PAGE);
        let found = async {
            let due = shared
                .store
                .due_deliveries(organization, &endpoint.id, now_ms, limit)
                .await?;
            let next = shared
                .store
                .next_delivery_due(organization, &endpoint.id, now_ms)
                .await?;
            Ok::<_, sync::ports::StoreError>((due, next))
        };
        match found.await {
            Ok((due, next)) => {
                // Where order matters, what is written down makes room for what waits behind it.
                self.more = endpoint.ordered || due.len() >= limit as usize;
                self.next_due = next;
                for delivery in due {
                    if self.known.insert(delivery.id.clone()) {
                        self.ready.push_back(delivery);
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, endpoint = %endpoint.id, "deliveries cannot be read; tried again soon");
                self.next_due = Some(now_ms + PAUSE_MS);
            }
        }
    }

    /// Begins as much as the pace allows. Answers when to go on, if that is only a matter of time.
    async fn start(&mut self, endpoint: &WebhookEndpoint) -> Option<i64> {
        if self.given_up == Some(endpoint.updated_at) {
            return None;
        }
        while self.sending.len() < self.pace.width() && !self.ready.is_empty() {
            let shared = Arc::clone(&self.dispatcher.0);
            let now_ms = shared.clock.now_ms();
            if let Err(at) = self.pace.take(now_ms, endpoint.rate) {
                return Some(at);
            }
            if !self.keys.as_ref().is_some_and(|keys| keys.fit(endpoint, now_ms)) {
                match Keys::load(&shared.store, endpoint).await {
                    Ok(keys) => self.keys = Some(keys),
                    Err(problem) => {
                        tracing::error!(endpoint = %endpoint.id, "nothing can be signed: {problem}");
                        return Some(now_ms + PAUSE_MS);
                    }
                }
            }
            let (Some(keys), Some(delivery)) = (&self.keys, self.ready.pop_front()) else {
                return None;
            };
            let body = Bytes::from(message::body(&endpoint.id, &delivery));
            let mut headers = keys.headers(delivery.id.as_str(), now_ms.div_euclid(1_000), &body);
            let url = keys.url();
            self.sending.spawn(async move {
                let begun = Instant::now();
                let webhook = delivery
                    .change
                    .as_ref()
                    .and_then(|change| change.webhook.as_ref());
                let span = shared.traces.delivery(webhook, &delivery.id);
                if let Some(span) = &span
                    && let Ok(value) = HeaderValue::from_str(&traces::header(&span.context()))
                {
                    headers.insert("traceparent", value);
                }
                let answer = send(&shared.guard, &url, headers, body, shared.limits).await;
                if let Some(span) = span {
                    attempted(span, &delivery, &answer).end_after(now_ms, begun.elapsed());
                }
                Ended {
                    delivery,
                    at: now_ms,
                    took: begun.elapsed(),
                    answer,
                }
            });
        }
        None
    }

    /// Decides what follows from an attempt, and has it written down.
    async fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // Nobody knows what became of it. The endpoint begins anew with what is stored.
                tracing::error!(%error, "an attempt ended badly");
                self.handle.stop();
                return;
            }
        };
        observe(&ended);
        let endpoint = self.handle.endpoint();
        let (then, note) = self.judge(&endpoint, &ended);
        if matches!(then, Then::Again { .. }) || note == Some(EndpointNote::Back) {
            self.awaited.insert(ended.delivery.id.clone());
        }
        let sent = Sent {
            organization: endpoint.organization.clone(),
            endpoint: endpoint.id.clone(),
            delivery: ended.delivery.id,
            attempt: Attempt {
                number: ended.delivery.attempts + 1,
                at: ended.at,
                took_ms: i64::try_from(ended.took.as_millis()).unwrap_or(i64::MAX),
                outcome: ended.answer.outcome,
                status: ended.answer.status,
                detail: ended.answer.detail,
            },
            then,
            note,
        };
        self.dispatcher.0.recorder.put(sent).await;
    }

    fn judge(&mut self, endpoint: &WebhookEndpoint, ended: &Ended) -> (Then, Option<EndpointNote>) {
        let shared = &self.dispatcher.0;
        let (now_ms, delivery) = (shared.clock.now_ms(), &ended.delivery);
        let delivered = ended.answer.outcome == Outcome::Delivered;
        if delivery.change.is_none() {
            // A test is for the person who waits for it: sent once, and it says nothing of the endpoint.
            return (if delivered { Then::Delivered } else { Then::Dead }, None);
        }
        if delivered {
            return (Then::Delivered, self.well(now_ms, ended.took));
        }
        let begins = self.pace.failed() == Turn::Failing;
        let since = *self.failing_since.get_or_insert(now_ms);
        let wish = ended.answer.retry_after.as_deref();
        let wish = wish.and_then(|value| schedule::wish(value, now_ms));
        if let (Some(wish), Some(429 | 503)) = (wish, ended.answer.status) {
            let wish = i64::try_from(wish.as_millis()).unwrap_or(LONGEST_PAUSE_MS);
            self.pace.pause_until(now_ms + wish.min(LONGEST_PAUSE_MS));
        }
        let attempts = delivery.attempts + 1;
        let next = schedule::next(attempts, now_ms, delivery.deadline, wish, shared.entropy.random());
        let then = next.map_or(Then::Dead, |at| Then::Again { at });
        let note = if ended.answer.status == Some(410) {
            let reason = "the receiver answered 410 Gone: it wants no more deliveries";
            Some(EndpointNote::Disabled(reason.to_owned()))
        } else if now_ms - since >= RETRY_WINDOW_MS {
            let reason = "every attempt failed for 72 hours; what it was not told waits in the feed";
            Some(EndpointNote::Disabled(reason.to_owned()))
        } else {
            begins.then_some(EndpointNote::Failing)
        };
        if let Some(EndpointNote::Disabled(reason)) = &note {
            tracing::warn!(endpoint = %endpoint.id, organization = %endpoint.organization, reason, "webhook endpoint disabled");
            self.given_up = Some(endpoint.updated_at);
        }
        (then, note)
    }

    fn well(&mut self, now_ms: i64, took: Duration) -> Option<EndpointNote> {
        let since = self.failing_since.take();
        if self.pace.succeeded(took) != Turn::Well {
            return None;
        }
        let long = since.is_some_and(|since| now_ms - since >= OUTAGE_MS);
        Some(if long {
            EndpointNote::Back
        } else {
            EndpointNote::Well
        })
    }

    /// Lets the outside know whether there is room for more.
    fn publish(&self) {
        let waits = !self.known.is_empty() || self.next_due.is_some();
        let held = self.pace.is_down() && waits;
        let was_held = self.handle.held.swap(held, Ordering::AcqRel);
        let ready = self.ready.len();
        let had = self.handle.ready.swap(ready, Ordering::AcqRel);
        if (was_held && !held) || (had >= MOST_READY && ready < MOST_READY) {
            self.dispatcher.0.feed.notify_one();
        }
    }

    /// Makes room for the next task of this endpoint.
    fn leave(&self, endpoint: &WebhookEndpoint) {
        let key = (endpoint.organization.clone(), endpoint.id.clone());
        self.dispatcher.0.endpoints().remove(&key);
        self.dispatcher.endpoints_changed();
    }
}

/// What a span says of an attempt.
fn attempted<'a>(span: Span<'a>, delivery: &DueDelivery, answer: &Answer) -> Span<'a> {
    let span = span
        .with("concord.delivery.id", delivery.id.to_string())
        .with("concord.delivery.attempt", i64::from(delivery.attempts) + 1)
        .with("concord.delivery.outcome", answer.outcome.name())
        .failed(answer.outcome != Outcome::Delivered);
    match answer.status {
        Some(status) => span.with("http.response.status_code", i64::from(status)),
        None => span,
    }
}

fn observe(ended: &Ended) {
    let outcome = ended.answer.outcome.name();
    metrics::counter!("concord_outbound_attempts_total", "outcome" => outcome).increment(1);
    metrics::histogram!("concord_outbound_attempt_seconds").record(ended.took.as_secs_f64());
}
