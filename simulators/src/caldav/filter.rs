//! The filter of a `calendar-query` (RFC 4791 section 9.7): components, time ranges, properties and their text.
//! A test that is not supported is refused with `supported-filter`, never ignored.

use http::StatusCode;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::answer::{Refusal, failed_condition};
use super::content_lines::{Component, Property};
use super::element::{CALDAV, Element};
use super::occurrences::{Range, in_range};

/// A filter on whole calendar objects.
#[derive(Debug)]
pub(crate) struct Filter(ComponentTest);

#[derive(Debug)]
struct ComponentTest {
    name: String,
    must_be_absent: bool,
    range: Option<Range>,
    properties: Vec<PropertyTest>,
    components: Vec<Self>,
}

#[derive(Debug)]
struct PropertyTest {
    name: String,
    condition: PropertyCondition,
}

#[derive(Debug)]
enum PropertyCondition {
    Absent,
    Present,
    Text {
        needle: String,
        ignore_case: bool,
        negate: bool,
    },
}

impl Filter {
    /// Reads the filter of a report.
    pub(crate) fn of(request: &Element) -> Result<Self, Refusal> {
        let filter = request.child(CALDAV, "filter").ok_or_else(invalid)?;
        let outer = filter.child(CALDAV, "comp-filter").ok_or_else(invalid)?;
        let test = ComponentTest::of(outer)?;
        if test.name != "VCALENDAR" || filter.elements().count() != 1 {
            return Err(invalid());
        }
        Ok(Self(test))
    }

    pub(crate) fn matches(&self, calendar: &Component, floating: &TimeZone) -> bool {
        self.0.holds_inside(calendar, calendar, floating)
    }
}

impl ComponentTest {
    fn of(element: &Element) -> Result<Self, Refusal> {
        let name = element
            .attribute_value("name")
            .ok_or_else(invalid)?
            .to_ascii_uppercase();
        let mut test = Self {
            name,
            must_be_absent: false,
            range: None,
            properties: Vec::new(),
            components: Vec::new(),
        };
        for inner in element.elements() {
            match inner.name.parts() {
                (CALDAV, "is-not-defined") => test.must_be_absent = true,
                (CALDAV, "time-range") if test.name == "VEVENT" => test.range = Some(time_range(inner)?),
                (CALDAV, "prop-filter") => test.properties.push(PropertyTest::of(inner)?),
                (CALDAV, "comp-filter") => test.components.push(Self::of(inner)?),
                _ => return Err(unsupported(inner)),
            }
        }
        Ok(test)
    }

    /// Whether some component of `parent` passes.
    fn holds_in(&self, parent: &Component, calendar: &Component, floating: &TimeZone) -> bool {
        if self.must_be_absent {
            return parent.inner(&self.name).next().is_none();
        }
        if let Some(range) = self.range {
            let occurrences = in_range(calendar, range, floating);
            if occurrences.found.is_empty() && !occurrences.incomplete {
                return false;
            }
        }
        parent
            .inner(&self.name)
            .any(|component| self.holds_inside(component, calendar, floating))
    }

    fn holds_inside(&self, component: &Component, calendar: &Component, floating: &TimeZone) -> bool {
        self.properties.iter().all(|test| test.holds_in(component))
            && self
                .components
                .iter()
                .all(|test| test.holds_in(component, calendar, floating))
    }
}

impl PropertyTest {
    fn of(element: &Element) -> Result<Self, Refusal> {
        let name = element
            .attribute_value("name")
            .ok_or_else(invalid)?
            .to_ascii_uppercase();
        let mut condition = PropertyCondition::Present;
        for inner in element.elements() {
            condition = match inner.name.parts() {
                (CALDAV, "is-not-defined") => PropertyCondition::Absent,
                (CALDAV, "text-match") => text_match(inner)?,
                _ => return Err(unsupported(inner)),
            };
        }
        Ok(Self { name, condition })
    }

    fn holds_in(&self, component: &Component) -> bool {
        let mut values = component.all(&self.name);
        match &self.condition {
            PropertyCondition::Absent => values.next().is_none(),
            PropertyCondition::Present => values.next().is_some(),
            PropertyCondition::Text {
                needle,
                ignore_case,
                negate,
            } => {
                let contains = |property: &Property| match ignore_case {
                    true => property
                        .value
                        .to_ascii_lowercase()
                        .contains(&needle.to_ascii_lowercase()),
                    false => property.value.contains(needle),
                };
                values.any(contains) != *negate
            }
        }
    }
}

/// RFC 4791 section 7.5.1: the two collations that every server has.
fn text_match(element: &Element) -> Result<PropertyCondition, Refusal> {
    let ignore_case = match element.attribute_value("collation") {
        None | Some("i;ascii-casemap" | "default") => true,
        Some("i;octet") => false,
        Some(_) => {
            return Err(failed_condition(
                StatusCode::FORBIDDEN,
                Element::caldav("supported-collation"),
            ));
        }
    };
    let negate = element.attribute_value("negate-condition") == Some("yes");
    Ok(PropertyCondition::Text {
        needle: element.own_text(),
        ignore_case,
        negate,
    })
}

/// Reads a `time-range`: one bound at least, both in UTC, the end after the start.
pub(crate) fn time_range(element: &Element) -> Result<Range, Refusal> {
    let bound = |name: &str| match element.attribute_value(name) {
        None => Ok(None),
        Some(text) => {
            let wall = text
                .strip_suffix('Z')
                .and_then(|wall| DateTime::strptime("%Y%m%dT%H%M%S", wall).ok());
            let instant = wall.and_then(|wall| TimeZone::UTC.to_timestamp(wall).ok());
            instant
                .map(|instant| Some(instant.as_second()))
                .ok_or_else(invalid)
        }
    };
    let (start, end) = (bound("start")?, bound("end")?);
    let range = Range {
        start: start.unwrap_or(i64::MIN),
        end: end.unwrap_or(i64::MAX),
    };
    if (start.is_none() && end.is_none()) || range.end <= range.start {
        return Err(invalid());
    }
    Ok(range)
}

fn invalid() -> Refusal {
    failed_condition(StatusCode::FORBIDDEN, Element::caldav("valid-filter"))
}

fn unsupported(element: &Element) -> Refusal {
    let shell = Element::named(element.name.clone());
    failed_condition(
        StatusCode::FORBIDDEN,
        Element::caldav("supported-filter").with(shell),
    )
}
