//! Finds an account's calendars from whatever address a person gave (RFC 6764 section 6, RFC 4791 section 6.2,
//! RFC 5397): a calendar, a home of calendars, a principal, or just a host.

use std::collections::HashSet;

use connector_sdk::{Access, Context, Error, ErrorKind, HttpResponse, RemoteCollection};
use model::Kind;
use model::calendar::Calendar;
use url::Url;

use crate::dav::Dav;
use crate::hrefs::{id_of, last_segment};
use crate::xml::properties::{DavResponse, Document, Properties};
use crate::xml::writer;

/// Where an address leads.
enum Lead {
    /// To the calendars themselves.
    Calendars(Vec<RemoteCollection>),
    /// To the places where calendars are.
    Homes(Vec<Url>),
    /// To the person, who knows the homes.
    Principal(Url),
}

/// What a place said.
enum Look {
    Found(Lead),
    /// It is not what is looked for; another place may be.
    Elsewhere(Error),
}

/// All calendars of the account that take events.
pub(crate) async fn collections(ctx: &Context) -> Result<Vec<RemoteCollection>, Error> {
    let dav = Dav::new(ctx, "discover");
    let homes = match entry(&dav).await? {
        Lead::Calendars(calendars) => return Ok(calendars),
        Lead::Homes(homes) => homes,
        Lead::Principal(principal) => homes_of(&dav, &principal).await?,
    };
    let mut calendars = Vec::new();
    let mut seen = HashSet::new();
    for home in homes {
        for calendar in calendars_in(&dav, &home).await? {
            if seen.insert(calendar.id.clone()) {
                calendars.push(calendar);
            }
        }
    }
    Ok(calendars)
}

/// Tries the given address, then the well-known one, then the server's root (RFC 6764 section 6, step 5).
async fn entry(dav: &Dav<'_>) -> Result<Lead, Error> {
    let base = &dav.ctx.base_url;
    if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
        let message = "the address must begin with https:// (or http://) and name a server";
        return Err(dav.error(ErrorKind::Invalid, message));
    }
    let mut reason = match look(dav, base).await? {
        Look::Found(lead) => return Ok(lead),
        Look::Elsewhere(error) => error,
    };
    for path in ["/.well-known/caldav", "/"] {
        let Ok(url) = base.join(path) else { continue };
        if url.path() == base.path() {
            continue;
        }
        match look(dav, &url).await? {
            Look::Found(lead) => return Ok(lead),
            // "Nothing there" says least.
            Look::Elsewhere(error) if reason.kind == ErrorKind::NotFound => reason = error,
            Look::Elsewhere(_) => {}
        }
    }
    let message = format!(
        "{}; no CalDAV service was found at {}, /.well-known/caldav or /",
        reason.message,
        base.path()
    );
    Err(Error { message, ..reason })
}

async fn look(dav: &Dav<'_>, url: &Url) -> Result<Look, Error> {
    let answer = dav
        .propfind(url, "0", writer::propfind_entry())
        .await
        .map_err(with_advice)?;
    let (url, status) = (answer.url.clone(), answer.status.as_u16());
    let document = match dav.multistatus(answer).await {
        Ok(document) => document,
        // Broken credentials and a failing server are the same at every address.
        Err(error)
            if matches!(
                error.kind,
                ErrorKind::Unauthorized | ErrorKind::Unavailable | ErrorKind::RateLimited
            ) =>
        {
            return Err(error);
        }
        Err(error) => return Ok(Look::Elsewhere(error)),
    };
    let Some(found) = document
        .responses
        .into_iter()
        .next()
        .map(|response| response.found)
    else {
        let error = dav.error(
            ErrorKind::Unexpected,
            "the server says nothing about this address",
        );
        return Ok(Look::Elsewhere(error.with_status(status)));
    };
    if found.is_calendar {
        // Someone who names one calendar wants that one.
        let calendars = read_calendars(dav, &url, "0").await?;
        return Ok(Look::Found(Lead::Calendars(calendars)));
    }
    let homes = resolved(&url, &found.home_sets);
    if !homes.is_empty() {
        return Ok(Look::Found(Lead::Homes(homes)));
    }
    if let Some(principal) = found.principal.as_deref().and_then(|href| url.join(href).ok()) {
        return Ok(Look::Found(Lead::Principal(principal)));
    }
    if found.is_collection {
        // A server without principals: the calendars may lie right here.
        let calendars = read_calendars(dav, &url, "1").await?;
        if !calendars.is_empty() {
            return Ok(Look::Found(Lead::Calendars(calendars)));
        }
    }
    let host = url.host_str().unwrap_or("the server");
    let message = format!(
        "{host} speaks WebDAV at {}, but names no account and no calendars there",
        url.path()
    );
    Ok(Look::Elsewhere(dav.error(ErrorKind::Unexpected, message)))
}

