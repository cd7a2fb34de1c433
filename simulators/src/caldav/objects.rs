//! GET, PUT and DELETE of calendar objects, with preconditions (RFC 9110 section 13, RFC 4791 section 5.3).

use http::{HeaderMap, StatusCode, header};

use super::answer::{Answer, Refusal, failed_condition, need_privilege, refuse};
use super::element::Element;
use super::properties::{View, is_read_only};
use super::quirks::Quirks;
use super::rewriting::rewritten;
use super::state::{Calendar, Object, State};
use super::validity::{CheckedObject, Invalid, check};

/// Where a calendar object is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) account: &'a str,
    pub(crate) calendar: &'a str,
    pub(crate) object: &'a str,
}

/// What comes of reading an object.
#[derive(Debug)]
pub(crate) enum Served {
    Data(String),
    Refused(StatusCode),
}

/// An object's data as the quirks let it out.
pub(crate) fn served(quirks: &Quirks, name: &str, object: &Object) -> Served {
    if let Some(status) = rejection(quirks, object, |rejection| rejection.read_status) {
        return Served::Refused(status);
    }
    if !quirks.malformed_objects.contains(name) {
        return Served::Data(object.ics.clone());
    }
    // Half of the object, then something that is no content line, and no end.
    let half = object.ics.lines().count() / 2;
    let kept: String = object
        .ics
        .lines()
        .take(half)
        .flat_map(|line| [line, "\r\n"])
        .collect();
    Served::Data(format!("{kept}this is not a content line\r\n"))
}

fn rejection(
    quirks: &Quirks,
    object: &Object,
    of: impl Fn(&super::quirks::Rejection) -> Option<u16>,
) -> Option<StatusCode> {
    of(quirks.reject_uids.get(object.uid.as_ref()?)?).and_then(|status| StatusCode::from_u16(status).ok())
}

pub(crate) fn get(
    state: &State,
    view: &View<'_>,
    place: Place<'_>,
    headers: &HeaderMap,
) -> Result<Answer, Refusal> {
    let object = existing(state, place)?;
    let ics = match served(view.quirks, place.object, object) {
        Served::Refused(status) => return Err(refuse(status, "this object is always refused")),
        Served::Data(ics) => ics,
    };
    if tags(headers, &header::IF_NONE_MATCH).is_some_and(|known| contains_weakly(&known, &object.etag)) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED).header(header::ETAG, &object.etag));
    }
    let answer = Answer::text(StatusCode::OK, "text/calendar; charset=utf-8", ics);
    Ok(match view.quirks.no_etags {
        true => answer,
        false => answer.header(header::ETAG, &object.etag),
    })
}

pub(crate) fn put(
    state: &mut State,
    view: &View<'_>,
    place: Place<'_>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let Some(calendar) = state.calendar(place.account, place.calendar) else {
        // RFC 4918 section 9.7.1: the parent collection has to exist.
        return Err(refuse(StatusCode::CONFLICT, "no such calendar"));
    };
    let present = calendar.objects.get(place.object);
    let privilege = if present.is_some() {
        "write-content"
    } else {
        "bind"
    };
    check_privilege(view, place, calendar, privilege)?;
    check_preconditions(headers, present)?;
    let checked = acceptable(view, calendar, headers, body)?;
    check_uid(view, place, calendar, &checked)?;

    let (existed, sent) = (present.is_some(), String::from_utf8_lossy(body).into_owned());
    let changed = rewritten(&checked.calendar, view.quirks);
    // RFC 4791 section 5.3.4: no strong entity tag when the data was not stored octet for octet.
    let names_etag = !view.quirks.no_etags
        && !view.quirks.no_etag_on_put
        && (changed.is_none() || view.quirks.etag_despite_rewrite);
    let stored = state.put(
        place.account,
        place.calendar,
        place.object,
        changed.unwrap_or(sent),
    );
    let answer = Answer::empty(if existed {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::CREATED
    });
    Ok(match stored {
        Some(etag) if names_etag => answer.header(header::ETAG, etag),
        Some(_) | None => answer,
    })
}

