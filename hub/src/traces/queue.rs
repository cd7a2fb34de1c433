//! From a span to the collector: a bounded queue, and a task that sends what is in it. Whoever tells a span never waits.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Spans that wait for the collector. What comes beyond is dropped. The defaults of OTEL_BSP_MAX_QUEUE_SIZE and its
/// neighbours: <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>.
const ROOM: usize = 2_048;
/// Spans of one request.
const BATCH: usize = 512;
/// How long a span waits for others to go with.
const GATHER: Duration = Duration::from_secs(1);
/// How long a request to the collector may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long the last spans have when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How much of the collector's answer is read.
const ANSWER_BYTES: usize = 64 << 10;

/// The way to the collector.
#[derive(Clone)]
pub struct Queue(mpsc::Sender<SpanData>);

impl Queue {
    /// A queue, and the task that empties it until `stop` is cancelled.
    #[must_use]
    pub fn start(exporter: SpanExporter, stop: CancellationToken) -> (Self, JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(ROOM);
        (Self(sender), tokio::spawn(send(exporter, receiver, stop)))
    }

    /// Never waits. Whether there was room.
    pub(super) fn put(&self, span: SpanData) -> bool {
        let put = self.0.try_send(span).is_ok();
        if !put {
            dropped("no_room", 1);
        }
        put
    }
}

fn dropped(reason: &'static str, spans: usize) {
    metrics::counter!("concord_trace_spans_dropped_total", "reason" => reason).increment(spans as u64);
}

async fn send(exporter: SpanExporter, mut spans: mpsc::Receiver<SpanData>, stop: CancellationToken) {
    let mut failing = false;
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        let begun = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            begun = spans.recv() => begun,
        };
        let Some(first) = begun else { return };
        batch.push(first);
        let gathered = async {
            while batch.len() < BATCH {
                match spans.recv().await {
                    Some(span) => batch.push(span),
                    None => return,
                }
            }
        };
        tokio::select! {
            () = gathered => {}
            () = tokio::time::sleep(GATHER) => {}
            () = stop.cancelled() => {}
        }
        let export = export(&exporter, batch, &mut failing);
        // What is being sent when the server stops has no longer than what comes after it.
        let in_time = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            () = export => {}
            () = in_time => return,
        }
    }
    spans.close();
    let last = async {
        let mut batch = Vec::new();
        while spans.recv_many(&mut batch, BATCH).await > 0 {
            export(&exporter, std::mem::take(&mut batch), &mut failing).await;
        }
    };
    // The collector is not worth waiting for.
    let _ = tokio::time::timeout(LAST_WORDS, last).await;
}

async fn export(exporter: &SpanExporter, batch: Vec<SpanData>, failing: &mut bool) {
    let count = batch.len();
    let outcome = tokio::time::timeout(ANSWER_WITHIN, exporter.export(batch)).await;
    let problem = match outcome {
        Ok(Ok(())) => {
            metrics::counter!("concord_trace_spans_sent_total").increment(count as u64);
            if std::mem::take(failing) {
                tracing::info!("the collector of traces takes spans again");
            }
            return;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", ANSWER_WITHIN.as_secs()),
    };
    dropped("not_taken", count);
    // Said once, not with every batch.
    if !std::mem::replace(failing, true) {
        tracing::warn!(
            problem,
            "the collector of traces does not take spans; they are dropped, nothing else is"
        );
    }
}

/// The client that the exporter sends with: the one that the rest of the hub uses.
#[derive(Debug)]
pub(super) struct Client(pub(super) reqwest::Client);

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The address may hold a password: errors do not show it.
        let sent = self.0.execute(request.try_into()?).await;
        let mut response = sent.map_err(reqwest::Error::without_url)?;
        let (status, mut body) = (response.status(), Vec::new());
        while let Some(piece) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            if body.len() + piece.len() > ANSWER_BYTES {
                break;
            }
            body.extend_from_slice(&piece);
        }
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() = status;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use connector_sdk::SystemClock;
    use model::InboundId;

    use super::*;
    use crate::traces::{Step, Traces};

    #[test]
    fn a_collector_that_takes_nothing_costs_no_more_than_the_queue() {
        let (sender, mut waiting) = mpsc::channel(ROOM);
        let traces = Traces::into(Queue(sender), 1.0, Arc::new(SystemClock), 7);
        for number in 0..3 * ROOM as u128 {
            let webhook = InboundId::new(1, number);
            let span = traces.step(&webhook, Step::Receive, "webhook receive").unwrap();
            span.end_after(0, Duration::ZERO);
        }
        let mut left = 0;
        while waiting.try_recv().is_ok() {
            left += 1;
        }
        assert_eq!(left, ROOM);
    }

    #[tokio::test]
    async fn a_collector_that_asks_for_patience_stops_nothing_else() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let collector = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v1/traces", collector.local_addr().unwrap());
        let settings = crate::traces::Settings { endpoint, ratio: 1.0 };
        let stop = CancellationToken::new();
        let (queue, task) = Queue::start(settings.exporter("node").unwrap(), stop.clone());
        let traces = Traces::into(queue, 1.0, Arc::new(SystemClock), 7);
        let span = traces.step(&InboundId::new(1, 1), Step::Receive, "webhook receive");
        span.unwrap().end_after(0, Duration::ZERO);
        let (mut asked, _) = collector.accept().await.unwrap();
        let mut request = [0; 4_096];
        assert!(asked.read(&mut request).await.unwrap() > 0);
        asked
            .write_all(b"HTTP/1.1 503 Busy\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        // This runtime has one thread. Were it made to wait, nothing below would come to an end.
        stop.cancel();
        task.await.unwrap();
    }

    #[test]
    fn a_share_of_all_traces_is_told_and_each_whole_or_not_at_all() {
        let (sender, _waiting) = mpsc::channel(1);
        let traces = Traces::into(Queue(sender), 0.25, Arc::new(SystemClock), 7);
        let told = |number| {
            let webhook = InboundId::new(1, number);
            let receive = traces.step(&webhook, Step::Receive, "webhook receive").is_some();
            assert_eq!(
                receive,
                traces.step(&webhook, Step::Take, "webhook take").is_some()
            );
            receive
        };
        let count = (0..4_000).filter(|number| told(*number)).count();
        assert!((800..1_200).contains(&count), "{count} of 4000");
    }
}
