//! Trouble on demand: a plan, shared by all simulators, that says which request gets an error answer, loses its
//! connection before or after it took effect, is held back, or is overtaken by somebody else's edit.
//!
//! Tests fill the plan while the simulator runs; the middleware in [`crate::server`] consults it per request.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use tokio_util::sync::CancellationToken;

/// Which requests a rule concerns. Every condition that is set has to hold.
#[derive(Clone, Debug, Default)]
pub struct Match {
    method: Option<Method>,
    path: Option<String>,
    query: Option<String>,
    skip: usize,
}

impl Match {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests whose percent-encoded path contains `part`.
    pub fn path(part: impl Into<String>) -> Self {
        Self {
            path: Some(part.into()),
            ..Self::default()
        }
    }

    /// Requests with this method.
    pub fn method(method: Method) -> Self {
        Self {
            method: Some(method),
            ..Self::default()
        }
    }

    /// Narrows the rule to one method.
    #[must_use]
    pub fn with_method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Narrows the rule to paths that contain `part`.
    #[must_use]
    pub fn with_path(mut self, part: impl Into<String>) -> Self {
        self.path = Some(part.into());
        self
    }

    /// Narrows the rule to requests whose raw query string contains `part`.
    #[must_use]
    pub fn with_query(mut self, part: impl Into<String>) -> Self {
        self.query = Some(part.into());
        self
    }

    /// Starts with the nth matching request from now on, counted from 1.
    #[must_use]
    pub fn nth(mut self, nth: usize) -> Self {
        self.skip = nth.saturating_sub(1);
        self
    }

    fn accepts(&self, method: &Method, path: &str, query: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.path.as_ref().is_none_or(|part| path.contains(part.as_str()))
            && self
                .query
                .as_ref()
                .is_none_or(|part| query.contains(part.as_str()))
    }
}

/// What happens to a request that a rule concerns.
#[derive(Clone)]
pub enum Fault {
    /// This answer instead of the simulator's; the request has no effect.
    Answer(FaultAnswer),
    /// The request takes effect, then the connection drops: the client never sees the response.
    LoseResponse,
    /// The connection drops before the request takes effect.
    DropBeforeEffect,
    /// The request is handled after this time.
    Delay(Duration),
    /// The request waits at the gate until the test opens it.
    Hold(Gate),
    /// The hook runs just before the request is handled: somebody else's edit that gets in first.
    Before(Arc<dyn Fn() + Send + Sync>),
}

impl Fault {
    /// An error answer with a body; the content type is JSON when the body looks like it, else plain text.
    pub fn answer(status: u16, body: impl Into<String>) -> Self {
        let body = body.into();
        let content_type = if body.trim_start().starts_with(['{', '[']) {
            "application/json"
        } else {
            "text/plain"
        };
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self::Answer(FaultAnswer {
            status,
            headers,
            body,
        })
    }

    /// Runs `hook` just before the request is handled.
    pub fn before(hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self::Before(Arc::new(hook))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => f.debug_tuple("Answer").field(&answer.status).finish(),
            Self::LoseResponse => f.write_str("LoseResponse"),
            Self::DropBeforeEffect => f.write_str("DropBeforeEffect"),
            Self::Delay(time) => f.debug_tuple("Delay").field(time).finish(),
            Self::Hold(_) => f.write_str("Hold"),
            Self::Before(_) => f.write_str("Before"),
        }
    }
}

/// An answer given in the simulator's place.
#[derive(Clone, Debug)]
pub struct FaultAnswer {
    /// HTTP status.
    pub status: u16,
    /// Header names and values, for example `retry-after`.
    pub headers: Vec<(String, String)>,
    /// Body as sent.
    pub body: String,
}

/// Holds a request back until a test lets it go, and tells the test when one has arrived.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    reached: CancellationToken,
    opened: CancellationToken,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Completes once a request stands at the gate.
    pub async fn reached(&self) {
        self.reached.cancelled().await;
    }

    /// Lets the waiting request, and all later ones, pass.
    pub fn open(&self) {
        self.opened.cancel();
    }

    pub(crate) async fn pass(&self) {
        self.reached.cancel();
        self.opened.cancelled().await;
    }
}

struct Rule {
    wanted: Match,
    fault: Fault,
    /// Matching requests still to let through unharmed.
    skip: usize,
    /// How often it still applies; `None`: always.
    left: Option<usize>,
}

#[derive(Default)]
struct Plan {
    rules: Vec<Rule>,
    fired: usize,
}

/// The plan: rules in the order in which they were added; the first that concerns a request applies to it.
#[derive(Clone, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("pending", &self.pending())
            .field("fired", &self.fired())
            .finish()
    }
}

impl Faults {
    /// A plan without rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next matching request suffers this, once.
    pub fn next(&self, wanted: Match, fault: Fault) {
        self.times(1, wanted, fault);
    }

    /// The next `count` matching requests suffer this.
    pub fn times(&self, count: usize, wanted: Match, fault: Fault) {
        self.add(wanted, fault, Some(count));
    }

    /// Every matching request suffers this until [`Faults::clear`].
    pub fn always(&self, wanted: Match, fault: Fault) {
        self.add(wanted, fault, None);
    }

    /// Forgets all rules.
    pub fn clear(&self) {
        self.lock().rules.clear();
    }

    /// Rules that still wait for a request; those of [`Faults::always`] included.
    pub fn pending(&self) -> usize {
        self.lock().rules.len()
    }

    /// How many requests suffered a fault so far.
    pub fn fired(&self) -> usize {
        self.lock().fired
    }

    fn add(&self, wanted: Match, fault: Fault, left: Option<usize>) {
        if left == Some(0) {
            return;
        }
        let skip = wanted.skip;
        self.lock().rules.push(Rule {
            wanted,
            fault,
            skip,
            left,
        });
    }

    /// The fault for this request, used up by asking.
    pub(crate) fn take(&self, method: &Method, path: &str, query: &str) -> Option<Fault> {
        let mut plan = self.lock();
        let mut hit = None;
        for (index, rule) in plan.rules.iter_mut().enumerate() {
            if !rule.wanted.accepts(method, path, query) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            hit = Some(index);
            break;
        }
        let index = hit?;
        let rule = &mut plan.rules[index];
        let fault = rule.fault.clone();
        if let Some(left) = rule.left.as_mut() {
            *left -= 1;
            if *left == 0 {
                plan.rules.remove(index);
            }
        }
        plan.fired += 1;
        Some(fault)
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_matching_request_is_hit_once_and_others_are_not_counted() {
        let faults = Faults::new();
        faults.next(
            Match::path("/events").with_method(Method::PUT).nth(2),
            Fault::LoseResponse,
        );
        assert!(faults.take(&Method::PUT, "/events/1", "").is_none());
        assert!(faults.take(&Method::GET, "/events/1", "").is_none());
        assert!(matches!(
            faults.take(&Method::PUT, "/events/2", ""),
            Some(Fault::LoseResponse)
        ));
        assert!(faults.take(&Method::PUT, "/events/3", "").is_none());
        assert_eq!((faults.pending(), faults.fired()), (0, 1));
    }

    #[test]
    fn a_lasting_rule_applies_until_it_is_cleared() {
        let faults = Faults::new();
        faults.always(Match::any().with_query("page=3"), Fault::answer(401, "{}"));
        for _ in 0..3 {
            assert!(faults.take(&Method::GET, "/", "a=b&page=3").is_some());
        }
        assert!(faults.take(&Method::GET, "/", "page=2").is_none());
        faults.clear();
        assert!(faults.take(&Method::GET, "/", "page=3").is_none());
    }
}
