//! WebDAV properties of each kind of resource, and which of them a request asks for.

use http::StatusCode;
use jiff::tz::TimeZone;

use super::answer::{Refusal, refuse};
use super::content_lines::Component;
use super::element::{APPLE_ICAL, CALDAV, CALENDAR_SERVER, DAV, Element, Name};
use super::quirks::Quirks;
use super::state::{Calendar, Object};
use super::target::Links;

/// What the properties are of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    Root,
    Principal {
        account: &'a str,
        display_name: &'a str,
    },
    Home {
        account: &'a str,
    },
    Calendar {
        account: &'a str,
        name: &'a str,
        calendar: &'a Calendar,
    },
    Object {
        account: &'a str,
        object: &'a Object,
    },
}

/// Who asks, and how the server answers.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) user: &'a str,
    pub(crate) links: &'a Links,
    pub(crate) quirks: &'a Quirks,
    pub(crate) max_resource_size_bytes: usize,
}

/// Which properties a request asks for (RFC 4918 section 9.1).
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Named(Vec<Element>),
    All,
    NamesOnly,
}

/// Properties answered to `allprop` and `propname`. CalDAV's own are left out of `allprop`, as RFC 4791 section
/// 5.2 wishes.
const COMMON: &[&str] = &[
    "resourcetype",
    "displayname",
    "getetag",
    "getcontenttype",
    "getcontentlength",
    "current-user-principal",
];

impl Wanted {
    /// Reads a `propfind` element or the body of a report.
    pub(crate) fn of(request: &Element) -> Result<Self, Refusal> {
        if let Some(prop) = request.child(DAV, "prop") {
            return Ok(Self::Named(prop.elements().cloned().collect()));
        }
        match (request.child(DAV, "allprop"), request.child(DAV, "propname")) {
            (Some(_), None) => Ok(Self::All),
            (None, Some(_)) => Ok(Self::NamesOnly),
            _ => Err(refuse(
                StatusCode::BAD_REQUEST,
                "one of prop, allprop and propname is required",
            )),
        }
    }

    /// A report without any of them asks for hrefs only.
    pub(crate) fn of_report(request: &Element) -> Self {
        Self::of(request).unwrap_or_else(|_| Self::Named(Vec::new()))
    }
}

impl View<'_> {
    /// The wanted properties that exist, and the names of those that do not.
    pub(crate) fn select(&self, subject: Subject<'_>, wanted: &Wanted) -> (Vec<Element>, Vec<Name>) {
        let common = || COMMON.iter().map(|local| Name::new(DAV, local));
        match wanted {
            Wanted::All => (
                common()
                    .filter_map(|name| self.property(subject, &name))
                    .collect(),
                Vec::new(),
            ),
            Wanted::NamesOnly => {
                let known = common().filter(|name| self.property(subject, name).is_some());
                (known.map(Element::named).collect(), Vec::new())
            }
            Wanted::Named(names) => {
                let (mut found, mut missing) = (Vec::new(), Vec::new());
                for asked in names {
                    match self.property(subject, &asked.name) {
                        Some(element) => found.push(element),
                        None => missing.push(asked.name.clone()),
                    }
                }
                (found, missing)
            }
        }
    }

    fn property(&self, subject: Subject<'_>, name: &Name) -> Option<Element> {
        let empty = Element::named(name.clone());
        let href = |href: String| Some(Element::named(name.clone()).with(Element::href(href)));
        match (name.parts(), subject) {
            ((DAV, "current-user-principal"), _) => href(self.links.principal(self.user)),
            ((DAV, "principal-collection-set"), _) => href(format!("{}principals/", self.links.root())),
            ((DAV, "resourcetype"), _) => Some(empty.with_all(resource_types(subject))),
            ((DAV, "displayname"), Subject::Principal { display_name, .. }) => Some(empty.text(display_name)),
            ((DAV, "principal-URL"), Subject::Principal { account, .. }) => {
                href(self.links.principal(account))
            }
            ((CALDAV, "calendar-home-set"), Subject::Principal { account, .. }) => {
                href(self.links.home(account))
            }
            ((CALDAV, "calendar-user-address-set"), Subject::Principal { account, .. }) => {
                let mailto = account
                    .contains('@')
                    .then(|| Element::href(format!("mailto:{account}")));
                Some(
                    empty
                        .with_all(mailto)
                        .with(Element::href(self.links.principal(account))),
                )
            }
            (
                (DAV, "owner"),
                Subject::Home { account }
                | Subject::Calendar { account, .. }
                | Subject::Object { account, .. },
            ) => href(self.links.principal(account)),
            (
                _,
                Subject::Calendar {
                    name: path_name,
                    calendar,
                    ..
                },
            ) => self.calendar_property(empty, path_name, calendar),
            (_, Subject::Object { object, .. }) => self.object_property(empty, object),
            (_, Subject::Root | Subject::Principal { .. } | Subject::Home { .. }) => None,
        }
    }

    fn calendar_property(&self, empty: Element, path_name: &str, calendar: &Calendar) -> Option<Element> {
        let quirks = self.quirks;
        let name = empty.name.clone();
        let text = |value: &Option<String>| {
            value
                .as_ref()
                .map(|value| Element::named(name.clone()).text(value))
        };
        match name.parts() {
            (DAV, "displayname") => text(&calendar.display_name),
            (DAV, "sync-token") if !quirks.no_sync_collection => {
                Some(empty.text(calendar.sync_token(calendar.revision)))
            }
            (DAV, "supported-report-set") => Some(empty.with_all(self.reports())),
            (DAV, "current-user-privilege-set") => Some(empty.with_all(self.privileges(path_name, calendar))),
            (CALENDAR_SERVER, "getctag") if !quirks.no_ctag => Some(empty.text(calendar.ctag())),
            (APPLE_ICAL, "calendar-color") => text(&calendar.color),
            (CALDAV, "calendar-description") => text(&calendar.description),
            (CALDAV, "calendar-timezone") => {
                Some(empty.text(vtimezone_object(calendar.timezone.as_deref()?)?.to_text()))
            }
            (CALDAV, "supported-calendar-component-set") => {
                let components = calendar.components.iter();
                Some(empty.with_all(components.map(|name| Element::caldav("comp").attribute("name", name))))
            }
            (CALDAV, "supported-calendar-data") => Some(
                empty.with(
                    Element::caldav("calendar-data")
                        .attribute("content-type", "text/calendar")
                        .attribute("version", "2.0"),
                ),
            ),
            (CALDAV, "max-resource-size") => Some(empty.text(self.max_resource_size_bytes.to_string())),
            _ => None,
        }
    }

    fn object_property(&self, empty: Element, object: &Object) -> Option<Element> {
        match empty.name.parts() {
            (DAV, "getetag") if !self.quirks.no_etags => Some(empty.text(&object.etag)),
            (DAV, "getcontenttype") => Some(empty.text("text/calendar; charset=utf-8")),
            (DAV, "getcontentlength") => Some(empty.text(object.ics.len().to_string())),
            _ => None,
        }
    }

    fn reports(&self) -> Vec<Element> {
        let mut reports = ["calendar-multiget", "calendar-query", "free-busy-query"]
            .map(Element::caldav)
            .to_vec();
        if !self.quirks.no_sync_collection {
            reports.push(Element::dav("sync-collection"));
        }
        let supported = |report| Element::dav("supported-report").with(Element::dav("report").with(report));
        reports.into_iter().map(supported).collect()
    }

    fn privileges(&self, path_name: &str, calendar: &Calendar) -> Vec<Element> {
        let mut privileges = vec![
            Element::dav("read"),
            Element::dav("read-current-user-privilege-set"),
            Element::caldav("read-free-busy"),
        ];
        if !is_read_only(self.quirks, path_name, calendar) {
            privileges
                .extend(["write", "write-content", "write-properties", "bind", "unbind"].map(Element::dav));
        }
        privileges
            .into_iter()
            .map(|privilege| Element::dav("privilege").with(privilege))
            .collect()
    }
}

