//! Calendars, and each account's list of them.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/calendarList>

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::config::{CalendarConfig, Role};
use super::errors::ApiError;
use super::paging::{finish, page, read_sync_token};
use super::params::Params;
use super::state::{Calendar, ListEntry, World, etag};

const DEFAULT_PAGE: usize = 100;
const LARGEST_PAGE: usize = 250;

/// `calendars.get`.
pub(crate) fn resource(calendar: &Calendar) -> Value {
    let mut shown = Map::new();
    shown.insert("kind".to_owned(), json!("calendar#calendar"));
    shown.insert("etag".to_owned(), json!(etag(calendar.props_revision)));
    shown.insert("id".to_owned(), json!(calendar.id));
    shown.extend(calendar.props.clone());
    shown.insert("dataOwner".to_owned(), json!(calendar.owner));
    let conference = json!({"allowedConferenceSolutionTypes": ["hangoutsMeet"]});
    shown.insert("conferenceProperties".to_owned(), conference);
    Value::Object(shown)
}

/// `calendars.insert`: a secondary calendar of the caller's.
pub(crate) fn insert(world: &mut World, email: &str, body: &Map<String, Value>) -> Result<String, ApiError> {
    let text = |name: &str| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(ApiError::invalid(format!("Invalid value for: {name}"))),
    };
    let summary = text("summary")?.ok_or_else(|| ApiError::required("Missing title."))?;
    let zone = text("timeZone")?.unwrap_or_else(|| "UTC".to_owned());
    if TimeZone::get(&zone).is_err() {
        return Err(ApiError::invalid("Invalid time zone."));
    }
    let id = format!("c_{}@group.calendar.google.com", world.mint_event_id());
    world.add_calendar(&CalendarConfig::new(&id, email).summary(summary).time_zone(zone));
    for name in ["description", "location"] {
        if let Some(value) = text(name)? {
            world
                .calendar_mut(&id)?
                .props
                .insert(name.to_owned(), json!(value));
        }
    }
    Ok(id)
}

/// `calendars.delete`: owners only, and never a primary calendar.
pub(crate) fn delete(world: &mut World, email: &str, calendar_id: &str) -> Result<(), ApiError> {
    let (id, _role) = world.open(email, calendar_id, Role::Owner)?;
    if world.calendar(&id)?.is_primary() {
        return Err(ApiError::new(
            403,
            "global",
            "forbidden",
            "A primary calendar cannot be deleted.",
        ));
    }
    world.drop_calendar(&id);
    Ok(())
}

/// One entry of an account's list.
pub(crate) fn entry(world: &World, email: &str, id: &str) -> Result<Value, ApiError> {
    let account = world.accounts.get(email).ok_or_else(ApiError::not_found)?;
    let entry = account.list.get(id).ok_or_else(ApiError::not_found)?;
    if entry.deleted {
        return Err(ApiError::not_found());
    }
    Ok(shown_entry(world, email, id, entry))
}

fn shown_entry(world: &World, email: &str, id: &str, entry: &ListEntry) -> Value {
    let mut shown = Map::new();
    shown.insert("kind".to_owned(), json!("calendar#calendarListEntry"));
    shown.insert("etag".to_owned(), json!(etag(entry.revision)));
    shown.insert("id".to_owned(), json!(id));
    let calendar = world.calendars.get(id).filter(|_| !entry.deleted);
    let Some(calendar) = calendar else {
        shown.insert("deleted".to_owned(), json!(true));
        return Value::Object(shown);
    };
    shown.extend(calendar.props.clone());
    shown.extend(entry.props.clone());
    let role = calendar.roles.get(email).copied().unwrap_or(Role::FreeBusyReader);
    shown.insert("accessRole".to_owned(), json!(role.as_str()));
    shown.insert("dataOwner".to_owned(), json!(calendar.owner));
    let conference = json!({"allowedConferenceSolutionTypes": ["hangoutsMeet"]});
    shown.insert("conferenceProperties".to_owned(), conference);
    if calendar.id == email {
        shown.insert("primary".to_owned(), json!(true));
    }
    Value::Object(shown)
}

/// `calendarList.list`, full or incremental.
pub(crate) fn list(world: &mut World, email: &str, params: &Params) -> Result<Value, ApiError> {
    let scope = format!("{email}/calendarList");
    let epoch = world.accounts.get(email).map_or(0, |account| account.list_epoch);
    let since = match params.get("syncToken") {
        // https://developers.google.com/workspace/calendar/api/v3/reference/calendarList/list#syncToken
        Some(_) if params.has("minAccessRole") => {
            let message = "minAccessRole cannot be specified together with a sync token.";
            return Err(ApiError::invalid_parameter("minAccessRole", message));
        }
        Some(token) => Some(read_sync_token(world, token, &scope, epoch)?),
        None => None,
    };
    let least = match params.get("minAccessRole") {
        Some(name) => Some(
            Role::parse(name)
                .ok_or_else(|| ApiError::invalid_parameter("minAccessRole", "Invalid string value."))?,
        ),
        None => None,
    };
    let with_deleted = params.flag("showDeleted")? == Some(true) || since.is_some();
    let with_hidden = params.flag("showHidden")? == Some(true) || since.is_some();
    let page = page(world, &scope, params, (DEFAULT_PAGE, LARGEST_PAGE), |world| {
        let account = world.accounts.get(email).ok_or_else(ApiError::not_found)?;
        let role_of = |id: &str| world.calendars.get(id)?.roles.get(email).copied();
        let wanted = |(id, entry): &(&String, &ListEntry)| {
            since.is_none_or(|since| entry.revision > since)
                && (with_deleted || !entry.deleted)
                && (with_hidden || entry.props.get("hidden").and_then(Value::as_bool) != Some(true))
                && least.is_none_or(|least| role_of(id.as_str()).is_some_and(|role| role >= least))
        };
        let ids = account
            .list
            .iter()
            .filter(wanted)
            .map(|(id, _)| id.clone())
            .collect();
        Ok((ids, least.is_none().then(|| world.revision())))
    })?;
    let account = world.accounts.get(email).ok_or_else(ApiError::not_found)?;
    let newest = account
        .list
        .values()
        .map(|entry| entry.revision)
        .max()
        .unwrap_or_default();
    let entries = page.ids.iter().filter_map(|id| Some((id, account.list.get(id)?)));
    let items: Vec<Value> = entries
        .map(|(id, entry)| shown_entry(world, email, id, entry))
        .collect();
    let mut answer = Map::new();
    answer.insert("kind".to_owned(), json!("calendar#calendarList"));
    answer.insert("etag".to_owned(), json!(etag(newest)));
    answer.insert("items".to_owned(), Value::Array(items));
    finish(&mut answer, world, &scope, epoch, page);
    Ok(Value::Object(answer))
}
