//! Reads objects by their ids: `calendar-multiget` in batches that shrink where the server or the bound on answers
//! demands it, and understands what comes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use connector_sdk::{
    Change, Context, Coverage, Error, ErrorKind, HttpResponse, RemoteId, RemoteObject, RemoteVersion,
};
use mapping::Reason;
use model::Kind;
use sha2::{Digest, Sha256};

use crate::dav::{Ask, Dav, read_multistatus};
use crate::errors;
use crate::hrefs::Collection;
use crate::xml::properties::DavResponse;
use crate::xml::writer;

const FIRST_BATCH: usize = 100;
const LARGEST_BATCH: usize = 400;
/// Batches are not made larger when an answer was larger than this already.
const COMFORTABLE_BYTES: usize = 8 << 20;
/// So many single objects larger than the bound on answers are set aside; with more, the server itself is at fault.
const MAX_OVERSIZED: usize = 3;
/// Versions that are ours, for servers without etags.
const HASHED: &str = "sha256:";

/// An object to read.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) id: RemoteId,
    /// The version the hub holds.
    pub(crate) version: Option<RemoteVersion>,
    /// Whether the hub holds it, or asks for it by name: it is then reported whatever it has become.
    pub(crate) must_report: bool,
}

/// How many objects one request asks for.
#[derive(Debug)]
pub(crate) struct BatchSize {
    size: AtomicUsize,
    oversized: AtomicUsize,
}

impl BatchSize {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            size: AtomicUsize::new(FIRST_BATCH),
            oversized: AtomicUsize::new(0),
        })
    }

    pub(crate) fn get(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    fn went_well(&self, asked: usize, answer_bytes: usize) {
        if answer_bytes < COMFORTABLE_BYTES && asked >= self.get() {
            self.size.store((asked * 2).min(LARGEST_BATCH), Ordering::Relaxed);
        }
    }

    fn was_too_large(&self, asked: usize) {
        self.size.fetch_min((asked / 2).max(1), Ordering::Relaxed);
    }
}

/// The version of an object whose server names none.
pub(crate) fn hashed(body: &[u8]) -> RemoteVersion {
    use std::fmt::Write as _;
    let mut text = String::from(HASHED);
    for byte in Sha256::digest(body) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    RemoteVersion(text)
}

/// Whether a version is the server's own, so that a write can be conditional on it.
pub(crate) fn is_etag(version: &RemoteVersion) -> bool {
    !version.0.starts_with(HASHED)
}

/// Reads objects; one change for each that must be reported, and for each other one that is an event.
pub(crate) async fn read(
    ctx: &Context,
    operation: &'static str,
    collection: &Collection,
    wanted: Vec<Wanted>,
    sizes: &BatchSize,
) -> Result<Vec<Change>, Error> {
    let dav = Dav::new(ctx, operation);
    let mut changes = Vec::with_capacity(wanted.len());
    let mut work = vec![wanted];
    while let Some(mut batch) = work.pop() {
        match ask(&dav, collection, &batch).await? {
            Answered::Well(answer) => {
                sizes.went_well(batch.len(), answer.body.len());
                let (place, asked) = (collection.clone(), batch);
                let (read, silent) = dav
                    .blocking(move || understand(operation, &answer, &place, asked))
                    .await??;
                changes.extend(read);
                for wanted in silent {
                    changes.extend(get(&dav, collection, &wanted).await?);
                }
            }
            Answered::TooMuch(_) if batch.len() > 1 => {
                sizes.was_too_large(batch.len());
                let second = batch.split_off(batch.len() / 2);
                work.extend([second, batch]);
            }
            Answered::TooMuch(error) => {
                if error.kind == ErrorKind::Unexpected
                    && sizes.oversized.fetch_add(1, Ordering::Relaxed) >= MAX_OVERSIZED
                {
                    return Err(error);
                }
                if let Some(wanted) = batch.pop() {
                    changes.push(unreadable(wanted.id, wanted.version, error.message, Bytes::new()));
                }
            }
        }
    }
    Ok(changes)
}

enum Answered {
    Well(HttpResponse),
    /// The request as a whole is refused for what is in it; a smaller one may not be.
    TooMuch(Error),
}

async fn ask(dav: &Dav<'_>, collection: &Collection, batch: &[Wanted]) -> Result<Answered, Error> {
    let body = writer::multiget(batch.iter().map(|wanted| collection.href(&wanted.id)));
    let answer = match dav.ask_xml("REPORT", &collection.url, "1", body).await {
        Ok(answer) => answer,
        // The transport's word for an answer that is larger than allowed.
        Err(error) if error.kind == ErrorKind::Unexpected && error.status.is_some() => {
            return Ok(Answered::TooMuch(error));
        }
        Err(error) => return Err(error),
    };
    match answer.status.as_u16() {
        207 => Ok(Answered::Well(answer)),
        400 | 413 | 422 | 507 => Ok(Answered::TooMuch(errors::refused(dav.operation, &answer))),
        _ => Err(errors::refused(dav.operation, &answer)),
    }
}

