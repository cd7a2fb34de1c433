//! Which objects of a calendar changed: by `sync-collection` (RFC 6578), else by comparing ctag and etags.

use bytes::Bytes;
use connector_sdk::{Change, Error, ErrorKind, HttpResponse, RemoteId, RemoteVersion};

use crate::cursor::Place;
use crate::dav::Dav;
use crate::errors;
use crate::hrefs::Collection;
use crate::xml::properties::{DavResponse, Properties};
use crate::xml::writer;

/// How the changes are found out.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// The server tells, since a token; everything with an empty one.
    Changes { token: String, initial: bool },
    /// All members are compared with what the hub holds. The ctag was read before they are.
    Compare { ctag: Option<String> },
    /// Nothing changed.
    Nothing { place: Place },
}

/// A member that is there.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: RemoteId,
    pub(crate) version: Option<RemoteVersion>,
}

/// What one question brought.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Members to compare with what the hub holds.
    pub(crate) members: Vec<Member>,
    /// Members of which all is known.
    pub(crate) settled: Vec<Change>,
}

pub(crate) async fn plan(
    dav: &Dav<'_>,
    collection: &Collection,
    place: Option<Place>,
) -> Result<Plan, Error> {
    match place {
        Some(Place::Sync { token }) => Ok(Plan::Changes {
            token,
            initial: false,
        }),
        Some(Place::Compare { ctag }) => {
            let now = own(dav, collection, writer::propfind_ctag()).await?.ctag;
            if ctag.is_some() && ctag == now {
                return Ok(Plan::Nothing {
                    place: Place::Compare { ctag },
                });
            }
            Ok(Plan::Compare { ctag: now })
        }
        None => {
            let own = own(dav, collection, writer::propfind_reports()).await?;
            if own.reports_changes() {
                return Ok(Plan::Changes {
                    token: String::new(),
                    initial: true,
                });
            }
            comparison(dav, collection).await
        }
    }
}

/// The plan for a server that has no `sync-collection`, or turns out to have none.
pub(crate) async fn comparison(dav: &Dav<'_>, collection: &Collection) -> Result<Plan, Error> {
    Ok(Plan::Compare {
        ctag: own(dav, collection, writer::propfind_ctag()).await?.ctag,
    })
}

/// What the server says of the calendar itself.
async fn own(dav: &Dav<'_>, collection: &Collection, question: Bytes) -> Result<Properties, Error> {
    let answer = dav.ask_xml("PROPFIND", &collection.url, "0", question).await?;
    let document = dav.multistatus(answer).await?;
    let own = document
        .responses
        .into_iter()
        .find(|response| collection.is_self(&response.href));
    own.map(|response| response.found).ok_or_else(|| {
        dav.error(
            ErrorKind::Unexpected,
            "the server says nothing about the calendar that was asked for",
        )
    })
}

/// One round of `sync-collection`: what changed, the next token, and whether there is more (507, RFC 6578
/// section 3.6).
pub(crate) async fn changes(
    dav: &Dav<'_>,
    collection: &Collection,
    token: &str,
) -> Result<(Round, String, bool), Error> {
    let body: Bytes = writer::sync_collection(token);
    // RFC 6578 section 3.2: any depth but 0 is an error.
    let answer = dav.ask_xml("REPORT", &collection.url, "0", body).await?;
    if !token.is_empty() && refuses_token(&answer) {
        let status = answer.status.as_u16();
        let message = "the server no longer knows the sync token; everything is listed anew";
        return Err(dav.error(ErrorKind::CursorExpired, message).with_status(status));
    }
    let document = dav.multistatus(answer).await?;
    let Some(next) = document.sync_token else {
        let message = "the server listed changes without a token to go on from";
        return Err(dav.error(ErrorKind::Unexpected, message));
    };
    let mut round = Round::default();
    let mut truncated = false;
    for response in document.responses {
        if collection.is_self(&response.href) {
            truncated |= response.status == Some(507);
        } else {
            round.add(collection, response);
        }
    }
    Ok((round, next, truncated))
}

/// `DAV:valid-sync-token` with whatever status, and what sloppy servers answer in its place.
fn refuses_token(answer: &HttpResponse) -> bool {
    match answer.status.as_u16() {
        400 | 410 => true,
        403 | 409 | 412 => errors::names_condition(answer, "valid-sync-token") || answer.status != 403,
        _ => false,
    }
}

/// All members (RFC 4918 section 9.1).
pub(crate) async fn members(dav: &Dav<'_>, collection: &Collection) -> Result<Round, Error> {
    let answer = dav
        .ask_xml("PROPFIND", &collection.url, "1", writer::propfind_members())
        .await?;
    let document = dav.multistatus(answer).await?;
    if !document
        .responses
        .iter()
        .any(|response| collection.is_self(&response.href))
    {
        // A list that lacks its own collection is no complete list.
        let message = "the server's list of the calendar does not name the calendar itself";
        return Err(dav.error(ErrorKind::Unexpected, message));
    }
    if document
        .responses
        .iter()
        .any(|response| response.status == Some(507))
    {
        let message = "the server cuts its list of the calendar short and offers no way to go on";
        return Err(dav.error(ErrorKind::Unexpected, message));
    }
    let mut round = Round::default();
    for response in document.responses {
        if !collection.is_self(&response.href) {
            round.add(collection, response);
        }
    }
    Ok(round)
}

impl Round {
    fn add(&mut self, collection: &Collection, response: DavResponse) {
        let found = response.found;
        let is_other = found
            .content_type
            .as_ref()
            .is_some_and(|kind| !kind.to_ascii_lowercase().starts_with("text/calendar"));
        if found.is_collection || is_other {
            return;
        }
        let Some(id) = collection.member(&response.href) else {
            tracing::debug!(href = %response.href, "an answer names something outside of the calendar");
            return;
        };
        let version = found.etag.map(RemoteVersion);
        match response.status {
            Some(404 | 410) => self.settled.push(Change::Deleted(id)),
            Some(status) if !(200..300).contains(&status) => self.settled.push(Change::Unreadable {
                id,
                version,
                reason: format!("the server refuses to show this object (HTTP {status})"),
                raw: Bytes::new(),
            }),
            Some(_) | None => self.members.push(Member { id, version }),
        }
    }
}
