//! PROPFIND (RFC 4918 section 9.1) with depth 0 and 1.

use http::{HeaderMap, StatusCode};

use super::answer::{Answer, Multistatus, Refusal, failed_condition, refuse};
use super::element::{DAV, Element};
use super::properties::{Subject, View, Wanted};
use super::state::State;
use super::target::Target;

/// A `Depth` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    Zero,
    One,
    Infinity,
}

impl Depth {
    /// Reads the header; `missing` is the method's own default.
    pub(crate) fn of(headers: &HeaderMap, missing: Self) -> Result<Self, Refusal> {
        let Some(value) = headers.get("depth") else {
            return Ok(missing);
        };
        match value
            .to_str()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
            .as_str()
        {
            "0" => Ok(Self::Zero),
            "1" => Ok(Self::One),
            "infinity" => Ok(Self::Infinity),
            _ => Err(refuse(StatusCode::BAD_REQUEST, "Depth is 0, 1 or infinity")),
        }
    }
}

/// Answers a PROPFIND; an empty body asks for all properties.
pub(crate) fn propfind(
    state: &State,
    view: &View<'_>,
    target: &Target,
    headers: &HeaderMap,
    request: Option<&Element>,
) -> Result<Answer, Refusal> {
    let depth = Depth::of(headers, Depth::Infinity)?;
    let wanted = match request {
        None => Wanted::All,
        Some(request) if request.is(DAV, "propfind") => Wanted::of(request)?,
        Some(_) => return Err(refuse(StatusCode::BAD_REQUEST, "a propfind element is required")),
    };
    let subjects = subjects(state, view, target, depth == Depth::One)?;
    if depth == Depth::Infinity && !matches!(target, Target::Object(..)) {
        return Err(failed_condition(
            StatusCode::FORBIDDEN,
            Element::dav("propfind-finite-depth"),
        ));
    }
    let mut answer = Multistatus::new();
    for (href, subject) in subjects {
        let (found, missing) = view.select(subject, &wanted);
        answer.properties(href, found, missing);
    }
    Ok(answer.into_answer())
}

/// The resource itself, and its members when they are wanted.
fn subjects<'a>(
    state: &'a State,
    view: &View<'_>,
    target: &'a Target,
    members: bool,
) -> Result<Vec<(String, Subject<'a>)>, Refusal> {
    let not_found = || refuse(StatusCode::NOT_FOUND, "no such resource");
    let links = view.links;
    let mut subjects = Vec::new();
    match target {
        Target::Root => subjects.push((links.root(), Subject::Root)),
        Target::Principal(account) => {
            let found = state.account(account).ok_or_else(not_found)?;
            let display_name = found.display_name.as_str();
            subjects.push((
                links.principal(account),
                Subject::Principal {
                    account,
                    display_name,
                },
            ));
        }
        Target::Home(account) => {
            let found = state.account(account).ok_or_else(not_found)?;
            subjects.push((links.home(account), Subject::Home { account }));
            for (name, calendar) in found.calendars.iter().filter(|_| members) {
                subjects.push((
                    links.calendar(account, name),
                    Subject::Calendar {
                        account,
                        name,
                        calendar,
                    },
                ));
            }
        }
        Target::Calendar(account, name) => {
            let calendar = state.calendar(account, name).ok_or_else(not_found)?;
            subjects.push((
                links.calendar(account, name),
                Subject::Calendar {
                    account,
                    name,
                    calendar,
                },
            ));
            for (object_name, object) in calendar.objects.iter().filter(|_| members) {
                subjects.push((
                    links.object(account, name, object_name),
                    Subject::Object { account, object },
                ));
            }
        }
        Target::Object(account, name, object_name) => {
            let calendar = state.calendar(account, name).ok_or_else(not_found)?;
            let object = calendar.objects.get(object_name).ok_or_else(not_found)?;
            subjects.push((
                links.object(account, name, object_name),
                Subject::Object { account, object },
            ));
        }
        Target::WellKnown | Target::Top | Target::Unknown => return Err(not_found()),
    }
    Ok(subjects)
}
