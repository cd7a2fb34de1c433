//! The reports that list calendar objects: `calendar-multiget`, `calendar-query` and `sync-collection`.

use http::{HeaderMap, StatusCode};
use jiff::tz::TimeZone;

use super::answer::{Answer, Multistatus, Refusal, failed_condition, refuse};
use super::content_lines::Component;
use super::element::{CALDAV, DAV, Element};
use super::filter::Filter;
use super::objects::{Served, served};
use super::properties::{Subject, View, Wanted};
use super::propfind::Depth;
use super::state::{Calendar, Object};
use super::target::Target;

/// The calendar that a report is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reported<'a> {
    pub(crate) account: &'a str,
    pub(crate) name: &'a str,
    pub(crate) calendar: &'a Calendar,
}

impl Reported<'_> {
    /// The zone of floating times; UTC unless the calendar says otherwise.
    pub(crate) fn floating_zone(&self) -> TimeZone {
        let named = self
            .calendar
            .timezone
            .as_deref()
            .and_then(|zone| TimeZone::get(zone).ok());
        named.unwrap_or(TimeZone::UTC)
    }

    fn href(&self, view: &View<'_>, object: &str) -> String {
        view.links.object(self.account, self.name, object)
    }
}

/// What a report asks of each object.
#[derive(Debug)]
struct WantedOfObjects {
    properties: Wanted,
    calendar_data: bool,
}

impl WantedOfObjects {
    fn of(request: &Element) -> Result<Self, Refusal> {
        let mut calendar_data = false;
        let properties = match Wanted::of_report(request) {
            Wanted::Named(mut named) => {
                for data in named.iter().filter(|element| element.is(CALDAV, "calendar-data")) {
                    calendar_data = true;
                    check_calendar_data(data)?;
                }
                named.retain(|element| !element.is(CALDAV, "calendar-data"));
                Wanted::Named(named)
            }
            other @ (Wanted::All | Wanted::NamesOnly) => other,
        };
        Ok(Self {
            properties,
            calendar_data,
        })
    }
}

/// RFC 4791 section 9.6: whole objects only here; what would need an expansion says so instead of answering wrong.
fn check_calendar_data(data: &Element) -> Result<(), Refusal> {
    if data.elements().next().is_some() {
        return Err(refuse(
            StatusCode::NOT_IMPLEMENTED,
            "the simulator serves whole calendar objects only",
        ));
    }
    match data.attribute_value("content-type") {
        None | Some("text/calendar") => Ok(()),
        Some(_) => Err(failed_condition(
            StatusCode::FORBIDDEN,
            Element::caldav("supported-calendar-data"),
        )),
    }
}

fn add_object(
    answer: &mut Multistatus,
    view: &View<'_>,
    of: Reported<'_>,
    (name, object): (&str, &Object),
    wanted: &WantedOfObjects,
) {
    let href = of.href(view, name);
    let subject = Subject::Object {
        account: of.account,
        object,
    };
    let (mut found, missing) = view.select(subject, &wanted.properties);
    if wanted.calendar_data {
        let element = Element::caldav("calendar-data");
        match served(view.quirks, name, object) {
            Served::Refused(status) => return answer.status(href, status),
            Served::Data(ics) if view.quirks.calendar_data_as_cdata => found.push(element.cdata(ics)),
            Served::Data(ics) => found.push(element.text(ics)),
        }
    }
    answer.properties(href, found, missing);
}

/// RFC 4791 section 7.9.
pub(crate) fn multiget(view: &View<'_>, of: Reported<'_>, request: &Element) -> Result<Answer, Refusal> {
    let wanted = WantedOfObjects::of(request)?;
    let mut answer = Multistatus::new();
    let mut asked = 0;
    for href in request
        .elements()
        .filter(|element| element.is(DAV, "href"))
        .map(Element::own_text)
    {
        asked += 1;
        let found = match Target::of_href(&href, &view.links.context_path) {
            Target::Object(account, calendar, object) if account == of.account && calendar == of.name => {
                of.calendar.objects.get_key_value(&object)
            }
            _ => None,
        };
        match found {
            Some((name, object)) => add_object(&mut answer, view, of, (name, object), &wanted),
            None => answer.status(href.trim().to_owned(), StatusCode::NOT_FOUND),
        }
    }
    match asked {
        0 => Err(refuse(
            StatusCode::BAD_REQUEST,
            "calendar-multiget needs at least one href",
        )),
        _ => Ok(answer.into_answer()),
    }
}

