//! Who sends: every delivery until it is acknowledged, some of them twice.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connector_memory::{MemoryProvider, delivery};
use connector_sdk::{Clock as _, RemoteId, SystemClock};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::site::{Line, Nodes, client};
use crate::scene::{WORK, event, provider};

/// Before a delivery that was turned away comes again; sooner when a node came or went.
const PAUSE: Duration = Duration::from_millis(50);

/// A delivery to send.
pub(super) struct Parcel {
    pub(super) id: String,
    /// The connection that it concerns.
    line: usize,
    body: Bytes,
}

/// Two deliveries for each object, made and changed, in no order; objects are spread over the connections.
pub(super) fn parcels(objects: Range<usize>, lines: usize, rng: &mut StdRng) -> Vec<Parcel> {
    let provider: MemoryProvider = provider();
    let mut parcels = Vec::with_capacity(objects.len() * 2);
    for number in objects {
        let id = format!("object-{number}");
        for title in ["first", "second"] {
            provider.put(WORK, &id, event(&id, title));
            parcels.push(Parcel {
                id: format!("{id}-{title}"),
                line: number % lines,
                body: delivery::body(&[provider.observation(WORK, &RemoteId(id.clone()))]),
            });
        }
        provider.delete(WORK, &id);
    }
    parcels.shuffle(rng);
    parcels
}

/// What the senders have seen.
#[derive(Default)]
pub(super) struct Tally {
    /// Deliveries that were acknowledged.
    pub(super) acknowledged: AtomicUsize,
    /// Deliveries that were acknowledged a second time.
    pub(super) doubled: AtomicUsize,
    /// Requests without an answer.
    pub(super) unanswered: AtomicUsize,
    /// Requests that were answered 503.
    pub(super) turned_away: AtomicUsize,
}

pub(super) fn seen(count: &AtomicUsize) -> usize {
    count.load(Ordering::SeqCst)
}

/// Deliveries on their way.
pub(super) struct Mail {
    pub(super) parcels: Vec<Parcel>,
    pub(super) tally: Tally,
    /// Of each delivery whether it was acknowledged.
    taken: Vec<AtomicBool>,
    lines: Vec<Line>,
    nodes: Arc<Nodes>,
    next: AtomicUsize,
    /// How far the senders may go.
    end: watch::Sender<usize>,
}

impl Mail {
    pub(super) fn new(parcels: Vec<Parcel>, lines: Vec<Line>, nodes: Arc<Nodes>) -> Arc<Self> {
        Arc::new(Self {
            taken: parcels.iter().map(|_| AtomicBool::new(false)).collect(),
            end: watch::channel(parcels.len()).0,
            parcels,
            tally: Tally::default(),
            lines,
            nodes,
            next: AtomicUsize::new(0),
        })
    }

    /// Sends one, once; what was answered, if anything was.
    pub(super) async fn once(&self, at: usize) -> Option<u16> {
        let (url, _flight) = self.nodes.any()?;
        self.once_to(&url, at).await
    }

    /// As [`Self::once`], to the node at this address.
    pub(super) async fn once_to(&self, url: &str, at: usize) -> Option<u16> {
        let parcel = &self.parcels[at];
        let answered = post(&client(), url, &self.lines[parcel.line], parcel).await.ok();
        if answered == Some(200) {
            self.acknowledged(at);
        }
        answered
    }

    fn acknowledged(&self, at: usize) {
        if !self.taken[at].swap(true, Ordering::SeqCst) {
            self.tally.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Lets the senders come so far, at the most, before they wait for more.
    pub(super) fn allow(&self, end: usize) {
        self.end.send_replace(end.min(self.parcels.len()));
    }

    /// How many may be sent by now.
    pub(super) fn allowed(&self) -> usize {
        *self.end.borrow()
    }

    /// Sends all that were not acknowledged yet and are allowed, so many at the same time; ends with the last of all.
    pub(super) fn send(self: &Arc<Self>, senders: usize) -> JoinSet<()> {
        let mut sending = JoinSet::new();
        for _ in 0..senders {
            let mail = Arc::clone(self);
            sending.spawn(async move { mail.send_some().await });
        }
        sending
    }

    async fn send_some(&self) {
        let mut end = self.end.subscribe();
        let http = client();
        loop {
            let allowed = *end.borrow_and_update();
            let next = |at: usize| (at < allowed).then_some(at + 1);
            let Ok(at) = self.next.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next) else {
                if allowed == self.parcels.len() {
                    return;
                }
                end.changed().await.unwrap();
                continue;
            };
            if self.taken[at].load(Ordering::SeqCst) {
                continue;
            }
            let parcel = &self.parcels[at];
            match at % 10 {
                // Its double comes when it is durable, ...
                0 | 5 => {
                    self.until_acknowledged(&http, parcel).await;
                    self.until_acknowledged(&http, parcel).await;
                    self.tally.doubled.fetch_add(1, Ordering::SeqCst);
                }
                // ... or at the same time, where there are several nodes at another one.
                3 => {
                    let twice = [parcel, parcel].map(|parcel| self.until_acknowledged(&http, parcel));
                    futures::future::join_all(twice).await;
                    self.tally.doubled.fetch_add(1, Ordering::SeqCst);
                }
                _ => self.until_acknowledged(&http, parcel).await,
            }
            self.acknowledged(at);
        }
    }

    async fn until_acknowledged(&self, http: &reqwest::Client, parcel: &Parcel) {
        loop {
            let Some((url, flight)) = self.nodes.any() else {
                self.nodes.change(Duration::from_secs(1)).await;
                continue;
            };
            let sent = post(http, &url, &self.lines[parcel.line], parcel).await;
            drop(flight);
            match sent {
                Ok(200) => return,
                Ok(503) => {
                    self.tally.turned_away.fetch_add(1, Ordering::SeqCst);
                }
                Ok(other) => panic!("{other} for {}", parcel.id),
                Err(_) => {
                    self.tally.unanswered.fetch_add(1, Ordering::SeqCst);
                }
            }
            self.nodes.change(PAUSE).await;
        }
    }
}

/// Sends a delivery, signed now; the status of the answer.
async fn post(http: &reqwest::Client, url: &str, line: &Line, parcel: &Parcel) -> reqwest::Result<u16> {
    let now_ms = SystemClock.now_ms();
    let headers = delivery::headers(&line.secret, &parcel.id, now_ms, &parcel.body).unwrap();
    let request = http.post(format!("{url}{}", line.hook)).headers(headers);
    let answer = request.body(parcel.body.clone()).send().await?;
    Ok(answer.status().as_u16())
}
