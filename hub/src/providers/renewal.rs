//! Renewal of credentials: one request to the vendor, however many jobs on however many nodes want it. Who may ask is a
//! lease in the store; everybody else waits for what is stored. New tokens are handed out only once they are stored.

use std::sync::Arc;
use std::time::Duration;

use connector_sdk::{Clock, Connector, Context, Credentials, Error, ErrorKind, Retry, oauth};
use secrecy::SecretString;
use store::{Grant, Held, RenewalEnd, RenewalLease, SqliteStore};
use sync::state::Connection;
use tokio_util::task::TaskTracker;

use super::stored;
use crate::consent::apps;

/// Longest wait for a token endpoint's answer, unless a test cannot wait so long. Shorter than the lease, so that who waits
/// for it in vain still holds it.
pub const TOKEN_PATIENCE: Duration = Duration::from_secs(20);
/// How long a renewal is one node's.
const LEASE_MS: i64 = 60_000;
/// Longest wait for somebody else's renewal: two who die with it.
const WAIT_MS: i64 = 2 * LEASE_MS + 10_000;
/// How often who waits looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Before the vendor is asked again that was in trouble, unless it says when.
const PAUSE_MS: i64 = 10_000;
/// Before the vendor is asked again that refused something that only people can put right.
const LONG_PAUSE_MS: i64 = 300_000;
/// How long an answer of the vendor is tried to be stored.
const STORED_WITHIN_MS: i64 = 600_000;
const STORED_AGAIN_AFTER: Duration = Duration::from_millis(500);
const OPERATION: &str = "auth.refresh";

/// Renews credentials of this node's connections.
pub(super) struct Renewals {
    pub(super) store: SqliteStore,
    pub(super) clock: Arc<dyn Clock>,
    /// The node, for whoever looks into the store.
    pub(super) node: String,
    /// Those whose answers are not stored yet.
    pub(super) under_way: TaskTracker,
    /// Longest wait for a token endpoint's answer.
    pub(super) patience: Duration,
}

/// Whose credentials, and how the vendor is reached.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) connection: Connection,
    pub(super) connector: Arc<dyn Connector>,
    /// Its context, whose transport renews nothing by itself.
    pub(super) ctx: Context,
    /// Held by whoever of this process asks or waits.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

impl Renewals {
    /// Waits until what vendors were asked is answered and stored, as long as one of them may take.
    pub(super) async fn end(&self) {
        self.under_way.close();
        if tokio::time::timeout(self.patience, self.under_way.wait())
            .await
            .is_err()
        {
            tracing::warn!("a renewal of credentials did not end in time; what the vendor answers is lost");
        }
    }

    /// The credentials of a connection as they are stored.
    pub(super) async fn held(&self, connection: &Connection) -> Result<Held, Error> {
        let held = self
            .store
            .held_credentials(&connection.organization, &connection.id);
        held.await.map_err(stored)?.ok_or_else(|| {
            let message = "the connection was removed, its credentials with it";
            Error::new(ErrorKind::Unauthorized, OPERATION, message)
        })
    }