/// What an answer says of each object, and the objects it is silent about.
fn understand(
    operation: &'static str,
    answer: &HttpResponse,
    collection: &Collection,
    asked: Vec<Wanted>,
) -> Result<(Vec<Change>, Vec<Wanted>), Error> {
    let document = read_multistatus(operation, answer)?;
    let mut open: HashMap<RemoteId, Wanted> = asked
        .into_iter()
        .map(|wanted| (wanted.id.clone(), wanted))
        .collect();
    let mut changes = Vec::with_capacity(open.len());
    let mut silent = Vec::new();
    for response in document.responses {
        let Some(wanted) = collection.member(&response.href).and_then(|id| open.remove(&id)) else {
            continue;
        };
        match of_response(wanted, response) {
            Said::Something(change) => changes.extend(change.map(|change| *change)),
            Said::Nothing(wanted) => silent.push(wanted),
        }
    }
    silent.extend(open.into_values());
    Ok((changes, silent))
}

enum Said {
    /// What the object is now; `None` where it is of no concern.
    Something(Option<Box<Change>>),
    Nothing(Wanted),
}

fn of_response(wanted: Wanted, response: DavResponse) -> Said {
    let etag = response.found.etag.map(RemoteVersion);
    let change = match (response.status, response.found.data) {
        // An explicit statement about this very object.
        (Some(404 | 410), _) => Some(Change::Deleted(wanted.id)),
        (Some(status), _) if !(200..300).contains(&status) => {
            Some(unreadable(wanted.id, etag, refusal(status), Bytes::new()))
        }
        (_, Some(data)) => understood(wanted, etag, data),
        (_, None) => match (response.data_refused, etag) {
            (Some(404) | None, None) => return Said::Nothing(wanted),
            (Some(404) | None, etag) => {
                let reason = "the server names this object but has no calendar data of it".to_owned();
                Some(unreadable(wanted.id, etag, reason, Bytes::new()))
            }
            (Some(status), etag) => Some(unreadable(wanted.id, etag, refusal(status), Bytes::new())),
        },
    };
    Said::Something(change.map(Box::new))
}

fn refusal(status: u16) -> String {
    format!("the server refuses to show this object (HTTP {status})")
}

/// An object as it is now. Nothing is parsed when a server without etags sends what the hub holds already.
fn understood(wanted: Wanted, etag: Option<RemoteVersion>, data: Bytes) -> Option<Change> {
    let version = etag.unwrap_or_else(|| hashed(&data));
    if !is_etag(&version) && wanted.version.as_ref() == Some(&version) {
        return Some(Change::Unchanged(wanted.id));
    }
    match mapping::ical::read(&data) {
        Ok(content) => Some(Change::Present(Box::new(RemoteObject {
            id: wanted.id,
            version: Some(version),
            kind: Kind::Event,
            series: None,
            coverage: Coverage::Full,
            content,
            raw: data,
        }))),
        Err(error) if error.reason == Reason::NotAnEvent && !wanted.must_report => None,
        Err(error) => Some(unreadable(wanted.id, Some(version), error.to_string(), data)),
    }
}

fn unreadable(id: RemoteId, version: Option<RemoteVersion>, reason: String, raw: Bytes) -> Change {
    Change::Unreadable {
        id,
        version,
        reason,
        raw,
    }
}

/// Reads one object with GET: the last word on an object that a report is silent about.
async fn get(dav: &Dav<'_>, collection: &Collection, wanted: &Wanted) -> Result<Option<Change>, Error> {
    let mut url = collection.url.clone();
    url.set_path(collection.href(&wanted.id));
    let answer = dav
        .send(Ask {
            method: "GET",
            url: &url,
            headers: &[("accept", "text/calendar")],
            body: Bytes::new(),
        })
        .await?;
    match answer.status.as_u16() {
        200 if errors::is_web_page(&answer) => Err(errors::refused(dav.operation, &answer)),
        200 => {
            let etag = answer.header("etag").map(|etag| RemoteVersion(etag.to_owned()));
            let wanted = wanted.clone();
            dav.blocking(move || understood(wanted, etag, answer.body)).await
        }
        404 | 410 => Ok(Some(Change::Deleted(wanted.id.clone()))),
        400 | 403 | 405..=409 | 411..=428 => {
            let reason = refusal(answer.status.as_u16());
            Ok(Some(unreadable(
                wanted.id.clone(),
                wanted.version.clone(),
                reason,
                Bytes::new(),
            )))
        }
        _ => Err(errors::refused(dav.operation, &answer)),
    }
}

/// The present state of single objects, one change each, in order.
pub(crate) async fn fetch(
    ctx: &Context,
    operation: &'static str,
    collection: &Collection,
    ids: &[RemoteId],
) -> Result<Vec<Change>, Error> {
    let sizes = BatchSize::new();
    let mut found = HashMap::with_capacity(ids.len());
    for ids in ids.chunks(FIRST_BATCH) {
        let wanted = ids
            .iter()
            .map(|id| Wanted {
                id: id.clone(),
                version: None,
                must_report: true,
            })
            .collect();
        for change in read(ctx, operation, collection, wanted, &sizes).await? {
            found.insert(change.id().clone(), change);
        }
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}