/// Whether nobody may write to the calendar.
pub(crate) fn is_read_only(quirks: &Quirks, path_name: &str, calendar: &Calendar) -> bool {
    calendar.read_only || quirks.read_only.contains(path_name)
}

fn resource_types(subject: Subject<'_>) -> Vec<Element> {
    match subject {
        Subject::Root | Subject::Home { .. } => vec![Element::dav("collection")],
        Subject::Principal { .. } => vec![Element::dav("principal"), Element::dav("collection")],
        Subject::Calendar { .. } => vec![Element::dav("collection"), Element::caldav("calendar")],
        Subject::Object { .. } => Vec::new(),
    }
}

/// An iCalendar object with one VTIMEZONE (RFC 4791 section 5.2.2): the zone's first two changes after the start of
/// 2026, yearly, or its fixed offset.
fn vtimezone_object(zone: &str) -> Option<Component> {
    let known = TimeZone::get(zone).ok()?;
    let from: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().ok()?;
    let mut definition = Component::new("VTIMEZONE").property("TZID", zone);
    let mut before = known.to_offset(from);
    for change in known.following(from).take(2) {
        let kind = if change.dst().is_dst() {
            "DAYLIGHT"
        } else {
            "STANDARD"
        };
        let local = before.to_datetime(change.timestamp());
        let observance = observance(kind, before, change.offset()).property("RRULE", yearly(local.date()));
        let start = local.strftime("%Y%m%dT%H%M%S").to_string();
        definition.components.push(observance.property("DTSTART", start));
        before = change.offset();
    }
    if definition.components.is_empty() {
        definition
            .components
            .push(observance("STANDARD", before, before).property("DTSTART", "19700101T000000"));
    }
    let mut object = Component::new("VCALENDAR")
        .property("VERSION", "2.0")
        .property("PRODID", "-//Concord//CalDAV simulator//EN");
    object.components.push(definition);
    Some(object)
}

fn observance(kind: &str, from: jiff::tz::Offset, to: jiff::tz::Offset) -> Component {
    let written = |offset: jiff::tz::Offset| {
        let (sign, minutes) = (
            if offset.seconds() < 0 { '-' } else { '+' },
            offset.seconds().abs() / 60,
        );
        format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
    };
    Component::new(kind)
        .property("TZOFFSETFROM", written(from))
        .property("TZOFFSETTO", written(to))
}

/// The nth weekday of its month, counted from the end for the last one.
fn yearly(date: jiff::civil::Date) -> String {
    let weekday = match date.weekday() {
        jiff::civil::Weekday::Monday => "MO",
        jiff::civil::Weekday::Tuesday => "TU",
        jiff::civil::Weekday::Wednesday => "WE",
        jiff::civil::Weekday::Thursday => "TH",
        jiff::civil::Weekday::Friday => "FR",
        jiff::civil::Weekday::Saturday => "SA",
        jiff::civil::Weekday::Sunday => "SU",
    };
    let is_last = date.day() + 7 > date.days_in_month();
    let nth = if is_last { -1 } else { (date.day() - 1) / 7 + 1 };
    format!("FREQ=YEARLY;BYMONTH={};BYDAY={nth}{weekday}", date.month())
}