    /// Credentials that came after generation `seen`: somebody else's renewal, or one that is made now.
    ///
    /// # Errors
    /// `Unauthorized` when the vendor refuses for good; nothing is asked a second time then. `Unavailable` while it is
    /// in trouble.
    pub(super) async fn renew(self: &Arc<Self>, subject: &Subject, seen: i64) -> Result<Held, Error> {
        let _turn = subject.turn.lock().await;
        let until = self.clock.now_ms() + WAIT_MS;
        loop {
            let held = self.held(&subject.connection).await?;
            if held.generation != seen {
                return Ok(held);
            }
            check(&held, self.clock.now_ms())?;
            let connection = &subject.connection;
            // Before the lease, so that whoever has it only has to ask.
            let grant = self.store.grant(&connection.organization, &connection.id).await;
            let grant = grant.map_err(stored)?;
            let lease = self
                .store
                .lease_renewal(
                    &connection.organization,
                    &connection.id,
                    seen,
                    &self.node,
                    LEASE_MS,
                )
                .await
                .map_err(stored)?;
            if let Some(lease) = lease {
                // In a task of its own: whoever waits may be called off, and what the vendor answers is kept all the same.
                let (this, subject) = (Arc::clone(self), subject.clone());
                let renewal = async move { this.carry_out(subject, grant, held, lease).await };
                let task = self.under_way.spawn(renewal);
                task.await.map_err(|error| {
                    let message = "the renewal of the credentials broke off; tried again later";
                    Error::new(ErrorKind::Unavailable, OPERATION, message).with_source(error)
                })??;
            } else if self.clock.now_ms() >= until {
                let message =
                    "another node has been renewing the credentials for too long; tried again later";
                return Err(Error::new(ErrorKind::Unavailable, OPERATION, message));
            } else {
                self.clock.sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Asks the vendor and writes down what came of it. A lease that was lost meanwhile is no error: what is stored then
    /// is newer.
    async fn carry_out(
        &self,
        subject: Subject,
        grant: Option<Grant>,
        held: Held,
        lease: RenewalLease,
    ) -> Result<(), Error> {
        let connection = &subject.connection;
        let asked = tokio::time::timeout(
            self.patience,
            self.ask(&subject, grant.as_ref(), &held.credentials),
        )
        .await;
        let asked = asked.unwrap_or_else(|_| {
            let message = "the vendor did not answer in time; tried again later";
            Err(Error::new(ErrorKind::Unavailable, OPERATION, message))
        });
        let (reason, trouble);
        let (end, outcome) = match asked {
            Ok(Some(ref renewed)) => (RenewalEnd::Renewed(renewed), Ok(())),
            // A password that is refused once may be taken again: nothing is written down that would keep it from being tried.
            Ok(None) => {
                let end = RenewalEnd::Failed {
                    renew_after: self.clock.now_ms(),
                    doubtful: false,
                    trouble: None,
                };
                let message =
                    "the provider refuses the credentials, and they are of a sort that cannot be renewed";
                (end, Err(Error::new(ErrorKind::Unauthorized, OPERATION, message)))
            }
            Err(error) if error.kind == ErrorKind::Unauthorized => {
                reason = refusal(connection, &error, grant.is_some(), lease.doubtful);
                let error = Error::new(ErrorKind::Unauthorized, OPERATION, reason.clone());
                (RenewalEnd::Refused(&reason), Err(error))
            }
            Err(error) => {
                trouble = (error.kind == ErrorKind::PermissionDenied).then(|| error.message.clone());
                let end = RenewalEnd::Failed {
                    renew_after: self.clock.now_ms() + pause_ms(&error),
                    doubtful: error.is_doubtful(),
                    trouble: trouble.as_deref(),
                };
                (end, Err(error))
            }
        };
        let kept = self.write_down(connection, &lease, end).await?;
        match (&outcome, kept) {
            (Ok(()), true) => tracing::info!(connection = %connection.id, "credentials renewed"),
            (Err(error), true) => {
                tracing::warn!(%error, connection = %connection.id, "credentials not renewed")
            }
            (Ok(()) | Err(_), false) => {
                tracing::warn!(connection = %connection.id,
                    "a renewal ended too late: others stand in its place, and it was not stored");
                return Ok(());
            }
        }
        outcome
    }

    /// Stores what came of a renewal. The vendor may have ended the token before: so nothing is given up while the store
    /// cannot be reached, for ten minutes. Whether the lease still stood.
    async fn write_down(
        &self,
        connection: &Connection,
        lease: &RenewalLease,
        end: RenewalEnd<'_>,
    ) -> Result<bool, Error> {
        let until = self.clock.now_ms() + STORED_WITHIN_MS;
        loop {
            let ended = self.store.end_renewal(&connection.organization, lease, end);
            match ended.await {
                Ok(kept) => return Ok(kept),
                Err(error) if self.clock.now_ms() < until => {
                    tracing::error!(%error, connection = %connection.id, "what came of a renewal could not be stored; tried again");
                    self.clock.sleep(STORED_AGAIN_AFTER).await;
                }
                Err(error) => return Err(stored(error)),
            }
        }
    }

    /// `None` where the credentials are of a sort that nothing renews.
    async fn ask(
        &self,
        subject: &Subject,
        grant: Option<&Grant>,
        credentials: &Credentials,
    ) -> Result<Option<Credentials>, Error> {
        let Some(grant) = grant else {
            let mut ctx = subject.ctx.clone();
            ctx.credentials = Arc::new(credentials.clone());
            return subject.connector.auth().refresh(&ctx).await;
        };
        let app = apps::load(&self.store, subject.connector.as_ref(), &grant.app).await?;
        let Some(token) = credentials.get("refresh_token").filter(|token| !token.is_empty()) else {
            let message = "the vendor gave no refresh token with its consent, and the access token has ended";
            return Err(Error::new(ErrorKind::Unauthorized, OPERATION, message));
        };
        let http = subject.ctx.http.as_ref();
        let granted =
            oauth::refresh(http, app.declared, &app.registration, &SecretString::from(token)).await?;
        Ok(Some(granted.over(credentials, self.clock.now_ms())))
    }
}

/// Whether these may be renewed now.
fn check(held: &Held, now_ms: i64) -> Result<(), Error> {
    if let Some(reason) = &held.refused {
        return Err(Error::new(ErrorKind::Unauthorized, OPERATION, reason.clone()));
    }
    match held.renew_after.map(|after| after - now_ms) {
        Some(left @ 1..) => {
            let pause = Duration::from_millis(u64::try_from(left).unwrap_or_default());
            if let Some(trouble) = &held.trouble {
                let error = Error::new(ErrorKind::PermissionDenied, OPERATION, trouble.clone());
                return Err(error.with_retry(Retry::After(pause)));
            }
            let message = "the credentials have to be renewed, and the vendor was in trouble when it was asked; it is \
                           asked again in a moment";
            Err(Error::new(ErrorKind::Unavailable, OPERATION, message).with_retry(Retry::After(pause)))
        }
        Some(_) | None => Ok(()),
    }
}

fn pause_ms(error: &Error) -> i64 {
    match error.retry {
        Retry::After(pause) => {
            i64::try_from(pause.as_millis()).map_or(LONG_PAUSE_MS, |pause| pause.min(3_600_000))
        }
        Retry::Backoff => PAUSE_MS,
        Retry::Permanent => LONG_PAUSE_MS,
    }
}

/// What the connection's owner reads.
fn refusal(connection: &Connection, error: &Error, by_consent: bool, doubtful: bool) -> String {
    let lost = if doubtful {
        " An earlier renewal was sent and its answer never came: the vendor may have replaced the refresh token in it."
    } else {
        ""
    };
    let remedy = if by_consent {
        format!(
            "its owner signs in again: open the connection's `repair_url`, or POST /v1/connections/authorize with \
             \"connection_id\": \"{}\"",
            connection.id
        )
    } else {
        "it is given new credentials".to_owned()
    };
    let message = &error.message;
    format!("{message}.{lost} Nothing is lost; the connection rests until {remedy}")
}