pub(crate) fn delete(
    state: &mut State,
    view: &View<'_>,
    place: Place<'_>,
    headers: &HeaderMap,
) -> Result<Answer, Refusal> {
    let object = existing(state, place)?;
    let Some(calendar) = state.calendar(place.account, place.calendar) else {
        return Err(refuse(StatusCode::NOT_FOUND, "no such calendar"));
    };
    check_privilege(view, place, calendar, "unbind")?;
    check_preconditions(headers, Some(object))?;
    if let Some(status) = rejection(view.quirks, object, |rejection| rejection.write_status) {
        return Err(refuse(status, "this object is always refused"));
    }
    state.delete(place.account, place.calendar, place.object);
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn existing<'a>(state: &'a State, place: Place<'_>) -> Result<&'a Object, Refusal> {
    let calendar = state.calendar(place.account, place.calendar);
    let object = calendar.and_then(|calendar| calendar.objects.get(place.object));
    object.ok_or_else(|| refuse(StatusCode::NOT_FOUND, "no such calendar object"))
}

fn check_privilege(
    view: &View<'_>,
    place: Place<'_>,
    calendar: &Calendar,
    privilege: &'static str,
) -> Result<(), Refusal> {
    match is_read_only(view.quirks, place.calendar, calendar) {
        true => Err(need_privilege(
            view.links.calendar(place.account, place.calendar),
            privilege,
        )),
        false => Ok(()),
    }
}

/// `If-Match` and `If-None-Match`, against the object's tag even where the quirks hide it.
fn check_preconditions(headers: &HeaderMap, present: Option<&Object>) -> Result<(), Refusal> {
    let failed = || {
        Err(refuse(
            StatusCode::PRECONDITION_FAILED,
            "the precondition does not hold",
        ))
    };
    if let Some(wanted) = tags(headers, &header::IF_MATCH) {
        let holds = present.is_some_and(|object| wanted.iter().any(|tag| tag == "*" || *tag == object.etag));
        if !holds {
            return failed();
        }
    }
    if let Some(unwanted) = tags(headers, &header::IF_NONE_MATCH)
        && present.is_some_and(|object| contains_weakly(&unwanted, &object.etag))
    {
        return failed();
    }
    Ok(())
}

/// `If-None-Match` compares weakly, `If-Match` strongly (RFC 9110 section 13.1).
fn contains_weakly(tags: &[String], etag: &str) -> bool {
    tags.iter()
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The header's entity tags; none when it is absent. The server's own tags hold no comma.
fn tags(headers: &HeaderMap, name: &header::HeaderName) -> Option<Vec<String>> {
    let mut found = headers.get_all(name).iter().peekable();
    found.peek()?;
    let lists = found.filter_map(|value| value.to_str().ok());
    Some(
        lists
            .flat_map(|list| list.split(','))
            .map(|tag| tag.trim().to_owned())
            .collect(),
    )
}

/// RFC 4791 section 5.3.2.1. Failed preconditions are 403 here: Radicale, the other server of the tests, answers
/// some of them with 409, and a client has to look at the element.
fn acceptable(
    view: &View<'_>,
    calendar: &Calendar,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<CheckedObject, Refusal> {
    let failed =
        |condition: &'static str| failed_condition(StatusCode::FORBIDDEN, Element::caldav(condition));
    let explained = |condition: &'static str, why: String| {
        let description = Element::dav("responsedescription").text(why);
        let error = Element::dav("error")
            .with(Element::caldav(condition))
            .with(description);
        Box::new(Answer::xml(StatusCode::FORBIDDEN, error))
    };
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("text/calendar")
    {
        return Err(failed("supported-calendar-data"));
    }
    if body.len() > view.max_resource_size_bytes {
        return Err(failed("max-resource-size"));
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return Err(failed("valid-calendar-data"));
    };
    check(text, &calendar.components, view.quirks.require_vtimezone).map_err(|wrong| match wrong {
        Invalid::CalendarData(why) => explained("valid-calendar-data", why),
        Invalid::ObjectResource(why) => explained("valid-calendar-object-resource", why),
        Invalid::ComponentType(why) => explained("supported-calendar-component", why),
    })
}

/// One UID, one resource; and a resource keeps its UID.
fn check_uid(
    view: &View<'_>,
    place: Place<'_>,
    calendar: &Calendar,
    checked: &CheckedObject,
) -> Result<(), Refusal> {
    let refused = view
        .quirks
        .reject_uids
        .get(&checked.uid)
        .and_then(|rejection| rejection.write_status);
    if let Some(status) = refused.and_then(|status| StatusCode::from_u16(status).ok()) {
        return Err(refuse(status, "this object is always refused"));
    }
    for (name, object) in &calendar.objects {
        let same_uid = object.uid.as_ref() == Some(&checked.uid);
        let same_place = name == place.object;
        // What was there without a readable UID may be replaced.
        if same_uid != same_place && !(same_place && object.uid.is_none()) {
            let href = view.links.object(place.account, place.calendar, name);
            let condition = Element::caldav("no-uid-conflict").with(Element::href(href));
            return Err(failed_condition(StatusCode::FORBIDDEN, condition));
        }
    }
    Ok(())
}