async fn homes_of(dav: &Dav<'_>, principal: &Url) -> Result<Vec<Url>, Error> {
    let answer = dav.propfind(principal, "0", writer::propfind_entry()).await?;
    let url = answer.url.clone();
    let document = dav.multistatus(answer).await?;
    let homes: Vec<Url> = document
        .responses
        .iter()
        .flat_map(|response| resolved(&url, &response.found.home_sets))
        .collect();
    if homes.is_empty() {
        let host = url.host_str().unwrap_or("the server");
        let message = format!(
            "{host} knows the account but names no place for its calendars: the account has no calendar service, or \
             the server offers WebDAV only"
        );
        return Err(dav.error(ErrorKind::Unexpected, message));
    }
    Ok(homes)
}

async fn calendars_in(dav: &Dav<'_>, home: &Url) -> Result<Vec<RemoteCollection>, Error> {
    read_calendars(dav, home, "1").await
}

async fn read_calendars(dav: &Dav<'_>, url: &Url, depth: &str) -> Result<Vec<RemoteCollection>, Error> {
    let answer: HttpResponse = dav.propfind(url, depth, writer::propfind_collections()).await?;
    let url = answer.url.clone();
    let document: Document = dav.multistatus(answer).await?;
    let calendars = document.responses.into_iter();
    Ok(calendars
        .filter_map(|response| calendar(&dav.ctx.base_url, &url, response))
        .collect())
}

fn calendar(base: &Url, asked: &Url, response: DavResponse) -> Option<RemoteCollection> {
    let found = response.found;
    if !found.is_calendar || !found.takes_events() {
        return None;
    }
    let mut url = asked.join(&response.href).ok()?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    let name = found
        .display_name
        .clone()
        .unwrap_or_else(|| last_segment(url.path()));
    let access = if found.may_write() {
        Access::ReadWrite
    } else {
        Access::ReadOnly
    };
    Some(RemoteCollection {
        id: id_of(base, &url),
        kind: Kind::Event,
        fields: fields(&found, &name, access),
        name,
        access,
    })
}

fn fields(found: &Properties, name: &str, access: Access) -> model::Fields {
    let calendar = Calendar {
        name: Some(name.to_owned()),
        description: found.description.clone(),
        zone: found.timezone.as_deref().and_then(zone),
        color: found.color.as_deref().map(color),
        read_only: Some(access == Access::ReadOnly),
        primary: None,
    };
    calendar.into_fields()
}

/// Apple writes `#RRGGBBAA`; nobody shows the transparency.
fn color(text: &str) -> String {
    let text = text.trim();
    match text.strip_prefix('#') {
        Some(digits) if digits.len() == 8 && digits.is_ascii() => format!("#{}", &digits[..6]).to_lowercase(),
        Some(_) => text.to_lowercase(),
        None => text.to_owned(),
    }
}

/// The zone that a VTIMEZONE is for, where it has a name that is known.
fn zone(calendar: &str) -> Option<String> {
    let named = calendar
        .lines()
        .find_map(|line| line.trim().strip_prefix("TZID:"))?;
    model::zone::canonical(named.trim()).ok().map(str::to_owned)
}

fn resolved(url: &Url, hrefs: &[String]) -> Vec<Url> {
    hrefs.iter().filter_map(|href| url.join(href).ok()).collect()
}

/// Says what to do about a server that cannot be reached.
fn with_advice(error: Error) -> Error {
    let advice = match error.kind {
        ErrorKind::Unavailable if error.message.contains("certificate") => {
            "the server's operator has to renew or repair it"
        }
        ErrorKind::Unavailable if error.message.contains("cannot be reached") => "check the address",
        ErrorKind::Unexpected if error.message.contains("larger than") => {
            "no CalDAV server answers so; check the address"
        }
        ErrorKind::Unavailable
        | ErrorKind::Unexpected
        | ErrorKind::Unauthorized
        | ErrorKind::PermissionDenied
        | ErrorKind::NotFound
        | ErrorKind::VersionConflict
        | ErrorKind::AlreadyExists
        | ErrorKind::CursorExpired
        | ErrorKind::RateLimited
        | ErrorKind::Invalid
        | ErrorKind::Unsupported
        | ErrorKind::BadSignature => return error,
    };
    let message = format!("{}; {advice}", error.message);
    Error { message, ..error }
}
