//! What a simulator was asked, so that a test can say "one edit, one write" and "ten idle rounds, no write".
//!
//! Credentials never enter it: no `Authorization` value, no token in a query string.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, Method, StatusCode, Uri};

/// Request headers worth keeping: preconditions, content and WebDAV scope. `Authorization` is never among them.
const KEPT_HEADERS: &[&str] = &[
    "if-match",
    "if-none-match",
    "content-type",
    "content-length",
    "depth",
    "prefer",
    "destination",
    "overwrite",
    "user-agent",
    "schedule-reply",
];

/// Query parameters that carry credentials.
const SECRET_PARAMETERS: &[&str] = &[
    "access_token",
    "oauth_token",
    "key",
    "refresh_token",
    "client_secret",
    "code",
];

/// A point in the log, for [`RequestLog::since`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRequest {
    /// Order of arrival, from 1.
    pub sequence: u64,
    /// HTTP or WebDAV method.
    pub method: Method,
    /// Percent-encoded path.
    pub path: String,
    /// Raw query string, credentials blanked; empty when there was none.
    pub query: String,
    /// Some request headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Whether it may change something that a person sees.
    pub is_write: bool,
    /// Answer's status; none while in flight, or when the connection was cut instead.
    pub status: Option<u16>,
}

/// The log; clones share it.
#[derive(Clone, Debug)]
pub struct RequestLog {
    entries: Arc<Mutex<Vec<LoggedRequest>>>,
    reads_too: fn(&Method, &str) -> bool,
}

impl Default for RequestLog {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestLog {
    /// Counts GET, HEAD, OPTIONS, PROPFIND and REPORT as reads, everything else as writes.
    pub fn new() -> Self {
        Self::with_reads(|_, _| false)
    }

    /// As [`RequestLog::new`], with more reads: those `(method, path)` for which `reads_too` holds, such as a
    /// query sent with POST.
    pub fn with_reads(reads_too: fn(&Method, &str) -> bool) -> Self {
        Self {
            entries: Arc::default(),
            reads_too,
        }
    }

    /// Requests that may have changed something.
    pub fn writes(&self) -> usize {
        self.lock().iter().filter(|entry| entry.is_write).count()
    }

    /// Requests that only read.
    pub fn reads(&self) -> usize {
        self.lock().iter().filter(|entry| !entry.is_write).count()
    }

    /// Everything so far, in order of arrival.
    pub fn entries(&self) -> Vec<LoggedRequest> {
        self.lock().clone()
    }

    /// The present end of the log.
    pub fn mark(&self) -> Mark {
        Mark(self.lock().len() as u64)
    }

    /// What arrived after the mark.
    pub fn since(&self, mark: Mark) -> Vec<LoggedRequest> {
        self.lock()
            .iter()
            .filter(|entry| entry.sequence > mark.0)
            .cloned()
            .collect()
    }

    /// The writes that arrived after the mark.
    pub fn writes_since(&self, mark: Mark) -> Vec<LoggedRequest> {
        self.lock()
            .iter()
            .filter(|entry| entry.sequence > mark.0 && entry.is_write)
            .cloned()
            .collect()
    }

    pub(crate) fn arrived(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> u64 {
        let is_read = matches!(
            method.as_str(),
            "GET" | "HEAD" | "OPTIONS" | "PROPFIND" | "REPORT"
        ) || (self.reads_too)(method, uri.path());
        let mut entries = self.lock();
        let sequence = entries.len() as u64 + 1;
        entries.push(LoggedRequest {
            sequence,
            method: method.clone(),
            path: uri.path().to_owned(),
            query: blank_secrets(uri.query().unwrap_or_default()),
            headers: kept(headers),
            is_write: !is_read,
            status: None,
        });
        sequence
    }

    pub(crate) fn answered(&self, sequence: u64, status: StatusCode) {
        let index = usize::try_from(sequence).unwrap_or(usize::MAX).wrapping_sub(1);
        if let Some(entry) = self.lock().get_mut(index) {
            entry.status = Some(status.as_u16());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<LoggedRequest>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kept(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for name in KEPT_HEADERS {
        if let Some(value) = headers.get(*name).and_then(|value| value.to_str().ok()) {
            found.insert((*name).to_owned(), value.to_owned());
        }
    }
    found
}

fn blank_secrets(query: &str) -> String {
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((name, _)) if SECRET_PARAMETERS.contains(&name) => format!("{name}=[redacted]"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("&")
}
