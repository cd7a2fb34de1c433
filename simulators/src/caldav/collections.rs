//! MKCALENDAR (RFC 4791 section 5.3.1) and DELETE of a calendar.

use http::StatusCode;

use super::answer::{Answer, Refusal, failed_condition, refuse};
use super::config::CalendarConfig;
use super::content_lines::Component;
use super::element::{APPLE_ICAL, CALDAV, DAV, Element};
use super::state::State;

/// Creates a calendar. The whole request fails when one of its properties cannot be set.
pub(crate) fn make_calendar(
    state: &mut State,
    account: &str,
    name: &str,
    request: Option<&Element>,
) -> Result<Answer, Refusal> {
    if state.account(account).is_none() {
        return Err(refuse(StatusCode::CONFLICT, "no such calendar home"));
    }
    if state.calendar(account, name).is_some() {
        return Err(failed_condition(
            StatusCode::FORBIDDEN,
            Element::dav("resource-must-be-null"),
        ));
    }
    let mut config = CalendarConfig::new(name);
    if let Some(request) = request {
        if !request.is(CALDAV, "mkcalendar") {
            return Err(refuse(
                StatusCode::BAD_REQUEST,
                "a mkcalendar element is required",
            ));
        }
        let sets = request.elements().filter(|element| element.is(DAV, "set"));
        for property in sets
            .filter_map(|set| set.child(DAV, "prop"))
            .flat_map(Element::elements)
        {
            config = with_property(config, property)?;
        }
    }
    state.add_calendar(account, config);
    Ok(Answer::empty(StatusCode::CREATED))
}

fn with_property(config: CalendarConfig, property: &Element) -> Result<CalendarConfig, Refusal> {
    let text = property.own_text();
    match property.name.parts() {
        (DAV, "displayname") => Ok(config.display_name(text)),
        // The type is given by the method; clients send it all the same.
        (DAV, "resourcetype") => Ok(config),
        (APPLE_ICAL, "calendar-color") => Ok(config.color(text)),
        (CALDAV, "calendar-description") => Ok(config.description(text)),
        (CALDAV, "calendar-timezone") => match zone_name(&text) {
            Some(zone) => Ok(config.timezone(zone)),
            None => Err(failed_condition(
                StatusCode::FORBIDDEN,
                Element::caldav("valid-calendar-data"),
            )),
        },
        (CALDAV, "supported-calendar-component-set") => {
            let components = property
                .elements()
                .filter_map(|comp| comp.attribute_value("name"));
            Ok(config.components(components.map(str::to_ascii_uppercase)))
        }
        _ => Err(refuse(StatusCode::FORBIDDEN, "a property that cannot be set")),
    }
}

fn zone_name(ics: &str) -> Option<String> {
    let object = Component::read(ics).ok()?;
    let zone = object.inner("VTIMEZONE").next()?.first("TZID")?;
    Some(zone.value.clone())
}

/// Deletes a calendar with all that is in it.
pub(crate) fn delete_calendar(state: &mut State, account: &str, name: &str) -> Result<Answer, Refusal> {
    match state.remove_calendar(account, name) {
        true => Ok(Answer::empty(StatusCode::NO_CONTENT)),
        false => Err(refuse(StatusCode::NOT_FOUND, "no such calendar")),
    }
}