/// RFC 4791 section 7.8. With depth 0, the default, the answer is empty: the calendar itself is no calendar object.
pub(crate) fn query(
    view: &View<'_>,
    of: Reported<'_>,
    headers: &HeaderMap,
    request: &Element,
) -> Result<Answer, Refusal> {
    let wanted = WantedOfObjects::of(request)?;
    let filter = Filter::of(request)?;
    let zone = of.floating_zone();
    let mut answer = Multistatus::new();
    if Depth::of(headers, Depth::Zero)? != Depth::Zero {
        for (name, object) in &of.calendar.objects {
            // What cannot be read matches nothing.
            let Ok(parsed) = Component::read(&object.ics) else {
                continue;
            };
            if filter.matches(&parsed, &zone) {
                add_object(&mut answer, view, of, (name, object), &wanted);
            }
        }
    }
    Ok(answer.into_answer())
}

/// RFC 6578 section 3.
pub(crate) fn sync_collection(
    view: &View<'_>,
    of: Reported<'_>,
    headers: &HeaderMap,
    request: &Element,
) -> Result<Answer, Refusal> {
    if Depth::of(headers, Depth::Zero)? != Depth::Zero {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            "sync-collection is defined for Depth: 0 only",
        ));
    }
    let since = requested_revision(view, of, request)?;
    let limit = requested_limit(request)?;
    let wanted = WantedOfObjects::of(request)?;

    let mut changes: Vec<(u64, &str, Option<&Object>)> = Vec::new();
    let after = since.unwrap_or(0);
    for (name, object) in &of.calendar.objects {
        changes.push((object.revision, name, Some(object)));
    }
    // A first synchronisation reports no removals (section 3.4).
    if since.is_some() && !view.quirks.omit_deletes {
        changes.extend(
            of.calendar
                .tombstones
                .iter()
                .map(|(name, revision)| (*revision, name.as_str(), None)),
        );
    }
    changes.retain(|(revision, _, _)| *revision > after);
    changes.sort_by_key(|(revision, _, _)| *revision);

    let page = limit
        .into_iter()
        .chain(view.quirks.page_size)
        .min()
        .unwrap_or(usize::MAX);
    let truncated = changes.len() > page;
    changes.truncate(page);
    let reached = match changes.last() {
        Some((revision, _, _)) if truncated => *revision,
        Some(_) | None => of.calendar.revision,
    };
    let mut answer = Multistatus::new();
    for (_, name, object) in changes {
        match object {
            Some(object) => add_object(&mut answer, view, of, (name, object), &wanted),
            None => answer.status(of.href(view, name), StatusCode::NOT_FOUND),
        }
    }
    if truncated {
        // Section 3.6: the collection's own response says that there is more, the token leads on.
        let href = view.links.calendar(of.account, of.name);
        let condition = Element::dav("number-of-matches-within-limits");
        answer.condition(href, StatusCode::INSUFFICIENT_STORAGE, condition);
    }
    answer.element(Element::dav("sync-token").text(of.calendar.sync_token(reached)));
    Ok(answer.into_answer())
}

/// The change number behind the request's token; none for the empty token of a first synchronisation.
fn requested_revision(view: &View<'_>, of: Reported<'_>, request: &Element) -> Result<Option<u64>, Refusal> {
    match request
        .child(DAV, "sync-level")
        .map(|level| level.own_text().trim().to_owned())
        .as_deref()
    {
        Some("1") => {}
        Some("infinite") => {
            let condition = Element::dav("sync-traversal-supported");
            return Err(failed_condition(StatusCode::FORBIDDEN, condition));
        }
        _ => return Err(refuse(StatusCode::BAD_REQUEST, "sync-level is 1 or infinite")),
    }
    let Some(token) = request.child(DAV, "sync-token") else {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            "a sync-token element is required, if only an empty one",
        ));
    };
    match token.own_text().trim() {
        "" => Ok(None),
        token => match of.calendar.revision_of_token(token) {
            Some(revision) if !view.quirks.expire_sync_tokens => Ok(Some(revision)),
            Some(_) | None => Err(failed_condition(
                StatusCode::FORBIDDEN,
                Element::dav("valid-sync-token"),
            )),
        },
    }
}

fn requested_limit(request: &Element) -> Result<Option<usize>, Refusal> {
    let Some(limit) = request.child(DAV, "limit") else {
        return Ok(None);
    };
    let wanted = limit
        .child(DAV, "nresults")
        .and_then(|nresults| nresults.own_text().trim().parse().ok());
    match wanted {
        Some(1..) => Ok(wanted),
        Some(0) | None => Err(refuse(StatusCode::BAD_REQUEST, "nresults is a positive number")),
    }
}
